"""What the fields of a query are on the wire: properties, their annotations, and paths through lookups.

Source: Dataverse Web API guide, "Select columns using OData", "Join tables using OData". A lookup `x` is the property
`_x_value`; which table it leads to stands beside it as an annotation; a parent's column is expanded through a
navigation property, of which a lookup to several tables has one each: `account:parentcustomerid.name`. What people see
of a value, `statuscode@label`, is an annotation too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crosstie.crm.connector import RemoteQuery
from crosstie.errors import MappingError
from crosstie.model import LABEL, FieldType, RemoteField, RemoteObject

ETAG = "@odata.etag"
"""The field by which a query asks for the version of each record, as a conditional write takes it."""

TYPE_ANNOTATION = "Microsoft.Dynamics.CRM.lookuplogicalname"
LABEL_ANNOTATION = "OData.Community.Display.V1.FormattedValue"
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_REASONS = {
    "PartyList": "holds the people of an activity, which are records of their own (activityparty)",
    "Image": "holds a picture (base64)",
}

Navigation = Callable[[str, str, str], tuple[str, str]]
"""The navigation property of a lookup to a table, '' when there is none, and the AttributeType of a column there."""

_LOOKUPS = frozenset({"Lookup", "Owner", "Customer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One selected column: the name that was asked, its member of the JSON record, and the field unless it is a
    parent's. `expanded` is the column of the parent that the member, a navigation property, is expanded for; `listed`
    says that it has choices of several values."""

    asked: str
    member: str
    field: RemoteField | None = None
    expanded: str = ""
    listed: bool = False

    @property
    def selected(self) -> str:
        """What `$select` says for it, '' for what comes without."""
        if self.expanded or self.member == ETAG:
            return ""
        return self.member.partition("@")[0]

    @property
    def annotation(self) -> str:
        """The annotation that has to be asked for, '' for a value."""
        name = (self.expanded or self.member).partition("@")[2]
        return "" if self.member == ETAG else name


def property_of(field: RemoteField) -> str:
    """The property that a field is on the wire."""
    return f"_{field.name}_value" if field.type is FieldType.REFERENCE else field.name


def columns_of(query: RemoteQuery, navigation: Navigation) -> tuple[Column, ...]:
    """The asked columns. Raises MappingError for a field that the object does not have or that cannot be read;
    `navigation` is asked only where a path leads to a parent."""
    return tuple(_column(query.object, name, navigation) for name in query.fields)


def _column(remote: RemoteObject, name: str, navigation: Navigation) -> Column:
    if name == ETAG:
        return Column(asked=name, member=ETAG)
    if "." in name:
        return _expanded(remote, name, navigation)
    if name.endswith(LABEL):
        labelled = readable_field(remote, name.removesuffix(LABEL))
        return Column(asked=name, member=f"{property_of(labelled)}@{LABEL_ANNOTATION}")
    field = readable_field(remote, name)
    if field.part_of and field.wire_type == "EntityName":
        return Column(asked=name, member=f"_{field.part_of}_value@{TYPE_ANNOTATION}", field=field)
    return Column(asked=name, member=property_of(field), field=field)


def _expanded(remote: RemoteObject, name: str, navigation: Navigation) -> Column:
    kind, _, path = name.rpartition(":")
    first, _, rest = path.partition(".")
    lookup = next((one for one in remote.fields if one.relationship.lower() == first.lower()), None)
    if lookup is None or not _NAME.fullmatch(rest.removesuffix(LABEL)):
        raise MappingError(
            f"{remote.name} has no relationship “{first}” for the field {name}.",
            hint=f"It has: {', '.join(sorted(one.relationship for one in remote.fields if one.relationship))}; "
            "a path leads to one parent.",
        )
    if not kind and len(lookup.reference_to) != 1:
        raise MappingError(
            f"{remote.name}.{lookup.name} leads to {' or '.join(lookup.reference_to)}; “{name}” does not say to which.",
            hint=f"Write {(*lookup.reference_to, 'account')[0]}:{path}.",
        )
    parent, column = kind.lower() or lookup.reference_to[0], rest.removesuffix(LABEL).lower()
    found, column_type = navigation(lookup.name, parent, column)
    if not found:
        raise MappingError(f"{remote.name}.{lookup.name} does not lead to {parent}.")
    member = f"_{column}_value" if column_type in _LOOKUPS else column
    if rest.endswith(LABEL):
        return Column(asked=name, member=found, expanded=f"{member}@{LABEL_ANNOTATION}")
    # Of the types that are called Virtual no other can be read.
    return Column(asked=name, member=found, expanded=member, listed=column_type == "Virtual")


def readable_field(remote: RemoteObject, name: str) -> RemoteField:
    """The field of that name. Raises MappingError when there is none, or when it cannot be read."""
    found = remote.field(name)
    if found is None:
        raise MappingError(
            f"{remote.name} has no field “{name}”, or this user can't see it.",
            hint=f"Collect {remote.name} again if the field is new; grant access to it if it is hidden.",
        )
    if found.type in {FieldType.COMPOUND, FieldType.BINARY}:
        beside = [one.name for one in remote.fields if one.name.startswith(f"{found.name}_")]
        raise MappingError(
            f"{remote.name}.{found.name} {_REASONS.get(found.wire_type, 'has no value')}; it is not read.",
            hint=f"Take {', '.join(beside)} instead." if beside else "Leave the field out.",
        )
    return found


def selection(key: str, columns: Sequence[Column]) -> str:
    """The `$select` and `$expand` of a query, without the leading `?`."""
    plain = dict.fromkeys((key, *(one.selected for one in columns if one.selected)))
    text = f"$select={','.join(plain)}"
    parents: dict[str, dict[str, None]] = {}
    for one in columns:
        if one.expanded:
            parents.setdefault(one.member, {})[one.expanded.partition("@")[0]] = None
    if parents:
        text += "&$expand=" + ",".join(f"{name}($select={','.join(wanted)})" for name, wanted in parents.items())
    return text

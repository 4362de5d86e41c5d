"""What the fields of a write stand for: a column, or a lookup with the parent's table, by id or by alternate key.

A lookup that may lead to records of several tables has a navigation property for each, so the table has to be said:
`account:parentcustomerid` by the parent's id, `account:parentcustomerid.accountnumber` by an alternate key of it. A
lookup of one table is named alone: `new_accountid`, `new_accountid.accountnumber`.
Source: Dataverse Web API guide, "Associate and disassociate table rows".
"""

from __future__ import annotations

from dataclasses import dataclass

from crosstie.crm.comparing import same_value
from crosstie.crm.dynamics.ids import complete_id
from crosstie.crm.write_fields import targets_of, writable
from crosstie.crm.writing import RemoteWrite
from crosstie.errors import MappingError, RequestError
from crosstie.model import FieldType, RemoteField, RemoteObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where one column of a shipment goes. `name` is how the write calls it, `parent_type` the table that a lookup
    leads to, `parent_key` the alternate key of the parent where it is named by one."""

    name: str
    field: RemoteField
    parent_type: str = ""
    parent_key: str = ""

    @property
    def column(self) -> str:
        """The logical name of the column."""
        return column_of(self.field)

    @property
    def path(self) -> str:
        """How the value is read back."""
        return self.name if self.parent_key else self.field.name

    def holds(self, mine: str | None, theirs: str | None) -> bool:
        """Whether a record with the second text holds what was sent in the first."""
        if mine is not None and self.parent_key:
            return mine.strip().casefold() == (theirs or "").strip().casefold()
        return same_value(self.field, mine, theirs, complete_id)


def column_of(field: RemoteField) -> str:
    """The logical name of a field's column: a lookup is read as `_name_value`."""
    return field.name.removeprefix("_").removesuffix("_value") if field.type is FieldType.REFERENCE else field.name


def targets(write: RemoteWrite) -> tuple[Target, ...]:
    """The targets of a write, in the order of its fields. Raises MappingError for a field that the object does not
    have, RequestError for one that cannot be written this way or comes twice."""
    return targets_of(write, _target, alternate_key)


def alternate_key(write: RemoteWrite) -> RemoteField:
    """The field that an UPSERT goes by. Raises RequestError when it is no alternate key of its own."""
    field = _known(write.object, write.key)
    if not field.external_id:
        known = ", ".join(one.name for one in write.object.fields if one.external_id) or "none"
        raise RequestError(
            f"{write.object.name}.{field.name} is no alternate key, and an upsert goes by one.",
            hint=f"{write.object.name} has: {known}. A column becomes one in Power Apps: Tables → {write.object.label}"
            " → Keys; then collect the object again.",
        )
    return field


def _known(remote: RemoteObject, name: str) -> RemoteField:
    found = remote.field(name)
    if found is None:
        raise MappingError(
            f"{remote.name} has no field “{name}”.",
            hint="It was removed, or this user can't see it. Collect the object again.",
        )
    return found


def _target(write: RemoteWrite, name: str) -> Target:
    kind, _, path = name.rpartition(":")
    base, _, key = path.partition(".")
    lookup = next((one for one in write.object.fields if key and one.relationship == base), None)
    field = writable(write, lookup or _known(write.object, base))
    if field.type is not FieldType.REFERENCE:
        if kind or key:
            raise RequestError(f"“{name}” names a parent, but {write.object.name}.{field.name} is no lookup.")
        return Target(name=name, field=field)
    return Target(name=name, field=field, parent_type=_parent_type(write.object, field, kind, name), parent_key=key)


def _parent_type(remote: RemoteObject, lookup: RemoteField, kind: str, name: str) -> str:
    known = {one.lower(): one for one in lookup.reference_to}
    if kind and kind.lower() not in known:
        raise MappingError(f"{remote.name}.{lookup.name} does not refer to {kind} (in “{name}”).")
    if kind:
        return known[kind.lower()]
    if len(lookup.reference_to) == 1:
        return lookup.reference_to[0]
    words = " or ".join(lookup.reference_to) or "nothing that is known"
    raise RequestError(
        f"{remote.name}.{lookup.name} can refer to {words}; “{name}” does not say to which.",
        hint=f"Name the table under “parent”, like {(*lookup.reference_to, 'account')[0]}.",
    )

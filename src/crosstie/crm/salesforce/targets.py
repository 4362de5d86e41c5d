"""What the fields of a write stand for: an own field, or a parent that is named by its external id.

Sources: "Relationship Fields in a Header Row (2.0)", Bulk API 2.0 guide; "Upsert … Relationships", REST API guide.
"""

from __future__ import annotations

from dataclasses import dataclass

from crosstie.crm.comparing import same_value
from crosstie.crm.salesforce.ids import complete_id
from crosstie.crm.salesforce.soql import readable_field, select
from crosstie.crm.write_fields import targets_of, writable
from crosstie.crm.writing import RemoteWrite
from crosstie.errors import MappingError, RequestError
from crosstie.model import RemoteField, RemoteObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where one column of a shipment goes. `field` is the object's own, the lookup when the parent is named by its
    external id `parent_key`; `parent_type` says which object the parent is, where it can be of several."""

    field: RemoteField
    parent_key: str = ""
    parent_type: str = ""

    @property
    def path(self) -> str:
        """How the value is read back."""
        return f"{self.field.relationship}.{self.parent_key}" if self.parent_key else self.field.name

    @property
    def header(self) -> str:
        """The name of its column in the CSV of a bulk job."""
        return f"{self.parent_type}:{self.path}" if self.parent_type else self.path

    def holds(self, mine: str | None, theirs: str | None) -> bool:
        """Whether a record with the second text holds what was sent in the first; what is encrypted is read back as
        asterisks, and always does."""
        if mine is None or self.field.wire_type == "encryptedstring":
            return True
        if self.parent_key:
            return mine.strip().casefold() == (theirs or "").strip().casefold()
        return same_value(self.field, mine, theirs, complete_id)


def targets(write: RemoteWrite) -> tuple[Target, ...]:
    """The targets of a write, in the order of its fields. Raises MappingError for a field that the object does not
    have, RequestError for one that cannot be written this way or comes twice."""
    return targets_of(write, _target, external_id)


def external_id(write: RemoteWrite) -> RemoteField:
    """The field that an UPSERT goes by. Raises RequestError when it is no external id."""
    field = readable_field(write.object, write.key)
    if not field.external_id:
        known = ", ".join(one.name for one in write.object.fields if one.external_id) or "none"
        raise RequestError(
            f"{write.object.name}.{field.name} is no external id, and an upsert goes by one.",
            hint=f"{write.object.name} has: {known}. A field becomes one in its settings in Salesforce.",
        )
    return field


def _target(write: RemoteWrite, name: str) -> Target:
    kind, _, path = name.rpartition(":")
    if "." not in path:
        if kind:
            raise RequestError(f"“{name}” names a kind of parent, but no external id of it.")
        return Target(field=writable(write, readable_field(write.object, path)))
    relationship, _, key = select(write.object, path).path.partition(".")
    lookup = next(one for one in write.object.fields if one.relationship == relationship)
    if "." in key:
        raise RequestError(f"“{name}” goes through two parents; a parent is named by an external id of its own.")
    return Target(
        field=writable(write, lookup), parent_key=key, parent_type=_parent_type(write.object, lookup, kind, name)
    )


def _parent_type(remote: RemoteObject, lookup: RemoteField, kind: str, name: str) -> str:
    if len(lookup.reference_to) < 2:
        if kind and [kind.lower()] != [one.lower() for one in lookup.reference_to]:
            raise MappingError(f"{remote.name}.{lookup.name} does not refer to {kind} (in “{name}”).")
        return ""
    found = next((one for one in lookup.reference_to if one.lower() == kind.lower()), "")
    if not found:
        raise RequestError(
            f"{remote.name}.{lookup.name} can refer to {' or '.join(lookup.reference_to)}; “{name}” says none.",
            hint=f"Write {lookup.reference_to[0]}:{name.rpartition(':')[2]}.",
        )
    return found

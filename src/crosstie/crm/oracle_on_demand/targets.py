"""What the fields of a write stand for: an element of the record, or a parent by its external id.

A parent is named by an element of its own where the object has one: `AccountId.ExternalSystemId` goes into
AccountExternalSystemId, and is cleared by AccountId. Source: Web Services guide, field lists of the objects.
"""

from __future__ import annotations

from dataclasses import dataclass

from crosstie.crm.comparing import same_value
from crosstie.crm.write_fields import targets_of, writable
from crosstie.crm.writing import RemoteWrite
from crosstie.errors import MappingError, RequestError
from crosstie.model import FieldType, RemoteField, RemoteObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where one column of a shipment goes. `name` is how the write calls it, `field` what it fills, `by_key` the field
    that names the parent by its external id, where that is how it is named."""

    name: str
    field: RemoteField
    by_key: RemoteField | None = None

    @property
    def holder(self) -> RemoteField:
        """The field whose element holds the text, and by which it is read back."""
        return self.by_key or self.field

    def holds(self, mine: str | None, theirs: str | None) -> bool:
        """Whether a record with the second text holds what was sent in the first."""
        return same_value(self.holder, mine, theirs, str)


def targets(write: RemoteWrite) -> tuple[Target, ...]:
    """The targets of a write, in the order of its fields. Raises MappingError for a field that the object does not
    have, RequestError for one that cannot be written this way or comes twice."""
    return targets_of(write, _target, user_key)


def user_key(write: RemoteWrite) -> RemoteField:
    """The field that an UPSERT goes by. Raises RequestError when it is no key of ours."""
    field = _known(write.object, write.key)
    if not field.external_id:
        known = ", ".join(one.name for one in write.object.fields if one.external_id) or "none"
        raise RequestError(
            f"{write.object.name}.{field.name} is no key by which a record is found, and an upsert goes by one.",
            hint=f"{write.object.name} has: {known}. The account can name another field that you keep unique (keys).",
        )
    return field


def _known(remote: RemoteObject, name: str) -> RemoteField:
    found = remote.field(name)
    if found is None:
        raise MappingError(
            f"{remote.name} has no field “{name}”.",
            hint="It was removed, this user can't see it, or it has another name in this version of the web services."
            " Collect the object again.",
        )
    return found


def _target(write: RemoteWrite, name: str) -> Target:
    path = name.rpartition(":")[2]
    base, _, key = path.partition(".")
    if not key:
        return Target(name=name, field=writable(write, _known(write.object, base)))
    lookup = next((one for one in write.object.fields if one.relationship and one.relationship == base), None)
    if lookup is None or lookup.type is not FieldType.REFERENCE:
        raise MappingError(f"{write.object.name} has no reference “{base}” (in “{name}”).")
    parent = base.removesuffix("Id")
    by_key = write.object.field(f"{parent}{key}")
    if by_key is None or not (by_key.createable or by_key.updateable):
        raise RequestError(
            f"The {parent} of a {write.object.name} can't be named by its {key}: Oracle CRM On Demand has no element"
            f" {parent}{key} there.",
            hint=f"Map {lookup.name} by the remote id of the {parent}, which an enrichment finds in what was imported.",
        )
    return Target(name=name, field=writable(write, lookup), by_key=by_key)

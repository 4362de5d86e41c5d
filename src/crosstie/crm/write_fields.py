"""Which fields a write may name: each once, and each one that this user may write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from crosstie.crm.writing import Operation, RemoteWrite
from crosstie.errors import RequestError
from crosstie.model import RemoteField


class OfField(Protocol):
    """What a column of a shipment stands for, known by the object's own field."""

    @property
    def field(self) -> RemoteField:
        """The field; the lookup, where a parent is named."""
        ...


T = TypeVar("T", bound=OfField)


def targets_of(
    write: RemoteWrite, target: Callable[[RemoteWrite, str], T], key: Callable[[RemoteWrite], RemoteField]
) -> tuple[T, ...]:
    """The targets of a write, in the order of its fields: what `target` makes of each name. `key` gives the field that
    an UPSERT goes by. Raises RequestError for a write that says nothing, or one field twice."""
    if write.operation is Operation.DELETE:
        if write.fields:
            raise RequestError(f"A delete of {write.object.name} takes remote ids and no fields.")
        return ()
    if not write.fields and write.operation is not Operation.UPSERT:
        raise RequestError(f"An {write.operation} of {write.object.name} without any field says nothing.")
    found = tuple(target(write, name) for name in write.fields)
    names = [one.field.name for one in found]
    if write.operation is Operation.UPSERT:
        names.append(key(write).name)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RequestError(f"{write.object.name}.{twice} is written twice by the same rows.", hint="Map it once.")
    return found


def writable(write: RemoteWrite, field: RemoteField) -> RemoteField:
    """The field. Raises RequestError where this user may not write it by that operation."""
    can = {
        Operation.INSERT: field.createable,
        Operation.UPDATE: field.updateable,
        Operation.UPSERT: field.createable or field.updateable,
    }[write.operation]
    if not can:
        raise RequestError(
            f"{write.object.name}.{field.name} cannot be written by an {write.operation}"
            f"{': it is calculated' if field.calculated else ', or not by this user'}.",
            hint="Leave the field out, or give the user of the account the right to edit it and collect the object "
            "again.",
        )
    return field

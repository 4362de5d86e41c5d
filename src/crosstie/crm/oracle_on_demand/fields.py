"""Fields of an object as queries name them."""

from __future__ import annotations

from crosstie.errors import MappingError
from crosstie.model import FieldType, RemoteField, RemoteObject


def readable_field(remote: RemoteObject, name: str) -> RemoteField:
    """The field of that name. Raises MappingError when there is none, or when it is no value of the record."""
    found = remote.field(name)
    if found is None and "." in name:
        raise MappingError(
            f"{remote.name} has no field “{name}”: Oracle CRM On Demand has no paths to other records.",
            hint="Fields of a parent that can be read are fields of the object itself, like AccountName; for others"
            " import the parent too, and join the tables.",
        )
    if found is None:
        raise MappingError(
            f"{remote.name} has no field “{name}”, or this user can't see it.",
            hint=f"Collect {remote.name} again if the field is new; grant access to it if it is hidden.",
        )
    if found.type in {FieldType.COMPOUND, FieldType.BINARY}:
        raise MappingError(f"{remote.name}.{found.name} is a list of other records; it is not read.")
    return found

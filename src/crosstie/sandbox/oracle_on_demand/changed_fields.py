"""Fields that an administrator adds, renames, gives another type or removes, and picklists whose values one changes,
while the company is in use.

Source: Web Services On Demand Guide, "FieldManagementUpsert" and "PicklistUpsert"; online help, "Changing Picklist
Values": a value can be disabled, so that it can't be chosen any more, while records keep it.
"""

from dataclasses import replace

import msgspec

from crosstie.sandbox.control import ControlRefused, SetField, SetValues
from crosstie.sandbox.database import Database
from crosstie.sandbox.oracle_on_demand import schema
from crosstie.sandbox.oracle_on_demand.definitions import Field, FieldType, Object, Value
from crosstie.sandbox.oracle_on_demand.objects import OBJECTS

_ADDED, _CHANGED, _PICKLISTS = "added_fields", "changed_fields", "picklists"


class AddedField(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A custom field that a test added to `object`."""

    object: str
    tag: str
    label: str
    generic: str
    type: FieldType = FieldType.TEXT
    length: int = 40
    required: bool = False
    picklist: list[str] = []


class ChangedFields:
    """What became of the company's fields, kept over restarts. Fields are named by their first tags."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def objects(self) -> dict[str, Object]:
        """Every object as it is now, by name."""
        changed = msgspec.convert(self._database.setting(_CHANGED, {}), dict[str, SetField])
        found = {}
        for name, record in self._listed().items():
            now = [_as_given(one, changed.get(f"{name}.{tag}")) for tag, one in record.fields.items()]
            found[name] = replace(record, fields={one.tag: one for one in now if one is not None})
        return found

    def add(self, added: AddedField) -> None:
        """Adds a custom field at the end of an object; rows have no value in it. Raises ControlRefused."""
        record = self.objects().get(added.object)
        if record is None or added.tag in record.fields:
            raise ControlRefused(
                f"The field {added.object}.{added.tag} can't be added: no such object, or it is there."
            )
        with self._database.writing() as connection:
            schema.add_column(connection, record, added.tag)
            known = self._database.setting(_ADDED, [])
            self._database.keep_setting(_ADDED, [*known, msgspec.to_builtins(added)])

    def set_field(self, given: SetField) -> None:
        """Renames, retypes or deletes a custom field that an object was made with; its values stay. Raises
        ControlRefused for another field, and for a type that there is not."""
        name = f"{given.object}.{given.field}"
        field = OBJECTS[given.object].fields.get(given.field) if given.object in OBJECTS else None
        if field is None or not field.custom:
            raise ControlRefused(f"{name} is no custom field.")
        if given.type and given.type not in list(FieldType):
            raise ControlRefused(f"{given.type} is no type of field.")
        known = self._database.setting(_CHANGED, {})
        before = msgspec.convert(known[name], SetField) if name in known else None
        with self._database.writing() as connection:
            old, new = (before.name if before else "") or given.field, given.name or given.field
            if old != new:
                schema.rename_column(connection, OBJECTS[given.object], old, new)
            self._database.keep_setting(_CHANGED, {**known, name: msgspec.to_builtins(given)})

    def set_values(self, given: SetValues) -> None:
        """Sets the values of a picklist. Raises ControlRefused for what is none, and for what no value here has."""
        name = f"{given.object}.{given.field}"
        record = self._listed().get(given.object)
        field = record.fields.get(given.field) if record is not None else None
        if field is None or not field.is_picklist:
            raise ControlRefused(f"{name} is no picklist.")
        if given.controller or any(one.default or one.labels or one.valid_for for one in given.values):
            raise ControlRefused("Values here have one label, none is the default, and they depend on nothing.")
        kept = [[one.value, one.label or one.value, not one.active] for one in given.values]
        self._database.keep_setting(_PICKLISTS, {**self._database.setting(_PICKLISTS, {}), name: kept})

    def _listed(self) -> dict[str, Object]:
        """Every object by first tags, with the fields that were added and the picklists that were changed."""
        added = [msgspec.convert(one, AddedField) for one in self._database.setting(_ADDED, [])]
        lists = self._database.setting(_PICKLISTS, {})
        found = {}
        for name, record in OBJECTS.items():
            made = record.fields | {one.tag: _made(one, record) for one in added if one.object == name}
            fields = {tag: _with_values(one, lists.get(f"{name}.{tag}")) for tag, one in made.items()}
            found[name] = replace(record, fields=fields)
        return found


def _as_given(field: Field, given: SetField | None) -> Field | None:
    if given is None:
        return field
    if given.gone:
        return None
    name = given.name or field.tag
    return replace(
        field,
        tag=name,
        v1_tag=field.v1_tag and name,
        type=FieldType(given.type) if given.type else field.type,
        length=given.length or field.length,
    )


def _with_values(field: Field, kept: list[tuple[str, str, bool]] | None) -> Field:
    if kept is None:
        return field
    return replace(field, picklist=tuple(Value(code=code, label=label, disabled=off) for code, label, off in kept))


def _made(added: AddedField, record: Object) -> Field:
    return Field(
        tag=added.tag,
        v1_tag=added.tag if "v1" in record.versions else None,
        label=added.label,
        type=added.type,
        length=added.length,
        required=added.required,
        picklist=tuple(Value(code=one, label=one) for one in added.picklist),
        custom=True,
        generic=added.generic,
    )

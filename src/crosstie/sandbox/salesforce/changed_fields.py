"""Fields that an administrator renames, gives another type or deletes while the org is in use.

Source: Salesforce help, "Change the Custom Field Type" (values are converted where they can be, the label stays when
the API name is changed) and "Delete Fields".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from crosstie.sandbox.control import ControlRefused, SetField
from crosstie.sandbox.database import Database
from crosstie.sandbox.salesforce.describes import Described
from crosstie.sandbox.salesforce.field_types import field
from crosstie.sandbox.salesforce.schema import COLUMN_TYPES, quoted


class ChangedFields:
    """What became of fields, by their first full names (`Contact.Score__c`), kept over restarts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        kept = database.setting("changed_fields", {})
        self._changed: Mapping[str, SetField] = msgspec.convert(kept, dict[str, SetField])

    def change(self, made: Sequence[Described], given: SetField) -> None:
        """Changes one field, and the column that holds its values. Raises ControlRefused for what is no custom field of
        simple type."""
        entry = next((one for one in made if one["name"] == given.object), None)
        first = (
            next((one for one in entry["fields"] if one["name"] == given.field), None) if entry is not None else None
        )
        if first is None or not first["custom"] or first["type"] in ("reference", "address", "location", "base64"):
            raise ControlRefused(f"{given.object}.{given.field} is no custom field that can be changed")
        name = f"{given.object}.{given.field}"
        before = _described(first, self._changed.get(name))
        after = _described(first, given)
        self._changed = {**self._changed, name: given}
        self._database.keep_setting("changed_fields", msgspec.to_builtins(self._changed))
        self._move(given.object, before or first, after or before or first)

    def of(self, made: Sequence[Described]) -> list[Described]:
        """The descriptions as they are now."""
        found = []
        for entry in made:
            shown = [_described(one, self._changed.get(f"{entry['name']}.{one['name']}")) for one in entry["fields"]]
            found.append({**entry, "fields": [one for one in shown if one is not None]})
        return found

    def _move(self, table: str, before: Described, after: Described) -> None:
        """Gives the column the name and the type of the field. A value that does not fit the type is gone."""
        kind, old, new = COLUMN_TYPES.get(after["type"], "TEXT"), before["name"], after["name"]
        with self._database.writing() as connection:
            declared = {row[1]: row[2] for row in connection.execute(f"PRAGMA table_info({quoted(table)})")}
            if declared[old] != kind:
                connection.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN converted {kind}")
                connection.execute(f"UPDATE {quoted(table)} SET converted = CAST({quoted(old)} AS {kind})")
                connection.execute(f"ALTER TABLE {quoted(table)} DROP COLUMN {quoted(old)}")
                old = "converted"
            if old != new:
                connection.execute(f"ALTER TABLE {quoted(table)} RENAME COLUMN {quoted(old)} TO {quoted(new)}")


def _described(first: Described, changed: SetField | None) -> Described | None:
    if changed is None:
        return first
    if changed.gone:
        return None
    found: dict[str, Any] = first
    if changed.type and changed.type != first["type"]:
        found = field(first["name"], changed.type, first["label"], length=changed.length)
    elif changed.length:
        found = {**first, "length": changed.length, "byteLength": changed.length * 3}
    return {**found, "name": changed.name or first["name"]}

"""Choices whose values, and columns that, an administrator changes while the organization is in use.

Source: Dataverse Web API guide, "Create and update choices": a value that was deleted is gone from the metadata and
can't be written any more, while rows keep it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from crosstie.sandbox.control import ControlRefused, SetField, SetValues
from crosstie.sandbox.database import Database
from crosstie.sandbox.dynamics.table import Attribute, AttributeType, Option, Table
from crosstie.sandbox.dynamics.tables import TABLES

_KINDS = (AttributeType.PICKLIST, AttributeType.MULTI_SELECT)


class Choices:
    """The columns (`contact.new_interests`) whose values are others than the organization was made with, kept over
    restarts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = {name: _options(kept) for name, kept in database.setting("choices", {}).items()}
        kept_columns = database.setting("changed_columns", {})
        self._columns: Mapping[str, SetField] = msgspec.convert(kept_columns, dict[str, SetField])
        self._tables: dict[str, Table] = {}

    @property
    def changed(self) -> Mapping[str, tuple[Option, ...]]:
        """Their values."""
        return self._changed

    def change(self, given: SetValues) -> None:
        """Sets the values of a column's own choice. Raises ControlRefused for what has none."""
        table = TABLES.get(given.object)
        attribute = table.attributes.get(given.field) if table is not None else None
        if attribute is None or attribute.type not in _KINDS or attribute.option_set is not None:
            raise ControlRefused(f"{given.object}.{given.field} is no column with a choice of its own")
        if given.controller or not all(one.value.isdecimal() and one.active for one in given.values):
            raise ControlRefused("the values of a choice are numbers; they are active, and depend on nothing")
        kept = [[int(one.value), one.label or one.value, list(one.labels.items())] for one in given.values]
        name = f"{given.object}.{given.field}"
        self._database.keep_setting("choices", {**self._database.setting("choices", {}), name: kept})
        self._changed = {**self._changed, name: _options(kept)}
        self._tables = {}

    def change_column(self, given: SetField) -> None:
        """Sets what the metadata says of a custom column; rows are served as before. Raises ControlRefused for another
        column, and for a type that there is not."""
        table = TABLES.get(given.object)
        attribute = table.attributes.get(given.field) if table is not None else None
        if attribute is None or not attribute.custom or attribute.is_lookup:
            raise ControlRefused(f"{given.object}.{given.field} is no custom column that can be changed")
        if given.type and given.type not in list(AttributeType):
            raise ControlRefused(f"{given.type} is no type of column")
        self._columns = {**self._columns, f"{given.object}.{given.field}": given}
        self._database.keep_setting("changed_columns", msgspec.to_builtins(self._columns))
        self._tables = {}

    def of(self, table: Table) -> Table:
        """The table with the columns, and the values of choices, that the metadata tells of now."""
        name = table.logical_name
        if name in self._tables:
            return self._tables[name]
        if not any(one.startswith(f"{name}.") for one in (*self._changed, *self._columns)):
            return table
        found = {}
        for one, attribute in table.attributes.items():
            listed = replace(attribute, options=self._changed.get(f"{name}.{one}", attribute.options))
            column = _column(listed, self._columns.get(f"{name}.{one}"))
            if column is not None:
                found[column.logical_name] = column
        self._tables[name] = replace(table, attributes=found)
        return self._tables[name]


def _column(attribute: Attribute, changed: SetField | None) -> Attribute | None:
    if changed is None:
        return attribute
    if changed.gone:
        return None
    name = changed.name or attribute.logical_name
    found = replace(attribute, logical_name=name, schema_name=attribute.schema_name if not changed.name else name)
    if changed.type:
        found = replace(found, type=AttributeType(changed.type), max_length=changed.length or None)
    return replace(found, max_length=changed.length) if changed.length else found


def _options(kept: list[Any]) -> tuple[Option, ...]:
    return tuple(
        Option(value, label, other_labels=tuple((int(language), text) for language, text in others))
        for value, label, others in kept
    )

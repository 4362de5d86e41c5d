"""Choices whose values an administrator changes while the organization is in use.

Source: Dataverse Web API guide, "Create and update choices": a value that was deleted is gone from the metadata and
can't be written any more, while rows keep it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crosstie.sandbox.control import ControlRefused, SetValues
from crosstie.sandbox.database import Database
from crosstie.sandbox.dynamics.table import AttributeType, Option, Table
from crosstie.sandbox.dynamics.tables import TABLES

_KINDS = (AttributeType.PICKLIST, AttributeType.MULTI_SELECT)


class Choices:
    """The columns (`contact.new_interests`) whose values are others than the organization was made with, kept over
    restarts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = {name: _options(kept) for name, kept in database.setting("choices", {}).items()}

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

    def of(self, table: Table) -> Table:
        """The table with the values that its choices have now."""
        name = table.logical_name
        found = {
            one: replace(attribute, options=self._changed[f"{name}.{one}"])
            for one, attribute in table.attributes.items()
            if f"{name}.{one}" in self._changed
        }
        return replace(table, attributes={**table.attributes, **found}) if found else table


def _options(kept: list[Any]) -> tuple[Option, ...]:
    return tuple(
        Option(value, label, other_labels=tuple((int(language), text) for language, text in others))
        for value, label, others in kept
    )

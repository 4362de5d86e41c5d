"""Rules that a customer of Dynamics set: what counts as a duplicate, and what plug-ins refuse."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from crosstie.sandbox.database import Database
from crosstie.sandbox.dynamics.errors import ApiError
from crosstie.sandbox.dynamics.table import Table
from crosstie.sandbox.fragments import quoted


class DuplicateRule(msgspec.Struct, forbid_unknown_fields=True):
    """Records of a table are duplicates when all these columns are equal, in any case, and none is empty."""

    table: str
    columns: list[str]


class Plugin(msgspec.Struct, forbid_unknown_fields=True):
    """Refuses to write a value into a column, in the customer's own words."""

    table: str
    column: str
    value: str
    message: str = "Not on a Friday."
    code: str = "0x80040265"


class Rules:
    """The rules in force, kept over restarts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._duplicates = msgspec.convert(database.setting("duplicate_rules", []), list[DuplicateRule])
        self._plugins = msgspec.convert(database.setting("plugins", []), list[Plugin])

    def set_duplicates(self, rules: list[DuplicateRule]) -> None:
        """Every rule about duplicates from now on."""
        self._database.keep_setting("duplicate_rules", msgspec.to_builtins(rules))
        self._duplicates = rules

    def set_plugins(self, plugins: list[Plugin]) -> None:
        """Every plug-in from now on."""
        self._database.keep_setting("plugins", msgspec.to_builtins(plugins))
        self._plugins = plugins

    def check_plugins(self, table: Table, given: Mapping[str, Any]) -> None:
        """Raises ApiError when a plug-in refuses a value."""
        for plugin in self._plugins:
            if plugin.table == table.logical_name and str(given.get(plugin.column)) == plugin.value:
                raise ApiError(400, plugin.code, plugin.message)

    def check_duplicates(
        self, connection: sqlite3.Connection, table: Table, record_id: str, values: Mapping[str, Any]
    ) -> None:
        """Raises ApiError when another record is a duplicate of this one."""
        for rule in self._duplicates:
            compared = [values.get(column) for column in rule.columns]
            if rule.table != table.logical_name or None in compared:
                continue
            conditions = " AND ".join(f"{quoted(column)} = ? COLLATE NOCASE" for column in rule.columns)
            found = connection.execute(
                f"SELECT 1 FROM {quoted(table.logical_name)} WHERE {conditions} AND {quoted(table.primary_id)} <> ?",
                (*compared, record_id),
            ).fetchone()
            if found:
                raise ApiError(
                    412,
                    "0x80040333",
                    "A record was not created or updated because a duplicate of the current record already exists.",
                )

"""How rows appear: with a version of the moment when they do.

A late write's modifiedon is that of the write; its version is of the moment when it becomes visible, as change
tracking never runs ahead of open transactions.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any

from crosstie.sandbox.dynamics.table import Table
from crosstie.sandbox.dynamics.tables import TABLES
from crosstie.sandbox.fragments import quoted


def apply_late_write(connection: sqlite3.Connection, name: str, record_id: str, columns: Mapping[str, Any]) -> None:
    """Writes columns of a record of the table `name`."""
    apply_columns(connection, TABLES[name], record_id, columns)


def next_version(connection: sqlite3.Connection) -> int:
    """The next row version; they grow across all tables, in the order of commits."""
    version: int = connection.execute("UPDATE sandbox_version SET last = last + 1 RETURNING last").fetchone()[0]
    return version


def apply_columns(connection: sqlite3.Connection, table: Table, record_id: str, columns: Mapping[str, Any]) -> None:
    """Writes columns of one record, which is made when it is not there, with a new version."""
    versioned = {**columns}
    if "versionnumber" in table.attributes:
        versioned["versionnumber"] = next_version(connection)
    name, key = quoted(table.logical_name), quoted(table.primary_id)
    if connection.execute(f"SELECT 1 FROM {name} WHERE {key} = ?", (record_id,)).fetchone():
        assignments = ", ".join(f"{quoted(column)} = ?" for column in versioned)
        connection.execute(f"UPDATE {name} SET {assignments} WHERE {key} = ?", (*versioned.values(), record_id))
        return
    names = ", ".join((key, *(quoted(column) for column in versioned)))
    marks = ", ".join("?" * (len(versioned) + 1))
    connection.execute(f"INSERT INTO {name} ({names}) VALUES ({marks})", (record_id, *versioned.values()))

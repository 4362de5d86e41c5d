"""Writes that commit now and become visible later, as long transactions do on the real service.

Their modifiedon is that of the write; their version is of the moment when they appear, as change tracking never runs
ahead of open transactions. Until then the work is kept aside, so that no reader can see it by any road.
"""

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from crosstie.sandbox.database import Database
from crosstie.sandbox.dynamics.table import Table
from crosstie.sandbox.dynamics.tables import TABLES
from crosstie.sandbox.fragments import quoted


def keep_late_write(
    connection: sqlite3.Connection, table: Table, record_id: str, columns: Mapping[str, Any], visible_at: datetime
) -> None:
    """Keeps aside what `apply_columns` will write once `visible_at` has come."""
    connection.execute(
        "INSERT INTO sandbox_late_write (entity, id, visible_at, work) VALUES (?, ?, ?, ?)",
        (table.logical_name, record_id, visible_at.timestamp(), json.dumps(dict(columns))),
    )


def settle_late_writes(database: Database, now: datetime) -> None:
    """Makes visible what is due."""
    due = "SELECT number, entity, id, work FROM sandbox_late_write WHERE visible_at <= ? ORDER BY number"
    with database.reading() as connection:
        if not connection.execute(due + " LIMIT 1", (now.timestamp(),)).fetchone():
            return
    with database.writing() as connection:
        for number, name, record_id, work in connection.execute(due, (now.timestamp(),)).fetchall():
            apply_columns(connection, TABLES[name], record_id, json.loads(work))
            connection.execute("DELETE FROM sandbox_late_write WHERE number = ?", (number,))


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

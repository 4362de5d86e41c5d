"""Writes that commit now and become visible later, as long transactions do on the real platform.

The stamp of such a row is that of the write; readers see it only when the sandbox clock has passed the delay
(airbyte#27146). Until then the work is kept aside, so that no reader can see it by any road.
"""

import json
import sqlite3
from datetime import datetime
from typing import Any

from crosstie.sandbox.database import Database
from crosstie.sandbox.salesforce.catalog import Catalog, SObject
from crosstie.sandbox.salesforce.schema import quoted


def keep_late_write(
    connection: sqlite3.Connection,
    sobject: SObject,
    record_id: str,
    columns: dict[str, Any],
    *,
    visible_at: datetime,
    holds_back: bool,
) -> None:
    """Keeps aside what `apply_columns` will write once `visible_at` has come."""
    connection.execute(
        "INSERT INTO sandbox_late_write (object, id, stamp, visible_at, holds_back, work) VALUES (?, ?, ?, ?, ?, ?)",
        (sobject.name, record_id, columns["SystemModstamp"], visible_at.timestamp(), holds_back, json.dumps(columns)),
    )


def settle_late_writes(database: Database, catalog: Catalog, now: datetime) -> None:
    """Makes visible what is due."""
    due = "SELECT number, object, id, work FROM sandbox_late_write WHERE visible_at <= ? ORDER BY number"
    with database.reading() as connection:
        if not connection.execute(due + " LIMIT 1", (now.timestamp(),)).fetchone():
            return
    with database.writing() as connection:
        for number, name, record_id, work in connection.execute(due, (now.timestamp(),)).fetchall():
            sobject = catalog.object(name)
            if sobject is not None:
                apply_columns(connection, sobject, record_id, json.loads(work))
            connection.execute("DELETE FROM sandbox_late_write WHERE number = ?", (number,))
        count_change(connection)


def count_change(connection: sqlite3.Connection) -> None:
    """Tells that data changed, so that results rendered before are not served as if they were new."""
    connection.execute("UPDATE sandbox_setting SET value = value + 1 WHERE name = 'data_version'")


def oldest_open_transaction(connection: sqlite3.Connection, sobject: SObject) -> str | None:
    """The stamp of the oldest write of the object that is still invisible and holds latestDateCovered back."""
    row = connection.execute(
        "SELECT min(stamp) FROM sandbox_late_write WHERE holds_back = 1 AND object = ?", (sobject.name,)
    ).fetchone()
    oldest: str | None = row[0]
    return oldest


def apply_columns(connection: sqlite3.Connection, sobject: SObject, record_id: str, columns: dict[str, Any]) -> None:
    """Writes columns of one record, which is made when it is not there; a deletion enters the delete log."""
    if columns.get("IsDeleted") == 1:
        connection.execute(
            "INSERT OR REPLACE INTO sandbox_delete_log VALUES (?, ?, ?)",
            (sobject.name, record_id, columns["SystemModstamp"]),
        )
    table = quoted(sobject.table)
    there = connection.execute(f"SELECT 1 FROM {table} WHERE Id = ?", (record_id,)).fetchone()
    if there:
        assignments = ", ".join(f"{quoted(name)} = ?" for name in columns)
        connection.execute(f"UPDATE {table} SET {assignments} WHERE Id = ?", (*columns.values(), record_id))
        return
    names = ", ".join(quoted(name) for name in ("Id", *columns))
    marks = ", ".join("?" * (len(columns) + 1))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", (record_id, *columns.values()))

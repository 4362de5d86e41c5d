"""Writes that commit now and become visible later, as long transactions do on the real services.

Until then the work is kept aside, so that no reader can see it by any road.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from crosstie.sandbox.database import Database

LATE_WRITES = (
    "CREATE TABLE sandbox_late_write (number INTEGER PRIMARY KEY, entity TEXT NOT NULL, id TEXT NOT NULL,"
    " visible_at REAL NOT NULL, work TEXT NOT NULL)"
)

Apply = Callable[[sqlite3.Connection, str, str, Mapping[str, Any]], None]
"""Writes columns of one record, given the name of its table or object and its id."""


def keep_late_write(
    connection: sqlite3.Connection, entity: str, record_id: str, columns: Mapping[str, Any], visible_at: datetime
) -> None:
    """Keeps aside what will be written once `visible_at` has come."""
    connection.execute(
        "INSERT INTO sandbox_late_write (entity, id, visible_at, work) VALUES (?, ?, ?, ?)",
        (entity, record_id, visible_at.timestamp(), json.dumps(dict(columns))),
    )


def settle_late_writes(database: Database, now: datetime, apply: Apply) -> None:
    """Makes visible what is due, in the order in which it was kept."""
    due = "SELECT number, entity, id, work FROM sandbox_late_write WHERE visible_at <= ? ORDER BY number"
    with database.reading() as connection:
        if not connection.execute(due + " LIMIT 1", (now.timestamp(),)).fetchone():
            return
    with database.writing() as connection:
        for number, entity, record_id, work in connection.execute(due, (now.timestamp(),)).fetchall():
            apply(connection, entity, record_id, json.loads(work))
            connection.execute("DELETE FROM sandbox_late_write WHERE number = ?", (number,))

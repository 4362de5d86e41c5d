"""Rows of the store: ids, writing columns, deleting and bringing back."""

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from crosstie.sandbox.database import Database
from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.oracle_on_demand.objects import DELETED_ITEM, Object
from crosstie.sandbox.oracle_on_demand.values import stamp

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def new_id(connection: sqlite3.Connection) -> str:
    """A row id that nothing else has: those of generated records never begin with Z after the company's prefix."""
    number: int = connection.execute("UPDATE sandbox_row_id SET last = last + 1 RETURNING last").fetchone()[0]
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return f"AAPA-Z{digits:0>5}"


def find_row(connection: sqlite3.Connection, table: str, record_id: str) -> dict[str, Any] | None:
    """A row by its id, with all its columns."""
    cursor = connection.execute(f"SELECT * FROM {quoted(table)} WHERE Id = ?", (record_id,))
    row = cursor.fetchone()
    return None if row is None else {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def apply_columns(connection: sqlite3.Connection, record: Object, record_id: str, columns: Mapping[str, Any]) -> None:
    """Writes columns of one record with the next ModId; the record is made when it is not there."""
    write_row(connection, record.table, record_id, columns)
    connection.execute(f"UPDATE {quoted(record.table)} SET ModId = coalesce(ModId + 1, 0) WHERE Id = ?", (record_id,))


def write_row(connection: sqlite3.Connection, table: str, record_id: str, columns: Mapping[str, Any]) -> None:
    """Writes columns of one row, which is made when it is not there."""
    if connection.execute(f"SELECT 1 FROM {quoted(table)} WHERE Id = ?", (record_id,)).fetchone():
        if columns:
            assignments = ", ".join(f"{quoted(column)} = ?" for column in columns)
            connection.execute(f"UPDATE {quoted(table)} SET {assignments} WHERE Id = ?", (*columns.values(), record_id))
        return
    given = {"Id": record_id} | dict(columns)
    names, marks = ", ".join(quoted(column) for column in given), ", ".join("?" * len(given))
    connection.execute(f"INSERT INTO {quoted(table)} ({names}) VALUES ({marks})", tuple(given.values()))


def bury(
    connection: sqlite3.Connection, record: Object, row: Mapping[str, Any], at: str, user: tuple[str, str]
) -> None:
    """Moves a row to the deleted items, in the name of a user (id and name)."""
    children = {child.tag: _children(connection, record.child_table(child), row["Id"]) for child in record.children}
    item = {
        "DeletedById": user[0],
        "DeletedBy": user[1],
        "DeletedDate": at,
        "Name": row.get(record.name_tag),
        "ObjectId": row["Id"],
        "Type": record.deleted_type or record.name,
        "ExternalSystemId": row.get("ExternalSystemId"),
        "object": record.name,
        "work": json.dumps({"row": dict(row), "children": children}),
    }
    if record.name == "Activity" and row.get("Activity") == "Appointment":
        item["Type"] = "Action***Appointment"
    write_row(connection, DELETED_ITEM.table, new_id(connection), item)
    connection.execute(f"DELETE FROM {quoted(record.table)} WHERE Id = ?", (row["Id"],))
    for child in record.children:
        connection.execute(f"DELETE FROM {quoted(record.child_table(child))} WHERE ParentId = ?", (row["Id"],))


def dig_up(connection: sqlite3.Connection, record: Object, record_id: str) -> bool:
    """Brings a deleted record back under its id; whether it was there."""
    table = quoted(DELETED_ITEM.table)
    row = connection.execute(
        f"SELECT Id, work FROM {table} WHERE ObjectId = ? AND object = ?", (record_id, record.name)
    ).fetchone()
    if row is None:
        return False
    connection.execute(f"DELETE FROM {table} WHERE Id = ?", (row[0],))
    kept = json.loads(row[1])
    write_row(connection, record.table, record_id, kept["row"])
    for child in record.children:
        for one in kept["children"][child.tag]:
            write_row(connection, record.child_table(child), one["Id"], one)
    return True


def purge_deleted(database: Database, now: datetime, days: int) -> None:
    """Forgets what was deleted so many days ago."""
    before = (stamp(now - timedelta(days=days)),)
    table = quoted(DELETED_ITEM.table)
    with database.reading() as connection:
        if not connection.execute(f"SELECT 1 FROM {table} WHERE DeletedDate < ? LIMIT 1", before).fetchone():
            return
    with database.writing() as connection:
        connection.execute(f"DELETE FROM {table} WHERE DeletedDate < ?", before)


def _children(connection: sqlite3.Connection, table: str, parent_id: str) -> list[dict[str, Any]]:
    cursor = connection.execute(f"SELECT * FROM {quoted(table)} WHERE ParentId = ?", (parent_id,))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]

"""Conditional headers.

Source: Dataverse Web API guide, "Perform conditional operations". Microsoft's own samples send the literal
`If-None-Match: null`, which means nothing.
"""

import re
import sqlite3

from crosstie.sandbox.dynamics.errors import ApiError
from crosstie.sandbox.dynamics.org import Call
from crosstie.sandbox.dynamics.table import Table
from crosstie.sandbox.fragments import quoted


def if_match(call: Call) -> str | None:
    """What If-Match says; None when there is none."""
    return call.request.headers.get("if-match") or None


def if_none_match(call: Call) -> str | None:
    """What If-None-Match says; None when there is none."""
    given = call.request.headers.get("if-none-match", "null")
    return None if given in ("null", "") else given


def current_etag(connection: sqlite3.Connection, table: Table, record_id: str) -> str | None:
    """The ETag of a record; None for tables without versions."""
    if "versionnumber" not in table.attributes:
        return None
    row = connection.execute(
        f"SELECT versionnumber FROM {quoted(table.logical_name)} WHERE {quoted(table.primary_id)} = ?", (record_id,)
    ).fetchone()
    return f'W/"{row[0]}"'


def check_version(connection: sqlite3.Connection, table: Table, record_id: str, expected: str | None) -> None:
    """Raises ApiError when If-Match names another version than the record's."""
    if expected is None or expected == "*":
        return
    if not table.optimistic:
        raise ApiError(
            400,
            "0x80060883",
            f"Optimistic concurrency isn't enabled for entity type {table.logical_name}. The IfVersionMatches value of"
            " ConcurrencyBehavior can only be used if optimistic concurrency is enabled.",
        )
    if not re.fullmatch(r'W/"\d+"', expected):
        raise ApiError(400, "0x8006088D", "The RowVersion property must be provided when IfVersionMatches is used.")
    if expected != current_etag(connection, table, record_id):
        raise ApiError(
            412,
            "0x80060882",
            "The version of the existing record doesn't match the RowVersion property provided.",
        )

"""Change tracking: all rows once, then only what changed and what was deleted since.

Source: "Use change tracking to synchronize data with external systems" (Dataverse developer guide). A token is a row
version and the moment it was given at; it runs out after ExpireChangeTrackingInDays of the organization.
"""

import re
import sqlite3
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from crosstie.sandbox.dynamics.errors import ApiError, json_response
from crosstie.sandbox.dynamics.odata.errors import INVALID_ARGUMENT, QueryError
from crosstie.sandbox.dynamics.odata.options import Asked, refuse_with_tracking
from crosstie.sandbox.dynamics.odata.paging import (
    SAFE,
    Cookie,
    after,
    inner_cookie,
    next_link,
    outer_cookie,
    read_cookie,
)
from crosstie.sandbox.dynamics.odata.reading import Reader
from crosstie.sandbox.dynamics.odata.rules import Rules
from crosstie.sandbox.dynamics.odata.syntax import Options, Order
from crosstie.sandbox.dynamics.org import Call, Org
from crosstie.sandbox.dynamics.preferences import MAX_PAGE_SIZE, Preferences
from crosstie.sandbox.dynamics.tables import TABLES, Table
from crosstie.sandbox.http import Response

_TOKEN = re.compile(r"(\d+)!(\d{2}/\d{2}/\d{4} \d{2}:\d{2}:\d{2})")
_MOMENT = "%m/%d/%Y %H:%M:%S"
_DELETED = "deletedversion"
_GONE = "FROM deleted WHERE entity = ? AND version > ? AND version <= ? AND id NOT IN (SELECT {primary} FROM {table})"


@dataclass(frozen=True, slots=True)
class Span:
    """The versions of a read: those after the first, up to the last."""

    start: int
    end: int


def collection(org: Org, call: Call, table: Table, asked: Asked, wanted: Preferences) -> Response:
    """Answers a request with `Prefer: odata.track-changes`, or with a delta token."""
    refuse_with_tracking(call.request.query)
    _require_tracking(table)
    options = Options(select=asked.options.select)
    with org.read() as connection:
        rules = Rules(now=org.clock.now(), user_id=call.user.id, hidden=org.hidden)
        reader = Reader(connection=connection, tables=TABLES, rules=rules, wanted=wanted, base=call.base)
        cookie = read_cookie(asked.skip_token) if asked.skip_token is not None else None
        end = cookie.tracked if cookie is not None and cookie.tracked is not None else org.last_version(connection)
        if asked.delta_token is None:
            body = _everything(reader, table, options, cookie, end)
        else:
            start = token_version(org, connection, asked.delta_token)
            body = _changes(reader, table, options, cookie, Span(start, end))
    return json_response(_linked(org, call, table, asked, body, end), headers=wanted.applied)


def _linked(org: Org, call: Call, table: Table, asked: Asked, body: dict[str, Any], end: int) -> dict[str, Any]:
    """The answer around the rows: its context, and the link to the next page or, on the last, to later changes."""
    listed = f"({','.join(asked.options.select)})" if asked.options.select else ""
    around: dict[str, Any] = {"@odata.context": f"{call.base}/$metadata#{table.set_name}{listed}/$delta"}
    address = f"{call.base}/{table.set_name}"
    if body["cookie"] is not None:
        around["@odata.nextLink"] = next_link(address, call.request.query, body["cookie"])
    else:
        token = f"{end}!{org.clock.now().astimezone(UTC).strftime(_MOMENT)}"
        encoded = re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quote(token, safe=""))
        selected = f"$select={quote(call.request.query['$select'], safe=SAFE)}&" if asked.options.select else ""
        around["@odata.deltaLink"] = f"{address}?{selected}$deltatoken={encoded.replace('!', '%21')}"
    return {**around, "value": body["value"]}


def _everything(reader: Reader, table: Table, options: Options, cookie: Cookie | None, end: int) -> dict[str, Any]:
    size = reader.wanted.page_size or MAX_PAGE_SIZE
    query = reader.query(table, options)
    start = after(query.keys, cookie.last, reader.rules) if cookie and cookie.last is not None else None
    found = reader.page(query, size + 1, after=start)
    if len(found.records) <= size:
        return {"value": found.records, "cookie": None}
    number = cookie.page if cookie else 1
    inner = inner_cookie(number, query.keys, found.key(0), found.key(size - 1))
    return {"value": found.records[:size], "cookie": outer_cookie(number + 1, inner, tracked=end)}


def _changes(reader: Reader, table: Table, options: Options, cookie: Cookie | None, span: Span) -> dict[str, Any]:
    """New and changed rows by version, then deletions by version."""
    size = reader.wanted.page_size or MAX_PAGE_SIZE
    last = cookie.last if cookie and cookie.last is not None else {}
    number = cookie.page if cookie else 1
    value: list[Any] = []
    if _DELETED not in last:
        tie = f"t0.versionnumber > {span.start} AND t0.versionnumber <= {span.end}"
        query = reader.query(table, replace(options, order=(Order(("versionnumber",)),)), tie=tie)
        found = reader.page(query, size + 1, after=after(query.keys, last, reader.rules) if last else None)
        if len(found.records) > size:
            inner = inner_cookie(number, query.keys, found.key(0), found.key(size - 1))
            return {"value": found.records[:size], "cookie": outer_cookie(number + 1, inner, tracked=span.end)}
        value += found.records
    left = size - len(value)
    begin = max(span.start, int(last.get(_DELETED) or 0))
    sql = f"SELECT id, version {_gone(table)} ORDER BY version LIMIT {left + 1}"
    rows = reader.connection.execute(sql, (table.logical_name, begin, span.end)).fetchall()
    context = f"{reader.base}/$metadata#{table.set_name}/$deletedEntity"
    value += [{"@odata.context": context, "id": row[0], "reason": "deleted"} for row in rows[:left]]
    if len(rows) <= left:
        return {"value": value, "cookie": None}
    reached = rows[left - 1][1] if left else begin
    inner = f'<cookie page="{number}"><{_DELETED} last="{reached}" first="{begin}" /></cookie>'
    return {"value": value, "cookie": outer_cookie(number + 1, inner, tracked=span.end)}


def _gone(table: Table) -> str:
    return _GONE.format(primary=table.primary_id, table=table.logical_name)


def count(org: Org, connection: sqlite3.Connection, table: Table, token: str) -> int:
    """How many rows changed and went since a token."""
    _require_tracking(table)
    span = Span(token_version(org, connection, token), org.last_version(connection))
    changed = f"SELECT COUNT(*) FROM {table.logical_name} WHERE versionnumber > ? AND versionnumber <= ?"
    (rows,) = connection.execute(changed, (span.start, span.end)).fetchone()
    parameters = (table.logical_name, span.start, span.end)
    (deleted,) = connection.execute(f"SELECT COUNT(*) {_gone(table)}", parameters).fetchone()
    return int(rows) + int(deleted)


def token_version(org: Org, connection: sqlite3.Connection, token: str) -> int:
    """The version in a delta token. Raises ApiError for one that has run out, or that is none of this organization."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise QueryError(f"The delta token '{token}' is not valid.", code=INVALID_ARGUMENT)
    given = datetime.strptime(match[2], _MOMENT).replace(tzinfo=UTC)
    (days,) = connection.execute("SELECT expirechangetrackingindays FROM organization").fetchone()
    version = int(match[1])
    if org.clock.now() - given > timedelta(days=days) or version > org.last_version(connection):
        raise ApiError(
            org.switches.tracking_expired_status,
            "0x80044352",
            "Version stamp associated with the client has expired. Please perform a full sync.",
        )
    return version


def _require_tracking(table: Table) -> None:
    if not table.change_tracking:
        raise QueryError(f"Change tracking is not enabled for the entity '{table.logical_name}'.", code="0x80060888")

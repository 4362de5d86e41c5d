"""Collections over HTTP: `GET accounts?$select=…`, `/$count`, and the records behind a record.

Source: Dataverse Web API guide, "Query data using the Web API", "Page results", "Count number of rows".
"""

from typing import Any

from crosstie.sandbox.dynamics import change_tracking
from crosstie.sandbox.dynamics.errors import ApiError, json_response, no_record, no_segment
from crosstie.sandbox.dynamics.fetchxml import fetched
from crosstie.sandbox.dynamics.odata.options import Asked, read_options
from crosstie.sandbox.dynamics.odata.paging import after, inner_cookie, next_link, outer_cookie, read_cookie
from crosstie.sandbox.dynamics.odata.reading import MAX_COUNT, Query, Reader
from crosstie.sandbox.dynamics.odata.rules import Rules
from crosstie.sandbox.dynamics.odata.scope import collection
from crosstie.sandbox.dynamics.odata.syntax import Options
from crosstie.sandbox.dynamics.org import Call, Org
from crosstie.sandbox.dynamics.preferences import MAX_PAGE_SIZE, TOTAL, TOTAL_EXCEEDED, Preferences, read_preferences
from crosstie.sandbox.dynamics.sql_query import select
from crosstie.sandbox.dynamics.tables import TABLES, Table, table_of_set
from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.http import Response

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Queries:
    """Answers queries of one organization."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def collection(self, call: Call) -> Response:
        """GET {set}, by whichever query language its options name."""
        table = _table(call)
        query = call.request.query
        if "fetchXml" in query:
            with self._org.read() as connection:
                reader = self._reader(connection, call, read_preferences(call.preferences))
                return fetched(reader, table, query["fetchXml"])
        if "sql" in query:
            return select(self._org, call, table)
        for name in ("savedQuery", "userQuery"):
            if name in query:
                raise ApiError(404, "0x80040217", f"{name} With Id = {query[name]} Does Not Exist")
        wanted = read_preferences(call.preferences)
        asked = read_options(query)
        if wanted.track_changes or asked.tracked:
            return change_tracking.collection(self._org, call, table, asked, wanted)
        return self._page(call, table, asked, wanted, f"{call.base}/{table.set_name}")

    def related(self, call: Call) -> Response:
        """GET {set}({id})/{collection}: the records behind a record."""
        table = _table(call)
        parent, name = call.args["id"].lower(), call.args["navigation"]
        behind = collection(TABLES, table, name)
        if behind is None:
            raise no_segment(name)
        with self._org.read() as connection:
            sql = f"SELECT 1 FROM {quoted(table.logical_name)} WHERE {quoted(table.primary_id)} = ?"
            if connection.execute(sql, (parent,)).fetchone() is None:
                raise no_record(table.logical_name, parent)
        tie = f"t0.{quoted(behind.lookup.logical_name)} = '{parent}'"
        wanted = read_preferences(call.preferences)
        asked = read_options(call.request.query)
        address = f"{call.base}/{table.set_name}({parent})/{name}"
        return self._page(call, behind.table, asked, wanted, address, tie=tie)

    def count(self, call: Call) -> Response:
        """GET {set}/$count: a number in plain text, capped like every count."""
        table = _table(call)
        asked = read_options(call.request.query)
        with self._org.read() as connection:
            reader = self._reader(connection, call, Preferences())
            if asked.delta_token is not None:
                number = change_tracking.count(self._org, connection, table, asked.delta_token)
            else:
                number = reader.count(reader.query(table, asked.options))
        text = str(min(number, MAX_COUNT)).encode()
        mark = BYTE_ORDER_MARK if self._org.switches.count_mark else b""
        return Response(headers={"Content-Type": "text/plain", "OData-Version": "4.0"}, parts=(mark + text,))

    def total_counts(self, call: Call) -> Response:
        """GET RetrieveTotalRecordCount(EntityNames=['account']): how many rows tables have, without a cap."""
        names = [name.strip().strip("'\"") for name in call.args["names"].strip("[]").split(",")]
        counts = []
        with self._org.read() as connection:
            for name in names:
                if name not in TABLES:
                    raise ApiError(400, "0x80041102", f"The entity with a name = '{name}' was not found.")
                (number,) = connection.execute(f"SELECT COUNT(*) FROM {quoted(name)}").fetchone()
                counts.append(number)
        kind = "Microsoft.Dynamics.CRM"
        body = {
            "@odata.context": f"{call.base}/$metadata#{kind}.RetrieveTotalRecordCountResponse",
            "EntityRecordCountCollection": {"Count": len(names), "IsReadOnly": False, "Keys": names, "Values": counts},
        }
        return json_response(body)

    def _page(
        self, call: Call, table: Table, asked: Asked, wanted: Preferences, address: str, *, tie: str = ""
    ) -> Response:
        with self._org.read() as connection:
            reader = self._reader(connection, call, wanted)
            query = reader.query(table, asked.options, tie=tie)
            body: dict[str, Any] = {"@odata.context": f"{call.base}/$metadata#{context(table, asked.options)}"}
            if asked.options.count or wanted.wants(TOTAL):
                body |= _totals(reader.count(query) if asked.options.count else None, wanted)
            records, cookie = _one_page(reader, query, asked, wanted)
        body["value"] = records
        if cookie is not None:
            body["@odata.nextLink"] = next_link(address, call.request.query, cookie)
        return json_response(body, headers=wanted.applied)

    def _reader(self, connection: Any, call: Call, wanted: Preferences) -> Reader:
        return Reader(connection=connection, tables=TABLES, rules=rules(self._org, call), wanted=wanted, base=call.base)


def rules(org: Org, call: Call) -> Rules:
    """The rules of a query of this call."""
    return Rules(
        now=org.clock.now(),
        user_id=call.user.id,
        hidden=org.hidden,
        choices=org.choices.changed,
        ne_includes_nulls=org.switches.ne_includes_nulls,
        wildcards=org.switches.like_wildcards,
        accents=org.switches.accents_differ,
    )


def _table(call: Call) -> Table:
    table = table_of_set(call.args["set"])
    if table is None:
        raise no_segment(call.args["set"])
    return table


def _one_page(
    reader: Reader, query: Query, asked: Asked, wanted: Preferences
) -> tuple[list[dict[str, Any]], str | None]:
    """The records of a page, and the cookie of the next one."""
    top = asked.options.top
    if top is not None and wanted.page_size is None:
        return reader.page(query, min(top, MAX_PAGE_SIZE)).records, None
    size = wanted.page_size or MAX_PAGE_SIZE
    cookie = read_cookie(asked.skip_token) if asked.skip_token is not None else None
    number = cookie.page if cookie else 1
    start = after(query.keys, cookie.last, reader.rules) if cookie and cookie.last is not None else None
    offset = (number - 1) * size if cookie and cookie.last is None else 0
    found = reader.page(query, size + 1, after=start, offset=offset)
    if len(found.records) <= size:
        return found.records, None
    if query.joined_order:
        return found.records[:size], outer_cookie(number + 1, "")
    return found.records[:size], outer_cookie(
        number + 1, inner_cookie(number, query.keys, found.key(0), found.key(size - 1))
    )


def _totals(counted: int | None, wanted: Preferences) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if wanted.wants(TOTAL):
        found[f"@{TOTAL}"] = -1 if counted is None else min(counted, MAX_COUNT)
    if wanted.wants(TOTAL_EXCEEDED):
        found[f"@{TOTAL_EXCEEDED}"] = (counted or 0) > MAX_COUNT
    if counted is not None:
        found["@odata.count"] = min(counted, MAX_COUNT)
    return found


def context(table: Table, options: Options) -> str:
    """What the context URL says after `#`: the set, and the columns and expanded properties that were asked for."""
    listed = list(options.select or ())
    for one in options.expand:
        listed.append(f"{one.name}({','.join(one.options.select or ())})")
    return table.set_name + (f"({','.join(listed)})" if listed else "")

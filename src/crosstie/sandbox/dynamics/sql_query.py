"""`sql=`: a SELECT over tables, in the subset of T-SQL that the service takes.

Columns and tables go by their logical names. Subqueries, set operations, HAVING, WITH and `*` are refused.
"""

import re
import sqlite3
from collections.abc import Callable
from typing import Any

import sqlglot
from sqlglot import exp

from crosstie.sandbox.dynamics.errors import ApiError, json_response
from crosstie.sandbox.dynamics.odata.paging import next_link, outer_cookie, read_cookie
from crosstie.sandbox.dynamics.odata.rows import converter
from crosstie.sandbox.dynamics.odata.values import EXACT, TEXTS
from crosstie.sandbox.dynamics.org import Call, Org
from crosstie.sandbox.dynamics.preferences import MAX_PAGE_SIZE, read_preferences
from crosstie.sandbox.dynamics.table import Attribute, AttributeType, Table
from crosstie.sandbox.dynamics.tables import TABLES
from crosstie.sandbox.http import Response

_REFUSED = (exp.Subquery, exp.SetOperation, exp.Having, exp.With, exp.Anonymous, exp.Window)
_JOINS = {"", "INNER", "LEFT"}
_COMPARED = (exp.EQ, exp.NEQ, exp.In)
Convert = Callable[[Any], Any] | None


def select(org: Org, call: Call, table: Table) -> Response:
    """GET {set}?sql={SELECT}."""
    query = call.request.query
    wanted = read_preferences(call.preferences)
    tree = _parsed(query["sql"])
    sources = _sources(tree, table)
    converters = _resolved(tree, sources)
    size = wanted.page_size or MAX_PAGE_SIZE
    cookie = read_cookie(query["$skiptoken"]) if "$skiptoken" in query else None
    start = int((cookie.last or {}).get("rows") or 0) if cookie is not None else 0
    with org.read() as connection:
        names, rows = _rows(connection, tree, size + 1, start)
    body: dict[str, Any] = {"@odata.context": f"{call.base}/$metadata#{table.set_name}"}
    body["value"] = [_record(names, converters, row) for row in rows[:size]]
    if len(rows) > size:
        number = (cookie.page if cookie else 1) + 1
        inner = f'<cookie page="{number - 1}"><rows last="{start + size}" first="{start}" /></cookie>'
        address = f"{call.base}/{table.set_name}"
        body["@odata.nextLink"] = next_link(address, query, outer_cookie(number, inner))
    return json_response(body, headers=wanted.applied)


def _refusal(message: str) -> ApiError:
    return ApiError(400, "0x80060888", message)


def _parsed(text: str) -> exp.Select:
    try:
        tree = sqlglot.parse_one(text, read="tsql")
    except sqlglot.errors.SqlglotError as error:
        raise _refusal(f"The SQL can't be read: {error}") from error
    if not isinstance(tree, exp.Select):
        raise _refusal("Only SELECT statements are supported.")
    found = next(tree.find_all(*_REFUSED), None)
    if found is not None or any(one.is_star for one in tree.expressions):
        raise _refusal(f"{'*' if found is None else found.key.upper()} is not supported in SQL queries.")
    for join in tree.find_all(exp.Join):
        if (join.side or join.kind).upper() not in _JOINS or not join.args.get("on"):
            raise _refusal("Only inner and left joins with a condition are supported.")
    return tree


def _sources(tree: exp.Select, table: Table) -> dict[str, Table]:
    """The tables of a query by the names that columns call them."""
    found: dict[str, Table] = {}
    for one in tree.find_all(exp.Table):
        if one.name.lower() not in TABLES:
            raise _refusal(f"Invalid table name '{one.name}'.")
        found[one.alias_or_name.lower()] = TABLES[one.name.lower()]
    if table not in found.values():
        raise _refusal(f"The query is not about {table.logical_name}.")
    return found


def _resolved(tree: exp.Select, sources: dict[str, Table]) -> list[Convert]:
    """Lets every column be the database's; returns how the values of the selected ones become JSON."""
    attributes = {}
    aliases = {one.alias.lower() for one in tree.expressions if isinstance(one, exp.Alias)}
    for column in list(tree.find_all(exp.Column)):
        if not column.table and column.name.lower() in aliases and column.find_ancestor(exp.Order):
            continue
        attributes[id(column)] = _attribute(column, sources)
        column.this.set("this", column.name.lower())
    converters = [_convert(one, attributes) for one in tree.expressions]
    for column in list(tree.find_all(exp.Column)):
        attribute = attributes.get(id(column))
        if attribute is None or (
            isinstance(column.parent, (exp.Select, exp.Alias)) and column.find_ancestor(exp.Where) is None
        ):
            continue
        if attribute.type in EXACT:
            column.replace(exp.cast(column.copy(), "REAL"))
        elif attribute.type in TEXTS and isinstance(column.parent, (*_COMPARED, exp.Ordered)):
            column.replace(exp.Collate(this=column.copy(), expression=exp.to_identifier("NOCASE")))
    return converters


def _attribute(column: exp.Column, sources: dict[str, Table]) -> Attribute:
    name, owner = column.name.lower(), column.table.lower()
    tables = [sources[owner]] if owner in sources else [] if owner else list(sources.values())
    for table in tables:
        found = table.attributes.get(name)
        if found is not None and found.stored:
            return found
    raise ApiError(400, "0x80041103", f"Invalid column name '{column.sql()}'.")


def _convert(one: exp.Expression, attributes: dict[int, Attribute]) -> Convert:
    inner = one.this if isinstance(one, exp.Alias) else one
    attribute = attributes.get(id(inner))
    return None if attribute is None or attribute.type is AttributeType.FILE else converter(attribute)


def _rows(connection: sqlite3.Connection, tree: exp.Select, limit: int, start: int) -> tuple[list[str], list[Any]]:
    text = tree.sql(dialect="sqlite")
    try:
        cursor = connection.execute(f"SELECT * FROM ({text}) LIMIT {limit} OFFSET {start}")
    except sqlite3.Error as error:
        raise _refusal(f"The SQL can't be run: {error}") from error
    return [re.sub(r"^.*\.", "", one[0]) for one in cursor.description], cursor.fetchall()


def _record(names: list[str], converters: list[Convert], row: Any) -> dict[str, Any]:
    return {
        name: value if value is None or convert is None else convert(value)
        for name, convert, value in zip(names, converters, row, strict=True)
    }

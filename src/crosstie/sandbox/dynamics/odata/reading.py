"""Reads records: one table with its conditions and order, and what is expanded behind it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from crosstie.sandbox.dynamics.errors import unknown_property
from crosstie.sandbox.dynamics.odata import functions
from crosstie.sandbox.dynamics.odata.errors import QueryError
from crosstie.sandbox.dynamics.odata.filters import Filter
from crosstie.sandbox.dynamics.odata.paging import Key, inner_cookie, next_link, order_sql, outer_cookie
from crosstie.sandbox.dynamics.odata.rows import Member, Names, Record, Row, Shape, shape
from crosstie.sandbox.dynamics.odata.rules import Rules
from crosstie.sandbox.dynamics.odata.scope import Collection, Scope, Tables, collection
from crosstie.sandbox.dynamics.odata.syntax import Expand, Options, Order
from crosstie.sandbox.dynamics.preferences import FORMATTED, MAX_PAGE_SIZE, Preferences
from crosstie.sandbox.dynamics.table import Attribute, Table
from crosstie.sandbox.fragments import Sql, quoted

MAX_COUNT = 5000
"""What a count is capped at."""
Child = tuple[Record, tuple[Any, ...]]
"""An expanded record, and its values of the keys that order it."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query that is ready to run: its SQL without columns and limit, and the keys of its order."""

    scope: Scope
    options: Options
    where: Sql
    keys: tuple[Key, ...]

    @property
    def joined_order(self) -> bool:
        """Whether it is ordered by a column of another table, for which there is no cookie."""
        return any(key.column.source != self.scope.alias for key in self.keys)


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a page: their objects, and the places of the keys that order them (none without a cookie)."""

    records: list[Record]
    rows: Sequence[Row]
    places: tuple[int, ...]

    def key(self, at: int) -> tuple[Any, ...]:
        """A row's values of the keys that order it."""
        return tuple(self.rows[at][place] for place in self.places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads for one request. `base` is what links to further pages begin with."""

    connection: sqlite3.Connection
    tables: Tables
    rules: Rules
    wanted: Preferences
    base: str = ""

    def __post_init__(self) -> None:
        functions.register(self.connection)

    def query(self, table: Table, options: Options, *, tie: str = "") -> Query:
        """Compiles the options of a table. `tie` is a further condition in SQL, of the alias `t0`."""
        scope = Scope(table, self.tables)
        parts = [Sql(tie)] if tie else []
        if options.filter is not None:
            parts.append(Filter(scope, self.rules).sql(options.filter))
        where = parts[0] if parts else Sql("1")
        for part in parts[1:]:
            where += Sql(" AND ") + part
        return Query(scope, options, where, self._keys(scope, options.order))

    def _keys(self, scope: Scope, order: Iterable[Order]) -> tuple[Key, ...]:
        found: dict[tuple[str, str], Key] = {}
        primary = scope.table.primary_id
        for one in [*order, Order((primary,))]:
            key = Key(scope.column(one.names), one.descending)
            found.setdefault((key.column.source, key.column.attribute.logical_name), key)
        return tuple(found.values())

    def count(self, query: Query) -> int:
        """How many rows there are, up to one more than the cap."""
        source = _source(query.scope)
        sql = Sql("SELECT COUNT(*) FROM (SELECT 1") + Sql(source) + Sql(" WHERE ") + query.where
        (number,) = self.connection.execute(f"{sql.text} LIMIT {MAX_COUNT + 1})", sql.params).fetchone()
        return int(number)

    def page(self, query: Query, limit: int, *, after: Sql | None = None, offset: int = 0) -> Found:
        """At most so many rows."""
        options, scope = query.options, query.scope
        ordered = [] if query.joined_order else [key.column.attribute for key in query.keys]
        needed = [*ordered, *self._lookups(query)]
        made, shown = shape(scope.table, scope.alias, options.select, needed, self.rules)
        # Of two lower bounds SQLite takes the first for its index, and the page's is the higher one.
        where = query.where if after is None else after + Sql(" AND ") + query.where
        sql = Sql(f"SELECT {', '.join(made.columns)}{_source(scope)} WHERE ") + where
        text = f"{sql.text} ORDER BY {order_sql(query.keys, self.rules)} LIMIT {limit}"
        rows = self.connection.execute(text + (f" OFFSET {offset}" if offset else ""), sql.params).fetchall()
        records = self.records(made, shown, rows, options.expand)
        return Found(records, rows, tuple(made.member(one).at for one in ordered))

    def one(self, table: Table, record_id: str, options: Options) -> Record | None:
        """The record of a primary key with its $select and $expand; None when there is none."""
        query = self.query(table, replace(options, filter=None, order=()))
        by_id = Sql(f"t0.{quoted(table.primary_id)} = ?", (record_id.lower(),))
        found = self.page(replace(query, where=by_id), 1)
        return found.records[0] if found.records else None

    def _lookups(self, query: Query) -> list[Attribute]:
        """The lookups that expanded single-valued properties go by."""
        table = query.scope.table
        return [found[0] for one in query.options.expand if (found := table.navigated(one.name)) is not None]

    # -- objects

    def records(self, made: Shape, shown: int, rows: Sequence[Row], expand: Sequence[Expand]) -> list[Record]:
        """The objects of SQL rows, with what is expanded."""
        names = self._names(made.members[:shown], rows) if self.wanted.wants(FORMATTED) else {}
        records = made.records(rows, shown, self.wanted, names)
        for one in expand:
            self._expand(made, rows, records, one)
        return records

    def _names(self, members: Iterable[Member], rows: Sequence[Row]) -> Names:
        """The primary names of all records that lookups refer to."""
        ids: dict[str, set[str]] = {}
        for one in members:
            if one.attribute.is_lookup:
                for row in rows:
                    if row[one.at] is not None:
                        ids.setdefault(one.target(row), set()).add(row[one.at])
        found: dict[tuple[str, str], str] = {}
        for target, wanted in ids.items():
            table = self.tables.get(target)
            if table is None or table.primary_name is None:
                continue
            sql = (
                f"SELECT {quoted(table.primary_id)}, {quoted(table.primary_name)} FROM {quoted(target)}"
                f" WHERE {quoted(table.primary_id)} IN (SELECT value FROM json_each(?))"
            )
            for record_id, name in self.connection.execute(sql, (_listed(wanted),)):
                if name is not None:
                    found[target, record_id] = name
        return found

    def _expand(self, made: Shape, rows: Sequence[Row], records: list[Record], expand: Expand) -> None:
        navigated = made.table.navigated(expand.name)
        if navigated is not None:
            self._expand_one(made.member(navigated[0]), navigated[1], rows, records, expand)
            return
        behind = collection(self.tables, made.table, expand.name)
        if behind is None:
            raise unknown_property(expand.name, made.table.logical_name)
        self._expand_many(made, behind, rows, records, expand)

    def _expand_one(
        self, member: Member, target: str | None, rows: Sequence[Row], records: list[Record], expand: Expand
    ) -> None:
        if target is None:
            raise QueryError(f"The navigation property '{expand.name}' leads to several tables; expand one of them.")
        ids = {row[member.at] for row in rows if row[member.at] is not None and member.target(row) == target}
        found = self._by_key(self.tables[target], self.tables[target].primary_id, ids, expand)
        for row, record in zip(rows, records, strict=True):
            matched = found.get(row[member.at], []) if member.target(row) == target else []
            record[expand.name] = matched[0][0] if matched else None

    def _expand_many(
        self, made: Shape, behind: Collection, rows: Sequence[Row], records: list[Record], expand: Expand
    ) -> None:
        primary = made.member(made.table.attributes[made.table.primary_id]).at
        found = self._by_key(behind.table, behind.lookup.logical_name, {row[primary] for row in rows}, expand)
        top = expand.options.top
        size = self.wanted.page_size or MAX_PAGE_SIZE
        for row, record in zip(rows, records, strict=True):
            children = found.get(row[primary], [])
            shown = children[: size if top is None else min(size, top)]
            record[expand.name] = [child for child, _ in shown]
            if top is None and len(children) > size:
                address = f"{self.base}/{made.table.set_name}({row[primary]})/{behind.name}"
                keys = self.query(behind.table, expand.options).keys
                inner = inner_cookie(1, keys, shown[0][1], shown[-1][1])
                link = next_link(address, dict(expand.given), outer_cookie(2, inner))
                record[f"{expand.name}@odata.nextLink"] = link

    def _by_key(self, table: Table, column: str, ids: set[str], expand: Expand) -> dict[str, list[Child]]:
        """The records of a table whose column is among the ids, by that column."""
        tie = Sql(f"t0.{quoted(column)} IN (SELECT value FROM json_each(?)) AND ", (_listed(ids),))
        query = self.query(table, expand.options)
        ordered = [] if query.joined_order else [key.column.attribute for key in query.keys]
        needed = [table.attributes[column], *ordered, *self._lookups(query)]
        made, shown = shape(table, query.scope.alias, expand.options.select, needed, self.rules)
        sql = Sql(f"SELECT {', '.join(made.columns)}{_source(query.scope)} WHERE ") + tie + query.where
        text = f"{sql.text} ORDER BY {order_sql(query.keys, self.rules)}"
        rows = self.connection.execute(text, sql.params).fetchall()
        at = made.member(table.attributes[column]).at
        places = [made.member(one).at for one in ordered]
        found: dict[str, list[Child]] = {}
        for row, record in zip(rows, self.records(made, shown, rows, expand.options.expand), strict=True):
            found.setdefault(row[at], []).append((record, tuple(row[place] for place in places)))
        return found


def _source(scope: Scope) -> str:
    return f" FROM {quoted(scope.table.logical_name)} AS {scope.alias}{''.join(scope.joins)}"


def _listed(ids: set[str]) -> str:
    return msgspec.json.encode(sorted(ids)).decode()

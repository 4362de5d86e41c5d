"""The answer to a query: rows streamed from SQLite, and the records made of them."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from crosstie.sandbox.fragments import Sql
from crosstie.sandbox.salesforce.soql.compiler import Compiled
from crosstie.sandbox.salesforce.soql.csv_lines import csv_statement
from crosstie.sandbox.salesforce.soql.errors import SoqlError
from crosstie.sandbox.salesforce.soql.layout import Children, Entry, Node, SelectItem, TypeofNode

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Result:
    """A compiled query on a connection; nothing is read before it is asked for.

    A row is a tuple of raw stored values; `items` says at which place of it each selected field is (Bulk: the columns
    in the order of the SELECT list and nothing else; else more columns may follow that records need).
    """

    connection: sqlite3.Connection
    compiled: Compiled
    groups: tuple[Row, ...] | None = None

    def with_groups(self, most: int) -> Result:
        """The same result with its groups read. Raises EXCEEDED_ID_LIMIT when there are more than `most`."""
        groups = tuple(itertools.islice(self._rows(self.compiled.statement), most + 1))
        if len(groups) > most:
            message = (
                "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch"
            )
            raise SoqlError("EXCEEDED_ID_LIMIT", message)
        return replace(self, groups=groups)

    @property
    def object_name(self) -> str:
        """API name of the object in FROM."""
        return self.compiled.sobject.name

    @property
    def items(self) -> tuple[SelectItem, ...]:
        """The selected fields in order, without child subqueries and TYPEOF; empty for COUNT()."""
        return self.compiled.items

    @property
    def column_names(self) -> tuple[str, ...]:
        """The header of a Bulk CSV: names in true spelling, dotted through parents."""
        return tuple(item.name for item in self.compiled.items)

    @property
    def counting(self) -> bool:
        """True for SELECT COUNT(): totalSize is the answer and there are no records."""
        return self.compiled.counting

    @property
    def grouped(self) -> bool:
        """True when rows are groups (AggregateResult), which can't be fetched by id."""
        return self.compiled.node is None

    @property
    def sql(self) -> str:
        """The SQL of `rows`."""
        return self.compiled.statement.text

    @property
    def params(self) -> tuple[Any, ...]:
        """The parameters of `sql`, in order."""
        return self.compiled.statement.params

    @cached_property
    def total_size(self) -> int:
        """The number of rows, LIMIT and OFFSET included; counted once."""
        if self.groups is not None:
            return len(self.groups)
        statement = self.compiled.statement if self._counted_by_sql else self.compiled.count_statement
        return int(next(self._rows(statement))[0])

    @property
    def _counted_by_sql(self) -> bool:
        return self.compiled.counting and not self.compiled.paging.text

    def rows(self) -> Iterator[Row]:
        """Every row, streamed: only as many are in memory as the caller keeps. Nothing for COUNT()."""
        if self.groups is not None:
            return iter(self.groups)
        return iter(()) if self.compiled.counting else self._rows(self.compiled.statement)

    def ids(self) -> Iterator[str]:
        """The ids of the root's records in the order of `rows`: what a query locator remembers."""
        if self.grouped:
            raise ValueError("groups have no ids")
        return (row[0] for row in self._rows(self.compiled.ids_statement))

    def rows_by_id(self, ids: Sequence[str]) -> list[Row]:
        """The rows of these records in the order given, with the values they have now; vanished ones are left out."""
        if self.grouped:
            raise ValueError("groups have no ids")
        found = {row[-1]: row[:-1] for row in self._rows(self.compiled.rows_statement(list(ids)))}
        return [found[record_id] for record_id in ids if record_id in found]

    def record_json(self, row: Row, version: str) -> dict[str, Any]:
        """The JSON record of one row; `version` as in URLs (`v64.0`). Child subqueries are run for it."""
        return self.records_json([row], version)[0]

    def records_json(self, rows: Iterable[Row], version: str) -> list[dict[str, Any]]:
        """The JSON records of a page of rows; a child subquery runs once for the whole page."""
        node = self.compiled.node
        if node is None:
            return [self._aggregate_json(row) for row in rows]
        return _Renderer(self, version).records(node, list(rows))

    def csv_sql(self, *, delimiter: str = ",", line_ending: str = "\n") -> tuple[str, tuple[Any, ...]]:
        """SQL of the finished CSV line of each row (Bulk queries only), line ending included, and its parameters."""
        statement = csv_statement(self.compiled, delimiter, line_ending)
        return statement.text, statement.params

    def csv_header(self, *, delimiter: str = ",", line_ending: str = "\n") -> str:
        """The header line of a Bulk CSV."""
        return delimiter.join(f'"{name}"' for name in self.column_names) + line_ending

    def _aggregate_json(self, row: Row) -> dict[str, Any]:
        record: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
        for item in self.compiled.items:
            record[item.name] = _json_value(row[item.place], item.type)
        return record

    def _rows(self, statement: Sql) -> Iterator[Row]:
        cursor = self.connection.cursor()
        cursor.row_factory = None
        return iter(cursor.execute(statement.text, statement.params))

    def children(self, children: Children, parents: list[str]) -> dict[str, list[Row]]:
        """The rows of a child subquery by parent id."""
        found: dict[str, list[Row]] = {}
        statement = children.sql + Sql("", (json.dumps(parents),))
        for row in self._rows(statement):
            found.setdefault(row[-1], []).append(row[:-1])
        return found


@dataclass(frozen=True, slots=True)
class _Renderer:
    result: Result
    version: str

    def records(self, node: Node, rows: list[Row]) -> list[dict[str, Any]]:
        families = {
            key: self._families(entry, node, rows) for key, entry in node.entries.items() if isinstance(entry, Children)
        }
        return [self._record(node, row, families) for row in rows]

    def _families(self, children: Children, node: Node, rows: list[Row]) -> dict[str, Any]:
        by_parent = self.result.children(children, [row[node.id_place] for row in rows])
        flat = self.records(children.node, [row for family in by_parent.values() for row in family])
        families: dict[str, Any] = {}
        start = 0
        for parent, family in by_parent.items():
            records = flat[start : start + len(family)]
            start += len(family)
            families[parent] = {"totalSize": len(records), "done": True, "records": records}
        return families

    def _record(self, node: Node, row: Row, families: dict[str, dict[str, Any]]) -> dict[str, Any]:
        record_id = row[node.id_place]
        real = node.type_name if node.type_place is None else row[node.type_place]
        url = f"/services/data/{self.version}/sobjects/{real}/{record_id}"
        record: dict[str, Any] = {"attributes": {"type": node.type_name, "url": url}}
        for key, entry in node.entries.items():
            if isinstance(entry, Children):
                record[key] = families[key].get(record_id)
            else:
                record[key] = self._entry(entry, row, key, url)
        return record

    def _entry(self, entry: Entry, row: Row, key: str, url: str) -> Any:
        if isinstance(entry, SelectItem):
            if entry.parts:
                return _compound_json(entry, row)
            if entry.type == "base64" and row[entry.place] is not None:
                return f"{url}/{key}"
            return _json_value(row[entry.place], entry.type)
        if isinstance(entry, TypeofNode):
            return self._typeof(entry, row)
        assert isinstance(entry, Node)  # Children are rendered by _record
        return None if row[entry.id_place] is None else self._record(entry, row, {})

    def _typeof(self, entry: TypeofNode, row: Row) -> Any:
        real = row[entry.type_place]
        if real is None:
            return None
        node = entry.branches.get(real, entry.otherwise)
        if node is None:
            return None
        return self._record(node, row, {})


def _json_value(value: Any, wire_type: str) -> Any:
    if value is None:
        return False if wire_type == "boolean" else None
    if wire_type == "boolean":
        return bool(value)
    if wire_type in ("double", "currency", "percent"):
        return float(value)
    return value


def _compound_json(item: SelectItem, row: Row) -> dict[str, Any] | None:
    parts = {part.name: _json_value(row[part.place], part.type) for part in item.parts}
    return parts if any(value is not None for value in parts.values()) else None

"""A table of people's as a merge sees it: beyond reflection, what its columns take when nothing is given to them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from crosstie.db.columns import postgresql_cast
from crosstie.db.database import Database, Dialect, Transaction
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType, Table, WorkTable

_PLAIN_TEXT = ("text", "character varying", "character", "bpchar")
_NUMERIC = re.compile(r"(?:NUMERIC|DECIMAL|DEC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", re.IGNORECASE)
_DEFAULT_COLLATION = '"default"'
_SMALLER_INTEGERS = {"smallint": 16, "integer": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetColumn:
    """A column of the target. `declared` is the database's own type, `default` the SQL it takes when nothing is given
    ('' when there is none), `collation` the PostgreSQL collation as SQL ('' where it has none)."""

    column: Column
    declared: str
    default: str = ""
    collation: str = ""
    generated: bool = False
    identity_always: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.column.name

    @property
    def is_plain_text(self) -> bool:
        """Whether it stores text as it is given, and not another type that reads as text (uuid, json, enum)."""
        return self.column.type in (ColumnType.TEXT, ColumnType.SET) and (
            not self.declared or self.declared.split("(")[0].strip().lower() in _PLAIN_TEXT
        )

    @property
    def precision(self) -> tuple[int, int] | None:
        """Digits in all and after the point, of a numeric that declares them."""
        found = _NUMERIC.match(self.declared.strip())
        return (int(found[1]), int(found[2] or 0)) if found else None

    @property
    def integer_bits(self) -> int:
        """The bits of an integer that holds fewer than 64; else 0."""
        return _SMALLER_INTEGERS.get(self.declared, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The table that a merge writes into. `sql` is its quoted name. `counted` names the key column whose next value
    SQLite counts up by itself; `defers_references` says that SQLite checks a reference of it only at the commit."""

    table: Table
    dialect: Dialect
    sql: str
    columns: tuple[TargetColumn, ...]
    counted: str = ""
    defers_references: bool = False

    def column(self, name: str) -> TargetColumn:
        """The column of that exact name."""
        return next(one for one in self.columns if one.name == name)

    @property
    def key(self) -> tuple[TargetColumn, ...]:
        """The primary key."""
        return tuple(self.column(name) for name in self.table.key)

    @property
    def overrides_identity(self) -> bool:
        """Whether an insert that gives the key must say that it overrides the system's."""
        return any(one.identity_always for one in self.key)

    def read(self, alias: str, column: TargetColumn) -> str:
        """The column's value as its `ColumnType` has it."""
        sql = f"{alias}.{quote_identifier(column.name)}"
        if self.dialect == "postgresql" and column.column.type is ColumnType.TEXT and not column.is_plain_text:
            return f'cast({sql} as text) collate "C"'
        return sql

    def given(self, column: TargetColumn, sql: str) -> str:
        """A value of the column's `ColumnType`, as it can be compared with the column itself or stored in it."""
        if self.dialect == "sqlite":
            return sql
        if column.is_plain_text:
            return f"({sql}) collate {column.collation or _DEFAULT_COLLATION}"
        return f"cast({sql} as {column.declared})"

    def differs(self, column: TargetColumn, own: str, sql: str) -> str:
        """The condition that `own`, the column itself as SQL, is not that value of its `ColumnType`."""
        if self.dialect == "sqlite":
            return f"{own} is not {sql}"
        if column.declared in ("json", "xml"):
            return f"cast({own} as text) is distinct from {sql}"
        return f"{own} is distinct from {self.given(column, sql)}"


def describe_target(db: Database, table: Table) -> Target:
    """Asks the catalogue what reflection does not tell."""
    describe = _describe_postgresql if db.dialect == "postgresql" else _describe_sqlite
    with db.reading() as transaction:
        return describe(transaction, table, db.quote_table(table.name))


def work_target(dialect: Dialect, table: WorkTable) -> Target:
    """A work table as what others are compared with; nothing is ever written into it."""
    plain = (ColumnType.TEXT, ColumnType.SET)
    return Target(
        table=Table(name=table.name, columns=table.columns, key=table.key),
        dialect=dialect,
        sql=f"crosstie.{table.name}",
        columns=tuple(
            TargetColumn(
                column=column,
                declared="" if column.type in plain else postgresql_cast(column),
                collation='"C"' if column.type in plain else "",
            )
            for column in table.columns
        ),
    )


def _describe_postgresql(transaction: Transaction, table: Table, sql: str) -> Target:
    rows = transaction.rows(
        "select a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attidentity,"
        " a.attgenerated, case when a.attcollation <> 0 and c.collname <> 'default'"
        " then quote_ident(n.nspname) || '.' || quote_ident(c.collname) else '' end,"
        " case when a.attidentity <> '' then pg_get_serial_sequence(cast(:table as text), a.attname) end"
        " from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum"
        " left join pg_collation c on c.oid = a.attcollation left join pg_namespace n on n.oid = c.collnamespace"
        " where a.attrelid = to_regclass(cast(:table as text)) and a.attnum > 0 and not a.attisdropped",
        {"table": sql},
    )
    found = {str(row[0]): row for row in rows}
    columns = []
    for column in table.columns:
        _, declared, default, identity, generated, collation, sequence = found[column.name]
        if sequence:
            default = "nextval('" + str(sequence).replace("'", "''") + "')"
        columns.append(
            TargetColumn(
                column=column,
                declared=str(declared),
                default="" if generated or default is None else str(default),
                collation=str(collation or ""),
                generated=bool(generated),
                identity_always=identity == "a",
            )
        )
    return Target(table=table, dialect="postgresql", sql=sql, columns=tuple(columns))


def _describe_sqlite(transaction: Transaction, table: Table, sql: str) -> Target:
    rows = transaction.rows(
        "select name, type, dflt_value, hidden, pk from pragma_table_xinfo(:table)", {"table": table.name}
    )
    found = {str(row[0]): row for row in rows}
    keys = [row for row in rows if row[4]]
    written = transaction.row(
        "select sql from sqlite_master where type = 'table' and name = :table collate nocase", {"table": table.name}
    )
    without_rowid = written is not None and re.search(r"\bwithout\s+rowid\b", str(written[0]), re.IGNORECASE)
    counted = ""
    if len(keys) == 1 and str(keys[0][1]).upper() == "INTEGER" and not without_rowid:
        counted = str(keys[0][0])
    return Target(
        table=table,
        dialect="sqlite",
        sql=sql,
        columns=tuple(
            TargetColumn(
                column=column,
                declared=str(found[column.name][1] or ""),
                default=_sqlite_default(found[column.name][2]),
                generated=found[column.name][3] in (2, 3),
            )
            for column in table.columns
        ),
        counted=counted,
        defers_references=written is not None and "deferred" in str(written[0]).lower(),
    )


def _sqlite_default(text: object) -> str:
    return "" if text is None or str(text).upper() == "NULL" else f"({text})"


def refuse_unfillable(target: Target, given: Iterable[str]) -> None:
    """Raises MappingError for a column that must not be empty, has no default, and is given nothing by an insert."""
    written = set(given)
    for column in target.columns:
        if column.generated or column.default or column.name in written or column.name == target.counted:
            continue
        if not column.column.nullable or column.name in target.table.key:
            raise MappingError(
                f"Table {target.table.name} has the column {column.name}, which must not be empty and has no default,"
                " and nothing is set into it: no row could be inserted.",
                hint=f"Add “{column.name}: …” under “set”, or give the column a default.",
            )

"""What each column type is: in Arrow, in PostgreSQL, in SQLite, and back from a declared type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crosstie.model import Column, ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

# A numeric without a declared scale (PostgreSQL) holds any; this many decimals are read from it, more is an error.
UNDECLARED_SCALE = 15

_POSTGRESQL = {
    ColumnType.TEXT: 'text collate "C"',
    ColumnType.INTEGER: "bigint",
    ColumnType.DECIMAL: "numeric",
    ColumnType.FLOAT: "double precision",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date",
    ColumnType.INSTANT: "timestamptz",
    ColumnType.WALL_CLOCK: "timestamp",
    ColumnType.TIME: "time",
    ColumnType.SET: 'text collate "C"',
    ColumnType.BINARY: "bytea",
}
# Declared types that reflect to the same column type; the dates and times hold text, which NUMERIC affinity leaves be.
_SQLITE = {
    ColumnType.TEXT: "TEXT",
    ColumnType.INTEGER: "INTEGER",
    ColumnType.DECIMAL: "NUMERIC",
    ColumnType.FLOAT: "REAL",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.DATE: "DATE",
    ColumnType.INSTANT: "TIMESTAMPTZ",
    ColumnType.WALL_CLOCK: "TIMESTAMP",
    ColumnType.TIME: "TIME",
    ColumnType.SET: "TEXT",
    ColumnType.BINARY: "BLOB",
}
_DECLARED = re.compile(
    r"\s*(?P<name>[^()]*?)\s*(?:\(\s*(?P<first>\d+)\s*(?:,\s*(?P<second>\d+)\s*)?\)(?P<rest>.*))?\s*"
)
# In this order, the first that the declared name contains. DATETIME is what SQLite's own CURRENT_TIMESTAMP fills: UTC.
_SQLITE_NAMES = (
    ("TIMESTAMPTZ", ColumnType.INSTANT),
    ("WITH TIME ZONE", ColumnType.INSTANT),
    ("DATETIME", ColumnType.INSTANT),
    ("TIMESTAMP", ColumnType.WALL_CLOCK),
    ("DATE", ColumnType.DATE),
    ("TIME", ColumnType.TIME),
    ("BOOL", ColumnType.BOOLEAN),
    ("INT", ColumnType.INTEGER),
    ("CHAR", ColumnType.TEXT),
    ("CLOB", ColumnType.TEXT),
    ("TEXT", ColumnType.TEXT),
    ("BLOB", ColumnType.BINARY),
    ("REAL", ColumnType.FLOAT),
    ("FLOA", ColumnType.FLOAT),
    ("DOUB", ColumnType.FLOAT),
    ("NUM", ColumnType.DECIMAL),
    ("DEC", ColumnType.DECIMAL),
    ("MONEY", ColumnType.DECIMAL),
)


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type in which a batch carries that column; a DECIMAL may come to a load with another scale."""
    import pyarrow as pa

    match column.type:
        case ColumnType.TEXT | ColumnType.SET:
            return pa.string()
        case ColumnType.INTEGER:
            return pa.int64()
        case ColumnType.DECIMAL:
            return pa.decimal128(38, column.scale)
        case ColumnType.FLOAT:
            return pa.float64()
        case ColumnType.BOOLEAN:
            return pa.bool_()
        case ColumnType.DATE:
            return pa.date32()
        case ColumnType.INSTANT:
            return pa.timestamp("us", "UTC")
        case ColumnType.WALL_CLOCK:
            return pa.timestamp("us")
        case ColumnType.TIME:
            return pa.time64("us")
        case ColumnType.BINARY:
            return pa.binary()


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """The schema of the batches of a table with those columns."""
    import pyarrow as pa

    return pa.schema([pa.field(column.name, arrow_type(column)) for column in columns])


def postgresql_type(column: Column) -> str:
    """The type in a `create table`; texts with a length are bounded, decimals are not, so that none is rounded."""
    if column.type is ColumnType.TEXT and column.length:
        return f'varchar({column.length}) collate "C"'
    return _POSTGRESQL[column.type]


def postgresql_cast(column: Column) -> str:
    """The type to cast an expression to, so that it reads as that column."""
    return _POSTGRESQL[column.type].partition(" collate ")[0]


def sqlite_type(column: Column) -> str:
    """The declared type in a `create table`; SQLite does not enforce the length, reflection gives it back."""
    if column.type is ColumnType.TEXT and column.length:
        return f"VARCHAR({column.length})"
    return _SQLITE[column.type]


def from_sqlite_type(name: str, declared: str, *, nullable: bool) -> Column:
    """The column that a declared type stands for: by SQLite's affinity, and by the names people give dates and such."""
    match = _DECLARED.fullmatch(declared)
    words = declared.upper() if match is None else f"{match['name']} {match['rest'] or ''}".upper()
    first = int(match["first"]) if match is not None and match["first"] else 0
    kind = next((kind for part, kind in _SQLITE_NAMES if part in words), ColumnType.TEXT)
    if kind is ColumnType.TEXT:
        return Column(name=name, type=kind, length=first, nullable=nullable)
    if kind is ColumnType.DECIMAL:
        second = match["second"] if match is not None else None
        scale = int(second) if second else (0 if first else UNDECLARED_SCALE)
        return Column(name=name, type=kind, scale=scale, nullable=nullable)
    return Column(name=name, type=kind, nullable=nullable)

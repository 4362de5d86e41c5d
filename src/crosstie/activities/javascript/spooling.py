"""The rows that a script writes: loaded into a work table while it runs, inserted with the end of the task."""

from __future__ import annotations

import difflib
from contextlib import ExitStack
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from crosstie.db.columns import arrow_schema
from crosstie.db.database import Database, Load, Transaction
from crosstie.db.statements import quote_identifier
from crosstie.errors import ScriptError
from crosstie.model import Column, ColumnType, find_column
from crosstie.workflow.activity import Context

_BATCH_ROWS = 5_000
_TAKES = {
    ColumnType.TEXT: "text",
    ColumnType.SET: "text",
    ColumnType.INTEGER: "a whole number",
    ColumnType.DECIMAL: "a number, or its digits as text",
    ColumnType.FLOAT: "a number",
    ColumnType.BOOLEAN: "true or false",
    ColumnType.DATE: "a date, or text like 2026-11-23",
    ColumnType.INSTANT: "a date",
    ColumnType.WALL_CLOCK: "text like 2026-11-23T08:00:00",
    ColumnType.TIME: "text like 08:00:00",
    ColumnType.BINARY: "nothing that a script has",
}


def open_spool(context: Context, table: str, names: tuple[str, ...], *, number: int) -> Spool:
    """A spool for rows of a table of people's that have those columns. Raises ScriptError where there is no such table
    or column."""
    db = context.db
    target = db.reflect(table)
    if target is None:
        close = difflib.get_close_matches(table, db.tables(), n=1)
        raise ScriptError(f"There is no table {table}.", hint=f"Did you mean {close[0]}?" if close else "")
    columns: list[Column] = []
    for name in names:
        column = find_column(target.columns, name)
        if column is None:
            raise ScriptError(
                f"Table {table} has no column {name}.",
                hint=f"It has: {', '.join(one.name for one in target.columns)}",
            )
        columns.append(column)
    return Spool(db, target.name, dict(zip(names, columns, strict=True)), context.private_name(f"write{number}"))


class Spool:
    """The rows for one table. `columns` are by the names that the script gave them in its first row."""

    def __init__(self, db: Database, table: str, columns: dict[str, Column], name: str) -> None:
        self._db = db
        self._table = table
        self._columns = columns
        self._name = name
        self._rows: list[list[object]] = []
        self._open = ExitStack()
        self._load: Load | None = None

    def add(self, row: dict[str, object]) -> None:
        """Adds a row; a column that it lacks is empty. Raises ScriptError for a value of a wrong kind."""
        for name in row:
            if name not in self._columns:
                raise ScriptError(
                    f"write: the first row for {self._table} had no {name}.",
                    hint="Give each row the same columns; null for what is empty.",
                )
        self._rows.append([_fitted(row.get(name), column, self._table) for name, column in self._columns.items()])
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()

    def finish(self) -> None:
        """All rows are there."""
        self._flush()
        self._open.close()

    def close(self) -> None:
        """Nothing more is loaded. Does nothing after `finish`."""
        self._open.close()

    def insert(self, transaction: Transaction) -> int:
        """Inserts the rows into the table; how many."""
        listed = ", ".join(quote_identifier(column.name) for column in self._columns.values())
        return transaction.execute(
            f"insert into {self._db.quote_table(self._table)} ({listed}) select {listed} from crosstie.{self._name}"
        )

    def _flush(self) -> None:
        import pyarrow as pa

        if self._load is None:
            columns = tuple(self._columns.values())
            self._db.create_work(self._name, columns)
            self._load = self._open.enter_context(self._db.load(self._name, columns))
        if self._rows:
            schema = arrow_schema(tuple(self._columns.values()))
            arrays = [pa.array(list(values), type=one.type) for values, one in
                      zip(zip(*self._rows, strict=True), schema, strict=True)]  # fmt: skip
            self._load.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
            self._rows = []


def _fitted(value: object, column: Column, table: str) -> object:
    """The value as its column takes it. Raises ScriptError."""
    if value is None:
        return None
    fitted = _as_type(value, column)
    if fitted is None:
        shown = f"“{value}”" if isinstance(value, str) else "a date" if isinstance(value, datetime) else str(value)
        raise ScriptError(f"write: {table}.{column.name} takes {_TAKES[column.type]}, not {shown}.")
    return fitted


def _as_type(value: object, column: Column) -> Any:
    match column.type, value:
        case (ColumnType.BOOLEAN, bool()):
            return value
        case (_, bool()):
            return None
        case (ColumnType.TEXT | ColumnType.SET, str()):
            return value
        case (ColumnType.INTEGER, int()):
            return value
        case (ColumnType.FLOAT, int() | float()):
            return float(value)
        case (ColumnType.DECIMAL, int() | float() | str()):
            return _decimal(str(value), column.scale)
        case (ColumnType.DATE, datetime()):
            return value.astimezone(UTC).date()
        case (ColumnType.INSTANT, datetime()):
            return value
        case (ColumnType.DATE | ColumnType.WALL_CLOCK | ColumnType.TIME, str()):
            return _moment(value, column.type)
    return None


def _decimal(text: str, scale: int) -> Decimal | None:
    try:
        number = Decimal(text)
        exact = number.quantize(Decimal(1).scaleb(-scale))
    except InvalidOperation:
        return None
    return exact if exact == number else None


def _moment(text: str, kind: ColumnType) -> date | datetime | time | None:
    try:
        if kind is ColumnType.DATE:
            return date.fromisoformat(text)
        if kind is ColumnType.TIME:
            return time.fromisoformat(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is None else None

"""What a batch must be before it is loaded: the right columns, and values that both databases can hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import TYPE_CHECKING

from crosstie.db.columns import arrow_type
from crosstie.db.database import Dialect, instant_text
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

# memchr over the text of a whole column
# 0001-01-01 to 9999-12-31, counted from 1970-01-01.
_DAYS = (-719_162, 2_932_896)
_MICROSECONDS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
_DATED = (ColumnType.DATE, ColumnType.INSTANT, ColumnType.WALL_CLOCK)

SIGNIFICANT_DIGITS = 15


def unloadable(column: str, value: object, why: str) -> DatabaseError:
    """The error for a value that cannot be stored, naming it."""
    shown = repr(value)
    return DatabaseError(
        f"Column {column} cannot hold {shown if len(shown) <= 80 else shown[:77] + '…'}: {why}.", code="BAD_VALUE"
    )


def inexact(dialect: Dialect, column: Column, array: pa.Array) -> pa.Array | None:
    """Which values of a column that database can't keep as they are: a mask, or None when there are none.

    SQLite's numbers bring 15 significant digits back; a decimal with more would be rounded."""
    if dialect != "sqlite" or column.type is not ColumnType.DECIMAL:
        return None
    from crosstie.db.sqlite.storage import inexact_decimals

    return inexact_decimals(array)


def text_of(column: Column, value: object) -> str | None:
    """A value as text for people and for the reject inbox, the same from both databases."""
    if value is None:
        return None
    if column.type is ColumnType.BOOLEAN:
        return "true" if value else "false"
    match value:
        case datetime():
            return instant_text(value) if value.tzinfo else value.isoformat(timespec="microseconds")
        case time():
            return value.isoformat(timespec="microseconds")
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
    return str(value)


def check_batch(batch: pa.RecordBatch, columns: Sequence[Column]) -> None:
    """Raises TypeError for a batch of the wrong shape, DatabaseError for a value that neither database can hold.

    Both databases refuse the same values: a text with a NUL character, a time outside the years 1 to 9999.
    """
    import pyarrow as pa

    if batch.num_columns != len(columns):
        raise TypeError(f"a batch of {batch.num_columns} columns for a table of {len(columns)}")
    for column, array in zip(columns, batch.columns, strict=True):
        if array.type != arrow_type(column) and not (
            column.type is ColumnType.DECIMAL and pa.types.is_decimal128(array.type)
        ):
            raise TypeError(f"column {column.name} ({column.type}) comes as {array.type}")
        if column.type in (ColumnType.TEXT, ColumnType.SET):
            _check_text(column.name, array)
        elif column.type in _DATED:
            _check_years(column.name, array)


def _check_text(name: str, array: pa.Array) -> None:
    import pyarrow.compute as pc

    data = array.buffers()[2]
    if data is None or b"\0" not in data.to_pybytes():  # a copy, and yet faster than any search without
        return
    # The buffer may hold more than this slice of it, hence the second look.
    bad = array.filter(pc.match_substring(array, "\0"))
    if len(bad):
        raise unloadable(name, bad[0].as_py(), "a text in a database has no NUL character")


def _check_years(name: str, array: pa.Array) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if array.null_count == len(array):
        return
    days = pa.types.is_date32(array.type)
    numbers = array.view(pa.int32() if days else pa.int64())
    low, high = _DAYS if days else _MICROSECONDS
    found = pc.min_max(numbers).as_py()
    for value in (found["min"], found["max"]):
        if not low <= value <= high:
            raise unloadable(name, value, "it lies outside the years 1 to 9999")

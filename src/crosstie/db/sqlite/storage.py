"""Arrow columns as SQLite stores them, and back; column by column, no cell is touched by Python on the way.

Instants, dates and times become fixed-width text that sorts, booleans 0 and 1, decimals numbers that read back equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from crosstie.db.columns import arrow_type
from crosstie.db.sqlite.connections import exact_number
from crosstie.db.values import unloadable
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

_EXACT_MANTISSA = 10**15 - 1
# A power of ten up to this is exact in a double, so that one division rounds right.
_EXACT_POWER = 22
# Tried where a wide scale leaves too many digits, most of them zero.
_NARROWER = (10, 6, 4, 2, 0)


def to_storage(column: Column, array: pa.Array) -> pa.Array | list[int | float | None]:
    """The column as SQLite stores it. Raises DatabaseError, naming column and value, for what would not come back."""
    import pyarrow as pa
    import pyarrow.compute as pc

    match column.type:
        case ColumnType.TEXT | ColumnType.SET | ColumnType.INTEGER | ColumnType.BINARY:
            return array
        case ColumnType.BOOLEAN:
            return array.cast(pa.int64())
        case ColumnType.DATE | ColumnType.TIME:
            return array.cast(pa.string())
        case ColumnType.WALL_CLOCK:
            return pc.binary_replace_slice(array.cast(pa.string()), start=10, stop=11, replacement="T")
        case ColumnType.INSTANT:
            # Arrow writes the text of a zone-less time 30 times faster; the zone is always UTC.
            wall = pc.binary_replace_slice(array.cast(pa.timestamp("us")).cast(pa.string()), 10, 11, "T")
            return pc.binary_join_element_wise(wall, "Z", "")
        case ColumnType.FLOAT:
            if pc.any(pc.is_nan(array)).as_py():
                raise unloadable(column.name, float("nan"), "SQLite knows no such number")
            return array
        case ColumnType.DECIMAL:
            return _numbers(column.name, array)


def _numbers(name: str, array: pa.Array) -> pa.Array | list[int | float | None]:
    """Decimals as doubles, which bring 15 significant digits back; SQLite makes whole ones integers by itself.

    A list of both kinds of numbers where one needs more digits than that, which only a whole number has room for.
    """
    import pyarrow as pa

    found = _mantissa(array)
    if found is not None:
        mantissa, scale = found
        return _divided(mantissa.cast(pa.int64()), scale)
    return [None if value is None else _exact(name, value) for value in array.to_pylist()]


def inexact_decimals(array: pa.Array) -> pa.Array | None:
    """Which decimals would not come back as they are: a mask, or None when there are none."""
    import pyarrow as pa

    if _mantissa(array) is not None:
        return None
    refused = [value is not None and not _is_exact(value) for value in array.to_pylist()]
    return pa.array(refused, pa.bool_()) if any(refused) else None


def _is_exact(value: Decimal) -> bool:
    try:
        exact_number(value)
    except DatabaseError:
        return False
    return True


def _mantissa(array: pa.Array) -> tuple[pa.Array, int] | None:
    """The decimals as whole numbers of at most 15 digits and the power of ten to divide them by, if there is one."""
    import pyarrow as pa

    for scale in (array.type.scale, *(scale for scale in _NARROWER if scale < array.type.scale)):
        if scale > _EXACT_POWER:
            continue
        narrowed = _rescaled(array, scale)
        if narrowed is None:
            continue
        mantissa = pa.Array.from_buffers(
            pa.decimal128(38, 0), len(narrowed), narrowed.buffers(), offset=narrowed.offset
        )
        if _within(mantissa, _EXACT_MANTISSA):
            return mantissa, scale
    return None


def _rescaled(array: pa.Array, scale: int) -> pa.Array | None:
    """The array with that many decimals, or None where digits would be lost."""
    import pyarrow as pa

    if array.type.scale == scale:
        return array
    try:
        return array.cast(pa.decimal128(38, scale))
    except pa.ArrowInvalid:
        return None


def _within(mantissa: pa.Array, limit: int) -> bool:
    import pyarrow.compute as pc

    found = pc.min_max(mantissa).as_py()
    return found["min"] is None or (found["min"] >= -limit and found["max"] <= limit)


def _divided(whole: pa.Array, scale: int) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.divide(whole.cast(pa.float64()), float(10**scale))


def _exact(name: str, value: Decimal) -> int | float:
    try:
        return exact_number(value)
    except DatabaseError as error:
        raise DatabaseError(
            f"Column {name} cannot hold {value}: it has more than 15 significant digits and SQLite would round it.",
            hint=error.hint,
            code=error.code,
        ) from error


def reading_sql(sql: str, columns: Sequence[Column]) -> str:
    """The query, with its decimals as text of all their digits, because a driver gives them as doubles."""
    if not any(column.type is ColumnType.DECIMAL for column in columns):
        return sql
    names = [f"c{position}" for position in range(len(columns))]
    shown = [
        f"case typeof({name}) when 'real' then printf('%!.15g', {name}) else cast({name} as text) end"
        if column.type is ColumnType.DECIMAL
        else name
        for name, column in zip(names, columns, strict=True)
    ]
    return f"with q({', '.join(names)}) as ({sql}) select {', '.join(shown)} from q"


def from_storage(column: Column, values: Sequence[Any]) -> pa.Array:
    """The stored values of a column as the Arrow array of its type. Raises DatabaseError for one that is not of it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = arrow_type(column)
    try:
        match column.type:
            case ColumnType.TEXT | ColumnType.SET:
                return _texts(values)
            case ColumnType.BOOLEAN:
                return pa.array(values, pa.int64()).cast(wanted)
            case ColumnType.INTEGER | ColumnType.FLOAT | ColumnType.BINARY:
                return pa.array(values, wanted)
            case ColumnType.TIME:
                # Arrow reads a time of day only with a date before it.
                dated = pc.binary_join_element_wise("1970-01-01T", pa.array(values, pa.string()), "")
                return dated.cast(pa.timestamp("us")).cast(wanted)
            case ColumnType.INSTANT:
                return _instants(pa.array(values, pa.string())).cast(wanted)
            case _:
                return pa.array(values, pa.string()).cast(wanted)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DatabaseError(f"Column {column.name} holds a value that is no {column.type}: {error}.") from error


def _texts(values: Sequence[Any]) -> pa.Array:
    """Texts; a column of loose type may hold numbers, which read as PostgreSQL would cast them."""
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except (pa.ArrowException, TypeError):
        return pa.array([value if value is None or isinstance(value, str) else str(value) for value in values])


def _instants(texts: pa.Array) -> pa.Array:
    """Instants as text with a zone: SQLite's own CURRENT_TIMESTAMP writes UTC without saying so."""
    import pyarrow.compute as pc

    if pc.all(pc.ends_with(texts, "Z")).as_py() is not False:
        return texts
    zoned = pc.match_substring_regex(texts, r"(Z|[+-]\d\d:?\d\d)$")
    return pc.if_else(zoned, texts, pc.binary_join_element_wise(texts, "Z", ""))

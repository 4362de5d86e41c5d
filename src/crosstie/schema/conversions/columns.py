"""Casting whole columns of wire text, and finding what cannot be cast without looking at each cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc

INSTANT = pa.timestamp("us", "UTC")
WALL = pa.timestamp("us")
_SAMPLE = 256
_MOST_HALVINGS = 60
_EARLIEST, _LATEST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001 - bounds of any zone
_RANGES = {
    INSTANT: (_EARLIEST.replace(tzinfo=UTC), _LATEST.replace(tzinfo=UTC)),
    WALL: (_EARLIEST, _LATEST),
    pa.date32(): (date.min, date.max),
}


@dataclass(frozen=True, slots=True)
class Read:
    """A column that was read: `values` is null where `bad` is true; `bad` None means every cell could be read.

    `repeated` and `skipped` count zone-less times in a repeated hour and in a gap of the zone."""

    values: pa.Array
    bad: pa.Array | None = None
    repeated: int = 0
    skipped: int = 0


Cast = Callable[[pa.Array], pa.Array]


def cast_or_none(array: pa.Array, type: pa.DataType) -> pa.Array | None:
    """The whole column as `type`, or None when one cell cannot be read or lies outside the years 1 to 9999."""
    try:
        # A failing cast goes through all cells and is slow for each that fails; the first ones tell most of it.
        pc.cast(array.slice(0, _SAMPLE), type)
        values = pc.cast(array, type)
    except pa.ArrowInvalid:
        return None
    return values if in_range(values) else None


def in_range(values: pa.Array) -> bool:
    """Whether all dates and times lie in the years 1 to 9999; true for other types."""
    bounds = _RANGES.get(values.type)
    if bounds is None or values.null_count == len(values):
        return True
    low, high = (pa.scalar(bound, values.type) for bound in bounds)
    found = pc.min_max(values)
    return bool(pc.greater_equal(found["min"], low).as_py() and pc.less_equal(found["max"], high).as_py())


def having(array: pa.Array, form: str) -> pa.Array:
    """Which cells have a form; false for null."""
    return pc.fill_null(pc.match_substring_regex(array, form), False)


def only(array: pa.Array, mask: pa.Array) -> pa.Array:
    """The column with null wherever the mask is false."""
    return pc.if_else(mask, array, pa.scalar(None, array.type))


def read_with_form(array: pa.Array, form: str, cast: Cast) -> Read:
    """Reads the cells that can be cast; all other cells are bad. `form` is what the cast accepts."""
    values = cast_where_possible(array, form, cast)
    return Read(values, bad_where_lost(array, values))


def bad_where_lost(array: pa.Array, values: pa.Array) -> pa.Array | None:
    """Which cells had a text and have no value."""
    lost = pc.and_(pc.is_valid(array), pc.is_null(values))
    return lost if pc.any(lost).as_py() else None


def cast_where_possible(array: pa.Array, form: str, cast: Cast) -> pa.Array:
    """Casts what can be cast; a cell that cannot becomes null.

    A few bad cells are found by halving, which costs two casts each; where they are many, the form finds them all."""
    if _mostly_bad(array, form):
        array = only(array, having(array, form))
    pieces: list[pa.Array] = []
    pending = [(array, False)]
    failures = 0
    while pending:
        piece, masked = pending.pop()
        values = _cast_if_possible(piece, cast)
        if values is not None:
            pieces.append(values)
            continue
        failures += 1
        if len(piece) == 1:
            pieces.append(cast(pa.nulls(1, piece.type)))
        elif failures > _MOST_HALVINGS and not masked:
            pending.append((only(piece, having(piece, form)), True))
        else:
            middle = len(piece) // 2
            pending += [(piece.slice(middle), masked), (piece.slice(0, middle), masked)]
    return pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)


def _mostly_bad(array: pa.Array, form: str) -> bool:
    sample = array.slice(0, _SAMPLE)
    bad = pc.invert(pc.match_substring_regex(sample, form))
    return (pc.sum(pc.cast(bad, pa.int64())).as_py() or 0) * 20 > len(sample)


def _cast_if_possible(array: pa.Array, cast: Cast) -> pa.Array | None:
    try:
        values = cast(array)
    except pa.ArrowInvalid:
        return None
    return values if in_range(values) else None


def in_range_or_null(values: pa.Array) -> pa.Array:
    """Dates and times with null in place of those outside the years 1 to 9999."""
    bounds = _RANGES[values.type]
    low, high = (pa.scalar(bound, values.type) for bound in bounds)
    return only(values, pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high)))

"""From wire text to typed columns, one function for each type. Null stays null."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from crosstie.schema.conversions import forms
from crosstie.schema.conversions.columns import (
    INSTANT,
    WALL,
    Read,
    bad_where_lost,
    cast_or_none,
    cast_where_possible,
    having,
    in_range_or_null,
    only,
    read_with_form,
)
from crosstie.schema.conversions.zones import to_instants, to_wall

# A decimal has at most 18 digits before the point (the most that a CRM has) and 20 after it, which fill 38 digits.
MOST_DECIMALS = 20
_TOO_BIG = 10**18
_DAY_OF_TIMES = "1970-01-01T"


def read_text(array: pa.Array, length: int) -> Read:
    """Text as it is. What is longer than the field's own length is bad; 0 is no limit."""
    # A text has at least as many bytes as characters, and bytes are counted ten times as fast.
    if not length or (pc.max(pc.binary_length(array)).as_py() or 0) <= length:
        return Read(array)
    bad = pc.fill_null(pc.greater(pc.utf8_length(array), length), False)
    return Read(only(array, pc.invert(bad)), bad) if pc.any(bad).as_py() else Read(array)


def read_set(array: pa.Array) -> Read:
    """Values separated by ';' in canonical order: sorted, each once. Only distinct cells are looked at."""
    encoded = array.dictionary_encode()
    canonical = [_canonical_set(cell) for cell in encoded.dictionary.to_pylist()]
    return Read(pc.take(pa.array(canonical, pa.string()), encoded.indices))


@lru_cache(maxsize=4096)
def _canonical_set(cell: str) -> str:
    return ";".join(sorted({one for one in cell.split(";") if one}))


def read_integer(array: pa.Array) -> Read:
    """64-bit integers; a whole number may be written like a decimal (12.0)."""
    values = cast_or_none(array, pa.int64())
    if values is not None and not _hexadecimal(array):
        return Read(values)
    # pyarrow reads 0x1F as a number; nobody who writes it in a CRM means one.
    usual = only(array, pc.invert(having(array, "[xX]")))
    plain = cast_where_possible(usual, forms.INTEGER, lambda cells: pc.cast(cells, pa.int64()))
    rest = only(usual, pc.is_null(plain))
    whole = cast_where_possible(rest, forms.WHOLE, _whole)
    values = pc.coalesce(plain, whole)
    return Read(values, bad_where_lost(array, values))


def _hexadecimal(array: pa.Array) -> bool:
    return any(pc.any(pc.match_substring(array, letter)).as_py() for letter in "xX")


def _whole(cells: pa.Array) -> pa.Array:
    return pc.cast(pc.cast(only(cells, having(cells, forms.WHOLE)), pa.decimal128(38, 15)), pa.int64())


def read_decimal(array: pa.Array, scale: int) -> Read:
    """Exact decimals of the field's scale; a column that has more decimals is widened, never rounded."""
    values = cast_or_none(array, pa.decimal128(38, scale))
    if values is not None and _small_enough(values):
        return Read(values)
    widest = pa.decimal128(38, MOST_DECIMALS)
    # A decimal too big to parse is an error of the whole column, so what is too big is found as a float first.
    floats = cast_where_possible(array, forms.NUMBER, lambda cells: pc.cast(cells, pa.float64()))
    small = pc.fill_null(pc.less(pc.abs(floats), float(_TOO_BIG)), False)
    values = cast_where_possible(only(array, small), forms.NUMBER, lambda cells: pc.cast(cells, widest))
    return Read(_narrowed(values, scale), bad_where_lost(array, values))


def _small_enough(values: pa.Array) -> bool:
    if values.null_count == len(values):
        return True
    found = pc.min_max(values)
    return all(abs(found[end].as_py()) < _TOO_BIG for end in ("min", "max"))


def _narrowed(values: pa.Array, scale: int) -> pa.Array:
    """With as few decimals as hold every value, at least `scale`."""
    for fewer in range(scale, MOST_DECIMALS):
        try:
            return pc.cast(values, pa.decimal128(38, fewer))
        except pa.ArrowInvalid:
            continue
    return values


def read_float(array: pa.Array) -> Read:
    """Double precision; infinities and not-a-number are bad."""
    values = cast_or_none(array, pa.float64())
    if values is not None and pc.all(pc.is_finite(values)).as_py() is not False:
        return Read(values)
    numbers = cast_where_possible(array, forms.NUMBER, lambda cells: pc.cast(cells, pa.float64()))
    values = only(numbers, pc.fill_null(pc.is_finite(numbers), False))
    return Read(values, bad_where_lost(array, values))


def read_boolean(array: pa.Array) -> Read:
    """true, false, 1, 0, in any case."""
    values = cast_or_none(array, pa.bool_())
    return (
        Read(values) if values is not None else read_with_form(array, forms.BOOLEAN, lambda c: pc.cast(c, pa.bool_()))
    )


def read_date(array: pa.Array) -> Read:
    """YYYY-MM-DD."""
    values = cast_or_none(array, pa.date32())
    if values is not None:
        return Read(values)
    return read_with_form(array, forms.DATE, lambda cells: pc.cast(cells, pa.date32()))


def read_time(array: pa.Array) -> Read:
    """A time of day, 14:30:00.000Z or without Z."""
    values = None
    if _all_end(array, "Z"):
        values = cast_or_none(_dated(array), INSTANT)
    if values is None:
        values = cast_or_none(_dated(array), WALL)
    if values is not None:
        return Read(pc.cast(values, pa.time64("us")))
    return read_with_form(array, forms.CLOCK, _times)


def _times(cells: pa.Array) -> pa.Array:
    bare = pc.replace_substring_regex(cells, "Z$", "")
    return pc.cast(pc.cast(_dated(bare), WALL), pa.time64("us"))


def _dated(array: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(_DAY_OF_TIMES), array, "")


def _all_end(array: pa.Array, suffix: str) -> bool:
    return pc.all(pc.ends_with(array, suffix)).as_py() is not False


def read_instant(array: pa.Array, zone: ZoneInfo) -> Read:
    """Instants in UTC, from any of the wire's forms; a text without offset is read in `zone`."""
    values = cast_or_none(array, INSTANT)
    if values is not None:
        return Read(values)
    wall = cast_or_none(array, WALL)
    if wall is None:
        values = cast_where_possible(array, forms.ZONED, lambda cells: pc.cast(cells, INSTANT))
        array_left = only(array, pc.is_null(values))
        wall = cast_where_possible(array_left, forms.ZONELESS, lambda cells: pc.cast(cells, WALL))
    read = to_instants(wall, zone)
    found = [read.values] if values is None else [values, read.values, _from_epoch(array)]
    values = pc.coalesce(*found)
    return Read(values, bad_where_lost(array, values), read.repeated, read.skipped)


def _from_epoch(array: pa.Array) -> pa.Array:
    """Milliseconds since 1970, as Bulk API 1.0 writes instants in JSON."""
    milliseconds = pc.cast(only(array, having(array, forms.EPOCH_MILLISECONDS)), pa.int64())
    return in_range_or_null(pc.cast(pc.cast(milliseconds, pa.timestamp("ms", "UTC")), INSTANT))


def read_wall_clock(array: pa.Array) -> Read:
    """The wall-clock time as written, whatever offset follows it."""
    for suffix in ("Z", "+0000"):
        if _all_end(array, suffix):
            values = cast_or_none(array, INSTANT)
            if values is not None:
                return Read(pc.local_timestamp(values))
    values = cast_or_none(array, WALL)
    if values is not None:
        return Read(values)
    zoned = only(array, having(array, forms.ZONED))
    bare = pc.replace_substring_regex(zoned, forms.OFFSET_SUFFIX, "")
    zoneless = only(array, having(array, forms.ZONELESS))
    written = pc.cast(pc.coalesce(bare, zoneless), WALL)
    values = pc.coalesce(written, pc.local_timestamp(_from_epoch(array)))
    return Read(values, bad_where_lost(array, values))


def read_local_date(array: pa.Array, account_zone: ZoneInfo, zone: ZoneInfo) -> Read:
    """The date of an instant in `zone`."""
    instants = read_instant(array, account_zone)
    values = pc.cast(to_wall(instants.values, zone), pa.date32())
    return Read(values, bad_where_lost(array, values), instants.repeated, instants.skipped)


def read_date_of_wall_clock(array: pa.Array) -> Read:
    """The date of a wall-clock time."""
    read = read_wall_clock(array)
    return Read(pc.cast(read.values, pa.date32()), read.bad)

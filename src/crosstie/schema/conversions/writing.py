"""From typed columns to wire text, the reverse of reading. Null stays null."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from crosstie.schema.conversions.columns import WALL
from crosstie.schema.conversions.zones import to_instants


def write_instant(array: pa.Array) -> pa.Array:
    """2026-11-23T01:07:37.000Z; microseconds are written only where milliseconds would lose something. The text of a
    value does not depend on the values beside it."""
    text = pc.cast(pc.cast(array, pa.timestamp("us", "UTC")), pa.string())
    text = pc.replace_substring_regex(text, r"000Z$", "Z")
    return pc.replace_substring(text, " ", "T", max_replacements=1)


def write_wall_clock(array: pa.Array) -> pa.Array:
    """The wall-clock time as it stands, marked as UTC: what an import without time offset took away."""
    return write_instant(pc.assume_timezone(pc.cast(array, WALL), "UTC"))


def write_zoned_wall_clock(array: pa.Array, zone: ZoneInfo) -> pa.Array:
    """The instant at which clocks in `zone` show that time."""
    return write_instant(to_instants(pc.cast(array, WALL), zone).values)


def write_midnight(array: pa.Array, zone: ZoneInfo) -> pa.Array:
    """The first instant of a date in `zone`."""
    return write_zoned_wall_clock(pc.cast(array, WALL), zone)


def write_time(array: pa.Array) -> pa.Array:
    """14:30:00.000Z."""
    text = pc.replace_substring_regex(pc.cast(array, pa.string()), r"000$", "")
    return pc.binary_join_element_wise(text, "Z", "")


def write_decimal(array: pa.Array) -> pa.Array:
    """Plain decimals, without exponent."""
    text = pc.cast(array, pa.string())
    exponents = pc.match_substring(text, "E")
    if not pc.any(exponents).as_py():
        return text
    encoded = text.dictionary_encode()
    plain = [format(Decimal(one), "f") for one in encoded.dictionary.to_pylist()]
    return pc.take(pa.array(plain, pa.string()), encoded.indices)


def write_plain(array: pa.Array) -> pa.Array:
    """Text, numbers, booleans (true, false) and dates (YYYY-MM-DD) as pyarrow writes them."""
    return pc.cast(array, pa.string())

"""Between wall-clock times and instants, a column at a time, for every year.

pyarrow knows the changes of a zone only to 2037, as the system's files list them; what lies later is asked of
`zoneinfo`, each distinct time once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from crosstie.errors import ConfigError
from crosstie.schema.conversions.columns import INSTANT, WALL, Read, in_range_or_null, only

_LAST_KNOWN = datetime(2037, 1, 1)  # noqa: DTZ001 - a wall-clock time


def to_instants(wall: pa.Array, zone: ZoneInfo) -> Read:
    """Wall-clock times of a zone as instants: a repeated hour is its first occurrence, a time in a gap the first
    instant after it; both are counted. Null where the instant would lie outside the years 1 to 9999."""
    late = _late(wall, _LAST_KNOWN)
    if late is None:
        return _known_to_instants(wall, zone)
    early = _known_to_instants(only(wall, pc.invert(late)), zone)
    distinct = only(wall, late).dictionary_encode()
    read = [_one_instant(one, zone) for one in distinct.dictionary.to_pylist()]
    values = pc.take(pa.array([instant for instant, _, _ in read], INSTANT), distinct.indices)
    counts = [
        pc.sum(pc.take(pa.array([one[which] for one in read], pa.int64()), distinct.indices)).as_py() or 0
        for which in (1, 2)
    ]
    return Read(pc.coalesce(early.values, values), None, early.repeated + counts[0], early.skipped + counts[1])


def to_wall(instants: pa.Array, zone: ZoneInfo) -> pa.Array:
    """What clocks in `zone` show at each instant. Null where that would lie outside the years 1 to 9999."""
    late = _late(instants, _LAST_KNOWN.replace(tzinfo=UTC))
    if late is None:
        return _known_to_wall(instants, zone)
    early = _known_to_wall(only(instants, pc.invert(late)), zone)
    distinct = only(instants, late).dictionary_encode()
    read = pa.array([_one_wall(one, zone) for one in distinct.dictionary.to_pylist()], WALL)
    return pc.coalesce(early, pc.take(read, distinct.indices))


def _late(values: pa.Array, limit: datetime) -> pa.Array | None:
    late = pc.greater_equal(values, pa.scalar(limit, values.type))
    return pc.fill_null(late, False) if pc.any(late).as_py() else None


def _known_to_instants(wall: pa.Array, zone: ZoneInfo) -> Read:
    try:
        return Read(in_range_or_null(pc.cast(pc.assume_timezone(wall, zone.key), INSTANT)))
    except pa.ArrowInvalid as error:
        if "locate" in str(error):
            raise _unknown_zone(zone) from error
    chosen = pc.assume_timezone(wall, zone.key, ambiguous="earliest", nonexistent="latest")
    later = pc.assume_timezone(wall, zone.key, ambiguous="latest", nonexistent="latest")
    repeated = _count(pc.not_equal(chosen, later))
    skipped = _count(pc.not_equal(pc.local_timestamp(chosen), wall))
    return Read(in_range_or_null(pc.cast(chosen, INSTANT)), None, repeated, skipped)


def _known_to_wall(instants: pa.Array, zone: ZoneInfo) -> pa.Array:
    try:
        return in_range_or_null(pc.local_timestamp(pc.cast(instants, pa.timestamp("us", zone.key))))
    except pa.ArrowInvalid as error:
        raise _unknown_zone(zone) from error


def _count(mask: pa.Array) -> int:
    return int(pc.sum(pc.cast(mask, pa.int64())).as_py() or 0)


def _one_instant(wall: datetime | None, zone: ZoneInfo) -> tuple[datetime | None, int, int]:
    """The instant, and whether the time is repeated, and whether it is in a gap."""
    if wall is None:
        return None, 0, 0
    try:
        first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first == second:
            return first, 0, 0
        if first < second:
            return first, 1, 0
        return _end_of_gap(second, first, zone), 0, 1
    except OverflowError:
        return None, 0, 0


def _end_of_gap(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The first instant of the new offset, which lies in (low, high]."""
    before = low.astimezone(zone).utcoffset()
    while (high - low).total_seconds() > 1:
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if middle <= low:
            break
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def _one_wall(instant: datetime | None, zone: ZoneInfo) -> datetime | None:
    if instant is None:
        return None
    try:
        return instant.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return None


def _unknown_zone(zone: ZoneInfo) -> ConfigError:
    return ConfigError(
        f"The system's time zone data does not have {zone.key}.",
        hint="Install it (package tzdata), or name the zone otherwise.",
    )

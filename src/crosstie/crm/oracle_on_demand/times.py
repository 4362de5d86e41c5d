"""Dates and times on the wire (Web Services guide, "Dates"): v1.0 writes `MM/DD/YYYY hh:mm:ss` in the user's zone and
says none; v2.0 writes XSD texts in UTC, unless the account says that its Z is a false one.

What is read gets the offset of its zone, so that every conversion finds both the instant and the wall clock. An hour
that clocks show twice is read as its first occurrence; a window that ends or begins in one reaches around all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from crosstie.errors import RequestError

_V1 = re.compile(r"(\d\d)/(\d\d)/(\d{4})(?: (\d\d:\d\d:\d\d))?", re.ASCII)
_XSD = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?", re.ASCII)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WireTimes:
    """How one account and version writes dates and times. `zone` is that of the wall clock that the wire shows, None
    where it shows UTC; `is_text` is the form of v1.0."""

    zone: ZoneInfo | None
    is_text: bool

    def instant_literal(self, instant: datetime, *, up: bool = False) -> str:
        """An instant as the wire has it; `up` rounds up to a whole second instead of down."""
        return self._written(_whole_second(instant, up=up))

    def date_literal(self, day: date) -> str:
        """A date as the wire has it."""
        if self.is_text:
            return f"{day.month:02}/{day.day:02}/{day.year:04}"
        return f"{day.year:04}-{day.month:02}-{day.day:02}"

    def at_least(self, instant: datetime) -> str:
        """A literal L so that [field] >= L misses nothing that is at or after the instant: before the whole of an hour
        that clocks show twice."""
        whole = _whole_second(instant, up=True)
        repeated = self._repeated(whole)
        return self._written_wall(repeated[0] - _SECOND) if repeated else self._written(whole)

    def before(self, instant: datetime) -> str:
        """A literal L so that [field] < L misses nothing before the instant: behind the whole of such an hour."""
        whole = _whole_second(instant, up=True)
        repeated = self._repeated(whole)
        return self._written_wall(repeated[1]) if repeated else self._written(whole)

    def read_instant(self, text: str) -> str:
        """The wire's text as ISO with an offset. A text of no known form stays as it is, to be refused as a value."""
        if self.zone is None and not self.is_text:
            return text
        return _zoned(text, self.zone.key if self.zone else "UTC")

    def read_date(self, text: str) -> str:
        """The wire's text as an ISO date; as it is where it has no form that is known."""
        found = _V1.fullmatch(text)
        if found:
            return f"{found[3]}-{found[1]}-{found[2]}"
        known = _XSD.fullmatch(text)
        return known[1] if known else text

    def is_repeated(self, text: str) -> bool:
        """Whether a text of `read_instant` stands in an hour that its zone has twice."""
        if self.zone is None or len(text) < 19:
            return False
        try:
            wall = datetime.fromisoformat(text[:19])
        except ValueError:
            return False
        return _offset(wall, self.zone, 0) > _offset(wall, self.zone, 1)

    def _written(self, instant: datetime) -> str:
        return self._written_wall(instant.astimezone(self.zone or UTC).replace(tzinfo=None))

    def _written_wall(self, wall: datetime) -> str:
        if self.is_text:
            return f"{wall.month:02}/{wall.day:02}/{wall.year:04} {wall:%H:%M:%S}"
        return f"{wall.year:04}-{wall:%m-%dT%H:%M:%S}Z"

    def _repeated(self, instant: datetime) -> tuple[datetime, datetime] | None:
        """The wall-clock times between which clocks show everything twice, if the instant stands there."""
        if self.zone is None:
            return None
        wall = instant.astimezone(self.zone).replace(tzinfo=None)
        first, second = _offset(wall, self.zone, 0), _offset(wall, self.zone, 1)
        if first <= second:
            return None
        low, high = (wall - first).replace(tzinfo=UTC), (wall - second).replace(tzinfo=UTC)
        while high - low > _SECOND:
            middle = (low + (high - low) / 2).replace(microsecond=0)
            if middle <= low:
                break
            low, high = (middle, high) if middle.astimezone(self.zone).utcoffset() == first else (low, middle)
        change = high.replace(tzinfo=None)
        return change + second, change + first


def _whole_second(instant: datetime, *, up: bool) -> datetime:
    if instant.tzinfo is None:
        raise RequestError(f"The instant {instant} has no time zone.")
    utc = instant.astimezone(UTC)
    return utc.replace(microsecond=0) + (_SECOND if up and utc.microsecond else timedelta())


def _offset(wall: datetime, zone: ZoneInfo, fold: int) -> timedelta:
    return wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()


@lru_cache(maxsize=8192)
def _zoned(text: str, zone: str) -> str:
    found = _V1.fullmatch(text)
    if found:
        day, clock = f"{found[3]}-{found[1]}-{found[2]}", found[4]
    else:
        known = _XSD.fullmatch(text)
        if known is None:
            return text
        day, clock = known[1], known[2]
    try:
        wall = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}")
    except ValueError:
        return text
    return wall.replace(tzinfo=ZoneInfo(zone)).isoformat()

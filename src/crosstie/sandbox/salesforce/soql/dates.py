"""Date and datetime literals, and the date literals (TODAY, LAST_N_DAYS:n ..) as ranges of days in the user's zone.

Meaning of each: SOQL and SOSL Reference, "Date Formats and Date Literals". Weeks begin on Sunday (locale en_US); the
org's fiscal year is the calendar year.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DATETIME = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-]\d{2}:?\d{2})")
_TIME = re.compile(r"(\d{2}:\d{2}:\d{2})(\.\d+)?Z")
_MAX_N = 100_000

Days = tuple[date, date]


def stored_datetime(moment: datetime) -> str:
    """The form in which datetimes are stored: UTC, milliseconds, `+0000`."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='milliseconds')}+0000"


def read_datetime(text: str) -> str | None:
    """A datetime literal in stored form (finer than a millisecond is cut off), or None if there is no such time."""
    match = _DATETIME.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    micros = f"{fraction or '.0'}000000"[1:7]
    offset = "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}"
    try:
        return stored_datetime(datetime.fromisoformat(f"{day}T{clock}.{micros}{offset}"))
    except (ValueError, OverflowError):
        return None


def read_date(text: str) -> str | None:
    """A date literal in stored form, or None if there is no such day."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def read_time(text: str) -> str | None:
    """A time literal in stored form, or None if there is no such time."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    clock, fraction = match.groups()
    millis = f"{fraction or '.0'}000"[1:4]
    try:
        time.fromisoformat(clock)
    except ValueError:
        return None
    return f"{clock}.{millis}Z"


def midnight(day: date, zone: ZoneInfo) -> str:
    """The instant at which a day begins in a zone, in stored form."""
    return stored_datetime(datetime.combine(day, time(), tzinfo=zone))


def _week(day: date) -> date:
    return day - timedelta(days=(day.weekday() + 1) % 7)


def _month(day: date, by: int = 0) -> date:
    index = day.year * 12 + day.month - 1 + by
    return date(index // 12, index % 12 + 1, 1)


def _quarter(day: date, by: int = 0) -> date:
    return _month(date(day.year, (day.month - 1) // 3 * 3 + 1, 1), by * 3)


def _year(day: date, by: int = 0) -> date:
    return date(day.year + by, 1, 1)


def _plus_weeks(day: date, by: int = 0) -> date:
    return _week(day) + timedelta(weeks=by)


_UNITS: dict[str, Callable[[date, int], date]] = {
    "WEEK": _plus_weeks,
    "MONTH": _month,
    "QUARTER": _quarter,
    "YEAR": _year,
    "FISCAL_QUARTER": _quarter,
    "FISCAL_YEAR": _year,
}


def _plain(word: str, today: date) -> Days | None:
    one = timedelta(days=1)
    fixed: dict[str, tuple[int, int]] = {
        "YESTERDAY": (-1, 0),
        "TODAY": (0, 1),
        "TOMORROW": (1, 2),
        "LAST_90_DAYS": (-90, 1),
        "NEXT_90_DAYS": (1, 91),
    }
    if word in fixed:
        start, end = fixed[word]
        return today + one * start, today + one * end
    prefix, _, unit = word.partition("_")
    shift = {"LAST": -1, "THIS": 0, "NEXT": 1}.get(prefix)
    if shift is None or unit not in _UNITS:
        return None
    begin = _UNITS[unit]
    return begin(today, shift), begin(today, shift + 1)


def _counted(word: str, n: int, today: date) -> Days | None:
    one = timedelta(days=1)
    if word == "LAST_N_DAYS":
        return today - one * n, today + one
    if word == "NEXT_N_DAYS":
        return today + one, today + one * (n + 1)
    if word == "N_DAYS_AGO":
        return today - one * n, today - one * (n - 1)
    match = re.fullmatch(r"(?:(LAST|NEXT)_N_(\w+)S|N_(\w+)S_AGO)", word)
    if match is None or (match.group(2) or match.group(3)) not in _UNITS:
        return None
    begin = _UNITS[match.group(2) or match.group(3)]
    if match.group(1) == "LAST":
        return begin(today, -n), begin(today, 0)
    if match.group(1) == "NEXT":
        return begin(today, 1), begin(today, n + 1)
    return begin(today, -n), begin(today, 1 - n)


def days(literal: str, now: datetime, zone: ZoneInfo) -> Days | None:
    """The days [first, after last) that a date literal covers; None if there is no such literal.

    Raises OverflowError or ValueError when it reaches before year 1 or beyond 9999.
    """
    word, _, count = literal.upper().replace(" ", "").partition(":")
    today = now.astimezone(zone).date()
    if not count:
        return _plain(word, today)
    n = int(count)
    if n > _MAX_N:
        raise ValueError(literal)
    return _counted(word, n, today)

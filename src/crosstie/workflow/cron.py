"""Schedules as cron writes them: minute, hour, day of month, month, day of week (POSIX crontab, with names and steps).

A day fits when it fits the day of month and the day of week; where both are restricted, one of them is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time
from functools import lru_cache

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class _Field:
    what: str
    first: int
    last: int
    names: Sequence[str] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _DAYS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A read cron expression; days of the week count from 0, Sunday."""

    times: tuple[time, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def fits(self, day: date) -> bool:
        """Whether it fires on that day."""
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        return by_day or by_weekday if not self.any_day and not self.any_weekday else by_day and by_weekday


@lru_cache
def read_cron(text: str) -> Cron:
    """Reads five fields. Raises ValueError in words for people."""
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(
            f"“{text}” is not a cron expression: it has {len(parts)} fields instead of 5"
            " (minute, hour, day of month, month, day of week), like “30 8 * * 1-5”"
        )
    minutes, hours, days, months, weekdays = (_read(part, field) for part, field in zip(parts, _FIELDS, strict=True))
    return Cron(
        times=tuple(time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes)),
        days=days,
        months=months,
        weekdays=frozenset(one % 7 for one in weekdays),
        any_day=parts[2].startswith("*"),
        any_weekday=parts[4].startswith("*"),
    )


def _read(text: str, field: _Field) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = int(step_text) if step_text.isdecimal() else 0
        if slash and step < 1:
            raise ValueError(f"“{part}” is not a {field.what} of cron: the step after “/” is a number from 1")
        first, dash, last = span.partition("-")
        if span == "*":
            low, high = field.first, field.last
        else:
            low = _number(first, field, part)
            high = _number(last, field, part) if dash else field.last if slash else low
        if high < low:
            raise ValueError(f"“{part}” is not a {field.what} of cron: the range ends before it begins")
        found.update(range(low, high + 1, step or 1))
    return frozenset(found)


def _number(text: str, field: _Field, part: str) -> int:
    word = text.lower()
    if word in field.names:
        return list(field.names).index(word) + field.first
    if word.isdecimal() and field.first <= int(word) <= field.last:
        return int(word)
    raise ValueError(f"“{part}” is not a {field.what} of cron: it is between {field.first} and {field.last}")

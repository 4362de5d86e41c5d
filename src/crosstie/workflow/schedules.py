"""When a schedule fires: pure functions of an instant, the schedule and a time zone.

Schedules are written in local time. A local time that does not exist fires at the first instant after the gap; one that
exists twice fires once, the first time (workflow semantics, Time zones).
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_serializer, field_validator, model_validator

from crosstie.workflow.cron import Cron, read_cron
from crosstie.workflow.durations import WrittenDuration, parse_duration

# More often than this is worth a warning (workflow semantics, Scheduler).
OFTEN = timedelta(minutes=15)
# A day that comes seldom, like February 29th or a fifth Monday in one, comes within so many days.
_FARTHEST_DAYS = 366 * 9
_DAY = timedelta(days=1)
# No zone is set back or forward by more than this at once, but for dates that are left out.
_MARGIN = timedelta(hours=26)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_LOCAL_FORMATS = ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else [value]


def _read_time(value: object) -> time:
    if isinstance(value, time):
        return value
    found = _TIME.fullmatch(str(value).strip())
    if found is None:
        raise ValueError(f"“{value}” is not a time of day; write it like “08:30”")
    return time(int(found[1]), int(found[2]), int(found[3] or 0))


def _read_local(value: object) -> datetime:
    """A date and time without zone; a date alone is its first moment."""
    if isinstance(value, datetime):
        return value
    text = str(value).strip()
    for form in ("%Y-%m-%d", *_LOCAL_FORMATS):
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - local time, its zone is the schedule's
        except ValueError:
            continue
    raise ValueError(f"“{value}” is not a date and time; write it like 2026-12-01 08:00, in the schedule's time zone")


def _read_end(value: object) -> datetime:
    """As `_read_local`; a date alone is its last second."""
    end = _read_local(value)
    return end + _DAY - timedelta(seconds=1) if isinstance(value, str) and len(value.strip()) == 10 else end


def _read_days(value: Any) -> Any:
    """`mon-fri`, `sat, sun` or a list: the numbers of the days, Monday is 0."""
    if isinstance(value, list | tuple) and all(isinstance(one, int) for one in value):
        return value
    found: set[int] = set()
    for part in (one.strip() for text in _listed(value) for one in str(text).split(",")):
        first, dash, last = (one.strip() for one in part.partition("-"))
        low, high = _weekday(first, part), _weekday(last if dash else first, part)
        found.update((low + step) % 7 for step in range((high - low) % 7 + 1))
    return sorted(found)


def _weekday(word: str, part: str) -> int:
    matching = [place for place, name in enumerate(_WEEKDAYS) if len(word) > 1 and name.startswith(word.lower())]
    if len(matching) != 1:
        raise ValueError(f"“{part}” is not a day of the week; write mon, tue, …, or mon-fri")
    return matching[0]


def _read_month_day(value: object) -> str:
    """`15`, `last day` or `first monday`, in that spelling."""
    text = " ".join(str(value).lower().split())
    if text == "last day" or (text.isdecimal() and 1 <= int(text) <= 31):
        return text
    ordinal, _, name = text.partition(" ")
    if ordinal not in (*_ORDINALS, "last") or not name:
        raise ValueError(f"“{value}” is not a day of the month; write 15, last day, first monday or last friday")
    return f"{ordinal} {_WEEKDAYS[_weekday(name, name)]}"


# What people write, in the JSON schema.
_WrittenTime = Annotated[
    str, Field(pattern=r"^\s*([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?\s*$", examples=["08:30"])
]
_WrittenLocal = Annotated[
    str,
    Field(
        pattern=r"^\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ T][0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2})?)?\s*$",
        examples=["2026-12-01 08:00"],
    ),
]
_WrittenMonthDay = Annotated[int, Field(ge=1, le=31)] | Annotated[str, Field(examples=["last day", "first monday"])]
_WrittenDay = Annotated[int, Field(ge=0, le=6)] | Annotated[str, Field(examples=["mon-fri"])]

Clock = Annotated[time, BeforeValidator(_read_time, json_schema_input_type=_WrittenTime)]
Local = Annotated[datetime, BeforeValidator(_read_local, json_schema_input_type=_WrittenLocal)]
End = Annotated[datetime, BeforeValidator(_read_end, json_schema_input_type=_WrittenLocal)]
MonthDay = Annotated[str, BeforeValidator(_read_month_day, json_schema_input_type=_WrittenMonthDay)]


class Schedule(BaseModel):
    """When something is begun: days, and times of day. All in local time of the time zone in force."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    once: Local | None = Field(None, description="a single date and time, like 2026-12-01 08:00")
    every: timedelta | None = Field(None, description="several times a day: an interval, like 15m or 1h")
    between: tuple[Clock, Clock] | None = Field(
        None, description='with every: from when to when, both included, like ["07:00", "21:00"]'
    )
    at: tuple[Clock, ...] = Field((), description='a time of day, like "08:30", or a list')
    days: tuple[int, ...] = Field((), description="the days of the week, like mon-fri or [mon, thu]; by default all")
    monthly: tuple[MonthDay, ...] = Field(
        (), description="the days of the month: 15, last day, first monday, last friday, or a list"
    )
    cron: str = Field("", description="minute, hour, day of month, month, day of week, as cron writes them")
    since: Local | None = Field(None, description="it does not fire before this date, or date and time")
    until: End | None = Field(None, description="nor after this date, or date and time")
    times: int | None = Field(None, ge=1, description="nor more often than this since it was started")
    late: timedelta | None = Field(
        None, description="how late it may still fire when it was missed; by default however late, but once"
    )

    _every_and_late = field_validator("every", "late", mode="before", json_schema_input_type=WrittenDuration | None)(
        lambda value: None if value is None else parse_duration(value)
    )
    _times = field_validator("at", mode="before", json_schema_input_type=_WrittenTime | list[_WrittenTime])(_listed)
    _month_days = field_validator(
        "monthly", mode="before", json_schema_input_type=_WrittenMonthDay | list[_WrittenMonthDay]
    )(_listed)
    _week = field_validator("days", mode="before", json_schema_input_type=_WrittenDay | list[_WrittenDay])(_read_days)

    @field_validator(
        "between",
        mode="before",
        json_schema_input_type=Annotated[list[_WrittenTime], Field(min_length=2, max_length=2)] | None,
    )
    @classmethod
    def _two(cls, value: Any) -> Any:
        if value is not None and (not isinstance(value, list | tuple) or len(value) != 2):
            raise ValueError('between takes two times of day, like ["07:00", "21:00"]')
        return value

    @field_validator("cron")
    @classmethod
    def _cron(cls, value: str) -> str:
        if value:
            read = read_cron(value)
            if not any(read.fits(date(2000, 1, 1) + step * _DAY) for step in range(_FARTHEST_DAYS)):
                raise ValueError(f"“{value}” never fires: no month has such a day")
        return value

    @field_serializer("every", "late")
    def _written(self, value: timedelta | None) -> str | None:
        return None if value is None else f"{int(value.total_seconds())}s"

    @model_validator(mode="after")
    def _one_frequency(self) -> Self:
        given = [name for name in ("once", "every", "at", "cron") if getattr(self, name)]
        if self.every is not None and self.every <= timedelta(0):
            raise ValueError("every is longer than nothing, like 15m")
        if not given:
            raise ValueError(
                "it does not say when: give one of every (like 1h), at (like “08:30”), once (like 2026-12-01 08:00)"
                " or cron"
            )
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} can't stand together; keep one of them")
        if self.between is not None and self.every is None:
            raise ValueError("between goes with every; with at, list the times")
        if self.every is not None and self.every >= _DAY:
            raise ValueError("every is an interval within a day; for whole days give at, and days or monthly")
        if given[0] in ("once", "cron") and (self.days or self.monthly):
            raise ValueError(f"days and monthly go with every or at, not with {given[0]}")
        if self.days and self.monthly:
            raise ValueError("days and monthly can't stand together; keep one of them")
        if self.since is not None and self.until is not None and self.until < self.since:
            raise ValueError("until lies before since")
        return self

    def after(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        """The first firing later than an instant, in UTC; None when there is none any more. `times` is not counted
        here."""
        if self.once is not None:
            return next((one for one in self._within((self.once,), zone) if one > instant), None)
        begin = max(instant, to_instant(self.since, zone)) if self.since is not None else instant
        margin = timedelta() if _is_even(begin, zone) else _MARGIN
        near = begin.astimezone(zone).replace(tzinfo=None) - margin
        day = near.date() - _DAY
        for _ in range(_FARTHEST_DAYS):
            for one in self._within(self._on(day, near), zone):
                if one > instant:
                    return one
            if self.until is not None and day > self.until.date():
                return None
            day += _DAY
        return None

    def latest(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        """The last firing not later than an instant, in UTC; None when there was none yet."""
        if self.once is not None:
            return next((one for one in self._within((self.once,), zone) if one <= instant), None)
        end = min(instant, to_instant(self.until, zone)) if self.until is not None else instant
        day = end.astimezone(zone).date() + _DAY
        for _ in range(_FARTHEST_DAYS):
            found = [one for one in self._within(self._on(day), zone) if one <= instant]
            if found:
                return found[-1]
            if self.since is not None and day < self.since.date() - _DAY:
                return None
            day -= _DAY
        return None

    def shortest(self) -> timedelta | None:
        """The shortest time between two firings of one day; None when it fires at most once a day."""
        if self.every is not None:
            return self.every
        times = sorted(self.at or (read_cron(self.cron).times if self.cron else ()))
        seconds = [one.hour * 3600 + one.minute * 60 + one.second for one in times]
        gaps = [later - earlier for earlier, later in pairwise(seconds)]
        return timedelta(seconds=min(gaps)) if gaps else None

    def _within(self, locals_: Iterable[datetime], zone: ZoneInfo) -> Iterator[datetime]:
        """The instants of local times that lie within the validity."""
        since = to_instant(self.since, zone) if self.since is not None else None
        until = to_instant(self.until, zone) if self.until is not None else None
        for local in locals_:
            one = to_instant(local, zone)
            if (since is None or one >= since) and (until is None or one <= until):
                yield one

    def _on(self, day: date, near: datetime | None = None) -> Iterator[datetime]:
        """The local times of that day, in order, for `every` from `near` onward; a range beyond midnight belongs to the
        day on which it begins."""
        cron = read_cron(self.cron) if self.cron else None
        if not self._fits(day, cron):
            return
        if self.every is None:
            for one in sorted(set(cron.times if cron else self.at)):
                yield datetime.combine(day, one)
            return
        here = datetime.combine(day, self.between[0] if self.between else time())
        end = datetime.combine(day, self.between[1]) if self.between else datetime.combine(day + _DAY, time())
        if self.between and end < here:
            end += _DAY
        if near is not None and near > here:
            here += (near - here) // self.every * self.every
        while here < end or (self.between and here == end):
            yield here
            here += self.every

    def _fits(self, day: date, cron: Cron | None) -> bool:
        if cron is not None:
            return cron.fits(day)
        if self.monthly:
            return any(_is_month_day(day, one) for one in self.monthly)
        return not self.days or day.weekday() in self.days


def _is_even(instant: datetime, zone: ZoneInfo) -> bool:
    """Whether the zone's offset stays the same around an instant, so that local times sort like instants."""
    offsets = {(instant + step).astimezone(zone).utcoffset() for step in (-_MARGIN, timedelta(), _MARGIN)}
    return len(offsets) == 1


def _is_month_day(day: date, written: str) -> bool:
    last = calendar.monthrange(day.year, day.month)[1]
    if written.isdecimal():
        return day.day == int(written)
    if written == "last day":
        return day.day == last
    ordinal, _, name = written.partition(" ")
    if day.weekday() != _WEEKDAYS.index(name):
        return False
    return day.day + 7 > last if ordinal == "last" else (day.day - 1) // 7 == _ORDINALS.index(ordinal)


def to_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a local time: the first of two, and the end of the gap for one that does not exist."""
    early, late = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (1, 0))
    if late.astimezone(zone).replace(tzinfo=None) == local:
        return late
    # In a gap fold 0 counts with the offset before it, and so lies behind it; fold 1 the other way (PEP 495).
    offset = late.astimezone(zone).utcoffset()
    while late - early > timedelta(microseconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return late

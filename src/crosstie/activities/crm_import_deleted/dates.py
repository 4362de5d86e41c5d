"""The dates between which deletions are looked for: as people write them, and the instants that they mean.

Both ends are included. A time without zone is on the clock of the zone in force; a date alone is all of that day. Of an
hour that the zone has twice the start is the first, the end the second; of one that it leaves out both are its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from crosstie.errors import MappingError, ScriptError
from crosstie.script.engine import ScriptScope
from crosstie.script.template import Template
from crosstie.workflow.schedules import to_instant

_FORM = re.compile(
    r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})"
    r"(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:[.](\d{1,6}))?)?\s*(Z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_FIRST_YEAR, _LAST_YEAR = 1900, 2999
_HOW = "write it like 2026-12-01 or 2026-12-01 08:00"
TICK = timedelta(milliseconds=1)
"""No CRM tells instants more finely: the last one of a day lies so much before the next day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A date, or a date and time; `zoned` where it bears its own zone."""

    at: datetime
    whole_day: bool = False

    @property
    def zoned(self) -> bool:
        """Whether it is an instant, whatever zone is in force."""
        return self.at.tzinfo is not None

    def first(self, zone: ZoneInfo) -> datetime:
        """The first instant of it, in UTC."""
        return self.at.astimezone(UTC) if self.zoned else to_instant(self.at, zone)

    def last(self, zone: ZoneInfo) -> datetime:
        """The last instant of it, in UTC."""
        if self.zoned:
            return self.at.astimezone(UTC)
        if self.whole_day:
            return to_instant(self.at + timedelta(days=1), zone) - TICK
        second = self.at.replace(tzinfo=zone, fold=1).astimezone(UTC)
        return second if second.astimezone(zone).replace(tzinfo=None) == self.at else to_instant(self.at, zone)


def read_moment(value: object) -> Moment:
    """What is written, or what an expression gave. Raises ValueError, in words for people, where it is no date."""
    if isinstance(value, datetime):
        return Moment(at=value if value.tzinfo else value.replace(tzinfo=UTC))
    found = _FORM.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"“{value}” is not a date; {_HOW}" if value not in (None, "") else f"it is empty; {_HOW}")
    year, _, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        here = datetime(  # noqa: DTZ001 - local time, its zone is the one in force
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "0").ljust(6, "0")),
        )
        if offset:
            here = here.replace(tzinfo=_offset(offset))
        if not _FIRST_YEAR <= here.year <= _LAST_YEAR:
            raise ValueError(f"years are {_FIRST_YEAR} to {_LAST_YEAR}")
    except (ValueError, OverflowError) as error:
        raise ValueError(f"“{value}” is not a date: {error}") from error
    return Moment(at=here, whole_day=hour is None)


def _offset(text: str) -> timezone:
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=minutes if text[0] == "+" else -minutes))


def check_written(text: str) -> str:
    """For validation: a text without expressions has to be a date. Raises ValueError."""
    try:
        literal = Template(text).is_literal
    except ScriptError as error:
        raise ValueError(f"{error.message} {error.hint}".strip()) from error
    if literal:
        read_moment(text)
    return text


def moment_of(name: str, text: str, scope: ScriptScope) -> Moment:
    """What a key's text is when the task runs. Raises MappingError, naming the key."""
    try:
        return read_moment(Template(text).value(scope))
    except ScriptError as error:  # a mistake in the definition, which never takes the Error transition
        raise MappingError(f"{name}: {error.message}", hint=error.hint) from error
    except ValueError as error:
        raise MappingError(f"{name}: {error}.", hint=f"Nothing was read. It is written as {text}") from error

"""Dates as text in a time zone: what `formatDate` and `parseDate` do. JavaScript itself knows no zone but UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crosstie.errors import ScriptError

DEFAULT_PATTERN = "yyyy/MM/dd hh:mm:ss"
# Letters, the part of a time that they stand for, and its digits; anything else in a pattern stands for itself.
_PARTS = {
    "yyyy": ("year", 4),
    "MM": ("month", 2),
    "dd": ("day", 2),
    "hh": ("hour", 2),
    "mm": ("minute", 2),
    "ss": ("second", 2),
    "SSS": ("millisecond", 3),
}
_PIECES = re.compile("|".join(_PARTS))


def format_date(instant: datetime, pattern: str, zone: tzinfo) -> str:
    """The instant as text on the clock of that zone, 24 hours."""
    local = instant.astimezone(zone)

    def written(match: re.Match[str]) -> str:
        part, digits = _PARTS[match[0]]
        value = local.microsecond // 1000 if part == "millisecond" else getattr(local, part)
        return f"{value:0{digits}d}"

    return _PIECES.sub(written, pattern)


def parse_date(text: str, pattern: str, zone: tzinfo) -> datetime:
    """The instant that a text of that pattern means on the clock of that zone; of an hour that exists twice the first,
    of one that does not the instant after the gap. Raises ScriptError."""
    found = re.fullmatch(_expression(pattern), text.strip())
    if found is None:
        raise ScriptError(f"“{text}” is not a date like {pattern}.")
    given = {name: int(value) for name, value in found.groupdict().items()}
    try:
        local = datetime(
            given.get("year", 1970),
            given.get("month", 1),
            given.get("day", 1),
            given.get("hour", 0),
            given.get("minute", 0),
            given.get("second", 0),
            given.get("millisecond", 0) * 1000,
            tzinfo=zone,
        )
        return local.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ScriptError(f"“{text}” is not a date: {error}.") from error


def zone_of(name: str | None, default: tzinfo) -> tzinfo:
    """The zone of that IANA name, else the default. Raises ScriptError for a name that is none."""
    if not name:
        return default
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ScriptError(f"“{name}” is not a time zone.", hint="Write a name like Europe/Paris.") from error


def _expression(pattern: str) -> str:
    parts: list[str] = []
    end = 0
    seen: set[str] = set()
    for match in _PIECES.finditer(pattern):
        part, digits = _PARTS[match[0]]
        if part in seen:
            raise ScriptError(f"The pattern {pattern} has {match[0]} twice.")
        seen.add(part)
        parts += [re.escape(pattern[end : match.start()]), f"(?P<{part}>[0-9]{{{digits}}})"]
        end = match.end()
    return "".join([*parts, re.escape(pattern[end:])])

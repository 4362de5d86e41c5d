"""Durations as people write them: 10m, 1h30m, 90s, 2d."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import WithJsonSchema

_PART = re.compile(r"(\d+)\s*([smhdy])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "y": timedelta(days=365),
}

WrittenDuration = Annotated[
    str,
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "string",
                    "pattern": r"^\s*(0|([0-9]+\s*[smhdySMHDY]\s*)+)$",
                    "examples": ["10m", "1h30m", "2d"],
                },
                {"const": 0},
            ]
        }
    ),
]
"""What people write for a duration, in the JSON schema."""


def parse_duration(value: object) -> timedelta:
    """The duration of a text like `1h30m`. Raises ValueError in words for people, also for a number without unit."""
    if isinstance(value, timedelta):
        return value
    text = str(value).strip().lower()
    if text == "0":
        return timedelta()
    if text.isdecimal():
        raise ValueError(f"“{text}” is not a duration: it has no unit; write {text}m or {text}s")
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError(f"“{value}” is not a duration; write it like 30s, 10m, 1h30m or 2d")
    return sum((int(number) * _UNITS[unit] for number, unit in parts), timedelta())

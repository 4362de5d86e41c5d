"""Conditions as structures: how they are written as search specifications, and which rows they hold for, in plain
Python. Shares nothing with the engine it judges."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.contract.odata_oracle.conditions import ANY, like, plain

Row = dict[str, Any]
"""A record by tags; `team` holds the rows of its child list."""
ZONE = ZoneInfo("America/New_York")
_ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Manner:
    """How a condition is written: the version, the switch of `<>`, and whether only needed parentheses are there."""

    version: str
    empty_differs: bool
    sparing: bool


def local_text(instant: datetime) -> str:
    """An instant as v1.0 has it."""
    return instant.astimezone(ZONE).strftime("%m/%d/%Y %H:%M:%S")


def written(value: Any, version: str) -> str:
    """A value on the wire, without quotes."""
    if isinstance(value, bool):
        return str(value).lower() if version == "v2" else "Y" if value else "N"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z") if version == "v2" else local_text(value)
    if isinstance(value, date):
        return value.isoformat() if version == "v2" else value.strftime("%m/%d/%Y")
    return str(value)


def meant(value: Any, version: str) -> Any:
    """The value that the service understands: of an hour that clocks show twice, the first one."""
    if version == "v1" and isinstance(value, datetime):
        earlier = value - timedelta(hours=1)
        return earlier if local_text(earlier) == local_text(value) else value
    return value


@dataclass(frozen=True, slots=True)
class Compare:
    tag: str
    sign: str
    value: Any

    def text(self, manner: Manner, *, named: bool = True) -> str:
        quoted = written(self.value, manner.version).replace("'", "''")
        return f"{f'[{self.tag}] ' if named else ''}{self.sign} '{quoted}'"

    def holds(self, row: Row, manner: Manner) -> bool:
        have, value = row[self.tag], meant(self.value, manner.version)
        if value == "":
            return False
        if have is None:
            return self.sign == "<>" and manner.empty_differs
        if self.sign in ("~=", "~LIKE"):
            have, value = plain(have), plain(value)
        if self.sign.endswith("LIKE"):
            return like(have, pieces(value))
        return bool(_ORDERED[self.sign.lstrip("~")](have, value))


@dataclass(frozen=True, slots=True)
class Null:
    tag: str
    negated: bool

    def text(self, manner: Manner, *, named: bool = True) -> str:
        return f"{f'[{self.tag}] ' if named else ''}IS {'NOT ' if self.negated else ''}NULL"

    def holds(self, row: Row, manner: Manner) -> bool:
        return (row[self.tag] is None) is not self.negated


@dataclass(frozen=True, slots=True)
class Several:
    word: str
    parts: tuple[Any, ...]

    def text(self, manner: Manner, *, named: bool = True) -> str:
        return f" {self.word} ".join(self._part(part, manner, named) for part in self.parts)

    def _part(self, part: Any, manner: Manner, named: bool) -> str:
        text: str = part.text(manner, named=named)
        needed = isinstance(part, Several) and (self.word, part.word) == ("AND", "OR")
        return text if manner.sparing and not needed else f"({text})"

    def holds(self, row: Row, manner: Manner) -> bool:
        return (all if self.word == "AND" else any)(part.holds(row, manner) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Related:
    """Whether the child list holds a row, or none."""

    negated: bool
    inner: Any

    def text(self, manner: Manner, *, named: bool = True) -> str:
        return f"{'NOT ' if self.negated else ''}EXISTS ({self.inner.text(manner)})"

    def holds(self, row: Row, manner: Manner) -> bool:
        return any(self.inner.holds(one, manner) for one in row["team"]) is not self.negated


def pieces(text: str) -> list[Any]:
    """The pieces of a LIKE pattern: characters, ANY, and None for one character."""
    found: list[Any] = []
    at = 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in ("*", "?", "\\") and at + 1 < len(text):
            found.append(text[at + 1])
            at += 2
            continue
        found.append({"*": ANY, "?": None}.get(text[at], text[at]))
        at += 1
    return found


def ordered(rows: list[Row], keys: list[tuple[str, bool]]) -> list[str]:
    """The ids of rows by fields, each going up or down; what has no value is last going up."""
    found = sorted(rows, key=lambda row: str(row["Id"]), reverse=True)
    for tag, descending in reversed(keys):
        found.sort(key=lambda row: (row[tag] is None, 0 if row[tag] is None else row[tag]), reverse=descending)
    return [row["Id"] for row in found]


def stored(row: Row) -> dict[str, str | None]:
    """A row as the store has it."""
    return {tag: None if value is None else _canonical(value) for tag, value in row.items() if tag != "team"}


def _canonical(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value).lower() if isinstance(value, bool) else str(value)

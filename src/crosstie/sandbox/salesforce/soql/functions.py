"""SQL functions that SQLite lacks.

Text compares by its folded form (SOQL and SOSL Reference, "ORDER BY": English locales sort by the UTF-8 values of the
upper-case characters, so the sort is case-insensitive; "Comparison Operators": comparisons are case-insensitive except
for case-sensitive fields).
"""

from __future__ import annotations

import math
import sqlite3
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from crosstie.sandbox.folding import fold


def value_set(text: str | None) -> str | None:
    """A multi-select value in a form that is equal for equal sets, whatever order and case."""
    if text is None:
        return None
    parts = {fold(part.strip()) or "" for part in text.split(";")}
    return ";".join(sorted(part for part in parts if part))


def local_time(text: str | None, zone: str) -> str | None:
    """A stored datetime as the clock of a time zone shows it, `YYYY-MM-DDThh:mm:ss.mmm`."""
    if text is None:
        return None
    shown = datetime.fromisoformat(text[:23]).replace(tzinfo=UTC).astimezone(_zone(zone))
    return shown.replace(tzinfo=None).isoformat(timespec="milliseconds")


@lru_cache(maxsize=32)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def double_text(value: float | None) -> str | None:
    """A double as Java prints it (`12.0`, `3.5E8`, `1.0E-4`), shortest digits that read back the same."""
    if value is None:
        return None
    value = float(value)
    if value == 0 or 1e-3 <= abs(value) < 1e7 or not math.isfinite(value):
        text = repr(value)
        return text if "." in text or not math.isfinite(value) else text + ".0"
    digits, _, exponent = f"{_shortest_scientific(value)}".partition("e")
    return f"{digits if '.' in digits else digits + '.0'}E{int(exponent)}"


def _shortest_scientific(value: float) -> str:
    for precision in range(17):
        text = f"{value:.{precision}e}"
        if float(text) == value:
            return text
    return f"{value:.17e}"


class _TextMin:
    """MIN over text, by the folded form; nulls are left out."""

    smallest = True

    def __init__(self) -> None:
        self._best: tuple[str, str] | None = None

    def step(self, *values: Any) -> None:
        for value in values:
            if value is None:
                continue
            candidate = (fold(value) or "", value)
            if self._best is None or (candidate < self._best if self.smallest else candidate > self._best):
                self._best = candidate

    def finalize(self) -> Any:
        return None if self._best is None else self._best[1]


class _TextMax(_TextMin):
    """MAX over text, by the folded form."""

    smallest = False


def register(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that compiled queries call. Calling it again changes nothing.

    SQLite refuses to define a function again while a statement runs on the connection, so it is asked first.
    """
    try:
        connection.execute("SELECT soql_fold('')")
    except sqlite3.OperationalError:
        _define(connection)


def _define(connection: sqlite3.Connection) -> None:
    connection.create_function("soql_fold", 1, fold, deterministic=True)
    connection.create_function("soql_set", 1, value_set, deterministic=True)
    connection.create_function("soql_local", 2, local_time, deterministic=True)
    connection.create_function("soql_double", 1, double_text, deterministic=True)
    connection.create_aggregate("soql_min", 1, _TextMin)
    connection.create_aggregate("soql_max", 1, _TextMax)

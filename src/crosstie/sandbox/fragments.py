"""Pieces of SQL that carry the values of their question marks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL with the values of its question marks, in order."""

    text: str
    params: tuple[Any, ...] = ()

    def __add__(self, other: Sql) -> Sql:
        return Sql(self.text + other.text, self.params + other.params)


def sql_join(separator: str, parts: list[Sql]) -> Sql:
    """The parts in a row with the separator between them."""
    return Sql(separator.join(part.text for part in parts), tuple(value for part in parts for value in part.params))


@lru_cache(maxsize=4096)
def quoted(name: str) -> str:
    """A SQL identifier in quotes."""
    return '"' + name.replace('"', '""') + '"'

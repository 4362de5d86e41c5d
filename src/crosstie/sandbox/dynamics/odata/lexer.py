"""Cuts the text of an OData expression into tokens.

Source: OData Version 4.0, Part 2: URL Conventions; the messages are those that the service answers with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from crosstie.sandbox.dynamics.odata.errors import QueryError

STRING, GUID, DATETIME, DATE, NUMBER, NAME, ALIAS, SYMBOL, END = (
    "string",
    "guid",
    "datetime",
    "date",
    "number",
    "name",
    "alias",
    "symbol",
    "end",
)

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<guid>[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}(?![\w-]))
  | (?P<datetime>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|z|[+-]\d{2}:\d{2})?)
  | (?P<date>\d{4}-\d{2}-\d{2})
  | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?:[mMfFdDlL](?!\w))?)
  | (?P<name>[A-Za-z_][\w.]*)
  | (?P<alias>@[A-Za-z_]\w*)
  | (?P<string>'(?:[^']|'')*'|"(?:[^"\\]|\\.)*")
  | (?P<symbol>[(),/:=\[\]*;$])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an expression; `at` is its offset in the text, from 0."""

    kind: str
    text: str
    at: int


def tokens(text: str) -> list[Token]:
    """The tokens of an expression, ended by one of kind END. Raises QueryError for what can't be cut."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            if text[at] in "'\"":
                raise QueryError(f"There is an unterminated string literal at position {len(text)} in '{text}'.")
            raise QueryError(f"Syntax error: character '{text[at]}' is not valid at position {at} in '{text}'.")
        kind = str(match.lastgroup)
        if kind != "space":
            found.append(Token(kind, match.group(), at))
        at = match.end()
    found.append(Token(END, "", len(text)))
    return found

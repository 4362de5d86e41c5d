"""Cuts the text of a SOQL query into tokens, and reads the escapes of string literals."""

from __future__ import annotations

import re
from dataclasses import dataclass

from crosstie.sandbox.salesforce.soql.errors import SoqlError, located

MAX_QUERY_CHARACTERS = 100_000
MAX_LITERAL_CHARACTERS = 4_000

NAME, STRING, NUMBER, DATE, DATETIME, TIME, KEYWORD_N, SYMBOL, END = (
    "name",
    "string",
    "number",
    "date",
    "datetime",
    "time",
    "keyword_n",
    "symbol",
    "end",
)

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<datetime>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2}))
  | (?P<date>\d{4}-\d{2}-\d{2})
  | (?P<time>\d{2}:\d{2}:\d{2}(?:\.\d+)?Z)
  | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))
  | (?P<keyword_n>[A-Za-z][A-Za-z0-9_]*[ ]*:[ ]*\d+)
  | (?P<name>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*)
  | (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<symbol><=|>=|!=|<>|[=<>(),:;])
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_ESCAPED = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One word of the query; `at` is its offset in the query's text, from 0."""

    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        """The token as a keyword: upper case when it is a name, else empty."""
        return self.text.upper() if self.kind == NAME else ""


def tokens(text: str) -> list[Token]:
    """The tokens of a query, ended by one of kind END. Raises SoqlError for what can't be cut."""
    if len(text) > MAX_QUERY_CHARACTERS:
        raise SoqlError("MALFORMED_QUERY", "SOQL statements cannot be longer than 100000 characters.")
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(text, at)
        kind = str(match.lastgroup)
        if kind != "space":
            found.append(Token(kind=kind, text=match.group(), at=at))
        at = match.end()
    found.append(Token(kind=END, text="<EOF>", at=at))
    return found


def _unreadable(text: str, at: int) -> SoqlError:
    if text[at] == "'":
        return SoqlError("MALFORMED_QUERY", f"line 1:{len(text)} mismatched character '<EOF>' expecting '''")
    return SoqlError("MALFORMED_QUERY", f"line 1:{at} no viable alternative at character '{text[at]}'")


def literal_characters(token: Token, query: str) -> list[tuple[str, bool]]:
    r"""The characters of a string literal with whether each was escaped; `\%` and `\_` stand for themselves.

    Surrogate pairs written as two `\uXXXX` become one character; half a pair becomes U+FFFD.
    """
    body = token.text[1:-1]
    pairs: list[tuple[str, bool]] = []
    at = 0
    for match in _ESCAPED.finditer(body):
        pairs.extend((character, False) for character in body[at : match.start()])
        escape = match.group(1)
        at = match.end()
        if len(escape) == 5:
            pairs.append((chr(int(escape[1:], 16)), True))
        elif escape in "%_":
            pairs.append((escape, True))
        elif escape.lower() in _ESCAPES:
            pairs.append((_ESCAPES[escape.lower()], True))
        else:
            raise located(
                "MALFORMED_QUERY",
                query,
                token.at,
                f"Invalid string literal '{body}'. Illegal character sequence '\\{escape}' in string literal.",
            )
    pairs.extend((character, False) for character in body[at:])
    if len(pairs) > MAX_LITERAL_CHARACTERS:
        raise located("MALFORMED_QUERY", query, token.at, "maximum length of a string literal is 4000 characters")
    return _joined_surrogates(pairs)


def _joined_surrogates(pairs: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    if not any("\ud800" <= character <= "\udfff" for character, _ in pairs):
        return pairs
    joined: list[tuple[str, bool]] = []
    waiting: str | None = None
    for character, escaped in pairs:
        if waiting is not None and "\udc00" <= character <= "\udfff":
            joined.append((chr(0x10000 + ((ord(waiting) - 0xD800) << 10) + (ord(character) - 0xDC00)), True))
            waiting = None
            continue
        if waiting is not None:
            joined.append(("\ufffd", True))
            waiting = None
        if "\ud800" <= character <= "\udbff":
            waiting = character
        else:
            joined.append(("\ufffd" if "\udc00" <= character <= "\udfff" else character, escaped))
    if waiting is not None:
        joined.append(("\ufffd", True))
    return joined

"""SQL functions that SQLite lacks: text as SQL Server compares it, and exact decimals that sort."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from crosstie.sandbox.folding import fold

_SCALE = 12
_OFFSET = 10**30


def text_key(text: str | None) -> str | None:
    """Text as it compares when case makes no difference."""
    return fold(text)


def bare_key(text: str | None) -> str | None:
    """Text as it compares when neither case nor accents make a difference."""
    if text is None or text.isascii():
        return fold(text)
    return fold("".join(one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one)))


def number_key(value: str | float | None) -> str | None:
    """A number as text that sorts and compares as the number does, to twelve places."""
    if value is None:
        return None
    try:
        return f"{int(Decimal(str(value)).scaleb(_SCALE)) + _OFFSET:032d}"
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is not a number") from error


def like(key: str | None, pattern: str) -> bool | None:
    """Whether a text key matches a pattern of LIKE, with `%`, `_` and character classes in brackets."""
    if key is None:
        return None
    return _compiled(pattern).fullmatch(key) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        end = pattern.find("]", at + 2) if character == "[" else -1
        if end > 0:
            inner = pattern[at + 1 : end]
            negated = inner.startswith("^")
            inner = re.sub(r"([\\\[\]&~|^])", r"\\\1", inner[1:] if negated else inner)
            parts.append(f"[{'^' if negated else ''}{inner}]")
            at = end
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
        at += 1
    return re.compile("".join(parts), re.DOTALL)


def escaped(text: str) -> str:
    """Text that stands for itself in a pattern."""
    return re.sub(r"([%_\[])", r"[\1]", text)


def register(connection: sqlite3.Connection) -> None:
    """Makes the functions known to a connection, once."""
    try:
        connection.execute("SELECT dv_text('')")
    except sqlite3.OperationalError:
        connection.create_function("dv_text", 1, text_key, deterministic=True)
        connection.create_function("dv_bare", 1, bare_key, deterministic=True)
        connection.create_function("dv_number", 1, number_key, deterministic=True)
        connection.create_function("dv_like", 2, like, deterministic=True)

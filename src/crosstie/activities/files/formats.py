"""Which format a file has, and how dates and numbers are written in it."""

from __future__ import annotations

import codecs
import re
from typing import Literal

Format = Literal["csv", "jsonl", "parquet"]
Compression = Literal["none", "gzip", "zip"]

_ENDINGS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_NAMED_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_DATE_PARTS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_DATE_WORD = re.compile(r"[A-Za-z]+")


def format_of(name: str) -> Format:
    """By the ending of the file's name, a compression's left out; CSV where it says nothing."""
    plain = re.sub(r"\.(?:gz|zip)$", "", name.lower())
    return next((kind for ending, kind in _ENDINGS.items() if plain.endswith(ending)), "csv")


def compression_of(name: str) -> Compression:
    """By the ending of the file's name."""
    lower = name.lower()
    return "gzip" if lower.endswith(".gz") else "zip" if lower.endswith(".zip") else "none"


def delimiter_of(written: str) -> str:
    """A character, or its name: tab, comma, semicolon, pipe. Raises ValueError for what can't stand between values."""
    found = _NAMED_DELIMITERS.get(written, written)
    if len(found) != 1 or not found.isascii() or found in '\r\n"' or found.isalnum():
        raise ValueError(f"“{written}” cannot stand between values: write one character, or tab")
    return found


def encoding_of(written: str) -> str:
    """The name that Python knows an encoding by. Raises ValueError for one it does not know as text."""
    try:
        found = codecs.lookup(written)
        "a".encode(written)
    except (LookupError, UnicodeError) as error:
        raise ValueError(f"“{written}” is not an encoding; write utf-8, utf-16, windows-1252 or the like") from error
    return found.name


def date_pieces(pattern: str) -> tuple[str, ...]:
    """A pattern like dd/MM/yyyy HH:mm in pieces: words and what stands between. Raises ValueError for another word,
    or one that is there twice."""
    words = _DATE_WORD.findall(pattern)
    for word in words:
        if word not in _DATE_PARTS and word not in ("T", "Z"):
            raise ValueError(f"“{word}” in “{pattern}” means nothing: write yyyy, MM, dd, HH, mm and ss")
        if words.count(word) > 1:
            raise ValueError(f"“{word}” stands twice in “{pattern}”")
    if not {"yyyy", "MM", "dd"} <= set(words):
        raise ValueError(f"“{pattern}” needs yyyy, MM and dd")
    return tuple(re.findall(r"[A-Za-z]+|[^A-Za-z]+", pattern))


def strftime_pattern(pattern: str) -> str:
    """The pattern as strftime has it."""
    return "".join(_DATE_PARTS.get(piece, piece.replace("%", "%%")) for piece in date_pieces(pattern))


def date_regex(pattern: str) -> str:
    """The pattern as a regular expression with a named group for each part."""
    wide = {"yyyy": "[0-9]{4}"}
    return (
        "^"
        + "".join(
            f"(?P<{piece}>{wide.get(piece, '[0-9]{1,2}')})" if piece in _DATE_PARTS else re.escape(piece)
            for piece in date_pieces(pattern)
        )
        + "$"
    )

"""Record ids: 15 characters that differ by case, or 18 with a checksum of the case (SOAP API guide, ID Field Type)."""

from __future__ import annotations

import re
from string import ascii_letters, ascii_uppercase, digits

_FORM = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?", re.ASCII)
_CHECKSUMS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_GROUP = 5
_CAPITALS = str.maketrans({one: "1" if one in ascii_uppercase else "0" for one in digits + ascii_letters})
_MARKS = {f"{number:05b}"[::-1]: mark for number, mark in enumerate(_CHECKSUMS)}


def complete_id(text: str) -> str | None:
    """The 18 characters by which the API answers; None for what is no id.

    The case of 15 characters is taken as it stands. Of 18 it has to be what the checksum says, unless all letters are
    capitals or none is, as a spreadsheet or a database may have made them: then the checksum brings it back."""
    given = text.strip()
    if not _FORM.fullmatch(given):
        return None
    short, marks = given[:15], given[15:].upper()
    if not marks:
        return short + _checksum(short)
    if _checksum(short) != marks and short in (short.lower(), short.upper()):
        short = "".join(_in_case(one, marks, place) for place, one in enumerate(short))
    return short + marks if _checksum(short) == marks else None


def _checksum(short: str) -> str:
    """Three characters, each with a bit for each capital of five."""
    capitals = short.translate(_CAPITALS)
    return _MARKS[capitals[:5]] + _MARKS[capitals[5:10]] + _MARKS[capitals[10:]]


def _in_case(character: str, marks: str, place: int) -> str:
    capitals = _CHECKSUMS.find(marks[place // _GROUP])
    return character.upper() if capitals >> place % _GROUP & 1 else character.lower()

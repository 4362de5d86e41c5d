"""Alternate keys in URLs: `contacts(new_externalid='A''1')`.

Source: Dataverse Web API guide, "Use an alternate key to reference a row": some characters can't stand in the value of
a key, encoded or not. Records with such values are found by a filter.
"""

from __future__ import annotations

import re
from urllib.parse import quote

_NOT_IN_URLS = frozenset("/<>*%&:\\?+")
_PLAIN = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)
_BARE = frozenset({"Integer", "BigInt", "Decimal", "Double", "Money", "DateTime", "Picklist", "State", "Status"})
_LOOKUPS = frozenset({"Lookup", "Customer", "Owner"})


def fits_url(text: str) -> bool:
    """Whether a value can stand in the URL of a record."""
    return _NOT_IN_URLS.isdisjoint(text)


def fits_reference(text: str) -> bool:
    """Whether a value can stand in a reference within a body, where it is not said who decodes it: a plain one."""
    return _PLAIN.fullmatch(text) is not None


def key_form(column: str, column_type: str, text: str) -> str:
    """A column of that AttributeType and its value, as they stand in a URL."""
    if column_type in _LOOKUPS:
        return f"_{column}_value={text.strip().lower()}"
    if column_type in _BARE:
        return f"{column}={quote(text.strip(), safe='')}"
    return f"{column}='{quote(text.replace(chr(39), chr(39) * 2), safe='')}'"

"""Any text written as a string literal is found exactly, however it is escaped."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crosstie.sandbox.salesforce import soql

from .org import CATALOG, load

_SHORT = {"'": "'", '"': '"', "\\": "\\", "\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def connection() -> sqlite3.Connection:
    return load({"Firm__c": [], "Person__c": []})


def _escaped(text: str, choices: list[int], *, pattern: bool) -> str:
    """The text with each character as itself, by its short escape or as \\uXXXX; what must be escaped always is."""
    parts = []
    for at, character in enumerate(text):
        how = choices[at % len(choices)]
        short = _SHORT.get(character)
        if character in "'\\" or (short is not None and how == 1):
            parts.append(f"\\{_SHORT[character]}")
        elif pattern and character in "%_":
            parts.append(f"\\{character}")
        elif how == 2:
            units = character.encode("utf-16-be")
            parts.append("".join(f"\\u{units[k]:02x}{units[k + 1]:02X}" for k in range(0, len(units), 2)))
        else:
            parts.append(character)
    return f"'{''.join(parts)}'"


def _found(connection: sqlite3.Connection, text: str, field: str, condition: str) -> list[str]:
    connection.execute("DELETE FROM Person__c")
    connection.executemany(
        f"INSERT INTO Person__c (Id, IsDeleted, Active__c, {field}) VALUES (?, 0, 0, ?)",
        [("this", text), ("longer", f"{text}x"), ("other", f"{text[1:]}?"), ("null", None)],
    )
    query = f"SELECT Id FROM Person__c WHERE {condition} ORDER BY Id"
    result = soql.run(connection, CATALOG, query, now=datetime(2026, 11, 23, tzinfo=UTC), user_zone=ZoneInfo("UTC"))
    return [row[result.items[0].place] for row in result.rows()]


@settings(max_examples=200, deadline=None)
@given(_texts, st.lists(st.integers(0, 2), min_size=1, max_size=7))
@example("\\' OR Name != '", [0])
@example("🌸\U0010ffff\0\ufffe", [2])
@example("\\", [1])
def test_an_escaped_literal_equals_only_its_text(connection: sqlite3.Connection, text: str, choices: list[int]) -> None:
    literal = _escaped(text, choices, pattern=False)
    assert _found(connection, text, "Code__c", f"Code__c = {literal}") == ["this"]
    assert "this" in _found(connection, text, "Name", f"Name IN ({literal})")
    assert "this" not in _found(connection, text, "Name", f"Name != {literal}")


@settings(max_examples=200, deadline=None)
@given(_texts.filter(lambda text: "\0" not in text), st.lists(st.integers(0, 2), min_size=1, max_size=7))
@example("100%_\\%", [0])
@example("[^a]*?", [2])
def test_an_escaped_pattern_without_wildcards_matches_only_its_text(
    connection: sqlite3.Connection, text: str, choices: list[int]
) -> None:
    literal = _escaped(text, choices, pattern=True)
    assert _found(connection, text, "Code__c", f"Code__c LIKE {literal}") == ["this"]
    assert "this" in _found(connection, text, "Name", f"Name LIKE {literal}")
    assert "longer" not in _found(connection, text, "Name", f"Name LIKE {literal}")

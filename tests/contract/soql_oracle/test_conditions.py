"""Every operator with every troublesome value, over a table of all of them, against the plain evaluation."""

from __future__ import annotations

import random
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.ids import checksum

from .evaluator import Evaluator
from .org import CATALOG, KINDS, TAGS, TYPES, Row, Rows, load
from .queries import Compare, DateWord, Includes, Not, OneOf, Query, written
from .strategies import COUNTED_WORDS, NOWS, PLAIN_WORDS, TEXTS, ZONES

_OPERATORS = ["=", "!=", "<", "<=", ">", ">="]
_UTC = ZoneInfo("UTC")


def _people(field: str, values: list[Any]) -> Rows:
    """A table with one person for each value of a field."""
    people: list[Row] = []
    for number, value in enumerate(values):
        body = f"a015g0000{number:06d}"
        person: Row = {name: False if kind == "boolean" else None for name, kind in TYPES["Person__c"].items()}
        people.append(person | {"Id": body + checksum(body), field: value})
    return {"Firm__c": [], "Person__c": people}


class _Judge:
    """Runs conditions on one table by the engine and by the plain evaluation."""

    def __init__(self, rows: Rows, now: datetime = NOWS[0], zone: ZoneInfo = _UTC) -> None:
        self.connection: sqlite3.Connection = load(rows)
        self.evaluator = Evaluator(rows, now, zone)
        self.now, self.zone = now, zone

    def check(self, condition: Any) -> int:
        """Compare the ids found; the answer is how many."""
        text = written(Query("Person__c", (("Id",),), condition))
        result = soql.run(self.connection, CATALOG, text, now=self.now, user_zone=self.zone)
        found = sorted(row[result.items[0].place] for row in result.rows())
        expected = sorted(
            row["Id"] for row in self.evaluator.rows["Person__c"] if self.evaluator.holds("Person__c", row, condition)
        )
        assert found == expected, (text, result.sql, result.params)
        return len(found)


@pytest.mark.parametrize("field", ["Name", "Code__c", "Kind__c"])
def test_text_compares_as_the_plain_evaluation_says(field: str) -> None:
    values = [None, *TEXTS, *KINDS, *(text.upper() for text in TEXTS), *(text.lower() for text in TEXTS)]
    judge = _Judge(_people(field, values))
    hits = 0
    for value in dict.fromkeys(values):
        for operator in _OPERATORS:
            hits += judge.check(Compare((field,), operator, value))
        hits += judge.check(Not(Compare((field,), "<", value)))
        hits += judge.check(OneOf((field,), False, (value, "Müller")))
        hits += judge.check(OneOf((field,), True, (value, "s")))
    assert hits > 1000


@pytest.mark.parametrize("field", ["Name", "Code__c"])
def test_patterns_match_as_the_plain_evaluation_says(field: str) -> None:
    chance = random.Random(7)
    judge = _Judge(_people(field, [None, *TEXTS, *(text.upper() for text in TEXTS), "%", "_", "\\", "a\\%b", "ab"]))
    hits = 0
    for text in [*TEXTS, "%", "_", "\\", "a\\%b", "[", "]", "é["]:
        places = range(len(text))
        patterns: list[tuple[Any, ...]] = [(text,), (("%",), text), (text, ("%",)), (("%",), text[-1], ("%",))]
        patterns += [(text[:at], (chance.choice("%_"),), text[at + 1 :]) for at in places]
        for pattern in patterns:
            hits += judge.check(Compare((field,), "LIKE", pattern))
            hits += judge.check(Not(Compare((field,), "LIKE", pattern)))
    assert hits > 1000


def test_multi_select_values_compare_as_sets() -> None:
    values = [
        None,
        *((tag,) for tag in TAGS),
        ("Red", "green"),
        ("green", "Blue"),
        ("Red", "Blue", "Ärger"),
        tuple(TAGS),
    ]
    judge = _Judge(_people("Tags__c", values))
    choices = [("red",), ("GREEN",), ("ärger",), ("Blue", "green"), ("Ärger", "Red"), ("other",), ("gre",)]
    hits = 0
    for choice in choices:
        for negated in (False, True):
            hits += judge.check(Includes(("Tags__c",), negated, (choice,)))
            hits += judge.check(Includes(("Tags__c",), negated, (choice, ("Red",))))
            hits += judge.check(OneOf(("Tags__c",), negated, (choice, None)))
        hits += judge.check(Compare(("Tags__c",), "=", choice))
        hits += judge.check(Compare(("Tags__c",), "!=", choice))
    assert hits > 100


@pytest.mark.parametrize("field", ["Age__c", "Score__c"])
def test_numbers_compare_as_the_plain_evaluation_says(field: str) -> None:
    values: list[Any] = [None, -7, -1, 0, 1, 2, 3, 2**31 - 1, -(2**31) + 1]
    if field == "Score__c":
        values = [None, *(value + quarter / 4 for value in values[1:-2] for quarter in range(4)), 1e12, -1e12]
    judge = _Judge(_people(field, values))
    for value in values:
        for operator in _OPERATORS:
            judge.check(Compare((field,), operator, value))
        judge.check(OneOf((field,), True, (value, 2 if field == "Age__c" else 2.0)))


@pytest.mark.parametrize("field", ["Born__c", "Seen__c"])
@pytest.mark.parametrize(
    ("now", "zone"), list(zip(NOWS, ZONES, strict=True)) + list(zip(NOWS, ZONES[::-1], strict=True))
)
def test_date_literals_cover_the_days_the_plain_evaluation_says(field: str, now: datetime, zone: ZoneInfo) -> None:
    today = now.astimezone(zone).date()
    offsets = [
        *range(-40, 41),
        *(sign * far for far in (59, 89, 90, 91, 92, 120, 364, 365, 366, 731) for sign in (-1, 1)),
    ]
    values: list[Any] = [None, *(today + timedelta(days=offset) for offset in offsets)]
    if field == "Seen__c":
        midnights = [datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) for day in values[1:]]
        values = [None, *midnights, *(moment - timedelta(milliseconds=1) for moment in midnights)]
    judge = _Judge(_people(field, values), now, zone)
    hits = 0
    for word in [DateWord(word) for word in PLAIN_WORDS] + [
        DateWord(word, n) for word in COUNTED_WORDS for n in (1, 2, 5)
    ]:
        for operator in ("=", "!=", "<", ">="):
            hits += judge.check(Compare((field,), operator, word))
        hits += judge.check(Not(Compare((field,), "<=", word)))
        hits += judge.check(OneOf((field,), False, (word, None)))
    assert hits > 1000

"""Generated filters and orders over generated rows: the engine finds what the plain evaluation finds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crosstie.sandbox.dynamics import schema
from crosstie.sandbox.dynamics.odata import functions
from crosstie.sandbox.dynamics.odata.options import read_options
from crosstie.sandbox.dynamics.odata.paging import after, inner_cookie, next_link, outer_cookie, read_cookie
from crosstie.sandbox.dynamics.odata.reading import Reader
from crosstie.sandbox.dynamics.odata.rules import Rules
from crosstie.sandbox.dynamics.preferences import Preferences
from crosstie.sandbox.dynamics.tables import TABLES
from tests.scale import examples

from . import strategies
from .conditions import Facts, Field, Function, Row, like, ordered, pattern, plain, stored

_THOROUGH = settings(max_examples=examples(80, 5_000), deadline=None, suppress_health_check=[HealthCheck.too_slow])
facts = st.builds(Facts, st.booleans(), st.booleans())
_TWO_TAGS: Row = {
    "new_everythingid": "00000000-0000-0000-0000-0000000003e8",
    "new_AccountId": None,
    **dict.fromkeys(strategies.HERE),
    "new_tags": "1,2",
}


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    """The organization's tables in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        schema.create_tables(opened)
        schema.create_indexes(opened)
        # Generated rows share values that an alternate key would keep apart.
        opened.execute("DROP INDEX new_serial_key")
        yield opened


def _load(connection: sqlite3.Connection, data: tuple[list[Row], list[Row]]) -> None:
    accounts, others = data
    for table, listed in (("account", accounts), ("new_everything", others)):
        connection.execute(f"DELETE FROM {table}")
        for row in listed:
            values = {name.lower(): value for name, value in stored(row).items()}
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))


def _reader(connection: sqlite3.Connection, known: Facts) -> Reader:
    rules = Rules(now=datetime(2024, 3, 1, tzinfo=UTC), ne_includes_nulls=known.nulls, wildcards=known.wildcards)
    return Reader(connection=connection, tables=TABLES, rules=rules, wanted=Preferences())


def _found(reader: Reader, table: str, text: str) -> set[str]:
    query = reader.query(TABLES[table], read_options({"$filter": text}).options)
    found = {row[TABLES[table].primary_id] for row in reader.page(query, 100).records}
    assert reader.count(query) == len(found)
    return found


@_THOROUGH
@given(strategies.rows(), strategies.conditions, facts)
@example(([], [_TWO_TAGS]), Function("In", Field(("new_tags",)), ("1",)), Facts(nulls=False, wildcards=False))
@example(([], [_TWO_TAGS]), Function("In", Field(("new_tags",)), ("1,2",)), Facts(nulls=False, wildcards=False))
@example(
    ([], [_TWO_TAGS]), Function("ContainValues", Field(("new_tags",)), ("1",)), Facts(nulls=False, wildcards=False)
)
def test_filters_find_what_the_plain_evaluation_finds(
    connection: sqlite3.Connection, data: tuple[list[Row], list[Row]], condition: Any, known: Facts
) -> None:
    _load(connection, data)
    expected = {row["new_everythingid"] for row in data[1] if condition.holds(row, known, True)}
    assert _found(_reader(connection, known), "new_everything", condition.text()) == expected


@_THOROUGH
@given(strategies.rows(), strategies.account_conditions, facts)
def test_lambdas_find_what_the_plain_evaluation_finds(
    connection: sqlite3.Connection, data: tuple[list[Row], list[Row]], condition: Any, known: Facts
) -> None:
    _load(connection, data)
    expected = {row["accountid"] for row in data[0] if condition.holds(row, known, True)}
    assert _found(_reader(connection, known), "account", condition.text()) == expected


@settings(max_examples=300, deadline=None)
@given(strategies.texts, strategies.patterns)
def test_patterns_match_what_a_plain_matcher_matches(text: str, written: str) -> None:
    assert functions.like(plain(text), plain(written)) is like(plain(text), pattern(plain(written)))


@_THOROUGH
@given(strategies.rows(), strategies.orders, st.integers(1, 3))
def test_pages_follow_the_order_and_hold_every_row_once(
    connection: sqlite3.Connection, data: tuple[list[Row], list[Row]], keys: list[tuple[str, bool]], size: int
) -> None:
    _load(connection, data)
    reader = _reader(connection, Facts(nulls=True, wildcards=True))
    text = ",".join(f"{name} {'desc' if descending else 'asc'}" for name, descending in keys)
    query = reader.query(TABLES["new_everything"], read_options({"$orderby": text} if text else {}).options)
    seen: list[str] = []
    last: dict[str, str | None] | None = None
    while True:
        start = after(query.keys, last, reader.rules) if last is not None else None
        page = reader.page(query, size, after=start)
        seen += [row["new_everythingid"] for row in page.records]
        if len(page.records) < size:
            break
        inner = inner_cookie(1, query.keys, page.key(0), page.key(size - 1))
        link = next_link("https://org/contacts", {}, outer_cookie(2, inner))
        last = read_cookie(parse_qs(urlsplit(link).query)["$skiptoken"][0]).last
    assert seen == ordered(data[1], keys, "new_everythingid")

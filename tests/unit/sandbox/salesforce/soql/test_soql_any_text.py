"""Whatever text arrives is answered or refused in Salesforce's way, never by another exception."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.catalog import Catalog
from crosstie.sandbox.salesforce.schema import create_indexes, create_tables

_WORDS = [
    "SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "INCLUDES", "EXCLUDES", "GROUP", "BY", "HAVING",
    "ORDER", "ASC", "DESC", "NULLS", "FIRST", "LAST", "LIMIT", "OFFSET", "COUNT", "COUNT_DISTINCT", "SUM", "AVG",
    "MIN", "MAX", "CALENDAR_YEAR", "HOUR_IN_DAY", "DAY_ONLY", "toLabel", "convertTimezone", "TYPEOF", "WHEN",
    "THEN", "ELSE", "END", "FIELDS", "ALL", "STANDARD", "CUSTOM", "FOR", "VIEW", "ROWS", "Id", "Name", "LastName",
    "Account", "Account.Name", "Owner.Name", "Contacts", "Contact", "Gadget__c", "Tags__c", "Seen__c", "Built__c",
    "Opens__c", "Count__c", "Weight__c", "Price__c", "Active__c", "Place__c", "Site__c", "Image__c", "Channel__c",
    "Contact__r.Account.Name", "Owner.Type", "Description", "AccountId", "c", "TODAY", "LAST_N_DAYS:3",
    "N_YEARS_AGO:2025", "null", "TRUE", "5", "-1.5", "0", "2026-11-23", "2026-11-23T01:07:37Z", "14:30:00Z", "'a'",
    "'A;B'", "'001R0000005hDFY'", "(", ")", ",", "=", "!=", "<", ">=", "<>", ":", "'", ";", "%",
]  # fmt: skip
_SHAPES = [
    "SELECT Id FROM Contact WHERE {}",
    "SELECT Id FROM Gadget__c WHERE {}",
    "SELECT {} FROM Gadget__c",
    "SELECT {} FROM Contact GROUP BY LastName",
    "SELECT COUNT(Id) FROM Gadget__c GROUP BY {}",
    "SELECT Id FROM Gadget__c ORDER BY {}",
    "SELECT Id, (SELECT {} FROM Contacts) FROM Account",
    "SELECT Id FROM Contact WHERE AccountId IN (SELECT {} FROM Account)",
    "{}",
]
_texts = st.builds(
    lambda shape, words: shape.format(" ".join(words)),
    st.sampled_from(_SHAPES),
    st.lists(st.sampled_from(_WORDS), max_size=9),
) | st.text(max_size=40)


@pytest.fixture(scope="module")
def empty(catalog: Catalog) -> Iterator[sqlite3.Connection]:
    """The sandbox's tables without rows."""
    made = sqlite3.connect(":memory:")
    create_tables(made, catalog)
    create_indexes(made, catalog)
    yield made
    made.close()


@settings(max_examples=200, deadline=None)
@given(_texts, st.booleans())
def test_any_text_is_answered_or_refused(empty: sqlite3.Connection, catalog: Catalog, text: str, bulk: bool) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    try:
        result = soql.run(empty, catalog, text, now=now, user_zone=ZoneInfo("Europe/Paris"), bulk=bulk)
    except soql.SoqlError as error:
        assert error.code and error.message
        return
    records = result.records_json(result.rows(), "v64.0")
    assert len(records) == (0 if result.counting else result.total_size)
    if bulk:
        sql, params = result.csv_sql()
        assert empty.execute(sql, params).fetchall() == []


_OPERATORS = ["= {}", "!= {}", "< {}", ">= {}", "LIKE {}", "IN ({})", "NOT IN ({}, null)", "INCLUDES ({})"]
_LITERALS = ["null", "TRUE", "5", "-1.5", "'a;b'", "''", "2026-11-23", "2026-11-23T01:07:37Z", "14:30:00Z", "LAST_WEEK"]
_EXPRESSIONS = [
    "{}",
    "COUNT({})",
    "COUNT_DISTINCT({})",
    "SUM({})",
    "AVG({})",
    "MIN({})",
    "MAX({})",
    "CALENDAR_YEAR({})",
    "HOUR_IN_DAY(convertTimezone({}))",
    "DAY_ONLY({})",
    "toLabel({})",
]


def test_every_field_takes_every_operator_and_function_or_refuses_it(
    empty: sqlite3.Connection, catalog: Catalog
) -> None:
    gadget = catalog.object("Gadget__c")
    assert gadget is not None
    names = [*(found.name for found in gadget.fields.values()), "Owner.Type", "Contact__r.MailingAddress"]
    queries = [
        f"SELECT Id FROM Gadget__c WHERE {name} {operator.format(literal)}"
        for name in names
        for operator in _OPERATORS
        for literal in _LITERALS
    ]
    for name in names:
        for expression in (pattern.format(name) for pattern in _EXPRESSIONS):
            queries.append(f"SELECT {expression} FROM Gadget__c")
            queries.append(f"SELECT {expression} FROM Gadget__c GROUP BY {expression} ORDER BY {expression} DESC")
            queries.append(f"SELECT COUNT(Id) FROM Gadget__c GROUP BY Name HAVING {expression} != null")
    refused = answered = 0
    for text in queries:
        try:
            result = soql.run(empty, catalog, text, now=datetime(2026, 11, 23, tzinfo=UTC), user_zone=ZoneInfo("UTC"))
        except soql.SoqlError:
            refused += 1
            continue
        answered += 1
        assert len(result.records_json(result.rows(), "v64.0")) == (0 if result.counting else result.total_size)
    assert refused > 1000
    assert answered > 1000

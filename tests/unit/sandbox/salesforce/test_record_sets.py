"""Sets of rows end as the same rows written one by one, outcome for outcome and column for column."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.scale import examples

from crosstie.sandbox.salesforce.ids import ALPHABET, make_id, make_ids, number_of, to_18
from crosstie.sandbox.salesforce.ingest_columns import read_header
from crosstie.sandbox.salesforce.org import Org
from crosstie.sandbox.salesforce.record_rows import Outcome, RecordRows
from crosstie.sandbox.salesforce.record_sets import RecordSets
from crosstie.sandbox.salesforce.records import Records, Writer

WRITER = Writer(user_id=make_id("005", 1))
ACCOUNT, NO_ACCOUNT = make_id("001", 1), make_id("001", 9999)
CONTACTS = [make_id("003", number) for number in range(1, 6)]
HEADER = ("LastName", "FirstName", "Email", "Score__c", "Birthdate", "AccountId", "Account.ERP_Id__c")
TEXTS = {
    "LastName": ["", "Li", " Ó Briain ", "#N/A", "x" * 81, "😀" * 41],
    "FirstName": ["", "Zoë", "#N/A"],
    "Email": ["", "a@example.com", "no address", "#N/A"],
    "Score__c": ["", "1", "2.5", "1e12", "many", "#N/A"],
    "Birthdate": ["", "1990-02-28", "1990-02-30", "1990-02-28Z"],
    "AccountId": ["", ACCOUNT, ACCOUNT[:15], NO_ACCOUNT, "bad", "#N/A"],
    "Account.ERP_Id__c": ["", "A-0000001", "a-0000001", "Nowhere"],
    "ERP_Id__c": ["", "C-0000001", "c-0000002", "C-new", "c-NEW", "C-other", "#N/A"],
    "Id": ["", *CONTACTS, CONTACTS[0][:15], ACCOUNT, "bad", make_id("003", 9999)],
}


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    """An org with five living contacts and a clock that stands."""
    opened = Org(tmp_path_factory.mktemp("org"), records=5)
    opened.clock.set(frozen=True)
    # One by one, rows know nothing of each other; what a set makes of ids that come twice is tested with the ingest.
    opened.switches.duplicate_ids_refused = False
    Records(opened).delete(opened.full_catalog.objects["contact"], CONTACTS[4], WRITER)
    with opened.database.writing() as connection:
        connection.execute("UPDATE Contact SET ERP_Id__c = 'C-000000' || substr(Id, 15, 1)")
        connection.execute("UPDATE Account SET ERP_Id__c = 'A-000000' || substr(Id, 15, 1)")
    yield opened
    opened.close()


class Undone(Exception):
    """Ends an attempt, so that nothing of it stays."""


@contextmanager
def undone(org: Org) -> Iterator[sqlite3.Connection]:
    """A write transaction that is rolled back."""
    try:
        with org.database.writing() as connection:
            yield connection
            raise Undone
    except Undone:
        return


def contents(connection: sqlite3.Connection) -> list[Any]:
    """Everything that a write of contacts can change."""
    return [
        connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
        for table in ("Contact", "sandbox_delete_log")
    ]


def shown(outcomes: list[Outcome]) -> list[tuple[Any, ...]]:
    return [
        (one.record_id, one.created, one.error and (one.error.code, one.error.message, one.error.fields))
        for one in outcomes
    ]


def both(org: Org, operation: str, key: str | None, rows: list[dict[str, str]]) -> None:
    """Runs the rows both ways and compares."""
    ends = []
    names = [name for name in rows[0] if name not in (key, "Id")]
    sobject = org.catalog.objects["contact"]
    for way in (RecordSets(org, Records(org)), RecordRows(Records(org))):
        with undone(org) as connection:
            records = Records(org)
            cells = [
                column.read([row[name] for row in rows], connection, records)
                for name, column in zip(names, read_header(org.catalog, sobject, names), strict=True)
            ]
            ids = [row.get(key or "Id", "") for row in rows]
            if operation == "insert":
                outcomes = way.insert(connection, sobject, cells, len(rows), WRITER)
            elif operation == "update":
                outcomes = way.update(connection, sobject, ids, cells, WRITER)
            elif operation == "delete":
                outcomes = way.delete(connection, sobject, ids, WRITER, hard=False)
            elif operation == "hardDelete":
                outcomes = way.delete(connection, sobject, ids, WRITER, hard=True)
            else:
                field = sobject.fields[str(key).lower()]
                if isinstance(way, RecordSets):
                    (column,) = read_header(org.catalog, sobject, [str(key)])
                    stored = column.read(ids, connection, records) if field.type != "id" else None
                    outcomes = way.upsert(connection, sobject, field, ids, cells, stored, WRITER)
                else:
                    outcomes = way.upsert(connection, sobject, field, ids, cells, WRITER)
            ends.append((shown(outcomes), contents(connection)))
    assert ends[0][0] == ends[1][0]
    assert ends[0][1] == ends[1][1]


def tables(*names: str, unique: str | None = None) -> st.SearchStrategy[list[dict[str, str]]]:
    """Rows with some of the columns, the same for all rows; `unique` takes each of its texts once at most."""
    return st.sets(st.sampled_from(HEADER[:6])).flatmap(
        lambda chosen: st.lists(
            st.fixed_dictionaries({name: st.sampled_from(TEXTS[name]) for name in (*names, *sorted(chosen))}),
            min_size=1,
            max_size=6,
            unique_by=None if unique is None else (lambda row: row[unique].lower()),
        )
    )


@settings(deadline=None, max_examples=examples(60, 2000))
@given(rows=tables("LastName", "ERP_Id__c"))
def test_inserts(org: Org, rows: list[dict[str, str]]) -> None:
    both(org, "insert", None, rows)


@settings(deadline=None, max_examples=examples(40, 2000))
@given(rows=tables("Id", "Account.ERP_Id__c").filter(lambda rows: "AccountId" not in rows[0]))
def test_updates(org: Org, rows: list[dict[str, str]]) -> None:
    both(org, "update", None, rows)


@settings(deadline=None, max_examples=examples(40, 2000))
@given(rows=tables("Id", "ERP_Id__c"))
@example(rows=[{"Id": "0035g0000000001AAA", "ERP_Id__c": "", "AccountId": "bad"}])
def test_updates_of_a_unique_field(org: Org, rows: list[dict[str, str]]) -> None:
    both(org, "update", None, rows)


@settings(deadline=None, max_examples=examples(40, 2000))
@given(rows=tables("Id"), hard=st.booleans())
def test_deletions(org: Org, rows: list[dict[str, str]], hard: bool) -> None:
    both(org, "hardDelete" if hard else "delete", None, [{"Id": row["Id"]} for row in rows])


@settings(deadline=None, max_examples=examples(60, 2000))
@given(rows=tables("ERP_Id__c", "LastName", unique="ERP_Id__c"))
def test_upserts_by_external_id(org: Org, rows: list[dict[str, str]]) -> None:
    keyed = [row for row in rows if row["ERP_Id__c"] not in ("", "#N/A")]
    if keyed:
        both(org, "upsert", "ERP_Id__c", keyed)


@settings(deadline=None, max_examples=examples(40, 2000))
@given(rows=tables("Id", "LastName", unique="Id"))
def test_upserts_by_id(org: Org, rows: list[dict[str, str]]) -> None:
    keyed = {to_18(row["Id"]) or row["Id"]: row for row in rows}
    both(org, "upsert", "Id", list(keyed.values()))


@given(first=st.integers(0, 62**5 - 5000), count=st.integers(1, 5000))
@settings(deadline=None, max_examples=20)
def test_many_ids_are_the_single_ones(first: int, count: int) -> None:
    ids = make_ids("003", first, count)
    assert len(ids) == count
    for place in {0, count // 2, count - 1}:
        assert ids[place] == make_id("003", first + place)
        assert number_of(ids[place]) == first + place
    assert ids == sorted(ids, key=lambda one: [ALPHABET.index(letter) for letter in one[:15]])

"""Answers that no honest CRM gives, over real https: refused by name with nothing half-written, or harmless."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from tests.contract.faults.outcomes import FIELDS, RECORDS, Cell, rows
from tests.contract.imports.world import World

HARMLESS = ""
MIB = 1024 * 1024

PAGES: list[tuple[dict[str, Any], str]] = [
    ({"trick": "bomb", "bytes": 1024 * MIB}, r"larger than 67,108,864 bytes"),
    ({"trick": "deep"}, "recursion depth"),
    ({"trick": "big_header", "bytes": 500_000}, "broke off"),
    ({"trick": "wrong_type"}, HARMLESS),
    ({"trick": "short_length", "bytes": 20}, "was cut"),
    ({"trick": "invalid_utf8"}, "not what was asked for|not a page of records"),
    ({"trick": "nul"}, HARMLESS),
    ({"trick": "nan", "field": "Score__c"}, "not a page of records"),
    ({"trick": "bad_id"}, "Id holds “0035g0000”, which is not an id"),
    ({"trick": "other_object"}, "one is a record of Lead"),
    ({"trick": "extra_member"}, "unknown field `Extra__c`"),
    ({"trick": "missing_member"}, "missing required field `LastName`"),
    ({"trick": "reordered"}, HARMLESS),
    ({"trick": "same_row"}, "1 of 100 come twice"),
    ({"trick": "own_next"}, "its own next page|same page twice|names the page"),
]
FIRST: list[tuple[dict[str, Any], str]] = [
    ({"trick": "big_field", "bytes": 68 * MIB}, r"larger than 67,108,864 bytes"),
]
FURTHER: list[tuple[dict[str, Any], str]] = [
    ({"trick": "short_page"}, "ended after 238 rows, 240 were announced"),
    ({"trick": "total", "rows": 1}, "announced 240 rows at first and 241 now"),
    ({"trick": "total", "rows": -1}, "announced 240 rows at first and 239 now"),
    ({"trick": "next_row", "rows": 230}, "ended after 210 rows, 240 were announced"),
    ({"trick": "next_row", "rows": 0}, "same page twice"),
    ({"trick": "next_row", "rows": 99}, "goes on after 300 rows, 240 were announced|same page twice"),
]
RESULTS: list[tuple[dict[str, Any], str]] = [
    ({"trick": "bomb", "bytes": 1024 * MIB}, "A CSV record is larger than 16,777,216 bytes"),
    ({"trick": "big_field", "bytes": 20 * MIB}, "A CSV record is larger than 16,777,216 bytes"),
    ({"trick": "blank_lines", "bytes": 20 * MIB}, "bytes of empty lines"),
    ({"trick": "big_header", "bytes": 500_000}, "broke off"),
    ({"trick": "wrong_type"}, HARMLESS),
    ({"trick": "short_length", "bytes": 20}, "was cut|The CSV was cut"),
    ({"trick": "invalid_utf8"}, "column LastName holds bytes that are not UTF-8"),
    ({"trick": "nul"}, HARMLESS),
    ({"trick": "bad_id"}, "a record whose Id is not an id"),
    ({"trick": "extra_member"}, "a column that was not asked for: Extra__c"),
    ({"trick": "missing_member"}, "has no column LastName"),
    ({"trick": "reordered"}, "its columns in another order"),
    ({"trick": "short_page"}, r"ended after (99|39) of (100|40) records"),
    ({"trick": "open_quote"}, "cut|malformed|number of values|header"),
    ({"trick": "next_row", "rows": 230}, "records in all its pages, its job says 240|own next page"),
    ({"trick": "next_row", "rows": 0}, "more than the 240 records|same page twice|own next page"),
]
CASES = [
    *(("query", fault, pattern) for fault, pattern in (*PAGES, *FIRST)),
    *(("query_more", fault, pattern) for fault, pattern in (*PAGES, *FURTHER)),
    *(("bulk_results", fault, pattern) for fault, pattern in RESULTS),
    ("describe", {"trick": "deep"}, "recursion depth"),
    ("describe", {"trick": "bomb", "bytes": 1024 * MIB}, "larger than"),
    ("bulk_create", {"trick": "deep"}, "recursion depth"),
    ("bulk_status", {"trick": "bomb", "bytes": 1024 * MIB}, "larger than"),
    ("token", {"trick": "bomb", "bytes": 64 * MIB}, "larger than 1,048,576 bytes"),
    ("token", {"trick": "odd_token"}, "an access token that cannot travel in a header"),
]


def named(case: tuple[str, dict[str, Any], str]) -> str:
    return "-".join((case[0], *(str(value) for value in case[1].values())))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_hostile_answer_is_refused_or_harmless(cell: World, case: tuple[str, dict[str, Any], str]) -> None:
    kind, fault, pattern = case
    expected = rows(cell, Cell.of(cell, "query", "503").run())
    one = Cell.of(cell, kind, "html")
    before = peak_bytes()
    cell.sandbox.faults([{"match": {"kind": kind}, "times": None, "fault": {"type": "rewrite", **fault}}])
    if pattern != HARMLESS:
        error = one.refused(pattern)
        assert "x" * 100 not in str(error)
    else:
        found = rows(cell, one.run())
        assert len(found) == RECORDS
        assert [row[0] for row in found] == [row[0] for row in expected]
        one = Cell.of(cell, kind, "html")
    assert peak_bytes() - before < 400 * MIB
    cell.sandbox.faults([])
    one.right(one.run(), expected)


def peak_bytes() -> int:
    """The most memory that this process ever had, sandbox included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize(("kind", "field"), [("query", "Score__c"), ("bulk_results", "Score__c")])
def test_a_number_beyond_all_numbers_is_a_reject(cell: World, kind: str, field: str) -> None:
    one = Cell.of(cell, kind, "html")
    cell.sandbox.faults(
        [{"match": {"kind": kind}, "fault": {"type": "rewrite", "trick": "big_number", "field": field}}]
    )
    report = one.run()
    assert report.counts["read"] == {"rows": RECORDS - 1, "rejected": 1}
    refused = cell.query("select field, value from crosstie.reject where run = :run", run=report.run)
    assert refused == [(field, "1e400")]


def test_a_result_that_holds_a_row_twice_is_refused_and_read_again(cell: World) -> None:
    """Where a row takes another's place, the number of rows is right and a record is missing."""
    one = Cell.of(cell, "bulk_results", "html")
    cell.sandbox.faults([{"match": {"kind": "bulk_results"}, "fault": {"type": "rewrite", "trick": "same_row"}}])
    one.refused("1 record of Contact came twice")
    cell.sandbox.faults([])
    assert one.run().counts["read"] == {"rows": RECORDS}


def test_the_fields_of_these_tests_are_there(cell: World) -> None:
    report = Cell.of(cell, "query", "html").run()
    assert set(map(str, FIELDS)) < set(cell.rows(report)[0])

"""The cost model of reads by id: how many calls each road takes, and which one is chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.crm.salesforce.objects import CONTACT

from crosstie.crm.connector import Comparison, IdsRoad, Operator, RemoteQuery, Road
from crosstie.crm.salesforce.pages import PageReader
from crosstie.crm.salesforce.retrieve import RETRIEVED_IDS, is_retrieved, road_for_ids

PLAIN = RemoteQuery(object=CONTACT, fields=("Id", "LastName"))
FILTERED = replace(PLAIN, condition=Comparison(field="LastName", operator=Operator.NOT_EMPTY))
LINKED = replace(PLAIN, fields=("Id", "Account.Name"))
ALL = {"plain": PLAIN, "filtered": FILTERED, "linked": LINKED, "deleted": replace(PLAIN, include_deleted=True)}


def road(query: RemoteQuery, ids: int, rows: int | None) -> tuple[IdsRoad, int]:
    """The road, and how often the rows were asked for."""
    asked: list[Any] = []

    def count(everything: RemoteQuery) -> int | None:
        assert everything.ids is None
        asked.append(everything)
        return rows

    return road_for_ids(query, ids, count, bulk_from=10_000, bulk_page_rows=50_000), len(asked)


@pytest.mark.parametrize("kind", ALL)
def test_a_block_is_as_large_as_one_call_takes(kind: str) -> None:
    found, _ = road(ALL[kind], 1_000_000, 10**9)
    assert not found.whole
    assert found.calls == -(-1_000_000 // found.ids_per_call)
    assert (found.ids_per_call == RETRIEVED_IDS) == (kind == "plain")
    if kind != "plain":
        assert 500 < found.ids_per_call < 600
        parts = PageReader.parts_of(ALL[kind], ["0" * 18] * (found.ids_per_call * 3))
        assert len(parts) == 3


@pytest.mark.parametrize(
    ("ids", "rows", "whole", "calls"),
    [
        (4_000, 1, False, 2),  # too few to be worth a count
        (4_001, 6_001, False, 3),
        (4_001, 4_000, True, 2),
        (30_000, 10_000, True, 13),
        (26_000, 10_000, False, 13),
        (100_000, 10_000_000, False, 50),
        (500_000, 10_000_000, True, 212),
        (1_000_000, None, False, 500),
    ],
)
def test_the_fewest_calls_win(ids: int, rows: int | None, whole: bool, calls: int) -> None:
    found, asked = road(PLAIN, ids, rows)
    assert (found.whole, found.calls) == (whole, calls)
    assert asked == (ids > 4_000)
    assert found.expected_rows == (rows if whole else None)
    assert f"{ids:,} ids" in found.reason


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3_000_000), st.integers(0, 30_000_000), st.sampled_from(sorted(ALL)))
def test_no_road_costs_more_than_blocks(ids: int, rows: int, kind: str) -> None:
    found, asked = road(ALL[kind], ids, rows)
    assert found.calls <= -(-ids // found.ids_per_call)
    assert asked <= 1


@pytest.mark.parametrize(("asked", "whole"), [(Road.PAGES, False), (Road.BULK, True)])
def test_a_road_that_is_asked_for_is_taken(asked: Road, whole: bool) -> None:
    found, counted = road(replace(PLAIN, road=asked), 100_000, 1)
    assert (found.whole, counted) == (whole, 0)
    assert "as asked for" in found.reason


def test_few_ids_are_a_list_of_a_query_and_many_go_through_collections() -> None:
    ids = ["0" * 18] * 2_000
    assert not is_retrieved(PLAIN)
    assert not is_retrieved(replace(PLAIN, ids=ids[:100]))
    assert is_retrieved(replace(PLAIN, ids=ids))
    for kind in ("filtered", "linked", "deleted"):
        assert not is_retrieved(replace(ALL[kind], ids=ids))

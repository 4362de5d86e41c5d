"""Rows that a CRM refuses together, without saying which of them are at fault."""

from __future__ import annotations

import pytest

from crosstie.model import WorkTable
from tests.contract.exports.crm import Killed
from tests.contract.exports.world import Exports, export

BAD = (3, 17, 18)
PEOPLE = 20


@pytest.fixture
def people(world: Exports) -> WorkTable:
    """Some of them are bad."""
    world.crm.together, world.crm.probes, world.crm.rows_per_shipment = True, 100, 8
    world.crm.lanes = 2
    return world.people(*((n, None, "bad" if n in BAD else f"P{n}", None) for n in range(PEOPLE)))


def test_the_good_rows_arrive_and_exactly_the_bad_ones_are_rejected(world: Exports, people: WorkTable) -> None:
    ended = world.run(export(), people)
    assert ended.counts == {"created": PEOPLE - len(BAD), "updated": 0, "unchanged": 0, "rejected": len(BAD)}
    assert sorted(world.read(ended.tables["rejects"], "id", "errorMessage")) == [(n, "bad is refused") for n in BAD]
    assert len(world.crm.records) == PEOPLE - len(BAD)
    assert len(world.crm.calls) == 3 + 6 + 6, "a row of eight is found by six further calls, two of four by six"
    assert world.rows("select sum(row_count) from crosstie.shipment where status = 'answered'") == [(PEOPLE,)]


@pytest.mark.parametrize(("call", "kill"), [(1, "killed after"), (2, "killed before")])
def test_a_kill_between_the_parts_loses_nothing(world: Exports, people: WorkTable, call: int, kill: str) -> None:
    world.crm.faults = [*[None] * call, kill]
    world.crm.lanes = 1
    with pytest.raises(Killed):
        world.run(export(), people)
    ended = world.run(export(), people)
    assert (ended.counts["created"], ended.counts["rejected"]) == (PEOPLE - len(BAD), len(BAD))
    assert sorted(str(one["LastName"]) for one in world.crm.records.values()) == sorted(
        f"P{n}" for n in range(PEOPLE) if n not in BAD
    )


def test_what_may_not_be_asked_any_more_is_rejected_and_says_so(world: Exports, people: WorkTable) -> None:
    world.crm.probes, world.crm.lanes = 2, 1
    ended = world.run(export(), people)
    told = {row[0]: str(row[1]) for row in world.read(ended.tables["rejects"], "id", "errorMessage")}
    assert set(BAD) <= set(told)
    assert len(world.crm.records) == PEOPLE - len(told) > 0
    assert len(world.crm.calls) == 3 + 2
    assert all("has made the 2 further shipments" in one and "one is bad" in one for one in told.values())

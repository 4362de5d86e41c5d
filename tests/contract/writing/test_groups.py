"""Groups of Oracle CRM On Demand: one refused record takes all others with it, and no fault says which one it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from crosstie.crm.writing import Certainty, Operation, Outcome, RemoteWrite
from tests.contract.every_connector.worlds import World
from tests.contract.writing.orgs import KINDS, Org
from tests.contract.writing.shipping import Row, batches, find, send

NO_NAME = "Nobody"
RULE = {"object": "Contact", "field": "ContactLastName", "value": NO_NAME}
TIMED_OUT = {"type": "status", "status": 500, "code": "SBL-ODU-01006"}


@pytest.fixture(scope="module")
def opened() -> Iterator[Org]:
    with KINDS["oracle_on_demand"]() as org:
        org.sandbox.control("rules", rules=[RULE])
        yield org


@pytest.fixture
def org(opened: Org) -> Iterator[Org]:
    """A company that does not take one last name; what was written before is older than the guard of clocks."""
    opened.sandbox.advance(timedelta(minutes=5))
    opened.sandbox.counters(reset=True)
    yield opened
    opened.sandbox.faults([])


def counted(org: Org) -> dict[str, int]:
    """The requests since the last look, but for queries that describe."""
    found = org.sandbox.counters(reset=True)["requests"]
    kinds = ("insert", "update", "delete", "execute", "insert_or_update", "query")
    return {kind: found[kind] for kind in kinds if found.get(kind)}


def test_the_good_rows_of_a_refused_group_arrive_and_the_bad_ones_say_why(org: Org) -> None:
    write = org.write(Operation.INSERT, "name")
    names = [NO_NAME if n in {3, 17} else f"Group {n:02}" for n in range(20)]
    rows = org.rows(write, [{"name": name} for name in names])
    counted(org)
    found = send(org.connector, write, rows)
    assert counted(org)["insert"] <= 1 + 2 * 9
    assert found.where(Outcome.REJECTED) == [3, 17]
    assert len(found.where(Outcome.ACCEPTED)) == 18
    assert [one["name"] for one in org.people("Group")] == [name for name in sorted(names) if name != NO_NAME]
    (told,) = (
        one
        for one in org.connector.send(write, batches(write, rows[3:4]), lambda token: None).answers.to_pylist()
        if one["row"] == 0
    )
    assert (told["symbol"], told["word"]) == ("SBL-EXL-00151", None)
    assert told["log_file"].startswith("OnDemandServicesObjMgr")
    assert "does not allow this value" in told["message"]


def test_records_that_are_gone_are_found_by_one_look(org: Org) -> None:
    ids = org.insert([{"name": f"Gone {n:02}"} for n in range(12)])
    org.sandbox.control("delete", object="Contact", ids=ids[2:5])
    counted(org)
    found = send(org.connector, org.write(Operation.DELETE), [{"remote_id": one} for one in ids])
    assert counted(org) == {"delete": 2, "query": 1}
    assert [found.rows[row].effect for row in range(12)] == [*["deleted"] * 2, *["gone"] * 3, *["deleted"] * 7]


def test_a_record_that_another_has_changed_keeps_only_its_own_row_back(org: Org) -> None:
    ids = org.insert([{"name": f"Moved {n}"} for n in range(4)])
    write = org.write(Operation.UPDATE, "name")
    rows: list[Row] = [{"remote_id": one} for one in ids]
    known = org.connector.current(write, batches(write, rows)).to_pylist()
    org.sandbox.control("update", object="Contact", id=ids[2], values={org.roles.score: 2})
    conditional = replace(write, conditional=True)
    given: list[Row] = [
        {"remote_id": one["remote_id"], write.fields[0]: f"Moved {n} on", "version": one["version"]}
        for n, one in enumerate(known)
    ]
    found = send(org.connector, conditional, given)
    assert (found.where(Outcome.ACCEPTED), found.where(Outcome.RETRY)) == ([0, 1, 3], [2])


def test_a_group_that_comes_too_soon_leaves_again_at_once(org: Org) -> None:
    write = org.write(Operation.INSERT, "name")
    rows = org.rows(write, [{"name": f"Soon {n}"} for n in range(3)])
    fault = {"type": "status", "status": 500, "code": "SBL-ODU-01005", "message": "Please try again in 3 ms."}
    org.sandbox.faults([{"match": {"kind": "insert"}, "times": 4, "fault": fault}])
    sent = send(org.connector, write, rows)
    assert (sent.outcomes(), sent.failure, len(org.people("Soon"))) == ({Outcome.ACCEPTED}, None, 3)


@pytest.mark.parametrize("done", [True, False])
def test_a_back_end_that_took_too_long_leaves_rows_in_doubt_and_they_are_looked_up(org: Org, done: bool) -> None:
    write = org.write(Operation.INSERT, "name")
    rows = org.rows(write, [{"name": f"Slow {done} {n}"} for n in range(3)])
    left_at = org.sandbox.now()
    org.fails(Operation.INSERT, {**TIMED_OUT, "after_work": done})
    sent = send(org.connector, write, rows)
    assert sent.outcomes() == {Outcome.DOUBT}
    assert sent.failure is not None and sent.failure.retryable
    found = find(org.connector, write, rows, "", left_at)
    assert found.outcomes() == {Outcome.ACCEPTED if done else Outcome.RETRY}
    again = send(org.connector, write, rows)
    assert again.outcomes() == {Outcome.ACCEPTED}, "by the keys of the plan it is known what is there"
    assert len(org.people(f"Slow {done}")) == 3
    assert found.rows[0].remote_id in {None, again.rows[0].remote_id}


def test_a_record_without_free_key_leaves_alone_and_a_lost_answer_is_a_persons(org: Org) -> None:
    with closing(World("oracle_on_demand", org.sandbox).open(changed={"keys": ["Contact=IndexedShortText9"]})) as other:
        write = org.write(Operation.INSERT, "name")
        packing = other.packing(write, 3)
        assert (packing.rows, packing.certainty) == (1, Certainty.OPAQUE)
        assert "IndexedShortText9" in packing.reason
        rows: list[Row] = [{write.fields[0]: "Alone", "ContactFirstName": "Ann"}]
        left_at = org.sandbox.now()
        org.fails(Operation.INSERT, {"type": "drop_after"})
        assert send(other, write, rows).outcomes() == {Outcome.DOUBT}
        assert find(other, write, rows, "", left_at).outcomes() == {Outcome.DOUBT}


@pytest.fixture(scope="module")
def first_version(opened: Org) -> Iterator[Org]:
    """The same company by v1.0, which has other names and no types."""
    world = World("oracle_on_demand", opened.sandbox)
    with closing(world.open(changed={"version": "v1.0"})) as connector:
        yield replace(opened, connector=connector)


def test_version_one_makes_changes_and_finds_by_its_own_names_and_in_the_users_zone(first_version: Org) -> None:
    org = first_version
    contact = org.connector.describe("Contact")
    fields = ("ContactFirstName", "ContactLastName", "dtLast_Mailing", "bNewsletter", "DateofBirth", "nScore")
    write = RemoteWrite(object=contact, operation=Operation.UPSERT, key="ExternalSystemId", fields=fields)
    given: Row = {
        "ContactFirstName": "Vera",
        "ContactLastName": "Version 1",
        "dtLast_Mailing": "2026-07-01T22:30:00.000Z",
        "bNewsletter": "true",
        "DateofBirth": "1980-02-29",
        "nScore": "12.50",
    }
    made = send(org.connector, write, [{"key": "V-1", **given}]).rows[0]
    assert (made.outcome, made.effect) == ("accepted", "created"), made
    both = send(org.connector, write, [{"key": "V-1", "nScore": "7"}, {"key": "V-2", **given}])
    assert [both.rows[row].effect for row in range(2)] == ["updated", "created"]
    assert org.sandbox.counters()["requests"]["insert_or_update"] == 1
    (held,) = stored(org, made.remote_id)
    assert (held["dtLast_Mailing"], held["bNewsletter"]) == ("2026-07-01T22:30:00Z", "true")
    assert (held["DateofBirth"], float(held["nScore"])) == ("1980-02-29", 7)
    update = replace(write, operation=Operation.UPDATE, key="")
    (now,) = org.connector.current(update, batches(update, [{"remote_id": made.remote_id}])).to_pylist()
    same = org.connector.comparer(update)
    expected = {**given, "nScore": "7.0"}
    assert all(same(place, str(expected[name]), now[f"f_{place}"]) for place, name in enumerate(fields)), now
    cleared: Row = {"remote_id": made.remote_id, "DateofBirth": "", "nScore": ""}
    assert send(org.connector, update, [cleared]).rows[0].effect == "updated"
    assert [(one["DateofBirth"], one["nScore"]) for one in stored(org, made.remote_id)] == [(None, None)]
    delete = RemoteWrite(object=contact, operation=Operation.DELETE)
    gone: list[Row] = [{"remote_id": one.remote_id} for one in (made, both.rows[1])]
    assert {one.effect for one in send(org.connector, delete, gone).rows.values()} == {"deleted"}


def stored(org: Org, record_id: Any) -> list[dict[str, Any]]:
    """A contact as the company keeps it."""
    found: list[dict[str, Any]] = org.sandbox.control("rows", object="Contact", ids=[record_id])["rows"]
    return found

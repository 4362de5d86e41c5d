"""Records that can't be converted: the Reject transition, the inbox, and being asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from crosstie.app.rejects import InboxReject, Rejects
from crosstie.errors import TaskError
from crosstie.sync import windows
from crosstie.workflow.runner import RunReport
from tests.contract.imports.world import World, flow, indexed

BAD = "2026-02-31"
FIELDS: list[object] = ["LastName", {"field": "Birthdate", "as": "errors_birth"}]
REJECTS = {"bad": {"type": "javascript", "code": "1"}}
TEXT = indexed(FIELDS, rejects="bad", more=REJECTS)


def inbox(world: World, *, open_only: bool = True) -> tuple[InboxReject, ...]:
    return Rejects(world.db, world.clock.now).list(open_only=open_only)


def spoil(world: World, ids: Sequence[str], value: str | None = BAD, *, stamped: bool = True) -> None:
    """Gives records a birth date that is none."""
    stamp = {"SystemModstamp": f"{world.clock.now():%Y-%m-%dT%H:%M:%S}.000+0000"} if stamped else {}
    world.sandbox.control("set_stamp", ids=list(ids), values={"Birthdate": value, **stamp})


@pytest.fixture
def spoilt(world: World) -> list[str]:
    """An imported world, and the ids of two records that can't be converted since."""
    world.run(TEXT)
    world.advance(minutes=30)
    ids = world.sandbox.change_contacts(2)
    spoil(world, ids)
    world.advance(minutes=30)
    return sorted(ids)


@pytest.fixture(autouse=True)
def _mended(world: World) -> object:
    yield
    rows = world.query("select distinct remote_id from crosstie.reject where remote_id <> ''")
    spoil(world, [row[0] for row in rows], None)


def counts(report: RunReport) -> dict[str, int]:
    return dict(report.counts["read"])


def test_a_record_that_cannot_be_converted_goes_to_the_reject_transition_and_the_inbox(
    world: World, spoilt: list[str]
) -> None:
    good = world.sandbox.change_contacts(3)
    world.advance(minutes=2)
    report = world.run(TEXT)
    assert counts(report) == {"rows": 3, "rejected": 2}
    assert world.ids(report) == sorted(set(good))
    sent = sorted(world.rows(report, "bad"), key=lambda row: str(row["Id"]))
    assert [row["Id"] for row in sent] == spoilt
    assert {row["errors_birth"] for row in sent} == {BAD}
    assert {(row["errorSymbol"], row["errorField"]) for row in sent} == {("CONVERSION_FAILED", "errors_birth")}
    assert {row["errorMessage"] for row in sent} == {"cannot be read as a date"}
    kept = sorted(inbox(world), key=lambda one: one.remote_id)
    assert [one.remote_id for one in kept] == spoilt
    assert {(one.symbol, one.message, one.field, one.value) for one in kept} == {
        ("CONVERSION_FAILED", "cannot be read as a date", "errors_birth", BAD)
    }
    assert {(one.account, one.object, one.run) for one in kept} == {("crm", "Contact", report.run)}
    assert all(one.record["errors_birth"] == BAD and one.record["LastName"] for one in kept)
    assert report.rejects == 2


def test_without_reject_transition_the_inbox_has_them_all_the_same(world: World) -> None:
    text = indexed(FIELDS)
    world.run(text)
    ids = world.sandbox.change_contacts(1)
    spoil(world, ids)
    world.advance(minutes=30)
    report = world.run(text)
    assert counts(report) == {"rows": 0, "rejected": 1}
    assert [one.remote_id for one in inbox(world)] == ids


def test_what_was_refused_is_asked_for_again_until_it_is_accepted(world: World, spoilt: list[str]) -> None:
    world.run(TEXT)
    for _ in range(2):
        world.advance(hours=2)
        assert counts(world.run(TEXT)) == {"rows": 0, "still refused": 2}
        assert [one.remote_id for one in sorted(inbox(world), key=lambda one: one.remote_id)] == spoilt
        assert len(inbox(world, open_only=False)) == 2
    # Mended without a new stamp, long before the window: it is found by its id, and is no late comer.
    spoil(world, spoilt[:1], "1980-01-31", stamped=False)
    world.advance(minutes=30)
    report = world.run(TEXT)
    assert counts(report) == {"rows": 1, "still refused": 1}
    assert world.ids(report) == spoilt[:1]
    assert {one.remote_id: one.status for one in inbox(world, open_only=False)} == {
        spoilt[0]: "accepted",
        spoilt[1]: "open",
    }
    world.advance(minutes=30)
    assert counts(world.run(TEXT)) == {"rows": 0, "still refused": 1}
    assert world.window().overlap == windows.OVERLAP


def test_what_was_refused_inside_the_overlap_and_is_mended_comes_once(world: World, spoilt: list[str]) -> None:
    spoil(world, spoilt)
    world.advance(minutes=13)
    world.run(TEXT)
    # One with a new stamp, one with that of before: neither became visible late.
    spoil(world, spoilt[:1], "1980-01-31")
    spoil(world, spoilt[1:], "1980-01-31", stamped=False)
    world.advance(minutes=5)
    report = world.run(TEXT)
    assert counts(report) == {"rows": 2}
    assert world.ids(report) == spoilt
    world.advance(minutes=2)
    assert counts(world.run(TEXT)) == {"rows": 0, "seen before": 1}
    assert world.window().overlap == windows.OVERLAP


def test_a_refused_record_that_is_gone_is_settled(world: World, spoilt: list[str]) -> None:
    world.run(TEXT)
    world.sandbox.control("delete", ids=spoilt[:1])
    world.advance(hours=1)
    assert counts(world.run(TEXT)) == {"rows": 0, "still refused": 1}
    assert [one.remote_id for one in inbox(world)] == spoilt[1:]
    world.sandbox.control("undelete", ids=spoilt[:1])


def test_what_was_dismissed_is_not_asked_for_again_not_even_in_the_overlap(world: World, spoilt: list[str]) -> None:
    spoil(world, spoilt)
    world.advance(minutes=2)
    world.run(TEXT)
    rejects = Rejects(world.db, world.clock.now)
    assert rejects.dismiss([one.id for one in rejects.list() if one.remote_id == spoilt[0]]) == 1
    world.advance(minutes=5)
    report = world.run(TEXT)
    assert counts(report) == {"rows": 0, "still refused": 1, "dismissed before": 1}
    assert world.rows(report, "bad") == []
    assert [one.remote_id for one in inbox(world)] == spoilt[1:]
    world.advance(hours=1)
    world.run(TEXT)
    world.advance(hours=1)
    assert counts(world.run(TEXT)) == {"rows": 0, "still refused": 1}
    # Another mistake is another reject.
    spoil(world, spoilt[:1], "never")
    world.advance(hours=1)
    assert counts(world.run(TEXT)) == {"rows": 0, "rejected": 1, "still refused": 1}
    assert sorted(one.remote_id for one in inbox(world)) == spoilt


def test_an_import_of_everything_keeps_one_reject_of_each_record(world: World) -> None:
    text = flow({"fields": FIELDS})
    (bad,) = world.sandbox.change_contacts(1)
    spoil(world, [bad])
    assert counts(world.run(text))["rejected"] == 1
    assert counts(world.run(text))["still refused"] == 1
    rejects = Rejects(world.db, world.clock.now)
    rejects.dismiss([one.id for one in inbox(world)])
    assert counts(world.run(text))["dismissed before"] == 1
    assert inbox(world) == ()
    spoil(world, [bad], "1980-01-31")
    report = world.run(text)
    assert bad in world.ids(report)
    assert set(counts(report)) == {"rows"}


def test_a_refused_record_of_a_population_is_not_unknown_and_is_settled_when_it_is_accepted(world: World) -> None:
    bad, good = world.sandbox.change_contacts(2)
    spoil(world, [bad])

    def text(*ids: str) -> str:
        given = {"type": "given", "columns": ["id"], "rows": [[one] for one in ids]}
        return flow({"fields": FIELDS, "population": {"ids": "id"}}, before={"source": given})

    assert counts(world.run(text(bad, bad, good))) == {"rows": 1, "rejected": 1}
    assert counts(world.run(text(bad, good))) == {"rows": 1, "still refused": 1}
    # Who is not asked for is not settled.
    assert counts(world.run(text(good))) == {"rows": 1}
    assert [one.remote_id for one in inbox(world)] == [bad]
    spoil(world, [bad], "1980-01-31")
    assert counts(world.run(text(bad, good))) == {"rows": 2}
    assert inbox(world) == ()


def test_a_text_that_is_longer_than_its_field_is_refused_and_not_cut(world: World) -> None:
    (bad,) = world.sandbox.change_contacts(1)
    world.sandbox.control("set_stamp", ids=[bad], values={"Title": "t" * 129})
    world.advance(minutes=2)
    report = world.run(indexed(["Title", "LastName"], rejects="bad", more=REJECTS))
    assert counts(report)["rejected"] == 1
    (row,) = world.rows(report, "bad")
    assert (row["Id"], row["Title"]) == (bad, "t" * 129)
    assert row["errorMessage"] == "is longer than the 128 characters of the field"
    world.sandbox.control("set_stamp", ids=[bad], values={"Title": None})


@pytest.mark.parametrize("ordered", [False, True])
def test_after_a_kill_the_windows_job_is_taken_up_and_not_that_of_the_refused(
    world: World, spoilt: list[str], ordered: bool
) -> None:
    """The reads by id come after the window's; a job of theirs must not be taken for the window's."""
    how: dict[str, object] = {"order_by": ["LastName"]} if ordered else {"road": "bulk"}
    text = indexed(FIELDS, rejects="bad", more=REJECTS, **how)
    world.run(text)
    world.advance(hours=1)
    changed = world.sandbox.change_contacts(20)
    spoil(world, spoilt[:1], "1980-01-31", stamped=False)
    world.advance(minutes=30)

    class Killed(BaseException):
        pass

    def kill(rows: int) -> None:
        if rows > len(changed):
            raise Killed

    expected = sorted({*changed, spoilt[0]} - {spoilt[1]})
    world.watcher.on_rows = kill
    with pytest.raises(Killed):
        world.run(text)
    world.watcher.on_rows = lambda rows: None
    report = world.run(text)
    assert report.resumed
    assert world.ids(report) == expected
    if ordered:
        rows = sorted(world.rows(report), key=lambda row: int(row["crosstie_position"]))
        assert len({row["crosstie_position"] for row in rows}) == len(rows)
        assert rows[-1]["Id"] == spoilt[0]
    assert world.window().end > world.clock.now() - timedelta(minutes=3)


def test_rejects_of_a_run_that_was_abandoned_are_handed_on_by_the_next(world: World, spoilt: list[str]) -> None:
    broken = {"bad": {"type": "javascript", "code": "throw new Error('no')"}}
    with pytest.raises(TaskError):
        world.run(indexed(FIELDS, rejects="bad", more=broken))
    report = world.run(TEXT, restart=True)
    assert counts(report)["rejected"] == 2
    assert sorted(str(row["Id"]) for row in world.rows(report, "bad")) == spoilt


def test_what_a_run_accepted_and_then_failed_is_asked_for_again_after_a_restart(
    world: World, spoilt: list[str]
) -> None:
    """Mended without a new stamp, it lies in no window: only its id brings it."""
    world.run(TEXT)
    world.advance(hours=2)
    spoil(world, spoilt[:1], "1980-01-31", stamped=False)
    failing = {**REJECTS, "then": {"type": "javascript", "code": "throw new Error('no')"}}
    with pytest.raises(TaskError):
        world.run(indexed(FIELDS, rejects="bad", next="then", more=failing))
    assert len(inbox(world)) == 2
    report = world.run(TEXT, restart=True)
    assert counts(report) == {"rows": 1, "still refused": 1}
    assert world.ids(report) == spoilt[:1]
    assert [one.remote_id for one in inbox(world)] == spoilt[1:]
    world.advance(hours=2)
    assert counts(world.run(TEXT)) == {"rows": 0, "still refused": 1}


def test_what_was_asked_for_by_id_and_refused_by_a_run_that_failed_is_asked_for_again(
    world: World, spoilt: list[str]
) -> None:
    """It lies in no window that is read again: the run that refused it had asked for it by its id."""
    world.run(TEXT)
    world.advance(hours=2)
    failing = indexed(
        FIELDS,
        rejects="bad",
        next="then",
        more={**REJECTS, "then": {"type": "javascript", "code": "throw new Error('no')"}},
    )
    spoil(world, spoilt[:1], "1980-01-31", stamped=False)
    with pytest.raises(TaskError):
        world.run(failing)
    spoil(world, spoilt[:1], stamped=False)
    with pytest.raises(TaskError):
        world.run(failing, restart=True)
    world.run(TEXT, restart=True)
    assert [one.remote_id for one in sorted(inbox(world), key=lambda one: one.remote_id)] == spoilt
    spoil(world, spoilt[:1], "1980-01-31", stamped=False)
    world.advance(hours=2)
    report = world.run(TEXT)
    assert world.ids(report) == spoilt[:1]
    assert [one.remote_id for one in inbox(world)] == spoilt[1:]


@pytest.mark.parametrize("doubled", ["accepted", "refused"])
def test_a_row_that_takes_another_ones_place_is_refused_though_a_reject_is_open(
    world: World, spoilt: list[str], doubled: str
) -> None:
    text = indexed(FIELDS, rejects="bad", more=REJECTS, road="bulk")
    world.run(text)
    world.advance(hours=2)
    changed = world.sandbox.change_contacts(6)
    if doubled == "refused":
        spoil(world, [max(changed)])
    world.advance(minutes=30)
    rule = {"match": {"kind": "bulk_results"}, "times": 1, "fault": {"type": "rewrite", "trick": "same_row"}}
    world.sandbox.faults([rule])
    with pytest.raises(TaskError, match="1 record of Contact came twice"):
        world.run(text)
    world.sandbox.faults([])
    report = world.run(text)
    assert report.counts["read"]["rows"] == len(changed) - (doubled == "refused")

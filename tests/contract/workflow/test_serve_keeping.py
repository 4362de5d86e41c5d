"""What a service does from time to time: history that is too old, workflows that stay paused, orphaned work tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from crosstie.db.database import Database
from crosstie.model import Column, ColumnType
from crosstie.notify.outbox import Draft, put
from crosstie.workflow.files import FileRecord, record_file
from crosstie.workflow.state import RunStatus
from tests.contract.workflow.desk import Desk
from tests.contract.workflow.test_dispatch import PLAY, fail

CHAIN = "  a: {type: act}\n  b: {type: act}\n"
DONE, FAILED, STOPPED = RunStatus.DONE, RunStatus.FAILED, RunStatus.STOPPED


@pytest.fixture(autouse=True)
def _play() -> Iterator[None]:
    PLAY.acts.clear()
    yield


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def counts(desk: Desk) -> dict[str, int]:
    with desk.db.reading() as transaction:
        return {
            table: int(transaction.rows(f"select count(*) from crosstie.{table}")[0][0])
            for table in ("run", "task", "event")
        }


def run_days(desk: Desk, days: int) -> None:
    for _ in range(days):
        desk.run()
        desk.clock.at += timedelta(days=1)


def test_history_is_kept_for_the_days_that_are_set(desk: Desk) -> None:
    desk.apply(CHAIN, top="keep_history: 3d")
    run_days(desk, 6)
    desk.tick()
    assert counts(desk) == {"run": 3, "task": 6, "event": 9}


def test_history_is_kept_for_ever_when_set_so(desk: Desk) -> None:
    desk.apply(CHAIN, top="keep_history: 0")
    run_days(desk, 3)
    desk.tick(days=1000)
    assert counts(desk)["run"] == 3


def test_the_newest_run_and_what_is_not_over_stay(desk: Desk) -> None:
    desk.apply(CHAIN, top="keep_history: 3d\nreport_paused: 0\nstop_paused: 0")
    PLAY.acts["b"] = fail
    desk.control.start("flow")
    desk.tick(2)
    PLAY.acts.clear()
    run_days(desk, 2)
    desk.tick(days=100)
    assert desk.ended() == [FAILED, DONE]


def test_purge_removes_what_is_over_and_is_audited(desk: Desk) -> None:
    desk.apply(CHAIN)
    run_days(desk, 4)
    assert desk.control.purge("flow", timedelta(days=2)).runs == 2
    assert desk.control.purge("flow", timedelta()).runs == 1
    assert counts(desk) == {"run": 1, "task": 2, "event": 3}
    assert desk.audited()[-1] == ("purge", "", "1 runs, 0 messages removed")


def test_mails_and_files_are_forgotten_but_not_those_that_would_be_loaded_again(desk: Desk) -> None:
    desk.apply(CHAIN, top="keep_history: 3d")
    desk.run()
    record = FileRecord(
        workflow="flow", activity="a", run=1, task=1, direction="loaded", name="", size=1, digest="d", rows=1
    )
    with desk.db.transaction("test") as transaction:
        record_file(transaction, replace(record, name="marked.csv"), desk.clock.now())
        record_file(transaction, replace(record, name="written.csv", direction="written"), desk.clock.now())
        record_file(transaction, replace(record, name="to be moved", moved_from="x", moved_to="y"), desk.clock.now())
        record_file(transaction, replace(record, name="moved.csv", moved_from="v", moved_to="w"), desk.clock.now())
        transaction.execute("update crosstie.file set status = 'done' where name = 'moved.csv'")
        for status in ("sent", "given_up", "waiting"):
            draft = Draft(kind="mail", recipient=f"{status}@example.com", content={}, workflow="flow")
            put(transaction, draft, desk.clock.now())
            transaction.execute(
                "update crosstie.outbox set status = :status, ended_at = made_at where recipient = :to",
                {"status": status, "to": f"{status}@example.com"},
            )
    desk.tick(days=2)
    assert kept(desk) == ({"marked.csv", "moved.csv", "to be moved", "written.csv"}, {"given_up", "sent", "waiting"})
    desk.tick(days=2)
    assert kept(desk) == ({"marked.csv", "to be moved"}, {"waiting"})


def kept(desk: Desk) -> tuple[set[str], set[str]]:
    with desk.db.reading() as transaction:
        files = {name for (name,) in transaction.rows("select name from crosstie.file")}
        return files, {status for (status,) in transaction.rows("select status from crosstie.outbox")}


def test_more_than_a_page_of_history_is_removed(desk: Desk) -> None:
    desk.apply(CHAIN)
    desk.run()
    with desk.db.transaction("runs") as transaction:
        for _ in range(250):
            transaction.execute(
                "insert into crosstie.run (workflow, version, status, started_at, ended_at)"
                " select workflow, version, 'done', started_at, ended_at from crosstie.run where id = 1"
            )
    desk.clock.at += timedelta(days=1)
    assert desk.control.purge("flow", timedelta()).runs == 250


def test_a_workflow_that_stays_paused_is_reported_weekly_and_stopped_after_a_month(desk: Desk) -> None:
    other = desk.another()
    desk.apply(CHAIN)
    PLAY.acts["b"] = fail
    desk.control.start("flow")
    desk.tick(2)
    told = []
    for day in range(1, 35):
        desk.said.clear()
        desk.tick(days=1)
        other.tick()
        if desk.said:
            told.append((day, len(desk.said), desk.said[0]))
    assert [(day, count) for day, count, _ in told] == [(7, 1), (14, 1), (21, 1), (28, 1), (30, 1)]
    assert told[0][2] == (
        "! flow is failed since 2026-11-23 08:00 UTC (the CRM is away) and keeps its work tables."
        " Go on with it: crosstie workflow start flow. Give it up: crosstie workflow stop flow."
    )
    assert told[-1][2] == (
        "! flow was stopped: failed for longer than 30 days. Begin it anew: crosstie workflow start flow."
    )
    assert (desk.status, desk.ended()) == ("finished", [STOPPED])
    assert desk.log().count("keeps its work tables") == 4


def test_each_pause_is_counted_from_its_own_beginning(desk: Desk) -> None:
    desk.apply("  tick: {type: scheduler, every: 1h, since: 2030-01-01}\n  a: {type: act}\n")
    desk.control.start("flow")
    desk.control.pause("flow")
    desk.tick(days=6)
    desk.control.start("flow")
    desk.control.pause("flow")
    desk.tick(days=6)
    assert desk.said == []
    desk.tick(days=1)
    assert len(desk.said) == 1


def test_how_long_it_may_stay_paused_can_be_set(desk: Desk) -> None:
    desk.apply(CHAIN, top="report_paused: 1d\nstop_paused: 0")
    desk.control.start("flow")
    desk.control.pause("flow")
    desk.tick(hours=12)
    assert desk.said == []
    desk.tick(hours=12)
    assert len(desk.said) == 1
    desk.tick(days=400)
    assert desk.status == "paused"


def test_work_tables_that_nobody_names_are_dropped(desk: Desk) -> None:
    desk.apply(CHAIN)
    desk.db.create_work("w_99_1_ok", (Column(name="id", type=ColumnType.INTEGER),))
    desk.tick()
    assert desk.db.work_tables() == ()

"""Schedules of started workflows: each fires once, what was missed once and late, a year of them by a hand clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from crosstie.db.database import Database
from crosstie.workflow import firing, state
from crosstie.workflow.activity import Context, Waiting
from crosstie.workflow.firing import MOST_BEHIND
from crosstie.workflow.schedules import Schedule
from crosstie.workflow.state import RunStatus
from tests.contract.workflow.desk import Desk
from tests.contract.workflow.test_dispatch import PLAY, START, fail

DONE = RunStatus.DONE
HOURLY = "  tick: {type: scheduler, every: 1h}\n  a: {type: act}\n"


@pytest.fixture(autouse=True)
def _play() -> Iterator[None]:
    PLAY.acts.clear()
    PLAY.calls.clear()
    yield


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_a_schedule_fires_at_its_time_and_tells_for_which(desk: Desk) -> None:
    seen = []
    PLAY.acts["a"] = lambda context: seen.append(context.vars["scheduledAt"])
    desk.apply(HOURLY)
    started = desk.control.start("flow")
    assert (started.begun, desk.next_at()) == (None, START + timedelta(hours=1))
    desk.tick(3, minutes=59, seconds=59)
    assert desk.runs() == []
    desk.tick(3, seconds=1)
    assert (desk.ended(), seen) == ([DONE], [START + timedelta(hours=1)])
    desk.tick(2, hours=1)
    assert (desk.ended(), desk.status) == ([DONE, DONE], "started")


def test_what_begins_without_a_schedule_begins_with_the_workflow(desk: Desk) -> None:
    desk.apply(HOURLY.replace("type: act", "type: act, next: []") + "  other: {type: act, next: []}\n")
    desk.control.start("flow")
    desk.tick(2)
    assert PLAY.calls == ["other"]
    desk.tick(2, hours=1)
    assert PLAY.calls == ["other", "a"]


def test_crosstie_run_begins_at_once(desk: Desk) -> None:
    desk.apply(HOURLY)
    assert desk.run().status is DONE
    assert PLAY.calls == ["a"]


def test_many_services_fire_once(desk: Desk) -> None:
    desk.apply(HOURLY)
    desk.control.start("flow")
    desk.clock.at += timedelta(hours=1)
    with desk.db.reading() as transaction:
        due = firing.due(transaction, desk.clock.at)
    fired: list[int | None] = []
    gate = threading.Barrier(6, timeout=60)

    def fire() -> None:
        gate.wait()
        fired.append(firing.fire(desk.db, due[0], desk.clock.at))

    threads = [threading.Thread(target=fire) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(one is None for one in fired) == [False, *[True] * 5]
    assert len(desk.runs()) == 1


def test_missed_firings_fire_once_and_late(desk: Desk) -> None:
    desk.apply(HOURLY)
    desk.control.start("flow")
    desk.tick(2, hours=5, minutes=10)
    assert desk.ended() == [DONE]
    assert "warning tick: Fired late: it was due at 2026-11-23 09:00:00 (UTC)." in desk.log()
    assert desk.next_at() == START + timedelta(hours=6)


@pytest.mark.parametrize(("late", "fires"), [("9m", False), ("10m", True), ("15m", True)])
def test_missed_firings_are_left_out_when_they_are_too_late(desk: Desk, late: str, fires: bool) -> None:
    desk.apply(HOURLY.replace("every: 1h", f"every: 1h, late: {late}"))
    desk.control.start("flow")
    desk.tick(2, hours=5, minutes=10)
    assert desk.ended() == ([DONE] if fires else [])
    left_out = "Left out: it was due at 2026-11-23 13:00:00 (UTC), which is longer ago than its “late” allows."
    assert (left_out in desk.log()) == (not fires)
    desk.tick(2, minutes=50)
    assert len(desk.ended()) == 1 + fires


def test_so_many_times_and_then_the_workflow_is_finished(desk: Desk) -> None:
    desk.apply(HOURLY.replace("every: 1h", "every: 1h, times: 2"))
    desk.control.start("flow")
    for _ in range(5):
        desk.tick(2, hours=1)
    assert (desk.ended(), desk.status) == ([DONE, DONE], "finished")
    desk.control.start("flow")
    for _ in range(5):
        desk.tick(2, hours=1)
    assert desk.ended() == [DONE] * 4


def test_a_paused_workflow_fires_nothing_and_catches_up_once(desk: Desk) -> None:
    desk.apply(HOURLY)
    desk.control.start("flow")
    desk.control.pause("flow")
    desk.tick(2, hours=3)
    assert desk.runs() == []
    desk.control.start("flow")
    desk.tick(2)
    assert desk.ended() == [DONE]


def test_a_failed_workflow_fires_nothing(desk: Desk) -> None:
    PLAY.acts["a"] = fail
    desk.apply(HOURLY)
    desk.control.start("flow")
    desk.tick(2, hours=1)
    desk.tick(2, hours=1)
    assert (desk.ended(), desk.status) == ([RunStatus.FAILED], "failed")


def test_runs_overlap_and_what_is_at_work_is_waited_for(desk: Desk) -> None:
    desk.apply(HOURLY + "  b: {type: act}\n")
    desk.control.start("flow")
    order: list[tuple[str, int]] = []
    fired = threading.Event()

    def work(context: Context) -> None:
        order.append(("begins", context.run))
        if not fired.is_set():
            fired.set()
            desk.clock.at += timedelta(hours=1)
            with desk.db.reading() as transaction:
                due = firing.due(transaction, desk.clock.at)
            assert firing.fire(desk.db, due[0], desk.clock.at) is not None
            threading.Event().wait(1.5)
        order.append(("ends", context.run))

    PLAY.acts["a"] = work
    desk.tick(2, hours=1)
    first, second = (run.id for run in desk.runs())
    assert order == [("begins", first), ("ends", first), ("begins", second), ("ends", second)]
    assert desk.ended() == [DONE, DONE]


def test_waiting_runs_are_not_in_the_way_of_others(desk: Desk) -> None:
    PLAY.acts["a"] = lambda context: None if context.woken else Waiting(until=desk.clock.at + timedelta(hours=10))
    desk.apply(HOURLY.replace("type: act", "type: act, overlap: allow"))
    desk.control.start("flow")
    for _ in range(MOST_BEHIND + 5):
        desk.tick(2, hours=1)
    assert desk.ended().count(DONE) == 5
    assert desk.ended().count(RunStatus.WAITING) == MOST_BEHIND


def test_runs_that_wait_for_each_other_do_not_pile_up(desk: Desk) -> None:
    desk.apply(HOURLY)
    desk.carries_on = False
    desk.control.start("flow")
    for _ in range(MOST_BEHIND + 3):
        desk.tick(hours=1)
    assert len(desk.runs()) == MOST_BEHIND
    assert desk.log().count("Left out: 10 runs of flow wait for each other already.") == 3


def test_a_new_version_keeps_the_schedules_in_step(desk: Desk) -> None:
    both = "  tick: {type: scheduler, every: 1h, next: a}\n  tock: {type: scheduler, every: 2h, next: b}\n"
    acts = "  a: {type: act, next: []}\n  b: {type: act, next: []}\n"
    desk.apply(both + acts)
    desk.control.start("flow")
    desk.tick(2, hours=1)
    changed = "  tock: {type: scheduler, every: 3h, next: b}\n  new: {type: scheduler, every: 30m, next: a}\n"
    desk.apply(changed + acts)
    definition, _ = desk.load("flow")
    with desk.db.transaction("apply") as transaction:
        firing.register(transaction, definition, ZoneInfo("UTC"), desk.clock.at, anew=False)
        found = {one.activity: one.next_at for one in firing.planned(transaction, "flow")}
    assert found == {"tock": START.replace(hour=12), "new": START.replace(hour=9, minute=30)}


YEAR = {
    "nightly": ('at: "02:30"', "Europe/Paris"),
    "mondays": ('at: ["01:30", "18:30"], days: mon', "America/New_York"),
    "closing": ('monthly: last day, at: "23:45"', "Australia/Lord_Howe"),
    "committee": ('monthly: [first monday, third monday], at: "00:00"', "America/Santiago"),
}


def test_a_year_of_schedules_fires_every_one_of_them_once(desk: Desk) -> None:
    desk.carries_on = False
    lines = [
        f"  {name}: {{type: scheduler, {keys}, time_zone: {zone}, next: {name}-end}}\n"
        f"  {name}-end: {{type: act, next: []}}\n"
        for name, (keys, zone) in YEAR.items()
    ]
    desk.clock.at = begin = datetime(2026, 1, 1, 12, tzinfo=UTC)
    desk.apply("".join(lines))
    desk.control.start("flow")
    expected = []
    for name in YEAR:
        with desk.db.reading() as transaction:
            one = next(one for one in firing.planned(transaction, "flow") if one.activity == name)
        here = one.schedule.after(begin, one.zone)
        while here is not None and here <= begin + timedelta(days=365):
            expected.append((here, name))
            here = one.schedule.after(here, one.zone)
    for at in sorted({at for at, _ in expected}):
        desk.clock.at = at
        with desk.db.reading() as transaction:
            due = firing.due(transaction, at)
        for one in due:
            run = firing.fire(desk.db, one, at)
            assert run is not None
            with desk.db.transaction("ends") as transaction:
                state.end_run(transaction, run, DONE, at)
    with desk.db.reading() as transaction:
        begun = transaction.rows("select run, target, vars from crosstie.event order by run")
    fired = [(state.read_vars(str(vars))["scheduledAt"], str(target)) for _, target, vars in begun]
    assert sorted(fired, key=str) == sorted(expected, key=str)
    assert len(fired) == 365 + 2 * 52 + 12 + 24


def test_a_kept_schedule_is_read_as_it_was_written(desk: Desk) -> None:
    desk.apply('  tick: {type: scheduler, at: "08:00", late: 10m, until: 2026-12-31, time_zone: Asia/Tokyo}\n')
    desk.control.start("flow")
    with desk.db.reading() as transaction:
        one = firing.planned(transaction)[0]
    assert one.schedule == Schedule.model_validate({"at": "08:00", "late": "10m", "until": "2026-12-31"})
    assert str(one.zone) == "Asia/Tokyo"

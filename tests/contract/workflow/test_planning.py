"""Runs that only plan, and runs that carry a plan out: how they begin beside unfinished ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crosstie.db.database import Database
from crosstie.errors import BrakeError, ConfigError, TaskError
from crosstie.workflow.runner import RunKind
from crosstie.workflow.state import RunStatus
from tests.contract.workflow.desk import Desk
from tests.contract.workflow.test_dispatch import PLAY, Outside, fail, run, statuses

FLOW = "  a: {type: act}\n  b: {type: outside}\n  c: {type: act}\n"
PLAN = RunKind(planning=True)


@pytest.fixture(autouse=True)
def _play() -> Iterator[None]:
    PLAY.acts.clear()
    PLAY.calls.clear()
    Outside.plans = False
    yield
    Outside.plans = False


def test_a_plan_executes_of_what_acts_outside_only_what_can_plan(database: Database) -> None:
    report = run(database, FLOW, kind=PLAN)
    assert statuses(database, report) == {"a": "finished", "b": "skipped"}
    Outside.plans = True
    seen: list[bool] = []
    PLAY.acts["b"] = lambda context: seen.append(context.planning)
    report = run(database, FLOW, kind=PLAN)
    assert (report.status, seen) == (RunStatus.DONE, [True])


def test_a_plan_does_not_do_away_with_an_unfinished_run(database: Database) -> None:
    PLAY.acts["c"] = fail
    with pytest.raises(TaskError):
        run(database, FLOW)
    for kind in (PLAN, RunKind(from_plan=7)):
        with pytest.raises(BrakeError, match=r"Run 1 of flow is unfinished \(failed\)"):
            run(database, FLOW, kind=kind)
    assert run(database, FLOW, kind=PLAN, restart=True).status == RunStatus.DONE
    PLAY.acts.clear()
    report = run(database, FLOW)
    assert (report.resumed, statuses(database, report)["c"]) == (False, "finished")


def test_an_unfinished_plan_is_completed_by_the_next_and_done_away_with_by_a_run(database: Database) -> None:
    PLAY.acts["a"] = fail
    with pytest.raises(TaskError):
        run(database, FLOW, kind=PLAN)
    with pytest.raises(ConfigError, match=r"Plan 1 is not complete: its run is failed"):
        run(database, FLOW, kind=RunKind(from_plan=1))
    PLAY.acts.clear()
    report = run(database, FLOW)
    assert (report.resumed, statuses(database, report)["b"]) == (False, "finished")


def test_a_plan_of_an_edited_workflow_is_refused_before_anything_begins(database: Database) -> None:
    desk = Desk(database)
    desk.apply(FLOW)
    desk.run(kind=PLAN)
    desk.apply(FLOW + "  d: {type: act}\n")
    with pytest.raises(ConfigError, match="made with version 1 of flow, which was edited since: this is version 2"):
        desk.run(kind=RunKind(from_plan=1))
    assert [one.id for one in desk.runs()] == [1]


def test_a_plan_that_is_not_there_is_told(database: Database) -> None:
    run(database, FLOW)
    run(database, FLOW, kind=PLAN)
    for number, told in (
        (9, "There is no plan 9 of flow"),
        (1, "There is no plan 1 of flow"),
        (2, "has nothing to do"),
    ):
        with pytest.raises(ConfigError, match=told):
            run(database, FLOW, kind=RunKind(from_plan=number))

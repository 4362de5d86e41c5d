"""External signals in served runs, and an end that stops the others, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from crosstie.activities.end import End
from crosstie.activities.external_signal import ExternalSignal
from crosstie.activities.wait import Wait
from crosstie.db.database import Database
from crosstie.errors import BrakeError, DefinitionError
from crosstie.workflow.activity import Activity, Context, Done, Scalar
from crosstie.workflow.definition import read_definition
from crosstie.workflow.state import RunStatus, TaskStatus
from tests.contract.workflow.desk import KINDS, Desk
from tests.contract.workflow.test_dispatch import PLAY, fail, statuses
from tests.unit.workflow.test_definition import EmptySite

LISTENING = """
  begin: {type: act}
  go: {type: external_signal, expires: 2d, expired: late}
  called: {type: act, next: []}
  late: {type: act}
"""
WITH_SIGNAL: dict[str, type[Activity]] = {**KINDS, "external_signal": ExternalSignal, "end": End, "wait": Wait}


@pytest.fixture(autouse=True)
def _play() -> Iterator[None]:
    PLAY.acts.clear()
    PLAY.calls.clear()
    yield


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, kinds=WITH_SIGNAL, patience=timedelta(seconds=0.3))


def listen(desk: Desk) -> list[dict[str, Scalar]]:
    """Starts the workflow; what `called` and `late` are executed with."""
    heard: list[dict[str, Scalar]] = []
    PLAY.acts = {
        "begin": lambda _: Done(tables={"ok": None}, vars={"given": "before"}),
        "called": lambda context: heard.append(dict(context.vars)),
        "late": lambda context: heard.append({"late": True, **context.vars}),
    }
    desk.apply(LISTENING)
    desk.control.start("flow")
    desk.tick(2)
    return heard


def test_each_call_activates_the_transition_until_a_complete_one(desk: Desk) -> None:
    heard = listen(desk)
    assert desk.ended() == [RunStatus.WAITING]
    assert desk.control.signal("flow", "go", {"n": 1}).applied
    desk.tick()
    assert desk.control.signal("flow", "go", {"n": 2}, complete=True).applied
    desk.tick()
    assert heard == [{"given": "before", "n": 1, "calls": 1}, {"given": "before", "n": 2, "calls": 2}]
    assert desk.ended() == [RunStatus.DONE]
    with pytest.raises(BrakeError, match="Nothing in flow listens at “go” now"):
        desk.control.signal("flow", "go", {})


def test_calls_that_come_before_an_earlier_one_is_heard_are_kept_in_their_order(desk: Desk) -> None:
    heard = listen(desk)
    assert desk.control.signal("flow", "go", {"n": 1}).applied
    assert not desk.control.signal("flow", "go", {"n": 2}).applied
    assert not desk.control.signal("flow", "go", {"n": 3}, complete=True).applied
    desk.tick(2)
    assert [one["n"] for one in heard] == [1, 2, 3]
    assert desk.ended() == [RunStatus.DONE]


def test_what_comes_after_a_complete_call_is_not_heard(desk: Desk) -> None:
    heard = listen(desk)
    desk.control.signal("flow", "go", {"n": 1}, complete=True)
    with pytest.raises(BrakeError):
        desk.control.signal("flow", "go", {"n": 2})
    desk.tick(2)
    assert [one["n"] for one in heard] == [1]


def test_an_expiry_takes_its_own_branch_and_is_deaf_then(desk: Desk) -> None:
    heard = listen(desk)
    desk.tick(hours=47)
    assert desk.ended() == [RunStatus.WAITING]
    desk.tick(hours=2)
    assert heard == [{"late": True, "given": "before", "calls": 0}]
    assert desk.ended() == [RunStatus.DONE]


def test_a_call_does_not_move_the_expiry(desk: Desk) -> None:
    heard = listen(desk)
    desk.tick(hours=47)
    desk.control.signal("flow", "go", {})
    desk.tick()
    desk.tick(hours=2)
    assert [(one.get("late"), one["calls"]) for one in heard] == [(None, 1), (True, 1)]


def test_a_person_who_wakes_it_lets_it_go_on_uncalled(desk: Desk) -> None:
    heard = listen(desk)
    desk.control.wake("flow", "go")
    desk.tick()
    assert heard == [{"given": "before", "calls": 0}]
    assert desk.ended() == [RunStatus.DONE]


def test_a_branch_that_fails_after_a_call_keeps_it_listening(desk: Desk) -> None:
    heard = listen(desk)
    called = PLAY.acts["called"]
    PLAY.acts["called"] = fail
    desk.control.signal("flow", "go", {"n": 1})
    desk.tick()
    assert desk.status == "failed"
    PLAY.acts["called"] = called
    desk.control.start("flow")
    desk.tick()
    desk.control.signal("flow", "go", {"n": 2}, complete=True)
    desk.tick()
    assert [one["n"] for one in heard] == [1, 2]


def test_an_expiry_that_never_comes_is_a_mistake() -> None:
    with pytest.raises(DefinitionError) as caught:
        read_definition(
            "flow.yaml",
            "workflow: flow\nactivities:\n  go: {type: external_signal, expired: late, next: []}\n"
            "  late: {type: act}\n",
            WITH_SIGNAL,
            EmptySite(),
        )
    assert caught.value.message == (
        "flow.yaml:3:31  go.expired: it never expires: say how long it listens, like “expires: 2d”"
    )


def test_an_end_that_stops_the_others_ends_the_run_at_once(desk: Desk) -> None:
    begun, ended = threading.Event(), threading.Event()
    endless = "with recursive n (i) as (select 1 union all select i + 1 from n) select count(*) from n where i < 0"

    def work(context: Context) -> None:
        begun.set()
        try:
            with desk.db.reading() as transaction:
                transaction.rows(endless)
        finally:
            ended.set()

    PLAY.acts = {"long": work, "short": lambda _: begun.wait(20) * 0}
    desk.apply(
        "  begin: {type: act, next: [long, waiting, short]}\n  long: {type: act, next: []}\n"
        "  waiting: {type: wait, for: 1h, next: []}\n  short: {type: act}\n  over: {type: end, stops_others: true}\n"
    )
    desk.control.start("flow")
    desk.tick(2)
    assert ended.wait(20)
    run = desk.runs()[0]
    assert (run.status, run.message) == (RunStatus.STOPPED, "ended by over")
    assert statuses(desk.db, run.id) == {
        "begin": TaskStatus.FINISHED,
        "long": TaskStatus.ABORTED,
        "waiting": TaskStatus.ABORTED,
        "short": TaskStatus.FINISHED,
        "over": TaskStatus.FINISHED,
    }
    assert desk.status == "finished"

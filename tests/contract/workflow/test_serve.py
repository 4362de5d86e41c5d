"""Workflows that are served: start, pause, stop, kill, restart, wake, and what becomes of their runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from crosstie.db.database import Database
from crosstie.errors import BrakeError, ConfigError, TaskError
from crosstie.model import Column, ColumnType
from crosstie.workflow import state
from crosstie.workflow.activity import OK, Context, Done, Shape, Waiting
from crosstie.workflow.state import RunStatus, TaskStatus
from tests.contract.workflow.desk import Desk
from tests.contract.workflow.test_dispatch import PLAY, START, fail, statuses

CHAIN = "  a: {type: act}\n  b: {type: act}\n  c: {type: act}\n"
DONE, FAILED, PAUSED, STOPPED = RunStatus.DONE, RunStatus.FAILED, RunStatus.PAUSED, RunStatus.STOPPED


@pytest.fixture(autouse=True)
def _play() -> Iterator[None]:
    PLAY.acts.clear()
    PLAY.calls.clear()
    yield


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@contextmanager
def at_work(desk: Desk, activity: str) -> Iterator[threading.Event]:
    """A runner on a thread, at work on that activity until the event is set."""
    begun, release = threading.Event(), threading.Event()

    def work(context: Context) -> None:
        begun.set()
        assert release.wait(60)

    PLAY.acts[activity] = work
    runner = threading.Thread(target=desk.serve)
    runner.start()
    assert begun.wait(60)
    try:
        yield release
    finally:
        release.set()
        runner.join(60)
        assert not runner.is_alive()


def test_a_started_workflow_is_carried_on_and_finishes(desk: Desk) -> None:
    desk.apply(CHAIN)
    started = desk.control.start("flow", variables={"n": 7})
    assert (started.begun, started.resumed, started.already) == (desk.runs()[0].id, (), False)
    assert desk.status == "started"
    assert PLAY.calls == []
    PLAY.acts["a"] = lambda context: None if context.vars["n"] == 7 else fail(context)
    desk.tick(2)
    assert PLAY.calls == ["a", "b", "c"]
    assert desk.ended() == [DONE]
    assert desk.status == "finished"
    assert desk.audited() == [("start", "edited", "started")]


def test_starting_twice_has_no_further_effect(desk: Desk) -> None:
    desk.apply(CHAIN)
    desk.control.start("flow")
    again = desk.control.start("flow")
    assert again.already
    assert len(desk.runs()) == 1


def test_a_failed_run_suspends_the_workflow_and_a_start_executes_what_failed_again(desk: Desk) -> None:
    desk.apply(CHAIN)
    PLAY.acts["b"] = fail
    desk.control.start("flow")
    desk.tick(3)
    assert (desk.status, desk.ended()) == ("failed", [FAILED])
    assert desk.instance().message == "the CRM is away"
    assert isinstance(desk.failures[0], TaskError)
    assert PLAY.calls == ["a", "b"]
    PLAY.acts.clear()
    started = desk.control.start("flow")
    assert started.resumed == (desk.runs()[0].id,)
    desk.tick()
    assert PLAY.calls == ["a", "b", "b", "c"]
    assert desk.ended() == [DONE]


def test_what_failed_elsewhere_pauses_the_other_runs(desk: Desk) -> None:
    desk.apply("  tick: {type: scheduler, every: 1h}\n  a: {type: act, overlap: allow}\n  b: {type: act}\n")
    desk.control.start("flow")
    desk.carries_on = False
    desk.tick(hours=1)
    desk.tick(hours=1)
    both, failed = threading.Barrier(2, timeout=60), threading.Event()
    first = desk.runs()[0].id

    def work(context: Context) -> None:
        both.wait()
        if context.run == first:
            fail(context)
        for _ in range(200):
            if desk.status == "failed":
                failed.set()
                return
            threading.Event().wait(0.05)

    PLAY.acts["a"] = work
    desk.serve()
    assert failed.is_set()
    assert (desk.status, desk.ended()) == ("failed", [FAILED, PAUSED])
    PLAY.acts.clear()
    assert len(desk.control.start("flow").resumed) == 2
    desk.serve()
    assert desk.ended() == [DONE, DONE]
    assert sorted(PLAY.calls) == ["a", "a", "a", "b", "b"]


def test_an_aborted_run_is_not_gone_on_with(desk: Desk) -> None:
    desk.apply("  a: {type: act, on_error: abort}\n  b: {type: act}\n")
    PLAY.acts["a"] = fail
    desk.control.start("flow")
    desk.tick(2)
    assert (desk.status, desk.ended()) == ("failed", [RunStatus.ABORTED])
    PLAY.acts.clear()
    started = desk.control.start("flow")
    assert started.begun is not None
    desk.tick()
    assert desk.ended() == [RunStatus.ABORTED, DONE]


def test_an_edit_of_what_failed_has_to_be_confirmed(desk: Desk) -> None:
    desk.apply(CHAIN)
    PLAY.acts["b"] = fail
    desk.control.start("flow")
    desk.tick()
    desk.apply(CHAIN.replace("b: {type: act}", "b: {type: act, outside: true}"))
    with pytest.raises(BrakeError) as caught:
        desk.control.start("flow")
    assert "stopped at “b”, and that was edited since (version 1 → 2)" in caught.value.message
    assert desk.status == "failed"
    PLAY.acts.clear()
    desk.control.start("flow", accept_edit=True)
    desk.tick()
    assert desk.ended() == [DONE]


def test_an_edit_of_another_activity_is_used_unasked(desk: Desk) -> None:
    desk.apply(CHAIN)
    PLAY.acts["b"] = fail
    desk.control.start("flow")
    desk.tick()
    edited = CHAIN.replace("b: {type: act}", "b: {type: act, label: B}").replace("  a:", "  a: {type: act}\n  a2:")
    desk.apply(edited + "  d: {type: act}\n")
    PLAY.acts.clear()
    desk.control.start("flow")
    desk.tick()
    assert PLAY.calls == ["a", "b", "b", "c", "d"]


def test_crosstie_run_asks_too(desk: Desk) -> None:
    desk.apply(CHAIN)
    PLAY.acts["b"] = fail
    with pytest.raises(TaskError):
        desk.run()
    desk.apply(CHAIN.replace("b: {type: act}", "b: {type: act, outside: true}"))
    PLAY.acts.clear()
    with pytest.raises(BrakeError, match="stopped at “b”"):
        desk.run()
    assert desk.run(accept_edit=True).resumed


def test_a_run_of_crosstie_run_that_failed_is_gone_on_with(desk: Desk) -> None:
    desk.apply(CHAIN)
    PLAY.acts["b"] = fail
    with pytest.raises(TaskError):
        desk.run()
    PLAY.acts.clear()
    started = desk.control.start("flow")
    assert (started.resumed, started.begun) == ((desk.runs()[0].id,), None)
    desk.tick(2)
    assert PLAY.calls == ["a", "b", "b", "c"]
    assert (desk.status, desk.ended()) == ("finished", [DONE])


def test_a_run_that_was_interrupted_is_taken_up_again(desk: Desk) -> None:
    def interrupted(context: Context) -> None:
        raise KeyboardInterrupt

    desk.apply(CHAIN)
    desk.control.start("flow")
    PLAY.acts["b"] = interrupted
    with pytest.raises(KeyboardInterrupt):
        desk.serve()
    assert desk.ended() == [RunStatus.INTERRUPTED]
    PLAY.acts.clear()
    desk.tick()
    assert PLAY.calls == ["a", "b", "b", "c"]
    assert desk.ended() == [DONE]


def test_a_definition_that_cannot_run_any_more_suspends(desk: Desk) -> None:
    desk.apply(CHAIN)
    desk.control.start("flow")
    desk.apply("  a: {type: act, unknown: 1}\n")
    desk.tick(2)
    assert (desk.status, desk.ended()) == ("failed", [FAILED])
    assert "“unknown” is not a key here" in desk.instance().message
    assert len(desk.failures) == 1


def test_an_unexpected_fault_suspends_instead_of_being_tried_for_ever(desk: Desk) -> None:
    def broken(context: Context) -> None:
        raise KeyError("ours")

    desk.apply(CHAIN)
    PLAY.acts["a"] = broken
    desk.control.start("flow")
    with pytest.raises(KeyError):
        desk.serve()
    assert (desk.status, desk.ended()) == ("failed", [FAILED])
    assert desk.instance().message == "Crosstie failed unexpectedly (KeyError)."


def test_pause_lets_running_operations_end_and_start_goes_on(desk: Desk) -> None:
    desk.apply(CHAIN)
    desk.control.start("flow")
    with at_work(desk, "a") as release:
        asked = desk.control.pause("flow")
        assert (asked.applied, asked.at_work) == (True, ("a",))
        assert desk.status == "paused"
        release.set()
    assert (PLAY.calls, desk.ended()) == (["a"], [PAUSED])
    desk.tick()
    assert PLAY.calls == ["a"]
    PLAY.acts.clear()
    desk.control.start("flow")
    desk.tick()
    assert PLAY.calls == ["a", "b", "c"]


def test_a_start_before_the_pause_took_effect_takes_it_back(desk: Desk) -> None:
    desk.apply(CHAIN)
    desk.control.start("flow")
    with at_work(desk, "a") as release:
        desk.control.pause("flow")
        assert not desk.control.start("flow").already
        release.set()
    assert (PLAY.calls, desk.ended(), desk.status) == (["a", "b", "c"], [DONE], "started")


def test_pause_without_a_runner_is_applied_by_whoever_asks(desk: Desk) -> None:
    desk.apply(CHAIN)
    desk.control.start("flow")
    asked = desk.control.pause("flow")
    assert (asked.applied, asked.holder, desk.ended()) == (True, "", [PAUSED])
    desk.tick()
    assert PLAY.calls == []


def test_a_pause_says_when_there_is_nothing_to_pause(desk: Desk) -> None:
    desk.apply(CHAIN)
    assert desk.control.pause("flow").in_vain == "edited"
    desk.control.start("flow")
    assert desk.control.pause("flow").in_vain == ""
    assert desk.control.pause("flow").in_vain == ""
    desk.control.stop("flow")
    again = desk.control.pause("flow")
    assert (again.in_vain, again.outcome, desk.status) == ("finished", "there was nothing to pause", "finished")


def test_stop_cancels_what_is_at_work(desk: Desk) -> None:
    desk.apply(CHAIN)
    desk.control.start("flow")
    with at_work(desk, "a"):
        asked = desk.control.stop("flow")
        assert asked.applied
        assert desk.ended() == [STOPPED]
        assert statuses(desk.db, desk.runs()[0].id) == {"a": TaskStatus.ABORTED}
    assert (PLAY.calls, desk.status) == (["a"], "finished")
    PLAY.acts.clear()
    desk.control.start("flow")
    desk.tick()
    assert desk.ended() == [STOPPED, DONE]


def test_stop_without_a_runner_ends_waiting_runs_and_schedules(desk: Desk) -> None:
    desk.apply("  tick: {type: scheduler, every: 1h}\n  w: {type: act}\n")
    PLAY.acts["w"] = lambda _: Waiting(until=START + timedelta(days=9))
    desk.control.start("flow")
    desk.tick(hours=1)
    assert desk.ended() == [RunStatus.WAITING]
    assert desk.control.stop("flow").outcome == "stopped"
    desk.tick(days=10)
    assert (desk.status, desk.ended()) == ("finished", [STOPPED])


def test_a_request_that_nobody_applied_is_applied_by_the_service(desk: Desk) -> None:
    impatient = Desk(desk.db, clock=desk.clock, patience=timedelta(seconds=0))
    desk.apply(CHAIN)
    desk.control.start("flow")
    with desk.db.hold("workflow flow"):
        asked = impatient.control.stop("flow")
        assert (asked.applied, bool(asked.holder)) == (False, True)
        with pytest.raises(BrakeError, match="flow is being stopped by process"):
            impatient.control.start("flow")
        desk.tick()
        assert desk.ended() == [RunStatus.RUNNING]
    desk.tick()
    assert desk.ended() == [STOPPED]


def test_kill_waits_for_nobody_and_what_is_at_work_counts_no_more(desk: Desk) -> None:
    desk.apply(CHAIN)
    desk.control.start("flow")
    with at_work(desk, "a") as release:
        asked = desk.control.kill("flow")
        assert (asked.applied, bool(asked.holder)) == (True, True)
        assert (desk.status, desk.ended()) == ("finished", [STOPPED])
        release.set()
    assert (PLAY.calls, desk.ended(), desk.status) == (["a"], [STOPPED], "finished")
    assert desk.audited()[-1] == ("kill", "started", "finished")


def test_restart_begins_at_the_beginning(desk: Desk) -> None:
    desk.apply(CHAIN)

    def counted(context: Context) -> None:
        assert context.instance == {}
        context.instance["n"] = 1

    PLAY.acts = {"a": counted, "b": fail}
    desk.control.start("flow")
    desk.tick()
    started = desk.control.restart("flow")
    assert started.begun is not None
    PLAY.acts = {"a": counted}
    desk.tick()
    assert desk.ended() == [STOPPED, DONE]


COLUMNS = (Column(name="id", type=ColumnType.INTEGER),)


def populated(context: Context) -> Done:
    """A population of one row."""
    name = context.private_name()
    context.db.create_work(name, COLUMNS)
    with context.db.transaction("a row") as transaction:
        transaction.execute(f"insert into crosstie.{name} values (1)")
    return Done(tables={OK: Shape(columns=COLUMNS).work_table(name, 1)}, vars={"made": "by a"})


def test_restart_at_an_activity_uses_what_came_in_to_it(desk: Desk) -> None:
    desk.apply(CHAIN)
    seen = []
    PLAY.acts = {"a": populated, "b": fail}
    desk.control.start("flow")
    desk.tick()
    PLAY.acts = {
        "a": populated,
        "b": lambda context: seen.append((context.input.rows, context.vars["made"], context.sources)),
    }
    started = desk.control.restart_at("flow", "b")
    assert started.begun == desk.runs()[-1].id
    desk.tick(2)
    assert seen == [(1, "by a", ("a",))]
    assert PLAY.calls == ["a", "b", "b", "c"]
    assert desk.ended() == [RunStatus.ABANDONED, DONE]


@pytest.mark.parametrize("keep", [False, True])
def test_restart_at_an_activity_is_refused_when_its_input_is_gone(desk: Desk, keep: bool) -> None:
    desk.apply(CHAIN, top=f"keep_interim: {str(keep).lower()}")
    PLAY.acts = {"a": populated}
    desk.control.start("flow")
    desk.tick(2)
    if keep:
        desk.control.restart_at("flow", "b")
        desk.tick()
        assert desk.ended() == [DONE, DONE]
        assert PLAY.calls == ["a", "b", "c", "b", "c"]
        return
    with pytest.raises(BrakeError, match="cannot begin at “b”: what a put out in run"):
        desk.control.restart_at("flow", "b")
    with pytest.raises(ConfigError, match="flow has no activity “nothing”"):
        desk.control.restart_at("flow", "nothing")
    assert desk.ended() == [DONE]


def test_restart_at_an_activity_that_was_never_reached_is_refused(desk: Desk) -> None:
    desk.apply(CHAIN)
    PLAY.acts["a"] = fail
    desk.control.start("flow")
    desk.tick()
    with pytest.raises(ConfigError, match="cannot begin at “c”: run"):
        desk.control.restart_at("flow", "c")
    with desk.db.hold("workflow flow"), pytest.raises(BrakeError, match="flow is at work"):
        desk.control.restart_at("flow", "a")
    assert (desk.status, desk.ended()) == ("failed", [FAILED])


def test_what_a_restarted_run_began_with_can_be_lost_and_is_told(desk: Desk) -> None:
    desk.apply(CHAIN)
    PLAY.acts = {"a": populated, "b": fail}
    desk.control.start("flow")
    desk.tick()
    desk.control.restart_at("flow", "b")
    desk.db.drop_work(desk.db.work_tables())
    desk.tick()
    assert desk.status == "failed"
    assert "begins with results of an earlier run that are gone" in desk.instance().message


def test_wake_executes_what_waits_and_fires_schedules(desk: Desk) -> None:
    desk.apply("  tick: {type: scheduler, every: 12h, next: w}\n  w: {type: act}\n")
    PLAY.acts["w"] = lambda context: None if context.woken else Waiting(until=START + timedelta(days=99))
    desk.control.start("flow")
    asked = desk.control.wake("flow")
    assert len(asked.began) == 1
    desk.tick()
    assert desk.ended() == [RunStatus.WAITING]
    assert desk.control.wake("flow", "w").outcome == "1 waiting tasks"
    desk.tick()
    assert desk.ended() == [DONE]
    assert desk.next_at() == START.replace(hour=12)


def test_a_signal_is_refused_where_nothing_listens_and_survives_a_kill(desk: Desk) -> None:
    heard: list[object] = []

    def listen(context: Context) -> Waiting | None:
        if context.woken is None:
            return Waiting(signal=True, reason="waits for the file")
        heard.append((context.woken.by, dict(context.woken.vars)))
        if len(heard) == 1:
            raise KeyboardInterrupt
        return None

    desk.apply("  w: {type: act}\n")
    PLAY.acts["w"] = listen
    desk.control.start("flow")
    with pytest.raises(BrakeError, match="Nothing in flow listens at “w” now"):
        desk.control.signal("flow", "w", {"n": 1})
    desk.tick()
    assert desk.ended() == [RunStatus.WAITING]
    assert desk.control.signal("flow", "w", {"n": 1}).applied
    with pytest.raises(KeyboardInterrupt):
        desk.serve()
    desk.tick(2)
    assert heard == [("signal", {"n": 1})] * 2
    assert desk.ended() == [DONE]


def test_a_wait_is_executed_when_it_is_due_and_not_before(desk: Desk) -> None:
    desk.apply("  w: {type: act}\n")
    PLAY.acts["w"] = lambda context: None if context.woken else Waiting(until=START + timedelta(hours=2))
    desk.control.start("flow")
    desk.tick(3)
    desk.tick(minutes=119)
    assert PLAY.calls == ["w"]
    desk.tick(minutes=1)
    assert PLAY.calls == ["w", "w"]
    assert desk.ended() == [DONE]


def test_a_runner_that_dies_is_told_of_and_tried_again_later(desk: Desk) -> None:
    desk.apply(CHAIN)
    desk.control.start("flow")

    class Dying:
        def poll(self) -> int | None:
            return -9

        def end(self) -> None:
            raise AssertionError

        kill = end

    spawned: list[str] = []

    def spawn(name: str) -> Dying:
        spawned.append(name)
        return Dying()

    desk.service._spawn = spawn
    desk.tick(4)
    assert spawned == ["flow", "flow"]
    assert "The runner of flow ended by signal 9; its runs are gone on with." in desk.log()


def test_a_runner_that_does_not_stop_is_killed(desk: Desk) -> None:
    desk.apply(CHAIN)
    desk.control.start("flow")
    killed: list[bool] = []

    class Stuck:
        def poll(self) -> int | None:
            return -9 if killed else None

        def end(self) -> None:
            raise AssertionError

        def kill(self) -> None:
            killed.append(True)

    desk.service._spawn = lambda name: Stuck()
    impatient = Desk(desk.db, clock=desk.clock, patience=timedelta(seconds=0))
    desk.tick()
    with desk.db.hold("workflow flow"):
        assert not impatient.control.stop("flow").applied
        desk.tick(seconds=3)
        assert not killed
        desk.tick(seconds=4)
        assert killed
    desk.tick(2)
    assert desk.ended() == [STOPPED]


def test_at_most_so_many_workflows_are_at_work_and_each_has_its_turn(database: Database) -> None:
    desk = Desk(database)
    for name in ("one", "two", "three", "four", "five", "six"):
        desk.apply(CHAIN, name=name)
        desk.control.start(name)
    living: list[str] = []

    class Busy:
        def poll(self) -> int | None:
            return None if living else 0

        def end(self) -> None:
            living.clear()

        kill = end

    def spawn(name: str) -> Busy:
        living.append(name)
        return Busy()

    desk.service._spawn = spawn
    desk.tick(3)
    assert len(living) == 4
    first = set(living)
    living.clear()
    desk.tick()
    assert len(living) == 4
    assert first | set(living) == {"one", "two", "three", "four", "five", "six"}


def test_a_task_of_an_unknown_workflow_is_refused(desk: Desk) -> None:
    for act in (desk.control.start, desk.control.pause, desk.control.stop, desk.control.kill, desk.control.wake):
        with pytest.raises(ConfigError, match="There is no workflow nothing"):
            act("nothing")
    with desk.db.reading() as transaction:
        assert state.runs(transaction) == ()

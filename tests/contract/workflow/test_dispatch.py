"""Branches, joins, waiting tasks, requests and error settings, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import pytest

from crosstie.crm.connector import Connector
from crosstie.db.database import Database, instant_text
from crosstie.errors import ConfigError, DatabaseError, TaskError, UnavailableError
from crosstie.workflow import instances, state
from crosstie.workflow.activity import ERRORS, OK, Activity, Context, Done, Shape, Site, Waiting
from crosstie.workflow.definition import read_definition
from crosstie.workflow.instances import Action
from crosstie.workflow.runner import RunKind, RunReport, Surroundings, run_workflow
from crosstie.workflow.state import RunStatus, TaskStatus
from crosstie.workflow.watcher import Silent, Watcher, messages
from tests.unit.workflow.test_definition import EmptySite

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
BY = "somebody"


@dataclass
class HandClock:
    at: datetime = START

    def now(self) -> datetime:
        return self.at


@dataclass
class Play:
    """What the activities of a test do, by name, and which were executed."""

    acts: dict[str, Callable[[Context], object]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)


PLAY = Play()


class Act(Activity):
    """Does what the test says; a `Done` or `Waiting` that it gives is the outcome."""

    min_inputs: ClassVar[int] = 0
    max_inputs: ClassVar[int] = 9
    type: Literal["act"]
    outside: bool = False

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {OK: None, "left": None, "right": None}

    def run(self, context: Context) -> Done | Waiting:
        PLAY.calls.append(context.activity)
        act = PLAY.acts.get(context.activity)
        outcome = act(context) if act else None
        return outcome if isinstance(outcome, Done | Waiting) else Done(tables={OK: None})


class Join(Act):
    type: Literal["join"]  # type: ignore[assignment]

    def joins(self) -> bool:
        return True


class Outside(Act):
    acts_outside: ClassVar[bool] = True
    type: Literal["outside"]  # type: ignore[assignment]


CATALOGUE: dict[str, type[Activity]] = {"act": Act, "join": Join, "outside": Outside}


@pytest.fixture(autouse=True)
def _play() -> Iterator[None]:
    PLAY.acts.clear()
    PLAY.calls.clear()
    yield


def apply(db: Database, name: str = "flow") -> None:
    """As `workflow apply` records it; a workflow's own status and variables live there."""
    with db.transaction("apply") as transaction:
        transaction.execute(
            "insert into crosstie.workflow (name, label, version, changed_at) values (:name, '', 1, :now)"
            " on conflict (name) do nothing",
            {"name": name, "now": instant_text(START)},
        )


def run(
    db: Database,
    activities: str,
    top: str = "",
    clock: HandClock | None = None,
    watcher: Watcher | None = None,
    **given: Any,
) -> RunReport:
    text = f"workflow: flow\n{top}\nactivities:\n{activities}"
    apply(db)
    definition = read_definition("flow.yaml", text, CATALOGUE, EmptySite())
    around = Surroundings(
        db=db,
        site=EmptySite(),
        clock=clock or HandClock(),
        connect=no_connector,
        watcher=watcher or Silent(),
        zone=ZoneInfo("UTC"),
    )
    return run_workflow(around, definition, 1, **given)


def no_connector(account: str) -> Connector:
    raise ConfigError(f"no account {account}")


def ask(db: Database, action: Action, **given: Any) -> None:
    with db.transaction("ask") as transaction:
        instances.add_request(transaction, "flow", action, START, BY, **given)


def statuses(db: Database, report: RunReport | int) -> dict[str, TaskStatus]:
    number = report if isinstance(report, int) else report.run
    with db.reading() as transaction:
        return {task.activity: task.status for task in state.tasks(transaction, number)}


def said(db: Database, report: RunReport) -> str:
    with db.reading() as transaction:
        return "\n".join(f"{one.level} {one.activity}: {one.text}" for one in messages(transaction, report.run))


def fail(context: Context) -> None:
    raise UnavailableError("the CRM is away", code="AWAY")


FORK = """
  begin: {type: act, next: [a, b]}
  a: {type: act, next: both}
  b: {type: act, next: both}
  both: {type: join, from: [b, a]}
"""


def test_branches_are_at_work_at_the_same_time(database: Database) -> None:
    meeting = threading.Barrier(2, timeout=20)
    PLAY.acts = {"a": lambda _: meeting.wait() * 0, "b": lambda _: meeting.wait() * 0}
    report = run(database, FORK)
    assert report.status is RunStatus.DONE
    assert sorted(PLAY.calls) == ["a", "b", "begin", "both"]


def test_with_parallel_one_they_follow_each_other(database: Database) -> None:
    together = []

    def act(context: Context) -> None:
        together.append(context.activity)
        assert len(together) == 1
        together.remove(context.activity)

    PLAY.acts = {"a": act, "b": act}
    run(database, FORK, top="parallel: 1")
    assert PLAY.calls == ["begin", "a", "b", "both"]


def test_a_join_is_executed_once_with_the_main_set_first(database: Database) -> None:
    seen: list[tuple[str, ...]] = []
    PLAY.acts = {
        "a": lambda _: Done(tables={OK: None}, vars={"shared": "of a", "a": 1}),
        "b": lambda _: Done(tables={OK: None}, vars={"shared": "of b", "b": 2}),
        "both": lambda context: seen.append((*context.sources, str(context.vars))),
    }
    report = run(database, FORK)
    assert seen == [("b", "a", str({"shared": "of b", "b": 2, "a": 1}))]
    assert "Variable shared comes with several values; the one of b stands, that of a is left out." in said(
        database, report
    )


def test_a_join_that_lacks_a_transition_is_skipped_and_says_so(database: Database) -> None:
    PLAY.acts = {"a": lambda _: Done(tables={})}
    report = run(database, FORK)
    assert report.status is RunStatus.DONE
    assert statuses(database, report)["both"] is TaskStatus.SKIPPED
    assert "not executed: it waits for a too, which was not activated in this run" in said(database, report)


def test_a_task_waits_until_its_time_and_keeps_its_state(database: Database) -> None:
    clock = HandClock()

    def wait(context: Context) -> Waiting | None:
        if context.woken is None:
            return Waiting(until=clock.at + timedelta(hours=1), reason="an hour", state={"seen": 1})
        assert (context.woken.by, context.state, context.begun_at) == ("time", {"seen": 1}, START)
        return None

    PLAY.acts = {"w": wait}
    flow = "  w: {type: act}\n  after: {type: act}\n"
    first = run(database, flow, clock=clock, waits=False)
    assert first.status is RunStatus.WAITING
    clock.at += timedelta(minutes=59)
    again = run(database, flow, clock=clock, waits=False)
    assert (again.run, again.status, PLAY.calls) == (first.run, RunStatus.WAITING, ["w"])
    clock.at += timedelta(minutes=2)
    assert run(database, flow, clock=clock, waits=False).status is RunStatus.DONE
    assert PLAY.calls == ["w", "w", "after"]


def test_a_process_that_waits_sleeps_until_then(database: Database) -> None:
    clock = HandClock()

    def wait(context: Context) -> Waiting | None:
        if context.woken is None:
            threading.Timer(0.2, lambda: setattr(clock, "at", clock.at + timedelta(hours=2))).start()
            return Waiting(until=clock.at + timedelta(hours=1))
        return None

    PLAY.acts = {"w": wait}
    assert run(database, "  w: {type: act}\n", clock=clock).status is RunStatus.DONE


def test_a_waiting_branch_blocks_nothing(database: Database) -> None:
    PLAY.acts = {"a": lambda context: Waiting(until=START + timedelta(days=1)) if context.woken is None else None}
    flow = "  begin: {type: act, next: [a, b]}\n  a: {type: act, next: [z]}\n  b: {type: act, next: [z]}\n"
    flow += "  z: {type: act}\n"
    report = run(database, flow, waits=False)
    assert report.status is RunStatus.WAITING
    assert sorted(PLAY.calls) == ["a", "b", "begin", "z"]


def test_execute_now_wakes_what_waits(database: Database) -> None:
    woken = []

    def wait(context: Context) -> Waiting | None:
        woken.append(context.woken)
        return None if context.woken else Waiting(signal=True)

    PLAY.acts = {"w": wait}
    flow = "  w: {type: act}\n"
    assert run(database, flow, waits=False).status is RunStatus.WAITING
    ask(database, Action.WAKE)
    assert run(database, flow, waits=False).status is RunStatus.DONE
    assert woken[1] is not None
    assert woken[1].by == "person"


def test_a_signal_brings_its_variables_to_the_task_that_listens(database: Database) -> None:
    got = []

    def listen(context: Context) -> Waiting | None:
        if context.woken is None:
            return Waiting(signal=True)
        got.append((context.woken.by, dict(context.woken.vars)))
        return None

    PLAY.acts = {"one": listen, "two": lambda c: None if c.woken else Waiting(until=START + timedelta(days=1))}
    flow = "  begin: {type: act, next: [one, two]}\n  one: {type: act, next: []}\n  two: {type: act}\n"
    run(database, flow, waits=False)
    ask(database, Action.SIGNAL, activity="two", details={"n": 1})
    ask(database, Action.SIGNAL, activity="one", details={"n": 2})
    assert run(database, flow, waits=False).status is RunStatus.WAITING
    assert got == [("signal", {"n": 2})]


def test_stop_ends_the_work_at_once_and_for_good(database: Database) -> None:
    release = threading.Event()

    def work(context: Context) -> None:
        ask(database, Action.STOP)
        release.wait(20)

    PLAY.acts = {"w": work}
    report = run(database, "  w: {type: act}\n  after: {type: act}\n")
    release.set()
    assert (report.status, report.by_person, report.message) == (RunStatus.STOPPED, True, f"stopped by {BY}")
    assert statuses(database, report) == {"w": TaskStatus.ABORTED}
    PLAY.acts = {}
    again = run(database, "  w: {type: act}\n  after: {type: act}\n")
    assert again.run > report.run
    assert PLAY.calls == ["w", "w", "after"]


def test_stop_cancels_a_statement_that_is_being_executed(database: Database) -> None:
    ended = threading.Event()
    endless = "with recursive n (i) as (select 1 union all select i + 1 from n) select count(*) from n where i < 0"

    def work(context: Context) -> None:
        ask(database, Action.STOP)
        try:
            with database.reading() as transaction:
                transaction.rows(endless)
        finally:
            ended.set()

    PLAY.acts = {"w": work}
    report = run(database, "  w: {type: act}\n")
    assert report.status is RunStatus.STOPPED
    assert ended.wait(20)


def test_what_a_stopped_task_would_still_publish_is_refused(database: Database) -> None:
    stopped, ended = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def work(context: Context) -> None:
        ask(database, Action.STOP)
        stopped.wait(20)
        try:
            with context.step("late"):
                pass
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        ended.set()

    PLAY.acts = {"w": work}
    run(database, "  w: {type: act}\n")
    stopped.set()
    assert ended.wait(20)
    assert isinstance(failures[0], DatabaseError)


def test_pause_lets_running_operations_end_and_begins_no_other(database: Database) -> None:
    PLAY.acts = {"w": lambda _: ask(database, Action.PAUSE)}
    flow = "  w: {type: act}\n  after: {type: act}\n"
    report = run(database, flow)
    assert (report.status, report.by_person, report.message) == (RunStatus.PAUSED, True, f"paused by {BY}")
    assert PLAY.calls == ["w"]
    again = run(database, flow)
    assert (again.run, again.status, again.resumed) == (report.run, RunStatus.DONE, True)
    assert not again.by_person
    assert PLAY.calls == ["w", "after"]


def test_asking_twice_is_asking_once(database: Database) -> None:
    ask(database, Action.STOP)
    ask(database, Action.STOP)
    with database.reading() as transaction:
        assert len(instances.open_requests(transaction, "flow")) == 1


def test_an_ignored_error_ends_only_its_branch(database: Database) -> None:
    PLAY.acts = {"a": fail}
    report = run(
        database, FORK.replace("both: {type: join, from: [b, a]}", "both: {type: act}"), top="on_error: ignore"
    )
    assert report.status is RunStatus.DONE
    assert statuses(database, report)["a"] is TaskStatus.FAILED
    assert "both" in PLAY.calls


class Hearing(Silent):
    """Keeps the errors with which a run went on."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def activity_failed(self, run: int, task: int, activity: str, error: str) -> None:
        self.heard.append((activity, error))


def test_an_error_with_which_the_run_goes_on_is_told_when_it_happens(database: Database) -> None:
    PLAY.acts = {"a": fail, "b": fail, "c": fail}
    flow = "  a: {type: act, errors: b}\n  b: {type: act, on_error: ignore}\n  c: {type: act}\n"
    watcher = Hearing()
    run(database, flow.replace("errors: b", "errors: b, next: []"), watcher=watcher)
    with pytest.raises(TaskError):
        run(database, "  c: {type: act}\n", watcher=watcher)
    assert watcher.heard == [("a", "the CRM is away\n[AWAY]"), ("b", "the CRM is away\n[AWAY]")]


def test_too_many_ignored_errors_in_a_row_suspend(database: Database) -> None:
    PLAY.acts = {"a": fail}
    flow = "  a: {type: act}\n"
    top = "on_error: ignore\nignore_at_most: 3"
    assert [run(database, flow, top=top).status for _ in range(2)] == [RunStatus.DONE] * 2
    with pytest.raises(TaskError):
        run(database, flow, top=top)
    PLAY.acts = {}
    assert run(database, flow, top=top).resumed
    PLAY.acts = {"a": fail}
    assert run(database, flow, top=top).status is RunStatus.DONE


def test_a_mistake_suspends_whatever_is_set(database: Database) -> None:
    def mistake(context: Context) -> None:
        raise ConfigError("the option is malformed")

    PLAY.acts = {"a": mistake}
    with pytest.raises(TaskError):
        run(database, "  a: {type: act}\n", top="on_error: ignore")


def test_an_aborted_run_cannot_be_gone_on_with(database: Database) -> None:
    PLAY.acts = {"a": fail}
    with pytest.raises(TaskError) as caught:
        run(database, "  a: {type: act, on_error: abort}\n")
    PLAY.acts = {}
    again = run(database, "  a: {type: act, on_error: abort}\n")
    assert again.run != caught.value.run
    assert not again.resumed


def test_a_failure_lets_the_other_branches_end_their_work(database: Database) -> None:
    failed = threading.Event()

    def fails(context: Context) -> None:
        failed.set()
        fail(context)

    PLAY.acts = {"a": fails, "b": lambda _: failed.wait(20)}
    with pytest.raises(TaskError) as caught:
        run(database, FORK)
    assert statuses(database, caught.value.run)["b"] is TaskStatus.FINISHED
    PLAY.acts = {}
    assert run(database, FORK).resumed
    assert sorted(PLAY.calls) == ["a", "a", "b", "begin", "both"]


def test_an_error_loop_carries_the_variables_and_is_counted(database: Database) -> None:
    seen: list[object] = []

    def send(context: Context) -> None:
        seen.append((context.vars.get("round"), context.vars.get("errorCode"), context.attempt))
        if len(seen) < 3:
            fail(context)

    PLAY.acts = {"begin": lambda _: Done(tables={OK: None}, vars={"round": 7}), "send": send}
    flow = "  begin: {type: act}\n  send: {type: act, errors: again}\n  done: {type: act, next: []}\n"
    flow += "  again: {type: act, next: send}\n"
    report = run(database, flow)
    assert report.status is RunStatus.DONE
    assert seen == [(7, None, 1), (7, "AWAY", 2), (7, "AWAY", 3)]
    with database.reading() as transaction:
        assert len([one for one in state.events(transaction, report.run) if one.transition == ERRORS]) == 2


def test_an_activity_that_is_at_work_is_waited_for_or_skipped_or_not(database: Database) -> None:
    flow = "  begin: {type: act, next: [a, b]}\n  a: {type: act, next: w}\n  b: {type: act, next: w}\n"
    meeting = threading.Barrier(2, timeout=20)
    PLAY.acts = {"w": lambda _: meeting.wait() * 0}
    run(database, flow + "  w: {type: act, overlap: allow}\n")
    assert PLAY.calls.count("w") == 2
    PLAY.acts = {"w": lambda context: Waiting(until=START) if context.woken is None else None}
    PLAY.calls.clear()
    run(database, flow + "  w: {type: act, overlap: wait}\n")
    assert PLAY.calls.count("w") == 4


def test_skip_says_that_it_skipped(database: Database) -> None:
    arrived = threading.Event()
    PLAY.acts = {"b": lambda _: arrived.wait(20), "w": lambda _: arrived.set()}
    flow = "  begin: {type: act, next: [a, b]}\n  a: {type: act, next: w}\n  b: {type: act, next: w}\n"
    both = threading.Event()

    def work(context: Context) -> None:
        arrived.set()
        both.wait(1)

    PLAY.acts["w"] = work
    report = run(database, flow + "  w: {type: act, overlap: skip}\n")
    assert PLAY.calls.count("w") == 1
    assert "not executed: it is still at work, and is set to skip" in said(database, report)


def test_a_simulation_executes_nothing_that_acts_outside_nor_what_follows(database: Database) -> None:
    effects: list[str] = []
    PLAY.acts = {"a": lambda _: Done(tables={OK: None}, effect=lambda transaction: effects.append("a"))}
    flow = "  a: {type: act}\n  write: {type: outside}\n  after: {type: act}\n"
    report = run(database, flow, kind=RunKind(simulated=True))
    assert (report.status, PLAY.calls, effects) == (RunStatus.DONE, ["a"], [])
    assert statuses(database, report)["write"] is TaskStatus.SKIPPED
    real = run(database, flow)
    assert real.run != report.run
    assert effects == ["a"]


def test_an_end_can_stop_every_other_task(database: Database) -> None:
    begun, ended = threading.Event(), threading.Event()

    def wait(context: Context) -> Waiting:
        begun.set()
        ended.wait(20)
        return Waiting(until=START + timedelta(days=9))

    def end(context: Context) -> Done:
        assert begun.wait(60)
        threading.Timer(1, ended.set).start()
        return Done(tables={}, ends_run=True)

    PLAY.acts = {"a": wait, "b": end}
    flow = "  begin: {type: act, next: [a, b]}\n  a: {type: act, next: []}\n  b: {type: act}\n"
    report = run(database, flow)
    assert (report.status, report.by_person) == (RunStatus.STOPPED, False)
    assert statuses(database, report) == {
        "begin": TaskStatus.FINISHED,
        "a": TaskStatus.ABORTED,
        "b": TaskStatus.FINISHED,
    }


def test_variables_of_the_workflow_are_kept_in_its_run_and_cleared_by_the_next(database: Database) -> None:
    seen: list[object] = []

    def count(context: Context) -> None:
        seen.append(context.instance.get("n"))
        context.instance["n"] = 5

    PLAY.acts = {"a": count, "b": count}
    flow = "  a: {type: act}\n  b: {type: act}\n"
    run(database, flow)
    run(database, flow)
    assert seen == [None, 5, None, 5]


def test_branches_that_change_different_variables_of_the_workflow_keep_both(database: Database) -> None:
    both = threading.Barrier(2, timeout=20)
    seen: list[dict[str, object]] = []

    def change(context: Context) -> None:
        both.wait()
        context.instance[context.activity] = context.run
        context.instance.pop(f"old_{context.activity}")

    PLAY.acts = {
        "begin": lambda context: context.instance.update(old_a=1, old_b=2, kept="x"),
        "a": change,
        "b": change,
        "both": lambda context: seen.append(dict(context.instance)),
    }
    report = run(database, FORK)
    assert seen == [{"kept": "x", "a": report.run, "b": report.run}]


def test_a_task_that_takes_too_long_is_warned_of_once(database: Database) -> None:
    PLAY.acts = {"a": lambda _: threading.Event().wait(1.3)}
    report = run(database, "  a: {type: act, max_duration: 0}\n")
    assert said(database, report).count("longer than its max_duration") == 1


def test_the_zone_in_force_is_the_activitys_then_the_workflows_then_the_projects(database: Database) -> None:
    zones = []
    PLAY.acts = {name: lambda context: zones.append(str(context.zone)) for name in ("a", "b")}
    run(database, "  a: {type: act, time_zone: Asia/Tokyo}\n  b: {type: act}\n", top="time_zone: Europe/Paris")
    run(database, "  b: {type: act}\n")
    assert zones == ["Asia/Tokyo", "Europe/Paris", "UTC"]

"""Test, fork, and-join, jump and wait in whole runs, and the loop that tries again what failed, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal, cast
from zoneinfo import ZoneInfo

import pytest

from crosstie.activities.and_join import AndJoin
from crosstie.activities.fork import Fork
from crosstie.activities.jump import Jump
from crosstie.activities.test import Test
from crosstie.activities.wait import Wait
from crosstie.crm.connector import Connector
from crosstie.db.database import Database, Transaction, instant_text
from crosstie.errors import ConfigError, DefinitionError, TaskError, UnavailableError
from crosstie.model import Column, ColumnType
from crosstie.workflow import instances, state
from crosstie.workflow.activity import OK, Activity, Context, Done, Scalar, Shape, Site
from crosstie.workflow.definition import Definition, read_definition
from crosstie.workflow.instances import Action
from crosstie.workflow.runner import RunReport, Surroundings, run_workflow
from crosstie.workflow.state import RunStatus
from crosstie.workflow.watcher import Silent, messages
from tests.scale import SOAK
from tests.unit.workflow.test_definition import EmptySite

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PEOPLE = Shape(columns=(Column(name="id", type=ColumnType.INTEGER),), key=("id",))


class Killed(BaseException):
    """Stands for the end of the process."""


@dataclass
class HandClock:
    at: datetime = START

    def now(self) -> datetime:
        return self.at


@dataclass
class Play:
    """What the activities of a test do, by name, and with which variables they were executed."""

    acts: dict[str, Callable[[Context], Done | None]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Scalar]]] = field(default_factory=list)

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


PLAY = Play()


class Act(Activity):
    """Does what the test says, and hands on what it received."""

    min_inputs: ClassVar[int] = 0
    type: Literal["act"]

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {OK: inputs[0] if inputs else None}

    def run(self, context: Context) -> Done:
        PLAY.calls.append((context.activity, dict(context.vars)))
        act = PLAY.acts.get(context.activity)
        done = act(context) if act else None
        return done or Done(tables={OK: context.inputs[0] if context.inputs else None})


class Source(Activity):
    """Puts out a population of so many rows."""

    min_inputs: ClassVar[int] = 0
    type: Literal["source"]
    rows: int = 3

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {OK: PEOPLE}

    def run(self, context: Context) -> Done:
        name = context.private_name()
        context.db.create_work(name, PEOPLE.columns)
        with context.db.transaction("source") as transaction:
            for number in range(1, self.rows + 1):
                transaction.execute(f"insert into crosstie.{name} (id) values (:id)", {"id": number})
        return Done(tables={OK: PEOPLE.work_table(name, self.rows)}, vars={"from": context.activity})


CATALOGUE: dict[str, type[Activity]] = {
    "act": Act,
    "source": Source,
    "test": Test,
    "fork": Fork,
    "and_join": AndJoin,
    "jump": Jump,
    "wait": Wait,
}


@pytest.fixture(autouse=True)
def _play() -> Iterator[None]:
    PLAY.acts.clear()
    PLAY.calls.clear()
    yield


def read(activities: str, name: str = "flow", top: str = "") -> Definition:
    return read_definition("flow.yaml", f"workflow: {name}\n{top}\nactivities:\n{activities}", CATALOGUE, EmptySite())


def run(db: Database, activities: str, name: str = "flow", clock: HandClock | None = None, **given: Any) -> RunReport:
    real = db.real if isinstance(db, Dying) else db
    with real.transaction("apply") as transaction:
        transaction.execute(
            "insert into crosstie.workflow (name, label, version, changed_at) values (:name, '', 1, :now)"
            " on conflict (name) do nothing",
            {"name": name, "now": instant_text(START)},
        )
    around = Surroundings(
        db=db,
        site=EmptySite(),
        clock=clock or HandClock(),
        connect=no_connector,
        watcher=Silent(),
        zone=ZoneInfo("Europe/Paris"),
    )
    return run_workflow(around, read(activities, name), 1, **{"waits": False, **given})


def no_connector(account: str) -> Connector:
    raise ConfigError(f"no account {account}")


def said(db: Database, report: RunReport) -> list[str]:
    with db.reading() as transaction:
        return [one.text for one in messages(transaction, report.run)]


class Dying:
    """A database whose process is killed before it begins its nth write transaction."""

    def __init__(self, real: Database, last: int) -> None:
        self.real = real
        self.left = last

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    @contextmanager
    def transaction(self, purpose: str) -> Iterator[Transaction]:
        self.left -= 1
        if self.left < 0:
            raise Killed(purpose)
        with self.real.transaction(purpose) as transaction:
            yield transaction


TESTED = """
  begin: {type: source, rows: ROWS}
  enough:
    type: test
    conditions: {many: "vars.recCount > 2", some: "vars.recCount > 0 && vars.from == 'begin'"}
    next: {many: a, NEXT}
  a: {type: act, next: []}
  b: {type: act, next: []}
"""


@pytest.mark.parametrize(
    ("rows", "following", "executed"),
    [(3, "some: b", ["a"]), (1, "some: b", ["b"]), (0, "default: b", ["b"]), (0, "some: b", []), (1, "default: b", [])],
)
def test_a_test_takes_the_first_condition_that_is_true_else_the_default(
    database: Database, rows: int, following: str, executed: list[str]
) -> None:
    report = run(database, TESTED.replace("ROWS", str(rows)).replace("NEXT", following))
    assert report.status is RunStatus.DONE
    assert PLAY.names() == executed
    if rows == 0 and not executed:
        assert "No condition is true, and there is no default transition: this branch ends." in said(database, report)


def test_a_condition_that_fails_is_an_error_with_its_place(database: Database) -> None:
    flow = "  t:\n    type: test\n    conditions: {x: vars.nothing.length > 1}\n    next: {x: a}\n  a: {type: act}\n"
    with pytest.raises(TaskError, match=r"line 1, column \d+: vars.nothing.length > 1"):
        run(database, flow)


def test_a_fork_begins_branches_and_an_and_join_waits_for_them(database: Database) -> None:
    flow = """
  begin: {type: source}
  both: {type: fork, next: [a, b]}
  a: {type: act, next: []}
  b: {type: act, next: []}
  joined: {type: and_join, from: [b, a]}
  after: {type: act}
"""
    got = []
    PLAY.acts = {
        "a": lambda context: Done(tables={OK: None}, vars={"a": 1, "shared": "a"}),
        "b": lambda context: Done(tables={OK: context.inputs[0]}, vars={"b": 2, "shared": "b"}),
        "after": lambda context: got.append(context.inputs[0].rows),
    }
    report = run(database, flow)
    assert (report.status, got) == (RunStatus.DONE, [3])
    assert PLAY.calls[-1] == ("after", {"from": "begin", "a": 1, "b": 2, "shared": "b"})


def test_a_jump_goes_on_elsewhere_with_what_it_receives(database: Database) -> None:
    flow = """
  first: {type: act}
  begin: {type: act}
  count:
    type: test
    conditions: {again: "vars.rounds < 3"}
    next: {again: back, default: done}
  back: {type: jump, to: begin}
  done: {type: act, next: []}
"""
    PLAY.acts = {
        "begin": lambda context: Done(tables={OK: None}, vars={"rounds": int(str(context.vars.get("rounds", 0))) + 1})
    }
    assert run(database, flow).status is RunStatus.DONE
    assert PLAY.names() == ["first", "begin", "begin", "begin", "done"]


def test_a_wait_is_counted_from_its_activation_and_neither_shortened_nor_repeated(database: Database) -> None:
    clock = HandClock()
    flow = "  begin: {type: source}\n  later: {type: wait, for: 1h30m}\n  after: {type: act}\n"
    first = run(database, flow, clock=clock)
    assert first.status is RunStatus.WAITING
    assert "It waits until 2026-11-23 10:30:00 CET." in said(database, first)
    clock.at += timedelta(minutes=89)
    assert run(database, flow, clock=clock).status is RunStatus.WAITING
    clock.at += timedelta(minutes=1)
    assert run(database, flow, clock=clock).status is RunStatus.DONE
    assert PLAY.calls == [("after", {"from": "begin"})]


def test_a_person_can_wake_a_wait(database: Database) -> None:
    flow = "  later: {type: wait, for: 9}\n  after: {type: act}\n"
    assert run(database, flow).status is RunStatus.WAITING
    with database.transaction("ask") as transaction:
        instances.add_request(transaction, "flow", Action.WAKE, START, "somebody")
    assert run(database, flow).status is RunStatus.DONE


RETRIED = """
  begin: {type: source}
  send: {type: act, errors: retry, next: done}
  done: {type: act, next: []}
  retry: {type: wait, for: 10m, attempts: 2, next: send}
"""


def away(context: Context) -> None:
    raise UnavailableError("the CRM is away", code="AWAY")


def failing(times: int) -> Callable[[Context], None]:
    left = iter(range(times))

    def send(context: Context) -> None:
        if next(left, None) is not None:
            away(context)

    return send


def until_it_rests(db: Database, flow: str, name: str, clock: HandClock) -> RunReport:
    """Runs, and lets the time pass whenever the run waits."""
    for _ in range(20):
        report = run(db, flow, name, clock=clock)
        if report.status is not RunStatus.WAITING:
            return report
        clock.at += timedelta(minutes=10)
    raise AssertionError("it waits for ever")


def test_a_loop_tries_again_with_the_population_and_the_variables(database: Database) -> None:
    PLAY.acts = {"send": failing(2)}
    assert until_it_rests(database, RETRIED, "flow", HandClock()).status is RunStatus.DONE
    sent = [variables for name, variables in PLAY.calls if name == "send"]
    assert [variables.get("attempt") for variables in sent] == [None, 1, 2]
    assert [variables.get("errorCode") for variables in sent] == [None, "AWAY", "AWAY"]
    assert all(variables["from"] == "begin" for variables in sent)
    assert PLAY.names()[-1] == "done"


def test_after_the_last_attempt_the_run_fails_with_the_error_and_a_person_grants_as_many_again(
    database: Database,
) -> None:
    clock = HandClock()
    PLAY.acts = {"send": away}
    for _ in range(2):
        PLAY.calls.clear()
        with pytest.raises(TaskError, match="the CRM is away") as caught:
            until_it_rests(database, RETRIED, "flow", clock)
        assert caught.value.code == "AWAY"
        assert caught.value.activity == "retry"
        assert "It was tried again 2 times, all that retry allows." in caught.value.hint
        attempts = [variables.get("attempt") for name, variables in PLAY.calls if name == "send"]
        assert attempts[-2:] == [1, 2]
        clock.at += timedelta(seconds=1)
    PLAY.acts = {}
    PLAY.calls.clear()
    resumed = run(database, RETRIED, clock=clock)
    assert (resumed.status, resumed.resumed) == (RunStatus.DONE, True)
    assert PLAY.names() == ["send", "done"]


def test_two_loops_are_counted_apart(database: Database) -> None:
    flow = """
  begin: {type: source}
  one: {type: act, errors: first, next: two}
  two: {type: act, errors: second, next: done}
  done: {type: act, next: []}
  first: {type: wait, for: 0, attempts: 2, next: one}
  second: {type: wait, for: 0, attempts: 2, next: two}
"""
    PLAY.acts = {"one": failing(2), "two": failing(2)}
    assert run(database, flow).status is RunStatus.DONE
    assert PLAY.calls[-1][1]["attempt"] == 2
    assert PLAY.names() == ["one"] * 3 + ["two"] * 3 + ["done"]


def test_a_kill_at_any_point_of_a_loop_neither_repeats_nor_omits(database: Database) -> None:
    """Every write transaction (outside of soak every third) is one that the process does not come to."""
    with database.transaction("people's table") as transaction:
        transaction.execute("create table sent (flow text, id bigint)")
    for last in range(1, 200, 1 if SOAK else 3):
        name = f"flow-{last}"

        def send(context: Context, name: str = name) -> Done:
            with context.db.reading() as reading:
                failed = [one for one in state.tasks(reading, context.run) if one.activity == "send" and one.error_code]
            if len(failed) < 2:
                away(context)
            table = context.inputs[0]

            def effect(transaction: Transaction) -> None:
                transaction.execute(f"insert into sent select '{name}', id from crosstie.{table.name}")

            return Done(tables={OK: table}, effect=effect)

        PLAY.acts = {"send": send}
        PLAY.calls.clear()
        clock = HandClock()
        dying = Dying(database, last)
        try:
            report = until_it_rests(cast(Database, dying), RETRIED, name, clock)
        except Killed:
            report = until_it_rests(database, RETRIED, name, clock)
        assert report.status is RunStatus.DONE
        assert PLAY.names()[-1] == "done"
        assert [variables["attempt"] for executed, variables in PLAY.calls if executed == "done"][-1] == 2
        with database.reading() as reading:
            assert reading.rows(f"select id from sent where flow = '{name}' order by id") == [(1,), (2,), (3,)]
        if dying.left >= 0:
            break
    else:
        raise AssertionError("the run never ended by itself")
    assert last > 15


@pytest.mark.parametrize(
    ("activities", "said"),
    [
        ("  f: {type: fork, next: a}\n  a: {type: act}\n", "a fork says where its branches begin, like next: [one"),
        ("  a: {type: act}\n  j: {type: and_join, from: a}\n", "an and_join says which branches it waits for"),
        ("  a: {type: act}\n  j: {type: jump, to: b}\n", "j.to: there is no activity “b”"),
        ("  a: {type: act}\n  j: {type: jump, to: a, next: a}\n", "a jump goes on at a, and nowhere else"),
        (
            "  t:\n    type: test\n    conditions: {x: '1 +'}\n    next: {x: a}\n  a: {type: act}\n",
            "this is not JavaScr",
        ),
        ("  t:\n    type: test\n    conditions: {x: 'n'}\n    next: {x: a}\n  a: {type: act}\n", "written vars.n"),
        (
            "  t:\n    type: test\n    conditions: {x: ''}\n    next: {x: a}\n  a: {type: act}\n",
            "the condition is empty",
        ),
        ("  t:\n    type: test\n    conditions: {ok: '1'}\n    next: {}\n", "“ok” has a meaning of its own"),
        (
            "  t:\n    type: test\n    conditions: {x: '1'}\n    next: a\n  a: {type: act}\n",
            "next: {x: activity, default",
        ),
        ("  t:\n    type: test\n    conditions: {x: '1'}\n    next: {y: a}\n  a: {type: act}\n", "no transition “y”"),
        ("  w: {type: wait, for: soon}\n", "“soon” is not a duration; write it like 30s, 10m, 1h30m or 2d"),
        ("  w: {type: wait, for: 1h, attempts: 0}\n", "“0” is too small: it is at least 1"),
    ],
)
def test_mistakes_are_told_in_words(activities: str, said: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        read(activities)
    assert said in str(caught.value)


@pytest.mark.parametrize(("written", "meant"), [("2", 2), ("36h", 1.5), ("1y", 365), ("30s", 30 / 86400), ("0", 0)])
def test_a_duration_without_unit_counts_days(written: str, meant: float) -> None:
    assert Wait.model_validate({"type": "wait", "for": written}).for_ == timedelta(days=meant)

"""Workflows that run others as their own part: what goes in and comes back, failures, kills, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal

import pytest

from crosstie.activities.edit_schema import EditSchema
from crosstie.activities.end import End
from crosstie.activities.external_signal import ExternalSignal
from crosstie.activities.start import Start
from crosstie.activities.sub_workflow import SubWorkflow
from crosstie.activities.wait import Wait
from crosstie.db.database import Database
from crosstie.errors import DefinitionError, TaskError
from crosstie.model import Column, ColumnType
from crosstie.workflow import instances, state
from crosstie.workflow.activity import OK, Activity, Context, Done, Scalar, Shape, Site
from crosstie.workflow.instances import Action
from crosstie.workflow.runner import RunReport, run_workflow
from crosstie.workflow.state import Run, RunStatus, TaskStatus
from tests.contract.workflow.desk import KINDS, Desk
from tests.contract.workflow.test_dispatch import BY, PLAY, START, Act, fail
from tests.contract.workflow.test_steering import Dying, Killed

PEOPLE = Shape(
    columns=(Column(name="id", type=ColumnType.INTEGER), Column(name="name", type=ColumnType.TEXT)), key=("id",)
)


class Source(Activity):
    """Puts out two people."""

    min_inputs: ClassVar[int] = 0
    type: Literal["source"]

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {OK: PEOPLE}

    def run(self, context: Context) -> Done:
        PLAY.calls.append(context.activity)
        name = context.private_name()
        context.db.create_work(name, PEOPLE.columns)
        with context.db.transaction("source") as transaction:
            transaction.execute(f"insert into crosstie.{name} (id, name) values (1, 'Ono'), (2, 'Abe')")
        return Done(tables={OK: PEOPLE.work_table(name, 2)})


class Pass(Act):
    """Acts, and hands on what came in."""

    type: Literal["pass"]  # type: ignore[assignment]

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {OK: inputs[0] if inputs else None}

    def run(self, context: Context) -> Done:
        acted = super().run(context)
        assert isinstance(acted, Done)
        return Done(tables={OK: context.inputs[0] if context.inputs else None}, vars=acted.vars)


ALL: dict[str, type[Activity]] = {
    **KINDS,
    "source": Source,
    "pass": Pass,
    "start": Start,
    "end": End,
    "wait": Wait,
    "edit_schema": EditSchema,
    "external_signal": ExternalSignal,
    "sub_workflow": SubWorkflow,
}
PART = """
  begin: {type: start, takes: {id: integer}, key: [id]}
  inside: {type: pass}
  named: {type: edit_schema, add: {twice: "id * 2"}}
  over: {type: end}
"""
WHOLE = """
  people: {type: source}
  part: {type: sub_workflow, workflow: part, vars: {given: "<%= vars.n + 1 %>", plain: 7}, errors: failed}
  after: {type: pass, next: []}
  failed: {type: act}
"""


@pytest.fixture(autouse=True)
def _play() -> Iterator[None]:
    PLAY.acts.clear()
    PLAY.calls.clear()
    yield


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, kinds=ALL, patience=timedelta(seconds=0.3))


def run(desk: Desk, name: str = "flow", db: Any = None, **given: Any) -> RunReport:
    definition, version = desk.load(name)
    around = desk.around()
    if db is not None:
        around = type(around)(**{one: getattr(around, one) for one in around.__slots__} | {"db": db})
    return run_workflow(around, definition, version, **{"waits": False, "variables": {"n": 4}, **given})


def parts(desk: Desk, name: str = "part") -> list[Run]:
    with desk.db.reading() as transaction:
        return sorted(state.runs(transaction, name), key=lambda one: one.id)


def rows_at(desk: Desk, run: int, source: str) -> list[tuple[Any, ...]]:
    with desk.db.reading() as transaction:
        table = next(one.table for one in state.events(transaction, run) if one.source == source and one.table)
        listed = ", ".join(column.name for column in table.columns)
        return sorted(transaction.rows(f"select {listed} from crosstie.{table.name}"))


def test_population_and_variables_go_in_and_come_back(desk: Desk) -> None:
    seen: dict[str, dict[str, Scalar]] = {}
    PLAY.acts = {
        "inside": lambda context: seen.update(inside=dict(context.vars)) or Done(tables={}, vars={"found": 3}),
        "after": lambda context: seen.update(after=dict(context.vars)),
    }
    desk.apply(PART, name="part")
    desk.apply(WHOLE)
    report = run(desk)
    assert report.status is RunStatus.DONE
    assert seen["inside"] == {"given": 5, "plain": 7}
    assert seen["after"] == {"n": 4, "given": 5, "plain": 7, "found": 3}
    assert rows_at(desk, report.run, "after") == [(1, 2), (2, 4)]
    assert [(one.status, one.served) for one in parts(desk)] == [(RunStatus.DONE, False)]
    assert "It waits for run" in desk.log()


def test_a_result_is_chosen_and_what_was_not_reached_is_empty(desk: Desk) -> None:
    desk.apply(
        PART.replace("pass}", "pass, next: []}").replace("  named", "  other: {type: source}\n  named"), name="part"
    )
    desk.apply(WHOLE.replace("part, vars", "part, result: inside, vars"))
    report = run(desk)
    assert rows_at(desk, report.run, "after") == [(1,), (2,)]

    desk.apply(PART.replace("pass}", "skipping}"), name="part")
    desk.kinds["skipping"] = Skipping
    desk.apply(WHOLE)
    again = run(desk)
    assert rows_at(desk, again.run, "after") == []
    assert "has not reached what it brings back; no rows go on" in desk.log()


class Skipping(Pass):
    type: Literal["skipping"]  # type: ignore[assignment]

    def run(self, context: Context) -> Done:
        return Done(tables={})


def test_a_failure_of_it_is_one_of_the_task_and_takes_the_error_transition(desk: Desk) -> None:
    seen: list[dict[str, Scalar]] = []
    PLAY.acts = {"inside": fail, "failed": lambda context: seen.append(dict(context.vars))}
    desk.apply(PART, name="part")
    desk.apply(WHOLE)
    report = run(desk)
    assert report.status is RunStatus.DONE
    assert seen[0]["errorCode"] == "AWAY"
    assert seen[0]["errorMessage"] == f"Run {parts(desk)[0].id} of part failed: the CRM is away"
    assert [one.status for one in parts(desk)] == [RunStatus.STOPPED]


def test_resumed_it_goes_on_where_the_part_stopped(desk: Desk) -> None:
    PLAY.acts = {"inside": fail}
    desk.apply(PART, name="part")
    desk.apply(WHOLE.replace(", errors: failed", "").replace("  failed: {type: act}\n", ""))
    with pytest.raises(TaskError, match="of part failed: the CRM is away"):
        run(desk)
    assert [one.status for one in parts(desk)] == [RunStatus.FAILED]
    PLAY.acts = {}
    report = run(desk)
    assert (report.status, report.resumed) == (RunStatus.DONE, True)
    assert [one.status for one in parts(desk)] == [RunStatus.DONE]
    assert PLAY.calls == ["people", "inside", "inside", "after"]


def test_a_loop_that_tries_again_goes_on_with_the_part_that_failed(desk: Desk) -> None:
    rounds: list[int] = []

    def twice(context: Context) -> None:
        rounds.append(context.run)
        if len(rounds) < 3:
            fail(context)

    PLAY.acts = {"inside": twice}
    desk.apply(PART, name="part")
    desk.apply(WHOLE.replace("failed: {type: act}", "failed: {type: pass, next: part}"))
    assert run(desk).status is RunStatus.DONE
    assert [one.status for one in parts(desk)] == [RunStatus.DONE]
    assert len(rounds) == 3 and len(set(rounds)) == 1


WAITING = PART.replace("  inside:", "  rest: {type: wait, for: 2h}\n  go: {type: external_signal}\n  inside:")


def test_a_part_that_waits_is_carried_on_when_it_is_due(desk: Desk) -> None:
    desk.apply(WAITING, name="part")
    desk.apply(WHOLE)
    desk.control.start("flow", variables={"n": 1})
    desk.tick(2)
    assert desk.ended() == [RunStatus.WAITING]
    desk.tick(hours=1)
    assert "inside" not in PLAY.calls
    desk.tick(hours=2)
    desk.control.signal("part", "go", {"called": 1}, complete=True)
    desk.tick(2)
    assert desk.ended() == [RunStatus.DONE]
    assert PLAY.calls == ["people", "inside", "after"]
    assert desk.status == "finished"


def test_wake_reaches_the_part_too(desk: Desk) -> None:
    desk.apply(WAITING, name="part")
    desk.apply(WHOLE)
    run(desk)
    for _ in range(2):
        with desk.db.transaction("ask") as transaction:
            instances.add_request(transaction, "flow", Action.WAKE, START, BY)
        report = run(desk)
    assert report.status is RunStatus.DONE


def test_it_is_paused_and_stopped_with_the_whole_and_not_by_its_own_name(desk: Desk) -> None:
    desk.apply(WAITING, name="part")
    desk.apply(WHOLE)
    desk.control.start("flow", variables={"n": 1})
    desk.tick(2)
    desk.control.stop("part")
    assert [one.status for one in parts(desk)] == [RunStatus.WAITING]
    desk.control.pause("flow")
    desk.control.start("flow")
    desk.tick(2)
    assert [one.status for one in parts(desk)] == [RunStatus.WAITING]
    desk.control.stop("flow")
    assert [one.status for one in parts(desk)] == [RunStatus.STOPPED]
    with desk.db.reading() as transaction:
        assert TaskStatus.WAITING not in {one.status for one in state.tasks(transaction, parts(desk)[0].id)}


def test_an_end_of_the_whole_that_stops_the_others_stops_the_part(desk: Desk) -> None:
    desk.apply(WAITING, name="part")
    desk.apply(
        "  people: {type: source, next: [part, other]}\n  part: {type: sub_workflow, workflow: part, next: []}\n"
        "  other: {type: act}\n  over: {type: end, stops_others: true}\n"
    )
    PLAY.acts = {"other": lambda _: wait_for(desk)}
    report = run(desk)
    assert report.status is RunStatus.STOPPED
    assert [one.status for one in parts(desk)] == [RunStatus.STOPPED]


def wait_for(desk: Desk) -> None:
    """Until the part waits itself."""
    import time

    for _ in range(500):
        with desk.db.reading() as transaction:
            if any(state.waiting_tasks(transaction, one.id) for one in state.runs(transaction, "part")):
                return
        time.sleep(0.02)
    raise AssertionError("the part did not begin")


def test_a_part_has_parts_and_shares_no_work_with_its_own_runs(desk: Desk) -> None:
    desk.apply(PART, name="part")
    desk.apply(
        "  begin: {type: start, takes: {id: integer, name: text}, key: [id]}\n"
        "  part: {type: sub_workflow, workflow: part}\n  done: {type: end}\n",
        name="middle",
    )
    desk.apply(WHOLE.replace("workflow: part", "workflow: middle"))
    report = run(desk)
    assert report.status is RunStatus.DONE
    assert rows_at(desk, report.run, "after") == [(1, 2), (2, 4)]
    assert [one.status for one in parts(desk) + parts(desk, "middle")] == [RunStatus.DONE] * 2


def deliver(context: Context) -> None:
    """Puts something out as an incremental query does."""
    with context.step("deliver") as transaction:
        transaction.execute(
            "insert into crosstie.delivery (workflow, activity, run, task, at, status)"
            " values (:workflow, :activity, :run, :task, '', 'pending')",
            {"workflow": context.workflow, "activity": context.activity, "run": context.run, "task": context.task},
        )


def deliveries_of(desk: Desk) -> list[tuple[int, str]]:
    with desk.db.reading() as transaction:
        return [
            (int(run), str(status)) for run, status in transaction.rows("select run, status from crosstie.delivery")
        ]


def test_what_it_delivered_counts_when_the_whole_has_used_it(desk: Desk) -> None:
    seen: list[list[tuple[int, str]]] = []
    PLAY.acts = {"inside": deliver, "after": lambda _: seen.append(deliveries_of(desk))}
    desk.apply(PART, name="part")
    desk.apply(WHOLE)
    report = run(desk)
    assert seen == [[(report.run, "pending")]]
    assert deliveries_of(desk) == [(report.run, "delivered")]


def test_what_it_delivered_and_the_whole_did_not_use_is_delivered_again(desk: Desk) -> None:
    PLAY.acts = {"inside": deliver, "after": fail}
    desk.apply(PART, name="part")
    desk.apply(WHOLE)
    with pytest.raises(TaskError) as caught:
        run(desk)
    assert deliveries_of(desk) == [(caught.value.run, "pending")]
    desk.control.stop("flow")
    with desk.db.reading() as transaction:
        assert state.unfinished_run(transaction, "flow") is None
    assert deliveries_of(desk) == [(caught.value.run, "abandoned")]


@pytest.mark.parametrize("last", range(3, 40, 4))
def test_killed_anywhere_it_ends_as_if_it_had_not_been(desk: Desk, last: int) -> None:
    desk.apply(PART, name="part")
    desk.apply(WHOLE)
    try:
        report = run(desk, db=Dying(desk.db, last))
    except Killed:
        report = run(desk)
    assert report.status is RunStatus.DONE
    assert rows_at(desk, report.run, "after") == [(1, 2), (2, 4)]
    assert [one.status for one in parts(desk)] == [RunStatus.DONE]


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [
        (PART, WHOLE.replace("workflow: part", "workflow: prat"), "there is no workflow “prat”. Apply it first"),
        (PART.replace("{id: integer}", "{id: text}").replace("id * 2", "id"), WHOLE,
         "“part” takes id as text, and it comes in as integer"),
        (PART.replace("{id: integer}", "{id: integer, age: integer}"), WHOLE, "“part” takes a column age, which does"),
        (PART.replace("[id]", "[id]").replace("{id: integer}, key: [id]", "{id: integer, name: text}, key: [name]"),
         WHOLE, "takes rows that are unique by name; those that come in are not known to be"),
        (PART, "  part: {type: sub_workflow, workflow: part}\n", "“part” takes a population, and none comes in here"),
        (PART, WHOLE.replace("part, vars", "part, result: nmaed, vars"), "Did you mean “named”?"),
        (PART + "  second: {type: source}\n", WHOLE, ""),
        (PART.replace("  over: {type: end}\n", "  second: {type: source, from: []}\n").replace(
            "id * 2\"}}", "id * 2\"}, next: []}"), WHOLE,
         "“part” ends with several populations; choose one by “result”"),
        (PART, WHOLE.replace("<%= vars.n + 1 %>", "<%= n + 1 %>"), "In <%= n + 1 %> there is no “n”"),
    ],
)  # fmt: skip
def test_mistakes_are_told_when_it_is_validated(desk: Desk, part: str, whole: str, told: str) -> None:
    desk.apply(part, name="part")
    desk.apply(whole)
    if not told:
        desk.load("flow")
        return
    with pytest.raises(DefinitionError) as caught:
        desk.load("flow")
    assert told in caught.value.message


def test_what_would_run_itself_is_refused(desk: Desk) -> None:
    desk.apply("  a: {type: sub_workflow, workflow: other}\n")
    desk.apply("  a: {type: sub_workflow, workflow: flow}\n", name="other")
    with pytest.raises(DefinitionError) as caught:
        desk.load("flow")
    assert caught.value.message == ("flow.yaml:4:27  a.workflow: it would run itself without end: flow → other → flow")
    desk.apply("  a: {type: sub_workflow, workflow: own}\n", name="own")
    with pytest.raises(DefinitionError, match="own → own"):
        desk.load("own")


def test_a_part_that_cannot_run_is_told_of(desk: Desk) -> None:
    desk.apply("  a: {type: nothing}\n", name="part")
    desk.apply("  a: {type: sub_workflow, workflow: part}\n")
    with pytest.raises(DefinitionError, match=r"“part” cannot run: flow\.yaml:4:"):
        desk.load("flow")


def test_on_its_own_it_says_that_it_takes_something(desk: Desk) -> None:
    desk.apply(PART, name="part")
    with pytest.raises(TaskError, match="part takes a population, and nobody gave one"):
        run(desk, "part")

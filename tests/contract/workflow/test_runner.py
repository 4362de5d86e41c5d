"""The runner on both databases: publishing, confirming windows, resuming after failures and kills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import pytest

from crosstie.crm.connector import Connector
from crosstie.db.database import Database, Transaction
from crosstie.errors import BrakeError, ConfigError, DatabaseError, TaskError, UnavailableError
from crosstie.model import Column, ColumnType
from crosstie.sync import windows
from crosstie.workflow import state
from crosstie.workflow.activity import ERRORS, OK, REJECTS, Activity, Context, Done, Reject, Shape, Site
from crosstie.workflow.definition import read_definition
from crosstie.workflow.runner import RunReport, Surroundings, run_workflow
from crosstie.workflow.state import RunStatus, TaskStatus
from crosstie.workflow.watcher import Silent, messages
from tests.unit.workflow.test_definition import EmptySite

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
COLUMNS = (Column(name="id", type=ColumnType.INTEGER),)
OPTION = "LAST"


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours may handle it."""


@dataclass
class Script:
    """What the activities of a test do, by activity name; each call takes the next one, the last one stays."""

    acts: dict[str, list[Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def act(self, name: str) -> Any:
        self.calls.append(name)
        acts = self.acts.get(name, [])
        return acts.pop(0) if len(acts) > 1 else acts[0] if acts else None


SCRIPT = Script()


class Fill(Activity):
    """Opens a window, as an import does, and publishes three rows."""

    min_inputs: ClassVar[int] = 0
    type: Literal["fill"]

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {OK: Shape(columns=COLUMNS), REJECTS: Shape(columns=COLUMNS)}

    def run(self, context: Context) -> Done:
        window = open_window(context)
        name = context.private_name()
        context.db.create_work(name, COLUMNS)
        with context.db.transaction("filling") as transaction:
            for number in (1, 2, 3):
                transaction.execute(f"insert into crosstie.{name} (id) values (:id)", {"id": number})
        play(context)
        return Done(
            tables={OK: Shape(columns=COLUMNS).work_table(name, 3)},
            counts={"rows": 3},
            vars={"crmEndDate": "now"},
            effect=lambda transaction: windows.record_read(transaction, window, rows=3, tail_table=""),
        )


class Pass(Activity):
    """Publishes what it received, and notes it in a table of people's in the same commit."""

    type: Literal["pass"]

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {OK: inputs[0]}

    def run(self, context: Context) -> Done:
        play(context)
        rejects = [
            Reject(
                remote_id=str(number) if REJECTS_NAMED[0] else "",
                row=f"id {number}",
                symbol="BAD",
                message=f"row {number} is bad",
                field="id",
            )
            for number in range(REJECT_COUNT[0])
        ]
        return Done(tables={OK: context.input}, counts={"noted": 1}, rejects=rejects, effect=note)


class Over(Activity):
    min_inputs: ClassVar[int] = 0
    has_default_next: ClassVar[bool] = False
    type: Literal["over"]

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {}

    def run(self, context: Context) -> Done:
        play(context)
        return Done(tables={})


REJECT_COUNT = [0]
REJECTS_NAMED = [False]
CATALOGUE: dict[str, type[Activity]] = {"fill": Fill, "pass": Pass, "over": Over}
FLOW = """
workflow: flow
activities:
  read: {type: fill}
  write: {type: pass}
  done: {type: over}
"""


def note(transaction: Transaction) -> None:
    transaction.execute("update people set written = written + 1")


def play(context: Context) -> None:
    act = SCRIPT.act(context.activity)
    if isinstance(act, BaseException):
        raise act
    if callable(act):
        act(context)


def open_window(context: Context) -> windows.Window:
    with context.db.transaction("window") as transaction:
        existing = windows.open_window(transaction, OPTION)
        if existing is not None and existing.run == context.run:
            return existing
        read = windows.read_option(transaction, OPTION)
        start = windows.parse_option(OPTION, read)
        return windows.begin(
            transaction,
            windows.Window(
                id=0,
                option=OPTION,
                account="crm",
                org="org",
                object="Contact",
                workflow=context.workflow,
                activity=context.activity,
                run=context.run,
                field="SystemModstamp",
                start=start,
                end=(start or START) + timedelta(hours=1),
                overlap=windows.OVERLAP,
                option_read=read,
                status=windows.WindowStatus.OPEN,
            ),
            context.now(),
        )


class FixedClock:
    def now(self) -> datetime:
        return START


def no_connector(account: str) -> Connector:
    raise ConfigError(f"no account {account}")


@pytest.fixture(autouse=True)
def _script() -> Iterator[None]:
    SCRIPT.acts.clear()
    SCRIPT.calls.clear()
    REJECT_COUNT[0], REJECTS_NAMED[0] = 0, False
    yield


@pytest.fixture
def db(database: Database) -> Database:
    with database.transaction("table") as transaction:
        transaction.execute("create table people (written bigint)")
        transaction.execute("insert into people values (0)")
    return database


def run(db: Database, text: str = FLOW, *, restart: bool = False) -> RunReport:
    definition = read_definition("flow.yaml", text, CATALOGUE, EmptySite())
    around = Surroundings(
        db=db, site=EmptySite(), clock=FixedClock(), connect=no_connector, watcher=Silent(), zone=ZoneInfo("UTC")
    )
    return run_workflow(around, definition, 1, restart=restart)


def option(db: Database) -> str | None:
    with db.reading() as transaction:
        return windows.read_option(transaction, OPTION)


def written(db: Database) -> int:
    with db.reading() as transaction:
        row = transaction.row("select written from people")
    assert row is not None
    return int(row[0])


def is_done(db: Database) -> bool:
    """Whether the newest run had ended before the kill."""
    with db.reading() as transaction:
        latest = state.latest_run(transaction, "flow")
    return latest is not None and latest.status is RunStatus.DONE


def set_option(db: Database, value: str) -> None:
    with db.transaction("by hand") as transaction:
        transaction.execute(
            "insert into crosstie.option (name, value) values (:name, :value)"
            " on conflict (name) do update set value = excluded.value",
            {"name": OPTION, "value": value},
        )


def test_a_run_publishes_each_task_once_and_moves_the_index_at_its_end(db: Database) -> None:
    report = run(db)
    assert report.status is RunStatus.DONE
    assert report.counts == {"read": {"rows": 3}, "write": {"noted": 1}, "done": {}}
    assert SCRIPT.calls == ["read", "write", "done"]
    assert option(db) == "2026/11/23 09:00:00"
    assert written(db) == 1


def test_the_next_run_begins_where_the_confirmed_window_ended(db: Database) -> None:
    first = run(db)
    second = run(db)
    assert second.run > first.run
    assert option(db) == "2026/11/23 10:00:00"


@pytest.mark.parametrize("activity", ["read", "write", "done"])
def test_a_failed_run_moves_nothing_and_is_gone_on_with_where_it_stopped(db: Database, activity: str) -> None:
    SCRIPT.acts[activity] = [UnavailableError("the CRM is away"), None]
    with pytest.raises(TaskError) as caught:
        run(db)
    assert caught.value.activity == activity
    assert option(db) is None
    report = run(db)
    assert report.resumed
    assert report.run == caught.value.run
    assert SCRIPT.calls.count(activity) == 2
    assert len(SCRIPT.calls) == 4
    assert option(db) == "2026/11/23 09:00:00"
    assert written(db) == 1


@pytest.mark.parametrize("activity", ["read", "write", "done"])
def test_a_killed_run_is_taken_up_and_ends_like_an_uninterrupted_one(db: Database, activity: str) -> None:
    SCRIPT.acts[activity] = [Killed(), None]
    with pytest.raises(Killed):
        run(db)
    report = run(db)
    assert report.resumed
    assert report.counts == {"read": {"rows": 3}, "write": {"noted": 1}, "done": {}}
    assert option(db) == "2026/11/23 09:00:00"
    assert written(db) == 1


class _Dying:
    """The same database, whose n-th write transaction is the last thing that the process does: before it, or after."""

    def __init__(self, db: Database, number: int) -> None:
        self._db = db
        self.left = number
        self.after = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    @contextmanager
    def transaction(self, purpose: str) -> Iterator[Transaction]:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        with self._db.transaction(purpose) as transaction:
            yield transaction
        if self.left == 0:
            raise Killed


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_commit_ends_in_the_state_of_an_uninterrupted_run(db: Database, after: bool) -> None:
    expected = START
    for number in range(1, 60):
        dying: Any = _Dying(db, number)
        dying.after = after
        before = written(db)
        expected += timedelta(hours=1)
        try:
            run(dying)
        except Killed:
            if not is_done(db):
                run(db)
        else:
            assert number > 5
            break
        assert option(db) == windows.option_text(expected), number
        assert written(db) == before + 1, number
    else:
        pytest.fail("the run never came to its end")
    with db.reading() as transaction:
        opened = transaction.rows("select id from crosstie.import_window where status = 'open'")
    assert opened == []


def test_work_tables_of_a_finished_run_are_swept_by_the_next(db: Database) -> None:
    first = run(db)
    run(db)
    assert not [name for name in db.work_tables() if name.startswith(f"w_{first.run}_")]


def test_a_work_table_that_is_gone_is_made_again(db: Database) -> None:
    SCRIPT.acts["write"] = [Killed(), None]
    with pytest.raises(Killed):
        run(db)
    db.drop_work(db.work_tables())
    run(db)
    assert SCRIPT.calls == ["read", "write", "read", "write", "done"]
    assert option(db) == "2026/11/23 09:00:00"


def test_a_restart_abandons_the_unfinished_run_and_reads_again(db: Database) -> None:
    SCRIPT.acts["write"] = [UnavailableError("away"), None]
    with pytest.raises(TaskError) as caught:
        run(db)
    report = run(db, restart=True)
    assert report.run != caught.value.run
    assert not report.resumed
    assert option(db) == "2026/11/23 09:00:00"
    with db.reading() as transaction:
        abandoned = state.find_run(transaction, caught.value.run)
    assert abandoned is not None
    assert abandoned.status is RunStatus.ABANDONED


def test_a_hand_edit_during_the_run_wins(db: Database) -> None:
    set_option(db, "2026/11/23 08:00:00")
    SCRIPT.acts["write"] = [lambda context: set_option(db, "2026/01/01 00:00:00")]
    run(db)
    assert option(db) == "2026/01/01 00:00:00"
    run(db, text=FLOW.replace("write: {type: pass}", "other: {type: pass}"))
    assert option(db) == "2026/01/01 01:00:00"


def test_an_empty_option_is_not_a_missing_one_and_moves_too(db: Database) -> None:
    set_option(db, "")
    run(db)
    assert option(db) == "2026/11/23 09:00:00"


def test_an_error_transition_is_taken_by_a_failure_of_the_call_and_the_index_stays(db: Database) -> None:
    SCRIPT.acts["write"] = [UnavailableError("away", code="AWAY")]
    text = FLOW.replace("{type: pass}", "{type: pass, errors: trouble}") + "  trouble: {type: over}\n"
    report = run(db, text)
    assert report.status is RunStatus.DONE
    assert SCRIPT.calls == ["read", "write", "trouble"]
    assert option(db) is None
    with db.reading() as transaction:
        sent = [event for event in state.events(transaction, report.run) if event.transition == ERRORS]
        ended = {task.activity: task.status for task in state.tasks(transaction, report.run)}
    assert sent[0].vars["errorCode"] == "AWAY"
    assert sent[0].table is not None
    assert ended["write"] is TaskStatus.FAILED


def test_a_mistake_never_takes_the_error_transition(db: Database) -> None:
    SCRIPT.acts["write"] = [ConfigError("the option is malformed")]
    text = FLOW.replace("{type: pass}", "{type: pass, errors: trouble}") + "  trouble: {type: over}\n"
    with pytest.raises(TaskError):
        run(db, text)


def test_a_workflow_has_one_runner(db: Database) -> None:
    def second(context: Context) -> None:
        with pytest.raises(BrakeError, match="being run by another process"):
            run(db)

    SCRIPT.acts["write"] = [second]
    run(db)


def test_a_runner_that_lost_its_hold_begins_nothing_more(db: Database) -> None:
    forgetful: Any = _Dying(db, 0)
    forgetful.still_holds = lambda name: SCRIPT.calls == []
    with pytest.raises(DatabaseError, match="hold of workflow flow was lost"):
        run(forgetful)
    assert SCRIPT.calls == ["read"]
    assert run(db).resumed
    assert written(db) == 1


def test_a_runner_whose_run_was_taken_over_publishes_nothing(db: Database) -> None:
    def taken_over(context: Context) -> None:
        with db.transaction("another runner") as transaction:
            state.take_run(transaction, context.run, 1)

    SCRIPT.acts["write"] = [taken_over, None]
    with pytest.raises(DatabaseError, match="taken over by another runner"):
        run(db)
    assert written(db) == 0


def test_an_option_has_one_open_window(db: Database) -> None:
    SCRIPT.acts["write"] = [UnavailableError("away"), None]
    with pytest.raises(TaskError):
        run(db)
    with pytest.raises(TaskError, match="has an open window of run"):
        run(db, FLOW.replace("workflow: flow", "workflow: other"))


def test_rejects_go_to_the_inbox_and_are_warned_of_at_most_a_hundred_times(db: Database) -> None:
    REJECT_COUNT[0] = 130
    report = run(db)
    assert report.rejects == 130
    with db.reading() as transaction:
        warnings = [one.text for one in messages(transaction, report.run) if one.level == "warning"]
        kept = transaction.row("select count(*) from crosstie.reject where status = 'open'")
    assert len(warnings) == 101
    assert warnings[0] == "Rejected row id 0, field id: row 0 is bad [BAD]"
    assert warnings[-1] == "30 more rejects: BAD on id"
    assert kept is not None
    assert kept[0] == 130


def test_what_is_refused_again_keeps_its_one_open_row(db: Database) -> None:
    REJECT_COUNT[0], REJECTS_NAMED[0] = 3, True
    inbox = "select id, run, remote_id, status from crosstie.reject order by id"

    def rows() -> list[tuple[Any, ...]]:
        with db.reading() as transaction:
            return [tuple(row) for row in transaction.rows(inbox)]

    run(db)
    first = rows()
    assert len(first) == 3
    with db.transaction("dismissed") as transaction:
        transaction.execute("update crosstie.reject set status = 'dismissed' where remote_id = '2'")
    again = run(db)
    assert again.rejects == 3
    with db.reading() as transaction:
        warnings = [one.text for one in messages(transaction, again.run) if one.level == "warning"]
    assert len(warnings) == 3
    found = rows()
    assert [row[1:] for row in found] == [
        (again.run, "0", "open"),
        (again.run, "1", "open"),
        (first[2][1], "2", "dismissed"),
        (again.run, "2", "open"),
    ]
    assert [row[0] for row in found[:3]] == [row[0] for row in first]


def test_variables_travel_with_the_population(db: Database) -> None:
    seen = []
    SCRIPT.acts["done"] = [lambda context: seen.append(dict(context.vars))]
    run(db)
    assert seen == [{"crmEndDate": "now"}]


def test_an_interrupted_run_is_gone_on_with(db: Database) -> None:
    SCRIPT.acts["write"] = [KeyboardInterrupt(), None]
    with pytest.raises(KeyboardInterrupt):
        run(db)
    with db.reading() as transaction:
        latest = state.latest_run(transaction, "flow")
    assert latest is not None
    assert latest.status is RunStatus.INTERRUPTED
    assert run(db).resumed
    assert SCRIPT.calls == ["read", "write", "write", "done"]


def test_an_activity_that_the_new_version_lacks_is_named(db: Database) -> None:
    SCRIPT.acts["write"] = [UnavailableError("away"), None]
    with pytest.raises(TaskError):
        run(db)
    with pytest.raises(ConfigError, match="waits at activity “write”"):
        run(db, FLOW.replace("write:", "put:"))


@pytest.mark.parametrize(
    "text",
    [
        "yesterday", "2026-11-23 08:00:00", "2026/13/01 00:00:00", "2026/11/23", "0", "0001/01/01 00:00:00",
        "２０２６/11/23 08:00:00",
    ],
)  # fmt: skip
def test_a_malformed_option_is_named_with_the_form_it_should_have(text: str) -> None:
    with pytest.raises(ConfigError, match="yyyy/MM/dd hh:mm:ss"):
        windows.parse_option(OPTION, text)

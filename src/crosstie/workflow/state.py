"""The state of workflows in the database: versions, runs, tasks, events. Statements only; the runner decides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum

from crosstie.db.database import Transaction, instant_text, parse_instant
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType, Lineage, Link, WorkTable
from crosstie.sync import deliveries, windows
from crosstie.workflow.activity import Scalar, Waiting, Woken

TAKEN_OVER = "TAKEN_OVER"
"""Code of the refusal to write for a run that another runner has taken."""


class RunStatus(StrEnum):
    """`running` also stands behind a run whose process was killed; nobody holds its workflow then. `waiting` is a run
    whose tasks all wait for their time or a signal; `aborted` one that failed and cannot be gone on with; `abandoned`
    one that a restart replaced; `stopped` one that a person, or an End, ended."""

    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    DONE = "done"
    STOPPED = "stopped"
    ABORTED = "aborted"
    ABANDONED = "abandoned"


class TaskStatus(StrEnum):
    """`lost` is a task that a kill ended, or whose result is gone: its inbound events are taken again. `skipped` was
    not executed: in a simulation, because the activity was at work already, or because what it waited for never came.
    `aborted` was at work, or waiting, when its run was stopped."""

    RUNNING = "running"
    WAITING = "waiting"
    FINISHED = "finished"
    FAILED = "failed"
    LOST = "lost"
    SKIPPED = "skipped"
    ABORTED = "aborted"


SUB_RUN = "subRun"
"""Under this name the state of a waiting task has the number of the run for whose end it waits."""

RESUMABLE = (RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PAUSED, RunStatus.FAILED, RunStatus.INTERRUPTED)
_RESUMABLE = ", ".join(f"'{status}'" for status in RESUMABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One passage through a workflow's graph. One with a `parent_task` belongs to the run of that task, and is carried
    on and ended with it. One that is `planning` is simulated, but for what it would send to CRMs: that is kept."""

    id: int
    workflow: str
    version: int
    status: RunStatus
    started_at: datetime
    ended_at: datetime | None
    api_calls: int
    remote_rows: int
    message: str
    served: bool = False
    simulated: bool = False
    parent_task: int | None = None
    planning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One execution of one activity. `counts` is what it did, in the order to show; `woken` why it is done again."""

    id: int
    run: int
    activity: str
    attempt: int
    status: TaskStatus
    started_at: datetime
    ended_at: datetime | None
    counts: Mapping[str, int]
    error_code: str
    error_message: str
    due_at: datetime | None = None
    signal: bool = False
    state: Mapping[str, Scalar] = field(default_factory=dict)
    note: str = ""
    woken: Woken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One activation of a transition. `task` is the task that consumes it, None while it is pending."""

    id: int
    run: int
    source_task: int | None
    source: str
    transition: str
    target: str
    table: WorkTable | None
    vars: Mapping[str, Scalar]
    task: int | None


def work_table_text(table: WorkTable) -> str:
    """A work table's description as JSON."""
    return json.dumps(asdict(table), ensure_ascii=False)


def read_work_table(text: str) -> WorkTable:
    """The work table of `work_table_text`."""
    raw = json.loads(text)
    lineage = raw["lineage"]
    return WorkTable(
        name=raw["name"],
        columns=tuple(Column(**{**column, "type": ColumnType(column["type"])}) for column in raw["columns"]),
        rows=raw["rows"],
        lineage=None
        if lineage is None
        else Lineage(**{**lineage, "fields": tuple((name, field) for name, field in lineage["fields"])}),
        links=tuple(Link(**link) for link in raw["links"]),
        key=tuple(raw["key"]),
        dimension=raw["dimension"],
        bases=tuple(raw["bases"]),
    )


def vars_text(values: Mapping[str, Scalar]) -> str:
    """Event variables as JSON; instants marked so that they come back as such."""
    return json.dumps(
        {
            name: {"instant": instant_text(value)} if isinstance(value, datetime) else value
            for name, value in values.items()
        },
        ensure_ascii=False,
    )


def read_vars(text: str) -> dict[str, Scalar]:
    """The variables of `vars_text`."""
    return {
        name: parse_instant(value["instant"]) if isinstance(value, dict) else value
        for name, value in json.loads(text or "{}").items()
    }


def _woken_text(woken: Woken | None) -> str:
    if woken is None:
        return ""
    return json.dumps({"by": woken.by, "vars": vars_text(woken.vars), "complete": woken.complete})


def _read_woken(text: str) -> Woken | None:
    raw = json.loads(text) if text else None
    return Woken(by=raw["by"], vars=read_vars(raw["vars"]), complete=raw.get("complete", False)) if raw else None


_RUN = (
    "select id, workflow, version, status, started_at, ended_at, api_calls, remote_rows, message, served, simulated,"
    " parent_task, planning from crosstie.run"
)
_TASK = (
    "select id, run, activity, attempt, status, started_at, ended_at, counts, error_code, error_message, due_at,"
    " signal, state, note, woken from crosstie.task"
)
_EVENT = "select id, run, source_task, source, transition, target, description, vars, task from crosstie.event"


def _run(row: Sequence[object]) -> Run:
    return Run(
        id=int(str(row[0])),
        workflow=str(row[1]),
        version=int(str(row[2])),
        status=RunStatus(str(row[3])),
        started_at=parse_instant(str(row[4])),
        ended_at=parse_instant(str(row[5])) if row[5] else None,
        api_calls=int(str(row[6] or 0)),
        remote_rows=int(str(row[7] or 0)),
        message=str(row[8] or ""),
        served=bool(row[9]),
        simulated=bool(row[10]),
        parent_task=None if row[11] is None else int(str(row[11])),
        planning=bool(row[12]),
    )


def _task(row: Sequence[object]) -> Task:
    return Task(
        id=int(str(row[0])),
        run=int(str(row[1])),
        activity=str(row[2]),
        attempt=int(str(row[3])),
        status=TaskStatus(str(row[4])),
        started_at=parse_instant(str(row[5])),
        ended_at=parse_instant(str(row[6])) if row[6] else None,
        counts=json.loads(str(row[7] or "{}")),
        error_code=str(row[8] or ""),
        error_message=str(row[9] or ""),
        due_at=parse_instant(str(row[10])) if row[10] else None,
        signal=bool(row[11]),
        state=read_vars(str(row[12] or "{}")),
        note=str(row[13] or ""),
        woken=_read_woken(str(row[14] or "")),
    )


def _event(row: Sequence[object]) -> Event:
    return Event(
        id=int(str(row[0])),
        run=int(str(row[1])),
        source_task=None if row[2] is None else int(str(row[2])),
        source=str(row[3] or ""),
        transition=str(row[4] or ""),
        target=str(row[5] or ""),
        table=read_work_table(str(row[6])) if row[6] else None,
        vars=read_vars(str(row[7] or "{}")),
        task=None if row[8] is None else int(str(row[8])),
    )


def find_run(transaction: Transaction, run: int) -> Run | None:
    """A run by its number."""
    row = transaction.row(f"{_RUN} where id = :run", {"run": run})
    return _run(row) if row else None


def latest_run(transaction: Transaction, workflow: str) -> Run | None:
    """The newest run of a workflow, those left out that belong to another run."""
    row = transaction.row(
        f"{_RUN} where workflow = :workflow and parent_task is null order by id desc limit 1", {"workflow": workflow}
    )
    return _run(row) if row else None


def runs(transaction: Transaction, workflow: str = "", limit: int = 50) -> tuple[Run, ...]:
    """The newest runs first, of one workflow or of all."""
    where = "where workflow = :workflow" if workflow else ""
    rows = transaction.rows(
        f"{_RUN} {where} order by id desc limit {int(limit)}", {"workflow": workflow} if where else {}
    )
    return tuple(_run(row) for row in rows)


def tasks(transaction: Transaction, run: int) -> tuple[Task, ...]:
    """The tasks of a run, oldest first."""
    return tuple(_task(row) for row in transaction.rows(f"{_TASK} where run = :run order by id", {"run": run}))


def events(transaction: Transaction, run: int) -> tuple[Event, ...]:
    """The events of a run, oldest first."""
    return tuple(_event(row) for row in transaction.rows(f"{_EVENT} where run = :run order by id", {"run": run}))


def unfinished_run(transaction: Transaction, workflow: str) -> Run | None:
    """The newest run of a workflow that belongs to `crosstie run`, unless it is over."""
    row = transaction.row(
        f"{_RUN} where workflow = :workflow and served = 0 and parent_task is null order by id desc limit 1",
        {"workflow": workflow},
    )
    found = _run(row) if row else None
    return found if found is not None and found.status in RESUMABLE else None


def served_runs(transaction: Transaction, workflow: str = "") -> tuple[Run, ...]:
    """The runs that `serve` has to carry on, oldest first, of one workflow or of all."""
    where = " and workflow = :workflow" if workflow else ""
    rows = transaction.rows(
        f"{_RUN} where served = 1 and status in ('running', 'waiting', 'interrupted'){where} order by id",
        {"workflow": workflow} if workflow else {},
    )
    return tuple(_run(row) for row in rows)


def unfinished_runs(transaction: Transaction, workflow: str) -> tuple[Run, ...]:
    """All runs of a workflow that are not over, oldest first; those left out that belong to another run."""
    rows = transaction.rows(
        f"{_RUN} where workflow = :workflow and parent_task is null and status in ({_RESUMABLE}) order by id",
        {"workflow": workflow},
    )
    return tuple(_run(row) for row in rows)


def sub_runs(transaction: Transaction, run: int) -> tuple[Run, ...]:
    """The runs that belong to tasks of a run and are not over, oldest first."""
    rows = transaction.rows(
        f"{_RUN} where parent_task in (select id from crosstie.task where run = :run) and status in ({_RESUMABLE})"
        " order by id",
        {"run": run},
    )
    return tuple(_run(row) for row in rows)


def hearing_runs(transaction: Transaction, workflow: str) -> tuple[Run, ...]:
    """All runs of a workflow that are not over, also those that belong to others, and all that belong to them."""
    rows = transaction.rows(
        f"{_RUN} where workflow = :workflow and status in ({_RESUMABLE}) order by id", {"workflow": workflow}
    )
    found = {run.id: run for run in map(_run, rows)}
    waiting = list(found)
    while waiting:
        for run in sub_runs(transaction, waiting.pop()):
            if run.id not in found:
                found[run.id] = run
                waiting.append(run.id)
    return tuple(found.values())


def ancestry(transaction: Transaction, run: int) -> tuple[Run, ...]:
    """The run, the one to which it belongs, and so on; nothing where it is gone."""
    found: list[Run] = []
    number: int | None = run
    while number is not None:
        one = find_run(transaction, number)
        if one is None:
            break
        found.append(one)
        task = find_task(transaction, one.parent_task) if one.parent_task is not None else None
        number = task.run if task is not None else None
    return tuple(found)


def reopen_run(transaction: Transaction, run: int) -> None:
    """Gives a run to `serve`, which carries it on."""
    transaction.execute(
        "update crosstie.run set served = 1, status = 'running', ended_at = null, message = '' where id = :run",
        {"run": run},
    )


def stop_run(transaction: Transaction, run: int, now: datetime, status: RunStatus, message: str) -> None:
    """Ends a run for good, with those that belong to it, whoever is at work on them: nothing that was begun in it can
    be published any more."""
    for child in sub_runs(transaction, run):
        stop_run(transaction, child.id, now, status, message)
    end_epoch(transaction, run)
    windows.abandon(transaction, run, now)
    deliveries.abandon(transaction, run)
    end_tasks(transaction, run, now)
    end_run(transaction, run, status, now, message)


def begin_run(
    transaction: Transaction,
    workflow: str,
    version: int,
    now: datetime,
    *,
    initial: Sequence[str],
    variables: Mapping[str, Scalar] | None = None,
    served: bool = False,
    simulated: bool = False,
    planning: bool = False,
    parent_task: int | None = None,
) -> int:
    """Records a new run that begins with those activities; its number."""
    row = transaction.row(
        "insert into crosstie.run (workflow, version, status, started_at, epoch, api_calls, remote_rows, message,"
        " served, simulated, planning, parent_task) values (:workflow, :version, :status, :now, 0, 0, 0, '', :served,"
        " :simulated, :planning, :parent) returning id",
        {
            "workflow": workflow,
            "version": version,
            "status": RunStatus.RUNNING,
            "now": instant_text(now),
            "served": int(served),
            "simulated": int(simulated),
            "planning": int(planning),
            "parent": parent_task,
        },
    )
    if row is None:
        raise DatabaseError("the database gave no number for the new run")
    run = int(row[0])
    for name in initial:
        add_event(
            transaction,
            run=run,
            source_task=None,
            source="",
            transition="",
            target=name,
            table=None,
            variables=variables or {},
        )
    return run


def take_run(transaction: Transaction, run: int, version: int, *, kept: bool = False) -> int:
    """Takes a run into this process's hold: the next epoch, which every publish of it must show. Waits for what another
    runner is just writing for it. `kept`: its work tables stay as long as it is the newest of its workflow."""
    if transaction.dialect == "postgresql":
        transaction.rows("select 1 from crosstie.run where id = :run for update", {"run": run})
    row = transaction.row(
        "update crosstie.run set epoch = epoch + 1, status = :status, version = :version, kept = :kept,"
        " ended_at = null, message = '' where id = :run returning epoch",
        {"run": run, "status": RunStatus.RUNNING, "version": version, "kept": int(kept)},
    )
    if row is None:
        raise DatabaseError(f"run {run} is gone from the database")
    return int(row[0])


def end_epoch(transaction: Transaction, run: int) -> None:
    """Nothing that was begun under the epoch in force can be published any more."""
    transaction.execute("update crosstie.run set epoch = epoch + 1 where id = :run", {"run": run})


def check_epoch(transaction: Transaction, run: int, epoch: int) -> None:
    """Refuses to publish for a run that another runner has taken since. Raises DatabaseError."""
    if (
        transaction.execute(
            "update crosstie.run set epoch = epoch where id = :run and epoch = :epoch", {"run": run, "epoch": epoch}
        )
        != 1
    ):
        raise _taken_over(run)


def confirm_epoch(transaction: Transaction, run: int, epoch: int) -> None:
    """Refuses to write for a run that another runner has taken since, and keeps it from being taken until the
    transaction ends; other branches of the run may publish meanwhile. Raises DatabaseError."""
    kept = " for key share" if transaction.dialect == "postgresql" else ""
    if transaction.row(
        f"select 1 from crosstie.run where id = :run and epoch = :epoch{kept}", {"run": run, "epoch": epoch}
    ):
        return
    raise _taken_over(run)


def _taken_over(run: int) -> DatabaseError:
    return DatabaseError(
        f"run {run} was taken over by another runner; what this one prepared is not published",
        hint="Nothing is lost: the other runner goes on with it.",
        code=TAKEN_OVER,
    )


def end_run(transaction: Transaction, run: int, status: RunStatus, now: datetime, message: str = "") -> None:
    """Records how a run ended for now."""
    transaction.execute(
        "update crosstie.run set status = :status, ended_at = :now, message = :message where id = :run",
        {"run": run, "status": status, "now": instant_text(now), "message": message},
    )


def belong_to(transaction: Transaction, run: int, task: int) -> None:
    """A run is a part of that task from now on: of the one that tries again what began it."""
    transaction.execute("update crosstie.run set parent_task = :task where id = :run", {"run": run, "task": task})


def add_usage(transaction: Transaction, run: int, calls: int, rows: int) -> None:
    """Adds API calls and received records to the run's meter."""
    transaction.execute(
        "update crosstie.run set api_calls = api_calls + :calls, remote_rows = remote_rows + :rows where id = :run",
        {"run": run, "calls": calls, "rows": rows},
    )


def add_account_usage(transaction: Transaction, run: int, account: str, calls: int) -> None:
    """Adds API calls to what the run used of an account."""
    transaction.execute(
        "insert into crosstie.api_usage (run, account, api_calls) values (:run, :account, :calls)"
        " on conflict (run, account) do update set api_calls = crosstie.api_usage.api_calls + :calls",
        {"run": run, "account": account, "calls": calls},
    )


def pending_events(transaction: Transaction, run: int) -> tuple[Event, ...]:
    """The events of a run that no task has taken yet, oldest first."""
    rows = transaction.rows(f"{_EVENT} where run = :run and task is null and target <> '' order by id", {"run": run})
    return tuple(_event(row) for row in rows)


def events_of(transaction: Transaction, task: int) -> tuple[Event, ...]:
    """The events that a task has taken, oldest first."""
    return tuple(_event(row) for row in transaction.rows(f"{_EVENT} where task = :task order by id", {"task": task}))


def waiting_tasks(transaction: Transaction, run: int) -> tuple[Task, ...]:
    """The tasks of a run that wait for their time or a signal, oldest first."""
    rows = transaction.rows(f"{_TASK} where run = :run and status = 'waiting' order by id", {"run": run})
    return tuple(_task(row) for row in rows)


def open_tasks(transaction: Transaction, run: int) -> tuple[Task, ...]:
    """The tasks of a run that are at work or wait, oldest first."""
    rows = transaction.rows(f"{_TASK} where run = :run and status in ('running', 'waiting') order by id", {"run": run})
    return tuple(_task(row) for row in rows)


def find_task(transaction: Transaction, task: int) -> Task | None:
    """A task by its number."""
    row = transaction.row(f"{_TASK} where id = :task", {"task": task})
    return _task(row) if row else None


def begin_task(
    transaction: Transaction, events: Sequence[Event], now: datetime, status: TaskStatus = TaskStatus.RUNNING
) -> Task:
    """Records a task for the events that it takes, all of one activity. What an earlier attempt at the same events kept
    is kept, when that one began, why it was woken, and whether it listens; of one that failed, and whose Error
    transition led back here with the same population, what it kept."""
    first = events[0]
    inbound = json.dumps(sorted(event.id for event in events))
    given = {"run": first.run, "activity": first.target, "inbound": inbound}
    attempts = transaction.row(
        "select count(*) from crosstie.task where run = :run and activity = :activity",
        {"run": first.run, "activity": first.target},
    )
    before = transaction.row(
        f"{_TASK} where run = :run and activity = :activity and inbound = :inbound order by id desc limit 1", given
    )
    earlier = _task(before) if before else None
    kept = earlier or _retried(transaction, events)
    row = transaction.row(
        "insert into crosstie.task (run, activity, attempt, status, started_at, inbound, counts, state, woken,"
        " signal) values (:run, :activity, :attempt, :status, :now, :inbound, '{}', :state, :woken, :signal)"
        " returning id",
        {
            **given,
            "attempt": int(attempts[0]) + 1 if attempts else 1,
            "status": status,
            "now": instant_text(earlier.started_at if earlier else now),
            "state": vars_text(kept.state if kept else {}),
            "woken": _woken_text(earlier.woken if earlier else None),
            "signal": int(earlier is not None and earlier.signal),
        },
    )
    if row is None:
        raise DatabaseError("the database gave no number for the new task")
    for event in events:
        transaction.execute(
            "update crosstie.event set task = :task where id = :event", {"task": int(row[0]), "event": event.id}
        )
    task = find_task(transaction, int(row[0]))
    assert task is not None
    return task


def _retried(transaction: Transaction, events: Sequence[Event]) -> Task | None:
    """The failed task of the same activity, the newest, from which these events come back with its population."""
    row = transaction.row(
        f"{_TASK} where run = :run and activity = :activity order by id desc limit 1",
        {"run": events[0].run, "activity": events[0].target},
    )
    newest = _task(row) if row else None
    if newest is None or newest.status is not TaskStatus.FAILED or not newest.state:
        return None
    taken = transaction.rows(
        "select table_name from crosstie.event where task = :task order by id", {"task": newest.id}
    )
    if [str(name) for (name,) in taken] != [one.table.name if one.table else "" for one in events]:
        return None
    sources = {one.source_task for one in events if one.source_task is not None}
    while sources and newest.id not in sources:
        listed = ", ".join(str(one) for one in sorted(sources))
        led = transaction.rows(
            f"select distinct source_task from crosstie.event where task in ({listed}) and source_task >= :newest",
            {"newest": newest.id},
        )
        sources = {int(one) for (one,) in led}
    return newest if sources else None


def keep_state(transaction: Transaction, task: int, values: Mapping[str, Scalar]) -> None:
    """What a task has to know when it is executed again, by itself or by another attempt at the same events."""
    transaction.execute(
        "update crosstie.task set state = :state where id = :task", {"task": task, "state": vars_text(values)}
    )


def set_waiting(transaction: Transaction, task: int, waiting: Waiting) -> None:
    """Records that a task waits."""
    transaction.execute(
        "update crosstie.task set status = 'waiting', due_at = :due, signal = :signal, state = :state, note = :note,"
        " woken = '' where id = :task",
        {
            "task": task,
            "due": instant_text(waiting.until) if waiting.until else None,
            "signal": int(waiting.signal),
            "state": vars_text(waiting.state),
            "note": waiting.reason,
        },
    )


def set_due(transaction: Transaction, task: int, due: datetime | None) -> None:
    """Changes when a waiting task is to be looked at again."""
    transaction.execute(
        "update crosstie.task set due_at = :due where id = :task and status = 'waiting'",
        {"task": task, "due": instant_text(due) if due else None},
    )


def ask_to_wake(transaction: Transaction, task: int, woken: Woken) -> bool:
    """Records that a waiting task is to be executed now, and why. Whether it still waits and nobody asked before."""
    return (
        transaction.execute(
            "update crosstie.task set woken = :woken where id = :task and status = 'waiting' and woken = ''",
            {"task": task, "woken": _woken_text(woken)},
        )
        == 1
    )


def wake_task(transaction: Transaction, task: int, woken: Woken) -> None:
    """Records that a waiting task is executed again, and why."""
    transaction.execute(
        "update crosstie.task set status = 'running', woken = :woken where id = :task",
        {"task": task, "woken": _woken_text(woken)},
    )


def end_tasks(transaction: Transaction, run: int, now: datetime) -> None:
    """Ends every task of a run that is at work or waits, as aborted."""
    transaction.execute(
        "update crosstie.task set status = 'aborted', ended_at = :now"
        " where run = :run and status in ('running', 'waiting')",
        {"run": run, "now": instant_text(now)},
    )


def end_task(
    transaction: Transaction,
    task: int,
    status: TaskStatus,
    now: datetime,
    *,
    counts: Mapping[str, int] | None = None,
    error_code: str = "",
    error_message: str = "",
) -> None:
    """Records the end of a task."""
    transaction.execute(
        "update crosstie.task set status = :status, ended_at = :now, counts = :counts, error_code = :code,"
        " error_message = :message where id = :task",
        {
            "task": task,
            "status": status,
            "now": instant_text(now),
            "counts": json.dumps(dict(counts or {})),
            "code": error_code,
            "message": error_message,
        },
    )


def is_running(transaction: Transaction, task: int) -> bool:
    """Whether a task is being executed: it has neither ended nor goes on waiting."""
    row = transaction.row("select status from crosstie.task where id = :task", {"task": task})
    return row is not None and row[0] == TaskStatus.RUNNING


def give_back_events(transaction: Transaction, task: int) -> None:
    """Makes the events pending again that a task had consumed."""
    transaction.execute("update crosstie.event set task = null where task = :task", {"task": task})


def forget_events_of(transaction: Transaction, task: int) -> None:
    """Removes the events that a task had sent out, because what they carried is gone."""
    transaction.execute("delete from crosstie.event where source_task = :task", {"task": task})


def add_event(
    transaction: Transaction,
    *,
    run: int,
    source_task: int | None,
    source: str,
    transition: str,
    target: str,
    table: WorkTable | None,
    variables: Mapping[str, Scalar],
) -> None:
    """Activates a transition. With target '' the branch ends there and the table stays for display."""
    transaction.execute(
        "insert into crosstie.event (run, source_task, source, transition, target, table_name, description, rows, vars)"
        " values (:run, :source_task, :source, :transition, :target, :table_name, :description, :rows, :vars)",
        {
            "run": run,
            "source_task": source_task,
            "source": source,
            "transition": transition,
            "target": target,
            "table_name": table.name if table else "",
            "description": work_table_text(table) if table else "",
            "rows": table.rows if table else 0,
            "vars": vars_text(variables),
        },
    )

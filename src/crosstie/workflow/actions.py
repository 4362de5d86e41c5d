"""What becomes of a workflow's runs when people act on it (workflow semantics, Actions).

What can be done while nobody holds the workflow is done here; a runner that holds it ends the work of its tasks first.
Statements and decisions only: the caller's transaction makes them one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from crosstie.db.database import Transaction
from crosstie.errors import BrakeError, ConfigError
from crosstie.model import WorkTable
from crosstie.sync import deliveries
from crosstie.workflow import firing, instances, state
from crosstie.workflow.activity import Scalar, Woken
from crosstie.workflow.definition import Definition
from crosstie.workflow.instances import Action, Request, WorkflowStatus
from crosstie.workflow.state import Event, RunStatus, Task, TaskStatus

# What came of a pause of a workflow that begins no task anyway.
NOTHING_TO_PAUSE = "there was nothing to pause"

_STARTED, _PAUSED, _FAILED = WorkflowStatus.STARTED, WorkflowStatus.PAUSED, WorkflowStatus.FAILED


def begin(
    transaction: Transaction, definition: Definition, version: int, now: datetime, variables: Mapping[str, Scalar]
) -> int | None:
    """Begins a served run at the initial activities that no schedule begins; None when there is none. The workflow's
    own variables are cleared, and what is not to be kept across starts, as at every start from the beginning."""
    instances.keep_vars(transaction, definition.name, {})
    deliveries.begin_anew(transaction, definition.name)
    initial = [name for name in definition.initial() if definition.activities[name].timetable() is None]
    if not initial:
        return None
    return state.begin_run(
        transaction, definition.name, version, now, initial=initial, variables=variables, served=True
    )


def resumable(transaction: Transaction, workflow: str, *, held: bool) -> tuple[int, ...]:
    """The runs that a start goes on with: the served ones, and the last one of `crosstie run` unless somebody holds the
    workflow."""
    own = None if held else state.unfinished_run(transaction, workflow)
    return tuple(
        run.id
        for run in state.unfinished_runs(transaction, workflow)
        if run.served or (own is not None and run.id == own.id and not run.simulated)
    )


def apply(transaction: Transaction, request: Request, now: datetime, *, at_work: frozenset[int] = frozenset()) -> str:
    """Does what was asked to the runs of a workflow, those left out on which the caller itself is at work, and to its
    status; what came of it, for people. A call comes to nothing, '', as long as somebody whom it is for has still to
    hear an earlier one: it is to be applied again then."""
    name = request.workflow
    instances.lock_status(transaction, name)
    runs = [run for run in state.unfinished_runs(transaction, name) if run.id not in at_work]
    match request.action:
        case Action.PAUSE:
            instances.move_status(transaction, name, _PAUSED, now, request.by, out_of=[_STARTED])
            resting = [run for run in runs if run.status is not RunStatus.FAILED]
            for run in resting:
                state.end_run(transaction, run.id, RunStatus.PAUSED, now, f"paused by {request.by}")
            found = instances.find_instance(transaction, name)
            paused = found is not None and found.status in (_PAUSED, _FAILED)
            return "no new task is begun" if paused or resting or at_work else NOTHING_TO_PAUSE
        case Action.STOP:
            finish(transaction, name, now, request.by)
            for run in runs:
                state.stop_run(transaction, run.id, now, RunStatus.STOPPED, f"stopped by {request.by}")
            return "stopped"
        case Action.WAKE | Action.SIGNAL | Action.LAST_SIGNAL:
            count = _wake(transaction, request)
            return "" if count is None else f"{count} waiting tasks"


def finish(transaction: Transaction, workflow: str, now: datetime, by: str) -> None:
    """Nothing of the workflow is carried on from now on, and no schedule of it fires."""
    instances.move_status(transaction, workflow, WorkflowStatus.FINISHED, now, by, out_of=[_STARTED, _PAUSED, _FAILED])
    firing.forget(transaction, workflow)


def _wake(transaction: Transaction, request: Request) -> int | None:
    """How many waiting tasks are to be executed now; None for a call that has to wait for its turn."""
    called = request.action.is_call
    woken = Woken(
        by="signal" if called else "person", vars=request.details, complete=request.action is Action.LAST_SIGNAL
    )
    runs = state.hearing_runs(transaction, request.workflow)
    if request.activity:
        runs = tuple(run for run in runs if run.workflow == request.workflow)
    if called and any(_is_busy(task) for run in runs for task in _listeners(transaction, run.id, request.activity)):
        return None
    count = 0
    for run in runs:
        if called:
            tasks = _listeners(transaction, run.id, request.activity)
        else:
            tasks = [
                task for task in state.waiting_tasks(transaction, run.id) if request.activity in ("", task.activity)
            ]
        asked = [task for task in tasks if state.ask_to_wake(transaction, task.id, woken)]
        carried = state.ancestry(transaction, run.id)[-1]
        if asked and carried.served and carried.status is RunStatus.WAITING:
            state.reopen_run(transaction, carried.id)
        count += len(asked)
    return count


def _listeners(transaction: Transaction, run: int, activity: str) -> list[Task]:
    """The tasks that hear calls of an activity, now or when they have done what an earlier call made them do."""
    return [task for task in state.open_tasks(transaction, run) if task.signal and task.activity == activity]


def _is_busy(task: Task) -> bool:
    """Whether it has still to hear an earlier call."""
    return task.status is not TaskStatus.WAITING or task.woken is not None


def listening(transaction: Transaction, workflow: str, activity: str) -> bool:
    """Whether a task of that activity listens to signals now."""
    return any(
        not (task.woken is not None and task.woken.complete)
        for run in state.hearing_runs(transaction, workflow)
        if run.workflow == workflow
        for task in _listeners(transaction, run.id, activity)
    )


def begin_at(
    transaction: Transaction,
    definition: Definition,
    version: int,
    now: datetime,
    activity: str,
    *,
    rows_of: Callable[[str], int | None],
) -> int:
    """Begins a served run at an activity, with what came in to its last task in the newest run; its number.
    `rows_of` counts the rows of a work table, None where it is not there. Raises ConfigError where the activity was
    never reached, BrakeError where what came in is gone."""
    latest = state.latest_run(transaction, definition.name)
    events = _came_in(transaction, latest.id, activity) if latest else ()
    if latest is None or not events:
        ran = f"run {latest.id}, the newest, has not reached it" if latest else "it has no run"
        raise ConfigError(
            f"{definition.name} cannot begin at “{activity}”: {ran}.",
            hint=f"Begin from the beginning: crosstie workflow restart {definition.name}",
        )
    gone = [one for one in events if one.table is not None and not _is_whole(one.table, rows_of)]
    if gone:
        raise BrakeError(
            f"{definition.name} cannot begin at “{activity}”: what {', '.join(one.source for one in gone)} put out in"
            f" run {latest.id} is gone. Work tables of a run that is over are kept with “keep_interim: true” only.",
            hint=f"Begin from the beginning: crosstie workflow restart {definition.name}",
        )
    for unfinished in state.unfinished_runs(transaction, definition.name):
        state.stop_run(transaction, unfinished.id, now, RunStatus.ABANDONED, f"begun anew at {activity}")
    run = state.begin_run(transaction, definition.name, version, now, initial=(), served=True)
    for one in events:
        state.add_event(
            transaction,
            run=run,
            source_task=None,
            source=one.source,
            transition=one.transition,
            target=activity,
            table=one.table,
            variables=one.vars,
        )
    return run


def _came_in(transaction: Transaction, run: int, activity: str) -> Sequence[Event]:
    """What the last task of an activity took, or else what waits for it."""
    tasks = [task for task in state.tasks(transaction, run) if task.activity == activity]
    for task in reversed(tasks):
        taken = state.events_of(transaction, task.id)
        if taken:
            return taken
    return [one for one in state.pending_events(transaction, run) if one.target == activity]


def _is_whole(table: WorkTable, rows_of: Callable[[str], int | None]) -> bool:
    return all(rows_of(base) is not None for base in table.bases) and rows_of(table.name) == table.rows

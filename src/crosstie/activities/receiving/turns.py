"""Runs of a workflow that overlap: an import with automatic index waits for the one before it, whose window is open."""

from __future__ import annotations

from datetime import timedelta

from crosstie.db.database import Transaction
from crosstie.sync.windows import WindowTaken
from crosstie.workflow import state
from crosstie.workflow.activity import Context, Done, Overlap, Waiting
from crosstie.workflow.state import Run, RunStatus, TaskStatus

_SOON = timedelta(seconds=5)
# While the other run waits itself, this one looks at most and at least so often.
_RARELY, _OFTEN = timedelta(minutes=10), timedelta(minutes=1)


def wait_for_turn(overlap: Overlap, context: Context, taken: WindowTaken) -> Done | Waiting:
    """Waits for the run that has the window, or leaves this read out where the activity is set to skip. Raises what was
    given when nobody carries that run on: a person has to decide about it."""
    with context.db.reading() as transaction:
        mine, other = _carried(transaction, context.run), _carried(transaction, taken.window.run)
    carried_on = (
        mine is not None
        and other is not None
        and mine.served
        and other.served
        and other.workflow == mine.workflow
        and other.status in (RunStatus.RUNNING, RunStatus.WAITING, RunStatus.INTERRUPTED)
    )
    if other is None or not carried_on:
        raise taken
    if overlap == "skip":
        context.log.info(f"not executed: run {other.id} has not ended, and this is set to skip")
        return Done(tables={})
    return Waiting(
        until=context.now() + _pause(context, other),
        reason=f"waits for run {other.id}, which has the window of option {taken.window.option} open",
    )


def _carried(transaction: Transaction, run: int) -> Run | None:
    """The run with which that one is carried on: itself, unless it belongs to another one."""
    return next(reversed(state.ancestry(transaction, run)), None)


def _pause(context: Context, other: Run) -> timedelta:
    """How long to leave the other run alone: longer while it only waits."""
    with context.db.reading() as transaction:
        tasks = state.tasks(transaction, other.id)
    statuses = {task.status for task in tasks}
    if TaskStatus.RUNNING in statuses or TaskStatus.WAITING not in statuses:
        return _SOON
    dues = [task.due_at for task in tasks if task.status is TaskStatus.WAITING and task.due_at is not None]
    left = min(dues) - context.now() if dues else _OFTEN
    return max(_OFTEN, min(left, _RARELY))

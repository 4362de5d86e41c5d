"""Runs of a workflow that overlap: an import with automatic index waits for the one before it, whose window is open."""

from __future__ import annotations

from datetime import timedelta

from crosstie.sync.windows import WindowTaken
from crosstie.workflow import state
from crosstie.workflow.activity import Context, Done, Overlap, Waiting
from crosstie.workflow.state import RunStatus

_SOON = timedelta(seconds=5)
_LATER = timedelta(minutes=1)


def wait_for_turn(overlap: Overlap, context: Context, taken: WindowTaken) -> Done | Waiting:
    """Waits for the run that has the window, or leaves this read out where the activity is set to skip. Raises what was
    given when nobody carries that run on: a person has to decide about it."""
    with context.db.reading() as transaction:
        mine, other = state.find_run(transaction, context.run), state.find_run(transaction, taken.window.run)
    carried_on = (
        mine is not None
        and other is not None
        and mine.served
        and other.served
        and other.workflow == context.workflow
        and other.status in (RunStatus.RUNNING, RunStatus.WAITING, RunStatus.INTERRUPTED)
    )
    if other is None or not carried_on:
        raise taken
    if overlap == "skip":
        context.log.info(f"not executed: run {other.id} has not ended, and this is set to skip")
        return Done(tables={})
    pause = _SOON if other.status is RunStatus.RUNNING else _LATER
    return Waiting(
        until=context.now() + pause,
        reason=f"waits for run {other.id}, which has the window of option {taken.window.option} open",
    )

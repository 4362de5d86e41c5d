"""Runs that belong to a task of another run: how a sub-workflow begins one, looks at it and has it gone on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from crosstie.db.database import Database, Transaction
from crosstie.errors import BrakeError
from crosstie.model import WorkTable
from crosstie.sync import deliveries
from crosstie.workflow import instances, state
from crosstie.workflow.activity import Scalar, SubRun
from crosstie.workflow.definition import Definition
from crosstie.workflow.instances import WorkflowStatus
from crosstie.workflow.state import RunStatus, TaskStatus

_AT_WORK = (RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PAUSED, RunStatus.INTERRUPTED)
_ENDED = (RunStatus.DONE, RunStatus.STOPPED)


def is_over(status: RunStatus) -> bool:
    """Whether the task to which a run belongs has to look at it: it has ended, or failed."""
    return status not in _AT_WORK


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSubRuns:
    """See `SubRuns`. `step` is a transaction that only the holder of the task's run can commit."""

    db: Database
    run: int
    task: int
    activity: str
    simulated: bool
    definitions: Callable[[str], tuple[Definition, int]]
    step: Callable[[str], AbstractContextManager[Transaction]]
    now: Callable[[], datetime]

    def begin(self, workflow: str, variables: Mapping[str, Scalar], table: WorkTable | None) -> int:
        """See `SubRuns`. A failed run that an earlier round of a loop left is given up: this one takes its place."""
        definition, version = self.definitions(workflow)
        with self.step(f"{self.activity} begins {workflow}") as transaction:
            now = self.now()
            for left in state.sub_runs(transaction, self.run):
                task = None if left.parent_task is None else state.find_task(transaction, left.parent_task)
                if left.status is RunStatus.FAILED and task is not None and task.activity == self.activity:
                    state.stop_run(transaction, left.id, now, RunStatus.ABANDONED, "begun anew")
            self._begin_anew(transaction, workflow)
            run = state.begin_run(
                transaction, workflow, version, now, initial=(), simulated=self.simulated, parent_task=self.task
            )
            for name in definition.begun_by():
                state.add_event(
                    transaction,
                    run=run,
                    source_task=None,
                    source="",
                    transition="",
                    target=name,
                    table=table if definition.activities[name].takes_in() else None,
                    variables=variables,
                )
            state.keep_state(transaction, self.task, {state.SUB_RUN: run})
        return run

    def _begin_anew(self, transaction: Transaction, workflow: str) -> None:
        """The workflow's own variables are cleared as at every start, unless other runs of it share them now."""
        instance = instances.find_instance(transaction, workflow)
        shared = instance is not None and instance.status is WorkflowStatus.STARTED
        if not shared and not state.hearing_runs(transaction, workflow):
            instances.keep_vars(transaction, workflow, {})
            deliveries.begin_anew(transaction, workflow)

    def look(self, run: int, result: tuple[str, str] | None) -> SubRun:
        """See `SubRuns`. A run whose population is gone with the database's memory is gone as a whole."""
        with self.db.reading() as transaction:
            found = state.find_run(transaction, run)
            if found is None:
                return SubRun(status="gone", message="its history was removed")
            if not is_over(found.status):
                return SubRun(status="at work")
            if found.status not in _ENDED:
                failed = [one for one in state.tasks(transaction, run) if one.status is TaskStatus.FAILED]
                return SubRun(
                    status="failed" if found.status is RunStatus.FAILED else "gone",
                    message=found.message,
                    code=failed[-1].error_code if failed else "",
                )
            events = state.events(transaction, run)
            definition, _ = self.definitions(found.workflow)
        tables = [one.table for one in events if (one.source, one.transition) == result and one.table is not None]
        table = tables[-1] if tables else None
        names = set(self.db.work_tables()) if table is not None else set()
        if table is not None and not {table.name, *table.bases} <= names:
            return SubRun(status="gone", message="its result was lost")
        last: dict[str, Scalar] = {}
        for event in events:
            target = definition.activities.get(event.target)
            if event.target == "" or (target is not None and target.is_end()):
                last.update(event.vars)
        return SubRun(status="ended", table=table, vars=last)

    def resume(self, run: int) -> None:
        """See `SubRuns`. Raises BrakeError where it is not there to be gone on with."""
        with self.step(f"{self.activity} resumes run {run}") as transaction:
            found = state.find_run(transaction, run)
            if found is None or found.status is not RunStatus.FAILED:
                raise BrakeError(f"Run {run} is not there to be gone on with.", hint="Restart the workflow.")
            state.end_run(transaction, run, RunStatus.INTERRUPTED, self.now(), "resumed")
            state.belong_to(transaction, run, self.task)

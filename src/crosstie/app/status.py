"""What all workflows are doing now, for people: in one consistent look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from crosstie.app.serving import services
from crosstie.db.database import Database, Transaction
from crosstie.notify.outbox import Waiting, waiting
from crosstie.workflow import firing, instances, state
from crosstie.workflow.firing import Planned
from crosstie.workflow.holding import Hold
from crosstie.workflow.instances import Instance
from crosstie.workflow.state import Run, Task, TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A workflow: its status, schedules, the tasks that are at work or wait, its newest run, the process that holds it
    ('' for none), and how many rejects are open."""

    instance: Instance
    schedules: tuple[Planned, ...]
    tasks: tuple[Task, ...]
    last_run: Run | None
    holder: str
    open_rejects: int

    @property
    def next_at(self) -> datetime | None:
        """The next firing of its schedules."""
        return min((one.next_at for one in self.schedules if one.next_at is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything, the processes that serve it, and the messages that are still to be sent."""

    at: datetime
    services: tuple[str, ...]
    messages: Waiting
    workflows: tuple[Overview, ...]


def look(db: Database, now: Callable[[], datetime]) -> Status:
    """Looks at everything."""
    with db.reading() as transaction:
        found = instances.instances(transaction)
        messages = waiting(transaction)
        rejects = {
            str(name): int(count)
            for name, count in transaction.rows(
                "select workflow, count(*) from crosstie.reject where status = 'open' group by workflow"
            )
        }
        planned = firing.planned(transaction)
        seen = [(one, _tasks(transaction, one.workflow), state.latest_run(transaction, one.workflow)) for one in found]
    return Status(
        at=now(),
        services=services(db),
        messages=messages,
        workflows=tuple(
            Overview(
                instance=one,
                schedules=tuple(schedule for schedule in planned if schedule.workflow == one.workflow),
                tasks=tasks,
                last_run=run,
                holder=db.holder(Hold(db, one.workflow).name),
                open_rejects=rejects.get(one.workflow, 0),
            )
            for one, tasks, run in seen
        ),
    )


def _tasks(transaction: Transaction, workflow: str) -> tuple[Task, ...]:
    return tuple(
        task
        for run in state.unfinished_runs(transaction, workflow)
        for task in state.tasks(transaction, run.id)
        if task.status in (TaskStatus.RUNNING, TaskStatus.WAITING)
    )

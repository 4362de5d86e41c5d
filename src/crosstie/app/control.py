"""What people do with workflows: start, pause, stop, kill, restart, wake, signal, purge.

What they ask is recorded at once, audited, and applied by whoever holds the workflow; where nobody does, by this
process. Asking twice has no further effect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from crosstie.db.audit import record, who
from crosstie.db.database import Database, Transaction
from crosstie.errors import BrakeError, ConfigError
from crosstie.workflow import actions, firing, history, instances, state
from crosstie.workflow.activity import Scalar
from crosstie.workflow.definition import Definition
from crosstie.workflow.edits import refuse_edit
from crosstie.workflow.firing import Planned
from crosstie.workflow.history import Purged
from crosstie.workflow.holding import Hold
from crosstie.workflow.instances import Action, Instance, WorkflowStatus
from crosstie.workflow.settings import WorkflowSettings

# A runner hears of a request within half a second, and waits for cancelled tasks for some more.
PATIENCE = timedelta(seconds=10)
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a start did: `resumed` are the runs that it goes on with, `begun` is a new one. `already` when the workflow
    was started before. `warnings` are by activity."""

    workflow: str
    already: bool = False
    resumed: tuple[int, ...] = ()
    begun: int | None = None
    schedules: tuple[Planned, ...] = ()
    warnings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What became of a request. `applied` is False while the runner that holds the workflow (`holder`), or the next
    one, has still to do it; `at_work` are the activities that it lets end. `in_vain` is the workflow's status where
    there was nothing that the request could change, else ''."""

    workflow: str
    applied: bool
    outcome: str
    holder: str = ""
    at_work: tuple[str, ...] = ()
    began: tuple[int, ...] = ()
    in_vain: str = ""


class Definitions(Protocol):
    """Where workflows are applied, as far as it matters here."""

    def get(self, name: str) -> object:
        """The newest version. Raises ConfigError when there is no workflow of that name."""
        ...

    def load(self, name: str) -> tuple[Definition, int]:
        """The newest version, read and validated, and its number."""
        ...

    def settings(self, name: str) -> WorkflowSettings:
        """Its settings, whether its activities can run or not."""
        ...


class Control:
    """`app.control`."""

    def __init__(
        self, db: Database, workflows: Definitions, now: Callable[[], datetime], zone: ZoneInfo, patience: timedelta
    ) -> None:
        self._db = db
        self._workflows = workflows
        self._now = now
        self._zone = zone
        self._patience = patience

    def start(self, name: str, *, accept_edit: bool = False, variables: Mapping[str, Scalar] | None = None) -> Started:
        """Hands a workflow to `serve`: a new one begins at its beginning and with its schedules, a paused or failed one
        goes on where it stopped. Raises BrakeError where the activity at which it stopped was edited since, unless
        `accept_edit`, or where a stop is still being applied."""
        definition, version = self._workflows.load(name)
        if self._has_open(name, Action.STOP) and not self._apply_here(name) and not self._await(name):
            raise BrakeError(f"{name} is being stopped by {self._holder(name)}.", hint="Try again when that has ended.")
        held = bool(self._holder(name))
        with self._db.transaction(f"{name} is started") as transaction:
            instances.lock_status(transaction, name)
            before = self._instance(transaction, name)
            now = self._now()
            if before.status is WorkflowStatus.STARTED:
                return self._started(transaction, definition, already=True)
            runs = actions.resumable(transaction, name, held=held)
            for number in () if accept_edit else runs:
                run = state.find_run(transaction, number)
                if run is not None:
                    refuse_edit(transaction, run, definition.text, version)
            begun = None
            for number in runs:
                state.reopen_run(transaction, number)
            resumes = bool(runs) or before.status is WorkflowStatus.PAUSED
            if not resumes:
                begun = actions.begin(transaction, definition, version, now, variables or {})
            self._close(transaction, name, Action.PAUSE, "withdrawn: it was started again")
            firing.register(transaction, definition, self._zone, now, anew=not resumes)
            instances.set_status(transaction, name, WorkflowStatus.STARTED, now, who())
            record(transaction, now, "start", f"workflow {name}", before.status, WorkflowStatus.STARTED)
            return self._started(transaction, definition, resumed=runs, begun=begun)

    def pause(self, name: str) -> Asked:
        """No schedule fires and no new task is begun; what is at work is left to end."""
        asked = self._ask(name, Action.PAUSE)
        if asked.outcome != actions.NOTHING_TO_PAUSE:
            return asked
        with self._db.reading() as transaction:
            return replace(asked, in_vain=self._instance(transaction, name).status)

    def stop(self, name: str) -> Asked:
        """Ends all runs at once: SQL statements and remote calls are cancelled. No schedule fires any more."""
        self._known(name)
        self._call(name)
        return self._ask(name, Action.STOP)

    def kill(self, name: str) -> Asked:
        """The last resort: changes the status without waiting for anybody. Whoever is at work on a run can't publish
        anything any more, but what it does is not cancelled."""
        self._known(name)
        self._call(name)
        with self._db.transaction(f"{name} is killed") as transaction:
            now = self._now()
            instances.lock_status(transaction, name)
            before = self._instance(transaction, name)
            runs = state.unfinished_runs(transaction, name)
            for run in runs:
                state.stop_run(transaction, run.id, now, state.RunStatus.STOPPED, f"killed by {who()}")
            actions.finish(transaction, name, now, who())
            for request in instances.open_requests(transaction, name):
                instances.close_request(transaction, request.id, now, "killed")
            record(transaction, now, "kill", f"workflow {name}", before.status, WorkflowStatus.FINISHED)
        return Asked(workflow=name, applied=True, outcome=f"{len(runs)} runs ended", holder=self._holder(name))

    def restart(self, name: str, *, variables: Mapping[str, Scalar] | None = None) -> Started:
        """Stops, then starts from the beginning. Raises BrakeError where the stop cannot be applied."""
        asked = self.stop(name)
        if not asked.applied:
            raise BrakeError(
                f"{name} does not stop: {asked.holder} still holds it.",
                hint=f"Wait and restart it again; or, as the last resort: crosstie workflow kill {name}",
            )
        return self.start(name, variables=variables)

    def restart_at(self, name: str, activity: str) -> Started:
        """Begins at an activity, with what came in to it in the newest run. Raises BrakeError where that is gone, or
        where somebody is at work on the workflow."""
        definition, version = self._workflows.load(name)
        if activity not in definition.activities:
            raise ConfigError(
                f"{name} has no activity “{activity}”.", hint=f"It has: {', '.join(definition.activities)}"
            )
        with self._db.hold(Hold(self._db, name).name) as held:
            if not held:
                raise BrakeError(
                    f"{name} is at work ({self._holder(name)}).",
                    hint=f"Stop what it is doing first: crosstie workflow pause {name}",
                )
            with self._db.transaction(f"{name} begins at {activity}") as transaction:
                now = self._now()
                instances.lock_status(transaction, name)
                before = self._instance(transaction, name)
                rows_of = self._rows_of(transaction)
                run = actions.begin_at(transaction, definition, version, now, activity, rows_of=rows_of)
                for action in Action:
                    self._close(transaction, name, action, "withdrawn: it was begun anew")
                anew = before.status in (WorkflowStatus.EDITED, WorkflowStatus.FINISHED)
                firing.register(transaction, definition, self._zone, now, anew=anew)
                instances.set_status(transaction, name, WorkflowStatus.STARTED, now, who())
                record(transaction, now, "restart", f"workflow {name}", before.status, f"from activity {activity}")
                return self._started(transaction, definition, begun=run)

    def wake(self, name: str, activity: str = "") -> Asked:
        """Executes now what waits for a time or a signal, and fires schedules, of one activity or of all."""
        self._known(name)
        began = []
        with self._db.transaction(f"{name} is woken") as transaction:
            instances.lock_status(transaction, name)
            instance = self._instance(transaction, name)
            if instance.status is WorkflowStatus.STARTED:
                began = [
                    firing.begin(transaction, one, instance.version, self._now(), self._now())
                    for one in firing.planned(transaction, name)
                    if activity in ("", one.activity)
                ]
        asked = self._ask(name, Action.WAKE, activity=activity)
        return Asked(
            workflow=name, applied=asked.applied, outcome=asked.outcome, holder=asked.holder, began=tuple(began)
        )

    def signal(self, name: str, activity: str, variables: Mapping[str, Scalar], *, complete: bool = False) -> Asked:
        """Calls an activity that waits for a signal; with `complete` it hears no other. Raises BrakeError where nothing
        listens: the call would be lost."""
        self._known(name)
        with self._db.reading() as transaction:
            listens = actions.listening(transaction, name, activity)
        if not listens:
            raise BrakeError(
                f"Nothing in {name} listens at “{activity}” now; the call was not kept.",
                hint="What waits is shown by: crosstie status",
            )
        action = Action.LAST_SIGNAL if complete else Action.SIGNAL
        return self._ask(name, action, activity=activity, details=variables)

    def purge(self, name: str, older_than: timedelta) -> Purged:
        """Removes runs that were over so long ago, with their tasks, events and messages."""
        self._known(name)
        purged = history.purge(self._db, name, self._now() - older_than)
        with self._db.transaction("audit") as transaction:
            told = f"{purged.runs} runs, {purged.messages} messages removed"
            record(transaction, self._now(), "purge", f"workflow {name}", "", told)
        return purged

    def settle(self, name: str) -> bool:
        """Applies what was asked of a workflow that nobody holds. Whether nothing is left to apply."""
        return self._apply_here(name)

    def _ask(
        self, name: str, action: Action, *, activity: str = "", details: Mapping[str, Scalar] | None = None
    ) -> Asked:
        self._known(name)
        with self._db.transaction(f"{action} {name}") as transaction:
            now = self._now()
            instances.lock_status(transaction, name)
            before = self._instance(transaction, name)
            instances.add_request(transaction, name, action, now, who(), activity=activity, details=details)
            if action is Action.PAUSE:
                instances.move_status(
                    transaction, name, WorkflowStatus.PAUSED, now, who(), out_of=[WorkflowStatus.STARTED]
                )
            if action is Action.STOP:
                actions.finish(transaction, name, now, who())
            after = self._instance(transaction, name).status
            record(transaction, now, action, f"workflow {name}", before.status, f"{after} {activity}".strip())
        applied = self._apply_here(name) or self._await(name)
        with self._db.reading() as transaction:
            outcome = instances.latest_outcome(transaction, name, action)
            at_work = tuple(
                task.activity
                for run in state.unfinished_runs(transaction, name)
                for task in state.tasks(transaction, run.id)
                if task.status is state.TaskStatus.RUNNING
            )
        holder = self._holder(name)
        return Asked(workflow=name, applied=applied, outcome=outcome, holder=holder, at_work=at_work if holder else ())

    def _apply_here(self, name: str) -> bool:
        """Applies the open requests if nobody holds the workflow. Whether none is left."""
        with self._db.hold(Hold(self._db, name).name) as held:
            if not held:
                return False
            with self._db.reading() as transaction:
                asked = instances.open_requests(transaction, name)
            left = False
            for request in asked:
                with self._db.transaction(f"request {request.action}") as transaction:
                    outcome = actions.apply(transaction, request, self._now())
                    if outcome:
                        instances.close_request(transaction, request.id, self._now(), outcome)
                    left = left or not outcome
            return not left

    def _await(self, name: str) -> bool:
        """Waits until the holder has applied what was asked, or is gone and we have. Whether that came in time."""
        until = time.monotonic() + self._patience.total_seconds()
        while time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            with self._db.reading() as transaction:
                if not instances.open_requests(transaction, name):
                    return True
            if not self._holder(name) and self._apply_here(name):
                return True
        return False

    def _has_open(self, name: str, action: Action) -> bool:
        with self._db.reading() as transaction:
            return any(one.action is action for one in instances.open_requests(transaction, name))

    def _close(self, transaction: Transaction, name: str, action: Action, outcome: str) -> None:
        for request in instances.open_requests(transaction, name):
            if request.action is action:
                instances.close_request(transaction, request.id, self._now(), outcome)

    def _started(
        self,
        transaction: Transaction,
        definition: Definition,
        *,
        already: bool = False,
        resumed: tuple[int, ...] = (),
        begun: int | None = None,
    ) -> Started:
        return Started(
            workflow=definition.name,
            already=already,
            resumed=resumed,
            begun=begun,
            schedules=firing.planned(transaction, definition.name),
            warnings=firing.warnings(definition),
        )

    def _rows_of(self, transaction: Transaction) -> Callable[[str], int | None]:
        there = set(self._db.work_tables())

        def count(name: str) -> int | None:
            row = transaction.row(f"select count(*) from crosstie.{name}") if name in there else None
            return int(row[0]) if row is not None else None

        return count

    def _call(self, name: str) -> None:
        if self._holder(name):
            self._db.call(Hold(self._db, name).name, who())

    def _known(self, name: str) -> None:
        self._workflows.get(name)

    def _instance(self, transaction: Transaction, name: str) -> Instance:
        found = instances.find_instance(transaction, name)
        assert found is not None
        return found

    def _holder(self, name: str) -> str:
        return self._db.holder(Hold(self._db, name).name)

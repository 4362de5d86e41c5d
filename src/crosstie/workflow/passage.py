"""One run in this process's hold: which tasks can be executed, their execution, and how the run ends.

A task publishes by reference: what it loaded under private names becomes visible in the one transaction that ends it.
A kill at any instruction leaves a run that can be gone on with. Tasks of one run may be executed on several threads;
every transaction shows the epoch under which this process holds the run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from crosstie.crm.connector import Connector
from crosstie.db.database import Database, Transaction
from crosstie.errors import ConfigError, CrosstieError, DatabaseError, TaskError
from crosstie.model import WorkTable
from crosstie.script.engine import EventScope, ScriptScope
from crosstie.sync import deliveries, windows
from crosstie.sync.matches import confirm_matches
from crosstie.workflow import files, inbox, instances, state
from crosstie.workflow.activity import ERRORS, Context, Done, Reject, Scalar, Site, Waiting, Woken
from crosstie.workflow.belonging import TaskSubRuns, is_over
from crosstie.workflow.clock import Clock
from crosstie.workflow.definition import Definition
from crosstie.workflow.holding import HOLD_LOST, HeldDatabase, Hold
from crosstie.workflow.instances import WorkflowStatus
from crosstie.workflow.notices import Notice, notify
from crosstie.workflow.sql_log import LoggedDatabase, effect_of, step_of
from crosstie.workflow.state import TAKEN_OVER, Event, RunStatus, Task, TaskStatus
from crosstie.workflow.watcher import Message, TaskLog, Watcher, keep_message

_log = logging.getLogger(__name__)

MAX_REJECT_WARNINGS = 100


def no_definitions(name: str) -> tuple[Definition, int]:
    """For surroundings without applied workflows. Raises ConfigError."""
    raise ConfigError(f"There is no workflow {name}.", hint="Apply it first.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a runner works with. `connect` opens the connector of an external account by name; `zone` is the project's
    time zone, for workflows that name none; `definitions` gives the newest version of an applied workflow."""

    db: Database
    site: Site
    clock: Clock
    connect: Callable[[str], Connector]
    watcher: Watcher
    zone: ZoneInfo
    definitions: Callable[[str], tuple[Definition, int]] = no_definitions


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What can be executed now: an activity for the events that activate it, or a waiting task again."""

    activity: str
    events: tuple[Event, ...]
    task: Task | None = None
    woken: Woken | None = None


@dataclass(slots=True)
class _Meter:
    """Open connectors of a run, and what of their usage is recorded already."""

    guard: threading.Lock = field(default_factory=threading.Lock)
    open: dict[str, Connector] = field(default_factory=dict)
    calls: int = 0
    rows: int = 0
    by_account: dict[str, int] = field(default_factory=dict)
    told: dict[tuple[str, str], int] = field(default_factory=dict)

    def now(self) -> tuple[int, int]:
        used = [connector.usage for connector in self.open.values()]
        return sum(one.calls for one in used), sum(one.rows for one in used)

    def retries(self) -> dict[str, int]:
        """What was sent again since this was asked for the last time: why, and how often."""
        found: dict[str, int] = {}
        with self.guard:
            for account, connector in self.open.items():
                for why, count in list(connector.usage.retries.items()):
                    new = count - self.told.get((account, why), 0)
                    self.told[account, why] = count
                    if new:
                        found[why] = found.get(why, 0) + new
        return found


_RUN_ENDED = Woken(by="run")


class Passage:
    """One process's hold of one run. `over` when no more of it is to be executed here; `failure` says why, `by_person`
    that somebody stopped or paused it. A run that belongs to another one, that of the passage `parent`, is held by the
    hold of that one's workflow."""

    def __init__(
        self,
        surroundings: Surroundings,
        definition: Definition,
        version: int,
        run: int,
        parent: Passage | None = None,
    ) -> None:
        self.around = surroundings
        self.db = surroundings.db
        self.parent = parent
        self.children: list[Passage] = []
        if parent is not None:
            parent.children.append(self)
        self.holder: str = parent.holder if parent is not None else definition.name
        self.hold = Hold(surroundings.db, self.holder)
        self.held: Database = HeldDatabase(surroundings.db, self.hold)
        self.definition = definition
        self.run = run
        self.over = self.by_person = False
        self.failure: TaskError | None = None
        self.meter = _Meter()
        self._taken: set[int] = set()
        # Tasks that are published, and whose `after` is still at work: what they fed waits for it.
        self._settling: set[int] = set()
        self._take(version)

    def _take(self, version: int) -> None:
        """Takes the run into this hold: the next epoch; what an earlier process was at work on is pending again."""
        with self.db.transaction(f"run {self.definition.name} begins") as transaction:
            found = state.find_run(transaction, self.run)
            assert found is not None
            self.started, self.simulated, self.calls_before = found.started_at, found.simulated, found.api_calls
            self.planning = found.planning
            self.served = found.served
            self.hold.take(transaction, self.run, version, kept=self.definition.settings.keep_interim)
            self._give_back(transaction)
        files.move_pending(self.db, self.around.site.files_folder())

    def _give_back(self, transaction: Transaction) -> None:
        """After a kill or failure: what was being worked on is pending again, and what is gone is made again."""
        now = self.around.clock.now()
        for task in state.tasks(transaction, self.run):
            if task.status is TaskStatus.RUNNING:
                state.end_task(transaction, task.id, TaskStatus.LOST, now, error_message="the process ended")
                state.give_back_events(transaction, task.id)
        while True:
            gone = [
                event
                for event in state.pending_events(transaction, self.run)
                if event.table and not self._is_whole(transaction, event.table)
            ]
            if not gone:
                return
            if any(event.source_task is None for event in gone):
                raise ConfigError(
                    f"Run {self.run} begins with results of an earlier run that are gone.",
                    hint=f"Begin from the beginning: crosstie workflow restart {self.definition.name}",
                )
            for producer in {event.source_task for event in gone if event.source_task is not None}:
                state.forget_events_of(transaction, producer)
                state.end_task(transaction, producer, TaskStatus.LOST, now, error_message="its work table is gone")
                state.give_back_events(transaction, producer)

    def _is_whole(self, transaction: Transaction, table: WorkTable) -> bool:
        names = set(self.db.work_tables())
        if table.name not in names or not set(table.bases) <= names:
            return False
        counted = transaction.row(f"select count(*) from crosstie.{table.name}")
        return counted is not None and int(counted[0]) == table.rows

    def ready(self) -> list[Ready]:
        """What can be executed now and has not been begun, in the order of activation: also waiting tasks whose time
        has come, or that somebody asked for."""
        now = self.around.clock.now()
        with self.db.reading() as transaction:
            pending = [
                one
                for one in state.pending_events(transaction, self.run)
                if one.id not in self._taken and one.source_task not in self._settling
            ]
            waiting = [one for one in state.waiting_tasks(transaction, self.run) if -one.id not in self._taken]
            due = [
                Ready(
                    activity=task.activity,
                    events=state.events_of(transaction, task.id),
                    task=task,
                    woken=task.woken or Woken(by="time"),
                )
                for task in waiting
                if task.woken is not None or (task.due_at is not None and task.due_at <= now)
            ]
            due += [
                Ready(activity=task.activity, events=state.events_of(transaction, task.id), task=task, woken=_RUN_ENDED)
                for task in waiting
                if all(one.task is not task for one in due) and self._sub_run_ended(transaction, task)
            ]
        found: list[Ready] = []
        joins: dict[str, list[Event]] = {}
        for event in pending:
            self._refuse_unknown(event.target)
            if self.definition.activities[event.target].joins():
                joins.setdefault(event.target, []).append(event)
            else:
                found.append(Ready(activity=event.target, events=(event,)))
        for target, events in joins.items():
            chosen = self._joined(target, events)
            if len(chosen) == len(self.definition.inbound(target)):
                found.append(Ready(activity=target, events=chosen))
        return sorted([*found, *due], key=lambda one: max(event.id for event in one.events))

    def _sub_run_ended(self, transaction: Transaction, task: Task) -> bool:
        """Whether it waits for a run that belongs to it, and need not any more."""
        number = task.state.get(state.SUB_RUN)
        if not isinstance(number, int):
            return False
        found = state.find_run(transaction, number)
        return found is None or is_over(found.status)

    def waiting_sub_runs(self) -> tuple[tuple[int, str], ...]:
        """The runs that belong to this one and are to be carried on, with their workflows."""
        if not any(activity.runs() for activity in self.definition.activities.values()):
            return ()
        with self.db.reading() as transaction:
            return tuple(
                (run.id, run.workflow)
                for run in state.sub_runs(transaction, self.run)
                if run.status is not RunStatus.FAILED
            )

    def look_again(self, run: int, due: datetime | None) -> None:
        """The task that waits for a run which rests until then is looked at again when that is due."""
        for task in self.waiting():
            if task.state.get(state.SUB_RUN) == run:
                with self._step(f"{task.activity} waits") as transaction:
                    state.set_due(transaction, task.id, due)

    def _joined(self, target: str, events: Sequence[Event]) -> tuple[Event, ...]:
        """The oldest event of each inbound transition, the main set first."""
        oldest: dict[tuple[str, str], Event] = {}
        for event in events:
            oldest.setdefault((event.source, event.transition), event)
        return tuple(oldest[edge] for edge in self.definition.inbound(target) if edge in oldest)

    def _refuse_unknown(self, name: str) -> None:
        if name not in self.definition.activities:
            raise ConfigError(
                f"Run {self.run} waits at activity “{name}”, which this version of {self.definition.name}"
                " no longer has.",
                hint=f"Begin anew: crosstie run {self.definition.name} --restart",
            )

    def waiting(self) -> tuple[Task, ...]:
        """The tasks that wait for their time or a signal."""
        with self.db.reading() as transaction:
            return state.waiting_tasks(transaction, self.run)

    def begin(self, ready: Ready) -> None:
        """Marks what was handed to a thread, so that it is not ready any more."""
        self._taken.update(event.id for event in ready.events)
        if ready.task is not None:
            self._taken.add(-ready.task.id)

    def release(self, ready: Ready) -> None:
        """The opposite of `begin`, once the thread has ended and the database knows how."""
        self._taken.difference_update(event.id for event in ready.events)
        if ready.task is not None:
            self._taken.discard(-ready.task.id)

    def execute(self, ready: Ready) -> None:
        """Executes one task and publishes it. A failure of the activity is recorded; raised is only what says that this
        process must not go on."""
        activity = self.definition.activities[ready.activity]
        self.hold.check()
        if self.simulated and activity.acts_outside and not (self.planning and activity.plans):
            told = "a plan, and nothing is written" if self.planning else "a simulation"
            self.skip(ready, f"not executed: this is {told}")
            return
        began = time.monotonic()
        with self._step(f"{ready.activity} begins") as transaction:
            if ready.task is None:
                task = state.begin_task(transaction, ready.events, self.around.clock.now())
            else:
                task = replace(ready.task, woken=ready.woken)
                state.wake_task(transaction, task.id, ready.woken or Woken(by="time"))
        self.around.watcher.activity_begun(self.run, task.id, ready.activity, activity.type)
        log = self._log(task.id, ready.activity)
        try:
            context = self._context(ready, task, log)
            shared = dict(context.instance)
            done = activity.run(context)
            self._tell_retries(log)
            if isinstance(done, Waiting):
                self._wait(ready, task, done)
                return
            counts = self._publish(ready, task, done, context, shared)
        except CrosstieError as error:
            self._ended_badly(ready, task, log, error)
            return
        self.around.watcher.activity_ended(self.run, task.id, ready.activity, counts, time.monotonic() - began)

    def _ended_badly(self, ready: Ready, task: Task, log: TaskLog, error: CrosstieError) -> None:
        """Records a failure. What the database does not take any more is said without: the run is taken up as after a
        kill."""
        if self.hold.is_lost():
            raise self.hold.lost(error) from error
        over = self.over
        try:
            self._tell_retries(log)
            self._failed(ready, task, error)
            if not self.over:
                self.around.watcher.activity_failed(self.run, task.id, ready.activity, str(error))
        except DatabaseError as unrecorded:
            if unrecorded.code in (HOLD_LOST, TAKEN_OVER):
                raise
            if self.hold.is_lost():
                raise self.hold.lost(error) from error
            self.over = over  # that it ended was not committed, and must not hide why it has to
            raise TaskError(error, workflow=self.definition.name, run=self.run, activity=ready.activity) from unrecorded

    def skip(self, ready: Ready, reason: str) -> None:
        """Ends a branch before that activity, and says why."""
        with self._step(f"{ready.activity} is skipped") as transaction:
            now = self.around.clock.now()
            task = state.begin_task(transaction, ready.events, now, TaskStatus.SKIPPED)
            state.end_task(transaction, task.id, TaskStatus.SKIPPED, now, error_message=reason)
            self._confirm_windows(transaction)
        self._log(task.id, ready.activity).info(reason)

    @contextmanager
    def _step(self, purpose: str) -> Iterator[Transaction]:
        """A transaction that only the holder of this run can commit."""
        self.hold.check()
        with self.db.transaction(purpose) as transaction:
            self.hold.publish(transaction)
            yield transaction

    @contextmanager
    def _writing(self, purpose: str) -> Iterator[Transaction]:
        """A transaction that only the holder of this run can commit, beside those of its other branches."""
        self.hold.check()
        with self.db.transaction(purpose) as transaction:
            self.hold.write(transaction)
            yield transaction

    def _tell_retries(self, log: TaskLog) -> None:
        """Faults of the CRM or the network that were overcome cost time and calls: the log says which and how often.
        And what could not be said before."""
        log.flush()
        for why, count in self.meter.retries().items():
            log.info(f"Tried again {'once' if count == 1 else f'{count:,} times'}: {why}", retries=count)

    def _context(self, ready: Ready, task: Task, log: TaskLog) -> Context:
        name = ready.activity
        variables = self._merged(ready.events, log)
        with self.db.reading() as transaction:
            instance = instances.find_instance(transaction, self.definition.name)
        shared = dict(instance.vars) if instance else {}
        zone = self.definition.zone(name, self.around.zone)
        db = LoggedDatabase(self.db, self.hold, log) if self.definition.settings.sql_log else self.held
        return Context(
            workflow=self.definition.name,
            run=self.run,
            task=task.id,
            activity=name,
            inputs=tuple(event.table for event in ready.events if event.table is not None),
            sources=tuple(event.source for event in ready.events),
            transitions=tuple(event.transition for event in ready.events),
            vars=variables,
            instance=shared,
            zone=zone,
            db=db,
            site=self.around.site,
            log=log,
            now=self.around.clock.now,
            connector=self._connector,
            scope=lambda: self._scope(ready, task, zone, variables, shared),
            progress=lambda rows, expected: self.around.watcher.rows(
                name, rows, expected, self.calls_before + self.meter.now()[0]
            ),
            run_started=self.started,
            attempt=task.attempt,
            state=task.state,
            woken=task.woken,
            begun_at=task.started_at,
            step=lambda purpose: step_of(db, self._writing(purpose)),
            keep=lambda transaction, values: state.keep_state(transaction, task.id, values),
            sub_runs=TaskSubRuns(
                db=self.db,
                run=self.run,
                task=task.id,
                activity=name,
                simulated=self.simulated,
                definitions=self.around.definitions,
                step=self._step,
                now=self.around.clock.now,
            ),
            planning=self.planning,
        )

    def _merged(self, events: Sequence[Event], log: TaskLog) -> dict[str, Scalar]:
        """The variables of all events; where they differ the main set's value stands, and that is said."""
        merged: dict[str, Scalar] = {}
        for event in events:
            for name, value in event.vars.items():
                if name in merged and merged[name] != value:
                    log.warning(
                        f"Variable {name} comes with several values; the one of {events[0].source} stands,"
                        f" that of {event.source} is left out."
                    )
                merged.setdefault(name, value)
        return merged

    def _log(self, task: int | None, activity: str) -> TaskLog:
        return TaskLog(
            db=self.held,
            watcher=self.around.watcher,
            clock=self.around.clock,
            workflow=self.definition.name,
            run=self.run,
            task=task,
            activity=activity,
        )

    def _scope(
        self,
        ready: Ready,
        task: Task,
        zone: ZoneInfo,
        variables: Mapping[str, Scalar],
        shared: Mapping[str, Scalar],
    ) -> ScriptScope:
        with self.db.reading() as transaction:
            options = {
                str(name): str(value or "")
                for name, value in transaction.rows("select name, value from crosstie.option")
            }
        return ScriptScope(
            now=self.around.clock.now(),
            workflow=self.definition.name,
            label=self.definition.label,
            run=self.run,
            activity=ready.activity,
            activity_label=self.definition.activities[ready.activity].label,
            task=task.id,
            task_created=task.started_at,
            events=tuple(_event_scope(event) for event in ready.events),
            zone=zone,
            vars={name: value for name, value in variables.items() if value is not None},
            instance_vars={name: value for name, value in shared.items() if value is not None},
            options=options,
        )

    def _connector(self, account: str) -> Connector:
        with self.meter.guard:
            if account not in self.meter.open:
                connector = self.around.connect(account)
                connector.permitted_by(self.hold.check)
                self.meter.open[account] = connector
            return self.meter.open[account]

    def close(self) -> None:
        """Closes the connectors; a task that waits for an answer of one fails."""
        for connector in tuple(self.meter.open.values()):
            connector.close()

    def _wait(self, ready: Ready, task: Task, waiting: Waiting) -> None:
        log = self._log(task.id, ready.activity)
        if waiting.reason and waiting.reason != task.note:
            log.later(waiting.reason, {})
        with self._step(f"{ready.activity} waits") as transaction:
            state.set_waiting(transaction, task.id, waiting)
            self._meter(transaction)
            log.flush_into(transaction)

    def _publish(
        self, ready: Ready, task: Task, done: Done, context: Context, shared: Mapping[str, Scalar]
    ) -> Mapping[str, int]:
        """The one transaction that ends a task: effect, state, rejects, events, windows. Then what is done after it.
        `shared` are the workflow's own variables as the task found them."""
        self._settling.add(task.id)
        try:
            done = self._commit(ready, task, done, context, shared)
            if done.after is not None and not self.simulated:
                self._follow(ready.activity, done.after)
        finally:
            self._settling.discard(task.id)
        return done.counts

    def _follow(self, activity: str, after: Callable[[], None]) -> None:
        """Does what follows a commit. The task is published, whatever becomes of that."""
        try:
            after()
        except CrosstieError as error:
            if self.hold.is_lost():
                raise
            _log.warning("What follows the end of %s is made up for by the next run: %s", activity, error.message)

    def _commit(self, ready: Ready, task: Task, done: Done, context: Context, shared: Mapping[str, Scalar]) -> Done:
        long = self.definition.activities[ready.activity].effect_is_long
        purpose = f"{ready.activity} is published"
        with self._writing(purpose) if long else self._step(purpose) as transaction:
            if not long:
                inbox.lock_rejects(transaction, self.definition.name)
            after = done.after
            if done.effect is not None and not self.simulated:
                with effect_of(context.db, transaction) as own:
                    done = done.effect(own) or done
                done = replace(done, after=done.after or after)
            if long:  # from here on it is short, and alone
                self.hold.publish(transaction)
                inbox.lock_rejects(transaction, self.definition.name)
            now = self.around.clock.now()
            if not self.simulated:
                self._keep_rejects(transaction, ready.activity, task.id, done)
            if done.then is not None:
                state.set_waiting(transaction, task.id, done.then)
            else:
                state.end_task(transaction, task.id, TaskStatus.FINISHED, now, counts=done.counts)
            for transition, table in done.tables.items():
                for target in self.definition.targets(ready.activity, transition) or ("",):
                    state.add_event(
                        transaction,
                        run=self.run,
                        source_task=task.id,
                        source=ready.activity,
                        transition=transition,
                        target=target,
                        table=table,
                        variables={**context.vars, **done.vars},
                    )
            instances.change_vars(transaction, self.definition.name, shared, context.instance)
            self._meter(transaction)
            self._confirm_windows(transaction)
            if done.ends_run:
                state.end_epoch(transaction, self.run)
                self._end(transaction, RunStatus.STOPPED, f"ended by {ready.activity}")
        return done

    def _keep_rejects(self, transaction: Transaction, activity: str, task: int, done: Done) -> None:
        """Rejects go to the inbox; the first hundred are warned of one by one, the rest summed up by cause."""
        shown = 0
        summed: dict[tuple[str, str], int] = {}

        def each() -> Iterator[Reject]:
            nonlocal shown
            for reject in done.rejects:
                if shown < MAX_REJECT_WARNINGS:
                    shown += 1
                    self._warn(transaction, activity, task, _reject_text(reject), {"remote_id": reject.remote_id})
                else:
                    cause = (reject.symbol or reject.code, reject.field)
                    summed[cause] = summed.get(cause, 0) + 1
                yield reject

        inbox.add_rejects(transaction, self.run, task, self.definition.name, activity, each(), self.around.clock.now())
        for (symbol, name), count in summed.items():
            self._warn(
                transaction, activity, task, f"{count} more rejects: {symbol}{f' on {name}' if name else ''}", {}
            )

    def _warn(
        self, transaction: Transaction, activity: str, task: int | None, text: str, details: Mapping[str, object]
    ) -> None:
        message = Message(
            at=self.around.clock.now(),
            workflow=self.definition.name,
            run=self.run,
            task=task,
            activity=activity,
            level="warning",
            text=text,
            details=details,
        )
        self.around.watcher.message(message)
        keep_message(transaction, message)

    def _meter(self, transaction: Transaction) -> None:
        with self.meter.guard:
            calls, rows = self.meter.now()
            state.add_usage(transaction, self.run, calls - self.meter.calls, rows - self.meter.rows)
            self.meter.calls, self.meter.rows = calls, rows
            for account, connector in self.meter.open.items():
                made = connector.usage.calls
                if made > self.meter.by_account.get(account, 0):
                    new = made - self.meter.by_account.get(account, 0)
                    state.add_account_usage(transaction, self.run, account, new)
                    self.meter.by_account[account] = made

    def _confirm_windows(self, transaction: Transaction) -> None:
        """Confirms each open window of this run whose import, and all that it fed, has ended well, and likewise what
        incremental queries delivered; not while the run has failed elsewhere: it will be gone on with, or abandoned as
        a whole."""
        open_windows = [
            window for window in windows.windows_of(transaction, self.run) if window.status is windows.WindowStatus.OPEN
        ]
        delivered = deliveries.pending(transaction, self.run)
        if not (open_windows or delivered) or self.simulated or self.over:
            return
        pending = {event.target for event in state.pending_events(transaction, self.run)}
        last = {task.activity: task.status for task in state.tasks(transaction, self.run)}
        now = self.around.clock.now()

        def ended_well(workflow: str, activity: str) -> bool:
            fed = self._fed_by(workflow, activity)
            finished = all(last.get(name, TaskStatus.FINISHED) is TaskStatus.FINISHED for name in fed)
            return finished and not pending & fed

        for delivery, workflow, activity in delivered:
            if not ended_well(workflow, activity):
                continue
            if self.parent is not None:
                deliveries.hand_over(transaction, delivery, self.parent.run)
            else:
                deliveries.confirm(transaction, delivery)
        for window in open_windows:
            if not ended_well(window.workflow, window.activity):
                continue
            if self.parent is not None:  # what it brings back is still to be used
                windows.hand_over(transaction, window, self.parent.run)
                continue
            moved = windows.confirm(transaction, window, now)
            confirm_matches(transaction, window)
            if window.moves_option and not moved:
                self._warn(
                    transaction,
                    window.activity,
                    None,
                    f"Option {window.option} was changed by hand during the run; that change stands and the index was"
                    " not moved.",
                    {},
                )

    def _fed_by(self, workflow: str, activity: str) -> frozenset[str]:
        """What a window or delivery of this run has fed: of another workflow's it is all that sub-workflows lead to."""
        activities = self.definition.activities
        if workflow == self.definition.name:
            return self.definition.reachable(activity) if activity in activities else frozenset()
        calling = [name for name, one in activities.items() if one.runs()]
        return frozenset().union(*(self.definition.reachable(name) for name in calling))

    def _failed(self, ready: Ready, task: Task, error: CrosstieError) -> None:
        """A run-time error takes the Error transition where there is one; else what is set for errors is done."""
        self._log(task.id, ready.activity).error(str(error))
        now = self.around.clock.now()
        mistaken = isinstance(error, ConfigError)
        targets = () if mistaken else self.definition.targets(ready.activity, ERRORS)
        policy = self.definition.activities[ready.activity].on_error or self.definition.settings.on_error
        main = ready.events[0]
        with self._step(f"{ready.activity} failed") as transaction:
            if not state.is_running(transaction, task.id):
                return  # only the answer to its last commit was lost: it is published, or waits
            state.end_task(
                transaction, task.id, TaskStatus.FAILED, now, error_code=error.code, error_message=error.message
            )
            self._meter(transaction)
            for target in targets:
                state.add_event(
                    transaction,
                    run=self.run,
                    source_task=task.id,
                    source=ready.activity,
                    transition=ERRORS,
                    target=target,
                    table=main.table,
                    variables={**main.vars, "errorCode": error.code, "errorMessage": error.message},
                )
            if targets or (policy == "ignore" and not mistaken and self._ignore(transaction, ready, task)):
                return
            if policy == "abort":
                self._end(transaction, RunStatus.ABORTED, error.message)
            else:
                state.give_back_events(transaction, task.id)
                state.end_run(transaction, self.run, RunStatus.FAILED, now, error.message)
            self._suspend(transaction, error.message)
            self._tell_supervisors(transaction, ready.activity, error, aborted=policy == "abort")
            self.over = True
        self.failure = TaskError(error, workflow=self.definition.name, run=self.run, activity=ready.activity)
        self.failure.__cause__ = error

    def _tell_supervisors(
        self, transaction: Transaction, activity: str, error: CrosstieError, *, aborted: bool
    ) -> None:
        """Nobody is told of a simulation."""
        if self.simulated:
            return
        notice = Notice(
            event="aborted" if aborted else "suspended",
            message=str(error),
            run=self.run,
            activity=activity,
            code=error.code,
        )
        notify(transaction, self.definition.settings, notice, self.around.clock.now())

    def _suspend(self, transaction: Transaction, message: str) -> None:
        """A started workflow whose run failed fires no schedule and begins no task until a person resumes it."""
        if self.served:
            instances.move_status(
                transaction,
                self.definition.name,
                WorkflowStatus.FAILED,
                self.around.clock.now(),
                f"run {self.run}",
                message,
                out_of=(WorkflowStatus.STARTED, WorkflowStatus.PAUSED),
            )

    def _ignore(self, transaction: Transaction, ready: Ready, task: Task) -> bool:
        """Whether the failure ends only its branch; after too many in a row the workflow is suspended anyway."""
        most = self.definition.settings.ignore_at_most
        in_a_row = instances.count_ignored(transaction, self.definition.name)
        if most and in_a_row >= most:
            self._warn(
                transaction, ready.activity, task.id, f"This was error {in_a_row} in a row that was to be ignored.", {}
            )
            return False
        self._warn(transaction, ready.activity, task.id, "The error is ignored, as set; this branch ends here.", {})
        return True

    def warn(self, activity: str, text: str) -> None:
        """Logs a warning about an activity."""
        self._log(None, activity).warning(text)

    def drop_joins(self) -> bool:
        """Nothing is at work or waits any more: what waits for a transition that was not activated never will be.
        Whether there was any; the windows that fed it stay unconfirmed."""
        with self.db.reading() as transaction:
            pending = state.pending_events(transaction, self.run)
        for target in dict.fromkeys(event.target for event in pending):
            events = tuple(event for event in pending if event.target == target)
            came = {(event.source, event.transition) for event in events}
            missing = [
                source if transition == "ok" else f"{source}.{transition}"
                for source, transition in self.definition.inbound(target)
                if (source, transition) not in came
            ]
            ready = Ready(activity=target, events=events)
            self.skip(
                ready, f"not executed: it waits for {', '.join(missing)} too, which was not activated in this run"
            )
        return bool(pending)

    def finish(self) -> None:
        """No task is left. A window that is still open was not fed to a good end: the next run reads it again."""
        with self._step(f"run {self.run} ends") as transaction:
            last = {task.activity: task.status for task in state.tasks(transaction, self.run)}
            if TaskStatus.FAILED not in last.values():
                instances.forget_ignored(transaction, self.definition.name)
            self._end(transaction, RunStatus.DONE)

    def _end(self, transaction: Transaction, status: RunStatus, message: str = "") -> None:
        now = self.around.clock.now()
        for child in self.children:
            child.give_up()
        for run in state.sub_runs(transaction, self.run):
            state.stop_run(transaction, run.id, now, RunStatus.STOPPED, message or "the run to which it belongs ended")
        windows.abandon(transaction, self.run, now)
        deliveries.abandon(transaction, self.run)
        state.end_tasks(transaction, self.run, now)
        state.end_run(transaction, self.run, status, now, message)
        self.over = True

    def belongs_to(self, other: Passage) -> bool:
        """Whether its run belongs to that one, over however many."""
        return self.parent is not None and (self.parent is other or self.parent.belongs_to(other))

    def give_up(self) -> None:
        """The run to which this one belongs has ended: nothing more of it is executed or written."""
        self.hold.end()
        self.over = True
        for child in self.children:
            child.give_up()

    def pause(self, message: str) -> bool:
        """Lets go of a run because it was paused, unless a served one's workflow was resumed meanwhile. Whether."""
        self.hold.check()
        with self.db.transaction(f"run {self.run} is paused") as transaction:
            if self.served:
                instances.lock_status(transaction, self.definition.name)  # before the run, as everybody does
                found = instances.find_instance(transaction, self.definition.name)
                if found is not None and found.status is WorkflowStatus.STARTED:
                    return False
            self.hold.publish(transaction)
            self._meter(transaction)
            state.end_run(transaction, self.run, RunStatus.PAUSED, self.around.clock.now(), message)
        self.over = self.by_person = True
        return True

    def rest(self, status: RunStatus, message: str = "") -> None:
        """Lets go of a run that is to be gone on with later."""
        with self._step(f"run {self.run} is {status}") as transaction:
            self._meter(transaction)
            state.end_run(transaction, self.run, status, self.around.clock.now(), message)
        self.over = True

    def interrupt(self, status: RunStatus, message: str) -> None:
        """Takes the run from the tasks that are still at work: the next epoch is theirs no more. Interrupted, what was
        being worked on is pending again; stopped, the run is over."""
        with self.db.transaction(f"run {self.run} is {status}") as transaction:
            self.hold.publish(transaction)
            self._meter(transaction)
            state.end_epoch(transaction, self.run)
            if status is RunStatus.STOPPED:
                self._end(transaction, status, message)
            else:
                self._give_back(transaction)
                state.end_run(transaction, self.run, status, self.around.clock.now(), message)
        self.over = True
        self.by_person = status is RunStatus.STOPPED


def _event_scope(event: Event) -> EventScope:
    table = event.table
    return EventScope(
        source=event.source,
        transition=event.transition,
        table=f"crosstie.{table.name}" if table else "",
        dimension=table.dimension if table else "",
        rows=table.rows if table else 0,
    )


def _reject_text(reject: Reject) -> str:
    """A warning without the record's values: who, which field, why."""
    who = f" row {reject.row}" if reject.row else ""
    if reject.remote_id:
        who = f" {reject.object} {reject.remote_id}"
    where = f", field {reject.field}" if reject.field else ""
    code = " ".join(part for part in (reject.code, reject.symbol) if part)
    return f"Rejected{who}{where}: {reject.message} [{code}]"

"""The runner: carries a run from event to event, publishes what each task prepared, confirms windows, resumes.

A task publishes by reference: what it loaded under private names becomes visible in the one transaction that ends it.
A kill at any instruction leaves a run that the next `run` goes on with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from crosstie.crm.connector import Connector
from crosstie.db.database import Database, Transaction
from crosstie.errors import ConfigError, CrosstieError, DatabaseError, TaskError
from crosstie.model import WorkTable
from crosstie.script.engine import ScriptScope
from crosstie.sync import comparison, windows
from crosstie.workflow import state
from crosstie.workflow.activity import ERRORS, Context, Done, Reject, Scalar, Site
from crosstie.workflow.clock import Clock
from crosstie.workflow.definition import Definition
from crosstie.workflow.holding import HOLD_LOST, HeldDatabase, Hold
from crosstie.workflow.state import Event, RunStatus, TaskStatus
from crosstie.workflow.watcher import TaskLog, Watcher, add_message

MAX_REJECT_WARNINGS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a runner works with. `connect` opens the connector of an external account by name."""

    db: Database
    site: Site
    clock: Clock
    connect: Callable[[str], Connector]
    watcher: Watcher
    zone: ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """How a run ended. `counts` is per activity, in the order of their tasks; `moved` the options that moved."""

    run: int
    workflow: str
    resumed: bool
    status: RunStatus
    counts: Mapping[str, Mapping[str, int]]
    rejects: int
    api_calls: int
    remote_rows: int
    seconds: float

    def rows(self, activity: str) -> int:
        """The rows that an activity put out or wrote, all outcomes together."""
        return sum(self.counts.get(activity, {}).values())


@dataclass(slots=True)
class _Meter:
    """Open connectors of a run, and what of their usage is recorded already."""

    open: dict[str, Connector] = field(default_factory=dict)
    calls: int = 0
    rows: int = 0
    told: dict[tuple[str, str], int] = field(default_factory=dict)

    def now(self) -> tuple[int, int]:
        used = [connector.usage for connector in self.open.values()]
        return sum(one.calls for one in used), sum(one.rows for one in used)

    def retries(self) -> Iterator[tuple[str, int]]:
        """What was sent again since this was asked for the last time: why, and how often."""
        for account, connector in self.open.items():
            for why, count in list(connector.usage.retries.items()):
                new = count - self.told.get((account, why), 0)
                self.told[account, why] = count
                if new:
                    yield why, new


def run_workflow(
    surroundings: Surroundings, definition: Definition, version: int, *, restart: bool = False
) -> RunReport:
    """Runs a workflow, or goes on with its unfinished run. Raises TaskError where a task failed; the run can then be
    gone on with. Raises BrakeError when another process runs this workflow."""
    hold = Hold(surroundings.db, definition.name)
    with surroundings.db.hold(hold.name) as held:
        if not held:
            raise hold.refusal()
        return _Passage(surroundings, definition, version, hold).go(restart=restart)


class _Passage:
    """One process's hold of one run."""

    def __init__(self, surroundings: Surroundings, definition: Definition, version: int, hold: Hold) -> None:
        self.around = surroundings
        self.db = surroundings.db
        self.hold = hold
        self.held = HeldDatabase(surroundings.db, hold)
        self.definition = definition
        self.version = version
        self.meter = _Meter()
        self.run = 0
        self.started = surroundings.clock.now()
        self.calls_before = 0

    def go(self, *, restart: bool) -> RunReport:
        began = time.monotonic()
        resumed = self._take(restart)
        watcher = self.around.watcher
        watcher.run_begun(self.run, self.definition.name, resumed)
        self._sweep()
        try:
            while (event := self._next_event()) is not None:
                self._execute(event)
            self._finish()
        except KeyboardInterrupt:
            if not self.hold.is_lost():
                self._interrupted()
            raise
        except DatabaseError as error:
            if self.hold.is_lost() and error.code != HOLD_LOST:
                raise self.hold.lost(error) from error
            raise
        finally:
            for connector in self.meter.open.values():
                connector.close()
        self._sweep()
        return self._report(resumed, time.monotonic() - began)

    def _take(self, restart: bool) -> bool:
        """Takes up the workflow's unfinished run, or begins a new one; whether it was taken up."""
        now = self.around.clock.now()
        with self.db.transaction(f"run {self.definition.name} begins") as transaction:
            latest = state.latest_run(transaction, self.definition.name)
            unfinished = latest is not None and latest.status in state.RESUMABLE
            if latest is not None and unfinished and not restart:
                self.run = latest.id
                self.started = latest.started_at
                self.calls_before = latest.api_calls
            else:
                if latest is not None and unfinished:
                    state.take_run(transaction, latest.id, latest.version)
                    windows.abandon(transaction, latest.id, now)
                    state.end_run(transaction, latest.id, RunStatus.ABANDONED, now, "restarted")
                self.run = state.begin_run(transaction, self.definition.name, self.version, now)
                for name in self.definition.initial():
                    state.add_event(
                        transaction,
                        run=self.run,
                        source_task=None,
                        source="",
                        transition="",
                        target=name,
                        table=None,
                        variables={},
                    )
            self.hold.take(transaction, self.run, self.version)
            self._give_back(transaction)
        return unfinished and not restart

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
                for event in state.events(transaction, self.run)
                if event.task is None and event.target and event.table and not self._is_whole(transaction, event.table)
            ]
            if not gone:
                return
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

    def _next_event(self) -> Event | None:
        with self.db.reading() as transaction:
            pending = [event for event in state.events(transaction, self.run) if event.task is None and event.target]
        return pending[0] if pending else None

    def _execute(self, event: Event) -> None:
        activity = self.definition.activities.get(event.target)
        if activity is None:
            raise ConfigError(
                f"Run {self.run} waits at activity “{event.target}”, which this version of {self.definition.name}"
                " no longer has.",
                hint=f"Begin anew: crosstie run {self.definition.name} --restart",
            )
        self.hold.check()
        began = time.monotonic()
        with self.db.transaction(f"{event.target} begins") as transaction:
            self.hold.publish(transaction)
            task, attempt = state.begin_task(transaction, event, self.around.clock.now())
        self.around.watcher.activity_begun(event.target, activity.type)
        context = self._context(event, task, attempt)
        try:
            done = activity.run(context)
            self._tell_retries(context)
            counts = self._publish(event, task, done, context.vars)
        except CrosstieError as error:
            if self.hold.is_lost():
                raise self.hold.lost(error) from error
            self._tell_retries(context)
            self._failed(event, task, error)
            return
        self.around.watcher.activity_ended(event.target, counts, time.monotonic() - began)

    def _context(self, event: Event, task: int, attempt: int) -> Context:
        variables = dict(event.vars)
        log = self._log(task, event.target)
        return Context(
            workflow=self.definition.name,
            run=self.run,
            task=task,
            activity=event.target,
            inputs=(event.table,) if event.table else (),
            vars=variables,
            zone=self.definition.zone if self.definition.time_zone else self.around.zone,
            db=self.held,
            site=self.around.site,
            log=log,
            now=self.around.clock.now,
            connector=self._connector,
            scope=lambda: self._scope(event.target, variables),
            progress=lambda rows, expected: self.around.watcher.rows(
                event.target, rows, expected, self.calls_before + self.meter.now()[0]
            ),
            run_started=self.started,
            attempt=attempt,
        )

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

    def _tell_retries(self, context: Context) -> None:
        """Faults of the CRM or the network that were overcome cost time and calls: the log says which and how often."""
        for why, count in self.meter.retries():
            context.log.info(f"Tried again {'once' if count == 1 else f'{count:,} times'}: {why}", retries=count)

    def _scope(self, activity: str, variables: Mapping[str, Scalar]) -> ScriptScope:
        with self.db.reading() as transaction:
            options = {
                str(name): str(value or "")
                for name, value in transaction.rows("select name, value from crosstie.option")
            }
        return ScriptScope(
            now=self.around.clock.now(),
            workflow=self.definition.name,
            activity=activity,
            zone=self.definition.zone if self.definition.time_zone else self.around.zone,
            vars={name: value for name, value in variables.items() if value is not None},
            options=options,
        )

    def _connector(self, account: str) -> Connector:
        if account not in self.meter.open:
            connector = self.around.connect(account)
            connector.permitted_by(self.hold.check)
            self.meter.open[account] = connector
        return self.meter.open[account]

    def _publish(self, event: Event, task: int, done: Done, variables: Mapping[str, Scalar]) -> Mapping[str, int]:
        """The one transaction that ends a task: effect, state, rejects, events, windows."""
        self.hold.check()
        with self.db.transaction(f"{event.target} is published") as transaction:
            self.hold.publish(transaction)
            state.lock_rejects(transaction, self.definition.name)
            counts: Mapping[str, int] = done.counts
            if done.effect is not None:
                counts = done.effect(transaction) or counts
            now = self.around.clock.now()
            self._keep_rejects(transaction, event.target, task, done)
            state.end_task(transaction, task, TaskStatus.FINISHED, now, counts=counts)
            merged = {**variables, **done.vars}
            for transition, table in done.tables.items():
                for target in self.definition.targets(event.target, transition) or ("",):
                    state.add_event(
                        transaction,
                        run=self.run,
                        source_task=task,
                        source=event.target,
                        transition=transition,
                        target=target,
                        table=table,
                        variables=merged,
                    )
            self._meter(transaction)
            self._confirm_windows(transaction)
        return counts

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

        state.add_rejects(transaction, self.run, task, self.definition.name, activity, each(), self.around.clock.now())
        for (symbol, name), count in summed.items():
            self._warn(
                transaction, activity, task, f"{count} more rejects: {symbol}{f' on {name}' if name else ''}", {}
            )

    def _warn(
        self, transaction: Transaction, activity: str, task: int, text: str, details: Mapping[str, object]
    ) -> None:
        self.around.watcher.message("warning", activity, text)
        add_message(
            transaction,
            at=self.around.clock.now(),
            workflow=self.definition.name,
            run=self.run,
            task=task,
            activity=activity,
            level="warning",
            text=text,
            details=details,
        )

    def _meter(self, transaction: Transaction) -> None:
        calls, rows = self.meter.now()
        state.add_usage(transaction, self.run, calls - self.meter.calls, rows - self.meter.rows)
        self.meter.calls, self.meter.rows = calls, rows

    def _confirm_windows(self, transaction: Transaction) -> None:
        """Confirms each open window of this run whose import, and all that it fed, has ended well."""
        open_windows = [
            window for window in windows.windows_of(transaction, self.run) if window.status is windows.WindowStatus.OPEN
        ]
        if not open_windows:
            return
        pending = {event.target for event in state.events(transaction, self.run) if event.task is None and event.target}
        last = {task.activity: task.status for task in state.tasks(transaction, self.run)}
        now = self.around.clock.now()
        for window in open_windows:
            fed = self.definition.reachable(window.activity) if window.activity in self.definition.activities else ()
            if pending & set(fed) or any(
                last.get(name, TaskStatus.FINISHED) is not TaskStatus.FINISHED for name in fed
            ):
                continue
            moved = windows.confirm(transaction, window, now)
            if window.moves_option and not moved:
                self._warn(
                    transaction,
                    window.activity,
                    0,
                    f"Option {window.option} was changed by hand during the run; that change stands and the index was"
                    " not moved.",
                    {},
                )

    def _failed(self, event: Event, task: int, error: CrosstieError) -> None:
        """A run-time error takes the Error transition where there is one; else the run stops, to be gone on with."""
        self._log(task, event.target).error(str(error))
        now = self.around.clock.now()
        targets = () if isinstance(error, ConfigError) else self.definition.targets(event.target, ERRORS)
        with self.db.transaction(f"{event.target} failed") as transaction:
            self.hold.publish(transaction)
            state.end_task(
                transaction, task, TaskStatus.FAILED, now, error_code=error.code, error_message=error.message
            )
            self._meter(transaction)
            for target in targets:
                state.add_event(
                    transaction,
                    run=self.run,
                    source_task=task,
                    source=event.target,
                    transition=ERRORS,
                    target=target,
                    table=event.table,
                    variables={**event.vars, "errorCode": error.code, "errorMessage": error.message},
                )
            if not targets:
                state.give_back_events(transaction, task)
                state.end_run(transaction, self.run, RunStatus.FAILED, now, error.message)
        if not targets:
            raise TaskError(error, workflow=self.definition.name, run=self.run, activity=event.target) from error

    def _interrupted(self) -> None:
        """A person stopped the run: what was being worked on is pending again; a task that was published stays so."""
        now = self.around.clock.now()
        with self.db.transaction(f"run {self.run} is interrupted") as transaction:
            self.hold.publish(transaction)
            self._give_back(transaction)
            self._meter(transaction)
            state.end_run(transaction, self.run, RunStatus.INTERRUPTED, now, "interrupted")

    def _finish(self) -> None:
        """No task is left. A window that is still open was not fed to a good end: the next run reads it again."""
        now = self.around.clock.now()
        self.hold.check()
        with self.db.transaction(f"run {self.run} ends") as transaction:
            self.hold.publish(transaction)
            windows.abandon(transaction, self.run, now)
            state.end_run(transaction, self.run, RunStatus.DONE, now)

    def _sweep(self) -> None:
        """Drops rubbish. The tables are listed first and the registers asked after that, in one moment: what another
        process makes and names meanwhile is not in the list."""
        everything = self.db.work_tables()
        found = [name for name in everything if not comparison.is_comparisons(name)]
        comparison.sweep(self.db, everything)
        with self.db.reading() as transaction:
            tails = windows.tail_tables(transaction)
            names = state.rubbish(transaction, found, mine=frozenset({self.run}))
        self.db.drop_work([name for name in names if name not in tails])

    def _report(self, resumed: bool, seconds: float) -> RunReport:
        with self.db.reading() as transaction:
            done = state.tasks(transaction, self.run)
            run = state.find_run(transaction, self.run)
            rejects = state.count_rejects(transaction, self.run)
        counts = {task.activity: task.counts for task in done if task.status is TaskStatus.FINISHED}
        return RunReport(
            run=self.run,
            workflow=self.definition.name,
            resumed=resumed,
            status=run.status if run else RunStatus.DONE,
            counts=counts,
            rejects=rejects,
            api_calls=run.api_calls if run else 0,
            remote_rows=run.remote_rows if run else 0,
            seconds=seconds,
        )


def _reject_text(reject: Reject) -> str:
    """A warning without the record's values: who, which field, why."""
    who = f" {reject.object} {reject.remote_id}" if reject.remote_id else ""
    where = f", field {reject.field}" if reject.field else ""
    code = " ".join(part for part in (reject.code, reject.symbol) if part)
    return f"Rejected{who}{where}: {reject.message} [{code}]"

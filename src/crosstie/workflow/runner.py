"""The runner: one process at a time carries the runs of a workflow on, their branches on threads, and does what people
ask meanwhile.

The process holds the workflow by a lock that the system frees. Its main thread decides what is executed and waits; each
task is executed on a thread of its own, so that Ctrl-C and requests are heard while activities work.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from crosstie.errors import ConfigError, CrosstieError, DatabaseError
from crosstie.workflow import actions, inbox, instances, state
from crosstie.workflow.activity import IN_DOUBT, Scalar
from crosstie.workflow.beginning import ORDINARY, RunKind, begin
from crosstie.workflow.definition import Definition
from crosstie.workflow.edits import refuse_edit
from crosstie.workflow.holding import HOLD_LOST, Hold
from crosstie.workflow.instances import Action, WorkflowStatus
from crosstie.workflow.notices import Notice, notify
from crosstie.workflow.passage import Passage, Ready, Surroundings
from crosstie.workflow.settings import WorkflowSettings
from crosstie.workflow.state import TAKEN_OVER, RunStatus, TaskStatus
from crosstie.workflow.sweeping import sweep

__all__ = ["RunKind", "RunReport", "Surroundings", "run_workflow", "serve_workflow"]

# How long the runner is deaf to requests at most.
_POLL_SECONDS = 0.5
# How long cancelled tasks are waited for; what they would still publish is refused.
_PATIENCE_SECONDS = 3.0
# A serving runner stays for a wait that ends within this, else lets go of the workflow.
_STAYS_FOR = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """How a run ended, or what it waits for. `counts` is per activity, in the order of their tasks. `message` says why
    it ended early; `by_person` when somebody stopped or paused it."""

    run: int
    workflow: str
    resumed: bool
    status: RunStatus
    message: str
    by_person: bool
    counts: Mapping[str, Mapping[str, int]]
    rejects: int
    api_calls: int
    remote_rows: int
    seconds: float

    def rows(self, activity: str) -> int:
        """The rows that an activity put out or wrote, all outcomes together."""
        return sum(self.counts.get(activity, {}).values())

    @property
    def in_doubt(self) -> int:
        """The rows that were sent and of which nobody knows whether they were executed."""
        return sum(counts.get(IN_DOUBT, 0) for counts in self.counts.values())


def run_workflow(
    surroundings: Surroundings,
    definition: Definition,
    version: int,
    *,
    restart: bool = False,
    kind: RunKind = ORDINARY,
    waits: bool = True,
    variables: Mapping[str, Scalar] | None = None,
    accept_edit: bool = False,
) -> RunReport:
    """Runs a workflow, or goes on with its unfinished run. With `waits` this process sleeps while tasks wait; without,
    the run is left waiting. `variables` begin the run's events. Raises TaskError where a task failed and the run was
    suspended by it: it can then be gone on with. Raises BrakeError when another process runs this workflow, or when the
    activity at which the run stopped was edited since, unless `accept_edit`. Raises ConfigError for a plan that is not
    there."""
    hold = Hold(surroundings.db, definition.name)
    with surroundings.db.hold(hold.name) as held:
        if not held:
            raise hold.refusal()
        began = time.monotonic()
        if not (restart or accept_edit):
            _refuse_edit(surroundings, definition, version)
        run, resumed = begin(surroundings, definition, version, restart, kind, variables or {})
        runner = _Runner(surroundings, definition.name, waits=waits)
        passage = runner.take(definition, version, run)
        surroundings.watcher.run_begun(run, definition.name, resumed)
        runner.go()
        if passage.failure is not None:
            raise passage.failure
        return _report(surroundings, passage, resumed, time.monotonic() - began)


def serve_workflow(
    surroundings: Surroundings,
    name: str,
    load: Callable[[], tuple[Definition, int]],
    *,
    settings: Callable[[], WorkflowSettings] | None = None,
) -> bool:
    """Carries on the served runs of a workflow until all wait for later, or are over; also those that are begun
    meanwhile. Does nothing when another process holds the workflow; whether it was ours. Raises TaskError when a task
    suspended the workflow, ConfigError when its definition cannot run any more: it is suspended then too, and the
    supervisors that its `settings` name are told."""
    with surroundings.db.hold(Hold(surroundings.db, name).name) as held:
        if not held:
            return False
        runner = _Runner(surroundings, name, waits=False, load=load)
        try:
            runner.go()
        except CrosstieError as error:
            if isinstance(error, ConfigError):
                _suspend(surroundings, name, error.message, settings)
            raise
        except Exception as error:
            _suspend(surroundings, name, f"Crosstie failed unexpectedly ({type(error).__name__}).", settings)
            raise
        runner.raise_failure()
        return True


def _suspend(around: Surroundings, name: str, message: str, settings: Callable[[], WorkflowSettings] | None) -> None:
    """What cannot be carried on is not tried for ever: a person has to look."""
    now = around.clock.now()
    told = _readable(settings)
    with around.db.transaction(f"{name} is suspended") as transaction:
        instances.lock_status(transaction, name)
        for run in state.served_runs(transaction, name):
            state.end_epoch(transaction, run.id)
            state.end_run(transaction, run.id, RunStatus.FAILED, now, message)
        moved = instances.move_status(
            transaction,
            name,
            WorkflowStatus.FAILED,
            now,
            "serve",
            message,
            out_of=(WorkflowStatus.STARTED, WorkflowStatus.PAUSED),
        )
        if moved and told is not None:
            notify(transaction, told, Notice(event="suspended", message=message), now)


def _readable(settings: Callable[[], WorkflowSettings] | None) -> WorkflowSettings | None:
    """The settings of a workflow, None where its definition cannot even be read that far."""
    try:
        return settings() if settings is not None else None
    except ConfigError:
        return None


def _refuse_edit(around: Surroundings, definition: Definition, version: int) -> None:
    with around.db.reading() as transaction:
        unfinished = state.unfinished_run(transaction, definition.name)
        if unfinished is not None:
            refuse_edit(transaction, unfinished, definition.text, version)


@dataclass(slots=True)
class _Work:
    """A task at work on a thread."""

    passage: Passage
    ready: Ready
    thread: threading.Thread
    began: float
    longest: float | None


class _Runner:
    """One process's hold of a workflow."""

    def __init__(
        self,
        around: Surroundings,
        workflow: str,
        *,
        waits: bool,
        load: Callable[[], tuple[Definition, int]] | None = None,
    ) -> None:
        self.around = around
        self.db = around.db
        self.hold = Hold(around.db, workflow)
        self.workflow = workflow
        self.waits = waits
        self.load = load
        self.passages: dict[int, Passage] = {}
        self._at_work: dict[int, _Work] = {}
        self._ended: queue.SimpleQueue[tuple[int, BaseException | None]] = queue.SimpleQueue()
        self._ended_since: dict[int, float] = {}
        self._numbers = 0
        self._pausing = False
        self._paused_by = ""

    def take(self, definition: Definition, version: int, run: int) -> Passage:
        """Takes a run into this hold."""
        passage = Passage(self.around, definition, version, run)
        self.passages[run] = passage
        return passage

    def go(self) -> None:
        """Carries on until nothing can be executed now (and, when it waits, until nothing waits)."""
        self.db.heed(self.hold.name)  # it was for somebody before us
        sweep(self.db, frozenset(self.passages))
        try:
            self._carry_on()
        except KeyboardInterrupt:
            if not self.hold.is_lost():
                self._cancel(RunStatus.INTERRUPTED, "interrupted")
            raise
        except DatabaseError as error:
            if error.code in (HOLD_LOST, TAKEN_OVER):
                raise
            if self.hold.is_lost():
                raise self._hold().lost(error) from error
            raise DatabaseError(
                error.message,
                hint=f"{error.hint} After that, crosstie run {self.workflow} goes on where it stopped.".strip(),
                code=error.code,
                retry=error.retry,
            ) from error
        finally:
            for passage in self.passages.values():
                passage.close()
        sweep(self.db, frozenset(self.passages))

    def _hold(self) -> Hold:
        """The hold of a run, which names it, where there is one."""
        return next((passage.hold for passage in self.passages.values()), self.hold)

    def raise_failure(self) -> None:
        """Raises the failure of the first run that has one; that of a run that belongs to another one is its task's."""
        for passage in self.passages.values():
            if passage.failure is not None and passage.parent is None:
                raise passage.failure

    def _carry_on(self) -> None:
        while True:
            self._apply_requests()
            self._take_served()
            self._take_sub_runs()
            if self._start_ready():
                continue
            if self._at_work:
                self._collect(_POLL_SECONDS)
                self._leave_ended()
                continue
            living = self._living()
            if not living:
                return
            if self._pausing:
                told = f"paused by {self._paused_by}" if self._paused_by else "paused"
                rested = [passage.pause(told) for passage in living]
                if all(rested):
                    return
                continue
            if not self._settle(living):
                return

    def _living(self) -> list[Passage]:
        return [passage for passage in self.passages.values() if not passage.over]

    def _settle(self, living: list[Passage]) -> bool:
        """Nothing is at work. Ends what is complete; sleeps until a waiting task is due, or lets go of it. Whether to
        carry on."""
        dues = []
        for passage in living:
            waiting = passage.waiting()
            dues += [task.due_at for task in waiting if task.due_at is not None]
            if not waiting and not passage.drop_joins():
                passage.finish()
        resting = self._living()
        if len(resting) < len(living):  # another run may have waited for one that ended
            return True
        if any(not passage.waiting() for passage in resting):
            return True
        now = self.around.clock.now()
        soon = min(dues, default=None)
        if not self.waits and (soon is None or soon > now + _STAYS_FOR):
            for passage in reversed(resting):
                self._rest(passage)
            return False
        left = (soon - now).total_seconds() if soon else _POLL_SECONDS
        time.sleep(min(max(left, 0.01), _POLL_SECONDS))
        return True

    def _rest(self, passage: Passage) -> None:
        """Lets go of a run until something of it is due; the one to which it belongs has to be looked at then."""
        if passage.parent is not None:
            dues = [task.due_at for task in passage.waiting() if task.due_at is not None]
            passage.parent.look_again(passage.run, min(dues, default=None))
        passage.rest(RunStatus.WAITING)

    def _take_sub_runs(self) -> None:
        """Takes what belongs to the runs of this hold; lets go of it where such a run has failed."""
        if self._pausing:
            return
        for passage in self._living():
            if passage.parent is not None and passage.parent.over:
                if not any(work.passage is passage for work in self._at_work.values()):
                    passage.rest(RunStatus.INTERRUPTED, f"run {passage.parent.run}, to which it belongs, stopped")
                continue
            for run, workflow in passage.waiting_sub_runs():
                known = self.passages.get(run)
                if known is None or known.over:  # one that failed is gone on with by a loop
                    definition, version = self.around.definitions(workflow)
                    self.around.watcher.run_begun(run, workflow, False)
                    self.passages[run] = Passage(self.around, definition, version, run, passage)

    def _take_served(self) -> None:
        if self.load is None or self._pausing:
            return
        with self.db.reading() as transaction:
            found = [run.id for run in state.served_runs(transaction, self.workflow)]
        for run in found:
            known = self.passages.get(run)
            if known is None:
                definition, version = self.load()
                self.around.watcher.run_begun(run, self.workflow, False)
                self.take(definition, version, run)

    def _start_ready(self) -> bool:
        """Hands what can be executed to threads. Whether anything was done that makes another look worthwhile."""
        if self._pausing:
            return False
        moved = False
        for passage in self._living():
            if passage.parent is not None and passage.parent.over:
                continue
            for ready in passage.ready():
                activity = passage.definition.activities[ready.activity]
                overlap = activity.overlap or activity.default_overlap
                if overlap != "allow" and ready.task is None and self._is_busy(passage, ready.activity):
                    if overlap == "skip":
                        passage.skip(ready, "not executed: it is still at work, and is set to skip")
                        moved = True
                    continue
                if len(self._at_work) >= passage.definition.settings.parallel:
                    return moved
                self._start(passage, ready)
        return moved

    def _is_busy(self, passage: Passage, activity: str) -> bool:
        """Whether a task of that activity is at work or waits, in any run of that workflow in this hold."""
        name = passage.definition.name
        works = self._at_work.values()
        if any((work.passage.definition.name, work.ready.activity) == (name, activity) for work in works):
            return True
        same = [one for one in self._living() if one.definition.name == name]
        return any(task.activity == activity for one in same for task in one.waiting())

    def _start(self, passage: Passage, ready: Ready) -> None:
        self._numbers += 1
        number = self._numbers

        def work() -> None:
            failure: BaseException | None = None
            try:
                passage.execute(ready)
            except BaseException as error:  # noqa: BLE001 - carried to the runner's thread, which raises it
                failure = error
            self._ended.put((number, failure))

        longest = passage.definition.activities[ready.activity].max_duration
        thread = threading.Thread(target=work, name=f"task-{ready.activity}", daemon=True)
        passage.begin(ready)
        self._at_work[number] = _Work(
            passage, ready, thread, time.monotonic(), None if longest is None else longest.total_seconds()
        )
        thread.start()

    def _collect(self, seconds: float) -> None:
        """Waits so long for a task to end. Raises what says that this process must not go on."""
        try:
            number, failure = self._ended.get(timeout=seconds)
        except queue.Empty:
            self._warn_of_long_ones()
            return
        work = self._at_work.pop(number, None)
        if work is None:
            return
        work.passage.release(work.ready)
        if work.passage.over and work.passage.failure is None:
            self._interrupt(work.passage)
        if failure is not None and not work.passage.over:
            raise failure

    def _leave_ended(self) -> None:
        """Tasks of a run that an End has ended are waited for as long as cancelled ones; what they would still publish
        is refused."""
        now = time.monotonic()
        for number, work in list(self._at_work.items()):
            if work.passage.over and work.passage.failure is None:
                self._interrupt(work.passage)
                if now > self._ended_since.setdefault(number, now) + _PATIENCE_SECONDS:
                    del self._at_work[number]

    def _warn_of_long_ones(self) -> None:
        for work in self._at_work.values():
            if work.longest is not None and time.monotonic() - work.began > work.longest:
                work.longest = None
                work.passage.warn(work.ready.activity, "It takes longer than its max_duration.")

    def _apply_requests(self) -> None:
        """Does what people asked; a served workflow that is paused or failed begins no task, whoever said so."""
        caller = self.db.heed(self.hold.name)
        if caller is not None:
            self._cancel(RunStatus.STOPPED, f"stopped by {caller}" if caller else "stopped")
        with self.db.reading() as transaction:
            asked = instances.open_requests(transaction, self.workflow)
            found = instances.find_instance(transaction, self.workflow) if self.load is not None else None
        if found is not None:
            self._pausing = found.status in (WorkflowStatus.PAUSED, WorkflowStatus.FAILED)
        for request in asked:
            if request.action is Action.PAUSE:
                self._pausing, self._paused_by = True, request.by
            if request.action is Action.STOP:
                self._cancel(RunStatus.STOPPED, f"stopped by {request.by}")
            at_work = frozenset(passage.run for passage in self._living())
            with self.db.transaction(f"request {request.action}") as transaction:
                now = self.around.clock.now()
                outcome = actions.apply(transaction, request, now, at_work=at_work)
                if outcome:
                    instances.close_request(transaction, request.id, now, outcome)

    def _cancel(self, status: RunStatus, message: str) -> None:
        """Ends the work of all tasks at once: their statements and remote calls are cancelled, and what they would
        still publish is refused."""
        living = self._living()
        for passage in living:
            passage.hold.end()
        with self._interrupting(frozenset(passage.run for passage in living)):
            for passage in reversed(living):  # what belongs to another run before that
                passage.interrupt(status, message)
        for passage in living:
            passage.close()
        until = time.monotonic() + _PATIENCE_SECONDS
        while self._at_work and time.monotonic() < until:
            for passage in living:
                self._interrupt(passage)
            self._collect(0.1)
        self._at_work.clear()

    @contextmanager
    def _interrupting(self, runs: frozenset[int]) -> Iterator[None]:
        """Cancels the statements of runs again and again: on SQLite what they write keeps everybody else from writing,
        us too."""
        idents = [work.thread.ident for work in self._at_work.values() if work.passage.run in runs]
        over = threading.Event()

        def interrupt() -> None:
            while True:
                for ident in idents:
                    if ident is not None:
                        self.db.interrupt(ident)
                if over.wait(0.1):
                    return

        thread = threading.Thread(target=interrupt, name="interrupting")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _interrupt(self, passage: Passage) -> None:
        """Cancels the statements of a run that is over, and of those that belong to it and are over too."""
        for work in self._at_work.values():
            ended = work.passage is passage or (work.passage.over and work.passage.belongs_to(passage))
            if ended and work.thread.ident is not None:
                self.db.interrupt(work.thread.ident)


def _report(around: Surroundings, passage: Passage, resumed: bool, seconds: float) -> RunReport:
    number = passage.run
    with around.db.reading() as transaction:
        done = state.tasks(transaction, number)
        run = state.find_run(transaction, number)
        rejects = inbox.count_rejects(transaction, number)
    assert run is not None
    return RunReport(
        run=number,
        workflow=run.workflow,
        resumed=resumed,
        status=run.status,
        message=run.message,
        by_person=passage.by_person,
        counts={task.activity: task.counts for task in done if task.status is TaskStatus.FINISHED},
        rejects=rejects,
        api_calls=run.api_calls,
        remote_rows=run.remote_rows,
        seconds=seconds,
    )

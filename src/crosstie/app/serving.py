"""The service: fires schedules, and gives each workflow that has something to do a process of its own.

Any number of services work on one database. A firing is a transaction that only one of them can commit; a workflow is
held by the one process that carries its runs on. Whoever serves can be killed at any moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from crosstie.app.control import Control, Definitions
from crosstie.db.database import Database, Transaction, parse_instant
from crosstie.errors import ConfigError, DatabaseError
from crosstie.workflow import firing, history, instances, pauses
from crosstie.workflow.clock import Clock
from crosstie.workflow.holding import Hold
from crosstie.workflow.instances import WorkflowStatus
from crosstie.workflow.sweeping import sweep
from crosstie.workflow.watcher import add_message

POLL_SECONDS = 1.0
# Housekeeping: history, paused workflows, orphaned work tables.
_HOUSEKEEPING = timedelta(hours=1)
# A runner that has not applied a stop after this is killed.
_STOPS_WITHIN = timedelta(seconds=6)
# How long runners have to end when the service does.
_ENDS_WITHIN_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 60.0
# Exit codes after which everything was said and recorded already: 0 done, 1 failed, 2 a mistake, 4 waits for a person.
_TOLD = (0, 1, 2, 4)
_MOST_SERVICES = 8

_OUTLOOK = """
select w.name, w.status,
  (select count(*) from crosstie.run r
    where r.workflow = w.name and r.served = 1 and r.status in ('running', 'interrupted')),
  (select count(*) from crosstie.run r where r.workflow = w.name and r.served = 1 and r.status = 'waiting'),
  (select min(t.due_at) from crosstie.run r join crosstie.task t on t.run = r.id
    where r.workflow = w.name and r.served = 1 and r.status = 'waiting' and t.status = 'waiting'),
  (select count(*) from crosstie.request q where q.workflow = w.name and q.done_at is null),
  (select min(q.at) from crosstie.request q where q.workflow = w.name and q.done_at is null and q.action = 'stop'),
  (select min(s.next_at) from crosstie.schedule s where s.workflow = w.name and s.activity <> '')
from crosstie.workflow w
where w.status = 'started'
  or exists (select 1 from crosstie.request q where q.workflow = w.name and q.done_at is null)
order by w.name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outlook:
    """What a workflow has to do: runs to carry on now and runs that wait (the first is due at `due`), open requests,
    the oldest stop among them, and the next firing."""

    workflow: str
    started: bool
    running: int
    waiting: int
    due: datetime | None
    asked: int
    stop_since: datetime | None
    next_at: datetime | None

    def has_work(self, now: datetime) -> bool:
        """Whether a runner would find something to do now."""
        return self.started and (self.running > 0 or (self.due is not None and self.due <= now))

    def is_over(self) -> bool:
        """Whether nothing will ever happen in it any more."""
        return self.started and not (self.running or self.waiting or self.asked) and self.next_at is None


class Child(Protocol):
    """A process that carries one workflow on."""

    def poll(self) -> int | None:
        """Its exit code, None while it lives; negative for a signal."""
        ...

    def end(self) -> None:
        """Asks it to end: its runs are gone on with later."""
        ...

    def kill(self) -> None:
        """Ends it at once."""
        ...


@dataclass(slots=True)
class _Pause:
    """How long a workflow is left alone after its runner ended badly."""

    failures: int = 0
    until: float = 0.0

    def longer(self) -> None:
        """The first time it is tried again at once."""
        self.failures += 1
        seconds = 0.0 if self.failures == 1 else 2.0 ** (self.failures - 2)
        self.until = time.monotonic() + min(_LONGEST_PAUSE_SECONDS, seconds)


class Service:
    """What `crosstie serve` does. `spawn` begins a process for a workflow; `say` tells a person at the terminal."""

    def __init__(
        self,
        *,
        db: Database,
        workflows: Definitions,
        control: Control,
        clock: Clock,
        spawn: Callable[[str], Child],
        workers: int,
        say: Callable[[str], None],
    ) -> None:
        self._db = db
        self._workflows = workflows
        self._control = control
        self._clock = clock
        self._spawn = spawn
        self._workers = workers
        self._say = say
        self._children: dict[str, Child] = {}
        self._pauses: dict[str, _Pause] = {}
        self._served_last: dict[str, float] = {}
        self._kept_house: datetime | None = None
        self._trouble = ""

    def run(self, wait: Callable[[float], bool]) -> None:
        """Serves until `wait` (which sleeps so many seconds at most) says that it is time to end; then lets its
        runners end."""
        try:
            with self._named():
                while True:
                    self._tick_if_possible()
                    if wait(POLL_SECONDS):
                        return
        finally:
            self._end_children()

    def _tick_if_possible(self) -> None:
        """A database that is away for a while ends nothing: it is tried again."""
        try:
            self.tick()
        except DatabaseError as error:
            if error.message != self._trouble:
                self._say(f"! {error.message} It is tried again.")
            self._trouble = error.message
        else:
            if self._trouble:
                self._say("The database is back.")
            self._trouble = ""

    def tick(self) -> None:
        """One look at what there is to do; costs a query when there is nothing."""
        now = self._clock.now()
        ended_badly = self._reap()
        outlooks = self._look()
        self._pause(ended_badly, frozenset(one.workflow for one in outlooks if one.has_work(now)))
        if any(one.started and one.next_at is not None and one.next_at <= now for one in outlooks):
            self._fire(now)
            outlooks = self._look()
        for one in outlooks:
            if one.asked:
                self._attend(one, now)
            elif one.is_over() and one.workflow not in self._children:
                self._finish(one.workflow)
        self._serve([one.workflow for one in outlooks if one.has_work(now)])
        if self._kept_house is None or now - self._kept_house >= _HOUSEKEEPING:
            self._kept_house = now
            self._keep_house(now)

    def _look(self) -> list[_Outlook]:
        with self._db.reading() as transaction:
            return _outlooks(transaction)

    def _fire(self, now: datetime) -> None:
        with self._db.reading() as transaction:
            due = firing.due(transaction, now)
        for one in due:
            run = firing.fire(self._db, one, now)
            if run is not None:
                self._say(f"{one.workflow}: {one.activity} fires, run {run}")

    def _attend(self, one: _Outlook, now: datetime) -> None:
        """Sees to requests: a living runner hears of them by itself, unless it is stuck."""
        child = self._children.get(one.workflow)
        if child is None:
            if not self._is_held(one.workflow):
                self._control.settle(one.workflow)
        elif one.stop_since is not None and now - one.stop_since > _STOPS_WITHIN:
            self._say(f"! {one.workflow}: its runner does not stop, and is killed")
            child.kill()

    def _finish(self, workflow: str) -> None:
        """No task is left and no schedule: the workflow is finished."""
        with self._db.transaction(f"{workflow} is finished") as transaction:
            instances.lock_status(transaction, workflow)
            again = [one for one in _outlooks(transaction) if one.workflow == workflow]
            if all(one.is_over() for one in again):
                instances.move_status(
                    transaction,
                    workflow,
                    WorkflowStatus.FINISHED,
                    self._clock.now(),
                    "serve",
                    out_of=[WorkflowStatus.STARTED],
                )

    def _serve(self, names: Sequence[str]) -> None:
        """Begins a process for each workflow that has none anywhere, those first that were served the longest ago."""
        for name in sorted(names, key=lambda one: self._served_last.get(one, 0.0)):
            if len(self._children) >= self._workers:
                return
            pause = self._pauses.get(name)
            if name in self._children or (pause is not None and time.monotonic() < pause.until):
                continue
            if self._is_held(name):
                continue
            self._served_last[name] = time.monotonic()
            self._children[name] = self._spawn(name)

    def _is_held(self, workflow: str) -> bool:
        return bool(self._db.holder(Hold(self._db, workflow).name))

    def _reap(self) -> tuple[str, ...]:
        """Forgets the runners that have ended; the workflows of those that ended badly."""
        ended_badly = []
        for name, child in tuple(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            del self._children[name]
            if code == 0:
                self._pauses.pop(name, None)
                continue
            ended_badly.append(name)
            if code not in _TOLD:
                ended = f"by signal {-code}" if code < 0 else f"with exit code {code}"
                self._warn(name, f"The runner of {name} ended {ended}; its runs are gone on with.")
        return tuple(ended_badly)

    def _pause(self, ended_badly: Sequence[str], with_work: frozenset[str]) -> None:
        """Leaves a workflow alone for a while whose runner ended badly although there was more to do."""
        for name in ended_badly:
            if name in with_work:
                self._pauses.setdefault(name, _Pause()).longer()
            else:
                self._pauses.pop(name, None)

    def _warn(self, workflow: str, text: str) -> None:
        self._say(f"! {text}")
        with self._db.transaction("log") as transaction:
            add_message(
                transaction,
                at=self._clock.now(),
                workflow=workflow,
                run=None,
                task=None,
                activity="",
                level="warning",
                text=text,
                details={},
            )

    def _keep_house(self, now: datetime) -> None:
        """Removes history that is too old and work tables that nobody names, and looks after paused workflows."""
        with self._db.reading() as transaction:
            found = instances.instances(transaction)
        for one in found:
            try:
                settings = self._workflows.settings(one.workflow)
            except ConfigError as error:
                self._say(f"! {one.workflow}: {error.message}")
                continue
            told = pauses.look_after(self._db, one, settings, now)
            if told:
                self._say(f"! {told}")
            if settings.keep_history:
                history.purge(self._db, one.workflow, now - settings.keep_history)
        sweep(self._db)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Keeps the first free name of a service while it lives, so that others can see how many there are."""
        for number in range(1, _MOST_SERVICES + 1):
            with self._db.hold(f"serve {number}") as held:
                if held:
                    yield
                    return
        yield

    def _end_children(self) -> None:
        for child in self._children.values():
            child.end()
        until = time.monotonic() + _ENDS_WITHIN_SECONDS
        while self._children and time.monotonic() < until:
            self._children = {name: child for name, child in self._children.items() if child.poll() is None}
            time.sleep(0.05)
        for child in self._children.values():
            child.kill()


def _outlooks(transaction: Transaction) -> list[_Outlook]:
    return [
        _Outlook(
            workflow=str(row[0]),
            started=str(row[1]) == WorkflowStatus.STARTED,
            running=int(row[2]),
            waiting=int(row[3]),
            due=parse_instant(str(row[4])) if row[4] else None,
            asked=int(row[5]),
            stop_since=parse_instant(str(row[6])) if row[6] else None,
            next_at=parse_instant(str(row[7])) if row[7] else None,
        )
        for row in transaction.rows(_OUTLOOK)
    ]


def services(db: Database) -> tuple[str, ...]:
    """The processes that serve this database, for people."""
    named = (db.holder(f"serve {number}") for number in range(1, _MOST_SERVICES + 1))
    return tuple(one for one in named if one)

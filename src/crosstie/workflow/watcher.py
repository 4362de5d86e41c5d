"""What a person sees while a workflow runs, and what is kept of it in the log."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from crosstie.db.database import Database, Transaction, instant_text, parse_instant
from crosstie.workflow.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A line of the log: `level` is info, warning or error, `id` 0 before it is kept."""

    at: datetime
    workflow: str
    run: int
    task: int | None
    activity: str
    level: str
    text: str
    details: Mapping[str, object]
    id: int = 0


class Watcher(Protocol):
    """Told of what happens in a run, on the runner's thread or a loader's. Must be quick and must not raise."""

    def run_begun(self, run: int, workflow: str, resumed: bool) -> None:
        """A run begins, or goes on where it stopped."""
        ...

    def activity_begun(self, run: int, task: int, activity: str, kind: str) -> None:
        """An activity begins to work."""
        ...

    def rows(self, activity: str, rows: int, expected: int | None, calls: int) -> None:
        """So many rows are loaded, of so many expected (None: unknown), with so many API calls in the run."""
        ...

    def activity_ended(self, run: int, task: int, activity: str, counts: Mapping[str, int], seconds: float) -> None:
        """An activity ended well."""
        ...

    def activity_failed(self, run: int, task: int, activity: str, error: str) -> None:
        """An activity failed and the run goes on: the error is ignored, or takes its transition. The log has it too."""
        ...

    def message(self, message: Message) -> None:
        """A line of the log."""
        ...


class Silent:
    """A watcher that shows nothing."""

    def run_begun(self, run: int, workflow: str, resumed: bool) -> None:
        """Shows nothing."""

    def activity_begun(self, run: int, task: int, activity: str, kind: str) -> None:
        """Shows nothing."""

    def rows(self, activity: str, rows: int, expected: int | None, calls: int) -> None:
        """Shows nothing."""

    def activity_ended(self, run: int, task: int, activity: str, counts: Mapping[str, int], seconds: float) -> None:
        """Shows nothing."""

    def activity_failed(self, run: int, task: int, activity: str, error: str) -> None:
        """Shows nothing."""

    def message(self, message: Message) -> None:
        """Shows nothing."""


def add_message(
    transaction: Transaction,
    *,
    at: datetime,
    workflow: str,
    run: int | None,
    task: int | None,
    activity: str,
    level: str,
    text: str,
    details: Mapping[str, object],
) -> None:
    """Keeps a line of the log; without run it is about the workflow as a whole."""
    transaction.execute(
        "insert into crosstie.log (at, workflow, run, task, activity, level, text, details)"
        " values (:at, :workflow, :run, :task, :activity, :level, :text, :details)",
        {
            "at": instant_text(at),
            "workflow": workflow,
            "run": run,
            "task": task,
            "activity": activity,
            "level": level,
            "text": text,
            "details": json.dumps(dict(details), ensure_ascii=False, default=str),
        },
    )


def keep_message(transaction: Transaction, message: Message) -> None:
    """Keeps a line of a run's log."""
    add_message(
        transaction,
        at=message.at,
        workflow=message.workflow,
        run=message.run,
        task=message.task,
        activity=message.activity,
        level=message.level,
        text=message.text,
        details=message.details,
    )


def messages(transaction: Transaction, run: int, after: int = 0) -> tuple[Message, ...]:
    """The log of a run, oldest first; only what has a greater number than `after`."""
    rows = transaction.rows(
        "select at, workflow, run, task, activity, level, text, details, id from crosstie.log"
        " where run = :run and id > :after order by id",
        {"run": run, "after": after},
    )
    return tuple(
        Message(
            at=parse_instant(str(row[0])),
            workflow=str(row[1]),
            run=int(row[2]),
            task=None if row[3] is None else int(row[3]),
            activity=str(row[4] or ""),
            level=str(row[5]),
            text=str(row[6]),
            details=json.loads(str(row[7] or "{}")),
            id=int(row[8]),
        )
        for row in rows
    )


@dataclass(slots=True, kw_only=True)
class TaskLog:
    """The log of one task: shown at once, kept in the database."""

    db: Database
    watcher: Watcher
    clock: Clock
    workflow: str
    run: int
    task: int | None
    activity: str
    _later: list[Message] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def info(self, text: str, **details: object) -> None:
        """Something to know."""
        self._say("info", text, details)

    def warning(self, text: str, **details: object) -> None:
        """Something to look at."""
        self._say("warning", text, details)

    def error(self, text: str, **details: object) -> None:
        """Something that failed."""
        self._say("error", text, details)

    def later(self, text: str, details: Mapping[str, object]) -> None:
        """Something to know that cannot be kept now: `flush` or `flush_into` does."""
        message = self._message("info", text, details)
        with self._guard:
            self._later.append(message)

    def flush(self) -> None:
        """Keeps what was said by `later`."""
        if self._later:
            with self.db.transaction("log") as transaction:
                self.flush_into(transaction)

    def flush_into(self, transaction: Transaction) -> None:
        """Keeps what was said by `later` as part of a transaction."""
        with self._guard:
            said, self._later = self._later, []
        for message in said:
            self.watcher.message(message)
            keep_message(transaction, message)

    def _message(self, level: str, text: str, details: Mapping[str, object]) -> Message:
        return Message(
            at=self.clock.now(),
            workflow=self.workflow,
            run=self.run,
            task=self.task,
            activity=self.activity,
            level=level,
            text=text,
            details=details,
        )

    def _say(self, level: str, text: str, details: Mapping[str, object]) -> None:
        message = self._message(level, text, details)
        self.watcher.message(message)
        with self.db.transaction("log") as transaction:
            keep_message(transaction, message)

"""Looks from time to time whether the CRMs still describe what was collected, and tells who uses it."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from crosstie.app.schema_effects import Comparison
from crosstie.app.schemas import Schemas
from crosstie.app.workflows import Workflows
from crosstie.db.database import Database, Transaction, instant_text
from crosstie.errors import ConfigError, CrosstieError
from crosstie.workflow.notices import Notice, notify
from crosstie.workflow.watcher import add_message

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
_ENDS_WITHIN_SECONDS = 5.0


class SchemaWatch:
    """`app.schema_watch`. Any number of processes may watch: each account is looked at by one of them at a time, and
    each difference is told once. `every` zero: only when asked."""

    def __init__(
        self, db: Database, schemas: Schemas, workflows: Workflows, every: timedelta, now: Callable[[], datetime]
    ) -> None:
        self._db = db
        self._schemas = schemas
        self._workflows = workflows
        self._every = every
        self._now = now

    def look(self, *, due_only: bool = False) -> tuple[str, ...]:
        """Compares what was collected with the CRMs; with `due_only` where that was not done for as long as is set.
        What is new since people were last told is put into the log of the workflows that it concerns, sent to their
        supervisors, and answered. A CRM that cannot be reached is named, and the next look asks it again."""
        told = []
        for account in self._due(self._now() - self._every if due_only else self._now()):
            try:
                found = self._schemas.diff(account)
            except CrosstieError as error:
                told.append(f"What was collected from {account} could not be compared: {error.message}")
                continue
            told += [text for one in found if (text := self._tell(one))]
        return tuple(told)

    def _due(self, before: datetime) -> list[str]:
        """The accounts to look at, which nobody else takes from now on."""
        with self._db.reading() as transaction:
            rows = transaction.rows("select distinct account from crosstie.schema order by account")
        due = []
        for (account,) in rows:
            with self._db.transaction(f"comparing {account} with its CRM") as transaction:
                taken = transaction.execute(
                    "update crosstie.schema set looked_at = :now where account = :account and looked_at <= :before",
                    {"now": instant_text(self._now()), "account": account, "before": instant_text(before)},
                )
            if taken:
                due.append(str(account))
        return due

    def _tell(self, one: Comparison) -> str:
        schema = one.schema
        keys = {"account": schema.account, "object": schema.object.name}
        text = _text(one) if one.differs else ""
        digest = hashlib.sha256(text.encode()).hexdigest()[:24] if text else ""
        with self._db.transaction(f"{schema.object.name} of {schema.account} was compared") as transaction:
            row = transaction.row(
                "select told from crosstie.schema where account = :account and object = :object", keys
            )
            if row is None or row[0] == digest:
                return ""
            transaction.execute(
                "update crosstie.schema set told = :told where account = :account and object = :object",
                {**keys, "told": digest},
            )
            if text:
                for workflow in one.workflows:
                    self._tell_workflow(transaction, workflow, text)
        return text

    def _tell_workflow(self, transaction: Transaction, workflow: str, text: str) -> None:
        add_message(
            transaction,
            at=self._now(),
            workflow=workflow,
            run=None,
            task=None,
            activity="",
            level="warning",
            text=text,
            details={},
        )
        try:
            settings = self._workflows.settings(workflow)
        except ConfigError as error:  # its definition cannot be read; what is wrong with it is told when it is to run
            log.info("%s: %s", workflow, error.message)
            return
        notify(transaction, settings, Notice(event="schema changed", message=text), self._now())

    @contextmanager
    def at_work(self, say: Callable[[str], None], every_seconds: float = EVERY_SECONDS) -> Iterator[None]:
        """Looks when it is time, on a thread of its own: a CRM may be slow to answer."""
        if not self._every:
            yield
            return
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                try:
                    for line in self.look(due_only=True):
                        say(f"! {line}")
                except CrosstieError as error:
                    say(f"! {error.message}")
                over.wait(every_seconds)

        thread = threading.Thread(target=watch, name="schema watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(_ENDS_WITHIN_SECONDS)


def _text(one: Comparison) -> str:
    account, name = one.schema.account, one.schema.object.name
    if one.described is None:
        return f"{name} is gone on the CRM of {account}, or hidden from its user. See: crosstie account check {account}"
    changes = "; ".join(change.text for change in one.difference.changes) or "its table lacks columns"
    broken = f" No longer valid once it is taken over: {', '.join(one.mistakes)}." if one.mistakes else ""
    return (
        f"{name} of {account} is described differently than when it was collected: {changes}.{broken} What follows from"
        f" it: crosstie schema diff {account} {name}. Take it over: crosstie schema refresh {account} {name}"
    )

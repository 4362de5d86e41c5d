"""The SQL of a task in the run's log, for workflows with `sql_log: true`: statements with duration and rows, no values.

What is bound is named only, and literals in the text are left out, for people write values into their statements.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from crosstie.db.database import Database, Dialect, Load, Params, Transaction
from crosstie.errors import DatabaseError
from crosstie.model import Column
from crosstie.workflow.holding import HeldDatabase, Hold
from crosstie.workflow.watcher import TaskLog

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST = 4_000
_UNREADABLE = "(a statement that could not be read; not shown, for it may hold values)"


@lru_cache(maxsize=1024)
def without_values(sql: str, dialect: Dialect) -> str:
    """The statement with … in place of each literal, and without comments."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        tokens = sqlglot.tokenize(sql, read="postgres" if dialect == "postgresql" else "sqlite")
    except SqlglotError:
        return _UNREADABLE
    parts: list[str] = []
    end = 0
    for token in tokens:
        kind = token.token_type.name
        parts.append(" " if parts and token.start > end else "")
        parts.append("…" if kind == "NUMBER" or kind.endswith("STRING") else sql[token.start : token.end + 1])
        end = token.end + 1
    shown = "".join(parts)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} …"


@dataclass(slots=True)
class SqlLog:
    """Collects the statements of one task. They are written when none of its transactions is open: on SQLite the log
    would wait for the task itself."""

    log: TaskLog
    dialect: Dialect
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _open: int = 0

    @contextmanager
    def within(self, *, flush: bool = True) -> Iterator[None]:
        """Something is open that the log must not wait for. After a failure the end of the task writes."""
        with self._guard:
            self._open += 1
        well = False
        try:
            yield
            well = True
        finally:
            with self._guard:
                self._open -= 1
                free = flush and well and not self._open
        if free:
            self.log.flush()

    @contextmanager
    def timed(self, sql: str, params: Params | None = None) -> Iterator[list[int]]:
        """Records a statement when it ends; what is put into the list is its number of rows."""
        began = time.monotonic()
        rows: list[int] = []
        details: dict[str, object] = {}
        try:
            yield rows
        except DatabaseError as error:
            details["failed"] = error.code or type(error).__name__
            raise
        finally:
            if rows:
                details["rows"] = sum(rows)
            details["seconds"] = round(time.monotonic() - began, 6)
            if params:
                details["parameters"] = sorted(params)
            self.log.later(f"SQL: {without_values(sql, self.dialect)}", details)


class _LoggedTransaction:
    """See `Transaction`; every statement is recorded."""

    def __init__(self, transaction: Transaction, sql: SqlLog) -> None:
        self._transaction = transaction
        self._sql = sql

    @property
    def dialect(self) -> Dialect:
        """See `Transaction`."""
        return self._transaction.dialect

    def execute(self, sql: str, params: Params | None = None) -> int:
        """See `Transaction`."""
        with self._sql.timed(sql, params) as rows:
            changed = self._transaction.execute(sql, params)
            rows.append(changed)
        return changed

    def rows(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """See `Transaction`."""
        with self._sql.timed(sql, params) as rows:
            found = self._transaction.rows(sql, params)
            rows.append(len(found))
        return found

    def row(self, sql: str, params: Params | None = None) -> tuple[Any, ...] | None:
        """See `Transaction`."""
        with self._sql.timed(sql, params) as rows:
            found = self._transaction.row(sql, params)
            rows.append(0 if found is None else 1)
        return found

    def named_rows(self, sql: str, params: Params | None = None) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """See `Transaction`."""
        with self._sql.timed(sql, params) as rows:
            found = self._transaction.named_rows(sql, params)
            rows.append(len(found[1]))
        return found

    def savepoint(self) -> AbstractContextManager[None]:
        """See `Transaction`."""
        return self._transaction.savepoint()

    def lock(self, name: str) -> None:
        """See `Transaction`."""
        self._transaction.lock(name)


class _LoggedLoad:
    """See `Load`; counts the rows."""

    def __init__(self, load: Load, rows: list[int]) -> None:
        self._load = load
        self._rows = rows

    def write(self, batch: pa.RecordBatch) -> None:
        """See `Load`."""
        self._load.write(batch)
        self._rows.append(batch.num_rows)


class LoggedDatabase(HeldDatabase):
    """The database of a running activity, with every statement in the run's log."""

    def __init__(self, db: Database, hold: Hold, log: TaskLog) -> None:
        super().__init__(db, hold)
        self.sql = SqlLog(log, db.dialect)

    def watched(self, transaction: Transaction) -> Transaction:
        """A transaction that somebody else opened, its statements recorded."""
        return _LoggedTransaction(transaction, self.sql)

    @contextmanager
    def transaction(self, purpose: str) -> Iterator[Transaction]:
        """See `Database`."""
        with self.sql.within(), super().transaction(purpose) as transaction:
            yield self.watched(transaction)

    @contextmanager
    def outside_transaction(self, purpose: str) -> Iterator[Transaction]:
        """See `Database`."""
        with self.sql.within(), super().outside_transaction(purpose) as transaction:
            yield self.watched(transaction)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """See `Database`."""
        with self.sql.within(), super().reading() as transaction:
            yield self.watched(transaction)

    def create_work(self, name: str, columns: Sequence[Column], *, durable: bool = False) -> None:
        """See `Database`."""
        with self.sql.timed(f"create table crosstie.{name}"):
            super().create_work(name, columns, durable=durable)

    @contextmanager
    def load(self, name: str, columns: Sequence[Column], *, expected_rows: int | None = None) -> Iterator[Load]:
        """See `Database`. One entry for the whole load, with its rows."""
        with self.sql.within(), self.sql.timed(f"insert into crosstie.{name}") as rows:
            with super().load(name, columns, expected_rows=expected_rows) as load:
                yield _LoggedLoad(load, rows)

    def read(
        self, sql: str, params: Params | None, columns: Sequence[Column], *, batch_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """See `Database`. Recorded when it is read to the end, or left."""
        with self.sql.within(), self.sql.timed(sql, params) as rows:
            for batch in super().read(sql, params, columns, batch_rows=batch_rows):
                rows.append(batch.num_rows)
                yield batch

    def prepare(self, name: str, index: Sequence[str] = (), *, unique: bool = False) -> None:
        """See `Database`."""
        with self.sql.timed(f"analyze crosstie.{name}"):
            super().prepare(name, index, unique=unique)

    def drop_work(self, names: Sequence[str]) -> None:
        """See `Database`."""
        with self.sql.timed(f"drop table {', '.join(names)}"):
            super().drop_work(names)


@contextmanager
def step_of(db: Database, step: AbstractContextManager[Transaction]) -> Iterator[Transaction]:
    """A step of an activity whose database is `db`."""
    if not isinstance(db, LoggedDatabase):
        with step as transaction:
            yield transaction
        return
    with db.sql.within(), step as transaction:
        yield db.watched(transaction)


@contextmanager
def effect_of(db: Database, transaction: Transaction) -> Iterator[Transaction]:
    """The transaction that publishes, for the effect of an activity whose database is `db`: its statements are kept
    with it."""
    if not isinstance(db, LoggedDatabase):
        yield transaction
        return
    with db.sql.within(flush=False):
        yield db.watched(transaction)
    db.sql.log.flush_into(transaction)

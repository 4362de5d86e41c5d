"""A runner's hold of a workflow, and the database as a running activity sees it: nothing is written without the hold.

The hold can be lost while an activity works (the lock's connection is cut, its file removed), and another runner may
have taken the run over. A local question before every request and every batch notices the first, the run's epoch in
every transaction the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from crosstie.db.database import Database, Dialect, Load, Params, Transaction
from crosstie.errors import BrakeError, CrosstieError, DatabaseError
from crosstie.model import Column, Table
from crosstie.workflow import state

if TYPE_CHECKING:
    import pyarrow as pa

HOLD_LOST = "HOLD_LOST"


class Hold:
    """One process's hold of one workflow, and of its run once that is taken."""

    def __init__(self, db: Database, workflow: str) -> None:
        self._db = db
        self._workflow = workflow
        self._run = 0
        self._epoch = 0
        self._ended = False

    @property
    def name(self) -> str:
        """The name of the lock."""
        return f"workflow {self._workflow}"

    def refusal(self) -> BrakeError:
        """What a second runner is told."""
        by = self._db.holder(self.name)
        return BrakeError(
            f"Workflow {self._workflow} is being run by another process{f' ({by})' if by else ''}.",
            hint=f"Wait until it has ended. How far it is: crosstie log --workflow {self._workflow}",
        )

    def take(self, transaction: Transaction, run: int, version: int, *, kept: bool = False) -> None:
        """Takes the run: from now on every other runner of it is refused. `kept`: see `state.take_run`."""
        self._run, self._epoch = run, state.take_run(transaction, run, version, kept=kept)

    def is_lost(self) -> bool:
        """Whether the lock is not ours any more."""
        return not self._db.still_holds(self.name)

    def check(self) -> None:
        """Raises DatabaseError when the lock is not ours any more, or the run is being ended. Costs microseconds."""
        if self.is_lost():
            raise self.lost()
        if self._ended:
            raise DatabaseError(f"Run {self._run} is being ended; nothing more is written.", code=state.TAKEN_OVER)

    def end(self) -> None:
        """From now on nothing new is begun in the run; what is being written is not ended by this."""
        self._ended = True

    def lost(self, cause: CrosstieError | None = None) -> DatabaseError:
        """The end of a runner without hold; `cause` is what failed with it, if anything did."""
        cut = "the connection that held it was cut" if self._db.dialect == "postgresql" else "its lock file was removed"
        failed = f" ({cause.message})" if cause is not None and cause.code != HOLD_LOST else ""
        return DatabaseError(
            f"The hold of workflow {self._workflow} was lost: {cut}{failed}. Run {self._run} stopped here; nothing more"
            " was sent to the CRM or written.",
            hint=f"Nothing is lost: crosstie run {self._workflow} goes on where it stopped.",
            code=HOLD_LOST,
            retry=True,
        )

    def publish(self, transaction: Transaction) -> None:
        """Raises DatabaseError when another runner has taken the run; else nobody takes it, and no other branch of it
        publishes, until this transaction ends."""
        state.check_epoch(transaction, self._run, self._epoch)

    def write(self, transaction: Transaction) -> None:
        """Raises DatabaseError when another runner has taken the run; else nobody takes it until this transaction
        ends."""
        state.confirm_epoch(transaction, self._run, self._epoch)


class HeldDatabase:
    """The database of a running activity; see `Database`. Reads as always, writes only as long as the hold is ours."""

    def __init__(self, db: Database, hold: Hold) -> None:
        self._db = db
        self._hold = hold

    @property
    def dialect(self) -> Dialect:
        """See `Database`."""
        return self._db.dialect

    @property
    def id(self) -> str:
        """See `Database`."""
        return self._db.id

    @property
    def place(self) -> str:
        """See `Database`."""
        return self._db.place

    @contextmanager
    def transaction(self, purpose: str) -> Iterator[Transaction]:
        """See `Database`. Raises DatabaseError when the hold is lost or the run was taken over."""
        self._hold.check()
        with self._db.transaction(purpose) as transaction:
            self._hold.write(transaction)
            yield transaction

    def outside_transaction(self, purpose: str) -> AbstractContextManager[Transaction]:
        """See `Database`. Raises DatabaseError when the hold is lost; what is at work then is not taken back."""
        self._hold.check()
        return self._db.outside_transaction(purpose)

    def reading(self) -> AbstractContextManager[Transaction]:
        """See `Database`."""
        return self._db.reading()

    def reflect(self, name: str) -> Table | None:
        """See `Database`."""
        return self._db.reflect(name)

    def tables(self) -> tuple[str, ...]:
        """See `Database`."""
        return self._db.tables()

    def quote(self, name: str) -> str:
        """See `Database`."""
        return self._db.quote(name)

    def quote_table(self, name: str) -> str:
        """See `Database`."""
        return self._db.quote_table(name)

    def create_table(self, transaction: Transaction, table: Table) -> None:
        """See `Database`."""
        self._db.create_table(transaction, table)

    def add_columns(self, transaction: Transaction, name: str, columns: Sequence[Column]) -> None:
        """See `Database`."""
        self._db.add_columns(transaction, name, columns)

    def rename_column(self, transaction: Transaction, name: str, old: str, new: str) -> None:
        """See `Database`."""
        self._db.rename_column(transaction, name, old, new)

    def widen_columns(self, transaction: Transaction, name: str, columns: Sequence[Column]) -> None:
        """See `Database`."""
        self._db.widen_columns(transaction, name, columns)

    def create_work(self, name: str, columns: Sequence[Column], *, durable: bool = False) -> None:
        """See `Database`. Raises DatabaseError when the hold is lost."""
        self._hold.check()
        self._db.create_work(name, columns, durable=durable)

    @contextmanager
    def load(self, name: str, columns: Sequence[Column], *, expected_rows: int | None = None) -> Iterator[Load]:
        """See `Database`. Each batch raises DatabaseError when the hold is lost."""
        self._hold.check()
        with self._db.load(name, columns, expected_rows=expected_rows) as load:
            yield _HeldLoad(load, self._hold)

    def read(
        self, sql: str, params: Params | None, columns: Sequence[Column], *, batch_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """See `Database`."""
        return self._db.read(sql, params, columns, batch_rows=batch_rows)

    def prepare(self, name: str, index: Sequence[str] = (), *, unique: bool = False) -> None:
        """See `Database`. Raises DatabaseError when the hold is lost."""
        self._hold.check()
        self._db.prepare(name, index, unique=unique)

    def work_tables(self) -> tuple[str, ...]:
        """See `Database`."""
        return self._db.work_tables()

    def drop_work(self, names: Sequence[str]) -> None:
        """See `Database`. Raises DatabaseError when the hold is lost."""
        self._hold.check()
        self._db.drop_work(names)

    def hold(self, name: str) -> AbstractContextManager[bool]:
        """See `Database`."""
        return self._db.hold(name)

    def still_holds(self, name: str) -> bool:
        """See `Database`."""
        return self._db.still_holds(name)

    def holder(self, name: str) -> str:
        """See `Database`."""
        return self._db.holder(name)

    def call(self, name: str, by: str) -> None:
        """See `Database`."""
        self._db.call(name, by)

    def heed(self, name: str) -> str | None:
        """See `Database`."""
        return self._db.heed(name)

    def interrupt(self, thread: int) -> None:
        """See `Database`."""
        self._db.interrupt(thread)

    def close(self) -> None:
        """See `Database`."""
        self._db.close()


class _HeldLoad:
    """A load that ends with the hold."""

    def __init__(self, load: Load, hold: Hold) -> None:
        self._load = load
        self._hold = hold

    def write(self, batch: pa.RecordBatch) -> None:
        """See `Load`."""
        self._hold.check()
        self._load.write(batch)

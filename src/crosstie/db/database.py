"""What the marketing database is to the rest of the house: SQLite and PostgreSQL behind one small interface.

SQL written elsewhere in the house is the common subset of both dialects, with `:name` parameters. The product's own
tables are written `crosstie.<name>`; SQLite, which must not ATTACH, stores them as `crosstie_<name>` and translates.
Instants in the product's own tables are fixed-width UTC text on both (`instant_text`), booleans are 0 or 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from crosstie.model import Column, Table

if TYPE_CHECKING:
    import pyarrow as pa

Dialect = Literal["sqlite", "postgresql"]
Params = Mapping[str, object]


def instant_text(instant: datetime) -> str:
    """An aware instant as fixed-width UTC text that sorts: 2026-11-23T01:07:37.000000Z. Raises ValueError if naive."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def parse_instant(text: str) -> datetime:
    """The aware UTC instant of `instant_text`."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


class Transaction(Protocol):
    """An open transaction. Raises DatabaseError; `retry` is set for deadlock, serialisation and lock time-outs."""

    @property
    def dialect(self) -> Dialect:
        """Which dialect the statements run in."""
        ...

    def execute(self, sql: str, params: Params | None = None) -> int:
        """Runs one statement; the number of rows it changed (0 where the database does not say)."""
        ...

    def rows(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """All rows of a small result."""
        ...

    def row(self, sql: str, params: Params | None = None) -> tuple[Any, ...] | None:
        """The first row, or None."""
        ...

    def named_rows(self, sql: str, params: Params | None = None) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """The names of the columns of a small result, and all its rows."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """A part that can fail and be undone alone."""
        ...

    def lock(self, name: str) -> None:
        """Waits until no other transaction has the lock of that name, and keeps it to the end of this one: for those
        who would otherwise write the same rows in different orders, and end in a deadlock. On SQLite a write
        transaction is alone anyway."""
        ...


class Load(Protocol):
    """A bulk load under way into one private table."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds a batch whose columns are those of the table, in its order and with `arrow_type` of each."""
        ...


class Database(Protocol):
    """The marketing database. Thread-safe: each transaction, load and read uses a connection of its own."""

    @property
    def dialect(self) -> Dialect:
        """`sqlite` or `postgresql`."""
        ...

    @property
    def id(self) -> str:
        """The random id held in the database, by which a copy is known."""
        ...

    @property
    def place(self) -> str:
        """The URL or path for people, without password."""
        ...

    def transaction(self, purpose: str) -> AbstractContextManager[Transaction]:
        """A durable write transaction; committed when the block ends well. `purpose` is what a person who waits
        for the lock is told. Never hold one across a network wait."""
        ...

    def outside_transaction(self, purpose: str) -> AbstractContextManager[Transaction]:
        """A connection on which each statement takes effect at once: for those that refuse a transaction (vacuum)."""
        ...

    def reading(self) -> AbstractContextManager[Transaction]:
        """A consistent read."""
        ...

    def reflect(self, name: str) -> Table | None:
        """A table of people's by name (`schema.table` on PostgreSQL for others than the search path), or None."""
        ...

    def tables(self) -> tuple[str, ...]:
        """The names of people's tables, ours left out."""
        ...

    def quote(self, name: str) -> str:
        """The identifier, safe to write into SQL."""
        ...

    def quote_table(self, name: str) -> str:
        """The name of a table of people's, safe to write into SQL; `schema.table` on PostgreSQL in two parts."""
        ...

    def create_table(self, transaction: Transaction, table: Table) -> None:
        """Creates a table of people's (a generated one), with its key."""
        ...

    def add_columns(self, transaction: Transaction, name: str, columns: Sequence[Column]) -> None:
        """Adds nullable columns to a table."""
        ...

    def rename_column(self, transaction: Transaction, name: str, old: str, new: str) -> None:
        """Renames a column of a table, with its values and indexes."""
        ...

    def widen_columns(self, transaction: Transaction, name: str, columns: Sequence[Column]) -> None:
        """Lets text columns of a generated table hold texts of the length that these have; nothing is rewritten."""
        ...

    def create_work(self, name: str, columns: Sequence[Column], *, durable: bool = False) -> None:
        """Creates an empty private work table `crosstie.<name>`, replacing what an earlier attempt left.

        Work tables need not survive a crash of the database server (PostgreSQL: unlogged, emptied by it): on resume the
        row count is compared. One that is to outlive its run is made `durable`."""
        ...

    def load(
        self, name: str, columns: Sequence[Column], *, expected_rows: int | None = None
    ) -> AbstractContextManager[Load]:
        """A bulk load into work table `crosstie.<name>` by the fastest road for that many rows. Commits in slices,
        each batch whole; leaving by an exception leaves the table with what was committed."""
        ...

    def read(
        self, sql: str, params: Params | None, columns: Sequence[Column], *, batch_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Streams a result as typed batches (`arrow_type` of each column), in flat memory."""
        ...

    def prepare(self, name: str, index: Sequence[str] = (), *, unique: bool = False) -> None:
        """Analyses work table `crosstie.<name>`, and indexes those columns, before it is joined."""
        ...

    def work_tables(self) -> tuple[str, ...]:
        """Names (without namespace) of all tables and views of ours that begin with `w_`, for sweeping."""
        ...

    def drop_work(self, names: Sequence[str]) -> None:
        """Drops work tables or views; a missing one is no error. One that somebody is using (PostgreSQL: a long read,
        a load of a runner that was taken over) is left for the next time."""
        ...

    def hold(self, name: str) -> AbstractContextManager[bool]:
        """Tries to take a lock that the system frees when this process or connection ends (PostgreSQL: session
        advisory lock; SQLite: an operating-system lock on a file beside it). Gives False when somebody else has it."""
        ...

    def still_holds(self, name: str) -> bool:
        """Whether the lock of that name, taken by `hold`, is still ours: on PostgreSQL its connection may have died, on
        SQLite its file may have been removed. Costs microseconds: it is asked with every request and every batch."""
        ...

    def holder(self, name: str) -> str:
        """Who has the lock of that name, for people: process, machine, since when. '' when nobody or not known."""
        ...

    def call(self, name: str, by: str) -> None:
        """Asks the holder of the lock of that name to stop what it is doing, where that keeps others from writing
        (SQLite), so that what they want of it can be recorded. `by` is who asks, for people. Does nothing where writers
        don't wait for each other."""
        ...

    def heed(self, name: str) -> str | None:
        """Who has called since the last time, '' where that is not known, None when nobody has; asked by the holder.
        Costs microseconds."""
        ...

    def interrupt(self, thread: int) -> None:
        """Cancels the statements that the thread of that ident is executing now: they raise DatabaseError."""
        ...

    def close(self) -> None:
        """Closes every connection and loader."""
        ...

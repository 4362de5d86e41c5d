"""Connections to one SQLite file, each used by one thread at a time, and the transactions on them."""

from __future__ import annotations

import contextlib
import itertools
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import date, datetime
from datetime import time as wall_time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from crosstie.db.database import Dialect, Params, instant_text
from crosstie.db.locks import TELL_AFTER_SECONDS, writing_turn
from crosstie.db.sqlite.errors import database_error, in_our_words
from crosstie.db.sqlite_functions import register_sqlite_functions
from crosstie.db.statements import for_sqlite
from crosstie.errors import DatabaseError

BUSY_MILLISECONDS = 3_000
# Other programs that hold the file's lock are waited for this long; programs of ours queue without limit.
PATIENCE_SECONDS = 60.0
IDLE_CONNECTIONS = 8
CACHE_KIB = 16_384

log = logging.getLogger("crosstie.db")


def storage_value(value: object) -> object:
    """A parameter as SQLite stores it: instants, dates and times as their text, a decimal exact or refused.

    Raises DatabaseError for a decimal that would not come back the same.
    """
    match value:
        case bool():
            return int(value)
        case datetime():
            return instant_text(value) if value.tzinfo else value.isoformat(timespec="microseconds")
        case date():
            return value.isoformat()
        case wall_time():
            return value.isoformat(timespec="microseconds")
        case Decimal():
            return exact_number(value)
    return value


def exact_number(value: Decimal) -> int | float:
    """The number that SQLite stores for a decimal and that reads back the same. Raises DatabaseError if none does."""
    if value == value.to_integral_value() and -(2**63) <= value < 2**63:
        return int(value)
    if len(value.normalize().as_tuple().digits) <= 15 and value.is_finite():
        return float(value)
    raise DatabaseError(
        f"The decimal {value} has more than 15 significant digits: SQLite would round it.",
        hint="Use a PostgreSQL database for such numbers, or import the field as text.",
        code="INEXACT_DECIMAL",
    )


class SqliteTransaction:
    """A transaction on a connection that nobody else uses meanwhile."""

    dialect: Dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection, place: str) -> None:
        self._connection = connection
        self._place = place
        self._savepoints = itertools.count(1)

    def execute(self, sql: str, params: Params | None = None) -> int:
        """See `Transaction`."""
        with contextlib.closing(self._cursor(sql, params)) as cursor, in_our_words(self._place):
            if cursor.description is not None:
                cursor.fetchall()  # a RETURNING clause works as far as it is read
            return max(cursor.rowcount, 0)

    def rows(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """See `Transaction`."""
        with contextlib.closing(self._cursor(sql, params)) as cursor, in_our_words(self._place):
            return cursor.fetchall()

    def row(self, sql: str, params: Params | None = None) -> tuple[Any, ...] | None:
        """See `Transaction`."""
        found = self.rows(sql, params)
        return found[0] if found else None

    def named_rows(self, sql: str, params: Params | None = None) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """See `Transaction`."""
        with contextlib.closing(self._cursor(sql, params)) as cursor, in_our_words(self._place):
            return tuple(str(one[0]) for one in cursor.description or ()), cursor.fetchall()

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `Transaction`."""
        name = f"part_{next(self._savepoints)}"
        self.execute(f"savepoint {name}")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have ended the whole transaction
                self.execute(f"rollback to {name}")
                self.execute(f"release {name}")
            raise
        self.execute(f"release {name}")

    def lock(self, name: str) -> None:
        """See `Transaction`."""

    def _cursor(self, sql: str, params: Params | None) -> sqlite3.Cursor:
        bound = {name: storage_value(value) for name, value in params.items()} if params else {}
        with in_our_words(self._place):
            return self._connection.execute(for_sqlite(sql), bound)


class Connections:
    """The connections of this process to one SQLite file."""

    def __init__(self, path: Path, place: str) -> None:
        self.path = path
        self.place = place
        self._idle: dict[Literal["read", "write"], list[sqlite3.Connection]] = {"read": [], "write": []}
        self._in_use: dict[sqlite3.Connection, int] = {}
        self._guard = threading.Lock()
        self._closed = False
        self._thread = threading.local()

    def open(self) -> sqlite3.Connection:
        """A new connection; a commit on it is durable when it returns."""
        connection = sqlite3.connect(
            self.path, timeout=BUSY_MILLISECONDS / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            register_sqlite_functions(connection)
            connection.execute("pragma synchronous = full")
            connection.execute("pragma foreign_keys = on")
            connection.execute("pragma secure_delete = fast")
            connection.execute(f"pragma cache_size = -{CACHE_KIB}")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write."""
        with self._borrowed("read") as connection:
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[SqliteTransaction]:
        """A consistent read."""
        with self.reading() as connection:
            connection.execute("begin")
            try:
                yield SqliteTransaction(connection, self.place)
            finally:
                connection.execute("rollback")

    @contextlib.contextmanager
    def writing(self, purpose: str) -> Iterator[SqliteTransaction]:
        """A write transaction: waits for its turn, commits when the block ends well."""
        with self.turn(purpose), self._borrowed("write") as connection:
            self.begin(connection, purpose)
            try:
                yield SqliteTransaction(connection, self.place)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise
            self.commit(connection)

    @contextlib.contextmanager
    def outside_transaction(self, purpose: str) -> Iterator[SqliteTransaction]:
        """Each statement takes effect at once."""
        with self.turn(purpose), self._borrowed("write") as connection:
            yield SqliteTransaction(connection, self.place)

    @contextlib.contextmanager
    def turn(self, purpose: str) -> Iterator[None]:
        """Our turn to write, among all threads and processes of ours."""
        self.refuse_nested(purpose)
        with contextlib.ExitStack() as stack:
            with in_our_words(self.place):
                stack.enter_context(writing_turn(self.path, purpose))
            self._thread.purpose = purpose
            try:
                yield
            finally:
                self._thread.purpose = None

    def refuse_nested(self, purpose: str) -> None:
        """Raises DatabaseError when this thread is writing already: it would wait for itself."""
        holding: str | None = getattr(self._thread, "purpose", None)
        if holding is not None:
            raise DatabaseError(
                f"“{purpose}” wants to write to {self.place} while “{holding}” is still writing in the same thread.",
                hint="This is a mistake in Crosstie: please report it.",
                code="NESTED_TRANSACTION",
            )

    def begin(self, connection: sqlite3.Connection, purpose: str) -> None:
        """Begins to write, waiting for other programs that have the file's lock."""
        started = time.monotonic()
        told = False
        while True:
            try:
                connection.execute("begin immediate")
            except sqlite3.OperationalError as error:
                waited = time.monotonic() - started
                if error.sqlite_errorname != "SQLITE_BUSY" or waited > PATIENCE_SECONDS:
                    raise database_error(self.place, error.sqlite_errorname, str(error)) from error
                if waited > TELL_AFTER_SECONDS and not told:
                    log.warning("Waiting for %s with “%s”: another program is writing to it", self.place, purpose)
                    told = True
            else:
                return

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commits, or takes everything back and raises DatabaseError."""
        with in_our_words(self.place):
            if not connection.in_transaction:
                raise sqlite3.OperationalError("the transaction was ended by an earlier error")
            try:
                connection.execute("commit")
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise

    def close(self) -> None:
        """Closes the idle connections; those in use are closed when they come back."""
        with self._guard:
            self._closed = True
            idle = [connection for kind in self._idle.values() for connection in kind]
            for kind in self._idle.values():
                kind.clear()
        for connection in idle:
            connection.close()

    @contextlib.contextmanager
    def _borrowed(self, kind: Literal["read", "write"]) -> Iterator[sqlite3.Connection]:
        with self._guard:
            if self._closed:
                raise DatabaseError(f"The database {self.place} is closed.", code="CLOSED")
            connection = self._idle[kind].pop() if self._idle[kind] else None
        if connection is None:
            with in_our_words(self.place):
                connection = self.open()
                if kind == "read":
                    connection.execute("pragma query_only = on")
                    # Only while another process recovers the file or closes it as the last one.
                    connection.execute(f"pragma busy_timeout = {int(PATIENCE_SECONDS * 1000)}")
        with self._guard:
            self._in_use[connection] = threading.get_ident()
        try:
            yield connection
        finally:
            with self._guard:
                del self._in_use[connection]
            self._give_back(kind, connection)

    def interrupt(self, thread: int) -> None:
        """Cancels what the thread of that ident is executing."""
        with self._guard:
            for connection, user in self._in_use.items():
                if user == thread:
                    connection.interrupt()

    def _give_back(self, kind: Literal["read", "write"], connection: sqlite3.Connection) -> None:
        with self._guard:
            if not self._closed and not connection.in_transaction and len(self._idle[kind]) < IDLE_CONNECTIONS:
                self._idle[kind].append(connection)
                return
        connection.close()

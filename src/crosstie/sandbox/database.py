"""One SQLite file with the state of a sandbox: pooled readers, one writer at a time, and named settings."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

SETTINGS = "CREATE TABLE IF NOT EXISTS sandbox_setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"


def make_once(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Makes a new file, beside its place and without a journal, and has it filled; it is moved there when it is
    complete. A file that is there stays as it is.

    A start that was killed leaves a rest that the next one removes.
    """
    if path.exists():
        return
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -64000")
        connection.execute("BEGIN")
        fill(connection)
        connection.execute("COMMIT")
    unfinished.rename(path)


class Database:
    """Opens `path` (made when absent). WAL, so that readers keep a steady view while a writer commits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._idle_lock = threading.Lock()
        self._write_lock = threading.RLock()
        self._writing_thread: int | None = None
        self._writer = self.connect()
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute(SETTINGS)

    def connect(self) -> sqlite3.Connection:
        """A new connection without implicit transactions, usable from any one thread at a time; the caller closes."""
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=60)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA mmap_size = 4000000000")
        connection.execute("PRAGMA cache_size = -16000")
        return connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A pooled connection for one request; within a write transaction of this thread, that one's, so that parts
        of one composite request see what earlier parts wrote.
        """
        if self._writing_thread == threading.get_ident():
            yield self._writer
            return
        with self._idle_lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._idle_lock:
            self._idle.append(connection)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One write transaction, committed on leaving, rolled back on an exception; nests into the outer one."""
        with self._write_lock:
            connection = self._writer
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            self._writing_thread = threading.get_ident()
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            else:
                connection.execute("COMMIT")
            finally:
                self._writing_thread = None

    def setting(self, name: str, default: Any = None) -> Any:
        """The JSON value kept under `name`."""
        with self.reading() as connection:
            row = connection.execute("SELECT value FROM sandbox_setting WHERE name = ?", (name,)).fetchone()
        return default if row is None else msgspec.json.decode(row[0])

    def keep_setting(self, name: str, value: Any) -> None:
        """Keeps a JSON value under `name`, over restarts."""
        text = msgspec.json.encode(value).decode()
        with self.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO sandbox_setting VALUES (?, ?)", (name, text))

    def close(self) -> None:
        """Closes every pooled connection."""
        with self._idle_lock, self._write_lock:
            for connection in [*self._idle, self._writer]:
                connection.close()
            self._idle.clear()

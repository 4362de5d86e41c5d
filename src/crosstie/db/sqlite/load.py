"""Bulk loads into SQLite: in this process for few rows, by the loader child for many. The same values by both roads."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crosstie.db.feeder import Feeder
from crosstie.db.sqlite.connections import Connections
from crosstie.db.sqlite.errors import database_error, in_our_words
from crosstie.db.sqlite.storage import to_storage
from crosstie.db.statements import SQLITE_PREFIX, quote_identifier
from crosstie.db.values import check_batch
from crosstie.errors import DatabaseError
from crosstie.model import Column

if TYPE_CHECKING:
    import pyarrow as pa

Road = Literal["auto", "process", "child"]

# From here on the child pays for its start.
CHILD_FROM_ROWS = 100_000
SLICE_SECONDS = 0.1
IDLE_SECONDS = 0.05
# An insert of so many rows at a time becomes Python values; more is only memory.
ROWS_AT_ONCE = 5_000
PIPE_BYTES = 1 << 20

StoredColumn = Any  # pa.Array | list[int | float | None]


@contextlib.contextmanager
def sqlite_load(
    connections: Connections, name: str, columns: Sequence[Column], expected_rows: int | None, road: Road = "auto"
) -> Iterator[SqliteLoad]:
    """A load into work table `name`; `road` forces one, else it goes by the number of rows, expected or seen."""
    connections.refuse_nested(f"load of {name}")
    load = SqliteLoad(connections, name, tuple(columns), expected_rows, road)
    feeder = Feeder(f"load {name}", load.consume, load.commit, idle_seconds=IDLE_SECONDS)
    load.feeder = feeder
    try:
        yield load
        feeder.finish()
        load.finish()
    except BaseException:
        load.interrupt()
        feeder.abandon()
        load.abandon()
        raise


class SqliteLoad:
    """A load under way. `write` belongs to the caller's thread, `consume`, `commit` to the feeder's."""

    feeder: Feeder

    def __init__(
        self, connections: Connections, name: str, columns: tuple[Column, ...], expected_rows: int | None, road: Road
    ) -> None:
        self._connections = connections
        self._table = SQLITE_PREFIX + name
        self._columns = columns
        self._purpose = f"load of {name}"
        self._road = road
        self._many = road == "child" or (road == "auto" and (expected_rows or 0) >= CHILD_FROM_ROWS)
        self._rows = 0
        self._own: OwnLoad | None = None
        # Its start takes as long as loading some 50,000 rows: begun now, it passes while the first batch is fetched.
        self._child = self._new_child() if self._many else None

    def write(self, batch: pa.RecordBatch) -> None:
        """See `Load`. Raises what went wrong with an earlier batch, too."""
        check_batch(batch, self._columns)
        if batch.num_rows:
            self.feeder.write(batch)

    def consume(self, batch: pa.RecordBatch) -> None:
        """Loads a batch by the road for so many rows."""
        stored = [to_storage(column, array) for column, array in zip(self._columns, batch.columns, strict=True)]
        self._rows += batch.num_rows
        if self._road == "auto" and self._rows >= CHILD_FROM_ROWS:
            self._many = True
        if self._many and not any(isinstance(column, list) for column in stored):
            self.commit()  # the child waits for the turn that we may have
            if self._child is None:
                self._child = self._new_child()
            self._child.write(stored)
        else:
            if self._own is None:
                self._own = OwnLoad(self._connections, self._table, len(self._columns), self._purpose)
            self._own.write(stored, batch.num_rows)

    def _new_child(self) -> ChildLoad:
        return ChildLoad(self._connections, self._table, self._columns, self._purpose)

    def commit(self) -> None:
        """Ends the open slice, so that nothing is held while nothing comes."""
        if self._own is not None:
            self._own.commit()

    def finish(self) -> None:
        """Waits for the child; raises what it reports."""
        if self._own is not None:
            self._own.close()
        if self._child is not None:
            self._child.finish()

    def interrupt(self) -> None:
        """Stops the child, so that the feeder does not wait for it."""
        if self._child is not None:
            self._child.interrupt()

    def abandon(self) -> None:
        """Takes the open slice back, when the feeder has ended."""
        if self._own is not None:
            self._own.close()
        if self._child is not None:
            self._child.kill()


class OwnLoad:
    """Inserts in this process, in slices of whole batches."""

    def __init__(self, connections: Connections, table: str, width: int, purpose: str) -> None:
        self._connections = connections
        self._purpose = purpose
        self._insert = f"insert into {quote_identifier(table)} values ({', '.join('?' * width)})"
        self._connection: sqlite3.Connection | None = None
        self._turn: contextlib.ExitStack | None = None
        self._begun = 0.0

    def write(self, stored: Sequence[StoredColumn], rows: int) -> None:
        """Inserts a batch."""
        with in_our_words(self._connections.place):
            connection = self._begin()
            for start in range(0, rows, ROWS_AT_ONCE):
                part = [column[start : start + ROWS_AT_ONCE] for column in stored]
                cells = [column if isinstance(column, list) else column.to_pylist() for column in part]
                connection.executemany(self._insert, zip(*cells, strict=True))
        if time.monotonic() - self._begun > SLICE_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Ends the slice, if there is one."""
        if self._turn is not None and self._connection is not None:
            self._connections.commit(self._connection)
            self._turn.close()
            self._turn = None

    def close(self) -> None:
        """Closes the connection; an open slice is taken back."""
        if self._connection is not None:
            self._connection.close()
        if self._turn is not None:
            self._turn.close()

    def _begin(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connections.open()
            # Work tables need not outlive a crash of the machine, the file does.
            self._connection.execute("pragma synchronous = normal")
        if self._turn is None:
            turn = contextlib.ExitStack()
            turn.enter_context(self._connections.turn(self._purpose))
            self._turn = turn
            self._connections.begin(self._connection, self._purpose)
            self._begun = time.monotonic()
        return self._connection


class ChildLoad:
    """The loader child and the pipe to it. It dies with us: its input ends."""

    def __init__(self, connections: Connections, table: str, columns: tuple[Column, ...], purpose: str) -> None:
        import pyarrow as pa

        self._place = connections.place
        self._names = [column.name for column in columns]
        source = str(Path(__file__).resolve().parents[3])
        path = os.pathsep.join(part for part in (source, os.environ.get("PYTHONPATH", "")) if part)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "crosstie.db.loader", str(connections.path), table, purpose],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pipesize=PIPE_BYTES,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is ours to handle
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        self._sink = pa.PythonFile(self._pipe, mode="w")
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None

    def write(self, stored: Sequence[pa.Array]) -> None:
        """Sends a batch. Raises what the child reports when it is gone."""
        import pyarrow as pa

        batch = pa.RecordBatch.from_arrays(list(stored), names=self._names)
        try:
            if self._writer is None:
                self._writer = pa.ipc.new_stream(self._sink, batch.schema)
            self._writer.write_batch(batch)
            self._pipe.flush()
        except OSError:
            self.finish()
            raise DatabaseError(
                f"The loader of the SQLite database {self._place} stopped in mid-load.", code="LOADER", retry=True
            ) from None

    def finish(self) -> None:
        """Ends the stream and waits for the answer; DatabaseError when it is not good. No batch, no answer."""
        if self._writer is None:
            self.kill()
            return
        with contextlib.suppress(OSError):  # the child is gone: its answer says why
            self._writer.close()
        self._close_pipe()
        out, err = self._answers()
        if self._process.returncode == 0:
            return
        line = out.decode(errors="replace").strip()
        if line:
            answer = json.loads(line)
            raise database_error(self._place, answer["code"], answer["message"])
        ended = err.decode(errors="replace").strip().splitlines()
        raise DatabaseError(
            f"The loader of the SQLite database {self._place} ended with {self._process.returncode} in mid-load"
            f"{': ' + ended[-1] if ended else ''}.",
            hint="Run again; what was loaded so far is not used.",
            code="LOADER",
            retry=True,
        )

    def interrupt(self) -> None:
        """Ends the child at once; whoever is writing to it is told by the pipe."""
        self._process.kill()

    def kill(self) -> None:
        """Ends the child, if it has not ended, and waits for that."""
        if self._process.returncode is None:
            self._process.kill()
            self._close_pipe()
            self._answers()

    def _close_pipe(self) -> None:
        with contextlib.suppress(OSError):  # what is still buffered has no reader
            self._pipe.close()
        self._process.stdin = None

    def _answers(self) -> tuple[bytes, bytes]:
        """What the child said, when it has ended."""
        return self._process.communicate()

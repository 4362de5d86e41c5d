"""Bulk loads into PostgreSQL: Arrow to binary COPY by pgpq, sent on a thread of its own. See docs/decisions/002."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import psycopg

from crosstie.db.feeder import Feeder
from crosstie.db.postgresql.connections import Connection, Connections
from crosstie.db.postgresql.errors import database_error
from crosstie.db.statements import quote_identifier
from crosstie.db.values import check_batch
from crosstie.model import Column

if TYPE_CHECKING:
    import pgpq
    import pyarrow as pa

# A slice is committed with the batch that passes this, or when nothing comes: no transaction waits for a network.
SLICE_SECONDS = 1.0
IDLE_SECONDS = 0.1
# Batches are cut to about this for encoding: the bytes of a whole one are held at once.
ROWS_AT_ONCE = 8_192


@contextlib.contextmanager
def postgresql_load(connections: Connections, name: str, columns: Sequence[Column]) -> Iterator[PostgresqlLoad]:
    """A load into work table `name`."""
    with connections.borrowed() as connection:
        load = PostgresqlLoad(connections, connection, name, tuple(columns))
        feeder = Feeder(f"load {name}", load.consume, load.commit, idle_seconds=IDLE_SECONDS)
        load.feeder = feeder
        try:
            yield load
            feeder.finish()
        except BaseException:
            feeder.abandon()
            load.abandon()
            raise


class PostgresqlLoad:
    """A load under way. `write` belongs to the caller's thread, `consume` and `commit` to the feeder's."""

    feeder: Feeder

    def __init__(
        self, connections: Connections, connection: Connection, name: str, columns: tuple[Column, ...]
    ) -> None:
        self._place = connections.place
        self._connection = connection
        self._columns = columns
        names = ", ".join(quote_identifier(column.name) for column in columns)
        self._sql = f"copy crosstie.{quote_identifier(name)} ({names}) from stdin with (format binary)".encode()
        self._encoder: pgpq.ArrowToPostgresBinaryEncoder | None = None
        self._encodes: pa.Schema | None = None
        self._slice: contextlib.ExitStack | None = None
        self._copy: psycopg.Copy | None = None
        self._begun = 0.0

    def write(self, batch: pa.RecordBatch) -> None:
        """See `Load`. Raises what went wrong with an earlier batch, too."""
        check_batch(batch, self._columns)
        if batch.num_rows:
            self.feeder.write(batch)

    def consume(self, batch: pa.RecordBatch) -> None:
        """Sends a batch, and commits when the slice is old enough."""
        try:
            copy, encoder = self._open(batch.schema)
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                copy.write(encoder.write_batch(batch.slice(start, ROWS_AT_ONCE)))
        except psycopg.Error as error:
            raise database_error(self._place, error) from error
        if time.monotonic() - self._begun > SLICE_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Ends the slice, if there is one."""
        if self._slice is None or self._copy is None or self._encoder is None:
            return
        open_slice, self._slice = self._slice, None
        try:
            with open_slice:
                self._copy.write(self._encoder.finish())
            self._connection.execute("commit")
        except psycopg.Error as error:
            raise database_error(self._place, error) from error

    def abandon(self) -> None:
        """Takes the open slice back, by ending its connection: that is the end of a COPY in mid-way, too."""
        if self._slice is not None:
            open_slice, self._slice = self._slice, None
            self._connection.close()
            with contextlib.suppress(psycopg.Error):  # it cannot say goodbye any more
                open_slice.close()

    def _open(self, schema: pa.Schema) -> tuple[psycopg.Copy, pgpq.ArrowToPostgresBinaryEncoder]:
        """The open slice and its encoder. Batches of another schema (decimals of another scale) begin a new slice,
        because an encoder keeps bytes back until it is finished."""
        import pgpq

        if self._slice is not None and not schema.equals(self._encodes):
            self.commit()
        if self._slice is None:
            self._encodes = schema
            self._encoder = pgpq.ArrowToPostgresBinaryEncoder(schema)
            self._begin(self._encoder.write_header())
        assert self._copy is not None and self._encoder is not None
        return self._copy, self._encoder

    def _begin(self, header: bytes) -> None:
        # What is lost in a crash of the server is loaded again: work tables are compared by their row count.
        self._connection.execute("begin; set local synchronous_commit = off")
        with contextlib.ExitStack() as stack:
            cursor = stack.enter_context(self._connection.cursor())
            self._copy = stack.enter_context(cursor.copy(self._sql))
            self._copy.write(header)
            self._slice = stack.pop_all()
        self._begun = time.monotonic()

"""Results of PostgreSQL as Arrow batches, by ADBC: it decodes the binary COPY stream as it comes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from psycopg import ClientCursor

from crosstie.db.columns import arrow_schema, arrow_type, postgresql_cast
from crosstie.db.database import Params
from crosstie.db.postgresql.connections import SESSION, Connections, bound
from crosstie.db.postgresql.errors import explained, in_our_words
from crosstie.db.statements import quote_identifier
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

# ADBC ends a batch by its bytes; so many a row are reckoned.
ROW_BYTES = 256
IDLE_CONNECTIONS = 4
# SQLSTATE classes of a connection that is gone; ADBC leaves it empty where the server could not say it.
_LOST = {"", "08", "57"}


class Readers:
    """The ADBC connections of this process to one PostgreSQL database: making one costs more than a small read."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._database: Any = None
        self._idle: list[Any] = []
        self._guard = threading.Lock()

    def read(
        self, sql: str, params: Params | None, columns: Sequence[Column], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """The result's batches, typed as asked; the columns are taken by position."""
        schema = arrow_schema(tuple(columns))
        query = _typed(_complete(self._connections, sql, params), columns)
        with contextlib.ExitStack() as stack, self._in_our_words():
            reader = self._opened(stack, query, batch_rows)
            for batch in reader:
                yield from _cut(_converted(batch, columns, schema), batch_rows)

    def close(self) -> None:
        """Closes the idle connections."""
        with self._guard:
            idle, self._idle = self._idle, []
            database, self._database = self._database, None
        for connection in idle:
            connection.close()
        if database is not None:
            database.close()

    def _opened(self, stack: contextlib.ExitStack, query: str, batch_rows: int) -> pa.RecordBatchReader:
        """The running query; an idle connection that died meanwhile is replaced by a new one, once."""
        import adbc_driver_manager as adbc

        with self._guard:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return self._running(stack, connection, query, batch_rows)
            except adbc.Error as error:
                if str(error.sqlstate or "")[:2] not in _LOST:
                    raise
        return self._running(stack, self._connect(), query, batch_rows)

    def _running(
        self, stack: contextlib.ExitStack, connection: Any, query: str, batch_rows: int
    ) -> pa.RecordBatchReader:
        import adbc_driver_manager as adbc
        import adbc_driver_postgresql
        import pyarrow as pa

        hint = adbc_driver_postgresql.StatementOptions.BATCH_SIZE_HINT_BYTES.value
        with contextlib.ExitStack() as failing:
            failing.callback(connection.close)
            statement = failing.enter_context(contextlib.closing(adbc.AdbcStatement(connection)))
            statement.set_options(**{hint: str(batch_rows * ROW_BYTES)})
            statement.set_sql_query(query)
            stream, _ = statement.execute_query()
            reader = pa.RecordBatchReader._import_from_c(stream.address)
            failing.pop_all()
        stack.callback(self._give_back, connection)
        stack.callback(statement.close)
        stack.callback(reader.close)
        return reader

    def _connect(self) -> Any:
        import adbc_driver_manager as adbc
        import adbc_driver_postgresql

        with self._guard:
            if self._database is None:
                self._database = adbc.AdbcDatabase(
                    driver=adbc_driver_postgresql._driver_path(), uri=self._connections.conninfo
                )
            database = self._database
        connection = adbc.AdbcConnection(database)
        try:
            with contextlib.closing(adbc.AdbcStatement(connection)) as statement:
                for setting in SESSION:
                    statement.set_sql_query(setting)
                    statement.execute_update()
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_back(self, connection: Any) -> None:
        with self._guard:
            if self._database is not None and len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    @contextlib.contextmanager
    def _in_our_words(self) -> Iterator[None]:
        import adbc_driver_manager as adbc
        import pyarrow as pa

        try:
            yield
        except (adbc.Error, pa.ArrowException, OSError) as error:
            raise _database_error(self._connections, error) from error


def _complete(connections: Connections, sql: str, params: Params | None) -> str:
    """The query with its values written in, escaped by the driver for this server."""
    text, values = bound(sql, params)
    if values is None:
        return text.decode()
    with connections.borrowed() as connection, in_our_words(connections.place, connections.secret):
        return ClientCursor(connection).mogrify(text, values)


def _typed(sql: str, columns: Sequence[Column]) -> str:
    """The query with each column cast to the type it is read as; decimals as text of all their digits."""
    names = [f"c{position}" for position in range(len(columns))]
    shown = [_cast(name, column) for name, column in zip(names, columns, strict=True)]
    return f"select {', '.join(shown)} from ({sql}) as q({', '.join(names)})"


def _cast(name: str, column: Column) -> str:
    cast = f"cast(q.{name} as {postgresql_cast(column)})"
    shown = f"cast({cast} as text)" if column.type is ColumnType.DECIMAL else cast
    return f"{shown} as {quote_identifier(column.name)}"


def _converted(batch: pa.RecordBatch, columns: Sequence[Column], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for column, array in zip(columns, batch.columns, strict=True):
        try:
            arrays.append(array if array.type == arrow_type(column) else array.cast(arrow_type(column)))
        except pa.ArrowException as error:
            raise DatabaseError(f"Column {column.name} holds a value that is no {column.type}: {error}.") from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cut(batch: pa.RecordBatch, rows: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _database_error(connections: Connections, error: Exception) -> DatabaseError:
    import adbc_driver_manager as adbc

    text = " ".join(str(error).split())
    code = str(getattr(error, "sqlstate", "") or "")
    lost = not code and isinstance(error, adbc.OperationalError)
    return explained(connections.place, code, text, hint="", lost=lost, secret=connections.secret)

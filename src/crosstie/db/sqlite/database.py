"""The marketing database in a SQLite file: `Database` over it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from crosstie.db import migrations
from crosstie.db.columns import arrow_schema, sqlite_type
from crosstie.db.database import Dialect, Load, Params, Transaction
from crosstie.db.locks import call_holder, heed, hold_path, holder_of, is_file_of, lock_folder, try_hold
from crosstie.db.sqlite.connections import Connections, storage_value
from crosstie.db.sqlite.errors import in_our_words
from crosstie.db.sqlite.reflection import reflect, tables, widened
from crosstie.db.statements import SQLITE_PREFIX, for_sqlite, quote_identifier
from crosstie.errors import DatabaseError
from crosstie.model import Column, Table

if TYPE_CHECKING:
    import pyarrow as pa

    from crosstie.db.sqlite.load import Road

ANALYSIS_ROWS = 1_000


class SqliteDatabase:
    """See `Database`. Several processes may have the file open; it must be on a local disk."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, *, create: bool) -> None:
        self._path = path.absolute()
        self._connections = Connections(self._path, str(path))
        self._held: dict[str, int] = {}
        self._guard = threading.Lock()
        if not self._path.exists():
            self._refuse_missing(create)
        with in_our_words(self.place):
            self._id = self._open(create)

    @property
    def id(self) -> str:
        """See `Database`."""
        return self._id

    @property
    def place(self) -> str:
        """See `Database`."""
        return self._connections.place

    def __repr__(self) -> str:
        return f"<SqliteDatabase {self.place}>"

    def transaction(self, purpose: str) -> AbstractContextManager[Transaction]:
        """See `Database`."""
        return self._connections.writing(purpose)

    def outside_transaction(self, purpose: str) -> AbstractContextManager[Transaction]:
        """See `Database`."""
        return self._connections.outside_transaction(purpose)

    def reading(self) -> AbstractContextManager[Transaction]:
        """See `Database`."""
        return self._connections.snapshot()

    def reflect(self, name: str) -> Table | None:
        """See `Database`."""
        with self.reading() as transaction:
            return reflect(transaction, name)

    def tables(self) -> tuple[str, ...]:
        """See `Database`."""
        with self.reading() as transaction:
            return tables(transaction)

    def quote(self, name: str) -> str:
        """See `Database`."""
        return quote_identifier(name)

    def quote_table(self, name: str) -> str:
        """See `Database`."""
        return quote_identifier(name)

    def create_table(self, transaction: Transaction, table: Table) -> None:
        """See `Database`."""
        parts = [self._declared(column) for column in table.columns]
        if table.key:
            parts.append(f"primary key ({self._names(table.key)})")
        parts += [f"unique ({self._names(columns)})" for columns in table.unique]
        transaction.execute(f"create table {quote_identifier(table.name)} ({', '.join(parts)})")

    def add_columns(self, transaction: Transaction, name: str, columns: Sequence[Column]) -> None:
        """See `Database`."""
        for column in columns:
            transaction.execute(
                f"alter table {quote_identifier(name)} add column {quote_identifier(column.name)} {sqlite_type(column)}"
            )

    def rename_column(self, transaction: Transaction, name: str, old: str, new: str) -> None:
        """See `Database`."""
        renamed = f"rename column {quote_identifier(old)} to {quote_identifier(new)}"
        transaction.execute(f"alter table {quote_identifier(name)} {renamed}")

    def widen_columns(self, transaction: Transaction, name: str, columns: Sequence[Column]) -> None:
        """See `Database`. SQLite does not enforce the length, we read it from the declaration: that is what changes
        (SQLite, "Making Other Kinds Of Table Schema Changes")."""
        row = transaction.row("select sql from sqlite_master where type = 'table' and name = :name", {"name": name})
        declared = widened(str(row[0]), columns) if row is not None else ""
        version = transaction.row("pragma schema_version")
        if not declared or version is None:
            return
        transaction.execute("pragma writable_schema = on")
        transaction.execute(
            "update sqlite_master set sql = :sql where type = 'table' and name = :name", {"sql": declared, "name": name}
        )
        transaction.execute(f"pragma schema_version = {int(version[0]) + 1}")
        transaction.execute("pragma writable_schema = off")

    def create_work(self, name: str, columns: Sequence[Column], *, durable: bool = False) -> None:
        """See `Database`. A table in the file outlives a crash as the file does."""
        parts = ", ".join(f"{quote_identifier(column.name)} {sqlite_type(column)}" for column in columns)
        with self._connections.writing(f"work table {name}") as transaction:
            self._drop(transaction, [name])
            transaction.execute(f"create table {self._work(name)} ({parts})")

    def load(
        self, name: str, columns: Sequence[Column], *, expected_rows: int | None = None, road: Road = "auto"
    ) -> AbstractContextManager[Load]:
        """See `Database`. `road` forces the load in this process or by the loader child."""
        from crosstie.db.sqlite.load import sqlite_load

        return sqlite_load(self._connections, name, columns, expected_rows, road)

    def read(
        self, sql: str, params: Params | None, columns: Sequence[Column], *, batch_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """See `Database`."""
        import pyarrow as pa

        from crosstie.db.sqlite.storage import from_storage, reading_sql

        schema = arrow_schema(tuple(columns))
        bound = {name: storage_value(value) for name, value in params.items()} if params else {}
        with self._connections.reading() as connection, contextlib.closing(connection.cursor()) as cursor:
            with in_our_words(self.place):
                cursor.execute(for_sqlite(reading_sql(sql, columns)), bound)
            while True:
                with in_our_words(self.place):
                    rows = cursor.fetchmany(batch_rows)
                if not rows:
                    return
                arrays = [
                    from_storage(column, cells) for column, cells in zip(columns, zip(*rows, strict=True), strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def prepare(self, name: str, index: Sequence[str] = (), *, unique: bool = False) -> None:
        """See `Database`."""
        table = SQLITE_PREFIX + name
        with self._connections.writing(f"index of {name}") as transaction:
            if index:
                made = f"{table}_{'_'.join(index)}"
                transaction.execute(
                    f"create {'unique ' if unique else ''}index if not exists {quote_identifier(made)}"
                    f" on {quote_identifier(table)} ({self._names(index)})"
                )
            transaction.rows(f"pragma analysis_limit = {ANALYSIS_ROWS}")
            transaction.execute(f"analyze {quote_identifier(table)}")

    def work_tables(self) -> tuple[str, ...]:
        """See `Database`."""
        with self.reading() as transaction:
            found = transaction.rows("select name from sqlite_master where type in ('table', 'view') order by name")
        return tuple(name.removeprefix(SQLITE_PREFIX) for (name,) in found if name.startswith(f"{SQLITE_PREFIX}w_"))

    def drop_work(self, names: Sequence[str]) -> None:
        """See `Database`."""
        if names:
            with self._connections.writing("sweeping work tables") as transaction:
                self._drop(transaction, names)

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[bool]:
        """See `Database`."""
        with in_our_words(self.place):
            descriptor = try_hold(self._path, name)
        if descriptor is None:
            yield False
            return
        with self._guard:
            self._held[name] = descriptor
        try:
            yield True
        finally:
            with self._guard:
                if self._held.get(name) == descriptor:  # else it was lost, and taken again here
                    del self._held[name]
            os.close(descriptor)

    def still_holds(self, name: str) -> bool:
        """See `Database`."""
        with self._guard:
            descriptor = self._held.get(name)
            return descriptor is not None and is_file_of(descriptor, hold_path(self._path, name))

    def holder(self, name: str) -> str:
        """See `Database`."""
        with in_our_words(self.place):
            return holder_of(self._path, name)

    def call(self, name: str, by: str) -> None:
        """See `Database`."""
        with in_our_words(self.place):
            call_holder(self._path, name, by)

    def heed(self, name: str) -> str | None:
        """See `Database`."""
        with in_our_words(self.place):
            return heed(self._path, name)

    def interrupt(self, thread: int) -> None:
        """See `Database`."""
        self._connections.interrupt(thread)

    def close(self) -> None:
        """See `Database`."""
        self._connections.close()

    def _declared(self, column: Column) -> str:
        return f"{quote_identifier(column.name)} {sqlite_type(column)}{'' if column.nullable else ' not null'}"

    def _names(self, names: Sequence[str]) -> str:
        return ", ".join(quote_identifier(name) for name in names)

    def _work(self, name: str) -> str:
        return quote_identifier(SQLITE_PREFIX + name)

    def _drop(self, transaction: Transaction, names: Sequence[str]) -> None:
        for name in names:
            found = transaction.row("select type from sqlite_master where name = :name", {"name": SQLITE_PREFIX + name})
            if found is not None:
                transaction.execute(f"drop {found[0]} {self._work(name)}")

    def _refuse_missing(self, create: bool) -> None:
        if not create:
            raise DatabaseError(
                f"There is no database {self.place}.",
                hint="crosstie init makes one; or check CROSSTIE_DATABASE and crosstie.toml.",
                code="NO_DATABASE",
            )
        if not self._path.parent.is_dir():
            raise DatabaseError(
                f"The database {self.place} cannot be made: there is no folder {self._path.parent}.",
                hint="Make the folder, or choose another place.",
                code="NO_FOLDER",
            )

    def _open(self, create: bool) -> str:
        """Brings the tables up to date; the database's id."""
        with self._connections.reading() as connection:
            try:
                version, identity, _ = connection.execute(for_sqlite(migrations.STATE)).fetchone()
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                version, identity = 0, None
        if not version and not create:
            raise DatabaseError(
                f"{self.place} holds no tables of Crosstie.",
                hint="crosstie init makes them; or check CROSSTIE_DATABASE and crosstie.toml.",
                code="NO_DATABASE",
            )
        migrations.refuse_newer(version or 0, self.place)
        if version == migrations.NEWEST:
            return str(identity)
        return self._migrate()

    def _migrate(self) -> str:
        lock_folder(self._path).mkdir(exist_ok=True)
        with self._connections.turn("opening"), contextlib.closing(self._connections.open()) as connection:
            (mode,) = connection.execute("pragma journal_mode = wal").fetchone()  # the file keeps it
        if mode != "wal":
            raise DatabaseError(
                f"The database {self.place} cannot be shared between processes: its disk allows no write-ahead log.",
                hint="Keep it on a local disk, not on a network share.",
                code="NO_WAL",
            )
        for migration in migrations.migrations():
            with self._connections.writing(f"migration {migration.version}") as transaction:
                migrations.apply(transaction, migration, self.place)
        with self.reading() as transaction:
            found = transaction.row(migrations.STATE)
        assert found is not None
        return str(found[1])

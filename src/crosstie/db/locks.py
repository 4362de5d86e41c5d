"""Locks between processes, on files beside a SQLite database; the system frees them when their holder ends.

Also used by the loader child, so nothing heavy is imported here.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

WRITER = "writer"
NEXT_WRITER = "next-writer"
# A person who waits longer than this is told for what.
TELL_AFTER_SECONDS = 3.0
# Whoever looks whether a lock is held has it for much less than this.
_LOOK_SECONDS = 0.02

log = logging.getLogger("crosstie.db")


def lock_folder(database: Path) -> Path:
    """Where the locks of that SQLite file are."""
    return database.with_name(database.name + ".locks")


@contextlib.contextmanager
def writing_turn(database: Path, purpose: str, *, tell_after: float = TELL_AFTER_SECONDS) -> Iterator[None]:
    """Waits for our turn to write among all processes of ours, and keeps it for the block.

    SQLite's own waiting is a matter of luck: whoever polls at the right moment. Here the first of those who wait goes
    next: he has a lock of his own, which everybody has to pass who wants to write, so that a load that ends a slice
    does not begin another before him, however busy the machine is. That costs microseconds, and tells who has the turn.
    Others who write to the file (its shell, say) are waited for by SQLite.
    """
    with contextlib.ExitStack() as stack:
        writer = _open(lock_folder(database) / WRITER)
        stack.callback(os.close, writer)
        _take_turn(writer, database, purpose, tell_after)
        _sign(writer, purpose)
        stack.callback(os.ftruncate, writer, 0)
        yield


def _take_turn(writer: int, database: Path, purpose: str, tell_after: float) -> None:
    queue = _open(lock_folder(database) / NEXT_WRITER)
    try:
        if _try(queue) and _try(writer):
            return

        def tell() -> None:
            holder = _signed(writer) or f"{_signed(queue) or 'unknown'} (waits to write)"
            log.warning("Waiting for %s with “%s”: it is busy with %s", database, purpose, holder)

        timer = threading.Timer(tell_after, tell)
        timer.daemon = True
        timer.start()
        try:
            fcntl.flock(queue, fcntl.LOCK_EX)
            _sign(queue, purpose)
            fcntl.flock(writer, fcntl.LOCK_EX)
        finally:
            timer.cancel()
            timer.join()  # it reads what is closed next
    finally:
        os.close(queue)


def _sign(descriptor: int, purpose: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()}: {purpose}".encode(), 0)


def _signed(descriptor: int) -> str:
    return os.pread(descriptor, 1000, 0).decode(errors="replace")


def try_hold(database: Path, name: str) -> int | None:
    """The descriptor that holds the lock of that name until it is closed, or None when somebody else has it. The file
    says by whom it is held."""
    path = hold_path(database, name)
    while True:
        descriptor = _open(path)
        if not _try(descriptor):
            time.sleep(_LOOK_SECONDS)  # it may only be somebody who looks whether it is held
            if not _try(descriptor):
                os.close(descriptor)
                return None
        if is_file_of(descriptor, path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, this_process().encode(), 0)
            return descriptor
        os.close(descriptor)  # removed between opening and locking: who comes next makes another one


def holder_of(database: Path, name: str) -> str:
    """What the holder of the lock of that name wrote into its file; '' when nobody holds it."""
    try:
        descriptor = os.open(hold_path(database, name), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 1000, 0).decode(errors="replace")
    else:
        return ""
    finally:
        os.close(descriptor)


def call_holder(database: Path, name: str, by: str) -> None:
    """Leaves a word beside the lock of that name, with who calls; `heed` finds it."""
    descriptor = _open(_call_path(database, name))
    try:
        os.pwrite(descriptor, by.encode(), 0)
    finally:
        os.close(descriptor)


def heed(database: Path, name: str) -> str | None:
    """Who has called since the last time, '' where that was not written yet; None when nobody has."""
    path = _call_path(database, name)
    try:
        by = path.read_text(encoding="utf-8", errors="replace")
        path.unlink()
    except FileNotFoundError:
        return None
    return by


def _call_path(database: Path, name: str) -> Path:
    path = hold_path(database, name)
    return path.with_name(f"{path.name}.call")


def hold_path(database: Path, name: str) -> Path:
    """The file of the lock of that name."""
    readable = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:80]
    return lock_folder(database) / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def is_file_of(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of that name: a lock on a file that was removed keeps nobody out."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))  # noqa: PTH116 - asked with every request
    except FileNotFoundError:
        return False


def this_process() -> str:
    """This process as others are told of it: its number, its machine, and the time."""
    return f"process {os.getpid()} on {socket.gethostname()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

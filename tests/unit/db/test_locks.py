"""Locks on files beside a SQLite database."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from pathlib import Path

import pytest

from crosstie.db.locks import NEXT_WRITER, lock_folder, try_hold, writing_turn


def test_turns_exclude_each_other(tmp_path: Path) -> None:
    database = tmp_path / "marketing.db"
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(50):
            with writing_turn(database, "test"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 200
    assert max(most) == 1


def test_who_waits_is_told_for_what(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database = tmp_path / "marketing.db"
    told = threading.Event()

    class Watcher(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.set()

    watcher = Watcher()
    logging.getLogger("crosstie.db").addHandler(watcher)

    def wait() -> None:
        with writing_turn(database, "update of recipient", tell_after=0.01):
            pass

    waiting = threading.Thread(target=wait)
    with writing_turn(database, "load of w_1"):
        waiting.start()
        assert told.wait(60)
    waiting.join()
    logging.getLogger("crosstie.db").removeHandler(watcher)
    assert f"Waiting for {database} with “update of recipient”: it is busy with" in caplog.text
    assert f"process {os.getpid()}: load of w_1" in caplog.text


def test_names_that_look_alike_are_different_locks(tmp_path: Path) -> None:
    database = tmp_path / "marketing.db"
    held = [try_hold(database, name) for name in ("a/b", "a_b", "ä", "é", "x" * 300, "x" * 301)]
    assert None not in held
    assert try_hold(database, "a/b") is None
    for descriptor in held:
        assert descriptor is not None
        os.close(descriptor)
    again = try_hold(database, "a/b")
    assert again is not None
    os.close(again)


def test_who_waits_goes_before_whoever_has_just_written(tmp_path: Path) -> None:
    """A load that ends a slice and begins the next at once comes behind those who wait meanwhile."""
    database = tmp_path / "marketing.db"
    order: list[str] = []

    def wait() -> None:
        with writing_turn(database, "option is set"):
            order.append("option")

    for _ in range(20):
        with writing_turn(database, "load of w_1"):
            waiting = threading.Thread(target=wait)
            waiting.start()
            wait_until_queued(database)
        with writing_turn(database, "load of w_1"):
            order.append("load")
        waiting.join()
    assert order == ["option", "load"] * 20


def test_who_waits_behind_another_who_waits_is_told_of_him(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database = tmp_path / "marketing.db"
    with writing_turn(database, "made"):
        pass
    queue = os.open(lock_folder(database) / NEXT_WRITER, os.O_RDWR)
    fcntl.flock(queue, fcntl.LOCK_EX)
    os.pwrite(queue, b"process 1: update of recipient", 0)
    told = threading.Event()

    class Watcher(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.set()

    def wait() -> None:
        with writing_turn(database, "option is set", tell_after=0.01):
            pass

    watcher = Watcher()
    logging.getLogger("crosstie.db").addHandler(watcher)
    waiting = threading.Thread(target=wait)
    waiting.start()
    assert told.wait(60)
    os.close(queue)
    waiting.join()
    logging.getLogger("crosstie.db").removeHandler(watcher)
    assert "it is busy with process 1: update of recipient (waits to write)" in caplog.text


def wait_until_queued(database: Path) -> None:
    """Until somebody is the next to write."""
    probe = os.open(lock_folder(database) / NEXT_WRITER, os.O_RDWR)
    try:
        while True:
            try:
                fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(probe, fcntl.LOCK_UN)
            time.sleep(0.001)
    finally:
        os.close(probe)

"""Locks on files beside a SQLite database."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from crosstie.db.locks import try_hold, writing_turn


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
    assert f"update of recipient waits to write to {database}" in caplog.text
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

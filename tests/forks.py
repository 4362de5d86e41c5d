"""Processes that are there at once: forks of one that has imported what they need, without threads or connections."""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 120


class Forks:
    """The server that forks; one process at a time. Close it at the end.

    `module` has `carry_out(order)`, which gives the exit code of a process, or ends it as the interpreter does
    (SystemExit).
    """

    def __init__(self, module: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.forks", module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith("CROSSTIE_")},
        )
        assert self._server.stdin is not None and self._server.stdout is not None
        self._orders, self._answers = self._server.stdin, self._server.stdout

    def run(self, order: Mapping[str, Any]) -> int:
        """Runs a process to its end: its exit code, or the negative number of the signal that ended it."""
        self._orders.write(json.dumps(order).encode() + b"\n")
        self._orders.flush()
        pid = int(self._answers.readline())
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._answers, selectors.EVENT_READ)
            if not waiting.select(PATIENCE_SECONDS):
                os.kill(pid, signal.SIGABRT)  # with a fault handler it says where each thread of it is
                self._answers.readline()
                raise TimeoutError(f"a process did not end within {PATIENCE_SECONDS} s: {order}")
        return int(self._answers.readline())

    def close(self) -> None:
        """Ends the server."""
        self._orders.close()
        self._server.wait(timeout=10)
        self._answers.close()


def serve(module: str) -> None:
    """Forks a process for each order on standard input; answers with its id, then with how it ended. What one that
    ended of its own accord had to import, the next ones have."""
    carry_out = importlib.import_module(module).carry_out
    # Standard input and output lead to the one who orders; nobody else reads or writes there.
    orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    with orders, answers:
        _serve(orders, answers, carry_out)


def _serve(orders: TextIO, answers: TextIO, carry_out: Callable[[Any], int]) -> None:
    for text in orders:
        reading, writing = os.pipe()
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            orders.close()
            answers.close()
            _forked(carry_out, json.loads(text), writing)
        os.close(writing)
        print(pid, file=answers, flush=True)
        with os.fdopen(reading) as stream:
            learnt = stream.read().split()
        _, status = os.waitpid(pid, 0)
        for name in learnt:
            with suppress(ImportError):  # parts of extension modules that are not imported by name
                importlib.import_module(name)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _forked(carry_out: Callable[[Any], int], order: Any, writing: int) -> NoReturn:
    """The life of a fork, which never comes back into the server's loop."""
    known = set(sys.modules)
    atexit.register(lambda: os.write(writing, "\n".join(sorted(set(sys.modules) - known)).encode()))
    try:
        code = carry_out(order)
    except Exception:  # noqa: BLE001 - told as an interpreter would
        traceback.print_exc()
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])

"""Processes that are there at once: forks of one that has imported what they need, without threads or connections."""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tests.crash.process import Order, run

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120


class Forks:
    """The server that forks; one process at a time. Close it at the end."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.crash.forks"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith("CROSSTIE_")},
        )
        assert self._server.stdin is not None and self._server.stdout is not None
        self._orders, self._answers = self._server.stdin, self._server.stdout

    def run(self, order: Order) -> int:
        """Runs a process to its end: its exit code, or -9 when it was killed."""
        self._orders.write(json.dumps(asdict(order)).encode() + b"\n")
        self._orders.flush()
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._answers, selectors.EVENT_READ)
            if not waiting.select(PATIENCE_SECONDS):
                raise TimeoutError(f"a process did not end within {PATIENCE_SECONDS} s: {order}")
        return int(self._answers.readline())

    def close(self) -> None:
        """Ends the server."""
        self._orders.close()
        self._server.wait(timeout=10)
        self._answers.close()


def serve() -> None:
    """Forks a process for each order on standard input, and answers with how it ended. What one that ended well had to
    import, the next ones have."""
    for text in sys.stdin:
        reading, writing = os.pipe()
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            # Standard output is the way to the one who ordered.
            os.dup2(2, 1)
            os._exit(_forked(Order(**json.loads(text)), writing))
        os.close(writing)
        with os.fdopen(reading) as stream:
            learnt = stream.read().split()
        _, status = os.waitpid(pid, 0)
        for name in learnt:
            with suppress(ImportError):  # parts of extension modules that are not imported by name
                importlib.import_module(name)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _forked(order: Order, writing: int) -> int:
    """The life of a fork; its exit code."""
    known = set(sys.modules)
    try:
        code = run(order)
        os.write(writing, "\n".join(sorted(set(sys.modules) - known)).encode())
    except BaseException:  # noqa: BLE001 - a fork must never come back into the server's loop
        traceback.print_exc()
        return 1
    return code


if __name__ == "__main__":
    serve()

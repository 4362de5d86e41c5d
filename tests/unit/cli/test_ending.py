"""How a command's process ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys, threading
from crosstie.cli import main
atexit.register(lambda: print("the interpreter ended too"))
if sys.argv[1] == "left behind":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
main(["--version"] if sys.argv[2] == "0" else ["no-such-command"])
"""


@pytest.mark.parametrize("code", [0, 2])
@pytest.mark.parametrize("threads", ["none", "left behind"])
def test_a_thread_that_is_left_behind_is_not_stopped_by_the_interpreter(threads: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, threads, str(code)], capture_output=True, text=True)
    assert done.returncode == code
    assert ("crosstie " in done.stdout) == (code == 0)
    assert ("No such command" in done.stderr) == bool(code)
    assert ("the interpreter ended too" in done.stdout) == (threads == "none")

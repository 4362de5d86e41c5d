"""A command at a terminal of its own, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Sequence

from tests.e2e.project import TIMEOUT_SECONDS, Project

CTRL_A, CTRL_C = "\x01", "\x03"


def at_terminal(
    project: Project, *arguments: str, answers: Sequence[tuple[str, str]] = (), within: float = TIMEOUT_SECONDS
) -> tuple[int, str]:
    """Runs a command on a pseudo terminal, typing each answer when it is asked for, and enter unless it is a control
    key; exit code and all it showed."""
    controlling, terminal = pty.openpty()
    process = subprocess.Popen(
        project.command(*arguments),
        cwd=project.folder,
        env={**project.env(), "TERM": "xterm", "COLUMNS": "120"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        # Its own terminal, so that Ctrl-C reaches it as from a keyboard.
        preexec_fn=lambda: fcntl.ioctl(terminal, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    shown, answered = "", 0
    waiting = list(answers)
    deadline = time.monotonic() + within
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([controlling], [], [], 1.0)
            if not ready:
                continue
            try:
                read = os.read(controlling, 65536)
            except OSError:
                break  # the other side is closed: the command has ended
            if not read:
                break
            shown += read.decode("utf-8", "replace")
            if waiting and waiting[0][0] in shown[answered:]:
                answered = len(shown)
                answer = waiting.pop(0)[1]
                os.write(controlling, f"{answer}{'' if answer in (CTRL_A, CTRL_C) else chr(10)}".encode())
        else:
            raise AssertionError(f"{waiting[:1]} is waited for; this was shown: {shown}")
        return process.wait(timeout=TIMEOUT_SECONDS), shown
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(controlling)

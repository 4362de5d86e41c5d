"""Runs a command and measures it from outside: wall and CPU seconds, peak memory of all its processes together."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_INTERVAL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run of a command. CPU seconds include all its descendants; `peak_mib` is the largest sum of their PSS."""

    wall: float
    cpu: float
    peak_mib: float
    code: int
    output: str


def measure(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, memory: bool = True
) -> Measured:
    """Runs the command to its end. Its output is kept; a failure is told in `code`, not raised."""
    began = time.monotonic()
    process = subprocess.Popen(
        list(command),
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peak = [0.0]
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, ended), daemon=True)
    if memory:
        watcher.start()
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    if memory:
        watcher.join()
    return Measured(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        peak_mib=peak[0],
        code=process.returncode,
        output=output,
    )


def _watch(pid: int, peak: list[float], ended: threading.Event) -> None:
    while not ended.wait(_INTERVAL):
        peak[0] = max(peak[0], sum(_pss_mib(one) for one in _family(pid)))


def _family(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*"):
            try:
                found += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue
    return found


def _pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)

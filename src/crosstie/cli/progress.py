"""What a person sees while a workflow runs: one living line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from crosstie.workflow.watcher import Silent

if TYPE_CHECKING:
    from crosstie.workflow.watcher import Message

_BAR = 20
_REDRAW_SECONDS = 0.1
_PLAIN_SECONDS = 10.0


class Display:
    """A Watcher that prints. Everything goes through one lock, for loaders report from threads of their own.

    On a terminal the activity that reported last is one line that is drawn again; otherwise a line every ten seconds,
    so that a log file stays short. Warnings and errors are always said, what is merely to know only with `verbose`. The
    error that ends a run is said by the command itself."""

    def __init__(self, *, living: bool, verbose: bool) -> None:
        self._living = living
        self._verbose = verbose
        self._lock = threading.Lock()
        self._width = 0
        self._begun: dict[str, float] = {}
        self._drawn: dict[str, float] = {}
        # Errors of tasks of which it is not known yet whether the run goes on.
        self._errors: dict[int | None, str] = {}
        self._open_line = False

    def run_begun(self, run: int, workflow: str, resumed: bool) -> None:
        """The first line names workflow and run."""
        with self._lock:
            self._line(f"{workflow}  run {run}{', going on where it stopped' if resumed else ''}")

    def activity_begun(self, run: int, task: int, activity: str, kind: str) -> None:
        """The activity's name appears as soon as it works."""
        with self._lock:
            self._begun[activity], self._drawn[activity] = time.monotonic(), 0.0
            self._width = max(self._width, len(activity), 14)
            if self._living:
                self._draw(f"  {activity:<{self._width}}  …")

    def rows(self, activity: str, rows: int, expected: int | None, calls: int) -> None:
        """Rows, rate, time left and API calls of a long read."""
        now = time.monotonic()
        with self._lock:
            seconds = now - self._begun.setdefault(activity, now)
            drawn = self._drawn.get(activity, 0.0)
            if now - drawn < (_REDRAW_SECONDS if self._living else _PLAIN_SECONDS):
                return
            if not self._living and drawn == 0.0 and seconds < _PLAIN_SECONDS:
                return
            self._drawn[activity] = now
            told = loaded(rows, expected, calls, seconds)
            if self._living:
                self._draw(f"  {activity:<{self._width}}  {bar(rows, expected)}{told}")
            else:
                self._line(f"  {activity:<{self._width}}  {told}")

    def activity_ended(self, run: int, task: int, activity: str, counts: Mapping[str, int], seconds: float) -> None:
        """The activity's counts, with the rate of what it read."""
        with self._lock:
            self._line(f"  {activity:<{self._width}}  {facts(counts) or 'done'}  ({duration(seconds)})")

    def activity_failed(self, run: int, task: int, activity: str, error: str) -> None:
        """The error, which nobody else says."""
        with self._lock:
            self._say_error(task, activity)

    def message(self, message: Message) -> None:
        """A warning as it happens, below the error that it is about, or what is to know."""
        with self._lock:
            if message.level == "error":
                self._errors[message.task] = message.text
            elif message.level == "warning" or self._verbose:
                self._say_error(message.task, message.activity)
                self._line(f"  {'!' if message.level == 'warning' else '·'} {message.activity}: {message.text}")

    def _say_error(self, task: int | None, activity: str) -> None:
        error = self._errors.pop(task, "")
        if error:
            self._line(failed(activity, error))

    def _line(self, text: str) -> None:
        if self._open_line:
            click.echo("\r\x1b[K", nl=False, color=True)
            self._open_line = False
        click.echo(text)

    def _draw(self, text: str) -> None:
        click.echo(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}", nl=False, color=True)
        self._open_line = True


class Errors(Silent):
    """A Watcher for a command whose standard output is JSON: errors with which the run goes on, on standard error."""

    def activity_failed(self, run: int, task: int, activity: str, error: str) -> None:
        """The error, which nobody else says."""
        click.echo(failed(activity, error), err=True)


def failed(activity: str, error: str) -> str:
    """`  ✗ send: No answer`, with the lines that follow below it."""
    return f"  ✗ {activity}: {error}".replace("\n", "\n    ")


def facts(counts: Mapping[str, int]) -> str:
    """`308 inserted · 46,769 unchanged`: what there was, or the first of nothing."""
    shown = [(name, number) for name, number in counts.items() if number] or list(counts.items())[:1]
    return " · ".join(f"{number:,} {name}" for name, number in shown)


def bar(rows: int, expected: int | None) -> str:
    """How much of what is expected is there; nothing when nothing is expected."""
    if not expected:
        return ""
    full = min(_BAR, rows * _BAR // expected)
    return f"{'█' * full}{'░' * (_BAR - full)}  "


def loaded(rows: int, expected: int | None, calls: int, seconds: float) -> str:
    """`48,210 of 51,000 rows · 212 k/s · 1 s left · 4 calls`."""
    rate = rows / seconds if seconds > 0 else 0.0
    parts = [f"{rows:,} of {expected:,} rows" if expected else f"{rows:,} rows"]
    if rate >= 1:
        parts.append(f"{rate / 1000:.0f} k/s" if rate >= 10_000 else f"{rate:,.0f}/s")
    if expected and rate >= 1 and expected > rows:
        parts.append(f"{duration((expected - rows) / rate)} left")
    parts.append(f"{calls:,} call{'' if calls == 1 else 's'}")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

"""`crosstie serve`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from crosstie.cli.failures import WAITING, Stopped
from crosstie.cli.progress import duration, facts
from crosstie.cli.runs import terminated_like_interrupted
from crosstie.cli.session import Session, pass_session
from crosstie.cli.structured import JsonLines, log_format_option, say_notice

if TYPE_CHECKING:
    from crosstie.app import App
    from crosstie.workflow.watcher import Message


@click.command()
@click.option("--workers", type=click.IntRange(1, 64), default=4, show_default=True, help="Workflows at work at once.")
@click.option("--no-console", is_flag=True, help="Serve no console. There is none yet; say it to mean it later, too.")
@click.option("--only", metavar="NAME", help="Carry on one workflow here, and end when nothing is left to do.")
@click.option("--with-parent", is_flag=True, help="With --only: end too when standard input is closed.")
@click.option("--metrics", type=click.IntRange(0, 65_535), metavar="PORT", help="Serve metrics for Prometheus there.")
@click.option(
    "--metrics-address", default="127.0.0.1", show_default=True, help="The address at which metrics are served."
)
@log_format_option
@pass_session
def serve(
    session: Session,
    workers: int,
    no_console: bool,
    only: str | None,
    with_parent: bool,
    metrics: int | None,
    metrics_address: str,
    log_format: str,
) -> None:
    """Fires schedules and carries on started workflows, until Ctrl-C or a polite kill.

    Any number of these may work on one database. When it ends, what it was at is gone on with by the next one."""
    session.json_log, session.timed = log_format == "json", True
    say = say_notice if session.json_log else _say
    if only is not None:
        _carry_on(session, only, with_parent=with_parent)
        return
    with session.app() as app, _asked_to_end() as ended, app.courier.at_work():
        say(f"serving {app.db.place}")
        with _measured(app, metrics, metrics_address, say), app.schema_watch.at_work(say):
            app.serve(lambda name: _Process(app.config.project, name, log_format), ended.wait, workers=workers, say=say)
        say("ended; what was at work is gone on with by the next crosstie serve")


@contextmanager
def _measured(app: App, port: int | None, address: str, say: Callable[[str], None]) -> Iterator[None]:
    if port is None:
        yield
        return
    from crosstie.app.metrics import Metrics, served
    from crosstie.workflow.clock import SystemClock

    with served(Metrics(app.db, SystemClock().now), port, address) as chosen:
        say(f"metrics at http://{address}:{chosen}/metrics")
        yield


def _carry_on(session: Session, name: str, *, with_parent: bool) -> None:
    with session.app() as app, terminated_like_interrupted():
        if with_parent:
            threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
        if not app.workflows.serve(name, JsonLines() if session.json_log else _Lines(name)):
            say = say_notice if session.json_log else _say
            say(f"{name} is held by {app.db.holder(f'workflow {name}') or 'another process'}")
            raise Stopped(WAITING)


def _end_with_parent() -> None:
    """Ends this process politely when whoever began it is gone: the system closes the pipe then."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


class _Process:
    """A process of ours that carries one workflow on; it ends with us."""

    def __init__(self, project: Path, name: str, log_format: str) -> None:
        serve = ("serve", "--only", name, "--with-parent", "--log-format", log_format)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "crosstie", "--project", str(project), *serve],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is for us; we end it in order
        )

    def poll(self) -> int | None:
        """Its exit code, None while it lives."""
        code = self._process.poll()
        if code is not None:
            self.end()
        return code

    def end(self) -> None:
        """Asks it to end."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """Ends it and everything that it began, at once."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.end()


class _Lines:
    """A Watcher that prints a line for each thing that happens."""

    def __init__(self, workflow: str) -> None:
        self._workflow = workflow

    def run_begun(self, run: int, workflow: str, resumed: bool) -> None:
        """Names the run."""
        _say(f"{self._workflow}: run {run} is carried on")

    def activity_begun(self, run: int, task: int, activity: str, kind: str) -> None:
        """Says nothing: its end is said."""

    def rows(self, activity: str, rows: int, expected: int | None, calls: int) -> None:
        """Says nothing: its end is said."""

    def activity_ended(self, run: int, task: int, activity: str, counts: Mapping[str, int], seconds: float) -> None:
        """What it did."""
        _say(f"{self._workflow}: {activity}  {facts(counts) or 'done'}  ({duration(seconds)})")

    def activity_failed(self, run: int, task: int, activity: str, error: str) -> None:
        """Says nothing: the log's message is said."""

    def message(self, message: Message) -> None:
        """Warnings and errors; the rest is in `crosstie log`."""
        if message.level != "info":
            mark = "!" if message.level == "warning" else "✗"
            _say(f"{self._workflow}: {mark} {message.activity}: {message.text}")


def _say(text: str) -> None:
    click.echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}")
    sys.stdout.flush()


@contextmanager
def _asked_to_end() -> Iterator[threading.Event]:
    """An event that Ctrl-C and a polite kill set."""
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

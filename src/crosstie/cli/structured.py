"""`--log-format json`: one JSON object on each line of standard error, for machines that collect logs.

Every line has the same keys. It says what the log of a run says, which holds neither secrets nor rows.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crosstie.errors import TaskError

if TYPE_CHECKING:
    from crosstie.workflow.watcher import Message

Command = TypeVar("Command", bound=Callable[..., Any])

_guard = threading.Lock()


def log_format_option(command: Command) -> Command:
    """Adds `--log-format` to a command, as the argument `log_format`."""
    return click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="json: each message is a JSON object on a line of standard error.",
    )(command)


def say(
    level: str,
    text: str,
    *,
    at: datetime | None = None,
    workflow: str | None = None,
    run: int | None = None,
    activity: str | None = None,
    task: int | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Writes one line. `at` is now unless given."""
    line = {
        "time": (at or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        "level": level,
        "workflow": workflow or None,
        "run": run,
        "activity": activity or None,
        "task": task,
        "text": text,
        "details": dict(details or {}),
    }
    written = json.dumps(line, ensure_ascii=False, default=str) + "\n"
    with _guard:  # one write, so that lines of several processes don't run into each other
        sys.stderr.write(written)
        sys.stderr.flush()


def say_failure(error: BaseException, text: str) -> None:
    """How a command failed; a task's error says where."""
    if isinstance(error, TaskError):
        say("error", text, workflow=error.workflow, run=error.run, activity=error.activity)
    else:
        say("error", text)


def say_notice(text: str) -> None:
    """What is said of the service as a whole; `! ` marks a warning."""
    warning = text.startswith("! ")
    say("warning" if warning else "info", text.removeprefix("! "))


class JsonLines:
    """A Watcher that writes a line for each thing that happens; not for progress."""

    def __init__(self) -> None:
        self._workflows: dict[int, str] = {}

    def run_begun(self, run: int, workflow: str, resumed: bool) -> None:
        """A line."""
        self._workflows[run] = workflow
        say("info", "The run goes on." if resumed else "The run begins.", workflow=workflow, run=run)

    def activity_begun(self, run: int, task: int, activity: str, kind: str) -> None:
        """A line with the type of the activity."""
        self._say(run, task, activity, "The activity begins.", {"type": kind})

    def rows(self, activity: str, rows: int, expected: int | None, calls: int) -> None:
        """Writes nothing: the end tells how many there were."""

    def activity_ended(self, run: int, task: int, activity: str, counts: Mapping[str, int], seconds: float) -> None:
        """A line with the counts of the activity."""
        details = {"counts": dict(counts), "seconds": round(seconds, 3)}
        self._say(run, task, activity, "The activity has ended.", details)

    def activity_failed(self, run: int, task: int, activity: str, error: str) -> None:
        """Writes nothing: the log's own line is written."""

    def message(self, message: Message) -> None:
        """The line of the log."""
        say(
            message.level,
            message.text,
            at=message.at,
            workflow=message.workflow,
            run=message.run,
            activity=message.activity,
            task=message.task,
            details=message.details,
        )

    def _say(self, run: int, task: int, activity: str, text: str, details: Mapping[str, object]) -> None:
        workflow = self._workflows.get(run)
        say("info", text, workflow=workflow, run=run, activity=activity, task=task, details=details)

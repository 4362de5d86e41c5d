"""What a person sees when a command fails, and the exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import click

from crosstie.cli.structured import say_failure
from crosstie.errors import BrakeError, ConfigError, CrosstieError, TaskError

DONE = 0
FAILED = 1
MISTAKE = 2
DONE_WITH_REJECTS = 3
WAITING = 4
INTERRUPTED = 130


class Stopped(Exception):
    """A command ended as asked, with this exit code; everything was said already."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def report(error: BaseException, project: Path | None = None, *, json_log: bool = False) -> int:
    """Says on standard error what happened and what to do; the exit code. Never a traceback."""

    def tell(text: str) -> None:
        if json_log:
            say_failure(error, text)
        else:
            _say(text)

    match error:
        case Stopped():
            return error.code
        case click.Abort() if error.__cause__ is None:  # a question was answered by no, Ctrl-C or the end of input
            tell("Nothing was done.")
            return INTERRUPTED
        case KeyboardInterrupt() | click.Abort():
            tell("Interrupted. What was finished is kept; the same command goes on from there.")
            return INTERRUPTED
        case click.ClickException():
            error.show()
            return MISTAKE if error.exit_code == FAILED else error.exit_code
        case CrosstieError():
            tell(describe(error))
            return exit_code(error)
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            tell(f"The disk is full: {error.filename or 'the output'} cannot be written. Make room and run it again.")
            return FAILED
        case _:
            tell(_unexpected(error, project))
            return FAILED


def exit_code(error: CrosstieError) -> int:
    """2 for what must be mended in a file or an argument, 4 for what waits for a person, else 1."""
    cause = error.cause if isinstance(error, TaskError) else error
    match cause:
        case ConfigError():
            return MISTAKE
        case BrakeError():
            return WAITING
        case _:
            return FAILED


def describe(error: CrosstieError) -> str:
    """The message with its hint and codes; a task's error also says which activity of which run, and how to go on."""
    if not isinstance(error, TaskError):
        return str(error)
    return (
        f"{error.workflow}, run {error.run}, activity “{error.activity}”:\n{error}\n"
        f"When that is mended, crosstie run {error.workflow} goes on where it stopped."
    )


def _say(text: str) -> None:
    click.secho(text, err=True, fg="red" if sys.stderr.isatty() else None)


def _unexpected(error: BaseException, project: Path | None) -> str:
    """One line, and where the details were written: types and places only, for values may be secret."""
    title = f"Crosstie failed unexpectedly ({type(error).__name__}). This is a fault of ours."
    folder = _log_folder(project)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "unexpected.log"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as log:
            log.write("\n".join([datetime.now(UTC).isoformat(timespec="seconds"), *_places(error), "", ""]))
    except OSError as fault:
        return f"{title} The details could not be written to {folder}: {fault.strerror}"
    return f"{title} The details are in {file}; what was finished before is kept."


def _log_folder(project: Path | None) -> Path:
    from crosstie.config import find_project

    return (find_project(project or Path.cwd()) or Path.cwd()) / ".crosstie"


def _places(error: BaseException) -> list[str]:
    lines: list[str] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        lines.append(f"{type(one).__module__}.{type(one).__qualname__}")
        lines.extend(
            f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(one.__traceback__)
        )
        one = one.__cause__ or one.__context__
    return lines

"""What is said by `logging`, outside of any run (who waits for whom, say), in the form of what else is said."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import click

from crosstie.cli.session import Session
from crosstie.cli.structured import say


class Records(logging.Handler):
    """Writes each record as a line: JSON where the log is, else text, with the time where the other lines bear it."""

    def __init__(self, session: Session) -> None:
        super().__init__(logging.WARNING)
        self._session = session

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the line; below it the traceback where there is one, as the sandbox has for a fault of its own."""
        level = "error" if record.levelno >= logging.ERROR else "warning"
        text = self.format(record)
        if self._session.json_log:
            say(level, text)
            return
        time = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} " if self._session.timed else ""
        click.echo(f"{time}{'✗' if level == 'error' else '!'} {text}", err=True)

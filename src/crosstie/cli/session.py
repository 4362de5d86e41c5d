"""What every command needs: which project, and an open App with its warnings said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crosstie.cli.structured import say_notice

if TYPE_CHECKING:
    from crosstie.app import App


@dataclass(slots=True, kw_only=True)
class Session:
    """One command line; `project` as given by --project, known once the arguments are read. `json_log`: what goes to
    standard error is JSON; `timed`: lines of text bear the time."""

    project: Path | None = None
    json_log: bool = False
    timed: bool = False

    @contextmanager
    def app(self) -> Iterator[App]:
        """The project's App, closed at the end. Warns when the database is a copy that nobody adopted."""
        from crosstie.app import App

        with App.open(self.project) as app:
            warning = app.adoption_warning()
            if warning and self.json_log:
                say_notice(f"! {warning}")
            elif warning:
                click.echo(f"! {warning}", err=True)
            yield app


pass_session = click.make_pass_decorator(Session)

"""What a person has to confirm: on a terminal it is asked for, elsewhere by an option."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import click

from crosstie.cli.failures import INTERRUPTED, Stopped
from crosstie.errors import BrakeError

Done = TypeVar("Done")


def confirmed(act: Callable[[bool], Done], accept_edit: bool) -> Done:
    """Does `act(accept_edit)`; where it stops at an edit, a person at a terminal is asked whether to accept that."""
    from crosstie.workflow.edits import EDITED

    try:
        return act(accept_edit)
    except BrakeError as error:
        if error.code != EDITED or not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise
        click.echo(error.message)
        try:
            click.confirm("Go on with the edit?", abort=True)
        except click.Abort:
            click.echo("Nothing was begun.", err=True)  # a file is applied all the same
            raise Stopped(INTERRUPTED) from None
    return act(True)

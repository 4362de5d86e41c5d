"""How lists and results are printed: aligned for people, or the same facts as JSON."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Adds `--json` to a command, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the same facts as JSON.")(command)


def emit_json(value: object) -> None:
    """Prints JSON; instants as ISO text."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def json_line(value: object) -> str:
    """JSON on one line, for lists that grow."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Prints rows in columns; numbers line up on the right. `empty` is said when there is none, with what to do."""
    if not rows:
        click.echo(empty)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    shown = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, show_edge=False)
    for position, header in enumerate(headers):
        numbers = all(isinstance(row[position], int | None) and row[position] is not True for row in rows)
        shown.add_column(header, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(text(value) for value in row))
    console = Console(width=wide, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def text(value: object) -> str:
    """A value for people: numbers with thousands, yes or no, instants to the second in UTC, nothing for nothing."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case _:
            return str(value)

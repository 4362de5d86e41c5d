"""`crosstie option`: named text settings kept in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from crosstie.cli.output import emit_json, json_option, table
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    from crosstie.app import Option


@click.group()
def option() -> None:
    """Named settings kept in the database.

    The automatic index of each import is one."""


@option.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """Lists all options."""
    with session.app() as app:
        found = app.options.list()
    if as_json:
        emit_json([_plain(one) for one in found])
        return
    table(
        ["name", "value", "changed at (UTC)", "by"],
        [(one.name, one.value, one.changed_at, one.changed_by) for one in found],
        empty="There is no option yet. An import makes its own when it ends well.",
    )


@option.command("get")
@click.argument("name")
@json_option
@pass_session
def get(session: Session, name: str, as_json: bool) -> None:
    """Prints the value of the option NAME. A missing option is a mistake (exit code 2), an empty one is not."""
    with session.app() as app:
        one = app.options.get(name)
    if as_json:
        emit_json(_plain(one))
    else:
        click.echo(one.value)


@option.command("set")
@click.argument("name")
@click.argument("value")
@json_option
@pass_session
def set_(session: Session, name: str, value: str, as_json: bool) -> None:
    """Sets the option NAME to VALUE, making it if needed.

    An automatic index has the form 'yyyy/MM/dd hh:mm:ss' (UTC); '' makes the next import read everything."""
    with session.app() as app:
        one = app.options.set(name, value)
    if as_json:
        emit_json(_plain(one))
    else:
        click.echo(f"✓ {one.name} = {one.value or '(empty)'}")


def _plain(one: Option) -> dict[str, object]:
    return {
        "name": one.name,
        "label": one.label,
        "type": one.type,
        "value": one.value,
        "changed_at": one.changed_at,
        "changed_by": one.changed_by,
    }

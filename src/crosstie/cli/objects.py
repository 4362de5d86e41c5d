"""Remote objects: what the CRM has, and collecting it into local tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from crosstie.cli.output import emit_json, json_option, table
from crosstie.cli.schema import difference_lines
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    import questionary

    from crosstie.app import App
    from crosstie.crm.connector import ObjectName
    from crosstie.schema.store import Collected


@click.command()
@click.argument("account")
@json_option
@pass_session
def objects(session: Session, account: str, as_json: bool) -> None:
    """Lists the objects that the CRM has.

    Those that the ACCOUNT's user can read."""
    with session.app() as app:
        found = app.schemas.remote(account)
        collected = set(app.schemas.names(account))
    if as_json:
        emit_json(
            [
                {"name": one.name, "label": one.label, "custom": one.custom, "collected": one.name in collected}
                for one in found
            ]
        )
        return
    table(
        ["name", "label", "custom", "collected"],
        [(one.name, one.label, one.custom, one.name in collected) for one in found],
        empty=f"This user can read no object. See: crosstie account check {account}",
    )


@click.command()
@click.argument("account")
@click.argument("names", metavar="[OBJECT]…", nargs=-1)
@click.option("--all", "again", is_flag=True, help="Collect again every object that was collected before.")
@click.option("--dry-run", is_flag=True, help="Show the difference, change nothing.")
@json_option
@pass_session
def collect(session: Session, account: str, names: tuple[str, ...], again: bool, dry_run: bool, as_json: bool) -> None:
    """Makes or widens the local tables of OBJECTs.

    Their descriptions are fetched with all enumerations. Without an object, on a terminal, lets you choose. What
    may break workflows is refused: see crosstie schema refresh."""
    with session.app() as app:
        if again:
            names = (*names, *app.schemas.names(account))
        chosen = names or _choose(app, account)
        results = []
        for one in app.schemas.collect(account, chosen, dry_run=dry_run):
            results.append(_collected(one))
            if not as_json:
                say_collected(one, dry_run=dry_run)
    if as_json:
        emit_json(results)


def _choose(app: App, account: str) -> Sequence[str]:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(
            f"Name the objects to collect, like: crosstie collect {account} Contact Account."
            f" (crosstie objects {account} lists them; without names a terminal is needed to choose.)"
        )
    import questionary

    collected = set(app.schemas.names(account))
    answer = questionary.checkbox(
        "Which objects? (type to search, space to choose, enter to go on)",
        choices=[_choice(one, one.name in collected) for one in app.schemas.remote(account)],
        use_search_filter=True,
        use_jk_keys=False,
    ).ask()
    if not answer:
        raise click.Abort
    return [str(name) for name in answer]


def _choice(one: ObjectName, collected: bool) -> questionary.Choice:
    import questionary

    return questionary.Choice(f"{one.name}  {one.label}", value=one.name, checked=collected)


def _collected(one: Collected) -> dict[str, object]:
    return {
        "account": one.schema.account,
        "object": one.schema.object.name,
        "table": one.schema.table,
        "fields": len(one.schema.object.fields),
        "created": one.difference.created,
        "added": [column.name for column in one.difference.added],
        "removed": list(one.difference.removed),
        "changed": list(one.difference.changed),
    }


def say_collected(one: Collected, *, dry_run: bool, say: Callable[[str], object] = click.echo) -> None:
    """What became of an object and its local table, for people."""
    found, schema = one.difference, one.schema
    columns = len(found.added)
    if found.created:
        verb = "would be made" if dry_run else "made"
        say(f"✓ {schema.object.name}: table {schema.table} {verb} with {columns} columns")
        return
    if found.empty:
        say(f"✓ {schema.object.name}: nothing changed, table {schema.table}")
        return
    say(f"✓ {schema.object.name}: table {schema.table}")
    for line in difference_lines(found):
        say(line)

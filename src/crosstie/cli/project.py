"""`crosstie init` and `crosstie adopt`."""

from __future__ import annotations

from pathlib import Path

import click

from crosstie.cli.output import emit_json, json_option
from crosstie.cli.session import Session, pass_session
from crosstie.crm import CONNECTORS


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--database",
    metavar="PATH_OR_URL",
    help="A SQLite file, or postgresql://user@host/name without password. By default crosstie.db in the folder.",
)
@json_option
@pass_session
def init(session: Session, folder: Path | None, database: str | None, as_json: bool) -> None:
    """Makes a project in a folder.

    That is crosstie.toml, the key that seals secrets, and the product's tables in the database. Running it
    again makes what is missing and changes nothing else."""
    from crosstie.app import init_project

    made = init_project(folder or session.project or Path.cwd(), database=database)
    if made.warning:
        click.echo(f"! {made.warning}", err=True)
    if as_json:
        emit_json(
            {
                "project": str(made.project),
                "database": made.database,
                "key_file": str(made.key_file),
                "created": list(made.created),
            }
        )
        return
    for thing in made.created:
        click.echo(f"✓ {thing}")
    if not made.created:
        click.echo("Everything was there already; nothing changed.")
    click.echo(f"Project {made.project}, database {made.database}.")
    click.echo(f"Keep {made.key_file} safe and apart from backups of the database: it opens the sealed secrets.")
    click.echo(f"Next: crosstie account add {' | '.join(CONNECTORS)}")


@click.command()
@json_option
@pass_session
def adopt(session: Session, as_json: bool) -> None:
    """Makes a copied database this installation's own.

    Only then may it write to a CRM. A copy (of production, say) carries its original's ids and windows: adopt
    it only when the original no longer works with the same CRM, or when the accounts here point to a test org."""
    from crosstie.app import App

    with App.open(session.project) as app:
        adopted = app.adopt()
    if as_json:
        emit_json({"database": adopted.place, "id": adopted.id, "changed": adopted.changed})
    elif adopted.changed:
        click.echo(f"✓ {adopted.place} is this installation's own now.")
    else:
        click.echo(f"{adopted.place} was this installation's own already; nothing changed.")

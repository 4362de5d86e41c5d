"""`crosstie links`, `crosstie query` and `crosstie lists`: what queries know, select, and what is kept of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crosstie.cli.output import emit_json, json_option, table
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    from crosstie.workflow.activity import Scalar
    from crosstie.workflow.lists import StoredList

_KEYWORDS = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|(?P<word>\s(?=(?:from|left\ join|where|group\ by|order\ by|limit)\s))""",
    re.VERBOSE,
)


@click.command()
@click.argument("name", metavar="[TABLE]", required=False)
@json_option
@pass_session
def links(session: Session, name: str | None, as_json: bool) -> None:
    """Shows the links between tables, or those of one TABLE, as queries follow them."""
    with session.app() as app:
        found = app.schemas.links(name or "")
    if as_json:
        emit_json(
            [
                {
                    "table": one.table,
                    "link": one.name,
                    "columns": list(one.columns),
                    "to": one.to,
                    "to_columns": list(one.to_columns),
                    "to_one": one.to_one,
                    "origin": one.origin,
                }
                for one in found
            ]
        )
        return
    table(
        ["table", "link", "columns", "leads to", "rows", "from"],
        [
            (
                one.table,
                one.name,
                ", ".join(one.columns),
                f"{one.to} ({', '.join(one.to_columns)})",
                "one" if one.to_one else "several",
                one.origin,
            )
            for one in found
        ],
        empty="There are no links. They come from foreign keys, collected objects, and [[link]] in crosstie.toml.",
    )


@click.group()
def query() -> None:
    """Queries of workflows, looked at without a run."""


@query.command()
@click.argument("target", metavar="FILE|NAME")
@click.argument("activity")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="A variable that the event would bring.")
@json_option
@pass_session
def preview(session: Session, target: str, activity: str, variables: tuple[str, ...], as_json: bool) -> None:
    """Prints the SQL statement of the query ACTIVITY of a workflow, and the values bound to it."""
    with session.app() as app:
        found = app.queries.preview(_target(target), activity, _variables(variables))
    params = {name: str(value) if value is not None else None for name, value in found.params.items()}
    if as_json:
        emit_json({"sql": found.sql, "params": params})
        return
    click.echo(_KEYWORDS.sub(lambda match: "\n" if match["word"] else match[0], found.sql))
    for name, value in params.items():
        click.echo(f"  :{name} = {value if value is not None else 'null'}")


@query.command()
@click.argument("target", metavar="FILE|NAME")
@click.argument("activity")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="A variable that the event would bring.")
@json_option
@pass_session
def count(session: Session, target: str, activity: str, variables: tuple[str, ...], as_json: bool) -> None:
    """Counts the rows that the query ACTIVITY of a workflow selects now."""
    with session.app() as app:
        rows = app.queries.count(_target(target), activity, _variables(variables))
    if as_json:
        emit_json({"activity": activity, "rows": rows})
    else:
        click.echo(f"{rows:,} rows")


def _target(written: str) -> str | Path:
    path = Path(written)
    return path if path.suffix in (".yaml", ".yml") or path.is_file() else written


def _variables(written: tuple[str, ...]) -> dict[str, Scalar]:
    """NAME=VALUE pairs; what looks like a number is one."""
    found: dict[str, Scalar] = {}
    for one in written:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise click.UsageError(f"“{one}” is not a variable: write NAME=VALUE.")
        if re.fullmatch(r"-?(0|[1-9]\d{0,14})", value):
            found[name] = int(value)
        elif re.fullmatch(r"-?(0|[1-9]\d{0,8})\.\d{1,6}", value):
            found[name] = float(value)
        else:
            found[name] = value
    return found


@click.group()
def lists() -> None:
    """Populations that workflows keep under a name."""


@lists.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """Shows all lists."""
    with session.app() as app:
        found = app.lists.list()
    if as_json:
        emit_json([_plain(one) for one in found])
        return
    table(
        ["list", "label", "rows", "of", "changed at (UTC)", "by"],
        [(one.name, one.label, one.table.rows, one.table.dimension, one.changed_at, one.changed_by) for one in found],
        empty="There is no list yet. The activity list_update makes one.",
    )


@lists.command()
@click.argument("name")
@json_option
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Shows the columns of the list NAME and how many rows it has."""
    with session.app() as app:
        one = app.lists.get(name)
    if as_json:
        emit_json(_plain(one))
        return
    key = f", key {', '.join(one.table.key)}" if one.table.key else ""
    of = f" of {one.table.dimension}" if one.table.dimension else ""
    click.echo(f"{one.name} “{one.label}”: {one.table.rows:,} rows{of}{key}")
    table(["column", "type"], [(column.name, column.type.value) for column in one.table.columns], empty="No columns.")


@lists.command()
@click.argument("name")
@json_option
@pass_session
def drop(session: Session, name: str, as_json: bool) -> None:
    """Forgets the list NAME."""
    with session.app() as app:
        one = app.lists.drop(name)
    if as_json:
        emit_json(_plain(one))
    else:
        click.echo(f"✓ list {name} with {one.table.rows:,} rows is forgotten")


def _plain(one: StoredList) -> dict[str, object]:
    return {
        "list": one.name,
        "label": one.label,
        "rows": one.table.rows,
        "dimension": one.table.dimension,
        "key": list(one.table.key),
        "columns": {column.name: column.type.value for column in one.table.columns},
        "made_at": one.made_at,
        "made_by": one.made_by,
        "changed_at": one.changed_at,
        "changed_by": one.changed_by,
    }

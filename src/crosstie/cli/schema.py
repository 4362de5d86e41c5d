"""`crosstie schema`: the collected objects, shown, compared with the CRM and brought up to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crosstie.cli import failures
from crosstie.cli.output import emit_json, json_option, table
from crosstie.cli.session import Session, pass_session
from crosstie.errors import ConfigError

if TYPE_CHECKING:
    from crosstie.app import App
    from crosstie.app.schema_effects import Comparison
    from crosstie.schema.store import Schema
    from crosstie.schema.tables import Difference


@click.group()
def schema() -> None:
    """The collected objects."""


@schema.command("show")
@click.argument("account", metavar="[ACCOUNT|TABLE|OBJECT]", required=False)
@click.argument("name", metavar="[OBJECT]", required=False)
@click.option("--values", is_flag=True, help="Also list the values of the enumerations.")
@click.option(
    "--diagram",
    type=click.Choice(["mermaid", "svg"]),
    help="Draw the objects and the links between them; of one object, with those that are linked to it.",
)
@click.option("--all-fields", is_flag=True, help="With --diagram: every field, not only keys and links.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it to a file.")
@json_option
@pass_session
def show(
    session: Session,
    account: str | None,
    name: str | None,
    values: bool,
    diagram: str | None,
    all_fields: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Shows what was collected: all objects, those of an ACCOUNT, or the fields of one OBJECT.

    One object can also be named by its local table, or by itself where only one account has it."""
    if output is not None and diagram is None:
        raise click.UsageError("--output goes with --diagram: the lists can be had as --json.")
    with session.app() as app:
        one, found = _chosen(app, account, name)
    if diagram is not None:
        _draw(one, found, diagram, output, all_fields=all_fields)
    elif one is not None:
        _show_object(one, values=values, as_json=as_json)
    elif as_json:
        emit_json([_summary(each) for each in found])
    else:
        table(
            ["account", "object", "label", "table", "fields", "collected at (UTC)"],
            [
                (
                    each.account,
                    each.object.name,
                    each.object.label,
                    each.table,
                    len(each.object.fields),
                    each.collected_at,
                )
                for each in found
            ],
            empty="Nothing was collected yet. Begin with: crosstie collect ACCOUNT",
        )


def _chosen(app: App, account: str | None, name: str | None) -> tuple[Schema | None, tuple[Schema, ...]]:
    """The one object that is meant, if one is, and all of its account, or of all accounts."""
    if not account:
        return None, app.schemas.list()
    if account in app.accounts.names():
        return (app.schemas.get(account, name) if name else None), app.schemas.list(account)
    if name:
        app.accounts.get(account)  # which says what is wrong with it
    one = app.schemas.find(account)
    return one, app.schemas.list(one.account)


def _draw(one: Schema | None, found: tuple[Schema, ...], form: str, output: Path | None, *, all_fields: bool) -> None:
    from crosstie.schema.diagram import linked, mermaid, svg

    drawn = (mermaid if form == "mermaid" else svg)(
        linked(one, found) if one is not None else found, every_field=all_fields
    )
    if output is None:
        click.echo(drawn, nl=False)
        return
    try:
        output.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}", hint="Choose another place.") from error
    click.echo(f"✓ {output}")


def _summary(one: Schema) -> dict[str, object]:
    return {
        "account": one.account,
        "object": one.object.name,
        "label": one.object.label,
        "table": one.table,
        "fields": len(one.object.fields),
        "collected_at": one.collected_at,
    }


def _show_object(one: Schema, *, values: bool, as_json: bool) -> None:
    if as_json:
        import msgspec

        emit_json({**_summary(one), "description": msgspec.to_builtins(one.object)})
        return
    click.echo(f"{one.object.name} “{one.object.label}” of {one.account}, table {one.table}, key {one.object.key}")
    if one.object.index_fields:
        click.echo(f"automatic index: {', '.join(one.object.index_fields)} (recommended: {one.object.safe_index})")
    table(
        ["field", "label", "type", "on the CRM", "length", "links to", "values"],
        [
            (
                field.name,
                field.label,
                field.type.value,
                field.wire_type,
                field.length or None,
                ", ".join(field.reference_to),
                len(field.values) or None,
            )
            for field in one.object.fields
        ],
        empty="This object has no field that this user can see.",
    )
    if values:
        for field in one.object.fields:
            if field.values:
                click.echo(f"{field.name}: {', '.join(value.name for value in field.values if value.active)}")


@schema.command("diff")
@click.argument("account", required=False)
@click.argument("names", metavar="[OBJECT]…", nargs=-1)
@json_option
@pass_session
def diff(session: Session, account: str | None, names: tuple[str, ...], as_json: bool) -> None:
    """Compares what was collected with what the CRM describes now, and changes nothing.

    Says what is new, changed or gone, which workflows use it, and which would no longer be valid. Exit code 3 when
    anything differs."""
    with session.app() as app:
        accounts = [account] if account else _collected_accounts(app)
        found = [one for each in accounts for one in app.schemas.diff(each, names)]
    _report(found, as_json=as_json, done=False)
    if any(one.differs for one in found):
        raise failures.Stopped(failures.DONE_WITH_REJECTS)


@schema.command("refresh")
@click.argument("account", required=False)
@click.argument("names", metavar="[OBJECT]…", nargs=-1)
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    metavar="WORD",
    help="Accept changes that may break workflows: removed, renamed, retyped, all, or a field. Can be repeated.",
)
@json_option
@pass_session
def refresh(
    session: Session, account: str | None, names: tuple[str, ...], accepted: tuple[str, ...], as_json: bool
) -> None:
    """Brings what was collected up to what the CRM describes now.

    New fields become new columns; no column and no value is ever dropped. A field that was removed, renamed or
    retyped is refused, with the workflows that use it, unless that is accepted: the column of a renamed field then
    gets its new name, and that of a retyped one is kept beside the new one, as NAME_was. What runs uses it from
    its next task on."""
    with session.app() as app:
        accounts = [account] if account else _collected_accounts(app)
        found = [one for each in accounts for one in app.schemas.refresh(each, names, accepted)]
    _report(found, as_json=as_json, done=True)


@schema.command("backfill")
@click.argument("account")
@click.argument("name", metavar="OBJECT")
@click.argument("field")
@click.option("--into", default="", metavar="TABLE", help="The table to fill, by default the object's local one.")
@click.option("--key", default="", metavar="COLUMN", help="Its column with the remote ids.")
@click.option("--column", default="", metavar="COLUMN", help="Its column to fill, by default the field's name.")
@click.option("--print", "shown", is_flag=True, help="Print the workflow that would do it, and do nothing.")
@pass_session
def backfill(
    session: Session, account: str, name: str, field: str, into: str, key: str, column: str, shown: bool
) -> None:
    """Fills one field of rows that are there already, without moving an index.

    Only records whose column is empty here are asked for, by their ids. It is a workflow as any other: it can be
    interrupted and gone on with."""
    with session.app() as app:
        found = app.schemas.backfill(account, name, field, into=into, key=key, column=column)
        if shown:
            click.echo(found.definition(), nl=False)
            return
        app.workflows.save(found.definition(), "schema backfill")
    from crosstie.cli.runs import run

    click.get_current_context().invoke(run, target=found.name)


@schema.command("watch")
@json_option
@pass_session
def watch(session: Session, as_json: bool) -> None:
    """Looks once whether the CRMs still describe what was collected, and tells supervisors what is new.

    For cron; with schema_watch_hours in crosstie.toml, crosstie serve does so by itself. Exit code 3 when there is
    something that nobody was told of yet."""
    with session.app() as app:
        told = app.schema_watch.look()
        app.courier.send()
    if as_json:
        emit_json(list(told))
    else:
        for line in told:
            click.echo(f"! {line}")
        if not told:
            click.echo("✓ nothing new since people were last told")
    if told:
        raise failures.Stopped(failures.DONE_WITH_REJECTS)


def _collected_accounts(app: App) -> list[str]:
    return list(dict.fromkeys(one.account for one in app.schemas.list()))


def _report(found: list[Comparison], *, as_json: bool, done: bool) -> None:
    if as_json:
        emit_json([_facts(one) for one in found])
        return
    if not found:
        click.echo("Nothing was collected yet. Begin with: crosstie collect ACCOUNT")
    for one in found:
        _say(one, done=done)


def _say(one: Comparison, *, done: bool) -> None:
    account, name = one.schema.account, one.schema.object.name
    if one.described is None:
        using = ", ".join(use.workflow for use in one.uses.get("", ())) or "no workflow"
        click.echo(f"✗ {account} {name}: gone on the CRM, or hidden from this user; used by {using}")
        click.echo(f"  Its table {one.schema.table} and its rows are kept. See: crosstie account check {account}")
        return
    if one.difference.empty:
        click.echo(f"✓ {account} {name}: as it was collected")
        return
    click.echo(f"{'✓' if done else '!'} {account} {name}: {'table' if done else 'differs, table'} {one.schema.table}")
    for line in difference_lines(one.difference, one):
        click.echo(line)
    for workflow, mistakes in one.mistakes.items():
        click.echo(f"  {workflow} {'is' if done else 'would'} no longer {'valid' if done else 'be valid'}:")
        for mistake in mistakes:
            click.echo(f"    {mistake}")


def difference_lines(found: Difference, compared: Comparison | None = None) -> Iterator[str]:
    """What collecting again changes, a line each, with the workflows that use it where they are known."""
    told = {change.field.lower() for change in found.changes}
    for change in found.changes:
        mark = "+" if change.kind == "added" else "-" if change.kind == "removed" else "~"
        using = ", ".join(use.text for use in compared.uses.get(change.field, ())) if compared is not None else ""
        breaking = "  BREAKING" if change.breaking else ""
        yield f"  {mark} {change.text}{breaking}{f'; used by {using}' if using else ''}"
    for line in _columns(found, told):
        yield f"    {line}"


def _columns(found: Difference, told: set[str]) -> Iterator[str]:
    for old, new in found.renamed:
        yield f"column {old} is renamed to {new}, with its values"
    for old, new in found.set_aside:
        yield f"column {old} keeps its values as {new}; the new {old} begins empty"
    for column in found.wider:
        yield f"column {column.name} takes {f'{column.length} characters' if column.length else 'texts of any length'}"
    for column in found.added:
        if column.name not in told:
            yield f"column {column.name} ({column.type}) was missing"
    for name in found.removed:
        yield f"column {name.lower()} and its values are kept"


def _facts(one: Comparison) -> dict[str, object]:
    found = one.difference
    return {
        "account": one.schema.account,
        "object": one.schema.object.name,
        "table": one.schema.table,
        "gone": one.described is None,
        "changes": [
            {
                "kind": str(change.kind),
                "field": change.field,
                "was": change.was,
                "now": change.now,
                "breaking": change.breaking,
                "text": change.text,
                "workflows": {use.workflow: list(use.activities) for use in one.uses.get(change.field, ())},
            }
            for change in found.changes
        ],
        "columns": {
            "added": [column.name for column in found.added],
            "renamed": dict(found.renamed),
            "set_aside": dict(found.set_aside),
            "wider": [column.name for column in found.wider],
        },
        "mistakes": {workflow: list(mistakes) for workflow, mistakes in one.mistakes.items()},
    }

"""`crosstie workflow`: definitions, checked and applied."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crosstie.cli.failures import DONE_WITH_REJECTS, MISTAKE, Stopped
from crosstie.cli.output import emit_json, json_option, table
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    from crosstie.errors import DefinitionError
    from crosstie.workflow.definition import Definition

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_PATH = click.Path(path_type=Path)


@click.group()
def workflow() -> None:
    """Workflow definitions."""


@workflow.command()
@click.argument("file", type=_FILE)
@json_option
@pass_session
def validate(session: Session, file: Path, as_json: bool) -> None:
    """Checks a definition FILE, reports every mistake at once, and prints the graph it understood."""
    from crosstie.errors import DefinitionError

    with session.app() as app:
        try:
            definition = app.workflows.validate(file)
        except DefinitionError as error:
            if not as_json:
                raise
            emit_json({"valid": False, "mistakes": _mistakes(error)})
            raise Stopped(MISTAKE) from error
        warnings = app.workflows.warnings(definition)
    if as_json:
        emit_json({"valid": True, "mistakes": [], "warnings": warnings, **_graph(definition)})
        return
    click.echo(f"✓ {definition.name}: {len(definition.activities)} activities")
    click.echo(definition.graph())
    _warn(warnings)


@workflow.command()
@click.argument("path", metavar="FILE|FOLDER", type=_PATH)
@click.option("--force", is_flag=True, help="Also where that undoes an edit made elsewhere.")
@json_option
@pass_session
def apply(session: Session, path: Path, force: bool, as_json: bool) -> None:
    """Stores a definition FILE as the newest version of its workflow, or all files of a FOLDER, or none of them.

    A run in progress keeps the version it has. A file that is behind an edit made elsewhere is refused, and what it
    would undo is shown."""
    with session.app() as app:
        if path.is_dir():
            found = app.folders.apply(path, force=force)
            kept = [one for one in app.folders.compare(path) if one.standing == "only in the database"]
        else:
            found, kept = (app.workflows.apply(path, force=force),), []
        warnings = [app.workflows.warnings(one.definition) for one in found]
    if as_json:
        facts = [
            {"workflow": one.definition.name, "version": one.version, "changed": one.changed, "warnings": told}
            for one, told in zip(found, warnings, strict=True)
        ]
        emit_json(facts if path.is_dir() else facts[0])
        return
    for one, told in zip(found, warnings, strict=True):
        if one.changed:
            click.echo(f"✓ {one.definition.name} version {one.version}")
        else:
            click.echo(f"{one.definition.name} version {one.version} is this text already; nothing changed.")
        _warn(told)
    for compared in kept:
        click.echo(f"! {compared.workflow} has no file in {path}; it stays in the database as it is.")
    if len(found) == 1 and found[0].changed:
        click.echo(f"Run it: crosstie run {found[0].definition.name}")


@workflow.command()
@click.argument("folder", type=_FOLDER)
@json_option
@pass_session
def diff(session: Session, folder: Path, as_json: bool) -> None:
    """Compares the files of a FOLDER with the newest versions in the database.

    Exit code 3 when something differs."""
    with session.app() as app:
        found = app.folders.compare(folder)
    if as_json:
        emit_json(
            [
                {
                    "workflow": one.workflow,
                    "standing": one.standing,
                    "file": str(one.file) if one.file else None,
                    "version": one.version,
                    "source": one.source,
                    "difference": one.difference,
                }
                for one in found
            ]
        )
    else:
        table(
            ["workflow", "file", "version", ""],
            [(one.workflow, one.file.name if one.file else "", one.version, one.standing) for one in found],
            empty="There is no workflow, neither in the folder nor in the database.",
        )
        for one in found:
            if one.difference:
                click.echo(f"\n{one.difference}")
    if any(one.standing != "same" for one in found):
        raise Stopped(DONE_WITH_REJECTS)


@workflow.command()
@click.argument("folder", type=_FOLDER)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--force", is_flag=True, help="Also over a file with a text that was never applied.")
@json_option
@pass_session
def export(session: Session, folder: Path, names: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Writes the newest version of each workflow, or of those named, into its file in a FOLDER."""
    with session.app() as app:
        found = app.folders.export(folder, names, force=force)
    if as_json:
        emit_json(
            [
                {"workflow": one.workflow, "version": one.version, "file": str(one.file), "changed": one.changed}
                for one in found
            ]
        )
        return
    for one in found:
        click.echo(f"{'✓' if one.changed else '='} {one.file}  {one.workflow} version {one.version}")
    if not found:
        click.echo("There is no workflow in the database.")


@workflow.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """Lists the applied workflows with their latest run."""
    with session.app() as app:
        found = [(one, next(iter(app.runs.list(one.workflow, 1)), None)) for one in app.workflows.list()]
    if as_json:
        emit_json(
            [
                {
                    "workflow": one.workflow,
                    "label": one.label,
                    "version": one.version,
                    "source": one.source,
                    "applied_at": one.applied_at,
                    "applied_by": one.applied_by,
                    "last_run": run.id if run else None,
                    "last_status": run.status if run else None,
                }
                for one, run in found
            ]
        )
        return
    table(
        ["workflow", "label", "version", "applied at (UTC)", "by", "last run", "status"],
        [
            (
                one.workflow,
                one.label,
                one.version,
                one.applied_at,
                one.applied_by,
                str(run.id) if run else "",
                run.status if run else "never run",
            )
            for one, run in found
        ],
        empty="No workflow was applied yet. Begin with: crosstie workflow apply FILE",
    )


@workflow.command()
@click.argument("name")
@json_option
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Prints the newest version of the workflow NAME, as it was written."""
    with session.app() as app:
        one = app.workflows.get(name)
    if as_json:
        emit_json(
            {
                "workflow": one.workflow,
                "version": one.version,
                "source": one.source,
                "applied_at": one.applied_at,
                "applied_by": one.applied_by,
                "text": one.text,
            }
        )
        return
    click.echo(one.text, nl=not one.text.endswith("\n"))


@workflow.command()
def schema() -> None:
    """Prints the JSON schema of workflow files, with which editors complete and check them."""
    from crosstie.activities import ACTIVITIES
    from crosstie.workflow.json_schema import workflow_schema

    emit_json(workflow_schema(ACTIVITIES))


def _warn(warnings: Mapping[str, str]) -> None:
    for activity, warning in warnings.items():
        click.echo(f"! {activity}: {warning}", err=True)


def _mistakes(error: DefinitionError) -> list[dict[str, object]]:
    return [
        {"line": one.line, "column": one.column, "path": one.path, "message": one.message} for one in error.mistakes
    ]


def _graph(definition: Definition) -> dict[str, object]:
    return {
        "workflow": definition.name,
        "activities": {name: activity.type for name, activity in definition.activities.items()},
        "transitions": [
            {"from": source, "transition": transition, "to": list(targets)}
            for (source, transition), targets in definition.edges.items()
        ],
    }

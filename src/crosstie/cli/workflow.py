"""`crosstie workflow`: definitions, checked and applied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crosstie.cli.failures import MISTAKE, Stopped
from crosstie.cli.output import emit_json, json_option, table
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    from crosstie.errors import DefinitionError
    from crosstie.workflow.definition import Definition

_FILE = click.Path(path_type=Path, dir_okay=False)


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
    if as_json:
        emit_json({"valid": True, "mistakes": [], **_graph(definition)})
        return
    click.echo(f"✓ {definition.name}: {len(definition.activities)} activities")
    click.echo(definition.graph())


@workflow.command()
@click.argument("file", type=_FILE)
@json_option
@pass_session
def apply(session: Session, file: Path, as_json: bool) -> None:
    """Stores a definition FILE as the newest version of its workflow. A run in progress keeps the version it has."""
    with session.app() as app:
        applied = app.workflows.apply(file)
    if as_json:
        emit_json({"workflow": applied.definition.name, "version": applied.version, "changed": applied.changed})
    elif applied.changed:
        click.echo(f"✓ {applied.definition.name} version {applied.version}")
        click.echo(f"Run it: crosstie run {applied.definition.name}")
    else:
        click.echo(f"{applied.definition.name} version {applied.version} is this text already; nothing changed.")


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

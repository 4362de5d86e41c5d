"""`crosstie status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from crosstie.cli.output import emit_json, json_option, table, text
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    from crosstie.app.status import Overview, Status
    from crosstie.workflow.firing import Planned
    from crosstie.workflow.state import Task


@click.command()
@json_option
@pass_session
def status(session: Session, as_json: bool) -> None:
    """Shows what all workflows are doing: status, next firing, what is at work or waits, last run, open rejects."""
    with session.app() as app:
        found = app.status()
    if as_json:
        emit_json(_facts(found))
        return
    _show(found)


def _show(found: Status) -> None:
    for service in found.services:
        click.echo(f"served by {service}")
    if not found.services:
        click.echo("Nothing serves this database. Begin with: crosstie serve")
    if found.messages.waiting:
        click.echo(f"messages to be sent: {found.messages.waiting:,}")
    if found.messages.given_up:
        click.echo(f"messages given up: {found.messages.given_up:,} (the logs of their runs say why)")
    click.echo()
    table(
        ["workflow", "status", "since (UTC)", "next firing (UTC)", "last run", "ended", "open rejects"],
        [
            (
                one.instance.workflow,
                one.instance.status,
                one.instance.status_at,
                one.next_at,
                str(one.last_run.id) if one.last_run else "",
                one.last_run.status if one.last_run else "never run",
                one.open_rejects,
            )
            for one in found.workflows
        ],
        empty="No workflow was applied yet. Begin with: crosstie workflow apply FILE",
    )
    for one in found.workflows:
        _show_one(one)


def _show_one(one: Overview) -> None:
    lines = [f"  held by {one.holder}"] if one.holder else []
    if one.instance.message:
        lines.append(f"  {one.instance.message.partition(chr(10))[0]}")
    for task in one.tasks:
        due = f", until {text(task.due_at)} UTC" if task.due_at and task.status == "waiting" else ""
        signal = ", for a signal" if task.signal and task.status == "waiting" else ""
        note = f": {task.note}" if task.note and task.status == "waiting" else ""
        lines.append(
            f"  {task.activity} {task.status}, run {task.run}, since {text(task.started_at)} UTC{due}{signal}{note}"
        )
    if lines:
        click.echo()
        click.echo(one.instance.workflow)
    for line in lines:
        click.echo(line)


def _facts(found: Status) -> dict[str, object]:
    return {
        "at": found.at,
        "services": list(found.services),
        "messages": {"waiting": found.messages.waiting, "given_up": found.messages.given_up},
        "workflows": [
            {
                "workflow": one.instance.workflow,
                "status": one.instance.status,
                "since": one.instance.status_at,
                "by": one.instance.status_by,
                "message": one.instance.message,
                "next_at": one.next_at,
                "schedules": [_schedule(schedule) for schedule in one.schedules],
                "tasks": [_task(task) for task in one.tasks],
                "last_run": one.last_run.id if one.last_run else None,
                "last_status": one.last_run.status if one.last_run else None,
                "last_started_at": one.last_run.started_at if one.last_run else None,
                "last_ended_at": one.last_run.ended_at if one.last_run else None,
                "holder": one.holder,
                "open_rejects": one.open_rejects,
            }
            for one in found.workflows
        ],
    }


def _schedule(one: Planned) -> dict[str, object]:
    return {
        "activity": one.activity,
        "time_zone": str(one.zone),
        "next_at": one.next_at,
        "last_at": one.last_at,
        "fired": one.fired,
    }


def _task(task: Task) -> dict[str, object]:
    return {
        "activity": task.activity,
        "run": task.run,
        "task": task.id,
        "status": task.status,
        "since": task.started_at,
        "due_at": task.due_at,
        "signal": task.signal,
        "note": task.note,
    }

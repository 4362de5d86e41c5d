"""`crosstie rejects`: the inbox of refused rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from crosstie.cli.output import emit_json, json_option, table
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    from crosstie.app import InboxReject


@click.group()
def rejects() -> None:
    """The inbox of refused rows.

    They are kept until they are accepted or dismissed."""


@rejects.command("list")
@click.option("--workflow", default="", metavar="NAME", help="Only those of one workflow.")
@click.option("--run", "run", type=int, metavar="RUN", help="Only those of one run.")
@click.option("--every", is_flag=True, help="Also the accepted and dismissed ones.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most, newest first.")
@json_option
@pass_session
def list_(session: Session, workflow: str, run: int | None, every: bool, limit: int, as_json: bool) -> None:
    """Lists open rejects, newest first."""
    with session.app() as app:
        if workflow:
            app.workflows.get(workflow)
        found = app.rejects.list(workflow=workflow, run=run, open_only=not every, limit=limit)
        number = app.rejects.count(workflow=workflow, run=run, open_only=not every)
    if as_json:
        emit_json([_plain(one) for one in found])
        return
    table(
        ["id", "run", "activity", "object", "record or row", "field", "symbol", "message"],
        [
            (
                str(one.id),
                str(one.run),
                one.activity,
                one.object,
                one.remote_id or one.row_key,
                one.field,
                one.symbol,
                one.message,
            )
            for one in found
        ],
        empty="No reject is open.",
    )
    if number > len(found):
        click.echo(f"… and {number - len(found):,} more (--limit {number})")


@rejects.command("show")
@click.argument("reject", type=int)
@json_option
@pass_session
def show(session: Session, reject: int, as_json: bool) -> None:
    """Shows one REJECT with its record. The record may hold personal data."""
    with session.app() as app:
        one = app.rejects.get(reject)
    if as_json:
        emit_json({**_plain(one), "value": one.value, "record": dict(one.record)})
        return
    click.echo(f"reject {one.id}, {one.status}: {one.message}")
    click.echo(f"  [{' '.join(part for part in (one.code, one.symbol) if part)}]")
    click.echo(f"  run {one.run} of {one.workflow}, activity {one.activity}, {one.at:%Y-%m-%d %H:%M:%S} UTC")
    if one.remote_id:
        click.echo(f"  {one.object} {one.remote_id} of {one.account}")
    elif one.row_key:
        click.echo(f"  row {one.row_key}")
    if one.field:
        click.echo(f"  field {one.field}: {one.value!r}")
    width = max((len(name) for name in one.record), default=0)
    for name, value in one.record.items():
        click.echo(f"  {name:<{width}}  {'' if value is None else value}")


@rejects.command("dismiss")
@click.argument("numbers", metavar="[REJECT]…", type=int, nargs=-1)
@click.option("--workflow", default="", metavar="NAME", help="All open ones of one workflow.")
@json_option
@pass_session
def dismiss(session: Session, numbers: tuple[int, ...], workflow: str, as_json: bool) -> None:
    """Closes REJECTs for good: their records are not asked for again until they change on the CRM."""
    if bool(numbers) == bool(workflow):
        raise click.UsageError("Name the rejects by number (crosstie rejects list), or all of --workflow NAME.")
    with session.app() as app:
        if workflow:
            app.workflows.get(workflow)
        closed = app.rejects.dismiss(numbers, workflow=workflow)
    if as_json:
        emit_json({"dismissed": closed})
    else:
        click.echo(f"✓ {closed:,} dismissed")


def _plain(one: InboxReject) -> dict[str, object]:
    return {
        "id": one.id,
        "run": one.run,
        "workflow": one.workflow,
        "activity": one.activity,
        "account": one.account,
        "object": one.object,
        "remote_id": one.remote_id,
        "row_key": one.row_key,
        "field": one.field,
        "code": one.code,
        "symbol": one.symbol,
        "message": one.message,
        "status": one.status,
        "at": one.at,
    }

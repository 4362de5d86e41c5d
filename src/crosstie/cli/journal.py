"""`crosstie journal`: what runs have sent to CRMs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crosstie.cli.output import emit_json, json_option, table
from crosstie.cli.runs import raise_for, show_end
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    from crosstie.app.journal import PlanReport


_OUTCOMES = {"": "still to be sent", "retry": "not executed", "doubt": "in doubt"}


@click.group()
def journal() -> None:
    """What runs have sent to CRMs, row by row."""


@journal.command("show")
@click.argument("run", type=int)
@json_option
@pass_session
def show(session: Session, run: int, as_json: bool) -> None:
    """Shows what a RUN has sent, and which rows are in doubt."""
    with session.app() as app:
        found = app.journal.show(run)
    if as_json:
        emit_json([_facts(one) for one in found])
        return
    for number, one in enumerate(found):
        if number:
            click.echo()
        _show(run, one)


def _show(run: int, one: PlanReport) -> None:
    click.echo(f"{one.plan.activity}  {one.plan.object} of {one.plan.account}")
    table(
        ["rows", "outcome", "what was done"],
        [(f"{rows:,}", _OUTCOMES.get(outcome, outcome), effect) for (outcome, effect), rows in one.totals.items()],
        empty="No rows.",
    )
    if one.shipments:
        click.echo()
        table(
            ["shipment", "operation", "road", "rows", "status", "left at (CRM)", "remote job"],
            [
                (str(sent.number), sent.operation, sent.road, f"{sent.rows:,}", sent.status, sent.left_at, sent.token)
                for sent in one.shipments
                if sent.status != "dissolved"
            ],
            empty="Nothing has left yet.",
        )
    if one.in_doubt:
        click.echo()
        more = sum(rows for (outcome, _), rows in one.totals.items() if outcome == "doubt") - len(one.in_doubt)
        click.echo(f"In doubt: {', '.join(one.in_doubt)}{f' and {more:,} more' * (more > 0)}")
        if more > 0:
            click.echo(f"All of them: crosstie journal export {run} --output FILE")
        click.echo(
            "Look in the CRM whether these rows were executed, then say so:"
            f" crosstie journal settle {run} --executed ROW=REMOTE_ID, or --not-executed ROW"
        )


@journal.command("settle")
@click.argument("run", type=int)
@click.option("--executed", multiple=True, metavar="ROW=REMOTE_ID", help="That row was executed: its record's id.")
@click.option("--not-executed", "not_executed", multiple=True, metavar="ROW", help="That row was not: send it again.")
@json_option
@pass_session
def settle(session: Session, run: int, executed: tuple[str, ...], not_executed: tuple[str, ...], as_json: bool) -> None:
    """Decides about the rows in doubt of a RUN."""
    known: dict[str, str] = {}
    for one in executed:
        row, equals, remote_id = one.rpartition("=")
        if not (row and equals and remote_id.strip()):
            raise click.UsageError(f"--executed takes ROW=REMOTE_ID, not “{one}”.")
        known[row] = remote_id.strip()
    both = [row for row in not_executed if row in known]
    if both:
        raise click.UsageError(f"Row {both[0]} was either executed or not: say it once.")
    if not known and not not_executed:
        raise click.UsageError("Say --executed ROW=REMOTE_ID or --not-executed ROW, for each row in doubt.")
    with session.app() as app:
        rows = app.journal.settle(run, not_executed, known)
    if as_json:
        emit_json({"settled": rows})
    else:
        click.echo(f"✓ {rows:,} settled")


@journal.command("export")
@click.argument("run", type=int)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The CSV file to write.")
@json_option
@pass_session
def export(session: Session, run: int, output: Path, as_json: bool) -> None:
    """Writes the rows that a RUN sent, with what became of each, as CSV. They may hold personal data."""
    with session.app() as app:
        rows = app.journal.export(run, output)
    if as_json:
        emit_json({"rows": rows, "file": str(output)})
    else:
        click.echo(f"✓ {rows:,} rows in {output}")


@journal.command("resume")
@click.argument("run", type=int)
@json_option
@pass_session
def resume(session: Session, run: int, as_json: bool) -> None:
    """Goes on with an unfinished RUN: looks up what is unsure, sends what is left."""
    with session.app() as app:
        report = app.journal.resume(run)
    if as_json:
        emit_json(
            {
                "run": report.run,
                "status": report.status,
                "counts": {name: dict(one) for name, one in report.counts.items()},
                "rejects": report.rejects,
            }
        )
    else:
        show_end(report, "done in")
    raise_for(report)


def _facts(one: PlanReport) -> dict[str, object]:
    return {
        "activity": one.plan.activity,
        "account": one.plan.account,
        "object": one.plan.object,
        "totals": [
            {"outcome": outcome, "effect": effect, "rows": rows} for (outcome, effect), rows in one.totals.items()
        ],
        "shipments": [
            {
                "number": sent.number,
                "operation": sent.operation,
                "road": sent.road,
                "rows": sent.rows,
                "status": sent.status,
                "left_at": sent.left_at,
                "token": sent.token,
            }
            for sent in one.shipments
        ],
        "in_doubt": list(one.in_doubt),
    }

"""`crosstie plan`: what a run would send to CRMs, shown before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from crosstie.cli.output import emit_json, json_option, table
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    from crosstie.app.plans import Cost, PlannedChange, PlanPreview

_WORDS = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "gone": "gone there",
    "unchanged": "equal",
    "rejected": "refuse",
}
_LONGEST = 40


@click.group()
def plan() -> None:
    """What a run would send to CRMs (made by: crosstie run NAME --plan)."""


@plan.command("show")
@click.argument("number", metavar="PLAN", type=int)
@click.option("--refused", is_flag=True, help="Show the rows that are refused on our side instead.")
@click.option("--rows", type=click.IntRange(min=0), default=20, show_default=True, help="How many rows to show.")
@json_option
@pass_session
def show(session: Session, number: int, refused: bool, rows: int, as_json: bool) -> None:
    """Shows what PLAN would do to each record, field by field. The values may be personal data."""
    with session.app() as app:
        found = app.plans.show(number, refused=refused, limit=rows)
        workflow = app.runs.get(number).workflow
    if as_json:
        emit_json([plan_facts(one) for one in found])
        return
    show_plans(workflow, number, found)
    for one in found:
        click.echo()
        _show_rows(one, refused=refused)


def show_plans(workflow: str, number: int, found: Sequence[PlanPreview]) -> None:
    """The plan of a run in a few lines: how many records by what is done, and what it costs."""
    click.echo(f"{workflow}  plan {number}   nothing was sent")
    for one in found:
        click.echo(f"{one.plan.activity}  {one.plan.object} of {one.plan.account}")
        written = " · ".join(f"{name} {count:,}" for name, count in one.fields.items())
        wide = max((len(f"{count:,}") for count in one.outlook.values()), default=0)
        for word, count in one.outlook.items():
            more = f"   {written}" if word == "update" and written else ""
            if word == "rejected":
                more = f"   crosstie plan show {number} --refused"
            click.echo(f"  {_WORDS[word]:<8}{count:>{wide},} {'record' if count == 1 else 'records'}{more}")
        for cost in one.costs:
            click.echo(f"  {_cost(cost)}")
    if any(one.costs for one in found):
        click.echo(f"run it: crosstie run {workflow} --from-plan {number}")
    else:
        click.echo("There is nothing to send.")


def _cost(cost: Cost) -> str:
    meaning = {
        "repeatable": "repeatable: a lost answer does no harm",
        "findable": "findable: what became of a lost answer can be looked up",
        "opaque": "opaque: a lost answer has to be settled by a person",
    }
    return f"{cost.operation}: about {cost.calls:,} API calls · {meaning[cost.certainty]} · {cost.reason}"


def _show_rows(one: PlanPreview, *, refused: bool) -> None:
    click.echo(f"{one.plan.activity}")
    table(
        ["row", "record", "refused because"] if refused else ["row", "what", "record", "fields"],
        [
            (row.key, row.record, row.reason)
            if refused
            else (row.key, row.word, row.record, " · ".join(_change(change) for change in row.changes))
            for row in one.rows
        ],
        empty="No rows are refused." if refused else "No rows are to be sent.",
    )


def _change(change: PlannedChange) -> str:
    after = _short(change.after)
    return f"{change.field}: {after}" if change.before is None else f"{change.field}: {_short(change.before)} → {after}"


def _short(value: str) -> str:
    if not value:
        return "(empty)"
    one_line = " ".join(value.split())
    return one_line if len(one_line) <= _LONGEST else f"{one_line[: _LONGEST - 1]}…"


def plan_facts(one: PlanPreview) -> dict[str, object]:
    """The same as JSON."""
    return {
        "activity": one.plan.activity,
        "account": one.plan.account,
        "object": one.plan.object,
        "outlook": dict(one.outlook),
        "fields": dict(one.fields),
        "costs": [asdict(cost) for cost in one.costs],
        "rows": [asdict(row) for row in one.rows],
    }

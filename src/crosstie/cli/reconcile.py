"""`crosstie reconcile`: both sides compared, record by record."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crosstie.cli import failures
from crosstie.cli.output import emit_json, json_option, text
from crosstie.cli.progress import bar, loaded
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    from crosstie.app.reconciling import Cost, Reconciliation
    from crosstie.sync.comparison import Difference, Verdict

_MEANINGS = {
    "missing": "on the CRM, not here",
    "stale": "changed on the CRM, and the import missed it",
    "deleted": "here, not on the CRM any more (or hidden from this user)",
    "left the filter": "here, and no longer what the import asks for",
    "gone": "here, and no longer what the import reads: deleted, or left the filter",
    "handed on": "left the filter, and a run has handed them on as leavers",
    "refused": "known",
    "too new": "changed since: the next run reads them",
}
_ALWAYS = ("missing", "stale", "deleted", "left the filter")
_REDRAW_SECONDS = 0.1


@click.command()
@click.argument("workflow")
@click.argument("activity", required=False, default="")
@click.option("--into", default="", metavar="TABLE", help="The table to compare with, where there are several.")
@click.option("--repair", is_flag=True, help="Let the next run read what is missing or stale, by its ids.")
@click.option(
    "--limit", type=click.IntRange(0), default=5, show_default=True, help="How many ids of each kind to show."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.csv",
    help="Write all records that are not equal into a file.",
)
@json_option
@pass_session
def reconcile(
    session: Session,
    workflow: str,
    activity: str,
    into: str,
    repair: bool,
    limit: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Compares the CRM with what was imported.

    Reads the ids and change stamps of the records that the import ACTIVITY of WORKFLOW asks for, and names those that
    are missing here, stale or gone. Exit code 3 when there are any."""
    from crosstie.app.reconciling import Watch

    shown = _Shown(living=sys.stdout.isatty())
    with session.app() as app:
        found = app.workflows.reconcile(
            workflow,
            activity,
            into=into,
            repair=repair,
            limit=limit,
            output=output,
            watch=Watch() if as_json else Watch(begun=shown.begun, rows=shown.rows),
        )
    if as_json:
        emit_json(_plain(found))
    else:
        shown.clear()
        _say(found, output)
    if not found.equal:
        raise failures.Stopped(failures.DONE_WITH_REJECTS)


class _Shown:
    """What a person sees while both sides are read."""

    def __init__(self, *, living: bool) -> None:
        self._living = living
        self._began = time.monotonic()
        self._drawn = 0.0
        self._open_line = False

    def begun(self, cost: Cost) -> None:
        """What it will cost."""
        if cost.rows is None or cost.api_calls is None:
            click.echo("reads the ids and stamps of records that the CRM could not count: the cost is not known")
            return
        road = "by bulk query" if cost.road == "bulk" else "on query pages"
        click.echo(f"reads ids and stamps of {cost.rows:,} records {road}: about {_calls(cost.api_calls)}")

    def rows(self, rows: int, expected: int | None) -> None:
        """How far the read is, on a terminal."""
        now = time.monotonic()
        if self._living and now - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            # The calls are said before and after; here the rows are what moves.
            line = loaded(rows, expected, 0, now - self._began).rpartition(" · ")[0]
            click.echo(f"\r\x1b[K  {bar(rows, expected)}{line}", nl=False, color=True)
            self._open_line = True

    def clear(self) -> None:
        """Takes the living line away."""
        if self._open_line:
            click.echo("\r\x1b[K", nl=False, color=True)


def _say(found: Reconciliation, output: Path | None) -> None:
    place = f"{found.workflow}/{found.activity}"
    click.echo(f"{place}  {found.account} {found.object} ↔ {found.table}, imported up to {text(found.end)} UTC")
    click.echo(f"  {found.remote_rows:,} on the CRM · {found.local_rows:,} here")
    counts = {str(verdict): number for verdict, number in found.counts.items() if number or verdict in _ALWAYS}
    names, numbers = max(map(len, counts)), max(len(f"{number:,}") for number in counts.values())
    for verdict, number in found.counts.items():
        if str(verdict) in counts:
            meaning = _MEANINGS[verdict]
            if verdict == "refused":
                meaning = f"known: crosstie rejects list --workflow {found.workflow}"
            click.echo(f"  {verdict:<{names}}  {number:>{numbers},}  {meaning if number else ''}".rstrip())
            _say_first(found, verdict)
    for note in found.notes:
        click.echo(f"  ! {note}")
    result = "equal" if found.equal else f"{found.differences:,} difference{'' if found.differences == 1 else 's'}"
    click.echo(f"{result} · {found.seconds:.1f} s · {_calls(found.api_calls)}")
    if output is not None:
        click.echo(f"every record that is not equal: {output}")
    _say_next(found)


def _say_first(found: Reconciliation, verdict: Verdict) -> None:
    if verdict in ("handed on", "refused", "too new"):
        return
    shown = found.first[verdict]
    for one in shown:
        click.echo(f"    {one.remote_id}  {_stamps(one)}")
    rest = found.counts[verdict] - len(shown)
    if shown and rest:
        click.echo(f"    … and {rest:,} more (--limit, or all of them: --output FILE.csv)")


def _stamps(one: Difference) -> str:
    remote = f"changed {text(one.remote_stamp)}" if one.remote_stamp else ""
    local = f"here as of {text(one.local_stamp)}" if one.local_stamp else ""
    row = f"row {one.local_key}" if one.local_key is not None else ""
    return ", ".join(part for part in (remote, local, row) if part)


def _say_next(found: Reconciliation) -> None:
    if found.asked_for:
        are = "1 record is" if found.asked_for == 1 else f"{found.asked_for:,} records are"
        click.echo(f"{are} read by id by the next run: crosstie run {found.workflow}")
    elif found.repairable:
        click.echo(
            f"Bring them in: crosstie reconcile {found.workflow} {found.activity} --repair, then"
            f" crosstie run {found.workflow}"
        )


def _calls(number: int) -> str:
    return f"{number:,} API call{'' if number == 1 else 's'}"


def _plain(found: Reconciliation) -> dict[str, object]:
    return {
        "workflow": found.workflow,
        "activity": found.activity,
        "account": found.account,
        "object": found.object,
        "table": found.table,
        "option": found.option,
        "end": found.end,
        "next_run_from": found.bound,
        "remote_rows": found.remote_rows,
        "local_rows": found.local_rows,
        "equal": found.equal,
        "differences": found.differences,
        "counts": {str(verdict): number for verdict, number in found.counts.items()},
        "first": {str(verdict): [_one(one) for one in shown] for verdict, shown in found.first.items() if shown},
        "compares_stamps": found.compares_stamps,
        "asked_for": found.asked_for,
        "repaired": found.repaired,
        "notes": list(found.notes),
        "api_calls": found.api_calls,
        "seconds": round(found.seconds, 3),
    }


def _one(one: Difference) -> dict[str, object]:
    return {
        "remote_id": one.remote_id,
        "remote_stamp": one.remote_stamp,
        "local_stamp": one.local_stamp,
        "local_key": one.local_key,
    }

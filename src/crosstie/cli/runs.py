"""`crosstie run` and `crosstie log`."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from crosstie.cli import failures
from crosstie.cli.confirming import confirmed
from crosstie.cli.output import emit_json, json_line, json_option, table, text
from crosstie.cli.plan import plan_facts, show_plans
from crosstie.cli.progress import Display, Errors, facts
from crosstie.cli.session import Session, pass_session
from crosstie.cli.structured import JsonLines, log_format_option
from crosstie.errors import BrakeError, ConfigError

if TYPE_CHECKING:
    from crosstie.app import App
    from crosstie.sync.windows import Window
    from crosstie.workflow.runner import RunReport
    from crosstie.workflow.state import Run, Task
    from crosstie.workflow.watcher import Message, Watcher

# How long a message of a followed run waits to be shown at most.
_LOOK_SECONDS = 0.5


@click.command()
@click.argument("target", metavar="FILE|NAME")
@click.option("--restart", is_flag=True, help="Begin anew instead of going on with an unfinished run.")
@click.option("--plan", "plans", is_flag=True, help="Send nothing: keep and show what would be sent to CRMs.")
@click.option("--from-plan", type=int, default=0, metavar="PLAN", help="Do exactly what that plan says.")
@click.option("--simulate", is_flag=True, help="Execute nothing that acts on more than work tables.")
@click.option("--accept-edit", is_flag=True, help="Go on although the activity at which it stopped was edited since.")
@click.option("-v", "--verbose", is_flag=True, help="Also say what is merely to know.")
@log_format_option
@json_option
@pass_session
def run(
    session: Session,
    target: str,
    restart: bool,
    plans: bool,
    from_plan: int,
    simulate: bool,
    accept_edit: bool,
    verbose: bool,
    log_format: str,
    as_json: bool,
) -> None:
    """Runs a workflow, from a FILE or by NAME.

    A definition file is applied first.
    A run that failed or was interrupted is gone on with; what it finished is not done again."""
    if sum((plans, bool(from_plan), simulate)) > 1:
        raise click.UsageError("--plan, --from-plan and --simulate exclude each other.")
    session.json_log = log_format == "json"
    watcher = _watcher(session.json_log, as_json, verbose)
    with session.app() as app, terminated_like_interrupted():
        report = confirmed(
            lambda accept: app.workflows.run(
                _target(target),
                restart=restart,
                simulate=simulate,
                plan=plans,
                from_plan=from_plan,
                accept_edit=accept,
                watcher=watcher,
            ),
            accept_edit,
        )
        windows = () if plans else app.runs.windows(report.run)
        shown = app.plans.show(report.run) if plans else ()
    if as_json:
        planned = {"plan": [plan_facts(one) for one in shown]} if plans else {}
        emit_json({**_report(report, windows), **planned})
    else:
        for window in windows:
            click.echo(f"  index {window.option}: {_index(window)}")
        if plans:
            show_plans(report.workflow, report.run, shown)
        show_end(report, "planned in" if plans else "simulated in" if simulate else "done in")
    raise_for(report)


def show_end(report: RunReport, well: str) -> None:
    """The last line of a run; `well` says how it ended in the best case."""
    click.echo(
        f"{well if report.status == 'done' else f'{report.status} after'} {report.seconds:.1f} s"
        f" · {report.api_calls:,} API calls · {report.rejects:,} rejects · crosstie log {report.run}"
    )


def raise_for(report: RunReport) -> None:
    """Ends the command with the exit code of the run: 4 where a person is to decide or has stopped it, 3 with rejects.
    Raises BrakeError, Stopped."""
    if report.by_person:
        raise BrakeError(f"Run {report.run} of {report.workflow} was {report.message}.", hint=_hint(report))
    if report.in_doubt:
        raise BrakeError(
            f"In doubt, of what run {report.run} of {report.workflow} has sent: {report.in_doubt:,}"
            f" {'row' if report.in_doubt == 1 else 'rows'}.",
            hint=f"Held back until somebody looks: crosstie journal show {report.run}",
        )
    if report.rejects:
        raise failures.Stopped(failures.DONE_WITH_REJECTS)


def _watcher(json_log: bool, as_json: bool, verbose: bool) -> Watcher:
    if json_log:
        return JsonLines()
    return Errors() if as_json else Display(living=sys.stdout.isatty(), verbose=verbose)


def _hint(report: RunReport) -> str:
    """What the same command does next with a run that somebody stopped or paused."""
    again = "goes on where it stopped" if report.status == "paused" else "begins anew"
    return f"What was finished is kept; crosstie run {report.workflow} {again}."


def _target(written: str) -> str | Path:
    """A file when it looks like one or is one; else a name."""
    path = Path(written)
    return path if path.suffix in (".yaml", ".yml") or path.is_file() else written


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """A polite kill ends a run like Ctrl-C: recorded, and ready to be gone on with."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _index(window: Window) -> str:
    start = text(window.start) or "the beginning"
    return f"{start} → {text(window.end)} UTC, {window.status}"


def _window(window: Window) -> dict[str, object]:
    return {
        "option": window.option,
        "object": window.object,
        "field": window.field,
        "start": window.start,
        "end": window.end,
        "status": window.status,
        "rows": window.rows,
    }


def _report(report: RunReport, windows: Sequence[Window]) -> dict[str, object]:
    return {
        "run": report.run,
        "workflow": report.workflow,
        "status": report.status,
        "message": report.message,
        "resumed": report.resumed,
        "counts": {name: dict(counts) for name, counts in report.counts.items()},
        "rejects": report.rejects,
        "api_calls": report.api_calls,
        "remote_rows": report.remote_rows,
        "windows": [_window(window) for window in windows],
        "seconds": round(report.seconds, 3),
    }


@click.command()
@click.argument("number", metavar="[RUN]", type=int, required=False)
@click.option("--workflow", default="", metavar="NAME", help="Without RUN: only the runs of one workflow.")
@click.option("--activity", default="", metavar="NAME", help="With RUN: only the messages of one activity.")
@click.option(
    "--level",
    type=click.Choice(["info", "warning", "error"]),
    default="info",
    show_default=True,
    help="With RUN: the least level.",
)
@click.option(
    "--follow",
    is_flag=True,
    help="Print the messages of RUN, or of the newest run of --workflow, as they come, until it ends.",
)
@json_option
@pass_session
def log(
    session: Session, number: int | None, workflow: str, activity: str, level: str, follow: bool, as_json: bool
) -> None:
    """Shows what happened in a RUN, or the newest runs."""
    if follow and number is None and not workflow:
        raise click.UsageError("--follow needs a RUN, or --workflow NAME for its newest run.")
    with session.app() as app:
        if workflow:
            app.workflows.get(workflow)
        if follow:
            _follow(app, number, workflow, _least(level), activity, as_json=as_json)
            return
        if number is None:
            _show_runs(app.runs.list(workflow), as_json=as_json)
            return
        one = app.runs.get(number)
        tasks = app.runs.tasks(number)
        windows = app.runs.windows(number)
        levels = _least(level)
        messages = [
            message
            for message in app.runs.messages(number)
            if message.level in levels and activity in ("", message.activity)
        ]
    if as_json:
        emit_json(
            {
                **_run(one),
                "tasks": [_task(task) for task in tasks],
                "windows": [_window(window) for window in windows],
                "messages": [_message(message) for message in messages],
            }
        )
        return
    _show_run(one, tasks, windows, messages)


def _least(level: str) -> tuple[str, ...]:
    """That level and the graver ones."""
    return ("info", "warning", "error")[("info", "warning", "error").index(level) :]


def _follow(
    app: App, number: int | None, workflow: str, levels: Sequence[str], activity: str, *, as_json: bool
) -> None:
    """One line for each message, at once; how the run ended is said on standard error, so that lines stay lines."""
    if number is None:
        newest = app.runs.list(workflow, 1)
        if not newest:
            raise ConfigError(
                f"Workflow {workflow} has not run yet.", hint=f"Begin with: crosstie run {workflow}, or workflow start"
            )
        number = newest[0].id
    for message in app.runs.follow(number, lambda: time.sleep(_LOOK_SECONDS)):
        if message.level not in levels or activity not in ("", message.activity):
            continue
        click.echo(json_line({"run": message.run, **_message(message)}) if as_json else _line(message))
        sys.stdout.flush()
    last = app.runs.get(number)
    left = last.status in ("running", "waiting")
    told = "nobody carries it on; its process has ended" if left else str(last.status)
    click.echo(f"run {number}: {told}", err=True)


def _line(message: Message) -> str:
    mark = {"warning": "!", "error": "✗"}.get(message.level, "·")
    return f"{message.at:%H:%M:%S} {mark} {message.activity}: {message.text}"


def _show_runs(runs: Sequence[Run], *, as_json: bool) -> None:
    if as_json:
        emit_json([_run(one) for one in runs])
        return
    table(
        ["run", "workflow", "version", "status", "started (UTC)", "ended (UTC)", "API calls", "message"],
        [
            (
                str(one.id),
                one.workflow,
                str(one.version),
                one.status,
                one.started_at,
                one.ended_at,
                one.api_calls,
                one.message.partition("\n")[0],
            )
            for one in runs
        ],
        empty="Nothing has run yet. Begin with: crosstie run FILE",
    )


def _show_run(one: Run, tasks: Sequence[Task], windows: Sequence[Window], messages: Sequence[Message]) -> None:
    ended = f" → {text(one.ended_at)}" if one.ended_at else ""
    click.echo(f"{one.workflow}  run {one.id}, version {one.version}: {one.status}")
    click.echo(f"{text(one.started_at)}{ended} UTC · {one.api_calls:,} API calls · {one.remote_rows:,} records read")
    if one.message:
        click.echo(one.message)
    for window in windows:
        click.echo(f"index {window.option}: {_index(window)}")
    click.echo()
    table(
        ["task", "activity", "status", "attempt", "what it did"],
        [
            (
                str(task.id),
                task.activity,
                task.status,
                task.attempt,
                task.error_message or facts(task.counts),
            )
            for task in tasks
        ],
        empty="No activity has begun.",
    )
    if messages:
        click.echo()
    for message in messages:
        click.echo(_line(message))


def _run(one: Run) -> dict[str, object]:
    return {
        "run": one.id,
        "workflow": one.workflow,
        "version": one.version,
        "status": one.status,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "api_calls": one.api_calls,
        "remote_rows": one.remote_rows,
        "message": one.message,
    }


def _task(one: Task) -> dict[str, object]:
    return {
        "task": one.id,
        "activity": one.activity,
        "attempt": one.attempt,
        "status": one.status,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "counts": dict(one.counts),
        "error_code": one.error_code,
        "error_message": one.error_message,
    }


def _message(one: Message) -> dict[str, object]:
    return {
        "at": one.at,
        "level": one.level,
        "activity": one.activity,
        "task": one.task,
        "text": one.text,
        "details": dict(one.details),
    }

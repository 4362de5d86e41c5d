"""`crosstie workflow start|pause|stop|…`: what people do with workflows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from crosstie.cli.confirming import confirmed
from crosstie.cli.failures import WAITING, Stopped
from crosstie.cli.output import emit_json, json_option, text
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    from crosstie.app import App
    from crosstie.app.control import Asked, Started
    from crosstie.workflow.activity import Scalar


def read_variables(given: Sequence[str]) -> dict[str, Scalar]:
    """`name=value` as given on the command line; numbers are numbers. Raises UsageError."""
    found: dict[str, Scalar] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.isidentifier():
            raise click.UsageError(f"“{one}” is not a variable; write --var name=value.")
        found[name] = _value(value)
    return found


def _value(written: str) -> Scalar:
    digits = written.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and (digits == "0" or not digits.startswith("0")):
        return int(written)
    return written


@click.command()
@click.argument("name")
@click.option("--accept-edit", is_flag=True, help="Go on although the activity at which it stopped was edited since.")
@click.option("--var", "given", multiple=True, metavar="NAME=VALUE", help="A variable that the first run begins with.")
@json_option
@pass_session
def start(session: Session, name: str, accept_edit: bool, given: tuple[str, ...], as_json: bool) -> None:
    """Hands a workflow to `crosstie serve`.

    A new or finished one begins at its beginning, a paused or failed one goes on where it stopped."""
    variables = read_variables(given)
    with session.app() as app:
        started = confirmed(lambda yes: app.control.start(name, accept_edit=yes, variables=variables), accept_edit)
        _tell_start(app, started, as_json=as_json)


@click.command()
@click.argument("name")
@json_option
@pass_session
def pause(session: Session, name: str, as_json: bool) -> None:
    """Begins no new task, and lets those at work end."""
    with session.app() as app:
        asked = app.control.pause(name)
    paused = f"✓ {name} is paused. Go on: crosstie workflow start {name}"
    _tell(asked, f"{name} is {asked.in_vain}: there is nothing to pause." if asked.in_vain else paused, as_json=as_json)


@click.command()
@click.argument("name")
@click.option("--accept-edit", is_flag=True, help="Go on although the activity at which it stopped was edited since.")
@json_option
@pass_session
def resume(session: Session, name: str, accept_edit: bool, as_json: bool) -> None:
    """Goes on with a paused or failed workflow; the same as `start`."""
    with session.app() as app:
        started = confirmed(lambda accept: app.control.start(name, accept_edit=accept), accept_edit)
        _tell_start(app, started, as_json=as_json)


@click.command()
@click.argument("name")
@json_option
@pass_session
def stop(session: Session, name: str, as_json: bool) -> None:
    """Ends its runs at once and for good; SQL statements and remote calls are cancelled."""
    with session.app() as app:
        asked = app.control.stop(name)
    _tell(asked, f"✓ {name} is stopped.", as_json=as_json)


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Don't ask.")
@json_option
@pass_session
def kill(session: Session, name: str, yes: bool, as_json: bool) -> None:
    """The last resort: ends its runs without waiting for whoever is at work.

    Nothing of what they are doing can be published any more, but it is not cancelled either."""
    if not yes:
        click.confirm(f"End the runs of {name} without waiting for them?", abort=True)
    with session.app() as app:
        asked = app.control.kill(name)
    left = f" {asked.holder} may still be at work on it; nothing of that counts." if asked.holder else ""
    _tell(asked, f"✓ {name} is finished: {asked.outcome}.{left}", as_json=as_json)


@click.command()
@click.argument("name")
@click.option("--from", "activity", metavar="ACTIVITY", help="Begin at this activity, with what came in to it last.")
@click.option("--var", "given", multiple=True, metavar="NAME=VALUE", help="A variable that the run begins with.")
@json_option
@pass_session
def restart(session: Session, name: str, activity: str | None, given: tuple[str, ...], as_json: bool) -> None:
    """Stops a workflow, then starts it from the beginning, or from an activity."""
    variables = read_variables(given)
    if activity and variables:
        raise click.UsageError("--var goes with a restart from the beginning only.")
    with session.app() as app:
        if activity:
            started = app.control.restart_at(name, activity)
        else:
            started = app.control.restart(name, variables=variables)
        _tell_start(app, started, as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("activity", required=False, default="")
@json_option
@pass_session
def wake(session: Session, name: str, activity: str, as_json: bool) -> None:
    """Executes now what waits, and fires its schedules: of one ACTIVITY, or of all."""
    with session.app() as app:
        asked = app.control.wake(name, activity)
    runs = f", {len(asked.began)} schedules fired" if asked.began else ""
    _tell(asked, f"✓ {asked.outcome} woken{runs}.", as_json=as_json)


@click.command("signal")
@click.argument("name")
@click.argument("activity")
@click.option("--var", "given", multiple=True, metavar="NAME=VALUE", help="A variable that the call brings.")
@click.option("--complete", is_flag=True, help="The activity hears no later call.")
@json_option
@pass_session
def signal_(session: Session, name: str, activity: str, given: tuple[str, ...], complete: bool, as_json: bool) -> None:
    """Calls an ACTIVITY that waits for a signal."""
    variables = read_variables(given)
    with session.app() as app:
        asked = app.control.signal(name, activity, variables, complete=complete)
    _tell(asked, f"✓ {activity} was called.", as_json=as_json)


@click.command()
@click.argument("name")
@click.option("--older-than", default="0", metavar="DURATION", help="Only what was over so long ago, like 30d.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@json_option
@pass_session
def purge(session: Session, name: str, older_than: str, yes: bool, as_json: bool) -> None:
    """Removes the history of a workflow: runs that are over, their tasks, events and messages.

    Its newest run, options, windows and open rejects stay."""
    age = _age(older_than)
    if not yes:
        click.confirm(f"Remove the history of {name}{f' older than {older_than}' if age else ''}?", abort=True)
    with session.app() as app:
        purged = app.control.purge(name, age)
    if as_json:
        emit_json({"workflow": name, "runs": purged.runs, "messages": purged.messages})
    else:
        click.echo(f"✓ {purged.runs:,} runs and {purged.messages:,} messages removed")


def _age(written: str) -> timedelta:
    from crosstie.workflow.durations import parse_duration

    try:
        return parse_duration(written)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _tell_start(app: App, started: Started, *, as_json: bool) -> None:
    from crosstie.app.serving import services

    served = services(app.db)
    if as_json:
        emit_json(
            {
                "workflow": started.workflow,
                "already": started.already,
                "resumed": list(started.resumed),
                "begun": started.begun,
                "schedules": {one.activity: one.next_at for one in started.schedules},
                "warnings": dict(started.warnings),
                "served": list(served),
            }
        )
        return
    for activity, warning in started.warnings.items():
        click.echo(f"! {activity}: {warning}", err=True)
    if started.already:
        click.echo(f"{started.workflow} is started already; nothing changed.")
    else:
        numbers = ", ".join(str(one) for one in started.resumed)
        went = f", going on with run {numbers}" if numbers else ""
        began = f", run {started.begun}" if started.begun is not None else ""
        click.echo(f"✓ {started.workflow} is started{went}{began}")
    for one in started.schedules:
        when = f"fires next {text(one.next_at)} UTC" if one.next_at else "does not fire any more"
        click.echo(f"  {one.activity}  {when}")
    if not served:
        click.echo("! Nothing serves this database. Begin with: crosstie serve", err=True)


def _tell(asked: Asked, done: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(
            {
                "workflow": asked.workflow,
                "applied": asked.applied,
                "outcome": asked.outcome,
                "holder": asked.holder,
                "at_work": list(asked.at_work),
                "began": list(asked.began),
            }
        )
    elif asked.applied:
        click.echo(done)
        if asked.at_work:
            click.echo(f"  still at work: {', '.join(asked.at_work)}")
    else:
        click.echo(f"Recorded. {asked.holder or 'The next crosstie serve'} has still to apply it.")
    if not asked.applied:
        raise Stopped(WAITING)


COMMANDS = (start, resume, pause, stop, kill, restart, wake, signal_, purge)

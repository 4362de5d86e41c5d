"""Workflows that stay paused or failed: they keep their work tables, so people are told, and at last they are stopped.

The row of `schedule` with an empty activity says when a paused workflow is spoken of next, so that several processes
that serve say it once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from crosstie.db.database import Database, Transaction, instant_text, parse_instant
from crosstie.workflow import actions, instances, state
from crosstie.workflow.instances import Instance, WorkflowStatus
from crosstie.workflow.notices import Event, Notice, notify
from crosstie.workflow.settings import WorkflowSettings
from crosstie.workflow.state import RunStatus
from crosstie.workflow.watcher import add_message

# After the first time they are told so often.
_AGAIN = timedelta(days=7)
_RESTING = (WorkflowStatus.PAUSED, WorkflowStatus.FAILED)


def look_after(db: Database, instance: Instance, settings: WorkflowSettings, now: datetime) -> str:
    """Reports a workflow that has been paused or failed for long, or stops it, as its settings say; what was said, ''
    when there was nothing to say."""
    since = instance.status_at
    if instance.status not in _RESTING or since is None:
        return ""
    with db.transaction(f"{instance.workflow} rests since long") as transaction:
        instances.lock_status(transaction, instance.workflow)
        found = instances.find_instance(transaction, instance.workflow)
        if found is None or (found.status, found.status_at) != (instance.status, since):
            return ""
        text = ""
        event: Event = "paused for long"
        if settings.stop_paused and now - since >= settings.stop_paused:
            text = _stop(transaction, instance, settings.stop_paused, now)
            event = "stopped"
        elif settings.report_paused and _is_time(transaction, instance.workflow, since + settings.report_paused, now):
            text = (
                f"{instance.workflow} is {instance.status} since {since:%Y-%m-%d %H:%M} UTC"
                f"{f' ({instance.message})' if instance.message else ''} and keeps its work tables."
                f" Go on with it: crosstie workflow start {instance.workflow}."
                f" Give it up: crosstie workflow stop {instance.workflow}."
            )
        if text:
            _say(transaction, instance.workflow, now, text)
            notify(transaction, settings, Notice(event=event, message=text), now)
        return text


def _stop(transaction: Transaction, instance: Instance, longest: timedelta, now: datetime) -> str:
    message = f"stopped: {instance.status} for longer than {longest.days} days"
    actions.finish(transaction, instance.workflow, now, "serve")
    for run in state.unfinished_runs(transaction, instance.workflow):
        if run.served:
            state.stop_run(transaction, run.id, now, RunStatus.STOPPED, message)
    return f"{instance.workflow} was {message}. Begin it anew: crosstie workflow start {instance.workflow}."


def _is_time(transaction: Transaction, workflow: str, first: datetime, now: datetime) -> bool:
    """Whether it is time to tell, for this pause; the next time is noted."""
    row = transaction.row(
        "select rule, next_at from crosstie.schedule where workflow = :workflow and activity = ''",
        {"workflow": workflow},
    )
    rule = instant_text(first)
    due = parse_instant(str(row[1])) if row is not None and row[0] == rule and row[1] else first
    if row is not None and row[0] == rule and due > now:
        return False
    told = due <= now
    transaction.execute(
        "insert into crosstie.schedule (workflow, activity, rule, next_at) values (:workflow, '', :rule, :next)"
        " on conflict (workflow, activity) do update set rule = excluded.rule, next_at = excluded.next_at",
        {"workflow": workflow, "rule": rule, "next": instant_text(now + _AGAIN if told else first)},
    )
    return told


def _say(transaction: Transaction, workflow: str, now: datetime, text: str) -> None:
    add_message(
        transaction,
        at=now,
        workflow=workflow,
        run=None,
        task=None,
        activity="",
        level="warning",
        text=text,
        details={},
    )

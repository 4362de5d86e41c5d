"""What supervisors are told: recorded in the transaction that suspends, aborts or reports a workflow, sent after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from crosstie.db.database import Transaction, instant_text
from crosstie.notify.outbox import Draft, Trouble, put
from crosstie.workflow.settings import WorkflowSettings
from crosstie.workflow.watcher import add_message

Event = Literal["suspended", "aborted", "paused for long", "stopped", "schema changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What happened to a workflow. `message` says what failed and what to do about it, as in the log."""

    event: Event
    message: str
    run: int | None = None
    activity: str = ""
    code: str = ""


def notify(transaction: Transaction, settings: WorkflowSettings, notice: Notice, now: datetime) -> int:
    """Tells the supervisors of a workflow, each by a message of its own; how many there are."""
    for supervisor in settings.supervisors:
        webhook = supervisor.startswith("https://")
        put(
            transaction,
            Draft(
                kind="webhook" if webhook else "mail",
                recipient=supervisor,
                content=_payload(settings, notice, now) if webhook else _mail(settings, notice),
                workflow=settings.workflow,
                run=notice.run,
                activity=notice.activity,
            ),
            now,
        )
    return len(settings.supervisors)


def _mail(settings: WorkflowSettings, notice: Notice) -> dict[str, str]:
    name = settings.workflow
    shown = f"{name} ({settings.label})" if settings.label else name
    at = f" at activity “{notice.activity}”" if notice.activity else ""
    if notice.event in ("suspended", "aborted"):
        failed = f"run {notice.run} failed{at}" if notice.run is not None else "it cannot be carried on"
        text = [f"Workflow {shown} was {notice.event}: {failed}.", notice.message, _way_on(name, notice)]
    else:
        text = [f"Workflow {shown}: {notice.event}.", notice.message]
    if notice.run is not None:
        text.append(f"What happened before: crosstie log {notice.run}")
    return {"subject": f"Crosstie: {name} {notice.event}{at}", "text": "\n\n".join(text) + "\n"}


def _way_on(name: str, notice: Notice) -> str:
    if notice.event == "aborted":
        return f"It cannot be gone on with. Begin it anew when the cause is mended: crosstie workflow start {name}"
    return (
        "Nothing is lost: it goes on where it stopped when the cause is mended and somebody says so:"
        f" crosstie workflow start {name} (where it is served), or crosstie run {name}"
    )


def _payload(settings: WorkflowSettings, notice: Notice, now: datetime) -> dict[str, object]:
    return {
        "event": notice.event,
        "workflow": settings.workflow,
        "label": settings.label,
        "run": notice.run,
        "activity": notice.activity,
        "message": notice.message,
        "code": notice.code,
        "at": instant_text(now),
    }


def note_trouble(transaction: Transaction, trouble: Trouble, now: datetime) -> None:
    """Keeps in the log of its run that a message could not be sent."""
    draft = trouble.draft
    kind = "mail" if draft.kind == "mail" else "webhook"
    tail = (
        "It is given up: who should know has to be told otherwise."
        if trouble.given_up
        else "It is tried again, later and later, for a day."
    )
    add_message(
        transaction,
        at=now,
        workflow=draft.workflow,
        run=draft.run,
        task=None,
        activity=draft.activity,
        level="error" if trouble.given_up else "warning",
        text=f"The {kind} to {draft.place} could not be sent. {trouble.text} {tail}",
        details={},
    )

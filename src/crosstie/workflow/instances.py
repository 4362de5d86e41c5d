"""What a workflow is doing, beyond its single runs: its status, its own variables, and what people ask of it.

A request is recorded at once and applied by whoever holds the workflow; asking twice has no further effect
(workflow semantics, Actions). Statements only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from crosstie.db.database import Transaction, instant_text, parse_instant
from crosstie.workflow.activity import Scalar
from crosstie.workflow.state import read_vars, vars_text


class WorkflowStatus(StrEnum):
    """`edited` was never started; `started` is carried on by `serve`; a `failed` one is paused, for a cause."""

    EDITED = "edited"
    STARTED = "started"
    PAUSED = "paused"
    FAILED = "failed"
    FINISHED = "finished"


class Action(StrEnum):
    """What people ask of whoever holds a workflow: no new task; an end at once; waiting tasks now; a named call, and
    one after which those that hear it hear no other."""

    PAUSE = "pause"
    STOP = "stop"
    WAKE = "wake"
    SIGNAL = "signal"
    LAST_SIGNAL = "last signal"

    @property
    def is_call(self) -> bool:
        """Whether it is a call of tasks that listen, which counts each time."""
        return self in (Action.SIGNAL, Action.LAST_SIGNAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A workflow's status, since when and by whom, its variables, and its errors that were ignored in a row."""

    workflow: str
    version: int
    status: WorkflowStatus
    status_at: datetime | None
    status_by: str
    vars: Mapping[str, Scalar]
    ignored_errors: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asked for. `activity` names the task's activity, where it is about one."""

    id: int
    workflow: str
    action: Action
    activity: str
    details: Mapping[str, Scalar]
    at: datetime
    by: str


_INSTANCE = "select name, version, status, status_at, status_by, vars, ignored_errors, message from crosstie.workflow"


def _instance(row: Sequence[object]) -> Instance:
    return Instance(
        workflow=str(row[0]),
        version=int(str(row[1])),
        status=WorkflowStatus(str(row[2])),
        status_at=parse_instant(str(row[3])) if row[3] else None,
        status_by=str(row[4] or ""),
        vars=read_vars(str(row[5] or "{}")),
        ignored_errors=int(str(row[6] or 0)),
        message=str(row[7] or ""),
    )


def find_instance(transaction: Transaction, workflow: str) -> Instance | None:
    """A workflow by its name; None when none of that name was applied."""
    row = transaction.row(f"{_INSTANCE} where name = :workflow", {"workflow": workflow})
    return _instance(row) if row else None


def instances(transaction: Transaction) -> tuple[Instance, ...]:
    """All applied workflows, by name."""
    return tuple(_instance(row) for row in transaction.rows(f"{_INSTANCE} order by name"))


def set_status(
    transaction: Transaction, workflow: str, status: WorkflowStatus, now: datetime, by: str, message: str = ""
) -> None:
    """Records what a workflow does from now on, and why."""
    transaction.execute(
        "update crosstie.workflow set status = :status, status_at = :now, status_by = :by, message = :message"
        " where name = :workflow",
        {"workflow": workflow, "status": status, "now": instant_text(now), "by": by, "message": message},
    )


def move_status(
    transaction: Transaction,
    workflow: str,
    to: WorkflowStatus,
    now: datetime,
    by: str,
    message: str = "",
    *,
    out_of: Sequence[WorkflowStatus],
) -> bool:
    """As `set_status`, but only out of one of those statuses. Whether it was one of them."""
    listed = ", ".join(f"'{status}'" for status in out_of)
    return (
        transaction.execute(
            "update crosstie.workflow set status = :status, status_at = :now, status_by = :by, message = :message"
            f" where name = :workflow and status in ({listed})",
            {"workflow": workflow, "status": to, "now": instant_text(now), "by": by, "message": message},
        )
        == 1
    )


def lock_status(transaction: Transaction, workflow: str) -> None:
    """Comes first in everything that decides by a workflow's status what becomes of its runs and schedules."""
    transaction.lock(f"status of {workflow}")


def keep_vars(transaction: Transaction, workflow: str, values: Mapping[str, Scalar]) -> None:
    """Keeps the workflow's own variables."""
    transaction.execute(
        "update crosstie.workflow set vars = :vars where name = :workflow",
        {"workflow": workflow, "vars": vars_text(values)},
    )


def change_vars(
    transaction: Transaction, workflow: str, before: Mapping[str, Scalar], after: Mapping[str, Scalar]
) -> None:
    """Keeps what a task changed in the workflow's own variables; what others have changed meanwhile stays."""
    if before == after:
        return
    locked = " for update" if transaction.dialect == "postgresql" else ""
    row = transaction.row(f"select vars from crosstie.workflow where name = :workflow{locked}", {"workflow": workflow})
    present = read_vars(str(row[0] or "{}")) if row else {}
    kept = {name: value for name, value in present.items() if name in after or name not in before}
    changed = {name: value for name, value in after.items() if name not in before or before[name] != value}
    keep_vars(transaction, workflow, {**kept, **changed})


def count_ignored(transaction: Transaction, workflow: str) -> int:
    """Counts one more error that was ignored; how many there were in a row."""
    row = transaction.row(
        "update crosstie.workflow set ignored_errors = ignored_errors + 1 where name = :workflow"
        " returning ignored_errors",
        {"workflow": workflow},
    )
    return int(row[0]) if row else 1


def forget_ignored(transaction: Transaction, workflow: str) -> None:
    """A run ended without an error: the next ignored one is the first in a row."""
    transaction.execute(
        "update crosstie.workflow set ignored_errors = 0 where name = :workflow and ignored_errors > 0",
        {"workflow": workflow},
    )


def add_request(
    transaction: Transaction,
    workflow: str,
    action: Action,
    now: datetime,
    by: str,
    *,
    activity: str = "",
    details: Mapping[str, Scalar] | None = None,
) -> int:
    """Records a request; its number. One that waits already, of the same action, is not asked twice, except calls."""
    if not action.is_call:
        waiting = transaction.row(
            "select id from crosstie.request where workflow = :workflow and action = :action and activity = :activity"
            " and done_at is null",
            {"workflow": workflow, "action": action, "activity": activity},
        )
        if waiting is not None:
            return int(waiting[0])
    row = transaction.row(
        "insert into crosstie.request (workflow, action, activity, details, at, by_whom, outcome)"
        " values (:workflow, :action, :activity, :details, :now, :by, '') returning id",
        {
            "workflow": workflow,
            "action": action,
            "activity": activity,
            "details": vars_text(details or {}),
            "now": instant_text(now),
            "by": by,
        },
    )
    assert row is not None
    return int(row[0])


def open_requests(transaction: Transaction, workflow: str) -> tuple[Request, ...]:
    """What was asked of a workflow and not applied yet, in the order of asking."""
    rows = transaction.rows(
        "select id, workflow, action, activity, details, at, by_whom from crosstie.request"
        " where workflow = :workflow and done_at is null order by id",
        {"workflow": workflow},
    )
    return tuple(
        Request(
            id=int(row[0]),
            workflow=str(row[1]),
            action=Action(str(row[2])),
            activity=str(row[3] or ""),
            details=read_vars(str(row[4] or "{}")),
            at=parse_instant(str(row[5])),
            by=str(row[6] or ""),
        )
        for row in rows
    )


def close_request(transaction: Transaction, request: int, now: datetime, outcome: str) -> None:
    """Records that a request was applied, and what came of it."""
    transaction.execute(
        "update crosstie.request set done_at = :now, outcome = :outcome where id = :request and done_at is null",
        {"request": request, "now": instant_text(now), "outcome": outcome},
    )


def latest_outcome(transaction: Transaction, workflow: str, action: Action) -> str:
    """What came of the last request of that kind; '' while it is open, or when there was none."""
    row = transaction.row(
        "select outcome from crosstie.request where workflow = :workflow and action = :action order by id desc limit 1",
        {"workflow": workflow, "action": action},
    )
    return str(row[0] or "") if row else ""

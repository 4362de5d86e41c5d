"""The reject inbox as a run fills it: what is refused again for the same cause keeps its open row. Statements only."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from crosstie.db.database import Transaction, instant_text
from crosstie.workflow.activity import Reject


def add_rejects(
    transaction: Transaction,
    run: int,
    task: int,
    workflow: str,
    activity: str,
    rejects: Iterable[Reject],
    now: datetime,
) -> None:
    """Puts refused rows into the reject inbox. What is refused again for the same cause keeps its open row there, which
    then tells of this run; the open ones are read once, as soon as a reject names its record or its row."""
    known: dict[tuple[str, ...], list[int]] | None = None
    for reject in rejects:
        number = None
        if reject.remote_id or reject.row_key:
            if known is None:
                known = _open_rejects(transaction, task, workflow, activity)
            cause = (reject.remote_id, reject.row_key, reject.code, reject.symbol, reject.field)
            number = known[cause].pop() if known.get(cause) else None
        renewed = (
            "update crosstie.reject set run = :run, task = :task, account = :account, object = :object,"
            " message = :message, value = :value, record = :record, at = :at where id = :id"
        )
        added = (
            "insert into crosstie.reject (run, task, workflow, activity, account, object, remote_id, row_key, code,"
            " symbol, message, field, value, record, at, status) values (:run, :task, :workflow, :activity, :account,"
            " :object, :remote_id, :row_key, :code, :symbol, :message, :field, :value, :record, :at, 'open')"
        )
        transaction.execute(
            added if number is None else renewed,
            {
                "run": run,
                "task": task,
                "workflow": workflow,
                "activity": activity,
                "account": reject.account,
                "object": reject.object,
                "remote_id": reject.remote_id,
                "row_key": reject.row_key,
                "code": reject.code,
                "symbol": reject.symbol,
                "message": reject.message,
                "field": reject.field,
                "value": reject.value,
                "record": json.dumps(dict(reject.record), ensure_ascii=False),
                "at": instant_text(now),
                "id": number,
            },
        )


def _open_rejects(
    transaction: Transaction, task: int, workflow: str, activity: str
) -> dict[tuple[str, ...], list[int]]:
    """The open rejects of an activity's earlier tasks: their numbers, the oldest last, by record and cause."""
    found: dict[tuple[str, ...], list[int]] = {}
    for number, *cause in transaction.rows(
        "select id, remote_id, row_key, code, symbol, field from crosstie.reject where workflow = :workflow"
        " and status = 'open' and activity = :activity and (remote_id <> '' or row_key <> '') and task <> :task"
        " order by id desc",
        {"workflow": workflow, "activity": activity, "task": task},
    ):
        found.setdefault(tuple(str(one) for one in cause), []).append(int(number))
    return found


def settle_rejects(transaction: Transaction, workflow: str, activity: str, keys: str) -> None:
    """Closes the open rejects of an activity whose rows were accepted now; `keys` is SQL that gives their keys."""
    transaction.execute(
        "update crosstie.reject set status = 'accepted' where workflow = :workflow and activity = :activity"
        f" and status = 'open' and row_key <> '' and row_key in ({keys})",
        {"workflow": workflow, "activity": activity},
    )


def lock_rejects(transaction: Transaction, workflow: str) -> None:
    """Comes before everything that changes rejects of a workflow: a publish and a person who dismisses write the same
    rows in different orders."""
    transaction.lock(f"rejects of {workflow}")


def count_rejects(transaction: Transaction, run: int) -> int:
    """How many rows a run refused, over all its attempts; those that were dismissed since count too."""
    row = transaction.row("select count(*) from crosstie.reject where run = :run", {"run": run})
    return int(row[0]) if row else 0

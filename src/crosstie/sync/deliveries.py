"""Deliveries: what an incremental query has put out, so that it is not put out again.

The keys are recorded with the commit that publishes them, as pending. They count for good when all that they fed has
ended well; when the run ends otherwise they are put out again. Statements only; the runner decides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from crosstie.db.database import Transaction, instant_text
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, WorkTable

_PENDING, _DELIVERED, _ABANDONED = "pending", "delivered", "abandoned"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The keys that an activity of a workflow has put out: a table with the columns of the key as k_1, k_2 …"""

    workflow: str
    activity: str
    table: str
    keys: tuple[Column, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of its table."""
        named = tuple(column.named(f"k_{place}") for place, column in enumerate(self.keys, 1))
        return (*named, Column(name="delivery", type=ColumnType.INTEGER))


def find_history(transaction: Transaction, workflow: str, activity: str) -> History | None:
    """What an activity has put out; None when it has not yet."""
    row = transaction.row(
        "select table_name, keys from crosstie.delivered where workflow = :workflow and activity = :activity",
        {"workflow": workflow, "activity": activity},
    )
    if row is None:
        return None
    keys = tuple(Column(**{**one, "type": ColumnType(one["type"])}) for one in json.loads(str(row[1])))
    return History(workflow=workflow, activity=activity, table=str(row[0]), keys=keys)


def keep_history(transaction: Transaction, history: History, *, kept: bool) -> None:
    """Registers the table of an activity. `kept`: also across starts of the workflow."""
    transaction.execute(
        "insert into crosstie.delivered (workflow, activity, table_name, keys, kept)"
        " values (:workflow, :activity, :table, :keys, :kept) on conflict (workflow, activity) do update set"
        " table_name = excluded.table_name, keys = excluded.keys, kept = excluded.kept",
        {
            "workflow": history.workflow,
            "activity": history.activity,
            "table": history.table,
            "keys": json.dumps([asdict(column) for column in history.keys], ensure_ascii=False),
            "kept": int(kept),
        },
    )


def record(
    transaction: Transaction,
    history: History,
    table: WorkTable,
    key: Sequence[str],
    *,
    run: int,
    task: int,
    now: datetime,
) -> None:
    """Records the keys of a population that is published with this commit."""
    row = transaction.row(
        "insert into crosstie.delivery (workflow, activity, run, task, at, status)"
        " values (:workflow, :activity, :run, :task, :now, :status) returning id",
        {
            "workflow": history.workflow,
            "activity": history.activity,
            "run": run,
            "task": task,
            "now": instant_text(now),
            "status": _PENDING,
        },
    )
    assert row is not None, "an insert returns its row"
    own = ", ".join(f"k_{place}" for place in range(1, len(history.keys) + 1))
    taken = ", ".join(quote_identifier(name) for name in key)
    transaction.execute(
        f"insert into crosstie.{history.table} ({own}, delivery)"
        f" select {taken}, {int(row[0])} from crosstie.{table.name}"
    )


def counts_as_delivered(history: History, alias: str) -> str:
    """The SQL condition that the delivery of a row of the table, under that alias, counts."""
    return f"{alias}.delivery in (select id from crosstie.delivery where status <> '{_ABANDONED}')"


def forget(transaction: Transaction, history: History, before: datetime | None) -> int:
    """Removes what does not count: what was abandoned, put out by a task whose result is lost, or, where `before` is
    given, put out before it. How many keys."""
    activity = {"workflow": history.workflow, "activity": history.activity}
    of_it = "workflow = :workflow and activity = :activity"
    transaction.execute(
        f"update crosstie.delivery set status = '{_ABANDONED}' where {of_it} and status = '{_PENDING}'"
        " and task in (select id from crosstie.task where status = 'lost')",
        activity,
    )
    if before is not None:
        transaction.execute(
            f"update crosstie.delivery set status = '{_ABANDONED}' where {of_it} and status = '{_DELIVERED}'"
            " and at < :before",
            {**activity, "before": instant_text(before)},
        )
    listed = f"select id from crosstie.delivery where {of_it} and status = '{_ABANDONED}'"
    forgotten = transaction.execute(f"delete from crosstie.{history.table} where delivery in ({listed})", activity)
    transaction.execute(f"delete from crosstie.delivery where {of_it} and status = '{_ABANDONED}'", activity)
    return forgotten


def begin_anew(transaction: Transaction, workflow: str) -> None:
    """The workflow is started from the beginning: what is not kept across starts is forgotten."""
    transaction.execute(
        f"update crosstie.delivery set status = '{_ABANDONED}' where workflow = :workflow and activity in"
        " (select activity from crosstie.delivered where workflow = :workflow and kept = 0)",
        {"workflow": workflow},
    )


def pending(transaction: Transaction, run: int) -> tuple[tuple[int, str, str], ...]:
    """The deliveries of a run that do not count for good yet, with their workflow and activity."""
    rows = transaction.rows(
        f"select id, workflow, activity from crosstie.delivery where run = :run and status = '{_PENDING}' order by id",
        {"run": run},
    )
    return tuple((int(row[0]), str(row[1]), str(row[2])) for row in rows)


def hand_over(transaction: Transaction, delivery: int, run: int) -> None:
    """What it fed has ended well in its own run, and goes on in that one."""
    transaction.execute("update crosstie.delivery set run = :run where id = :id", {"run": run, "id": delivery})


def confirm(transaction: Transaction, delivery: int) -> None:
    """All that it fed has ended well."""
    transaction.execute(f"update crosstie.delivery set status = '{_DELIVERED}' where id = :id", {"id": delivery})


def abandon(transaction: Transaction, run: int) -> None:
    """The run is over: what did not end well will be put out again."""
    transaction.execute(
        f"update crosstie.delivery set status = '{_ABANDONED}' where run = :run and status = '{_PENDING}'", {"run": run}
    )


def history_tables(transaction: Transaction) -> frozenset[str]:
    """The tables that the register names."""
    return frozenset(str(row[0]) for row in transaction.rows("select table_name from crosstie.delivered"))

"""Lists: populations that are kept under a name. A list's table never changes; an update replaces it by another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from crosstie.db.database import Transaction, instant_text, parse_instant
from crosstie.model import WorkTable
from crosstie.workflow.state import read_work_table, work_table_text


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredList:
    """A list. `made_by` and `changed_by` are workflows with their activity, or people."""

    name: str
    label: str
    table: WorkTable
    made_at: datetime
    made_by: str
    changed_at: datetime
    changed_by: str


_LIST = "select name, label, description, made_at, made_by, changed_at, changed_by from crosstie.list"


def _stored(row: Sequence[object]) -> StoredList:
    return StoredList(
        name=str(row[0]),
        label=str(row[1]),
        table=read_work_table(str(row[2])),
        made_at=parse_instant(str(row[3])),
        made_by=str(row[4]),
        changed_at=parse_instant(str(row[5])),
        changed_by=str(row[6]),
    )


def lists(transaction: Transaction) -> tuple[StoredList, ...]:
    """All lists by name."""
    return tuple(_stored(row) for row in transaction.rows(f"{_LIST} order by name"))


def find_list(transaction: Transaction, name: str) -> StoredList | None:
    """The list of that name, None when there is none."""
    row = transaction.row(f"{_LIST} where name = :name", {"name": name})
    return _stored(row) if row else None


def lock_list(transaction: Transaction, name: str) -> None:
    """Comes before what is decided by the rows that a list has."""
    transaction.lock(f"list {name}")


def store_list(transaction: Transaction, name: str, table: WorkTable, *, label: str, now: datetime, by: str) -> None:
    """Makes that work table the list's; the one it had goes when nothing uses it any more. A label '' leaves it."""
    transaction.execute(
        "insert into crosstie.list (name, label, table_name, description, made_at, made_by, changed_at, changed_by)"
        " values (:name, :label, :table, :description, :now, :by, :now, :by) on conflict (name) do update set"
        " label = case when excluded.label = '' then crosstie.list.label else excluded.label end,"
        " table_name = excluded.table_name, description = excluded.description, changed_at = excluded.changed_at,"
        " changed_by = excluded.changed_by",
        {
            "name": name,
            "label": label,
            "table": table.name,
            "description": work_table_text(table),
            "now": instant_text(now),
            "by": by,
        },
    )


def drop_list(transaction: Transaction, name: str) -> None:
    """Forgets a list."""
    transaction.execute("delete from crosstie.list where name = :name", {"name": name})


def list_tables(transaction: Transaction) -> frozenset[str]:
    """The tables that belong to lists."""
    return frozenset(str(row[0]) for row in transaction.rows("select table_name from crosstie.list"))

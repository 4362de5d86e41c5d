"""Work tables that no run names any more are dropped: by every runner for all, and by services from time to time."""

from __future__ import annotations

from collections.abc import Sequence

from crosstie.db.database import Database, Transaction
from crosstie.sync import comparison, deliveries, plans, windows
from crosstie.workflow.lists import list_tables
from crosstie.workflow.state import RESUMABLE, read_vars, read_work_table

_LIVING = ", ".join(f"'{status}'" for status in RESUMABLE)


def sweep(db: Database, mine: frozenset[int] = frozenset()) -> None:
    """Drops work tables that no run names. The tables are listed first and the registers asked after that, in one
    moment: what another process makes and names meanwhile is not in the list. `mine`: the runs that this process
    holds."""
    everything = db.work_tables()
    found = [name for name in everything if not comparison.is_comparisons(name)]
    comparison.sweep(db, everything)
    with db.reading() as transaction:
        kept = windows.tail_tables(transaction) | deliveries.history_tables(transaction) | list_tables(transaction)
        kept |= plans.plan_tables(transaction)
        names = _rubbish(transaction, found, mine=mine)
    db.drop_work([name for name in names if name not in kept])


def living_tables(transaction: Transaction) -> frozenset[str]:
    """Work tables that a resumable run, one that belongs to it, or the display of the newest run of each workflow still
    names; all of the newest run's where they are kept."""
    rows = transaction.rows(
        "select e.description from crosstie.event e join crosstie.run r on r.id = e.run where e.table_name <> '' and ("
        f" r.status in ({_LIVING}) or r.parent_task in (select t.id from crosstie.task t join crosstie.run p"
        f" on p.id = t.run where p.status in ({_LIVING})) or ((e.target = '' or r.kept = 1) and"
        " r.id in (select max(id) from crosstie.run group by workflow)))"
    )
    names: set[str] = set()
    for (description,) in rows:
        table = read_work_table(str(description))
        names.add(table.name)
        names.update(table.bases)
    return frozenset(names)


def _rubbish(transaction: Transaction, found: Sequence[str], *, mine: frozenset[int]) -> tuple[str, ...]:
    """Of the work tables that were found before, those that no run names: of runs that are over, and the unpublished
    ones of runs that this process holds. A table of a run that another process holds may be loading and is none."""
    living = living_tables(transaction)
    kept = _kept_tables(transaction)
    alive = {int(row[0]) for row in transaction.rows(f"select id from crosstie.run where status in ({_LIVING})")}
    named = [name for name in found if name not in living and not name.startswith(kept)]
    return tuple(name for name in named if (run := _run_of(name)) not in alive or run in mine)


def _kept_tables(transaction: Transaction) -> tuple[str, ...]:
    """What the names of the work tables begin with that a task of a resumable run keeps for its next execution: any
    text in its state that looks like one."""
    rows = transaction.rows(
        "select t.state from crosstie.task t join crosstie.run r on r.id = t.run"
        f" where t.state <> '{{}}' and r.status in ({_LIVING})"
    )
    values = (value for (text,) in rows for value in read_vars(str(text)).values())
    return tuple(value for value in values if isinstance(value, str) and value.startswith("w_"))


def _run_of(work_table: str) -> int:
    number = work_table.split("_")[1]
    return int(number) if number.isdigit() else 0

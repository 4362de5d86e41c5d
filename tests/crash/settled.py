"""What a run leaves behind, said so that an interrupted run and an uninterrupted one can be compared.

Left out is what may differ: numbers of tasks, private names of work tables, attempts, counters of API calls, the log.
Runs are counted, because PostgreSQL does not give a number again that a killed process had taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from crosstie.db import open_database
from crosstie.db.database import Database, Transaction
from crosstie.sync import plans, windows
from crosstie.workflow import state, sweeping
from crosstie.workflow.state import RunStatus, TaskStatus
from crosstie.workflow.watcher import messages
from tests.crash.sent import sent_nothing, sent_rows, unanswered

_COUNTED = "(select count(*) from crosstie.run r where r.id <= run)"
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`facts` by name; `problems` is what is wrong by itself, whatever it is compared with."""

    facts: Mapping[str, object]
    problems: tuple[str, ...]

    def differences(self, expected: Settled) -> list[str]:
        """What differs from what was expected, and what is wrong by itself."""
        told = [
            f"{name}: {difference(expected.facts[name], self.facts[name])}"
            for name in expected.facts
            if self.facts[name] != expected.facts[name]
        ]
        return [*self.problems, *told]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a killed run stands: the how-manieth it is (0 where none ever began), whether it is done, whether its
    window is settled, and the job that an open one keeps ('' for none)."""

    run: int
    done: bool
    window_settled: bool
    job: str


def difference(expected: object, found: object) -> str:
    """How two facts differ: of lists what is missing in one, and what is too much."""
    if not isinstance(expected, list) or not isinstance(found, list):
        return f"expected {expected!r}, found {found!r}"
    wanted, there = Counter(map(repr, expected)), Counter(map(repr, found))
    missing, surplus = list((wanted - there).elements()), list((there - wanted).elements())
    return f"missing {missing}, too much {surplus}" if missing or surplus else f"in another order: {found}"


def settled(database: str, people: Mapping[str, str]) -> Settled:
    """What is in the database now. `people` names queries over people's tables; `{tie}` in them stands for the tie
    table."""
    with closing(open_database(database, create=False)) as db, db.reading() as transaction:
        ties = [str(row[0]) for row in transaction.rows("select table_name from crosstie.tie order by id")]
        latest = _latest(transaction)
        facts: dict[str, object] = {
            name: sorted(transaction.rows(sql.format(tie=f"crosstie.{ties[0]}" if ties else "")), key=repr)
            for name, sql in people.items()
            if ties or "{tie}" not in sql
        }
        facts |= {
            "options": transaction.rows("select name, value, changed_by from crosstie.option order by name"),
            "windows": transaction.rows(
                f"select option_name, {_COUNTED}, start_at, end_at, overlap_seconds, option_read, status, rows"
                " from crosstie.import_window where status <> 'abandoned' order by id"
            ),
            "tails": _tails(db, transaction),
            "matches": [
                sorted(transaction.rows(f"select remote_id, has_left from crosstie.{table}"))
                for (table,) in transaction.rows("select table_name from crosstie.matches order by option_name")
            ],
            "unaccepted": transaction.rows(
                f"select option_name, remote_id, {_COUNTED} from crosstie.unaccepted order by 1, 2"
            ),
            "rejects": transaction.rows(
                f"select {_COUNTED}, workflow, activity, object, remote_id, symbol, field, value, record, status"
                " from crosstie.reject order by id"
            ),
            "ties": transaction.rows("select account, org, object, local_table, columns from crosstie.tie order by id"),
            "sent": sent_rows(transaction),
            "unanswered": unanswered(transaction),
            "runs": [(run.workflow, str(run.status)) for run in state.runs(transaction)],
            "counts": {
                (run.workflow, task.activity): dict(task.counts)
                for run in latest
                for task in state.tasks(transaction, run.id)
                if task.status is TaskStatus.FINISHED
            },
            "shown": sorted(
                (run.workflow, event.source, event.transition, event.table.rows if event.table else 0)
                for run in latest
                for event in state.events(transaction, run.id)
                if not event.target
            ),
        }
        return Settled(facts=facts, problems=tuple(_problems(db, transaction, latest)))


def standing(database: str) -> Standing:
    """Where the newest run stands."""
    with closing(open_database(database, create=False)) as db, db.reading() as transaction:
        runs = _whole(transaction)
        if not runs:
            return Standing(run=0, done=False, window_settled=False, job="")
        latest = runs[0]
        own = [one for one in windows.windows_of(transaction, latest.id) if one.status != "abandoned"]
        opened = [one for one in own if one.status is windows.WindowStatus.OPEN]
        return Standing(
            run=len(runs),
            done=latest.status is RunStatus.DONE,
            window_settled=bool(own) and not opened,
            job=opened[0].job if opened else "",
        )


def _whole(transaction: Transaction) -> list[state.Run]:
    """The runs that are no part of another one, the newest first."""
    return [run for run in state.runs(transaction) if run.parent_task is None]


def _latest(transaction: Transaction) -> list[state.Run]:
    """The newest run, and those that are its parts."""
    newest = _whole(transaction)[0]
    tasks = {task.id for task in state.tasks(transaction, newest.id)}
    return [newest, *(run for run in state.runs(transaction) if run.parent_task in tasks)]


def _tails(db: Database, transaction: Transaction) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for option, table, end, fingerprint, late in transaction.rows(
        "select option_name, table_name, end_at, fingerprint, late_seconds from crosstie.tail order by option_name"
    ):
        rows: Rows = []
        if table in db.work_tables():
            rows = sorted(transaction.rows(f"select * from crosstie.{table}"), key=repr)
        found.append((option, end, fingerprint, late, rows))
    return found


def _problems(db: Database, transaction: Transaction, latest: list[state.Run]) -> list[str]:
    """Rubbish, tasks without an end, a damaged file, a log that cannot be read."""
    named = set(windows.tail_tables(transaction)) | set(sweeping.living_tables(transaction))
    named |= set(plans.plan_tables(transaction))
    told = [f"work table {name} is named by nobody" for name in db.work_tables() if name not in named]
    told += [f"work table {name} is gone" for name in sorted(named - set(db.work_tables()))]
    for run in latest:
        tasks = state.tasks(transaction, run.id)
        last = {task.activity: task for task in tasks}
        told += [
            f"task {task.id} ({task.activity}) is still {task.status}"
            for task in tasks
            if task.status is TaskStatus.RUNNING
            or (task is last[task.activity] and task.status is not TaskStatus.FINISHED)
        ]
    for run in state.runs(transaction):
        lines = messages(transaction, run.id)
        told += [f"log: {line!r}" for line in lines if not line.text or "Traceback" in line.text]
        silent = run.parent_task is not None or sent_nothing(transaction, run.id)
        told += [] if lines or silent else [f"run {run.id} left no log"]
    if db.dialect == "sqlite":
        told += [str(row[0]) for row in transaction.rows("pragma quick_check") if row[0] != "ok"]
    return told

"""A runner's hold, and the database as a running activity sees it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from crosstie.db.database import Database
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType
from crosstie.workflow import state
from crosstie.workflow.holding import HeldDatabase, Hold

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
A = (Column(name="a", type=ColumnType.TEXT),)


@contextmanager
def runner(db: Database) -> Iterator[tuple[Hold, int]]:
    """The hold of a workflow and the number of its run."""
    hold = Hold(db, "flow")
    with db.hold(hold.name) as got:
        assert got
        with db.transaction("test") as transaction:
            run = state.begin_run(transaction, "flow", 1, NOW, initial=(), variables={})
            hold.take(transaction, run, 1)
        yield hold, run


def lose(db: Database, url: str) -> None:
    """Takes the hold away from outside."""
    if db.dialect == "sqlite":
        for file in Path(f"{url.removeprefix('sqlite:///')}.locks").glob("workflow*"):
            file.unlink()
        return
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "select pg_terminate_backend(l.pid, 60000) from pg_locks l join pg_database d on d.oid = l.database"
            " where l.locktype = 'advisory' and d.datname = current_database()"
        )


def test_without_its_hold_an_activity_reads_but_writes_nothing(database: Database, database_url: str) -> None:
    with runner(database) as (hold, _):
        held = HeldDatabase(database, hold)
        held.create_work("w_1_1_ok", A)
        with held.load("w_1_1_ok", A) as load:
            load.write(pa.RecordBatch.from_pydict({"a": ["x"]}))
        hold.check()
        lose(database, database_url)
        refused = (
            lambda: held.create_work("w_1_2_ok", A),
            lambda: held.prepare("w_1_1_ok"),
            lambda: held.drop_work(["w_1_1_ok"]),
            lambda: held.load("w_1_1_ok", A).__enter__(),
            lambda: held.transaction("test").__enter__(),
            hold.check,
        )
        for act in refused:
            with pytest.raises(DatabaseError, match="The hold of workflow flow was lost"):
                act()
        with held.reading() as transaction:
            assert transaction.rows("select a from crosstie.w_1_1_ok") == [("x",)]


def test_a_load_ends_with_the_hold(database: Database, database_url: str) -> None:
    with runner(database) as (hold, _):
        held = HeldDatabase(database, hold)
        held.create_work("w_1_1_ok", A)
        with pytest.raises(DatabaseError, match="hold of workflow flow was lost"), held.load("w_1_1_ok", A) as load:
            load.write(pa.RecordBatch.from_pydict({"a": ["x"]}))
            lose(database, database_url)
            load.write(pa.RecordBatch.from_pydict({"a": ["y"]}))
        with database.reading() as transaction:
            assert ("y",) not in transaction.rows("select a from crosstie.w_1_1_ok")


def test_a_run_that_was_taken_over_is_written_for_by_nobody_else(database: Database) -> None:
    with runner(database) as (hold, run):
        held = HeldDatabase(database, hold)
        with held.transaction("before") as transaction:
            transaction.execute("insert into crosstie.option (name, value) values ('before', '')")
        with database.transaction("another runner") as transaction:
            state.take_run(transaction, run, 1)
        with pytest.raises(DatabaseError, match="taken over by another runner"), held.transaction("after") as refused:
            refused.execute("insert into crosstie.option (name, value) values ('after', '')")
        with pytest.raises(DatabaseError, match="taken over"), database.transaction("after") as transaction:
            hold.publish(transaction)
        with database.reading() as transaction:
            assert transaction.rows("select name from crosstie.option") == [("before",)]


def test_a_run_is_not_taken_over_in_the_midst_of_a_write_for_it(database: Database) -> None:
    order: list[str] = []
    with runner(database) as (hold, run):

        def take_over() -> None:
            with database.transaction("another runner") as transaction:
                state.take_run(transaction, run, 1)
            order.append("taken over")

        other = threading.Thread(target=take_over)
        with HeldDatabase(database, hold).transaction("test") as transaction:
            transaction.execute("insert into crosstie.option (name, value) values ('x', '')")
            other.start()
            other.join(0.3)
            order.append("written")
        other.join()
    assert order == ["written", "taken over"]

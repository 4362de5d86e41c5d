"""Who may write, who holds a lock, and what a person who waits is told."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.db.postgresql.waiting import LockWatch
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType
from tests.databases import PostgresServer

SOURCE = Path(__file__).resolve().parents[3] / "src"
A = (Column(name="a", type=ColumnType.TEXT),)


def test_a_held_lock_is_one_s_own_until_it_is_given_back(database: Database) -> None:
    with database.hold("workflow contacts") as first, database.hold("workflow contacts") as second:
        assert (first, second) == (True, False)
        assert database.still_holds("workflow contacts")
        with database.hold("workflow größe/2") as other:
            assert other
    assert not database.still_holds("workflow contacts")
    with database.hold("workflow contacts") as again:
        assert again


def test_a_lock_that_was_given_back_is_free_at_once(database: Database) -> None:
    for _ in range(20):
        with database.hold("workflow contacts") as got:
            assert got
        assert database.holder("workflow contacts") == ""


def test_somebody_who_calls_is_heard_once_where_writers_wait_for_each_other(database: Database) -> None:
    assert database.heed("workflow contacts") is None
    database.call("workflow contacts", "ann")
    database.call("workflow contacts", "ann")
    heard = [database.heed("workflow contacts") for _ in range(2)]
    assert heard == ["ann" if database.dialect == "sqlite" else None, None]


def test_a_lock_is_held_between_processes_and_ends_with_its_holder(database: Database, database_url: str) -> None:
    program = (
        "import sys\nfrom crosstie.db import open_database\n"
        "with open_database(sys.argv[1]).hold('w') as got:\n    print(got, flush=True)\n    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(SOURCE)},
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with database.hold("w") as got:
            assert not got
        os.kill(holder.pid, signal.SIGKILL)
    until = time.monotonic() + 60
    while True:
        with database.hold("w") as got:
            if got:
                break
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_lost_lock_connection_is_noticed(postgres_url: str) -> None:
    database = open_database(postgres_url)
    with database.hold("w") as got:
        assert got
        assert database.still_holds("w")
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute(
                "select pg_terminate_backend(pid, 60000) from pg_locks where locktype = 'advisory'"
                " and pid <> pg_backend_pid()"
            )
        assert not database.still_holds("w")
    database.close()


def test_a_lock_whose_file_was_removed_is_lost(tmp_path: Path) -> None:
    database = open_database(str(tmp_path / "marketing.db"))
    other = open_database(str(tmp_path / "marketing.db"))
    with database.hold("w") as got:
        assert got
        for file in (tmp_path / "marketing.db.locks").glob("w-*"):
            file.unlink()
        assert not database.still_holds("w")
        with other.hold("w") as another:
            assert another
    other.close()
    database.close()


def test_a_holder_is_named_with_process_machine_and_time(database: Database) -> None:
    assert database.holder("workflow contacts") == ""
    with database.hold("workflow contacts"):
        named = database.holder("workflow contacts")
    assert re.fullmatch(rf"process {os.getpid()} on \S+, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC", named)
    assert database.holder("workflow contacts") == ""


def test_a_work_table_in_use_is_left_for_the_next_sweep(postgres_url: str) -> None:
    database = open_database(postgres_url)
    for name in ("w_1_1_ok", "w_2_1_ok"):
        database.create_work(name, A)
    with database.reading() as reader:
        reader.rows("select * from crosstie.w_1_1_ok")
        database.drop_work(["w_1_1_ok", "w_2_1_ok"])
        assert database.work_tables() == ("w_1_1_ok",)
    database.drop_work(["w_1_1_ok", "w_2_1_ok"])
    assert database.work_tables() == ()
    database.close()


def test_work_tables_that_two_processes_sweep_at_once_are_gone_without_error(database: Database) -> None:
    for number in range(20):
        database.create_work(f"w_{number}_1_ok", A)
    names = database.work_tables()
    errors: list[BaseException] = []

    def sweep() -> None:
        try:
            for name in names:
                database.drop_work([name])
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            errors.append(error)

    sweepers = [threading.Thread(target=sweep) for _ in range(3)]
    for sweeper in sweepers:
        sweeper.start()
    for sweeper in sweepers:
        sweeper.join()
    assert errors == []
    assert database.work_tables() == ()


class Heard(logging.Handler):
    """Waits for what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.said = threading.Event()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.said.set()


@contextmanager
def heard() -> Iterator[Heard]:
    handler = Heard()
    logging.getLogger("crosstie.db").addHandler(handler)
    try:
        yield handler
    finally:
        logging.getLogger("crosstie.db").removeHandler(handler)


def test_who_waits_for_a_lock_of_postgresql_is_told_for_what(postgres_url: str) -> None:
    database = open_database(postgres_url)
    done = threading.Event()

    def wait() -> None:
        with psycopg.connect(postgres_url) as waiting, watch.over(waiting.info.backend_pid, "option X is set"):
            waiting.execute("select pg_advisory_xact_lock(1)")
        done.set()

    watch = LockWatch(
        "postgresql://there", lambda: psycopg.connect(postgres_url, autocommit=True), tell_after=0.05, look_every=0.02
    )
    with heard() as handler:
        waiter = threading.Thread(target=wait)
        with database.transaction("write is published") as transaction:
            transaction.row("select pg_advisory_xact_lock(1)")
            waiter.start()
            assert handler.said.wait(60)
        assert done.wait(60)
        waiter.join()
    watch.close()
    assert len(handler.texts) == 1
    assert re.fullmatch(
        r"Waiting for postgresql://there with “option X is set”: it is busy with process \d+ of the server:"
        r" crosstie: write is published",
        handler.texts[0],
    )
    database.close()


def test_a_long_transaction_that_waits_for_nobody_is_not_told_of(postgres_url: str) -> None:
    looked = threading.Event()

    def connect() -> psycopg.Connection[tuple[object, ...]]:
        looked.set()
        return psycopg.connect(postgres_url, autocommit=True)

    watch = LockWatch("postgresql://there", connect, tell_after=0.0, look_every=0.01)
    with heard() as handler, psycopg.connect(postgres_url) as connection:
        with watch.over(connection.info.backend_pid, "a long load"):
            connection.execute("select 1")
            assert looked.wait(60)
            time.sleep(0.1)
    watch.close()
    assert handler.texts == []


def test_those_who_take_the_same_lock_first_do_not_end_in_a_deadlock(database: Database) -> None:
    for name in ("a", "b"):
        put(database, name, "0")
    errors: list[BaseException] = []

    def write(*names: str) -> None:
        try:
            for _ in range(40):
                with database.transaction("test") as transaction:
                    transaction.lock("options a and b")
                    for name in names:
                        transaction.execute(
                            "update crosstie.option set value = value || 'x' where name = :name", {"name": name}
                        )
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            errors.append(error)

    writers = [threading.Thread(target=write, args=names) for names in (("a", "b"), ("b", "a"))]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert errors == []
    with database.reading() as transaction:
        lengths = transaction.rows("select length(value) from crosstie.option")
    assert lengths == [(81,), (81,)]


def put(database: Database, name: str, value: str) -> None:
    with database.transaction("test") as transaction:
        transaction.execute(
            "insert into crosstie.option (name, value) values (:name, :value)", {"name": name, "value": value}
        )


def test_a_server_without_free_connections_is_named(postgres: PostgresServer, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres.run(f'alter database "{name}" connection limit 0')
    postgres.run("create role few login password 'only-few'")
    with pytest.raises(DatabaseError, match="takes no more connections") as caught:
        open_database(postgres_url.replace(f"marketing:{postgres.password}", "few:only-few"))
    postgres.run("drop role few")
    assert caught.value.retry
    assert "max_connections" in caught.value.hint


def test_a_statement_that_runs_too_long_for_the_server_is_named(postgres: PostgresServer, postgres_url: str) -> None:
    postgres.run(f'alter database "{postgres_url.rpartition("/")[2]}" set statement_timeout = 50')
    database = open_database(postgres_url)
    with pytest.raises(DatabaseError, match="ran longer than it allows") as caught, database.transaction("t") as one:
        one.rows("select pg_sleep(10)")
    assert "statement_timeout" in caught.value.hint
    database.close()


def test_time_limits_of_the_server_end_no_waiting_and_no_hold(postgres: PostgresServer, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    for limit in ("lock_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout"):
        postgres.run(f'alter database "{name}" set {limit} = 20')
    database = open_database(postgres_url)
    with database.hold("w"), database.transaction("test") as transaction:
        time.sleep(0.1)
        assert transaction.row("select 1") == (1,)
        assert database.still_holds("w")
    database.close()

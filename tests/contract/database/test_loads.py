"""Bulk loads: slices, both roads of SQLite, and what happens when a load breaks."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.db.sqlite.database import SqliteDatabase
from crosstie.db.sqlite.load import CHILD_FROM_ROWS, Road
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType
from tests.contract.database.rows import WORK, batch_of, count, read

SOURCE = Path(__file__).resolve().parents[3] / "src"
NUMBERS = (Column(name="n", type=ColumnType.INTEGER), Column(name="t", type=ColumnType.TEXT))
MIXED = (
    Column(name="n", type=ColumnType.INTEGER),
    Column(name="text", type=ColumnType.TEXT),
    Column(name="amount", type=ColumnType.DECIMAL, scale=2),
    Column(name="ratio", type=ColumnType.FLOAT),
    Column(name="yes", type=ColumnType.BOOLEAN),
    Column(name="day", type=ColumnType.DATE),
    Column(name="instant", type=ColumnType.INSTANT),
    Column(name="raw", type=ColumnType.BINARY),
)


@pytest.fixture
def sqlite(tmp_path: Path) -> SqliteDatabase:
    opened = open_database(str(tmp_path / "marketing.db"))
    assert isinstance(opened, SqliteDatabase)
    return opened


def mixed(n: int) -> tuple[Any, ...]:
    if n % 7 == 0:
        return (n, *([None] * 7))
    return (
        n,
        f"é{n}",
        Decimal(n * 37 - 5000) / 100,
        n / 7,
        n % 2 == 0,
        date(1960 + n % 90, 1 + n % 12, 1 + n % 28),
        datetime(1960 + n % 90, 1, 1, 2, 3, 4, n % 1_000_000, tzinfo=UTC),
        bytes([n % 256, 0]),
    )


def wait_for(true: Callable[[], bool]) -> None:
    """Waits until it is true; a minute is far more than it takes."""
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def child_of(database: Database) -> int:
    """The process of the loader child of that database, once it runs."""
    found: list[int] = []

    def running() -> bool:
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"crosstie.db.loader" in words and any(database.place.encode() in word for word in words):
                found.append(int(entry.parent.name))
        return bool(found)

    wait_for(running)
    return found[0]


def test_rows_of_many_batches_arrive_in_order_of_nothing_but_all(database: Database) -> None:
    database.create_work(WORK, NUMBERS)
    with database.load(WORK, NUMBERS, expected_rows=1000) as loading:
        for start in range(0, 1000, 100):
            loading.write(batch_of(NUMBERS, [(n, f"row {n}") for n in range(start, start + 100)]))
        loading.write(batch_of(NUMBERS, []))
    assert read(database, NUMBERS, "n") == [(n, f"row {n}") for n in range(1000)]


def test_a_load_of_nothing_leaves_an_empty_table(database: Database) -> None:
    for expected in (None, 0, 10_000_000):
        database.create_work(WORK, NUMBERS)
        with database.load(WORK, NUMBERS, expected_rows=expected):
            pass
        assert count(database) == 0


def test_what_was_loaded_is_seen_before_the_load_ends(database: Database) -> None:
    database.create_work(WORK, NUMBERS)
    with database.load(WORK, NUMBERS) as loading:
        loading.write(batch_of(NUMBERS, [(1, "a"), (2, "b")]))
        wait_for(lambda: count(database) == 2)  # nothing more comes: the slice is committed, the lock is free
        with database.transaction("between") as transaction:
            transaction.execute("insert into crosstie.option (name) values ('a')")
        loading.write(batch_of(NUMBERS, [(3, "c")]))
    assert count(database) == 3


def test_a_load_left_by_an_exception_has_whole_batches_and_the_table_is_free(database: Database) -> None:
    database.create_work(WORK, NUMBERS)
    with pytest.raises(RuntimeError, match="on purpose"), database.load(WORK, NUMBERS) as loading:
        loading.write(batch_of(NUMBERS, [(1, "a"), (2, "b")]))
        wait_for(lambda: count(database) == 2)
        for _ in range(5):
            loading.write(batch_of(NUMBERS, [(n, "c") for n in range(1000)]))
        raise RuntimeError("on purpose")
    assert count(database) % 1000 == 2
    database.create_work(WORK, NUMBERS)
    assert count(database) == 0


def test_a_load_into_a_missing_table_says_so(database: Database) -> None:
    with pytest.raises(DatabaseError, match="w_missing"), database.load("w_missing", NUMBERS) as loading:
        loading.write(batch_of(NUMBERS, [(1, "a")]))


def test_several_loads_and_writers_at_once(database: Database) -> None:
    failures: list[BaseException] = []

    def fill(name: str) -> None:
        try:
            database.create_work(name, NUMBERS)
            with database.load(name, NUMBERS) as loading:
                for start in range(0, 5000, 500):
                    loading.write(batch_of(NUMBERS, [(n, name) for n in range(start, start + 500)]))
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=fill, args=[f"w_{number}"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for number in range(20):
        with database.transaction("beside") as transaction:
            transaction.execute("insert into crosstie.option (name) values (:name)", {"name": str(number)})
    for thread in threads:
        thread.join()
    assert failures == []
    assert [count(database, name) for name in database.work_tables()] == [5000] * 4


@pytest.mark.parametrize("rows", [3000])
def test_both_roads_of_sqlite_store_the_same(sqlite: SqliteDatabase, rows: int) -> None:
    stored: list[list[tuple[Any, ...]]] = []
    roads: tuple[Road, ...] = ("process", "child")
    columns = ", ".join(f"typeof({name}), {name}" for name in [sqlite.quote(column.name) for column in MIXED])
    for road in roads:
        sqlite.create_work(WORK, MIXED)
        with sqlite.load(WORK, MIXED, road=road) as loading:
            for start in range(0, rows, 500):
                loading.write(batch_of(MIXED, [mixed(n) for n in range(start, start + 500)]))
            # A batch with a number that only a whole number has room for.
            loading.write(
                batch_of(
                    MIXED, [(rows, None, Decimal(2**62), *[None] * 5), (rows + 1, None, Decimal("0.01"), *[None] * 5)]
                )
            )
        with sqlite.reading() as transaction:
            stored.append(transaction.rows(f"select {columns} from crosstie.{WORK} order by n"))
    assert stored[0] == stored[1]
    assert len(stored[0]) == rows + 2
    assert stored[0][1][13] == "1961-01-01T02:03:04.000001Z"


def test_a_load_that_turns_out_big_goes_on_in_the_child(sqlite: SqliteDatabase) -> None:
    sqlite.create_work(WORK, NUMBERS)
    whole = batch_of(NUMBERS, [(n, "x") for n in range(CHILD_FROM_ROWS // 4)])
    with sqlite.load(WORK, NUMBERS) as loading:
        for _ in range(6):
            loading.write(whole)
        assert child_of(sqlite)
    assert count(sqlite) == 6 * whole.num_rows


def test_a_killed_loader_is_a_retryable_error_and_the_file_stays_well(sqlite: SqliteDatabase) -> None:
    sqlite.create_work(WORK, NUMBERS)
    batch = batch_of(NUMBERS, [(n, "x" * 50) for n in range(2000)])
    with pytest.raises(DatabaseError, match="loader") as caught, sqlite.load(WORK, NUMBERS, road="child") as loading:
        loading.write(batch)
        wait_for(lambda: count(sqlite) == 2000)
        os.kill(child_of(sqlite), signal.SIGKILL)
        for _ in range(200):
            loading.write(batch)
    assert caught.value.retry
    assert count(sqlite) % 2000 == 0
    with sqlite.transaction("after") as transaction:
        assert transaction.row("pragma integrity_check") == ("ok",)


def test_the_loader_ends_with_its_parent(sqlite: SqliteDatabase) -> None:
    sqlite.create_work(WORK, NUMBERS)
    program = (
        "import sys\nfrom tests.contract.database.test_loads import *\n"
        "db = open_database(sys.argv[1])\n"
        "with db.load(WORK, NUMBERS, road='child') as loading:\n"
        "    loading.write(batch_of(NUMBERS, [(1, 'a')]))\n    print('loading', flush=True)\n    sys.stdin.read()\n"
    )
    root = SOURCE.parent
    parent = subprocess.Popen(
        [sys.executable, "-c", program, sqlite.place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": f"{root}{os.pathsep}{SOURCE}"},
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"loading\n"
        child = child_of(sqlite)
        wait_for(lambda: count(sqlite) == 1)
        parent.kill()
    wait_for(lambda: not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes())
    sqlite.create_work(WORK, NUMBERS)


def test_slices_let_others_write_during_a_long_load(sqlite: SqliteDatabase) -> None:
    sqlite.create_work(WORK, NUMBERS)
    batch = batch_of(NUMBERS, [(n, "x" * 100) for n in range(5000)])
    between = []
    with sqlite.load(WORK, NUMBERS, road="child") as loading:
        for _ in range(60):
            loading.write(batch)
            with sqlite.transaction("beside") as transaction:
                found = transaction.row(f"select count(*) from crosstie.{WORK}")
                assert found is not None
                between.append(found[0])
    assert count(sqlite) == 60 * 5000
    assert all(rows % 5000 == 0 for rows in between)
    assert len(set(between)) > 3


def test_a_load_inside_a_transaction_of_the_same_thread_is_refused(sqlite: SqliteDatabase) -> None:
    sqlite.create_work(WORK, NUMBERS)
    with sqlite.transaction("outer"), pytest.raises(DatabaseError, match="outer"), sqlite.load(WORK, NUMBERS):
        raise AssertionError("not reached")
    with sqlite.transaction("outer"), pytest.raises(DatabaseError, match="outer"), sqlite.transaction("inner"):
        raise AssertionError("not reached")


def test_a_full_disk_is_said_and_leaves_the_file_usable(sqlite: SqliteDatabase) -> None:
    sqlite.create_work(WORK, NUMBERS)
    with pytest.raises(DatabaseError, match="disk is full") as caught, sqlite.transaction("fill") as transaction:
        pages = transaction.row("pragma page_count")
        assert pages is not None
        transaction.rows(f"pragma max_page_count = {pages[0] + 20}")
        for n in range(1000):
            transaction.execute(f"insert into crosstie.{WORK} values (:n, :t)", {"n": n, "t": "x" * 2000})
    assert caught.value.code == "SQLITE_FULL"
    assert "Make room" in caught.value.hint
    assert count(sqlite) == 0
    with sqlite.transaction("after") as transaction:
        transaction.execute("insert into crosstie.option (name) values ('a')")


@pytest.mark.parametrize("road", ["process", "child"])
def test_a_disk_that_takes_no_more_ends_a_load_with_an_error(sqlite: SqliteDatabase, road: str) -> None:
    sqlite.create_work(WORK, NUMBERS)
    program = (
        "import sys\nfrom tests.contract.database.test_loads import *\n"
        "db = open_database(sys.argv[1])\nbatch = batch_of(NUMBERS, [(n, 'x' * 500) for n in range(2000)])\n"
        "try:\n    with db.load(WORK, NUMBERS, road=sys.argv[2]) as loading:\n"
        "        for _ in range(100):\n            loading.write(batch)\n"
        "except DatabaseError as error:\n    print(error.code)\n"
    )
    root = SOURCE.parent
    limit = 12 << 20
    done = subprocess.run(
        [sys.executable, "-c", program, sqlite.place, road],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": f"{root}{os.pathsep}{SOURCE}"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.stdout.startswith(("SQLITE_IOERR", "SQLITE_FULL")), done.stderr
    with sqlite.transaction("after") as transaction:
        assert transaction.row("pragma integrity_check") == ("ok",)
        transaction.execute("insert into crosstie.option (name) values ('a')")
    assert count(sqlite) % 2000 == 0


def test_a_lost_server_connection_ends_a_load_with_a_retryable_error(postgres_url: str) -> None:
    database = open_database(postgres_url)
    database.create_work(WORK, NUMBERS)
    batch = batch_of(NUMBERS, [(n, "x") for n in range(1000)])
    with pytest.raises(DatabaseError) as caught, database.load(WORK, NUMBERS) as loading:
        loading.write(batch)
        wait_for(lambda: count(database) == 1000)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        for _ in range(200):
            loading.write(batch)
    assert caught.value.retry
    assert count(database) % 1000 == 0  # and new connections serve
    database.close()

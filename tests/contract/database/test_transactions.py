"""Transactions, the same on both databases."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.errors import DatabaseError

SOURCE = Path(__file__).resolve().parents[3] / "src"


def options(database: Database) -> dict[str, str]:
    with database.reading() as transaction:
        return dict(transaction.rows("select name, value from crosstie.option order by name"))


def put(database: Database, name: str, value: str) -> None:
    with database.transaction("test") as transaction:
        transaction.execute(
            "insert into crosstie.option (name, value) values (:name, :value)"
            " on conflict (name) do update set value = excluded.value",
            {"name": name, "value": value},
        )


def test_what_ends_well_stays_and_what_fails_is_undone(database: Database) -> None:
    put(database, "a", "1")
    with pytest.raises(RuntimeError, match="on purpose"), database.transaction("test") as transaction:
        transaction.execute("update crosstie.option set value = '2'")
        assert transaction.row("select value from crosstie.option") == ("2",)
        raise RuntimeError("on purpose")
    assert options(database) == {"a": "1"}


def test_execute_tells_how_many_rows_it_changed(database: Database) -> None:
    with database.transaction("test") as transaction:
        for name in "abc":
            assert transaction.execute("insert into crosstie.option (name) values (:name)", {"name": name}) == 1
        assert transaction.execute("update crosstie.option set value = '5' where name <> 'a'") == 2
        assert transaction.execute("update crosstie.option set value = '6' where name <> 'a' returning name") == 2
        assert transaction.execute("delete from crosstie.option where name = 'z'") == 0
        assert transaction.execute("create table t (a integer)") == 0


def test_generated_numbers_are_not_given_twice(database: Database) -> None:
    insert = "insert into crosstie.run (workflow, version, status, started_at) values ('w', 1, 'x', '') returning id"
    with database.transaction("test") as transaction:
        first = transaction.row(insert)
        transaction.execute("delete from crosstie.run")
        second = transaction.row(insert)
    assert first is not None and second is not None
    assert second[0] > first[0]


def test_a_savepoint_fails_alone(database: Database) -> None:
    with database.transaction("test") as transaction:
        transaction.execute("insert into crosstie.option (name) values ('a')")
        with pytest.raises(DatabaseError), transaction.savepoint():
            transaction.execute("insert into crosstie.option (name) values ('b')")
            transaction.execute("insert into crosstie.option (name) values ('a')")
        with transaction.savepoint():
            transaction.execute("insert into crosstie.option (name) values ('c')")
    assert sorted(options(database)) == ["a", "c"]


def test_a_broken_rule_is_a_database_error_that_is_not_retried(database: Database) -> None:
    put(database, "a", "1")
    with pytest.raises(DatabaseError) as caught, database.transaction("test") as transaction:
        transaction.execute("insert into crosstie.option (name) values ('a')")
    assert caught.value.code in {"23505", "SQLITE_CONSTRAINT_PRIMARYKEY"}
    assert not caught.value.retry


def test_a_reading_sees_one_state_and_cannot_write(database: Database) -> None:
    put(database, "a", "1")
    with database.reading() as reading:
        before = reading.rows("select * from crosstie.option")
        put(database, "a", "2")
        assert reading.rows("select * from crosstie.option") == before
    assert options(database) == {"a": "2"}
    with pytest.raises(DatabaseError), database.reading() as reading:
        reading.execute("delete from crosstie.option")
    assert options(database) == {"a": "2"}


def test_one_option_has_at_most_one_open_window(database: Database) -> None:
    insert = (
        "insert into crosstie.import_window (option_name, account, org, object, workflow, activity, run, field, end_at,"
        " status, opened_at) values ('o', 'a', 'o', 'Contact', 'w', 'i', 1, 'SystemModstamp', '', :status, '')"
    )
    with database.transaction("test") as transaction:
        for status in ("confirmed", "open", "abandoned", "confirmed"):
            transaction.execute(insert, {"status": status})
        with pytest.raises(DatabaseError), transaction.savepoint():
            transaction.execute(insert, {"status": "open"})


def test_values_named_twice_text_with_signs_and_nulls(database: Database) -> None:
    with database.reading() as transaction:
        row = transaction.row(
            "select :text, :text || 'b', ':text', '100%', '%(text)s', :none, coalesce(:none, 'x'), 5 % 3, :number + 1",
            {"text": "it's :a \\ 100% “é”", "none": None, "number": -5},
        )
    text = "it's :a \\ 100% “é”"
    assert row == (text, text + "b", ":text", "100%", "%(text)s", None, "x", 2, -4)


def test_whole_sums_are_integers(database: Database) -> None:
    with database.transaction("test") as transaction:
        transaction.execute("create table numbers (n bigint)")
        transaction.execute("insert into numbers values (3), (4)")
        found = transaction.row("select sum(n), count(*) from numbers")
    assert found == (7, 2)
    assert found is not None and [type(value) for value in found] == [int, int]


def test_a_missing_value_is_named(database: Database) -> None:
    with pytest.raises(DatabaseError, match="absent"), database.reading() as transaction:
        transaction.rows("select :absent", {"other": 1})


def test_many_threads_write_without_error(database: Database) -> None:
    put(database, "n", "0")

    def add(_: int) -> None:
        with database.transaction("adding") as transaction:
            if transaction.dialect == "postgresql":
                transaction.row("select value from crosstie.option where name = 'n' for update")
            found = transaction.row("select value from crosstie.option where name = 'n'")
            assert found is not None
            transaction.execute(
                "update crosstie.option set value = :value where name = 'n'", {"value": str(int(found[0]) + 1)}
            )

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(80)))
    assert options(database) == {"n": "80"}


def test_processes_write_without_error(database: Database, database_url: str) -> None:
    program = (
        "import sys\nfrom crosstie.db import open_database\ndb = open_database(sys.argv[1])\n"
        "for i in range(30):\n    with db.transaction('adding') as t:\n"
        "        t.execute('insert into crosstie.option (name) values (:n)', {'n': f'{sys.argv[2]}-{i}'})\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, database_url, str(number)], env={"PYTHONPATH": str(SOURCE)})
        for number in range(3)
    ]
    for i in range(30):
        put(database, f"own-{i}", "")
    assert [child.wait() for child in children] == [0, 0, 0]
    assert len(options(database)) == 120


def test_two_that_open_a_new_database_at_once_make_it_once(postgres_url: str, tmp_path: Path) -> None:
    for url in (postgres_url, str(tmp_path / "new.db")):
        barrier = threading.Barrier(4)

        def opened(barrier: threading.Barrier = barrier, url: str = url) -> str:
            barrier.wait()
            database = open_database(url)
            try:
                return database.id
            finally:
                database.close()

        with ThreadPoolExecutor(4) as threads:
            ids = {future.result() for future in [threads.submit(opened) for _ in range(4)]}
        assert len(ids) == 1


def test_a_closed_database_says_so(database_url: str) -> None:
    database = open_database(database_url)
    database.close()
    with pytest.raises(DatabaseError, match="closed"), database.reading():
        raise AssertionError("not reached")

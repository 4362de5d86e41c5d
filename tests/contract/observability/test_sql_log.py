"""`sql_log: true`: the statements of activities in the run's log, on both databases, and never a value."""

from __future__ import annotations

import pyarrow as pa
import pytest

from crosstie.db.database import Database, Transaction
from crosstie.errors import DatabaseError, TaskError
from crosstie.model import Column, ColumnType
from crosstie.workflow.activity import OK, Context, Done
from crosstie.workflow.sql_log import without_values
from crosstie.workflow.state import find_run, runs
from crosstie.workflow.watcher import Message, messages
from tests.contract.workflow.test_dispatch import PLAY, run

SECRET = "Ines Doub"
COLUMNS = (Column(name="n", type=ColumnType.TEXT),)


def works(context: Context) -> Done:
    """Uses the database in every way, also a read within a write, which the log must not wait for."""
    with context.db.transaction("people") as transaction:
        transaction.execute("create table person (n varchar(40))")
        transaction.execute(f"insert into person (n) values ('{SECRET}')")
        with context.db.reading() as inner:
            inner.row("select count(*) from crosstie.run")
    name = context.private_name()
    context.db.create_work(name, COLUMNS)
    with context.db.load(name, COLUMNS) as load:
        load.write(pa.record_batch({"n": [SECRET, "b", "c"]}))
        with context.db.reading() as inner:
            inner.rows("select name from crosstie.option")
    read = sum(batch.num_rows for batch in context.db.read(f"select n from crosstie.{name}", None, COLUMNS))
    assert read == 3
    with context.step("a part") as transaction:
        transaction.execute("update person set n = n where n = :who", {"who": SECRET})

    def effect(transaction: Transaction) -> None:
        with context.db.reading() as inner:
            inner.rows("select label from crosstie.option")
        transaction.execute("delete from person where n = :who", {"who": SECRET})

    return Done(tables={OK: None}, effect=effect)


def logged(db: Database) -> list[Message]:
    with db.reading() as transaction:
        newest = runs(transaction, "flow", 1)[0].id
        assert find_run(transaction, newest) is not None
        return [message for message in messages(transaction, newest) if message.text.startswith("SQL: ")]


def test_every_statement_is_logged_without_values(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLAY.acts, "a", works)
    run(database, "  a: {type: act}", top="sql_log: true")

    found = logged(database)
    seen = {message.text: message for message in found}

    assert "SQL: insert into person (n) values (…)" in seen
    assert seen["SQL: update person set n = n where n = :who"].details["parameters"] == ["who"]
    deleted = seen["SQL: delete from person where n = :who"]
    assert (deleted.activity, deleted.details["rows"], deleted.task is not None) == ("a", 1, True)
    assert [message.details["rows"] for message in found if message.text.startswith("SQL: select n from")] == [3]
    assert [message.details["rows"] for message in found if message.text.startswith("SQL: insert into crosstie.")] == [
        3
    ]
    assert all(isinstance(message.details["seconds"], float) for message in found)
    assert SECRET not in repr(found)


def test_a_failing_statement_is_logged_as_failed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(context: Context) -> Done:
        def effect(transaction: Transaction) -> None:
            transaction.execute("insert into nowhere (n) values (12345)")

        return Done(tables={OK: None}, effect=effect)

    monkeypatch.setitem(PLAY.acts, "a", fails)
    with pytest.raises(TaskError):
        run(database, "  a: {type: act}", top="sql_log: true")

    (one,) = logged(database)
    assert one.text == "SQL: insert into nowhere (n) values (…)"
    assert one.details["failed"]


def test_without_sql_log_nothing_is_logged(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLAY.acts, "a", works)
    run(database, "  a: {type: act}")

    assert logged(database) == []


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("select 'it''s', 12 -- Ines\nfrom \"a b\"", 'select …, … from "a b"'),
        ("select a::text, :who /* Ines */ from t where x = 1.5e3", "select a::text, :who from t where x = …"),
        ("select E'a\\'Ines', $$Ines$$, $q$Ines$q$, U&'Ines', N'Ines', x'ab', B'01'", None),
        ("select 'never closed Ines", None),
    ],
)
def test_literals_and_comments_are_left_out(sql: str, shown: str | None) -> None:
    found = without_values(sql, "postgresql")

    assert "Ines" not in found
    assert shown is None or found == shown


def test_errors_of_the_database_pass(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def tries(context: Context) -> None:
        with pytest.raises(DatabaseError):
            with context.db.transaction("nothing") as transaction:
                transaction.execute("update nowhere set n = 'Ines'")

    monkeypatch.setitem(PLAY.acts, "a", tries)
    run(database, "  a: {type: act}", top="sql_log: true")

    assert [message.text for message in logged(database)] == ["SQL: update nowhere set n = …"]

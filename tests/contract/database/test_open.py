"""Opening, identity and migrations, the same on both databases."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.db.migrations import NEWEST, migrations
from crosstie.errors import ConfigError, DatabaseError
from crosstie.model import Column, ColumnType, Table
from tests.databases import PostgresServer

_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "src")}


def test_newest_is_the_last_file() -> None:
    assert migrations()[-1].version == NEWEST


def test_an_opened_database_has_our_tables_and_an_id(database: Database) -> None:
    assert len(database.id) == 32
    with database.reading() as transaction:
        applied = transaction.rows("select version, name from crosstie.migration order by version")
    assert applied == [(one.version, one.name) for one in migrations()]
    assert database.tables() == ()


def test_a_second_open_finds_the_same_database(database: Database, database_url: str) -> None:
    second = open_database(database_url, create=False)
    assert second.id == database.id
    second.close()


def test_a_database_of_a_newer_crosstie_is_refused(database: Database, database_url: str) -> None:
    with database.transaction("test") as transaction:
        transaction.execute(
            "insert into crosstie.migration (version, name, applied_at) values (:version, 'later', '')",
            {"version": NEWEST + 1},
        )
    with pytest.raises(DatabaseError, match="newer Crosstie") as caught:
        open_database(database_url)
    assert caught.value.code == "NEWER_DATABASE"


def test_a_role_named_like_our_namespace_keeps_people_s_tables_apart(
    postgres: PostgresServer, postgres_url: str
) -> None:
    # PostgreSQL's default search path begins with "$user".
    name = postgres_url.rpartition("/")[2]
    postgres.run("create role crosstie login superuser password 'secret'")
    database = open_database(f"postgresql://crosstie:secret@{postgres.host}:{postgres.port}/{name}")
    try:
        columns = (Column(name="option", type=ColumnType.TEXT),)
        with database.transaction("test") as transaction:
            database.create_table(transaction, Table(name="option", columns=columns))
            transaction.execute("insert into option values ('mine')")
        assert database.tables() == ("option",)
        assert database.reflect("option") == Table(name="option", columns=columns)
        batches = list(database.read("select option from option", None, columns))
        assert batches[0].column(0).to_pylist() == ["mine"]
    finally:
        database.close()
        postgres.drop_database(name)
        postgres.run("drop role crosstie")


def test_a_database_that_is_not_there_is_not_made_unasked(tmp_path: Path, postgres_url: str) -> None:
    for url in (str(tmp_path / "missing.db"), postgres_url):
        with pytest.raises(DatabaseError, match="crosstie init") as caught:
            open_database(url, create=False)
        assert caught.value.code == "NO_DATABASE"
    assert list(tmp_path.iterdir()) == []
    foreign = tmp_path / "foreign.db"
    with contextlib.closing(sqlite3.connect(foreign)) as connection:
        connection.execute("create table theirs (a)")
    with pytest.raises(DatabaseError, match="holds no tables of Crosstie"):
        open_database(str(foreign), create=False)
    database = open_database(str(foreign))
    assert database.tables() == ("theirs",)
    database.close()


def test_what_postgresql_refuses_is_said_without_the_password(postgres: PostgresServer) -> None:
    at = f"{postgres.host}:{postgres.port}"
    cases = {
        f"postgresql://marketing:wr0ng-secret@{at}/postgres": "sign-in was refused",
        f"postgresql://marketing:{postgres.password}@{at}/missing": "no such database",
        f"postgresql://marketing:wr0ng-secret@{postgres.host}:1/postgres": "no server answers there",
        "postgresql://marketing:wr0ng-secret@[::1/postgres": "cannot be read",
    }
    for url, said in cases.items():
        with pytest.raises(DatabaseError, match=said) as caught:
            open_database(url)
        assert caught.value.hint
        shown = f"{caught.value}{caught.value.__cause__}{caught.value.__cause__!r}"
        assert "wr0ng-secret" not in shown and postgres.password not in shown


def test_a_database_in_another_encoding_is_refused(postgres: PostgresServer) -> None:
    postgres.run("create database latin template template0 encoding 'SQL_ASCII' locale 'C'")
    with pytest.raises(DatabaseError, match="SQL_ASCII"):
        open_database(postgres.url("latin"))
    postgres.drop_database("latin")


def test_a_user_without_the_right_to_make_our_namespace_is_told(postgres: PostgresServer, postgres_url: str) -> None:
    postgres.run("create role guest login password 'guest'")
    name = postgres_url.rpartition("/")[2]
    with pytest.raises(DatabaseError, match="permission was refused") as caught:
        open_database(f"postgresql://guest:guest@{postgres.host}:{postgres.port}/{name}")
    assert caught.value.code == "42501"
    postgres.run("drop role guest")


def test_the_place_and_its_picture_show_no_password(database: Database, database_url: str) -> None:
    secret = database_url.partition("@")[0].rpartition(":")[2]
    assert secret not in database.place or database.dialect == "sqlite"
    assert database.place in repr(database)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but long enough to be read as one" * 20)
    with pytest.raises(DatabaseError, match="not a SQLite database"):
        open_database(str(file))
    assert file.read_text().startswith("not a database")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no folder"):
        open_database(str(tmp_path / "no" / "marketing.db"))


def test_a_database_in_memory_is_refused() -> None:
    for url in ("sqlite://", ":memory:", "sqlite:///:memory:"):
        with pytest.raises(ConfigError, match="names no file"):
            open_database(url)


def test_sqlite_urls_name_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_database("sqlite:///relative.db").close()
    open_database(f"sqlite:///{tmp_path}/absolute.db").close()
    assert {file.name for file in tmp_path.glob("*.db")} == {"relative.db", "absolute.db"}


def test_importing_db_loads_no_driver() -> None:
    program = "import sys, crosstie.db; print(sorted({'psycopg', 'pyarrow', 'sqlite3', 'pgpq'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=_ENVIRONMENT)
    assert done.stdout == "[]\n"


def test_a_scheme_we_do_not_keep_data_in_is_refused() -> None:
    with pytest.raises(ConfigError, match="not in mysql"):
        open_database("mysql://root:secret@localhost/x")


def test_what_was_on_its_way_by_calls_goes_on_under_their_new_name(database: Database) -> None:
    calls = next(one for one in migrations() if one.name == "calls")
    with database.transaction("an export before") as transaction:
        transaction.execute(
            "insert into crosstie.plan (id, account, org, object, workflow, activity, run, table_name, fields,"
            " settings, made_at) values (1, 'crm', 'org', 'Contact', 'w', 'send', 7, '', '', :settings, '')",
            {"settings": json.dumps({"road": "collections", "costs": {"insert": {"road": "collections"}}})},
        )
        transaction.execute(
            "insert into crosstie.shipment (plan, number, operation, road, row_count, recorded_at, deadline)"
            " values (1, 1, 'insert', 'collections', 1, '', ''), (1, 2, 'insert', 'bulk', 1, '', '')"
        )
        for statement in calls.statements(transaction.dialect):
            transaction.execute(statement)
    with database.reading() as transaction:
        roads = transaction.rows("select road from crosstie.shipment order by number")
        (settings,) = transaction.rows("select settings from crosstie.plan")
    assert roads == [("calls",), ("bulk",)]
    assert json.loads(settings[0]) == {"road": "calls", "costs": {"insert": {"road": "calls"}}}

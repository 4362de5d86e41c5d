"""People's tables: reflected as they are, generated, extended; and our own work tables and locks."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType, Table
from tests.contract.database.rows import WORK, load

SOURCE = Path(__file__).resolve().parents[3] / "src"

GENERATED = Table(
    name="salesforce_contact",
    columns=(
        Column(name="Id", type=ColumnType.TEXT, length=18, nullable=False),
        Column(name="Name", type=ColumnType.TEXT),
        Column(name="order", type=ColumnType.INTEGER),
        Column(name="Amount", type=ColumnType.DECIMAL, scale=15),
        Column(name="Ratio", type=ColumnType.FLOAT),
        Column(name="OptIn", type=ColumnType.BOOLEAN),
        Column(name="Birthdate", type=ColumnType.DATE),
        Column(name="SystemModstamp", type=ColumnType.INSTANT),
        Column(name="wall", type=ColumnType.WALL_CLOCK),
        Column(name="at", type=ColumnType.TIME),
        Column(name="raw", type=ColumnType.BINARY),
    ),
    key=("Id",),
)


def create(database: Database, *statements: str) -> None:
    with database.transaction("test") as transaction:
        for statement in statements:
            transaction.execute(statement)


def test_a_generated_table_reflects_as_it_was_made(database: Database) -> None:
    with database.transaction("test") as transaction:
        database.create_table(transaction, GENERATED)
    assert database.reflect("salesforce_contact") == GENERATED
    assert database.tables() == ("salesforce_contact",)


def test_columns_are_added(database: Database) -> None:
    added = (Column(name="Score__c", type=ColumnType.INTEGER), Column(name='odd "one"', type=ColumnType.TEXT, length=5))
    with database.transaction("test") as transaction:
        database.create_table(transaction, GENERATED)
        database.add_columns(transaction, "salesforce_contact", added)
        database.add_columns(transaction, "salesforce_contact", ())
    reflected = database.reflect("salesforce_contact")
    assert reflected is not None
    assert reflected.columns == (*GENERATED.columns, *added)


def test_a_table_that_fails_to_be_made_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError, match="on purpose"), database.transaction("test") as transaction:
        database.create_table(transaction, GENERATED)
        raise RuntimeError("on purpose")
    assert database.reflect("salesforce_contact") is None


def test_declared_types_are_understood(database: Database) -> None:
    create(
        database,
        "create table recipient (id integer primary key, email varchar(80) not null unique, code char(3),"
        " small smallint, big bigint, price numeric(10, 2), exact decimal(12), rate real, weight double precision,"
        " ok boolean, born date, seen timestamp, woke time, note text)",
    )
    reflected = database.reflect("recipient")
    assert reflected is not None
    assert reflected.key == ("id",)
    assert reflected.unique == (("email",),)
    assert [(column.name, column.type.value, column.length, column.scale) for column in reflected.columns] == [
        ("id", "integer", 0, 0),
        ("email", "text", 80, 0),
        ("code", "text", 3, 0),
        ("small", "integer", 0, 0),
        ("big", "integer", 0, 0),
        ("price", "decimal", 0, 2),
        ("exact", "decimal", 0, 0),
        ("rate", "float", 0, 0),
        ("weight", "float", 0, 0),
        ("ok", "boolean", 0, 0),
        ("born", "date", 0, 0),
        ("seen", "wall_clock", 0, 0),
        ("woke", "time", 0, 0),
        ("note", "text", 0, 0),
    ]
    nullable = {column.name for column in reflected.columns if column.nullable}
    assert nullable == {column.name for column in reflected.columns} - {"id", "email"}


def test_keys_of_several_columns_keep_their_order(database: Database) -> None:
    create(
        database,
        "create table pairs (a integer not null, b integer not null, c integer, primary key (b, a), unique (c, a))",
        "create unique index partial_one on pairs (c) where a > 0",
        "create unique index of_expression on pairs (lower(cast(c as text)))",
        "create unique index whole on pairs (c)",
    )
    reflected = database.reflect("pairs")
    assert reflected is not None
    assert reflected.key == ("b", "a")
    assert set(reflected.unique) == {("c", "a"), ("c",)}


def test_names_are_found_with_their_case_and_odd_signs(database: Database) -> None:
    create(
        database, 'create table "My Table" ("Odd ""Name""" integer, "select" text)', "create table plain (a integer)"
    )
    for wanted in ("My Table", "my table", "MY TABLE"):
        reflected = database.reflect(wanted)
        assert reflected is not None
        assert reflected.name == "My Table"
        assert [column.name for column in reflected.columns] == ['Odd "Name"', "select"]
    found = database.reflect("Plain")
    assert found is not None and found.name == "plain"
    assert database.reflect("nothing") is None
    with database.reading() as transaction:
        column, table = database.quote('Odd "Name"'), database.quote_table("My Table")
        assert transaction.rows(f"select {column} from {table}") == []


def test_views_are_reflected(database: Database) -> None:
    create(
        database,
        "create table base (id integer primary key, name varchar(40))",
        "create view adults as select id, name from base where id > 18",
    )
    reflected = database.reflect("adults")
    assert reflected is not None
    assert [(column.name, column.type, column.length) for column in reflected.columns] == [
        ("id", ColumnType.INTEGER, 0),
        ("name", ColumnType.TEXT, 40),
    ]
    assert reflected.key == ()
    assert database.tables() == ("adults", "base")


def test_our_own_tables_are_not_people_s(database: Database) -> None:
    load(database, (Column(name="n", type=ColumnType.INTEGER),), [(1,)])
    assert database.tables() == ()
    assert database.reflect(WORK) is None


def test_postgresql_namespaces_domains_and_its_own_types(postgres_url: str) -> None:
    database = open_database(postgres_url)
    create(
        database,
        "create schema sales",
        "create domain mail as varchar(90) not null",
        "create type mood as enum ('happy', 'sad')",
        'create table sales."Lead" (id uuid primary key, email mail, feeling mood, tags text[], data jsonb,'
        " stamp timestamptz(3), amount numeric, price money, wide numeric(30, 10), span interval)",
        "create table recipient (id integer)",
        "create table sales.recipient (id bigint)",
    )
    reflected = database.reflect("sales.Lead")
    assert reflected is not None
    assert reflected.name == "sales.Lead"
    assert [(column.type.value, column.length, column.scale) for column in reflected.columns] == [
        ("text", 0, 0), ("text", 90, 0), ("text", 0, 0), ("text", 0, 0), ("text", 0, 0),
        ("instant", 0, 0), ("decimal", 0, 15), ("decimal", 0, 15), ("decimal", 0, 10), ("text", 0, 0),
    ]  # fmt: skip
    assert not reflected.columns[1].nullable
    assert database.tables() == ("recipient", "sales.Lead", "sales.recipient")
    plain = database.reflect("recipient")
    full = database.reflect("public.recipient")
    assert plain is not None and full is not None
    assert (plain.name, full.name) == ("recipient", "public.recipient")
    assert database.quote_table("sales.Lead") == '"sales"."Lead"'
    with database.transaction("test") as transaction:
        transaction.execute(
            f"insert into {database.quote_table('sales.Lead')} (id, email, feeling, tags, data, amount)"
            " values ('0a0b0c0d-0000-0000-0000-000000000001', 'a@b', 'sad', '{x,y}', '{\"a\": 1}', 1.5)"
        )
    columns = reflected.columns
    names = ", ".join(database.quote(column.name) for column in columns)
    batches = list(database.read(f'select {names} from sales."Lead"', None, columns))
    row = [column[0].as_py() for column in batches[0].columns]
    assert row[:5] == ["0a0b0c0d-0000-0000-0000-000000000001", "a@b", "sad", "{x,y}", '{"a": 1}']
    database.close()


def test_sqlite_declared_types_go_by_their_names(tmp_path: Path) -> None:
    database = open_database(str(tmp_path / "marketing.db"))
    create(
        database,
        "create table odd (a datetime, b timestamptz, c timestamp with time zone, d mediumint unsigned, e nvarchar(10),"
        " f, g json, h money, i clob, j blob, k decimal(10,3), l number, m 'BOOL',"
        " n generated always as (d + 1) stored)",
    )
    reflected = database.reflect("odd")
    assert reflected is not None
    assert [(column.type.value, column.length, column.scale) for column in reflected.columns] == [
        ("instant", 0, 0), ("instant", 0, 0), ("instant", 0, 0), ("integer", 0, 0), ("text", 10, 0),
        ("text", 0, 0), ("text", 0, 0), ("decimal", 0, 15), ("text", 0, 0), ("binary", 0, 0),
        ("decimal", 0, 3), ("decimal", 0, 15), ("boolean", 0, 0), ("text", 0, 0),
    ]  # fmt: skip
    create(
        database, "insert into odd (a, d, e) values (current_timestamp, 4, 'x'), ('2026-01-02T03:04:05.000006Z', 5, 7)"
    )
    batches = list(
        database.read(
            "select a, d, n from odd order by d",
            None,
            [*reflected.columns[:1], *reflected.columns[3:4], reflected.columns[13]],
        )
    )
    assert batches[0].column(0)[1].as_py().isoformat() == "2026-01-02T03:04:05.000006+00:00"
    assert batches[0].column(2).to_pylist() == ["5", "6"]
    database.close()


def test_work_tables_are_listed_replaced_and_dropped(database: Database) -> None:
    columns = (Column(name="id", type=ColumnType.TEXT), Column(name="n", type=ColumnType.INTEGER))
    for name in ("w_2_1_1_ok", "w_1_1_1_ok", "w_1_2_1_bad-rows"):
        database.create_work(name, columns)
    with database.transaction("test") as transaction:
        transaction.execute("create view crosstie.w_3_1_1_ok as select id from crosstie.w_1_1_1_ok")
        transaction.execute('insert into crosstie."w_1_2_1_bad-rows" (id) values (:id)', {"id": "x"})
    assert database.work_tables() == ("w_1_1_1_ok", "w_1_2_1_bad-rows", "w_2_1_1_ok", "w_3_1_1_ok")
    database.create_work("w_2_1_1_ok", columns[:1])
    database.drop_work(["w_3_1_1_ok", "w_1_1_1_ok", "w_missing", "w_1_2_1_bad-rows"])
    assert database.work_tables() == ("w_2_1_1_ok",)
    database.drop_work(database.work_tables())
    database.drop_work([])
    assert database.work_tables() == ()


def test_prepare_indexes_and_says_what_is_not_unique(database: Database) -> None:
    columns = (Column(name="Id", type=ColumnType.TEXT), Column(name="n", type=ColumnType.INTEGER))
    load(database, columns, [("a", 1), ("b", 1)])
    database.prepare(WORK, ["Id"], unique=True)
    database.prepare(WORK, ["n", "Id"])
    database.prepare(WORK, ["n", "Id"])
    database.prepare(WORK)
    with pytest.raises(DatabaseError):
        database.prepare(WORK, ["n"], unique=True)


def test_a_name_too_long_for_postgresql_is_refused(postgres_url: str) -> None:
    database = open_database(postgres_url)
    with pytest.raises(DatabaseError, match="longer than"):
        database.create_work("w_" + "é" * 31, ())
    database.close()


@pytest.mark.parametrize("name", ["option", "crosstie.option", "crosstie_option", "Crosstie_Option"])
def test_the_products_own_tables_are_nobodys_to_work_with(database: Database, name: str) -> None:
    assert database.reflect(name) is None

"""Update data into columns of every kind: what is written reads back equal, so that a second run writes nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from crosstie.activities.update_data import UpdateData
from crosstie.model import Column, ColumnType, WorkTable
from tests.contract.activities.world import TEXT, World, columns

MADE_OF = (
    *columns(Id=TEXT, t=TEXT, f=ColumnType.FLOAT, b=ColumnType.BOOLEAN, d=ColumnType.DATE, i=ColumnType.INSTANT),
    *columns(w=ColumnType.WALL_CLOCK, c=ColumnType.TIME, s=ColumnType.SET, n=ColumnType.INTEGER),
    Column(name="m", type=ColumnType.DECIMAL, scale=2),
)
FULL = (
    "ü €𝄞",
    0.1,
    True,
    date(2026, 1, 31),
    datetime(1969, 12, 31, 23, 59, 59, 123456, UTC),
    datetime(2026, 3, 29, 2, 30, 0, 500000),  # noqa: DTZ001
    time(23, 59, 59, 999999),
    "a;b",
    7,
    Decimal("1234.50"),
)
EMPTY = tuple(None for _ in FULL)
SQLITE = {
    "plain": "t text, f real, b boolean, d date, i timestamptz, w timestamp, c time, s text, n integer, m numeric",
    "other": "t varchar(9), f double, b bool, d date, i datetime, w timestamp, c time, s clob, n smallint,"
    " m decimal(6, 2)",
}
POSTGRESQL = {
    "plain": "t text, f float8, b boolean, d date, i timestamptz, w timestamp, c time, s text, n bigint, m numeric",
    "other": "t varchar(9), f real, b bool, d date, i timestamptz(0), w timestamp(3), c time(0), s char(5), n smallint,"
    " m numeric(6, 2)",
    "collated": 't text collate "C", f float8, b boolean, d date, i timestamptz, w timestamp, c time, s varchar(20)'
    ' collate "POSIX", n int, m numeric(20, 2)',
}


def update(into: str, **keys: Any) -> UpdateData:
    return UpdateData.model_validate({"type": "update_data", "into": into, "identify": {"Id": "id"}, **keys})


def population(world: World) -> WorkTable:
    return world.population(MADE_OF, [("1", *FULL), ("2", *EMPTY)], key=("Id",))


@pytest.mark.parametrize("kind", ["plain", "other", "collated"])
def test_a_second_run_writes_nothing_whatever_the_columns_are(world: World, kind: str) -> None:
    kinds = SQLITE if world.db.dialect == "sqlite" else POSTGRESQL
    world.sql(f"create table every_kind (id text primary key, {kinds.get(kind, kinds['plain'])})")
    names = {column.name: column.name for column in MADE_OF if column.name != "Id"}
    activity = update("every_kind", set={"id": "Id", **names})
    assert world.run(activity, population(world)).counts["inserted"] == 2
    world.count_writes("every_kind")
    assert world.run(activity, population(world)).counts["unchanged"] == 2
    assert world.writes() == {}
    assert world.rows("select t, d from every_kind where id = '1'")[0][0] == "ü €𝄞"


def test_columns_of_postgresqls_own_types_are_written_and_compared(world: World) -> None:
    own = "uuid" if world.db.dialect == "postgresql" else "text"
    json = "json" if world.db.dialect == "postgresql" else "text"
    if world.db.dialect == "postgresql":
        world.sql("create type mood as enum ('fine', 'bad')")
    mood = "mood" if world.db.dialect == "postgresql" else "text check (mood in ('fine', 'bad'))"
    world.sql(f"create table odd (id text primary key, tag {own} unique, note {json}, mood {mood})")
    tag = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    rows = [("1", tag, '{"a": 1}', "fine"), ("2", None, None, "worse"), ("3", None, None, None)]
    inbound = world.population(columns(Id=TEXT, tag=TEXT, note=TEXT, mood=TEXT), rows, key=("Id",))
    activity = update("odd", set={"id": "Id", "tag": "tag", "note": "note", "mood": "mood"})
    ended = world.run(activity, inbound)
    assert ended.counts == {"inserted": 2, "updated": 0, "unchanged": 0, "rejected": 1}
    assert [one.record["Id"] for one in ended.rejects] == ["2"]
    assert ended.rejects[0].symbol in ("INVALID_VALUE", "CONSTRAINT")
    assert world.run(activity, inbound).counts == {"inserted": 0, "updated": 0, "unchanged": 2, "rejected": 1}
    by_tag = update("odd", identify={"tag": "tag"}, operation="update", set={"mood": "'bad'"})
    assert world.run(by_tag, inbound).counts["updated"] == 1


def test_tables_and_columns_may_have_any_name(world: World) -> None:
    name = 'Odd "name" :x {y} %s'
    quoted = '"' + name.replace('"', '""') + '"'
    world.sql(f'create table {quoted} ("select" {world.serial()}, {quoted} text unique, "CRM id" text)')
    inbound = world.contacts(("1", "a@x", "Ono"), ("2", "a@x", "Abe"))
    activity = update(name, identify={"Id": '"CRM id"'}, set={"CRM id": "Id", name: "Email"})
    ended = world.run(activity, inbound)
    assert ended.counts == {"inserted": 1, "updated": 0, "unchanged": 0, "rejected": 1}
    assert [(one.symbol, one.field) for one in ended.rejects] == [("NOT_UNIQUE", name)]


def test_a_table_of_another_namespace_is_written(world: World) -> None:
    name = "crm.people" if world.db.dialect == "postgresql" else "people"
    if world.db.dialect == "postgresql":
        world.sql("create schema crm")
    world.sql(f"create table {name} (id {world.serial()}, crm_id text)")
    activity = update(name, identify={"Id": "crm_id"}, set={"crm_id": "Id"})
    assert world.run(activity, world.contacts(("1", None, None))).counts["inserted"] == 1
    assert world.rows(f"select id, crm_id from {name}") == [(1, "1")]


def test_a_deferred_constraint_refuses_its_row_only(world: World) -> None:
    later = " deferrable initially deferred"
    world.sql("create table city (name text primary key)", "insert into city values ('Kyoto')")
    world.sql(f"create table person (id {world.serial()}, crm_id text, city text references city (name){later})")
    inbound = world.contacts(("1", None, "Kyoto"), ("2", None, "Nowhere"), ("3", None, None))
    activity = update("person", identify={"Id": "crm_id"}, set={"crm_id": "Id", "city": "LastName"})
    ended = world.run(activity, inbound)
    assert [(one.remote_id, one.symbol) for one in ended.rejects] == [("2", "CONSTRAINT")]
    assert world.rows("select crm_id from person order by 1") == [("1",), ("3",)]
    assert world.run(activity, inbound).counts == {"inserted": 0, "updated": 0, "unchanged": 2, "rejected": 1}

"""Branches that write work side by side: on PostgreSQL neither waits for the other's statements, nor do others begin
later for them. (SQLite has one writer at a time.)"""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest

from crosstie.activities import ACTIVITIES
from crosstie.db import open_database
from crosstie.errors import TaskError
from crosstie.workflow.definition import read_definition
from crosstie.workflow.runner import Surroundings, run_workflow
from crosstie.workflow.state import RunStatus
from crosstie.workflow.watcher import Silent
from tests.contract.activities.world import World
from tests.contract.workflow.test_dispatch import HandClock, apply, no_connector

# Takes its own lock, and waits until the other branch has taken its; a minute is for ever.
MEET = (
    "select pg_advisory_lock({mine}); do $$ begin for i in 1..1200 loop if exists (select 1 from pg_locks where"
    " locktype = 'advisory' and objid = {other}) then return; end if; perform pg_sleep(0.05); end loop;"
    " raise exception 'the other branch did not come'; end $$"
)


@pytest.fixture
def world(postgres_url: str) -> Iterator[World]:
    db = open_database(postgres_url)
    yield World(db)
    db.close()


def run(world: World, text: str) -> RunStatus:
    apply(world.db)
    around = Surroundings(
        db=world.db,
        site=world.site,
        clock=HandClock(),
        connect=no_connector,
        watcher=Silent(),
        zone=ZoneInfo("UTC"),
    )
    return run_workflow(around, read_definition("flow.yaml", text, ACTIVITIES, world.site), 1).status


def test_two_branches_write_at_the_same_time(world: World) -> None:
    one, two = MEET.format(mine=901, other=902), MEET.format(mine=902, other=901)
    text = (
        "workflow: flow\nactivities:\n  begin: {type: start, next: [one, two]}\n"
        f'  one: {{type: sql_code, code: "{one}", next: done}}\n  two: {{type: sql_code, code: "{two}", next: done}}\n'
        "  done: {type: end}\n"
    )
    assert run(world, text) is RunStatus.DONE


def test_a_branch_begins_and_ends_while_another_one_writes(world: World) -> None:
    world.sql("create table tally (number integer primary key)")
    wait = (
        "do $$ begin for i in 1..1200 loop if exists (select 1 from crosstie.task where activity = 'third' and"
        " status = 'finished') then return; end if; perform pg_sleep(0.05); end loop;"
        " raise exception 'the other branch waited'; end $$"
    )
    text = (
        "workflow: flow\nactivities:\n  begin: {type: start, next: [long, first]}\n"
        f'  long: {{type: sql_code, code: "{wait.replace("crosstie.task", "tasks")}", next: done}}\n'
        "  first: {type: query, from: tally}\n  second: {type: query, from: tally}\n"
        '  third: {type: javascript, code: "1", next: done}\n  done: {type: end}\n'
    )
    world.sql("create view tasks as select * from crosstie.task")
    assert run(world, text) is RunStatus.DONE


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("insert into people values ('jane@personal.example', 5)", "violates check constraint"),
        ("insert into people values ('x@y', 1), ('x@y', 2)", "violates unique constraint"),
        ("select cast(mail as integer) from people", "invalid input syntax for type integer"),
    ],
)
def test_what_the_server_refuses_is_told_without_the_row(world: World, statement: str, told: str) -> None:
    world.sql(
        "create table people (mail text unique, n integer check (n <> 5))",
        "insert into people values ('jane@personal.example', 1)",
    )
    text = f'workflow: flow\nactivities:\n  tell: {{type: sql_code, code: "{statement}"}}\n'
    with pytest.raises(TaskError, match=told) as caught:
        run(world, text)
    assert "jane" not in str(caught.value) and "x@y" not in str(caught.value)

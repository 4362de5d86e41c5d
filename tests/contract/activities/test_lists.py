"""Lists are read, replaced and added to, on both databases."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crosstie.activities import ACTIVITIES
from crosstie.activities.lists import ListUpdate, ReadList
from crosstie.model import WorkTable
from crosstie.workflow import lists
from crosstie.workflow.definition import read_definition
from crosstie.workflow.lists import StoredList
from crosstie.workflow.runner import RunKind, Surroundings, run_workflow
from crosstie.workflow.watcher import Silent
from tests.contract.activities.world import INTEGER, TEXT, World, columns
from tests.contract.workflow.test_dispatch import HandClock, apply, no_connector, statuses

MADE_OF = columns(id=INTEGER, email=TEXT)


def people(world: World, *rows: tuple[int, str | None]) -> WorkTable:
    return world.population(MADE_OF, rows, key=("id",), dimension="person")


def update(**keys: Any) -> ListUpdate:
    return ListUpdate.model_validate({"type": "list_update", "list": "friends", **keys})


def read() -> ReadList:
    return ReadList.model_validate({"type": "read_list", "list": "friends"})


def stored(world: World) -> StoredList:
    with world.db.reading() as transaction:
        found = lists.find_list(transaction, "friends")
    assert found is not None
    return found


def rows(world: World) -> list[tuple[Any, ...]]:
    return world.read(world.run(read()).tables["ok"])


def test_a_list_is_made_and_read(world: World) -> None:
    inbound = people(world, (1, "a"), (2, None))
    ended = world.run(update(list_label="Friends of ours"), inbound)
    assert dict(ended.counts) == {"rows": 2}
    assert ended.tables["ok"] == inbound
    assert rows(world) == [(1, "a"), (2, None)]
    found = stored(world)
    assert (found.label, found.made_by) == ("Friends of ours", "workflow contact-import/box")
    assert (found.table.key, found.table.dimension) == (("id",), "person")


def test_a_list_is_replaced_and_what_was_read_before_stays(world: World) -> None:
    world.run(update(), people(world, (1, "a"), (2, "b")))
    before = world.run(read()).tables["ok"]
    world.run(update(columns=["email"]), world.population(columns(email=TEXT, other=TEXT), [("x", "y")]))
    assert rows(world) == [("x",)]
    assert world.read(before) == [(1, "a"), (2, "b")]


def test_each_key_is_added_once(world: World) -> None:
    world.run(update(operation="add"), people(world, (1, "a")))
    ended = world.run(update(operation="add"), people(world, (1, "other"), (2, "b"), (3, None)))
    assert dict(ended.counts) == {"added": 2, "known": 1}
    assert rows(world) == [(1, "a"), (2, "b"), (3, None)]
    world.run(update(operation="add", columns=[]), people(world, (4, "left out")))
    assert rows(world) == [(1, "a"), (2, "b"), (3, None), (4, None)]
    world.run(update(operation="add"), people(world))
    assert len(rows(world)) == 4


def test_what_others_add_meanwhile_is_not_lost(world: World) -> None:
    world.run(update(operation="add"), people(world, (1, "a")))
    inbound = people(world, (2, "b"), (3, "c"))
    done = update(operation="add").run(world.context(inbound))
    world.run(update(operation="add"), people(world, (3, "first"), (4, "d")))
    assert done.effect is not None
    with world.db.transaction("box is published") as transaction:
        done.effect(transaction)
    assert rows(world) == [(1, "a"), (2, "b"), (3, "first"), (4, "d")]


@pytest.mark.parametrize("operation", ["replace", "add"])
def test_a_kill_leaves_the_list_as_it_was(world: World, operation: str) -> None:
    world.run(update(), people(world, (1, "a")))
    inbound = people(world, (2, "b"))
    with pytest.raises(RuntimeError, match="killed"):
        world.run(update(operation=operation), inbound, killed=True)
    assert rows(world) == [(1, "a")]
    world.run(update(operation=operation), inbound)
    assert rows(world) == ([(2, "b")] if operation == "replace" else [(1, "a"), (2, "b")])


def test_mistakes_are_told_with_the_way_out(world: World) -> None:
    world.run(update(), people(world, (1, "a")))

    def told(activity: ReadList | ListUpdate, *inbound: WorkTable) -> list[str]:
        return [one.message for one in world.problems(activity, *inbound)]

    assert told(ReadList.model_validate({"type": "read_list", "list": "freinds"})) == [
        "there is no list “freinds”. Did you mean “friends”? There is friends. A list is made by list_update."
    ]
    assert told(update(columns=["mail"]), people(world)) == [
        "inbound there is no column “mail”. Did you mean “email”? There is id, email."
    ]
    other = world.population(columns(id=TEXT, phone=TEXT), [], key=("id",))
    assert told(update(operation="add"), other) == [
        "list friends has the key id of person, and the inbound population the key id of no table: replace the list, or"
        " take another one",
        "column id of list friends holds integer, the inbound one text",
        "list friends has no column phone: leave it out with “columns”",
    ]
    assert told(update(operation="add"), world.population(MADE_OF, []))[0] == (
        "rows are added by their key, and the inbound population has none"
    )


def test_a_simulation_changes_no_list_and_executes_nothing_that_follows(world: World) -> None:
    world.sql("create table person (id integer primary key)", "insert into person values (1)")
    text = "workflow: flow\nactivities:\n  all: {type: query, from: person}\n"
    text += "  keep: {type: list_update, list: friends}\n  again: {type: query, from: inbound}\n"
    apply(world.db)
    around = Surroundings(
        db=world.db,
        site=world.site,
        clock=HandClock(),
        connect=no_connector,
        watcher=Silent(),
        zone=ZoneInfo("UTC"),
    )
    report = run_workflow(
        around, read_definition("flow.yaml", text, ACTIVITIES, world.site), 1, kind=RunKind(simulated=True)
    )
    assert statuses(world.db, report) == {"all": "finished", "keep": "skipped"}
    assert world.site.lists() == ()

"""Update data in batches: each a transaction of its own, its progress kept with it; the same on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from crosstie.activities.update_data import UpdateData
from crosstie.db.database import Transaction
from crosstie.errors import DatabaseError
from crosstie.model import WorkTable
from crosstie.workflow.activity import Context, Scalar
from tests.contract.activities.world import INTEGER, TEXT, Ended, World, columns

MADE_OF = columns(row=INTEGER, code=TEXT, name=TEXT)


def update(**keys: Any) -> UpdateData:
    return UpdateData.model_validate(
        {
            "type": "update_data",
            "into": "thing",
            "identify": {"code": "code"},
            "set": {"code": "code", "name": "name"},
            "batch": 3,
            "outcome": True,
            **keys,
        }
    )


@pytest.fixture
def things(world: World) -> World:
    world.sql(
        f"create table thing (id {world.serial()}, code text unique, name varchar(5) not null)",
        "insert into thing (code, name) values ('a', 'old'), ('d', 'same'), ('z', 'old')",
    )
    world.count_writes("thing")
    return world


def inbound(world: World) -> WorkTable:
    rows = [
        (1, "a", "new"),
        (2, "b", "new"),
        (3, "c", "first"),
        (4, "d", "same"),
        (5, "e", "too long"),
        (6, "f", None),
        (7, "c", "again"),
        (8, "g", "new"),
    ]
    return world.population(MADE_OF, rows, key=("row",))


class Killed(Exception):
    """The process ends here."""


def killing(context: Context, after: int, *, committed: bool) -> dict[str, Scalar]:
    """Lets so many of the task's transactions through and kills it with the next one: before its commit, or after it.
    What a next attempt finds as its state."""
    through = context.step
    found: dict[str, Scalar] = dict(context.state)
    count = 0

    @contextmanager
    def step(purpose: str) -> Iterator[Transaction]:
        nonlocal count
        with through(purpose) as transaction:
            yield transaction
            if count == after and not committed:
                raise Killed
        found.clear()
        found.update(context.state)
        if count == after:
            raise Killed
        count += 1

    counted: Callable[[str], AbstractContextManager[Transaction]] = step
    context.step = counted
    return found


def told(world: World, ended: Ended) -> tuple[Any, ...]:
    return (
        world.rows("select code, name from thing order by code"),
        world.read(ended.tables["ok"], "row", "outcome"),
        world.read(ended.tables["rejects"], "row", "errorCode", "errorColumn"),
        [(one.symbol, one.field, one.value, one.record["row"]) for one in ended.rejects],
        ended.counts,
    )


EXPECTED = (
    [("a", "new"), ("b", "new"), ("d", "same"), ("g", "new"), ("z", "old")],
    [(1, "updated"), (2, "inserted"), (4, "unchanged"), (8, "inserted")],
    [
        (3, "DUPLICATE_TARGET", ""),
        (5, "TOO_LONG", "name"),
        (6, "NOT_NULL", "name"),
        (7, "DUPLICATE_TARGET", ""),
    ],
    [
        ("DUPLICATE_TARGET", "", None, "3"),
        ("TOO_LONG", "name", "too long", "5"),
        ("NOT_NULL", "name", None, "6"),
        ("DUPLICATE_TARGET", "", None, "7"),
    ],
    {"inserted": 2, "updated": 1, "unchanged": 1, "rejected": 4},
)


def test_batches_end_as_one_transaction_would(things: World) -> None:
    assert told(things, things.run(update(), inbound(things))) == EXPECTED


def test_one_transaction_ends_so_too(things: World) -> None:
    assert told(things, things.run(update(batch=0), inbound(things))) == EXPECTED


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("after", range(4))
def test_a_task_killed_at_any_commit_goes_on_and_writes_no_row_twice(
    things: World, after: int, committed: bool
) -> None:
    made = inbound(things)
    context = things.context(made)
    state = killing(context, after, committed=committed)
    with pytest.raises(Killed):
        update().run(context)
    ended = things.run(update(), made, context=things.context(made, state=state))
    assert told(things, ended) == EXPECTED
    assert things.writes() == {"insert": 2, "update": 1}


def test_a_population_without_a_key_is_resumed_too(things: World) -> None:
    made = things.population(
        columns(code=TEXT, name=TEXT), [("b", "x"), ("b", "x"), ("c", "x"), ("d", "x"), ("e", "x")]
    )
    context = things.context(made)
    state = killing(context, 1, committed=True)
    with pytest.raises(Killed):
        update().run(context)
    ended = things.run(update(), made, context=things.context(made, state=state))
    assert ended.counts == {"inserted": 2, "updated": 1, "unchanged": 0, "rejected": 2}


def test_of_rows_for_the_same_target_the_first_of_all_batches_is_used(things: World) -> None:
    ended = things.run(update(ignore_same_target=True, order={"highest": "row"}), inbound(things))
    assert ("c", "again") in things.rows("select code, name from thing")
    assert ended.counts == {"inserted": 3, "updated": 1, "unchanged": 1, "rejected": 2, "ignored": 1}
    assert [row for row, _ in things.read(ended.tables["ok"], "row", "outcome")] == [1, 2, 4, 7, 8]


def test_ties_are_written_with_each_batch(things: World) -> None:
    made = things.contacts(("1", "a", "new"), ("2", "b", "new"), ("3", "c", "x"), ("4", "d", "y"))
    activity = update(identify={"Email": "code"}, set={"code": "Email", "name": "LastName"}, batch=2)
    context = things.context(made)
    state = killing(context, 1, committed=True)
    with pytest.raises(Killed):
        activity.run(context)
    assert things.rows("select count(*) from crosstie.tie_1") == [(2,)]
    things.run(activity, made, context=things.context(made, state=state))
    tied = things.rows(
        "select e.remote_id, r.code from crosstie.tie_1 e join thing r on cast(r.id as text) = e.local_key"
    )
    assert sorted(tied) == [("1", "a"), ("2", "b"), ("3", "c"), ("4", "d")]


def test_what_was_noted_and_is_gone_is_named(things: World) -> None:
    made = inbound(things)
    context = things.context(made)
    state = killing(context, 1, committed=True)
    with pytest.raises(Killed):
        update().run(context)
    things.db.drop_work([f"{state['tables']}_refused"])
    with pytest.raises(DatabaseError, match="had written 1 of its batches") as error:
        update().run(things.context(made, state=state))
    assert "Start the run anew" in error.value.hint

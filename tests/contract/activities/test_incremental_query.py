"""Incremental queries leave out what they have put out, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crosstie.activities.query import IncrementalQuery
from crosstie.sync import deliveries
from crosstie.workflow.activity import Context
from tests.contract.activities.world import NOW, Ended, World

TABLES = (
    "create table visitor (code varchar(9) primary key, score bigint)",
    "insert into visitor values ('a', 1), ('b', 5), ('C', 9)",
)


@pytest.fixture
def visitors(world: World) -> World:
    world.sql(*TABLES)
    return world


def query(**keys: Any) -> IncrementalQuery:
    return IncrementalQuery.model_validate({"type": "incremental_query", "from": "visitor", **keys})


def context(world: World, run: int = 1, days: int = 0) -> Context:
    made = world.context()
    made.run = run
    made.now = lambda: NOW + timedelta(days=days)
    return made


def codes(world: World, ended: Ended) -> list[str]:
    return [str(row[0]) for row in world.read(ended.tables["ok"], "code")] if "ok" in ended.tables else []


def delivered(world: World, run: int = 1) -> None:
    """All that the run fed has ended well."""
    with world.db.transaction("test") as transaction:
        for one, _, _ in deliveries.pending(transaction, run):
            deliveries.confirm(transaction, one)


def test_what_was_put_out_is_left_out(visitors: World) -> None:
    first = visitors.run(query(where="score > 3"))
    assert (codes(visitors, first), dict(first.counts)) == (["C", "b"], {"new": 2})
    delivered(visitors)
    again = visitors.run(query(where="score > 3"))
    assert (dict(again.tables), dict(again.counts)) == ({}, {"new": 0})
    visitors.sql("insert into visitor values ('d', 4), ('A', 4)")
    assert codes(visitors, visitors.run(query(where="score > 3", add=["score"]))) == ["A", "d"]


def test_nothing_new_goes_on_only_where_that_is_wanted(visitors: World) -> None:
    visitors.run(query())
    ended = visitors.run(query(even_if_empty=True))
    table = ended.tables["ok"]
    assert table is not None
    assert table.rows == 0


def test_what_a_run_did_not_bring_to_a_good_end_is_put_out_again(visitors: World) -> None:
    visitors.run(query(), context=context(visitors, run=1))
    assert codes(visitors, visitors.run(query(), context=context(visitors, run=2))) == []
    with visitors.db.transaction("run 1 is over") as transaction:
        deliveries.abandon(transaction, 1)
    assert codes(visitors, visitors.run(query(), context=context(visitors, run=3))) == ["C", "a", "b"]


def test_a_kill_before_the_commit_loses_nothing(visitors: World) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        visitors.run(query(), killed=True)
    assert codes(visitors, visitors.run(query())) == ["C", "a", "b"]


def test_a_task_whose_result_is_lost_puts_it_out_again(visitors: World) -> None:
    made = context(visitors)
    visitors.run(query(), context=made)
    visitors.sql(
        "insert into crosstie.task (id, run, activity, status, started_at)"
        f" values ({made.task}, 1, 'box', 'lost', '2026-11-23')"
    )
    assert codes(visitors, visitors.run(query())) == ["C", "a", "b"]


def test_the_history_is_purged_after_its_days(visitors: World) -> None:
    visitors.run(query(history="30d"))
    delivered(visitors)
    assert codes(visitors, visitors.run(query(history="30d"), context=context(visitors, days=29))) == []
    assert codes(visitors, visitors.run(query(history="0d"), context=context(visitors, days=40))) == []
    assert len(codes(visitors, visitors.run(query(history="30d"), context=context(visitors, days=31)))) == 3


def test_a_start_forgets_what_is_not_kept(visitors: World) -> None:
    for kept, expected in ((True, 0), (False, 3)):
        visitors.run(query(keep_history=kept, even_if_empty=True))
        delivered(visitors)
        with visitors.db.transaction("start") as transaction:
            deliveries.begin_anew(transaction, "contact-import")
        assert len(codes(visitors, visitors.run(query(keep_history=kept)))) == expected


def test_two_tasks_at_once_put_no_row_out_twice(visitors: World) -> None:
    visitors.run(query(where="code = 'a'"))
    one = query().run(context(visitors, run=2))
    two = visitors.run(query(where="code = 'b'"), context=context(visitors, run=3))
    assert codes(visitors, two) == ["b"]
    assert one.effect is not None
    with visitors.db.transaction("box is published") as transaction:
        done = one.effect(transaction)
    assert done is not None
    assert visitors.read(done.tables["ok"]) == [("C",)]
    assert dict(done.counts) == {"new": 1}


def test_another_key_begins_anew(visitors: World) -> None:
    visitors.run(query())
    visitors.sql("create table guest (id bigint primary key)", "insert into guest values (7)")
    ended = visitors.run(IncrementalQuery.model_validate({"type": "incremental_query", "from": "guest"}))
    assert visitors.read(ended.tables["ok"]) == [(7,)]
    assert ended.log.texts("warning") == ["The key of its rows is another than before: all of them count as new."]


def test_mistakes_are_told_with_the_way_out(visitors: World) -> None:
    visitors.sql("create table bare (a text)")
    bare = IncrementalQuery.model_validate({"type": "incremental_query", "from": "bare", "add": ["a"]})
    assert [one.message for one in visitors.problems(bare)] == [
        "an incremental query knows by their key which rows it has put out, and these have none"
    ]
    assert query(schedule={"every": "1h"}).timetable() is not None
    with pytest.raises(ValueError, match="it does not say when"):
        query(schedule={})

"""Split: which subset a row goes to, and that chance is the same twice."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from crosstie.activities.split import Split
from crosstie.model import WorkTable
from crosstie.workflow.activity import Done
from tests.contract.activities.world import INTEGER, TEXT, World, columns

MADE_OF = columns(id=INTEGER, name=TEXT, age=INTEGER)
ROWS = [(1, "Ono", 20), (2, "Abe", 35), (3, "Ito", 29), (4, "Ueda", None), (5, "Eto", 61)]


def split(subsets: dict[str, Any], **keys: Any) -> Split:
    return Split.model_validate({"type": "split", "subsets": subsets, **keys})


def people(world: World, rows: list[tuple[Any, ...]] = ROWS, key: tuple[str, ...] = ("id",)) -> WorkTable:
    return world.population(MADE_OF, rows, key=key, dimension="recipient" if key else "")


def ids(world: World, table: WorkTable | None) -> list[int]:
    return [row[0] for row in world.read(table, "id")]


def parts(world: World, activity: Split, inbound: WorkTable) -> dict[str, list[int]]:
    return {name: ids(world, table) for name, table in world.run(activity, inbound).tables.items()}


def test_a_row_goes_to_the_first_subset_that_takes_it(world: World) -> None:
    subsets = {"young": {"where": "age < 30"}, "named": {"where": "name <> 'Eto'"}}
    ended = world.run(split(subsets, next={"young": "a", "named": "b", "complement": "c"}), people(world))
    assert {name: ids(world, table) for name, table in ended.tables.items()} == {
        "young": [1, 3],
        "named": [2, 4],
        "complement": [5],
    }
    assert ended.counts == {"young": 2, "named": 2, "complement": 1}
    young = ended.tables["young"]
    assert young is not None and (young.key, young.dimension) == (("id",), "recipient")


def test_overlapping_subsets_each_take_what_they_can(world: World) -> None:
    subsets = {"young": {"where": "age < 30"}, "named": {"where": "name <> 'Eto'"}}
    found = parts(world, split(subsets, overlapping=True, complement="c"), people(world))
    assert found == {"young": [1, 3], "named": [1, 2, 3, 4], "complement": [5]}


def test_what_a_limit_leaves_out_is_free_for_the_next_subset(world: World) -> None:
    oldest: dict[str, Any] = {"limit": 2, "order": {"highest": "age"}}
    found = parts(world, split({"oldest": oldest, "next-oldest": oldest, "rest": None}), people(world))
    assert found == {"oldest": [2, 5], "next-oldest": [1, 3], "rest": [4]}


@pytest.mark.parametrize(
    ("limit", "taken"),
    [
        ({"percent": 50}, 2),
        ("20%", 1),
        ("19.999%", 0),
        ({"percent": 50, "of": "subset"}, 1),
        ({"rows": 0}, 0),
        ({"rows": 99}, 3),
        ({"rows": 1, "per": "age < 33"}, 2),
        ({"percent": 50, "per": "age < 33"}, 1),
    ],
)
def test_a_limit_is_a_number_a_share_or_for_each_value(world: World, limit: Any, taken: int) -> None:
    inbound = people(world, [*ROWS[:3], (4, "x", 70), (5, "y", 71)])
    assert world.run(split({"part": {"where": "age < 40", "limit": limit}}), inbound).counts == {"part": taken}


def test_one_population_says_by_a_code_which_subset_a_row_is_in(world: World) -> None:
    subsets: dict[str, Any] = {"young": {"where": "age < 30", "code": "Y'1"}, "old": {"where": "age > 60"}}
    ended = world.run(split(subsets, segment="cell", complement="c"), people(world))
    out = ended.tables["ok"]
    assert out is not None and out.key == ("id",)
    assert world.read(out, "id", "cell") == [(1, "Y'1"), (3, "Y'1"), (5, "old")]
    assert ids(world, ended.tables["complement"]) == [2, 4]
    twice = world.run(split({**subsets, "all": {}}, segment="cell", overlapping=True), people(world)).tables["ok"]
    assert twice is not None and (twice.rows, twice.key, twice.dimension) == (8, (), "")


def test_variables_stand_in_filters_as_values(world: World) -> None:
    activity = split({"older": {"where": "age > $(vars/@limit)"}})
    ended = world.run(activity, people(world), variables={"limit": 30})
    assert ids(world, ended.tables["older"]) == [2, 5]
    shared = world.context(people(world))
    shared.instance["limit"] = 60
    done = split({"older": {"where": "age > $(instance/vars/@limit)"}}).run(shared)
    assert isinstance(done, Done)
    assert ids(world, done.tables["older"]) == [5]


def test_chance_draws_the_same_rows_when_a_task_is_executed_again(world: World) -> None:
    inbound = people(world, [(number, str(number), number) for number in range(1, 201)])
    activity = split({"a": {"limit": "25%"}, "b": {"limit": "25%"}})
    found = []
    for _ in range(2):
        done = activity.run(world.context(inbound))
        assert isinstance(done, Done)
        found.append([ids(world, done.tables[name]) for name in ("a", "b")])
    assert found[0] == found[1]
    first, second = (set(one) for one in found[0])
    assert len(first) == len(second) == 50
    assert not first & second
    # Not a block of neighbours, and not what the other draws shifted.
    assert max(first) - min(first) > 100
    other_run = world.context(inbound)
    other_run.run = 2
    done = activity.run(other_run)
    assert isinstance(done, Done)
    assert set(ids(world, done.tables["a"])) != first


def test_both_databases_draw_the_same_rows(world: World) -> None:
    inbound = people(world, [(number, "x", None) for number in range(1, 41)])
    assert parts(world, split({"a": {"limit": 5}}), inbound) == {"a": [16, 3, 37, 4, 5]}


def test_ties_are_broken_by_key_or_by_chance(world: World) -> None:
    inbound = people(world, [(number, "x", number % 2) for number in range(1, 101)])
    by_key = {"limit": 50 + 10, "order": [{"highest": "age"}]}
    taken = parts(world, split({"a": by_key}), inbound)["a"]
    assert taken == sorted([*range(1, 100, 2), *range(2, 21, 2)], key=str)
    by_chance = set(parts(world, split({"a": {**by_key, "ties": "random"}}), inbound)["a"])
    assert set(range(1, 100, 2)) < by_chance
    assert by_chance != set(taken)


def test_rows_without_a_known_key_are_divided_too(world: World) -> None:
    inbound = people(world, [(1, "a", 1), (1, "a", 1), (None, None, None)], key=())
    ended = world.run(split({"one": {"limit": 1, "where": "age = 1"}}, complement="c"), inbound)
    assert world.read(ended.tables["one"]) == [(1, "a", 1)]
    assert world.read(ended.tables["complement"]) == [(None, None, None), (1, "a", 1)]
    keyed = world.population(MADE_OF, [(1, "a", 1), (None, "b", 2), (None, "c", 3)], key=("id",))
    assert world.run(split({"some": {"where": "age > 1"}}), keyed).counts == {"some": 2}


def test_mistakes_are_told_in_words(world: World) -> None:
    subsets = {
        "young": {"where": "aeg < 30", "limit": {"rows": 1, "per": "nmae"}, "order": [{"lowest": "x"}]},
        "ok": {"where": "age"},
        "two words": {"code": "2", "order": {"lowest": "age"}},
    }
    found = world.problems(split(subsets, next="there"), people(world))
    assert [f"{'.'.join(map(str, one.path))}: {one.message}" for one in found] == [
        "subsets.young.where: the inbound population has no column aeg. Did you mean “age”? It has id, name, age.",
        "subsets.young.limit.per: the inbound population has no column nmae. Did you mean “name”?"
        " It has id, name, age.",
        "subsets.young.order.lowest: the inbound population has no column x. It has id, name, age.",
        "subsets.ok.where: “age” is not a condition: it gives integer. Compare it, like … = … or … is not null.",
        "subsets.two words.order: an order says which rows a limit leaves out: write a limit too",
        "subsets.ok: “ok” has a meaning of its own: give the subset another name",
        "subsets.two words: “two words” is not a name: use letters, digits, - and _",
        "next: a split says for each subset where it goes: next: {young: activity, ok: activity, two words: activity}",
        "subsets.two words.code: a code stands in the segment column: write segment: and its name",
    ]
    cells = split({"a": {"code": "x"}, "b": {"code": "x"}}, segment="AGE", next="there")
    assert [one.message for one in world.problems(cells, people(world))] == [
        "its code x is that of subset a: give it another one",
        "the inbound population has a column AGE already",
    ]


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({}, "write either rows or percent"),
        ({"rows": 1, "percent": 1}, "write either rows or percent"),
        ("10", "is no limit: write a number, a percentage like 10%, or keys"),
        ({"percent": 0.0001}, "at most 3 decimals"),
        ({"percent": 10, "per": "name", "of": "inbound"}, "with per, a percentage is of the subset"),
        ({"percent": 101}, "less than or equal to 100"),
    ],
)
def test_a_limit_without_meaning_is_refused(limit: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        split({"part": {"limit": limit}})

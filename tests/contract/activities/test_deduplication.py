"""Deduplication: which rows of a group are kept; the same on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from crosstie.activities.deduplication import Deduplication
from crosstie.model import WorkTable
from tests.contract.activities.world import INTEGER, TEXT, World, columns

MADE_OF = columns(key=INTEGER, name=TEXT, city=TEXT, score=INTEGER)
ROWS = [
    (1, "Ono", "Kyoto", 5),
    (2, "Ono", "Osaka", 9),
    (3, "Ono", None, None),
    (4, "Abe", "Kobe", 1),
    (5, None, "Nara", 1),
    (6, None, "Nara", 2),
    (7, "", "Nara", 3),
]


def deduplication(**keys: Any) -> Deduplication:
    return Deduplication.model_validate({"type": "deduplication", "by": ["name"], **keys})


def people(world: World, key: tuple[str, ...] = ("key",)) -> WorkTable:
    return world.population(MADE_OF, ROWS, key=key)


def kept(world: World, inbound: WorkTable, **keys: Any) -> list[int]:
    return [row[0] for row in world.read(world.run(deduplication(**keys), inbound).tables["ok"], "key")]


@pytest.mark.parametrize(
    ("keep", "of_ono"),
    [
        ("any", 1),
        ({"highest": "score"}, 2),
        ({"lowest": "score"}, 1),
        ({"highest": "city"}, 2),
        ({"not_empty": "city"}, 1),
        ([{"not_empty": "city"}, {"highest": "key"}], 2),
        ({"list": {"of": "city", "values": ["Osaka", "Kyoto"]}}, 2),
        ({"list": {"of": "score", "values": [7, 5]}}, 1),
        ([{"list": {"of": "city", "values": ["Nowhere"]}}, {"highest": "key"}], 3),
        ({"highest": "length(city)"}, 1),
    ],
)
def test_a_rule_says_which_row_is_kept(world: World, keep: Any, of_ono: int) -> None:
    assert kept(world, people(world), keep=keep) == [of_ono, 4, 5, 6, 7]


def test_rows_with_an_empty_criterion_are_each_their_own_unless_grouped(world: World) -> None:
    inbound = people(world)
    assert kept(world, inbound) == [1, 4, 5, 6, 7]
    assert kept(world, inbound, group_empty=True, keep={"highest": "score"}) == [2, 4, 7]


def test_several_criteria_and_expressions(world: World) -> None:
    inbound = people(world)
    assert kept(world, inbound, by=["city", "name is null"]) == [1, 2, 3, 4, 5, 7]
    assert kept(world, inbound, by="length(city)") == [1, 3, 4]


def test_more_than_one_row_can_be_kept(world: World) -> None:
    assert kept(world, people(world), count=2, keep={"lowest": "score"}) == [1, 2, 4, 5, 6, 7]


def test_the_rows_left_out_name_the_row_kept(world: World) -> None:
    ended = world.run(deduplication(keep={"highest": "score"}, complement="elsewhere"), people(world))
    assert world.read(ended.tables["complement"], "key", "city", "kept_key") == [(1, "Kyoto", 2), (3, None, 2)]
    assert ended.counts == {"kept": 5, "double": 2}


def test_without_a_key_rows_are_numbered_where_they_must_be_named(world: World) -> None:
    inbound = people(world, key=())
    plain = world.run(deduplication(keep={"highest": "score"}), inbound).tables["ok"]
    assert plain is not None and [column.name for column in plain.columns] == ["key", "name", "city", "score"]
    assert [row[0] for row in world.read(plain, "key")] == [2, 4, 5, 6, 7]
    ended = world.run(deduplication(keep={"highest": "score"}, complement="elsewhere"), inbound)
    assert world.read(ended.tables["complement"], "key", "kept_crosstie_row") == [(1, 2), (3, 2)]
    assert world.read(ended.tables["ok"], "key", "crosstie_row")[0] == (2, 2)


def test_equal_rows_leave_one(world: World) -> None:
    inbound = world.population(columns(name=TEXT), [("Ono",), ("Ono",), ("Abe",)])
    assert world.read(world.run(deduplication(), inbound).tables["ok"]) == [("Abe",), ("Ono",)]


def test_a_key_that_proves_the_criterion_passes_the_population_on_uncopied(world: World) -> None:
    inbound = world.contacts(("1", "a@x", "Ono"), ("2", "a@x", "Abe"))
    ended = world.run(deduplication(by=["LastName", "Id"], keep={"highest": "SystemModstamp"}), inbound)
    assert ended.tables["ok"] == inbound
    assert ended.counts == {"kept": 2, "double": 0}
    assert "no row is double" in ended.log.texts("info")[0]


def test_a_population_without_doubles_is_passed_on_uncopied(world: World) -> None:
    inbound = world.contacts(("1", "a@x", "Ono"), ("2", "b@x", "Abe"))
    assert world.run(deduplication(by=["Email"]), inbound).tables["ok"] == inbound
    complement = world.run(deduplication(by=["Email"], complement="elsewhere"), inbound).tables["complement"]
    assert complement is not None and complement.rows == 0


def test_every_mistake_is_told_with_its_place(world: World) -> None:
    found = world.problems(
        deduplication(by=["naem", "city"], keep=[{"highest": "scor"}, {"list": {"of": "score", "values": ["x"]}}]),
        people(world),
    )
    assert [problem.path for problem in found] == [("by", 0), ("keep", 0, "highest"), ("keep", 1, "list", "values")]
    assert "Did you mean “name”?" in found[0].message
    with pytest.raises(ValidationError, match="one of highest, lowest"):
        deduplication(keep={"highest": "score", "lowest": "score"})
    with pytest.raises(ValidationError):
        deduplication(by=[])

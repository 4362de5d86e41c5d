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


HOUSEHOLDS = columns(id=INTEGER, email=TEXT, street=TEXT, city=TEXT, phone=TEXT, seen=INTEGER)


def households(world: World) -> WorkTable:
    return world.population(
        HOUSEHOLDS,
        [
            (1, "a", "Old Road", "Rome", None, 1),
            (2, "a", "New Road", None, "2", 3),
            (3, "a", "High Road", "Oslo", "3", 2),
            (4, "b", None, "Bonn", None, 1),
            (5, "b", "Some Road", None, "", 2),
            (6, "c", None, None, "6", 1),
        ],
        key=("id",),
    )


def test_merged_fields_come_together_from_the_first_eligible_row(world: World) -> None:
    activity = deduplication(
        by="email",
        keep={"highest": "seen"},
        merge=[{"fields": ["street", "city"], "filled": True}, {"fields": ["phone"], "keep": {"lowest": "phone"}}],
    )
    ended = world.run(activity, households(world))
    assert world.read(ended.tables["ok"], "id", "street", "city", "phone", "seen") == [
        (2, "High Road", "Oslo", "2", 3),
        (5, "Some Road", None, "", 2),
        (6, None, None, "6", 1),
    ]
    assert ended.counts == {"kept": 3, "double": 3}


def test_a_merged_field_can_ask_for_a_condition_and_the_complement_keeps_its_own(world: World) -> None:
    activity = deduplication(
        by="email",
        merge={"fields": ["street", "seen"], "when": "city is null", "keep": {"highest": "seen"}},
        complement="x",
    )
    ended = world.run(activity, households(world))
    assert world.read(ended.tables["ok"], "id", "street", "seen") == [
        (1, "New Road", 3),
        (4, "Some Road", 2),
        (6, None, 1),
    ]
    assert world.read(ended.tables["complement"], "id", "street", "kept_id") == [
        (2, "New Road", 1),
        (3, "High Road", 1),
        (5, "Some Road", 4),
    ]


def test_what_is_merged_is_not_the_remote_records_own_any_more(world: World) -> None:
    inbound = world.contacts(("A", "a@x", None), ("B", "a@x", "Ono"), ("C", "c@x", "Abe"))
    ended = world.run(deduplication(by="Email", merge={"fields": ["LastName"], "filled": True}), inbound)
    table = ended.tables["ok"]
    assert world.read(table, "Id", "LastName") == [("A", "Ono"), ("C", "Abe")]
    assert table is not None and table.lineage is not None
    assert table.lineage.remote_id == "Id" and "LastName" not in dict(table.lineage.fields)


def test_every_mistake_of_a_merge_is_told_with_its_place(world: World) -> None:
    activity = deduplication(
        by="Email",
        count=2,
        merge=[
            {"fields": ["Id", "LastNam"], "when": "LastName"},
            {"fields": ["Email"]},
            {"fields": ["email", "SystemModstamp"], "keep": [{"highest": "Nothing"}, {"lowest": "Email"}]},
        ],
    )
    found = world.problems(activity, world.contacts())
    assert [one.path for one in found] == [
        ("count",),
        ("merge", 0, "when"),
        ("merge", 0, "fields", 0),
        ("merge", 0, "fields", 1),
        ("merge", 2, "keep", 0, "highest"),
        ("merge", 2, "fields", 0),
        ("merge", 2, "fields", 1),
    ]
    told = [one.message for one in found]
    assert told[0] == "merging builds one row of each group: leave “count” out"
    assert "Id tells the rows apart" in told[2] and "Did you mean “LastName”?" in told[3]
    assert told[5] == "Email is merged twice: a field belongs to one group"

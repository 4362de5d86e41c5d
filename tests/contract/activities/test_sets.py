"""Union, intersection and exclusion: which rows go on, with which columns, and what stays true of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from crosstie.activities.exclusion import Exclusion
from crosstie.activities.intersection import Intersection
from crosstie.activities.union import Union
from crosstie.model import Column, ColumnType, Lineage, Link, WorkTable
from crosstie.workflow.activity import Activity, Problem, Shape
from tests.contract.activities.world import INTEGER, LINEAGE, TEXT, World, columns

PERSON = columns(id=INTEGER, name=TEXT)
OPENERS = [(1, "Ono"), (2, "Abe"), (3, None)]
CLICKERS = [(2, "Abe again"), (4, "Ito")]


def union(*names: str, **keys: Any) -> Union:
    return Union.model_validate({"type": "union", "from": list(names or ("openers", "clickers")), **keys})


def intersection(*names: str, **keys: Any) -> Intersection:
    given = {"type": "intersection", "from": list(names or ("openers", "clickers")), **keys}
    return Intersection.model_validate(given)


def exclusion(*names: str, **keys: Any) -> Exclusion:
    return Exclusion.model_validate({"type": "exclusion", "from": list(names or ("openers", "clickers")), **keys})


def people(world: World, rows: list[tuple[Any, ...]], **given: Any) -> WorkTable:
    return world.population(PERSON, rows, **{"key": ("id",), "dimension": "recipient", **given})


def both(world: World) -> tuple[WorkTable, WorkTable]:
    return people(world, OPENERS), people(world, CLICKERS)


def messages(found: list[Problem]) -> list[str]:
    return [f"{'.'.join(map(str, problem.path))}: {problem.message}" for problem in found]


def test_a_union_by_keys_has_each_row_once_as_the_first_set_shows_it(world: World) -> None:
    ended = world.run(union(), *both(world))
    assert world.read(ended.tables["ok"]) == [(1, "Ono"), (2, "Abe"), (3, None), (4, "Ito")]
    assert ended.counts == {"rows": 4, "left out": 1}
    out = ended.tables["ok"]
    assert out is not None and (out.key, out.dimension) == (("id",), "recipient")


def test_the_order_of_from_is_that_of_priority_and_a_limit_fills_from_the_first(world: World) -> None:
    openers, clickers = both(world)
    ended = world.run(union("clickers", "openers", limit=3), clickers, openers)
    assert world.read(ended.tables["ok"]) == [(1, "Ono"), (2, "Abe again"), (4, "Ito")]
    assert ended.counts == {"rows": 3, "left out": 2}
    assert world.read(world.run(union(limit=2), openers, clickers).tables["ok"]) == [(1, "Ono"), (2, "Abe")]


def test_rows_repeated_inside_one_set_stay_repeated_unless_they_are_in_an_earlier_one(world: World) -> None:
    first = people(world, [(1, "Ono"), (1, "Ono"), (3, None)], key=())
    second = people(world, [(1, "Ono"), (3, None), (3, None), (5, "New"), (5, "New")], key=())
    out = world.run(union(reconcile="shared"), first, second).tables["ok"]
    assert world.read(out) == [(1, "Ono"), (1, "Ono"), (3, None), (5, "New"), (5, "New")]
    assert out is not None and (out.key, out.dimension) == ((), "")


def test_rows_are_compared_by_chosen_expressions_and_an_empty_one_is_like_none(world: World) -> None:
    first = people(world, [(1, "ONO"), (2, None)])
    second = people(world, [(3, "ono"), (4, None), (5, "Ito"), (6, "ito")])
    ended = world.run(union("a", "b", reconcile=["lower(name)"]), first, second)
    assert [row[0] for row in world.read(ended.tables["ok"])] == [1, 2, 4, 5, 6]


def test_rows_without_a_key_are_all_kept(world: World) -> None:
    first, second = people(world, [(None, "a"), (1, "b")]), people(world, [(None, "a"), (None, "c"), (1, "d")])
    assert len(world.read(world.run(union(), first, second).tables["ok"])) == 4
    assert world.read(world.run(intersection(), second, first).tables["ok"]) == [(1, "d")]
    assert world.read(world.run(exclusion(), second, first).tables["ok"]) == [(None, "a"), (None, "c")]


def test_a_union_has_all_columns_or_the_shared_ones_and_widens_types(world: World) -> None:
    half = Column(name="score", type=ColumnType.DECIMAL, scale=1)
    first = world.population((*columns(ID=INTEGER, score=INTEGER), Column(name="city", type=TEXT)), [(1, 7, "Nara")])
    second = world.population((half, *columns(id=INTEGER), Column(name="zip", type=TEXT)), [(Decimal("2.5"), 2, "630")])
    ended = world.run(union("a", "b", reconcile=["id"]), first, second)
    out = ended.tables["ok"]
    assert out is not None
    assert [(one.name, one.type) for one in out.columns] == [
        ("ID", INTEGER),
        ("score", ColumnType.DECIMAL),
        ("city", TEXT),
        ("zip", TEXT),
    ]
    assert [(row[0], float(row[1]), *row[2:]) for row in world.read(out)] == [
        (1, 7.0, "Nara", None),
        (2, 2.5, None, "630"),
    ]
    shared = world.run(union("a", "b", reconcile=["id"], columns="shared"), first, second).tables["ok"]
    assert shared is not None and [one.name for one in shared.columns] == ["ID", "score"]


def test_the_key_of_a_union_is_told_only_where_it_is_right(world: World) -> None:
    first, second = both(world)

    def key(**keys: Any) -> tuple[str, ...]:
        shape = union(**keys).outputs((Shape.of(first), Shape.of(second)), world.site)["ok"]
        assert shape is not None
        return shape.key

    assert key() == ("id",)
    assert key(reconcile=["id"]) == ("id",)
    assert key(reconcile="shared") == ()
    assert key(reconcile=["name"]) == ()
    assert key(reconcile=["id", "name"]) == ()


def test_lineage_and_links_go_on_where_all_sets_have_them(world: World) -> None:
    link = Link(name="recipient", table="recipient", column="recipient_id", key="id")
    made = columns(Id=TEXT, Email=TEXT, recipient_id=INTEGER)
    whole = Lineage(
        account="salesforce", org="00D1", object="Contact", remote_id="Id", fields=(("Id", "Id"), ("Email", "Email"))
    )
    part = Lineage(account="salesforce", org="00D1", object="Contact", remote_id="Id", fields=(("Id", "Id"),))
    one = Shape(columns=made, key=("Id",), lineage=whole, links=(link,))
    other = Shape(columns=made, key=("Id",), lineage=part, links=(link,))
    unlinked = Shape(columns=made, key=("Id",), lineage=part)
    contact = Shape(columns=made, key=("Id",), lineage=LINEAGE)

    def out(*inputs: Shape, **keys: Any) -> Shape:
        shape = union(**keys).outputs(inputs, world.site)["ok"]
        assert shape is not None
        return shape

    assert out(one, one).lineage == whole
    assert (out(one, other).lineage, out(one, other).links) == (part, (link,))
    assert out(one, unlinked).links == ()
    assert out(one, Shape(columns=made), reconcile=["Id"]).lineage is None
    table = Shape(columns=made, key=("Id",), dimension="recipient")
    assert "the key Id of Contact in salesforce" in messages(list(union().problems((one, table), world.site)))[0]
    assert list(union().problems((one, contact), world.site)) == []


def test_an_intersection_keeps_what_all_sets_have_and_shows_the_main_set(world: World) -> None:
    first, second = both(world)
    third = people(world, [(2, "x"), (1, "y")])
    ended = world.run(intersection("a", "b", "c", complement="others"), first, second, third)
    assert world.read(ended.tables["ok"]) == [(2, "Abe")]
    assert world.read(ended.tables["complement"]) == [(1, "Ono"), (3, None)]
    assert ended.counts == {"kept": 1, "left out": 2}
    out = ended.tables["ok"]
    assert out is not None and (out.key, out.dimension) == (("id",), "recipient")


def test_an_intersection_can_show_the_columns_of_the_other_sets(world: World) -> None:
    first = people(world, OPENERS)
    second = world.population(
        columns(ID=INTEGER, name=TEXT, city=TEXT),
        [(2, "x", "Nara"), (3, "y", None)],
        key=("ID",),
        dimension="recipient",
    )
    third = world.population(
        columns(id=INTEGER, age=INTEGER, City=TEXT), [(2, 40, "z"), (3, 50, "z")], key=("id",), dimension="recipient"
    )
    out = world.run(intersection("a", "b", "c", columns="all"), first, second, third).tables["ok"]
    assert out is not None and [one.name for one in out.columns] == ["id", "name", "city", "age"]
    assert world.read(out) == [(2, "Abe", "Nara", 40), (3, None, None, 50)]
    shared = world.run(intersection("a", "c", columns="shared"), first, third).tables["ok"]
    assert shared is not None and shared.key == ("id",)
    assert world.read(shared) == [(2,), (3,)]


def test_a_main_set_that_loses_no_row_goes_on_uncopied(world: World) -> None:
    first = people(world, OPENERS)
    assert world.run(intersection(), first, people(world, OPENERS)).tables["ok"] == first
    assert world.run(exclusion(), first, people(world, [(9, "x")])).tables["ok"] == first


def test_an_exclusion_removes_what_any_other_set_has(world: World) -> None:
    first, second = both(world)
    third = people(world, [(3, "x")])
    ended = world.run(exclusion("a", "b", "c", complement="removed"), first, second, third)
    assert world.read(ended.tables["ok"]) == [(1, "Ono")]
    assert world.read(ended.tables["complement"]) == [(2, "Abe"), (3, None)]


def test_sets_of_other_dimensions_are_excluded_by_pairs_or_links(world: World) -> None:
    made = columns(id=INTEGER, email=TEXT, company_id=INTEGER)
    link = Link(name="company", table="company", column="company_id", key="id")
    rows = [(1, "A@x", 10), (2, "b@x", 20), (3, None, None), (4, "d@x", 20)]
    main = world.population(made, rows, key=("id",), dimension="recipient")
    main = WorkTable(**{**{name: getattr(main, name) for name in main.__slots__}, "links": (link,)})
    companies = world.population(columns(id=INTEGER), [(20,)], key=("id",), dimension="company")
    bounced = world.population(columns(address=TEXT), [("a@x",), (None,)])
    same = people(world, [(4, "x")])
    pairs = exclusion("main", "bounced", on={"bounced": {"lower(email)": "address"}})
    assert [row[0] for row in world.read(world.run(pairs, main, bounced).tables["ok"])] == [2, 3, 4]
    linked = exclusion("main", "companies", on={"companies": "link company"})
    assert [row[0] for row in world.read(world.run(linked, main, companies).tables["ok"])] == [1, 3]
    mixed = exclusion("main", "same", "bounced", on={"bounced": {"lower(email)": "address"}}, complement="removed")
    ended = world.run(mixed, main, same, bounced)
    assert [row[0] for row in world.read(ended.tables["complement"])] == [1, 4]
    from_theirs = exclusion("companies", "main", on={"main": "link company"})
    assert world.read(world.run(from_theirs, companies, main).tables["ok"]) == []


def test_long_texts_can_be_compared(world: World) -> None:
    long = "x" * 9000
    first = people(world, [(1, long), (2, "y")])
    ended = world.run(union(reconcile=["name"]), first, people(world, [(3, long), (4, long + "!")]))
    assert [row[0] for row in world.read(ended.tables["ok"])] == [1, 2, 4]


def test_what_an_upstream_numbering_says_is_not_compared(world: World) -> None:
    made = columns(name=TEXT, crosstie_row=INTEGER)
    first = world.population(made, [("Ono", 1), ("Abe", 2)], key=("crosstie_row",))
    second = world.population(made, [("Abe", 1)], key=("crosstie_row",))
    out = world.run(union(reconcile="shared"), first, second).tables["ok"]
    assert world.read(out) == [("Abe",), ("Ono",)]
    assert "have no known key" in messages(world.problems(union(), first, second))[0]


@pytest.mark.parametrize(
    ("activity", "said"),
    [
        (union("a"), ["from: union takes at least two different populations: name them, like from: [main, other]"]),
        (
            union("a", "b", "c"),
            ["from: it names 3 activities, but only 2 of them put out a population"],
        ),
        (
            union(reconcile="keys"),
            [
                "reconcile: “openers” has the key id of table recipient, but “clickers” has the key code of no known"
                " table. Write reconcile: shared, or a list of expressions like [lower(email)]",
                ": column name is text in “openers”, integer in “clickers”: no type holds both. Convert one before, in"
                " an edit_schema activity",
            ],
        ),
        (
            union(reconcile="shared"),
            [
                "reconcile: “name” is text in “openers”, integer in “clickers”: these never are the same. Convert one,"
                " like cast(name as text)"
            ],
        ),
        (
            intersection(reconcile=["nmae"], columns="all"),
            [
                "reconcile.0: “openers” has no column nmae. Did you mean “name”? It has id, name.",
                "reconcile.0: “clickers” has no column nmae. Did you mean “name”? It has code, name.",
                "columns: columns: all needs reconcile: keys, so that each row has one partner in every other set",
            ],
        ),
        (
            exclusion(on={"clikers": {"id": "code"}, "clickers": {"name": "name"}}),
            [
                "on.clikers: there is no excluded set “clikers”. Did you mean “clickers”? There is clickers.",
                "on.clickers.name: “name” is text and “name” of “clickers” is integer: they are never equal. Convert"
                " one, like cast(name as text)",
            ],
        ),
        (
            exclusion(on={"clickers": "link company"}),
            ["on.clickers: between “openers” and “clickers” there is no link “company”."],
        ),
        (
            exclusion(on={"clickers": "company"}),
            ["on.clickers: “company”: write “link NAME”, or pairs like {company_id: id}"],
        ),
    ],
)
def test_mistakes_are_told_in_words(world: World, activity: Activity, said: list[str]) -> None:
    other = world.population(columns(code=TEXT, name=INTEGER), [], key=("code",))
    assert messages(world.problems(activity, people(world, []), other)) == said


def test_a_reconciliation_of_another_word_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"It can be keys, shared, or a list like \[lower\(key\)\]"):
        union(reconcile="key")
    with pytest.raises(ValidationError, match="the list is empty"):
        union(reconcile=[])

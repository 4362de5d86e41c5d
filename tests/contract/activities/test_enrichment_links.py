"""The kinds of links of an enrichment: required, to collections, to another population; the same on both databases."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from crosstie.activities.enrichment import Enrichment
from crosstie.activities.update_data import UpdateData
from crosstie.model import Link, WorkTable
from tests.contract.activities.world import INTEGER, TEXT, World, columns

PEOPLE = columns(person=INTEGER, company=INTEGER, name=TEXT)
ORDERS = {"to": "orders", "on": {"person": "person"}, "cardinality": "1-N"}


def enrichment(**keys: Any) -> Enrichment:
    return Enrichment.model_validate({"type": "enrichment", **keys})


@pytest.fixture
def shop(world: World) -> World:
    world.sql(
        "create table company (id integer primary key, name text, city text)",
        "insert into company values (1, 'X', 'Rome'), (2, 'Y', 'Oslo'), (3, 'X', 'Bonn')",
        "create table orders (id integer primary key, person integer, amount numeric(9, 2), day date, paid boolean)",
        "insert into orders values (10, 1, 5.50, '2026-01-01', true), (11, 1, 4.50, '2026-02-01', false),"
        " (12, 2, 1, '2026-03-01', false), (13, null, 9, '2026-04-01', true), (14, 9, 9, null, true)",
    )
    return world


def people(world: World) -> WorkTable:
    return world.population(PEOPLE, [(1, 1, "X"), (2, None, "Y"), (3, 7, "Z"), (4, 2, None)], key=("person",))


def test_a_row_without_a_required_target_is_refused(shop: World) -> None:
    activity = enrichment(
        links={"company": {"to": "company", "on": {"company": "id"}, "cardinality": "1-1"}},
        add={"city": "company.city"},
    )
    ended = shop.run(activity, people(shop))
    assert shop.read(ended.tables["ok"], "person", "company_id", "city") == [(1, 1, "Rome"), (4, 2, "Oslo")]
    assert ended.counts == {"known": 2, "new": 2, "ambiguous": 0, "rejected": 2}
    assert shop.read(ended.tables["rejects"], "person", "errorCode", "errorMessage", "errorColumn") == [
        (2, "KEY_MISSING", "link company: company has no such row", "company_id"),
        (3, "KEY_MISSING", "link company: company has no such row", "company_id"),
    ]
    assert [(one.symbol, one.record["person"]) for one in ended.rejects] == [("KEY_MISSING", "2"), ("KEY_MISSING", "3")]


def test_several_required_targets_are_refused_and_each_row_only_once(shop: World) -> None:
    activity = enrichment(
        links={
            "by_name": {"to": "company", "on": {"name": "name"}, "cardinality": "1-1"},
            "by_id": {"to": "company", "on": {"company": "id"}, "cardinality": "1-1"},
        }
    )
    ended = shop.run(activity, people(shop))
    assert shop.read(ended.tables["ok"]) == []
    assert shop.read(ended.tables["rejects"], "person", "errorCode", "errorColumn") == [
        (1, "AMBIGUOUS_TARGET", "by_name_id"),
        (2, "KEY_MISSING", "by_id_id"),
        (3, "KEY_MISSING", "by_name_id"),
        (4, "KEY_MISSING", "by_name_id"),
    ]


def test_aggregates_of_collections_are_added(shop: World) -> None:
    activity = enrichment(
        links={"orders": ORDERS},
        add={
            "many": "count(orders)",
            "paid": "count(orders, paid)",
            "any_paid": "exists(orders, orders.paid)",
            "total": "coalesce(sum(orders.amount), 0)",
            "open": "sum(amount, not paid)",
            "last": "max(orders.day)",
            "doubled": "sum(orders, amount * 2) + count(orders)",
            "half": "sum(orders.amount / 2, orders.paid)",
        },
    )
    ended = shop.run(activity, people(shop))
    assert ended.counts == {"rows": 4}
    table = ended.tables["ok"]
    found = shop.read(table, "person", "many", "paid", "any_paid", "total", "open", "doubled")
    assert found[0][:4] == (1, 2, 1, True) and found[1][:4] == (2, 1, 0, False) and found[2][:4] == (3, 0, 0, False)
    numbers: list[tuple[object, ...]] = [
        tuple(None if one is None else Decimal(str(one)) for one in row[4:]) for row in found
    ]
    assert numbers == [(10, Decimal("4.5"), 22), (1, 1, 3), (0, None, None), (0, None, None)]
    assert [None if row[0] is None else str(row[0]) for row in shop.read(table, "last")] == [
        None,
        None,
        "2026-02-01",
        "2026-03-01",
    ]


def test_a_flattened_collection_multiplies_the_rows(shop: World) -> None:
    activity = enrichment(
        links={"orders": ORDERS, "company": {"to": "company", "on": {"company": "id"}}},
        add={"amount": "orders.amount", "city": "company.city"},
        flatten="orders",
    )
    table = shop.run(activity, people(shop)).tables["ok"]
    assert table is not None and table.key == () and table.rows == 5
    assert table.links[0] == Link(name="orders", table="orders", column="orders_id", key="id")
    found = [(row[:3], row[3] is None) for row in shop.read(table, "person", "orders_id", "city", "amount")]
    assert found == [
        ((1, 10, "Rome"), False),
        ((1, 11, "Rome"), False),
        ((2, 12, None), False),
        ((3, None, None), True),
        ((4, None, "Oslo"), True),
    ]


def test_another_population_can_be_linked(shop: World) -> None:
    activity = enrichment(
        **{"from": ["main", "other.young"]},
        links={"twin": {"to": "other.young", "on": {"name": "word"}, "order": {"highest": "weight"}}},
        add={"weight": "twin.weight"},
    )
    assert activity.joins()
    words = columns(id=INTEGER, word=TEXT, weight=INTEGER)
    rows = [(1, "X", 3), (2, "X", 5), (3, "Y", 1), (4, None, 9)]
    other = shop.population(words, rows, key=("id",), dimension="company")
    table = shop.run(activity, people(shop), other).tables["ok"]
    expected = [(1, 2, 5), (2, 3, 1), (3, None, None), (4, None, None)]
    assert shop.read(table, "person", "twin_id", "weight") == expected
    assert table is not None and table.links == (Link(name="twin", table="company", column="twin_id", key="id"),)
    unknown = shop.population(words, rows)
    table = shop.run(activity, people(shop), unknown).tables["ok"]
    assert shop.read(table, "person", "weight") == [(one, weight) for one, _, weight in expected]
    assert table is not None and table.column("twin_id") is None


def test_a_collection_of_another_population_is_gathered(shop: World) -> None:
    activity = enrichment(
        **{"from": ["main", "other"]},
        links={"words": {"to": "other", "on": {"name": "word"}, "cardinality": "1-N"}},
        add={"many": "count(words)"},
    )
    other = shop.population(columns(word=TEXT), [("X",), ("X",), (None,)])
    table = shop.run(activity, people(shop), other).tables["ok"]
    assert shop.read(table, "person", "many") == [(1, 2), (2, 0), (3, 0), (4, 0)]


def test_a_reconciliation_defines_what_the_population_is_of(shop: World) -> None:
    activity = enrichment(links={"company": {"to": "company", "on": {"company": "id"}}}, dimension="company")
    table = shop.run(activity, people(shop)).tables["ok"]
    assert table is not None and table.dimension == "company"
    assert shop.read(table, "person", "id") == [(1, 1), (2, None), (3, None), (4, 2)]
    write = UpdateData.model_validate(
        {
            "type": "update_data",
            "into": "company",
            "identify": "dimension",
            "operation": "update",
            "set": {"name": "'seen'"},
        }
    )
    ended = shop.run(write, table)
    assert (ended.counts["updated"], ended.counts["rejected"]) == (2, 2)


def test_links_of_the_populations_table_are_followed(shop: World) -> None:
    shop.sql(
        "create table person (id integer primary key, company_id integer references company (id))",
        "create table visit (id integer primary key, person_id integer references person (id), pages integer)",
        "insert into person values (1, 2), (2, null), (3, 1)",
        "insert into visit values (20, 1, 3), (21, 1, 4), (22, 3, 5)",
    )
    inbound = shop.population(columns(id=INTEGER), [(1,), (2,), (3,), (4,)], key=("id",), dimension="person")
    links = {"firm": {"link": "company"}, "visits": {"link": "visit"}}
    add = {"city": "firm.city", "pages": "sum(visits.pages)"}
    table = shop.run(enrichment(links=links, add=add), inbound).tables["ok"]
    assert shop.read(table, "id", "firm_id", "city", "pages") == [
        (1, 2, "Oslo", 7),
        (2, None, None, None),
        (3, 1, "Rome", 5),
        (4, None, None, None),
    ]
    flat = shop.run(enrichment(links=links, flatten="visits", add={"pages": "visits.pages"}), inbound).tables["ok"]
    assert shop.read(flat, "id", "visits_id", "pages")[:2] == [(1, 20, 3), (1, 21, 4)]
    required = shop.run(enrichment(links={"firm": {"link": "company", "cardinality": "1-1"}}), inbound)
    assert (required.counts["known"], required.counts["rejected"]) == (2, 2)
    (unknown,) = shop.problems(enrichment(links={"firm": {"link": "compny"}}), inbound)
    assert unknown.message.startswith("table person: there is no link “compny”. Did you mean “company”?")
    (nowhere,) = shop.problems(enrichment(links={"firm": {"link": "company"}}), people(shop))
    assert "is of no table" in nowhere.message


def test_every_mistake_is_told_with_its_place(shop: World) -> None:
    inbound = people(shop)
    found = shop.problems(
        enrichment(
            links={
                "orders": ORDERS,
                "company": {"to": "company", "on": {"company": "id"}, "as": "name"},
                "gone": {"to": "nowhere", "on": {"company": "id"}},
            },
            add={"a": "orders.amount", "b": "sum(orders)", "c": "count(orders, amount)", "d": "max(company.name)"},
            flatten="company",
            dimension="orders",
        ),
        inbound,
    )
    assert [problem.path for problem in found] == [
        ("links", "gone", "to"),
        ("flatten",),
        ("dimension",),
        ("add", "a"),
        ("add", "b"),
        ("add", "c"),
        ("add", "d"),
        ("links", "company"),
    ]
    told = [problem.message for problem in found]
    assert told[1] == "“flatten” names a collection (cardinality: 1-N); company is 0-1"
    assert told[2] == "“dimension” names a link to one row, not a collection; orders is 1-N"
    assert "has many values" in told[3] and "flatten: orders" in told[3]
    assert "is a condition over the rows of orders" in told[5]
    renamed = enrichment(
        links={"company": {"to": "company", "on": {"company": "id"}, "as": "firm"}}, dimension="company"
    )
    (found_as,) = shop.problems(renamed, inbound)
    assert found_as.path == ("links", "company", "as") and "leave “as” out" in found_as.message


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ({"to": "company"}, "write “on”"),
        ({"on": {"a": "b"}}, "write “to” with a table"),
        ({"link": "company", "to": "company"}, "says where it leads"),
        ({"to": "company", "on": {"a": "b"}, "first_of": [{"a": "b"}]}, "write “on”"),
        ({**ORDERS, "order": {"highest": "id"}}, "a collection has all rows that fit"),
    ],
)
def test_a_link_is_written_in_one_way(link: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        enrichment(links={"one": link})

"""Queries: conditions, links, aggregates, collections and groups, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from crosstie.activities import ACTIVITIES
from crosstie.activities.query import Query
from crosstie.errors import DefinitionError
from crosstie.model import Link
from crosstie.workflow.definition import read_definition
from tests.contract.activities.world import INTEGER, TEXT, World, columns

TABLES = (
    "create table country (code varchar(2) primary key, name varchar(40))",
    "create table company (id bigint primary key, name varchar(40), country varchar(2) references country (code))",
    "create table person (id bigint primary key, email varchar(80), age integer, born date, score numeric(10, 2),"
    " company_id bigint references company (id), active boolean)",
    "create table purchase (id bigint primary key, person_id bigint references person (id), amount numeric(10, 2),"
    " product varchar(20), bought date)",
    "insert into country values ('fr', 'France'), ('it', 'Italia')",
    "insert into company values (1, 'Acme', 'fr'), (2, 'Bolt', 'it'), (3, 'Cord', null)",
    "insert into person values"
    " (1, 'ann@x.org', 30, '1996-01-02', 1.10, 1, true), (2, 'bob@x.org', 40, '1986-05-06', 2.20, 2, false),"
    " (3, 'cid@x.org', null, null, null, null, null), (4, 'dee@y.org', 30, '1996-12-31', 0.10, 3, true)",
    "insert into purchase values (1, 1, 0.10, 'pen', '2026-01-01'), (2, 1, 0.20, 'cup', '2026-03-01'),"
    " (3, 1, 10.00, 'hat', '2026-02-01'), (4, 2, 5.50, 'pen', '2026-01-15'), (5, 4, null, 'cup', '2025-12-31'),"
    " (6, null, 99.00, 'hat', '2026-01-01')",
)


@pytest.fixture
def people(world: World) -> World:
    world.sql(*TABLES)
    return world


def query(table: str = "person", **keys: Any) -> Query:
    return Query.model_validate({"type": "query", "from": table, **keys})


def ids(world: World, where: Any, **keys: Any) -> list[int]:
    ended = world.run(query(where=where, **keys))
    return [int(row[0]) for row in world.read(ended.tables["ok"], "id")]


def mistakes(world: World, table: str = "person", **keys: Any) -> list[tuple[tuple[str | int, ...], str]]:
    return [(one.path, one.message) for one in world.problems(query(table, **keys))]


def test_the_key_goes_out_with_the_dimension(people: World) -> None:
    ended = people.run(query(where="age = 30"))
    table = ended.tables["ok"]
    assert table is not None
    assert (table.key, table.dimension, [one.name for one in table.columns]) == (("id",), "person", ["id"])
    assert people.read(table) == [(1,), (4,)]
    assert dict(ended.counts) == {"rows": 2}


CONDITIONS: list[tuple[Any, list[int]]] = [
    (None, [1, 2, 3, 4]),
    ("email like '%@x.org'", [1, 2, 3]),
    ("company.name = 'Bolt'", [2]),
    ("company.country.name = 'France'", [1]),
    ("person.age > 30", [2]),
    ("company.country.name is null", [3, 4]),
    ("company.name <> email", [1, 2, 4]),
    ("exists(purchase)", [1, 2, 4]),
    ("not exists(purchase)", [3]),
    ("exists(purchase, amount > 5)", [1, 2]),
    ("exists(purchase, product = 'pen') and not exists(purchase, product = 'hat')", [2]),
    ("count(purchase) = 3", [1]),
    ("count(purchase, amount < 1) = 0", [2, 3, 4]),
    ("count(purchase.amount) = 0", [3, 4]),
    ("sum(purchase.amount) = 10.30", [1]),
    ("sum(purchase, amount * 2, product <> 'hat') = 0.6", [1]),
    ("max(purchase.bought) >= '2026-02-01'", [1]),
    ("min(purchase.product) = 'cup'", [1, 4]),
    ("avg(purchase.amount) > 5", [2]),
    ("count_distinct(purchase.product) = 3", [1]),
    ("exists(company, exists(person, age > 35))", [2]),
    ("company.name in ('Acme', 'Cord') or age is null", [1, 3, 4]),
    ({"all": ["age = 30", "score > 1"]}, [1]),
    ({"any": ["age = 40", {"all": ["age = 30", "not active is not true", "company.name = 'Cord'"]}]}, [2, 4]),
    ({"except": "age = 30"}, [2, 3]),
    ({"all": ["email is not null", {"except": ["age = 40", "exists(purchase, amount > 9)"]}]}, [3, 4]),
    ({"exists": "purchase", "where": "product = 'pen'"}, [1, 2]),
    ({"exists": "purchase", "at_least": 2}, [1]),
    ({"exists": "purchase", "at_most": 1}, [2, 3, 4]),
    ({"exists": "purchase", "where": {"any": ["product = 'cup'", "amount = 5.50"]}, "at_least": 1}, [1, 2, 4]),
]


def test_conditions(people: World) -> None:
    found = [(where, ids(people, where)) for where, _ in CONDITIONS]
    assert found == CONDITIONS


def test_a_filtering_dimension_of_its_own(people: World) -> None:
    assert ids(people, "product = 'cup'", filter_on="purchase") == [1, 4]
    assert ids(people, {"any": ["name = 'Acme'", "country.name = 'Italia'"]}, filter_on="company") == [1, 2]


def test_columns_are_added(people: World) -> None:
    ended = people.run(
        query(
            where="id < 4",
            add={
                "mail": "upper(email)",
                "company": "company.name",
                "country": "company.country.name",
                "orders": "count(purchase)",
                "spent": "sum(purchase.amount)",
                "mean": "avg(purchase.amount)",
                "last": "max(purchase.bought)",
                "buyer": "exists(purchase)",
            },
        )
    )
    rows = people.read(ended.tables["ok"])
    plain = [(*row[:5], *(None if one is None else str(one) for one in row[5:8]), row[8]) for row in rows]
    assert plain == [
        (1, "ANN@X.ORG", "Acme", "France", 3, *_texts(people, "10.30", "3.433333"), "2026-03-01", True),
        (2, "BOB@X.ORG", "Bolt", "Italia", 1, *_texts(people, "5.50", "5.500000"), "2026-01-15", True),
        (3, "CID@X.ORG", None, None, 0, None, None, None, False),
    ]


def _texts(world: World, *numbers: str) -> list[str]:
    return [text if world.db.dialect == "postgresql" else str(float(text)) for text in numbers]


def test_a_list_of_columns_is_short_for_their_names(people: World) -> None:
    ended = people.run(query(where="id = 1", add=["id", "email", "company.name"]))
    table = ended.tables["ok"]
    assert table is not None
    assert [one.name for one in table.columns] == ["id", "email", "name"]
    assert people.read(table) == [(1, "ann@x.org", "Acme")]


def test_the_first_rows_of_a_collection_stand_side_by_side(people: World) -> None:
    ended = people.run(
        query(
            where="id in (1, 2, 3)",
            collect={
                "last": {"of": "purchase", "columns": ["product"], "order": {"highest": "bought"}},
                "top": {
                    "of": "purchase",
                    "columns": {"what": "upper(product)", "day": "bought"},
                    "order": [{"highest": "amount"}],
                    "where": "amount is not null",
                    "first": 2,
                },
            },
        )
    )
    table = ended.tables["ok"]
    assert table is not None
    names = ["id", "last_product", "top_what_1", "top_day_1", "top_what_2", "top_day_2"]
    assert [one.name for one in table.columns] == names
    rows = [tuple(str(one) if isinstance(one, date) else one for one in row) for row in people.read(table)]
    assert rows == [
        (1, "cup", "HAT", "2026-02-01", "CUP", "2026-03-01"),
        (2, "pen", "PEN", "2026-01-15", None, None),
        (3, None, None, None, None, None),
    ]


def test_all_rows_of_a_collection_give_rows_of_their_own(people: World) -> None:
    ended = people.run(query(where="id < 4", collect={"buy": {"of": "purchase", "columns": "product", "first": "all"}}))
    table = ended.tables["ok"]
    assert table is not None
    assert (table.key, table.dimension) == (("id", "buy_number"), "")
    assert people.read(table) == [
        (1, 1, "pen"),
        (1, 2, "cup"),
        (1, 3, "hat"),
        (2, 1, "pen"),
        (3, 0, None),
    ]


def test_groups(people: World) -> None:
    ended = people.run(
        query(
            "purchase",
            where="person_id is not null",
            group_by=["product", "person.company.name"],
            add={
                "sold": "count()",
                "money": "sum(amount)",
                "dear": "count(amount, amount > 1)",
                "label": "product || '!'",
            },
            having="count() > 0 and product <> 'hat'",
        )
    )
    rows = people.read(ended.tables["ok"])
    assert [(row[0], row[1], row[2], row[4], row[5]) for row in rows] == [
        ("cup", "Acme", 1, 0, "cup!"),
        ("cup", "Cord", 1, 0, "cup!"),
        ("pen", "Acme", 1, 0, "pen!"),
        ("pen", "Bolt", 1, 1, "pen!"),
    ]
    assert [None if row[3] is None else Decimal(str(row[3])) for row in rows] == [
        Decimal("0.2"),
        None,
        Decimal("0.1"),
        Decimal("5.5"),
    ]


def test_distinct_and_limit(people: World) -> None:
    ended = people.run(query(add={"age": "age"}, distinct=True))
    assert people.read(ended.tables["ok"]) == [(None,), (30,), (40,)]
    assert ids(people, None, order={"highest": "age"}, limit=2) == [1, 2]
    assert ids(people, None, order={"lowest": "company.name"}, limit=3) == [1, 2, 4]
    assert ids(people, None, limit=1) == [1]


def test_variables_and_templates_are_parameters(people: World) -> None:
    wanted = people.run(
        query(
            where="company.name = $(vars/@name) and age < <%= vars.most + 1 %> and email like '<%= vars.start %>%'",
            add={"note": "'<%= vars.evil %>'"},
        ),
        variables={"name": "Acme", "most": 30, "start": "ann", "evil": "'; drop table person; --"},
    )
    assert people.read(wanted.tables["ok"]) == [(1, "'; drop table person; --")]


def test_the_inbound_population_is_queried(people: World) -> None:
    inbound = people.population(
        columns(id=INTEGER, tag=TEXT), [(1, "a"), (2, "b"), (9, "c")], key=("id",), dimension="person"
    )
    ended = people.run(query("inbound", where="tag <> 'c'", add=["tag", "person.email"]), inbound)
    table = ended.tables["ok"]
    assert table is not None
    assert (table.key, table.dimension) == (("id",), "person")
    assert people.read(table) == [(1, "a", "ann@x.org"), (2, "b", "bob@x.org")]
    among = people.run(query(where="exists(inbound)", add={"tag": "inbound.tag", "mail": "email"}), inbound)
    assert people.read(among.tables["ok"]) == [(1, "a", "ann@x.org"), (2, "b", "bob@x.org")]


def test_links_made_upstream_are_followed(people: World) -> None:
    inbound = people.population(columns(Id=TEXT, who=INTEGER), [("x", 1), ("y", None)], key=("Id",))
    linked = replace(inbound, links=(Link(name="recipient", table="person", column="who", key="id"),))
    ended = people.run(query("inbound", add={"mail": "recipient.email", "company": "recipient.company.name"}), linked)
    assert people.read(ended.tables["ok"]) == [("x", "ann@x.org", "Acme"), ("y", None, None)]


def test_texts_of_tables_with_other_collations_meet(world: World) -> None:
    collation = "nocase" if world.db.dialect == "sqlite" else '"C"'
    world.sql(
        f"create table crm (id varchar(9) collate {collation} primary key, label text)",
        "create table mine (id bigint primary key, crm_id varchar(18) references crm (id), label varchar(9))",
        "insert into crm values ('a', 'one'), ('b', 'two')",
        "insert into mine values (1, 'a', 'one'), (2, 'b', 'one'), (3, null, 'x')",
    )
    ended = world.run(query("mine", where="crm.label = label", add={"other": "crm.label", "many": "count(crm)"}))
    assert world.read(ended.tables["ok"]) == [(1, "one", 1)]
    ended = world.run(query("crm", where="exists(mine, label = 'one')", add={"n": "count(mine)"}))
    assert world.read(ended.tables["ok"]) == [("a", 1), ("b", 1)]


def test_mistakes_are_told_with_the_way_out(people: World) -> None:
    people.sql("create table bare (a text)")
    assert mistakes(people, "persn") == [
        (
            ("from",),
            "there is no table “persn”. Did you mean “person”? There is bare, company, country, person, purchase.",
        )
    ]
    ((place, message),) = mistakes(people, "bare")
    assert (place, message) == (("from",), "bare has no known key: name the columns that go out with “add”")
    found = mistakes(
        people,
        where={"all": ["compny.name = 'x'", "purchase.amount > 3", "exists(company.staff)", "count(purchase, amount)"]},
        add={"id": "age", "total": "sum(purchase)"},
        order={"highest": "age"},
        distinct=False,
        having="count() > 1",
    )
    assert found == [
        (("where", "all", 0), "table person: there is no link “compny”. Did you mean “company”? There is company,"
         " purchase."),
        (("where", "all", 1), "“purchase” is a collection: several rows of purchase belong to one of person. Write an"
         " aggregate, like count(purchase), exists(purchase, …) or max(purchase.…)."),
        (("where", "all", 2), "table company: there is no link “staff”. There is country, person."),
        (("where", "all", 3), "The condition of an aggregate is true or false, not amount (a decimal)."),
        (("having",), "having says which groups go on: give group_by too"),
        (("add", "id"), "column id would stand twice: the key has that name already"),
        (("add", "total"), "sum is written sum(LINK.column) or sum(LINK, expression), each with a condition as one more"
         " argument. docs/expressions.md shows examples."),
        (("order",), "the rows of a population have no order: say with limit how many go on"),
    ]  # fmt: skip
    assert mistakes(people, "inbound") == [(("population",), "it queries the inbound population, but nothing comes in")]


UNREADABLE = """workflow: flow
activities:
  first: {type: query, where: {al: [x]}, ordr: x}
  second:
    type: query
    from: person
    where: {all: [age > 3], any: [age < 1]}
    collect: {last: {of: purchase, columns: [], first: 99}}
    limit: -1
"""
WRONG = """workflow: flow
activities:
  first: {type: start, next: new}
  new: {type: incremental_query, from: person, distinct: true, add: [age], schedule: {every: 1h}, next: rest}
  rest: {type: query, from: person, where: "<% 1 %> = 1", add: {a: <%= 1 + %>}}
"""


def told(people: World, text: str) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        read_definition("flow.yaml", text, ACTIVITIES, people.site)
    return [f"{one.path}: {one.message}" for one in caught.value.mistakes]


def test_mistakes_of_a_file_are_told_at_their_place(people: World) -> None:
    missing, key, order, *others = told(people, UNREADABLE)
    assert missing == "first.from: “from” is missing"
    assert key.startswith("first.where.al: “al” is not a key here. Did you mean “all”? Known: all, any, except, exists")
    assert order.startswith("first.ordr: “ordr” is not a key here. Did you mean “order”?")
    assert others == [
        "second.where: write one of all, any, except and exists on each level; put others inside a list",
        "second.collect.last.columns: name at least one column",
        "second.collect.last.first: first is a number from 1 to 50, or all",
        "second.limit: “-1” is too small: it is at least 0",
    ]
    *known, script = told(people, WRONG)
    assert known == [
        "new.distinct: an incremental query knows by their key which rows it has put out, and distinct leaves it out",
        "new.schedule: with a schedule it begins a branch, but “first” leads to it",
        "rest.where: “<% 1 %>” is not an expression. Write <%= … %>.",
    ]
    assert script.startswith("rest.add.a: SyntaxError")

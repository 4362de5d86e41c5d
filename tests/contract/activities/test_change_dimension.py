"""Change dimension: from rows to the rows that they are linked with, each once; the same on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crosstie.activities.change_dimension import ChangeDimension
from crosstie.activities.enrichment import Enrichment
from crosstie.model import WorkTable
from tests.contract.activities.world import INTEGER, TEXT, World, columns

PEOPLE = columns(id=INTEGER, firm=TEXT, score=INTEGER)


def change(**keys: Any) -> ChangeDimension:
    return ChangeDimension.model_validate({"type": "change_dimension", "to": "company", **keys})


@pytest.fixture
def firms(world: World) -> World:
    world.sql(
        "create table company (id integer primary key, name varchar(9), city text)",
        "insert into company values (1, 'X', 'Rome'), (2, 'Y', 'Oslo'), (3, 'Z', null), (4, 'X', 'Bonn')",
        "create table person (id integer primary key, company_id integer references company (id))",
        "insert into person values (10, 1), (11, 1), (12, 2), (13, null)",
    )
    return world


def people(world: World, dimension: str = "person") -> WorkTable:
    rows = [(10, "X", 5), (11, "X", 9), (12, "y", 1), (13, None, 3)]
    return world.population(PEOPLE, rows, key=("id",), dimension=dimension)


def test_pairs_lead_to_each_row_once(firms: World) -> None:
    ended = firms.run(change(on={"lower(firm)": "lower(name)"}), people(firms))
    table = ended.tables["ok"]
    assert table is not None and (table.key, table.dimension, table.lineage) == (("id",), "company", None)
    assert firms.read(table) == [(1,), (2,), (4,)]
    assert ended.counts == {"rows": 3}


def test_the_tables_own_link_is_followed_without_being_named(firms: World) -> None:
    ended = firms.run(change(add={"city": "city", "loud": "upper(name)"}), people(firms))
    assert firms.read(ended.tables["ok"]) == [(1, "Rome", "X"), (2, "Oslo", "Y")]


def test_a_link_is_followed_back_to_its_collection(firms: World) -> None:
    companies = firms.run(change(), people(firms)).tables["ok"]
    assert companies is not None
    ended = firms.run(change(to="person"), companies)
    assert firms.read(ended.tables["ok"]) == [(10,), (11,), (12,)]


def test_a_link_made_upstream_is_followed(firms: World) -> None:
    links = {"firm": {"to": "company", "on": {"firm": "name"}, "order": {"highest": "id"}}}
    enrichment = Enrichment.model_validate({"type": "enrichment", "links": links})
    inbound = firms.run(enrichment, people(firms, dimension="")).tables["ok"]
    assert inbound is not None
    assert firms.read(firms.run(change(), inbound).tables["ok"]) == [(4,)]
    assert firms.read(firms.run(change(link="FIRM"), inbound).tables["ok"]) == [(4,)]


def test_the_first_inbound_row_gives_what_is_carried(firms: World) -> None:
    carry = {"person": "id", "score": "score * 10"}
    ended = firms.run(change(carry=carry, order={"highest": "score"}, add={"city": "city"}), people(firms))
    assert firms.read(ended.tables["ok"]) == [(1, "Rome", 11, 90), (2, "Oslo", 12, 10)]
    ended = firms.run(change(carry=carry, on={"firm": "name"}), people(firms))
    assert firms.read(ended.tables["ok"]) == [(1, 10, 50), (4, 10, 50)]


def test_rows_of_several_key_columns(firms: World) -> None:
    firms.sql(
        "create table stay (person integer references person (id), day integer, primary key (person, day))",
        "insert into stay values (10, 1), (10, 2), (12, 1)",
    )
    stays = firms.run(change(to="stay"), people(firms)).tables["ok"]
    assert stays is not None and stays.key == ("person", "day")
    assert firms.read(stays) == [(10, 1), (10, 2), (12, 1)]
    assert firms.read(firms.run(change(to="person"), stays).tables["ok"]) == [(10,), (12,)]


def test_every_mistake_is_told_with_its_place(firms: World) -> None:
    firms.sql("create table bare (a integer)", "create table far (a integer primary key)")
    inbound = people(firms)

    def told(**keys: Any) -> list[tuple[tuple[str | int, ...], str]]:
        return [(one.path, one.message) for one in firms.problems(change(**keys), inbound)]

    assert told(to="compani")[0][0] == ("to",) and "Did you mean “company”?" in told(to="compani")[0][1]
    assert "no primary key" in told(to="bare")[0][1]
    assert told(to="far") == [
        (
            (),
            "no link leads from rows of person to far: write “link” with the name of a link, or “on” with pairs like"
            " {company_id: id}",
        )
    ]
    assert told(link="employer") == [
        (("link",), "there is no link “employer”. There is company. It has to lead to company.")
    ]
    found = told(on={"frm": "name", "score": "city"}, add={"ID": "city", "a": "town"}, carry={"a": "id"})
    assert [path for path, _ in found] == [("on", "frm"), ("on", "score"), ("add", "a"), ("add", "ID"), ("carry", "a")]


def test_several_links_have_to_be_told_apart(firms: World) -> None:
    firms.sql("create table deal (id integer primary key, buyer_id integer references company (id), seller_id integer"
              " references company (id))", "insert into deal values (1, 1, 2), (2, 1, 3)")  # fmt: skip
    deals = firms.population(columns(id=INTEGER), [(1,), (2,)], key=("id",), dimension="deal")
    (found,) = firms.problems(change(), deals)
    assert found.message == "several links lead to company: buyer, seller. Say which: “link: buyer”"
    assert firms.read(firms.run(change(link="seller"), deals).tables["ok"]) == [(2,), (3,)]


def test_it_is_written_in_one_way() -> None:
    with pytest.raises(ValidationError, match="either “link” or “on”"):
        change(link="a", on={"a": "b"})
    with pytest.raises(ValidationError, match="only used with “carry”"):
        change(order={"highest": "a"})


words = st.none() | st.sampled_from(["", "a", "A", "ä"])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(words, st.none() | st.integers(0, 3)), max_size=6), firms=st.lists(words, max_size=5))
def test_it_agrees_with_a_plain_evaluation(
    world: World, rows: list[tuple[str | None, int | None]], firms: list[str | None]
) -> None:
    world.sql("drop table if exists company", "create table company (id integer primary key, name text)")
    with world.db.transaction("companies") as transaction:
        for key, name in enumerate(firms, 1):
            transaction.execute("insert into company values (:id, :name)", {"id": key, "name": name})
    inbound = world.population(PEOPLE, [(key, *row) for key, row in enumerate(rows, 1)], key=("id",))
    expected = []
    for key, name in enumerate(firms, 1):
        found = [(row[1], number) for number, row in enumerate(rows, 1) if name is not None and row[0] == name]
        if found:
            first = min(found, key=lambda one: (one[0] is None, -(one[0] or 0), one[1]))
            expected.append((key, first[1]))
    assert world.read(world.run(change(on={"firm": "name"}), inbound).tables["ok"]) == [(key,) for key, _ in expected]
    activity = change(on={"firm": "name"}, carry={"person": "id"}, order={"highest": "score"})
    assert world.read(world.run(activity, inbound).tables["ok"]) == expected

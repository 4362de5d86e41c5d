"""Enrichment: links are found, columns added, and the rows stay the same; the same on both databases."""

from __future__ import annotations

from typing import Any

from crosstie.activities.enrichment import Enrichment
from crosstie.model import Link
from tests.contract.activities.world import CONTACT, INTEGER, TEXT, World, columns


def enrichment(**keys: Any) -> Enrichment:
    return Enrichment.model_validate({"type": "enrichment", **keys})


def to_recipient(*alternatives: dict[str, str], **keys: Any) -> Enrichment:
    return enrichment(links={"recipient": {"to": "recipient", "first_of": list(alternatives), **keys}})


def recipients(world: World, *rows: tuple[int, str | None, str | None]) -> None:
    world.sql("create table recipient (id integer primary key, crm_id text, email text)")
    for one in rows:
        values = ", ".join("null" if value is None else repr(value) for value in one)
        world.sql(f"insert into recipient values ({values})")


def test_the_first_alternative_that_finds_something_decides(world: World) -> None:
    recipients(world, (1, "A", "a@x"), (2, None, "b@x"), (3, None, "a@x"))
    ended = world.run(
        to_recipient({"Id": "crm_id"}, {"Email": "email"}),
        world.contacts(("A", "b@x", "1"), ("B", "b@x", "2"), ("C", "c@x", "3")),
    )
    assert world.read(ended.tables["ok"], "Id", "recipient_id") == [("A", 1), ("B", 2), ("C", None)]
    assert ended.counts == {"known": 2, "new": 1, "ambiguous": 0}
    table = ended.tables["ok"]
    assert table is not None
    assert table.links == (Link(name="recipient", table="recipient", column="recipient_id", key="id"),)
    assert table.key == ("Id",) and table.lineage is not None


def test_null_and_other_case_never_match(world: World) -> None:
    recipients(world, (1, None, None), (2, "a", "A@x"))
    ended = world.run(
        to_recipient({"Id": "crm_id"}, {"Email": "email"}), world.contacts(("A", None, "1"), ("B", "a@x", "2"))
    )
    assert ended.counts == {"known": 0, "new": 2, "ambiguous": 0}


def test_all_pairs_of_a_mapping_must_hold(world: World) -> None:
    recipients(world, (1, "A", "a@x"), (2, "A", "b@x"), (3, "B", None))
    ended = world.run(
        to_recipient({"Id": "crm_id", "Email": "email"}),
        world.contacts(("A", "b@x", "1"), ("B", None, "2"), ("C", "a@x", "3")),
    )
    assert world.read(ended.tables["ok"], "Id", "recipient_id") == [("A", 2), ("B", None), ("C", None)]


def test_both_sides_are_expressions(world: World) -> None:
    recipients(world, (1, None, " Ann@X "))
    ended = world.run(to_recipient({"lower(Email)": "lower(trim(email))"}), world.contacts(("A", "ANN@x", "1")))
    assert world.read(ended.tables["ok"], "recipient_id") == [(1,)]


def test_several_targets_are_ambiguous_warned_of_and_end_the_search(world: World) -> None:
    recipients(world, (1, "A", "a@x"), (2, "A", "a@x"), (3, "B", "b@x"), (4, None, "c@x"))
    ended = world.run(
        to_recipient({"Id": "crm_id"}, {"LastName": "email"}),
        world.contacts(("A", None, "b@x"), ("B", None, "1"), ("C", None, "2")),
    )
    assert world.read(ended.tables["ok"], "Id", "recipient_id", "recipient_ambiguous") == [
        ("A", None, True),
        ("B", 3, False),
        ("C", None, False),
    ]
    assert ended.counts == {"known": 1, "new": 1, "ambiguous": 1}
    assert "1 inbound rows stand for several rows of recipient" in ended.log.texts("warning")[0]


def test_an_order_says_which_of_several_targets_is_meant(world: World) -> None:
    recipients(world, (1, "A", None), (2, "A", "b@x"), (3, "A", "a@x"), (4, "B", "z@x"), (5, "B", "z@x"))
    inbound = world.contacts(("A", None, "1"), ("B", None, "2"))
    lowest = to_recipient({"Id": "crm_id"}, order={"lowest": "email"})
    assert world.read(world.run(lowest, inbound).tables["ok"], "Id", "recipient_id") == [("A", 3), ("B", 4)]
    highest = to_recipient({"Id": "crm_id"}, order=[{"highest": "email"}, {"highest": "id"}])
    assert world.read(world.run(highest, inbound).tables["ok"], "Id", "recipient_id") == [("A", 2), ("B", 5)]


def test_the_rows_stay_the_same_even_without_a_key(world: World) -> None:
    recipients(world, (1, "A", "a@x"), (2, "A", "a@x"))
    rows = [("A", "a@x", "1"), ("A", "a@x", "1"), ("B", None, None)]
    ended = world.run(to_recipient({"Id": "crm_id"}), world.contacts(*rows, key=()))
    table = ended.tables["ok"]
    assert table is not None and table.key == ()
    assert sorted(world.read(table, "Id", "LastName"), key=str) == sorted(
        [(one, name) for one, _, name in rows], key=str
    )


def test_columns_are_added_from_the_row_and_from_linked_rows(world: World) -> None:
    recipients(world, (1, "A", "a@x"))
    ended = world.run(
        enrichment(
            links={"known": {"to": "recipient", "first_of": {"Id": "crm_id"}, "as": "recipient_key"}},
            add={"label": "LastName || ' <' || known.email || '>'", "size": "length(LastName)"},
            columns=["LastName"],
        ),
        world.contacts(("A", "new@x", "Ono"), ("B", None, "Abe")),
    )
    table = ended.tables["ok"]
    assert table is not None
    assert [column.name for column in table.columns] == [
        "Id",
        "LastName",
        "SystemModstamp",
        "recipient_key",
        "known_ambiguous",
        "label",
        "size",
    ]
    assert world.read(table, "Id", "recipient_key", "label", "size") == [("A", 1, "Ono <a@x>", 3), ("B", None, None, 3)]
    world.sql("update recipient set email = 'changed@x'")
    assert world.read(table, "label") == [(None,), ("Ono <a@x>",)]


def test_several_links_stand_side_by_side(world: World) -> None:
    recipients(world, (1, "A", "a@x"))
    world.sql("create table company (code text primary key, name text)", "insert into company values ('x', 'X Ltd')")
    ended = world.run(
        enrichment(
            links={
                "recipient": {"to": "recipient", "first_of": {"Id": "crm_id"}},
                "company": {"to": "company", "first_of": {"right(Email, 1)": "code"}},
            },
            add={"company_name": "company.name"},
        ),
        world.contacts(("A", "a@x", "Ono"), ("B", "b@y", "Abe")),
    )
    assert world.read(ended.tables["ok"], "Id", "recipient_id", "company_code", "company_name") == [
        ("A", 1, "x", "X Ltd"),
        ("B", None, None, None),
    ]
    assert "link company: 1 known, 1 new, 0 ambiguous" in ended.log.texts("info")


def test_an_enrichment_follows_another(world: World) -> None:
    recipients(world, (1, "A", "a@x"))
    first = world.run(to_recipient({"Id": "crm_id"}), world.contacts(("A", None, "Ono"))).tables["ok"]
    assert first is not None
    second = world.run(enrichment(add={"twice": "recipient_id * 2"}), first).tables["ok"]
    assert second is not None
    assert second.links == first.links
    assert set(first.bases) | {first.name} < set(second.bases)
    assert world.read(second, "recipient_id", "twice") == [(1, 2)]


def test_every_mistake_is_told_with_its_place(world: World) -> None:
    recipients(world)
    world.sql("create table pair (a text, b text, primary key (a, b))")
    inbound = world.contacts()
    found = world.problems(
        enrichment(
            links={
                "one": {"to": "recipint", "first_of": {"Id": "crm_id"}},
                "two": {"to": "recipient", "first_of": [{"Idd": "crm_id"}, {"Id": "crmid"}, {"Id": "id"}]},
                "three": {"to": "pair", "first_of": {"Id": "a"}},
                "four": {"to": "recipient", "first_of": {"Id": "crm_id"}, "as": "Email", "order": {"lowest": "name"}},
            },
            add={"LastName": "1", "x": "upper(Nothing)"},
            columns=["Emial"],
        ),
        inbound,
    )
    assert [problem.path for problem in found] == [
        ("columns", 0),
        ("links", "one", "to"),
        ("links", "two", "first_of", 0, "Idd"),
        ("links", "two", "first_of", 1, "Id"),
        ("links", "two", "first_of", 2, "Id"),
        ("links", "three", "to"),
        ("links", "four", "order", 0, "lowest"),
        ("add", "x"),
    ]
    told = " ".join(problem.message for problem in found)
    for words in (
        "Did you mean “recipient”?",
        "Did you mean “Email”?",
        "table recipient has no column crmid",
        "never equal",
    ):
        assert words in told
    collision = world.problems(
        enrichment(links={"four": {"to": "recipient", "first_of": {"Id": "crm_id"}, "as": "email"}}), inbound
    )
    assert "stand twice" in collision[0].message
    assert "adds nothing" in world.problems(enrichment(), inbound)[0].message


def test_keys_of_other_types_link_too(world: World) -> None:
    kind = "text" if world.db.dialect == "sqlite" else "uuid"
    tag = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    world.sql(
        f"create table tagged (tag {kind} primary key, code bigint unique)", f"insert into tagged values ('{tag}', 7)"
    )
    inbound = world.population(columns(row=INTEGER, tag=TEXT), [(7, tag), (8, "not a tag")], key=("row",))
    by_code = enrichment(links={"t": {"to": "tagged", "first_of": {"row": "code"}}}, add={"same": "t.code"})
    assert world.read(world.run(by_code, inbound).tables["ok"], "row", "t_tag", "same") == [
        (7, tag, 7),
        (8, None, None),
    ]
    by_tag = enrichment(links={"t": {"to": "tagged", "first_of": {"tag": "tag"}}})
    assert world.read(world.run(by_tag, inbound).tables["ok"], "row", "t_tag") == [(7, tag), (8, None)]


def test_an_empty_population_goes_through(world: World) -> None:
    recipients(world, (1, "A", "a@x"))
    ended = world.run(to_recipient({"Id": "crm_id"}), world.population(CONTACT, [], key=("Id",)))
    assert ended.counts == {"known": 0, "new": 0, "ambiguous": 0}

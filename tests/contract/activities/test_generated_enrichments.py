"""Enrichment against a plain evaluation in Python, over generated populations, tables and links of every kind."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.activities.enrichment import Enrichment
from tests.contract.activities.world import INTEGER, TEXT, World, columns

MADE_OF = columns(key=INTEGER, word=TEXT, number=INTEGER)
Row = tuple[int, str | None, int | None]
Target = tuple[int, str | None, int | None, int | None]

words = st.none() | st.sampled_from(["", "a", "A", "ä", "a "])
numbers = st.none() | st.integers(0, 2)
inbound = st.lists(st.tuples(words, numbers), max_size=6)
targets = st.lists(st.tuples(words, numbers, st.none() | st.integers(-2, 2)), max_size=6)
pairs = st.sampled_from([{"word": "word"}, {"number": "number"}, {"word": "word", "number": "number"}])
orders = st.none() | st.sampled_from([{"highest": "weight"}, {"lowest": "weight"}])


def fitting(row: Row, table: list[Target], on: dict[str, str]) -> list[Target]:
    """The rows that a row is linked with: null never equals anything."""
    places = {"word": 1, "number": 2}
    return [
        one
        for one in table
        if all(row[places[name]] is not None and row[places[name]] == one[places[name]] for name in on)
    ]


def chosen(found: list[Target], order: dict[str, str] | None) -> tuple[int | None, bool]:
    """The key that a link stores, and whether the row is ambiguous."""
    if len(found) > 1 and order is None:
        return None, True
    sign = -1 if order == {"highest": "weight"} else 1
    ranked = sorted(found, key=lambda one: (one[3] is None, sign * (one[3] or 0), one[0]))
    return (ranked[0][0] if ranked else None), False


def made(world: World, rows: list[tuple[str | None, int | None]], table: list[Target]) -> Any:
    world.sql("drop table if exists thing")
    world.sql("create table thing (id integer primary key, word text, number integer, weight integer)")
    with world.db.transaction("things") as transaction:
        for one in table:
            values = dict(zip(("id", "word", "number", "weight"), one, strict=True))
            transaction.execute("insert into thing values (:id, :word, :number, :weight)", values)
    return world.population(MADE_OF, [(key, *row) for key, row in enumerate(rows, 1)], key=("key",))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=inbound,
    things=targets,
    tried=st.lists(pairs, min_size=1, max_size=2),
    order=orders,
    required=st.booleans(),
    other=st.booleans(),
)
def test_links_to_one_row_agree_with_a_plain_evaluation(
    world: World,
    rows: list[tuple[str | None, int | None]],
    things: list[tuple[str | None, int | None, int | None]],
    tried: list[dict[str, str]],
    order: dict[str, str] | None,
    required: bool,
    other: bool,
) -> None:
    table: list[Target] = [(key, *one) for key, one in enumerate(things, 1)]
    population = made(world, rows, table)
    link = {"to": "thing", "first_of": tried, "cardinality": "1-1" if required else "0-1", "order": order or []}
    keys: dict[str, Any] = {"links": {"one": link}, "add": {"weight": "one.weight"}}
    inputs = [population]
    if other:
        made_of = columns(id=INTEGER, word=TEXT, number=INTEGER, weight=INTEGER)
        inputs.append(world.population(made_of, table, key=("id",)))
        keys |= {"from": ["main", "thing"]}
    ended = world.run(Enrichment.model_validate({"type": "enrichment", **keys}), *inputs)
    expected: list[tuple[Any, ...]] = []
    refused: list[tuple[int, str]] = []
    for row in ((key, *one) for key, one in enumerate(rows, 1)):
        found = next((some for on in tried if (some := fitting(row, table, on))), [])
        key, several = chosen(found, order)
        if required and key is None:
            refused.append((row[0], "AMBIGUOUS_TARGET" if several else "KEY_MISSING"))
            continue
        weight = next((one[3] for one in table if one[0] == key), None)
        mark = () if required or order else (several,)
        expected.append((*row, key, *mark, weight))
    assert world.read(ended.tables["ok"]) == sorted(expected)
    if refused:
        assert world.read(ended.tables["rejects"], "key", "errorCode") == sorted(refused)
    assert sorted((int(one.record["key"] or 0), one.symbol) for one in ended.rejects) == sorted(refused)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=inbound, things=targets, on=pairs)
def test_collections_agree_with_a_plain_evaluation(
    world: World,
    rows: list[tuple[str | None, int | None]],
    things: list[tuple[str | None, int | None, int | None]],
    on: dict[str, str],
) -> None:
    table: list[Target] = [(key, *one) for key, one in enumerate(things, 1)]
    population = made(world, rows, table)
    links = {"things": {"to": "thing", "on": on, "cardinality": "1-N"}}
    add = {
        "many": "count(things)",
        "heavy": "count(things, weight > 0)",
        "any_heavy": "exists(things, weight > 0)",
        "total": "sum(things.weight)",
        "top": "max(things.word)",
    }
    ended = world.run(Enrichment.model_validate({"type": "enrichment", "links": links, "add": add}), population)
    expected: list[tuple[Any, ...]] = []
    flat: list[tuple[Any, ...]] = []
    for row in ((key, *one) for key, one in enumerate(rows, 1)):
        found = fitting(row, table, on)
        weights = [one[3] for one in found if one[3] is not None]
        heavy = len([one for one in weights if one > 0])
        top = max((one[1] for one in found if one[1] is not None), key=str.encode, default=None)
        expected.append((row[0], len(found), heavy, heavy > 0, sum(weights) if weights else None, top))
        flat += [(row[0], one[0], one[3]) for one in found] or [(row[0], None, None)]
    shown = world.read(ended.tables["ok"], "key", "many", "heavy", "any_heavy", "total", "top")
    assert shown == sorted(expected)
    flattened = Enrichment.model_validate(
        {"type": "enrichment", "links": links, "flatten": "things", "add": {"weight": "things.weight"}}
    )
    ended = world.run(flattened, population)
    assert sorted(world.read(ended.tables["ok"], "key", "things_id", "weight"), key=str) == sorted(flat, key=str)

"""Queries against a plain evaluation in Python, over generated tables and trees of conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.activities.query import IncrementalQuery, Query
from crosstie.sync import deliveries
from tests.contract.activities.world import World

TABLES = (
    "drop table if exists sale",
    "drop table if exists buyer",
    "drop table if exists town",
    "create table town (code varchar(4) primary key, name varchar(9))",
    "create table buyer (id bigint primary key, name varchar(9), age bigint, town varchar(4) references town (code))",
    "create table sale (id bigint primary key, buyer_id bigint references buyer (id), amount bigint, what varchar(9))",
)
TOWNS = {"A": "Rome", "b": None, "": "rome"}
Truth = bool | None


@dataclass(frozen=True)
class Sale:
    id: int
    buyer: int | None
    amount: int | None
    what: str | None


@dataclass(frozen=True)
class Buyer:
    id: int
    name: str | None
    age: int | None
    town: str | None
    sales: tuple[Sale, ...] = ()

    @property
    def town_name(self) -> str | None:
        return TOWNS[self.town] if self.town is not None else None


@dataclass(frozen=True)
class Condition:
    """A condition as written, and what it is of a buyer."""

    written: Any
    holds: Callable[[Buyer], Truth]


texts = st.none() | st.sampled_from(["", "a", "A", "é", "Rome"])
numbers = st.none() | st.integers(-2, 3)
buyers = st.builds(lambda name, age, town: (name, age, town), texts, numbers, st.none() | st.sampled_from(list(TOWNS)))
sales = st.tuples(st.none() | st.integers(0, 5), numbers, texts)
compared: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "<>": lambda one, other: one != other,
    ">": lambda one, other: one > other,
    "<=": lambda one, other: one <= other,
}


def compare(sign: str, one: Any, other: Any) -> Truth:
    return None if one is None or other is None else compared[sign](one, other)


def of_own(sign: str, value: int) -> Condition:
    return Condition(f"age {sign} {value}", lambda one: compare(sign, one.age, value))


def of_text(sign: str, value: str) -> Condition:
    return Condition(f"name {sign} '{value}'", lambda one: compare(sign, one.name, value))


def of_link(value: str) -> Condition:
    return Condition(f"town.name = '{value}'", lambda one: compare("=", one.town_name, value))


def of_both() -> Condition:
    return Condition("town.name = name", lambda one: compare("=", one.town_name, one.name))


def of_rows(bound: int) -> Condition:
    def holds(one: Buyer) -> Truth:
        return any(compare(">", sale.amount, bound) for sale in one.sales)

    return Condition(f"exists(sale, amount > {bound})", holds)


def of_count(sign: str, value: int) -> Condition:
    def holds(one: Buyer) -> Truth:
        return compare(sign, len([sale for sale in one.sales if sale.what == "a"]), value)

    return Condition(f"count(sale, what = 'a') {sign} {value}", holds)


def total(one: Buyer) -> int | None:
    amounts = [sale.amount for sale in one.sales if sale.amount is not None]
    return sum(amounts) if amounts else None


def of_sum(sign: str, value: int) -> Condition:
    return Condition(f"sum(sale.amount) {sign} {value}", lambda one: compare(sign, total(one), value))


def at_most(most: int) -> Condition:
    return Condition({"exists": "sale", "at_most": most}, lambda one: len(one.sales) <= most)


def every(parts: list[Condition]) -> Condition:
    def holds(one: Buyer) -> Truth:
        found = [part.holds(one) for part in parts]
        return False if False in found else None if None in found else True

    return Condition({"all": [part.written for part in parts]}, holds)


def some(parts: list[Condition]) -> Condition:
    def holds(one: Buyer) -> Truth:
        found = [part.holds(one) for part in parts]
        return True if True in found else None if None in found else False

    return Condition({"any": [part.written for part in parts]}, holds)


def none_of(parts: list[Condition]) -> Condition:
    def holds(one: Buyer) -> Truth:
        return not any(part.holds(one) is True for part in parts)

    return Condition({"except": [part.written for part in parts]}, holds)


signs = st.sampled_from(list(compared))
small = st.integers(-1, 3)
atoms = st.one_of(
    st.builds(of_own, signs, small),
    st.builds(of_text, st.sampled_from(["=", "<>", ">"]), st.sampled_from(["", "a", "A", "é"])),
    st.builds(of_link, st.sampled_from(["Rome", "rome"])),
    st.builds(of_both),
    st.builds(of_rows, small),
    st.builds(of_count, signs, small),
    st.builds(of_sum, signs, small),
    st.builds(at_most, st.integers(0, 2)),
)
trees = st.recursive(
    atoms,
    lambda inner: st.sampled_from([every, some, none_of]).flatmap(
        lambda made: st.lists(inner, min_size=1, max_size=3).map(made)
    ),
    max_leaves=6,
)


def fill(world: World, people: list[tuple[Any, ...]], sold: list[tuple[Any, ...]]) -> list[Buyer]:
    """Stores them; the buyers, each with what it bought."""
    world.sql(*TABLES)
    bought = [
        Sale(number, buyer if buyer is not None and buyer < len(people) else None, amount, what)
        for number, (buyer, amount, what) in enumerate(sold)
    ]
    with world.db.transaction("test") as transaction:
        for code, name in TOWNS.items():
            transaction.execute("insert into town values (:code, :name)", {"code": code, "name": name})
        for number, (name, age, town) in enumerate(people):
            values = {"id": number, "name": name, "age": age, "town": town}
            transaction.execute("insert into buyer values (:id, :name, :age, :town)", values)
        for one in bought:
            values = {"id": one.id, "buyer": one.buyer, "amount": one.amount, "what": one.what}
            transaction.execute("insert into sale values (:id, :buyer, :amount, :what)", values)
    return [
        Buyer(number, row[0], row[1], row[2], tuple(one for one in bought if one.buyer == number))
        for number, row in enumerate(people)
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=st.lists(buyers, max_size=6), sold=st.lists(sales, max_size=8), condition=trees)
def test_a_query_selects_what_satisfies_its_conditions(
    world: World, people: list[tuple[Any, ...]], sold: list[tuple[Any, ...]], condition: Condition
) -> None:
    stored = fill(world, people, sold)
    last = {"of": "sale", "columns": ["amount"], "order": {"highest": "amount"}}
    ended = world.run(
        Query.model_validate(
            {
                "type": "query",
                "from": "buyer",
                "where": condition.written,
                "add": {"town": "town.name", "sales": "count(sale)", "total": "sum(sale.amount)"},
                "collect": {"best": last},
            }
        )
    )
    expected = [
        (
            one.id,
            one.town_name,
            len(one.sales),
            total(one),
            max((sale.amount for sale in one.sales if sale.amount is not None), default=None),
        )
        for one in stored
        if condition.holds(one) is True
    ]
    assert sorted(world.read(ended.tables["ok"])) == expected


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sold=st.lists(sales, max_size=8), most=st.integers(0, 3))
def test_groups_are_those_of_the_values(world: World, sold: list[tuple[Any, ...]], most: int) -> None:
    fill(world, [(None, None, None)], sold)
    ended = world.run(
        Query.model_validate(
            {
                "type": "query",
                "from": "sale",
                "group_by": ["what"],
                "add": {"many": "count()", "total": "sum(amount)", "big": "count(amount, amount > 1)"},
                "having": f"count() > {most}",
            }
        )
    )
    groups: dict[str | None, list[int | None]] = {}
    for _, amount, what in sold:
        groups.setdefault(what, []).append(amount)
    expected = {
        what: (
            len(amounts),
            sum(one for one in amounts if one is not None) if any(one is not None for one in amounts) else None,
            len([one for one in amounts if one is not None and one > 1]),
        )
        for what, amounts in groups.items()
        if len(amounts) > most
    }
    assert {row[0]: tuple(row[1:]) for row in world.read(ended.tables["ok"])} == expected


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sets(st.integers(0, 5)), st.booleans()), max_size=5))
def test_each_row_is_put_out_until_a_run_ends_well(world: World, steps: list[tuple[set[int], bool]]) -> None:
    fill(world, [(None, number, None) for number in range(6)], [])
    world.sql("delete from crosstie.delivered", "delete from crosstie.delivery")
    put_out: set[int] = set()
    for run, (wanted, well) in enumerate(steps, 1):
        listed = ", ".join(str(one) for one in sorted(wanted)) or "-1"
        made = world.context()
        made.run = run
        ended = world.run(
            IncrementalQuery.model_validate(
                {"type": "incremental_query", "from": "buyer", "where": f"age in ({listed})", "even_if_empty": True}
            ),
            context=made,
        )
        assert {row[0] for row in world.read(ended.tables["ok"])} == wanted - put_out
        with world.db.transaction("test") as transaction:
            if well:
                for one, _, _ in deliveries.pending(transaction, run):
                    deliveries.confirm(transaction, one)
                put_out |= wanted
            else:
                deliveries.abandon(transaction, run)

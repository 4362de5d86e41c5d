"""Deduplication against a plain evaluation in Python, over generated populations and rules."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.activities.deduplication import Deduplication
from tests.contract.activities.world import INTEGER, TEXT, World, columns

MADE_OF = columns(key=INTEGER, name=TEXT, city=TEXT, score=INTEGER)
Row = tuple[int, str | None, str | None, int | None]
PLACES = {"name": 1, "city": 2, "score": 3}

texts = st.none() | st.sampled_from(["", "a", "B", "ä", "a "])
rows = st.lists(st.tuples(texts, texts, st.none() | st.integers(-2, 2)), max_size=12)
rules = st.one_of(
    st.builds(
        lambda word, column: {word: column},
        st.sampled_from(["highest", "lowest", "not_empty"]),
        st.sampled_from(list(PLACES)),
    ),
    st.builds(
        lambda values: {"list": {"of": "city", "values": values}},
        st.lists(st.sampled_from(["a", "B", "ä", "z"]), min_size=1, max_size=3, unique=True),
    ),
)


def evaluate(
    population: list[Row], by: list[str], keep: list[dict[str, Any]], count: int, group_empty: bool
) -> tuple[list[int], list[tuple[int, int]]]:
    """The keys kept, and those left out, each with the key of the first row kept in its place."""

    def compare(one: Row, other: Row) -> int:
        return _compare(one, other, keep)

    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in population:
        values = tuple(row[PLACES[name]] if row[PLACES[name]] != "" else None for name in by)
        single = None in values and not group_empty
        groups.setdefault(("alone", row[0]) if single else values, []).append(row)
    kept: list[int] = []
    left_out: list[tuple[int, int]] = []
    for group in groups.values():
        ranked = sorted(group, key=cmp_to_key(compare))
        kept += [row[0] for row in ranked[:count]]
        left_out += [(row[0], ranked[0][0]) for row in ranked[count:]]
    return sorted(kept), sorted(left_out)


def _compare(one: Row, other: Row, keep: list[dict[str, Any]]) -> int:
    for rule in keep:
        ((word, what),) = rule.items()
        first, second = (_rank(row, word, what) for row in (one, other))
        if first != second:
            return -1 if first < second else 1
    return one[0] - other[0]


def _rank(row: Row, word: str, what: Any) -> tuple[Any, ...]:
    """What is smaller is better."""
    if word == "list":
        city = row[PLACES[what["of"]]]
        return (what["values"].index(city) if city in what["values"] else len(what["values"]),)
    value = row[PLACES[what]]
    if word == "not_empty":
        return (value is None or value == "",)
    if value is None:
        return (1,)
    ordered = list(str(value).encode()) if isinstance(value, str) else [value]
    return (0, _Reversed(ordered)) if word == "highest" else (0, ordered)


class _Reversed:
    def __init__(self, value: list[int]) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and self.value == other.value

    def __lt__(self, other: _Reversed) -> bool:
        return other.value < self.value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=rows,
    by=st.lists(st.sampled_from(list(PLACES)), min_size=1, max_size=2, unique=True),
    keep=st.lists(rules, max_size=2),
    count=st.integers(1, 2),
    group_empty=st.booleans(),
)
def test_deduplication_agrees_with_a_plain_evaluation(
    world: World,
    found: list[tuple[str | None, str | None, int | None]],
    by: list[str],
    keep: list[dict[str, Any]],
    count: int,
    group_empty: bool,
) -> None:
    population: list[Row] = [(key, *row) for key, row in enumerate(found, 1)]
    activity = Deduplication.model_validate(
        {"type": "deduplication", "by": by, "keep": keep, "count": count, "group_empty": group_empty, "complement": "x"}
    )
    ended = world.run(activity, world.population(MADE_OF, population, key=("key",)))
    kept, left_out = evaluate(population, by, keep, count, group_empty)
    assert sorted(row[0] for row in world.read(ended.tables["ok"], "key")) == kept
    assert sorted(world.read(ended.tables["complement"], "key", "kept_key")) == left_out
    assert ended.counts == {"kept": len(kept), "double": len(left_out)}

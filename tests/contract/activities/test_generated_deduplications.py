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
merges = st.permutations(list(PLACES)).flatmap(
    lambda names: st.lists(
        st.fixed_dictionaries(
            {"keep": st.lists(rules, max_size=1), "filled": st.booleans()},
            optional={"when": st.just("name is not null")},
        ),
        max_size=2,
    ).map(
        lambda groups: [
            {**group, "fields": chosen} for group, chosen in zip(groups, (names[:2], names[2:]), strict=False)
        ]
    )
)


def evaluate(
    population: list[Row],
    by: list[str],
    keep: list[dict[str, Any]],
    count: int,
    group_empty: bool,
    merge: list[dict[str, Any]],
) -> tuple[list[Row], list[tuple[int, int]]]:
    """The rows kept, and the keys of those left out, each with the key of the first row kept in its place."""

    def compare(one: Row, other: Row) -> int:
        return _compare(one, other, keep)

    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in population:
        values = tuple(row[PLACES[name]] if row[PLACES[name]] != "" else None for name in by)
        single = None in values and not group_empty
        groups.setdefault(("alone", row[0]) if single else values, []).append(row)
    kept: list[Row] = []
    left_out: list[tuple[int, int]] = []
    for group in groups.values():
        ranked = sorted(group, key=cmp_to_key(compare))
        kept += [_merged(ranked, merge)] if merge else ranked[:count]
        left_out += [(row[0], ranked[0][0]) for row in ranked[count:]]
    return sorted(kept, key=lambda row: row[0]), sorted(left_out)


def _merged(ranked: list[Row], merge: list[dict[str, Any]]) -> Row:
    """The first row, with the fields that the first eligible row of each field group supplies."""
    built: list[Any] = list(ranked[0])
    for fields in merge:
        places = [PLACES[name] for name in fields["fields"]]

        def eligible(row: Row, fields: dict[str, Any] = fields, places: list[int] = places) -> bool:
            full = all(row[place] not in (None, "") for place in places)
            named = "when" not in fields or row[PLACES["name"]] is not None
            return named and (full or not fields["filled"])

        def compare(one: Row, other: Row, fields: dict[str, Any] = fields) -> int:
            # `ranked` is in the order of the activity's own rules already, and sorting is stable.
            return _by_rules(one, other, fields["keep"])

        chosen = sorted(filter(eligible, ranked), key=cmp_to_key(compare))[:1]
        for place in places:
            built[place] = chosen[0][place] if chosen else built[place]
    return (ranked[0][0], built[1], built[2], built[3])


def _compare(one: Row, other: Row, keep: list[dict[str, Any]]) -> int:
    return _by_rules(one, other, keep) or one[0] - other[0]


def _by_rules(one: Row, other: Row, keep: list[dict[str, Any]]) -> int:
    for rule in keep:
        ((word, what),) = rule.items()
        first, second = (_rank(row, word, what) for row in (one, other))
        if first != second:
            return -1 if first < second else 1
    return 0


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
    merge=merges,
)
def test_deduplication_agrees_with_a_plain_evaluation(
    world: World,
    found: list[tuple[str | None, str | None, int | None]],
    by: list[str],
    keep: list[dict[str, Any]],
    count: int,
    group_empty: bool,
    merge: list[dict[str, Any]],
) -> None:
    population: list[Row] = [(key, *row) for key, row in enumerate(found, 1)]
    count = 1 if merge else count
    keys = {"by": by, "keep": keep, "count": count, "group_empty": group_empty, "merge": merge}
    activity = Deduplication.model_validate({"type": "deduplication", "complement": "x", **keys})
    ended = world.run(activity, world.population(MADE_OF, population, key=("key",)))
    kept, left_out = evaluate(population, by, keep, count, group_empty, merge)
    assert sorted(world.read(ended.tables["ok"])) == kept
    assert sorted(world.read(ended.tables["complement"], "key", "kept_key")) == left_out
    assert ended.counts == {"kept": len(kept), "double": len(left_out)}

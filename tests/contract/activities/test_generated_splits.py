"""Split against a plain evaluation in Python, over generated populations and subsets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.activities.split import Split
from tests.contract.activities.world import INTEGER, TEXT, World, columns
from tests.scale import examples

MADE_OF = columns(key=INTEGER, name=TEXT, score=INTEGER)
Row = tuple[int, str | None, int | None]
WHERE: dict[str | None, Callable[[Row], bool]] = {
    None: lambda row: True,
    "name = 'a'": lambda row: row[1] == "a",
    "score > 0": lambda row: row[2] is not None and row[2] > 0,
    "name is null": lambda row: row[1] is None,
}

rows = st.lists(st.tuples(st.none() | st.sampled_from(["a", "A", "ä"]), st.none() | st.integers(-1, 2)), max_size=10)
limits = st.none() | st.one_of(
    st.builds(lambda count: {"rows": count}, st.integers(0, 4)),
    st.builds(
        lambda share, of: {"percent": share, "of": of},
        st.sampled_from([0, 33.3, 50, 100]),
        st.sampled_from(["inbound", "subset"]),
    ),
    st.builds(lambda count: {"rows": count, "per": "name"}, st.integers(0, 2)),
    st.builds(lambda share: {"percent": share, "per": "score"}, st.sampled_from([0, 50, 70.5, 100])),
)
subsets = st.lists(
    st.fixed_dictionaries(
        {
            "where": st.sampled_from(list(WHERE)),
            "limit": limits,
            "order": st.sampled_from([[], [{"highest": "score"}], [{"lowest": "score"}]]),
            "ties": st.sampled_from(["key", "random"]),
        }
    ),
    min_size=1,
    max_size=3,
)


def room(limit: dict[str, Any] | None, inbound: int, found: int) -> int:
    """How many rows a limit lets through of those found."""
    if limit is None:
        return found
    if "rows" in limit:
        return min(int(limit["rows"]), found)
    whole = inbound if limit.get("of") == "inbound" else found
    return min(int(whole * round(limit["percent"] * 10) // 1000), found)


def rank(row: Row, order: list[dict[str, str]]) -> tuple[int, int]:
    """What is smaller comes first; an empty score comes last."""
    if row[2] is None:
        return (1, 0)
    return (0, -row[2] if "highest" in order[0] else row[2])


def check(taken: list[Row], free: list[Row], subset: dict[str, Any], inbound: int) -> None:
    """Whether a subset may take exactly those of the free rows."""
    limit = subset["limit"]
    able = [row for row in free if WHERE[subset["where"]](row)]
    assert all(row in able for row in taken)
    per = {"name": 1, "score": 2}.get((limit or {}).get("per", ""))
    groups = {None if per is None else row[per] for row in able} or {None}
    for group in groups:
        members = [row for row in able if per is None or row[per] == group]
        chosen = [row for row in taken if row in members]
        assert len(chosen) == room(limit, inbound, len(members))
        if limit is None or not subset["order"]:
            continue
        ranked = sorted(members, key=lambda row: (rank(row, subset["order"]), row[0]))
        best = ranked[: len(chosen)]
        if subset["ties"] == "key":
            assert sorted(chosen) == sorted(best)
        else:
            ranks = sorted(rank(row, subset["order"]) for row in chosen)
            assert ranks == [rank(row, subset["order"]) for row in best]


@settings(max_examples=examples(40, 400), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=rows, parts=subsets, overlapping=st.booleans(), keyed=st.booleans())
def test_split_agrees_with_a_plain_evaluation(
    world: World,
    found: list[tuple[str | None, int | None]],
    parts: list[dict[str, Any]],
    overlapping: bool,
    keyed: bool,
) -> None:
    population: list[Row] = [(key, *row) for key, row in enumerate(found, 1)]
    named = {
        f"part-{number}": {**part, "order": part["order"] if part["limit"] is not None else []}
        for number, part in enumerate(parts, 1)
    }
    activity = Split.model_validate(
        {"type": "split", "subsets": named, "overlapping": overlapping, "complement": "rest"}
    )
    ended = world.run(activity, world.population(MADE_OF, population, key=("key",) if keyed else ()))
    free = list(population)
    everything: set[Row] = set()
    for name, subset in named.items():
        taken: list[Row] = world.read(ended.tables[name])
        assert ended.counts[name] == len(taken)
        check(taken, free, subset, len(population))
        everything.update(taken)
        if not overlapping:
            free = [row for row in free if row not in taken]
    rest = world.read(ended.tables["complement"])
    assert sorted(rest, key=str) == sorted((row for row in population if row not in everything), key=str)

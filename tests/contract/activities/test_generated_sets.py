"""Union, intersection and exclusion against a plain evaluation in Python, over generated populations."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.activities.exclusion import Exclusion
from crosstie.activities.intersection import Intersection
from crosstie.activities.union import Union
from crosstie.model import Column, ColumnType, WorkTable
from tests.contract.activities.world import INTEGER, TEXT, World, columns
from tests.scale import examples

NAMES = ("id", "name", "score", "extra")
FIRST = columns(id=INTEGER, name=TEXT, score=INTEGER)
OTHER = (*columns(NAME=TEXT, extra=TEXT), *columns(id=INTEGER), Column(name="score", type=ColumnType.DECIMAL, scale=1))
SOURCES = ["a", "b", "c"]

# Case, accents (composed and not) and blanks all count.
texts = st.none() | st.sampled_from(["", "a", "A", "ä", "a\u0308", "a ", "1:a"])
scores = st.none() | st.sampled_from([-1, 0, 2])
Row = dict[str, Any]


def rows_of(first: bool, unique: bool) -> st.SearchStrategy[list[Row]]:
    half = Decimal("0.5")
    whole = scores.map(lambda score: None if score is None else Decimal(score))
    made = st.fixed_dictionaries(
        {
            "id": st.integers(1, 5) if unique else st.none() | st.integers(1, 3),
            "name": texts,
            "score": scores if first else whole | st.just(half),
            "extra": st.none() if first else texts,
        }
    )
    return st.lists(made, max_size=6, unique_by=(lambda row: row["id"]) if unique else None)


def sets(unique: bool) -> st.SearchStrategy[list[list[Row]]]:
    others = st.lists(rows_of(False, unique), min_size=1, max_size=2)
    return st.tuples(rows_of(True, unique), others).map(lambda made: [made[0], *made[1]])


def populations(world: World, found: list[list[Row]], unique: bool) -> list[WorkTable]:
    key = ("id",) if unique else ()
    made = [world.population(FIRST, [[row["id"], row["name"], row["score"]] for row in found[0]], key=key)]
    for rows in found[1:]:
        given_rows = [[row["name"], row["extra"], row["id"], row["score"]] for row in rows]
        made.append(world.population(OTHER, given_rows, key=key))
    return made


def compared(row: Row, reconcile: Any) -> tuple[Any, ...] | None:
    """What has to be equal in two rows; None when the row is not the same as any."""
    if reconcile == "keys":
        return (row["id"],)
    if reconcile == "shared":
        return (row["id"], row["name"], row["score"])
    values = tuple(
        row["name"].lower()
        if name == "lower(name)" and row["name"] is not None
        else row[name.removeprefix("lower(").rstrip(")")]
        for name in reconcile
    )
    return None if None in values else values


def plain(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows in one order, numbers as they compare."""
    numbers = [tuple(Decimal(str(v)) if isinstance(v, int | float | Decimal) else v for v in row) for row in rows]
    return sorted(numbers, key=lambda row: [(value is not None, str(value)) for value in row])


ways = st.one_of(
    st.just((True, "keys")),
    st.just((False, "shared")),
    st.lists(st.sampled_from(["id", "lower(name)", "score"]), min_size=1, max_size=2, unique=True).map(
        lambda listed: (False, listed)
    ),
)
cases = ways.flatmap(lambda way: st.tuples(st.just(way), sets(way[0])))
modest = settings(
    max_examples=examples(30, 400), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@modest
@given(case=cases, shared_columns=st.booleans(), limit=st.none() | st.integers(1, 8))
def test_union_agrees_with_a_plain_evaluation(
    world: World, case: tuple[tuple[bool, Any], list[list[Row]]], shared_columns: bool, limit: int | None
) -> None:
    (unique, reconcile), found = case
    keys = {"columns": "shared" if shared_columns else "all", "limit": limit}
    activity = Union.model_validate({"type": "union", "from": SOURCES[: len(found)], "reconcile": reconcile, **keys})
    ended = world.run(activity, *populations(world, found, unique))
    shown = NAMES[:3] if shared_columns else NAMES
    parts: list[list[tuple[Any, ...]]] = []
    seen: set[tuple[Any, ...]] = set()
    for rows in found:
        new = [row for row in rows if (value := compared(row, reconcile)) is None or value not in seen]
        seen.update(value for row in rows if (value := compared(row, reconcile)) is not None)
        parts.append([tuple(row[name] for name in shown) for row in new])
    out = plain(world.read(ended.tables["ok"], *shown))
    everything = [row for part in parts for row in part]
    assert ended.counts["rows"] == len(out) == min(len(everything), limit or len(everything))
    assert sum(ended.counts.values()) == sum(len(rows) for rows in found)
    if limit is None:
        assert out == plain(everything)
    else:
        # Whole sets first; of the one that is cut, some rows.
        room = limit
        for part in parts:
            expected, room = part[: max(room, 0)], room - len(part)
            if room >= 0:
                for row in plain(expected):
                    out.remove(row)
        assert all(row in plain(everything) for row in out)


@modest
@given(case=cases, way=st.sampled_from(["intersection", "exclusion"]))
def test_intersection_and_exclusion_agree_with_a_plain_evaluation(
    world: World, case: tuple[tuple[bool, Any], list[list[Row]]], way: str
) -> None:
    (unique, reconcile), found = case
    keys = {"type": way, "from": SOURCES[: len(found)], "reconcile": reconcile, "complement": "elsewhere"}
    kind = Intersection if way == "intersection" else Exclusion
    ended = world.run(kind.model_validate(keys), *populations(world, found, unique))
    kept: list[tuple[Any, ...]] = []
    left_out: list[tuple[Any, ...]] = []
    for row in found[0]:
        value = compared(row, reconcile)
        present = [value is not None and any(compared(one, reconcile) == value for one in other) for other in found[1:]]
        stays = all(present) if way == "intersection" else not any(present)
        (kept if stays else left_out).append(tuple(row[name] for name in NAMES[:3]))
    assert plain(world.read(ended.tables["ok"])) == plain(kept)
    assert plain(world.read(ended.tables["complement"])) == plain(left_out)
    assert ended.counts == {"kept": len(kept), "left out": len(left_out)}

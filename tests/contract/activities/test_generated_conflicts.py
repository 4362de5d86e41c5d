"""Update data where either side, or both, changed what they had agreed on: against a plain evaluation in Python."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.activities.update_data import UpdateData
from crosstie.model import Column, ColumnType, WorkTable
from tests.contract.activities.world import INSTANT, LINEAGE, NOW, TEXT, World

Policy = Literal["crm", "local", "newest", "reject"]
Value = str | Decimal | None
POLICIES: tuple[Policy, ...] = ("crm", "local", "newest", "reject")
FIELDS = ("Email", "Score")
MADE_OF = (
    Column(name="Id", type=TEXT),
    Column(name="Email", type=TEXT),
    Column(name="Score", type=ColumnType.DECIMAL, scale=2),
    Column(name="SystemModstamp", type=INSTANT),
)
CHANGED_THERE = NOW.replace(day=20)
CHANGED_HERE = {
    "never": None,
    "before": NOW.replace(day=10),
    "at the same moment": CHANGED_THERE,
    "after": NOW.replace(day=22),
}
TEXTS: tuple[Value, ...] = (None, "a", "b", "ü")
NUMBERS: tuple[Value, ...] = (None, Decimal("0"), Decimal("1.5"), Decimal("-2.25"))


@dataclass(frozen=True)
class Field:
    """A field as both sides last agreed on it, as it is here, and as it is there."""

    agreed: Value
    here: Value
    there: Value

    def decided(self, policy: Policy, later_here: bool) -> tuple[Value, str]:
        """Its value afterwards, and what was done about a conflict ('' for none)."""
        if self.there == self.agreed:
            return self.here, ""
        if self.here in (self.agreed, self.there):
            return self.there, ""
        if policy == "newest":
            policy = "local" if later_here else "crm"
        if policy == "reject":
            return self.here, "refused"
        return (self.here, "kept") if policy == "local" else (self.there, "taken")


@dataclass(frozen=True)
class Person:
    """A record that is tied to a row."""

    fields: tuple[Field, Field]
    changed: str


def people(random: Random) -> list[Person]:
    """All combinations of a text agreed, here and there with the moment of a change, beside numbers as they come."""
    cases = itertools.product(itertools.product(TEXTS, repeat=3), CHANGED_HERE)
    return [
        Person((Field(*texts), Field(*(random.choice(NUMBERS) for _ in range(3)))), changed) for texts, changed in cases
    ]


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    random=st.randoms(use_true_random=False),
    of_score=st.none() | st.sampled_from(POLICIES),
    batch=st.sampled_from([0, 0, 100]),
)
def test_update_data_agrees_with_a_plain_evaluation_of_both_sides(
    world: World, policy: Policy, random: Random, of_score: Policy | None, batch: int
) -> None:
    rows = people(random)
    _begin(world)
    score: dict[str, Any] = {"from": "Score"} | ({"on_conflict": of_score} if of_score else {})
    activity = UpdateData.model_validate(
        {
            "type": "update_data",
            "into": "person",
            "identify": {"Id": "crm_id"},
            "set": {"crm_id": "Id", "email": "Email", "score": score},
            "on_conflict": policy,
            "stamps": {"updated_at": "changed"},
            "batch": batch,
        }
    )
    world.run(activity, _inbound(world, [tuple(one.agreed for one in row.fields) for row in rows]))
    _change_here(world, rows)
    inbound = _inbound(world, [tuple(one.there for one in row.fields) for row in rows])
    ended = world.run(activity, inbound)

    decisions: Counter[str] = Counter()
    expected, agreed, refused = [], [], []
    for number, row in enumerate(rows):
        later = row.changed == "after"
        here = tuple(one.here for one in row.fields)
        decided = [
            one.decided(chosen, later) for one, chosen in zip(row.fields, (policy, of_score or policy), strict=True)
        ]
        at_fault = [name for name, (_, done) in zip(("email", "score"), decided, strict=True) if done == "refused"]
        values = here if at_fault else tuple(value for value, _ in decided)
        changed = NOW if values != here else CHANGED_HERE[row.changed]
        expected.append((*values, changed))
        agreed.append(tuple(one.agreed if at_fault else one.there for one in row.fields))
        if at_fault:
            refused.append((f"{number:03}", "CONFLICT", at_fault[0]))
            decisions["refused"] += 1
        else:
            decisions.update(done for _, done in decided if done)

    assert _here(world) == expected
    assert _agreed(world) == agreed
    assert sorted((one.remote_id, one.symbol, one.field) for one in ended.rejects) == refused
    assert ended.counts["updated"] == sum(row[-1] == NOW for row in expected)
    assert ended.counts["rejected"] == len(refused)
    assert ended.counts.get("conflicts", 0) == decisions["taken"] + decisions["kept"]
    assert [line.split()[0] for line in ended.log.texts("info")] == [
        str(decisions[done]) for done in ("taken", "kept", "refused") if decisions[done]
    ]
    # What comes in once more is known: nothing is written, and nothing is a conflict that was decided.
    again = world.run(activity, inbound)
    assert (again.counts["updated"], again.counts["rejected"]) == (0, len(refused))
    assert "conflicts" not in again.counts
    assert _here(world) == expected


def _begin(world: World) -> None:
    """An empty table, and no ties."""
    instant = "timestamp with time zone" if world.db.dialect == "postgresql" else "timestamptz"
    world.sql(
        "drop table if exists person",
        f"create table person (id {world.serial()}, crm_id text unique, email text, score numeric(9, 2),"
        f" changed {instant})",
        *(f"delete from crosstie.{name}" for (name,) in world.rows("select table_name from crosstie.tie")),
    )


def _inbound(world: World, values: list[tuple[Value, ...]]) -> WorkTable:
    lineage = replace(LINEAGE, fields=tuple((name, name) for name in ("Id", *FIELDS, "SystemModstamp")))
    rows = [(f"{number:03}", *row, CHANGED_THERE) for number, row in enumerate(values)]
    return world.population(MADE_OF, rows, key=("Id",), lineage=lineage)


def _change_here(world: World, rows: list[Person]) -> None:
    with world.db.transaction("people change") as transaction:
        for number, row in enumerate(rows):
            email, score = (one.here for one in row.fields)
            # A number in SQLite, as people write it.
            stored = float(score) if isinstance(score, Decimal) and world.db.dialect == "sqlite" else score
            transaction.execute(
                "update person set email = :email, score = :score, changed = :changed where crm_id = :id",
                {"email": email, "score": stored, "changed": CHANGED_HERE[row.changed], "id": f"{number:03}"},
            )


def _here(world: World) -> list[tuple[Value | datetime, ...]]:
    found = world.rows("select email, score, changed from person order by crm_id")
    return [(email, _number(score), _moment(changed)) for email, score, changed in found]


def _agreed(world: World) -> list[tuple[Value, ...]]:
    ((table,),) = world.rows("select table_name from crosstie.tie")
    found = world.rows(f'select "Email", "Score" from crosstie.{table} order by remote_id')
    return [(email, _number(score)) for email, score in found]


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value

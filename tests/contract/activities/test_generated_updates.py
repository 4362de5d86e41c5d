"""Update data against a plain evaluation in Python, over generated tables and populations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.activities.enrichment import Enrichment
from crosstie.activities.update_data import UpdateData
from tests.contract.activities.world import TEXT, World, columns

Operation = Literal["insert or update", "insert", "update", "delete"]
OPERATIONS: tuple[Operation, ...] = ("insert or update", "insert", "update", "delete")
LONGEST = 3
MADE_OF = columns(Id=TEXT, Crm=TEXT, Email=TEXT, Name=TEXT)


@dataclass(frozen=True)
class Person:
    """A row, on either side."""

    crm: str | None
    email: str | None
    name: str | None


def people(*, name: st.SearchStrategy[str | None]) -> st.SearchStrategy[Person]:
    few = st.none() | st.sampled_from(["a", "b", "c", "d", "e"])
    return st.builds(Person, crm=few, email=st.none() | st.sampled_from(["", "a", "b", "c", "ü"]), name=name)


existing = st.lists(people(name=st.sampled_from(["x", "y"])), max_size=6, unique_by=lambda one: one.crm or id(one))
inbound = st.lists(people(name=st.none() | st.sampled_from(["x", "y", "long"])), max_size=8)


# A row that was deleted leaves its place empty.
People = list[Person | None]


def evaluate(
    table: list[Person], rows: list[Person], operation: Operation, batch: int, by_link: bool
) -> tuple[People, list[str]]:
    """The table afterwards, and what became of each row: an outcome or the code of a reject. Each batch finds what the
    one before it has left; a link was made before all of them."""
    after: People = list(table)
    linked = [_found(after, row) for row in rows]
    named: list[object] = [row.email for row in rows]
    if by_link:
        named = [found[0] if len(found) == 1 else None for found in linked]
    shared = Counter(one for one in named if one is not None)
    outcomes: list[str] = []
    size = batch or len(rows) or 1
    for first in range(0, len(rows), size):
        places = range(first, min(first + size, len(rows)))
        found = [linked[place] if by_link else _found(after, rows[place]) for place in places]
        double = [shared[named[place]] > 1 for place in places]
        outcomes += _evaluate(after, [rows[place] for place in places], found, double, operation)
    return after, outcomes


def _found(table: People, row: Person) -> list[int]:
    return [place for place, one in enumerate(table) if one and row.email is not None and one.email == row.email]


def _evaluate(
    after: People, rows: list[Person], known: list[list[int]], double: list[bool], operation: Operation
) -> list[str]:
    outcomes, targets = [], []
    for row, found, shared in zip(rows, known, double, strict=True):
        targets.append(found[0] if len(found) == 1 else None)
        outcomes.append(_judged(row, found, shared, operation, after))
    if operation == "delete":
        for target, outcome in zip(targets, outcomes, strict=True):
            if target is not None and outcome == "deleted":
                after[target] = None
        return outcomes
    _write(after, rows, outcomes, targets)
    return outcomes


def _judged(row: Person, found: list[int], double: bool, operation: Operation, table: People) -> str:
    if len(found) > 1:
        return "AMBIGUOUS_TARGET"
    if double:
        return "DUPLICATE_TARGET"
    if found and operation == "insert":
        return "KEY_EXISTS"
    if not found and operation in ("update", "delete"):
        return "KEY_MISSING"
    if operation == "delete":
        return "deleted"
    if row.name is None:
        return "NOT_NULL"
    if len(row.name) > LONGEST:
        return "TOO_LONG"
    if not found:
        return "inserted"
    return "unchanged" if table[found[0]] == row else "updated"


def _write(after: People, rows: list[Person], outcomes: list[str], targets: list[int | None]) -> None:
    """Updates come before inserts, each in the order of the rows; a crm is held by one person at a time, and can be
    exchanged."""
    waiting = [n for n in range(len(rows)) if outcomes[n] == "updated"]
    waiting += [n for n in range(len(rows)) if outcomes[n] == "inserted"]
    while waiting:
        holders: dict[str | None, int | None] = {
            one.crm: place for place, one in enumerate(after) if one and one.crm is not None
        }
        free = [n for n in waiting if rows[n].crm is None or holders.get(rows[n].crm, targets[n]) == targets[n]]
        taken: set[str] = set()
        written = []
        for n in free:
            crm = rows[n].crm
            if crm is None or crm not in taken:
                taken |= {crm} if crm is not None else set()
                written.append(n)
        written = written or _exchanging(waiting, rows, targets, holders)
        for n in written:
            target = targets[n]
            if target is None:
                after.append(rows[n])
            else:
                after[target] = rows[n]
        waiting = [n for n in waiting if n not in written]
        if not written:
            break
    for n in waiting:
        outcomes[n] = "NOT_UNIQUE"


def _exchanging(
    waiting: list[int], rows: list[Person], targets: list[int | None], holders: dict[str | None, int | None]
) -> list[int]:
    """The rows that are reached again from themselves, each going to the one that updates the holder of its crm."""
    updating = {targets[n]: n for n in waiting if targets[n] is not None}
    found = []
    for start in waiting:
        n: int | None = start
        for _ in waiting:
            n = updating.get(holders[rows[n].crm]) if n is not None else None
            if n == start:
                found.append(start)
                break
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=existing,
    rows=inbound,
    operation=st.sampled_from(OPERATIONS),
    batch=st.integers(0, 4),
    by_link=st.booleans(),
)
def test_update_data_agrees_with_a_plain_evaluation(
    world: World, table: list[Person], rows: list[Person], operation: Operation, batch: int, by_link: bool
) -> None:
    world.sql(
        "drop table if exists person",
        f"create table person (id {world.serial()}, crm text unique, email text, name varchar({LONGEST}) not null)",
    )
    with world.db.transaction("people") as transaction:
        for number, one in enumerate(table, 1):
            person = {"id": number, "crm": one.crm, "email": one.email, "name": one.name}
            transaction.execute("insert into person values (:id, :crm, :email, :name)", person)
        if world.db.dialect == "postgresql":
            transaction.execute("alter table person alter column id restart with 100")
    made = world.population(
        MADE_OF, [(f"{n:02}", row.crm, row.email, row.name) for n, row in enumerate(rows)], key=("Id",)
    )
    values = {} if operation == "delete" else {"set": {"crm": "Crm", "email": "Email", "name": "Name"}}
    identify: object = {"Email": "email"}
    if by_link:
        links = {"person": {"to": "person", "on": identify}}
        linked = world.run(Enrichment.model_validate({"type": "enrichment", "links": links}), made).tables["ok"]
        assert linked is not None
        made, identify = linked, "link person"
    keys = {"into": "person", "operation": operation, "identify": identify, "batch": batch, **values}
    activity = UpdateData.model_validate({"type": "update_data", "outcome": True, **keys})
    ended = world.run(activity, made)
    after, outcomes = evaluate(table, rows, operation, batch, by_link)
    found = {one.record["Id"]: one.symbol for one in ended.rejects}
    found |= {row[0]: row[1] for row in world.read(ended.tables["ok"], "Id", "outcome")}
    assert [found[f"{n:02}"] for n in range(len(rows))] == outcomes
    stored = [Person(*row) for row in world.rows("select crm, email, name from person order by id")]
    left = [one for one in after[: len(table)] if one]
    assert stored[: len(left)] == left
    assert Counter(stored) == Counter(one for one in after if one)
    if operation in ("insert or update", "update") and not batch and not by_link:
        again = world.run(activity, made)
        # Nothing tells that a row without e-mail and crm was there before.
        unknown = [
            row for row, what in zip(rows, outcomes, strict=True) if what == "inserted" and not (row.email or row.crm)
        ]
        assert again.counts["inserted"] == len([row for row in unknown if row.email is None])
        assert again.counts["updated"] == 0

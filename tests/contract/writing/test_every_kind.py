"""What writing does, whatever the kind of CRM: every operation, by every road that it can take, and lost answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from crosstie.crm.writing import Certainty, Operation, Outcome, RemoteWrite, WriteRoad
from crosstie.model import FieldType, RemoteField
from tests.contract.writing.orgs import KINDS, OTHERWISE, Org
from tests.contract.writing.shipping import Answered, Row, batches, find, send

ROADS = (WriteRoad.CALLS, WriteRoad.BULK)
LOST: tuple[dict[str, Any], ...] = (
    {"type": "drop_before"},
    {"type": "drop_after"},
    {"type": "status", "status": 503, "after_work": True},
    {"type": "cut_plain", "bytes": 60},
)


@pytest.fixture(scope="module", params=[*KINDS.values(), *OTHERWISE.values()], ids=[*KINDS, *OTHERWISE])
def opened(request: pytest.FixtureRequest) -> Iterator[Org]:
    with request.param() as org:
        yield org


@pytest.fixture
def org(opened: Org) -> Iterator[Org]:
    """An org in which what was written before is older than the guard of clocks; afterwards it behaves again."""
    opened.sandbox.advance(timedelta(minutes=5))
    yield opened
    opened.sandbox.faults([])


@pytest.mark.parametrize("road", ROADS)
def test_records_are_made_changed_and_deleted(org: Org, road: WriteRoad) -> None:
    mark = f"Made {road}"
    insert = org.write(Operation.INSERT, "name", "score", "tags", road=road)
    given: list[dict[str, str | None]] = [
        {"name": f"{mark} {n}", "score": f"{n}.50", "tags": org.tags} for n in range(3)
    ]
    made = send(org.connector, insert, org.rows(insert, given))
    assert {(one.outcome, one.effect) for one in made.rows.values()} == {("accepted", "created")}, made
    ids = [str(made.rows[row].remote_id) for row in range(3)]
    assert [(one["id"], one["score"], set(one["tags"].split(";"))) for one in org.people(mark)] == [
        (record_id, n + 0.5, set(org.roles.choices)) for n, record_id in enumerate(ids)
    ]

    update = org.write(Operation.UPDATE, "name", "score", "tags", road=road)
    changes = [{"score": "7"}, {"score": "", "tags": ""}]
    rows: list[Row] = [{"remote_id": one, **row} for one, row in zip(ids, org.rows(update, changes), strict=False)]
    changed = send(org.connector, update, rows)
    assert {(one.outcome, one.effect) for one in changed.rows.values()} == {("accepted", "updated")}, changed
    found = [(one["score"], one["tags"] is None) for one in org.people(mark)]
    assert found == [(7, False), (None, True), (2.5, False)]

    delete = org.write(Operation.DELETE)
    away = send(org.connector, delete, [{"remote_id": one} for one in (*ids[:2], "rubbish")])
    assert [(away.rows[row].outcome, away.rows[row].effect) for row in range(3)] == [
        ("accepted", "deleted"),
        ("accepted", "deleted"),
        ("rejected", None),
    ]
    assert send(org.connector, delete, [{"remote_id": ids[0]}]).rows[0].effect == "gone"
    assert [one["id"] for one in org.people(mark)] == ids[2:]


def test_an_upsert_makes_and_changes_by_its_key_and_finds_parents(org: Org) -> None:
    company = org.make_company("P-1")
    write = org.write(Operation.UPSERT, "name", "company")
    rows = [
        {"key": "U-1", "name": "Upsert 1", "company": "P-1"},
        {"key": "U-2", "name": "Upsert 2", "company": "nobody"},
    ]
    first = send(org.connector, write, org.rows(write, [*rows, {"key": None, "name": "Upsert 3"}]))
    assert [(first.rows[row].outcome, first.rows[row].effect) for row in range(3)] == [
        ("accepted", "created"),
        ("rejected", None),
        ("rejected", None),
    ]
    again = send(
        org.connector,
        write,
        org.rows(write, [{"key": org.names.respelled("U-1"), "company": ""}, {"key": "U-2", "name": "Upsert 2"}]),
    )
    assert [again.rows[row].effect for row in range(2)] == ["updated", "created"]
    assert again.rows[0].remote_id == first.rows[0].remote_id
    assert [(one["name"], one["key"], one["company"]) for one in org.people("Upsert")] == [
        ("Upsert 1", "U-1", None),
        ("Upsert 2", "U-2", None),
    ]
    send(org.connector, write, org.rows(write, rows[:1]))
    assert org.people("Upsert 1")[0]["company"] == company


@pytest.mark.parametrize("road", ROADS)
def test_a_refused_row_says_why_and_takes_no_other_with_it(org: Org, road: WriteRoad) -> None:
    known = org.insert([{"name": f"Refused {road} {n}"} for n in range(3)])
    write = org.write(Operation.UPDATE, "name", "score", road=road)
    given = [{"name": "x" * 200}, {"score": "12,5"}, {"name": f"Refused {road} taken"}, {"score": "1"}]
    ids = [*known, known[0][:-6] + "f0f0f0" if "-" in known[0] else f"{known[0][:6]}000000000"]
    rows = [{"remote_id": one, **row} for one, row in zip(ids, org.rows(write, given), strict=True)]
    found = send(org.connector, write, rows).rows
    names = org.fields
    assert [(found[row].outcome, found[row].fields) for row in range(3)] == [
        ("rejected", names["name"]),
        ("rejected", names["score"]),
        ("accepted", None),
    ]
    assert (found[0].symbol, found[3].outcome, found[3].symbol) == (org.names.too_long, "rejected", org.names.not_there)
    names_now = {one["name"] for one in org.people(f"Refused {road}")}
    assert names_now == {f"Refused {road} 0", f"Refused {road} 1", f"Refused {road} taken"}


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: fault["type"])
@pytest.mark.parametrize("operation", Operation)
def test_a_lost_answer_is_found_and_no_row_is_executed_twice(
    org: Org, operation: Operation, fault: dict[str, Any]
) -> None:
    mark = f"Lost {operation} {fault['type']}"
    write = org.write(operation, *(() if operation is Operation.DELETE else ("name", "score")))
    rows = org.rows(write, [{"name": f"{mark} new", "score": str(n)} for n in range(3)])
    if operation is Operation.UPSERT:
        rows = [{**row, "key": f"{mark} {n}"} for n, row in enumerate(rows)]
    elif operation is not Operation.INSERT:
        ids = org.insert([{"name": f"{mark} old", "score": n} for n in range(3)])
        rows = [{**row, "remote_id": one} for one, row in zip(ids, rows, strict=True)]
        org.sandbox.advance(timedelta(minutes=5))
    left_at = org.sandbox.now()
    assert org.connector.packing(write, 3).certainty is not Certainty.OPAQUE
    org.fails(operation, fault)
    org.sandbox.counters(reset=True)
    known = send(org.connector, write, rows)
    assert org.sandbox.counters()["requests"].get(org.names.carriers[operation]), "the fault was played"
    assert (known.failure is None) == (known.outcomes() == {Outcome.ACCEPTED})
    for _ in range(4):
        _holds(org, operation, mark, known)
        if known.where(Outcome.DOUBT):
            kept = known.kept
            known = find(org.connector, write, rows, kept[-1] if kept else "", left_at)
            known.kept = kept
            continue
        again = known.where(Outcome.RETRY)
        if not again:
            break
        sent = send(org.connector, write, [rows[row] for row in again], numbers=again)
        known = Answered(rows={**known.rows, **sent.rows}, failure=sent.failure, kept=sent.kept)
    assert known.outcomes() == {Outcome.ACCEPTED}
    _holds(org, operation, mark, known)
    assert len(org.people(f"{mark} new")) == (0 if operation is Operation.DELETE else 3)


def _holds(org: Org, operation: Operation, mark: str, known: Answered) -> None:
    """Every word is true of the org."""
    away = operation is Operation.DELETE
    there = [int(one["score"]) for one in org.people(f"{mark} {'old' if away else 'new'}")]
    assert len(set(there)) == len(there)
    for row, one in known.rows.items():
        if one.outcome == Outcome.ACCEPTED:
            assert (row in there) is not away, one
        elif one.outcome != Outcome.DOUBT:
            assert (row in there) is away, one


def test_records_are_read_as_they_are_before_they_are_written(org: Org) -> None:
    write = org.write(Operation.UPDATE, "name", "score", "tags")
    made = org.write(Operation.INSERT, "name", "score", "tags")
    first = send(org.connector, made, org.rows(made, [{"name": "Current 1", "score": "1.5", "tags": org.tags}])).rows[0]
    by_key = org.write(Operation.UPSERT, "name")
    key = send(org.connector, by_key, org.rows(by_key, [{"key": "C-1", "name": "Current 2"}]))
    found = org.connector.current(write, batches(write, [{"remote_id": first.remote_id}])).to_pylist()
    same = org.connector.comparer(write)
    ((row,)) = found
    assert (row["row"], row["remote_id"]) == (0, first.remote_id)
    assert org.sandbox.now() - row["stamp"] < timedelta(minutes=1)
    turned = ";".join(reversed(org.roles.choices))
    for texts, expected in (
        (("Current 1", "1.50", org.tags), [True] * 3),
        (("No 2", "1.6", turned), [False, False, True]),
    ):
        assert [same(place, mine, row[f"f_{place}"]) for place, mine in enumerate(texts)] == expected
    keyed = org.connector.current(
        by_key, batches(by_key, [{"key": org.names.respelled("C-1")}, {"key": "nobody"}])
    ).to_pylist()
    assert [(one["row"], one["remote_id"], one["f_0"]) for one in keyed] == [(0, key.rows[0].remote_id, "Current 2")]


TEXTS = {
    FieldType.TEXT: "🚲 Zoë „Ω“ 李 \"quoted\", 'single'; %_[x]",
    FieldType.INTEGER: "-7",
    FieldType.DECIMAL: "12.50",
    FieldType.FLOAT: "0.5",
    FieldType.BOOLEAN: "true",
    FieldType.DATE: "2024-02-29",
    FieldType.DATETIME: "2026-01-01T23:30:00.123Z",
    FieldType.WALL_CLOCK: "2026-07-01T08:00:00.000Z",
    FieldType.TIME: "14:30:00.000Z",
}
SPECIAL = {"email": "a@b.example", "Email": "a@b.example", "phone": "+49 1", "url": "https://x.example/"}


def sample(field: RemoteField) -> str | None:
    """A value that the field can hold; None for what a test of types has no value for."""
    if field.type in {FieldType.ENUMERATION, FieldType.SET}:
        names = [one.name for one in field.values if one.active]
        return ";".join(names[:2]) if field.type is FieldType.SET else next(iter(names), None)
    if field.wire_type == "Uniqueidentifier":
        return "0123abcd-0000-4000-8000-000000000001"
    if field.type is FieldType.TEXT and field.wire_type not in SPECIAL:
        return TEXTS[field.type][: (field.length or 20) - 1]  # its first character may count twice
    return SPECIAL.get(field.wire_type) or TEXTS.get(field.type)


def test_every_type_of_field_holds_what_was_written_and_can_be_cleared(org: Org) -> None:
    remote = org.connector.describe(org.roles.everything)
    written = [one for one in remote.fields if one.createable and one.updateable]
    fields = {one.name: text for one in written if one.name not in org.names.elsewhere and (text := sample(one))}
    kinds = {one.type for one in remote.fields if one.name in fields}
    assert kinds > {FieldType.TEXT, FieldType.ENUMERATION, FieldType.SET, FieldType.DECIMAL, FieldType.DATETIME}
    write = RemoteWrite(object=remote, operation=Operation.INSERT, fields=tuple(fields))
    row: Row = dict(fields)
    if org.connector.new_id is not None:
        row["remote_id"] = org.connector.new_id()
    (made,) = send(org.connector, write, [row]).rows.values()
    assert made.outcome == Outcome.ACCEPTED, made
    update = replace(write, operation=Operation.UPDATE)
    same = org.connector.comparer(update)
    (held,) = org.connector.current(update, batches(update, [{"remote_id": made.remote_id}])).to_pylist()
    assert [name for nth, name in enumerate(fields) if not same(nth, fields[name], held[f"f_{nth}"])] == []
    optional = [name for name in fields if (one := remote.field(name)) and one.nullable and not one.restricted]
    clear = replace(update, fields=tuple(optional))
    cleared: Row = {"remote_id": made.remote_id, **dict.fromkeys(optional, "")}
    for name in optional:
        if (found := remote.field(name)) is not None and found.type is FieldType.BOOLEAN:
            cleared[name] = None
    (sent,) = send(org.connector, clear, [cleared]).rows.values()
    assert sent.outcome == Outcome.ACCEPTED, sent
    (left,) = org.connector.current(clear, batches(clear, [{"remote_id": made.remote_id}])).to_pylist()
    assert [name for nth, name in enumerate(optional) if cleared[name] == "" and left[f"f_{nth}"]] == []


def test_a_record_that_moved_between_look_and_write_is_not_overwritten_where_it_has_a_version(org: Org) -> None:
    (known,) = org.insert([{"name": "Version", "score": 1}])
    write = org.write(Operation.UPDATE, "name")
    (row,) = org.connector.current(write, batches(write, [{"remote_id": known}])).to_pylist()
    conditional = org.write(Operation.UPDATE, "name", conditional=row["version"] is not None)
    org.sandbox.control("update", object=org.roles.contact, id=known, values={org.roles.score: 2})
    given: Row = {"remote_id": known, org.fields["name"]: "Version 2", "version": row["version"]}
    sent = send(org.connector, conditional, [given]).rows[0]
    assert sent.outcome == ("accepted" if row["version"] is None else "retry")
    assert len(org.people("Version 2")) == (1 if row["version"] is None else 0)

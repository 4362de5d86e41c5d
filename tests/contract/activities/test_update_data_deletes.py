"""Update data deletes rows, and settles what was tied to them; the same on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from crosstie.activities.update_data import UpdateData
from crosstie.model import WorkTable
from tests.contract.activities.world import INSTANT, INTEGER, LINEAGE, NOW, TEXT, Ended, World, columns


def delete(**keys: Any) -> UpdateData:
    return UpdateData.model_validate(
        {"type": "update_data", "into": "recipient", "operation": "delete", "identify": {"Id": "crm_id"}, **keys}
    )


def write(**keys: Any) -> UpdateData:
    return UpdateData.model_validate(
        {
            "type": "update_data",
            "into": "recipient",
            "identify": {"Id": "crm_id"},
            "set": {"crm_id": "Id", "email": "Email"},
            **keys,
        }
    )


@pytest.fixture
def recipients(world: World) -> World:
    world.sql(
        f"create table recipient (id {world.serial()}, crm_id text, email text)",
        "create table purchase (recipient_id bigint references recipient (id))",
    )
    return world


def ids(world: World) -> list[str]:
    return [row[0] for row in world.rows("select crm_id from recipient order by crm_id")]


def codes(ended: Ended) -> list[tuple[str, str]]:
    return sorted((one.remote_id, one.symbol) for one in ended.rejects)


def test_known_rows_are_deleted_and_unknown_ones_refused(recipients: World) -> None:
    recipients.sql("insert into recipient (crm_id) values ('1'), ('2'), ('3')")
    ended = recipients.run(delete(outcome=True), recipients.contacts(("1", "", ""), ("3", "", ""), ("4", "", "")))
    assert ids(recipients) == ["2"]
    assert ended.counts == {"deleted": 2, "rejected": 1}
    assert codes(ended) == [("4", "KEY_MISSING")]
    assert recipients.read(ended.tables["ok"], "Id", "outcome") == [("1", "deleted"), ("3", "deleted")]


def test_what_is_referred_to_is_refused_alone(recipients: World) -> None:
    recipients.sql(
        "insert into recipient (id, crm_id) values (7, '1'), (8, '2'), (9, '3')", "insert into purchase values (8)"
    )
    for batch in (0, 1):
        ended = recipients.run(delete(batch=batch), recipients.contacts(("1", "", ""), ("2", "", "")))
        assert ("2", "CONSTRAINT") in codes(ended)
        assert ids(recipients) == ["2", "3"]


def test_rows_of_several_key_columns_are_deleted(world: World) -> None:
    world.sql(
        "create table pair (a integer, b varchar(5), c text, primary key (a, b))",
        "insert into pair values (1, 'x', 'p'), (1, 'y', 'q'), (2, 'x', 'r')",
    )
    inbound = world.population(columns(n=INTEGER, t=TEXT), [(1, "y"), (2, "x"), (2, "y")], key=("n", "t"))
    ended = world.run(delete(into="pair", identify={"n": "a", "t": "b"}), inbound)
    assert world.rows("select a, b from pair") == [(1, "x")]
    assert ended.counts == {"deleted": 2, "rejected": 1}


def test_a_deleted_record_is_found_by_its_tie_and_not_brought_back_by_an_older_version(recipients: World) -> None:
    world = recipients
    world.run(write(), world.contacts(("1", "a@x", "", "2"), ("2", "b@x", "", "2")))
    world.sql("update recipient set crm_id = null")
    ended = world.run(delete(), world.contacts(("1", "", "", "5")))
    assert ended.counts == {"deleted": 1, "rejected": 0}
    assert world.rows("select email from recipient") == [("b@x",)]
    assert world.rows("select remote_id, local_key from crosstie.tie_1 where tombstone is not null") == [("1", "")]
    older = world.run(write(), world.contacts(("1", "a@x", "", "4")))
    assert (older.counts["inserted"], older.counts["ignored"]) == (0, 1)
    again = world.run(delete(), world.contacts(("1", "", "", "5")))
    assert again.counts == {"deleted": 0, "rejected": 0, "ignored": 1}
    newer = world.run(write(), world.contacts(("1", "a@x", "", "6")))
    assert newer.counts["inserted"] == 1
    assert world.rows("select count(*) from crosstie.tie_1 where tombstone is not null") == [(0,)]


def test_a_key_that_is_given_again_is_nobodys(recipients: World) -> None:
    world = recipients
    world.run(write(), world.contacts(("1", "a@x", ""), ("2", "b@x", "")))
    ((key,),) = world.rows("select id from recipient where crm_id = '2'")
    gone = world.population(columns(key=INTEGER), [(key,)], key=("key",))
    world.run(delete(identify={"key": "id"}), gone)
    assert world.rows("select remote_id from crosstie.tie_1") == [("1",)]
    world.sql(f"insert into recipient (id, email) values ({key}, 'somebody@x')")
    world.run(write(), world.contacts(("2", "b@x", "")))
    assert world.rows(f"select email from recipient where id = {key}") == [("somebody@x",)]
    assert len(ids(world)) == 3


def test_a_record_without_stamp_is_buried_now(recipients: World) -> None:
    world = recipients
    world.sql("insert into recipient (crm_id) values ('1')")
    inbound = world.contacts(("1", "", ""))
    assert inbound.lineage is not None
    bare = replace(inbound, lineage=replace(inbound.lineage, stamp=""))
    world.run(delete(), bare)
    (found,) = world.rows("select remote_id, stamp, tombstone from crosstie.tie_1")
    assert found[:2] == ("1", None)
    assert str(found[2]).replace(" ", "T")[:16] == NOW.isoformat()[:16]


def test_a_delete_writes_no_values() -> None:
    with pytest.raises(ValidationError, match="writes no values: leave out “set” and “empty”"):
        delete(set={"email": "Email"}, empty="keep")


def test_a_delete_needs_to_know_the_row(recipients: World) -> None:
    (found,) = recipients.problems(delete(identify=None), recipients.contacts())
    assert "“identify” is missing" in found.message


def deleted(world: World, *rows: tuple[str, int]) -> WorkTable:
    """Records that were deleted on the CRM: id, and the day of November 2026."""
    made_of = columns(Id=TEXT, deletedAt=INSTANT)
    lineage = replace(LINEAGE, stamp="deletedAt", fields=(), gone=True)
    at = [(one, NOW.replace(day=day)) for one, day in rows]
    return world.population(made_of, at, key=("Id",), lineage=lineage)


def tombstones(world: World) -> dict[str, int]:
    found = world.rows("select remote_id, tombstone from crosstie.tie_1 where tombstone is not null")
    return {one: datetime.fromisoformat(str(at)).day for one, at in found}


def test_a_record_deleted_on_the_crm_that_has_no_row_is_no_reject_and_stays_away(recipients: World) -> None:
    world = recipients
    ended = world.run(delete(), deleted(world, ("1", 5)))
    assert ended.counts == {"deleted": 0, "rejected": 0}
    assert tombstones(world) == {"1": 5}
    world.run(write(), world.contacts(("1", "a@x", "", "4")))
    assert ids(world) == []
    world.run(write(), world.contacts(("1", "a@x", "", "6")))
    assert ids(world) == ["1"]


@pytest.mark.parametrize("ties", [None, False])
@pytest.mark.parametrize("operation", ["delete", "update"])
def test_what_is_not_here_is_no_reject_whatever_is_done(recipients: World, operation: str, ties: bool | None) -> None:
    world = recipients
    keys = {} if operation == "delete" else {"set": {"email": "null"}}
    one = UpdateData.model_validate(
        {"type": "update_data", "into": "recipient", "identify": {"Id": "crm_id"}, "operation": operation, **keys}
        | {"ties": ties}
    )
    assert world.run(one, deleted(world, ("1", 5))).counts["rejected"] == 0
    assert world.rows("select count(*) from recipient") == [(0,)]


def test_a_deletion_of_before_the_record_was_seen_alive_does_nothing(recipients: World) -> None:
    world = recipients
    world.run(write(), world.contacts(("1", "a@x", "", "6"), ("2", "b@x", "", "6"), ("3", "c@x", "", "6")))
    world.run(delete(), deleted(world, ("3", 8)))
    ended = world.run(delete(), deleted(world, ("1", 5), ("2", 6), ("3", 7)))
    assert ended.counts == {"deleted": 1, "rejected": 0, "ignored": 1}
    assert ids(world) == ["1"]
    assert tombstones(world) == {"2": 6, "3": 8}


def test_a_marked_row_is_tied_to_nothing_and_an_other_tie_of_it_stays(recipients: World) -> None:
    world = recipients
    world.run(write(), world.contacts(("1", "a@x", "", "2")))
    elsewhere = replace(world.contacts(("9", "a@x", "")), lineage=replace(LINEAGE, account="other"))
    world.run(write(identify={"Email": "email"}, set={"email": "Email"}), elsewhere)
    mark = write(operation="update", set={"email": "'gone'"})
    assert world.run(mark, deleted(world, ("1", 5))).counts["updated"] == 1
    assert world.rows("select remote_id, local_key, tombstone is null from crosstie.tie_1") == [("1", "", False)]
    assert [row[:2] for row in world.rows("select remote_id, local_key from crosstie.tie_2")] == [("9", "1")]
    again = world.run(mark, deleted(world, ("1", 5)))
    assert (again.counts["updated"], again.counts["rejected"]) == (0, 0)
    assert world.run(delete(), deleted(world, ("1", 4))).counts["deleted"] == 1
    assert tombstones(world) == {"1": 5}

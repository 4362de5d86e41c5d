"""Ties: written with the data, only differences, and asked before a row is added; the same on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from crosstie.activities.enrichment import Enrichment
from crosstie.activities.update_data import UpdateData
from crosstie.errors import ConfigError
from crosstie.model import WorkTable
from tests.contract.activities.world import CONTACT, LINEAGE, NOW, World

SET = {"crm_id": "Id", "email": "Email", "last_name": {"from": "LastName", "when": "LastName is not null"}}


def update(**keys: Any) -> UpdateData:
    return UpdateData.model_validate(
        {"type": "update_data", "into": "recipient", "identify": {"Id": "crm_id"}, "set": SET, **keys}
    )


@pytest.fixture
def recipients(world: World) -> World:
    world.sql(f"create table recipient (id {world.serial()}, crm_id text, email text unique, last_name text)")
    return world


def ties(world: World) -> list[tuple[Any, ...]]:
    return world.rows('select remote_id, local_key, "Email", "LastName" from crosstie.tie_1 order by remote_id')


def test_a_tie_joins_remote_and_local_with_the_agreed_values(recipients: World) -> None:
    world = recipients
    world.sql("insert into recipient (id, crm_id) values (7, 'A')")
    world.run(update(), world.contacts(("A", "a@x", "Ono"), ("B", "b@x", None)))
    found = dict(world.rows("select crm_id, cast(id as text) from recipient"))
    assert ties(world) == [("A", "7", "a@x", "Ono"), ("B", found["B"], "b@x", None)]
    assert world.rows("select account, org, object, local_table, table_name from crosstie.tie") == [
        ("salesforce", "00D1", "Contact", "recipient", "tie_1")
    ]


def test_only_differences_are_written(recipients: World) -> None:
    world = recipients
    rows = [(str(n), f"{n}@x", "Ono") for n in range(30)]
    world.run(update(), world.contacts(*rows))
    world.count_writes("crosstie.tie_1")
    world.run(update(), world.contacts(*rows))
    assert world.writes() == {}
    changed = [(one, email, "Changed", 2) if int(one) < 4 else (one, email, name) for one, email, name in rows]
    world.run(update(), world.contacts(*changed, ("new", "new@x", "New")))
    assert world.writes() == {"update": 4, "insert": 1}


def test_a_row_that_is_equal_already_is_tied(recipients: World) -> None:
    world = recipients
    world.sql("insert into recipient (id, crm_id, email, last_name) values (7, 'A', 'a@x', 'Ono')")
    ended = world.run(update(), world.contacts(("A", "a@x", "Ono")))
    assert ended.counts["unchanged"] == 1
    assert ties(world) == [("A", "7", "a@x", "Ono")]


def test_what_was_not_applied_stays_as_it_was_agreed(recipients: World) -> None:
    world = recipients
    world.run(update(), world.contacts(("A", "a@x", "Ono")))
    world.run(update(), world.contacts(("A", "b@x", None, 2)))
    assert [row[2:] for row in ties(world)] == [("b@x", "Ono")]


def test_refused_rows_are_not_tied(recipients: World) -> None:
    world = recipients
    world.sql("insert into recipient (crm_id, email) values ('held', 'a@x')")
    ended = world.run(update(), world.contacts(("A", "a@x", "Ono"), ("B", "b@x", "Abe")))
    assert ended.counts["rejected"] == 1
    assert [row[0] for row in ties(world)] == ["B"]
    again = world.run(update(), world.contacts(("A", "a@x", "Ono"), ("C", "c@x", "Cho")))
    assert again.counts["rejected"] == 1
    assert [row[0] for row in ties(world)] == ["B", "C"]


def test_a_tied_record_finds_its_row_when_nothing_else_does(recipients: World) -> None:
    world = recipients
    activity = update(identify={"Email": "email"}, set={"email": "Email", "last_name": "LastName"})
    world.run(activity, world.contacts(("A", "old@x", "Ono")))
    ended = world.run(activity, world.contacts(("A", "new@x", "Ono", 2)))
    assert ended.counts == {"inserted": 0, "updated": 1, "unchanged": 0, "rejected": 0}
    assert world.rows("select email from recipient") == [("new@x",)]
    world.sql("delete from recipient")
    ended = world.run(activity, world.contacts(("A", "new@x", "Ono", 2)))
    assert ended.counts["inserted"] == 1
    assert ties(world)[0][1] == str(world.rows("select id from recipient")[0][0])


def test_a_row_older_than_its_tombstone_is_not_brought_back_and_a_later_one_clears_it(recipients: World) -> None:
    world = recipients
    world.run(update(), world.contacts(("A", "a@x", "Ono")))
    deleted = NOW.replace(day=5)
    with world.db.transaction("delete") as transaction:
        transaction.execute("delete from recipient")
        transaction.execute("update crosstie.tie_1 set tombstone = :deleted", {"deleted": deleted})
    ended = world.run(update(), world.contacts(("A", "a@x", "Ono", 4)))
    assert ended.counts == {"inserted": 0, "updated": 0, "unchanged": 0, "rejected": 0, "ignored": 1}
    assert world.rows("select count(*) from recipient") == [(0,)]
    assert world.rows("select count(*) from crosstie.tie_1 where tombstone is not null") == [(1,)]
    assert world.run(update(), world.contacts(("A", "a@x", "Ono", 6))).counts["inserted"] == 1
    assert world.rows("select count(*) from crosstie.tie_1 where tombstone is not null") == [(0,)]


def test_two_rows_of_one_remote_record_are_refused(recipients: World) -> None:
    world = recipients
    inbound = world.contacts(("A", "a@x", "Ono"), ("A", "b@x", "Abe"), ("B", "c@x", "Cho"), key=())
    ended = world.run(update(identify={"Email": "email"}), inbound)
    assert [(one.remote_id, one.symbol) for one in ended.rejects] == [("A", "DUPLICATE_TARGET")] * 2
    assert [row[0] for row in ties(world)] == ["B"]


def test_another_org_behind_the_same_account_is_refused(recipients: World) -> None:
    world = recipients
    world.run(update(), world.contacts(("A", "a@x", "Ono")))
    moved = replace(LINEAGE, org="00D2")
    inbound = world.population(CONTACT, [("A", "z@x", "Abe", NOW)], key=("Id",), lineage=moved)
    with pytest.raises(ConfigError, match="now leads to the org 00D2"):
        world.run(update(), inbound)
    assert world.rows("select email from recipient") == [("a@x",)]


def test_ties_can_be_left_out_and_new_fields_are_taken_up(recipients: World) -> None:
    world = recipients
    world.run(update(ties=False), world.contacts(("A", "a@x", "Ono")))
    assert world.rows("select count(*) from crosstie.tie") == [(0,)]
    world.run(update(set={"crm_id": "Id", "email": "Email"}), world.contacts(("A", "a@x", "Ono")))
    world.run(update(), world.contacts(("A", "a@x", "Ono")))
    assert ties(world) == [("A", str(world.rows("select id from recipient")[0][0]), "a@x", "Ono")]


def test_the_stamp_of_the_agreed_values_is_kept(recipients: World) -> None:
    world = recipients
    world.run(update(), world.contacts(("A", "a@x", "Ono", 3)))
    stamp = world.rows("select stamp from crosstie.tie_1")[0][0]
    if isinstance(stamp, str):
        stamp = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z")
    assert stamp == NOW.replace(day=3)


def test_data_and_ties_are_undone_together(recipients: World) -> None:
    world = recipients
    world.run(update(), world.contacts(("A", "a@x", "Ono")))
    with pytest.raises(RuntimeError, match="killed"):
        world.run(update(), world.contacts(("A", "b@x", "Ono", 2), ("B", "c@x", "Abe")), killed=True)
    assert world.rows("select crm_id, email from recipient") == [("A", "a@x")]
    assert [row[0:1] + row[2:3] for row in ties(world)] == [("A", "a@x")]


def test_a_row_that_is_tied_to_a_living_record_is_not_taken_by_another(recipients: World) -> None:
    world = recipients
    reconcile = Enrichment.model_validate(
        {
            "type": "enrichment",
            "links": {"recipient": {"to": "recipient", "first_of": [{"Id": "crm_id"}, {"Email": "email"}]}},
        }
    )
    activity = update(identify="link recipient")

    def enriched(*rows: tuple[object, ...]) -> WorkTable:
        found = world.run(reconcile, world.contacts(*rows)).tables["ok"]
        assert found is not None
        return found

    world.run(activity, enriched(("A", "e1@x", "Ann")))
    known = ties(world)
    for others in ((), (("C", "c@x", "Cho"),)):
        ended = world.run(activity, enriched(("B", "e1@x", "Bob", 2), *others))
        assert ended.counts == {"inserted": len(others), "updated": 0, "unchanged": 0, "rejected": 1}
        assert [(one.remote_id, one.symbol) for one in ended.rejects] == [("B", "TIED_TO_ANOTHER")]
        assert "e1@x" not in ended.rejects[0].message
    assert world.rows("select crm_id, last_name from recipient where email = 'e1@x'") == [("A", "Ann")]
    assert [row for row in ties(world) if row[0] != "C"] == known

    # Nor does it keep the one whose row it is from it.
    ended = world.run(activity, enriched(("A", "e1@x", "Anna", 3), ("B", "e1@x", "Bob", 3)))
    assert [(one.remote_id, one.symbol) for one in ended.rejects] == [("B", "TIED_TO_ANOTHER")]
    assert world.rows("select crm_id, last_name from recipient where email = 'e1@x'") == [("A", "Anna")]

    # After a merge on the CRM the loser is gone, and the winner may have its row.
    with world.db.transaction("merged") as transaction:
        transaction.execute(
            "update crosstie.tie_1 set tombstone = :now where remote_id = 'A'", {"now": NOW.replace(day=4)}
        )
    ended = world.run(activity, enriched(("B", "e1@x", "Bob", 5)))
    assert ended.counts == {"inserted": 0, "updated": 1, "unchanged": 0, "rejected": 0}
    assert world.rows("select crm_id, last_name from recipient where email = 'e1@x'") == [("B", "Bob")]


def test_without_ties_the_row_that_is_found_is_taken(recipients: World) -> None:
    world = recipients
    activity = update(identify={"Email": "email"}, ties=False)
    world.run(update(), world.contacts(("A", "e1@x", "Ann")))
    ended = world.run(activity, world.contacts(("B", "e1@x", "Bob")))
    assert ended.counts == {"inserted": 0, "updated": 1, "unchanged": 0, "rejected": 0}


def test_a_tied_record_does_not_move_to_the_row_of_another(recipients: World) -> None:
    world = recipients
    activity = update(identify={"Email": "email"})
    world.run(activity, world.contacts(("A", "a@x", "Ann"), ("B", "b@x", "Bob")))
    ended = world.run(activity, world.contacts(("A", "a@x", "Anna", 2), ("B", "a@x", "Bob", 2)))
    assert [(one.remote_id, one.symbol) for one in ended.rejects] == [("B", "TIED_TO_ANOTHER")]
    assert world.rows("select crm_id, email, last_name from recipient order by crm_id") == [
        ("A", "a@x", "Anna"),
        ("B", "b@x", "Bob"),
    ]

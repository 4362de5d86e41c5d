"""Update data keeps when and by whom rows were made and changed, and ties of rows that are only inserted."""

from __future__ import annotations

from typing import Any

import pytest

from crosstie.activities.update_data import UpdateData
from tests.contract.activities.world import NOW, World

STAMPS = {"created_at": "made", "created_by": "maker", "updated_at": "changed", "updated_by": "changer"}


def update(**keys: Any) -> UpdateData:
    return UpdateData.model_validate(
        {
            "type": "update_data",
            "into": "recipient",
            "identify": {"Id": "crm_id"},
            "set": {"crm_id": "Id", "email": "Email"},
            "stamps": STAMPS,
            **keys,
        }
    )


@pytest.fixture
def recipients(world: World) -> World:
    instant = "timestamp with time zone" if world.db.dialect == "postgresql" else "timestamptz"
    world.sql(
        f"create table recipient (id {world.serial()}, crm_id text, email text, made date, maker varchar(7),"
        f" changed {instant}, changer text)",
        "insert into recipient (crm_id, email, maker, changer)"
        " values ('1', 'a@x', 'ann', 'ann'), ('2', 'b@x', 'bob', 'bob')",
    )
    return world


def test_written_rows_are_stamped_and_unchanged_ones_left_alone(recipients: World) -> None:
    recipients.count_writes("recipient")
    inbound = recipients.contacts(("1", "a@x", ""), ("2", "new@x", ""), ("3", "c@x", ""))
    ended = recipients.run(update(), inbound)
    assert ended.rejects == []
    assert ended.counts == {"inserted": 1, "updated": 1, "unchanged": 1, "rejected": 0}
    assert recipients.rows("select crm_id, maker, changer from recipient order by crm_id") == [
        ("1", "ann", "ann"),
        ("2", "bob", "contact-import"),
        ("3", "contact", "contact-import"),
    ]
    moments = recipients.rows("select made, changed from recipient order by crm_id")
    day, moment = NOW.date().isoformat(), NOW.isoformat()[:16]
    told = [tuple(None if one is None else str(one).replace(" ", "T")[:16] for one in row) for row in moments]
    assert told == [(None, None), (None, moment), (day, moment)]
    assert recipients.writes() == {"insert": 1, "update": 1}
    assert recipients.run(update(), inbound).counts["unchanged"] == 3
    assert recipients.writes() == {}


def test_a_column_that_is_set_is_left_to_that(recipients: World) -> None:
    recipients.run(update(set={"email": "Email", "changer": "LastName"}), recipients.contacts(("1", "new@x", "me")))
    assert recipients.rows("select changer from recipient where crm_id = '1'") == [("me",)]


def test_mistakes_are_told_with_their_place(recipients: World) -> None:
    found = recipients.problems(
        update(stamps={"created_at": "email", "created_by": "made", "updated_at": "change"}), recipients.contacts()
    )
    assert [(one.path, one.message.split(":")[0]) for one in found] == [
        (("stamps", "created_at"), "email is text"),
        (("stamps", "created_by"), "made is date"),
        (("stamps", "updated_at"), "table recipient"),
    ]
    assert "Did you mean" in found[2].message and "“changed”" in found[2].message


def tied(world: World) -> list[tuple[str, str]]:
    return sorted(
        world.rows(
            "select e.remote_id, r.email from crosstie.tie_1 e join recipient r on cast(r.id as text) = e.local_key"
        )
    )


def test_inserted_rows_are_tied_when_asked_for(recipients: World) -> None:
    activity = update(operation="insert", identify=None, ties=True, stamps={})
    recipients.run(activity, recipients.contacts(("7", "g@x", ""), ("8", "h@x", "")))
    assert tied(recipients) == [("7", "g@x"), ("8", "h@x")]
    recipients.run(activity, recipients.contacts(("9", "i@x", "")))
    assert tied(recipients) == [("7", "g@x"), ("8", "h@x"), ("9", "i@x")]


def test_inserted_rows_are_tied_by_themselves_when_their_key_is_set(recipients: World) -> None:
    activity = update(operation="insert", identify=None, set={"id": "cast(Id as integer)", "email": "Email"}, stamps={})
    recipients.run(activity, recipients.contacts(("70", "g@x", "")))
    assert tied(recipients) == [("70", "g@x")]
    ended = recipients.run(activity, recipients.contacts(("70", "other@x", ""), ("80", "h@x", "")))
    assert [one.symbol for one in ended.rejects] == ["NOT_UNIQUE"]
    assert tied(recipients) == [("70", "g@x"), ("80", "h@x")]


def test_rows_that_are_only_appended_are_not_tied(recipients: World) -> None:
    recipients.run(update(operation="insert", identify=None), recipients.contacts(("7", "g@x", "")))
    assert recipients.rows("select count(*) from crosstie.tie") == [(0,)]


def test_ties_that_cannot_be_kept_are_refused_when_asked_for(recipients: World) -> None:
    recipients.sql("create table pair (crm_id text, email text, primary key (crm_id, email))")
    (found,) = recipients.problems(update(into="pair", ties=True, stamps={}), recipients.contacts())
    assert found.path == ("ties",) and "primary key of several columns" in found.message

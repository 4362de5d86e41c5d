"""Both sides changed: what update data does with a row's own value, field by field; the same on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crosstie.activities.update_data import UpdateData
from crosstie.model import Column
from crosstie.workflow.activity import Scalar
from tests.contract.activities.test_update_data_batches import Killed, killing
from tests.contract.activities.world import CONTACT, LINEAGE, NOW, TEXT, World

TIE = 'select "Email", "LastName" from crosstie.tie_1 order by remote_id'


def update(**keys: Any) -> UpdateData:
    return UpdateData.model_validate(
        {
            "type": "update_data",
            "into": "recipient",
            "identify": {"Id": "crm_id"},
            "set": {"crm_id": "Id", "email": "Email", "name": "LastName"},
            "stamps": {"updated_at": "changed"},
            **keys,
        }
    )


@pytest.fixture
def tied(world: World) -> World:
    """Ann and Bob, as they were imported on the first of November."""
    instant = "timestamp with time zone" if world.db.dialect == "postgresql" else "timestamptz"
    world.sql(
        f"create table recipient (id {world.serial()}, crm_id text unique, email varchar(20), name varchar(8) unique,"
        f" changed {instant}, note text)"
    )
    world.run(update(), world.contacts(("A", "a@x", "Ann"), ("B", "b@x", "Bob")))
    world.count_writes("recipient")
    return world


def here(world: World) -> list[tuple[Any, ...]]:
    return world.rows("select email, name from recipient order by crm_id")


@pytest.mark.parametrize("policy", ["crm", "local", "newest", "reject"])
def test_a_change_of_one_side_is_no_conflict(tied: World, policy: str) -> None:
    tied.sql("update recipient set email = 'ours@x' where crm_id = 'A'")
    tied.writes()
    ended = tied.run(update(on_conflict=policy), tied.contacts(("A", "a@x", "Anna", 2), ("B", "b@x", "Bob", 2)))
    assert here(tied) == [("ours@x", "Anna"), ("b@x", "Bob")]
    assert tied.writes() == {"update": 1}
    assert tied.rows(TIE) == [("a@x", "Anna"), ("b@x", "Bob")], "what differs from it is a change of ours"
    assert (ended.counts, ended.log.lines) == ({"inserted": 0, "updated": 1, "unchanged": 1, "rejected": 0}, [])


def test_a_row_is_refused_as_a_whole_and_the_column_named(tied: World) -> None:
    tied.sql("update recipient set email = 'ours@x' where crm_id = 'A'")
    activity = update(on_conflict="reject", rejects="refused")
    ended = tied.run(activity, tied.contacts(("A", "theirs@x", "Anna", 2), ("B", "b@x", "Bobby", 2)))
    assert here(tied) == [("ours@x", "Ann"), ("b@x", "Bobby")]
    assert tied.rows(TIE) == [("a@x", "Ann"), ("b@x", "Bobby")]
    assert [(one.remote_id, one.symbol, one.field, one.value) for one in ended.rejects] == [
        ("A", "CONFLICT", "email", "theirs@x")
    ]
    assert tied.read(ended.tables["rejects"], "Id", "errorCode", "errorMessage", "errorColumn") == [
        ("A", "CONFLICT", "both sides have changed email since they last agreed on it, and not alike", "email")
    ]
    assert ended.log.texts("info") == ["1 row was refused for a conflict."]


def test_a_line_of_its_own_wins_over_the_activity(tied: World) -> None:
    tied.sql("update recipient set email = 'ours@x', name = 'Ours' where crm_id = 'A'")
    lines = {"crm_id": "Id", "email": "Email", "name": {"from": "LastName", "on_conflict": "local"}}
    ended = tied.run(update(set=lines), tied.contacts(("A", "theirs@x", "Theirs", 2)))
    assert here(tied)[0] == ("theirs@x", "Ours")
    assert tied.rows(TIE)[0] == ("theirs@x", "Theirs")
    assert ended.counts == {"inserted": 0, "updated": 1, "unchanged": 0, "rejected": 0, "conflicts": 2}
    assert ended.log.texts("info") == [
        "1 conflict: the CRM's value was taken.",
        "1 conflict: the local value was kept.",
    ]


def test_a_tie_with_a_tombstone_says_nothing_of_the_row(tied: World) -> None:
    tied.sql("update recipient set email = 'ours@x' where crm_id = 'A'")
    with tied.db.transaction("deleted on the CRM, the row left") as transaction:
        transaction.execute("update crosstie.tie_1 set tombstone = :day", {"day": NOW.replace(day=2)})
    tied.run(update(on_conflict="local"), tied.contacts(("A", "a@x", "Ann", 3)))
    assert here(tied)[0] == ("a@x", "Ann")


def test_a_column_for_new_rows_leaves_the_comparison_to_another(tied: World) -> None:
    activity = update(set={"crm_id": "Id", "note": {"from": "Email", "on": "insert"}, "email": "Email"})
    tied.run(activity, tied.contacts(("A", "a@x", "Ann", 2)))
    tied.sql("update recipient set email = 'ours@x' where crm_id = 'A'")
    tied.run(activity, tied.contacts(("A", "a@x", "Ann", 3)))
    assert here(tied)[0][0] == "ours@x"


@pytest.mark.parametrize(("local", "kept"), [("2026-11-06 07:59:59", False), ("2026-11-06 12:00:00", True)])
def test_a_moment_that_a_program_wrote_in_its_own_form_is_compared_as_a_moment(
    tied: World, local: str, kept: bool
) -> None:
    zone = "" if tied.db.dialect == "sqlite" else "+00"
    tied.sql(f"update recipient set email = 'ours@x', changed = '{local}{zone}' where crm_id = 'A'")
    tied.run(update(on_conflict="newest"), tied.contacts(("A", "theirs@x", "Ann", 6)))
    assert here(tied)[0][0] == ("ours@x" if kept else "theirs@x")


def test_only_the_row_that_is_tied_is_asked(tied: World) -> None:
    activity = update(identify={"Email": "email"}, on_conflict="local")
    tied.sql("insert into recipient (email, name) values ('c@x', 'Ours')")
    tied.run(activity, tied.contacts(("C", "c@x", "Theirs")))
    assert ("c@x", "Theirs") in here(tied), "nothing had been agreed on"
    # Once the record is tied to another row, that one's values were never agreed on.
    tied.sql("insert into recipient (email, name) values ('c@x', 'Ours')", "delete from recipient where crm_id = 'C'")
    tied.run(activity, tied.contacts(("C", "c@x", "Theirs", 2)))
    assert ("c@x", "Theirs") in here(tied)


def test_a_condition_that_does_not_hold_makes_no_conflict(tied: World) -> None:
    tied.sql("update recipient set name = 'Ours' where crm_id = 'A'")
    lines = {"crm_id": "Id", "name": {"from": "LastName", "when": "Email <> 'a@x'", "on_conflict": "reject"}}
    ended = tied.run(update(set=lines), tied.contacts(("A", "a@x", "Theirs", 2), ("B", "b@x", "Bobby", 2)))
    assert ended.counts == {"inserted": 0, "updated": 1, "unchanged": 1, "rejected": 0}
    assert tied.rows(TIE) == [("a@x", "Ann"), ("b@x", "Bobby")]


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_value_that_is_left_out_agrees_on_nothing(tied: World, empty: str | None) -> None:
    tied.sql("update recipient set email = 'ours@x' where crm_id = 'A'")
    ended = tied.run(update(empty="keep"), tied.contacts(("A", empty, "Ann", 2)))
    assert here(tied)[0][0] == "ours@x"
    assert tied.rows(TIE)[0] == ("a@x", "Ann")
    assert "conflicts" not in ended.counts


def test_what_is_computed_is_always_written(tied: World) -> None:
    lines = {"crm_id": "Id", "email": "lower(Email)"}
    tied.sql("update recipient set email = 'ours@x' where crm_id = 'A'")
    tied.run(update(set=lines), tied.contacts(("A", "A@x", "Ann", 2)))
    assert here(tied)[0][0] == "a@x"


def test_a_kept_value_gives_no_unique_value_up(tied: World) -> None:
    tied.sql("update recipient set name = 'Ours' where crm_id = 'A'")
    ended = tied.run(update(on_conflict="local"), tied.contacts(("A", "a@x", "Anna", 2), ("B", "b@x", "Ours", 2)))
    assert here(tied) == [("a@x", "Ours"), ("b@x", "Bob")]
    assert [(one.remote_id, one.symbol) for one in ended.rejects] == [("B", "NOT_UNIQUE")]
    assert tied.rows(TIE) == [("a@x", "Anna"), ("b@x", "Bob")]
    # Values that both rows take from the CRM are exchanged as ever.
    tied.run(update(), tied.contacts(("A", "a@x", "Bob", 3), ("B", "b@x", "Ours", 3)))
    assert here(tied) == [("a@x", "Bob"), ("b@x", "Ours")]


def test_the_first_of_several_rows_for_the_same_one_decides(tied: World) -> None:
    tied.sql("update recipient set email = 'ours@x' where crm_id = 'A'")
    made = tied.contacts(("A", "first@x", "Ann", 3), ("A", "second@x", "Ann", 2), key=("Id", "SystemModstamp"))
    activity = update(ignore_same_target=True, order={"highest": "SystemModstamp"})
    ended = tied.run(activity, made)
    assert here(tied)[0][0] == "first@x"
    assert (ended.counts["ignored"], ended.counts["conflicts"]) == (1, 1)


def test_batches_count_their_conflicts_together_and_so_does_a_task_that_is_resumed(tied: World) -> None:
    tied.sql("update recipient set email = 'ours@x'")
    made = tied.contacts(("A", "1@x", "Ann", 2), ("B", "2@x", "Bob", 2), ("C", "3@x", "Cho", 2))
    context = tied.context(made)
    state: dict[str, Scalar] = killing(context, 1, committed=True)
    with pytest.raises(Killed):
        update(batch=1, on_conflict="local").run(context)
    ended = tied.run(update(batch=1, on_conflict="local"), made, context=tied.context(made, state=state))
    assert here(tied) == [("ours@x", "Ann"), ("ours@x", "Bob"), ("3@x", "Cho")]
    assert ended.counts == {"inserted": 1, "updated": 0, "unchanged": 2, "rejected": 0, "conflicts": 2}
    assert ended.log.texts("info")[-1] == "2 conflicts: the local value was kept."


def test_a_value_that_only_sqlite_holds_is_left_there(tied: World) -> None:
    if tied.db.dialect == "sqlite":
        tied.sql("update recipient set name = 'longer than eight' where crm_id = 'A'")
    ended = tied.run(update(), tied.contacts(("A", "new@x", "Ann", 2)))
    assert ended.rejects == []
    assert here(tied)[0][0] == "new@x"


def test_a_field_that_was_never_agreed_on_counts_as_empty(tied: World) -> None:
    fields = (*LINEAGE.fields, ("Note", "Note__c"))
    made_of = (*CONTACT, Column(name="Note", type=TEXT))
    rows = [("A", "a@x", "Ann", NOW.replace(day=2), "theirs"), ("B", "b@x", "Bob", NOW.replace(day=2), "theirs")]
    tied.sql("update recipient set note = 'ours' where crm_id = 'A'")
    made = tied.population(made_of, rows, key=("Id",), lineage=replace(LINEAGE, fields=fields))
    ended = tied.run(update(set={"crm_id": "Id", "note": "Note"}, on_conflict="local"), made)
    assert tied.rows("select note from recipient order by crm_id") == [("ours",), ("theirs",)]
    assert ended.counts["conflicts"] == 1


@pytest.mark.parametrize(
    ("keys", "path", "words"),
    [
        (
            {"set": {"email": {"from": "lower(Email)", "on_conflict": "local"}}},
            ("set", "email", "on_conflict"),
            ("email has no agreed value", "“lower(Email)” is no remote field as it is"),
        ),
        ({"set": {"crm_id": {"from": "Id", "on_conflict": "crm"}}}, ("set", "crm_id", "on_conflict"), ("Id tells",)),
        (
            {"set": {"email": ["Email", {"from": "LastName", "on_conflict": "crm", "when": "Email is null"}]}},
            ("set", "email", 1, "on_conflict"),
            ("several lines",),
        ),
        (
            {"set": {"email": "Email", "note": {"from": "Email", "on_conflict": "local"}}},
            ("set", "note", "on_conflict"),
            ("Email is exchanged with email already",),
        ),
        (
            {"set": {"email": {"from": "Email", "on": "insert", "on_conflict": "local"}}},
            ("set", "email", "on_conflict"),
            ("only new rows take it",),
        ),
        ({"on_conflict": "local", "ties": False}, ("on_conflict",), ("no ties are kept (“ties: false”)",)),
        ({"on_conflict": "local", "operation": "insert"}, ("on_conflict",), ("changes no row",)),
        ({"on_conflict": "local", "set": {"email": "lower(Email)"}}, ("on_conflict",), ("no line of “set” takes",)),
        (
            {"on_conflict": "newest", "stamps": {}},
            ("on_conflict",),
            ("stamps: {updated_at: changed_at}", "Table recipient has changed."),
        ),
        (
            {"on_conflict": "newest", "stamps": {"updated_at": "day"}},
            ("on_conflict",),
            ("day is date, and it takes an instant",),
        ),
    ],
)
def test_what_can_decide_nothing_is_a_mistake(
    tied: World, keys: dict[str, Any], path: tuple[str | int, ...], words: tuple[str, ...]
) -> None:
    tied.sql("alter table recipient add column day date")
    (found,) = tied.problems(update(**keys), tied.contacts())
    assert found.path == path
    assert [word for word in words if word not in found.message] == [], found.message


def test_conflicts_take_rows_of_a_crm_with_their_stamp(tied: World) -> None:
    plain = tied.population(CONTACT, [], key=("Id",))
    (found,) = tied.problems(update(on_conflict="local"), plain)
    assert "the inbound rows come from no CRM" in found.message
    unstamped = tied.population(CONTACT, [], key=("Id",), lineage=replace(LINEAGE, stamp=""))
    (found,) = tied.problems(update(on_conflict="newest"), unstamped)
    assert "index: {field: SystemModstamp}" in found.message

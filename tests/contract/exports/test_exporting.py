"""What an export sends, what it remembers, and what it puts out."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from crosstie.app.journal import Journal
from crosstie.errors import ConfigError, UnavailableError
from crosstie.workflow.activity import Waiting
from crosstie.workflow.runner import RunReport
from tests.contract.exports.crm import NOW, Killed
from tests.contract.exports.world import Exports, export


def test_rows_without_id_are_created_and_updated_from_then_on(world: Exports) -> None:
    ended = world.run(export(), world.people((1, None, "Abe", "a@x"), (2, None, "Ono", None)))
    assert ended.counts == {"created": 2, "updated": 0, "unchanged": 0}
    assert world.read(ended.tables["ok"], "id", "remoteId", "done") == [
        (1, "003000000000000AAA", "created"),
        (2, "003000000000001AAA", "created"),
    ]
    assert world.ties() == [("003000000000000AAA", "1"), ("003000000000001AAA", "2")]
    world.run_number = 2
    world.crm.calls.clear()
    ended = world.run(export(), world.people((1, None, "Abe", "new@x"), (2, None, "Ono", None)))
    assert ended.counts == {"created": 0, "updated": 1, "unchanged": 1}
    assert world.crm.calls == [("update", 1)]
    assert list(world.crm.records.values()) == [
        {"LastName": "Abe", "Email": "new@x"},
        {"LastName": "Ono"},
    ]


@pytest.mark.parametrize("fault", ["killed before", "killed after"])
def test_the_plan_keeps_the_ids_of_records_that_are_to_be_made(world: Exports, fault: str) -> None:
    world.crm.chooses_ids = True
    world.crm.faults = [fault]
    people = world.people((1, None, "Abe", "a@x"), (2, None, "bad", None))
    with pytest.raises(Killed):
        world.run(export(), people)
    chosen = world.plan_rows("operation", "remote_id", "answered_id")
    assert chosen == [("insert", "ours-0", None), ("insert", "ours-1", None)]
    ended = world.run(export(), people)
    assert ended.counts == {"created": 1, "updated": 0, "unchanged": 0, "rejected": 1}
    assert world.read(ended.tables["ok"], "id", "remoteId") == [(1, "ours-0")]
    assert (list(world.crm.records), world.ties()) == (["ours-0"], [("ours-0", "1")])
    assert [one.remote_id for one in ended.rejects] == [""], "no record has the id that was chosen for it"
    assert world.plan_rows("remote_id", "answered_id") == [("ours-0", "ours-0"), ("ours-1", None)]


def test_an_export_without_change_makes_no_call(world: Exports) -> None:
    people = [(1, None, "Abe", "a@x"), (2, None, "  Ono ", None)]
    world.run(export(), world.people(*people))
    world.crm.calls.clear()
    world.run_number = 2
    ended = world.run(export(), world.people(*people))
    assert (ended.counts["unchanged"], world.crm.calls) == (2, [])


def test_only_fields_that_differ_are_sent(world: Exports) -> None:
    world.run(export(), world.people((1, None, "Abe", "a@x")))
    world.run_number = 2
    world.run(export(), world.people((1, None, "Abe", "b@x")))
    assert world.plan_rows("operation", "f_0", "f_1") == [("update", None, "b@x")]


@pytest.mark.parametrize(("null", "left"), [("leave", "a@x"), ("clear", None)])
def test_an_empty_value_leaves_a_field_or_clears_it(world: Exports, null: str, left: str | None) -> None:
    activity = export(map={"LastName": "name", "Email": {"from": "email", "null": null}})
    world.run(activity, world.people((1, None, "Abe", "a@x")))
    world.run_number = 2
    world.run(activity, world.people((1, None, "Abe", None)))
    assert [one["Email"] for one in world.crm.records.values()] == [left]
    world.crm.calls.clear()
    world.run_number = 3
    world.run(activity, world.people((1, None, "Abe", None)))
    assert world.crm.calls == [], "it says so already"


def test_a_text_too_long_is_rejected_or_cut(world: Exports) -> None:
    ended = world.run(export(), world.people((1, None, "Abracadabra", "a@x"), (2, None, "Ono", "o@x")))
    assert ended.counts == {"created": 1, "updated": 0, "unchanged": 0, "rejected": 1}
    assert world.read(ended.tables["rejects"], "id", "errorSymbol", "errorMessage", "errorField") == [
        (1, "TOO_LONG", "LastName is longer than the 10 characters of the field", "LastName")
    ]
    assert [(one.symbol, one.field, one.value) for one in ended.rejects] == [("TOO_LONG", "LastName", "Abracadabra")]
    world.run_number = 2
    activity = export(map={"LastName": {"from": "name", "too_long": "cut"}})
    ended = world.run(activity, world.people((1, None, "Abracadabra", "a@x")))
    assert ended.log.texts("warning") == ["1 values were cut to the length of LastName."]
    assert {one["LastName"] for one in world.crm.records.values()} == {"Ono", "Abracadabr"}


def test_what_is_cut_fits_by_either_way_of_counting(world: Exports) -> None:
    activity = export(map={"LastName": {"from": "name", "too_long": "cut"}})
    world.run(
        activity,
        world.people((1, None, "🎉" * 9), (2, None, "王" * 11), (3, None, "abc🎉defgh"), (4, None, "abc🎉defghi")),
    )
    assert [one["LastName"] for one in world.crm.records.values()] == [
        "🎉" * 5,
        "王" * 10,
        "abc🎉defgh",
        "abc🎉defgh",
    ]


def test_what_the_crm_refuses_is_a_reject_with_its_reason(world: Exports) -> None:
    ended = world.run(export(), world.people((1, None, "bad", "a@x"), (2, None, "Ono", "o@x")))
    assert world.read(ended.tables["rejects"], "id", "errorSymbol", "errorMessage", "errorField") == [
        (1, "CUSTOM", "bad is refused", "LastName")
    ]
    assert world.read(ended.tables["ok"], "id") == [(2,)]


def test_an_id_of_the_rows_own_is_updated(world: Exports) -> None:
    known = world.crm.insert({"LastName": "Old", "Email": "o@x"})
    ended = world.run(export(), world.people((1, known, "Abe", "a@x"), (2, "003000000000000009", "Ono", None)))
    assert (ended.counts["updated"], ended.counts["rejected"]) == (1, 1)
    assert world.crm.records[known] == {"LastName": "Abe", "Email": "a@x"}
    assert world.ties() == [(known, "1")]


def test_an_external_id_creates_or_updates(world: Exports) -> None:
    activity = export(key={"Ext__c": "code"}, map={"LastName": "name"})
    world.crm.insert({"Ext__c": "a", "LastName": "Old"})
    rows = [(1, None, "Abe", None, "a"), (2, None, "Ono", None, "b"), (3, None, "Zoë", None, None)]
    ended = world.run(activity, world.people(*rows))
    assert ended.counts == {"created": 1, "updated": 1, "unchanged": 0, "rejected": 1}
    assert [(one.symbol, one.message) for one in ended.rejects] == [
        ("KEY_MISSING", "Ext__c is empty: nothing says which record the row is")
    ]
    world.run_number = 2
    world.crm.calls.clear()
    world.run(activity, world.people(*rows[:2]))
    assert world.crm.calls == []


def test_rows_that_say_the_same_record_are_sent_once(world: Exports) -> None:
    known = world.crm.insert({"LastName": "Old"})
    ended = world.run(export(), world.people((1, known, "Abe", None), (2, known, "Ono", None)))
    assert [one.symbol for one in ended.rejects] == ["DOUBLE"]
    assert world.crm.records[known]["LastName"] == "Abe"


def test_all_of_a_row_is_sent_to_another_record_than_it_is_tied_to(world: Exports) -> None:
    world.run(export(), world.people((1, None, "Abe", "a@x")))
    other = world.crm.insert({"LastName": "Old"})
    world.run_number = 2
    world.run(export(), world.people((1, other, "Abe", "a@x")))
    assert world.crm.records[other] == {"LastName": "Abe", "Email": "a@x"}
    assert world.ties() == [(other, "1")]


def test_an_id_is_known_in_its_short_form(world: Exports) -> None:
    known = "003Aa00000Abcde"
    world.crm.records[known + "IAB"] = {"LastName": "Old"}
    world.run(export(), world.people((1, known, "Abe", None)))
    assert world.crm.records[known + "IAB"]["LastName"] == "Abe"
    world.run_number = 2
    world.crm.calls.clear()
    world.run(export(), world.people((1, known, "Abe", None)))
    assert world.crm.calls == []


def test_all_of_a_row_is_sent_under_another_external_id(world: Exports) -> None:
    activity = export(key={"Ext__c": "code"})
    world.run(activity, world.people((1, None, "Abe", "a@x", "one")))
    world.run_number = 2
    world.run(activity, world.people((1, None, "Abe", "a@x", "two")))
    assert list(world.crm.records.values())[-1] == {"Ext__c": "two", "LastName": "Abe", "Email": "a@x"}
    world.run_number = 3
    world.crm.calls.clear()
    world.run(activity, world.people((1, None, "Abe", "a@x", "two")))
    assert world.crm.calls == []


@pytest.mark.parametrize("moved", [False, True], ids=["deleted", "moved to another record"])
def test_a_record_that_is_not_the_tied_one_any_more_gets_all_of_the_row(world: Exports, moved: bool) -> None:
    activity = export(key={"Ext__c": "code"})
    world.run(activity, world.people((1, None, "Abe", "a@x", "one")))
    tied = next(iter(world.crm.records))
    if moved:
        world.crm.insert({"Ext__c": "one", "LastName": "Other", "Email": "o@x"})
    del world.crm.records[tied]
    for number in (2, 3):
        world.run_number = number
        world.run(activity, world.people((1, None, "Abraham", "a@x", "one")))
    assert list(world.crm.records.values()) == [{"Ext__c": "one", "LastName": "Abraham", "Email": "a@x"}]
    world.run_number = 4
    world.crm.calls.clear()
    world.run(activity, world.people((1, None, "Abraham", "a@x", "one")))
    assert world.crm.calls == []


def test_external_ids_that_differ_in_case_only_are_one_record(world: Exports) -> None:
    activity = export(key={"Ext__c": "code"})
    ended = world.run(activity, world.people((1, None, "Abe", None, "q1"), (2, None, "Ono", None, "Q1")))
    assert ([one.symbol for one in ended.rejects], ended.counts["created"]) == (["DOUBLE"], 1)


def test_insert_always_and_never(world: Exports) -> None:
    world.run(export(), world.people((1, None, "Abe", None)))
    world.run_number = 2
    world.run(export(insert="always"), world.people((1, None, "Abe", None)))
    assert list(world.crm.records.values()) == [{"LastName": "Abe"}, {"LastName": "Abe"}]
    world.run_number = 3
    ended = world.run(export(insert="never"), world.people((7, None, "New", None)))
    assert [one.symbol for one in ended.rejects] == ["NO_REMOTE_ID"]


def test_a_parent_is_named_by_its_external_id(world: Exports) -> None:
    activity = export(
        map={"LastName": "name", "AccountId": {"parent": "Account", "by": "ERP_Id__c", "from": "company"}}
    )
    world.run(activity, world.people((1, None, "Abe", None, None, "acme"), (2, None, "Ono", None, None, "acme")))
    assert {one["Account.ERP_Id__c"] for one in world.crm.records.values()} == {"acme"}
    assert world.plan_rows("lane") == [("acme",), ("acme",)]


@pytest.mark.parametrize(
    ("line", "wire"),
    [
        ({"parent": "Account"}, "Account:Customer"),
        ({"parent": "Account", "by": "ERP_Id__c"}, "Account:Customer.ERP_Id__c"),
    ],
)
def test_a_parent_of_which_its_id_does_not_say_what_it_is_is_named(
    world: Exports, line: dict[str, str], wire: str
) -> None:
    world.run(export(map={"Customer": {"from": "company", **line}}), world.people((1, None, "Abe", None, None, "acme")))
    assert list(world.crm.records.values()) == [{wire: "acme"}]
    assert world.plan_rows("lane") == [("acme",)]


@pytest.mark.parametrize("fault", ["not sent", "lost", "lost before"])
def test_a_lost_answer_is_looked_up_and_nothing_is_sent_twice(world: Exports, fault: str) -> None:
    world.crm.faults = [None, fault, None]
    ended = world.run(export(), world.people(*((number, None, f"N{number}", None) for number in range(8))))
    assert ended.counts == {"created": 8, "updated": 0, "unchanged": 0}
    assert sorted(str(one["LastName"]) for one in world.crm.records.values()) == [f"N{number}" for number in range(8)]


@pytest.mark.parametrize("fault", ["killed before", "killed after"])
def test_killed_while_a_shipment_is_under_way_it_is_looked_up_by_the_next_one(world: Exports, fault: str) -> None:
    people = world.people(*((number, None, f"N{number}", None) for number in range(8)))
    world.crm.faults = [None, fault]
    with pytest.raises(Killed):
        world.run(export(), people)
    ended = world.run(export(), people)
    assert ended.counts == {"created": 8, "updated": 0, "unchanged": 0}
    assert sorted(str(one["LastName"]) for one in world.crm.records.values()) == [f"N{number}" for number in range(8)]


def test_a_run_begun_anew_settles_what_the_one_before_left(world: Exports) -> None:
    rows = [(number, None, f"N{number}", None) for number in range(8)]
    world.crm.faults = [None, "killed after"]
    with pytest.raises(Killed):
        world.run(export(), world.people(*rows))
    world.run_number = 2
    ended = world.run(export(), world.people(*rows))
    assert ended.counts == {"created": 2, "updated": 0, "unchanged": 6}
    assert len(world.crm.records) == 8


def test_failures_that_last_end_the_task_and_a_retry_loop_repeats_nothing(world: Exports) -> None:
    people = world.people(*((number, None, f"N{number}", None) for number in range(8)))
    activity = export()
    world.crm.faults = [None, *["not sent"] * 50]
    with pytest.raises(UnavailableError, match="does not answer"):
        world.run(activity, people)
    world.crm.faults = []
    ended = world.run(activity, people)
    assert ended.counts["created"] == 8
    assert len(world.crm.records) == 8
    assert ended.tables["ok"] is not None
    assert ended.tables["ok"].rows == 8, "those of the first attempt were put out by nobody yet"


def test_a_row_that_is_locked_is_tried_again_and_given_up_in_the_end(world: Exports) -> None:
    first = world.crm.insert({"LastName": "Old"})
    second = world.crm.insert({"LastName": "Old"})
    world.crm.locked = {first: 2, second: 99}
    ended = world.run(export(), world.people((1, first, "Abe", None), (2, second, "Ono", None)))
    assert world.crm.records[first]["LastName"] == "Abe"
    assert [(one.remote_id, one.symbol) for one in ended.rejects] == [(second, "UNABLE_TO_LOCK_ROW")]


def test_what_nobody_can_say_is_held_back_until_a_person_decides(world: Exports) -> None:
    world.crm.opaque = True
    world.crm.faults = ["lost"]
    ended = world.run(export(), world.people((1, None, "Abe", None)))
    assert ended.counts == {"created": 0, "updated": 0, "unchanged": 0, "in doubt": 1}
    assert "in doubt" in ended.log.texts("warning")[0]
    world.run_number = 2
    ended = world.run(export(), world.people((1, None, "Abe", None), (2, None, "Ono", None)))
    assert [one.symbol for one in ended.rejects] == ["IN_DOUBT"]
    assert "crosstie journal show 1" in ended.rejects[0].message
    assert len(world.crm.records) == 2, "the one in doubt, which was created, and the new one"


def test_rejected_rows_that_come_in_again_are_planned_again(world: Exports) -> None:
    activity = export()
    world.run(activity, world.people((1, None, "bad", None), (2, None, "Ono", None)))
    ended = world.run(activity, world.people((1, None, "good", None)))
    assert world.read(ended.tables["ok"], "id", "done") == [(1, "created")]
    assert len(world.crm.records) == 2


def test_while_another_run_sends_the_same_object_it_waits(world: Exports) -> None:
    people = world.people((1, None, "Abe", None))
    with world.db.hold("shipping salesforce Contact") as held:
        assert held
        waiting = export().run(world.context(people))
    assert isinstance(waiting, Waiting)
    assert waiting.reason.startswith("Another run sends Contact records")
    assert not world.crm.records


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"map": {"LastNmae": "name"}}, "Contact has no field “LastNmae”. Did you mean “LastName”?"),
        ({"map": {"Name": "name"}}, "Name cannot be written: it is calculated"),
        ({"map": {"Id": "crm_id"}}, "Id is the key, which is not written: it stands under “key”"),
        ({"map": {"Score__c": "name"}}, "“name” is text, but Score__c of Contact holds decimal"),
        ({"key": {"Email": "email"}}, "a record of Contact is not found by “Email”."),
        ({"key": {"Id": "id"}}, "“id” is integer; a key is text. Convert it: cast(id as text)"),
        ({"map": {"LastName": {"from": "name", "parent": "Account", "by": "ERP_Id__c"}}}, "LastName is no reference"),
        (
            {"map": {"Customer": "company"}},
            "refers to Account, Contact, and an id does not tell which",
        ),
        ({"assignment": "active"}, "Contact has no assignment rules: Lead and Case have"),
        ({"key": {"Ext__c": "code"}, "insert": "always"}, "leave “insert” out"),
    ],
)
def test_mistakes_are_told_before_anything_runs(world: Exports, keys: dict[str, Any], told: str) -> None:
    messages = [one.message for one in world.problems(export(**keys), world.people((1, None, "Abe", None)))]
    assert any(told in one for one in messages), messages


def test_a_person_decides_about_rows_in_doubt(world: Exports) -> None:
    world.crm.opaque = True
    world.crm.faults = ["lost"]
    world.run(export(), world.people((1, None, "Abe", None), (2, None, "Ono", None)))
    journal = Journal(world.db, lambda: NOW, no_run, lambda account: "salesforce")
    (shown,) = journal.show(1)
    assert (shown.in_doubt, shown.totals) == (("1", "2"), {("doubt", ""): 2})
    with pytest.raises(ConfigError, match="no row 7 is in doubt"):
        journal.settle(1, ["7", "1"], {})
    known, *_ = world.crm.records
    with pytest.raises(ConfigError, match="“rubbish” is no id of a Contact record; nothing was settled"):
        journal.settle(1, [], {"1": "rubbish"})
    with pytest.raises(ConfigError, match=f"The record {known} is row 1's, not row 2's; nothing was settled"):
        journal.settle(1, [], {"1": known, "2": known})
    assert journal.settle(1, ["2"], {"1": known}) == 2
    assert world.ties() == [(known, "1")]
    assert [one[0] for one in world.plan_rows("message")] == [None, "a person has settled that it was not executed"]
    world.crm.opaque = False
    world.run_number = 2
    ended = world.run(export(), world.people((1, None, "Abe", None), (2, None, "Ono", None)))
    assert ended.counts == {"created": 1, "updated": 0, "unchanged": 1}


def test_every_row_that_was_sent_can_be_had_as_a_file(world: Exports, tmp_path: Path) -> None:
    world.run(export(), world.people((1, None, "Abe", "a,b"), (2, None, "bad", None)))
    journal = Journal(world.db, lambda: NOW, no_run, lambda account: "salesforce")
    assert journal.export(1, tmp_path / "sent.csv") == 2
    with (tmp_path / "sent.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["outcome"], first["effect"], first["Email"]) == ("accepted", "created", "a,b")
    assert (second["outcome"], second["symbol"], second["LastName"]) == ("rejected", "CUSTOM", "bad")
    with pytest.raises(ConfigError, match="Run 9 has sent nothing"):
        journal.show(9)


def no_run(workflow: str) -> RunReport:
    raise AssertionError(workflow)

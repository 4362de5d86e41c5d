"""What both sides have changed since they agreed: whose value stands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crosstie.activities.crm_export import CrmExport
from crosstie.workflow.activity import Done
from tests.contract.exports.crm import NOW
from tests.contract.exports.world import Exports, export


def agreed(world: Exports, *people: tuple[Any, ...]) -> list[str]:
    """Exports people, so that both sides agree on them; their records."""
    world.run(export(), world.people(*people))
    world.run_number += 1
    world.crm.calls.clear()
    return [remote_id for remote_id, _ in world.ties()]


@pytest.mark.parametrize(
    ("policy", "mail", "calls"),
    [("local", "ours@x", 1), ("crm", "theirs@x", 0), ("reject", "theirs@x", 0)],
)
def test_the_policy_decides(world: Exports, policy: str, mail: str, calls: int) -> None:
    (record,) = agreed(world, (1, None, "Abe", "a@x"))
    world.crm.records[record]["Email"] = "theirs@x"
    ended = world.run(export(on_conflict=policy), world.people((1, None, "Abe", "ours@x")))
    assert (world.crm.records[record]["Email"], len(world.crm.calls)) == (mail, calls)
    if policy == "reject":
        ((symbol, message, field),) = [(one.symbol, one.message, one.field) for one in ended.rejects]
        assert (symbol, field) == ("CONFLICT", "Email")
        assert message == f"both sides have changed Email of the record {record}"
    if policy == "crm":
        assert ended.counts["unchanged"] == 1
        assert "1 records keep the CRM's value in a field that both sides have changed." in ended.log.texts("info")


def test_what_moves_between_the_look_and_the_write_is_looked_at_anew(world: Exports) -> None:
    (record,) = agreed(world, (1, None, "Abe", "a@x"))
    world.crm.versioned = True
    world.crm.meanwhile = lambda: world.crm.records[record].update(Email="theirs@x")
    ended = world.run(export(on_conflict="crm"), world.people((1, None, "Ono", "ours@x")))
    assert world.crm.records[record] == {"LastName": "Ono", "Email": "theirs@x"}
    assert (ended.counts["updated"], world.crm.calls, world.crm.reads) == (1, [("update", 1)] * 2, 2)


@pytest.mark.parametrize(("ahead", "mail"), [(1, "ours@x"), (-1, "theirs@x"), (0, "theirs@x"), (None, "theirs@x")])
def test_the_newest_value_stands(world: Exports, ahead: int | None, mail: str) -> None:
    (record,) = agreed(world, (1, None, "Abe", "a@x"))
    world.crm.records[record]["Email"] = "theirs@x"
    world.crm.stamp = NOW
    changed = "null" if ahead is None else f"cast('{(NOW + timedelta(hours=ahead)).isoformat()}' as instant)"
    activity = export(on_conflict="newest", changed_at=f"coalesce({changed}, cast(null as instant))")
    world.run(activity, world.people((1, None, "Abe", "ours@x")))
    assert world.crm.records[record]["Email"] == mail


def test_a_line_has_its_own_policy_and_other_fields_are_sent(world: Exports) -> None:
    (record,) = agreed(world, (1, None, "Abe", "a@x"))
    world.crm.records[record].update({"Email": "theirs@x", "LastName": "Theirs"})
    activity = export(on_conflict="crm", map={"LastName": {"from": "name", "on_conflict": "local"}, "Email": "email"})
    ended = world.run(activity, world.people((1, None, "Ours", "ours@x")))
    assert world.crm.records[record] == {"LastName": "Ours", "Email": "theirs@x"}
    assert ended.counts["updated"] == 1


def test_what_only_one_side_has_changed_is_no_conflict(world: Exports) -> None:
    first, second = agreed(world, (1, None, "Abe", "a@x"), (2, None, "Ono", "o@x"))
    world.crm.records[first]["LastName"] = "Theirs"
    ended = world.run(export(on_conflict="reject"), world.people((1, None, "Abe", "ours@x"), (2, None, "Ono", "n@x")))
    assert ended.counts == {"created": 0, "updated": 2, "unchanged": 0}
    assert world.crm.records[first] == {"LastName": "Theirs", "Email": "ours@x"}
    assert world.crm.records[second]["Email"] == "n@x"


def test_what_both_sides_have_changed_alike_is_not_written_and_agreed_on(world: Exports) -> None:
    (record,) = agreed(world, (1, None, "Abe", "a@x"))
    world.crm.records[record]["Email"] = "same@x"
    for _ in range(2):
        ended = world.run(export(on_conflict="reject"), world.people((1, None, "Abe", "same@x")))
        assert (ended.counts["unchanged"], world.crm.calls) == (1, [])
        world.run_number += 1
    assert world.crm.reads == 1, "from then on both sides agree, and nothing is read"


def test_without_an_agreement_nothing_is_a_conflict(world: Exports) -> None:
    known = world.crm.insert({"LastName": "Old", "Email": "old@x"})
    world.run(export(on_conflict="reject"), world.people((1, known, "Abe", "a@x")))
    assert world.crm.records[known] == {"LastName": "Abe", "Email": "a@x"}


def test_local_costs_no_read(world: Exports) -> None:
    agreed(world, (1, None, "Abe", "a@x"))
    world.run(export(), world.people((1, None, "Abe", "b@x")))
    assert world.crm.reads == 0


def test_an_upsert_is_looked_at_by_its_key(world: Exports) -> None:
    activity = export(key={"Ext__c": "code"}, on_conflict="crm")
    world.run(activity, world.people((1, None, "Abe", "a@x", "one")))
    (record,) = world.crm.records
    world.crm.records[record]["Email"] = "theirs@x"
    world.run_number += 1
    world.run(activity, world.people((1, None, "Abe", "ours@x", "one")))
    assert world.crm.records[record]["Email"] == "theirs@x"


def test_newest_needs_to_know_when(world: Exports) -> None:
    messages = [one.message for one in world.problems(export(on_conflict="newest"), world.people((1, None, "Abe")))]
    assert messages == ["“newest” has to know when the local row was changed: say it under “changed_at”, an instant"]


def plan(world: Exports, activity: CrmExport, *people: tuple[Any, ...]) -> Done:
    """The activity in a run that only plans."""
    context = world.context(world.people(*people))
    context.planning = True
    done = activity.run(context)
    assert isinstance(done, Done)
    return done


def carry_out(world: Exports, activity: CrmExport, *people: tuple[Any, ...]) -> Any:
    """The same run, which carries its plan out."""
    return world.run(activity, world.people(*people))


def test_a_plan_sends_nothing_and_is_then_carried_out_exactly(world: Exports) -> None:
    (record,) = agreed(world, (1, None, "Abe", "a@x"))
    rows = [(1, None, "Abe", "b@x"), (2, None, "New", None), (3, None, "Abracadabra", None)]
    done = plan(world, export(), *rows)
    assert done.counts == {"create": 1, "update": 1, "rejected": 1}
    assert (world.crm.calls, dict(done.tables)) == ([], {})
    assert world.plan_rows("f_0", "f_1", "b_1") == [
        (None, "b@x", "a@x"),
        ("New", None, None),
        ("Abracadabra", None, None),
    ]
    ended = carry_out(world, export(), *rows)
    assert ended.counts == {"created": 1, "updated": 1, "unchanged": 0, "rejected": 1}
    assert world.crm.records[record]["Email"] == "b@x"


def test_what_moved_since_the_plan_was_shown_is_named_and_not_overwritten(world: Exports) -> None:
    first, second = agreed(world, (1, None, "Abe", "a@x"), (2, None, "Ono", "o@x"))
    gone = world.crm.insert({"LastName": "Gone"})
    rows = [(1, None, "Abe", "b@x"), (2, None, "Ono", "p@x"), (3, gone, "Name", None)]
    plan(world, export(), *rows)
    world.crm.records[first]["Email"] = "theirs@x"
    world.crm.records[second]["LastName"] = "Theirs"
    del world.crm.records[gone]
    ended = carry_out(world, export(), *rows)
    assert [(one.symbol, one.remote_id, one.message) for one in ended.rejects] == [
        ("MOVED", first, f"the record {first} was changed since the plan was shown: Email"),
        ("MOVED", gone, "the record is gone"),
    ]
    assert world.crm.records[first]["Email"] == "theirs@x"
    assert world.crm.records[second] == {"LastName": "Theirs", "Email": "p@x"}, "another field moved: no harm is done"


def test_another_record_that_says_what_is_sent_is_not_taken_to_say_the_rest(world: Exports) -> None:
    activity = export(key={"Ext__c": "code"}, on_conflict="reject")
    world.run(activity, world.people((1, None, "Abe", "a@x", "one")))
    (tied,) = world.crm.records
    other = world.crm.insert({"Ext__c": "one", "LastName": "Abel", "Email": "theirs@x"})
    del world.crm.records[tied]
    world.run_number = 2
    assert world.run(activity, world.people((1, None, "Abel", "a@x", "one"))).counts["unchanged"] == 1
    world.run_number = 3
    ended = world.run(activity, world.people((1, None, "Abel", "a@x", "one")))
    assert [one.message for one in ended.rejects] == [f"both sides have changed Email of the record {other}"]


def test_a_plan_says_of_which_updates_the_record_is_gone(world: Exports) -> None:
    first, _ = agreed(world, (1, None, "Abe", "a@x"), (2, None, "Ono", "o@x"))
    del world.crm.records[first]
    done = plan(world, export(), (1, None, "Abe", "b@x"), (2, None, "Ono", "p@x"), (3, None, "New", None))
    assert done.counts == {"create": 1, "update": 1, "gone": 1}


def test_a_record_that_was_made_since_is_named(world: Exports) -> None:
    activity = export(key={"Ext__c": "code"})
    rows = [(1, None, "Abe", None, "one"), (2, None, "Ono", None, "two")]
    assert plan(world, activity, *rows).counts == {"create": 2}
    world.crm.insert({"Ext__c": "one", "LastName": "Theirs"})
    ended = carry_out(world, activity, *rows)
    assert [(one.symbol, one.message) for one in ended.rejects] == [
        ("MOVED", "the record was made since the plan was shown")
    ]
    assert sorted(str(one["LastName"]) for one in world.crm.records.values()) == ["Ono", "Theirs"]


def test_rows_that_come_in_by_a_second_branch_are_looked_at_too(world: Exports) -> None:
    first, second = agreed(world, (1, None, "Abe", "a@x"), (2, None, "Ono", "o@x"))
    plan(world, export(), (1, None, "Abe", "b@x"))
    world.crm.records[second]["Email"] = "theirs@x"
    plan(world, export(), (2, None, "Ono", "p@x"))
    assert world.plan_rows("remote_id", "f_1", "b_1") == [(first, "b@x", "a@x"), (second, "p@x", "theirs@x")]


def test_what_the_record_says_already_is_left_alone(world: Exports) -> None:
    known = world.crm.insert({"LastName": "Abe", "Email": "a@x"})
    assert plan(world, export(), (1, known, "Abe", "a@x")).counts == {"unchanged": 1}


def test_a_row_that_was_created_since_the_plan_was_shown_is_named(world: Exports) -> None:
    rows = [(1, None, "Abe", None), (2, None, "Ono", None)]
    plan(world, export(), *rows)
    world.run_number = 2
    world.run(export(), world.people(rows[0]))
    world.run_number = 1
    ended = carry_out(world, export(), *rows)
    assert [(one.symbol, one.message) for one in ended.rejects] == [
        ("MOVED", "a record was created for the row since it was planned")
    ]
    assert sorted(str(one["LastName"]) for one in world.crm.records.values()) == ["Abe", "Ono"]

"""What is known of rows whose answers were lost, and who may settle them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crosstie.errors import ConfigError, UnavailableError
from crosstie.workflow.activity import Waiting
from tests.contract.exports.crm import Killed
from tests.contract.exports.world import Exports, export


def test_only_rows_without_an_answer_are_looked_up(world: Exports) -> None:
    world.crm.faults = ["half lost"]
    ended = world.run(export(), world.people((1, None, "Abe"), (2, None, "Ono"), (3, None, "Zoë")))
    assert ended.counts == {"created": 3, "updated": 0, "unchanged": 0}
    assert world.crm.looked_up == [2, 3], "another may have changed the first one meanwhile: that is no conflict"


def test_what_was_refused_for_now_and_then_lost_is_looked_up(world: Exports) -> None:
    known = world.crm.insert({"LastName": "Old"})
    world.crm.locked = {known: 1}
    world.crm.faults = [None, "killed after"]
    with pytest.raises(Killed):
        world.run(export(), world.people((1, known, "Abe")))
    ended = world.run(export(), world.people((1, known, "Abe")))
    assert (ended.counts["updated"], world.crm.looked_up) == (1, [1])


def test_calls_that_fail_as_a_whole_are_no_tries_of_their_rows(world: Exports) -> None:
    world.crm.faults = ["not sent"] * 6
    ended = world.run(export(), world.people((1, None, "Abe"), (2, None, "Ono")))
    assert ended.counts == {"created": 2, "updated": 0, "unchanged": 0}


def test_what_was_sent_to_another_org_is_not_settled_in_this_one(world: Exports) -> None:
    people = world.people((1, None, "Abe"), dimension="")
    world.crm.faults = ["killed after"]
    with pytest.raises(Killed):
        world.run(export(), people)
    world.crm.org = "00D2"
    with pytest.raises(ConfigError, match="planned for the org 00D1, but account salesforce now leads to the org 00D2"):
        world.run(export(), people)
    world.run_number = 2
    world.run(export(), people)
    assert world.crm.looked_up == []
    world.crm.org = "00D1"
    world.run_number = 3
    world.run(export(), people)
    assert world.crm.looked_up == [1]


def test_what_another_run_was_making_is_waited_for_before_it_is_made_under_another_id(world: Exports) -> None:
    world.crm.chooses_ids = True
    world.crm.finishing = timedelta(minutes=3)
    world.crm.faults = ["killed before"]
    people = world.people((1, None, "Abe"))
    with pytest.raises(Killed):
        world.run(export(), people)
    world.run_number = 2
    world.crm.clock += timedelta(minutes=2)
    waiting = export().run(world.context(people))
    assert isinstance(waiting, Waiting)
    assert (waiting.reason, world.crm.looked_up) == (
        "The CRM may still be at work on Contact records that an interrupted run has sent.",
        [],
    )
    (chosen,) = world.plan_rows("remote_id")
    world.crm.insert({"LastName": "Abe"}, chosen[0])
    world.crm.clock += timedelta(minutes=2)
    assert world.run(export(), people).counts["unchanged"] == 1
    assert world.ties() == [(chosen[0], "1")]


def test_rows_of_no_table_are_held_back_in_their_own_activity_only(world: Exports) -> None:
    world.crm.opaque = True
    world.crm.faults = ["lost"]
    people = world.people((1, None, "Abe"), dimension="")
    world.run(export(), people)
    world.crm.opaque = False
    world.run_number = 2
    context = world.context(people)
    context.activity = "another"
    assert world.run(export(), people, context=context).counts["created"] == 1
    assert [one.symbol for one in world.run(export(), people).rejects] == ["IN_DOUBT"]


def test_a_job_that_never_ran_is_sent_again_although_looking_it_up_tells_a_failure(world: Exports) -> None:
    world.crm.faults = ["killed before"]
    people = world.people((1, None, "Abe"))
    with pytest.raises(Killed):
        world.run(export(), people)
    world.crm.faults = ["never ran"]
    assert world.run(export(), people).counts["created"] == 1


def test_what_another_run_created_meanwhile_is_not_created_again(world: Exports) -> None:
    people = world.people((1, None, "Abe"), (2, None, "Ono"))
    world.crm.faults = ["not sent"] * 50
    with pytest.raises(UnavailableError):
        world.run(export(), people)
    world.crm.faults = []
    world.run_number = 2
    world.run(export(), world.people((1, None, "Abe")))
    world.run_number = 1
    ended = world.run(export(), people)
    assert [(one.symbol, one.row_key) for one in ended.rejects] == [("MOVED", "1")]
    assert sorted(str(one["LastName"]) for one in world.crm.records.values()) == ["Abe", "Ono"]

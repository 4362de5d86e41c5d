"""Deleting records of the CRM."""

from __future__ import annotations

from typing import Any

import pytest

from crosstie.activities.crm_delete import CrmDelete
from crosstie.workflow.activity import Done
from tests.contract.exports.crm import Killed
from tests.contract.exports.world import Exports, export


def delete(**keys: Any) -> CrmDelete:
    given = {"type": "crm_delete", "account": "salesforce", "object": "Contact", "ids": "crm_id", "rejects": "refused"}
    return CrmDelete.model_validate(given | keys)


def test_records_are_deleted_and_what_was_gone_before_counts_as_done(world: Exports) -> None:
    known = world.crm.insert({"LastName": "Abe"})
    other = world.crm.insert({"LastName": "Stays"})
    rows = world.people((1, known, "Abe"), (2, "003000000000000009", "Gone"), (3, None, "None"))
    ended = world.run(delete(), rows)
    assert ended.counts == {"deleted": 1, "gone": 1, "rejected": 1}
    assert world.read(ended.tables["ok"], "id", "done") == [(1, "deleted"), (2, "gone")]
    assert [(one.symbol, one.message) for one in ended.rejects] == [("NO_REMOTE_ID", "the row has no remote id")]
    assert list(world.crm.records) == [other]


def test_the_tie_of_a_deleted_record_leads_nowhere(world: Exports) -> None:
    world.run(export(), world.people((1, None, "Abe"), (2, None, "Ono")))
    (first, _), second = world.ties()
    world.run_number = 2
    world.run(delete(), world.people((1, first, "Abe")))
    assert world.ties() == [second]
    world.run_number = 3
    ended = world.run(export(), world.people((1, None, "Abe"), (2, None, "Ono")))
    assert ended.counts == {"created": 1, "updated": 0, "unchanged": 1}, "it is a new record from then on"


def test_killed_and_begun_again_it_deletes_the_rest(world: Exports) -> None:
    ids = [world.crm.insert({"LastName": "Abe"}) for _ in range(7)]
    rows = world.people(*((number, one, "x") for number, one in enumerate(ids)))
    world.crm.faults = [None, "killed after"]
    with pytest.raises(Killed):
        world.run(delete(), rows)
    ended = world.run(delete(), rows)
    assert (ended.counts["deleted"], world.crm.records) == (7, {})


def test_a_plan_says_what_would_be_deleted(world: Exports) -> None:
    known = world.crm.insert({"LastName": "Abe"})
    rows = world.people((1, known, "Abe"), (2, None, "None"))
    context = world.context(rows)
    context.planning = True
    done = delete().run(context)
    assert isinstance(done, Done)
    assert (done.counts, dict(done.tables), list(world.crm.records)) == ({"delete": 1, "rejected": 1}, {}, [known])
    assert world.run(delete(), rows).counts == {"deleted": 1, "gone": 0, "rejected": 1}
    assert world.crm.records == {}


def test_mistakes_are_told(world: Exports) -> None:
    messages = [one.message for one in world.problems(delete(ids="id"), world.people((1, None, "Abe")))]
    assert messages == ["“id” is integer; remote ids are text"]
    messages = [one.message for one in world.problems(delete(hard=True, batches="off"), world.people((1, None, "Abe")))]
    assert messages == ["past the recycle bin records are deleted by bulk jobs only"]

"""An update in batches under the runner: a run that fails goes on after the batches that it has written."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from crosstie.activities import ACTIVITIES
from crosstie.errors import TaskError, UnavailableError
from crosstie.workflow.definition import read_definition
from crosstie.workflow.runner import RunReport, Surroundings, run_workflow
from crosstie.workflow.state import RunStatus
from crosstie.workflow.watcher import Silent
from tests.contract.activities.world import NOW, World
from tests.contract.workflow.test_dispatch import HandClock, apply, no_connector

WORKFLOW = """
workflow: flow
activities:
  things: {type: query, from: source, add: {name: name}}
  write:
    type: update_data
    into: target
    identify: {number: number}
    stamps: {updated_by: writer}
    batch: 2
    outcome: true
    rejects: refused
    next: done
  refused: {type: update_data, into: refused, operation: insert, next: done}
  done: {type: end}
"""


class Stumbling(Silent):
    """Fails when so many rows of the update are told."""

    def __init__(self, at: int) -> None:
        self.at = at

    def rows(self, activity: str, rows: int, expected: int | None, calls: int) -> None:
        if activity == "write" and rows == self.at:
            self.at = 0
            raise UnavailableError("the line was cut", code="CUT")


LOOP = """
workflow: flow
activities:
  things: {type: query, from: source, add: {name: name}}
  write:
    type: update_data
    into: target
    operation: insert
    set: {number: id, name: name}
    batch: 2
    errors: again
    next: done
  again: {type: jump, to: write}
  done: {type: end}
"""


def run(world: World, *, stumble_at: int = 0, text: str = WORKFLOW) -> RunReport:
    definition = read_definition("flow.yaml", text, ACTIVITIES, world.site)
    around = Surroundings(
        db=world.db,
        site=world.site,
        clock=HandClock(NOW + timedelta(minutes=stumble_at)),
        connect=no_connector,
        watcher=Stumbling(stumble_at) if stumble_at else Silent(),
        zone=ZoneInfo("UTC"),
    )
    return run_workflow(around, definition, 1)


def test_a_run_goes_on_after_the_batches_that_were_written(world: World) -> None:
    world.sql(
        "create table source (number integer primary key, name text)",
        "insert into source values (1, 'a'), (2, 'too long'), (3, 'c'), (4, 'd'), (5, 'e'), (6, null), (7, 'g')",
        "create table target (number integer primary key, name varchar(3) not null, writer text)",
        "insert into target values (3, 'old', 'hand'), (4, 'd', 'hand')",
        "create table refused (number integer, errorCode text)",
    )
    apply(world.db)
    world.count_writes("target")
    for at in (2, 6):
        with pytest.raises(TaskError, match="the line was cut"):
            run(world, stumble_at=at)
    assert world.rows("select number from target order by number") == [(1,), (3,), (4,), (5,)]
    report = run(world)
    assert report.status is RunStatus.DONE and report.resumed
    assert world.rows("select number, name, writer from target order by number") == [
        (1, "a", "flow"),
        (3, "c", "flow"),
        (4, "d", "hand"),
        (5, "e", "flow"),
        (7, "g", "flow"),
    ]
    assert world.writes() == {"insert": 3, "update": 1}
    assert world.rows("select number, errorCode from refused order by number") == [(2, "TOO_LONG"), (6, "NOT_NULL")]
    assert report.counts["write"] == {"inserted": 3, "updated": 1, "unchanged": 1, "rejected": 2}
    assert report.rejects == 2
    assert not [
        name for name in world.db.work_tables() if "_batches" in name and not name.endswith(("_refused", "_outcome"))
    ]


def test_a_loop_that_tries_again_goes_on_after_the_batches_that_were_written(world: World) -> None:
    world.sql(
        "create table source (id integer primary key, name text)",
        "insert into source values (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e')",
        f"create table target (pk {world.serial()}, number integer, name text)",
    )
    apply(world.db)
    report = run(world, stumble_at=4, text=LOOP)
    assert report.status is RunStatus.DONE
    assert report.counts["write"]["inserted"] == 5
    assert world.rows("select number from target order by number") == [(1,), (2,), (3,), (4,), (5,)]

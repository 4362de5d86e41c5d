"""Imports of deletions over every connector, on both databases: rows here go with their records, whatever fails."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from crosstie.db.database import Database
from crosstie.errors import BrakeError, TaskError
from crosstie.workflow.runner import RunReport
from tests.contract.every_connector.test_importing import Imports, Killed, KindTables
from tests.contract.every_connector.worlds import BELIEVED, World
from tests.contract.imports.world import ACCOUNT, HandClock, flow

pytestmark = BELIEVED
OPTION = "LASTDELETED_away_gone"


@pytest.fixture
def tabled(world: World, contact: Any, database: Database) -> Iterator[Imports]:
    """A world with a table of people, who are the contacts whose names begin with “Away”."""
    at = world.sandbox.now()
    site = KindTables({contact.name: contact}, world.kind, database)
    running = Imports(db=database, sandbox=world.sandbox, site=site, clock=HandClock(at), world=world)
    running.execute("create table person (crm_id varchar(40) primary key, name varchar(120), active boolean)")
    yield running
    world.delete([one for (one,) in running.query("select crm_id from person where active")])


def write(world: World, operation: str) -> dict[str, Any]:
    """The activity that deletes people by what was deleted, or marks them, or writes those who were imported."""
    roles, update = world.roles, {"type": "update_data", "into": "person", "identify": {world.roles.key: "crm_id"}}
    values = {"delete": None, "mark": {"active": "false"}}
    if operation == "delete":
        return {**update, "operation": "delete"}
    chosen = values.get(operation) or {"crm_id": roles.key, "name": roles.last_name, "active": "true"}
    return {**update, "set": chosen, **({"operation": "update"} if operation == "mark" else {})}


def tied(running: Imports, world: World, count: int) -> list[str]:
    """New contacts, imported into the table of people."""
    ids = world.insert([f"Away {number}" for number in range(count)])
    running.advance(minutes=10)
    where = {"all": [{"field": world.roles.last_name, "is": "starts with", "value": "'Away '"}]}
    read = {"object": world.roles.contact, "index": True, "fields": [world.roles.last_name], "filter": where}
    running.run(flow({**read, "road": "pages", "next": "write"}, more={"write": write(world, "write")}))
    running.advance(minutes=1)
    return ids


def away(
    running: Imports, world: World, read: Mapping[str, object], *, restart: bool = False, **more: Any
) -> RunReport:
    """A run whose activity `gone` imports deleted contacts."""
    gone = {"type": "crm_import_deleted", "account": ACCOUNT, "object": world.roles.contact, **read}
    return running.run(json.dumps({"workflow": "away", "activities": {"gone": gone, **more}}), restart=restart)


def people(running: Imports) -> dict[str, bool]:
    """Who is there, and who of them is active."""
    return {one: bool(active) for one, active in running.query("select crm_id, active from person")}


def buried(running: Imports, ids: list[str]) -> set[str]:
    """Those of them that a tombstone stands for."""
    found = running.query("select remote_id from crosstie.tie_1 where tombstone is not null and local_key = ''")
    return {row[0] for row in found}.intersection(ids)


def test_rows_are_marked_or_go_with_their_records_once_what_failed_is_told_again(tabled: Imports, world: World) -> None:
    ids = tied(tabled, world, 3)
    world.delete(ids[:1])
    tabled.advance(minutes=40)
    failing: dict[str, Any] = {"fail": {"type": "sql_code", "code": "insert into nowhere values (1)"}}
    with pytest.raises(TaskError):
        away(tabled, world, {"index": True}, **failing)
    assert tabled.option(OPTION) is None
    report = away(tabled, world, {"index": True}, restart=True, write=write(world, "mark"))
    assert (report.counts["write"]["updated"], report.counts["write"]["rejected"]) == (1, 0)
    assert people(tabled) == {ids[0]: False, ids[1]: True, ids[2]: True}
    assert buried(tabled, ids) == {ids[0]}
    world.delete(ids[1:2])
    tabled.advance(minutes=40)
    report = away(tabled, world, {"index": True}, write=write(world, "delete"))
    assert report.counts["write"]["deleted"] == 1
    assert set(people(tabled)) == {ids[0], ids[2]}
    assert away(tabled, world, {"index": True}).counts["gone"]["rows"] == 0


def test_killed_and_begun_again_it_has_the_same_end(tabled: Imports, world: World) -> None:
    before, after = world.insert(["Gone before", "Gone after"])
    dates = {"start": f"{tabled.advance(minutes=1):%Y-%m-%d %H:%M}"}
    world.delete([before])
    tabled.advance(minutes=40)

    def kill(rows: int) -> None:
        tabled.watcher.on_rows = lambda rows: None
        raise Killed

    tabled.watcher.on_rows = kill
    with pytest.raises(Killed):
        away(tabled, world, dates)
    tabled.advance(minutes=1)
    world.delete([after])
    tabled.advance(minutes=40)
    found = [{row[world.roles.key] for row in tabled.rows(away(tabled, world, dates), "gone")} for _ in range(2)]
    assert found == [{before}, {before, after}]


def test_a_comparison_finds_what_is_gone_and_the_brake_stops_one_that_finds_too_many(
    tabled: Imports, world: World
) -> None:
    ids = tied(tabled, world, 102)
    world.delete(ids[:1])
    assert away(tabled, world, {"by": "compare"}, write=write(world, "delete")).counts["write"]["deleted"] == 1
    world.delete(ids[1:])
    with pytest.raises(TaskError, match=f"101 of 101 tied {world.roles.contact} records are no longer shown") as caught:
        away(tabled, world, {"by": "compare"}, write=write(world, "delete"))
    assert isinstance(caught.value.cause, BrakeError)
    assert len(people(tabled)) == 101
    away(tabled, world, {"by": "compare", "brake": 100}, restart=True, write=write(world, "delete"))
    assert people(tabled) == {}

"""Imports by change tracking: everything once, then what changed, and a token that moves with what it was read for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crosstie.app.reconciling.subject import find_subject
from crosstie.crm.connector import Changes
from crosstie.crm.dynamics.connector import DynamicsConnector
from crosstie.errors import ConfigError, DefinitionError, TaskError
from crosstie.workflow import state
from crosstie.workflow.definition import read_definition
from crosstie.workflow.runner import RunReport
from tests.contract.every_connector.test_importing import Imports, KindSite, KindTables
from tests.contract.every_connector.worlds import World
from tests.contract.imports.world import ACCOUNT, CATALOGUE, Hooked, flow

TRACKED: dict[str, Any] = {"object": "contact", "index": {"by": "tracking"}, "fields": ["lastname"]}
FILTERED = {
    "fields": ["lastname", "account:parentcustomerid.name"],
    "filter": {"all": [{"field": "lastname", "is": "starts with", "value": "'Tracked'"}]},
}


class Killed(BaseException):
    """The end of the process."""


def read(running: Imports, **more: object) -> RunReport:
    """One run of the import."""
    return running.run(flow({**TRACKED, **more}))


def names(running: Imports, report: RunReport, transition: str = "ok") -> list[str]:
    """The last names that a run put out."""
    return sorted(row["lastname"] for row in running.rows(report, transition=transition))


def said(running: Imports, report: RunReport) -> str:
    """The log of a run."""
    return " ".join(one.text for one in running.log(report))


def test_everything_once_then_what_changed_for_a_call(running: Imports, world: World) -> None:
    ids = world.insert(["Tracked 1", "Tracked 2"])
    assert {"Tracked 1", "Tracked 2"} < set(names(running, read(running)))
    running.advance(minutes=2)
    world.sandbox.counters(reset=True)
    assert names(running, read(running)) == []
    asked = {kind for kind, calls in world.sandbox.counters()["requests"].items() if calls}
    assert "query" not in asked
    assert world.sandbox.counters()["requests"]["changes"] == 1
    assert running.window().rows == 0
    changed = world.sandbox.change_contacts(3)
    world.delete(ids)
    running.advance(minutes=2)
    report = read(running)
    assert sorted(row["contactid"] for row in running.rows(report)) == sorted(changed)
    assert "2 contact records were deleted" in said(running, report)
    assert names(running, read(running)) == []


def test_filters_and_parents_mean_what_they_mean_by_stamps(running: Imports, world: World) -> None:
    read(running, **FILTERED)
    found = world.sandbox.insert("account", [{"name": "Tracked Ltd"}])
    lead = {"parentcustomerid_account@odata.bind": f"/accounts({found[0]})"}
    ids = world.sandbox.insert("contact", [{"lastname": "Tracked in", **lead}, {"lastname": "Left out"}])
    (row,) = running.rows(read(running, **FILTERED))
    assert (row["lastname"], row["account_parentcustomerid_name"]) == ("Tracked in", "Tracked Ltd")
    world.delete(ids)


def test_what_was_deleted_is_handed_on_and_takes_its_rows_along(running: Imports, world: World) -> None:
    running.execute("create table reader (crm_id varchar(36) primary key, name varchar(80))")
    ids = world.insert(["Tracked gone", "Tracked stays"])
    matched = {"identify": {"contactid": "crm_id"}, "into": "reader"}
    write = {"type": "update_data", **matched, "set": {"crm_id": "contactid", "name": "lastname"}}
    forget = {"type": "update_data", **matched, "operation": "delete"}

    def run() -> set[str]:
        text = json.loads(flow({**TRACKED, **FILTERED, "deleted": "forget"}))
        text["activities"]["read"]["next"] = "write"
        text["activities"] |= {"write": write, "done": {"type": "end"}, "forget": forget}
        running.site = KindTables(running.site.objects, world.kind, running.db)
        running.run(json.dumps(text))
        return {row[0] for row in running.query("select name from reader")}

    assert run() == {"Tracked gone", "Tracked stays"}
    world.delete(ids[:1])
    assert run() == {"Tracked stays"}
    world.delete(ids[1:])
    assert run() == set()


def test_a_run_that_failed_moves_no_token(running: Imports, world: World) -> None:
    read(running)
    before = running.option()
    ids = world.insert(["Tracked late"])
    running.advance(minutes=2)
    broken = {"fail": {"type": "sql_code", "code": "insert into nowhere values (1)"}}
    with pytest.raises(TaskError):
        running.run(flow(TRACKED, more=broken))
    assert running.option() == before
    with pytest.raises(TaskError):
        running.run(flow(TRACKED, more=broken), restart=True)
    running.advance(minutes=2)
    assert names(running, running.run(flow(TRACKED), restart=True)) == ["Tracked late"]
    assert running.option() != before
    world.delete(ids)


def test_an_import_that_was_killed_asks_for_the_same_changes(running: Imports, world: World) -> None:
    read(running)
    ids = world.insert(["Tracked again"])

    def die(loaded: int) -> None:
        running.watcher.on_rows = lambda loaded: None
        raise Killed

    running.watcher = Hooked(on_rows=die)
    with pytest.raises(Killed):
        read(running)
    assert names(running, read(running)) == ["Tracked again"]
    assert names(running, read(running)) == []
    world.delete(ids)


def test_a_token_that_has_run_out_reads_everything_and_says_so(running: Imports, world: World) -> None:
    everything = names(running, read(running))
    running.advance(days=40)
    report = read(running)
    assert names(running, report) == everything
    assert "no longer has the changes of contact" in said(running, report)
    assert names(running, read(running)) == []


def test_an_option_that_was_set_by_hand_has_no_token_and_reads_everything(running: Imports) -> None:
    everything = names(running, read(running))
    for text in ("2020/01/01 00:00:00", ""):
        running.set_option(text)
        report = read(running)
        assert names(running, report) == everything
        assert ("There is no token" in said(running, report)) is bool(text)
    assert names(running, read(running)) == []


def test_a_refused_row_is_asked_for_until_it_is_accepted(running: Imports, world: World) -> None:
    running.site = KindSite({"new_everything": world.open().describe("new_everything")}, world.kind)
    dear = {"object": "new_everything", "fields": ["new_name", "new_price"]}
    read(running, **dear)
    ids = world.sandbox.insert("new_everything", [{"new_name": "Dear", "new_price": 922337203685476.25}])
    for counted in ("rejected", "still refused"):
        report = read(running, **dear)
        assert running.rows(report) == []
        assert counts(running, report)[counted] == 1
    world.sandbox.control("set_stamp", object="new_everything", ids=ids, values={"new_price": "1.0000"})
    assert [row["new_name"] for row in running.rows(read(running, **dear))] == ["Dear"]
    assert running.rows(read(running, **dear)) == []
    world.sandbox.control("delete", object="new_everything", ids=ids)


def counts(running: Imports, report: RunReport) -> dict[str, int]:
    """What the import counted."""
    with running.db.reading() as transaction:
        (task,) = (one for one in state.tasks(transaction, report.run) if one.activity == "read")
    return dict(task.counts)


def test_nothing_is_read_while_what_we_sent_has_no_answer(running: Imports, world: World) -> None:
    read(running)
    option, ids = running.option(), world.insert(["Tracked meanwhile"])
    running.advance(minutes=2)
    org = world.open().org_id()
    running.execute(
        "insert into crosstie.plan (id, account, org, object, workflow, activity, run, table_name, fields, made_at)"
        f" values (1, '{ACCOUNT}', :org, 'contact', 'sending', 'send', 7, '', '', '')",
        org=org,
    )
    running.execute(
        "insert into crosstie.shipment (plan, number, operation, road, row_count, status, recorded_at, deadline,"
        " left_at) values (1, 1, 'update', 'calls', 1, 'leaving', '', '', '2026-11-23T08:00:00.000000Z')"
    )
    report = read(running)
    assert names(running, report) == []
    assert "What run 7 of sending sent has no answer yet" in said(running, report)
    assert running.option() == option
    running.execute("delete from crosstie.shipment")
    assert names(running, read(running)) == ["Tracked meanwhile"]
    world.delete(ids)


def test_what_cannot_be_tracked_is_refused_by_validation(running: Imports, world: World) -> None:
    for more, message in (
        ({"object": "new_journal", "fields": ["new_name"]}, "tracks no changes of new_journal"),
        ({"index": {"by": "tracking", "field": "modifiedon"}}, "leave out field"),
        ({"order_by": ["lastname"]}, "leave out order_by"),
        ({**FILTERED, "leavers": "gone"}, "leave out leavers"),
        ({"index": True, "deleted": "gone"}, "write “index: {by: tracking}”"),
    ):
        with pytest.raises(DefinitionError, match=message):
            running.run(flow({**TRACKED, **more}, more={"gone": {"type": "end"}} if "gone" in more.values() else None))
    running.site = KindSite({"contact": world.open().describe("contact")}, "salesforce")
    with pytest.raises(DefinitionError, match="Salesforce has no change tracking"):
        read(running)


def test_there_is_nothing_to_reconcile(running: Imports) -> None:
    definition = read_definition("flow.yaml", flow(TRACKED), CATALOGUE, running.site)
    with pytest.raises(ConfigError, match="contacts/read goes by change tracking"):
        find_subject(definition, running.site, "read", "")


def test_changes_come_page_by_page_and_only_the_last_one_has_the_token(world: World) -> None:
    connector = DynamicsConnector(world.settings("", {}), account="sandbox", page_rows=25)
    world.opened.append(connector)
    contact = connector.describe("contact")

    def pages(token: str) -> list[Changes]:
        found = connector.changes(contact, token)
        assert found is not None
        told = list(found)
        assert [bool(one.token) for one in told] == [*[False] * (len(told) - 1), True]
        return told

    first = pages("")
    assert len(first) >= 3 and not any(one.deleted for one in first)
    ids = world.insert([f"Paged {number}" for number in range(30)])
    world.delete(ids[:28])
    second = pages(first[-1].token)
    assert len(second) >= 2
    assert {one for piece in second for one in piece.changed} == set(ids[28:])
    assert {one for piece in second for one in piece.deleted} == set(ids[:28])
    world.delete(ids[28:])

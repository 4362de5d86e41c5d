"""Exports to the sandbox by both roads: what the org's own rules and lists refuse, and what is read back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crosstie.activities.crm_export.listed import NOT_LISTED
from crosstie.errors import ConnectorError, DefinitionError, TaskError
from tests.contract.activities.documented import staged
from tests.contract.salesforce_exports.desk import Desk
from tests.sandboxes import Sandbox, running_sandbox

ROADS = pytest.mark.parametrize("batches", ["off", "on"])
LISTED = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(records=20) as running:
        yield running


@pytest.fixture
def desk(database_url: str, tmp_path: Path, sandbox: Sandbox) -> Iterator[Desk]:
    """A project on each of the two databases."""
    yield from opened(database_url, tmp_path, sandbox)


@pytest.fixture
def own_desk(tmp_path: Path, sandbox: Sandbox) -> Iterator[Desk]:
    """A project on SQLite, where the database says nothing to the matter."""
    yield from opened(f"sqlite:///{tmp_path / 'marketing.db'}", tmp_path, sandbox)


def opened(database: str, folder: Path, sandbox: Sandbox) -> Iterator[Desk]:
    with staged(folder / "project", database, lambda: sandbox) as stage:
        stage.add_account()
        list(stage.app.schemas.collect("salesforce", ["Contact", "Gadget__c", "Lead", "Case"]))
        yield Desk(app=stage.app, folder=stage.folder, sandbox=sandbox)
    sandbox.control("assignment_rules")
    sandbox.control("duplicate_rules")


@ROADS
def test_what_is_exported_is_what_a_third_party_reads(desk: Desk, batches: str) -> None:
    text = "Zoë „Ω“ 李\n\"quoted\", 'single'\t; 🚲"
    quoted = text.replace("'", "''")
    table = desk.table(
        "story varchar(500), tags varchar(80), active boolean, price numeric(18, 2), built date, seen timestamptz,"
        " wall timestamp",
        f"'{quoted}', 'red;green', true, -1234.50, '2024-02-29', '2026-01-01T23:30:00Z', '2026-07-01T08:00:00'",
        "null, null, false, null, null, null, null",
    )
    fields = ["Story__c", "Tags__c", "Active__c", "Price__c", "Built__c", "Seen__c"]
    values = dict(zip(fields, ["story", "tags", "active", "price", "built", "seen"], strict=True))
    key = {"Serial__c": "cast(id as text)"}
    always = {"Name": "'read back'", "Required__c": "'yes'", **values}
    done = desk.export(table, "Gadget__c", always, key=key, batches=batches, zone="Europe/Paris")
    assert (done.counts, done.refused) == ({"created": 2, "updated": 0, "unchanged": 0}, {})

    def read() -> list[dict[str, Any]]:
        return desk.soql(f"SELECT {', '.join(fields)} FROM Gadget__c WHERE Name = 'read back' ORDER BY Serial__c")

    first, second = read()
    assert (first["Story__c"], set(first["Tags__c"].split(";"))) == (text, {"red", "green"})
    assert list(first.values())[2:] == [True, -1234.5, "2024-02-29", "2026-01-01T23:30:00.000+0000"]
    assert second == {**dict.fromkeys(fields), "Active__c": False}

    other = {
        **always,
        "Seen__c": {"from": "wall", "conversion": "without_time_offset"},
        "Built__c": "cast(seen as date)",
        "Story__c": {"from": "nullif(story, story)", "null": "clear"},
        "Price__c": {"from": "nullif(price, price)", "null": "leave"},
    }
    done = desk.export(table, "Gadget__c", other, key=key, batches=batches, zone="Europe/Paris")
    assert done.counts == {"created": 0, "updated": 1, "unchanged": 1}
    first, second = read()
    assert (first["Seen__c"], first["Built__c"]) == ("2026-07-01T08:00:00.000+0000", "2026-01-02")
    assert (first["Story__c"], first["Price__c"]) == (None, -1234.5)
    desk.sandbox.control("delete", object="Gadget__c", ids=[one["Id"] for one in desk.soql(BACK)])


BACK = "SELECT Id FROM Gadget__c WHERE Name = 'read back'"


@ROADS
def test_what_is_not_of_a_restricted_list_is_refused_and_the_other_rows_are_not(own_desk: Desk, batches: str) -> None:
    table = own_desk.table(
        "channel varchar(80), tags varchar(80), colour varchar(80)",
        "'Télévision', 'red;green', 'Red'",
        "'Pigeon', 'red', 'Red'",
        "'Télévision', 'red;GREEN', 'Red'",
        "null, null, 'Mauve'",
    )
    fields = {"Name": f"'listed {batches}'", "Required__c": "'yes'", "Channel__c": "channel", "Tags__c": "tags"}
    done = own_desk.export(table, "Gadget__c", {**fields, "Colour__c": "colour"}, batches=batches, insert="auto")
    assert done.counts == {"created": 2, "updated": 0, "unchanged": 0, "rejected": 2}
    assert {key: told[:2] for key, told in done.refused.items()} == {
        "2": (NOT_LISTED, "Channel__c"),
        "3": (LISTED, "Tags__c"),
    }
    assert "bad value for restricted picklist field: GREEN" in done.refused["3"][2]

    own_desk.sql(f"update {table} set channel = 'Drum' where id = 1", f"update {table} set channel = null where id = 2")
    done = own_desk.export(table, "Gadget__c", {**fields, "Colour__c": "colour"}, batches=batches)
    assert done.counts == {"created": 1, "updated": 0, "unchanged": 1, "rejected": 2}
    assert {key: told[:2] for key, told in done.refused.items()} == {
        "1": (NOT_LISTED, "Channel__c"),
        "3": (LISTED, "Tags__c"),
    }
    found = own_desk.soql(f"SELECT Channel__c, Colour__c FROM Gadget__c WHERE Name = 'listed {batches}' ORDER BY Id")
    assert sorted((one["Channel__c"] or "", one["Colour__c"]) for one in found) == [
        ("", "Mauve"),
        ("", "Red"),
        ("Télévision", "Red"),
    ]


LEAD = {"LastName": "name", "Company": "name"}
CASE = {"Subject": "name"}


@pytest.mark.parametrize(
    ("object", "assignment", "batches", "owner"),
    [
        ("Lead", "off", "off", 0),
        ("Lead", "off", "on", 0),
        ("Lead", "active", "off", 1),
        ("Lead", "named", "off", 2),
        ("Lead", "named", "on", 2),
        ("Case", "off", "on", 0),
        ("Case", "active", "off", 1),
        ("Case", "named", "on", 2),
    ],
)
def test_who_gets_a_new_lead_or_case(
    own_desk: Desk, sandbox: Sandbox, object: str, assignment: str, batches: str, owner: int
) -> None:
    users = [one["Id"] for one in own_desk.soql("SELECT Id FROM User ORDER BY Id LIMIT 3")]
    rules = [
        {"object": object, "name": "Active", "owner": users[1]},
        {"object": object, "name": "Idle", "owner": users[2], "active": False},
    ]
    _, idle = sandbox.control("assignment_rules", rules=rules)["ids"]
    name = f"{object} {assignment} {batches}"
    table = own_desk.table("name varchar(80)", f"'{name}'")
    fields: dict[str, Any] = LEAD if object == "Lead" else CASE
    done = own_desk.export(
        table, object, fields, batches=batches, assignment=idle if assignment == "named" else assignment
    )
    assert (done.counts["created"], done.refused) == (1, {})
    ((found),) = own_desk.soql(f"SELECT OwnerId FROM {object} WHERE {next(iter(fields))} = '{name}'")
    assert users.index(found["OwnerId"]) == owner


def test_a_changed_lead_stays_with_its_owner(own_desk: Desk, sandbox: Sandbox) -> None:
    users = [one["Id"] for one in own_desk.soql("SELECT Id FROM User ORDER BY Id LIMIT 2")]
    table = own_desk.table("name varchar(80)", "'Kept'")
    own_desk.export(table, "Lead", LEAD)
    sandbox.control("assignment_rules", rules=[{"object": "Lead", "name": "All", "owner": users[1]}])
    own_desk.sql(f"update {table} set name = 'Still kept'")
    assert own_desk.export(table, "Lead", LEAD).counts["updated"] == 1
    (found,) = own_desk.soql("SELECT OwnerId FROM Lead WHERE LastName = 'Still kept'")
    assert found["OwnerId"] == users[0]


@pytest.mark.parametrize(
    ("action", "duplicates", "batches", "created"),
    [
        ("alert", "reject", "off", 1),
        ("alert", "reject", "on", 1),
        ("alert", "allow", "auto", 2),
        ("block", "allow", "off", 1),
    ],
)
def test_what_the_duplicate_rules_stop(
    own_desk: Desk, sandbox: Sandbox, action: str, duplicates: str, batches: str, created: int
) -> None:
    mail = f"{action}.{duplicates}.{batches}@example.com"
    sandbox.insert("Contact", [{"LastName": "There", "Email": mail}])
    sandbox.control(
        "duplicate_rules", rules=[{"object": "Contact", "fields": ["Email"], "action": action, "message": "Known!"}]
    )
    table = own_desk.table("mail varchar(80)", f"'{mail}'", "null")
    done = own_desk.export(
        table, "Contact", {"LastName": "'New'", "Email": "mail"}, batches=batches, duplicates=duplicates
    )
    assert done.counts["created"] == created
    assert list(done.refused.items()) == [("1", ("DUPLICATES_DETECTED", "", "Known!"))] * (2 - created)
    assert len(own_desk.soql(f"SELECT Id FROM Contact WHERE Email = '{mail}'")) == created


@ROADS
def test_texts_too_long_and_empty_values(own_desk: Desk, batches: str) -> None:
    mark = f"long {batches}"
    table = own_desk.table("name varchar(200), title varchar(80)", f"'{'n' * 90}', 'a'", f"'{mark}', 'b'")
    fields = {"LastName": "name", "Department": f"'{mark}'", "Title": "title"}
    done = own_desk.export(table, "Contact", fields, batches=batches)
    assert (done.counts["created"], done.refused["1"][:2]) == (1, ("TOO_LONG", "LastName"))
    cut = {**fields, "LastName": {"from": "name", "too_long": "cut"}}
    done = own_desk.export(table, "Contact", cut, batches=batches)
    assert done.counts == {"created": 1, "updated": 0, "unchanged": 1}
    own_desk.sql(f"update {table} set title = null")
    assert own_desk.export(table, "Contact", cut, batches=batches).counts["unchanged"] == 2
    text = f"SELECT LastName, Title FROM Contact WHERE Department = '{mark}' ORDER BY LastName"
    assert own_desk.soql(text) == [{"LastName": mark, "Title": "b"}, {"LastName": "n" * 80, "Title": "a"}]
    cleared = {**cut, "Title": {"from": "title", "null": "clear"}}
    assert own_desk.export(table, "Contact", cleared, batches=batches).counts["updated"] == 2
    assert [one["Title"] for one in own_desk.soql(text)] == [None, None]


def test_what_no_road_can_do_is_told_with_the_key_to_change(own_desk: Desk) -> None:
    table = own_desk.table("name varchar(80)", "'Nobody'")
    with pytest.raises(TaskError) as caught:
        own_desk.export(table, "Contact", {"LastName": "name"}, duplicates="allow", batches="on")
    assert isinstance(caught.value.__cause__, ConnectorError)
    assert "batches: auto" in caught.value.__cause__.hint


@pytest.mark.parametrize("batches", ["on", "auto"])
def test_the_active_rule_for_new_records_is_refused_before_it_runs(own_desk: Desk, batches: str) -> None:
    table = own_desk.table("name varchar(80)", "'x'")
    with pytest.raises(DefinitionError, match=r"send\.assignment: a bulk job cannot .* “batches: off”"):
        own_desk.export(table, "Lead", LEAD, assignment="active", batches=batches)


def test_a_row_refused_again_keeps_its_open_reject_until_it_is_accepted(own_desk: Desk) -> None:
    table = own_desk.table("mail varchar(200)", "'no address'")
    send = {
        "type": "crm_export",
        "account": "salesforce",
        "object": "Contact",
        "map": {"LastName": "'x'", "Email": "mail"},
    }
    report = own_desk.run({"rows": {"type": "query", "from": table, "add": ["mail"]}, "send": send})
    own_desk.app.workflows.run(report.workflow)
    assert [one.row_key for one in own_desk.app.rejects.list(workflow=report.workflow)] == ["1"]
    own_desk.sql(f"update {table} set mail = 'an@address.example'")
    own_desk.app.workflows.run(report.workflow)
    assert own_desk.app.rejects.list(workflow=report.workflow) == ()


def test_dates_of_instants_are_written_by_date_only(own_desk: Desk) -> None:
    table = own_desk.table("seen timestamptz, wall timestamp", "'2026-01-01T23:30:00Z', '2026-07-01T10:00:00'")
    always = {"Name": "'date'", "Required__c": "'yes'"}
    built = {"from": "seen", "conversion": "date_only"}
    for count in ("created", "unchanged"):
        done = own_desk.export(
            table, "Gadget__c", {**always, "Built__c": built, "Seen__c": "wall"}, zone="Europe/Paris"
        )
        assert done.counts[count] == 1
    assert own_desk.soql("SELECT Built__c, Seen__c FROM Gadget__c WHERE Name = 'date'") == [
        {"Built__c": "2026-01-02", "Seen__c": "2026-07-01T08:00:00.000+0000"}
    ]


def test_why_a_row_was_refused_can_be_written_to_it(own_desk: Desk) -> None:
    table = own_desk.table("mail varchar(200), why varchar(80)", "'no address', null")
    send = {
        "type": "crm_export",
        "account": "salesforce",
        "object": "Contact",
        "map": {"LastName": "'x'", "Email": "mail"},
        "rejects": "why",
        "next": [],
    }
    why = {
        "type": "update_data",
        "into": table,
        "operation": "update",
        "identify": "dimension",
        "set": {"why": "errorSymbol"},
    }
    own_desk.run({"rows": {"type": "query", "from": table, "add": ["mail"]}, "send": send, "why": why})
    with own_desk.app.db.reading() as transaction:
        assert transaction.rows(f"select why from {table}") == [("INVALID_EMAIL_ADDRESS",)]


def test_a_record_is_found_by_one_key_only(own_desk: Desk) -> None:
    table = own_desk.table("crm_id varchar(18)", "null")
    with pytest.raises(DefinitionError, match=r"send\.key: this takes one value at most"):
        own_desk.export(table, "Contact", {"LastName": "'x'"}, key={"Id": "crm_id", "ERP_Id__c": "crm_id"})

"""Every operation by every road: what the org holds afterwards, and what the answers say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.crm.writing import Operation, Outcome, RemoteWrite, WriteRoad
from tests.contract.writing.shipping import Row, batches, send
from tests.sandboxes import Client, Sandbox

ROADS = (WriteRoad.CALLS, WriteRoad.BULK)
CONTACT = ("LastName", "Email", "ERP_Id__c", "Account.ERP_Id__c", "Score__c", "Interests__c")


def soql(client: Client, fields: str, name: str, condition: str) -> list[dict[str, Any]]:
    """Records by a query of the test's own, without their attributes."""
    found = client.all(f"SELECT {fields} FROM {name} WHERE {condition} ORDER BY Id")
    return [{key: value for key, value in one.items() if key != "attributes"} for one in found]


@pytest.mark.parametrize("road", ROADS)
def test_records_are_made_changed_and_deleted(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client, road: WriteRoad
) -> None:
    contact = connector.describe("Contact")
    write = RemoteWrite(object=contact, operation=Operation.INSERT, fields=("LastName", "Score__c"), road=road)
    made = send(connector, write, [{"LastName": f"Made {road} {n % 400}", "Score__c": "1.5"} for n in range(450)])
    assert made.failure is None
    assert {(one.outcome, one.effect) for one in made.rows.values()} == {("accepted", "created")}
    ids = [str(made.rows[row].remote_id) for row in range(450)]
    found = {
        one["Id"]: one["LastName"] for one in soql(client, "Id, LastName", "Contact", f"LastName LIKE 'Made {road}%'")
    }
    assert found == {record_id: f"Made {road} {row % 400}" for row, record_id in enumerate(ids)}

    short: list[Row] = [{"remote_id": one[:15], "LastName": f"Changed {road}", "Score__c": None} for one in ids[:3]]
    short[1]["Score__c"] = ""
    changed = send(connector, replace(write, operation=Operation.UPDATE), short)
    assert {(one.outcome, one.effect) for one in changed.rows.values()} == {("accepted", "updated")}
    assert [changed.rows[row].remote_id for row in range(3)] == ids[:3]
    scores = [one["Score__c"] for one in soql(client, "Id, Score__c", "Contact", f"LastName = 'Changed {road}'")]
    assert scores == [1.5, None, 1.5]

    away = RemoteWrite(object=contact, operation=Operation.DELETE, road=road)
    sandbox.control("purge", ids=[ids[2]])
    unknown = ids[0][:3] + "zz0000000000"
    gone = send(connector, away, [{"remote_id": one} for one in (ids[0], ids[2], unknown, "rubbish")])
    again = send(connector, away, [{"remote_id": ids[0]}])
    assert [gone.rows[row].effect for row in range(4)] == ["deleted", "gone", None, None]
    assert [gone.rows[row].symbol for row in (2, 3)] == ["INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID"]
    assert again.rows[0].effect == "gone"
    assert [one["Id"] for one in soql(client, "Id", "Contact", f"LastName = 'Changed {road}'")] == ids[1:2]


@pytest.mark.parametrize("road", ROADS)
def test_an_upsert_makes_and_changes_by_external_id_and_finds_parents(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client, road: WriteRoad
) -> None:
    (account,) = sandbox.insert("Account", [{"Name": "Parent", "ERP_Id__c": f"P-{road}"}])
    fields = ("LastName", "Account.ERP_Id__c", "Interests__c")
    write = RemoteWrite(
        object=connector.describe("Contact"), operation=Operation.UPSERT, key="ERP_Id__c", fields=fields, road=road
    )
    rows: list[Row] = [
        {"key": f"U1-{road}", "LastName": "One", "Account.ERP_Id__c": f"P-{road}", "Interests__c": "Wine;Art"},
        {"key": f"U2-{road}", "LastName": "Two", "Account.ERP_Id__c": "nobody"},
        {"key": None, "LastName": "Three"},
    ]
    first = send(connector, write, rows)
    assert [first.rows[row].effect for row in range(3)] == ["created", None, None]
    assert (first.rows[1].outcome, first.rows[1].symbol) == ("rejected", "INVALID_FIELD")
    assert (first.rows[2].symbol, first.rows[2].fields) == ("MISSING_ARGUMENT", "ERP_Id__c")
    second = send(
        connector, write, [{"key": f"U1-{road}", "Account.ERP_Id__c": ""}, {"key": f"U2-{road}", "LastName": "2"}]
    )
    assert [second.rows[row].effect for row in range(2)] == ["updated", "created"]
    assert second.rows[0].remote_id == first.rows[0].remote_id
    found = soql(client, "LastName, AccountId", "Contact", f"ERP_Id__c LIKE 'U_-{road}'")
    assert found == [{"LastName": "One", "AccountId": None}, {"LastName": "2", "AccountId": None}]
    send(connector, write, rows[:1])
    assert soql(client, "AccountId", "Contact", f"ERP_Id__c = 'U1-{road}'") == [{"AccountId": account}]


@pytest.mark.parametrize("road", ROADS)
def test_refused_rows_say_why_and_locked_ones_may_be_sent_again(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client, road: WriteRoad
) -> None:
    ids = sandbox.insert("Contact", [{"LastName": f"Locked {n} {road}"} for n in range(2)])
    sandbox.control("lock", ids=[ids[0]])
    write = RemoteWrite(
        object=connector.describe("Contact"),
        operation=Operation.UPDATE,
        fields=("LastName", "Email", "Score__c", "Birthdate"),
        road=road,
    )
    rows: list[Row] = [
        {"remote_id": ids[0], "LastName": "Unlocked"},
        {"remote_id": ids[1], "LastName": "x" * 81},
        {"remote_id": ids[1], "Email": "no address"},
        {"remote_id": ids[1], "Score__c": "12,5"},
        {"remote_id": ids[1], "Birthdate": "tomorrow"},
        {"remote_id": ids[1], "Score__c": "1e30"},
    ]
    found = [send(connector, write, [row]).rows[0] for row in rows]
    assert [(one.outcome, one.symbol, one.fields) for one in found] == [
        ("retry", "UNABLE_TO_LOCK_ROW", None),
        ("rejected", "STRING_TOO_LONG", "LastName"),
        ("rejected", "INVALID_EMAIL_ADDRESS", "Email"),
        ("rejected", "INVALID_TYPE_ON_FIELD_IN_RECORD", "Score__c"),
        ("rejected", "INVALID_TYPE_ON_FIELD_IN_RECORD", "Birthdate"),
        ("rejected", "NUMBER_OUTSIDE_VALID_RANGE", "Score__c"),
    ]
    sandbox.control("lock", ids=[])
    assert send(connector, write, rows[:1]).rows[0].effect == "updated"
    assert [one["LastName"] for one in soql(client, "LastName", "Contact", f"Id = '{ids[0]}'")] == ["Unlocked"]


def test_a_hard_delete_passes_the_bin(connector: SalesforceConnector, sandbox: Sandbox, client: Client) -> None:
    (made,) = sandbox.insert("Contact", [{"LastName": "For good"}])
    write = RemoteWrite(object=connector.describe("Contact"), operation=Operation.DELETE, hard=True)
    assert send(connector, write, [{"remote_id": made}]).rows[0].effect == "deleted"
    answer = client.get("/queryAll", params={"q": f"SELECT Id FROM Contact WHERE Id = '{made}'"}).json()
    assert answer["records"] == []
    assert send(connector, write, [{"remote_id": made}]).rows[0].effect == "gone"


def test_an_object_that_bulk_does_not_serve_goes_by_collections_if_nothing_is_lost(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client
) -> None:
    sandbox.switches(bulk_unsupported=["Contact"])
    (made,) = sandbox.insert("Contact", [{"LastName": "Not in bulk"}])
    write = RemoteWrite(
        object=connector.describe("Contact"), operation=Operation.UPDATE, fields=("LastName",), road=WriteRoad.BULK
    )
    done = send(connector, write, [{"remote_id": made, "LastName": "By collections"}])
    assert (done.rows[0].effect, done.kept, done.failure) == ("updated", ["collections"], None)
    refused = send(connector, replace(write, operation=Operation.INSERT), [{"LastName": "Nobody"}])
    assert (refused.rows[0].outcome, refused.kept) == ("retry", [])
    assert refused.failure is not None
    assert "batches: off" in refused.failure.hint
    sandbox.hide("Contact")
    try:
        hidden = send(connector, replace(write, operation=Operation.INSERT), [{"LastName": "Nobody"}])
    finally:
        sandbox.hide()
    assert hidden.rows[0].outcome == "retry"
    assert "does not show it to the user" in str(hidden.failure)


@pytest.mark.parametrize("road", ROADS)
def test_equal_rows_are_interchangeable_and_each_is_answered_once(
    connector: SalesforceConnector, client: Client, road: WriteRoad
) -> None:
    write = RemoteWrite(
        object=connector.describe("Contact"), operation=Operation.INSERT, fields=("LastName", "ERP_Id__c"), road=road
    )
    unique: Row = {"LastName": f"Twin {road}", "ERP_Id__c": f"T-{road}"}
    plain: Row = {"LastName": f"Twin {road}"}
    twins = [unique] * 3 + [plain] * 3
    found = send(connector, write, twins)
    assert sorted(found.rows[row].outcome for row in range(3)) == ["accepted", "rejected", "rejected"]
    assert {found.rows[row].symbol for row in found.where(Outcome.REJECTED)} == {"DUPLICATE_VALUE"}
    ids = sorted(str(found.rows[row].remote_id) for row in found.where(Outcome.ACCEPTED))
    assert ids == [one["Id"] for one in soql(client, "Id", "Contact", f"LastName = 'Twin {road}'")]
    assert len(ids) == 4


def test_records_are_read_as_they_are_before_they_are_written(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client
) -> None:
    contact = connector.describe("Contact")
    held: list[dict[str, Any]] = [
        {"LastName": "One", "ERP_Id__c": "C-1", "Score__c": 1.5, "Interests__c": "Wine;Art"},
        {"LastName": "Two", "ERP_Id__c": "C-2"},
    ]
    first, second = sandbox.insert("Contact", held)
    sandbox.control("delete", ids=[second])
    fields = ("LastName", "Score__c", "Interests__c")
    update = RemoteWrite(object=contact, operation=Operation.UPDATE, fields=fields)
    by_id = connector.current(update, batches(update, [{"remote_id": first[:15]}, {"remote_id": second}]))
    upsert = replace(update, operation=Operation.UPSERT, key="ERP_Id__c")
    by_key = connector.current(upsert, batches(upsert, [{"key": "c-1"}, {"key": "C-2"}, {"key": "C-3"}]))
    for found in (by_id, by_key):
        (row,) = found.to_pylist()
        assert (row["row"], row["remote_id"], row["f_0"]) == (0, first, "One")
        assert row["stamp"] is not None
        same = connector.comparer(update)
        assert [same(0, " One ", row["f_0"]), same(1, "1.50", row["f_1"]), same(2, "Art;Wine", row["f_2"])] == [
            True
        ] * 3
        assert [same(0, "Two", row["f_0"]), same(1, "", row["f_1"]), same(2, "Art", row["f_2"])] == [False] * 3
    assert soql(client, "LastName", "Contact", "ERP_Id__c = 'C-1'") == [{"LastName": "One"}]

"""Assignment rules and duplicate rules, by every road on which a record is written."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.contract.salesforce_sandbox.ingesting import created, ingested
from tests.contract.salesforce_sandbox.test_shapes import mismatch
from tests.sandboxes import Client, ControlRefused, Sandbox, running_sandbox

LEAD = {"LastName": "Assigned", "Company": "Acme"}
ALLOWED = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}


@pytest.fixture(autouse=True)
def without_rules(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.control("assignment_rules")
    sandbox.control("duplicate_rules")


@pytest.fixture
def users(client: Client) -> list[str]:
    """The integration user, and two others."""
    return [one["Id"] for one in client.query("SELECT Id FROM User ORDER BY Id LIMIT 3")["records"]]


def owner(client: Client, record_id: str, name: str = "Lead") -> str:
    found: str = client.get(f"/sobjects/{name}/{record_id}?fields=OwnerId").json()["OwnerId"]
    return found


def assigned(sandbox: Sandbox, users: list[str]) -> list[str]:
    """Two rules for leads: one is active and gives them to the second user, the other to the third."""
    rules = [
        {"object": "Lead", "name": "Active one", "owner": users[1]},
        {"object": "Lead", "name": "Idle", "owner": users[2], "active": False},
    ]
    ids: list[str] = sandbox.control("assignment_rules", rules=rules)["ids"]
    return ids


def lead(client: Client, header: str | None, **values: Any) -> str:
    """The owner of a new lead."""
    headers = {} if header is None else {"Sforce-Auto-Assign": header}
    answer = client.send("POST", "/sobjects/Lead", json=LEAD | values, headers=headers)
    assert answer.status_code == 201, answer.text
    return owner(client, answer.json()["id"])


def test_rules_are_records_and_keep_their_ids(sandbox: Sandbox, client: Client, users: list[str]) -> None:
    ids = assigned(sandbox, users)
    found = client.query("SELECT Id, Name, SobjectType, Active FROM AssignmentRule ORDER BY Name")["records"]
    assert [(one["Id"], one["Name"], one["SobjectType"], one["Active"]) for one in found] == [
        (ids[0], "Active one", "Lead", True),
        (ids[1], "Idle", "Lead", False),
    ]
    assert assigned(sandbox, users) == ids
    both = [{"object": "Case", "name": name, "owner": users[1]} for name in "AB"]
    for refused in ([{"object": "Lead", "name": "No user", "owner": ids[0]}], both):
        with pytest.raises(ControlRefused):
            sandbox.control("assignment_rules", rules=refused)
    assert client.query("SELECT count() FROM AssignmentRule")["totalSize"] == 2


def test_who_owns_a_new_lead(sandbox: Sandbox, client: Client, users: list[str]) -> None:
    me, second, third = users
    assert lead(client, None) == me
    active, idle = assigned(sandbox, users)
    assert lead(client, None) == lead(client, "TRUE") == lead(client, "true") == lead(client, active) == second
    assert lead(client, "FALSE") == me
    assert lead(client, idle[:15]) == third
    # A rule overrules the owner that is sent, which is why an integration sends FALSE.
    assert lead(client, None, OwnerId=third) == second
    assert lead(client, "false", OwnerId=third) == third


@pytest.mark.parametrize(
    ("header", "code"), [("MAYBE", "MALFORMED_ID"), ("01Q5g00000zzzzz", "INVALID_CROSS_REFERENCE_KEY")]
)
def test_rules_that_are_none(sandbox: Sandbox, client: Client, users: list[str], header: str, code: str) -> None:
    assigned(sandbox, users)
    headers = {"Sforce-Auto-Assign": header}
    answer = client.send("POST", "/sobjects/Lead", json=LEAD, headers=headers)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)
    # Other objects have no such rules, so that nobody looks.
    assert client.send("POST", "/sobjects/Contact", json={"LastName": "A"}, headers=headers).status_code == 201
    case = client.send("POST", "/sobjects/Case", json={"Subject": "A"}, headers={"Sforce-Auto-Assign": "TRUE"})
    assert owner(client, case.json()["id"], "Case") == users[0]


def test_converted_leads_stay_as_they_are(client: Client) -> None:
    made = client.send("POST", "/sobjects/Lead", json=LEAD | {"IsConverted": True}).json()["id"]
    refused = client.send("PATCH", f"/sobjects/Lead/{made}", json={"Title": "x"})
    error = {
        "errorCode": "CANNOT_UPDATE_CONVERTED_LEAD",
        "message": "cannot reference converted lead",
        "fields": [],
    }
    assert (refused.status_code, refused.json()) == (400, [error])
    row = {"attributes": {"type": "Lead"}, "id": made, "Title": "x"}
    (answer,) = client.send("PATCH", "/composite/sobjects", json={"records": [row]}).json()
    assert answer["errors"][0]["statusCode"] == error["errorCode"]
    for operation, key in (("update", {}), ("upsert", {"externalIdFieldName": "Id"})):
        done = ingested(client, f"Id,Title\n{made},x\n", operation, "Lead", **key)
        assert done.errors == ["CANNOT_UPDATE_CONVERTED_LEAD:cannot reference converted lead:--"]
    assert client.send("DELETE", f"/sobjects/Lead/{made}").status_code == 204


def test_changes_are_assigned_too(sandbox: Sandbox, client: Client, users: list[str]) -> None:
    assigned(sandbox, users)
    (made,) = sandbox.insert("Lead", [LEAD | {"OwnerId": users[2]}])

    def changed(header: str) -> str:
        client.send("PATCH", f"/sobjects/Lead/{made}", json={"Title": "T"}, headers={"Sforce-Auto-Assign": header})
        return owner(client, made)

    sandbox.switches(assignment_on_update=False)
    assert changed("TRUE") == users[2]
    sandbox.switches(assignment_on_update=True)
    assert changed("FALSE") == users[2]
    assert changed("TRUE") == users[1]


def test_collections_trees_and_parts_obey_the_header(sandbox: Sandbox, client: Client, users: list[str]) -> None:
    me, second, third = users
    _, idle = assigned(sandbox, users)
    row = LEAD | {"attributes": {"type": "Lead", "referenceId": "r"}}

    def made(path: str, header: str, body: Any) -> Any:
        return client.send("POST", path, json=body, headers={"Sforce-Auto-Assign": header}).json()

    for header, expected in (("TRUE", second), ("FALSE", me), (idle, third)):
        rows = made("/composite/sobjects", header, {"records": [row, row]})
        assert {owner(client, one["id"]) for one in rows} == {expected}
        tree = made("/composite/tree/Lead", header, {"records": [row]})
        assert owner(client, tree["results"][0]["id"]) == expected
    part = {"method": "POST", "url": f"{client.base}/sobjects/Lead", "referenceId": "p", "body": LEAD}
    parts = [part, part | {"referenceId": "q", "httpHeaders": {"Sforce-Auto-Assign": "TRUE"}}]
    answers = made("/composite", "FALSE", {"compositeRequest": parts})["compositeResponse"]
    assert [owner(client, one["body"]["id"]) for one in answers] == [me, second]


def test_bulk_jobs_run_the_named_rule_or_none(sandbox: Sandbox, client: Client, users: list[str]) -> None:
    me, second, third = users
    active, idle = assigned(sandbox, users)
    data = f"LastName,Company,OwnerId\nA,B,\nC,D,{third}\nE,F,nobody\n"

    def owners(**given: Any) -> list[str]:
        done = ingested(client, data, name="Lead", **given)
        assert len(done.failed) == 1 and done.failed[0]["sf__Error"].startswith("MALFORMED_ID")
        return [owner(client, row["sf__Id"]) for row in done.successful]

    assert owners() == [me, third]
    assert owners(assignmentRuleId=active) == [second, second]
    assert owners(assignmentRuleId=idle[:15]) == [third, third]
    (made,) = sandbox.insert("Lead", [LEAD])
    for switched, expected in ((False, [second]), (True, [third])):
        sandbox.switches(assignment_on_update=switched)
        sandbox.control("update", object="Lead", id=made, values={"OwnerId": second})
        done = ingested(client, f"Id,Title\n{made},x\n", "update", "Lead", assignmentRuleId=idle)
        assert [owner(client, row["sf__Id"]) for row in done.successful] == expected
    sandbox.control("update", object="Lead", id=made, values={"OwnerId": second})
    key = {"externalIdFieldName": "Id", "assignmentRuleId": idle}
    done = ingested(client, f"Id,LastName,Company\n{made},A,B\n,C,D\n", "upsert", "Lead", **key)
    assert [owner(client, row["sf__Id"]) for row in done.successful] == [third, third]


def test_the_assignment_rule_of_a_job(sandbox: Sandbox, client: Client, users: list[str]) -> None:
    active, _ = assigned(sandbox, users)
    job = created(client, name="Lead", assignmentRuleId=active[:15])
    assert client.get(f"/jobs/ingest/{job}").json()["assignmentRuleId"] == active
    for name, operation in (("Case", "insert"), ("Contact", "insert"), ("Lead", "delete")):
        given = {"object": name, "operation": operation, "assignmentRuleId": active}
        answer = client.send("POST", "/jobs/ingest", json=given)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALIDJOB")


def test_the_control_endpoint_is_held_to_no_rule(sandbox: Sandbox, client: Client, users: list[str]) -> None:
    assigned(sandbox, users)
    sandbox.control("duplicate_rules", rules=[{"object": "lead", "fields": ["lastname"]}])
    twice = sandbox.insert("Lead", [LEAD | {"LastName": "Twice", "OwnerId": users[0]}] * 2)
    assert [owner(client, one) for one in twice] == [users[0]] * 2


def test_rules_outlive_a_restart_and_older_states_get_their_table(tmp_path: Path) -> None:
    with running_sandbox(records=20, state=tmp_path) as first:
        user = Client(first).query("SELECT Id FROM User ORDER BY Id DESC LIMIT 1")["records"][0]["Id"]
    with closing(sqlite3.connect(tmp_path / "salesforce.sqlite")) as connection:
        connection.execute("DROP TABLE AssignmentRule")
    with running_sandbox(state=tmp_path) as second:
        second.control("assignment_rules", rules=[{"object": "Lead", "name": "Kept", "owner": user}])
        duplicates(second, "block", "LastName", name="Lead")
    with running_sandbox(state=tmp_path) as third:
        client = Client(third)
        made = client.send("POST", "/sobjects/Lead", json=LEAD)
        assert owner(client, made.json()["id"]) == user
        assert client.send("POST", "/sobjects/Lead", json=LEAD).json()[0]["errorCode"] == "DUPLICATES_DETECTED"
        assert client.query("SELECT Name FROM AssignmentRule")["records"][0]["Name"] == "Kept"
        client.close()


def duplicates(sandbox: Sandbox, action: str = "alert", *fields: str, name: str = "Contact") -> None:
    given = {"object": name, "fields": fields or ["LastName", "Email"], "action": action}
    sandbox.control("duplicate_rules", rules=[given])


def person(number: int, **values: Any) -> dict[str, Any]:
    return {"LastName": f"Double {number}", "Email": f"double{number}@example.com", **values}


DETECTED = [
    {
        "message": "Use one of these records?",
        "errorCode": "DUPLICATES_DETECTED",
        "duplicateResut": {
            "allowSave": bool,
            "duplicateRule": "Contact_Duplicate_Rule",
            "duplicateRuleEntityType": "Contact",
            "errorMessage": "Use one of these records?",
            "matchResults": [
                {
                    "entityType": "Contact",
                    "errors": [],
                    "matchEngine": "ExactMatchEngine",
                    "matchRecords": [
                        {
                            "additionalInformation": [],
                            "fieldDiffs": [],
                            "matchConfidence": 100.0,
                            "record": {"attributes": {"type": "Contact", "url": str}, "Id": str},
                        }
                    ],
                    "rule": str,
                    "size": int,
                    "success": True,
                }
            ],
        },
    }
]
"""As recorded in public from real orgs (rudder-server, and others), the misspelt key included."""


def test_a_duplicate_is_told_with_those_it_is_like(sandbox: Sandbox, client: Client) -> None:
    (first,) = sandbox.insert("Contact", [person(1)])
    duplicates(sandbox)
    given = person(1, Email="DOUBLE1@example.com")
    answer = client.send("POST", "/sobjects/Contact", json=given)
    assert answer.status_code == 400
    assert mismatch(DETECTED, answer.json()) == ""
    result = answer.json()[0]["duplicateResut"]
    assert result["allowSave"] is True
    (match,) = result["matchResults"]
    url = f"{client.base}/sobjects/Contact/{first}"
    record = {"attributes": {"type": "Contact", "url": url}, "Id": first}
    assert (match["size"], match["matchRecords"][0]["record"]) == (1, record)
    headers = {"Sforce-Duplicate-Rule-Header": "allowSave=false; includeRecordDetails=true, runAsCurrentUser=true"}
    detailed = client.send("POST", "/sobjects/Contact", json=given, headers=headers).json()[0]
    assert detailed["duplicateResut"]["matchResults"][0]["matchRecords"][0]["record"] == record | {
        "Name": "Double 1",
        "LastName": "Double 1",
        "Email": "double1@example.com",
    }
    sandbox.switches(duplicate_result_key="duplicateResult")
    assert "duplicateResult" in client.send("POST", "/sobjects/Contact", json=given).json()[0]


@pytest.mark.parametrize(("action", "saved"), [("alert", True), ("block", False)])
def test_what_clients_may_allow(sandbox: Sandbox, client: Client, action: str, saved: bool) -> None:
    number = 20 + saved
    sandbox.insert("Contact", [person(number)])
    duplicates(sandbox, action)
    headers = {"Sforce-Duplicate-Rule-Header": "allowSave=TRUE, includeRecordDetails=false"}
    answer = client.send("POST", "/sobjects/Contact", json=person(number), headers=headers)
    assert (answer.status_code == 201) == saved
    if not saved:
        assert answer.json()[0]["duplicateResut"]["allowSave"] is False
    row = person(number) | {"attributes": {"type": "Contact"}}
    (in_set,) = client.send("POST", "/composite/sobjects", json={"records": [row]}, headers=headers).json()
    assert in_set["success"] == saved
    by_key = client.send("PATCH", f"/sobjects/Contact/ERP_Id__c/ALLOW{number}", json=person(number), headers=headers)
    assert (by_key.status_code == 201) == saved


def test_what_is_no_duplicate(sandbox: Sandbox, client: Client) -> None:
    gone, _ = sandbox.insert("Contact", [person(3), person(4)])
    sandbox.control("delete", ids=[gone])
    duplicates(sandbox)
    for values in (person(3), person(4, LastName="Other"), person(4, Email=None)):
        answer = client.send("POST", "/sobjects/Contact", json=values)
        assert answer.status_code == 201, answer.text


def test_changes_are_looked_at_when_they_are_of_the_rules_fields(sandbox: Sandbox, client: Client) -> None:
    _, other, third = sandbox.insert("Contact", [person(5), person(5), person(6)])
    duplicates(sandbox)

    def changed(record_id: str, **values: Any) -> int:
        status: int = client.send("PATCH", f"/sobjects/Contact/{record_id}", json=values).status_code
        return status

    assert changed(other, Title="Same as ever", Email="Double5@example.com") == 204
    assert changed(third, Email="double5@example.com") == 204
    assert changed(third, LastName="DOUBLE 5") == 400
    assert client.get(f"/sobjects/Contact/{third}").json()["LastName"] == "Double 6"


def test_rows_of_one_save_are_not_compared_with_each_other(sandbox: Sandbox, client: Client) -> None:
    sandbox.insert("Contact", [person(7)])
    duplicates(sandbox)
    rows = [person(number) | {"attributes": {"type": "Contact"}} for number in (8, 7, 8)]
    answers = client.send("POST", "/composite/sobjects", json={"records": rows}).json()
    assert [one["success"] for one in answers] == [True, False, True]
    error = {"statusCode": "DUPLICATES_DETECTED", "message": "Use one of these records?", "fields": []}
    assert answers[1]["errors"] == [error]
    again = client.send("POST", "/composite/sobjects", json={"records": rows, "allOrNone": True}).json()
    assert [one["errors"][0]["statusCode"] for one in again] == ["DUPLICATES_DETECTED"] * 3


@pytest.mark.parametrize("operation", ["insert", "upsert"])
def test_bulk_refuses_whatever_the_header_says(sandbox: Sandbox, client: Client, operation: str) -> None:
    number = 30 + len(operation)
    sandbox.insert("Contact", [person(number)])
    duplicates(sandbox, "alert")
    free = person(number + 50)
    lines = [f"K{number}{place},{one['LastName']},{one['Email']}" for place, one in enumerate((free, person(number)))]
    key = {"externalIdFieldName": "ERP_Id__c"} if operation == "upsert" else {}
    data = "\n".join(["ERP_Id__c,LastName,Email", *lines, ""])
    done = ingested(client, data, operation, **key)
    assert done.errors == ["DUPLICATES_DETECTED:Use one of these records?:--"]
    assert [row["Email"] for row in done.successful] == [free["Email"]]


def test_composite_parts_show_the_whole_refusal(sandbox: Sandbox, client: Client) -> None:
    sandbox.insert("Contact", [person(9)])
    duplicates(sandbox)
    url = f"{client.base}/sobjects/Contact"
    parts = [{"method": "POST", "url": url, "referenceId": name, "body": person(9)} for name in ("a", "b")]
    parts[1]["httpHeaders"] = ALLOWED
    answers = client.send("POST", "/composite", json={"compositeRequest": parts}).json()["compositeResponse"]
    assert mismatch(DETECTED, answers[0]["body"]) == ""
    assert answers[1]["httpStatusCode"] == 201


def test_duplicate_rules_that_can_not_be(sandbox: Sandbox) -> None:
    for rule in ({"object": "Nope", "fields": ["Name"]}, {"object": "Contact", "fields": []},
                 {"object": "Contact", "fields": ["MailingAddress"]},
                 {"object": "Contact", "fields": ["Nope"]}):  # fmt: skip
        with pytest.raises(ControlRefused):
            sandbox.control("duplicate_rules", rules=[rule])

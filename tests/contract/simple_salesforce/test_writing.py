"""Records written through simple-salesforce, and the errors of the fact sheet's section 4 as its exceptions."""

from typing import Any

import pytest
from simple_salesforce.exceptions import (
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from tests.contract.simple_salesforce.conftest import Org, refusal
from tests.sandboxes import Sandbox


def new_contact(org: Org, **values: Any) -> str:
    record_id: str = org.Contact.create({"LastName": "Tester", **values})["id"]
    return record_id


def test_create_read_update_delete(org: Org) -> None:
    created = org.Contact.create(
        {
            "LastName": "  Łukasiewicz ",
            "FirstName": "Zoë",
            "Email": "zoe@example.com",
            "Birthdate": "1990-02-28",
            "Interests__c": "Кино;Cycling",
            "Score__c": 12,
            "Description": 'line\r\n"two", 😀',
        }
    )
    assert created == {"id": created["id"], "success": True, "errors": []}
    record = org.Contact.get(created["id"])
    assert record["Name"] == "Zoë Łukasiewicz"
    assert record["Interests__c"] == "Cycling;Кино"
    assert record["Score__c"] == 12.0
    assert record["Description"] == 'line\r\n"two", 😀'
    assert record["CreatedDate"] == record["SystemModstamp"]

    assert org.Contact.update(created["id"], {"LastName": "Ł", "Score__c": None, "Email": ""}) == 204
    record = org.Contact.get(created["id"])
    assert (record["Name"], record["Score__c"], record["Email"]) == ("Zoë Ł", None, None)

    assert org.Contact.delete(created["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound) as caught:
        org.Contact.get(created["id"])
    assert refusal(caught)["errorCode"] == "ENTITY_IS_DELETED"
    bin_rows = org.query(f"SELECT IsDeleted FROM Contact WHERE Id = '{created['id']}'", include_deleted=True)
    assert bin_rows["records"][0]["IsDeleted"] is True


def test_upsert_by_external_id_creates_then_updates(org: Org) -> None:
    first = org.Contact.upsert("ERP_Id__c/UP%2F1", {"LastName": "One"}, raw_response=True)
    second = org.Contact.upsert("ERP_Id__c/UP%2F1", {"LastName": "Two"}, raw_response=True)
    assert not isinstance(first, int) and not isinstance(second, int)
    assert (first.status_code, first.json()["created"]) == (201, True)
    assert (second.status_code, second.json()["created"]) == (200, False)
    assert first.json()["id"] == second.json()["id"]
    record = org.Contact.get_by_custom_id("ERP_Id__c", "UP/1")
    assert (record["LastName"], record["ERP_Id__c"]) == ("Two", "UP/1")


def test_upsert_that_only_updates(org: Org) -> None:
    with pytest.raises(SalesforceResourceNotFound):
        org.restful("sobjects/Contact/ERP_Id__c/UP-absent?updateOnly=true", method="PATCH", data='{"LastName": "X"}')


def test_external_id_of_several_records(org: Org) -> None:
    ids = [new_contact(org, Legacy_Key__c="twins") for _ in range(2)]
    with pytest.raises(SalesforceMoreThanOneRecord) as caught:
        org.Contact.get_by_custom_id("Legacy_Key__c", "twins")
    base = f"/services/data/v{org.sf_version}/sobjects/Contact/"
    assert str(caught.value.content) == str([base + each for each in ids])
    with pytest.raises(SalesforceMoreThanOneRecord):
        org.Contact.upsert("Legacy_Key__c/twins", {"LastName": "X"})


def test_parent_by_external_id(org: Org) -> None:
    record_id = new_contact(org, Account={"ERP_Id__c": "A-0000001"})
    assert (
        org.query(f"SELECT Account.ERP_Id__c FROM Contact WHERE Id = '{record_id}'")["records"][0]["Account"][
            "ERP_Id__c"
        ]
        == "A-0000001"
    )


def test_every_type_comes_back_as_it_is_on_the_wire(org: Org) -> None:
    written = {
        "Name": "All types",
        "Required__c": "x",
        "Channel__c": "Web",
        "Tags__c": "静か;red",
        "Active__c": True,
        "Count__c": 21,
        "Weight__c": 5600000,
        "Share__c": 50,
        "Price__c": 350000000,
        "Built__c": "2026-11-23",
        "Seen__c": "2026-11-23T03:07:37+02:00",
        "Opens__c": "14:30:00",
        "Image__c": "iVBORw==",
        "Place__Latitude__s": 48.1,
        "Place__Longitude__s": -1.25,
        "Secret__c": "abc",
    }
    record = org.Gadget__c.get(org.Gadget__c.create(written)["id"])
    assert record["Tags__c"] == "red;静か"
    assert record["Active__c"] is True
    assert (record["Count__c"], record["Doubled__c"]) == (21, 42.0)
    assert (record["Weight__c"], record["Share__c"], record["Price__c"]) == (5600000.0, 50.0, 350000000.0)
    assert record["Built__c"] == "2026-11-23"
    assert record["Seen__c"] == "2026-11-23T01:07:37.000+0000"
    assert record["Opens__c"] == "14:30:00.000Z"
    assert record["Image__c"].endswith("/Image__c")
    assert record["Place__c"] == {"latitude": 48.1, "longitude": -1.25}
    assert record["Site__c"] is None
    assert record["Secret__c"] == "***"


@pytest.mark.parametrize(
    ("values", "code", "message", "fields"),
    [
        ({"FirstName": "Only"}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ["LastName"]),
        (
            {"LastName": "x" * 81},
            "STRING_TOO_LONG",
            f"Last Name: data value too large: {'x' * 81} (max length=80)",
            ["LastName"],
        ),
        ({"LastName": "x", "Nope": 1}, "INVALID_FIELD", "No such column 'Nope' on sobject of type Contact", None),
        (
            {"LastName": "x", "CreatedDate": "2020-01-01T00:00:00Z"},
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "Unable to create/update fields: CreatedDate. Please check the security settings of this field and verify"
            " that it is read/write for your profile or permission set.",
            ["CreatedDate"],
        ),
        (
            {"LastName": "x", "Email": "no address"},
            "INVALID_EMAIL_ADDRESS",
            "Email: invalid email address: no address",
            ["Email"],
        ),
        (
            {"LastName": "x", "CleanStatus": "Sparkling"},
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "Clean Status: bad value for restricted picklist field: Sparkling",
            ["CleanStatus"],
        ),
        (
            {"LastName": "x", "Score__c": 1e12},
            "NUMBER_OUTSIDE_VALID_RANGE",
            "Score: value outside of valid range on numeric field: 1000000000000.0",
            ["Score__c"],
        ),
        (
            {"LastName": "x", "Birthdate": "0001-01-01"},
            "INVALID_TYPE_ON_FIELD_IN_RECORD",
            "Birthdate: invalid date: Mon Jan 01 00:00:00 GMT 1",
            ["Birthdate"],
        ),
        (
            {"LastName": "x", "Score__c": "many"},
            "JSON_PARSER_ERROR",
            "Cannot deserialize instance of double from VALUE_STRING value many or request may be missing a required"
            " field at [line:1, column:1]",
            None,
        ),
        (
            {"LastName": "x", "AccountId": "001bad"},
            "MALFORMED_ID",
            "Account ID: id value of incorrect type: 001bad",
            ["AccountId"],
        ),
        (
            {"LastName": "x", "AccountId": "0015g0000zzzzzzAAA"},
            "INVALID_CROSS_REFERENCE_KEY",
            "invalid cross reference id",
            [],
        ),
    ],
)
def test_refused_values(org: Org, values: dict[str, Any], code: str, message: str, fields: list[str] | None) -> None:
    count = org.query("SELECT COUNT() FROM Contact")["totalSize"]
    with pytest.raises(SalesforceMalformedRequest) as caught:
        org.Contact.create(values)
    entry = refusal(caught)
    assert (entry["errorCode"], entry["message"], entry.get("fields")) == (code, message, fields)
    assert org.query("SELECT COUNT() FROM Contact")["totalSize"] == count


def test_duplicate_external_id_names_the_other_record(org: Org) -> None:
    record_id = new_contact(org, ERP_Id__c="ONE-OF-A-KIND")
    with pytest.raises(SalesforceMalformedRequest) as caught:
        new_contact(org, ERP_Id__c="one-of-a-kind")
    assert refusal(caught)["errorCode"] == "DUPLICATE_VALUE"
    assert refusal(caught)["message"] == (
        f"duplicate value found: ERP_Id__c duplicates value on record with id: {record_id}"
    )


def test_records_that_are_not_there(org: Org) -> None:
    complete = org.query("SELECT Id FROM Contact LIMIT 1")["records"][0]["Id"]
    assert org.Contact.get(complete[:15])["Id"] == complete
    with pytest.raises(SalesforceResourceNotFound) as caught:
        org.Contact.update("0035g00000zzzzzAAA", {"LastName": "X"})
    assert refusal(caught) == {"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}
    with pytest.raises(SalesforceMalformedRequest) as malformed:
        org.Contact.get(complete[:15] + ("AAB" if complete[15:] != "AAB" else "AAC"))
    assert refusal(malformed)["errorCode"] == "MALFORMED_ID"
    with pytest.raises(SalesforceResourceNotFound) as unknown:
        org.Nope.get(complete)
    assert refusal(unknown)["errorCode"] == "NOT_FOUND"


def test_deleted_record_cannot_be_changed(org: Org) -> None:
    record_id = new_contact(org)
    org.Contact.delete(record_id)
    for change, arguments in (org.Contact.update, ({"LastName": "X"},)), (org.Contact.delete, ()):
        with pytest.raises(SalesforceResourceNotFound) as caught:
            change(record_id, *arguments)
        assert (refusal(caught)["errorCode"], refusal(caught)["message"]) == ("ENTITY_IS_DELETED", "entity is deleted")


def test_quota_is_403_and_names_itself(sandbox: Sandbox, org: Org) -> None:
    sandbox.switches(daily_requests=1)
    try:
        with pytest.raises(SalesforceRefusedRequest) as caught:
            org.query("SELECT Id FROM User")
    finally:
        sandbox.switches(daily_requests=100_000)
    assert refusal(caught) == {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 503, "html": True, "retry_after": 3}, SalesforceGeneralError),
        ({"status": 500}, SalesforceGeneralError),
        ({"status": 403}, SalesforceRefusedRequest),
        ({"status": 400, "code": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access to this record"},
         SalesforceMalformedRequest),
    ],
)  # fmt: skip
def test_injected_answers_are_its_exceptions(
    sandbox: Sandbox, org: Org, fault: dict[str, Any], error: type[Exception]
) -> None:
    sandbox.faults([{"match": {"kind": "query"}, "fault": {"type": "status", **fault}}])
    with pytest.raises(error):
        org.query("SELECT Id FROM User")
    assert org.query("SELECT COUNT() FROM User")["totalSize"] == 5


def test_overlong_query_is_414_with_the_servers_html(org: Org) -> None:
    listed = ",".join(f"'{number:018d}'" for number in range(900))
    with pytest.raises(SalesforceGeneralError) as caught:
        org.query(f"SELECT Id FROM Contact WHERE ERP_Id__c IN ({listed})")
    assert caught.value.status == 414
    assert str(caught.value.content) == "<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>"

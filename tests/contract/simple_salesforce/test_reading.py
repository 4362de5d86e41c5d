"""Describe, queries over pages, limits, replication and bulk queries through simple-salesforce."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceResourceNotFound
from simple_salesforce.format import format_soql

from tests.contract.simple_salesforce.conftest import RECORDS, Org, refusal
from tests.sandboxes import Sandbox


def test_global_describe_lists_the_objects(org: Org) -> None:
    described = org.describe()
    assert described is not None
    names = [entry["name"] for entry in described["sobjects"]]
    assert {"Account", "Contact", "Lead", "Opportunity", "Case", "User", "Gadget__c"} <= set(names)
    assert described["maxBatchSize"] == 200
    contact = next(entry for entry in described["sobjects"] if entry["name"] == "Contact")
    assert contact["urls"]["describe"] == f"/services/data/v{org.sf_version}/sobjects/Contact/describe"


def test_object_describe_shows_custom_fields(org: Org) -> None:
    fields = {entry["name"]: entry for entry in org.Contact.describe()["fields"]}
    assert fields["Interests__c"]["type"] == "multipicklist"
    assert fields["ERP_Id__c"]["externalId"] and fields["ERP_Id__c"]["unique"]
    assert fields["Score__c"]["type"] == "double"
    assert org.Contact.metadata()["objectDescribe"]["keyPrefix"] == "003"


def test_custom_object_has_a_field_of_every_type(org: Org) -> None:
    kinds = {entry["type"] for entry in org.Gadget__c.describe()["fields"]}
    assert kinds >= {
        "id", "reference", "string", "textarea", "phone", "url", "email", "combobox", "encryptedstring", "picklist",
        "multipicklist", "boolean", "int", "double", "percent", "currency", "date", "datetime", "time", "base64",
        "address", "location", "anyType", "complexvalue", "datacategorygroupreference", "long", "json",
    }  # fmt: skip


def test_query_all_walks_the_pages(sandbox: Sandbox, org: Org) -> None:
    before = sandbox.counters()["requests"].get("query_more", 0)
    answer = org.query_all("SELECT Id, LastName FROM Contact WHERE ERP_Id__c LIKE 'C-%'")
    assert sandbox.counters()["requests"]["query_more"] == before + 1
    assert answer["totalSize"] == len({record["Id"] for record in answer["records"]})
    assert answer["totalSize"] == org.query("SELECT COUNT() FROM Contact WHERE ERP_Id__c LIKE 'C-%'")["totalSize"]
    assert answer["totalSize"] > 2000


def test_small_pages_by_the_query_options_header(org: Org) -> None:
    first = org.query("SELECT Id FROM Contact", headers={"Sforce-Query-Options": "batchSize=200"})
    assert len(first["records"]) == 200
    assert not first["done"]
    second = org.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    again = org.query_more(first["nextRecordsUrl"].rsplit("/", 1)[1])
    assert second["records"] == again["records"]
    assert not {one["Id"] for one in first["records"]} & {one["Id"] for one in second["records"]}


def test_parents_children_and_aggregates(org: Org) -> None:
    contact = org.query("SELECT Id, Account.Name FROM Contact WHERE AccountId != null LIMIT 1")["records"][0]
    assert contact["Account"]["attributes"]["type"] == "Account"
    account = org.query("SELECT Name, (SELECT Id FROM Contacts) FROM Account ORDER BY Id LIMIT 1")["records"][0]
    assert account["Contacts"]["totalSize"] == len(account["Contacts"]["records"])
    grouped = org.query("SELECT LeadSource, COUNT(Id) FROM Contact GROUP BY LeadSource")["records"]
    assert sum(row["expr0"] for row in grouped) >= RECORDS


def test_escaped_text_is_found(org: Org) -> None:
    found = org.query_all(format_soql("SELECT LastName FROM Contact WHERE LastName = {}", "O'Brien"))
    assert {one["LastName"] for one in found["records"]} == {"O'Brien"}


def test_query_all_with_the_recycle_bin(org: Org) -> None:
    living = org.query("SELECT COUNT() FROM Contact")["totalSize"]
    everything = org.query("SELECT COUNT() FROM Contact", include_deleted=True)["totalSize"]
    deleted = org.query_all("SELECT Id FROM Contact WHERE IsDeleted = true", include_deleted=True)["totalSize"]
    assert deleted > 0
    assert everything == living + deleted


def test_expired_locator(sandbox: Sandbox, org: Org) -> None:
    first = org.query("SELECT Id FROM Contact")
    sandbox.control("expire_locators")
    with pytest.raises(SalesforceMalformedRequest) as caught:
        org.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    assert refusal(caught)["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_oldest_locator_goes_when_there_are_too_many(org: Org) -> None:
    first = org.query("SELECT Id FROM Contact")
    for _ in range(10):
        org.query("SELECT Id FROM Contact")
    with pytest.raises(SalesforceMalformedRequest) as caught:
        org.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    assert refusal(caught)["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_limits_and_usage_header(org: Org) -> None:
    limits = org.limits()
    used = limits["DailyApiRequests"]["Max"] - limits["DailyApiRequests"]["Remaining"]
    assert org.api_usage["api-usage"].used == used
    assert org.api_usage["api-usage"].total == limits["DailyApiRequests"]["Max"]
    counted = org.restful("limits/recordCount", params={"sObjects": "Contact,Account"})
    assert counted is not None
    assert [entry["name"] for entry in counted["sObjects"]] == ["Contact", "Account"]


def test_updated_and_deleted(sandbox: Sandbox, org: Org) -> None:
    # Both ends are whole minutes: what other tests changed before must not be in the first one.
    start = sandbox.advance(timedelta(minutes=2)).astimezone(UTC)
    sandbox.advance(timedelta(minutes=5))
    changed = sandbox.change_contacts(7)
    gone = sandbox.insert("Contact", [{"LastName": "Gone"}])
    sandbox.control("delete", ids=gone)
    sandbox.advance(timedelta(minutes=5))
    end = sandbox.now()

    updated = org.Contact.updated(start, end)
    deleted = org.Contact.deleted(start, end)

    assert sorted(updated["ids"]) == sorted(changed)
    assert [one["id"] for one in deleted["deletedRecords"]] == gone
    assert updated["latestDateCovered"] == end.strftime("%Y-%m-%dT%H:%M:00.000+0000")
    with pytest.raises(SalesforceMalformedRequest) as caught:
        org.Contact.updated(end - timedelta(days=31), end)
    assert refusal(caught)["errorCode"] == "INVALID_REPLICATION_DATE"


def test_naive_datetimes_are_malformed_replication_dates(org: Org) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        org.Contact.updated(datetime(2026, 11, 23, 8, 0), datetime(2026, 11, 23, 9, 0))  # noqa: DTZ001
    assert refusal(caught)["errorCode"] == "INVALID_REPLICATION_DATE"


def test_bulk_query_in_pages_equals_rest(org: Org) -> None:
    fields = ["Id", "Name", "Email", "Description", "Interests__c", "Score__c", "Birthdate", "SystemModstamp"]
    query = f"SELECT {', '.join(fields)} FROM Contact"
    pages = list(org.bulk2.Contact.query(query, max_records=1000, wait=0))
    assert len(pages) == 3
    rows = [row for page in pages for row in csv.DictReader(io.StringIO(page, newline=""))]
    assert list(rows[0]) == fields
    rest = {record["Id"]: record for record in org.query_all(query)["records"]}
    assert len(rows) == len(rest)
    for row in rows:
        record = rest[row["Id"]]
        for name in fields:
            value = record[name]
            if name == "SystemModstamp":
                value = value.replace("+0000", "Z")
            assert row[name] == ("" if value is None else str(value)), (row["Id"], name)


def test_bulk_query_of_deleted_rows_to_files(org: Org, tmp_path: Path) -> None:
    results = org.bulk2.Contact.download("SELECT Id FROM Contact", path=str(tmp_path), max_records=2000, wait=0)
    assert results[0]["number_of_records"] == 2000
    with_bin = list(org.bulk2.Contact.query_all("SELECT Id FROM Contact WHERE IsDeleted = true", wait=0))
    assert with_bin[0].count("\n") > 1


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ("SELECT Nope FROM Contact", "INVALID_FIELD", "No such column 'Nope' on entity 'Contact'."),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported."),
        ("SELECT Id FROM", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Contact WHERE LastName = 3", "INVALID_FIELD", "ERROR at Row:1:Column:"),
        ("", "MALFORMED_QUERY", "A query string has to be specified"),
    ],
)
def test_refused_queries(org: Org, query: str, code: str, text: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        org.query(query)
    assert refusal(caught)["errorCode"] == code
    assert text in refusal(caught)["message"]


def test_hidden_field_looks_as_if_it_did_not_exist(sandbox: Sandbox, org: Org) -> None:
    sandbox.hide("Contact.Email", "Lead")
    try:
        assert "Email" not in {entry["name"] for entry in org.Contact.describe()["fields"]}
        with pytest.raises(SalesforceMalformedRequest) as caught:
            org.query("SELECT Email FROM Contact")
        assert refusal(caught)["errorCode"] == "INVALID_FIELD"
        with pytest.raises(SalesforceResourceNotFound):
            org.Lead.describe()
    finally:
        sandbox.hide()
    assert "Email" in {entry["name"] for entry in org.Contact.describe()["fields"]}

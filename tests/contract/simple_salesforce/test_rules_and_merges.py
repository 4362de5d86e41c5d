"""simple-salesforce against the rules of an org, and what it sees of merged, purged and conditional records."""

from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime

import pytest
from simple_salesforce.exceptions import SalesforceGeneralError, SalesforceMalformedRequest, SalesforceResourceNotFound

from tests.contract.simple_salesforce.conftest import Org, refusal
from tests.sandboxes import Sandbox

OTHER_USER = "SELECT Id FROM User WHERE Username = 'user2@acme.example'"


@pytest.fixture(autouse=True)
def without_rules(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.control("assignment_rules")
    sandbox.control("duplicate_rules")


def test_leads_are_assigned_unless_the_header_says_no(sandbox: Sandbox, org: Org) -> None:
    other = org.query(OTHER_USER)["records"][0]["Id"]
    sandbox.control("assignment_rules", rules=[{"object": "Lead", "name": "All", "owner": other}])
    (rule,) = org.query("SELECT Id, Name, SobjectType, Active FROM AssignmentRule")["records"]
    assert (rule["Name"], rule["SobjectType"], rule["Active"]) == ("All", "Lead", True)
    values = {"LastName": "Assigned", "Company": "Acme"}
    owners = [
        org.Lead.get(org.Lead.create(values, headers=headers)["id"])["OwnerId"]
        for headers in ({}, {"Sforce-Auto-Assign": "FALSE"}, {"Sforce-Auto-Assign": rule["Id"]})
    ]
    assert [owner == other for owner in owners] == [True, False, True]
    (job,) = org.bulk2.Lead.insert(records=[values], wait=0)
    found = org.query("SELECT OwnerId FROM Lead WHERE LastName = 'Assigned' ORDER BY Id DESC LIMIT 1")["records"]
    assert job["numberRecordsFailed"] == 0
    assert found[0]["OwnerId"] != other


def test_duplicates_are_told_and_can_be_allowed(sandbox: Sandbox, org: Org) -> None:
    values = {"LastName": "Duplicated", "Email": "duplicated@example.com"}
    first = org.Contact.create(values)["id"]
    sandbox.control("duplicate_rules", rules=[{"object": "Contact", "fields": ["Email"], "action": "alert"}])
    with pytest.raises(SalesforceMalformedRequest) as caught:
        org.Contact.create(values)
    entry = refusal(caught)
    assert entry["errorCode"] == "DUPLICATES_DETECTED"
    # Where clients in the wild look for the record that is there already.
    assert entry["duplicateResut"]["matchResults"][0]["matchRecords"][0]["record"]["Id"] == first
    allowed = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}
    assert org.Contact.create(values, headers=allowed)["success"]
    (job,) = org.bulk2.Contact.insert(records=[values], wait=0)
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (1, 1)
    assert "DUPLICATES_DETECTED" in org.bulk2.Contact.get_failed_records(job["job_id"])


def test_losers_of_a_merge_are_found_with_their_master(sandbox: Sandbox, org: Org) -> None:
    """The query that its users are told to find merges by (simple-salesforce#34)."""
    master, loser = (org.Contact.create({"LastName": name})["id"] for name in ("Stays", "Goes"))
    sandbox.control("merge", master=master, losers=[loser])
    text = "SELECT Id, MasterRecordId FROM Contact WHERE IsDeleted = true AND MasterRecordId != null"
    found = org.query_all(text, include_deleted=True)["records"]
    assert {one["Id"]: one["MasterRecordId"] for one in found}[loser] == master
    with pytest.raises(SalesforceResourceNotFound) as caught:
        org.Contact.update(loser, {"LastName": "Late"})
    assert refusal(caught)["errorCode"] == "ENTITY_IS_DELETED"


def test_an_update_on_condition(sandbox: Sandbox, org: Org) -> None:
    made = org.Contact.create({"LastName": "Conditional"})["id"]
    earlier = {"If-Unmodified-Since": format_datetime(sandbox.now() - timedelta(hours=1), usegmt=True)}
    with pytest.raises(SalesforceGeneralError) as caught:
        org.Contact.update(made, {"LastName": "Mine"}, headers=earlier)
    assert caught.value.status == 412
    later = {"If-Unmodified-Since": format_datetime(sandbox.now() + timedelta(hours=1), usegmt=True)}
    assert org.Contact.update(made, {"LastName": "Mine"}, headers=later) == 204

"""The rest of what simple-salesforce can do, unchanged, and a list of all of it with what is left out."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from simple_salesforce.api import Salesforce, SFType
from simple_salesforce.exceptions import (
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

from tests.contract.simple_salesforce.conftest import RECORDS, Org, refusal
from tests.sandboxes import Sandbox

LEFT_OUT = {
    "checkDeployStatus": "the metadata API: a SOAP fault, as test_metadata_is_refused shows for deploy",
    "mdapi": "the metadata API",
    "set_password": "passwords of the sandbox's users are fixed: 405",
    "parse_api_usage": "no request",
    "parse_result_to_json": "no request",
}
"""Public names that no test here uses with success, each with the reason."""


def public(owner: type) -> set[str]:
    """The methods and properties that its users may call."""
    return {
        name
        for name, member in inspect.getmembers(owner)
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
    }


def test_every_public_method_is_tested_or_listed() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    used = set(re.findall(r"\.(\w+)\(", source))
    names = (public(Salesforce) | public(SFType)) - {"session_id"}
    assert names - used == set(LEFT_OUT) - used
    assert set(LEFT_OUT) <= names


def part(org: Org, name: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    url = f"/services/data/v{org.sf_version}/{path}"
    return {"method": method, "url": url, "referenceId": name, **({} if body is None else {"body": body})}


def test_composite_requests(org: Org) -> None:
    asked = {
        "allOrNone": True,
        "compositeRequest": [
            part(org, "account", "POST", "sobjects/Account", {"Name": "Composed"}),
            part(org, "contact", "POST", "sobjects/Contact", {"LastName": "C", "AccountId": "@{account.id}"}),
            part(org, "read", "GET", "query?q=SELECT Account.Name FROM Contact WHERE Id = '@{contact.id}'"),
        ],
    }
    answer = org.restful("composite", method="POST", json=asked)
    assert [one["httpStatusCode"] for one in answer["compositeResponse"]] == [201, 201, 200]
    assert answer["compositeResponse"][2]["body"]["records"][0]["Account"]["Name"] == "Composed"


def test_batch_graph_and_tree(org: Org) -> None:
    version = f"v{org.sf_version}"
    requests = [{"method": "GET", "url": f"{version}/limits"}, {"method": "GET", "url": f"{version}/nowhere"}]
    batch = org.restful("composite/batch", method="POST", json={"batchRequests": requests})
    assert [one["statusCode"] for one in batch["results"]] == [200, 404]

    node = part(org, "account", "POST", "sobjects/Account", {"Name": "Graphed"})
    graph = org.restful(
        "composite/graph", method="POST", json={"graphs": [{"graphId": "g", "compositeRequest": [node]}]}
    )
    assert graph["graphs"][0]["isSuccessful"] is True

    contact = {"attributes": {"type": "Contact", "referenceId": "c"}, "LastName": "Leaf"}
    root = {
        "attributes": {"type": "Account", "referenceId": "a"},
        "Name": "Tree",
        "Contacts": {"records": [contact]},
    }
    tree = org.restful("composite/tree/Account", method="POST", json={"records": [root]})
    assert {one["referenceId"] for one in tree["results"]} == {"a", "c"}
    with pytest.raises(SalesforceMalformedRequest):
        org.restful("composite/tree/Account", method="POST", json={"records": [root | {"Name": None}]})


def test_collections(org: Org) -> None:
    rows = [{"attributes": {"type": "Contact"}, "LastName": f"Row {number}"} for number in range(200)]
    made = org.restful("composite/sobjects", method="POST", json={"allOrNone": True, "records": rows})
    ids = [one["id"] for one in made]
    assert len(set(ids)) == 200
    read = org.restful("composite/sobjects/Contact", method="POST", json={"ids": ids[::-1], "fields": ["LastName"]})
    assert [one["LastName"] for one in read] == [row["LastName"] for row in rows[::-1]]
    changed = [{"attributes": {"type": "Contact"}, "id": each, "Title": "Changed"} for each in ids]
    assert all(one["success"] for one in org.restful("composite/sobjects", method="PATCH", json={"records": changed}))
    keyed = [{"attributes": {"type": "Contact"}, "ERP_Id__c": "EVERY-1", "LastName": "Keyed"}]
    for created in (True, False):
        (answer,) = org.restful("composite/sobjects/Contact/ERP_Id__c", method="PATCH", json={"records": keyed})
        assert answer["created"] is created
    gone = org.restful("composite/sobjects", method="DELETE", params={"ids": ",".join(ids), "allOrNone": "true"})
    assert all(one["success"] for one in gone)
    assert org.restful("composite/sobjects/Contact", params={"ids": ids[0], "fields": "Id"}) == [None]


def test_searches(org: Org) -> None:
    made = org.Contact.create({"LastName": "Findable", "Email": "find.me@example.com"})["id"]
    assert [one["Id"] for one in org.quick_search("Findable")["searchRecords"]] == [made]
    answer = org.search("FIND {find.me} IN EMAIL FIELDS RETURNING Contact(Id, LastName)")
    assert answer["searchRecords"][0]["LastName"] == "Findable"
    with pytest.raises(SalesforceMalformedRequest) as caught:
        org.search("find nothing")
    assert refusal(caught)["errorCode"] == "MALFORMED_SEARCH"


def test_lazy_pages(org: Org) -> None:
    rows = org.query_all_iter("SELECT Id FROM Contact WHERE ERP_Id__c LIKE 'C-%'")
    first = next(rows)
    assert len({one["Id"] for one in [first, *rows]}) > 2000


def test_the_org_and_its_user(sandbox: Sandbox, org: Org) -> None:
    assert org.is_sandbox() is False
    info = org.oauth2("userinfo")
    assert info["preferred_username"] == sandbox.sign_in("soap")["username"]
    assert org.restful("")["identity"] == info["sub"]
    assert org.restful("limits/recordCount", params={"sObjects": "Contact"})["sObjects"][0]["count"] >= RECORDS
    # An empty list is nothing to simple-salesforce.
    assert org.restful("quickActions") is None


def test_tooling_and_apex(org: Org) -> None:
    answer = org.toolingexecute("query", params={"q": "SELECT Name FROM Organization"})
    assert answer["records"][0]["Name"] == org.query("SELECT Name FROM Organization")["records"][0]["Name"]
    with pytest.raises(SalesforceResourceNotFound):
        org.toolingexecute("executeAnonymous/?anonymousBody=System.debug(1)%3B")
    with pytest.raises(SalesforceResourceNotFound) as caught:
        org.apexecute("Nothing", method="POST", data={"a": 1})
    assert refusal(caught) == {"message": "Could not find a match for URL", "errorCode": "NOT_FOUND"}


def test_metadata_is_refused(org: Org, tmp_path: Path) -> None:
    package = tmp_path / "package.zip"
    package.write_bytes(b"PK")
    with pytest.raises(SalesforceGeneralError) as caught:
        org.deploy(str(package), sandbox=False)
    assert caught.value.status == 500
    assert "No operation available" in str(caught.value.content)


def test_layouts_and_headers(org: Org) -> None:
    assert org.Contact.describe_layout("012000000000000AAA")["layouts"] == []
    use = {"Sforce-Mru": "updateMru=true"}
    made = org.Account.create({"Name": "Recent"}, headers=use)["id"]
    assert org.restful("recent", params={"limit": 1})[0]["Id"] == made
    assert org.Account.metadata()["recentItems"][0]["Id"] == made
    with pytest.raises(SalesforceGeneralError) as caught:
        org.Contact.update(
            org.query("SELECT Id FROM Contact LIMIT 1")["records"][0]["Id"],
            {"Title": "x"},
            headers={"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
        )
    assert caught.value.status == 412


def test_files_in_base64_fields(org: Org, tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(b"\x89PNG\r\n\x00 first")
    with pytest.raises(SalesforceMalformedRequest) as caught:
        org.Gadget__c.upload_base64(str(image), base64_field="Image__c")
    assert refusal(caught)["fields"] == ["Required__c"]
    made = org.Gadget__c.create({"Name": "Pictured", "Required__c": "x"})["id"]
    assert org.Gadget__c.update_base64(made, str(image), base64_field="Image__c") == 204
    assert org.Gadget__c.get_base64(made, base64_field="Image__c") == image.read_bytes()


def test_numbers_parsed_as_its_user_wants(org: Org) -> None:
    answer = org.Contact.create({"LastName": "Exact", "Score__c": 12.34})
    text = json.dumps(org.Contact.get(answer["id"])["Score__c"])
    assert text == "12.34"

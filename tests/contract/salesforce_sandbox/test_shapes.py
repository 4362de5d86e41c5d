"""The shapes of Salesforce's answers as data: key names, nesting and kinds of values; the values are invented."""

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.sandboxes import Client

ID = re.compile(r"[a-zA-Z0-9]{18}")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000\+0000")
RECORD_URL = re.compile(r"/services/data/v68\.0/sobjects/\w+/[a-zA-Z0-9]{18}")
NEXT = re.compile(r"/services/data/v68\.0/query/01g[a-zA-Z0-9]{15}-\d+")
RECORD = {"attributes": {"type": str, "url": RECORD_URL}, "Id": ID}

Answer = tuple[int, Any]
SHAPES: dict[str, tuple[int, Any]] = {
    "row error": (
        400,
        [
            {
                "message": "Required fields are missing: [LastName]",
                "errorCode": "REQUIRED_FIELD_MISSING",
                "fields": ["LastName"],
            }
        ],
    ),
    "row error of a collection": (
        200,
        [
            {
                "success": False,
                "errors": [
                    {
                        "statusCode": "STRING_TOO_LONG",
                        "message": re.compile(r"Title: data value too large: x+ \(max length=128\)"),
                        "fields": ["Title"],
                    }
                ],
            }
        ],
    ),
    "row of a collection": (200, [{"id": ID, "success": True, "errors": []}]),
    "quota": (403, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]),
    "session": (401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]),
    "page": (200, {"totalSize": int, "done": False, "nextRecordsUrl": NEXT, "records": [RECORD]}),
    "last page": (200, {"totalSize": int, "done": True, "records": [RECORD]}),
    "count query": (200, {"totalSize": int, "done": True, "records": []}),
    "aggregate": (
        200,
        {"totalSize": 1, "done": True, "records": [{"attributes": {"type": "AggregateResult"}, "expr0": int}]},
    ),
    "child subquery": (
        200,
        {
            "totalSize": 1,
            "done": True,
            "records": [{**RECORD, "Contacts": {"totalSize": int, "done": True, "records": [RECORD]}}],
        },
    ),
    "no children": (200, {"totalSize": 1, "done": True, "records": [{**RECORD, "Contacts": None}]}),
    "parent": (
        200,
        {
            "totalSize": 1,
            "done": True,
            "records": [{**RECORD, "Account": {"attributes": {"type": "Account", "url": RECORD_URL}, "Name": str}}],
        },
    ),
    "no parent": (200, {"totalSize": 1, "done": True, "records": [{**RECORD, "Account": None}]}),
    "updated": (200, {"ids": [ID], "latestDateCovered": STAMP}),
    "deleted": (
        200,
        {
            "deletedRecords": [{"id": ID, "deletedDate": STAMP}],
            "earliestDateAvailable": STAMP,
            "latestDateCovered": STAMP,
        },
    ),
    "several of one external id": (300, [re.compile(r"/services/data/v68\.0/sobjects/Contact/003\w{15}")]),
    "created": (201, {"id": ID, "success": True, "errors": []}),
    "upserted": (201, {"id": ID, "success": True, "errors": [], "created": True}),
    "picklist entry": (200, {"active": True, "defaultValue": bool, "label": str, "validFor": None, "value": str}),
    "version": (
        200,
        [{"label": str, "url": re.compile(r"/services/data/v\d\d\.0"), "version": re.compile(r"\d\d\.0")}],
    ),
    "bulk failed row": (
        200,
        {
            "sf__Id": "",
            "sf__Error": "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",
            "ERP_Id__c": "42",
            "LastName": "",
        },
    ),
}


def mismatch(shape: Any, value: Any, where: str = "$") -> str:
    """Where a value differs from its shape, '' if nowhere. A list's shape is that of each of its items."""
    if isinstance(shape, dict):
        if not isinstance(value, dict) or set(value) != set(shape):
            return f"{where}: {value} has not the keys {sorted(shape)}"
        return next(filter(None, (mismatch(shape[key], value[key], f"{where}.{key}") for key in shape)), "")
    if isinstance(shape, list):
        if not isinstance(value, list) or bool(value) != bool(shape):
            return f"{where}: {value} is not like {shape}"
        return next(filter(None, (mismatch(shape[0], one, f"{where}[]") for one in value)), "")
    if isinstance(shape, re.Pattern):
        fits = isinstance(value, str) and shape.fullmatch(value) is not None
    elif isinstance(shape, type):
        fits = type(value) is shape
    else:
        fits = value == shape and type(value) is type(shape)
    return "" if fits else f"{where}: {value!r} is not {shape}"


def answered(answer: Any) -> Answer:
    return answer.status_code, answer.json()


def query(client: Client, text: str, **headers: str) -> Answer:
    return answered(client.get("/query", params={"q": text}, headers=headers))


def changes(client: Client, what: str) -> Answer:
    """getUpdated or getDeleted, with one change of each kind in its window."""
    sandbox = client.sandbox
    start = sandbox.now()
    sandbox.advance(timedelta(minutes=2))
    kept, gone = sandbox.insert("Contact", [{"LastName": "Kept"}, {"LastName": "Gone"}])
    sandbox.control("delete", ids=[gone])
    end = sandbox.advance(timedelta(minutes=2))
    ends = {"start": start.isoformat(), "end": end.isoformat()}
    status, body = answered(client.get(f"/sobjects/Contact/{what}", params=ends))
    assert kept in str(body) or gone in str(body)
    return status, body


def over_quota(client: Client) -> Answer:
    client.sandbox.switches(daily_requests=0)
    answer = answered(client.get("/limits"))
    client.sandbox.switches(daily_requests=100_000)
    return answer


def failed_row(client: Client) -> Answer:
    """The failed results of an ingest job with one row, as a dict."""
    job = client.send("POST", "/jobs/ingest", json={"object": "Contact", "operation": "insert"}).json()["id"]
    rows = b"ERP_Id__c,LastName\n42,\n"
    client.send("PUT", f"/jobs/ingest/{job}/batches", data=rows, headers={"Content-Type": "text/csv"})
    client.send("PATCH", f"/jobs/ingest/{job}", json={"state": "UploadComplete"})
    while client.get(f"/jobs/ingest/{job}").json()["state"] not in ("JobComplete", "Failed"):
        continue
    answer = client.get(f"/jobs/ingest/{job}/failedResults/")
    (row,) = csv.DictReader(io.StringIO(answer.content.decode()))
    return answer.status_code, row


def twins(client: Client) -> Answer:
    for _ in range(2):
        client.send("POST", "/sobjects/Contact", json={"LastName": "Twin", "Legacy_Key__c": "twin"})
    return answered(client.get("/sobjects/Contact/Legacy_Key__c/twin"))


def family(client: Client, children: int) -> Answer:
    """An account with so many contacts, queried with them."""
    account = client.send("POST", "/sobjects/Account", json={"Name": "Family"}).json()["id"]
    for _ in range(children):
        client.send("POST", "/sobjects/Contact", json={"LastName": "Child", "AccountId": account})
    return query(client, f"SELECT Id, (SELECT Id FROM Contacts) FROM Account WHERE Id = '{account}'")


def collection(client: Client, **values: Any) -> Answer:
    records = [{"attributes": {"type": "Contact"}, **values}]
    return answered(client.send("POST", "/composite/sobjects", json={"records": records}))


def picklist_entry(client: Client) -> Answer:
    answer = client.get("/sobjects/Gadget__c/describe")
    field = next(one for one in answer.json()["fields"] if one["name"] == "Channel__c")
    return answer.status_code, field["picklistValues"][0]


CALLS: dict[str, Callable[[Client], Answer]] = {
    "row error": lambda client: answered(client.send("POST", "/sobjects/Contact", json={"FirstName": "x"})),
    "row error of a collection": lambda client: collection(client, LastName="x", Title="x" * 129),
    "row of a collection": lambda client: collection(client, LastName="x"),
    "quota": over_quota,
    "session": lambda client: answered(client.get("/limits", signed_in=False)),
    "page": lambda client: query(client, "SELECT Id FROM Contact", **{"Sforce-Query-Options": "batchSize=200"}),
    "last page": lambda client: query(client, "SELECT Id FROM Contact LIMIT 3"),
    "count query": lambda client: query(client, "SELECT COUNT() FROM Contact"),
    "aggregate": lambda client: query(client, "SELECT COUNT(Id) FROM Contact"),
    "child subquery": lambda client: family(client, 2),
    "no children": lambda client: family(client, 0),
    "parent": lambda client: query(client, "SELECT Id, Account.Name FROM Contact WHERE AccountId != null LIMIT 1"),
    "no parent": lambda client: query(client, "SELECT Id, Account.Name FROM Contact WHERE AccountId = null LIMIT 1"),
    "updated": lambda client: changes(client, "updated"),
    "deleted": lambda client: changes(client, "deleted"),
    "several of one external id": twins,
    "created": lambda client: answered(client.send("POST", "/sobjects/Contact", json={"LastName": "x"})),
    "upserted": lambda client: answered(client.send("PATCH", "/sobjects/Contact/ERP_Id__c/S", json={"LastName": "x"})),
    "picklist entry": picklist_entry,
    "version": lambda client: answered(client.send("GET", "/services/data", signed_in=False)),
    "bulk failed row": failed_row,
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_answer_has_the_shape_of_the_real_one(client: Client, name: str) -> None:
    status, body = CALLS[name](client)
    wanted, shape = SHAPES[name]
    assert status == wanted, body
    assert mismatch(shape, body) == ""


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ({"a": int}, {"a": 1, "b": 2}),
        ({"a": int}, {"a": "1"}),
        ({"a": None}, {"a": 0}),
        ([int], []),
        ([], [1]),
        ([{"a": 1}], [{"a": 1}, {"a": True}]),
        (ID, "003"),
    ],
)
def test_the_comparison_sees_differences(shape: Any, value: Any) -> None:
    assert mismatch(shape, value) != ""

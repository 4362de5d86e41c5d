"""Conditional requests for rows, by date and by entity tag; and rows that wait for each other's parents."""

import threading
import time
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.sandboxes import Client, Sandbox


@pytest.fixture
def contact(sandbox: Sandbox) -> str:
    (made,) = sandbox.insert("Contact", [{"LastName": "Conditional"}])
    return f"/sobjects/Contact/{made}"


@pytest.fixture
def account(sandbox: Sandbox) -> str:
    (made,) = sandbox.insert("Account", [{"Name": "Conditional"}])
    return f"/sobjects/Account/{made}"


def test_dates_to_read_and_to_write_by(sandbox: Sandbox, client: Client, contact: str) -> None:
    read = client.get(contact)
    seen = read.headers["Last-Modified"]
    earlier = format_datetime(sandbox.now() - timedelta(hours=2), usegmt=True)
    # The zone may be any that has a name (the guide's example is MST).
    later = (sandbox.now() + timedelta(hours=1) - timedelta(hours=7)).strftime("%a, %d %b %Y %H:%M:%S MST")
    expected = {
        ("If-Modified-Since", seen): 304,
        ("If-Modified-Since", later): 304,
        ("If-Modified-Since", earlier): 200,
        ("If-Unmodified-Since", seen): 200,
        ("If-Unmodified-Since", earlier): 412,
        ("If-Modified-Since", "yesterday"): 200,
        ("If-Unmodified-Since", "yesterday"): 200,
        ("If-Modified-Since", seen.replace("GMT", "-0000")): 200,
        ("If-None-Match", "*"): 200,
    }
    for (header, value), status in expected.items():
        answer = client.get(contact, headers={header: value})
        assert answer.status_code == status, (header, value)
        assert client.send("HEAD", contact, headers={header: value}).status_code == status
    assert client.get(contact, headers={"If-Unmodified-Since": earlier}).content == b""
    for value, status in ((earlier, 412), ("yesterday", 400), (seen, 204)):
        patched = client.send("PATCH", contact, json={"Title": "x"}, headers={"If-Unmodified-Since": value})
        assert patched.status_code == status
    # Reading conditions mean nothing to a write.
    assert client.send("PATCH", contact, json={"Title": "y"}, headers={"If-Modified-Since": later}).status_code == 204
    assert client.send("DELETE", contact, headers={"If-Unmodified-Since": earlier}).status_code == 204


def test_a_change_by_automation_is_not_seen(sandbox: Sandbox, client: Client, contact: str) -> None:
    """The date is that of a user's change: SystemModstamp alone does not move it."""
    seen = client.get(contact).headers["Last-Modified"]
    stamp = (sandbox.now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    sandbox.control("set_stamp", ids=[contact.rpartition("/")[2]], values={"SystemModstamp": stamp})
    assert client.get(contact, headers={"If-Modified-Since": seen}).status_code == 304


def test_tags_to_read_and_to_write_by(client: Client, account: str, contact: str) -> None:
    tag = client.get(account).headers["ETag"]
    assert tag.startswith('"') and tag.endswith('=--gzip"')
    reads = {("If-None-Match", tag): 304, ("If-None-Match", '"other"'): 200, ("If-None-Match", f'"a", {tag}'): 304,
             ("If-None-Match", f"W/{tag}"): 304, ("If-Match", f'"a",{tag}'): 200, ("If-Match", '"a"'): 412,
             ("If-Match", "*"): 200, ("If-Match", "bare"): 200}  # fmt: skip
    for (header, value), status in reads.items():
        assert client.get(account, headers={header: value}).status_code == status, (header, value)

    def patched(path: str = account, **headers: str) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.send("PATCH", path, json={"Description": "x"}, headers=given)

    assert patched(If_Match='"a"').status_code == 412
    assert patched(If_None_Match=tag).status_code == 412
    assert patched(If_Match="bare").status_code == patched(If_None_Match="bare").status_code == 400
    done = patched(If_Match=tag)
    assert (done.status_code, done.headers["ETag"] == tag) == (204, False)
    assert patched(If_Match=tag).status_code == 412
    assert patched(If_Match=done.headers["ETag"]).status_code == 204
    # No other object has entity tags, so that there is nothing to compare with.
    assert patched(contact, If_Match='"a"').status_code == 204


def test_conditions_inside_a_composite_request(sandbox: Sandbox, client: Client, account: str) -> None:
    """In one request, so that a client can write many rows on condition at the price of one call."""
    tag = client.get(account).headers["ETag"]

    def statuses() -> list[int]:
        parts = [
            {"method": "PATCH", "url": client.base + account, "referenceId": name, "body": {"Site": name},
             "httpHeaders": {"If-Match": value}}
            for name, value in (("a", tag), ("b", tag))
        ]  # fmt: skip
        answer = client.send("POST", "/composite", json={"compositeRequest": parts}).json()
        return [part["httpStatusCode"] for part in answer["compositeResponse"]]

    assert statuses() == [204, 412]
    sandbox.switches(composite_conditions=False)
    assert statuses() == [204, 204]


def test_collections_that_need_one_parent_at_the_same_time(sandbox: Sandbox, client: Client, account: str) -> None:
    parent = account.rpartition("/")[2]
    sandbox.control("update", object="Account", id=parent, values={"ERP_Id__c": "SHARED"})
    by_id = {"attributes": {"type": "Contact"}, "LastName": "By id", "AccountId": parent[:15]}
    by_key = {"attributes": {"type": "Contact"}, "LastName": "By key", "Account": {"ERP_Id__c": "shared"}}
    alone = {"attributes": {"type": "Contact"}, "LastName": "Alone"}
    sandbox.switches(parents_contend=True, collection_seconds=1.5)
    answers: dict[str, Any] = {}

    def first() -> None:
        slow = Client(sandbox)
        answers["first"] = slow.send("POST", "/composite/sobjects", json={"records": [by_id, by_id]}).json()
        slow.close()

    thread = threading.Thread(target=first)
    thread.start()
    while client.query("SELECT count() FROM Contact WHERE LastName = 'By id'")["totalSize"] == 0:
        time.sleep(0.01)
    # The first has done its work, and holds the parent for a while.
    sandbox.switches(collection_seconds=0)
    second = client.send("POST", "/composite/sobjects", json={"records": [by_key, alone, by_id]}).json()
    thread.join()
    assert [one["success"] for one in answers["first"]] == [True, True]
    assert [one["success"] for one in second] == [False, True, False]
    assert {one["errors"][0]["statusCode"] for one in second if one["errors"]} == {"UNABLE_TO_LOCK_ROW"}
    again = client.send("POST", "/composite/sobjects", json={"records": [by_key, by_id]}).json()
    assert [one["success"] for one in again] == [True, True]

"""Service protection, and what the fault plan spoils."""

import threading
from typing import Any

import pytest
import requests

from tests.sandboxes import WebApi


def plan(api: WebApi, **fault: Any) -> None:
    match = {"kind": fault.pop("kind", "record_create")}
    api.sandbox.faults([{"match": match, "fault": fault}])


def test_too_many_requests_are_refused_until_the_window_has_passed(api: WebApi) -> None:
    before = int(api.get("WhoAmI").headers["x-ms-ratelimit-burst-remaining-xrm-requests"])
    assert before < 6000
    api.sandbox.switches(requests_limit=6000 - before, retry_after=7)
    answer = api.get("WhoAmI")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json()["error"]["code"] == "0x80072322"
    api.sandbox.control("reset_limits")
    assert api.get("WhoAmI").status_code == 200


def test_too_much_work_is_refused(api: WebApi) -> None:
    api.sandbox.switches(execution_seconds_limit=100.0, request_seconds=101.0)
    assert api.get("WhoAmI").status_code == 200
    answer = api.get("WhoAmI")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "0x80072321")
    assert 0 < int(answer.headers["Retry-After"]) <= 300


def test_too_many_at_the_same_time_are_refused(api: WebApi) -> None:
    api.sandbox.switches(concurrent_limit=1)
    statuses: list[tuple[int, str]] = []
    together = threading.Barrier(4)

    def ask() -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(api.sandbox.ca_file)
            session.headers["Authorization"] = str(api.session.headers["Authorization"])
            together.wait()
            for _ in range(8):
                answer = session.get(api.base + "contacts?$top=100")
                code = answer.json()["error"]["code"] if answer.status_code == 429 else ""
                statuses.append((answer.status_code, code))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {(200, ""), (429, "0x80072326")}


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_reply_is_lost_before_or_after_the_work(api: WebApi, kind: str) -> None:
    body = {"contactid": "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e001", "lastname": "Lost"}
    plan(api, type=kind)
    with pytest.raises(requests.ConnectionError):
        api.send("POST", "contacts", json=body)
    there = api.send("DELETE", f"contacts({body['contactid']})").status_code
    assert there == (204 if kind == "drop_after" else 404)


def test_statuses_pages_and_cuts_come_on_demand(api: WebApi) -> None:
    plan(api, kind="query", type="status", status=503, html=True, retry_after=3)
    answer = api.get("contacts?$top=1")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3") and "<h1>" in answer.text
    plan(api, kind="query", type="status", status=429, code="0x80072321", message="Slow down.")
    assert api.get("contacts?$top=1").json()["error"] == {"code": "0x80072321", "message": "Slow down."}
    small = {"Prefer": "odata.maxpagesize=10"}
    plan(api, kind="query", type="foreign_next")
    page = api.one("contacts?$select=fullname", headers=small)
    assert page["@odata.nextLink"].startswith("https://elsewhere.example/api/data/v9.2/contacts?")
    plan(api, kind="query", type="no_next")
    assert "@odata.nextLink" not in api.one("contacts?$select=fullname", headers=small)
    plan(api, kind="query", type="truncate", bytes=20)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.get("contacts?$top=3", headers={"Accept-Encoding": "identity"})
    plan(api, kind="token", type="status", status=500)
    told, known = api.sandbox.told, api.sandbox.sign_in("client_secret")
    answer = api.session.post(f"{told['authority']}/{told['tenant']}/oauth2/v2.0/token", data=known)
    assert answer.status_code == 500


def test_pages_are_rewritten_on_demand(api: WebApi) -> None:
    path = "contacts?$select=lastname&$top=3"
    plan(api, kind="query", type="rewrite", trick="big_field", field="lastname", bytes=500)
    assert len(api.one(path)["value"][0]["lastname"]) == 500
    plan(api, kind="query", type="rewrite", trick="short_page")
    assert len(api.one(path)["value"]) == 2
    plan(api, kind="query", type="rewrite", trick="own_next")
    page = api.one(path)
    assert api.one(page["@odata.nextLink"])["value"] == page["value"]


def test_requests_are_counted_by_kind(api: WebApi) -> None:
    api.sandbox.counters(reset=True)
    path = "contacts?$select=fullname"
    page = api.one(path, headers={"Prefer": "odata.maxpagesize=50"})
    api.get(page["@odata.nextLink"], headers={"Prefer": "odata.maxpagesize=50"})
    api.get("contacts/$count")
    api.get("EntityDefinitions(LogicalName='contact')")
    counted = api.sandbox.counters()
    assert counted["requests"] == {"query": 1, "query_more": 1, "record_count": 1, "metadata": 1}
    assert {"kind": "query", "method": "GET", "status": 200, "count": 1} in counted["endpoints"]


def test_both_names_of_the_host_serve_and_links_stay_with_the_one_asked(api: WebApi) -> None:
    other = api.base.replace("localhost", "127.0.0.1")
    page = api.one(f"{other}contacts?$select=fullname", headers={"Prefer": "odata.maxpagesize=100"})
    assert page["@odata.nextLink"].startswith(other)

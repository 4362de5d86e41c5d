"""The fault plan, seen from a client's side of the connection."""

import http.client
import ssl
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.sandboxes import Client, ControlRefused, Sandbox

CONTACT_PAGE = "/query?q=SELECT+Id,Name+FROM+Contact"


def raw_get(sandbox: Sandbox, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """An answer without any decoding, as far as it came."""
    known = sandbox.salesforce
    url = urlsplit(known["instance_url"])
    assert url.hostname is not None
    connection = http.client.HTTPSConnection(
        url.hostname, url.port, context=ssl.create_default_context(cafile=sandbox.ca_file)
    )
    connection.request("GET", path, headers={"Authorization": f"Bearer {known['access_token']}", **headers})
    response = connection.getresponse()
    try:
        body = response.read()
    except http.client.IncompleteRead as error:
        body = error.partial
    connection.close()
    return response, body


def test_status_faults_are_counted_and_end(sandbox: Sandbox, client: Client) -> None:
    rule = {"match": {"kind": "query"}, "after": 1, "times": 2, "fault": {"type": "status", "status": 503}}
    sandbox.faults([rule])
    assert [client.get(CONTACT_PAGE).status_code for _ in range(5)] == [200, 503, 503, 200, 200]
    assert client.get("/limits").status_code == 200


def test_rules_match_method_and_path(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults([{"match": {"method": "get", "path": "/limits$"}, "fault": {"type": "status", "status": 500}}])
    assert client.get(CONTACT_PAGE).status_code == 200
    assert client.get("/limits").json()[0]["errorCode"] == "UNKNOWN_EXCEPTION"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"status": 401}, 401, "INVALID_SESSION_ID"),
        ({"status": 403}, 403, "REQUEST_LIMIT_EXCEEDED"),
        ({"status": 429, "retry_after": 7}, 429, "REQUEST_LIMIT_EXCEEDED"),
        ({"status": 503, "retry_after": 7}, 503, "SERVER_UNAVAILABLE"),
        ({"status": 400, "code": "QUERY_TIMEOUT", "message": "Your query request was running for too long."}, 400,
         "QUERY_TIMEOUT"),
    ],
)  # fmt: skip
def test_injected_status(sandbox: Sandbox, client: Client, fault: dict[str, Any], status: int, code: str) -> None:
    sandbox.faults([{"fault": {"type": "status", **fault}}])
    answer = client.get(CONTACT_PAGE)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (status, code)
    assert answer.headers.get("Retry-After") == ("7" if "retry_after" in fault else None)


def test_html_body_of_a_busy_server(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults([{"fault": {"type": "status", "status": 503, "html": True}}])
    answer = client.get(CONTACT_PAGE)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<h1>Service Unavailable</h1>" in answer.text


def test_connection_dropped_before_the_work_changes_nothing(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults([{"match": {"kind": "record_create"}, "fault": {"type": "drop_before"}}])
    with pytest.raises(requests.ConnectionError):
        client.send("POST", "/sobjects/Contact", json={"LastName": "Dropped before"})
    assert client.query("SELECT Id FROM Contact WHERE LastName = 'Dropped before'")["totalSize"] == 0


@pytest.mark.parametrize("fault", [{"type": "drop_after"}, {"type": "status", "status": 500, "after_work": True}])
def test_answer_lost_after_the_commit(sandbox: Sandbox, client: Client, fault: dict[str, Any]) -> None:
    name = f"Lost after {fault['type']}"
    sandbox.faults([{"match": {"kind": "record_create"}, "fault": fault}])
    try:
        answer = client.send("POST", "/sobjects/Contact", json={"LastName": name})
    except requests.ConnectionError:
        assert fault["type"] == "drop_after"
    else:
        assert answer.status_code == 500
    assert client.query(f"SELECT Id FROM Contact WHERE LastName = '{name}'")["totalSize"] == 1


def test_truncated_body_is_shorter_than_announced(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults([{"fault": {"type": "truncate", "bytes": 25}}])
    response, body = raw_get(sandbox, client.base + CONTACT_PAGE)
    assert int(response.headers["Content-Length"]) == len(body) + 25


def test_cut_gzip_is_framed_correctly_and_incomplete(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults([{"fault": {"type": "cut_gzip", "bytes": 12}}])
    response, body = raw_get(sandbox, client.base + CONTACT_PAGE, **{"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert int(response.headers["Content-Length"]) == len(body)
    stream = zlib.decompressobj(wbits=31)
    stream.decompress(body)
    assert not stream.eof


def test_expired_session_and_locators(sandbox: Sandbox, client: Client) -> None:
    sandbox.switches(query_page_rows=200)
    first = client.query("SELECT Id FROM Contact")
    sandbox.faults([{"match": {"kind": "query_more"}, "fault": {"type": "expire_locators"}}])
    assert client.get(first["nextRecordsUrl"]).json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_links_that_lead_elsewhere(sandbox: Sandbox, client: Client) -> None:
    sandbox.switches(query_page_rows=200)
    sandbox.faults(
        [
            {"match": {"kind": "query"}, "fault": {"type": "foreign_next", "location": "https://evil.example"}},
            {"match": {"kind": "limits"}, "fault": {"type": "redirect", "location": "https://evil.example/x"}},
        ]
    )
    assert client.query("SELECT Id FROM Contact")["nextRecordsUrl"].startswith("https://evil.example/services/data/")
    moved = client.get("/limits")
    assert (moved.status_code, moved.headers["Location"]) == (302, "https://evil.example/x")


def test_last_page_without_a_link(sandbox: Sandbox, client: Client) -> None:
    sandbox.switches(query_page_rows=200)
    sandbox.faults([{"match": {"kind": "query"}, "fault": {"type": "no_next"}}])
    page = client.query("SELECT Id FROM Contact")
    assert page["done"] is False
    assert "nextRecordsUrl" not in page


@pytest.mark.parametrize(
    "rule",
    [
        {"fault": {"type": "explode"}},
        {"fault": {"type": "status", "colour": "red"}},
        {"match": {"path": "("}, "fault": {"type": "drop_before"}},
        {"match": {"kind": "query"}},
    ],
)
def test_malformed_plans_are_refused(sandbox: Sandbox, rule: dict[str, Any]) -> None:
    with pytest.raises(ControlRefused):
        sandbox.faults([rule])


def test_headers_too_long_are_431(client: Client) -> None:
    answer = client.get("/limits", headers={"X-Long": "x" * 17_000})
    assert answer.status_code == 431
    assert "Request Header Fields Too Large" in answer.text


def test_uri_may_have_16384_bytes(client: Client) -> None:
    path = client.base + "/limits?padding="
    assert client.get(path + "x" * (14_000 - len(path))).status_code == 200
    assert client.get(path + "x" * (16_385 - len(path))).status_code == 414


def test_without_the_ca_the_sandbox_is_not_trusted(sandbox: Sandbox) -> None:
    with requests.Session() as session:
        session.trust_env = False
        with pytest.raises(requests.exceptions.SSLError):
            session.get(sandbox.salesforce["instance_url"] + "/services/data")

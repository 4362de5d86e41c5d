"""Everything that goes wrong on the way: the same rows in the end, or an error that says so; never fewer rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.contract.salesforce_connector.conftest import RECORDS, Opener, read
from tests.sandboxes import Sandbox

from crosstie.crm.connector import Order, Partition, RemoteQuery, Road
from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.errors import ConnectorError, ProtocolError, RequestError, UnavailableError
from crosstie.model import IndexRange

ROADS = (Road.PAGES, Road.BULK)
DATA = {Road.PAGES: "query", Road.BULK: "bulk_results"}
FIELDS = ("Id", "LastName", "Email", "SystemModstamp")

BUSY: dict[str, Any] = {
    "type": "status",
    "status": 403,
    "code": "REQUEST_LIMIT_EXCEEDED",
    "message": "ConcurrentRequests Limit exceeded.",
}
PASSING: list[dict[str, Any]] = [
    {"type": "status", "status": 503},
    {"type": "status", "status": 503, "html": True},
    {"type": "status", "status": 503, "retry_after": 1},
    {"type": "status", "status": 429},
    {"type": "status", "status": 502, "html": True},
    {"type": "status", "status": 504, "html": True},
    {"type": "status", "status": 500},
    BUSY,
    {"type": "drop_before"},
    {"type": "drop_after"},
    {"type": "truncate", "bytes": 300},
    {"type": "cut_gzip", "bytes": 5},
    {"type": "cut_gzip", "bytes": 20_000},
    {"type": "expire_session"},
]


def _named(one: Any) -> str:
    return "-".join(str(value) for value in one.values())[:40] if isinstance(one, dict) else str(one)


@pytest.fixture
def query(connector: SalesforceConnector) -> RemoteQuery:
    """All contacts."""
    return RemoteQuery(object=connector.describe("Contact"), fields=FIELDS)


def rule(kind: str, fault: dict[str, Any], *, after: int = 0, times: int | None = 1) -> dict[str, Any]:
    """A fault for requests of that kind."""
    return {"match": {"kind": kind}, "fault": fault, "after": after, "times": times}


@pytest.mark.parametrize(("road", "fault"), [(Road.PAGES, BUSY), *((Road.BULK, one) for one in PASSING)], ids=_named)
def test_a_passing_fault_costs_time_and_no_row(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery, road: Road, fault: dict[str, Any]
) -> None:
    late = 1 if road is Road.BULK else 0
    sandbox.faults([rule(DATA[road], fault, after=late), rule("query_more", fault)])
    found = read(connector, replace(query, road=road))
    assert len(found.rows) == RECORDS
    assert len({row[0] for row in found.rows}) == RECORDS


@pytest.mark.parametrize("kind", ["bulk_create", "bulk_status", "bulk_list"])
@pytest.mark.parametrize(
    "fault",
    [
        {"type": "status", "status": 503},
        {"type": "drop_before"},
        {"type": "drop_after"},
        {"type": "truncate", "bytes": 5},
        {"type": "expire_session"},
    ],
    ids=lambda fault: str(fault["type"]),
)
def test_a_job_is_made_and_awaited_through_faults(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery, kind: str, fault: dict[str, Any]
) -> None:
    sandbox.switches(bulk_in_progress_polls=2)
    sandbox.faults([rule(kind, fault)])
    found = read(connector, replace(query, road=Road.BULK))
    assert len(found.rows) == RECORDS
    assert found.kept == [found.token]
    assert found.expected_rows == RECORDS


def test_a_lost_reply_to_a_job_creation_is_said(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    sandbox.faults([rule("bulk_create", {"type": "drop_after"})])
    found = read(connector, replace(query, road=Road.BULK))
    assert "a first request was lost; it may have left the job 750" in found.reason
    sandbox.faults([rule("bulk_create", {"type": "drop_before"})])
    assert "lost" in read(connector, replace(query, road=Road.BULK)).reason
    sandbox.faults([rule("bulk_create", {"type": "status", "status": 503})])
    assert len(read(connector, replace(query, road=Road.BULK)).rows) == RECORDS


def test_the_session_may_end_before_every_single_call_of_a_bulk_read(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    sandbox.switches(bulk_in_progress_polls=1)
    found = read(
        connector, replace(query, road=Road.BULK), between=lambda partition: void(sandbox.control("expire_sessions"))
    )
    assert len(found.rows) == RECORDS


def void(value: object) -> None:
    """Forgets a value."""


@pytest.mark.parametrize("windowed", [False, True])
def test_an_expired_locator_goes_on_behind_the_last_row(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery, windowed: bool
) -> None:
    window = IndexRange(field="SystemModstamp", start=None, end=sandbox.now()) if windowed else None
    sandbox.counters(reset=True)
    found = read(
        connector,
        replace(query, road=Road.PAGES, window=window),
        between=lambda partition: void(sandbox.control("expire_locators")),
    )
    assert len(found.rows) == len({row[0] for row in found.rows}) == RECORDS
    assert sandbox.counters()["rows_total"] == RECORDS
    assert len(found.partitions) == 3


def test_an_expired_locator_of_an_ordered_read_begins_again(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    expired: list[Partition] = []

    def once(partition: Partition) -> None:
        if not expired:
            expired.append(partition)
            sandbox.control("expire_locators")

    found = read(connector, replace(query, order=(Order(field="LastName"),)), between=once)
    assert len(found.rows) == RECORDS + 2_000
    assert len({row[0] for row in found.rows}) == RECORDS
    assert [partition.position for partition in found.partitions] == [0, 1, 2, 3]


def test_wide_rows_and_small_pages_are_followed_to_the_end(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    sandbox.switches(query_page_rows=333)
    found = read(connector, replace(query, road=Road.PAGES))
    assert len(found.rows) == RECORDS
    assert len(found.partitions) == 14


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"type": "redirect"}, "elsewhere.example, a host that this account does not allow"),
        ({"type": "wrong_count", "rows": 1}, "records"),
        ({"type": "wrong_count", "rows": -1}, "records"),
        ({"type": "cut_csv", "rows": 1}, "999 of 1,000 records"),
        ({"type": "truncate", "bytes": 200}, "broke off|was cut"),
        ({"type": "cut_gzip", "bytes": 1}, "was cut"),
    ],
)
def test_a_lasting_fault_of_a_bulk_page_is_an_error_and_never_fewer_rows(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery, fault: dict[str, Any], message: str
) -> None:
    sandbox.faults([rule("bulk_results", fault, times=None)])
    with pytest.raises(ConnectorError, match=message) as caught:
        read(connector, replace(query, road=Road.BULK))
    assert isinstance(caught.value, ProtocolError | UnavailableError)
    assert caught.value.hint


def test_a_page_that_was_short_once_is_fetched_again_and_gives_no_row_twice(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    sandbox.faults([rule("bulk_results", {"type": "cut_csv", "rows": 400})])
    found = read(connector, replace(query, road=Road.BULK))
    assert len(found.rows) == len({row[0] for row in found.rows}) == RECORDS
    assert connector.usage.rows >= RECORDS


def test_the_daily_quota_is_not_waited_for(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    sandbox.switches(daily_requests=1)
    with pytest.raises(UnavailableError, match="used its API calls") as caught:
        read(connector, replace(query, road=Road.PAGES))
    assert caught.value.code == "REQUEST_LIMIT_EXCEEDED"
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() >= 3_600


def test_a_cap_leaves_calls_to_others(open_connector: Opener, sandbox: Sandbox) -> None:
    connector = open_connector(daily_calls=1)
    connector.objects()
    sandbox.counters(reset=True)
    with pytest.raises(UnavailableError, match="capped at 1"):
        connector.objects()
    assert sandbox.counters()["requests_total"] == 0


def test_a_job_of_an_earlier_attempt_is_taken_up(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery, open_connector: Opener
) -> None:
    bulk = replace(query, road=Road.BULK)
    first = connector.open(bulk, lambda token: None)
    sandbox.counters(reset=True)
    found = read(open_connector(), bulk, token=first.token)
    assert found.token == first.token
    assert found.kept == []
    assert "earlier attempt" in found.reason
    assert len(found.rows) == RECORDS
    assert "bulk_create" not in sandbox.counters()["requests"]


def test_a_job_that_is_gone_is_made_again(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery, open_connector: Opener
) -> None:
    bulk = replace(query, road=Road.BULK)
    opened = connector.open(bulk, lambda token: None)
    other = open_connector()
    other.org_id()
    other.close(token=opened.token)
    with pytest.raises(UnavailableError, match="no longer has the results") as caught:
        list(connector.fetch(bulk, opened.partitions[0]).batches)
    assert caught.value.code == "JOB_GONE"
    found = read(connector, bulk, token=opened.token)
    assert found.token != opened.token
    assert found.kept == [found.token]
    assert f"{opened.token} of an earlier attempt is gone" in found.reason
    assert len(found.rows) == RECORDS
    connector.close(token=opened.token)  # gone already: no error


def test_a_job_is_read_with_the_version_that_made_it(
    sandbox: Sandbox, query: RemoteQuery, open_connector: Opener
) -> None:
    bulk = replace(query, road=Road.BULK)
    opened = open_connector(api_version="61.0").open(bulk, lambda token: None)
    assert len(read(open_connector(api_version="64.0"), bulk, token=opened.token).rows) == RECORDS


@pytest.mark.parametrize("refused", [False, True])
def test_results_that_are_not_ready_are_no_empty_result(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery, refused: bool
) -> None:
    sandbox.switches(bulk_early_results_refused=refused)
    bulk = replace(query, road=Road.BULK)
    opened = connector.open(bulk, lambda token: None)
    sandbox.switches(bulk_in_progress_polls=1_000)
    answer = connector._session.once(
        "POST",
        "jobs/query",
        "create a job that is not ready",
        body={"operation": "query", "query": "SELECT Id FROM Contact", "contentType": "CSV"},
    ).json()
    early = replace(opened.partitions[0], payload={**opened.partitions[0].payload, "job": answer["id"]})
    with pytest.raises((ProtocolError, RequestError)):
        list(connector.fetch(bulk, early).batches)


def test_an_object_that_bulk_does_not_serve_is_read_by_pages(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    sandbox.switches(bulk_unsupported=["Contact"])
    found = read(connector, replace(query, expected_rows=50_000))
    assert found.road == Road.PAGES
    assert "not served by Bulk" in found.reason
    assert len(found.rows) == RECORDS
    with pytest.raises(RequestError, match="not supported by the Bulk API"):
        read(connector, replace(query, road=Road.BULK))


def test_an_aborted_page_lets_its_connection_go(connector: SalesforceConnector, query: RemoteQuery) -> None:
    bulk = replace(query, road=Road.BULK)
    opened = connector.open(bulk, lambda token: None)
    for _ in range(40):  # more than there are connections
        fetched = connector.fetch(bulk, opened.partitions[0])
        del fetched
    assert len(read(connector, bulk).rows) == RECORDS

"""Which road is taken and why, what it costs in calls, how far a window may reach."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.contract.salesforce_connector.conftest import RECORDS, Opener, read
from tests.sandboxes import Sandbox

from crosstie.crm.connector import Comparison, Operator, RemoteQuery, Road
from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.model import IndexRange


@pytest.fixture
def query(connector: SalesforceConnector, sandbox: Sandbox) -> RemoteQuery:
    """All contacts; the description is not among the counters any more."""
    remote = connector.describe("Contact")
    sandbox.counters(reset=True)
    return RemoteQuery(object=remote, fields=("Id", "LastName", "SystemModstamp"))


def requests(sandbox: Sandbox) -> dict[str, int]:
    """Requests by kind since the last reset."""
    counted: dict[str, int] = sandbox.counters()["requests"]
    return {kind: count for kind, count in counted.items() if count}


@pytest.mark.parametrize(
    ("expected", "road"), [(0, Road.PAGES), (9_999, Road.PAGES), (10_000, Road.BULK), (1_000_000, Road.BULK)]
)
def test_expected_rows_decide_without_a_count(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery, expected: int, road: Road
) -> None:
    opened = connector.open(replace(query, expected_rows=expected), lambda token: None)
    assert opened.road is road
    assert f"{expected:,} rows expected" in opened.reason
    assert not {"record_count", "query"} & set(requests(sandbox))


def test_without_a_filter_the_whole_object_is_estimated(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    estimated = int(RECORDS * sandbox.switches()["record_count_share"])
    sandbox.counters(reset=True)
    opened = connector.open(query, lambda token: None)
    assert (opened.road, opened.expected_rows) == (Road.PAGES, estimated)
    assert f"{estimated:,} rows estimated" in opened.reason
    assert requests(sandbox) == {"record_count": 1}


def test_with_a_filter_the_rows_are_counted(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    filtered = replace(query, condition=Comparison(field="Email", operator=Operator.EMPTY))
    opened = connector.open(filtered, lambda token: None)
    assert "rows counted" in opened.reason
    assert opened.expected_rows == connector.count(filtered)
    assert 0 < (opened.expected_rows or 0) < RECORDS


def window(connector: SalesforceConnector) -> IndexRange:
    """From before the first record until now, but not from the beginning: an incremental read of everything."""
    end = connector.server_time()
    return IndexRange(field="SystemModstamp", start=end - timedelta(days=36_500), end=end + timedelta(minutes=1))


def test_the_first_page_of_a_window_says_how_many_rows_it_has_and_is_not_asked_for_twice(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    incremental = replace(query, window=window(connector))
    found = read(connector, incremental)
    assert found.expected_rows == len(found.rows) == RECORDS
    assert "rows by the first page" in found.reason
    assert requests(sandbox) == {"query": 1, "query_more": 2}
    again = read(connector, replace(incremental, expected_rows=10))
    assert sorted(again.rows, key=str) == sorted(found.rows, key=str)


def test_a_window_that_proves_large_goes_by_bulk(open_connector: Opener, sandbox: Sandbox, query: RemoteQuery) -> None:
    connector = open_connector(bulk_from_rows=100)
    found = read(connector, replace(query, window=window(connector)))
    assert found.road == Road.BULK
    assert len(found.rows) == RECORDS
    assert requests(sandbox)["query"] == 1


def test_a_probed_page_can_be_fetched_again(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    incremental = replace(query, window=window(connector))
    opened = connector.open(incremental, lambda token: None)
    first, second = (
        [batch.to_pylist() for batch in connector.fetch(incremental, opened.partitions[0]).batches] for _ in range(2)
    )
    assert first == second != []


def test_a_filter_too_long_for_a_url_goes_by_bulk_or_is_cut(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    names = [f"Nobody {number}" for number in range(1_000)] + ["Lefèvre"]
    condition = Comparison(field="LastName", operator=Operator.ONE_OF, value=names)
    few = replace(query, condition=condition, expected_rows=50)
    by_pages, by_bulk = read(connector, few), read(connector, replace(few, expected_rows=50_000))
    assert (by_pages.road, by_bulk.road) == (Road.PAGES, Road.BULK)
    assert len(by_pages.partitions) > 1
    assert "cut in" in by_pages.reason
    assert {row[0] for row in by_pages.rows} == {row[0] for row in by_bulk.rows} != set()
    assert connector.count(few) == len(by_pages.rows)


def test_a_filter_too_long_for_any_query_is_cut_too(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    names = [f"Nobody of that name {number}" for number in range(5_000)] + ["Lefèvre"]
    condition = Comparison(field="LastName", operator=Operator.ONE_OF, value=names)
    found = read(connector, replace(query, condition=condition, expected_rows=50_000))
    assert found.road == Road.PAGES
    assert "too long for a bulk job" in found.reason
    assert found.rows


def test_a_bulk_read_costs_what_the_model_says(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    before = connector.usage.calls
    found = read(connector, replace(query, road=Road.BULK))
    connector.close(token=found.token)
    counted = requests(sandbox)
    assert counted.pop("bulk_status", 0) <= 5
    assert counted == {"bulk_create": 1, "bulk_results": 5, "bulk_delete": 1}
    assert connector.usage.calls - before == sum(requests(sandbox).values())
    assert connector.usage.rows == RECORDS


def test_an_incremental_run_without_change_makes_three_calls(
    sandbox: Sandbox, query: RemoteQuery, open_connector: Opener
) -> None:
    kept: list[str] = []
    open_connector(on_token=kept.append).org_id()
    sandbox.counters(reset=True)
    connector = open_connector(token=kept[-1])
    remote = connector.describe("Contact", known=query.object)
    assert remote is query.object
    now = connector.server_time()
    end = connector.safe_end(query, now)
    window = IndexRange(field="SystemModstamp", start=end - timedelta(minutes=15), end=end)
    found = read(connector, replace(query, window=window, expected_rows=0))
    assert found.rows == []
    assert requests(sandbox) == {"describe": 1, "updated": 1, "query": 1}
    assert connector.usage.calls == 3


def test_a_window_ends_at_a_whole_minute(connector: SalesforceConnector, query: RemoteQuery) -> None:
    now = connector.server_time()
    end = connector.safe_end(query, now.replace(second=47, microsecond=5))
    assert end == now.replace(second=0, microsecond=0)


@pytest.mark.parametrize("fails", [False, True])
def test_a_window_ends_before_an_open_transaction(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery, fails: bool
) -> None:
    sandbox.switches(late_fails_replication=fails)
    sandbox.advance(timedelta(minutes=30))
    begun = sandbox.now()
    sandbox.change_contacts(3, late=600)
    sandbox.advance(timedelta(minutes=5))
    assert begun - timedelta(minutes=1) <= connector.safe_end(query, sandbox.now()) <= begun
    sandbox.advance(timedelta(minutes=10))
    later = sandbox.now()
    assert connector.safe_end(query, later) == later.replace(second=0, microsecond=0)


def test_an_object_that_is_not_replicated_costs_no_call(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery
) -> None:
    end = datetime.fromisoformat("2026-11-23T08:00:59+00:00")
    plain = replace(query, object=replace(query.object, tracks_deletions=False))
    assert connector.safe_end(plain, end) == end.replace(second=0)
    assert requests(sandbox) == {}


def test_the_clock_is_that_of_the_last_answer(
    connector: SalesforceConnector, sandbox: Sandbox, query: RemoteQuery, open_connector: Opener
) -> None:
    sandbox.advance(timedelta(days=1))
    connector.count(query)
    assert abs(connector.server_time() - sandbox.now()) < timedelta(seconds=30)
    kept: list[str] = []
    open_connector(on_token=kept.append).org_id()
    fresh = open_connector(token=kept[-1])
    assert abs(fresh.server_time() - sandbox.now()) < timedelta(seconds=30)
    assert fresh.usage.calls == 1


def test_the_org_meter_is_read_from_the_answers(connector: SalesforceConnector, query: RemoteQuery) -> None:
    connector.count(query)
    assert connector.usage.org_limit == 100_000
    assert connector.usage.org_used >= connector.usage.calls

"""Answers cut on real connections, at a sample of places: noticed, asked for again, and right."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from crosstie.crm.connector import RemoteQuery, Road
from crosstie.crm.salesforce.connector import SalesforceConnector
from tests.contract.imports.world import open_connector
from tests.sandboxes import Sandbox
from tests.scale import examples

STEP = 97


@pytest.fixture(scope="module")
def connector(sandbox: Sandbox) -> Iterator[SalesforceConnector]:
    """A connector that is signed in."""
    opened = open_connector(sandbox, bulk_page_rows=50)
    opened.org_id()
    yield opened
    opened.close()


def read(connector: SalesforceConnector, query: RemoteQuery) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    todo = list(connector.open(query, lambda token: None).partitions)
    found: list[tuple[Any, ...]] = []
    while todo:
        fetched = connector.fetch(query, todo.pop(0))
        todo.extend(fetched.partitions)
        for batch in fetched.batches:
            found.extend(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return found


@pytest.mark.parametrize("framing", ["truncate", "cut_gzip", "cut_plain", "cut_chunked"])
@pytest.mark.parametrize("kind", ["query", "bulk_results"])
def test_a_cut_on_the_wire_is_noticed(
    connector: SalesforceConnector, sandbox: Sandbox, kind: str, framing: str
) -> None:
    contact = connector.describe("Contact")
    whole = RemoteQuery(object=contact, fields=("Id", "LastName", "MailingStreet"), road=Road.PAGES)
    ids = tuple(str(row[0]) for row in read(connector, whole)[:40])
    road = Road.BULK if kind == "bulk_results" else Road.PAGES
    query = RemoteQuery(object=contact, fields=whole.fields, ids=ids, road=road)
    right = read(connector, query)
    assert len(right) == len(ids)
    text = sum(len(str(value)) for row in right for value in row)
    shortest = text // 4 if framing in ("cut_gzip", "truncate") else text  # what is compressed is shorter
    places = [*range(1, shortest, STEP * 4), *random.Random(7).sample(range(1, shortest), examples(5, 100))]
    for missing in places:
        sandbox.faults([{"match": {"kind": kind}, "fault": {"type": framing, "bytes": missing}}])
        before = sum(connector.usage.retries.values())
        assert read(connector, query) == right, missing
        assert sum(connector.usage.retries.values()) == before + 1, missing
    sandbox.faults([])

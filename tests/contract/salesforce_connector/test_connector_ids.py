"""Reads by id: collections and lists of a query give the same, and cost what the road for ids says."""

from __future__ import annotations

from dataclasses import replace

from tests.contract.salesforce_connector.conftest import read
from tests.contract.salesforce_connector.test_connector_reading import readable
from tests.sandboxes import Sandbox

from crosstie.crm.connector import Comparison, Group, Operator, RemoteQuery, Road
from crosstie.crm.salesforce.connector import SalesforceConnector

EVERYTHING = Group(all=True, items=(Comparison(field="Id", operator=Operator.NOT_EMPTY),))


def test_collections_and_lists_of_a_query_give_the_same(connector: SalesforceConnector, sandbox: Sandbox) -> None:
    remote = connector.describe("Contact")
    query = RemoteQuery(object=remote, fields=readable(remote))
    known = sorted(str(row[0]) for row in read(connector, replace(query, fields=("Id",))).rows)
    ids = [*known[:700], "003zz0000000000AAA"]
    sandbox.counters(reset=True)
    by_collections = read(connector, replace(query, ids=ids))
    by_query = read(connector, replace(query, ids=ids, condition=EVERYTHING))
    assert sorted(by_collections.rows, key=str) == sorted(by_query.rows, key=str)
    assert [row[0] for row in by_collections.rows] == known[:700]
    counted = sandbox.counters()["requests"]
    assert (counted["retrieve"], counted["query"]) == (
        connector.road_for_ids(replace(query, road=Road.PAGES), len(ids)).calls,
        connector.road_for_ids(replace(query, road=Road.PAGES, condition=EVERYTHING), len(ids)).calls,
    )

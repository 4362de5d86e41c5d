"""How a connector says rows are best sent: the road, what it costs, what can be done about a lost answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.crm.writing import Certainty, Operation, RemoteWrite, WriteRoad
from crosstie.errors import RequestError
from tests.contract.salesforce_connector.conftest import Opener
from tests.sandboxes import Sandbox, running_sandbox

INSERT, UPDATE, UPSERT, DELETE = Operation.INSERT, Operation.UPDATE, Operation.UPSERT, Operation.DELETE
COLLECTIONS, BULK = WriteRoad.CALLS, WriteRoad.BULK


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Nothing is written here."""
    with running_sandbox(records=20) as running:
        yield running


@pytest.fixture(scope="module")
def connector(sandbox: Sandbox) -> Iterator[SalesforceConnector]:
    """One for all."""
    connector = Opener(sandbox)()
    yield connector
    connector.close()


@pytest.mark.parametrize(
    ("given", "rows", "road", "certainty", "calls", "reason"),
    [
        (
            {"operation": UPDATE},
            2000,
            "calls",
            "repeatable",
            10,
            "2,000 rows are 10 calls by collections",
        ),
        ({"operation": UPDATE}, 1, "calls", "repeatable", 1, "1 row is 1 call by collections"),
        ({"operation": UPDATE}, 2001, "bulk", "repeatable", 10, "about 10 by Bulk"),
        (
            {"operation": UPSERT, "key": "ERP_Id__c"},
            60_000,
            "bulk",
            "repeatable",
            20,
            "300 calls by collections",
        ),
        ({"operation": INSERT}, 1, "bulk", "findable", 10, "without a key"),
        ({"operation": INSERT, "road": COLLECTIONS}, 250, "calls", "opaque", 2, "asked for"),
        ({"operation": INSERT, "duplicates": "allow"}, 250, "calls", "opaque", 2, "in doubt"),
        (
            {"operation": UPDATE, "duplicates": "allow"},
            5000,
            "calls",
            "repeatable",
            25,
            "duplicate rules",
        ),
        (
            {"operation": DELETE, "fields": (), "hard": True},
            1,
            "bulk",
            "repeatable",
            10,
            "past the recycle bin",
        ),
    ],
)
def test_the_road_is_chosen_by_what_it_costs_and_proves(
    connector: SalesforceConnector,
    sandbox: Sandbox,
    given: dict[str, Any],
    rows: int,
    road: str,
    certainty: str,
    calls: int,
    reason: str,
) -> None:
    write = RemoteWrite(**{"object": connector.describe("Contact"), "fields": ("LastName",), **given})
    sandbox.counters(reset=True)
    found = connector.packing(write, rows)
    assert (found.road, found.certainty, found.calls) == (WriteRoad(road), Certainty(certainty), calls)
    assert reason in found.reason
    assert sandbox.counters()["requests_total"] == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"duplicates": "allow", "road": BULK}, "duplicate rules"),
        ({"operation": DELETE, "fields": (), "hard": True, "road": COLLECTIONS}, "past the recycle bin"),
        ({"operation": DELETE}, "takes remote ids and no fields"),
        ({"hard": True}, "for deletes"),
        ({"fields": ("SystemModstamp",)}, "cannot be written"),
        ({"fields": ("LastName", "lastname")}, "written twice"),
        ({"fields": ("AccountId", "Account.ERP_Id__c")}, "written twice"),
        ({"fields": ("Owner.Username",), "object": "Case"}, "says none"),
        ({"operation": UPSERT, "key": "Email"}, "no external id"),
        ({"fields": ()}, "says nothing"),
        ({"object": "Case", "assignment": "active"}, "active assignment rule can't go by Bulk"),
        ({"object": "Case", "assignment": "active", "operation": UPDATE, "road": BULK}, "can't go by"),
        ({"assignment": "sometimes"}, "no assignment rule"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_before_any_call(
    connector: SalesforceConnector, given: dict[str, Any], message: str
) -> None:
    changed = {"operation": INSERT, **given}
    fields = {"Case": ("Subject",)}.get(str(given.get("object")), ("LastName",))
    changed["fields"] = given.get("fields", fields)
    changed["object"] = connector.describe(str(given.get("object", "Contact")))
    with pytest.raises(RequestError, match=message):
        connector.packing(RemoteWrite(**changed), 10)

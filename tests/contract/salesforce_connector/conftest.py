"""Salesforce's connector and its sandbox; what every connector has to do is in `tests/contract/every_connector`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from tests.contract.positions import POSITIONS
from tests.sandboxes import Sandbox, running_sandbox

from crosstie.crm.connector import Connector, Partition, RemoteQuery
from crosstie.crm.http import Retries
from crosstie.crm.salesforce.bulk import Patience
from crosstie.crm.salesforce.connector import BULK_FROM_ROWS, SalesforceConnector
from crosstie.crm.salesforce.settings import SalesforceSettings

RECORDS = 4_500
QUICK = Retries(
    attempts=4,
    budget=timedelta(seconds=20),
    first_wait=timedelta(milliseconds=5),
    longest_wait=timedelta(milliseconds=50),
)
SOON = Patience(first=timedelta(milliseconds=5), longest=timedelta(milliseconds=50), total=timedelta(seconds=20))


@dataclass(slots=True)
class Opener:
    """Opens connectors to the sandbox, and closes them all at the end of a test."""

    sandbox: Sandbox
    opened: list[Connector] = field(default_factory=list)

    def settings(self, flow: str = "client_credentials", **changed: Any) -> SalesforceSettings:
        """The account's settings for a way to sign in."""
        known = SalesforceSettings.model_fields
        given = {name: value for name, value in self.sandbox.sign_in(flow).items() if name in known}
        whole = {
            "host": self.sandbox.salesforce["login_url"],
            "ca_file": str(self.sandbox.ca_file),
            **given,
            "flow": flow,
            **changed,
        }
        return SalesforceSettings.model_validate(whole)

    def __call__(
        self,
        flow: str = "client_credentials",
        *,
        token: str = "",
        org_id: str = "",
        on_token: Callable[[str], None] = lambda token: None,
        page_rows: int = 1_000,
        bulk_from_rows: int = BULK_FROM_ROWS,
        **changed: Any,
    ) -> SalesforceConnector:
        """A connector of its own, impatient enough for tests."""
        connector = SalesforceConnector(
            self.settings(flow, **changed),
            account="sandbox",
            org_id=org_id,
            token=token,
            on_token=on_token,
            bulk_page_rows=page_rows,
            bulk_from_rows=bulk_from_rows,
            patience=SOON,
            retries=QUICK,
        )
        self.opened.append(connector)
        return connector


@pytest.fixture(scope="module", params=POSITIONS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox for the tests of one module, with the facts nobody is sure of in one position and in the other."""
    with running_sandbox(records=RECORDS) as running:
        running.switches(**POSITIONS[request.param])
        yield running


@pytest.fixture
def open_connector(sandbox: Sandbox) -> Iterator[Opener]:
    """Opens connectors; afterwards the sandbox behaves again."""
    opener = Opener(sandbox)
    before = sandbox.switches()
    yield opener
    for connector in opener.opened:
        connector.close()
    sandbox.faults([])
    sandbox.hide()
    sandbox.switches(**before)


@pytest.fixture
def connector(open_connector: Opener) -> SalesforceConnector:
    """A connector that is signed in; its sign-in is not among the counters any more."""
    opened = open_connector()
    opened.org_id()
    open_connector.sandbox.counters(reset=True)
    return opened


@dataclass(slots=True)
class Read:
    """All rows of a read, as tuples in the order of the asked fields."""

    rows: list[tuple[str | None, ...]] = field(default_factory=list)
    road: str = ""
    reason: str = ""
    token: str = ""
    expected_rows: int | None = None
    kept: list[str] = field(default_factory=list)
    partitions: list[Partition] = field(default_factory=list)


def read(
    connector: Connector,
    query: RemoteQuery,
    *,
    token: str = "",
    between: Callable[[Partition], None] = lambda partition: None,
) -> Read:
    """Reads a query to its end, partition by partition; `between` runs before each but the first ones."""
    found = Read()
    opened = connector.open(query, found.kept.append, token=token)
    found.road, found.reason = str(opened.road), opened.reason
    found.token, found.expected_rows = opened.token, opened.expected_rows
    todo = list(opened.partitions)
    while todo:
        partition = todo.pop(0)
        if found.partitions:
            between(partition)
        found.partitions.append(partition)
        fetched = connector.fetch(query, partition)
        todo.extend(fetched.partitions)
        for batch in fetched.batches:
            assert batch.schema.names == list(query.fields)
            found.rows.extend(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return found

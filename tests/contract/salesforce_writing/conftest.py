"""A Salesforce sandbox for the tests of one module, and connectors that write to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from crosstie.crm.salesforce.connector import SalesforceConnector
from tests.contract.positions import POSITIONS
from tests.contract.salesforce_connector.conftest import Opener
from tests.sandboxes import Client, Sandbox, Witness, running_sandbox


@pytest.fixture(scope="module", params=POSITIONS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A small org, with the facts nobody is sure of in one position and in the other."""
    with running_sandbox(records=60) as running:
        running.switches(**POSITIONS[request.param])
        yield running


@pytest.fixture(scope="module")
def client(sandbox: Sandbox) -> Iterator[Client]:
    """Looks at the org by requests of its own."""
    opened = Witness(sandbox)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def opened(sandbox: Sandbox) -> Iterator[SalesforceConnector]:
    """One connector for the tests of a module, signed in."""
    connector = Opener(sandbox)()
    connector.org_id()
    yield connector
    connector.close()


@pytest.fixture
def connector(opened: SalesforceConnector, sandbox: Sandbox) -> Iterator[SalesforceConnector]:
    """A connector to an org in which what was written before is older than the guard of clocks; afterwards the sandbox
    behaves again."""
    before = sandbox.switches()
    sandbox.advance(timedelta(minutes=5))
    yield opened
    sandbox.faults([])
    sandbox.control("resume_jobs")
    sandbox.control("lock", ids=[])
    sandbox.switches(**before)

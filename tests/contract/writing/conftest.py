"""A sandbox for the tests of one module, and connectors that write to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from crosstie.crm.salesforce.connector import SalesforceConnector
from tests.contract.connector.conftest import Opener
from tests.contract.positions import POSITIONS
from tests.sandboxes import Client, Sandbox, running_sandbox


@pytest.fixture(scope="module", params=POSITIONS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A small org, with the facts nobody is sure of in one position and in the other."""
    with running_sandbox(records=60) as running:
        running.switches(**POSITIONS[request.param])
        yield running


class Witness(Client):
    """Looks at the org by requests of its own; signs in again when a fault has ended all sessions."""

    def send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, signed_in: bool = True, **given: Any
    ) -> requests.Response:
        """As Client.send."""
        answer = super().send(method, path, headers=headers, signed_in=signed_in, **given)
        if answer.status_code != 401:
            return answer
        known = self.sandbox.sign_in("client_credentials")
        asked = {
            "grant_type": "client_credentials",
            "client_id": known["client_id"],
            "client_secret": known["client_secret"],
        }
        token = super().send("POST", "/services/oauth2/token", signed_in=False, data=asked).json()["access_token"]
        self.sandbox.salesforce["access_token"] = token
        return super().send(method, path, headers=headers, **given)


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

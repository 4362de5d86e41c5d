"""One small Oracle sandbox for the whole suite, and bare requests to it."""

from collections.abc import Iterator

import pytest

from tests.sandboxes import Sandbox, SoapWire, running_sandbox


@pytest.fixture(scope="session")
def oracle() -> Iterator[Sandbox]:
    """Shared: each test leaves plan, rules and switches as it found them."""
    with running_sandbox(records=60, kind="oracle_on_demand") as running:
        running.switches(request_gap=0)
        yield running


@pytest.fixture
def wire(oracle: Sandbox) -> Iterator[SoapWire]:
    """A client without a session; afterwards there are no faults, rules and sessions, and all switches are back."""
    before = oracle.switches()
    opened = SoapWire(oracle)
    yield opened
    opened.close()
    oracle.faults([])
    oracle.switches(**before)
    oracle.control("rules")
    oracle.control("expire_sessions")
    oracle.hide()


@pytest.fixture
def soap(wire: SoapWire) -> SoapWire:
    """The same, logged in."""
    assert wire.login().status_code == 200
    return wire

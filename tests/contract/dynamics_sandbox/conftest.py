"""One small Dynamics sandbox for the whole suite, and bare requests to it."""

from collections.abc import Iterator

import pytest

from tests.sandboxes import Sandbox, WebApi, running_sandbox


@pytest.fixture(scope="session")
def dynamics() -> Iterator[Sandbox]:
    """Shared: each test leaves plan, rules and switches as it found them."""
    with running_sandbox(records=120, kind="dynamics") as running:
        yield running


@pytest.fixture(scope="session")
def shared_api(dynamics: Sandbox) -> Iterator[WebApi]:
    """One signed-in client."""
    opened = WebApi(dynamics)
    yield opened
    opened.close()


@pytest.fixture
def api(dynamics: Sandbox, shared_api: WebApi) -> Iterator[WebApi]:
    """The client; afterwards there are no faults, rules and plug-ins, and all switches are back."""
    before = dynamics.switches()
    yield shared_api
    dynamics.faults([])
    dynamics.switches(**before)
    dynamics.control("duplicate_rules")
    dynamics.control("plugins")
    dynamics.hide()
    dynamics.control("reset_limits")

"""A small sandbox for each test module, and a bare client for it."""

from collections.abc import Iterator

import pytest

from tests.sandboxes import Client, Sandbox, running_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Shared by the tests of a module: each leaves plan and switches as it found them."""
    with running_sandbox(records=600) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    """A client; afterwards the fault plan is empty and all switches are back."""
    before = sandbox.switches()
    opened = Client(sandbox)
    yield opened
    opened.close()
    sandbox.faults([])
    sandbox.switches(**before)

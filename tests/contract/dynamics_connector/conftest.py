"""What only Dynamics has: one sandbox for all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.every_connector.worlds import World
from tests.sandboxes import Sandbox, running_sandbox


@pytest.fixture(scope="session")
def dynamics() -> Iterator[Sandbox]:
    """A small sandbox."""
    with running_sandbox(records=60, kind="dynamics") as running:
        yield running


@pytest.fixture
def world(dynamics: Sandbox) -> Iterator[World]:
    """The sandbox with its names; afterwards it behaves again."""
    before = dynamics.switches()
    world = World("dynamics", dynamics)
    yield world
    for connector in world.opened:
        connector.close()
    dynamics.switches(**before)
    dynamics.control("reset_limits")

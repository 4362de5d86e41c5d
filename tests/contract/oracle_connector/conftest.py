"""What only Oracle CRM On Demand has: one sandbox for all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.every_connector.worlds import World
from tests.sandboxes import Sandbox, running_sandbox


@pytest.fixture(scope="session")
def oracle() -> Iterator[Sandbox]:
    """A small sandbox that is not in a hurry."""
    with running_sandbox(records=250, kind="oracle_on_demand") as running:
        running.switches(request_gap=0)
        yield running


@pytest.fixture
def world(oracle: Sandbox) -> Iterator[World]:
    """The sandbox with its names; afterwards it behaves again."""
    before = oracle.switches()
    world = World("oracle_on_demand", oracle)
    oracle.control("expire_sessions")
    oracle.counters(reset=True)
    yield world
    for connector in world.opened:
        connector.close()
    oracle.faults([])
    oracle.hide()
    oracle.switches(**before)

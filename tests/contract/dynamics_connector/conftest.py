"""What only Dynamics has: one sandbox for all of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from tests.contract.every_connector.test_importing import Imports, KindSite
from tests.contract.every_connector.worlds import World
from tests.contract.imports.world import HandClock
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


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """One database is enough for what the CRM tells."""
    opened = open_database(f"sqlite:///{tmp_path / 'marketing.db'}")
    yield opened
    opened.close()


@pytest.fixture
def running(world: World, database: Database) -> Imports:
    """A world for imports."""
    connector = world.open()
    objects = {name: connector.describe(name) for name in ("contact", "account", "new_journal")}
    clock = HandClock(world.sandbox.now())
    return Imports(db=database, sandbox=world.sandbox, site=KindSite(objects, world.kind), clock=clock, world=world)

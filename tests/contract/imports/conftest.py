"""The import activity's world, on both databases: the sandbox serves a module, the database one test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from crosstie.db.database import Database
from tests.contract.imports.world import DescribedSite, HandClock, World, describe, open_connector
from tests.sandboxes import Sandbox, running_sandbox

CONTACTS = 1_600
FIRST = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox for the tests of one module; its clock stands still unless it is moved on."""
    with running_sandbox(records=CONTACTS) as running:
        running.control("clock", at=FIRST.isoformat(), frozen=True)
        yield running


@pytest.fixture(scope="module")
def site(sandbox: Sandbox) -> DescribedSite:
    """What was collected from it."""
    connector = open_connector(sandbox)
    try:
        return describe(connector, "Contact", "Account", "Gadget__c")
    finally:
        connector.close()


@pytest.fixture
def world(database: Database, sandbox: Sandbox, site: DescribedSite) -> Iterator[World]:
    """A world in which nothing has changed for hours; afterwards the sandbox behaves again."""
    before = sandbox.switches()
    at = sandbox.advance(timedelta(hours=3))
    yield World(db=database, sandbox=sandbox, site=site, clock=HandClock(at))
    sandbox.faults([])
    sandbox.hide()
    sandbox.control("latency", milliseconds=0)
    sandbox.switches(**before)

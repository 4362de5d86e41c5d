"""The world of the imports, with a small org whose contacts were imported into a table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.imports.conftest import FIRST, site, world
from tests.contract.imports.world import TableSite, World
from tests.contract.salesforce_deletions.feed import Feed
from tests.sandboxes import Client, Sandbox, running_sandbox

__all__ = ["sandbox", "site", "world"]

PERSON = "create table person (crm_id varchar(18) primary key, last_name varchar(80), active boolean, visits integer)"


@pytest.fixture(scope="module")
def feed() -> Feed:
    """Answers as it stands until a test tells it something else."""
    return Feed()


@pytest.fixture(scope="module")
def sandbox(feed: Feed) -> Iterator[Sandbox]:
    """A sandbox for the tests of one module; its clock stands still unless it is moved on."""
    with running_sandbox(records=150, around=feed.around) as running:
        running.control("clock", at=FIRST.isoformat(), frozen=True)
        yield running


@pytest.fixture
def tabled(world: World, feed: Feed) -> Iterator[World]:
    """A world with a table of people."""
    world.execute(PERSON)
    world.site = TableSite(world.site.objects, world.db)
    yield world
    feed.named.clear()
    client = Client(world.sandbox)
    left = [one["Id"] for one in client.all("SELECT Id FROM Contact WHERE LastName LIKE 'Away %'")]
    client.close()
    if left:
        world.sandbox.control("delete", ids=left)

"""Fixtures shared by all tests: a fresh marketing database, on each of the two backends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from tests.databases import PostgresServer, SharedDatabase, postgres_server
from tests.scale import SOAK

# No deadline: nothing is asserted by wall time. The examples of `make test` are the same each time, so that what it
# finds was changed since it passed; `make soak` looks for others.
hypothesis.settings.register_profile("crosstie", deadline=None, derandomize=not SOAK)
hypothesis.settings.load_profile("crosstie")

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL cluster of this test process."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a fresh, empty PostgreSQL database."""
    name = f"test_{next(_numbers)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def _shared_database(postgres: PostgresServer) -> SharedDatabase:
    return SharedDatabase(postgres.create_database("marketing"))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh marketing database, on both backends in turn; nobody has it open."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'marketing.db'}"
        return
    shared: SharedDatabase = request.getfixturevalue("_shared_database")
    yield shared.url
    shared.reset()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh marketing database, open, on both backends in turn."""
    opened = open_database(database_url)
    yield opened
    opened.close()

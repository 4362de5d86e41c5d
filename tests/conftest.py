"""Fixtures shared by all tests: a fresh marketing database, on each of the two backends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from tests.databases import PostgresServer, postgres_server

_TEMPLATE = "crosstie_template"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL cluster of this test process, with a template database that has our tables."""
    with postgres_server() as server:
        open_database(server.create_database(_TEMPLATE)).close()
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a fresh, empty PostgreSQL database."""
    name = f"test_{next(_numbers)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh marketing database, on both backends in turn; nobody has it open."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'marketing.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"test_{next(_numbers)}"
    yield _own(server.create_database(name, template=_TEMPLATE))
    server.drop_database(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh marketing database, open, on both backends in turn."""
    opened = open_database(database_url)
    yield opened
    opened.close()


def _own(url: str) -> str:
    """The URL, after giving the copied database an id of its own."""
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("update crosstie.meta set value = md5(random()::text) where name = 'database_id'")
    return url

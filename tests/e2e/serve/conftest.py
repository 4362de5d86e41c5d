"""Projects without a CRM, and fleets of services."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import PostgresServer
from tests.e2e.project import Project
from tests.e2e.serve.fleet import Fleet

_numbers = itertools.count(1)


@pytest.fixture(params=["sqlite", "postgresql"])
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """A project that knows no CRM, on both databases in turn."""
    folder = tmp_path / "project"
    folder.mkdir()
    if request.param == "sqlite":
        project = Project(folder=folder, database=f"sqlite:///{folder / 'marketing.db'}")
        project.crosstie("init")
        yield project
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"serve_{next(_numbers)}"
    project = Project(folder=folder, database=server.create_database(name))
    project.crosstie("init")
    yield project
    server.drop_database(name)


@pytest.fixture
def fleet(plain: Project) -> Iterator[Fleet]:
    """Services of that project, none yet."""
    made = Fleet(plain)
    yield made
    made.abandon()

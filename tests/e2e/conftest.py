"""Projects and sandboxes for the end-to-end tests. A project is made once per module and copied for each test."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import PostgresServer
from tests.e2e.project import Project
from tests.sandboxes import Sandbox, running_sandbox

CONTACTS = 1500
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def sandbox_of_module() -> Iterator[Sandbox]:
    """One sandbox for the tests of a module."""
    with running_sandbox(records=CONTACTS) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_of_module: Sandbox) -> Iterator[Sandbox]:
    """The sandbox of the module; what it does wrong ends with the test."""
    yield sandbox_of_module
    sandbox_of_module.faults([])
    sandbox_of_module.hide()
    sandbox_of_module.control("latency", milliseconds=0)


def ready(folder: Path, database: str, sandbox: Sandbox) -> Project:
    """A project with an account, the collected object Contact, and a table of recipients."""
    folder.mkdir()
    project = Project(folder=folder, database=database)
    project.crosstie("init")
    project.add_account(sandbox)
    project.crosstie("collect", "salesforce", "Contact")
    project.make_recipient()
    return project


@pytest.fixture(scope="module")
def made_on_sqlite(tmp_path_factory: pytest.TempPathFactory, sandbox_of_module: Sandbox) -> Project:
    """The project that is copied."""
    folder = tmp_path_factory.mktemp("made") / "project"
    return ready(folder, f"sqlite:///{folder / 'marketing.db'}", sandbox_of_module)


@pytest.fixture(scope="module")
def made_on_postgresql(
    tmp_path_factory: pytest.TempPathFactory, sandbox_of_module: Sandbox, postgres: PostgresServer
) -> Project:
    """The project that is copied."""
    folder = tmp_path_factory.mktemp("made") / "project"
    return ready(folder, postgres.create_database(f"made_{next(_numbers)}"), sandbox_of_module)


@pytest.fixture
def project(tmp_path: Path, sandbox: Sandbox, made_on_sqlite: Project) -> Project:
    """A project on SQLite, ready to run the reference workflow."""
    folder = tmp_path / "project"
    shutil.copytree(made_on_sqlite.folder, folder)
    return Project(folder=folder, database=f"sqlite:///{folder / 'marketing.db'}")


@pytest.fixture(params=["sqlite", "postgresql"])
def project_on_both(request: pytest.FixtureRequest, tmp_path: Path, sandbox: Sandbox) -> Iterator[Project]:
    """The same on SQLite and PostgreSQL in turn."""
    if request.param == "sqlite":
        project: Project = request.getfixturevalue("project")
        yield project
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    made: Project = request.getfixturevalue("made_on_postgresql")
    name = f"project_{next(_numbers)}"
    folder = tmp_path / "project"
    shutil.copytree(made.folder, folder)
    yield Project(
        folder=folder,
        database=server.create_database(name, template=made.database.rpartition("/")[2].partition("?")[0]),
    )
    server.drop_database(name)

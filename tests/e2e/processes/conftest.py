"""The projects of the end-to-end tests, made once for all of these, with a gate before their sandbox."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import PostgresServer
from tests.e2e.conftest import CONTACTS, ready
from tests.e2e.processes.cutting import Gate, recipients
from tests.e2e.project import Project
from tests.sandboxes import Sandbox, running_sandbox

PAGE_ROWS = 200
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def gate_of_module() -> Gate:
    """Stands before the sandbox."""
    return Gate()


@pytest.fixture(scope="session")
def sandbox_of_module(gate_of_module: Gate) -> Iterator[Sandbox]:
    """One sandbox for all these tests, which gives small pages."""
    with running_sandbox(records=CONTACTS, around=gate_of_module) as sandbox:
        sandbox.switches(query_page_rows=PAGE_ROWS)
        yield sandbox


@pytest.fixture(scope="session")
def made_on_sqlite(tmp_path_factory: pytest.TempPathFactory, sandbox_of_module: Sandbox) -> Project:
    """The project that is copied."""
    folder = tmp_path_factory.mktemp("made") / "project"
    return ready(folder, f"sqlite:///{folder / 'marketing.db'}", sandbox_of_module)


@pytest.fixture(scope="session")
def made_on_postgresql(
    tmp_path_factory: pytest.TempPathFactory, sandbox_of_module: Sandbox, postgres: PostgresServer
) -> Project:
    """The project that is copied."""
    folder = tmp_path_factory.mktemp("made") / "project"
    return ready(folder, postgres.create_database("made_for_processes"), sandbox_of_module)


@pytest.fixture
def gate(gate_of_module: Gate) -> Iterator[Gate]:
    """The gate, open."""
    gate_of_module.paths.clear()
    gate_of_module.failures.clear()
    yield gate_of_module
    gate_of_module.open()
    assert gate_of_module.failures == []


@pytest.fixture(scope="session")
def expected(made_on_sqlite: Project, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """The recipients after an import that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "project"
    shutil.copytree(made_on_sqlite.folder, folder)
    project = Project(folder=folder, database=f"sqlite:///{folder / 'marketing.db'}")
    project.crosstie("run", project.workflow())
    return recipients(project)


@pytest.fixture
def project_on_postgresql(
    tmp_path: Path, sandbox: Sandbox, postgres: PostgresServer, made_on_postgresql: Project
) -> Iterator[Project]:
    """A project on PostgreSQL, ready to run the reference workflow."""
    name = f"process_{next(_numbers)}"
    folder = tmp_path / "project"
    shutil.copytree(made_on_postgresql.folder, folder)
    template = made_on_postgresql.database.rpartition("/")[2]
    yield Project(folder=folder, database=postgres.create_database(name, template=template))
    postgres.drop_database(name)

"""A sandbox that misbehaves, and worlds for it: one database for the many cells of a matrix, one for each test else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from tests.contract.faults.dynamics import DynamicsSite, DynamicsWorld, open_dynamics
from tests.contract.faults.oracle_on_demand import OracleSite, OracleWorld, open_oracle
from tests.contract.faults.outcomes import PAGE_ROWS, RECORDS
from tests.contract.imports.world import DescribedSite, HandClock, World, describe, open_connector
from tests.sandboxes import Sandbox, running_sandbox

FIRST = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A small org whose every read has three pages; nothing in it changes."""
    with running_sandbox(records=RECORDS) as running:
        running.control("clock", at=FIRST.isoformat(), frozen=True)
        running.advance(timedelta(hours=3))
        running.switches(query_page_rows=PAGE_ROWS, daily_requests=1_000_000)
        yield running


@pytest.fixture(scope="module")
def site(sandbox: Sandbox) -> DescribedSite:
    """What was collected from it, long ago: a run has to ask for the whole description."""
    connector = open_connector(sandbox)
    try:
        contact = describe(connector, "Contact").objects["Contact"]
    finally:
        connector.close()
    return DescribedSite({"Contact": replace(contact, fingerprint="")})


def _world(database: Database, sandbox: Sandbox, site: DescribedSite) -> World:
    options = {"bulk_page_rows": PAGE_ROWS}
    return World(db=database, sandbox=sandbox, site=site, clock=HandClock(sandbox.now()), options=options)


@pytest.fixture(scope="module")
def _one_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("faults")
    opened = open_database(f"sqlite:///{folder / 'marketing.db'}")
    yield opened
    opened.close()


@pytest.fixture
def cell(_one_database: Database, sandbox: Sandbox, site: DescribedSite) -> Iterator[World]:
    """A world on the database of all cells (SQLite): each gives its workflow a name of its own."""
    yield _world(_one_database, sandbox, site)
    sandbox.faults([])


@pytest.fixture
def world(database: Database, sandbox: Sandbox, site: DescribedSite) -> Iterator[World]:
    """A world on a database of its own, on both backends in turn."""
    yield _world(database, sandbox, site)
    sandbox.faults([])


@pytest.fixture(scope="module")
def _dynamics() -> Iterator[Sandbox]:
    with running_sandbox(records=RECORDS, kind="dynamics") as running:
        running.control("clock", at=FIRST.isoformat(), frozen=True)
        running.advance(timedelta(hours=3))
        running.switches(requests_limit=0, execution_seconds_limit=0)
        yield running


@pytest.fixture(scope="module")
def _dynamics_site(_dynamics: Sandbox) -> DynamicsSite:
    connector = open_dynamics(_dynamics)
    try:
        return DynamicsSite({"contact": replace(connector.describe("contact"), fingerprint="")})
    finally:
        connector.close()


@pytest.fixture
def dynamics_cell(_one_database: Database, _dynamics: Sandbox, _dynamics_site: DynamicsSite) -> Iterator[DynamicsWorld]:
    """A world of an org of Dynamics on the database of all cells."""
    clock = HandClock(_dynamics.now())
    yield DynamicsWorld(db=_one_database, sandbox=_dynamics, site=_dynamics_site, clock=clock)
    _dynamics.faults([])


@pytest.fixture(scope="module")
def _oracle() -> Iterator[Sandbox]:
    with running_sandbox(records=RECORDS, kind="oracle_on_demand") as running:
        running.control("clock", at=FIRST.isoformat(), frozen=True)
        running.advance(timedelta(hours=3))
        running.switches(request_gap=0)
        yield running


@pytest.fixture(scope="module")
def _oracle_site(_oracle: Sandbox) -> OracleSite:
    connector = open_oracle(_oracle)
    try:
        return OracleSite({"Contact": replace(connector.describe("Contact"), fingerprint="")})
    finally:
        connector.close()


@pytest.fixture
def oracle_cell(_one_database: Database, _oracle: Sandbox, _oracle_site: OracleSite) -> Iterator[OracleWorld]:
    """A world of a company of Oracle CRM On Demand on the database of all cells."""
    clock = HandClock(_oracle.now())
    yield OracleWorld(db=_one_database, sandbox=_oracle, site=_oracle_site, clock=clock)
    _oracle.faults([])

"""The automatic index under adversity, on both databases (see `machine`)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from crosstie.db import open_database
from tests.adversity.machine import IndexMachine
from tests.adversity.stage import Stage, a_stage
from tests.adversity.steering import Moments, NearSandbox, near_sandbox
from tests.databases import PostgresServer
from tests.scale import SOAK, examples

STEPS = 5
# The examples of the soak in parts, so that several processes share them.
PARTS = range(4 if SOAK else 1)


@pytest.fixture(scope="module")
def moments() -> Moments:
    return Moments()


@pytest.fixture(scope="module")
def sandbox(moments: Moments) -> Iterator[NearSandbox]:
    with near_sandbox(moments) as near:
        # Each connector loads the system's certificates beside ours, which costs as much as the rest of a small run.
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("SSL_CERT_FILE", str(near.ca_file))
            patched.setenv("SSL_CERT_DIR", str(near.ca_file.parent / "none"))
            yield near


def play(stage: Stage, count: int) -> None:
    left_behind: list[str] = []
    made = partial(IndexMachine, stage, left_behind)
    run_state_machine_as_test(
        cast(type[IndexMachine], made),
        settings=settings(
            max_examples=count,
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where the machine has one: what is proved here is not that a disk keeps what it is given."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


@pytest.mark.parametrize("part", PARTS)
def test_the_rows_are_the_orgs_after_quiet_on_sqlite(
    folder: Path, sandbox: NearSandbox, moments: Moments, part: int
) -> None:
    db = open_database(f"sqlite:///{folder / 'marketing.db'}")
    try:
        with a_stage(db, sandbox, moments) as stage:
            play(stage, examples(60, 2_000))
    finally:
        db.close()


@pytest.mark.parametrize("part", PARTS)
def test_the_rows_are_the_orgs_after_quiet_on_postgresql(
    postgres: PostgresServer, sandbox: NearSandbox, moments: Moments, part: int
) -> None:
    db = open_database(postgres.create_database(f"adversity{part}"))
    try:
        with a_stage(db, sandbox, moments) as stage:
            play(stage, examples(20, 500))
    finally:
        db.close()

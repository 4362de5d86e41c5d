"""The world of the imports, with a smaller org: what is compared is the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.imports.conftest import FIRST, site, world
from tests.sandboxes import Sandbox, running_sandbox

__all__ = ["sandbox", "site", "world"]

CONTACTS = 300


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox for the tests of one module; its clock stands still unless it is moved on."""
    with running_sandbox(records=CONTACTS) as running:
        running.control("clock", at=FIRST.isoformat(), frozen=True)
        yield running

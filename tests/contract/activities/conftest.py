"""A world on each of the two databases."""

from __future__ import annotations

import pytest

from crosstie.db.database import Database
from tests.contract.activities.world import World


@pytest.fixture
def world(database: Database) -> World:
    """An empty marketing database, on both backends in turn."""
    return World(database)

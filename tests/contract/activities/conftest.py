"""A world on each of the two databases."""

from __future__ import annotations

import pytest

from crosstie.db.database import Database
from crosstie.db.postgresql_functions import install_functions
from tests.contract.activities.world import World


@pytest.fixture
def world(database: Database) -> World:
    """An empty marketing database, on both backends in turn."""
    if database.dialect == "postgresql":
        with database.transaction("functions") as transaction:
            install_functions(transaction)
    return World(database)

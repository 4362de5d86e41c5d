"""An export's world on each of the two databases."""

from __future__ import annotations

import pytest

from crosstie.db.database import Database
from tests.contract.exports.world import Exports


@pytest.fixture
def world(database: Database) -> Exports:
    return Exports(database)

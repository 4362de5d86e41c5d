"""A world on each of the two databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstie.db.database import Database
from tests.contract.activities.world import World


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """An empty marketing database, on both backends in turn."""
    files = tmp_path / "files"
    files.mkdir()
    return World(database, files)

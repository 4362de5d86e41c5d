"""An import with index by web services v1.0, whose dates carry no zone."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crosstie.crm.connector import Connector
from crosstie.db import open_database
from tests.contract.every_connector.test_importing import Imports, KindSite
from tests.contract.every_connector.worlds import World
from tests.contract.imports.world import ACCOUNT, HandClock


class FirstVersion(Imports):
    """Imports by v1.0."""

    def connect(self) -> Connector:
        assert self.world is not None
        return self.world.open(changed={"version": "v1.0"})


@pytest.mark.parametrize("field", ["LastUpdated", "ModifiedDate"])
def test_v1_imports_everything_once_and_then_only_what_changed(world: World, tmp_path: Path, field: str) -> None:
    contact = world.open(changed={"version": "v1.0"}).describe("Contact")
    database = open_database(f"sqlite:///{tmp_path / 'marketing.db'}")
    clock = HandClock(world.sandbox.advance(timedelta(hours=3)))
    site = KindSite({"Contact": contact}, world.kind)
    running = FirstVersion(db=database, sandbox=world.sandbox, site=site, clock=clock, world=world)
    read = {"type": "crm_import", "account": ACCOUNT, "object": "Contact", "index": {"field": field}}
    text = json.dumps(
        {"workflow": "contacts", "activities": {"read": {**read, "fields": ["ContactLastName", "nScore"]}}}
    )

    def rows() -> list[dict[str, Any]]:
        running.advance(minutes=30)
        return running.rows(running.run(text))

    first = rows()
    assert len({row["ContactId"] for row in first}) == len(first) == 250
    assert rows() == []
    changed = world.sandbox.change_contacts(7)
    found = rows()
    assert sorted(row["ContactId"] for row in found) == sorted(changed)
    assert all(abs(world.sandbox.now() - row[field]) < timedelta(hours=1) for row in found)
    assert rows() == []
    database.close()

"""The import activities over every connector, on both databases: nothing lost, nothing twice, nothing for nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from crosstie.crm.connector import Connector, RemoteQuery, Road
from crosstie.db.database import Database
from crosstie.model import Table
from tests.contract.every_connector.worlds import BELIEVED, World
from tests.contract.imports import world as imports
from tests.contract.imports.world import DescribedSite, HandClock, Hooked, flow

pytestmark = BELIEVED
OPTION = "LASTIMPORT_contacts_read"


@dataclass(frozen=True, slots=True)
class KindSite(DescribedSite):
    """What was described of a CRM of that kind."""

    kind: str

    def account_kind(self, name: str) -> str:
        return self.kind


@dataclass(frozen=True, slots=True)
class KindTables(KindSite):
    """Also shows the tables of a database."""

    db: Database

    def table(self, name: str) -> Table | None:
        return self.db.reflect(name)

    def tables(self) -> tuple[str, ...]:
        return self.db.tables()


@dataclass
class Imports(imports.World):
    """Runs workflows with one kind of connector."""

    world: World | None = None

    def connect(self) -> Connector:
        assert self.world is not None
        return self.world.open()

    def index_run(self, *, restart: bool = False) -> list[dict[str, Any]]:
        """One run of an import with automatic index: its rows."""
        assert self.world is not None
        roles = self.world.roles
        fields = [roles.last_name, roles.score, roles.interests, roles.birthday, roles.flag, roles.stamp]
        read = {"object": roles.contact, "index": True, "fields": fields, "road": "pages"}
        return self.rows(self.run(flow(read), restart=restart))


class Killed(BaseException):
    """The end of the process: nothing of ours may handle it."""


@pytest.fixture
def running(world: World, contact: Any, database: Database) -> Iterator[Imports]:
    """A world for imports in which nothing has changed for hours."""
    at = world.sandbox.advance(timedelta(hours=3))
    site = KindSite({contact.name: contact}, world.kind)
    yield Imports(db=database, sandbox=world.sandbox, site=site, clock=HandClock(at), world=world)


def present(world: World, contact: Any) -> int:
    """How many contacts there are."""
    return world.open().count(RemoteQuery(object=contact, fields=(contact.key,), road=Road.PAGES))


def test_an_import_reads_everything_once_and_then_only_what_changed(
    running: Imports, world: World, contact: Any
) -> None:
    key = world.roles.key
    rows = running.index_run()
    assert len({row[key] for row in rows}) == len(rows) == present(world, contact)
    assert running.option(OPTION)
    running.advance(minutes=30)
    world.sandbox.counters(reset=True)
    assert running.index_run() == []
    asked = Counter(world.sandbox.counters()["requests"])
    assert sum(asked[kind] for kind in {world.roles.pages, world.roles.more}) <= 1
    changed = world.sandbox.change_contacts(7)
    running.advance(minutes=30)
    found = running.index_run()
    assert sorted(row[key] for row in found) == sorted(changed)
    before = {row[key]: row for row in rows}
    assert all(row[world.roles.last_name] == before[row[key]][world.roles.last_name] for row in found)
    assert any(row[world.roles.score] != before[row[key]][world.roles.score] for row in found)


def test_an_import_that_was_killed_goes_on_and_loses_nothing(running: Imports, world: World, contact: Any) -> None:
    def die(loaded: int) -> None:
        running.watcher.on_rows = lambda loaded: None
        raise Killed

    running.watcher = Hooked(on_rows=die)
    with pytest.raises(Killed):
        running.index_run()
    assert running.option(OPTION) is None
    rows = running.index_run()
    assert len({row[world.roles.key] for row in rows}) == len(rows) == present(world, contact)


def test_deletions_are_imported_once(running: Imports, world: World, contact: Any) -> None:
    gone = world.insert(["Gone 1", "Gone 2"])
    running.advance(minutes=5)
    world.delete(gone)
    running.advance(minutes=45)
    deleted = {
        "read": {"type": "crm_import_deleted", "account": imports.ACCOUNT, "object": contact.name, "index": True}
    }

    def found() -> set[str]:
        text = json.dumps({"workflow": "contacts", "activities": deleted})
        return {row[contact.key] for row in running.rows(running.run(text))}

    assert found() >= set(gone)
    running.advance(minutes=45)
    assert found() == set()

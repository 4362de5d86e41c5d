"""Both sides were edited: the import and the export of docs/two-way.md run in turn over a sandbox, and come to rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crosstie.activities import ACTIVITIES
from crosstie.db.database import Database
from crosstie.errors import TaskError
from crosstie.model import RemoteObject
from crosstie.workflow.definition import read_definition
from crosstie.workflow.runner import RunReport, Surroundings, run_workflow
from crosstie.workflow.watcher import Silent
from tests.contract.activities.world import Tables, World
from tests.contract.imports.world import HandClock, describe, open_connector
from tests.sandboxes import Client, Sandbox, running_sandbox

ACCOUNT = "salesforce"
FIRST = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
TEN_MINUTES = timedelta(minutes=10)
PAGE = (Path(__file__).parents[3] / "docs" / "two-way.md").read_text(encoding="utf-8")
TABLE = re.findall(r"^```sql\n(.*?);\n```$", PAGE, flags=re.DOTALL | re.MULTILINE)[0]
IMPORT, EXPORT = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
FIELDS = {
    "LastName": "last_name",
    "FirstName": "first_name",
    "Title": "title",
    "Email": "email",
    "Department": "department",
    "Score__c": "score",
}
RECORD = {"FirstName": "Old", "Title": "old", "Email": "old@example.com", "Department": "old", "Score__c": 1.5}
# By last name: what is changed here, what is changed there, and what both say in the end.
EDITS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}, {}),
    "here": ({"Score__c": 5}, {}, {"Score__c": 5}),
    "there": ({}, {"Score__c": 7}, {"Score__c": 7}),
    "each another": ({"FirstName": "Ours"}, {"Title": "theirs"}, {"FirstName": "Ours", "Title": "theirs"}),
    "alike": ({"Title": "same"}, {"Title": "same"}, {"Title": "same"}),
    "cleared here": ({"Title": None}, {}, {"Title": None}),
    "cleared there": ({}, {"Email": None}, {"Email": None}),
    "crm": ({"Title": "ours"}, {"Title": "theirs"}, {"Title": "theirs"}),
    "local": ({"FirstName": "Ours"}, {"FirstName": "Theirs"}, {"FirstName": "Ours"}),
    "local cleared": ({"FirstName": None}, {"FirstName": "Theirs"}, {"FirstName": None}),
    "newest here": ({"Email": "ours@example.com"}, {"Email": "theirs@example.com"}, {"Email": "ours@example.com"}),
    "newest there": ({"Email": "ours@example.com"}, {"Email": "theirs@example.com"}, {"Email": "theirs@example.com"}),
    "reject": (
        {"Department": "ours"},
        {"Department": "theirs", "Title": "theirs"},
        {"Department": "ours", "Title": "theirs"},
    ),
}
CHANGED_HERE = {"newest here": FIRST + timedelta(days=30), "newest there": FIRST - timedelta(days=30)}


class Site(Tables):
    """The tables of the database, and the contacts of one account."""

    def __init__(self, db: Database, contact: RemoteObject) -> None:
        super().__init__(db, Path())
        self.contact = contact

    def accounts(self) -> tuple[str, ...]:
        return (ACCOUNT,)

    def account_kind(self, name: str) -> str:
        return "salesforce"

    def collected(self, account: str) -> tuple[str, ...]:
        return ("Contact",)

    def remote_object(self, account: str, name: str) -> RemoteObject | None:
        return self.contact if name == "Contact" else None


@dataclass
class Sides:
    """One marketing database and one org."""

    world: World
    sandbox: Sandbox
    site: Site
    clock: HandClock
    ids: dict[str, str] = field(default_factory=dict)

    def run(self, text: str) -> RunReport:
        around = Surroundings(
            db=self.world.db,
            site=self.site,
            clock=self.clock,
            connect=lambda account: open_connector(self.sandbox),
            watcher=Silent(),
            zone=ZoneInfo("UTC"),
        )
        return run_workflow(around, read_definition("flow.yaml", text, ACTIVITIES, self.site), 1)

    def bring(self) -> RunReport:
        """Imports what changed until now."""
        self.clock.at = self.sandbox.advance(TEN_MINUTES)
        return self.run(IMPORT)

    def send(self) -> RunReport:
        return self.run(EXPORT)

    def edit(self) -> None:
        """Edits both sides."""
        for name, (here, there, _) in EDITS.items():
            if there:
                self.sandbox.control("update", id=self.ids[name], values=there)
            changed = CHANGED_HERE.get(name)
            values = {FIELDS[one]: value for one, value in here.items()} | ({"changed_at": changed} if changed else {})
            if values:
                with self.world.db.transaction("people edit") as transaction:
                    listed = ", ".join(f"{column} = :{column}" for column in values)
                    transaction.execute(
                        f"update person set {listed} where crm_id = :id", {**values, "id": self.ids[name]}
                    )
        self.world.sql("insert into person (last_name, title) values ('new', 'ours')")

    def remote_writes(self) -> int:
        """The requests since the last call that write."""
        found = self.sandbox.counters(reset=True)["requests"]
        return sum(number for kind, number in found.items() if kind.startswith(("collection_", "ingest")))

    def sent(self) -> dict[str, set[str]]:
        """The fields that the newest export has sent, by last name."""
        ((table,),) = self.world.rows("select table_name from crosstie.plan order by id desc limit 1")
        listed = ", ".join(f"f_{place}" for place in range(len(FIELDS)))
        found = self.world.rows(
            f"select p.last_name, {listed} from crosstie.{table} w join person p on cast(p.id as text) = w.source_key"
            " where coalesce(w.effect, '') <> 'unchanged'"
        )
        return {row[0]: {name for name, text in zip(FIELDS, row[1:], strict=True) if text is not None} for row in found}

    def here(self) -> dict[str, dict[str, Any]]:
        found = self.world.rows(f"select {', '.join(FIELDS.values())} from person where last_name in ({self.names})")
        return {row[0]: self._plain(dict(zip(FIELDS, row, strict=True))) for row in found}

    def there(self) -> dict[str, dict[str, Any]]:
        client = Client(self.sandbox)
        found = client.all(f"SELECT {', '.join(FIELDS)} FROM Contact WHERE LastName IN ({self.names})")
        client.close()
        return {one["LastName"]: self._plain({name: one[name] for name in FIELDS}) for one in found}

    @property
    def names(self) -> str:
        return ", ".join(f"'{one}'" for one in (*EDITS, "new"))

    @staticmethod
    def _plain(record: dict[str, Any]) -> dict[str, Any]:
        return {name: value if value is None or name != "Score__c" else float(value) for name, value in record.items()}


@pytest.fixture(scope="module")
def org() -> Iterator[tuple[Sandbox, RemoteObject]]:
    """A sandbox whose clock stands still unless it is moved on, and its contacts."""
    with running_sandbox(records=30) as sandbox:
        sandbox.control("clock", at=FIRST.isoformat(), frozen=True)
        connector = open_connector(sandbox)
        contact = describe(connector, "Contact").objects["Contact"]
        connector.close()
        yield sandbox, contact


@pytest.fixture
def sides(database: Database, org: tuple[Sandbox, RemoteObject]) -> Iterator[Sides]:
    """Both sides say the same, and everything is tied."""
    sandbox, contact = org
    world = World(database)
    keys = ("id integer primary key", f"id {world.serial()}")
    world.sql(TABLE.replace(*keys))
    made = Sides(world=world, sandbox=sandbox, site=Site(database, contact), clock=HandClock(FIRST))
    made.ids = dict(
        zip(EDITS, sandbox.insert("Contact", [{"LastName": name, **RECORD} for name in EDITS]), strict=True)
    )
    made.bring()
    world.count_writes("person")
    made.remote_writes()
    yield made
    client = Client(sandbox)
    left = client.all(f"SELECT Id FROM Contact WHERE LastName IN ({made.names})")
    client.close()
    sandbox.control("delete", ids=[one["Id"] for one in left])


def test_nothing_is_sent_and_nothing_written_where_nothing_was_edited(sides: Sides) -> None:
    assert sides.send().counts["send"]["unchanged"] == sides.world.rows("select count(*) from person")[0][0]
    assert sides.bring().counts["write"]["unchanged"] == 0
    assert (sides.remote_writes(), sides.world.writes()) == (0, {})


def test_import_and_export_in_turn_come_to_rest_as_each_line_decides(sides: Sides) -> None:
    sides.edit()
    sides.world.writes()
    first = sides.bring()
    assert first.counts["write"] == {"inserted": 0, "updated": 5, "unchanged": 4, "rejected": 1, "conflicts": 5}
    sides.send()
    assert sides.sent() == {
        "new": set(FIELDS),
        "here": {"Score__c"},
        "each another": {"FirstName"},
        "cleared here": {"Title"},
        "local": {"FirstName"},
        "local cleared": {"FirstName"},
        "newest here": {"Email"},
        "reject": {"Department"},
    }
    sides.bring()
    sides.send()
    sides.remote_writes()
    sides.world.writes()
    for _ in range(3):
        sides.bring()
        sides.send()
    assert (sides.remote_writes(), sides.world.writes()) == (0, {})
    expected = {name: {"LastName": name, **RECORD, **last} for name, (_, _, last) in EDITS.items()}
    expected["new"] = {**dict.fromkeys(FIELDS), "LastName": "new", "Title": "ours"}
    assert sides.here() == expected
    assert sides.there() == expected


def test_our_own_write_that_comes_back_is_no_change(sides: Sides) -> None:
    sides.world.sql("update person set title = 'ours' where last_name = 'here'")
    sides.send()
    # It is edited once more here before the import has seen what was sent.
    sides.world.sql("update person set title = 'ours again' where last_name = 'here'")
    sides.world.writes()
    assert sides.bring().counts["write"] == {"inserted": 0, "updated": 0, "unchanged": 1, "rejected": 0}
    assert sides.world.writes() == {}
    sides.send()
    assert sides.sent() == {"here": {"Title"}}
    assert sides.there()["here"]["Title"] == "ours again"


@pytest.mark.parametrize(("lost", "down"), [("collection_update", "query"), ("ingest_state", "ingest_status")])
def test_an_import_waits_for_what_an_export_has_sent_without_an_answer(sides: Sides, lost: str, down: str) -> None:
    sides.world.sql(
        "update person set title = 'first' where last_name = 'here'",
        "insert into person (last_name, title) values ('new', 'ours')",
    )
    outage = {"type": "status", "status": 503, "retry_after": 900}
    sides.sandbox.faults(
        [
            {"match": {"kind": lost}, "times": 1, "fault": {"type": "drop_after"}},
            {"match": {"kind": down}, "times": 9, "fault": outage},
        ]
    )
    with pytest.raises(TaskError):
        sides.send()
    sides.sandbox.faults([])
    sides.world.sql("update person set title = 'second' where last_name = 'here'")
    sides.sandbox.control("update", id=sides.ids["there"], values={"Title": "theirs"})
    sides.world.writes()

    assert sides.bring().counts["write"] == {"inserted": 0, "updated": 0, "unchanged": 0, "rejected": 0}
    assert sides.world.writes() == {}

    for _ in range(2):
        sides.send()
        sides.bring()
    assert sides.here() == sides.there()
    assert sides.here()["here"]["Title"] == "second"
    assert sides.here()["there"]["Title"] == "theirs"
    assert sides.world.rows("select count(*) from person where last_name = 'new'") == [(1,)]
    sides.remote_writes()
    assert sides.send().counts["send"]["unchanged"] == sides.world.rows("select count(*) from person")[0][0]
    assert sides.remote_writes() == 0


def test_what_is_sent_first_comes_to_rest_too(sides: Sides) -> None:
    sides.edit()
    for _ in range(2):
        sides.send()
        sides.bring()
    sides.remote_writes()
    sides.world.writes()
    for _ in range(3):
        sides.send()
        sides.bring()
    assert (sides.remote_writes(), sides.world.writes()) == (0, {})
    assert sides.here() == sides.there()


@pytest.mark.parametrize("title", ["  ours ", "o" * 150], ids=["blanks", "cut"])
def test_what_the_crm_keeps_in_another_form_is_no_change_of_it(sides: Sides, title: str) -> None:
    sending = EXPORT.replace("Title: {from: title,", "Title: {from: title, too_long: cut,")
    sides.world.sql(f"update person set title = '{title}' where last_name = 'here'")
    sides.run(sending)
    sides.world.writes()
    sides.bring()
    assert sides.world.writes() == {}
    sides.remote_writes()
    sides.run(sending)
    assert sides.remote_writes() == 0

"""A field's life on the CRM: it comes, gets another type, another name, and goes. What `diff` says of it, what
`refresh` does to the local table, what becomes of the workflow that uses it; and that no record is lost to it."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crosstie.app import App, init_project
from crosstie.app.first_workflow import first_workflow
from crosstie.app.schema_effects import Comparison
from crosstie.crm.connector import RemoteQuery, Road
from crosstie.errors import BrakeError, DefinitionError, TaskError
from crosstie.schema.changes import ChangeKind
from crosstie.workflow.watcher import Silent
from tests.contract.every_connector.worlds import World, read
from tests.sandboxes import running_sandbox

RECORDS = 40
WORKFLOW = "contacts"
SUPERVISOR = "ops@acme.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a kind of CRM calls a text type, and the field that the score becomes; `serves`: rows follow the change."""

    text: str
    renamed: str
    serves: bool


WORDS = {
    "salesforce": Words(text="string", renamed="Rank__c", serves=True),
    "dynamics": Words(text="String", renamed="new_rank", serves=False),
    "oracle_on_demand": Words(text="Text (Short)", renamed="nRank", serves=True),
}


@dataclass(slots=True, kw_only=True)
class Stage:
    """A project with an account at a sandbox, whose administrator we are."""

    world: World
    app: App

    @property
    def words(self) -> Words:
        return WORDS[self.world.kind]

    @property
    def score(self) -> str:
        return self.world.roles.score

    def administer(self, **what: Any) -> None:
        """Changes the field `score`; some seconds pass, which descriptions are dated by."""
        roles = self.world.roles
        self.world.sandbox.advance(timedelta(seconds=5))
        self.world.sandbox.control("set_field", object=roles.contact, field=roles.score, **what)

    def compared(self) -> Comparison:
        (found,) = self.app.schemas.diff("crm")
        return found

    def apply(self, *fields: str) -> None:
        """The workflow that imports these fields into the local table."""
        schema = self.app.schemas.get("crm", self.world.roles.contact)
        text = first_workflow(schema, WORKFLOW, "CRM", fields)
        self.app.workflows.save(text.replace("activities:", f"supervisors: {SUPERVISOR}\nactivities:"), "test")

    def change(self, last_name: str) -> None:
        """Somebody on the CRM changes a contact, and the minute ends."""
        roles = self.world.roles
        contact = self.rows(roles.key.lower())[0][0]
        self.world.sandbox.control("update", object=roles.contact, id=contact, values={roles.last_name: last_name})
        self.world.sandbox.advance(timedelta(minutes=3))

    def index(self) -> dict[str, str]:
        return {one.name: one.value for one in self.app.options.list()}

    def rows(self, *columns: str, where: str = "1 = 1") -> list[tuple[Any, ...]]:
        table = self.app.schemas.get("crm", self.world.roles.contact).table
        with self.app.db.reading() as transaction:
            return transaction.rows(f"select {', '.join(columns)} from {table} where {where} order by 1")


@pytest.fixture(scope="session", params=WORDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """One sandbox for all tests here."""
    with running_sandbox(records=RECORDS, kind=request.param) as sandbox:
        yield World(request.param, sandbox)


@pytest.fixture
def stage(world: World, tmp_path: Path) -> Iterator[Stage]:
    """A project with the contacts collected, imported and to be imported; the field is restored at the end."""
    init_project(tmp_path)
    with App.open(tmp_path) as app:
        app.accounts.add("crm", world.kind, world.given())
        app.accounts.check("crm")
        yield Stage(world=world, app=app)
        world.sandbox.control("set_field", object=world.roles.contact, field=world.roles.score)


def test_a_field_comes_and_is_filled_without_moving_the_index(stage: Stage) -> None:
    roles = stage.world.roles
    stage.administer(gone=True)
    list(stage.app.schemas.collect("crm", [roles.contact]))
    stage.apply(roles.last_name)
    stage.app.workflows.run(WORKFLOW)
    column = stage.score.lower()

    stage.administer()
    found = stage.compared()

    assert [(one.kind, one.field) for one in found.difference.changes] == [(ChangeKind.ADDED, stage.score)]
    assert found.workflows == ()
    stage.app.schemas.refresh("crm")
    assert not stage.compared().differs
    assert stage.rows(column, where=f"{column} is not null") == []
    index = stage.index()
    backfill = stage.app.schemas.backfill("crm", roles.contact, stage.score)
    stage.app.workflows.save(backfill.definition(), "test")
    stage.app.workflows.run(backfill.name)
    assert stage.index() == index
    told = records(stage)
    assert any(told.values())
    assert dict(stage.rows(roles.key.lower(), column)) == told
    again = stage.app.workflows.run(backfill.name)
    assert again.counts["write"].get("updated", 0) == 0


def records(stage: Stage) -> dict[str, float | None]:
    """The score of every contact, as the connector reads it."""
    connector = stage.world.open()
    try:
        remote = connector.describe(stage.world.roles.contact)
        query = RemoteQuery(object=remote, fields=(remote.key, stage.score), road=Road.PAGES)
        return {str(key): None if score is None else float(score) for key, score in read(connector, query)}
    finally:
        connector.close()


def test_a_field_of_another_type_is_refused_until_it_is_accepted(stage: Stage) -> None:
    roles, column = stage.world.roles, stage.score.lower()
    list(stage.app.schemas.collect("crm", [roles.contact]))
    stage.apply(roles.last_name, stage.score)
    stage.app.workflows.run(WORKFLOW)
    before = stage.rows(roles.key.lower(), column)

    stage.administer(type=stage.words.text, length=40)
    with pytest.raises(BrakeError, match=f"used by {WORKFLOW} \\(read, write\\)") as refused:
        stage.app.schemas.refresh("crm")
    with pytest.raises(BrakeError):
        list(stage.app.schemas.collect("crm", [roles.contact]))

    assert "--accept retyped" in refused.value.hint
    assert stage.rows(roles.key.lower(), column) == before
    stage.app.schemas.refresh("crm", accepted=["retyped"])
    assert stage.rows(roles.key.lower(), f"{column}_was") == before
    assert stage.rows(column, where=f"{column} is not null") == []
    if stage.words.serves:
        backfill = stage.app.schemas.backfill("crm", roles.contact, stage.score)
        stage.app.workflows.save(backfill.definition(), "test")
        stage.app.workflows.run(backfill.name)
        filled = {key: None if score is None else float(score) for key, score in stage.rows(roles.key.lower(), column)}
        assert filled == {key: None if score is None else float(score) for key, score in before}


def test_a_workflow_loses_no_record_to_a_renamed_field(stage: Stage) -> None:
    roles, column = stage.world.roles, stage.score.lower()
    list(stage.app.schemas.collect("crm", [roles.contact]))
    stage.apply(roles.last_name, stage.score)
    stage.app.workflows.run(WORKFLOW)
    before, index = stage.rows(roles.key.lower(), column), stage.index()

    stage.change("Changed meanwhile")
    stage.administer(name=stage.words.renamed)
    found = stage.compared()
    with pytest.raises(TaskError, match=f"no longer shows {stage.score}"):
        stage.app.workflows.run(WORKFLOW)

    assert [(one.kind, one.was, one.field) for one in found.difference.changes] == [
        (ChangeKind.RENAMED, stage.score, stage.words.renamed)
    ]
    assert any(f"no field “{stage.score}”" in one for one in found.mistakes[WORKFLOW])
    assert stage.index() == index
    stage.app.schemas.refresh("crm", accepted=[stage.score])
    assert stage.rows(roles.key.lower(), stage.words.renamed.lower()) == before
    with pytest.raises(DefinitionError, match="no field"):
        stage.app.workflows.run(WORKFLOW)
    assert stage.index() == index
    if stage.words.serves:
        stage.apply(roles.last_name, stage.words.renamed)
        stage.app.workflows.run(WORKFLOW, restart=True)
        assert stage.rows(roles.last_name, where=f"{roles.last_name} = 'Changed meanwhile'") != []
        assert stage.rows(roles.key.lower(), stage.words.renamed.lower()) == before


def test_a_gone_field_keeps_its_values_and_supervisors_are_told_once(stage: Stage) -> None:
    roles, column = stage.world.roles, stage.score.lower()
    list(stage.app.schemas.collect("crm", [roles.contact]))
    stage.apply(roles.last_name, stage.score)
    stage.app.workflows.run(WORKFLOW)
    before = stage.rows(roles.key.lower(), column)
    assert stage.app.schema_watch.look() == ()

    stage.administer(gone=True)
    (told,) = stage.app.schema_watch.look()

    assert stage.score in told
    assert WORKFLOW in told
    assert stage.app.schema_watch.look() == ()
    with stage.app.db.reading() as transaction:
        logged = transaction.rows("select text from crosstie.log where run is null order by id")
        mails = transaction.rows("select recipient, message from crosstie.outbox where workflow = 'contacts'")
    assert logged == [(told,)]
    assert [recipient for recipient, _ in mails] == [SUPERVISOR]
    assert stage.score in mails[0][1]
    stage.app.schemas.refresh("crm", accepted=["removed"])
    assert stage.rows(roles.key.lower(), column) == before
    stage.administer()
    assert [one.kind for one in stage.compared().difference.changes] == [ChangeKind.ADDED]


class Meddling(Silent):
    """Changes the field and has another process take that over while the first rows come in."""

    def __init__(self, stage: Stage) -> None:
        self._stage: Stage | None = stage

    def rows(self, activity: str, rows: int, expected: int | None, calls: int) -> None:
        """Once."""
        if self._stage is None:
            return
        stage, self._stage = self._stage, None
        stage.administer(name=stage.words.renamed)
        with App.open(stage.app.config.project) as other:
            other.schemas.refresh("crm", accepted=["renamed"])


def test_a_refresh_in_the_midst_of_a_run_loses_nothing(stage: Stage) -> None:
    roles = stage.world.roles
    list(stage.app.schemas.collect("crm", [roles.contact]))
    stage.apply(roles.last_name, stage.score)

    with pytest.raises(TaskError):
        stage.app.workflows.run(WORKFLOW, watcher=Meddling(stage))

    assert stage.rows(roles.key.lower()) == []
    assert not any(stage.index().values())
    described = stage.app.schemas.get("crm", roles.contact).object
    assert described.field(stage.words.renamed) is not None
    if stage.words.serves:
        stage.apply(roles.last_name, stage.words.renamed)
        stage.app.workflows.run(WORKFLOW, restart=True)
        assert len(stage.rows(roles.key.lower())) == RECORDS


def test_serve_looks_by_itself_and_no_oftener_than_is_set(stage: Stage) -> None:
    roles = stage.world.roles
    list(stage.app.schemas.collect("crm", [roles.contact]))
    stage.administer(gone=True)
    project = stage.app.config.project
    with (project / "crosstie.toml").open("a", encoding="utf-8") as file:
        file.write("schema_watch_hours = 24\n")
    told: queue.Queue[str] = queue.Queue()

    with App.open(project) as serving:
        with serving.schema_watch.at_work(told.put, every_seconds=0.01):
            line = told.get(timeout=60)
        stage.world.sandbox.counters(reset=True)
        assert serving.schema_watch.look(due_only=True) == ()
        assert stage.world.sandbox.counters()["requests_total"] == 0

    assert stage.score in line
    assert told.empty()

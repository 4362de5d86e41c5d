"""What a task does after its commit is done before anything that follows begins, and made up for after a kill."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from crosstie import App
from crosstie.accounts import create_key_file
from crosstie.db import open_database
from crosstie.db.database import Database, Transaction
from crosstie.errors import DatabaseError
from crosstie.workflow.activity import OK, Context, Done
from crosstie.workflow.files import FileRecord, record_file
from crosstie.workflow.runner import RunKind
from crosstie.workflow.state import RunStatus
from tests.contract.workflow.test_dispatch import PLAY, START, run


@pytest.fixture(autouse=True)
def _play() -> None:
    PLAY.acts.clear()
    PLAY.calls.clear()


def test_what_follows_begins_when_it_is_done(database: Database) -> None:
    published = threading.Event()
    seen: list[str] = []

    def after() -> None:
        # Longer than the runner is deaf, so that it has looked again meanwhile.
        published.wait(0.7)
        seen.append("after a")

    def first(context: Context) -> Done:
        return Done(tables={OK: None}, effect=lambda transaction: None, after=after)

    PLAY.acts["a"] = first
    PLAY.acts["b"] = lambda context: seen.append("b")
    run(database, "  a: {type: act}\n  b: {type: act}\n")
    assert seen == ["after a", "b"]


def test_what_is_published_stays_so_when_what_follows_fails(database: Database) -> None:
    seen: list[str] = []

    def after() -> None:
        raise DatabaseError("The database is busy.")

    def first(context: Context) -> Done:
        seen.append("a")
        return Done(tables={OK: None}, after=after)

    PLAY.acts["a"] = first
    PLAY.acts["b"] = lambda context: seen.append("b")
    assert run(database, "  a: {type: act}\n  b: {type: act}\n").status is RunStatus.DONE
    assert seen == ["a", "b"]


class Cut:
    """A database whose connection breaks when a transaction of that purpose was committed, before it says so."""

    def __init__(self, db: Database, purpose: str) -> None:
        self._db = db
        self._purpose = purpose

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    @contextmanager
    def transaction(self, purpose: str) -> Iterator[Transaction]:
        with self._db.transaction(purpose) as transaction:
            yield transaction
        if purpose == self._purpose:
            raise DatabaseError("The connection to the database was lost.")


def test_a_task_whose_commit_lost_its_answer_is_not_executed_twice(database: Database) -> None:
    seen: list[str] = []
    PLAY.acts["a"] = lambda context: seen.append("a")
    PLAY.acts["b"] = lambda context: seen.append("b")
    report = run(cast(Database, Cut(database, "a is published")), "  a: {type: act}\n  b: {type: act}\n")
    assert report.status is RunStatus.DONE
    assert seen == ["a", "b"]


def test_a_simulation_does_nothing_after_its_commits(database: Database) -> None:
    seen: list[str] = []
    PLAY.acts["a"] = lambda context: Done(tables={OK: None}, after=lambda: seen.append("after"))
    run(database, "  a: {type: act}\n", kind=RunKind(simulated=True))
    assert seen == []


def test_a_file_that_a_kill_left_without_its_name_gets_it_when_the_next_run_begins(
    tmp_path: Path, database_url: str
) -> None:
    (tmp_path / ".crosstie").mkdir()
    create_key_file(tmp_path / ".crosstie" / "key")
    (tmp_path / "crosstie.toml").write_text('files_folder = "exchange"\n')
    (tmp_path / "exchange").mkdir()
    (tmp_path / "exchange" / ".out.csv.1-1.part").write_text("id\n1\n")
    open_database(database_url).close()
    with App.open(tmp_path, database=database_url) as app:
        with app.db.transaction("a killed run") as transaction:
            record = FileRecord(
                workflow="other",
                activity="write",
                run=1,
                task=1,
                direction="written",
                name="out.csv",
                size=5,
                digest="",
                rows=1,
                moved_from=".out.csv.1-1.part",
                moved_to="sub/out.csv",
            )
            record_file(transaction, record, START)
        flow = tmp_path / "flow.yaml"
        flow.write_text("workflow: flow\nactivities:\n  begin: {type: start}\n  done: {type: end}\n")
        app.workflows.run(flow)
    assert [one.name for one in (tmp_path / "exchange").iterdir()] == ["sub"]
    assert (tmp_path / "exchange" / "sub" / "out.csv").read_text() == "id\n1\n"

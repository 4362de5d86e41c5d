"""Two processes that do the same at the same moment: one after the other, without error, or refused by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from crosstie.app.accounts import Accounts
from crosstie.app.rejects import Rejects
from crosstie.app.schemas import DatabaseSite
from crosstie.app.workflows import Workflows
from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.errors import BrakeError
from crosstie.schema.store import SchemaStore
from crosstie.sync import windows
from crosstie.workflow import inbox
from crosstie.workflow.activity import Reject
from tests.contract.app.test_stores import NAME, described, describing

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
ROUNDS = 8


@pytest.fixture
def three(database_url: str) -> Iterator[list[Database]]:
    """The same marketing database, opened by three as by processes of their own."""
    opened = [open_database(database_url) for _ in range(3)]
    yield opened
    for one in opened:
        one.close()


def together(*acts: Callable[[], object]) -> list[object]:
    """Does all of it at the same moment; what each gave or raised."""
    results: list[object] = [None] * len(acts)
    barrier = threading.Barrier(len(acts))

    def act(place: int) -> None:
        barrier.wait(60)
        try:
            results[place] = acts[place]()
        except Exception as error:  # noqa: BLE001 - looked at by the test
            results[place] = error

    threads = [threading.Thread(target=act, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def now() -> datetime:
    return START


def unused(*arguments: object) -> Any:
    raise AssertionError("nothing is run here")


def test_versions_applied_at_once_follow_each_other(three: list[Database], tmp_path: Path) -> None:
    text = "workflow: w\nactivities:\n  begin: {type: start}\n  done: {type: end}\n"
    stores = [Workflows(db, DatabaseSite(db, SchemaStore(db, now), cast(Accounts, None)), now, unused) for db in three]
    files = [tmp_path / f"{number}.yaml" for number in range(len(stores))]
    for turn in range(ROUNDS):
        for number, file in enumerate(files):
            file.write_text(f"# {turn}.{number}\n{text}")
        results = together(*(lambda s=s, f=f: s.apply(f).version for s, f in zip(stores, files, strict=True)))
        assert sorted(cast(list[int], results)) == [turn * 3 + 1, turn * 3 + 2, turn * 3 + 3]


def test_an_object_collected_at_once_gets_one_table(three: list[Database]) -> None:
    for turn in range(ROUNDS):
        stores = [SchemaStore(db, now) for db in three]
        description = replace(described(NAME), name=f"Object{turn}")
        results = together(
            *(lambda s=s, d=description: s.collect("crm", d.name, describing(d)) for s in stores),
        )
        created = [cast(Any, result).difference.created for result in results]
        assert sorted(created) == [False, False, True]


def window(run: int) -> windows.Window:
    return windows.Window(
        id=0,
        option=f"LASTIMPORT_{run // 10}",
        account="crm",
        org="00D",
        object="Contact",
        workflow=f"flow-{run}",
        activity="read",
        run=run,
        field="SystemModstamp",
        start=None,
        end=START,
        overlap=timedelta(minutes=15),
        option_read=None,
        status=windows.WindowStatus.OPEN,
    )


def test_a_window_opened_at_once_is_one_runs_and_the_others_are_refused_by_name(three: list[Database]) -> None:
    def begin(db: Database, run: int) -> int:
        with db.transaction("window") as transaction:
            return windows.begin(transaction, window(run), START).run

    for turn in range(1, ROUNDS + 1):
        runs = [turn * 10 + number for number in range(3)]
        results = together(*(lambda db=db, run=run: begin(db, run) for db, run in zip(three, runs, strict=True)))
        won = [result for result in results if isinstance(result, int)]
        assert len(won) == 1
        lost = [result for result in results if result not in won]
        assert len(lost) == 2 and all(isinstance(result, BrakeError) for result in lost)
        assert all(f"has an open window of run {won[0]} (flow-{won[0]})" in str(result) for result in lost)


def test_rejects_dismissed_while_a_run_publishes_do_not_end_in_a_deadlock(three: list[Database]) -> None:
    ids = [f"003{number:012}AAA" for number in range(60)]
    held = window(10)
    publisher, clerk, _ = three
    with publisher.transaction("test") as transaction:
        held = windows.begin(transaction, held, START)

    def publish(settled: list[str], refused: list[str]) -> None:
        with publisher.transaction("publish") as transaction:
            inbox.lock_rejects(transaction, held.workflow)
            rejects = [Reject(remote_id=one, symbol="X", message="x") for one in refused]
            inbox.add_rejects(transaction, held.run, 1, held.workflow, held.activity, iter(rejects), START)
            windows.replace_unaccepted(transaction, held, settled=settled, refused=refused, now=START)

    for _ in range(ROUNDS):
        publish([], ids)
        results = together(
            lambda: publish(list(reversed(ids)), []), lambda: Rejects(clerk, now).dismiss(workflow=held.workflow)
        )
        assert not [result for result in results if isinstance(result, Exception)]
    with clerk.reading() as transaction:
        assert transaction.rows("select count(*) from crosstie.unaccepted") == [(0,)]
        assert transaction.rows("select count(*) from crosstie.reject where status = 'open'") == [(0,)]

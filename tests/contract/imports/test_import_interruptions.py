"""Imports that are killed, interrupted, or meet another org or fewer fields than before."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from crosstie.db.database import Database, Transaction
from crosstie.errors import ConfigError, RequestError, TaskError
from crosstie.sync import windows
from crosstie.workflow.runner import RunReport
from crosstie.workflow.state import RunStatus
from tests.contract.imports.conftest import CONTACTS
from tests.contract.imports.world import World, flow, indexed, open_connector

BULK = indexed(road="bulk")


class Killed(BaseException):
    """The end of the process: nothing of ours may handle it."""


def stop_at(world: World, rows: int, stop: BaseException) -> None:
    """Ends the run, or lets a person end it, when more than so many rows are loaded."""

    def act(loaded: int) -> None:
        if loaded > rows:
            world.watcher.on_rows = lambda loaded: None
            raise stop

    world.watcher.on_rows = act


def when_loading(world: World, act: Callable[[], object]) -> None:
    """Does something as soon as the first rows are loaded."""

    def once(loaded: int) -> None:
        world.watcher.on_rows = lambda loaded: None
        act()

    world.watcher.on_rows = once


def requests(world: World, kind: str) -> int:
    found = world.sandbox.counters()["requests"].get(kind, 0)
    assert isinstance(found, int)
    return found


def everything(world: World, report: RunReport) -> None:
    assert len(world.ids(report)) >= CONTACTS
    assert world.option() is not None


def publishes(world: World) -> int:
    return len(world.query("select id from crosstie.event where source = 'read'"))


@pytest.fixture
def killed(world: World) -> World:
    """A world whose import was killed while it read the results of its bulk job."""
    world.options = {"bulk_page_rows": 300}
    world.sandbox.counters(reset=True)
    stop_at(world, 600, Killed())
    with pytest.raises(Killed):
        world.run(BULK)
    assert requests(world, "bulk_create") == 1
    assert publishes(world) == 0
    return world


def test_a_second_attempt_takes_up_the_bulk_job_of_the_first(killed: World) -> None:
    before = killed.window()
    assert before.job
    killed.advance(minutes=30)
    report = killed.run(BULK)
    assert report.resumed
    everything(killed, report)
    after = killed.window()
    assert (after.job, after.generation, after.end) == (before.job, 1, before.end)
    assert after.status is windows.WindowStatus.CONFIRMED
    assert requests(killed, "bulk_create") == 1


def test_a_bulk_job_that_is_gone_is_replaced(killed: World) -> None:
    before = killed.window()
    open_connector(killed.sandbox).close(token=before.job)
    connector = open_connector(killed.sandbox)
    connector.org_id()
    connector.close(token=before.job)
    report = killed.run(BULK)
    everything(killed, report)
    after = killed.window()
    assert after.job != before.job
    assert after.generation == 2
    assert after.end == before.end
    assert requests(killed, "bulk_create") == 2


def test_a_restart_begins_with_a_window_and_a_job_of_its_own(killed: World) -> None:
    before = killed.window()
    killed.advance(minutes=30)
    unfinished = killed.latest_run()
    report = killed.run(BULK, restart=True)
    assert report.run != unfinished.id
    everything(killed, report)
    after = killed.window()
    assert after.end > before.end
    assert after.job not in ("", before.job)


def test_a_changed_definition_does_not_take_up_the_job_of_the_old_one(killed: World) -> None:
    report = killed.run(indexed(["LastName", "Email"], road="bulk"))
    everything(killed, report)
    assert {"LastName", "Email"} < set(killed.rows(report)[0])
    assert requests(killed, "bulk_create") == 2


@pytest.mark.parametrize("text", [BULK, flow({"road": "bulk"})], ids=["index", "everything"])
def test_another_org_behind_the_account_is_refused_in_a_resumed_run(world: World, text: str) -> None:
    world.options = {"bulk_page_rows": 300}
    stop_at(world, 600, Killed())
    with pytest.raises(Killed):
        world.run(text)
    # The run was begun with another org than the one that the account leads to now.
    world.execute("update crosstie.import_window set org = '00D000000000001AAA'")
    with pytest.raises(TaskError, match="now leads to another org") as caught:
        world.run(text)
    assert isinstance(caught.value.__cause__, ConfigError)
    assert world.option() is None
    assert publishes(world) == 0


@pytest.mark.parametrize("road", ["pages", "bulk"])
def test_a_field_that_vanished_before_the_run_is_named(world: World, road: str) -> None:
    text = indexed(road=road)
    world.run(text)
    option, before = world.option(), publishes(world)
    world.sandbox.change_contacts(3)
    world.advance(minutes=30)
    world.sandbox.hide("Contact.Title")
    with pytest.raises(TaskError, match="no longer shows Title") as caught:
        world.run(text)
    assert isinstance(caught.value.__cause__, RequestError)
    assert (world.option(), publishes(world)) == (option, before)
    world.sandbox.hide()
    assert world.run(text).counts["read"] == {"rows": 3}


@pytest.mark.parametrize("road", ["pages", "bulk"])
@pytest.mark.parametrize("hidden", ["Contact.Title", "Account.Name"])
def test_a_field_that_vanishes_in_mid_run_is_named(world: World, road: str, hidden: str) -> None:
    text = indexed(["LastName", "Title", "Account.Name"], road=road)
    world.run(text)
    option, before = world.option(), publishes(world)
    world.sandbox.change_contacts(3)
    world.advance(minutes=30)
    when_loading(world, lambda: world.sandbox.hide(hidden))
    with pytest.raises(TaskError, match=r"no longer shows .*(Title|Name)") as caught:
        world.run(text)
    assert isinstance(caught.value.__cause__, RequestError)
    assert (world.option(), publishes(world)) == (option, before)
    world.sandbox.hide()
    assert world.run(text).counts["read"] == {"rows": 3}


def test_a_field_that_vanishes_between_pages_stops_the_read(world: World) -> None:
    world.sandbox.switches(query_page_rows=250)
    world.sandbox.faults(
        [{"match": {"kind": "query_more"}, "times": None, "fault": {"type": "latency", "seconds": 0.1}}]
    )
    when_loading(world, lambda: world.sandbox.hide("Contact.Title"))
    with pytest.raises(TaskError, match="Title") as caught:
        world.run(indexed(road="pages"))
    assert isinstance(caught.value.__cause__, RequestError)
    assert (world.option(), publishes(world)) == (None, 0)


def fetching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("fetch-")]


@pytest.mark.parametrize("road", ["pages", "bulk"])
def test_an_interrupted_import_leaves_no_thread_and_is_gone_on_with(world: World, road: str) -> None:
    world.options = {"bulk_page_rows": 100}
    world.sandbox.switches(query_page_rows=200)
    kind = "query_more" if road == "pages" else "bulk_results"
    world.sandbox.faults(
        [{"match": {"kind": kind}, "after": 2, "times": None, "fault": {"type": "latency", "seconds": 0.7}}]
    )
    text = indexed(road=road)
    stop_at(world, 0, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.run(text)
    world.sandbox.faults([])
    for _ in range(100):
        if not fetching():
            break
        time.sleep(0.1)
    assert fetching() == []
    assert world.latest_run().status is RunStatus.INTERRUPTED
    report = world.run(text)
    assert report.resumed
    everything(world, report)


class Dying:
    """A database whose write transaction of that purpose is the last thing that the process does."""

    def __init__(self, db: Database, purpose: str, *, after: bool) -> None:
        self._db = db
        self._purpose = re.compile(purpose)
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    @contextmanager
    def transaction(self, purpose: str) -> Iterator[Transaction]:
        last = self._purpose.match(purpose) is not None
        if last and not self._after:
            raise Killed
        with self._db.transaction(purpose) as transaction:
            yield transaction
        if last:
            raise Killed


COMMITS = (
    *("run contacts begins", "read begins", "window of", "remote job", "rejects known", "tail of", "lateness of"),
    *("rows seen", "read is published", r"run \d+ ends"),
)


def passed_by(world: World, text: str) -> list[str]:
    """A change that became visible only when a window had passed its stamp."""
    late = world.sandbox.change_contacts(1, late=4 * 60, holds_back=False)
    world.advance(minutes=3)
    assert not set(late) & set(world.ids(world.run(text)))
    return late


# Dying after a commit is dying before the next one, but for what only the CRM knows then.
@pytest.mark.parametrize(
    ("after", "commits"), [(False, COMMITS), (True, (COMMITS[3], *COMMITS[-2:]))], ids=["before", "after"]
)
def test_a_kill_at_any_commit_of_the_import_loses_and_repeats_nothing(
    world: World, after: bool, commits: tuple[str, ...]
) -> None:
    text = indexed(["LastName", "Title", "Birthdate"], road="bulk")
    world.run(text)
    database = world.db
    mended: list[str] = []
    for purpose in commits:
        expected = set(mended)
        if purpose == "lateness of":
            # The run in between brings what was mended.
            expected = set(passed_by(world, text))
        *seen, bad = world.sandbox.change_contacts(3)
        world.sandbox.control("set_stamp", ids=[bad], values={"Birthdate": "2026-02-31"})
        world.advance(minutes=3)
        before = world.latest_run().id
        world.db = cast(Database, Dying(database, purpose, after=after))
        with pytest.raises(Killed):
            world.run(text)
        world.db = database
        begun = world.latest_run()
        if begun.id == before or begun.status is not RunStatus.DONE:
            assert world.run(text).resumed == (begun.id > before)
        run = world.latest_run()
        assert run.status is RunStatus.DONE
        assert world.ids(run) == sorted(expected | set(seen)), purpose
        assert world.option() == windows.option_text(world.window().end), purpose
        assert world.query("select remote_id from crosstie.reject where status = 'open'") == [(bad,)], purpose
        world.sandbox.control("set_stamp", ids=[bad], values={"Birthdate": None})
        mended = [bad]
    assert world.query("select count(*) from crosstie.reject") == [(len(commits),)]
    assert world.query("select count(*) from crosstie.import_window where status <> 'confirmed'") == [(0,)]


def test_a_tail_that_is_gone_only_reads_its_rows_again(world: World) -> None:
    world.run(indexed())
    world.advance(minutes=30)
    changed = world.sandbox.change_contacts(3)
    world.advance(minutes=5)
    world.run(indexed())
    world.db.drop_work(world.db.work_tables())
    world.advance(minutes=5)
    assert world.ids(world.run(indexed())) == sorted(changed)
    world.advance(minutes=5)
    assert world.run(indexed()).counts["read"] == {"rows": 0, "seen before": 3}
    assert world.window().overlap == windows.OVERLAP


def test_a_session_that_expires_in_mid_read_is_renewed(world: World) -> None:
    world.sandbox.switches(query_page_rows=250)
    before = world.ids(world.run(flow({"road": "pages"})))
    world.sandbox.counters(reset=True)
    world.sandbox.faults([{"match": {"kind": "query_more"}, "after": 3, "fault": {"type": "expire_session"}}])
    assert world.ids(world.run(flow({"road": "pages"}))) == before
    assert requests(world, "token") == 2

"""A path made ready: its project and org, the template of its database, and what uninterrupted runs leave behind."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path as File
from typing import Any

import psycopg

from crosstie.app import App, init_project
from crosstie.db import open_database
from tests.crash.conductor import Conductor, Passage, Point, wait_until
from tests.crash.org import ORGS, Org, doubled, named
from tests.crash.paths import CONTACTS, Path, Setting
from tests.crash.process import Order
from tests.crash.settled import Settled, Standing, settled, standing
from tests.databases import PostgresServer
from tests.forks import Forks
from tests.sandboxes import Sandbox, running_sandbox

LATER = timedelta(minutes=5)
"""From the run that is killed to the one that has nothing left to do: within the overlap of the index."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What uninterrupted runs leave: after the run (`once`), and after one more (`again`)."""

    once: Settled
    again: Settled


class Stage:
    """Where the points of one path are played. Use it as a context."""

    def __init__(self, path: Path, folder: File, server: PostgresServer, forks: Forks) -> None:
        self.path = path
        self._folder = folder
        self._server = server
        self._forks = forks
        with ExitStack() as failing:
            self._stack = failing
            self._open()
            self._stack = failing.pop_all()

    def _open(self) -> None:
        self._conductor = Conductor(self._folder)
        self._stack.callback(self._conductor.close)
        self._sandbox: Sandbox = self._stack.enter_context(
            running_sandbox(
                records=CONTACTS, state=self._folder / "org", around=self._conductor.around, kind=self.path.kind
            )
        )
        org = ORGS[self.path.kind](self._sandbox, self._folder / "org")
        self._org: Org = self._stack.enter_context(closing(org))
        if self.path.switches:
            self._sandbox.switches(**self.path.switches)
        self._template = self._new_database("template")
        self._start = self._prepare()
        self._org.keep()
        self._next_run = standing(self._template).run + 1
        self._references = {False: self._reference(1), True: self._reference(2)}
        self.dry = self._dry_run()
        self.points = self._points()

    def _points(self) -> tuple[Point, ...]:
        cuts = self.dry.cuts() if self.path.exports else ()
        if self.path.once:
            return self.dry.states() + cuts
        if not self.path.near:
            return self.dry.points() + cuts
        lost = tuple(point for point in cuts if point.when == "after" and self.dry.is_write(point))
        return self.dry.states_near_writes(self.path.near) + lost

    def close(self) -> None:
        """Takes everything away."""
        self._stack.close()

    def check(self, point: Point, victim: str = "runner") -> list[str]:
        """Kills or cuts at the point, runs again, and once more: what is not as after uninterrupted runs."""
        with self._copy() as database:
            self._at(self._start)
            killed = self._passage(database, strike=point, victim=victim)
            if not (killed.killed or killed.cut):
                return [f"{point} was not reached: {killed.ended or killed.labels}"]
            told = self._recover(database, killed)
            where = f"{self.path}: {victim} {point} ({killed.label(point)})"
            if victim == "loader" and killed.ended.get("kind") != "TaskError":
                told.append(f"the run did not fail: {killed.ended}")
            return [f"{where}: {one}" for one in told]

    def _recover(self, database: str, killed: Passage) -> list[str]:
        stood = standing(database)
        resumed = self._passage(database)
        told = self._failure(resumed)
        if told:
            return told
        over = stood.run == self._next_run and stood.done
        expected = self._references[over]
        told += self._settled(database).differences(expected.once)
        told += self._jobs(killed, resumed, stood)
        self._at(self._start + LATER)
        more = self._passage(database)
        return [
            *told,
            *(f"one more run: {one}" for one in self._failure(more)),
            *(f"one more run: {one}" for one in self._settled(database).differences(expected.again)),
            *(f"one more run: {one}" for one in more.writes()),
            *self._org.left_open(killed.unread()),
        ]

    def _jobs(self, killed: Passage, resumed: Passage, stood: Standing) -> list[str]:
        """A job that was awaited must be known by then, and one that the database knows is taken up; what was read of
        it is not read again."""
        begun = stood.run == self._next_run
        over = begun and stood.done
        needs = self.path.bulk and (over or not begun or not (stood.job or stood.window_settled))
        if resumed.jobs == int(needs) and not (killed.job_awaited and resumed.jobs and not over):
            return []
        return [f"bulk jobs made: {killed.jobs} before the kill and {resumed.jobs} after it, {stood}"]

    def _failure(self, passage: Passage) -> list[str]:
        return [] if "run" in passage.ended else [f"the run failed: {passage.ended or 'without a word'}"]

    def _prepare(self) -> datetime:
        init_project(self._folder)
        with App.open(self._folder, database=self._template) as app:
            app.accounts.add(self.path.kind, self.path.kind, self._org.settings())
            app.accounts.check(self.path.kind)
            list(app.schemas.collect(self.path.kind, self._org.objects))
        file = self._folder / "workflow.yaml"
        file.write_text(self.path.definition, encoding="utf-8")
        parts = [self._folder / f"part-{number}.yaml" for number in range(len(self.path.parts))]
        for part, text in zip(parts, self.path.parts, strict=True):
            part.write_text(text, encoding="utf-8")
        applied: list[bool] = []

        def run(at: datetime) -> None:
            self._apply(*parts, file)
            applied.append(True)
            told = self._failure(self._passage(self._template, at=at))
            assert not told, told

        sql = partial(self._sql, self._template)
        setting = Setting(database=self._template, sandbox=self._sandbox, names=self.path.names, sql=sql, run=run)
        start = self.path.prepare(setting)
        if not applied:
            self._apply(*parts, file)
        with App.open(self._folder, database=self._template) as app:
            app.accounts.edit(self.path.kind, {})  # forgets the session: signing in is a point too
        self._no_session_left(self._template)
        return start

    def _apply(self, *files: File) -> None:
        with App.open(self._folder, database=self._template) as app:
            for file in files:
                app.workflows.apply(file)

    def _reference(self, runs: int) -> Reference:
        """What so many runs at the start leave, and one more later."""
        with self._copy() as database:
            self._at(self._start)
            for _ in range(runs):
                told = self._failure(self._passage(database))
                assert not told, told
            once = self._settled(database)
            held = doubled(self._org.ours(), self.path.holds)
            self._at(self._start + LATER)
            more = self._passage(database)
            told = self._failure(more)
            again = self._settled(database)
        assert not told and not once.problems and not again.problems, (told, once.problems, again.problems)
        assert once.facts[self.path.written] == again.facts[self.path.written], "one more run wrote something"
        assert not held and not more.writes(), (held, more.writes())
        assert once.facts.get("org") == again.facts.get("org"), "one more run changed something of the org"
        return Reference(once=once, again=again)

    def _dry_run(self) -> Passage:
        with self._copy() as database, versions(database, self._server) as version:
            self._at(self._start)
            passage = Passage(version=version, paced=True, imports=not self.path.exports)
            self._play(database, passage)
            assert not self._failure(passage), passage.ended
            assert not passage.unseen, f"commits that nobody told of: {passage.unseen}"
            return passage

    def _passage(
        self, database: str, *, strike: Point | None = None, victim: str = "runner", at: datetime | None = None
    ) -> Passage:
        passage = Passage(strike=strike, victim=victim, paced=strike is not None, imports=not self.path.exports)
        self._play(database, passage, at)
        return passage

    def _play(self, database: str, passage: Passage, at: datetime | None = None) -> None:
        order = Order(
            line=self._conductor.begin(passage),
            folder=str(self._folder),
            database=database,
            workflow=self.path.workflow,
            at=(at or self._now).isoformat(),
            page_rows=self.path.page_rows,
            by_child=self.path.by_child,
        )
        try:
            code = self._forks.run(asdict(order))
        finally:
            self._conductor.end()
        assert (code == -9) == (passage.killed and passage.victim == "runner"), (code, passage.ended)
        self._no_session_left(database)

    def _at(self, now: datetime) -> None:
        """Sets both clocks, and to the start of a run the org."""
        self._now = now
        if now == self._start and self.path.exports:
            self._org.restore()
        self._sandbox.control("clock", at=now.isoformat(), frozen=True)

    def _settled(self, database: str) -> Settled:
        found = settled(database, self.path.people)
        files = {str(one.relative_to(self._files)): one.read_text() for one in self._files.rglob("*") if one.is_file()}
        if not self.path.exports:
            return replace(found, facts={**found.facts, "files": files})
        ours = self._org.ours()
        facts = {**found.facts, "org": list(ours.values()), "contacts": self._org.contacts(), "files": files}
        return replace(found, facts=named(facts, ours))

    @property
    def _files(self) -> File:
        return self._folder / "files"

    def _new_database(self, name: str) -> str:
        url = f"sqlite:///{self._folder / name}.db"
        if self.path.backend == "postgresql":
            url = self._server.create_database(f"crash_{name}_{next(_numbers)}")
            self._stack.callback(self._server.drop_database, url.rpartition("/")[2])
        open_database(url).close()
        return url

    @contextmanager
    def _copy(self) -> Iterator[str]:
        """A database and a folder of files as they were prepared, for one point."""
        shutil.rmtree(self._files, ignore_errors=True)
        self._files.mkdir()
        for file, text in self.path.files.items():
            (self._files / file).write_text(text, encoding="utf-8")
        if self.path.backend == "postgresql":
            name = f"crash_point_{next(_numbers)}"
            yield self._server.create_database(name, template=self._template.rpartition("/")[2])
            self._server.drop_database(name)
            return
        folder = self._folder / f"point-{next(_numbers)}"
        folder.mkdir()
        shutil.copyfile(self._template.removeprefix("sqlite:///"), folder / "point.db")
        yield f"sqlite:///{folder / 'point.db'}"
        shutil.rmtree(folder)

    def _no_session_left(self, database: str) -> None:
        """A killed process' sessions end when the server notices."""
        if self.path.backend == "sqlite":
            return
        with psycopg.connect(self._server.url(), autocommit=True) as server:
            query = "select count(*) from pg_stat_activity where datname = %s"
            name = database.rpartition("/")[2]
            wait_until(lambda: server.execute(query, [name]).fetchone() == (0,), f"the end of the sessions in {name}")

    def _rows(self, database: str, query: str) -> list[tuple[Any, ...]]:
        with closing(open_database(database, create=False)) as db, db.reading() as transaction:
            return transaction.rows(query)

    def _sql(self, database: str, *statements: str) -> None:
        if self.path.backend == "sqlite":
            with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as file, file:
                for statement in statements:
                    file.execute(statement)
            return
        with psycopg.connect(database) as server:
            for statement in statements:
                server.execute(statement.encode())


@contextmanager
def versions(database: str, server: PostgresServer) -> Iterator[Callable[[], object]]:
    """Asks the database itself for something that changes with every commit that wrote: SQLite's `data_version`
    ("changes committed by any other connection"), PostgreSQL's first transaction number that is not over."""
    if database.startswith("sqlite"):
        file = database.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as connection:
            yield lambda: connection.execute("pragma data_version").fetchone()
        return
    with psycopg.connect(server.url(), autocommit=True) as observer:
        yield lambda: observer.execute("select pg_snapshot_xmax(pg_current_snapshot())").fetchone()

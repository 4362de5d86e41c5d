"""The judge misses no commit: the database itself says so, and would say otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from tests.crash.conductor import Conductor, Passage
from tests.crash.drivers import Line
from tests.crash.stage import versions
from tests.databases import PostgresServer


@pytest.fixture
def conductor(tmp_path: Path) -> Iterator[Conductor]:
    """A conductor without a sandbox."""
    with closing(Conductor(tmp_path)) as made:
        yield made


def change(db: Database, value: int) -> None:
    """A commit; this process' drivers do not tell of it."""
    with db.transaction("test") as transaction:
        transaction.execute("update number set value = :value", {"value": value})


@pytest.mark.parametrize("untold", [None, "before", "between", "behind"])
def test_a_commit_that_nobody_told_of_is_seen(
    database_url: str, postgres: PostgresServer, conductor: Conductor, untold: str | None
) -> None:
    with closing(open_database(database_url)) as db, versions(database_url, postgres) as version:
        with db.transaction("test") as transaction:
            transaction.execute("create table number (value integer)")
            transaction.execute("insert into number values (0)")
        passage = Passage(version=version)
        with closing(Line(conductor.begin(passage), "runner")) as line:
            for number, place in enumerate(("before", "between"), 1):
                if untold == place:
                    change(db, 10 * number)
                told = line.tell(event="before", label=f"commit {number}")
                assert told == number
                change(db, number)
                line.tell(event="after", number=told)
            if untold == "behind":
                change(db, 30)
            with db.reading() as transaction:
                transaction.rows("select value from number")
        conductor.end()
    assert len(passage.points()) == 4
    assert len(passage.unseen) == (untold is not None), passage.unseen

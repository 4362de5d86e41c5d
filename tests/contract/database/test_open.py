"""Opening, identity and migrations, the same on both databases."""

from __future__ import annotations

import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.db.migrations import NEWEST, migrations
from crosstie.errors import ConfigError, DatabaseError


def test_newest_is_the_last_file() -> None:
    assert migrations()[-1].version == NEWEST


def test_an_opened_database_has_our_tables_and_an_id(database: Database) -> None:
    assert len(database.id) == 32
    with database.reading() as transaction:
        assert transaction.rows("select version, name from crosstie.migration") == [(1, "foundation")]
    assert database.tables() == ()


def test_a_second_open_finds_the_same_database(database: Database, database_url: str) -> None:
    second = open_database(database_url, create=False)
    assert second.id == database.id
    second.close()


def test_a_database_of_a_newer_crosstie_is_refused(database: Database, database_url: str) -> None:
    with database.transaction("test") as transaction:
        transaction.execute(
            "insert into crosstie.migration (version, name, applied_at) values (:version, 'later', '')",
            {"version": NEWEST + 1},
        )
    with pytest.raises(DatabaseError, match="newer Crosstie") as caught:
        open_database(database_url)
    assert caught.value.code == "NEWER_DATABASE"


def test_a_scheme_we_do_not_keep_data_in_is_refused() -> None:
    with pytest.raises(ConfigError, match="not in mysql"):
        open_database("mysql://root:secret@localhost/x")

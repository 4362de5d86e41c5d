"""The PostgreSQL that comes with the tests serves where the machine has none."""

from __future__ import annotations

from crosstie.db import open_database
from crosstie.model import Column, ColumnType
from tests.contract.database.rows import load, read
from tests.databases import OLDEST, postgres_server


def test_the_bundled_server_serves_too() -> None:
    columns = (Column(name="name", type=ColumnType.TEXT), Column(name="n", type=ColumnType.INTEGER))
    with postgres_server(bundled=True) as server:
        assert server.version >= OLDEST
        database = open_database(server.create_database("marketing"))
        load(database, columns, [("É", 1), ("a", 2), (None, None)])
        assert read(database, columns, "name") == [("a", 2), ("É", 1), (None, None)]
        with database.reading() as transaction:
            assert transaction.row("select crosstie.lower('ÀÉ')") == ("àé",)
        database.close()
    assert not server.log.exists()

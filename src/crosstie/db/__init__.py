"""The marketing database, and the only code that knows an SQL dialect. Importing it is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crosstie.db.database import Database


def open_database(url_or_path: str, *, create: bool = True) -> Database:
    """Opens the marketing database, and brings our tables in it up to date.

    `sqlite:///relative.db`, `sqlite:////absolute.db` or a bare path is a SQLite file; `postgresql://…` a PostgreSQL
    database, 14 or newer. With `create` False a database without our tables is refused. Raises ConfigError for a URL
    of another kind, DatabaseError when it cannot be opened or was written by a newer Crosstie.
    """
    from crosstie.database_urls import refuse_connection_string

    refuse_connection_string(url_or_path)
    scheme, separator, rest = url_or_path.partition("://")
    if not separator or scheme == "sqlite":
        from pathlib import Path

        from crosstie.db.sqlite.database import SqliteDatabase
        from crosstie.errors import ConfigError

        name = rest.removeprefix("/") if separator else url_or_path
        if not name or name == ":memory:":
            raise ConfigError(
                f"{url_or_path!r} names no file: several processes work on a marketing database, it is kept in a file.",
                hint="Write a path, like marketing.db or sqlite:///marketing.db.",
            )
        return SqliteDatabase(Path(name).expanduser(), create=create)
    if scheme in ("postgresql", "postgres"):
        from crosstie.db.postgresql.database import PostgresqlDatabase

        return PostgresqlDatabase(url_or_path, create=create)
    from crosstie.errors import ConfigError

    raise ConfigError(
        f"Crosstie keeps its data in SQLite or PostgreSQL, not in {scheme}.",
        hint="Write a path, sqlite:///path or postgresql://user@host/database.",
    )

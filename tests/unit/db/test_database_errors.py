"""What the drivers report, in our words."""

from __future__ import annotations

from urllib.parse import unquote

import psycopg
import pytest

from crosstie.db.postgresql.connections import Connections, refuse_unfit
from crosstie.db.postgresql.errors import database_error as from_postgresql
from crosstie.db.sqlite.errors import database_error as from_sqlite
from crosstie.errors import DatabaseError


@pytest.mark.parametrize(
    ("error", "said", "retry"),
    [
        (psycopg.errors.DiskFull("no space left"), "disk is full", False),
        (psycopg.errors.InsufficientPrivilege("no"), "permission was refused", False),
        (psycopg.errors.DeadlockDetected("dead"), "dead", True),
        (psycopg.errors.SerializationFailure("again"), "again", True),
        (psycopg.errors.TooManyConnections("many"), "no more connections", True),
        (psycopg.errors.ReadOnlySqlTransaction("ro"), "read-only", False),
        (psycopg.errors.UniqueViolation("double"), "double", False),
        (psycopg.OperationalError("connection to server at x: Connection refused"), "no server answers", True),
        (psycopg.OperationalError("server closed the connection"), "server closed", True),
        (psycopg.OperationalError("password authentication failed for user"), "sign-in was refused", False),
    ],
)
def test_postgresql_errors(error: psycopg.Error, said: str, retry: bool) -> None:
    shown = from_postgresql("postgresql://me@host/db", error)
    assert said in shown.message
    assert "postgresql://me@host/db" in shown.message
    assert shown.retry is retry
    assert shown.code == (error.sqlstate or "")


def test_a_password_that_a_server_repeats_is_hidden() -> None:
    shown = from_postgresql("place", psycopg.OperationalError("bad password s3cret given"), "s3cret")
    assert "s3cret" not in str(shown)


@pytest.mark.parametrize(
    ("name", "said", "retry"),
    [
        ("SQLITE_FULL", "disk is full", False),
        ("SQLITE_READONLY_DIRECTORY", "may not be written", False),
        ("SQLITE_BUSY", "Another program", True),
        ("SQLITE_BUSY_SNAPSHOT", "Another program", True),
        ("SQLITE_IOERR_WRITE", "does not read or write", False),
        ("SQLITE_CONSTRAINT_UNIQUE", "SQLite database m.db: text", False),
    ],
)
def test_sqlite_errors(name: str, said: str, retry: bool) -> None:
    shown = from_sqlite("m.db", name, "text")
    assert said in shown.message
    assert (shown.code, shown.retry) == (name, retry)


def test_an_old_server_and_a_strange_encoding_are_refused() -> None:
    refuse_unfit("place", 140000, "UTF8")
    with pytest.raises(DatabaseError, match="version 13; Crosstie needs 14"):
        refuse_unfit("place", 130012, "UTF8")
    with pytest.raises(DatabaseError, match="LATIN1"):
        refuse_unfit("place", 150000, "LATIN1")


def test_the_place_is_the_url_without_password() -> None:
    for url in ("postgresql://me:s3cret@host:5433/db", "postgresql://host:5433/db?user=me&password=s3cret"):
        connections = Connections(url)
        assert connections.place == "postgresql://me@host:5433/db"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://marketing:s3cret/pw@127.0.0.1:1/mk",
        "postgresql://marketing:17/s3cret@127.0.0.1:1/mk",
        "postgresql://marketing:s3cret@pw@127.0.0.1:1/mk",
        "postgresql://marketing:s3cret/p?w@127.0.0.1:1/mk",
        "postgresql://marketing:17/s3cret?user=x@127.0.0.1:1/mk",
        "postgresql://marketing:s3cret",
    ],
)
def test_a_url_that_libpq_reads_otherwise_than_meant_is_refused_without_any_part_of_it(url: str) -> None:
    with pytest.raises(DatabaseError, match="cannot be read") as caught:
        Connections(url)
    assert "%2F" in caught.value.hint
    assert "s3cret" not in f"{caught.value}{caught.value.__cause__!r}"


@pytest.mark.parametrize("password", ["s3cret%2Fpw", "s3cret%40pw", "s3cret#p?w", "s3cret%3Apw"])
def test_a_password_with_special_characters_is_taken_as_libpq_takes_it(password: str) -> None:
    connections = Connections(f"postgresql://marketing:{password}@127.0.0.1:1/mk")
    assert connections.place == "postgresql://marketing@127.0.0.1:1/mk"
    assert connections.secret == unquote(password)

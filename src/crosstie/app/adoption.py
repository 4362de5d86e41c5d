"""Whether the database is this installation's own, or a copy that nobody adopted."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from crosstie.db.audit import record
from crosstie.db.database import Database
from crosstie.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """The result of adopting: the database's place, its id from now on, and whether anything changed."""

    place: str
    id: str
    changed: bool


def is_own(db: Database, ids_file: Path) -> bool:
    """Whether the database's id stands beside the key file. A database with nothing in it yet becomes ours."""
    if db.id in _ids(ids_file):
        return True
    if not _is_blank(db):
        return False
    _add(ids_file, db.id)
    return True


def adopt(db: Database, ids_file: Path, now: datetime) -> Adopted:
    """Gives a copied database an id of its own, and notes it beside the key file."""
    if is_own(db, ids_file):
        return Adopted(place=db.place, id=db.id, changed=False)
    before, after = db.id, str(uuid.uuid4())
    # The file first: an id in it that no database has is harmless, the other way round would need a second adoption.
    _add(ids_file, after)
    with db.transaction("adopting the database") as transaction:
        transaction.execute(
            "update crosstie.meta set value = :after where name = 'database_id' and value = :before",
            {"after": after, "before": before},
        )
        record(transaction, now, "adopt", "database", before, after)
    return Adopted(place=db.place, id=after, changed=True)


def _is_blank(db: Database) -> bool:
    with db.reading() as transaction:
        row = transaction.row(
            "select (select count(*) from crosstie.account) + (select count(*) from crosstie.run)"
            " + (select count(*) from crosstie.schema) + (select count(*) from crosstie.option)"
        )
    return row is not None and int(row[0]) == 0


def _ids(file: Path) -> frozenset[str]:
    try:
        return frozenset(file.read_text(encoding="ascii").split())
    except FileNotFoundError:
        return frozenset()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}", hint="It holds a database id per line.") from error


def _add(file: Path, database_id: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="ascii") as opened:
            opened.write(f"{database_id}\n")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error

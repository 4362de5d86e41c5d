"""What SQLite says, in our words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from crosstie.db.sqlite_functions import take_function_error
from crosstie.errors import DatabaseError

_HINTS = {
    "SQLITE_FULL": (
        "The disk is full, or the database reached its size limit",
        "Make room on the disk, then run again.",
    ),
    "SQLITE_READONLY": ("It may not be written to", "Check the permissions of the file and of its folder."),
    "SQLITE_PERM": ("It may not be opened", "Check the permissions of the file and of its folder."),
    "SQLITE_CANTOPEN": ("It cannot be opened", "Check that the folder exists and may be written to."),
    "SQLITE_NOTADB": ("The file is not a SQLite database", "Check the name of the database."),
    "SQLITE_CORRUPT": ("The file is damaged", "Restore it from a backup; PRAGMA integrity_check says what is wrong."),
    "SQLITE_IOERR": ("The disk does not read or write", "Check the disk and its free space."),
    "SQLITE_BUSY": ("Another program holds its lock", "Close what else writes to the file, then run again."),
}


def database_error(place: str, name: str, text: str) -> DatabaseError:
    """The error for what SQLite calls `name` (like SQLITE_FULL) and says in `text`."""
    primary = "_".join(name.split("_")[:2])
    said, hint = _HINTS.get(primary, ("", ""))
    message = f"{said}: SQLite database {place} ({text})." if said else f"SQLite database {place}: {text}."
    return DatabaseError(message, hint=hint, code=name, retry=primary in {"SQLITE_BUSY", "SQLITE_LOCKED"})


@contextlib.contextmanager
def in_our_words(place: str) -> Iterator[None]:
    """Turns what SQLite and the file system raise inside the block into DatabaseError."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or "SQLITE_MISUSE"
        raise database_error(place, name, take_function_error() or str(error)) from error
    except PermissionError as error:
        raise database_error(place, "SQLITE_PERM", f"{error.strerror}: {error.filename}") from error
    except OSError as error:
        raise database_error(place, "SQLITE_IOERR", f"{error.strerror}: {error.filename}") from error

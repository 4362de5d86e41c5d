"""Making a project: the configuration file, the key, the product's tables."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from crosstie.accounts import create_key_file
from crosstie.app import adoption
from crosstie.config import FILE_NAME, database_url, read_config
from crosstie.database_urls import refuse_password
from crosstie.db import open_database
from crosstie.errors import ConfigError

_FILE = """\
# A Crosstie project. CROSSTIE_DATABASE, CROSSTIE_KEY_FILE and CROSSTIE_KEY in the environment win over this file.

# The marketing database: a SQLite file, relative to this folder, or postgresql://user@host/name.
# A password does not belong here: put the whole URL into CROSSTIE_DATABASE, or the password into ~/.pgpass.
database = {database}

# The key that seals the accounts' secrets. Keep it safe, and apart from backups of the database.
key_file = ".crosstie/key"

# The time zone in force where a workflow names none.
time_zone = "UTC"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The result of `init_project`; `created` says in words what was missing, `warning` which database is in force
    when CROSSTIE_DATABASE names another than the file, else ''."""

    project: Path
    database: str
    key_file: Path
    created: tuple[str, ...]
    warning: str = ""


def init_project(folder: Path, *, database: str | None = None) -> Made:
    """Makes what is missing of a project in `folder`. Raises ConfigError when it has another database already, or
    when `database` holds a password, for arguments can be read by everybody on the machine."""
    folder = folder.resolve()
    if database is not None:
        refuse_password(database)
        database_url(database, folder)
    created = _write_file(folder / FILE_NAME, database)
    config = read_config(folder, os.environ)
    config.state_folder.mkdir(mode=0o700, exist_ok=True)
    ignore = config.state_folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="ascii")
    if not config.key and not config.key_file.exists():
        config.key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_key_file(config.key_file)
        created.append(f"key file {config.key_file}")
    with closing(open_database(config.database)) as db:
        fresh = adoption.is_own(db, config.databases_file)
        place = db.place
    if fresh and created:
        created.append(f"the product's tables in {place}")
    overruled = read_config(folder, {}).database != config.database
    warning = (
        f"CROSSTIE_DATABASE is set and in force: {place}. {FILE_NAME} names another database, which commands without"
        " that variable will use."
    )
    return Made(
        project=folder,
        database=place,
        key_file=config.key_file,
        created=tuple(created),
        warning=warning if overruled else "",
    )


def _write_file(file: Path, database: str | None) -> list[str]:
    if file.exists():
        if database is not None and read_config(file, {}).database != database_url(database, file.parent):
            raise ConfigError(
                f"{file} exists already and names another database.", hint="Change the line “database” in it."
            )
        return []
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        text = _FILE.format(database=_toml_text(database or "crosstie.db"))
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    return [f"{file}"]


def _toml_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

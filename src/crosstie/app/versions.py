"""The applied versions of workflows, and whether a file is behind them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from crosstie.db.database import Transaction, parse_instant
from crosstie.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An applied version of a workflow: the text of its file, comments and all. `source` is where it came from."""

    workflow: str
    label: str
    version: int
    text: str
    source: str
    applied_at: datetime
    applied_by: str

    def is_of_file(self) -> bool:
        """Whether it came from a file, and was not edited in the database."""
        return Path(self.source).is_absolute()


_VERSION = (
    "select v.workflow, w.label, v.version, v.text, v.source, v.applied_at, v.applied_by from crosstie.workflow w"
    " join crosstie.workflow_version v on v.workflow = w.name and v.version = w.version"
)


def read_file(file: Path) -> str:
    """The text of a definition file, as it stands there. Raises ConfigError when it cannot be read."""
    try:
        return file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{file} cannot be read: {reason}") from error


def newest_version(transaction: Transaction, name: str) -> Version | None:
    """The newest version of a workflow."""
    row = transaction.row(f"{_VERSION} where w.name = :name", {"name": name})
    return _version(row) if row else None


def newest_versions(transaction: Transaction) -> tuple[Version, ...]:
    """The newest version of each workflow, by name."""
    return tuple(_version(row) for row in transaction.rows(f"{_VERSION} order by w.name"))


def was_version(transaction: Transaction, name: str, text: str) -> bool:
    """Whether a text is, or once was, the newest version of that workflow."""
    found = transaction.row(
        "select 1 from crosstie.workflow_version where workflow = :name and text = :text", {"name": name, "text": text}
    )
    return found is not None


def is_superseded(transaction: Transaction, newest: Version, file: Path, text: str) -> bool:
    """Whether applying that text of a file would undo an edit that the file never had: the newest version comes from
    elsewhere, and either was edited in the database, or replaced that very text."""
    if newest.source == str(file.resolve()):
        return False
    return not newest.is_of_file() or was_version(transaction, newest.workflow, text)


def superseded(newest: Version, file: Path, text: str) -> str:
    """What is said of such a file, with the difference."""
    return (
        f"{file} is behind: version {newest.version} of {newest.workflow} was made by {newest.applied_by or 'somebody'}"
        f" from {newest.source or 'elsewhere'}. Applying the file would undo this:\n{difference(newest, file, text)}"
    )


def difference(newest: Version, file: Path, text: str) -> str:
    """What applying a file would change, as a unified diff."""
    return "".join(
        line if line.endswith("\n") else f"{line}\n"
        for line in difflib.unified_diff(
            newest.text.splitlines(keepends=True),
            text.splitlines(keepends=True),
            f"{newest.workflow} version {newest.version}",
            str(file),
        )
    ).rstrip("\n")


def _version(row: Sequence[object]) -> Version:
    return Version(
        workflow=str(row[0]),
        label=str(row[1] or ""),
        version=int(str(row[2])),
        text=str(row[3]),
        source=str(row[4] or ""),
        applied_at=parse_instant(str(row[5])),
        applied_by=str(row[6] or ""),
    )

"""Options: named text settings in the database, changed by people, scripts and confirmed windows."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from crosstie.db.audit import record, who
from crosstie.db.database import Database, Transaction, instant_text, parse_instant
from crosstie.errors import ConfigError
from crosstie.sync.windows import is_index, parse_option


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option. `changed_by` is a person, or `workflow NAME`."""

    name: str
    label: str
    type: str
    value: str
    changed_at: datetime | None
    changed_by: str


_COLUMNS = "name, label, type, value, changed_at, changed_by"


class Options:
    """`app.options`."""

    def __init__(self, db: Database, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now

    def list(self) -> tuple[Option, ...]:
        """All options by name."""
        with self._db.reading() as transaction:
            rows = transaction.rows(f"select {_COLUMNS} from crosstie.option order by name")
        return tuple(_option(row) for row in rows)

    def get(self, name: str) -> Option:
        """The option of that name. Raises ConfigError when there is none, which differs from an empty one."""
        with self._db.reading() as transaction:
            found = _find(transaction, name)
            if found is None:
                names = [str(row[0]) for row in transaction.rows("select name from crosstie.option order by name")]
        if found is None:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            suggestion = f"Did you mean {close[0]}? " if close else ""
            raise ConfigError(f"There is no option {name}.", hint=f"{suggestion}All of them: crosstie option list")
        return found

    def set(self, name: str, value: str) -> Option:
        """Sets the option, making it if needed; the change is recorded with who made it. Raises ConfigError for the
        option of an import that would hold no date then."""
        with self._db.transaction(f"option {name} is set") as transaction:
            if is_index(transaction, name):
                _refuse_no_date(name, value)
            before = _find(transaction, name)
            now = self._now()
            transaction.execute(
                "insert into crosstie.option (name, label, type, value, changed_at, changed_by)"
                " values (:name, '', 'text', :value, :now, :who) on conflict (name) do update set"
                " value = excluded.value, changed_at = excluded.changed_at, changed_by = excluded.changed_by",
                {"name": name, "value": value, "now": instant_text(now), "who": who()},
            )
            record(transaction, now, "set", f"option {name}", before.value if before else "", value)
            after = _find(transaction, name)
        if after is None:
            raise ConfigError(f"Option {name} vanished while it was being set.")
        return after


def _refuse_no_date(name: str, value: str) -> None:
    try:
        parse_option(name, value)
    except ConfigError as error:
        raise ConfigError(
            f"Option {name} is the index of an import and holds a date of the form yyyy/MM/dd hh:mm:ss (UTC, 24"
            f" hours), or nothing; “{value}” is neither and was not set.",
            hint=f"Write it like: crosstie option set {name} '2026/11/23 08:00:00' (or '' to read everything again).",
        ) from error


def _find(transaction: Transaction, name: str) -> Option | None:
    row = transaction.row(f"select {_COLUMNS} from crosstie.option where name = :name", {"name": name})
    return _option(row) if row else None


def _option(row: Sequence[object]) -> Option:
    return Option(
        name=str(row[0]),
        label=str(row[1] or ""),
        type=str(row[2] or "text"),
        value=str(row[3] or ""),
        changed_at=parse_instant(str(row[4])) if row[4] else None,
        changed_by=str(row[5] or ""),
    )

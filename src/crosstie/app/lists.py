"""Lists: populations that workflows keep under a name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import datetime

from crosstie.db.audit import record
from crosstie.db.database import Database
from crosstie.errors import ConfigError
from crosstie.workflow import lists
from crosstie.workflow.lists import StoredList


class Lists:
    """`app.lists`."""

    def __init__(self, db: Database, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now

    def list(self) -> tuple[StoredList, ...]:
        """All lists by name."""
        with self._db.reading() as transaction:
            return lists.lists(transaction)

    def get(self, name: str) -> StoredList:
        """The list of that name. Raises ConfigError when there is none."""
        with self._db.reading() as transaction:
            found = lists.find_list(transaction, name)
        if found is None:
            close = difflib.get_close_matches(name, [one.name for one in self.list()], n=1)
            suggestion = f"Did you mean {close[0]}? " if close else ""
            raise ConfigError(f"There is no list {name}.", hint=f"{suggestion}All of them: crosstie lists list")
        return found

    def drop(self, name: str) -> StoredList:
        """Forgets a list; its table goes with the next run that nothing else needs it for. Raises ConfigError when
        there is none."""
        found = self.get(name)
        with self._db.transaction(f"list {name} is dropped") as transaction:
            lists.lock_list(transaction, name)
            lists.drop_list(transaction, name)
            record(transaction, self._now(), "drop", f"list {name}", f"{found.table.rows} rows", "")
        return found

"""The org that a path writes to: what it holds of ours, and its state as it was prepared."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path as File
from typing import Any

from tests.crash.paths.path import OURS, RECORD, Record
from tests.sandboxes import Client, Sandbox

_ID = re.compile(r"\b003[0-9A-Za-z]{15}\b")


class Org:
    """A sandbox with its state directory. Close it."""

    def __init__(self, sandbox: Sandbox, state: File) -> None:
        self._state = state / "salesforce.sqlite"
        self._kept = state / "kept.sqlite"
        self._client = Client(sandbox)

    def keep(self) -> None:
        """Keeps the state as it is now."""
        _copy(self._state, self._kept)

    def restore(self) -> None:
        """Sets the state back to what was kept."""
        _copy(self._kept, self._state)

    def ours(self) -> dict[str, Record]:
        """Every record of ours that there is, deleted ones among them, by id."""
        asked = f"SELECT Id, {', '.join(RECORD)} FROM Contact WHERE Department = '{OURS}'"
        answer = self._client.get("/queryAll", params={"q": asked})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["done"], "the records of ours fill more than a page"
        return {one["Id"]: tuple(one[name] for name in RECORD) for one in found["records"]}

    def contacts(self) -> int:
        """How many contacts there are altogether."""
        return int(self._client.query("SELECT count() FROM Contact")["totalSize"])

    def close(self) -> None:
        """Hangs up."""
        self._client.close()


def _copy(source: File, target: File) -> None:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


def named(value: Any, records: Mapping[str, Record]) -> Any:
    """A fact in which ids, which differ from run to run, are replaced by what their records say."""
    if isinstance(value, str):
        return _ID.sub(lambda found: repr(records[found[0]][:3]) if found[0] in records else found[0], value)
    if isinstance(value, Mapping):
        return {key: named(one, records) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(named(one, records) for one in value)
    if isinstance(value, list):
        return sorted((named(one, records) for one in value), key=repr)
    return value


def doubled(records: Mapping[str, Record], expected: tuple[Record, ...]) -> list[str]:
    """What is there more often, or less often, than it should be."""
    found, wanted = Counter(records.values()), Counter(expected)
    return [f"the org holds too much: {one}" for one in (found - wanted).elements()] + [
        f"the org does not hold {one}" for one in (wanted - found).elements()
    ]

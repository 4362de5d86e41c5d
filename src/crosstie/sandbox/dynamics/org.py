"""The organization: everything the areas of the Dynamics sandbox share."""

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from crosstie.sandbox.clock import SandboxClock
from crosstie.sandbox.counters import Counters
from crosstie.sandbox.database import Database, make_once
from crosstie.sandbox.dynamics import generate, schema
from crosstie.sandbox.dynamics.choices import Choices
from crosstie.sandbox.dynamics.switches import Switches
from crosstie.sandbox.dynamics.visibility import apply_late_write
from crosstie.sandbox.faults import FaultPlan
from crosstie.sandbox.http import Request
from crosstie.sandbox.late_writes import settle_late_writes

BASE = "/api/data/"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who makes a request: a systemuser's id."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to the organization after sign-in and routing; `args` are the named parts of its path, decoded.

    `base` is `https://host/api/data/v9.2`, by the host that was asked; `late` as Request has it.
    """

    request: Request
    user: User
    base: str
    args: dict[str, str] = field(default_factory=dict)

    @property
    def preferences(self) -> dict[str, str]:
        """What Prefer asks for, by name in lower case; a preference without a value has an empty one."""
        return preferences(self.request.headers.get("prefer", ""))


def preferences(header: str) -> dict[str, str]:
    """The preferences of a header. Commas within quotes separate nothing, quotes around a value are dropped."""
    hidden = '"'.join(part.replace(",", "\0") if number % 2 else part for number, part in enumerate(header.split('"')))
    pairs = (piece.strip().partition("=") for piece in hidden.split(",") if piece.strip())
    return {name.strip().lower(): value.strip().strip('"').replace("\0", ",") for name, _, value in pairs}


class Org:
    """One Dynamics organization in a state directory, generated with `records` contacts when it is new."""

    def __init__(self, state_dir: Path, *, records: int) -> None:
        self.state_dir = state_dir
        path = state_dir / "dynamics.sqlite"
        make_once(path, partial(_fill, records=records))
        self.database = Database(path)
        self.counters = Counters()
        self.plan = FaultPlan()
        self.clock = SandboxClock(self.database)
        self.switches = msgspec.convert(self.database.setting("switches", {}), Switches)
        self.hidden: frozenset[str] = frozenset(self.database.setting("hidden", []))
        """Tables (`lead`) that the user has no privilege for, and columns (`contact.jobtitle`) that are secured."""
        self.choices = Choices(self.database)
        self.url = ""
        """`https://localhost:PORT`, where the organization is reached and what its tokens are for."""

    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection for reading; within a write transaction of this thread, that one's."""
        return self.database.reading()

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """A write transaction, committed on leaving, rolled back on an exception; nests into the outer one."""
        return self.database.writing()

    def switch(self, changed: dict[str, object]) -> None:
        """Changes switches, and keeps them. Raises msgspec.ValidationError for an unknown or malformed one."""
        merged = msgspec.to_builtins(self.switches) | changed
        self.switches = msgspec.convert(merged, Switches)
        self.database.keep_setting("switches", merged)

    def now_stamp(self) -> str:
        """This second in wire form."""
        return stamp(self.clock.now())

    def hide(self, names: list[str]) -> None:
        """Sets every table that the user has no privilege for, and every column that column security keeps back."""
        self.database.keep_setting("hidden", sorted(names))
        self.hidden = frozenset(names)

    def last_version(self, connection: sqlite3.Connection) -> int:
        """The version of the latest change of all."""
        version: int = connection.execute("SELECT last FROM sandbox_version").fetchone()[0]
        return version

    def settle(self) -> None:
        """Does what time does, before a request is served: late writes become visible."""
        settle_late_writes(self.database, self.clock.now(), apply_late_write)

    def organization_id(self) -> str:
        """The id that WhoAmI and the organization's row answer."""
        return self.switches.organization_id or generate.ORGANIZATION_ID

    def close(self) -> None:
        """Closes the database."""
        self.database.close()


def stamp(instant: datetime) -> str:
    """An instant in wire form, whole seconds."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _fill(connection: sqlite3.Connection, records: int) -> None:
    schema.create_tables(connection)
    generate.generate(connection, records)
    schema.create_indexes(connection)

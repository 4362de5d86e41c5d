"""The company: everything that the areas of the Oracle sandbox share."""

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from lxml import etree

from crosstie.sandbox.clock import SandboxClock
from crosstie.sandbox.control import ControlRefused, SetField, SetValues
from crosstie.sandbox.counters import Counters
from crosstie.sandbox.database import Database, make_once
from crosstie.sandbox.faults import FaultPlan
from crosstie.sandbox.http import Request
from crosstie.sandbox.late_writes import settle_late_writes
from crosstie.sandbox.oracle_on_demand import generate, schema
from crosstie.sandbox.oracle_on_demand.changed_fields import AddedField, ChangedFields
from crosstie.sandbox.oracle_on_demand.definitions import Object
from crosstie.sandbox.oracle_on_demand.rows import apply_columns, find_row, purge_deleted
from crosstie.sandbox.oracle_on_demand.switches import Switches
from crosstie.sandbox.oracle_on_demand.values import Wire, stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who makes a request: a user's row id, its sign-in id and its name."""

    id: str
    sign_in: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operation after sign-in and routing. `object` is None for the services that are of no object; `service` is
    the operation's namespace, in which the output is; `version` is "v1" or "v2", `flavour` "custom" or "generic";
    `input` is the body's element."""

    object: Object | None
    service: str
    version: str
    flavour: str
    method: str
    input: etree._Element
    user: User
    request: Request

    @property
    def record(self) -> Object:
        """The object of an operation that has one."""
        assert self.object is not None
        return self.object

    def argument(self, name: str) -> str:
        """The text of one of the input's arguments, empty when it is not there."""
        for element in self.input:
            if isinstance(element.tag, str) and etree.QName(element).localname == name:
                return (element.text or "").strip()
        return ""


class Org:
    """One company in a state directory, made with `records` contacts when it is new."""

    def __init__(self, state_dir: Path, *, records: int) -> None:
        path = state_dir / "oracle_on_demand.sqlite"
        make_once(path, partial(_fill, records=records))
        self.database = Database(path)
        self.counters = Counters()
        self.plan = FaultPlan()
        self.clock = SandboxClock(self.database)
        self.switches = msgspec.convert(self.database.setting("switches", {}), Switches)
        self.hidden: frozenset[str] = frozenset(self.database.setting("hidden", []))
        """Objects (`Lead`) and fields (`Contact.JobTitle`) that the user may not see."""
        self.url = ""
        """`https://localhost:PORT`, where the company is reached."""
        self._fields = ChangedFields(self.database)
        self.objects: dict[str, Object] = {}
        """What the user sees, as administrators have made it. `all_objects` has what is hidden, too."""
        self.all_objects: dict[str, Object] = {}
        self._describe()

    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection for reading; within a write transaction of this thread, that one's."""
        return self.database.reading()

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """A write transaction, committed on leaving, rolled back on an exception; nests into the outer one."""
        return self.database.writing()

    @property
    def zone(self) -> ZoneInfo:
        """The user's time zone."""
        return ZoneInfo(self.switches.time_zone)

    def wire(self, version: str, language_mode: str = "") -> Wire:
        """How values are written in a version, with the picklists of a LOVLanguageMode."""
        utc = self.switches.v2_dates_in_utc
        return Wire(version=version, zone=self.zone, labels=language_mode == "LDC", utc=utc)

    def switch(self, changed: dict[str, object]) -> None:
        """Changes switches, and keeps them. Raises msgspec.ValidationError for an unknown or malformed one, and
        ControlRefused for a time zone that is none."""
        merged = msgspec.to_builtins(self.switches) | changed
        switches = msgspec.convert(merged, Switches)
        try:
            ZoneInfo(switches.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ControlRefused(f"There is no time zone {switches.time_zone}.") from None
        self.switches = switches
        self.database.keep_setting("switches", merged)

    def now_stamp(self) -> str:
        """This second in the store's form."""
        return stamp(self.clock.now())

    def hide(self, names: list[str]) -> None:
        """Sets every object (`Lead`) and field (`Contact.JobTitle`) that the user may not see."""
        for name in names:
            record, _, tag = name.partition(".")
            if record not in self.all_objects or (tag and tag not in self.all_objects[record].fields):
                raise ControlRefused(f"There is no {name} to hide.")
        self.database.keep_setting("hidden", sorted(names))
        self.hidden = frozenset(names)
        self._describe()

    def add_field(self, added: AddedField) -> None:
        """Adds a custom field, as an administrator does; see `ChangedFields.add`."""
        self._fields.add(added)
        self._describe()

    def set_field(self, given: SetField) -> None:
        """Changes or removes a custom field, as an administrator does; see `ChangedFields.set_field`."""
        self._fields.set_field(given)
        self._describe()

    def set_values(self, given: SetValues) -> None:
        """Sets the values of a picklist, as an administrator does; see `ChangedFields.set_values`."""
        self._fields.set_values(given)
        self._describe()

    def settle(self) -> None:
        """Does what time does, before a request is served: late writes become visible, old deletions are purged."""
        now = self.clock.now()
        settle_late_writes(self.database, now, self._apply)
        purge_deleted(self.database, now, self.switches.retention_days)

    def close(self) -> None:
        """Closes the database."""
        self.database.close()

    def _apply(self, connection: sqlite3.Connection, name: str, record_id: str, columns: Any) -> None:
        record = self.all_objects[name]
        # A change whose record was deleted meanwhile has nothing to change.
        if "CreatedDate" in columns or find_row(connection, record.table, record_id) is not None:
            apply_columns(connection, record, record_id, columns)

    def _describe(self) -> None:
        self.all_objects = self._fields.objects()
        self.objects = {
            name: replace(
                one, fields={tag: made for tag, made in one.fields.items() if f"{name}.{tag}" not in self.hidden}
            )
            for name, one in self.all_objects.items()
            if name not in self.hidden
        }


def _fill(connection: sqlite3.Connection, records: int) -> None:
    schema.create_tables(connection)
    generate.generate(connection, records)
    schema.create_indexes(connection)

"""The org: everything the areas of the Salesforce sandbox share."""

import sqlite3
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from crosstie.sandbox.clock import SandboxClock
from crosstie.sandbox.control import SetField, SetValues
from crosstie.sandbox.counters import Counters
from crosstie.sandbox.database import Database, make_once
from crosstie.sandbox.faults import FaultPlan
from crosstie.sandbox.http import Request
from crosstie.sandbox.salesforce import generate, schema
from crosstie.sandbox.salesforce.catalog import Catalog, SObject
from crosstie.sandbox.salesforce.changed_fields import ChangedFields
from crosstie.sandbox.salesforce.contention import Contention
from crosstie.sandbox.salesforce.describes import Described, org_describes, visible
from crosstie.sandbox.salesforce.errors import ApiError, not_found
from crosstie.sandbox.salesforce.ids import to_18
from crosstie.sandbox.salesforce.picklists import changed_picklist, with_picklists
from crosstie.sandbox.salesforce.recycle_bin import RecycleBin
from crosstie.sandbox.salesforce.rules import Rules
from crosstie.sandbox.salesforce.switches import Switches
from crosstie.sandbox.salesforce.visibility import settle_late_writes
from crosstie.sandbox.seeding import FIRST_DAY

OLDEST_VERSION, NEWEST_VERSION = 31, 68
APP_NAME = "crosstie-sandbox-app"
"""The connected app that sessions with a client id belong to."""


@dataclass(slots=True, kw_only=True)
class Session:
    """A signed-in user: the access token is its key."""

    token: str
    kind: str
    user_id: str
    client_id: str | None = None
    refresh_token: str | None = None
    last_used: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One data request after sign-in and routing; `args` are the named parts of its path, decoded."""

    request: Request
    version: str
    session: Session
    args: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """`/services/data/v68.0`, with the version that was asked."""
        return f"/services/data/{self.version}"

    @property
    def version_number(self) -> float:
        """68.0 of v68.0."""
        return float(self.version[1:])


class Org:
    """One Salesforce org in a state directory, generated with `records` contacts when it is new."""

    def __init__(self, state_dir: Path, *, records: int) -> None:
        self.state_dir = state_dir
        made = org_describes()
        catalog = Catalog.from_describes(made)
        make_once(state_dir / "salesforce.sqlite", partial(_fill, catalog=catalog, records=records))
        self.database = Database(state_dir / "salesforce.sqlite")
        self._picklists: dict[str, Described] = self.database.setting("picklists", {})
        """What was changed of the fields (`Contact.Interests__c`) whose values are others now."""
        self._made = made
        self._changed_fields = ChangedFields(self.database)
        self._describes = self._changed()
        self.edition = 0
        """How often what describes show was changed; its instant may be that of the change before."""
        self.counters = Counters()
        self.plan = FaultPlan()
        self.instance_url = ""
        self.user_zone = ZoneInfo("Europe/Paris")
        self.clock = SandboxClock(self.database)
        self.switches = msgspec.convert(self.database.setting("switches", {}), Switches)
        self.hidden: frozenset[str] = frozenset(self.database.setting("hidden", []))
        self.described = visible(self._describes, self.hidden)
        self.catalog = self._catalog(self.described)
        self.full_catalog = self._catalog(self._describes)
        with self.database.writing() as connection:
            schema.add_missing_tables(connection, self.full_catalog)
        self.rules = Rules(self.database)
        self.bin = RecycleBin(self.database)
        self.api_usage = ApiUsage()
        self.ingested_rows = ApiUsage()
        self.contention = Contention()
        self.locked: frozenset[str] = frozenset()
        """Ids of records that another transaction holds, until control lets them go."""
        self._app_usage = ApiUsage()
        self._logins: Counter[int] = Counter()

    @property
    def metadata_changed(self) -> datetime:
        """When what a describe shows last changed, for If-Modified-Since."""
        return datetime.fromisoformat(self.database.setting("metadata_changed", FIRST_DAY.isoformat()))

    def hide(self, names: list[str]) -> None:
        """Sets which objects (`Contact`) and fields (`Contact.Email`) the user may not see, as field security does."""
        self.hidden = frozenset(names)
        self.database.keep_setting("hidden", sorted(names))
        self._describe_anew()

    def set_values(self, given: SetValues) -> None:
        """Sets the values of a picklist, as an administrator does. Raises ControlRefused for what is none."""
        name, changed = changed_picklist(self._describes, given)
        self._picklists = {**self._picklists, name: changed}
        self.database.keep_setting("picklists", self._picklists)
        self._describe_anew()

    def set_field(self, given: SetField) -> None:
        """Renames, retypes or deletes a custom field, as an administrator does. Raises ControlRefused for others."""
        self._changed_fields.change(self._made, given)
        self._describe_anew()

    def _changed(self) -> list[Described]:
        return self._changed_fields.of(with_picklists(self._made, self._picklists))

    def _describe_anew(self) -> None:
        self.edition += 1
        self._describes = self._changed()
        self.full_catalog = self._catalog(self._describes)
        self.database.keep_setting("metadata_changed", self.clock.now().isoformat())
        self.described = visible(self._describes, self.hidden)
        self.catalog = self._catalog(self.described)

    def lock(self, ids: list[str]) -> None:
        """Sets which records another transaction holds: writes to them, and references to them, are refused."""
        self.locked = frozenset(to_18(one) or one for one in ids)

    def switch(self, changed: dict[str, object]) -> None:
        """Changes switches, and keeps them. Raises msgspec.ValidationError for an unknown or malformed one."""
        merged = msgspec.to_builtins(self.switches) | changed
        self.switches = msgspec.convert(merged, Switches)
        self.database.keep_setting("switches", merged)
        self.catalog = self._catalog(self.described)
        self.full_catalog = self._catalog(self._describes)

    def _catalog(self, described: list[dict[str, Any]]) -> Catalog:
        return Catalog.from_describes(described).with_text_rules(
            keeps_space=self.switches.white_space_kept,
            lowers_email=self.switches.email_lowered,
            counts_units=self.switches.length_in_units,
        )

    def sobject(self, name: str) -> SObject:
        """The object of that name in any case; 404 when it is not there or not visible."""
        found = self.catalog.object(name)
        if found is None:
            raise not_found()
        return found

    def count_call(self, request: Request, session: Session) -> None:
        """Puts one call onto the API meter, and onto that of the connected app if it has one.

        Raises REQUEST_LIMIT_EXCEEDED when nothing is left.
        """
        now = self.clock.now()
        if self.switches.daily_requests_per_app and session.client_id is not None:
            self._app_usage.count(now, self.switches.daily_requests_per_app)
        self.api_usage.count(now, self.switches.daily_requests)
        request.metered += 1

    def check_version(self, version: str) -> None:
        """Refuses versions (`v68.0`) that are retired or not there yet."""
        number = float(version[1:])
        if number < OLDEST_VERSION and self.switches.retired_status == 410:
            raise ApiError(410, "GONE", f"API version {version[1:]} is retired")
        if not OLDEST_VERSION <= number <= NEWEST_VERSION:
            raise not_found()

    def count_login(self) -> bool:
        """Counts one sign-in of this hour; False when it is one too many."""
        hour = int(self.clock.now().timestamp() // 3600)
        self._logins[hour] += 1
        return not 0 < self.switches.logins_per_hour < self._logins[hour]

    def count_parts(self, request: Request, session: Session, count: int) -> None:
        """Puts the parts of a graph or tree beyond the first onto the meter, where they are not one call."""
        for _ in range(count - 1 if self.switches.composite_counts_parts else 0):
            self.count_call(request, session)

    def give_back_call(self, request: Request) -> None:
        """Takes the last call of a request off the meter again."""
        self.api_usage.give_back(self.clock.now())
        request.metered -= 1

    def usage_header(self) -> str:
        """What Sforce-Limit-Info says; the second part only for orgs that limit their connected apps."""
        now = self.clock.now()
        text = f"api-usage={self.api_usage.used(now)}/{self.switches.daily_requests}"
        most = self.switches.daily_requests_per_app
        if most:
            text += f"; per-app-api-usage={self._app_usage.used(now)}/{most}(appName={APP_NAME})"
        return text

    def now_stamp(self) -> str:
        """This second in wire form; stamps have whole seconds."""
        return stamp(self.clock.now())

    def settle(self) -> None:
        """Does what time does, before a request is served: late writes become visible, the recycle bin is emptied."""
        now = self.clock.now()
        settle_late_writes(self.database, self.full_catalog, now)
        self.bin.expire(self.full_catalog, stamp(now - timedelta(days=self.switches.recycle_bin_days)))

    def close(self) -> None:
        """Closes the database."""
        self.database.close()


class ApiUsage:
    """Calls (or rows) of the rolling 24 hours, by the sandbox clock, in hourly buckets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[int, int] = {}

    def used(self, now: datetime) -> int:
        """Calls of the last 24 hours."""
        with self._lock:
            return self._sum(now)

    def count(self, now: datetime, limit: int) -> int:
        """Counts one call and returns the use; refuses with the quota's error when nothing is left."""
        with self._lock:
            used = self._sum(now)
            if used >= limit:
                raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            self._add(now, 1)
            return used + 1

    def take(self, now: datetime, limit: int, count: int) -> int:
        """Counts as many of `count` as the limit has left, and returns how many that were."""
        with self._lock:
            granted = max(min(count, limit - self._sum(now)), 0)
            self._add(now, granted)
            return granted

    def _add(self, now: datetime, count: int) -> None:
        hour = int(now.timestamp() // 3600)
        self._buckets[hour] = self._buckets.get(hour, 0) + count

    def give_back(self, now: datetime) -> None:
        """Takes one call back."""
        hour = int(now.timestamp() // 3600)
        with self._lock:
            self._buckets[hour] = self._buckets.get(hour, 1) - 1

    def _sum(self, now: datetime) -> int:
        oldest = int((now - timedelta(hours=24)).timestamp() // 3600)
        self._buckets = {hour: count for hour, count in self._buckets.items() if hour > oldest}
        return sum(self._buckets.values())


def stamp(instant: datetime) -> str:
    """An instant in wire form, whole seconds."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def read_stamp(text: str) -> datetime:
    """The instant of a stored stamp."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")


def _fill(connection: sqlite3.Connection, catalog: Catalog, records: int) -> None:
    schema.create_tables(connection, catalog)
    generate.generate(connection, records)
    schema.create_indexes(connection, catalog)

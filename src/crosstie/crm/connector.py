"""What a connector is: the one contract between Crosstie and a CRM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from crosstie.crm.writing import Writer
from crosstie.model import IndexRange, RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa


class Operator(StrEnum):
    """What a filter can ask of a field; the values are the words of the definition file."""

    EMPTY = "empty"
    NOT_EMPTY = "not empty"
    EQUAL = "equal to"
    NOT_EQUAL = "not equal to"
    LESS = "less than"
    AT_MOST = "at most"
    GREATER = "greater than"
    AT_LEAST = "at least"
    BEFORE = "before"
    AFTER = "after"
    STARTS_WITH = "starts with"
    CONTAINS = "contains"
    ONE_OF = "one of"
    INCLUDES = "includes"


# A filter value after JavaScript: text, number, boolean, date or instant, or several for ONE_OF and INCLUDES.
# Numbers are int or float; instants are aware UTC; a date is a `datetime.date`.
Value = object


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`field` `operator` `value`; the value is None for EMPTY and NOT_EMPTY."""

    field: str
    operator: Operator
    value: Value = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Conditions joined by one logical operator: all of them, or any of them."""

    all: bool
    items: tuple[Comparison | Group, ...]


Condition = Comparison | Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One sort criterion; nulls come first when ascending and last when descending, as on the CRM."""

    field: str
    descending: bool = False


class Road(StrEnum):
    """How to read: let the connector choose by expected rows, or force query pages or the bulk interface."""

    AUTO = "auto"
    PAGES = "pages"
    BULK = "bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteQuery:
    """A read. `fields` are API names or relationship paths in the wished column order, the remote id first; where the
    kind tells labels, each may have LABEL behind it.

    `ids`, when not None, restricts the read to those remote ids (any number; the connector splits them).
    `expected_rows` is what the caller knows already (None: the connector may count).
    """

    object: RemoteObject
    fields: tuple[str, ...]
    condition: Condition | None = None
    order: tuple[Order, ...] = ()
    window: IndexRange | None = None
    ids: Sequence[str] | None = None
    road: Road = Road.AUTO
    expected_rows: int | None = None
    include_deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A piece of a read that can be fetched on its own, again, anywhere; picklable and without secrets.

    `position` orders pieces of an ordered read (0, 1, 2 …). `payload` is the connector's own (JSON values only).
    """

    position: int
    payload: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What one partition gave. `batches` has one string column per asked field, in that order and under the asked
    names: the wire text of each value, null for an empty one. It is lazy: reading it may fail like a fetch.
    `partitions` are known before the first batch is read, so that they can be fetched meanwhile."""

    batches: Iterator[pa.RecordBatch]
    partitions: tuple[Partition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An opened read: where to begin, which road was taken and why (a sentence for the log).

    `token` is the remote job's id or ''. `expected_rows` is exact for a finished job, else an estimate or None."""

    partitions: tuple[Partition, ...]
    road: Road
    reason: str
    token: str = ""
    expected_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A piece of what the CRM's change tracking tells: the remote ids of records that were made or changed, and of
    those that were deleted. `token`, in the last piece and in no other, is from where the next read goes on."""

    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdsRoad:
    """How records are best read by their ids: in blocks of them, or `whole`, which is everything that the query gives
    without them. `calls` is what that costs in API calls (of a whole read about), `ids_per_call` the size of a block,
    `expected_rows` what a whole read gives (None: not asked), `reason` a sentence for the log."""

    whole: bool
    calls: int
    ids_per_call: int
    reason: str
    expected_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one CRM can do for one object, as data. `bulk_from_rows` is 0 where there is no bulk interface."""

    parallel_fetches: int
    bulk_from_rows: int
    max_ids_per_call: int
    deletion_retention_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a check. `ok` False is a problem or (when `warning`) something to know; `hint` says what to do."""

    ok: bool
    text: str
    hint: str = ""
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of `check`: what was found, the org's own id and name, and its time zone (IANA name)."""

    findings: tuple[Finding, ...]
    org_id: str
    org_name: str = ""
    time_zone: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing but warnings stands in the way."""
        return all(finding.ok or finding.warning for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectName:
    """An entry of the list of remote objects."""

    name: str
    label: str
    custom: bool
    readable: bool


@dataclass(slots=True)
class Usage:
    """API calls of one connector instance: made by us, and the org's meter as last answered (0: unknown).

    `retries` says what was sent again: a sentence for the log, without values, and how often. `reopened` counts the
    reads that went on by a new query, whose rows may overlap with those read before."""

    calls: int = 0
    rows: int = 0
    org_used: int = 0
    org_limit: int = 0
    retries: dict[str, int] = field(default_factory=dict)
    reopened: int = 0


class Connector(Writer, Protocol):
    """A connector for one external account. Thread-safe: `fetch` may run on several threads at once.

    Every method raises AuthError, UnavailableError, RequestError or ProtocolError of `crosstie.errors`.
    """

    @property
    def kind(self) -> str:
        """The kind of CRM, as in CONNECTORS."""
        ...

    @property
    def usage(self) -> Usage:
        """The meter of this connector, sign-in calls not counted."""
        ...

    def permitted_by(self, permit: Callable[[], None]) -> None:
        """From now on `permit` is called before every request, sign-in and repetition included; what it raises ends the
        call, and nothing is sent."""
        ...

    def check(self, objects: Sequence[RemoteObject] = ()) -> Check:
        """Proves the account; for the collected `objects` says what this user can no longer see."""
        ...

    def org_id(self) -> str:
        """The org's own id, from the session; signs in if needed."""
        ...

    def objects(self) -> tuple[ObjectName, ...]:
        """Every remote object that can be read, in the CRM's order."""
        ...

    def describe(self, name: str, *, known: RemoteObject | None = None) -> RemoteObject:
        """The object's description; `known` is returned as it is when the CRM says nothing changed since."""
        ...

    def limits(self, name: str) -> Limits:
        """What the CRM can do for that object."""
        ...

    def server_time(self) -> datetime:
        """The CRM's clock in UTC, from the last answer of this session, or from one cheap call."""
        ...

    def safe_end(self, query: RemoteQuery, end: datetime) -> datetime:
        """The latest instant <= end up to which a window may reach without missing open transactions."""
        ...

    def count(self, query: RemoteQuery) -> int:
        """How many records the query would give."""
        ...

    def road_for_ids(self, query: RemoteQuery, ids: int) -> IdsRoad:
        """The road with the fewest calls to read so many records by id; `query` says what of them, its own ids aside.
        At most one call, and none when there are too few ids for it to pay."""
        ...

    def open(self, query: RemoteQuery, keep: Callable[[str], None], *, token: str = "") -> Opened:
        """Begins a read. `keep` is called with the remote job's id before anything waits for the job;
        with `token` a job of an earlier attempt is taken up, or replaced when the CRM no longer has it."""
        ...

    def fetch(self, query: RemoteQuery, partition: Partition) -> Fetched:
        """Fetches one piece. May be repeated."""
        ...

    def changes(self, object: RemoteObject, token: str) -> Iterator[Changes] | None:
        """What changed since the token of an earlier read, as the CRM's change tracking tells it; '' begins: that names
        every record, and none that was deleted. None where the CRM no longer has the changes since then. Raises
        RequestError for an object that is not tracked."""
        ...

    def close(self, *, token: str = "") -> None:
        """Lets go of connections; with `token` also of the remote job, once its rows are safely published."""
        ...

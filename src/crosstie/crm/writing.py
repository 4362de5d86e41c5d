"""What a connector is for writing: how rows are packed, sent, and looked up after a lost answer.

Rows travel as Arrow batches with the columns of `outgoing`; answers as batches with those of `answer_columns`. An
answer is one of four words, and everything that does not prove “not executed” is in doubt: a fault is not a rollback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from crosstie.errors import ConnectorError
from crosstie.model import RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa


class Operation(StrEnum):
    """What is done with a record. UPSERT goes by an external id, UPDATE and DELETE by the remote id."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"


class Certainty(StrEnum):
    """What can be done after an answer was lost: send again without harm, look up what happened, or ask a person."""

    REPEATABLE = "repeatable"
    FINDABLE = "findable"
    OPAQUE = "opaque"


class WriteRoad(StrEnum):
    """How to write: let the connector choose by the number of rows, or force one of its interfaces."""

    AUTO = "auto"
    CALLS = "calls"
    BULK = "bulk"


class Outcome(StrEnum):
    """What became of a row. RETRY: proved not executed, and may be sent again. DOUBT: nobody knows yet."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RETRY = "retry"
    DOUBT = "doubt"


class Effect(StrEnum):
    """What an accepted row did. GONE: it was deleted before."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteWrite:
    """What rows are for. `fields` are API names, or `Relationship.ExternalId` for a parent named by its external id
    (`Account.ERP_Id__c`; `Contact:Who.ERP_Id__c` where several objects may be the parent), in the order of the
    batches' columns. `key` is the external id field of an UPSERT.

    `assignment`: `off`, `active` (the org's active rule), or a rule's id. `duplicates`: whether the org's duplicate
    rules may reject a row, or are told to allow it. `hard`: a DELETE past the recycle bin. `conditional`: rows may
    carry the version of their record as it was read; one that has moved since is refused for now."""

    object: RemoteObject
    operation: Operation
    fields: tuple[str, ...] = ()
    key: str = ""
    road: WriteRoad = WriteRoad.AUTO
    assignment: str = "off"
    duplicates: Literal["reject", "allow"] = "reject"
    hard: bool = False
    conditional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long failures of whole calls, and rows that are refused for now, are waited for: the first pause, doubled up
    to the longest, and altogether. `finishing` is how long the CRM may go on with a call after its answer was lost: so
    long an INSERT that another run sent is not made again under another id."""

    first: timedelta = timedelta(milliseconds=500)
    longest: timedelta = timedelta(seconds=30)
    total: timedelta = timedelta(minutes=3)
    finishing: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How so many rows are best sent. `rows` and `content_bytes` bound one shipment, `lanes` how many may be on their
    way at once; rows that share a parent belong into one lane, in consecutive shipments. `calls` is about what all of
    it costs in API calls. A shipment that has not left within `deadline` of being recorded is not sent any more.
    `reason` is a sentence for the log. `probes` is how many shipments more may leave, in one run, to find the rows at
    fault where rows are refused together."""

    road: WriteRoad
    certainty: Certainty
    rows: int
    content_bytes: int
    lanes: int
    calls: int
    deadline: timedelta
    reason: str
    probes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of a shipment: an answer for every row of it. `failure` is set when the whole call failed, with the
    rows that this leaves as RETRY or DOUBT; it is not raised, because the answers have to be kept first.

    `parts` are the numbers of rows that the CRM has refused together, executing none of them, without saying which of
    them are at fault: each part leaves again, in a shipment of its own. Their answers are RETRY, and say why."""

    answers: pa.RecordBatch
    failure: ConnectorError | None = None
    parts: tuple[tuple[int, ...], ...] = ()


class DeletionRoad(StrEnum):
    """Where deletions are read: the CRM's feed of them, which knows what was deleted for good too, or its bin of
    deleted records."""

    FEED = "feed"
    RECYCLE_BIN = "recycle_bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionReach:
    """Which deletions of an object can be had by a road: from `earliest` on, up to `covered`, after which there may be
    more. `reason` is for the log."""

    road: DeletionRoad
    earliest: datetime
    covered: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedRecords:
    """What was deleted between two instants. `batches` have the columns remote_id, deleted_at (ISO text, UTC) and
    merged_into (the surviving id of a merge, else null). `covered` is the instant up to which nothing can be
    missing."""

    batches: Iterator[pa.RecordBatch]
    covered: datetime


ROW = "row"
REMOTE_ID = "remote_id"
KEY = "key"
STAMP = "stamp"
VERSION = "version"


class Writer(Protocol):
    """The writing side of a connector. Thread-safe: shipments of different lanes are sent at once."""

    @property
    def pauses(self) -> Pauses:
        """How patiently writing goes on after failures."""
        ...

    @property
    def new_id(self) -> Callable[[], str] | None:
        """Makes the remote id of a record that is to be made, another one each time, where the CRM lets us choose it:
        the plan keeps it, so that a lost INSERT is found by it. None where the CRM gives records ids of its own."""
        ...

    def packing(self, write: RemoteWrite, rows: int) -> Packing:
        """How to send so many rows. No call. Raises RequestError for what the CRM cannot do."""
        ...

    def send(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], keep: Callable[[str], None]) -> Sent:
        """Sends one shipment, and waits for its answers. `keep` makes a remote token (a bulk job's id) durable before
        anything is executed under it. Nothing is sent twice by this."""
        ...

    def find(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], *, token: str, left_at: datetime) -> Sent:
        """Finds out what became of a shipment whose answers were lost: takes up the job of its token, or reads the
        records back. `left_at` is the CRM's clock when it left. Executes nothing but what the token stands for."""
        ...

    def current(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        """The records of the rows of an UPDATE (by remote id) or UPSERT (by key) as they are now, with the columns of
        `current_columns`; rows without a record, or with several, are missing. Writes nothing. Raises ConnectorError,
        and MappingError for a field that cannot be read."""
        ...

    def comparer(self, write: RemoteWrite) -> Callable[[int, str, str], bool]:
        """What says whether the CRM takes two texts of a field as the same value, given its place in `write.fields`;
        the empty text is no value."""
        ...

    def deletion_reach(self, object: RemoteObject, road: DeletionRoad = DeletionRoad.FEED) -> DeletionReach:
        """Which deletions can be had now: by the feed, where the object has one, else from the bin. Raises RequestError
        where the CRM keeps none that can be read."""
        ...

    def deleted(
        self,
        object: RemoteObject,
        start: datetime | None,
        end: datetime,
        road: DeletionRoad = DeletionRoad.FEED,
    ) -> DeletedRecords:
        """The records deleted from `start` to `end`, both included, by the same road as `deletion_reach`; `start` None
        is as far back as they are kept. Raises RequestError, saying from when it can be had, where the CRM keeps them
        no longer. The feed may name records that live."""
        ...


def outgoing(write: RemoteWrite) -> pa.Schema:
    """The columns of a shipment's batches: `row` (our number of it), `remote_id` (UPDATE, DELETE, and INSERT where we
    choose it), `key` (UPSERT), then one text per field, as the wire has it: null leaves the field alone, the empty text
    clears it; at last, where the write is conditional, `version`, null where the row has none."""
    import pyarrow as pa

    named = [(ROW, pa.int64()), (REMOTE_ID, pa.string()), (KEY, pa.string())]
    versions = [(VERSION, pa.string())] if write.conditional else []
    return pa.schema([*named, *((f"f_{place}", pa.string()) for place in range(len(write.fields))), *versions])


def current_columns(write: RemoteWrite) -> pa.Schema:
    """The columns of records as they are now: `row` (our number), `remote_id`, `stamp` (when it was changed last, UTC;
    null where the object has no stamp), `version` (what a conditional write takes, null where the CRM has none), then
    one text per field, empty where the field is."""
    import pyarrow as pa

    named = [
        (ROW, pa.int64()),
        (REMOTE_ID, pa.string()),
        (STAMP, pa.timestamp("us", "UTC")),
        (VERSION, pa.string()),
    ]
    return pa.schema([*named, *((f"f_{place}", pa.string()) for place in range(len(write.fields)))])


def answer_columns() -> pa.Schema:
    """The columns of answers: `row`, `outcome`, `effect` (of accepted rows), `remote_id`, and of the others `symbol`
    (the CRM's code), `message`, `fields` (API names, comma between), and where the CRM has them beside its code, `word`
    (its name of the error) and `log_file` (where it has logged it)."""
    import pyarrow as pa

    texts = ("outcome", "effect", REMOTE_ID, "symbol", "message", "fields", "word", "log_file")
    return pa.schema([(ROW, pa.int64()), *((name, pa.string()) for name in texts)])

"""A CRM of a few lines in memory, which writes, loses answers and is killed as it is told."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pyarrow as pa

from crosstie.crm.connector import Connector, Usage
from crosstie.crm.writing import (
    Certainty,
    Effect,
    Operation,
    Outcome,
    Packing,
    Pauses,
    RemoteWrite,
    Sent,
    answer_columns,
    current_columns,
)
from crosstie.errors import UnavailableError
from crosstie.model import FieldType, RemoteField, RemoteObject

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
LOCKED = "UNABLE_TO_LOCK_ROW"


def remote_field(name: str, kind: FieldType, **more: Any) -> RemoteField:
    return RemoteField(
        name=name, label=name, type=kind, wire_type=kind.value, **{"createable": True, "updateable": True, **more}
    )


ACCOUNT = RemoteObject(
    name="Account",
    label="Account",
    label_plural="Accounts",
    key="Id",
    fields=(
        remote_field("Id", FieldType.ID, createable=False, updateable=False),
        remote_field("ERP_Id__c", FieldType.TEXT, length=20, external_id=True),
    ),
)
CONTACT = RemoteObject(
    name="Contact",
    label="Contact",
    label_plural="Contacts",
    key="Id",
    fields=(
        remote_field("Id", FieldType.ID, createable=False, updateable=False),
        remote_field("LastName", FieldType.TEXT, length=10, nullable=False),
        remote_field("Email", FieldType.TEXT, length=80),
        remote_field("Score__c", FieldType.DECIMAL, precision=18, scale=2),
        remote_field("Since__c", FieldType.DATE),
        remote_field("Ext__c", FieldType.TEXT, length=20, external_id=True),
        remote_field("AccountId", FieldType.REFERENCE, length=18, reference_to=("Account",), relationship="Account"),
        remote_field(
            "Customer",
            FieldType.REFERENCE,
            length=36,
            reference_to=("Account", "Contact"),
            relationship="Customer",
        ),
        remote_field("Name", FieldType.TEXT, calculated=True, createable=False, updateable=False),
    ),
)


class Killed(BaseException):
    """The process ended here."""


@dataclass
class Crm:
    """The records by id. `faults` are taken one by one, by each call: None, `not sent`, `lost` (executed, the answer
    lost), `lost before` (lost, and not executed), `half lost` (executed, but for the first row no answer), `killed
    before`, `killed after`, and of a look-up `never ran`; `locked` are ids refused for now. `looked_up` are the row
    numbers that were asked for. `chooses_ids`: ids of new records are ours, and by them they are looked up.
    `versioned`: records have a version, which is what they say; `meanwhile` happens between a look and the write.
    `together`: rows of a shipment are refused together, and `probes` more may be sent to find the bad ones."""

    records: dict[str, dict[str, str | None]] = field(default_factory=dict)
    faults: list[str | None] = field(default_factory=list)
    locked: dict[str, int] = field(default_factory=dict)
    rows_per_shipment: int = 3
    lanes: int = 1
    opaque: bool = False
    chooses_ids: bool = False
    versioned: bool = False
    together: bool = False
    probes: int = 0
    meanwhile: Callable[[], None] | None = None
    org: str = "00D1"
    clock: datetime = NOW
    finishing: timedelta = timedelta(0)
    calls: list[tuple[str, int]] = field(default_factory=list)
    looked_up: list[int] = field(default_factory=list)
    reads: int = 0
    stamp: datetime | None = None
    _ids: Iterator[int] = field(default_factory=itertools.count)
    _executed: dict[str, pa.RecordBatch] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def org_id(self) -> str:
        return self.org

    def server_time(self) -> datetime:
        return self.clock

    @property
    def pauses(self) -> Pauses:
        return Pauses(first=timedelta(0), longest=timedelta(0), total=timedelta(seconds=1), finishing=self.finishing)

    @property
    def new_id(self) -> Callable[[], str] | None:
        return (lambda: f"ours-{next(self._ids)}") if self.chooses_ids else None

    def packing(self, write: RemoteWrite, rows: int) -> Packing:
        return Packing(
            road=write.road,
            certainty=Certainty.OPAQUE if self.opaque else Certainty.FINDABLE,
            rows=self.rows_per_shipment,
            content_bytes=1_000_000,
            lanes=self.lanes,
            calls=1,
            deadline=timedelta(hours=1),
            reason=f"{rows} rows",
            probes=self.probes,
        )

    def send(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], keep: Callable[[str], None]) -> Sent:
        with self._guard:
            fault = self.faults.pop(0) if self.faults else None
            given = [row for batch in rows for row in batch.to_pylist()]
            self.calls.append((write.operation.value, len(given)))
            if self.meanwhile is not None:
                self.meanwhile()
                self.meanwhile = None
            if fault == "killed before":
                raise Killed
            if fault == "not sent":
                return self._failed(given, Outcome.RETRY)
            if self.together and len(given) > 1 and any(row["f_0"] == "bad" for row in given):
                if fault == "killed after":
                    raise Killed
                rows = [(row["row"], Outcome.RETRY, None, None, "CUSTOM", "one is bad") for row in given]
                numbers, middle = tuple(row["row"] for row in given), len(given) // 2
                return Sent(answers=answered(rows), parts=(numbers[:middle], numbers[middle:]))
            token = f"job-{len(self.calls)}"
            keep(token)
            if fault == "lost before":
                return self._failed(given, Outcome.DOUBT)
            answers = answered([self._execute(write, row) for row in given])
            self._executed[token] = answers
            if fault == "killed after":
                raise Killed
            if fault == "half lost":
                rest = self._failed(given[1:], Outcome.DOUBT)
                batches = [answers.slice(0, 1), rest.answers]
                return Sent(answers=pa.concat_batches(batches), failure=rest.failure)
            return self._failed(given, Outcome.DOUBT) if fault == "lost" else Sent(answers=answers)

    def find(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], *, token: str, left_at: datetime) -> Sent:
        with self._guard:
            fault = self.faults.pop(0) if self.faults else None
            given = [row for batch in rows for row in batch.to_pylist()]
            self.looked_up += [row["row"] for row in given]
            if fault == "never ran":
                return self._failed(given, Outcome.RETRY)
            if fault is not None:
                return self._failed(given, Outcome.DOUBT)
            if self.opaque:
                return Sent(answers=answered([(row["row"], Outcome.DOUBT, None, None, None, None) for row in given]))
            if write.operation is Operation.INSERT and self.chooses_ids:
                return Sent(answers=answered([self._by_its_id(row["row"], row["remote_id"]) for row in given]))
            known = self._executed.get(token)
            wanted = {row["row"] for row in given}
            if known is None:
                return Sent(answers=answered([(number, Outcome.RETRY, None, None, None, None) for number in wanted]))
            return Sent(answers=known.filter(pa.array([number in wanted for number in known.column(0).to_pylist()])))

    @property
    def usage(self) -> Usage:
        return Usage(calls=len(self.calls))

    def current(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        found = []
        self.reads += 1
        for row in (row for batch in rows for row in batch.to_pylist()):
            wanted = row["remote_id"] if write.operation is Operation.UPDATE else self.by_key(write.key, row["key"])
            record = self.records.get(wanted or "")
            if record is not None:
                version = str(record) if self.versioned else None
                found.append(
                    (row["row"], wanted, self.stamp, version, *(record.get(name) or "" for name in write.fields))
                )
        schema = current_columns(write)
        columns = list(zip(*found, strict=True)) if found else [()] * len(schema)
        arrays = [pa.array(list(values), one.type) for values, one in zip(columns, schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def comparer(self, write: RemoteWrite) -> Callable[[int, str, str], bool]:
        return lambda place, mine, theirs: mine == theirs

    def by_key(self, name: str, value: str | None) -> str | None:
        """The record with that external id."""
        return next((one for one, held in self.records.items() if held.get(name) == value), None)

    def _execute(self, write: RemoteWrite, row: dict[str, Any]) -> tuple[Any, ...]:
        number, record_id = row["row"], row["remote_id"]
        given = {name: row[f"f_{place}"] for place, name in enumerate(write.fields)}
        values = {name: text or None for name, text in given.items() if text is not None}
        if record_id in self.locked and self.locked[record_id] > 0:
            self.locked[record_id] -= 1
            return (number, Outcome.RETRY, None, record_id, LOCKED, "unable to obtain exclusive access")
        if write.conditional and row["version"] not in (None, str(self.records.get(record_id))):
            return (number, Outcome.RETRY, None, record_id, "MOVED_SINCE", "the version is another")
        if values.get("LastName") == "bad":
            return (number, Outcome.REJECTED, None, record_id, "CUSTOM", "bad is refused", "LastName")
        effect = Effect.UPDATED
        match write.operation:
            case Operation.INSERT:
                record_id, effect = self.insert(values, record_id), Effect.CREATED
            case Operation.UPSERT:
                record_id = self.by_key(write.key, row["key"])
                if record_id is None:
                    effect = Effect.CREATED
                    record_id = self.insert({write.key: row["key"]})
                self.records[record_id].update(values)
            case Operation.DELETE:
                effect = Effect.DELETED if self.records.pop(record_id, None) is not None else Effect.GONE
            case Operation.UPDATE:
                if record_id not in self.records:
                    return (number, Outcome.REJECTED, None, record_id, "ENTITY_IS_DELETED", "entity is deleted")
                self.records[record_id].update(values)
        return (number, Outcome.ACCEPTED, effect, record_id, None, None)

    def _by_its_id(self, number: int, record_id: str) -> tuple[Any, ...]:
        if record_id in self.records:
            return (number, Outcome.ACCEPTED, Effect.CREATED, record_id)
        return (number, Outcome.RETRY)

    def insert(self, values: dict[str, str | None], chosen: str | None = None) -> str:
        """A record of its own."""
        record_id = chosen or f"003{len(self.records):012d}AAA"
        assert chosen not in self.records, "one record is made once"
        self.records[record_id] = dict(values)
        return record_id

    def _failed(self, given: Iterable[dict[str, Any]], outcome: Outcome) -> Sent:
        told = "The CRM does not answer."
        rows = [(row["row"], outcome, None, row["remote_id"], "UNAVAILABLE", told) for row in given]
        return Sent(answers=answered(rows), failure=UnavailableError(told))

    @property
    def connector(self) -> Connector:
        """What an activity is given."""
        return cast(Connector, self)


def answered(rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    schema = answer_columns()
    full = [(*row, *([None] * (len(schema) - len(row)))) for row in rows]
    columns = list(zip(*full, strict=True)) if full else [()] * len(schema)
    return pa.RecordBatch.from_arrays(
        [pa.array(list(values), one.type) for values, one in zip(columns, schema, strict=True)], schema=schema
    )

"""What became of rows whose answers are lost: their records are read back and compared with what was sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from crosstie.crm.answers import CONFLICT, RowAnswers
from crosstie.crm.comparing import CompleteId, canonical_key, instant_of
from crosstie.crm.connector import Comparison, Operator, RemoteQuery, Road
from crosstie.crm.writing import Effect, Outcome, RemoteWrite, current_columns
from crosstie.model import RemoteField, RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa

CLOCK_GUARD = timedelta(minutes=1)
"""How far the clocks of a CRM's own machines may be apart: a record that moved within it may have moved by us."""

Read = Callable[[RemoteQuery], Iterator["pa.RecordBatch"]]


class Sought(Protocol):
    """A shipment whose records are read back: `open` are the places of the rows that are asked for, `remote_ids` theirs
    by place, `key` the field of an UPSERT."""

    write: RemoteWrite
    key: RemoteField | None
    rows: list[int]
    remote_ids: list[str | None]
    open: list[int]

    def external_ids(self) -> list[str | None]:
        """The external ids of an UPSERT, by place."""
        ...

    def texts(self, target: int) -> list[str | None]:
        """The texts of one field of the write, by place."""
        ...

    def paths(self) -> Sequence[str]:
        """How the values of the fields are read back."""
        ...

    def holds(self, target: int, mine: str | None, theirs: str | None) -> bool:
        """Whether a record with the second text holds what was sent in the first."""
        ...


class Record(NamedTuple):
    """A record as it was read back; `texts` are those of the fields of the write."""

    id: str
    stamp: datetime | None
    created: datetime | None
    key: str
    version: str | None
    texts: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLookup:
    """Reads records back. `read` runs a query; `stamps` are the fields that say when a record moved last, the best
    first, `created` the one that says since when it is there, `version` what a conditional write takes, where there is
    such a thing."""

    read: Read
    stamps: tuple[str, ...]
    created: str
    complete_id: CompleteId
    version: str = ""

    def updated(self, answers: RowAnswers, sought: Sought, left_at: datetime) -> None:
        """What became of the rows of an UPDATE."""
        texts = [sought.texts(place) for place in range(len(sought.write.fields))]
        for place, records in self.found(sought):
            if records:
                _judge(answers, sought, place, [one[place] for one in texts], records[0], left_at)
            else:
                answers.set(place, Outcome.RETRY, message="The record is not there any more.")

    def upserted(self, answers: RowAnswers, sought: Sought, left_at: datetime) -> None:
        """What became of the rows of an UPSERT."""
        texts = [sought.texts(place) for place in range(len(sought.write.fields))]
        for place, found in self.found(sought):
            if len(found) == 1:
                _judge(answers, sought, place, [one[place] for one in texts], found[0], left_at)
            elif found:
                said = f"{sought.write.key} belongs to {len(found)} records, so that none of them was changed."
                answers.set(place, Outcome.RETRY, message=said)
            else:
                answers.set(place, Outcome.RETRY, message=f"No record has that {sought.write.key}.")

    def kept(self, answers: RowAnswers, place: int, record_id: str, stamp: datetime | None, left_at: datetime) -> None:
        """A record that the row of a DELETE has left, or that was there again: what moved since was changed or restored
        by another, whose work is not deleted; else the delete is asked for again."""
        if stamp is not None and stamp > left_at:
            said = f"The record {record_id} is there, and was changed or restored by another meanwhile."
            answers.set(place, Outcome.REJECTED, CONFLICT, said)
        else:
            answers.set(place, Outcome.RETRY, message="The record was not deleted.")

    def current(self, sought: Sought) -> pa.RecordBatch:
        """The records of the rows of an UPDATE or UPSERT as they are now; see `Writer.current`."""
        import pyarrow as pa

        found = [(place, records[0]) for place, records in self.found(sought) if len(records) == 1]
        schema = current_columns(sought.write)
        rows = [
            (sought.rows[place], record.id, record.stamp, record.version, *(text or "" for text in record.texts))
            for place, record in found
        ]
        columns = zip(*rows, strict=True) if rows else [()] * len(schema)
        arrays = [pa.array(column, one.type) for column, one in zip(columns, schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def found(self, sought: Sought) -> Iterator[tuple[int, list[Record]]]:
        """The open rows with the records that they are about: by the remote id, or by the key of an UPSERT."""
        if not sought.open:
            return
        key = sought.key
        if key is None:
            ids = [str(sought.remote_ids[place]) for place in sought.open]
            by_id = {one.id: [one] for one in self._records(replace(self._query(sought), ids=ids))}
            yield from ((place, by_id.get(one, [])) for place, one in zip(sought.open, ids, strict=True))
            return
        keys = [text or "" for text in sought.external_ids()]
        wanted = tuple(dict.fromkeys(keys[place].strip() for place in sought.open))
        listed = Comparison(field=key.name, operator=Operator.ONE_OF, value=wanted)
        records: dict[object, list[Record]] = {}
        for record in self._records(replace(self._query(sought), condition=listed)):
            records.setdefault(canonical_key(key, record.key, self.complete_id), []).append(record)
        for place in sought.open:
            yield place, records.get(canonical_key(key, keys[place], self.complete_id), [])

    def _records(self, query: RemoteQuery) -> Iterator[Record]:
        for batch in self.read(query):
            columns = (one.to_pylist() for one in batch.columns)
            for record_id, stamp, created, key, version, *texts in zip(*columns, strict=True):
                yield Record(
                    id=self.complete_id(record_id) or record_id,
                    stamp=instant_of(stamp),
                    created=instant_of(created),
                    key=key or "",
                    version=version if self.version else None,
                    texts=tuple(texts),
                )

    def stamp(self, remote: RemoteObject) -> str:
        """The field that says when a record moved last; its id where there is none."""
        return next((name for name in self.stamps if remote.field(name) is not None), remote.key)

    def _query(self, sought: Sought) -> RemoteQuery:
        """What is read back, without saying of which records. Columns that the object does not have hold its id."""
        remote = sought.write.object
        created = self.created if remote.field(self.created) is not None else remote.key
        key = sought.key.name if sought.key is not None else remote.key
        fields = (remote.key, self.stamp(remote), created, key, self.version or remote.key, *sought.paths())
        return RemoteQuery(object=remote, fields=fields, road=Road.PAGES)


def _judge(
    answers: RowAnswers,
    sought: Sought,
    place: int,
    sent: Sequence[str | None],
    record: Record,
    left_at: datetime,
) -> None:
    """Equal → it was done, by whomever. Not equal: an older stamp proves that it was not executed; a newer one may be
    ours and then another's, whose work must not be overwritten."""
    since = left_at - CLOCK_GUARD
    pairs = zip(sought.write.fields, sent, record.texts, strict=True)
    other = [name for nth, (name, mine, theirs) in enumerate(pairs) if not sought.holds(nth, mine, theirs)]
    if not other:
        created = sought.key is not None and record.created is not None and record.created >= since
        answers.accept(place, Effect.CREATED if created else Effect.UPDATED, record.id)
    elif record.stamp is not None and record.stamp < since:
        answers.set(place, Outcome.RETRY, message="The record has not moved since.")
    else:
        said = f"The record {record.id} was changed by another meanwhile: {', '.join(other)} differ from what was sent."
        answers.set(place, Outcome.REJECTED, CONFLICT, said, ",".join(other))

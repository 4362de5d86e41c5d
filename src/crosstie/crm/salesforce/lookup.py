"""What became of rows whose answers are lost: the records are read back and compared with what was sent.

Salesforce gives values back in its own form (REST API guide, field types): text trimmed, e-mail perhaps in lower case,
multi-select values in the order of their list, instants in UTC to the second. So both sides are compared in one form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, NamedTuple

from crosstie.crm.connector import Comparison, Operator, RemoteQuery, Road
from crosstie.crm.salesforce.answers import CONFLICT, Answers
from crosstie.crm.salesforce.deletions import Deletions, Read
from crosstie.crm.salesforce.ids import complete_id
from crosstie.crm.salesforce.literals import wire_instant
from crosstie.crm.salesforce.shipment import Shipment
from crosstie.crm.salesforce.targets import Target
from crosstie.crm.writing import Effect, Operation, Outcome, current_columns
from crosstie.errors import RequestError
from crosstie.model import FieldType, RemoteField, RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa

CLOCK_GUARD = timedelta(minutes=1)
"""How far the clocks of Salesforce's own machines may be apart: a record that moved within it may have moved by us."""

_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})
_STAMPS = ("SystemModstamp", "LastModifiedDate")


class _Record(NamedTuple):
    """A record as it was read back; `texts` are those of the targets."""

    id: str
    stamp: datetime | None
    created: datetime | None
    key: str
    texts: tuple[str | None, ...]


class Lookup:
    """Finds out what became of shipments. `read` runs a query."""

    def __init__(self, read: Read, deletions: Deletions) -> None:
        self._read = read
        self._deletions = deletions

    def find(self, shipment: Shipment, left_at: datetime) -> Answers:
        """The answers to all rows. An INSERT has nothing to be looked up by, and stays in doubt."""
        answers = Answers(shipment)
        if not shipment.open:
            return answers
        operation = shipment.write.operation
        if operation is Operation.INSERT:
            said = (
                f"The answer to this insert of {shipment.write.object.name} is lost, and nothing in the record tells "
                "it from others. Look whether it is there, then settle it: crosstie journal settle RUN."
            )
            for place in shipment.open:
                answers.set(place, Outcome.DOUBT, message=said)
        elif operation is Operation.DELETE:
            self._deleted(answers, shipment, left_at)
        elif operation is Operation.UPDATE:
            self._updated(answers, shipment, left_at)
        else:
            self._upserted(answers, shipment, left_at)
        return answers

    def _deleted(self, answers: Answers, shipment: Shipment, left_at: datetime) -> None:
        """There → not deleted. In the bin → deleted, or gone before where its stamp is older than the shipment. In the
        deletion feed → gone. Neither is to be had: the record is not there, unless the object has a feed that would
        tell; then the delete is asked for again, and says why."""
        remote = shipment.write.object
        ids = [str(shipment.remote_ids[place]) for place in shipment.open]
        binned = "IsDeleted" if remote.field("IsDeleted") is not None else remote.key
        fields = (remote.key, binned, _stamp(remote))
        found: dict[str, tuple[bool, datetime | None]] = {}
        query = RemoteQuery(object=remote, fields=fields, ids=ids, include_deleted=True, road=Road.PAGES)
        for batch in self._read(query):
            for record_id, deleted, stamp in zip(*(one.to_pylist() for one in batch.columns), strict=True):
                found[complete_id(record_id) or record_id] = deleted == "true", _instant(stamp)
        purged = self._deletions.gone(remote, [one for one in ids if one not in found])
        for place, record_id in zip(shipment.open, ids, strict=True):
            deleted, stamp = found.get(record_id, (False, None))
            if deleted:
                before = shipment.write.hard or (stamp is not None and stamp < left_at - CLOCK_GUARD)
                answers.accept(place, Effect.GONE if before else Effect.DELETED)
            elif record_id in purged or (record_id not in found and not remote.tracks_deletions):
                answers.accept(place, Effect.GONE)
            else:
                answers.set(place, Outcome.RETRY, message="The record was not deleted.")

    def _updated(self, answers: Answers, shipment: Shipment, left_at: datetime) -> None:
        texts = [shipment.texts(place) for place in range(len(shipment.targets))]
        for place, records in self._found(shipment):
            if records:
                _judge(answers, shipment, place, [one[place] for one in texts], records[0], left_at)
            else:
                answers.set(place, Outcome.RETRY, message="The record is not there any more.")

    def _upserted(self, answers: Answers, shipment: Shipment, left_at: datetime) -> None:
        texts = [shipment.texts(place) for place in range(len(shipment.targets))]
        for place, found in self._found(shipment):
            if len(found) == 1:
                _judge(answers, shipment, place, [one[place] for one in texts], found[0], left_at)
            elif found:
                said = f"{shipment.write.key} belongs to {len(found)} records, so that none of them was changed."
                answers.set(place, Outcome.RETRY, message=said)
            else:
                answers.set(place, Outcome.RETRY, message=f"No record has that {shipment.write.key}.")

    def current(self, shipment: Shipment) -> pa.RecordBatch:
        """The records of the rows of an UPDATE or UPSERT as they are now; see `Writer.current`."""
        import pyarrow as pa

        found = [(place, records[0]) for place, records in self._found(shipment) if len(records) == 1]
        schema = current_columns(shipment.write)
        rows = [
            (shipment.rows[place], record.id, record.stamp, *(text or "" for text in record.texts))
            for place, record in found
        ]
        columns = zip(*rows, strict=True) if rows else [()] * len(schema)
        arrays = [pa.array(column, one.type) for column, one in zip(columns, schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _found(self, shipment: Shipment) -> Iterator[tuple[int, list[_Record]]]:
        """The open rows with the records that they are about: by the remote id of an UPDATE, the key of an UPSERT."""
        if not shipment.open:
            return
        key = shipment.key
        if key is None:
            ids = [str(shipment.remote_ids[place]) for place in shipment.open]
            by_id = {one.id: [one] for one in self._records(replace(_query(shipment), ids=ids))}
            yield from ((place, by_id.get(one, [])) for place, one in zip(shipment.open, ids, strict=True))
            return
        keys = [text or "" for text in shipment.external_ids()]
        wanted = tuple(dict.fromkeys(keys[place].strip() for place in shipment.open))
        listed = Comparison(field=key.name, operator=Operator.ONE_OF, value=wanted)
        records: dict[object, list[_Record]] = {}
        for record in self._records(replace(_query(shipment), condition=listed)):
            records.setdefault(_canonical_key(key, record.key), []).append(record)
        yield from ((place, records.get(_canonical_key(key, keys[place]), [])) for place in shipment.open)

    def _records(self, query: RemoteQuery) -> Iterator[_Record]:
        for batch in self._read(query):
            for record_id, stamp, created, key, *texts in zip(*(one.to_pylist() for one in batch.columns), strict=True):
                yield _Record(
                    id=complete_id(record_id) or record_id,
                    stamp=_instant(stamp),
                    created=_instant(created),
                    key=key or "",
                    texts=tuple(texts),
                )


def _stamp(remote: RemoteObject) -> str:
    """The field that says when a record moved last; its id where there is none."""
    return next((name for name in _STAMPS if remote.field(name) is not None), remote.key)


def _query(shipment: Shipment) -> RemoteQuery:
    """What is read back, without saying of which records. Columns that the object does not have hold its id."""
    remote = shipment.write.object
    created = "CreatedDate" if remote.field("CreatedDate") is not None else remote.key
    key = shipment.key.name if shipment.key is not None else remote.key
    fields = (remote.key, _stamp(remote), created, key, *(target.path for target in shipment.targets))
    return RemoteQuery(object=remote, fields=fields, road=Road.PAGES)


def _judge(
    answers: Answers,
    shipment: Shipment,
    place: int,
    sent: Sequence[str | None],
    record: _Record,
    left_at: datetime,
) -> None:
    """Equal → it was done, by whomever. Not equal: an older stamp proves that it was not executed; a newer one may be
    ours and then another's, whose work must not be overwritten."""
    since = left_at - CLOCK_GUARD
    pairs = zip(shipment.targets, sent, record.texts, strict=True)
    other = [target.header for target, mine, theirs in pairs if not equal(target, mine, theirs)]
    if not other:
        created = shipment.key is not None and record.created is not None and record.created >= since
        answers.accept(place, Effect.CREATED if created else Effect.UPDATED, record.id)
    elif record.stamp is not None and record.stamp < since:
        answers.set(place, Outcome.RETRY, message="The record has not moved since.")
    else:
        said = f"The record {record.id} was changed by another meanwhile: {', '.join(other)} differ from what was sent."
        answers.set(place, Outcome.REJECTED, CONFLICT, said, ",".join(other))


def _instant(text: str | None) -> datetime | None:
    try:
        return wire_instant(text) if text else None
    except RequestError:
        return None  # the id, in the place of a stamp that the object does not have


def equal(target: Target, mine: str | None, theirs: str | None) -> bool:
    """Whether the record holds what was sent; a field that was left alone always does, and so does an encrypted one,
    which is read back as asterisks."""
    if mine is None or target.field.wire_type == "encryptedstring":
        return True
    if target.parent_key:
        return mine.strip().casefold() == (theirs or "").strip().casefold()
    field = target.field
    if _canonical(field, mine) == _canonical(field, theirs or ""):
        return True
    return field.type in _NUMBERS and _same_number(_number(mine.strip()), _number(theirs or ""), field.scale)


def _canonical_key(key: RemoteField, text: str) -> object:
    """A key as Salesforce finds it: without regard to case, unless the field says otherwise."""
    form = _canonical(key, text)
    return form.casefold() if isinstance(form, str) and not key.case_sensitive else form


def _canonical(field: RemoteField, text: str) -> object:
    """A text in the one form in which both sides are compared."""
    text = text.strip()
    if not text:
        return ""
    kind = field.type
    if kind in _NUMBERS:
        return _number(text)
    if kind is FieldType.SET:
        return frozenset(one.strip() for one in text.split(";") if one.strip())
    if kind in {FieldType.ID, FieldType.REFERENCE}:
        return complete_id(text) or text
    if kind is FieldType.BOOLEAN:
        return text.lower() in {"true", "1"}
    if kind is FieldType.DATETIME:
        instant = _instant(text)
        return instant.replace(microsecond=0) if instant else text
    if kind is FieldType.TIME:
        clock, _, fraction = text.removesuffix("Z").partition(".")
        return f"{clock if clock.count(':') > 1 else f'{clock}:00'}.{fraction.ljust(3, '0')}"
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.lower() if field.wire_type == "email" else text


def _number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _same_number(mine: Decimal | str, theirs: Decimal | str, scale: int) -> bool:
    """Whether a field of that scale, which is a double, may have made one of the other."""
    if isinstance(mine, str) or isinstance(theirs, str):
        return False
    return float(mine) == float(theirs) or abs(mine - theirs) <= Decimal(5).scaleb(-scale - 1)

"""Writes by `$batch` with continue-on-error: a request for each row, so that a refused row takes no other with it.

Source: Dataverse Web API guide, "Execute batch operations", "Upsert a table row", "Use an alternate key". A batch is
sent once; what it leaves open is said, row by row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from crosstie.crm.dynamics.answers import Answers
from crosstie.crm.dynamics.batch import BatchBody, Piece, read_batch
from crosstie.crm.dynamics.binding import BoundTable
from crosstie.crm.dynamics.faults import DUPLICATE_KEY, SEGMENT_NOT_FOUND, THROTTLED, code_and_message, error_of
from crosstie.crm.dynamics.ids import complete_id
from crosstie.crm.dynamics.keys import key_form
from crosstie.crm.dynamics.packing import BATCH_ROWS
from crosstie.crm.dynamics.session import Session
from crosstie.crm.dynamics.shipment import Shipment
from crosstie.crm.dynamics.targets import column_of
from crosstie.crm.http import REPORT, Answer, Unwritten
from crosstie.crm.writing import Effect, Operation, Outcome, RemoteWrite
from crosstie.errors import AuthError, ConnectorError, ProtocolError, UnavailableError

_EFFECTS = {Operation.INSERT: Effect.CREATED, Operation.UPDATE: Effect.UPDATED, Operation.DELETE: Effect.DELETED}
_JSON = ("Content-Type", "application/json; type=entry")
_WITH_RECORD = ("Prefer", "return=representation")
_ENTITY_ID = re.compile(r"\(([0-9a-fA-F-]{36})\)$")
_NOT_THERE = ("undeclared property", "could not find a property")

Headers = Callable[[RemoteWrite], Sequence[tuple[str, str]]]
"""The headers that each request of a write carries."""

Found = Mapping[int, str]
"""The remote ids of an UPSERT's rows whose key can't stand in a URL, by place, where they have a record."""


class BatchWriter:
    """Sends shipments by batches."""

    def __init__(self, session: Session, headers: Headers) -> None:
        self._session = session
        self._root = urlsplit(session.root).path
        self._headers = headers

    def send(
        self, shipment: Shipment, table: BoundTable, records: Sequence[dict[str, Any]], by_id: Found | None = None
    ) -> tuple[Answers, ConnectorError | None]:
        """Sends all open rows, one batch after the other; after one that failed none is sent. `records` are the rows'
        JSON records by place, `by_id` has those rows of an UPSERT that don't go by their key: they go by the id of
        their record, or, where that is '', make one."""
        answers = Answers(shipment)
        failure: ConnectorError | None = None
        for start in range(0, len(shipment.open), BATCH_ROWS):
            places = shipment.open[start : start + BATCH_ROWS]
            if failure is not None:
                answers.whole(places, Outcome.RETRY, failure)
                continue
            failure = self._send(shipment, table, records, by_id or {}, places, answers)
        return answers, failure

    def _send(
        self,
        shipment: Shipment,
        table: BoundTable,
        records: Sequence[dict[str, Any]],
        by_id: Found,
        places: Sequence[int],
        answers: Answers,
    ) -> ConnectorError | None:
        body = BatchBody()
        requests = _Requests(
            body, shipment, f"{self._root}{table.entity_set}", table.key, self._headers(shipment.write)
        )
        said = self._session.write(
            "POST",
            "$batch",
            f"{shipment.write.operation} {shipment.write.object.name}",
            headers={"Prefer": "odata.continue-on-error"},
            content=body.whole(requests.of(places, records, by_id)),
            content_type=body.content_type,
            operations=len(places),
        )
        if isinstance(said, Unwritten):
            answers.whole(places, Outcome.RETRY if said.proved else Outcome.DOUBT, said.error)
            return said.error
        try:
            return self._read(shipment, places, by_id, answers, said)
        except ProtocolError as error:
            answers.whole(places, Outcome.DOUBT, error)
            return error

    def _read(
        self, shipment: Shipment, places: Sequence[int], by_id: Found, answers: Answers, answer: Answer
    ) -> ConnectorError | None:
        """Takes the answers that came; rows behind them are in doubt. Raises ProtocolError when they cannot be those
        of what was sent; then none of them is taken."""
        found = read_batch(answer)
        if len(found.pieces) > len(places):
            raise _wrong(answer, f"has {len(found.pieces):,} answers for {len(places):,} requests")
        answered, rest = places[: len(found.pieces)], places[len(found.pieces) :]
        ids = [self._written(shipment, place, one, answer) for place, one in zip(answered, found.pieces, strict=True)]
        failure: ConnectorError | None = None
        refused: list[ConnectorError] = []
        for place, piece, record_id in zip(answered, found.pieces, ids, strict=True):
            if piece.status < 300:
                answers.accept(place, _effect(shipment, piece), record_id)
                continue
            code, message = code_and_message(piece.body)
            error = error_of(piece.as_answer(answer), self._session.account)
            if piece.status == 429 or code in THROTTLED:
                self._session.hold(error.retry_after)
                answers.set(place, Outcome.RETRY, error.code, error.message)
                failure = failure or error
            elif not code and piece.status >= 500:
                answers.set(place, Outcome.DOUBT, error.code, error.message)
                failure = failure or error
            elif code in DUPLICATE_KEY and by_id.get(place) == "":
                answers.set(place, Outcome.RETRY, code, message)  # it was made since it was looked for
            else:
                answers.refuse(place, code or error.code, message or error.message)
                refused.append(error)
        if rest:
            told = f"has {len(answered):,} answers for {len(places):,} requests{'' if found.whole else ', and no end'}"
            cut = UnavailableError(
                f"The answer to “{answer.what}” {told}.",
                hint="Nothing is lost: what became of the others is looked up.",
                request_id=answer.request_id,
            )
            answers.whole(rest, Outcome.DOUBT, cut)
            return failure or cut
        if failure is None and len(refused) == len(places):
            failure = next((one for one in refused if _concerns_all(one, len(refused))), None)
            if failure is not None:
                answers.whole(places, Outcome.RETRY, failure)
        return failure

    def _written(self, shipment: Shipment, place: int, piece: Piece, answer: Answer) -> str | None:
        """The id of the record that an accepted row wrote. Raises ProtocolError when it is another than was sent, or
        when nobody can say it."""
        if piece.status >= 300:
            return None
        sent = shipment.remote_ids[place]
        named = _ENTITY_ID.search(piece.header("OData-EntityId"))
        told = complete_id(named.group(1)) if named else None
        if piece.body:
            told = _id_of(piece.body, shipment.write.object.key) or told
        if sent is None:
            if told is None:
                raise _wrong(answer, "does not say which record was written")
            return told
        if told is not None and told != sent:
            raise _wrong(answer, "names another record than the one that was sent")
        return sent


class _Requests:
    """The requests of a batch. `entity_set` is the path of the object's records, `id_column` their primary key."""

    def __init__(
        self,
        body: BatchBody,
        shipment: Shipment,
        entity_set: str,
        id_column: str,
        headers: Sequence[tuple[str, str]],
    ) -> None:
        self._body = body
        self._shipment = shipment
        self._set = entity_set
        self._id_column = id_column
        self._headers = headers

    def of(self, places: Sequence[int], records: Sequence[dict[str, Any]], by_id: Found) -> Iterator[bytes]:
        """The requests of the rows."""
        operation = self._shipment.write.operation
        encode = msgspec.json.Encoder().encode
        if operation is Operation.INSERT:
            begun = self._begin(f"POST {self._set}", _JSON)
            yield from (begun + encode(records[place]) for place in places)
        elif operation is Operation.UPDATE:
            for place in places:
                record = f"{self._set}({self._shipment.remote_ids[place]})"
                begun = self._begin(f"PATCH {record}", _JSON, self._condition(place))
                yield begun + encode(records[place])
        elif operation is Operation.DELETE:
            yield from (self._begin(f"DELETE {self._set}({self._shipment.remote_ids[place]})") for place in places)
        else:
            yield from self._upserts(places, records, by_id)

    def _upserts(self, places: Sequence[int], records: Sequence[dict[str, Any]], by_id: Found) -> Iterator[bytes]:
        key, keys = self._shipment.key, self._shipment.external_ids()
        assert key is not None, "an upsert has a key"
        encode = msgspec.json.Encoder().encode
        only = f"?$select={self._id_column}"
        for place in places:
            if place not in by_id:
                named = key_form(column_of(key), key.wire_type, str(keys[place]).strip())
                held = (self._condition(place),) if self._shipment.versions[place] else ()
                begun = self._begin(f"PATCH {self._set}({named}){only}", _JSON, *held, _WITH_RECORD)
            elif by_id[place]:
                held = (self._condition(place),)
                begun = self._begin(f"PATCH {self._set}({by_id[place]}){only}", _JSON, *held, _WITH_RECORD)
            else:
                begun = self._begin(f"POST {self._set}{only}", _JSON, _WITH_RECORD)
            yield begun + encode(records[place])

    def _condition(self, place: int) -> tuple[str, str]:
        """That the record is there, and, where its version is known, has not moved since."""
        return ("If-Match", self._shipment.versions[place] or "*")

    def _begin(self, line: str, *more: tuple[str, str]) -> bytes:
        return self._body.begin(line, (*more, *self._headers))


def _effect(shipment: Shipment, piece: Piece) -> Effect:
    known = _EFFECTS.get(shipment.write.operation)
    return known or (Effect.CREATED if piece.status == 201 else Effect.UPDATED)


def _concerns_all(error: ConnectorError, rows: int) -> bool:
    """Whether an error that every row has is not about their values: a field or an object that is not there, or a right
    that the user has for none of them."""
    if isinstance(error, AuthError):
        return rows > 1
    return error.code in SEGMENT_NOT_FOUND or any(text in error.message.lower() for text in _NOT_THERE)


def _id_of(body: bytes, key: str) -> str | None:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = said.get(key) if isinstance(said, dict) else None
    return complete_id(found) if isinstance(found, str) else None


def _wrong(answer: Answer, how: str) -> ProtocolError:
    return ProtocolError(f"The answer to “{answer.what}” {how}.", hint=REPORT, request_id=answer.request_id)

"""Writes by sObject collections: up to 200 records a call, answered in their order (REST API guide, sObject
Collections). A call is sent once; what it leaves open is said, row by row."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import msgspec

from crosstie.crm.http import REPORT, Answer, Unwritten
from crosstie.crm.salesforce.answers import Answers
from crosstie.crm.salesforce.ids import complete_id
from crosstie.crm.salesforce.packing import ASSIGNED, COLLECTION_ROWS
from crosstie.crm.salesforce.session import Session
from crosstie.crm.salesforce.shipment import Shipment
from crosstie.crm.writing import Effect, Operation, Outcome, RemoteWrite
from crosstie.errors import ConnectorError, ProtocolError

_METHODS = {Operation.INSERT: "POST", Operation.UPDATE: "PATCH", Operation.UPSERT: "PATCH", Operation.DELETE: "DELETE"}
_EFFECTS = {Operation.INSERT: Effect.CREATED, Operation.UPDATE: Effect.UPDATED, Operation.DELETE: Effect.DELETED}
_ASSIGNMENTS = {"off": "FALSE", "active": "TRUE"}


class _Error(msgspec.Struct):
    statusCode: str = ""  # noqa: N815
    message: str = ""
    fields: tuple[str, ...] | None = None


class _Row(msgspec.Struct):
    success: bool
    id: str | None = None
    errors: tuple[_Error, ...] = ()
    created: bool | None = None


class KeyPrefixes:
    """The first three characters of ids, by object, as answers showed them first. Thread-safe."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def fits(self, name: str, ids: Sequence[str]) -> bool:
        """Whether all these ids can be of that object; remembers those of an object that is new."""
        found = {one[:3] for one in ids}
        if not found:
            return True
        with self._lock:
            return len(found) == 1 and self._known.setdefault(name, *found) in found


class CollectionWriter:
    """Sends shipments by collections."""

    def __init__(self, session: Session, prefixes: KeyPrefixes) -> None:
        self._session = session
        self._prefixes = prefixes

    def send(self, shipment: Shipment) -> tuple[Answers, ConnectorError | None]:
        """Sends all open rows, a call for each 200, one after the other; after a call that failed none is sent."""
        answers = Answers(shipment)
        records = [] if shipment.write.operation is Operation.DELETE else shipment.records()
        failure: ConnectorError | None = None
        for start in range(0, len(shipment.open), COLLECTION_ROWS):
            places = shipment.open[start : start + COLLECTION_ROWS]
            if failure is not None:
                answers.whole(places, Outcome.RETRY, failure)
                continue
            failure = self._send(shipment, [records[place] for place in places] if records else [], places, answers)
        return answers, failure

    def _send(
        self, shipment: Shipment, records: Sequence[dict[str, Any]], places: Sequence[int], answers: Answers
    ) -> ConnectorError | None:
        write = shipment.write
        path, content = "composite/sobjects", b""
        if write.operation is Operation.DELETE:
            path += f"?ids={','.join(str(shipment.remote_ids[place]) for place in places)}&allOrNone=false"
        else:
            content = msgspec.json.encode({"allOrNone": False, "records": records})
        if shipment.key is not None:
            path += f"/{write.object.name}/{shipment.key.name}"
        said = self._session.write(
            _METHODS[write.operation],
            path,
            f"{write.operation} {write.object.name}",
            headers=_headers(write),
            content=content,
        )
        if isinstance(said, Unwritten):
            answers.whole(places, Outcome.RETRY if said.proved else Outcome.DOUBT, said.error)
            return said.error
        try:
            rows = self._checked(shipment, places, said)
        except ProtocolError as error:
            answers.whole(places, Outcome.DOUBT, error)
            return error
        for place, row in zip(places, rows, strict=True):
            _answer(answers, write.operation, place, row)
        return None

    def _checked(self, shipment: Shipment, places: Sequence[int], answer: Answer) -> list[_Row]:
        """The rows of an answer. Raises ProtocolError when they cannot be those of what was sent."""
        rows: list[_Row] = answer.decoded(list[_Row], "is not a list of answers")
        operation, name = shipment.write.operation, shipment.write.object.name

        def wrong(how: str) -> ProtocolError:
            return ProtocolError(f"The answer to “{answer.what}” {how}.", hint=REPORT, request_id=answer.request_id)

        if len(rows) != len(places):
            raise wrong(f"has {len(rows):,} rows for {len(places):,} that were sent")
        if any(not row.success and not any(error.statusCode for error in row.errors) for row in rows):
            raise wrong("refuses a row without an error code")
        ids = [complete_id(row.id or "") for row in rows]
        if any(row.success and one is None for row, one in zip(rows, ids, strict=True)):
            raise wrong("accepts a row without an id")
        if operation in {Operation.UPDATE, Operation.DELETE}:
            sent = (shipment.remote_ids[place] for place in places)
            if any(one is not None and one != mine for one, mine in zip(ids, sent, strict=True)):
                raise wrong("names another record than the one that was sent")
        written = [one for row, one in zip(rows, ids, strict=True) if row.success and one is not None]
        if operation is Operation.INSERT and len(set(written)) != len(written):
            raise wrong("gives one id to several new records")
        if not self._prefixes.fits(name, written):
            raise wrong(f"holds ids that are not of {name}")
        return rows


def _answer(answers: Answers, operation: Operation, place: int, row: _Row) -> None:
    if row.success:
        created = Effect.CREATED if row.created else Effect.UPDATED
        answers.accept(place, _EFFECTS.get(operation, created), complete_id(row.id or ""))
        return
    # Of several errors the one that proves “not executed” decides; all are shown.
    errors = sorted(row.errors, key=lambda error: error.statusCode != "UNABLE_TO_LOCK_ROW")
    fields = dict.fromkeys(field for error in errors for field in error.fields or ())
    message = "; ".join(error.message for error in errors)
    answers.refuse(place, errors[0].statusCode, message, tuple(fields))


def _headers(write: RemoteWrite) -> dict[str, str]:
    """Without Sforce-Auto-Assign the active assignment rule would run and take the record from its owner."""
    if write.operation is Operation.DELETE:
        return {}
    assigned = write.object.name.lower() in ASSIGNED
    rule = _ASSIGNMENTS.get(write.assignment, write.assignment) if assigned else "FALSE"
    allow = {"Sforce-Duplicate-Rule-Header": "allowSave=true"} if write.duplicates == "allow" else {}
    return {"Sforce-Auto-Assign": rule, **allow}

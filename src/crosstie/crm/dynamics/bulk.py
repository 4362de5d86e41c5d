"""Writes by bulk messages, CreateMultiple and UpdateMultiple: all rows or none.

Source: Dataverse Web API guide, "Use bulk operation messages". Of a message that is refused nothing was executed, and
it need not say which row is at fault: then its rows go by a batch, one by one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from crosstie.crm.dynamics.answers import Answers
from crosstie.crm.dynamics.batches import BatchWriter, Headers
from crosstie.crm.dynamics.binding import BoundTable
from crosstie.crm.dynamics.ids import complete_id
from crosstie.crm.dynamics.session import Session
from crosstie.crm.dynamics.shipment import Shipment
from crosstie.crm.http import REPORT, Answer, Unwritten
from crosstie.crm.writing import Effect, Operation, Outcome
from crosstie.errors import ConnectorError, ProtocolError

log = logging.getLogger(__name__)

_MESSAGES = {Operation.INSERT: "CreateMultiple", Operation.UPDATE: "UpdateMultiple"}
_EFFECTS = {Operation.INSERT: Effect.CREATED, Operation.UPDATE: Effect.UPDATED}


class _Created(msgspec.Struct):
    Ids: tuple[str, ...]


class BulkWriter:
    """Sends shipments by bulk messages; `batches` take what is refused."""

    def __init__(self, session: Session, headers: Headers, batches: BatchWriter) -> None:
        self._session = session
        self._headers = headers
        self._batches = batches

    def send(
        self, shipment: Shipment, table: BoundTable, records: Sequence[dict[str, Any]]
    ) -> tuple[Answers, ConnectorError | None]:
        """Sends all open rows in one message."""
        answers = Answers(shipment)
        places = shipment.open
        if not places:
            return answers, None
        operation = shipment.write.operation
        kind = f"Microsoft.Dynamics.CRM.{table.name}"
        targets = [{"@odata.type": kind, table.key: shipment.remote_ids[place], **records[place]} for place in places]
        what = f"{operation} {shipment.write.object.name}"
        said = self._session.write(
            "POST",
            f"{table.entity_set}/Microsoft.Dynamics.CRM.{_MESSAGES[operation]}",
            what,
            headers=dict(self._headers(shipment.write)),
            content=msgspec.json.encode({"Targets": targets}),
        )
        if isinstance(said, Unwritten):
            if said.proved and not said.error.retryable:
                log.info("%s Its %d rows go one by one.", said.error.message, len(places))
                return self._batches.send(shipment, table, records)
            answers.whole(places, Outcome.RETRY if said.proved else Outcome.DOUBT, said.error)
            return answers, said.error
        try:
            self._check(shipment, said)
        except ProtocolError as error:
            answers.whole(places, Outcome.DOUBT, error)
            return answers, error
        for place in places:
            answers.accept(place, _EFFECTS[operation])
        return answers, None

    def _check(self, shipment: Shipment, answer: Answer) -> None:
        """Raises ProtocolError when an answer to inserts does not name the records that were sent."""
        if shipment.write.operation is not Operation.INSERT:
            return
        made: _Created = answer.decoded(_Created, "does not say which records were made")
        if [complete_id(one) for one in made.Ids] != [shipment.remote_ids[place] for place in shipment.open]:
            raise ProtocolError(
                f"The answer to “{answer.what}” names other records than those that were sent.",
                hint=REPORT,
                request_id=answer.request_id,
            )

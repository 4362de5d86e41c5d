"""The answers to a shipment: one for each of its rows, and what a row's error means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from crosstie.crm.salesforce.shipment import Shipment
from crosstie.crm.writing import Effect, Operation, Outcome, Sent, answer_columns
from crosstie.errors import ConnectorError

if TYPE_CHECKING:
    import pyarrow as pa

LOCKED = "UNABLE_TO_LOCK_ROW"
CONFLICT = "CONFLICT"
_NOT_EXECUTED = frozenset({LOCKED, "ALL_OR_NONE_OPERATION_ROLLED_BACK", "PROCESSING_HALTED"})
_NOT_THERE = frozenset({"INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND"})
_MESSAGE_CHARACTERS = 1_000


class Answers:
    """The answers to the rows of a shipment, by place; rows that are not sent are rejected from the beginning."""

    def __init__(self, shipment: Shipment) -> None:
        self._shipment = shipment
        count = len(shipment.rows)
        self._outcomes: list[Outcome] = [Outcome.DOUBT] * count
        self._effects: list[Effect | None] = [None] * count
        self._ids: list[str | None] = list(shipment.remote_ids)
        self._symbols: list[str | None] = [None] * count
        self._messages: list[str | None] = [None] * count
        self._fields: list[str | None] = [None] * count
        self.unproved: list[int] = []
        """Places of deletes that found no record: gone, or never to be seen by this user."""
        for place, refusal in shipment.refused.items():
            self.set(place, Outcome.REJECTED, refusal.symbol, refusal.message, refusal.fields)

    def accept(self, place: int, effect: Effect, remote_id: str | None = None) -> None:
        """A row that was executed."""
        self.set(place, Outcome.ACCEPTED)
        self._effects[place] = effect
        self._ids[place] = remote_id or self._ids[place]

    def set(self, place: int, outcome: Outcome, symbol: str = "", message: str = "", fields: str = "") -> None:
        """A row that was not, or of which nothing is known."""
        self._outcomes[place] = outcome
        self._effects[place] = None
        self._symbols[place] = symbol or None
        self._messages[place] = message[:_MESSAGE_CHARACTERS] or None
        self._fields[place] = fields or None

    def refuse(self, place: int, symbol: str, message: str, fields: Sequence[str]) -> None:
        """A row with an error of Salesforce's. A lock and a roll-back prove that it was not executed; a record that
        is deleted already is what a delete wants."""
        if self._shipment.write.operation is Operation.DELETE:
            if symbol == "ENTITY_IS_DELETED":
                self.accept(place, Effect.GONE)
                return
            if symbol in _NOT_THERE:
                self.unproved.append(place)
        # A lock that a trigger met comes wrapped in CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY.
        again = symbol in _NOT_EXECUTED or LOCKED in message
        self.set(place, Outcome.RETRY if again else Outcome.REJECTED, symbol, message, ",".join(fields))

    def whole(self, places: Iterable[int], outcome: Outcome, failure: ConnectorError) -> None:
        """What the failure of a whole call makes of its rows."""
        for place in places:
            self.set(place, outcome, failure.code, failure.message)

    def sent(self, failure: ConnectorError | None = None) -> Sent:
        """All of it as the journal takes it."""
        return Sent(answers=self.batch(), failure=failure)

    def batch(self) -> pa.RecordBatch:
        """The answers in the order of the rows."""
        import pyarrow as pa

        texts = (self._outcomes, self._effects, self._ids, self._symbols, self._messages, self._fields)
        columns = [pa.array([None if one is None else str(one) for one in column], pa.string()) for column in texts]
        return pa.RecordBatch.from_arrays(
            [pa.array(self._shipment.rows, pa.int64()), *columns], schema=answer_columns()
        )


def failed(shipment: Shipment, outcome: Outcome, failure: ConnectorError) -> Sent:
    """A shipment whose call failed as a whole."""
    answers = Answers(shipment)
    answers.whole(shipment.open, outcome, failure)
    return answers.sent(failure)

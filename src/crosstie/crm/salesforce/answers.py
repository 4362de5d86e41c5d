"""What Salesforce's answers to the rows of a shipment mean."""

from __future__ import annotations

from collections.abc import Sequence

from crosstie.crm.answers import RowAnswers
from crosstie.crm.salesforce.shipment import Shipment
from crosstie.crm.writing import Effect, Operation, Outcome, Sent
from crosstie.errors import ConnectorError

LOCKED = "UNABLE_TO_LOCK_ROW"
_NOT_EXECUTED = frozenset({LOCKED, "ALL_OR_NONE_OPERATION_ROLLED_BACK", "PROCESSING_HALTED"})
_NOT_THERE = frozenset({"INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND"})


class Answers(RowAnswers):
    """The answers to the rows of a shipment, by place."""

    def __init__(self, shipment: Shipment) -> None:
        super().__init__(shipment.rows, shipment.remote_ids, shipment.refused)
        self._operation = shipment.write.operation
        self.unproved: list[int] = []
        """Places of deletes that found no record: gone, or never to be seen by this user."""

    def refuse(self, place: int, symbol: str, message: str, fields: Sequence[str]) -> None:
        """A row with an error of Salesforce's. A lock and a roll-back prove that it was not executed; a record that
        is deleted already is what a delete wants."""
        if self._operation is Operation.DELETE:
            if symbol == "ENTITY_IS_DELETED":
                self.accept(place, Effect.GONE)
                return
            if symbol in _NOT_THERE:
                self.unproved.append(place)
        # A lock that a trigger met comes wrapped in CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY.
        again = symbol in _NOT_EXECUTED or LOCKED in message
        self.set(place, Outcome.RETRY if again else Outcome.REJECTED, symbol, message, ",".join(fields))


def failed(shipment: Shipment, outcome: Outcome, failure: ConnectorError) -> Sent:
    """A shipment whose call failed as a whole."""
    answers = Answers(shipment)
    answers.whole(shipment.open, outcome, failure)
    return answers.sent(failure)

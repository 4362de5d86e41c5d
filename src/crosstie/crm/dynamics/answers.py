"""What Dataverse's answers to the rows of a shipment mean: decided by the error's code, never by the status.

Source: Dataverse Web API guide, "Compose HTTP requests and handle errors"; the texts that name a field are those of
the "Web service error codes".
"""

from __future__ import annotations

import re

from crosstie.crm.answers import RowAnswers
from crosstie.crm.dynamics.faults import CHANGED_SINCE, CUT_SHORT, DUPLICATE_KEY, NOT_FOUND, THROTTLED
from crosstie.crm.dynamics.shipment import Shipment
from crosstie.crm.writing import Effect, Operation, Outcome, Sent
from crosstie.errors import ConnectorError
from crosstie.model import RemoteObject

UNVERSIONED = frozenset({"0x80060883", "0x8006088d"})
"""The table compares no versions (optimistic concurrency is off)."""

_LOOKED_AT_ANEW = UNVERSIONED | {CHANGED_SINCE}
_COLUMNS = (
    re.compile(r"The length of the '(\w+)' attribute of the '\w+' entity exceeded"),
    re.compile(r"of '(\w+)' on record of type '\w+' is outside the valid range"),
    re.compile(r"undeclared property '(\w+)"),
    re.compile(r"Could not find a property named '(\w+)'"),
)
_LABELS = re.compile(r"A record with the same value for (.+?) already exists")


class Answers(RowAnswers):
    """The answers to the rows of a shipment, by place."""

    def __init__(self, shipment: Shipment) -> None:
        super().__init__(shipment.rows, shipment.remote_ids, shipment.refused)
        self._write = shipment.write
        self.unversioned = False
        """Whether the table turned out to compare no versions."""
        self.taken: list[int] = []
        """Places of inserts whose key was taken: by an earlier try of ours, or by another's record."""

    def refuse(self, place: int, code: str, message: str) -> None:
        """A row with an error of Dataverse's, which has rolled it back."""
        if self._write.operation is Operation.DELETE and code == NOT_FOUND:
            self.accept(place, Effect.GONE)
            return
        if self._write.operation is Operation.INSERT and code in DUPLICATE_KEY:
            self.taken.append(place)
        self.unversioned = self.unversioned or code in UNVERSIONED
        again = code in THROTTLED or code in CUT_SHORT or code in _LOOKED_AT_ANEW
        fields = named_fields(message, self._write.object)
        self.set(place, Outcome.RETRY if again else Outcome.REJECTED, code, message, ",".join(fields))


def named_fields(message: str, remote: RemoteObject) -> tuple[str, ...]:
    """The fields that a documented message names, by their columns or, where a key is violated, by their labels."""
    for pattern in _COLUMNS:
        found = pattern.search(message)
        if found:
            return (found.group(1),)
    labels = _LABELS.search(message)
    if labels is None:
        return ()
    said = {one.strip().casefold() for one in labels.group(1).split(",")}
    return tuple(one.name for one in remote.fields if said & {one.label.casefold(), one.name.casefold()})


def failed(shipment: Shipment, outcome: Outcome, failure: ConnectorError) -> Sent:
    """A shipment whose call failed as a whole."""
    answers = Answers(shipment)
    answers.whole(shipment.open, outcome, failure)
    return answers.sent(failure)

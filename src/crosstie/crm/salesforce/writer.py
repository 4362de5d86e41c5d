"""The writing side of the connector: which road a shipment takes, and how its answers are found when they are lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from crosstie.crm.connector import RemoteQuery
from crosstie.crm.salesforce.answers import Answers, failed
from crosstie.crm.salesforce.bulk import NOT_IN_BULK, Patience
from crosstie.crm.salesforce.collections import CollectionWriter, KeyPrefixes
from crosstie.crm.salesforce.deletions import Deletions
from crosstie.crm.salesforce.ingest import IngestWriter
from crosstie.crm.salesforce.lookup import Lookup
from crosstie.crm.salesforce.packing import Lanes, packing
from crosstie.crm.salesforce.session import Session
from crosstie.crm.salesforce.shipment import Shipment
from crosstie.crm.salesforce.targets import targets
from crosstie.crm.writing import Effect, Operation, Outcome, Packing, RemoteWrite, Sent, WriteRoad
from crosstie.errors import ConnectorError

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

BY_COLLECTIONS = "collections"
"""The token of a shipment that was to go by a bulk job, and went by collections because Bulk does not serve its object.
It tells `find` apart from a shipment whose job was never made."""


class SalesforceWriter:
    """Writes to one Salesforce org, and knows what was deleted there. Thread-safe."""

    def __init__(
        self,
        session: Session,
        read: Callable[[RemoteQuery], Iterator[pa.RecordBatch]],
        now: Callable[[], datetime],
        *,
        patience: Patience,
        lanes: Lanes,
    ) -> None:
        prefixes = KeyPrefixes()
        self._lanes = lanes
        self._collections = CollectionWriter(session, prefixes)
        self._ingest = IngestWriter(session, patience, prefixes)
        self.deletions = Deletions(session, read, now)
        self._lookup = Lookup(read, self.deletions)

    def packing(self, write: RemoteWrite, rows: int) -> Packing:
        """See `packing.packing`."""
        return packing(write, rows, self._lanes)

    def send(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], keep: Callable[[str], None]) -> Sent:
        """Sends one shipment by the road of `write`, or by the best one for so many rows."""
        road = self._road(write, rows)
        shipment = Shipment(write, rows, road)
        if road is WriteRoad.BULK:
            answers, failure = self._ingest.send(shipment, keep)
            if failure is None or failure.code != NOT_IN_BULK or not _may_go_by_collections(write):
                return self._proved(shipment, answers, failure)
            log.info("%s Its rows go by collections.", failure.message)
            keep(BY_COLLECTIONS)
            shipment = Shipment(write, rows, WriteRoad.CALLS)
        answers, failure = self._collections.send(shipment)
        return self._proved(shipment, answers, failure)

    def find(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], *, token: str, left_at: datetime) -> Sent:
        """What became of a shipment: by its job, or by reading its records back. A bulk shipment without a job was
        not executed: the job's id is kept before the job gets its data."""
        road = self._road(write, rows)
        if token == BY_COLLECTIONS:
            road, token = WriteRoad.CALLS, ""
        shipment = Shipment(write, rows, road)
        if token:
            found = self._ingest.take_up(shipment, token)
            if found is not None:
                return self._proved(shipment, *found)
            log.info("Salesforce no longer has the bulk job %s; its records are looked up.", token)
        elif road is WriteRoad.BULK:
            answers = Answers(shipment)
            for place in shipment.open:
                answers.set(place, Outcome.RETRY, message="No bulk job was made for this row.")
            return answers.sent()
        try:
            return self._lookup.find(shipment, left_at).sent()
        except ConnectorError as error:
            return failed(shipment, Outcome.DOUBT, error)

    def current(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        """See `Writer.current`."""
        return self._lookup.current(Shipment(write, rows, WriteRoad.CALLS))

    def comparer(self, write: RemoteWrite) -> Callable[[int, str, str], bool]:
        """See `Writer.comparer`."""
        fields = targets(write)
        return lambda place, mine, theirs: fields[place].holds(mine, theirs)

    def _road(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch]) -> WriteRoad:
        return self.packing(write, sum(batch.num_rows for batch in rows)).road

    def _proved(self, shipment: Shipment, answers: Answers, failure: ConnectorError | None) -> Sent:
        """Deletes that found no record are done where the deletion feed knows it; else the record may just be hidden
        from this user, and the row stays rejected."""
        if answers.unproved:
            ids = {place: str(shipment.remote_ids[place]) for place in answers.unproved}
            try:
                gone = self.deletions.gone(shipment.write.object, ids.values())
            except ConnectorError as error:
                log.info("Whether %d records are deleted already was not found out: %s", len(ids), error.message)
                gone = set()
            for place, record_id in ids.items():
                if record_id in gone:
                    answers.accept(place, Effect.GONE)
        return answers.sent(failure)


def _may_go_by_collections(write: RemoteWrite) -> bool:
    """Whether nothing is lost by it: an insert could not be found again, and only Bulk deletes for good."""
    return write.operation is not Operation.INSERT and not write.hard

"""What became of rows whose answers are lost: the records are read back and compared with what was sent.

Sources: REST API guide, field types; "Query", about deleted records.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from crosstie.crm.comparing import instant_of
from crosstie.crm.connector import RemoteQuery, Road
from crosstie.crm.lookup import CLOCK_GUARD, Read, RecordLookup
from crosstie.crm.salesforce.answers import Answers
from crosstie.crm.salesforce.deletions import Deletions
from crosstie.crm.salesforce.ids import complete_id
from crosstie.crm.salesforce.shipment import Shipment
from crosstie.crm.writing import Effect, Operation, Outcome

if TYPE_CHECKING:
    import pyarrow as pa


class Lookup:
    """Finds out what became of shipments. `read` runs a query."""

    def __init__(self, read: Read, deletions: Deletions) -> None:
        self._read = read
        self._records = RecordLookup(
            read=read, stamps=("SystemModstamp", "LastModifiedDate"), created="CreatedDate", complete_id=complete_id
        )
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
            self._records.updated(answers, shipment, left_at)
        else:
            self._records.upserted(answers, shipment, left_at)
        return answers

    def _deleted(self, answers: Answers, shipment: Shipment, left_at: datetime) -> None:
        """There → not deleted, or deleted and taken back where it has moved since. In the bin → deleted, or gone before
        where its stamp is older than the shipment. In the deletion feed → gone. Neither is to be had: the record is not
        there, unless the object has a feed that would tell; then the delete is asked for again, and says why."""
        remote = shipment.write.object
        ids = [str(shipment.remote_ids[place]) for place in shipment.open]
        binned = "IsDeleted" if remote.field("IsDeleted") is not None else remote.key
        fields = (remote.key, binned, self._records.stamp(remote))
        found: dict[str, tuple[bool, datetime | None]] = {}
        query = RemoteQuery(object=remote, fields=fields, ids=ids, include_deleted=True, road=Road.PAGES)
        for batch in self._read(query):
            for record_id, deleted, stamp in zip(*(one.to_pylist() for one in batch.columns), strict=True):
                found[complete_id(record_id) or record_id] = deleted == "true", instant_of(stamp)
        purged = self._deletions.gone(remote, [one for one in ids if one not in found])
        for place, record_id in zip(shipment.open, ids, strict=True):
            deleted, stamp = found.get(record_id, (False, None))
            if deleted:
                before = shipment.write.hard or (stamp is not None and stamp < left_at - CLOCK_GUARD)
                answers.accept(place, Effect.GONE if before else Effect.DELETED)
            elif record_id in purged or (record_id not in found and not remote.tracks_deletions):
                answers.accept(place, Effect.GONE)
            else:
                self._records.kept(answers, place, record_id, stamp, left_at)

    def current(self, shipment: Shipment) -> pa.RecordBatch:
        """The records of the rows of an UPDATE or UPSERT as they are now; see `Writer.current`."""
        return self._records.current(shipment)

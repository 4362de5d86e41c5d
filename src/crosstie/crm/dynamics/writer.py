"""The writing side of the connector: which road a shipment takes, and how its answers are found when they are lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from crosstie.crm.comparing import instant_of
from crosstie.crm.connector import RemoteQuery, Road
from crosstie.crm.dynamics.answers import Answers, failed
from crosstie.crm.dynamics.batches import BatchWriter
from crosstie.crm.dynamics.binding import BoundTable, Tables
from crosstie.crm.dynamics.bulk import BulkWriter
from crosstie.crm.dynamics.faults import NO_SUCH_KEY
from crosstie.crm.dynamics.ids import complete_id
from crosstie.crm.dynamics.keyed import ids_by_key
from crosstie.crm.dynamics.keys import fits_reference, fits_url
from crosstie.crm.dynamics.packing import packing
from crosstie.crm.dynamics.session import Session
from crosstie.crm.dynamics.settings import Bypass
from crosstie.crm.dynamics.shipment import Shipment
from crosstie.crm.dynamics.targets import targets
from crosstie.crm.lookup import Read, RecordLookup
from crosstie.crm.writing import Effect, Operation, Outcome, Packing, RemoteWrite, Sent, WriteRoad
from crosstie.errors import ConnectorError, RequestError

if TYPE_CHECKING:
    import pyarrow as pa


class DynamicsWriter:
    """Writes to one environment. Thread-safe. `read` runs a query."""

    def __init__(
        self,
        session: Session,
        read: Read,
        *,
        lanes: int = 0,
    ) -> None:
        self._session = session
        self._read = read
        self._lanes = lanes
        self._unversioned: set[str] = set()
        self._tables = Tables(session)
        self._batches = BatchWriter(session, self._headers)
        self._bulk = BulkWriter(session, self._headers, self._batches)
        self._records = RecordLookup(
            read=read, stamps=("modifiedon",), created="createdon", complete_id=complete_id, version="@odata.etag"
        )

    def packing(self, write: RemoteWrite, rows: int) -> Packing:
        """See `packing.packing`. As many lanes as the service has recommended last."""
        return packing(write, rows, self._lanes or self._session.parallel)

    def send(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch]) -> Sent:
        """Sends one shipment by the road of `write`."""
        shipment = Shipment(write, rows)
        if write.object.name in self._unversioned:
            shipment.versions = [None] * len(shipment.rows)
        try:
            table = self._tables.table(write.object.name)
            by_id = self._found_by_key(shipment, table)
            records = self._records_of(shipment, table, by_id)
        except ConnectorError as error:
            return failed(shipment, Outcome.RETRY, error)
        if write.road is WriteRoad.BULK:
            answers, failure = self._bulk.send(shipment, table, records)
        else:
            answers, failure = self._batches.send(shipment, table, records, by_id)
        if answers.unversioned:
            self._unversioned.add(write.object.name)
        return answers.sent(self._settle_taken(shipment, answers) or failure)

    def find(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], *, left_at: datetime) -> Sent:
        """What became of a shipment, by reading its records back."""
        shipment = Shipment(write, rows)
        answers = Answers(shipment)
        try:
            if write.operation is Operation.UPDATE:
                self._records.updated(answers, shipment, left_at)
            elif write.operation is Operation.UPSERT:
                self._records.upserted(answers, shipment, left_at)
            elif shipment.open:
                self._look(shipment, answers, self._there(shipment, shipment.open), left_at)
        except ConnectorError as error:
            return failed(shipment, Outcome.DOUBT, error)
        return answers.sent()

    def current(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        """See `Writer.current`."""
        return self._records.current(Shipment(write, rows))

    def comparer(self, write: RemoteWrite) -> Callable[[int, str, str], bool]:
        """See `Writer.comparer`."""
        fields = targets(write)
        return lambda place, mine, theirs: fields[place].holds(mine, theirs)

    def _headers(self, write: RemoteWrite) -> tuple[tuple[str, str], ...]:
        """What each request of a write says of the environment's own rules and logic. Without the first one Dataverse
        does not look for duplicates. Source: Dataverse guide, "Optional parameters"."""
        said = []
        if write.operation is not Operation.DELETE and write.duplicates == "reject":
            said.append(("MSCRM.SuppressDuplicateDetection", "false"))
        if self._session.settings.bypass is not Bypass.NONE:
            said.append(("MSCRM.BypassBusinessLogicExecution", str(self._session.settings.bypass)))
        if self._session.settings.skip_flows:
            said.append(("MSCRM.SuppressCallbackRegistrationExpanderJob", "true"))
        return tuple(said)

    def _there(self, shipment: Shipment, places: Sequence[int]) -> dict[str, datetime | None]:
        """The remote ids of those rows that have a record, and when it was changed last."""
        remote = shipment.write.object
        ids = [str(shipment.remote_ids[place]) for place in places]
        query = RemoteQuery(object=remote, fields=(remote.key, self._records.stamp(remote)), ids=ids, road=Road.PAGES)
        found: dict[str, datetime | None] = {}
        for batch in self._read(query):
            for record_id, stamp in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
                found[complete_id(record_id) or record_id] = instant_of(stamp)
        return found

    def _look(
        self, shipment: Shipment, answers: Answers, there: Mapping[str, datetime | None], left_at: datetime
    ) -> None:
        """A record that bears the key of the plan is ours. What is not there was not made, or is made yet: to make it
        again under the same key does no harm. A record that is not there any more is what a delete wants."""
        inserted = shipment.write.operation is Operation.INSERT
        for place in shipment.open:
            record_id = str(shipment.remote_ids[place])
            if inserted and record_id in there:
                answers.accept(place, Effect.CREATED)
            elif inserted:
                answers.set(place, Outcome.RETRY, message="The record is not there.")
            elif record_id in there:
                self._records.kept(answers, place, record_id, there[record_id], left_at)
            else:
                answers.accept(place, Effect.DELETED)

    def _settle_taken(self, shipment: Shipment, answers: Answers) -> ConnectorError | None:
        """Of inserts whose key was taken: a record with the key of the plan is ours, made by an earlier try. Without
        one, another record has the same alternate key, and the row stays rejected."""
        if not answers.taken:
            return None
        try:
            there = self._there(shipment, answers.taken)
        except ConnectorError as error:
            answers.whole(answers.taken, Outcome.DOUBT, error)
            return error
        for place in answers.taken:
            if shipment.remote_ids[place] in there:
                answers.accept(place, Effect.CREATED)
        return None

    def _found_by_key(self, shipment: Shipment, table: BoundTable) -> dict[int, str]:
        """The rows of an UPSERT whose key can't stand in a URL, with the id of their record, or ''."""
        if shipment.key is None:
            return {}
        keys = {place: text.strip() for place, text in enumerate(shipment.external_ids()) if text}
        odd = {place: keys[place] for place in shipment.open if not fits_url(keys[place])}
        found = ids_by_key(self._session, table, shipment.key.name, odd.values()) if odd else {}
        return {place: found.get(text, "") for place, text in odd.items()}

    def _records_of(self, shipment: Shipment, table: BoundTable, by_id: dict[int, str]) -> list[dict[str, Any]]:
        """The JSON records of the rows. Refuses those whose parent is not there."""
        if shipment.write.operation is Operation.DELETE:
            return []
        parents: dict[str, BoundTable] = {}
        found: dict[int, dict[str, str]] = {}
        for place, target in enumerate(shipment.targets):
            if not target.parent_type:
                continue
            if not table.bound_by(target.column, target.parent_type):
                raise RequestError(
                    f"{shipment.write.object.name}.{target.field.name} has no relationship to {target.parent_type}.",
                    hint="It was removed since the object was collected. Collect it again.",
                )
            parents[target.parent_type] = self._tables.parent(target.parent_type)
            if target.parent_key:
                found[place] = self._parents_by_key(shipment, place, parents[target.parent_type])
        types = {
            place: self._tables.column_type(target.parent_type, target.parent_key)
            for place, target in enumerate(shipment.targets)
            if target.parent_key
        }
        records = shipment.records(table, parents, types, found)
        made = [place for place, record_id in by_id.items() if not record_id]
        if made:
            keyed = shipment.records(table, parents, types, found, key=True)
            for place in made:
                records[place] = keyed[place]
        return records

    def _parents_by_key(self, shipment: Shipment, target: int, parent: BoundTable) -> dict[str, str]:
        """The ids of parents by the values of their alternate key that can't stand in a reference."""
        field = shipment.targets[target]
        odd = {place: text for place, text in enumerate(shipment.texts(target)) if text and not fits_reference(text)}
        found = ids_by_key(self._session, parent, field.parent_key, odd.values()) if odd else {}
        lost = [place for place, text in odd.items() if text not in found]
        said = f"No {parent.name} has that {field.parent_key}; the row was not sent."
        shipment.refuse(lost, NO_SUCH_KEY, said, field.name)
        return found

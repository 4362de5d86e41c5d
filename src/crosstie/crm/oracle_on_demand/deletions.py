"""What was deleted, as the DeletedItem service tells it: the bin that administrators see, which keeps records for 30
days (Web Services guide, "DeletedItem").

It has the form of v1.0, with times in the user's zone. Records that left the user's sight, and children that went with
their parent, are not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from crosstie.crm.comparing import instant_of
from crosstie.crm.connector import Comparison, Operator, RemoteQuery, Road
from crosstie.crm.oracle_on_demand.names import Service
from crosstie.crm.oracle_on_demand.pages import PageReader
from crosstie.crm.oracle_on_demand.session import Session
from crosstie.crm.oracle_on_demand.standard import standard_of
from crosstie.crm.oracle_on_demand.times import WireTimes
from crosstie.crm.writing import REMOTE_ID, DeletedRecords, DeletionReach, DeletionRoad
from crosstie.errors import ProtocolError, RequestError
from crosstie.model import FieldType, IndexRange, RemoteField, RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = timedelta(days=30)
GUARD = timedelta(minutes=1)
"""How long a deletion may take to show."""

_EDGE = timedelta(minutes=2)
_COMPARE = "Compare key sets instead (by: compare): it looks for the records that are tied here and no longer there."


def _field(name: str, kind: FieldType) -> RemoteField:
    return RemoteField(name=name, label=name, type=kind, wire_type=kind.value)


SERVICE = Service(name="DeletedItem", payload="deleteditem")
_ITEMS = RemoteObject(
    name="DeletedItem",
    label="Deleted Item",
    label_plural="Deleted Items",
    key="DeletedItemId",
    fields=(
        _field("DeletedItemId", FieldType.ID),
        _field("DeletedDate", FieldType.DATETIME),
        _field("ObjectId", FieldType.REFERENCE),
        _field("Type", FieldType.ENUMERATION),
    ),
)


class Deletions:
    """The deletions of one company. `now` is the CRM's clock."""

    def __init__(self, session: Session, now: Callable[[], datetime], *, rows_per_page: int) -> None:
        self._session = session
        self._now = now
        self._rows_per_page = rows_per_page

    def reach(self, remote: RemoteObject, road: DeletionRoad) -> DeletionReach:
        """Which deletions can be had now."""
        if road is not DeletionRoad.FEED:
            raise RequestError(
                f"Oracle CRM On Demand has no recycle bin from which deleted {remote.name} records could be read.",
                hint=_COMPARE,
            )
        self._types(remote)
        now = self._now()
        return DeletionReach(
            road=DeletionRoad.FEED, earliest=now - KEPT, covered=now - GUARD, reason="the service of deleted items"
        )

    def deleted(
        self, remote: RemoteObject, start: datetime | None, end: datetime, road: DeletionRoad
    ) -> DeletedRecords:
        """The records deleted from `start` to `end`, both included; None is as far back as they are kept."""
        if start is not None and end < start:
            raise RequestError(
                f"Deletions of {remote.name} from {_shown(start)} to {_shown(end)}: the end comes first."
            )
        reach = self.reach(remote, road)
        if start is not None and start < reach.earliest:
            raise RequestError(
                f"Oracle CRM On Demand no longer has all deletions of {remote.name} since {_shown(start)}; they can "
                f"still be had from {_shown(reach.earliest)}.",
                hint=f"Ask from then on. {_COMPARE}",
            )
        first = reach.earliest + _EDGE if start is None else start
        # Stamps are whole seconds; both ends are included.
        window = IndexRange(field="DeletedDate", start=first.replace(microsecond=0), end=end + timedelta(seconds=1))
        query = RemoteQuery(
            object=_ITEMS,
            fields=("DeletedItemId", "ObjectId", "DeletedDate"),
            condition=Comparison(field="Type", operator=Operator.ONE_OF, value=self._types(remote)),
            window=window,
            road=Road.PAGES,
        )
        return DeletedRecords(batches=self._batches(query), covered=min(end, reach.covered))

    def _types(self, remote: RemoteObject) -> tuple[str, ...]:
        """How the service names the object. Raises RequestError where its deletions can't be had."""
        standard = standard_of(remote.name)
        if standard is None or not standard.deleted:
            raise RequestError(
                f"Oracle CRM On Demand does not tell which {remote.name} records were deleted.", hint=_COMPARE
            )
        if not self._session.settings.time_zone:
            raise RequestError(
                f"Deletions of {remote.name} can't be read: they are dated in the integration user's time zone, which "
                f"account {self._session.account} does not name.",
                hint=f"Name it (My Profile → Time Zone): crosstie account edit {self._session.account} --time-zone "
                "Europe/Paris.",
            )
        return standard.deleted

    def _batches(self, query: RemoteQuery) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        schema = pa.schema([(name, pa.string()) for name in (REMOTE_ID, "deleted_at", "merged_into")])
        times = WireTimes(zone=self._session.settings.zone, is_text=True)
        reader = PageReader(self._session, query, SERVICE, times, rows_per_page=self._rows_per_page)
        todo = list(reader.partitions())
        while todo:
            fetched = reader.fetch(todo.pop(0))
            todo.extend(fetched.partitions)
            for batch in fetched.batches:
                whole = batch.filter(batch.column(1).is_valid())
                stamps = [_text(one) for one in whole.column(2).to_pylist()]
                columns = [whole.column(1), pa.array(stamps, pa.string()), pa.nulls(whole.num_rows, pa.string())]
                if whole.num_rows:
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)


def tells_deletions(remote: RemoteObject) -> bool:
    """Whether deletions of an object can be had at all."""
    return remote.tracks_deletions


def _text(stamp: str | None) -> str:
    instant = instant_of(stamp)
    if instant is None:
        raise ProtocolError(f"The service of deleted items holds “{str(stamp)[:40]}”, which is no date and time.")
    return f"{instant:%Y-%m-%dT%H:%M:%S}.000Z"


def _shown(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

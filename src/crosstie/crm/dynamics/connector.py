"""The connector for Microsoft Dynamics 365: reads here, writes by its writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from crosstie.crm.connector import (
    Changes,
    Check,
    Fetched,
    IdsRoad,
    Limits,
    ObjectName,
    Opened,
    Partition,
    RemoteQuery,
    Road,
    Usage,
)
from crosstie.crm.dynamics import describe
from crosstie.crm.dynamics.binding import Tables
from crosstie.crm.dynamics.check import check_account
from crosstie.crm.dynamics.columns import Navigation, columns_of
from crosstie.crm.dynamics.deletions import Deletions
from crosstie.crm.dynamics.ids import new_id
from crosstie.crm.dynamics.pages import PAGE_ROWS, PageReader, ids_per_page
from crosstie.crm.dynamics.session import Session
from crosstie.crm.dynamics.settings import DynamicsSettings
from crosstie.crm.dynamics.tracking import Tracking
from crosstie.crm.dynamics.writer import DynamicsWriter
from crosstie.crm.http import REPORT, Retries, Timeouts, Transport
from crosstie.crm.pages_seen import PagesSeen
from crosstie.crm.writing import DeletedRecords, DeletionReach, DeletionRoad, Packing, Pauses, RemoteWrite, Sent
from crosstie.errors import ProtocolError, RequestError
from crosstie.model import RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa

FINISHING = timedelta(minutes=2)
"""How long the service goes on with a request whose caller has left."""

_MOST_IDS = 500
_WORTH_COUNTING = 2


class DynamicsConnector:
    """Reads and writes one environment. Thread-safe. Signs in at the first call; close it when done."""

    def __init__(
        self,
        settings: DynamicsSettings,
        *,
        account: str,
        org_id: str = "",
        token: str = "",
        on_token: Callable[[str], None] = lambda token: None,
        retries: Retries | None = None,
        timeouts: Timeouts | None = None,
        pauses: Pauses | None = None,
        lanes: int = 0,
        page_rows: int = PAGE_ROWS,
        transport: Transport | None = None,
    ) -> None:
        self._pauses = pauses or Pauses(finishing=FINISHING)
        self._session = Session(
            settings,
            account=account,
            org_id=org_id,
            token=token,
            on_token=on_token,
            retries=retries,
            timeouts=timeouts,
            transport=transport,
        )
        self._pages_seen = PagesSeen()
        self._page_rows = page_rows
        self._tables = Tables(self._session)
        self._writer = DynamicsWriter(self._session, self._rows, lanes=lanes)
        self._tracking = Tracking(self._session, self._set_name, page_rows)
        self._deletions = Deletions(self._session, self._rows, self.server_time)

    @property
    def kind(self) -> str:
        """`dynamics`."""
        return "dynamics"

    @property
    def usage(self) -> Usage:
        """Calls and rows of this connector; each request of a batch is a call, as the service counts them."""
        return self._session.meter.usage

    def permitted_by(self, permit: Callable[[], None]) -> None:
        """Asks `permit` before every request from now on."""
        self._session.permitted_by(permit)

    def check(self, objects: Sequence[RemoteObject] = ()) -> Check:
        """Proves the account; two calls, and two for each of the collected objects."""
        return check_account(self._session, objects, self.describe)

    def org_id(self) -> str:
        """The environment's own id (OrganizationId), from the session; signs in if needed."""
        return self._session.signed_in().org_id

    def objects(self) -> tuple[ObjectName, ...]:
        """Every table that is not private; one call."""
        return describe.object_names(self._session)

    def describe(self, name: str, *, known: RemoteObject | None = None) -> RemoteObject:
        """The table's description; see `describe.describe`."""
        return describe.describe(self._session, name, known)

    def limits(self, name: str) -> Limits:
        """What Dataverse can do for any table: as parallel as the service recommends, and no deleted record is kept."""
        return Limits(
            parallel_fetches=self._session.parallel,
            bulk_from_rows=0,
            max_ids_per_call=_MOST_IDS,
            deletion_retention_days=0,
        )

    def server_time(self) -> datetime:
        """The service's clock in UTC: the Date of the last answer, else of one cheap call."""
        now = self._session.server_time
        if now is None:
            answer = self._session.get("WhoAmI", "read the clock")
            now = self._session.server_time
            if now is None:
                raise ProtocolError("Dynamics' answer has no date.", hint=REPORT, request_id=answer.request_id)
        return now

    def safe_end(self, query: RemoteQuery, end: datetime) -> datetime:
        """The whole second at or before `end`: stamps have no more. Nothing says which transactions are open; the
        overlap of the next window is for those. No call."""
        return end.replace(microsecond=0)

    def count(self, query: RemoteQuery) -> int:
        """How many records the query gives now; a call for up to 5,000, and beyond a read of the keys."""
        return self._paged(query).count()

    def open(self, query: RemoteQuery, keep: Callable[[str], None], *, token: str = "") -> Opened:
        """Begins a read by query pages, the one road that there is. No call but the first for a table's names."""
        columns_of(query, self._navigation(query))
        if query.road is Road.BULK:
            raise RequestError(
                f"{query.object.name} can't be read by Bulk: Dynamics has no such interface.",
                hint="Let the road be chosen (road: auto).",
            )
        if query.include_deleted:
            raise RequestError(
                f"Deleted records of {query.object.name} can't be read: Dynamics keeps none of their values.",
                hint="Which records were deleted is told by “import deleted”.",
            )
        partitions = self._paged(query).partitions()
        cut = f", cut in {len(partitions)}" if len(partitions) > 1 else ""
        expected = len(query.ids) if query.ids is not None else query.expected_rows
        return Opened(partitions=partitions, road=Road.PAGES, reason=f"query pages{cut}", expected_rows=expected)

    def road_for_ids(self, query: RemoteQuery, ids: int) -> IdsRoad:
        """In blocks of ids, or everything when that takes fewer pages; what everything is, is asked for when more than
        two calls stand against it."""
        everything = replace(query, ids=None)
        step = ids_per_page(everything, self._session.root, self._set_name(query.object))
        calls = -(-ids // step)
        blocks = f"{ids:,} ids in {calls:,} calls"
        if query.road is not Road.AUTO or calls <= _WORTH_COUNTING:
            return IdsRoad(whole=False, calls=calls, ids_per_call=step, reason=blocks)
        found = self._estimate(everything)
        pages = max(1, -(-found // PAGE_ROWS))
        if pages < calls:
            reason = f"{ids:,} ids would take {calls:,} calls, all {found:,} rows about {pages:,}"
            return IdsRoad(whole=True, calls=pages, ids_per_call=step, reason=reason, expected_rows=found)
        reason = f"{blocks}, all {found:,} rows would take about {pages:,}"
        return IdsRoad(whole=False, calls=calls, ids_per_call=step, reason=reason)

    def _estimate(self, query: RemoteQuery) -> int:
        """About how many rows a query gives: of a whole table the service has counted them within the last day."""
        if query.condition is not None or query.window is not None:
            return self.count(query)
        path = f"RetrieveTotalRecordCount(EntityNames=%5B'{query.object.name}'%5D)"
        found = self._session.get(path, f"record count of {query.object.name}").decoded(_Counted, "is no count")
        return max((int(one) for one in found.counts.values), default=0)

    def fetch(self, query: RemoteQuery, partition: Partition) -> Fetched:
        """One page."""
        return self._paged(query).fetch(partition)

    def _paged(self, query: RemoteQuery) -> PageReader:
        return PageReader(
            self._session,
            query,
            self._set_name(query.object),
            self._navigation(query),
            self._pages_seen,
            page_rows=self._page_rows,
        )

    def _set_name(self, remote: RemoteObject) -> str:
        return remote.collection or self._tables.parent(remote.name).entity_set

    def _navigation(self, query: RemoteQuery) -> Navigation:
        def to(lookup: str, parent: str, column: str) -> tuple[str, str]:
            found = self._tables.table(query.object.name).bound_by(lookup, parent)
            return found, self._tables.column_type(parent, column) if found else ""

        return to

    @property
    def pauses(self) -> Pauses:
        """How patiently writing goes on after failures."""
        return self._pauses

    @property
    def new_id(self) -> Callable[[], str]:
        """Makes random primary keys: Dataverse lets us choose them."""
        return new_id

    def packing(self, write: RemoteWrite, rows: int) -> Packing:
        """How to send so many rows; no call."""
        return self._writer.packing(write, rows)

    def send(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], keep: Callable[[str], None]) -> Sent:
        """Sends one shipment; see `DynamicsWriter.send`."""
        return self._writer.send(write, rows)

    def find(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], *, token: str, left_at: datetime) -> Sent:
        """Finds out what became of a shipment; see `DynamicsWriter.find`."""
        return self._writer.find(write, rows, left_at=left_at)

    def current(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        """See `Writer`."""
        return self._writer.current(write, rows)

    def comparer(self, write: RemoteWrite) -> Callable[[int, str, str], bool]:
        """See `Writer`."""
        return self._writer.comparer(write)

    def deletion_reach(self, object: RemoteObject, road: DeletionRoad = DeletionRoad.FEED) -> DeletionReach:
        """Which deletions can be had now; see `Deletions.reach`."""
        return self._deletions.reach(object, road)

    def deleted(
        self,
        object: RemoteObject,
        start: datetime | None,
        end: datetime,
        road: DeletionRoad = DeletionRoad.FEED,
    ) -> DeletedRecords:
        """What was deleted from `start` to `end`; see `Deletions.deleted`."""
        return self._deletions.deleted(object, start, end, road)

    def changes(self, object: RemoteObject, token: str) -> Iterator[Changes] | None:
        """What changed since a token; see `Tracking.changes`."""
        return self._tracking.changes(object, token)

    def _rows(self, query: RemoteQuery) -> Iterator[pa.RecordBatch]:
        """All rows of a query, one partition after the other."""
        partitions = list(self.open(query, lambda token: None).partitions)
        while partitions:
            fetched = self.fetch(query, partitions.pop(0))
            partitions.extend(fetched.partitions)
            yield from fetched.batches

    def close(self, *, token: str = "") -> None:
        """Closes every connection."""
        self._session.close()


class _Values(msgspec.Struct, rename="pascal"):
    values: tuple[int, ...] = ()


class _Counted(msgspec.Struct):
    counts: _Values = msgspec.field(name="EntityRecordCountCollection", default_factory=_Values)

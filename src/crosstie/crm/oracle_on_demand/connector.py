"""The connector for Oracle CRM On Demand: reads here, writes by its writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

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
from crosstie.crm.http import Retries, Timeouts, Transport
from crosstie.crm.oracle_on_demand.check import check_account, server_clock
from crosstie.crm.oracle_on_demand.deletions import KEPT, Deletions
from crosstie.crm.oracle_on_demand.describe import Seen, describe, object_names, service_of
from crosstie.crm.oracle_on_demand.fields import readable_field
from crosstie.crm.oracle_on_demand.pace import BETWEEN_REQUESTS
from crosstie.crm.oracle_on_demand.packing import LANES
from crosstie.crm.oracle_on_demand.pages import PageReader, ids_per_page
from crosstie.crm.oracle_on_demand.session import Session
from crosstie.crm.oracle_on_demand.settings import OracleOnDemandSettings, Version
from crosstie.crm.oracle_on_demand.times import WireTimes
from crosstie.crm.oracle_on_demand.writer import OracleWriter, new_key
from crosstie.crm.writing import DeletedRecords, DeletionReach, DeletionRoad, Packing, Pauses, RemoteWrite, Sent
from crosstie.errors import RequestError
from crosstie.model import RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa

PARALLEL = 4
FINISHING = timedelta(minutes=5)
"""How long the service goes on with a request whose caller has left."""

_WORTH_COUNTING = 2


class OracleOnDemandConnector:
    """Reads and writes one company. Thread-safe. Signs in at the first call; close it when done: it logs off."""

    def __init__(
        self,
        settings: OracleOnDemandSettings,
        *,
        account: str,
        org_id: str = "",
        token: str = "",
        on_token: Callable[[str], None] = lambda token: None,
        retries: Retries | None = None,
        timeouts: Timeouts | None = None,
        pauses: Pauses | None = None,
        lanes: int = LANES,
        page_rows: int = 0,
        between: timedelta = BETWEEN_REQUESTS,
        transport: Transport | None = None,
    ) -> None:
        self._settings = settings
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
            between=between,
        )
        self._page_rows = page_rows or settings.page_rows
        self._seen: dict[str, Seen] = {}
        self._times = WireTimes(
            zone=settings.zone if settings.in_zone else None, is_text=settings.version is Version.V1
        )
        self._writer = OracleWriter(self._session, self._rows, lambda remote: service_of(remote, settings), lanes=lanes)
        self._deletions = Deletions(self._session, self.server_time, rows_per_page=self._page_rows)

    @property
    def kind(self) -> str:
        """`oracle_on_demand`."""
        return "oracle_on_demand"

    @property
    def usage(self) -> Usage:
        """Calls and rows of this connector."""
        return self._session.meter.usage

    def permitted_by(self, permit: Callable[[], None]) -> None:
        """Asks `permit` before every request from now on, but for logging off."""
        self._session.permitted_by(permit)

    def check(self, objects: Sequence[RemoteObject] = ()) -> Check:
        """Proves the account; one call or two, and some for each of the collected objects."""
        return check_account(self._session, objects, self.describe, self.count)

    def org_id(self) -> str:
        """The company's sign-in id; signs in if needed."""
        return self._session.identity().org_id

    def objects(self) -> tuple[ObjectName, ...]:
        """What every company has, and what the folder of WSDLs holds; no call but signing in."""
        self._session.identity()
        return object_names(self._settings)

    def describe(self, name: str, *, known: RemoteObject | None = None) -> RemoteObject:
        """The object's description; see `describe.describe`."""
        return describe(self._session, name, known, self._seen)

    def limits(self, name: str) -> Limits:
        """What the service can do for any object."""
        return Limits(
            parallel_fetches=PARALLEL,
            bulk_from_rows=0,
            max_ids_per_call=ids_per_page(self._page_rows),
            deletion_retention_days=KEPT.days,
        )

    def server_time(self) -> datetime:
        """The company's clock in UTC: the Date of the last answer, else by one call."""
        now = self._session.server_time
        if now is None:
            self._session.identity()
            now = self._session.server_time
        return now if now is not None else server_clock(self._session)[0].astimezone(UTC)

    def safe_end(self, query: RemoteQuery, end: datetime) -> datetime:
        """The whole second at or before `end`: stamps have no more. Nothing says which transactions are open; the
        overlap of the next window is for those. No call."""
        return end.replace(microsecond=0)

    def count(self, query: RemoteQuery) -> int:
        """How many records the query gives now; see `PageReader.count`."""
        return self._paged(query).count()

    def open(self, query: RemoteQuery, keep: Callable[[str], None], *, token: str = "") -> Opened:
        """Begins a read by query pages, the one road that there is. No call."""
        for name in query.fields:
            readable_field(query.object, name)
        if query.road is Road.BULK:
            raise RequestError(
                f"{query.object.name} can't be read by Bulk: Oracle CRM On Demand has no such interface.",
                hint="Let the road be chosen (road: auto).",
            )
        if query.include_deleted:
            raise RequestError(
                f"Deleted records of {query.object.name} can't be read: Oracle CRM On Demand tells none of their"
                " values.",
                hint="Which records were deleted is told by “import deleted”.",
            )
        filtered = query.condition is not None or query.window is not None or query.ids is not None
        if query.order and filtered and query.object.sorts_or_filters:
            raise RequestError(
                f"Web services v1.0 sort or filter {query.object.name}, never both.",
                hint="Leave the order or the filter and the index out; or have it sorted here: crosstie account edit "
                f"{self._session.account} --sort-here true, and collect the object again; or use v2.0.",
            )
        partitions = self._paged(query).partitions()
        cut = f", cut in {len(partitions)}" if len(partitions) > 1 else ""
        expected = len(query.ids) if query.ids is not None else query.expected_rows
        return Opened(partitions=partitions, road=Road.PAGES, reason=f"query pages{cut}", expected_rows=expected)

    def road_for_ids(self, query: RemoteQuery, ids: int) -> IdsRoad:
        """In blocks of ids, or everything when that takes fewer pages; what everything is, is asked for when more than
        two calls stand against it, and where asking is one call."""
        everything = replace(query, ids=None)
        step = ids_per_page(self._page_rows)
        calls = -(-ids // step)
        blocks = f"{ids:,} ids in {calls:,} calls"
        if query.road is not Road.AUTO or calls <= _WORTH_COUNTING or self._settings.version is Version.V1:
            return IdsRoad(whole=False, calls=calls, ids_per_call=step, reason=blocks)
        found = self.count(everything)
        pages = max(1, -(-found // self._page_rows))
        if pages < calls:
            reason = f"{ids:,} ids would take {calls:,} calls, all {found:,} rows {pages:,}"
            return IdsRoad(whole=True, calls=pages, ids_per_call=step, reason=reason, expected_rows=found)
        reason = f"{blocks}, all {found:,} rows would take {pages:,}"
        return IdsRoad(whole=False, calls=calls, ids_per_call=step, reason=reason)

    def fetch(self, query: RemoteQuery, partition: Partition) -> Fetched:
        """One page."""
        return self._paged(query).fetch(partition)

    def _paged(self, query: RemoteQuery) -> PageReader:
        service = service_of(query.object, self._settings)
        return PageReader(self._session, query, service, self._times, rows_per_page=self._page_rows)

    @property
    def pauses(self) -> Pauses:
        """How patiently writing goes on after failures."""
        return self._pauses

    @property
    def new_id(self) -> Callable[[], str]:
        """Makes keys of ours: the CRM gives records ids of its own, and a new one bears ours in the field for it."""
        return new_key

    def packing(self, write: RemoteWrite, rows: int) -> Packing:
        """How to send so many rows; no call."""
        return self._writer.packing(write, rows)

    def send(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], keep: Callable[[str], None]) -> Sent:
        """Sends one shipment; see `OracleWriter.send`."""
        return self._writer.send(write, rows)

    def find(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], *, token: str, left_at: datetime) -> Sent:
        """Finds out what became of a shipment; see `OracleWriter.find`."""
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
        """Refused: changes are not tracked by tokens."""
        raise RequestError(
            f"Oracle CRM On Demand tracks no changes of {object.name} by tokens.",
            hint="Import what changed by a stamp (index: true), and what was deleted by its date (import deleted).",
        )

    def _rows(self, query: RemoteQuery) -> Iterator[pa.RecordBatch]:
        """All rows of a query, one partition after the other."""
        partitions = list(self.open(query, lambda token: None).partitions)
        while partitions:
            fetched = self.fetch(query, partitions.pop(0))
            partitions.extend(fetched.partitions)
            yield from fetched.batches

    def close(self, *, token: str = "") -> None:
        """Logs off, and closes every connection."""
        self._session.close()

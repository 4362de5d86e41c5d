"""The connector for Salesforce: reads here, writes by its writer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

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
from crosstie.crm.http import REPORT, Answer, Retries, Timeouts, Transport
from crosstie.crm.pages_seen import PagesSeen
from crosstie.crm.salesforce import describe, soql
from crosstie.crm.salesforce.bulk import NOT_IN_BULK, PAGE_ROWS, BulkReader, Patience
from crosstie.crm.salesforce.check import check_account
from crosstie.crm.salesforce.faults import QUERY_TIMEOUT
from crosstie.crm.salesforce.packing import Lanes
from crosstie.crm.salesforce.pages import PageReader
from crosstie.crm.salesforce.replication import safe_end
from crosstie.crm.salesforce.retrieve import RETRIEVE, RetrieveReader, is_retrieved, road_for_ids
from crosstie.crm.salesforce.session import Session
from crosstie.crm.salesforce.settings import SalesforceSettings
from crosstie.crm.salesforce.writer import SalesforceWriter
from crosstie.crm.writing import DeletedRecords, DeletionReach, DeletionRoad, Packing, Pauses, RemoteWrite, Sent
from crosstie.errors import ConnectorError, MappingError, ProtocolError, RequestError
from crosstie.model import RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

BULK_FROM_ROWS = 10_000
PARALLEL_FETCHES = 4
DELETION_DAYS = 15
"""getDeleted and the recycle bin reach back 15 days (REST API guide, sObject Get Deleted)."""

_IDS_PER_CALL = 500
_TOO_LONG = "QUERY_TOO_LONG"


class SalesforceConnector:
    """Reads and writes one Salesforce org. Thread-safe. Signs in at the first call; close it when done."""

    def __init__(
        self,
        settings: SalesforceSettings,
        *,
        account: str,
        org_id: str = "",
        token: str = "",
        on_token: Callable[[str], None] = lambda token: None,
        bulk_page_rows: int = PAGE_ROWS,
        bulk_from_rows: int = BULK_FROM_ROWS,
        patience: Patience | None = None,
        retries: Retries | None = None,
        timeouts: Timeouts | None = None,
        lanes: Lanes | None = None,
        pauses: Pauses | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._pauses = pauses or Pauses()
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
        self._page_rows = bulk_page_rows
        self._bulk_from = bulk_from_rows
        self._patience = patience or Patience()
        self._probed: dict[str, Fetched] = {}
        self._pages_seen = PagesSeen()
        self._writer = SalesforceWriter(
            self._session, self._rows, self.server_time, patience=self._patience, lanes=lanes or Lanes()
        )

    @property
    def kind(self) -> str:
        """`salesforce`."""
        return "salesforce"

    @property
    def usage(self) -> Usage:
        """Calls and rows of this connector, and the org's meter as last answered."""
        return self._session.meter.usage

    def permitted_by(self, permit: Callable[[], None]) -> None:
        """Asks `permit` before every request from now on."""
        self._session.http.permit = permit

    def check(self, objects: Sequence[RemoteObject] = ()) -> Check:
        """Proves the account; five calls, and one for each of the collected objects."""
        return check_account(self._session, objects, self.describe)

    def org_id(self) -> str:
        """The org's own id, 18 characters, from the session; signs in if needed."""
        return self._session.signed_in().org_id

    def objects(self) -> tuple[ObjectName, ...]:
        """Every object that can be queried."""
        return describe.object_names(self._session.get("sobjects", "list the objects"))

    def describe(self, name: str, *, known: RemoteObject | None = None) -> RemoteObject:
        """The object's description, asked conditionally when it is known (If-Modified-Since, 304)."""
        since = describe.known_since(known)
        path = f"sobjects/{quote(name, safe='')}/describe"
        try:
            answer = self._session.get(
                path, f"describe {name}", headers={"If-Modified-Since": since} if since else None
            )
        except RequestError as error:
            if error.code not in {"NOT_FOUND", "INVALID_TYPE"}:
                raise
            raise MappingError(
                f"The org has no object “{name}”, or this user can't see it.",
                hint="Look at the list: crosstie objects ACCOUNT. A custom object ends in __c.",
                code=error.code,
                request_id=error.request_id,
            ) from error
        if answer.status == 304:
            if known is None:
                raise ProtocolError(
                    f"Salesforce says that {name} has not changed, but we asked for all of it.", hint=REPORT
                )
            return known
        found = describe.remote_object(answer)
        return known if known is not None and describe.same_content(known, found) else found

    def limits(self, name: str) -> Limits:
        """What Salesforce can do for any object."""
        return Limits(
            parallel_fetches=PARALLEL_FETCHES,
            bulk_from_rows=self._bulk_from,
            max_ids_per_call=_IDS_PER_CALL,
            deletion_retention_days=DELETION_DAYS,
        )

    def server_time(self) -> datetime:
        """Salesforce's clock in UTC: the Date of the last answer, else of one cheap call."""
        now = self._session.server_time
        if now is None:
            answer = self._session.get("limits", "read the clock")
            now = self._session.server_time
            if now is None:
                raise ProtocolError("Salesforce's answer has no date.", hint=REPORT, request_id=answer.request_id)
        return now

    def safe_end(self, query: RemoteQuery, end: datetime) -> datetime:
        """See `replication.safe_end`."""
        return safe_end(self._session, query, end)

    def count(self, query: RemoteQuery) -> int:
        """How many records the query gives now; one call, or one for each cut of a long list."""
        total = 0
        for part in soql.parts(query, None, ()):
            text = soql.render(query, None, part=part)
            path = f"{'queryAll' if query.include_deleted else 'query'}/?q={soql.encoded(text)}"
            total += _member(self._session.get(path, f"count {query.object.name}"), "totalSize")
        return total

    def open(self, query: RemoteQuery, keep: Callable[[str], None], *, token: str = "") -> Opened:
        """Chooses between query pages and a bulk job, and begins."""
        soql.selected(query)
        if token:
            road, reason, expected = Road.BULK, "a bulk job was begun before", query.expected_rows
        elif (probed := self._probe(query)) is not None and probed.expected_rows is not None:
            if probed.expected_rows < self._bulk_from:
                return probed
            road, expected = Road.BULK, probed.expected_rows
            reason = f"{expected:,} rows by the first page, Bulk from {self._bulk_from:,}"
        else:
            road, reason, expected = self._choose(query)
        if road is Road.BULK:
            reader = self._bulk(query)
            try:
                job = reader.open(keep, token)
            except RequestError as error:
                if error.code not in {NOT_IN_BULK, _TOO_LONG} or query.road is Road.BULK:
                    raise
                reason = (
                    f"query pages: {query.object.name} is not served by Bulk"
                    if error.code == NOT_IN_BULK
                    else "query pages: the query is too long for a bulk job"
                )
            else:
                said = f"bulk query: {reason}" + (f"; {job.note}" if job.note else "")
                return Opened(
                    partitions=(job.first_page(),), road=Road.BULK, reason=said, token=job.id, expected_rows=job.rows
                )
        else:
            reason = f"query pages: {reason}"
        if is_retrieved(query):
            return Opened(
                partitions=RetrieveReader(self._session, query).partitions(),
                road=Road.PAGES,
                reason=f"collections: {len(query.ids or ()):,} records are asked for by id",
                expected_rows=expected,
            )
        return Opened(
            partitions=self._paged(query).partitions(),
            road=Road.PAGES,
            reason=reason,
            expected_rows=expected,
        )

    def _paged(self, query: RemoteQuery) -> PageReader:
        return PageReader(self._session, query, self._pages_seen)

    def _bulk(self, query: RemoteQuery) -> BulkReader:
        return BulkReader(
            self._session, query, patience=self._patience, page_rows=self._page_rows, pages=self._pages_seen
        )

    def _probe(self, query: RemoteQuery) -> Opened | None:
        """Asks for the first page of a window of unknown size: it says how many rows there are, and serves as the
        beginning of the read when they are few. So an incremental read needs no count."""
        window = query.window
        if query.road is not Road.AUTO or query.order or query.ids is not None or query.expected_rows is not None:
            return None
        if window is None or window.start is None:
            return None
        reader = self._paged(query)
        columns = [one.path for one in soql.selected(query)]
        if not soql.fits_uri(query, columns, soql.keyset_order(query)):
            return None
        partitions = reader.partitions()
        if len(partitions) != 1:
            return None
        try:
            fetched, total = reader.counted(partitions[0])
        except RequestError as error:
            if error.code not in {QUERY_TIMEOUT, _TOO_LONG}:
                raise
            return None
        mark = uuid4().hex
        if total < self._bulk_from:
            self._probed[mark] = fetched
        payload = {**partitions[0].payload, "probed": mark}
        return Opened(
            partitions=(Partition(position=partitions[0].position, payload=payload),),
            road=Road.PAGES,
            reason=f"query pages: {total:,} rows by the first page, Bulk from {self._bulk_from:,}",
            expected_rows=total,
        )

    def _choose(self, query: RemoteQuery) -> tuple[Road, str, int | None]:
        """The road, why, and the expected rows."""
        if query.order:
            if query.road is Road.BULK:
                raise RequestError(
                    f"An ordered read of {query.object.name} can't use Bulk, which gives rows in any order.",
                    hint="Leave the order out, or let the road be chosen (road: auto).",
                )
            return Road.PAGES, "an order is asked for, which Bulk does not keep", query.expected_rows
        if query.road is not Road.AUTO:
            return query.road, "asked for", query.expected_rows
        if query.ids is not None:
            return Road.PAGES, f"{len(query.ids):,} records are asked for by id", len(query.ids)
        expected, source = query.expected_rows, "expected"
        if expected is None:
            try:
                expected, source = self._estimate(query)
            except RequestError as error:
                if error.code not in {QUERY_TIMEOUT, _TOO_LONG}:
                    raise
                return Road.BULK, "even counting takes too long", None
        if expected >= self._bulk_from:
            return Road.BULK, f"{expected:,} rows {source}, Bulk from {self._bulk_from:,}", expected
        columns = [one.path for one in soql.selected(query)]
        if not soql.fits_uri(query, columns, soql.keyset_order(query)):
            return self._long_query(query, columns, expected)
        return Road.PAGES, f"{expected:,} rows {source}, Bulk from {self._bulk_from:,}", expected

    def _long_query(self, query: RemoteQuery, columns: Sequence[str], expected: int) -> tuple[Road, str, int]:
        try:
            pieces = len(soql.parts(query, columns, soql.keyset_order(query)))
        except RequestError:
            return Road.BULK, "the query is too long for a URL", expected
        return Road.PAGES, f"{expected:,} rows, the filter's list cut in {pieces}", expected

    def _estimate(self, query: RemoteQuery) -> tuple[int, str]:
        """An expected number of rows for one call: the whole object's approximate count where nothing is filtered."""
        unfiltered = query.condition is None and (query.window is None or query.window.start is None)
        if not unfiltered or query.include_deleted:
            return self.count(query), "counted"
        path = f"limits/recordCount?sObjects={quote(query.object.name, safe='')}"
        answer = self._session.get(path, f"record count of {query.object.name}").json()
        found = answer.get("sObjects") if isinstance(answer, dict) else None
        for one in found if isinstance(found, list) else ():
            if isinstance(one, dict) and one.get("name") == query.object.name and isinstance(one.get("count"), int):
                return one["count"], "estimated"
        return self.count(query), "counted"

    def road_for_ids(self, query: RemoteQuery, ids: int) -> IdsRoad:
        """See `retrieve.road_for_ids`."""
        return road_for_ids(query, ids, self._rows_for_ids, bulk_from=self._bulk_from, bulk_page_rows=self._page_rows)

    def _rows_for_ids(self, query: RemoteQuery) -> int | None:
        try:
            return self._estimate(query)[0]
        except RequestError as error:
            if error.code not in {QUERY_TIMEOUT, _TOO_LONG}:
                raise
            return None

    def fetch(self, query: RemoteQuery, partition: Partition) -> Fetched:
        """One page of either road; the page that a probe brought is given once, and fetched again after that."""
        probed = self._probed.pop(str(partition.payload.get("probed", "")), None)
        if probed is not None:
            return probed
        if partition.payload.get("road") == "bulk":
            return self._bulk(query).fetch(partition)
        if partition.payload.get("road") == RETRIEVE:
            return RetrieveReader(self._session, query).fetch(partition)
        return self._paged(query).fetch(partition)

    @property
    def pauses(self) -> Pauses:
        """How patiently writing goes on after failures."""
        return self._pauses

    @property
    def new_id(self) -> None:
        """Salesforce gives records ids of its own."""
        return None

    def packing(self, write: RemoteWrite, rows: int) -> Packing:
        """How to send so many rows; no call."""
        return self._writer.packing(write, rows)

    def send(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], keep: Callable[[str], None]) -> Sent:
        """Sends one shipment; see `SalesforceWriter.send`."""
        return self._writer.send(write, rows, keep)

    def find(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], *, token: str, left_at: datetime) -> Sent:
        """Finds out what became of a shipment; see `SalesforceWriter.find`."""
        return self._writer.find(write, rows, token=token, left_at=left_at)

    def current(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        """See `Writer`."""
        return self._writer.current(write, rows)

    def comparer(self, write: RemoteWrite) -> Callable[[int, str, str], bool]:
        """See `Writer`."""
        return self._writer.comparer(write)

    def deletion_reach(self, object: RemoteObject, road: DeletionRoad = DeletionRoad.FEED) -> DeletionReach:
        """Which deletions can be had now; see `Deletions.reach`."""
        return self._writer.deletions.reach(object, road)

    def deleted(
        self,
        object: RemoteObject,
        start: datetime | None,
        end: datetime,
        road: DeletionRoad = DeletionRoad.FEED,
    ) -> DeletedRecords:
        """What was deleted from `start` to `end`; see `Deletions.deleted`."""
        return self._writer.deletions.deleted(object, start, end, road)

    def changes(self, object: RemoteObject, token: str) -> Iterator[Changes] | None:
        """Salesforce has no change tracking; it goes by stamps."""
        raise RequestError(
            f"Salesforce tracks no changes of {object.name} by tokens.",
            hint="Import what changed by a stamp (index: true), and what was deleted by its feed (by: feed).",
        )

    def _rows(self, query: RemoteQuery) -> Iterator[pa.RecordBatch]:
        """All rows of a query, one partition after the other."""
        partitions = list(self.open(query, lambda token: None).partitions)
        while partitions:
            fetched = self.fetch(query, partitions.pop(0))
            partitions.extend(fetched.partitions)
            yield from fetched.batches

    def close(self, *, token: str = "") -> None:
        """Deletes the bulk job when told to, and closes every connection. A job that can't be deleted is no error:
        it is gone already, or goes by itself after seven days."""
        try:
            if token:
                self._session.once("DELETE", f"jobs/query/{quote(token, safe='')}", "delete the bulk job")
        except ConnectorError as error:
            log.info("The bulk job %s was not deleted, it expires by itself: %s", token, error.message)
        finally:
            self._session.close()


def _member(answer: Answer, name: str) -> int:
    body: Any = answer.json()
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ProtocolError(f"The answer to “{answer.what}” has no {name}.", hint=REPORT, request_id=answer.request_id)
    return value

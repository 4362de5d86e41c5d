"""Records by their ids, up to 2,000 in a call (REST API guide, sObject Collections, Get Records by POST)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import msgspec

from crosstie.crm.connector import Fetched, IdsRoad, Partition, RemoteQuery, Road
from crosstie.crm.salesforce import soql
from crosstie.crm.salesforce.pages import PAGE_ROWS, PageReader, Walk
from crosstie.crm.salesforce.records import RecordReader
from crosstie.crm.salesforce.session import Session
from crosstie.crm.salesforce.soql import Part
from crosstie.errors import ProtocolError, RequestError

log = logging.getLogger(__name__)

RETRIEVED_IDS = 2_000
_BULK_CALLS = 12
"""What a bulk job costs besides its result pages: to make it, and to look after it about ten times."""

_WORTH_COUNTING = 2
RETRIEVE = "retrieve"


def is_retrieved(query: RemoteQuery) -> bool:
    """Whether its ids are read by collections: they can be, and it takes fewer calls than lists of a query."""
    return query.ids is not None and _is_plain(query) and len(query.ids) > _listed_ids(query)


def _is_plain(query: RemoteQuery) -> bool:
    """Whether nothing but ids and own fields is asked for: a filter, a path to a parent, the recycle bin and an order
    need a query."""
    plain = query.condition is None and query.window is None and not query.order and not query.include_deleted
    return plain and all("." not in name for name in query.fields)


def _listed_ids(query: RemoteQuery) -> int:
    """How many ids a query's list takes, about 580. Raises RequestError (code QUERY_TOO_LONG) when there is no room."""
    (first, *_) = PageReader.parts_of(query, ["0" * 18] * RETRIEVED_IDS)
    return first.end - first.start


def road_for_ids(
    query: RemoteQuery, ids: int, rows: Callable[[RemoteQuery], int | None], *, bulk_from: int, bulk_page_rows: int
) -> IdsRoad:
    """The road with the fewest calls: by collections 2,000 ids are a call, by a query's list about 580; everything is
    2,000 rows a call, or a bulk job. `rows` counts everything (None: that takes too long), and is asked when more than
    two calls stand against it."""
    everything = replace(query, ids=None)
    step = RETRIEVED_IDS if _is_plain(everything) else _listed_ids(everything)
    calls = -(-ids // step)
    blocks = f"{ids:,} ids in {calls:,} calls"
    if query.road is Road.BULK:
        return IdsRoad(whole=True, calls=_BULK_CALLS, ids_per_call=step, reason=f"{ids:,} ids, everything as asked for")
    if query.road is Road.PAGES:
        return IdsRoad(whole=False, calls=calls, ids_per_call=step, reason=f"{blocks}, as asked for")
    if calls <= _WORTH_COUNTING:
        return IdsRoad(whole=False, calls=calls, ids_per_call=step, reason=blocks)
    found = rows(everything)
    if found is None:
        reason = f"{blocks}; even counting everything takes too long"
        return IdsRoad(whole=False, calls=calls, ids_per_call=step, reason=reason)
    cost = max(1, -(-found // PAGE_ROWS)) if found < bulk_from else _BULK_CALLS - (-found // bulk_page_rows)
    if cost < calls:
        reason = f"{ids:,} ids would take {calls:,} calls, all {found:,} rows about {cost:,}"
        return IdsRoad(whole=True, calls=cost, ids_per_call=step, reason=reason, expected_rows=found)
    reason = f"{blocks}, all {found:,} rows would take about {cost:,}"
    return IdsRoad(whole=False, calls=calls, ids_per_call=step, reason=reason)


class RetrieveReader:
    """Reads the ids of one query by collections. What Salesforce refuses this way is asked by queries instead."""

    def __init__(self, session: Session, query: RemoteQuery) -> None:
        self._session = session
        self._query = query
        self._columns = soql.selected(query)
        self._what = f"retrieve {query.object.name}"
        self._id = soql.select(query.object, query.object.key)
        self._paths = tuple(dict.fromkeys(one.path for one in (*self._columns, self._id)))
        self._records = RecordReader((*self._columns, self._id), self._what, of=query.object.name, gaps=True)

    def partitions(self) -> tuple[Partition, ...]:
        """One for each call."""
        count = len(self._query.ids or ())
        return tuple(
            Partition(position=place, payload={"road": RETRIEVE, "part": [start, min(start + RETRIEVED_IDS, count)]})
            for place, start in enumerate(range(0, count, RETRIEVED_IDS))
        )

    def fetch(self, partition: Partition) -> Fetched:
        """The records of one call, in the order of their ids; those that are not there are left out."""
        part = partition.payload["part"]
        assert isinstance(part, list) and self._query.ids is not None
        ids = [soql.checked_id(one) for one in dict.fromkeys(self._query.ids[part[0] : part[1]])]
        try:
            answer = self._session.http.repeat(
                lambda: self._session.once(
                    "POST",
                    f"composite/sobjects/{self._query.object.name}",
                    self._what,
                    body={"ids": ids, "fields": list(self._paths)},
                )
            )
        except RequestError as error:
            log.info("%s is asked for by queries: %s", self._query.object.name, error.message)
            return Fetched(batches=iter(()), partitions=self._by_query(partition.position, part[0], part[1]))
        found = self._records.decode(answer.decoded(msgspec.Raw, "is not a list of records"))
        if len(found) != len(ids):
            raise self._wrong(f"gave {len(found):,} answers for {len(ids):,} ids", answer.request_id)
        rows = [row for row in found if row is not None]
        asked = (one for one, row in zip(ids, found, strict=True) if row is not None)
        for wanted, came in zip(asked, self._records.ids(rows, self._id), strict=True):
            if came[:15] != wanted[:15]:
                raise self._wrong(f"gave the record {came} in the place of {wanted}", answer.request_id)
        batch = self._records.batch(rows, self._columns, nul_bytes=b"\\u0000" in answer.body)
        self._session.meter.count_rows(len(rows))
        return Fetched(batches=iter((batch,) if rows else ()))

    def _wrong(self, how: str, request_id: str) -> ProtocolError:
        return ProtocolError(
            f"“{self._what}” {how}.",
            hint="Nothing of it was used. Run it again; if it stays so, report it.",
            request_id=request_id,
        )

    def _by_query(self, position: int, start: int, end: int) -> tuple[Partition, ...]:
        """The same ids as lists of a query."""
        ids = (self._query.ids or ())[start:end]
        return tuple(
            Partition(
                position=position, payload=Walk(part=Part(start=start + one.start, end=start + one.end)).payload()
            )
            for one in PageReader.parts_of(self._query, ids)
        )

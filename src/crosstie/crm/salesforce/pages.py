"""Query pages: records as JSON to string columns that hold the wire text of each value (REST API guide, Query)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import msgspec

from crosstie.crm.connector import Fetched, Partition, RemoteQuery
from crosstie.crm.pages_seen import PagesSeen
from crosstie.crm.salesforce import soql
from crosstie.crm.salesforce.faults import LOCATOR_GONE
from crosstie.crm.salesforce.records import RecordReader
from crosstie.crm.salesforce.session import Session
from crosstie.crm.salesforce.soql import Keyset, Part
from crosstie.errors import ProtocolError, RequestError

PAGE_ROWS = 2_000
_POSITIONS_PER_PART = 1_000_000


class _Page(msgspec.Struct, rename="camel"):
    total_size: int
    done: bool
    records: msgspec.Raw = msgspec.Raw(b"[]")
    next_records_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Where a chain of pages stands, as a partition carries it. `chain` names it, by its first page; `seen` rows came
    before, of `total`; `first` is the id that the page before began with; `last` where to go on if Salesforce closes
    the result."""

    part: Part
    chain: str = ""
    locator: str = ""
    seen: int = 0
    total: int = -1
    first: str = ""
    last: Keyset | None = None

    def payload(self) -> dict[str, object]:
        """As JSON values."""
        last = [self.last.stamp, self.last.id] if self.last else None
        return {
            "road": "pages",
            "part": [self.part.start, self.part.end],
            "chain": self.chain,
            "locator": self.locator,
            "seen": self.seen,
            "total": self.total,
            "first": self.first,
            "last": last,
        }

    @staticmethod
    def of(payload: dict[str, Any]) -> Walk:
        """The walk that a partition carries."""
        last = payload["last"]
        return Walk(
            part=Part(start=payload["part"][0], end=payload["part"][1]),
            chain=payload["chain"],
            locator=payload["locator"],
            seen=payload["seen"],
            total=payload["total"],
            first=payload["first"],
            last=Keyset(stamp=last[0], id=last[1]) if last else None,
        )


class PageReader:
    """Reads one query by pages. Ordered by index field and id unless the query asks for an order, so that a read
    whose locator Salesforce has dropped goes on behind the last row."""

    def __init__(self, session: Session, query: RemoteQuery, pages: PagesSeen) -> None:
        self._session = session
        self._pages = pages
        self._query = query
        self._columns = soql.selected(query)
        self._order = soql.asked_order(query) if query.order else soql.keyset_order(query)
        self._what = f"query {query.object.name}"
        self._id = soql.select(query.object, query.object.key)
        stamped = query.window is not None and not query.order and len(self._order) > 1
        self._stamp = soql.select(query.object, query.window.field) if query.window and stamped else None
        hidden = (self._id,) if self._stamp is None else (self._id, self._stamp)
        self._paths = tuple(dict.fromkeys(one.path for one in (*self._columns, *hidden)))
        self._records = RecordReader((*self._columns, *hidden), self._what, of=query.object.name)

    def partitions(self) -> tuple[Partition, ...]:
        """Where to begin: one chain of pages, or several when a list of values had to be cut."""
        parts = soql.parts(self._query, self._paths, self._order)
        if len(parts) > 1 and self._query.order:
            raise RequestError(
                f"An ordered read of {self._query.object.name} by {len(parts)} lists of values is not possible: "
                "each list is a query of its own.",
                hint="Leave the order out and sort after the import, or give fewer values.",
            )
        return tuple(
            Partition(position=index * _POSITIONS_PER_PART, payload=Walk(part=part).payload())
            for index, part in enumerate(parts)
        )

    @staticmethod
    def parts_of(query: RemoteQuery, ids: Sequence[str]) -> tuple[Part, ...]:
        """How so many ids, asked for instead of the query's own, are cut into lists that fit a URL."""
        asked = replace(query, ids=ids)
        reader_paths = tuple(one.path for one in soql.selected(asked))
        return soql.parts(asked, reader_paths, soql.keyset_order(asked))

    def fetch(self, partition: Partition) -> Fetched:
        """One page and, when there is more, the partition of the next."""
        return self.counted(partition)[0]

    def counted(self, partition: Partition) -> tuple[Fetched, int]:
        """A page as `fetch` gives it, and how many rows the whole chain has."""
        walk = Walk.of(partition.payload)
        try:
            page = self._page(walk)
        except RequestError as error:
            if error.code != LOCATOR_GONE or not walk.locator:
                raise
            self._session.meter.count_retry(
                f"Salesforce had closed the result of “{self._what}”; asked for the rest anew."
            )
            self._session.meter.usage.reopened += 1
            walk = Walk(part=walk.part, last=walk.last if not self._query.order else None)
            page = self._page(walk)
        rows = self._records.decode(page.records)
        following = self._following(walk, page, rows, self._records.ids(rows, self._id))
        batch = self._records.batch(rows, self._columns, nul_bytes=b"\\u0000" in bytes(page.records))
        self._session.meter.count_rows(len(rows))
        fetched = Fetched(
            batches=iter((batch,) if rows else ()),
            partitions=(
                (Partition(position=partition.position + 1, payload=following.payload()),) if following else ()
            ),
        )
        return fetched, page.total_size

    def _page(self, walk: Walk) -> _Page:
        path = walk.locator
        if not path:
            text = soql.render(self._query, self._paths, part=walk.part, keyset=walk.last, order=self._order)
            path = f"{'queryAll' if self._query.include_deleted else 'query'}/?q={soql.encoded(text)}"
        answer = self._session.get(path, self._what, headers={"Sforce-Query-Options": f"batchSize={PAGE_ROWS}"})
        page: _Page = answer.decoded(_Page, "is not a page of records")
        return page

    def _following(self, walk: Walk, page: _Page, rows: Sequence[Any], ids: Sequence[str]) -> Walk | None:
        seen = walk.seen + len(rows)
        total = page.total_size
        if walk.locator and total != walk.total:
            raise self._wrong(f"announced {walk.total:,} rows at first and {total:,} now")
        if ids and self._given_before(walk, ids):
            raise self._wrong(f"gave the same page twice, at row {walk.seen:,}")
        if page.done:
            if seen != total:
                raise self._wrong(f"ended after {seen:,} rows, {total:,} were announced")
            return None
        if not page.next_records_url or not rows:
            raise self._wrong(f"is not done after {seen:,} rows but names no next page")
        if seen >= total:
            raise self._wrong(f"goes on after {seen:,} rows, {total:,} were announced")
        locator = self._session.follow(page.next_records_url, self._what)
        if locator == walk.locator:
            raise self._wrong(f"names the page at row {walk.seen:,} as its own next page")
        stamp = self._records.values(rows[-1:], self._stamp)[0] or "" if self._stamp else None
        chain = walk.chain or uuid4().hex
        self._pages.is_new(chain, ids[0], walk.locator)
        return Walk(
            part=walk.part,
            chain=chain,
            locator=locator,
            seen=seen,
            total=total,
            first=ids[0],
            last=Keyset(stamp=stamp, id=ids[-1]),
        )

    def _given_before(self, walk: Walk, ids: Sequence[str]) -> bool:
        """Whether a page of this chain began with the same record, or the page before ended in this one."""
        if walk.locator and (ids[0] == walk.first or (walk.last is not None and walk.last.id in ids)):
            return True
        return bool(walk.locator) and not self._pages.is_new(walk.chain, ids[0], walk.locator)

    def _wrong(self, how: str) -> ProtocolError:
        return ProtocolError(
            f"“{self._what}” {how}.", hint="Nothing was confirmed. Run it again; if it stays so, report it."
        )

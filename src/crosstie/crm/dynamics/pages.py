"""Query pages (Dataverse Web API guide, "Page results"): at most 5,000 rows, each page naming the next one.

A query too long for a URL is cut by its ids or by its longest list of values; what is still too long travels in a
batch, where a URL may have twice the length.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec

from crosstie.crm.conditions import long_list, without
from crosstie.crm.connector import Fetched, Partition, RemoteQuery
from crosstie.crm.dynamics import odata
from crosstie.crm.dynamics.batch import BatchBody, read_batch
from crosstie.crm.dynamics.columns import Navigation, columns_of, readable_field, selection
from crosstie.crm.dynamics.faults import error_of
from crosstie.crm.dynamics.rows import RowReader
from crosstie.crm.dynamics.session import Session
from crosstie.crm.http import Answer
from crosstie.crm.pages_seen import PagesSeen
from crosstie.errors import ProtocolError, RequestError

if TYPE_CHECKING:
    import pyarrow as pa

PAGE_ROWS = 5_000
URL_CHARACTERS = 32_000
"""A little less than the service takes in a plain GET."""

BATCH_URL_CHARACTERS = 64_000
_MOST_CHARACTERS = (URL_CHARACTERS, BATCH_URL_CHARACTERS)
_FUNCTION_CHARACTERS = 300
_MOST_VALUES = 1_000
_LEAST_ROOM = 4_000
_POSITIONS_PER_PART = 1_000_000


class _Page(msgspec.Struct):
    value: msgspec.Raw
    next_link: str = msgspec.field(name="@odata.nextLink", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Where a chain of pages stands, as a partition carries it: the part of the query's list of values (`end` -1: there
    is none), the chain's name, and the link to this page ('' for the first)."""

    start: int = 0
    end: int = -1
    chain: str = ""
    link: str = ""

    def payload(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "start": self.start,
            "end": self.end,
            "chain": self.chain,
            "link": self.link,
        }

    @staticmethod
    def of(payload: dict[str, Any]) -> Walk:
        """The walk that a partition carries."""
        return Walk(**payload)


class PageReader:
    """Reads one query by pages, ordered by the key unless the query asks for an order."""

    def __init__(
        self,
        session: Session,
        query: RemoteQuery,
        set_name: str,
        navigation: Navigation,
        pages: PagesSeen,
        *,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        self._session = session
        self._query = query
        self._set = set_name
        self._pages = pages
        self._columns = columns_of(query, navigation)
        self._what = f"query {query.object.name}"
        self._rows = RowReader(self._columns, query.object.key, self._what)
        self._prefer = f"odata.maxpagesize={page_rows}"
        annotations = dict.fromkeys(one.annotation for one in self._columns if one.annotation)
        if annotations:
            self._prefer += f',odata.include-annotations="{",".join(annotations)}"'

    def partitions(self) -> tuple[Partition, ...]:
        """Where to begin: one chain of pages, or several when a list of values had to be cut."""
        walks = self._cut()
        if len(walks) > 1 and self._query.order:
            raise RequestError(
                f"An ordered read of {self._query.object.name} by {len(walks)} lists of values is not possible: "
                "each list is a query of its own.",
                hint="Leave the order out and sort after the import, or give fewer values.",
            )
        return tuple(
            Partition(position=index * _POSITIONS_PER_PART, payload=walk.payload()) for index, walk in enumerate(walks)
        )

    def fetch(self, partition: Partition) -> Fetched:
        """One page and, when there is more, the partition of the next. The rows are decoded when they are read, so that
        the next page is on its way meanwhile."""
        walk = Walk.of(partition.payload)
        walk = walk if walk.chain else replace(walk, chain=uuid4().hex)
        answer = self._get(walk.link or f"{self._session.root}{self._path(walk)}")
        page: _Page = answer.decoded(_Page, "is not a page of records")
        following = self._following(walk, page)
        return Fetched(
            batches=self._batches(walk, page, nul_bytes=b"\\u0000" in answer.body),
            partitions=(
                (Partition(position=partition.position + 1, payload=following.payload()),) if following else ()
            ),
        )

    def _batches(self, walk: Walk, page: _Page, *, nul_bytes: bool) -> Iterator[pa.RecordBatch]:
        rows = self._rows.decode(page.value)
        if not rows:
            return
        if not self._pages.is_new(walk.chain, self._rows.first_id(rows), walk.link):
            raise self._wrong("gave the same page twice")
        batch = self._rows.batch(rows, self._columns, nul_bytes=nul_bytes)
        self._session.meter.count_rows(len(rows))
        yield batch

    def count(self) -> int:
        """How many records there are. One call for each part; a count stops at 5,000, and is then made by reading the
        keys."""
        total = 0
        for walk in self._cut():
            counted = self._counted(walk)
            total += sum(self._page_sizes(walk)) if counted >= PAGE_ROWS else counted
        return total

    def _counted(self, walk: Walk) -> int:
        filtered = self._filter(walk)
        path = f"{self._set}/$count" + (f"?$filter={filtered}" if filtered else "")
        answer = self._get(f"{self._session.root}{path}")
        text = answer.body.removeprefix(b"\xef\xbb\xbf").strip()
        if not text.isdigit() or len(text) > 12:
            raise ProtocolError(
                f"The answer to “count {self._query.object.name}” is no number.",
                hint="A proxy may have changed it. Run it again; if it stays so, report it.",
                request_id=answer.request_id,
            )
        return int(text)

    def _page_sizes(self, walk: Walk) -> Iterator[int]:
        key = self._query.object.key
        keys = PageReader(
            self._session, replace(self._query, fields=(key,), order=()), self._set, _no_navigation, self._pages
        )
        todo = [Partition(position=0, payload=walk.payload())]
        while todo:
            fetched = keys.fetch(todo.pop())
            todo.extend(fetched.partitions)
            yield sum(batch.num_rows for batch in fetched.batches)

    def _get(self, url: str) -> Answer:
        """Reads a URL; one that is too long goes in a batch."""
        headers = {"Prefer": self._prefer}
        if len(url) <= URL_CHARACTERS:
            return self._session.get(url, self._what, headers=headers)
        body = BatchBody()
        parts = urlsplit(url)
        line = f"GET {parts.path}?{parts.query}"
        content = body.whole([body.begin(line, (("Accept", "application/json"), *headers.items()))])
        return self._session.http.repeat(lambda: self._in_batch(body, content))

    def _in_batch(self, body: BatchBody, content: bytes) -> Answer:
        answer = self._session.once(
            "POST", "$batch", self._what, content=content, content_type=body.content_type, operations=1
        )
        pieces = read_batch(answer).pieces
        if len(pieces) != 1:
            raise ProtocolError(
                f"The batch of “{self._what}” gave {len(pieces)} answers to one request.",
                hint="Nothing of it was used. Run it again; if it stays so, report it.",
                request_id=answer.request_id,
            )
        inner = pieces[0].as_answer(answer)
        if inner.status >= 400:
            raise error_of(inner, self._session.account)
        return inner

    def _path(self, walk: Walk) -> str:
        filtered = self._filter(walk)
        text = f"{self._set}?{selection(self._query.object.key, self._columns)}"
        text += f"&$filter={filtered}" if filtered else ""
        return f"{text}&$orderby={odata.encoded(odata.order(self._query))}"

    def _filter(self, walk: Walk) -> str:
        """The `$filter`, encoded; '' when everything is asked for."""
        remote = self._query.object
        conditions = []
        condition = self._query.condition
        if self._query.window is not None:
            conditions.append(odata.window(remote, self._query.window))
        name, texts = self._listed()
        if self._query.ids is None and walk.end >= 0 and (cut := long_list(condition)) is not None:
            condition = without(condition, cut)
        if condition is not None:
            conditions.append(odata.where(remote, condition))
        if walk.end >= 0:
            conditions.append(odata.one_of(remote, name, texts[walk.start : walk.end]))
        return odata.encoded(" and ".join(conditions))

    def _listed(self) -> tuple[str, Sequence[str]]:
        """The field and the values by which the query can be cut: its ids, or its longest list; nothing: ()."""
        remote = self._query.object
        if self._query.ids is not None:
            return remote.key, tuple(dict.fromkeys(odata.checked_id(one) for one in self._query.ids))
        comparison = long_list(self._query.condition)
        if comparison is None:
            return "", ()
        field = readable_field(remote, comparison.field)
        return field.name, odata.list_texts(field, comparison.value)

    def _cut(self) -> tuple[Walk, ...]:
        """The parts of the query that fit a URL; one without list when it fits as it is."""
        _, texts = self._listed()
        if self._query.ids is None:
            whole = self._characters(Walk())
            if whole <= URL_CHARACTERS and len(texts) <= _MOST_VALUES:
                return (Walk(),)
            if not texts and whole <= BATCH_URL_CHARACTERS:
                return (Walk(),)
        elif not texts:
            return ()
        shell = self._characters(Walk(start=0, end=0)) + _FUNCTION_CHARACTERS
        room = next((most - shell for most in _MOST_CHARACTERS if most - shell >= _LEAST_ROOM), 0)
        if not texts or not room:
            raise RequestError(
                f"The query on {self._query.object.name} is too long: {shell:,} characters without its list of values, "
                f"where Dynamics takes {BATCH_URL_CHARACTERS:,}.",
                hint="Ask for fewer fields or a shorter filter.",
                code="QUERY_TOO_LONG",
            )
        return tuple(_parts(texts, room))

    def _characters(self, walk: Walk) -> int:
        return len(self._session.root) + len(self._path(walk))

    def _following(self, walk: Walk, page: _Page) -> Walk | None:
        if not page.next_link:
            return None
        link = self._session.checked_link(page.next_link, self._what)
        if link == walk.link:
            raise self._wrong("names a page as its own next page")
        return replace(walk, link=link)

    def _wrong(self, how: str) -> ProtocolError:
        return ProtocolError(
            f"“{self._what}” {how}.", hint="Nothing was confirmed. Run it again; if it stays so, report it."
        )


def ids_per_page(query: RemoteQuery, root: str, set_name: str) -> int:
    """How many ids a query of these fields takes."""
    shell = _FUNCTION_CHARACTERS + len(root) + len(set_name) + sum(len(name) + 8 for name in query.fields)
    return max(1, min(_MOST_VALUES, (URL_CHARACTERS - shell) // _characters("0" * 36)))


def _parts(texts: Sequence[str], room: int) -> Iterator[Walk]:
    start, used = 0, 0
    for index, text in enumerate(texts):
        size = _characters(text)
        if index > start and (used + size > room or index - start >= _MOST_VALUES):
            yield Walk(start=start, end=index)
            start, used = index, 0
        used += size
    yield Walk(start=start, end=len(texts))


def _characters(text: str) -> int:
    return len(odata.encoded(json.dumps(text, ensure_ascii=False))) + 1


def _no_navigation(lookup: str, target: str, column: str) -> tuple[str, str]:
    raise AssertionError(f"a read of keys leads nowhere, but {lookup} was to lead to {target}")

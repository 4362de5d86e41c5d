"""Query pages (Web Services guide, "QueryPage"): at most 100 records, cut from what is there at the moment.

v2.0 is read by the id, each page from behind the last one, so that records that come, go and change while they are read
move nothing. Where an order is asked for, and in v1.0, pages go by row numbers: each begins with the last record of the
one before, and where it does not, something has moved and the read begins again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

from crosstie.crm.conditions import long_list, several, without
from crosstie.crm.connector import Condition, Fetched, Partition, RemoteQuery
from crosstie.crm.oracle_on_demand.envelope import attribute, child, child_text, element
from crosstie.crm.oracle_on_demand.fields import readable_field
from crosstie.crm.oracle_on_demand.names import Service
from crosstie.crm.oracle_on_demand.rows import RowReader
from crosstie.crm.oracle_on_demand.search import EMPTY, FILLED, Search, Terms, checked_id, content, joined
from crosstie.crm.oracle_on_demand.session import Message, Session
from crosstie.crm.oracle_on_demand.sorting import sorted_batch
from crosstie.crm.oracle_on_demand.times import WireTimes
from crosstie.errors import ProtocolError, RequestError, UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa
    from lxml import etree

_POSITIONS_PER_PART = 1_000_000
_MOST_ROUNDS = 5
_MOST_VALUES = 100
_MOST_SPLIT_FIELDS = 3
_AGAIN = "Nothing was confirmed. Run it again; if it stays so, report it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Where a chain of pages stands, as a partition carries it: the part of the query's list of values (`end` -1: there
    is none); which of the order's fields are empty in it (`empty`, one letter each: e, f, or - for either); the last id
    (`after`), and, where pages go by row numbers (`by_rows`), that of the next page and how often it began anew."""

    start: int = 0
    end: int = -1
    empty: str = ""
    after: str = ""
    by_rows: bool = False
    row: int = 0
    round: int = 0

    def payload(self) -> dict[str, object]:
        """As JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}

    @staticmethod
    def of(payload: dict[str, Any]) -> Walk:
        """The walk that a partition carries."""
        return Walk(**payload)


@dataclass(frozen=True, slots=True)
class _Page:
    rows: list[list[str | None]]
    ids: list[str]
    last: bool


_NOTHING = _Page([], [], False)


class PageReader:
    """Reads one query by pages. `rows_per_page` is at most 100."""

    def __init__(
        self, session: Session, query: RemoteQuery, service: Service, times: WireTimes, *, rows_per_page: int
    ) -> None:
        self._session = session
        self._query = query
        self._service = service
        self._what = f"query {query.object.name}"
        self._sorts_here = bool(query.order) and not service.is_v2
        more = [one.field for one in query.order] if self._sorts_here else []
        self._rows = RowReader(query.object, (*query.fields, *more), times, self._what)
        self._search = Search(query.object, times)
        self._times = times
        self._size = rows_per_page

    def partitions(self) -> tuple[Partition, ...]:
        """Where to begin: one chain of pages, or several where a list of values is cut."""
        parts = self._parts()
        if len(parts) > 1 and self._query.order:
            raise RequestError(
                f"An ordered read of {self._query.object.name} by {len(parts)} lists of values is not possible: each "
                "list is a query of its own.",
                hint="Leave the order out and sort after the import, or give fewer values.",
            )
        by_rows = bool(self._query.order) or not self._service.is_v2
        walks = [replace(part, empty=self._split()[0], by_rows=by_rows) for part in parts]
        for walk in walks:
            self._body(walk)  # refuses what can't be asked before anything is sent
        return tuple(
            Partition(position=index * _POSITIONS_PER_PART, payload=walk.payload()) for index, walk in enumerate(walks)
        )

    def fetch(self, partition: Partition) -> Fetched:
        """One page and, when there is more, the partition of the next."""
        walk = Walk.of(partition.payload)
        if self._sorts_here:
            return Fetched(batches=self._sorted(partition))
        page, following = self._fetched(walk)
        position = partition.position + 1
        return Fetched(
            batches=self._batches(page),
            partitions=(Partition(position=position, payload=following.payload()),) if following else (),
        )

    def count(self) -> int:
        """How many records there are: one call for each part in v2.0; in v1.0, and where the service can't count by
        what is asked, by reading the ids."""
        total = 0
        for walk in self._parts():
            counted = self._counted(walk) if self._service.is_v2 else None
            total += len(self._ids(walk)) if counted is None else counted
        return total

    def _counted(self, walk: Walk) -> int | None:
        query = replace(self._query, fields=(self._query.object.key,), order=())
        reader = PageReader(self._session, query, self._service, self._times, rows_per_page=1)
        try:
            output = reader.answered(walk, counted=True)
        except RequestError:
            return None
        text = (output.get("recordcount") or "").strip()
        if not text.isdecimal() or len(text) > 12:
            return None
        return int(text)

    def _ids(self, walk: Walk) -> set[str]:
        query = replace(self._query, fields=(self._query.object.key,), order=())
        keys = PageReader(self._session, query, self._service, self._times, rows_per_page=self._size)
        found: set[str] = set()
        todo: Walk | None = replace(walk, by_rows=not self._service.is_v2)
        while todo is not None:
            page, todo = keys._fetched(todo)
            found.update(page.ids)
        return found

    def _fetched(self, walk: Walk) -> tuple[_Page, Walk | None]:
        """A page without what the one before had, and where the chain goes on."""
        page, following = self._by_rows(walk) if walk.by_rows else self._by_id(walk)
        if following is None:
            splits = self._split()
            place = splits.index(walk.empty) + 1
            if place < len(splits):
                following = Walk(start=walk.start, end=walk.end, empty=splits[place], by_rows=walk.by_rows)
        return page, following

    def _by_rows(self, walk: Walk) -> tuple[_Page, Walk | None]:
        """A page by row numbers. It begins with the last record of the one before; when that is not in it, records have
        moved, and the chain begins anew."""
        page = self._page(walk)
        seen = 0
        if walk.after:
            if walk.after not in page.ids:
                return _NOTHING, self._anew(walk)
            seen = page.ids.index(walk.after) + 1
        rest = _Page(page.rows[seen:], page.ids[seen:], page.last)
        if page.last:
            return rest, None
        if not rest.ids:
            raise self._wrong("gave no further record, but says that there are more")
        return rest, replace(walk, after=page.ids[-1], row=walk.row + len(page.ids) - 1)

    def _anew(self, walk: Walk) -> Walk:
        if walk.round >= _MOST_ROUNDS:
            raise UnavailableError(
                f"The records of “{self._what}” moved between its pages {_MOST_ROUNDS} times.",
                hint="They are being changed. Run it again when fewer people work, or leave the order out.",
            )
        self._session.meter.count_retry(f"Records of “{self._what}” had moved between pages; read it anew.")
        self._session.meter.usage.reopened += 1
        return replace(walk, after="", row=0, round=walk.round + 1)

    def _by_id(self, walk: Walk) -> tuple[_Page, Walk | None]:
        """A page by the id. Where the service sorts or compares ids otherwise than by their characters, pages go by row
        numbers from the beginning: nothing of that can be lost."""
        page = self._page(walk)
        if page.ids and (page.ids[0] <= walk.after or any(one >= two for one, two in pairwise(page.ids))):
            self._session.meter.usage.reopened += 1
            self._session.meter.count_retry(f"“{self._what}” can't be read by its ids; read it by row numbers.")
            return _NOTHING, replace(walk, after="", by_rows=True, round=walk.round + 1)
        return page, None if page.last else replace(walk, after=page.ids[-1])

    def _batches(self, page: _Page) -> Iterator[pa.RecordBatch]:
        if page.rows:
            self._session.meter.count_rows(len(page.rows))
            yield self._rows.batch(page.rows)

    def _sorted(self, partition: Partition) -> Iterator[pa.RecordBatch]:
        """All records, sorted here: v1.0 has no order that can be relied on."""
        import pyarrow as pa

        rows: dict[str, list[str | None]] = {}
        todo: Walk | None = Walk.of(partition.payload)
        while todo is not None:
            page, todo = self._fetched(todo)
            rows.update(zip(page.ids, page.rows, strict=True))
        if rows:
            self._session.meter.count_rows(len(rows))
            whole = sorted_batch(self._rows.batch(list(rows.values())), self._query)
            asked = len(self._query.fields)
            yield pa.RecordBatch.from_arrays(whole.columns[:asked], names=list(self._query.fields))

    def _page(self, walk: Walk) -> _Page:
        listed = self.answered(walk)
        rows = self._rows.rows(listed)
        ids = self._rows.checked_ids(rows)
        if len(rows) > self._size:
            raise self._wrong(f"gave {len(rows):,} records where {self._size:,} were asked for at most")
        told = (listed.get("lastpage") or "").strip().lower()
        last = told == "true" if told in {"true", "false"} else len(rows) < self._size
        if not last and not rows:
            raise self._wrong("gave an empty page, but says that there are more")
        return _Page(rows, ids, last)

    def answered(self, walk: Walk, *, counted: bool = False) -> etree._Element:
        """The list element of one page; in v1.0 with `lastpage` as v2.0 has it."""
        message = Message(
            action=self._service.action("QueryPage"), body=self._body(walk, counted=counted), what=self._what
        )
        reply = self._session.ask(message)
        listed = child(reply.output, self._service.list_tag)
        if listed is None:
            raise ProtocolError(
                f"The answer to “{self._what}” has no {self._service.list_tag}.",
                hint=_AGAIN,
                request_id=reply.answer.request_id,
            )
        told = child_text(reply.output, "LastPage")
        if told:
            listed.set("lastpage", told)
        return listed

    def _body(self, walk: Walk, *, counted: bool = False) -> str:
        write = self._second if self._service.is_v2 else self._first
        return write(walk, counted=counted)

    def _second(self, walk: Walk, *, counted: bool) -> str:
        """What is asked in v2.0."""
        service, query = self._service, self._query
        specification = self._specification(walk)
        searched = f" searchspec={attribute(specification)}" if specification else ""
        order = {} if counted else self._order(walk)
        cells = "".join(f"<{tag}{order.get(tag, '')}/>" for tag in self._tags(order))
        count = ' recordcountneeded="true"' if counted else ""
        return (
            f'<{service.input_tag("QueryPage")} xmlns="{service.namespace}">'
            f'<{service.list_tag} xmlns="{service.query_namespace}" pagesize="{self._size}"'
            f' startrownum="{walk.row}"{count}><{query.object.name}{searched}>{cells}</{query.object.name}>'
            f"</{service.list_tag}></{service.input_tag('QueryPage')}>"
        )

    def _first(self, walk: Walk, *, counted: bool) -> str:
        """What is asked in v1.0: a field's conditions are the content of its element."""
        service, name = self._service, self._query.object.name
        found = self._conditions(walk)
        cells = "".join(element(tag, content(found[tag]) if tag in found else "") for tag in self._tags(found))
        return (
            f'<{service.input_tag("QueryPage")} xmlns="{service.namespace}"><PageSize>{self._size}</PageSize>'
            f'<{service.list_tag} xmlns="{service.query_namespace}"><{name}>{cells}</{name}></{service.list_tag}>'
            f"<StartRowNum>{walk.row}</StartRowNum></{service.input_tag('QueryPage')}>"
        )

    def _tags(self, more: dict[str, Any]) -> list[str]:
        """The fields to ask for, in the order of the description, which is that of the WSDL."""
        wanted = {*self._rows.tags, *more}
        return [field.name for field in self._query.object.fields if field.name in wanted]

    def _order(self, walk: Walk) -> dict[str, str]:
        key = self._query.object.key
        asked = [(readable_field(self._query.object, one.field), one.descending) for one in self._query.order]
        for field, _ in asked:
            if not field.sortable:
                raise RequestError(
                    f"Oracle CRM On Demand can't sort by {self._query.object.name}.{field.name} ({field.wire_type}).",
                    hint="Order by another field, or sort the rows after the import.",
                )
        ranked = [(field.name, descending) for field, descending in asked]
        if all(name != key for name, _ in ranked):
            ranked.append((key, False))
        return {
            name: f' sortorder="{"DESC" if descending else "ASC"}" sortsequence="{rank}"'
            for rank, (name, descending) in enumerate(ranked, start=1)
        }

    def _split(self) -> list[str]:
        """Which of the order's fields are empty, one after the other in the order wanted: where the service puts
        records without a value is not sure."""
        if not self._query.order or not self._service.is_v2:
            return [""]
        choices: list[tuple[str, ...]] = []
        for one in self._query.order[:_MOST_SPLIT_FIELDS]:
            field = readable_field(self._query.object, one.field)
            splits = field.nullable and field.filterable
            halves = ("f", "e") if one.descending else ("e", "f")
            choices.append(halves if splits else ("-",))
        return ["".join(one) for one in product(*choices)]

    def _specification(self, walk: Walk) -> str:
        search, remote = self._search, self._query.object
        parts: list[str] = []
        if self._query.window is not None:
            name = readable_field(remote, self._query.window.field).name
            parts += [search.any_of(name, one) for one in search.window(self._query.window)]
        condition = self._rest(walk)
        if condition is not None:
            parts.append(search.specification(condition))
        if walk.end >= 0:
            parts.append(search.any_of(*self._values(walk)))
        for letter, one in zip(walk.empty, self._query.order, strict=False):
            if letter != "-":
                field = readable_field(remote, one.field)
                parts.append(f"[{field.name}] {EMPTY if letter == 'e' else FILLED}")
        if walk.after and not walk.by_rows:
            parts.append(f"[{remote.key}] > '{checked_id(walk.after)}'")
        return joined(parts, "AND") if parts else ""

    def _conditions(self, walk: Walk) -> dict[str, list[Terms]]:
        search, remote = self._search, self._query.object
        found: dict[str, list[Terms]] = {}
        if self._query.window is not None:
            name = readable_field(remote, self._query.window.field).name
            found.setdefault(name, []).extend(search.window(self._query.window))
        condition = self._rest(walk)
        if condition is not None:
            for name, terms in search.by_field(condition).items():
                found.setdefault(name, []).extend(terms)
        if walk.end >= 0:
            name, listed = self._values(walk)
            found.setdefault(name, []).append(listed)
        return found

    def _rest(self, walk: Walk) -> Condition | None:
        """The condition without the list that the walk has a part of."""
        condition = self._query.condition
        if self._query.ids is None and walk.end >= 0 and (cut := long_list(condition)) is not None:
            return without(condition, cut)
        return condition

    def _values(self, walk: Walk) -> tuple[str, Terms]:
        name, values = self._listed()
        field = readable_field(self._query.object, name)
        return field.name, self._search.one_of(field, values[walk.start : walk.end])

    def _listed(self) -> tuple[str, Sequence[Any]]:
        """The field and the values by which the query can be cut: its ids, or its longest list."""
        remote = self._query.object
        if self._query.ids is not None:
            return remote.key, tuple(dict.fromkeys(checked_id(one) for one in self._query.ids))
        comparison = long_list(self._query.condition)
        return (comparison.field, tuple(dict.fromkeys(several(comparison.value)))) if comparison else ("", ())

    def _parts(self) -> tuple[Walk, ...]:
        """The whole query, or parts of at most so many values."""
        _, values = self._listed()
        if self._query.ids is None and len(values) <= _MOST_VALUES:
            return (Walk(),)
        step = min(_MOST_VALUES, self._size)
        return tuple(Walk(start=start, end=min(start + step, len(values))) for start in range(0, len(values), step))

    def _wrong(self, how: str) -> ProtocolError:
        return ProtocolError(f"“{self._what}” {how}.", hint=_AGAIN)


def ids_per_page(rows_per_page: int) -> int:
    """How many ids a query takes: as many as a page has records."""
    return min(_MOST_VALUES, rows_per_page)

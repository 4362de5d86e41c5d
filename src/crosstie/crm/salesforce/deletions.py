"""What was deleted: the deletion feed, merges, and the recycle bin where an object has no feed.

Sources: "sObject Get Deleted", REST API guide; "Data Replication", SOAP API guide. The feed takes whole minutes, both
ends included, gives at most 600,000 ids, and reaches back as far as the org says, 15 days by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from crosstie.crm.connector import Comparison, Group, Operator, RemoteQuery, Road
from crosstie.crm.http import REPORT, Answer
from crosstie.crm.lookup import Read
from crosstie.crm.salesforce.ids import complete_id
from crosstie.crm.salesforce.replication import (
    BAD_DATE,
    SPAN,
    between,
    covered_of,
    covered_of_error,
    instant_of,
    minute,
)
from crosstie.crm.salesforce.session import Session
from crosstie.crm.writing import REMOTE_ID, DeletedRecords, DeletionReach, DeletionRoad
from crosstie.errors import ProtocolError, RequestError
from crosstie.model import FieldType, IndexRange, RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa

RETENTION = timedelta(days=15)
"""How far the feed and the recycle bin reach back unless the org says otherwise."""

BIN_GUARD = timedelta(minutes=15)
"""How long a commit may take to become visible: the recycle bin does not tell of open transactions as the feed does."""

_MERGED = "MasterRecordId"
_STAMP = "SystemModstamp"
_MERGEABLE = frozenset({"account", "contact", "lead", "case"})
_TOO_MANY = "EXCEEDED_ID_LIMIT"


class _Deleted(msgspec.Struct, rename="camel"):
    id: str
    deleted_date: str


class _Feed(msgspec.Struct, rename="camel"):
    deleted_records: tuple[_Deleted, ...]
    earliest_date_available: str = ""


class Deletions:
    """The deletions of one org. `read` runs a query, `now` is Salesforce's clock."""

    def __init__(self, session: Session, read: Read, now: Callable[[], datetime]) -> None:
        self._session = session
        self._read = read
        self._now = now

    def reach(self, remote: RemoteObject, road: DeletionRoad) -> DeletionReach:
        """Which deletions can be had now. One call where the feed answers."""
        if road is DeletionRoad.FEED and remote.tracks_deletions:
            earliest, covered = self._bounds(remote)
            return DeletionReach(road=road, earliest=earliest, covered=covered, reason="the deletion feed")
        if not keeps_deleted(remote):
            raise self._kept_nowhere(remote)
        now = self._now()
        why = "asked for" if remote.tracks_deletions else f"{remote.name} has no deletion feed"
        return DeletionReach(
            road=DeletionRoad.RECYCLE_BIN,
            earliest=now - RETENTION,
            covered=now - BIN_GUARD,
            reason=f"the recycle bin: {why}; what was deleted for good is not in it",
        )

    def deleted(
        self, remote: RemoteObject, start: datetime | None, end: datetime, road: DeletionRoad
    ) -> DeletedRecords:
        """The records deleted from `start` to `end`, both included; None is as far back as they are kept."""
        if start is not None and end < start:
            raise RequestError(
                f"Deletions of {remote.name} from {_shown(start)} to {_shown(end)}: the end comes first."
            )
        end = end.astimezone(UTC)
        by_feed = road is DeletionRoad.FEED and remote.tracks_deletions
        if start is None:
            # A little later than what is kept: that moves on while it is asked for.
            start = _whole_minute_after(self._earliest(remote)) + SPAN if by_feed else self._now() - RETENTION + SPAN
            if end < start:
                return DeletedRecords(batches=iter(()), covered=end)
        start = start.astimezone(UTC)
        return self._from_feed(remote, start, end) if by_feed else self._from_bin(remote, start, end)

    def gone(self, remote: RemoteObject, ids: Iterable[str]) -> set[str]:
        """Those of the ids that the feed knows as deleted; none where an object has no feed."""
        wanted = set(ids)
        if not remote.tracks_deletions or not wanted:
            return set()
        now = self._now()
        found = self._feed(remote, minute(now - RETENTION) + SPAN, _whole_minute_after(now))[0]
        return wanted.intersection(*[{one for batch in found for one in batch.column(REMOTE_ID).to_pylist()}])

    def _from_feed(self, remote: RemoteObject, start: datetime, end: datetime) -> DeletedRecords:
        if start < minute(self._now() - RETENTION):
            self._refuse_too_early(remote, start, self._earliest(remote))
        first, last = minute(start), _whole_minute_after(end)
        found, covered = self._feed(remote, min(first, last - SPAN), last)
        merged = self._merges(remote, start) if any(batch.num_rows for batch in found) else {}
        whole = (_within(batch, start, end, merged) for batch in found)
        return DeletedRecords(batches=(one for one in whole if one.num_rows), covered=min(end, covered))

    def _feed(self, remote: RemoteObject, start: datetime, end: datetime) -> tuple[list[pa.RecordBatch], datetime]:
        """What the feed has in whole minutes, cut in two wherever it is too much; and up to when it is all there."""
        path = f"sobjects/{remote.name}/deleted/?{between(start, end)}"
        try:
            answer = self._session.get(path, f"deletions of {remote.name}")
        except RequestError as error:
            return self._otherwise(remote, start, end, error)
        feed: _Feed = answer.decoded(_Feed, "is not a list of deletions")
        if feed.earliest_date_available:
            self._refuse_too_early(
                remote, start, instant_of(feed.earliest_date_available, "earliestDateAvailable", answer)
            )
        return [_batch(feed.deleted_records, answer)], covered_of(answer)

    def _otherwise(
        self, remote: RemoteObject, start: datetime, end: datetime, error: RequestError
    ) -> tuple[list[pa.RecordBatch], datetime]:
        if error.code == _TOO_MANY and end - start > SPAN:
            middle = minute(start + (end - start) / 2)
            seam = max(middle, start + SPAN)
            early, covered = self._feed(remote, start, seam)
            late, until = self._feed(remote, min(middle, end - SPAN), end)
            return [*early, *(_behind(batch, seam) for batch in late)], until if covered >= seam else covered
        if error.code == _TOO_MANY:
            raise RequestError(
                f"More {remote.name} records were deleted from {_shown(start)} to {_shown(end)} than the deletion feed "
                "can tell of.",
                hint="What lies in the recycle bin can be read from there; a comparison of keys finds all of it.",
                code=error.code,
                request_id=error.request_id,
            ) from error
        if error.code != BAD_DATE:
            raise error
        covered_before = covered_of_error(error)
        if covered_before is None:
            self._refuse_too_early(remote, start, self._earliest(remote))
            raise error
        last = minute(covered_before)
        if last - start < SPAN:
            return [], covered_before
        return self._feed(remote, start, last)[0], covered_before

    def _bounds(self, remote: RemoteObject) -> tuple[datetime, datetime]:
        """From when deletions can be had and up to when they are all there, by a call for the last two minutes; by two
        where the clock that we know was that of an answer of long ago."""
        now = minute(self._now())
        found = self._bounds_at(remote, now)
        if minute(self._now()) - now > SPAN:
            found = self._bounds_at(remote, minute(self._now()))
        return found

    def _bounds_at(self, remote: RemoteObject, now: datetime) -> tuple[datetime, datetime]:
        try:
            answer = self._session.get(
                f"sobjects/{remote.name}/deleted/?{between(now - SPAN, now)}", f"deletions of {remote.name}"
            )
        except RequestError as error:
            if error.code != BAD_DATE:
                raise
            covered = covered_of_error(error)
            # Without it the log was purged within these minutes.
            return (now, now) if covered is None else (self._earliest(remote), covered)
        feed: _Feed = answer.decoded(_Feed, "is not a list of deletions")
        if not feed.earliest_date_available:
            return now - RETENTION, covered_of(answer)
        return instant_of(feed.earliest_date_available, "earliestDateAvailable", answer), covered_of(answer)

    def _earliest(self, remote: RemoteObject) -> datetime:
        """From when deletions can be had, by a call that asks for two minutes of them, an hour ago: no transaction is
        open for so long."""
        now = minute(self._now())
        ago = now - timedelta(hours=1)
        try:
            answer = self._session.get(
                f"sobjects/{remote.name}/deleted/?{between(ago - SPAN, ago)}", f"deletions of {remote.name}"
            )
        except RequestError as error:
            if error.code != BAD_DATE:
                raise
            return now  # the log was purged within the hour
        feed: _Feed = answer.decoded(_Feed, "is not a list of deletions")
        if not feed.earliest_date_available:
            return now - RETENTION
        return instant_of(feed.earliest_date_available, "earliestDateAvailable", answer)

    def _refuse_too_early(self, remote: RemoteObject, start: datetime, earliest: datetime) -> None:
        if start < earliest:
            raise RequestError(
                f"Salesforce no longer has all deletions of {remote.name} since {_shown(start)}; they can still be had "
                f"from {_shown(_whole_minute_after(earliest))}.",
                hint="Ask from then on. What was deleted before shows in a comparison of keys: read the ids of all "
                "records and look for those that are missing.",
                code=BAD_DATE,
            )

    def _from_bin(self, remote: RemoteObject, start: datetime, end: datetime) -> DeletedRecords:
        if not keeps_deleted(remote):
            raise self._kept_nowhere(remote)
        now = self._now()
        self._refuse_too_early(remote, start, now - RETENTION)
        window = IndexRange(field=_STAMP, start=start, end=end + timedelta(seconds=1))
        merged = self._merges(remote, start)
        batches = self._read(_in_bin(remote, (remote.key, _STAMP), window))
        found = (_binned(batch, start, end, merged) for batch in batches)
        return DeletedRecords(batches=(one for one in found if one.num_rows), covered=min(end, now - BIN_GUARD))

    def _kept_nowhere(self, remote: RemoteObject) -> RequestError:
        return RequestError(
            f"Salesforce keeps no deletions of {remote.name}: the object has no deletion feed, and no recycle bin that "
            "can be read.",
            hint="Compare key sets instead: read the ids of all records and look for those that are missing.",
        )

    def _merges(self, remote: RemoteObject, start: datetime) -> dict[str, str]:
        """The losers of merges since `start`, each with the survivor, also where that one lost to another since."""
        if remote.name.lower() not in _MERGEABLE or remote.field(_MERGED) is None or remote.field("IsDeleted") is None:
            return {}
        window = None
        if remote.field(_STAMP) is not None:
            window = IndexRange(field=_STAMP, start=start, end=self._now() + timedelta(days=1))
        merged: dict[str, str] = {}
        lost = Comparison(field=_MERGED, operator=Operator.NOT_EMPTY)
        for batch in self._read(_in_bin(remote, (remote.key, _MERGED), window, lost)):
            merged.update(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))
        return {loser: _survivor(loser, merged) for loser in merged}


def keeps_deleted(remote: RemoteObject) -> bool:
    """Whether deleted records of an object lie in a recycle bin that can be read."""
    stamp = remote.field(_STAMP)
    return remote.field("IsDeleted") is not None and stamp is not None and stamp.type is FieldType.DATETIME


def tells_deletions(remote: RemoteObject) -> bool:
    """Whether deletions of an object can be had at all."""
    return remote.tracks_deletions or keeps_deleted(remote)


def _survivor(loser: str, merged: dict[str, str]) -> str:
    """Follows merges of survivors; a circle, which no CRM should answer with, ends where it closes."""
    seen, here = {loser}, merged[loser]
    while here in merged and here not in seen:
        seen.add(here)
        here = merged[here]
    return here


def _in_bin(remote: RemoteObject, fields: tuple[str, ...], window: IndexRange | None, *more: Comparison) -> RemoteQuery:
    deleted = Comparison(field="IsDeleted", operator=Operator.EQUAL, value=True)
    return RemoteQuery(
        object=remote,
        fields=fields,
        condition=Group(all=True, items=(deleted, *more)),
        window=window,
        road=Road.PAGES,
        include_deleted=True,
    )


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in (REMOTE_ID, "deleted_at", "merged_into")])


def _batch(records: Iterable[_Deleted], answer: Answer) -> pa.RecordBatch:
    """The feed's records; few different stamps, so each is read once."""
    import pyarrow as pa

    known: dict[str, str] = {}
    ids, stamps = [], []
    for one in records:
        whole = complete_id(one.id)
        if whole is None:
            raise ProtocolError(
                f"“{answer.what}” names “{one.id[:40]}”, which is not an id.", hint=REPORT, request_id=answer.request_id
            )
        stamp = known.get(one.deleted_date)
        if stamp is None:
            stamp = known[one.deleted_date] = _text(instant_of(one.deleted_date, "deletedDate", answer))
        ids.append(whole)
        stamps.append(stamp)
    columns = [pa.array(ids, pa.string()), pa.array(stamps, pa.string()), pa.nulls(len(ids), pa.string())]
    return pa.RecordBatch.from_arrays(columns, schema=_schema())


def _behind(batch: pa.RecordBatch, seam: datetime) -> pa.RecordBatch:
    """What the earlier of two windows does not have: they meet in a minute that both include."""
    import pyarrow.compute as pc

    return batch.filter(pc.greater(batch.column(1), _text(seam)))


def _within(batch: pa.RecordBatch, start: datetime, end: datetime, merged: dict[str, str]) -> pa.RecordBatch:
    """The records that were deleted between the two instants themselves, with the survivors of their merges."""
    import pyarrow as pa
    import pyarrow.compute as pc

    stamps = batch.column(1)
    batch = batch.filter(pc.and_(pc.greater_equal(stamps, _text(start)), pc.less_equal(stamps, _text(end))))
    survivors = [merged.get(one) for one in batch.column(0).to_pylist()] if merged else [None] * batch.num_rows
    columns = [batch.column(0), batch.column(1), pa.array(survivors, pa.string())]
    return pa.RecordBatch.from_arrays(columns, schema=_schema())


def _binned(batch: pa.RecordBatch, start: datetime, end: datetime, merged: dict[str, str]) -> pa.RecordBatch:
    import pyarrow as pa

    from crosstie.crm.salesforce.literals import wire_instant

    stamps = [_text(wire_instant(one)) for one in batch.column(1).to_pylist()]
    columns = [batch.column(0), pa.array(stamps, pa.string()), pa.nulls(batch.num_rows, pa.string())]
    return _within(pa.RecordBatch.from_arrays(columns, schema=_schema()), start, end, merged)


def _text(instant: datetime) -> str:
    """ISO text in UTC of fixed width, which sorts."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03}Z"


def _whole_minute_after(instant: datetime) -> datetime:
    below = minute(instant)
    return below if below == instant else below + timedelta(minutes=1)


def _shown(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

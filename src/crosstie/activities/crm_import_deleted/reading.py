"""What was deleted in a span of time: from the CRM's feed or bin into a private table, without what lives.

Order of things that a kill can interrupt: the window (or the two dates) is stored before the CRM is asked; what was
read stays under private names until the runner publishes it. So a second attempt asks for the same span.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from crosstie.activities.crm_import_deleted.dates import TICK, moment_of
from crosstie.activities.receiving.asides import ID, drop_living
from crosstie.activities.receiving.finishing import find_late, next_tail, without_repeats, without_tail
from crosstie.activities.receiving.indexing import Indexing
from crosstie.activities.receiving.tracking import TrackedChanges
from crosstie.activities.remote import collected_object
from crosstie.crm.connector import Connector
from crosstie.crm.writing import DeletedRecords, DeletionReach, DeletionRoad
from crosstie.db.database import Transaction
from crosstie.errors import ConfigError, MappingError, RequestError, UnavailableError
from crosstie.model import Column, RemoteObject
from crosstie.script.template import Template
from crosstie.sync import windows
from crosstie.workflow.activity import OK, Context, Done, Shape

if TYPE_CHECKING:
    from crosstie.activities.crm_import_deleted import CrmImportDeleted

_START, _END = "deletedFrom", "deletedUpTo"
# The edge of what is kept moves on while it is asked for.
_EDGE = timedelta(minutes=2)
_ABSENT = "Nothing was read. What was deleted before that is found by an import with “by: compare”."


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From when to when, both included; `start` None is as far back as deletions are kept. With an automatic index
    also its window and the tail of the last one."""

    start: datetime | None
    end: datetime
    window: windows.Window | None = None
    tail: windows.Tail | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to ask for."""
        return self.start is not None and self.start > self.end


def import_deleted(activity: CrmImportDeleted, context: Context) -> Done:
    """Reads what was deleted. Raises ConfigError, and the errors of the connector and the database."""
    connector = context.connector(activity.account)
    remote = collected_object(context.site, activity.account, activity.object)
    shape = activity.shape(remote, context.site, org=connector.org_id())
    road = DeletionRoad(activity.by.value)
    reach = connector.deletion_reach(remote, road)
    context.log.info(
        f"by {reach.reason}; from {windows.option_text(reach.earliest)} to {windows.option_text(reach.covered)} (UTC)"
    )
    span = _indexed(activity, context, connector, shape, reach) if activity.index else _dated(activity, context, reach)
    reader = Reader(context=context, connector=connector, remote=remote, shape=shape)
    if not span.is_empty:
        found = connector.deleted(remote, span.start, span.end, road)
        if span.window is not None and found.covered < span.end:
            raise UnavailableError(
                f"The CRM cannot tell yet all {remote.name} records that were deleted up to"
                f" {windows.option_text(span.end)} (UTC).",
                hint="A transaction is open there. Run it again later.",
            )
        reader.load(found)
        reader.leave_out_seen(span)
        if reach.road is DeletionRoad.FEED:
            reader.leave_out_living()
    return reader.done(span.window)


def import_tracked(activity: CrmImportDeleted, context: Context) -> Done:
    """Reads what was deleted since the last import, by the token that its window keeps. Raises as `import_deleted`."""
    connector = context.connector(activity.account)
    remote = collected_object(context.site, activity.account, activity.object)
    shape = activity.shape(remote, context.site, org=connector.org_id())
    indexing, option = _indexing(activity, context, connector, shape)

    def end(start: datetime | None, now: datetime) -> datetime:
        _token(context, indexing, option, start)  # refused before a window is opened
        return max(start or now, now).replace(second=0, microsecond=0)

    window, _ = indexing.window(option, end)
    indexing.tell(window)
    reader = Reader(context=context, connector=connector, remote=remote, shape=shape)
    changed, gone = context.private_name("changed"), context.private_name("gone")
    changes = TrackedChanges(context=context, connector=connector, remote=remote, changed=changed, gone=gone)
    if not changes.read(_token(context, indexing, option, window.start)):
        raise RequestError(
            f"The CRM no longer has the changes of {remote.name} since the last import of its deletions.",
            hint="Import once with “by: compare”, which finds what was deleted meanwhile; then let the tracking begin"
            f" anew (crosstie option set {option} ''), and run it more often than the CRM keeps changes.",
        )
    reader.take(gone)
    reader.leave_out_living()
    return reader.done(window, token=changes.token)


def _token(context: Context, indexing: Indexing, option: str, start: datetime | None) -> str:
    """The token from which a window with that start goes on; '' for the first one, which tells of nothing yet."""
    if start is None:
        return ""
    with context.db.reading() as transaction:
        last = windows.last_confirmed(transaction, option)
    if last is None or not last.job or last.end != start or last.fingerprint != indexing.fingerprint:
        raise ConfigError(
            f"Option {option} holds {windows.option_text(start)} (UTC), from where change tracking of"
            f" {indexing.object} can't go on: it goes by tokens, and has none of then.",
            hint=f"{_ABSENT} Let the tracking begin anew: crosstie option set {option} ''",
        )
    return last.job


def _dated(activity: CrmImportDeleted, context: Context, reach: DeletionReach) -> Span:
    """The span between the dates of the definition, as of the run's beginning; the same for a second attempt."""
    kept = (context.state.get(_START), context.state.get(_END))
    if isinstance(kept[0], datetime) and isinstance(kept[1], datetime):
        return Span(start=kept[0], end=kept[1])
    assert activity.start is not None  # said by validation
    scope, zone = replace(context.scope(), now=context.run_started), context.zone
    start, end = moment_of("start", activity.start, scope).first(zone), reach.covered
    if activity.end is not None:
        end = moment_of("end", activity.end, scope).last(zone)
        if start > end:
            raise MappingError(
                f"start, {_local(start, zone)}, comes after end, {_local(end, zone)}.", hint="Nothing was read."
            )
    if start < reach.earliest:
        raise ConfigError(
            f"start is {_local(start, zone)}, but deletions of {activity.object} can only be had from"
            f" {_local(reach.earliest, zone, up=True)} on.",
            hint=f"{_ABSENT} Set start to a later date.",
        )
    if end > reach.covered:
        context.log.info(
            f"The CRM vouches for deletions up to {_local(reach.covered, zone)}: what comes to light after that is not"
            " in this import."
        )
        end = reach.covered
    with context.step(f"the dates of {context.activity}") as transaction:
        context.keep(transaction, {_START: start, _END: end})
    return Span(start=start, end=end)


def _indexed(
    activity: CrmImportDeleted, context: Context, connector: Connector, shape: Shape, reach: DeletionReach
) -> Span:
    """The window of the automatic index; the first one has all that is kept."""
    indexing, option = _indexing(activity, context, connector, shape)
    window, tail = indexing.window(option, _end_of(option, activity.object, reach))
    indexing.tell(window)
    since = window.read_from
    if since is not None and window.start is not None:
        since = max(since, min(window.start, reach.earliest + _EDGE))
    ahead = window.start is not None and window.start > reach.covered  # then there is only the overlap, if that
    return Span(start=since, end=reach.covered if ahead else window.end - TICK, window=window, tail=tail)


def _indexing(activity: CrmImportDeleted, context: Context, connector: Connector, shape: Shape) -> tuple[Indexing, str]:
    """What opens the window of the automatic index, and the name of its option."""
    assert activity.index is not None and shape.lineage is not None
    option = Template(activity.index.option).render(context.scope())
    told = repr((activity.account, activity.object, activity.by, [(one.name, one.type) for one in shape.columns]))
    indexing = Indexing(
        context=context,
        connector=connector,
        account=activity.account,
        org=shape.lineage.org,
        object=shape.lineage.object,
        fingerprint=hashlib.sha256(told.encode()).hexdigest()[:32],
        field=windows.DELETIONS,
        overlap=activity.index.overlap,
    )
    return indexing, option


def _end_of(option: str, name: str, reach: DeletionReach) -> Callable[[datetime | None, datetime], datetime]:
    """The end of a new window: a whole minute, and nothing after it. Refuses a start before what is still kept."""

    def end(start: datetime | None, now: datetime) -> datetime:
        last = reach.covered.replace(second=0, microsecond=0)
        if start is None:
            return last
        if start < reach.earliest:
            raise ConfigError(
                f"Option {option} holds {windows.option_text(start)} (UTC), but deletions of {name} can only be had"
                f" from {windows.option_text(reach.earliest)} (UTC) on.",
                hint=f"{_ABSENT} After that go on from there: crosstie option set {option} ''",
            )
        return max(last, start)

    return end


@dataclass(slots=True, kw_only=True)
class Reader:
    """What is being read, in private tables. `table` has one row per record once something is loaded."""

    context: Context
    connector: Connector
    remote: RemoteObject
    shape: Shape
    table: str = ""
    loaded: int = 0
    seen: int = 0
    living: int = 0
    next_tail: str = ""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those of what is put out: remote id, when, survivor."""
        return self.shape.columns

    @property
    def key(self) -> str:
        """The column of the remote id."""
        return self.columns[0].name

    def load(self, found: DeletedRecords) -> None:
        """Loads them, each record once, with its last deletion."""
        import pyarrow as pa

        db, raw = self.context.db, self.context.private_name("raw")
        db.create_work(raw, self.columns)
        stamps = pa.timestamp("us", "UTC")
        batches = iter(found.batches)
        first = next(batches, None)
        if first is not None:
            rows = 0
            with db.load(raw, self.columns, expected_rows=first.num_rows) as load:
                for batch in itertools.chain((first,), batches):
                    typed = [batch.column(0), batch.column(1).cast(stamps), batch.column(2)]
                    load.write(pa.RecordBatch.from_arrays(typed, names=[one.name for one in self.columns]))
                    rows += batch.num_rows
                    self.context.progress(rows, None)
        self.table, _ = without_repeats(
            db, raw, self.context.private_name("once"), self.columns, key=self.key, stamp=self.columns[1].name
        )

    def take(self, ids: str) -> None:
        """Takes the deletions from a table of ids, each record once; nobody says when they were."""
        db, key = self.context.db, self.context.db.quote(self.key)
        self.table = self.context.private_name("once")
        db.create_work(self.table, self.columns)
        with db.transaction("deletions by tracking") as transaction:
            self.loaded = transaction.execute(
                f"insert into crosstie.{self.table} ({key}) select distinct {ID.name} from crosstie.{ids}"
            )

    def leave_out_seen(self, span: Span) -> None:
        """Keeps what the next window's overlap will see again, and leaves out what the last window had."""
        window, db = span.window, self.context.db
        self.loaded = self.rows()
        if window is None:
            return
        stamp = self.columns[1].name
        self.next_tail = self.context.private_name("tail")
        next_tail(db, self.table, self.next_tail, window, columns=self.columns, stamp=stamp)
        if span.tail is not None:
            find_late(self.context, self.table, span.tail, window, key=self.key, stamp=stamp)
            names = [one.name for one in self.columns]
            self.seen = without_tail(db, self.table, span.tail, window, key=self.key, columns=names)

    def leave_out_living(self) -> None:
        """Leaves out the records that the CRM has: they were undeleted, or the feed named them without reason."""
        if not self.rows():
            return
        self.living = drop_living(self.context, self.connector, self.remote, self.table, self.key)
        if self.living:
            self.context.log.info(
                f"{self.living:,} of the records that the feed names are there: undeleted, or never deleted. They are"
                " left out."
            )

    def rows(self, what: str = "*") -> int:
        """How many rows there are now, or how many of them have that column filled."""
        with self.context.db.reading() as transaction:
            row = transaction.row(f"select count({what}) from crosstie.{self.table}")
        return int(row[0]) if row else 0

    def done(self, window: windows.Window | None = None, *, token: str = "") -> Done:
        """What to publish: the records, the variables of an index, and the window's record in the same commit, with
        the token from which the next window goes on."""
        context = self.context
        if not self.table:
            self.table = context.private_name()
            context.db.create_work(self.table, self.columns)
        rows, merged = self.rows(), self.rows(context.db.quote(self.columns[2].name))
        counts = {"rows": rows}
        for word, number in (("merged", merged), ("alive", self.living), ("seen before", self.seen)):
            if number:
                counts[word] = number
        tables = {OK: self.shape.work_table(self.table, rows)}
        if window is None:
            return Done(tables=tables, counts=counts)

        def record(transaction: Transaction) -> None:
            windows.record_read(transaction, window, rows=self.loaded, tail_table=self.next_tail)
            if token:
                windows.keep_job(transaction, window, token)

        return Done(tables=tables, counts=counts, vars=windows.variables(window), effect=record)


def _local(instant: datetime, zone: ZoneInfo, *, up: bool = False) -> str:
    """An instant for people, on the clock of that zone; `up` to the minute that is not before it."""
    if up and instant != instant.replace(second=0, microsecond=0):
        instant = instant.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"

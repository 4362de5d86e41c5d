"""The work of an import: read what was planned, load it, and leave what is to be published.

Order of things that a kill can interrupt: the window is stored before the CRM is asked; the remote job before anything
waits for it; everything read stays under private names until the runner publishes it. So a second attempt finds its
window and its job, and reads into fresh tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from crosstie.activities.crm_import import DELETED, LEAVERS
from crosstie.activities.crm_import.joining import Inbound
from crosstie.activities.crm_import.leaving import Leavers
from crosstie.activities.crm_import.planning import Plan, check_fields, check_linked_fields, described, make_plan
from crosstie.activities.crm_import.tracking import Tracked
from crosstie.activities.crm_import.unlisted import Unlisted
from crosstie.activities.receiving.converting import REJECT_SYMBOL
from crosstie.activities.receiving.finishing import find_late, next_tail, without_repeats, without_tail
from crosstie.activities.receiving.pipeline import Pipeline, Uniqueness
from crosstie.crm.connector import Connector, RemoteQuery, Road
from crosstie.db.database import Load, Transaction
from crosstie.errors import ProtocolError
from crosstie.model import Column, WorkTable
from crosstie.sync import windows
from crosstie.workflow.activity import OK, REJECTS, Context, Done, Reject, Scalar, Shape

if TYPE_CHECKING:
    from crosstie.activities.crm_import import CrmImport


def import_records(activity: CrmImport, context: Context) -> Done:
    """Reads what the activity asks for into a private work table. Raises the errors of the connector and database."""
    connector = context.connector(activity.account)
    remote = described(activity, context, connector)
    plan = make_plan(activity, context, connector, remote)
    reader = _Reader(activity, context, connector, plan)
    reader.read()
    if reader.landing.rows or reader.landing.rejected:
        now = connector.describe(remote.name, known=remote)
        check_fields(activity, now)
        check_linked_fields(activity, context, connector, now)
    return reader.done()


@dataclass(slots=True)
class Landing:
    """What an import has in hand: the table to publish and its counts."""

    table: str = ""
    rows: int = 0
    loaded: int = 0
    rejected: int = 0
    seen_before: int = 0
    dismissed: int = 0
    without_record: int = 0
    tail_table: str = ""


class _Reader:
    """Reads one plan into private tables."""

    def __init__(self, activity: CrmImport, context: Context, connector: Connector, plan: Plan) -> None:
        self.activity = activity
        self.context = context
        self.connector = connector
        self.plan = plan
        self.unique = Uniqueness()
        self.reopened_before = connector.usage.reopened
        # What is asked for again by id; it may be in the window too.
        self.asked: frozenset[str] = frozenset()
        self.refused_in_window: set[str] = set()
        self.landing = Landing()
        self.refused_before: tuple[str, ...] = ()
        self.refused_still: tuple[str, ...] = ()
        self.inbound = Inbound.of(activity, context, connector, plan)
        self.leavers = Leavers.of(activity, context, connector, plan)
        self.tracked = Tracked.of(activity, context, connector, plan)
        self.unlisted = Unlisted.of(activity, context, plan.remote, plan.shape.columns)
        self.rejects_name = context.private_name("refused" if self.inbound is not None else REJECTS)
        self.reject_columns = plan.converter.reject_table
        self.name = context.private_name(OK)
        self.raw_columns = plan.converter.columns

    def read(self) -> None:
        """Loads everything, then makes it one row per remote id and leaves out what the last window had."""
        raw = self.context.private_name("raw")
        self.context.db.create_work(raw, self.raw_columns)
        with ExitStack() as stack:
            rejects = _LazyLoad(self.context, self.rejects_name, self.reject_columns, stack, created=False)
            load = _LazyLoad(self.context, raw, self.raw_columns, stack, created=True)
            for query, token in self._queries():
                self._load(query, token, load, rejects)
        self._finish(raw)

    def _queries(self) -> Iterator[tuple[RemoteQuery, str]]:
        """The reads to make: the window (or the population in slices), and the ids that were refused before."""
        with self.context.db.reading() as transaction:
            self.refused_before = windows.unaccepted(transaction, self.plan.window.option)
        if self.inbound is not None:
            self.inbound.complete()
            self.refused_before = self.inbound.known_among(self.refused_before)
            yield from self.inbound.queries()
            return
        if self.tracked is not None:
            if self.tracked.held:
                self.refused_before = ()
                return
            # What was refused is asked for with what changed, by the same list of ids.
            yield from ((query, "") for query in self.tracked.queries(self.refused_before))
            return
        ids = self.refused_before if self.plan.window.moves_option else ()
        self.asked = frozenset(ids)
        yield self.plan.query, self.plan.window.job
        if ids:
            # By pages in any case: the job that is kept has to stay the window's own.
            self.unique.proved = False
            again = replace(self.plan.query, window=None, order=(), road=Road.PAGES)
            yield replace(again, ids=ids, expected_rows=len(ids)), ""

    def _load(self, query: RemoteQuery, token: str, load: _LazyLoad, rejects: _LazyLoad) -> None:
        opened = self.connector.open(query, self._keep, token=token)
        in_blocks = self.inbound is not None and query.ids is not None
        expected = self.inbound.asked if self.inbound is not None and in_blocks else opened.expected_rows
        if not in_blocks:
            self.context.log.info(opened.reason)
        load.expect(expected)
        limits = self.connector.limits(query.object.name)
        # What is asked for again by id comes behind the rows of an ordered read.
        behind = bool(self.plan.query.order) and not query.order
        pipeline = Pipeline(self.connector, query, self.plan.converter, limits.parallel_fetches, behind=behind)
        key = [column.name for column in self.raw_columns].index(self.plan.key)
        for converted in pipeline.converted(opened.partitions):
            if converted.good.num_rows:
                self.unique.add(converted.good.column(key))
                load.write(converted.good)
                self.landing.loaded += converted.good.num_rows
            bad = self._first_refusals(converted.bad, key, again=query.window is None)
            if bad is not None:
                rejects.write(bad)
                self.landing.rejected += bad.num_rows
            self.context.progress(self.landing.loaded + self.landing.rejected, expected)

    def _first_refusals(self, bad: pa.RecordBatch | None, key: int, *, again: bool) -> pa.RecordBatch | None:
        """The refused rows, without those that the window brought already."""
        if bad is None or not self.asked:
            return bad
        ids = bad.column(key).to_pylist()
        if not again:
            self.refused_in_window.update(self.asked.intersection(ids))
            return bad
        return bad.filter(pa.array([one not in self.refused_in_window for one in ids], pa.bool_()))

    def _keep(self, job: str) -> None:
        with self.context.db.transaction(f"remote job of {self.plan.window.option}") as transaction:
            windows.keep_job(transaction, self.plan.window, job)

    def _finish(self, raw: str) -> None:
        db, plan, landing = self.context.db, self.plan, self.landing
        names = [column.name for column in self.raw_columns]
        landing.table, repeats = raw, 0
        refused = self.rejects_name if landing.rejected else ""
        if self.inbound is not None:
            if refused and self.inbound.whole:
                landing.rejected -= self.inbound.leave_out_others(refused)
            self.inbound.find_missing(raw, refused)
        if self.leavers is not None:
            self.leavers.find(raw, refused)
        # An ordered read, or one that was opened anew, may begin again.
        once = not plan.query.order and self.connector.usage.reopened == self.reopened_before
        if once and refused and self.inbound is None:
            self._refuse_doubled(raw, refused)
        if landing.rejected:
            self._leave_out_known_rejects()
        if not self.unique.holds():
            landing.table, repeats = without_repeats(
                db, raw, self.context.private_name("once"), self.raw_columns, key=plan.key, stamp=plan.stamp
            )
            if repeats and once and not self.asked:
                raise self._repeated(repeats)
            if repeats and once:
                self._refuse_doubled(raw, "")
        if plan.window.goes_by_stamps:
            landing.tail_table = self.context.private_name("tail")
            next_tail(db, landing.table, landing.tail_table, plan.window, columns=self.raw_columns, stamp=plan.stamp)
            if plan.tail is not None:
                find_late(self.context, landing.table, plan.tail, plan.window, key=plan.key, stamp=plan.stamp)
                landing.seen_before = without_tail(
                    db, landing.table, plan.tail, plan.window, key=plan.key, columns=names
                )
        landing.rows = landing.loaded - repeats - landing.seen_before
        if self.inbound is not None:
            landing.table, landing.rows = self.inbound.join(landing.table)
            landing.without_record = self.inbound.refuse(landing.table)
        if landing.rows:
            self.unlisted.find(landing.table)

    def _refuse_doubled(self, raw: str, refused: str) -> None:
        """Raises ProtocolError when a record came more often than it was asked for: in the window, and once more by its
        id. With `refused`, a table, only records of which a row was refused are looked at, else accepted ones."""
        key = self.context.db.quote(self.plan.key)
        rows = f"select {key} as id from crosstie.{raw}"
        if refused:
            within = f"select {key} from crosstie.{refused}"
            rows = f"{rows} where {key} in ({within}) union all {within}"
        asked = "select remote_id from crosstie.unaccepted where option_name = :option"
        with self.context.db.reading() as transaction:
            found = transaction.row(
                f"select count(*) from (select id from ({rows}) r group by id having count(*) >"
                f" case when id in ({asked}) then 2 else 1 end) q",
                {"option": self.plan.window.option},
            )
        if found is not None and found[0]:
            raise self._repeated(int(found[0]))

    def _repeated(self, repeats: int) -> ProtocolError:
        """The CRM gave as many rows as it announced, but some of them twice: others took no place in its answers."""
        return ProtocolError(
            f"{repeats:,} {'record' if repeats == 1 else 'records'} of {self.plan.query.object.name} came twice in the"
            " CRM's answers, whose number of rows was as announced: as many others are missing.",
            hint="Nothing was published and the index has not moved. Run it again; if it stays so, with --restart,"
            " which reads anew.",
        )

    def _leave_out_known_rejects(self) -> None:
        """A row that was refused before and is refused again was handed on and is in the inbox, and one that was
        dismissed as it is has been settled by a person: both are only counted."""
        db, landing = self.context.db, self.landing
        key = db.quote(self.plan.key)
        known = f"{key} in ({windows.HANDED_ON})"
        option = {"option": self.plan.window.option}
        with db.transaction("rejects known before") as transaction:
            again = transaction.rows(f"select distinct {key} from crosstie.{self.rejects_name} where {known}", option)
            landing.rejected -= transaction.execute(f"delete from crosstie.{self.rejects_name} where {known}", option)
        self.refused_still = tuple(str(row[0]) for row in again)
        dismissed = self._dismissed_again() if landing.rejected else ()
        with db.transaction("rejects dismissed before") as transaction:
            for remote_id in dismissed:
                landing.rejected -= transaction.execute(
                    f"delete from crosstie.{self.rejects_name} where {key} = :id", {"id": remote_id}
                )
        landing.dismissed = len(dismissed)

    def _dismissed_again(self) -> Sequence[str]:
        """The ids of refused rows that were dismissed before with the same values."""
        key = self.context.db.quote(self.plan.key)
        with self.context.db.reading() as transaction:
            found = transaction.rows(
                "select remote_id, record from crosstie.reject where workflow = :workflow and activity = :activity"
                f" and status = 'dismissed' and remote_id in (select {key} from crosstie.{self.rejects_name})",
                {"workflow": self.context.workflow, "activity": self.context.activity},
            )
        records: dict[str, list[object]] = {}
        for remote_id, record in found:
            records.setdefault(str(remote_id), []).append(json.loads(record))
        if not records:
            return ()
        return [one.remote_id for one in self._rejects() if one.record in records.get(one.remote_id, ())]

    def done(self) -> Done:
        """What to publish: the population, the rejects, the variables, and the window's record in the same commit."""
        landing, plan = self.landing, self.plan
        self._tell_odd_times()
        tables: dict[str, Any] = {OK: plan.shape.work_table(landing.table, landing.rows)}
        if self.activity.rejects is not None:
            tables[REJECTS] = self._reject_table()
        counts = {"rows": landing.rows}
        if self.leavers is not None:
            tables[LEAVERS] = self.leavers.table()
            counts |= {"left": self.leavers.rows} if self.leavers.rows else {}
        if self.tracked is not None:
            self.tracked.tell()
            if self.activity.deleted is not None:
                tables[DELETED] = self.tracked.table()
                counts |= {DELETED: self.tracked.rows} if self.tracked.rows else {}
        counts |= self.inbound.counts if self.inbound is not None else {}
        for word, number in (
            ("seen before", landing.seen_before),
            ("rejected", landing.rejected),
            ("still refused", len(self.refused_still)),
            ("dismissed before", landing.dismissed),
        ):
            if number:
                counts[word] = number
        return Done(
            tables=tables,
            counts=counts,
            vars=self._vars(),
            rejects=self._rejects() if landing.rejected else (),
            effect=self._record,
        )

    def _reject_table(self) -> WorkTable:
        landing = self.landing
        if self.inbound is not None:
            refused = self.rejects_name if landing.rejected else ""
            shape, name, rows = self.inbound.reject_table(refused, landing.without_record)
            return shape.work_table(name, rows)
        if not landing.rejected:
            self.context.db.create_work(self.rejects_name, self.reject_columns)
        return Shape(columns=self.reject_columns).work_table(self.rejects_name, landing.rejected)

    def _tell_odd_times(self) -> None:
        odd = self.plan.converter.odd
        if odd.repeated:
            self.context.log.warning(
                f"{odd.repeated} times without zone stand in an hour that {self.context.zone} has twice; they were read"
                " as its first occurrence."
            )
        if odd.skipped:
            self.context.log.warning(
                f"{odd.skipped} times without zone stand in an hour that {self.context.zone} leaves out; they were read"
                " as the next instant."
            )

    def _vars(self) -> dict[str, Scalar]:
        window = self.plan.window
        return {**windows.variables(window)} if window.moves_option else {}

    def _record(self, transaction: Transaction) -> None:
        windows.record_read(transaction, self.plan.window, rows=self.landing.loaded, tail_table=self.landing.tail_table)
        if self.inbound is not None:
            self.inbound.record(transaction, self.landing.table)
        if self.leavers is not None:
            self.leavers.record(transaction)
        if self.tracked is not None:
            self.tracked.record(transaction)
        self.unlisted.record(transaction)
        refused = {one.remote_id for one in self._rejects() if one.remote_id} if self.landing.rejected else set()
        settled = set(self.refused_before) - set(self.refused_still) - refused
        windows.replace_unaccepted(
            transaction,
            self.plan.window,
            settled=sorted(settled),
            refused=sorted(refused),
            now=self.context.now(),
        )

    def _rejects(self) -> Iterator[Reject]:
        names = [column.name for column in self.reject_columns]
        added = {column.name for column in self.plan.converter.rejects}
        listed = ", ".join(self.context.db.quote(name) for name in names)
        sql = f"select {listed} from crosstie.{self.rejects_name}"
        for batch in self.context.db.read(sql, {}, self.reject_columns):
            for record in batch.to_pylist():
                field = record.pop("errorField")
                message = record.pop("errorMessage")
                record = {name: value for name, value in record.items() if name not in added}
                yield Reject(
                    remote_id=record.get(self.plan.key) or "",
                    symbol=REJECT_SYMBOL,
                    message=message,
                    field=field or "",
                    value=record.get(field or ""),
                    record=record,
                    account=self.activity.account,
                    object=self.plan.remote.name,
                )


class _LazyLoad:
    """A load that begins when it is known how many rows come, or with the first one; its table too, where not made."""

    def __init__(
        self, context: Context, name: str, columns: Sequence[Column], stack: ExitStack, *, created: bool
    ) -> None:
        self._context = context
        self._name = name
        self._columns = columns
        self._stack = stack
        self._created = created
        self._load: Load | None = None

    def expect(self, rows: int | None) -> None:
        """Begins the load by the road for so many rows; None when nobody knows, 0 is few."""
        if self._load is None and rows != 0:
            self._begin(rows)

    def write(self, batch: Any) -> None:
        """Adds rows."""
        if self._load is None:
            self._begin(0)
        if self._load is not None:
            self._load.write(batch)

    def _begin(self, rows: int | None) -> None:
        if not self._created:
            self._context.db.create_work(self._name, self._columns)
        load = self._context.db.load(self._name, self._columns, expected_rows=rows)
        self._load = self._stack.enter_context(load)

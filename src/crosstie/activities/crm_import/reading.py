"""The work of an import: window, read, load, and what is left to publish.

Order of things that a kill can interrupt: the window is stored before the CRM is asked; the remote job before anything
waits for it; everything read stays under private names until the runner publishes it. So a second attempt finds its
window and its job, and reads into fresh tables.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from crosstie.activities.crm_import.converting import REJECT_SYMBOL, RowConverter
from crosstie.activities.crm_import.finishing import Landing, find_late, without_repeats, without_tail
from crosstie.activities.crm_import.pipeline import Pipeline, Uniqueness
from crosstie.crm.connector import Condition, Connector, Opened, Order, RemoteQuery
from crosstie.db.database import Load, Transaction
from crosstie.errors import ConfigError, RequestError
from crosstie.model import Column, IndexRange, RemoteObject
from crosstie.script.engine import evaluate
from crosstie.script.filters import build_condition
from crosstie.script.template import Template
from crosstie.sync import windows
from crosstie.workflow.activity import OK, REJECTS, Context, Done, Reject, Scalar, Shape

if TYPE_CHECKING:
    from crosstie.activities.crm_import import CrmImport

_ID_SLICE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What this import reads, settled before the first record is asked for."""

    remote: RemoteObject
    shape: Shape
    query: RemoteQuery
    window: windows.Window
    converter: RowConverter
    tail: windows.Tail | None
    key: str
    stamp: str


def import_records(activity: CrmImport, context: Context) -> Done:
    """Reads what the activity asks for into a private work table. Raises the errors of the connector and database."""
    connector = context.connector(activity.account)
    remote = _described(activity, context, connector)
    plan = _plan(activity, context, connector, remote)
    _tell(context, plan)
    reader = _Reader(activity, context, connector, plan)
    reader.read()
    if reader.landing.loaded:
        _check_fields(activity, context, connector.describe(remote.name, known=remote))
    return reader.done()


def _described(activity: CrmImport, context: Context, connector: Connector) -> RemoteObject:
    stored = context.site.remote_object(activity.account, activity.object)
    if stored is None:
        raise ConfigError(
            f"{activity.object} is not a collected object of account {activity.account}.",
            hint=f"Collect it: crosstie collect {activity.account} {activity.object}",
        )
    described = connector.describe(stored.name, known=stored)
    if described.fingerprint != stored.fingerprint:
        _check_fields(activity, context, described)
        context.log.info(
            f"{stored.name} is described differently than when it was collected; the fields of this import are still"
            f" there. See what changed: crosstie collect {activity.account} {stored.name}"
        )
    return described


def _check_fields(activity: CrmImport, context: Context, described: RemoteObject) -> None:
    """Refuses a read of fields that the CRM no longer shows: they would arrive empty, or not at all."""
    gone = [
        one.field for one in activity.wanted(described) if "." not in one.field and described.field(one.field) is None
    ]
    if gone:
        raise RequestError(
            f"{described.name} no longer shows {', '.join(gone)} to this user: deleted, renamed or hidden.",
            hint="Nothing was published and the index has not moved. Give the user access to it again, or take it out"
            " of the import.",
        )


def _plan(activity: CrmImport, context: Context, connector: Connector, remote: RemoteObject) -> _Plan:
    inputs = tuple(Shape.of(table) for table in context.inputs)
    org = connector.org_id()
    shape = activity.shape(remote, context.site, inputs, org=org)
    wanted = activity.wanted(remote)
    condition = _condition(activity, context, remote)
    fields = tuple(one.field for one in wanted)
    fingerprint = _fingerprint(activity, fields)
    query = RemoteQuery(
        object=remote,
        fields=fields,
        condition=condition,
        order=tuple(Order(field=one.field, descending=one.descending) for one in activity.order_by),
        road=activity.road,
    )
    window, tail = _window(activity, context, connector, query, org, fingerprint)
    if window.moves_option:
        query = replace(query, window=IndexRange(field=window.field, start=window.read_from, end=window.end))
    with context.db.reading() as transaction:
        last = windows.last_confirmed_rows(transaction, window.option) if window.start is not None else None
    if last is not None and last >= connector.limits(remote.name).bulk_from_rows:
        last = None  # a large window says nothing of the next one
    lineage = shape.lineage
    return _Plan(
        remote=remote,
        shape=shape,
        query=replace(query, expected_rows=last),
        window=window,
        converter=RowConverter.build(activity, remote, context.site, shape, context.zone),
        tail=tail,
        key=shape.key[0],
        stamp=lineage.stamp if lineage else "",
    )


def _condition(activity: CrmImport, context: Context, remote: RemoteObject) -> Condition | None:
    """The filter with its values, which are evaluated as of the run's beginning: a resumed read asks for the same."""
    if activity.filter is None:
        return None
    scope = replace(context.scope(), now=context.run_started)
    return build_condition(activity.filter, remote, lambda source: evaluate(source, scope))


def _fingerprint(activity: CrmImport, fields: Sequence[str]) -> str:
    """What a tail is good for: the same columns, conversions and filter as written. Its values may move with the clock
    from run to run: what the tail holds was delivered, whatever is asked for now."""
    text = repr(
        (
            activity.account,
            activity.object,
            fields,
            [(one.conversion, one.name) for one in activity.fields],
            activity.filter,
        )
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _window(
    activity: CrmImport, context: Context, connector: Connector, query: RemoteQuery, org: str, fingerprint: str
) -> tuple[windows.Window, windows.Tail | None]:
    """Takes over the window that this run has open for the option, or opens a new one."""
    remote = query.object
    index = activity.index
    if index is None:
        option = f"#{context.workflow}/{context.activity}"
        return _take_or_open(
            context, _new_window(activity, context, remote, org, fingerprint, option, None, connector.server_time(), "")
        ), None
    option = Template(index.option).render(context.scope())
    with context.db.reading() as transaction:
        existing = windows.open_window(transaction, option)
        text = windows.read_option(transaction, option)
        tail = windows.read_tail(transaction, option)
    start = windows.parse_option(option, text)
    if existing is not None and existing.run == context.run and existing.fingerprint == fingerprint:
        _refuse_other_org(existing.org, org, activity.account)
        return existing, _usable(tail, existing, fingerprint)
    field = activity.index_field(remote)
    end = _end(connector, query, field, start, index.guard)
    wanted = replace(
        _new_window(activity, context, remote, org, fingerprint, option, start, end, field),
        option_read=text,
        overlap=windows.overlap_for(tail, index.overlap),
    )
    if start is None:
        context.log.info(f"Option {option} is {'empty' if text is not None else 'not there yet'}: reading everything.")
    opened = _take_or_open(context, wanted)
    return opened, _usable(tail, opened, fingerprint)


def _end(connector: Connector, query: RemoteQuery, field: str, start: datetime | None, guard: timedelta) -> datetime:
    """The end of a new window: the CRM's clock less the guard, a whole minute, not past what the CRM covers."""
    end = (connector.server_time() - guard).replace(second=0, microsecond=0)
    end = connector.safe_end(replace(query, window=IndexRange(field=field, start=start, end=end)), end)
    return max(end, start) if start is not None else end


def _new_window(
    activity: CrmImport,
    context: Context,
    remote: RemoteObject,
    org: str,
    fingerprint: str,
    option: str,
    start: datetime | None,
    end: datetime,
    field: str,
) -> windows.Window:
    return windows.Window(
        id=0,
        option=option,
        account=activity.account,
        org=org,
        object=remote.name,
        workflow=context.workflow,
        activity=context.activity,
        run=context.run,
        field=field,
        start=start,
        end=end,
        overlap=activity.index.overlap if activity.index else timedelta(0),
        option_read=None,
        status=windows.WindowStatus.OPEN,
        fingerprint=fingerprint,
    )


def _take_or_open(context: Context, wanted: windows.Window) -> windows.Window:
    with context.db.transaction(f"window of {wanted.option}") as transaction:
        existing = windows.open_window(transaction, wanted.option)
        if existing is not None and existing.run == context.run:
            if existing.fingerprint == wanted.fingerprint:
                return existing
            windows.abandon_one(transaction, existing, context.now())
        return windows.begin(transaction, wanted, context.now())


def _usable(tail: windows.Tail | None, window: windows.Window, fingerprint: str) -> windows.Tail | None:
    """The tail, when it belongs to this window's start and to the same columns and filter."""
    if tail is None or not tail.table or tail.fingerprint != fingerprint or tail.end != window.start:
        return None
    return tail


def _refuse_other_org(before: str, now: str, account: str) -> None:
    if before and before != now:
        raise ConfigError(
            f"Account {account} now leads to another org ({now}) than this run's window ({before}).",
            hint="Point the account back, or begin anew with --restart and another option.",
        )


def _tell(context: Context, plan: _Plan) -> None:
    window = plan.window
    if not window.moves_option:
        return
    start = windows.option_text(window.start) if window.start else "the beginning"
    context.log.info(
        f"index {window.field}: {start} → {windows.option_text(window.end)} (UTC), reaching back"
        f" {int(window.overlap.total_seconds() // 60)} minutes",
        option=window.option,
    )


class _Reader:
    """Reads one plan into private tables."""

    def __init__(self, activity: CrmImport, context: Context, connector: Connector, plan: _Plan) -> None:
        self.activity = activity
        self.context = context
        self.connector = connector
        self.plan = plan
        self.unique = Uniqueness()
        self.landing = Landing()
        self.refused_before: tuple[str, ...] = ()
        self.refused_still: tuple[str, ...] = ()
        self.rejects_name = context.private_name(REJECTS)
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
        population = self.activity.population
        if population is not None:
            for ids in self._upstream_ids(population.ids):
                yield replace(self.plan.query, ids=ids, expected_rows=len(ids)), ""
            return
        with self.context.db.reading() as transaction:
            self.refused_before = windows.unaccepted(transaction, self.plan.window.option)
        yield self.plan.query, self.plan.window.job
        if self.refused_before and self.plan.window.moves_option:
            self.unique.proved = False
            ids = self.refused_before
            yield replace(self.plan.query, window=None, ids=ids, expected_rows=len(ids)), ""

    def _upstream_ids(self, column_name: str) -> Iterator[tuple[str, ...]]:
        table = self.context.input
        column = table.column(column_name)
        if column is None:
            raise ConfigError(f"The inbound population has no column {column_name}.")
        quoted = self.context.db.quote(column.name)
        sql = f"select distinct {quoted} from crosstie.{table.name} where {quoted} is not null order by 1"
        for batch in self.context.db.read(sql, {}, [column], batch_rows=_ID_SLICE):
            yield tuple(str(value) for value in batch.column(0).to_pylist())

    def _load(self, query: RemoteQuery, token: str, load: _LazyLoad, rejects: _LazyLoad) -> None:
        opened = self.connector.open(query, self._keep, token=token)
        self.context.log.info(opened.reason)
        load.expect(opened.expected_rows)
        limits = self.connector.limits(query.object.name)
        pipeline = Pipeline(self.connector, query, self.plan.converter, limits.parallel_fetches)
        key = [column.name for column in self.raw_columns].index(self.plan.key)
        for converted in pipeline.converted(opened.partitions):
            if converted.good.num_rows:
                self.unique.add(converted.good.column(key))
                load.write(converted.good)
                self.landing.loaded += converted.good.num_rows
            if converted.bad is not None:
                rejects.write(converted.bad)
                self.landing.rejected += converted.bad.num_rows
            self._progress(opened)

    def _progress(self, opened: Opened) -> None:
        self.context.progress(self.landing.loaded + self.landing.rejected, opened.expected_rows)

    def _keep(self, job: str) -> None:
        with self.context.db.transaction(f"remote job of {self.plan.window.option}") as transaction:
            windows.keep_job(transaction, self.plan.window, job)

    def _finish(self, raw: str) -> None:
        db, plan, landing = self.context.db, self.plan, self.landing
        names = [column.name for column in self.raw_columns]
        landing.table, repeats = raw, 0
        if landing.rejected and self.refused_before:
            self._leave_out_known_rejects()
        if not self.unique.holds():
            landing.table, repeats = without_repeats(
                db, raw, self.context.private_name("once"), self.raw_columns, key=plan.key, stamp=plan.stamp
            )
        if plan.window.moves_option:
            landing.tail_table = self._next_tail(landing.table, names)
            if plan.tail is not None:
                find_late(self.context, landing.table, plan.tail, plan.window, key=plan.key, stamp=plan.stamp)
                landing.seen_before = without_tail(db, landing.table, plan.tail, plan.key, names)
        landing.rows = landing.loaded - repeats - landing.seen_before
        if self.activity.population is not None:
            landing.table = self._with_upstream(landing.table)
            landing.rows = _count(self.context, landing.table)

    def _leave_out_known_rejects(self) -> None:
        """A row that was refused before and is refused again is in the inbox already: it is only counted."""
        db, landing = self.context.db, self.landing
        key = db.quote(self.plan.key)
        known = f"{key} in (select remote_id from crosstie.unaccepted where option_name = :option)"
        option = {"option": self.plan.window.option}
        with db.transaction("rejects known before") as transaction:
            again = transaction.rows(f"select distinct {key} from crosstie.{self.rejects_name} where {known}", option)
            landing.rejected -= transaction.execute(f"delete from crosstie.{self.rejects_name} where {known}", option)
        self.refused_still = tuple(str(row[0]) for row in again)

    def _next_tail(self, table: str, names: Sequence[str]) -> str:
        """The rows of this read that the next window's overlap will see again, as a table of their own."""
        db, window = self.context.db, self.plan.window
        name = self.context.private_name("tail")
        db.create_work(name, self.raw_columns)
        listed = ", ".join(db.quote(one) for one in names)
        since = window.end - window.overlap
        with db.transaction("tail of the window") as transaction:
            transaction.execute(
                f"insert into crosstie.{name} ({listed}) select {listed} from crosstie.{table}"
                f" where {db.quote(self.plan.stamp)} >= :since",
                {"since": since},
            )
        return name

    def _with_upstream(self, table: str) -> str:
        """Joins the inbound columns to keep; ids that the CRM doesn't know are reported."""
        population = self.activity.population
        if population is None:
            return table
        db = self.context.db
        inbound = self.context.input
        ids = inbound.column(population.ids)
        if ids is None:
            raise ConfigError(f"The inbound population has no column {population.ids}.")
        name = self.context.private_name(OK)
        db.create_work(name, self.plan.shape.columns)
        db.prepare(table, [self.plan.key])
        kept = self.plan.shape.columns[len(self.raw_columns) :]
        target = ", ".join(db.quote(column.name) for column in self.plan.shape.columns)
        source = ", ".join(
            [
                *(f"r.{db.quote(column.name)}" for column in self.raw_columns),
                *(f"i.{db.quote(column.name)}" for column in kept),
            ]
        )
        join = f"crosstie.{table} r on r.{db.quote(self.plan.key)} = i.{db.quote(ids.name)}"
        with db.transaction("population joined") as transaction:
            transaction.execute(
                f"insert into crosstie.{name} ({target}) select {source} from crosstie.{inbound.name} i join {join}"
            )
            unknown = transaction.row(
                f"select count(*) from crosstie.{inbound.name} i left join {join}"
                f" where r.{db.quote(self.plan.key)} is null"
            )
        missing = int(unknown[0]) if unknown else 0
        if missing:
            self.context.log.warning(
                f"{missing} inbound rows have no record on the CRM (an unknown, empty or deleted id); they don't go on."
            )
            self.landing.unknown = missing
        return name

    def done(self) -> Done:
        """What to publish: the population, the rejects, the variables, and the window's record in the same commit."""
        landing, plan, context = self.landing, self.plan, self.context
        self._tell_odd_times()
        tables: dict[str, Any] = {OK: plan.shape.work_table(landing.table, landing.rows)}
        if self.activity.rejects is not None:
            if not landing.rejected:
                context.db.create_work(self.rejects_name, self.reject_columns)
            reject_shape = Shape(columns=self.reject_columns)
            tables[REJECTS] = reject_shape.work_table(self.rejects_name, landing.rejected)
        counts = {"rows": landing.rows}
        for word, number in (
            ("seen before", landing.seen_before),
            ("rejected", landing.rejected),
            ("still refused", len(self.refused_still)),
            ("unknown", landing.unknown),
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
        if not window.moves_option:
            return {}
        return {
            "crmOptionName": window.option,
            "crmStartImport": windows.option_text(window.start) if window.start else "",
            "crmEndDate": windows.option_text(window.end),
        }

    def _record(self, transaction: Transaction) -> None:
        windows.record_read(transaction, self.plan.window, rows=self.landing.loaded, tail_table=self.landing.tail_table)
        refused = {one.remote_id for one in self._rejects() if one.remote_id} if self.landing.rejected else set()
        settled = () if self.activity.population is not None else set(self.refused_before) - set(self.refused_still)
        windows.replace_unaccepted(
            transaction,
            self.plan.window,
            settled=sorted(settled),
            refused=sorted(refused),
            now=self.context.now(),
        )

    def _rejects(self) -> Iterator[Reject]:
        names = [column.name for column in self.reject_columns]
        listed = ", ".join(self.context.db.quote(name) for name in names)
        sql = f"select {listed} from crosstie.{self.rejects_name}"
        for batch in self.context.db.read(sql, {}, self.reject_columns):
            for record in batch.to_pylist():
                field = record.pop("errorField")
                message = record.pop("errorMessage")
                record = {name: value for name, value in record.items() if not name.startswith("error")}
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


def _count(context: Context, name: str) -> int:
    with context.db.reading() as transaction:
        row = transaction.row(f"select count(*) from crosstie.{name}")
    return int(row[0]) if row else 0

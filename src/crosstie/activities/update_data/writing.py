"""Carries out an update: the merge and its ties in the task's commit, then what was refused and what was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crosstie.activities.update_data.reading import ReadLine, ReadUpdate
from crosstie.db.database import Transaction
from crosstie.db.expressions import Binding, Scope
from crosstie.db.merge import (
    Assignment,
    Fault,
    Fragment,
    Merge,
    Merged,
    MergePlan,
    Resolution,
    Target,
    candidates,
    describe_target,
    numbered,
    same_key,
)
from crosstie.db.merge.matching import ambiguous_column
from crosstie.db.merge.phrases import Writer
from crosstie.db.statements import quote_identifier
from crosstie.db.values import text_of
from crosstie.model import Column, ColumnType, Table, WorkTable
from crosstie.sync.ties import Exchange, Tying, open_ties
from crosstie.workflow.activity import OK, REJECTS, Context, Done, Reject, Shape

if TYPE_CHECKING:
    from crosstie.activities.update_data import UpdateData

OUTCOME = "outcome"
_REASONS = (
    Column(name="errorCode", type=ColumnType.TEXT),
    Column(name="errorMessage", type=ColumnType.TEXT),
    Column(name="errorColumn", type=ColumnType.TEXT),
)
_PAGE = 500


def _without(shape: Shape, *names: str) -> Shape:
    taken = {name.lower() for name in names}
    return replace(shape, columns=tuple(one for one in shape.columns if one.name.lower() not in taken))


def with_reasons(inbound: Shape) -> Shape:
    """The refused rows: the inbound columns, and why."""
    kept = _without(inbound, *(one.name for one in _REASONS))
    return replace(kept, columns=(*kept.columns, *_REASONS))


@dataclass(slots=True, kw_only=True)
class Update:
    """One execution of *update data*."""

    definition: UpdateData
    read: ReadUpdate
    table: Table
    context: Context

    @staticmethod
    def outcome_shape(inbound: Shape) -> Shape:
        """The rows that were not refused: the inbound columns, and what was done."""
        kept = _without(inbound, OUTCOME)
        return replace(kept, columns=(*kept.columns, Column(name=OUTCOME, type=ColumnType.TEXT)))

    def run(self) -> Done:
        """Prepares; the writing is the effect."""
        inbound = self.context.input
        if self.definition.outcome:
            self.context.db.create_work(self.context.private_name(), self.outcome_shape(Shape.of(inbound)).columns)
        if not inbound.rows:
            nothing = Merged(inserted=0, updated=0, unchanged=0, rejected=0, ignored=0)
            return Done(tables={OK: self._outcome(0)}, counts=_counts(nothing))
        context = self.context
        purpose = f"{context.activity} numbers its rows"
        source = numbered(context.db, inbound, context.private_name("numbered"), purpose)
        target = describe_target(context.db, self.table)
        plan, tying = self._plan(source, target)
        merge = Merge(plan, self.context.private_name())
        merge.prepare(self.context.db)
        self.context.db.create_work(self.context.private_name(REJECTS), with_reasons(Shape.of(inbound)).columns)
        return Done(tables={}, effect=lambda transaction: self._effect(transaction, merge, tying))

    def _outcome(self, rows: int) -> WorkTable | None:
        if not self.definition.outcome:
            return None
        return self.outcome_shape(Shape.of(self.context.input)).work_table(self.context.private_name(), rows)

    def _plan(self, source: WorkTable, target: Target) -> tuple[MergePlan, Tying | None]:
        context = self.context
        writer = Writer(
            dialect=context.db.dialect,
            binding=Binding(now=context.now(), zone=context.zone, vars=dict(context.vars)),
        )
        scope = Scope.of(context.input.columns)
        assignments = tuple(self._assignment(line, writer) for line in self.read.lines)
        plan = MergePlan(
            source=source,
            target=target,
            operation=self.definition.operation,
            assignments=assignments,
            resolution=self._resolution(source, target, writer),
            ignores_same_target=self.definition.ignore_same_target,
            first_by=tuple(writer.ordering(line, scope, "s") for line in self.definition.order),
        )
        tying = self._tying(plan)
        if tying is not None:
            plan = replace(plan, companion=tying.companion(empty=True))
        return plan, tying

    @staticmethod
    def _assignment(line: ReadLine, writer: Writer) -> Assignment:
        return Assignment(
            column=line.column,
            value=writer.fragment(line.value, {"": "s"}),
            when=None if line.when is None else writer.fragment(line.when, {"": "s"}),
            on=line.on,
            keep_empty=line.keep_empty,
        )

    def _resolution(self, source: WorkTable, target: Target, writer: Writer) -> Resolution:
        read = self.read
        if read.link is not None:
            mark = source.column(ambiguous_column(read.link.name))
            return Resolution(
                key=(f"s.{quote_identifier(read.link.column)}",),
                ambiguous="" if mark is None else f"s.{quote_identifier(mark.name)}",
            )
        if read.by_dimension:
            columns = [source.column(one.name) for one in target.key]
            return Resolution(key=tuple(f"s.{quote_identifier(one.name)}" for one in columns if one is not None))
        if read.pairs:
            pairs = [writer.pair(one) for one in read.pairs]
            found = candidates(target, f"crosstie.{source.name}", pairs, alias="m")
            return Resolution.by_candidates(found, [one.source for one in pairs])
        return Resolution()

    def _tying(self, plan: MergePlan) -> Tying | None:
        """The ties to write: where the rows have a lineage and stand for rows that can be told apart."""
        lineage = self.context.input.lineage
        if lineage is None or not self.definition.ties or not self.read.identifies or len(plan.target.key) != 1:
            return None
        remote = self.context.input.column(lineage.remote_id)
        if remote is None:
            return None
        stamp = self.context.input.column(lineage.stamp) if lineage.stamp else None
        exchanges = tuple(self._exchanges(plan, dict(lineage.fields)))
        return Tying(
            table=open_ties(self.context.db, lineage, self.table.name, exchanges),
            target=plan.target,
            exchanges=exchanges,
            remote_id=_column_fragment(remote),
            stamp=_column_fragment(stamp) if stamp is not None and stamp.type is ColumnType.INSTANT else None,
            takes_tied=self.definition.operation == "insert or update",
        )

    def _exchanges(self, plan: MergePlan, fields: Mapping[str, str]) -> Iterator[Exchange]:
        """The remote fields that go into a column unchanged."""
        lineage = self.context.input.lineage
        own = {lineage.remote_id, lineage.stamp} if lineage is not None else set()
        seen: set[str] = set()
        for place, name in enumerate(plan.written, 1):
            lines = [one for one in plan.assignments if one.column == name]
            line = lines[0]
            source = self.context.input.column(line.value.column) if line.value.column else None
            if len(lines) > 1 or source is None or source.name in own or source.name not in fields:
                continue
            if fields[source.name] in seen:
                continue
            seen.add(fields[source.name])
            same = line.always and plan.target.column(name).column.type is source.type
            yield Exchange(
                field=fields[source.name],
                column=Column(name=source.name, type=source.type, scale=source.scale),
                value=_column_fragment(source),
                applied=None if line.always else _applied(line, plan.target),
                staged=f"v_{place}" if same else "",
            )

    def _effect(self, transaction: Transaction, merge: Merge, tying: Tying | None) -> Done:
        merge.lock(transaction)
        empty = False
        if tying is not None:
            empty = tying.is_empty(transaction)
            merge.use(tying.companion(empty=empty))
        merged = merge.apply(transaction)
        if tying is not None:
            tying.write(transaction, merge.stage, merge.key("g")[0], empty=empty, rows=merged.inserted)
        tables = {OK: self._outcome(self._keep_outcome(transaction, merge) if self.definition.outcome else 0)}
        if merged.rejected:
            tables[REJECTS] = self._keep_refused(transaction, merge)
        return Done(tables=tables, counts=_counts(merged), rejects=self._rejects(transaction, merge, merged.rejected))

    def _keep_refused(self, transaction: Transaction, merge: Merge) -> WorkTable:
        inbound = Shape.of(self.context.input)
        shape = with_reasons(inbound)
        name = self.context.private_name(REJECTS)
        reasons = {f"code_{n}": one.code for n, one in enumerate(merge.faults, 1)}
        reasons |= {f"text_{n}": one.message for n, one in enumerate(merge.faults, 1)}
        reasons |= {f"column_{n}": one.column for n, one in enumerate(merge.faults, 1)}
        told = [
            f"case g.fault {' '.join(f'when {n} then :{word}_{n}' for n in range(1, len(merge.faults) + 1))} end"
            for word in ("code", "text", "column")
        ]
        kept = [one.name for one in shape.columns if one not in _REASONS]
        listed = ", ".join(quote_identifier(one.name) for one in shape.columns)
        shown = ", ".join([*(f"s.{quote_identifier(one)}" for one in kept), *told])
        rows = transaction.execute(
            f"insert into crosstie.{name} ({listed}) select {shown} from crosstie.{merge.plan.source.name} s"
            f" join crosstie.{merge.stage} g on {same_key(merge.plan.source, 'g')} where g.fault is not null",
            reasons,
        )
        return shape.work_table(name, rows)

    def _keep_outcome(self, transaction: Transaction, merge: Merge) -> int:
        shape = self.outcome_shape(Shape.of(self.context.input))
        name = self.context.private_name(OK)
        listed = ", ".join(quote_identifier(one.name) for one in shape.columns)
        shown = ", ".join(f"s.{quote_identifier(one.name)}" for one in shape.columns[:-1])
        return transaction.execute(
            f"insert into crosstie.{name} ({listed}) select {shown}, coalesce(g.what, 'unchanged')"
            f" from crosstie.{merge.plan.source.name} s"
            f" left join crosstie.{merge.stage} g on {same_key(merge.plan.source, 'g')}"
            f" where g.fault is null and not exists (select 1 from crosstie.{merge.twice} w"
            f" where {same_key(merge.plan.source, 'w')})"
        )

    def _rejects(self, transaction: Transaction, merge: Merge, refused: int) -> Iterator[Reject]:
        """The refused rows for the inbox, page by page, in the transaction that refused them."""
        if refused:
            yield from self._refused_rows(transaction, merge, refused)
        merge.drop_temporary(transaction)

    def _refused_rows(self, transaction: Transaction, merge: Merge, refused: int) -> Iterator[Reject]:
        plan = merge.plan
        columns = self.context.input.columns
        names = dict(zip(plan.written, merge.names.values, strict=True))
        values = " ".join(
            f"when {n} then cast(g.{names[one.column]} as text)"
            for n, one in enumerate(merge.faults, 1)
            if one.column in names
        )
        shown = ", ".join(f"s.{quote_identifier(one.name)}" for one in columns)
        order = ", ".join(f"s.{quote_identifier(one)}" for one in plan.source.key)
        query = (
            f"select g.fault, {f'case g.fault {values} end' if values else 'null'}, {shown}"
            f" from crosstie.{plan.source.name} s join crosstie.{merge.stage} g on {same_key(merge.plan.source, 'g')}"
            f" where g.fault is not null order by {order} limit {_PAGE} offset :offset"
        )
        for offset in range(0, refused, _PAGE):
            for row in transaction.rows(query, {"offset": offset}):
                record = {one.name: text_of(one, value) for one, value in zip(columns, row[2:], strict=True)}
                yield self._reject(merge.faults[int(row[0]) - 1], row[1], record)

    def _reject(self, fault: Fault, value: object, record: Mapping[str, str | None]) -> Reject:
        lineage = self.context.input.lineage
        return Reject(
            remote_id=(record.get(lineage.remote_id) or "") if lineage is not None else "",
            symbol=fault.code,
            message=fault.message,
            field=fault.column,
            value=None if value is None else str(value),
            record=record,
            account=lineage.account if lineage is not None else "",
            object=lineage.object if lineage is not None else "",
        )


def _column_fragment(column: Column) -> Fragment:
    return Fragment(sql=f"s.{quote_identifier(column.name)}", type=column.type, column=column.name)


def _applied(line: Assignment, target: Target) -> Fragment:
    """The condition under which a line of “set” applies, as SQL over s and t."""
    parts = [] if line.when is None else [f"({line.when.sql})"]
    params = {} if line.when is None else dict(line.when.params)
    if line.keep_empty:
        parts.append(f"({line.value.sql}) is not null")
        params.update(line.value.params)
    if line.on != "both":
        key = quote_identifier(target.key[0].name)
        parts.append(f"t.{key} is {'null' if line.on == 'insert' else 'not null'}")
    return Fragment(sql=f"coalesce({' and '.join(parts)}, false)", type=ColumnType.BOOLEAN, params=params)


def _counts(merged: Merged) -> Mapping[str, int]:
    counts = {
        "inserted": merged.inserted,
        "updated": merged.updated,
        "unchanged": merged.unchanged,
        "rejected": merged.rejected,
    }
    return counts | ({"ignored": merged.ignored} if merged.ignored else {})

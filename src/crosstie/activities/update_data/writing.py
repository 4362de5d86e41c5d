"""Carries out an update: the merge and its ties in one transaction, and what became of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crosstie.activities.update_data.batches import Batches
from crosstie.activities.update_data.fates import Fates, counts_of, outcome_shape
from crosstie.activities.update_data.reading import ReadLine, ReadStamp, ReadUpdate
from crosstie.db.database import Transaction
from crosstie.db.expressions import Binding, Scope
from crosstie.db.expressions.values import storage
from crosstie.db.merge import (
    Assignment,
    Companion,
    Fragment,
    Merge,
    Merged,
    MergePlan,
    Resolution,
    Target,
    TargetColumn,
    candidates,
    describe_target,
    numbered,
)
from crosstie.db.merge.matching import ambiguous_column
from crosstie.db.merge.phrases import Writer
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, Table, WorkTable
from crosstie.sync.conflicts import Conflicts
from crosstie.sync.ties import Exchange, Tying, forget_rows, open_ties
from crosstie.workflow.activity import OK, Context, Done, Shape

if TYPE_CHECKING:
    from crosstie.activities.update_data import UpdateData

__all__ = ["Update", "outcome_shape"]


@dataclass(slots=True, kw_only=True)
class Writing:
    """A merge and the ties that go with it: of the whole population, or of a batch. `conflicts` are those that it came
    upon."""

    merge: Merge
    tying: Tying | None
    now: object
    conflicts: Conflicts = field(default_factory=Conflicts)

    def accompany(self, transaction: Transaction) -> bool:
        """Asks whether there are ties yet, which decides what goes along with the merge."""
        if self.tying is None:
            return False
        empty = self.tying.is_empty(transaction)
        self.merge.use(self.tying.companion(empty=empty))
        return empty

    def write(self, transaction: Transaction) -> Merged:
        """Locks, compares and writes, then the ties."""
        merge = self.merge
        merge.lock(transaction)
        empty = self.accompany(transaction)
        merged = merge.apply(transaction)
        if merge.plan.operation == "delete":
            if self.tying is not None:
                self.tying.bury(transaction, merge.stage, self.now)
            elif merged.deleted and len(merge.plan.target.key) == 1:
                keys = f"select cast(g.k_1 as text) from crosstie.{merge.stage} g where g.fault is null"
                forget_rows(transaction, merge.plan.target.table.name, keys)
        elif self.tying is not None and self.tying.gone:
            self.tying.bury(transaction, merge.stage, self.now)
        elif self.tying is not None:
            if not empty:
                self.conflicts = self.tying.conflicts(transaction, merge)
            self.tying.write(transaction, merge.stage, merge.key("g")[0], empty=empty, rows=merged.inserted)
        return merged


@dataclass(slots=True, kw_only=True)
class Update:
    """One execution of *update data*."""

    definition: UpdateData
    read: ReadUpdate
    table: Table
    context: Context
    target: Target = field(init=False)

    def run(self) -> Done:
        """Prepares; the writing is the effect. In batches it is done here, each batch in a transaction of its own."""
        context, inbound = self.context, self.context.input
        if not inbound.rows:
            return self._nothing()
        purpose = f"{context.activity} numbers its rows"
        source = numbered(context.db, inbound, context.private_name("numbered"), purpose)
        self.target = describe_target(context.db, self.table)
        if self.definition.batch and source.rows > self.definition.batch:
            return Batches(update=self, source=source, size=self.definition.batch).run()
        fates = Fates.of(context, source, context.private_name(), outcome=self.definition.outcome)
        fates.make()
        fates.publish()
        writing = self.writing(source, context.private_name())
        writing.merge.prepare(context.db)
        return Done(tables={}, effect=lambda transaction: self._effect(transaction, writing, fates))

    def _nothing(self) -> Done:
        nothing = Merged(inserted=0, updated=0, unchanged=0, rejected=0, ignored=0)
        table = None
        if self.definition.outcome:
            shape = outcome_shape(Shape.of(self.context.input))
            self.context.db.create_work(self.context.private_name(), shape.columns)
            table = shape.work_table(self.context.private_name(), 0)
        return Done(tables={OK: table}, counts=counts_of(nothing, Conflicts(), self.definition.operation))

    def _effect(self, transaction: Transaction, writing: Writing, fates: Fates) -> Done:
        merged = writing.write(transaction)
        fates.keep(transaction, writing.merge, before=0)
        writing.merge.drop_temporary(transaction)
        conflicts = writing.conflicts
        return Done(
            tables=fates.tables(merged),
            counts=counts_of(merged, conflicts, self.definition.operation),
            rejects=fates.refusals.rejects(transaction),
            after=lambda: self.tell(conflicts),
        )

    def tell(self, conflicts: Conflicts) -> None:
        """Says in the log what became of conflicts. Not within a transaction."""
        for line in conflicts.lines():
            self.context.log.info(line)

    def writing(self, source: WorkTable, private_name: str, *, known_twice: str = "") -> Writing:
        """The merge of `source`, the population or a part of it, with its ties."""
        context = self.context
        now = context.now()
        binding = Binding(now=now, zone=context.zone, vars=dict(context.vars), instance_vars=dict(context.instance))
        writer = Writer(dialect=context.db.dialect, binding=binding)
        scope = Scope.of(context.input.columns)
        assignments = [self._assignment(line, writer) for line in self.read.lines]
        assignments += [self._stamp(stamp, writer) for stamp in self.read.stamps]
        plan = MergePlan(
            source=source,
            target=self.target,
            operation=self.definition.operation,
            assignments=tuple(assignments),
            resolution=self._resolution(source, writer),
            ignores_same_target=self.definition.ignore_same_target,
            first_by=tuple(writer.ordering(line, scope, "s") for line in self.definition.order),
        )
        tying = self._tying(plan)
        if context.input.lineage is not None and context.input.lineage.gone:
            plan = replace(plan, companion=Companion(absent_is_done=True))
        if tying is not None:
            plan = replace(plan, companion=tying.companion(empty=True))
        return Writing(
            merge=Merge(plan, private_name, known_twice=known_twice),
            tying=tying,
            now=storage(now, context.db.dialect, "now"),
        )

    @staticmethod
    def _assignment(line: ReadLine, writer: Writer) -> Assignment:
        return Assignment(
            column=line.column,
            value=writer.fragment(line.value, {"": "s"}),
            when=None if line.when is None else writer.fragment(line.when, {"": "s"}),
            on=line.on,
            keep_empty=line.keep_empty,
        )

    def _stamp(self, stamp: ReadStamp, writer: Writer) -> Assignment:
        column = stamp.column
        if stamp.moment is not None:
            value = writer.fragment(stamp.moment, {})
        else:
            name = f"author_{stamp.on}"
            author = self.context.workflow[: column.length or None]
            value = Fragment(sql=f"cast(:{name} as text)", type=ColumnType.TEXT, params={name: author})
        return Assignment(column=column.name, value=value, on=stamp.on, compared=False)

    def _resolution(self, source: WorkTable, writer: Writer) -> Resolution:
        read = self.read
        if read.link is not None:
            mark = source.column(ambiguous_column(read.link.name))
            return Resolution(
                key=(f"s.{quote_identifier(read.link.column)}",),
                ambiguous="" if mark is None else f"s.{quote_identifier(mark.name)}",
            )
        if read.dimension:
            columns = [source.column(name) for name in read.dimension]
            return Resolution(key=tuple(f"s.{quote_identifier(one.name)}" for one in columns if one is not None))
        if read.pairs:
            pairs = [writer.pair(one) for one in read.pairs]
            found = candidates(self.target, f"crosstie.{source.name}", pairs, alias="m")
            return Resolution.by_candidates(found, [one.source for one in pairs])
        return Resolution()

    def _tying(self, plan: MergePlan) -> Tying | None:
        lineage = self.context.input.lineage
        if lineage is None or len(plan.target.key) != 1:
            return None
        if not self.definition.keeps_ties(key_written=plan.target.table.key[0] in plan.written):
            return None
        remote = self.context.input.column(lineage.remote_id)
        if remote is None:
            return None
        stamp = self.context.input.column(lineage.stamp) if lineage.stamp else None
        operation = self.definition.operation
        exchanges = tuple(self._exchanges(plan))
        changed_at = self.definition.stamps.updated_at
        return Tying(
            table=open_ties(self.context.db, lineage, self.table.name, exchanges),
            target=plan.target,
            exchanges=exchanges,
            remote_id=_column_fragment(remote),
            stamp=_column_fragment(stamp) if stamp is not None and stamp.type is ColumnType.INSTANT else None,
            takes_tied=operation in ("insert or update", "delete") or lineage.gone,
            buries=operation == "delete",
            appends=not plan.resolution.key,
            changed_at=self._column(plan.target, changed_at) if changed_at is not None else None,
            gone=lineage.gone,
        )

    def _exchanges(self, plan: MergePlan) -> Iterator[Exchange]:
        """The remote fields that go into a column unchanged."""
        for one in self.read.exchanges:
            source = one.source
            line = next(line for line in plan.assignments if line.column == one.column)
            same = line.always and plan.target.column(one.column).column.type is source.type
            yield Exchange(
                field=one.field,
                column=Column(name=source.name, type=source.type, scale=source.scale),
                value=_column_fragment(source),
                applied=None if line.always else _applied(line, plan),
                staged=f"v_{plan.written.index(one.column) + 1}" if same else "",
                into=one.column if one.compared and plan.resolution.key else "",
                on_conflict=one.on_conflict,
            )

    @staticmethod
    def _column(target: Target, name: str) -> TargetColumn | None:
        found = target.table.column(name)
        return None if found is None else target.column(found.name)


def _column_fragment(column: Column) -> Fragment:
    return Fragment(sql=f"s.{quote_identifier(column.name)}", type=column.type, column=column.name)


def _applied(line: Assignment, plan: MergePlan) -> Fragment:
    """The condition under which a line of “set” applies, as SQL over s and t."""
    parts = [] if line.when is None else [f"({line.when.sql})"]
    params = {} if line.when is None else dict(line.when.params)
    if line.keep_empty:
        parts.append(f"({line.value.sql}) is not null")
        if line.value.type in (ColumnType.TEXT, ColumnType.SET):
            parts.append(f"({line.value.sql}) <> ''")
        params.update(line.value.params)
    if line.on != "both" and not plan.resolution.key:
        parts.append("true" if line.on == "insert" else "false")
    elif line.on != "both":
        key = quote_identifier(plan.target.key[0].name)
        parts.append(f"t.{key} is {'null' if line.on == 'insert' else 'not null'}")
    return Fragment(sql=f"coalesce({' and '.join(parts)}, false)", type=ColumnType.BOOLEAN, params=params)

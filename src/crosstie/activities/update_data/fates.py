"""What became of the inbound rows of an update: the refused ones with their reasons, and each one's outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from crosstie.db.database import Transaction
from crosstie.db.merge import Merge, Merged, Operation, key_columns, same_key
from crosstie.db.merge.staging import IGNORED, UNCHANGED
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, WorkTable
from crosstie.sync.conflicts import Conflicts
from crosstie.workflow.activity import OK, REJECTS, Context, Shape
from crosstie.workflow.refusing import Refusals, without_columns

OUTCOME = "outcome"


def outcome_shape(inbound: Shape) -> Shape:
    """The rows that were not refused: the inbound columns, and what was done."""
    kept = without_columns(inbound, OUTCOME)
    return replace(kept, columns=(*kept.columns, Column(name=OUTCOME, type=ColumnType.TEXT)))


def counts_of(merged: Merged, conflicts: Conflicts, operation: Operation) -> Mapping[str, int]:
    """What is shown of an update. Conflicts are counted by field, all others are rows."""
    counts = {"deleted": merged.deleted} if operation == "delete" else _written(merged)
    counts["rejected"] = merged.rejected
    seldom = {"ignored": merged.ignored, "conflicts": conflicts.decided}
    return counts | {word: number for word, number in seldom.items() if number}


def _written(merged: Merged) -> dict[str, int]:
    return {"inserted": merged.inserted, "updated": merged.updated, "unchanged": merged.unchanged}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fates:
    """Two private tables beside the source, whose key is known: the refused rows, and, where the outcome is asked for,
    every row that was written, deleted or left out. Views of the source with them are what is put out."""

    context: Context
    source: WorkTable
    refusals: Refusals
    outcome: str

    @classmethod
    def of(cls, context: Context, source: WorkTable, prefix: str, *, outcome: bool) -> Fates:
        """With tables of that prefix."""
        refusals = Refusals(name=f"{prefix}_refused", source=source, inbound=Shape.of(context.input))
        return cls(context=context, source=source, refusals=refusals, outcome=f"{prefix}_outcome" if outcome else "")

    def make(self, *, durable: bool = False) -> None:
        """Makes the empty tables."""
        db = self.context.db
        self.refusals.make(db, durable=durable)
        if self.outcome:
            db.create_work(
                self.outcome, (*key_columns(self.source), Column(name="what", type=ColumnType.TEXT)), durable=durable
            )

    def keep(self, transaction: Transaction, merge: Merge, *, before: int) -> None:
        """Notes what a merge, of the source or a part of it, made of its rows; `before` were refused already."""
        self._keep_refused(transaction, merge, before)
        if not self.outcome:
            return
        keys = ", ".join(merge.names.source)
        transaction.execute(
            f"insert into crosstie.{self.outcome} ({keys}, what) select {keys}, what from crosstie.{merge.stage} g"
            f" where g.fault is null and g.what <> '{UNCHANGED}'"
        )
        if merge.plan.ignores_same_target:
            transaction.execute(
                f"insert into crosstie.{self.outcome} ({keys}, what) select {keys}, '{IGNORED}'"
                f" from crosstie.{merge.twice}"
            )

    def _keep_refused(self, transaction: Transaction, merge: Merge, before: int) -> None:
        if not merge.faults:
            return
        reasons: dict[str, object] = {"before": before}
        told = []
        for word, texts in {
            "code": [one.code for one in merge.faults],
            "message": [one.message for one in merge.faults],
            "field": [one.column for one in merge.faults],
        }.items():
            reasons |= {f"{word}_{number}": text for number, text in enumerate(texts, 1)}
            branches = " ".join(f"when {number} then :{word}_{number}" for number in range(1, len(texts) + 1))
            told.append(f"case g.fault {branches} end")
        keys = ", ".join(f"g.{name}" for name in merge.names.source)
        transaction.execute(
            f"insert into crosstie.{self.refusals.name} ({self.refusals.listed}) select {keys},"
            f" cast(:before as integer) + row_number() over (order by {keys}), {', '.join(told)}, {_at_fault(merge)}"
            f" from crosstie.{merge.stage} g where g.fault is not null",
            reasons,
        )

    def publish(self) -> None:
        """Makes the views that are put out; what the tables will hold shows in them."""
        context = self.context
        self.refusals.publish(context.db, context.private_name(REJECTS), f"{context.activity} publishes its rejects")
        if not self.outcome:
            return
        shape = outcome_shape(Shape.of(context.input))
        shown = ", ".join(f"s.{quote_identifier(one.name)}" for one in shape.columns[:-1])
        name = context.private_name()
        context.db.drop_work((name,))
        with context.db.transaction(f"{context.activity} publishes") as transaction:
            transaction.execute(
                f"create view crosstie.{name} as select {shown}, coalesce(w.what, '{UNCHANGED}') as {OUTCOME}"
                f" from crosstie.{self.source.name} s"
                f" left join crosstie.{self.outcome} w on {same_key(self.source, 'w')}"
                f" where coalesce(w.what, '{UNCHANGED}') <> '{IGNORED}' and not exists"
                f" (select 1 from crosstie.{self.refusals.name} r where {same_key(self.source, 'r')})"
            )

    def prepare(self) -> None:
        """Indexes the tables, once they are filled and committed."""
        keys = tuple(column.name for column in key_columns(self.source))
        self.context.db.prepare(self.refusals.name, keys, unique=True)
        if self.outcome:
            self.context.db.prepare(self.outcome, keys, unique=True)

    def tables(self, merged: Merged) -> Mapping[str, WorkTable | None]:
        """What is put out."""
        tables: dict[str, WorkTable | None] = {OK: None}
        if self.outcome:
            source = self.source
            tables[OK] = outcome_shape(Shape.of(self.context.input)).work_table(
                self.context.private_name(),
                merged.inserted + merged.updated + merged.deleted + merged.unchanged,
                bases=(*source.bases, source.name, self.outcome, self.refusals.name),
            )
        if merged.rejected:
            tables[REJECTS] = self.refusals.work_table(self.context.private_name(REJECTS), merged.rejected)
        return tables


def _at_fault(merge: Merge) -> str:
    """The value at fault, as text."""
    names = dict(zip(merge.plan.written, merge.names.values, strict=True))
    values = " ".join(
        f"when {number} then cast(g.{names[one.column]} as text)"
        for number, one in enumerate(merge.faults, 1)
        if one.column in names
    )
    return f"case g.fault {values} end" if values else "cast(null as text)"

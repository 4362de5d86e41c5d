"""An update in batches: each is a transaction of its own, with which the progress is kept.

Which rows are for the same row of the table is judged once, over all of them. A task that is resumed goes on with the
tables that its first attempt made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crosstie.activities.update_data.fates import Fates, counts_of
from crosstie.db.merge import Merge, Merged, key_columns, same_key
from crosstie.db.statements import quote_identifier
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType, WorkTable
from crosstie.sync.conflicts import Conflicts
from crosstie.workflow.activity import Context, Done, Scalar

if TYPE_CHECKING:
    from crosstie.activities.update_data.writing import Update

_TABLES, _BATCHES = "tables", "batches"
_KINDS = ("inserted", "updated", "unchanged", "rejected", "ignored", "deleted")
_DECISIONS = ("taken", "kept", "rejected")


@dataclass(slots=True, kw_only=True)
class Batches:
    """One execution, maybe one of several attempts. `done` batches are written: `merged` rows in all."""

    update: Update
    source: WorkTable
    size: int
    done: int = 0
    merged: Merged = field(default_factory=lambda: _merged({}))
    conflicts: Conflicts = field(default_factory=Conflicts)

    @property
    def context(self) -> Context:
        """The task's."""
        return self.update.context

    def run(self) -> Done:
        """Writes what is not written yet, batch by batch."""
        prefix = self._prefix()
        fates = self._fates(prefix)
        last = -(-self.source.rows // self.size)
        while self.done < last:
            self._write(prefix, fates, last)
        self.context.db.drop_work((_rows(prefix), _twice(prefix), self.context.private_name("batch")))
        fates.prepare()
        fates.publish()
        self.update.tell(self.conflicts)
        return Done(
            tables=fates.tables(self.merged),
            counts=counts_of(self.merged, self.conflicts, self.update.definition.operation),
            rejects=fates.refusals.rejects_of(self.context.db),
        )

    def _prefix(self) -> str:
        """What the names of the tables begin with that outlive an attempt: this one's, or an earlier one's."""
        state = self.context.state
        if _TABLES not in state:
            return self._begin()
        prefix = str(state[_TABLES])
        self.done = _count(state, _BATCHES)
        self.merged, self.conflicts = _merged(state), _conflicts(state)
        missing = {f"{prefix}_refused"} - set(self.context.db.work_tables())
        if missing:
            raise DatabaseError(
                f"{self.context.activity} had written {self.done} of its batches, but what it noted of them is gone"
                f" (table {', '.join(missing)}).",
                hint="Start the run anew: what was written already is found unchanged.",
            )
        self.context.log.info(f"goes on after {self.done} batches that are written already")
        return prefix

    def _begin(self) -> str:
        """Makes the tables: a number for each row, the rows that share their target, what becomes of them."""
        context, source = self.context, self.source
        prefix = context.private_name("batches")
        own = key_columns(source)
        number = Column(name="number", type=ColumnType.INTEGER)
        context.db.create_work(_rows(prefix), (*own, number), durable=True)
        context.db.create_work(_twice(prefix), (*own, Column(name="place", type=ColumnType.INTEGER)), durable=True)
        self._fates(prefix).make(durable=True)
        keys = ", ".join(quote_identifier(one) for one in source.key)
        names = ", ".join(column.name for column in own)
        with context.db.transaction(f"{context.activity} numbers its rows") as transaction:
            transaction.execute(
                f"insert into crosstie.{_rows(prefix)} ({names}, number)"
                f" select {keys}, row_number() over (order by {keys}) from crosstie.{source.name}"
            )
        context.db.prepare(_rows(prefix), ("number",), unique=True)
        writing = self.update.writing(source, prefix)
        with context.step(f"{context.activity} begins its batches") as transaction:
            writing.accompany(transaction)
            writing.merge.find_twice(transaction)
            context.keep(transaction, {_TABLES: prefix, _BATCHES: 0})
        context.db.prepare(_twice(prefix), tuple(column.name for column in own), unique=True)
        return prefix

    def _fates(self, prefix: str) -> Fates:
        return Fates.of(self.context, self.source, prefix, outcome=self.update.definition.outcome)

    def _write(self, prefix: str, fates: Fates, last: int) -> None:
        context = self.context
        part = self._part(prefix)
        writing = self.update.writing(part, part.name, known_twice=_twice(prefix))
        writing.merge.prepare(context.db)
        with context.step(f"{context.activity} writes batch {self.done + 1} of {last}") as transaction:
            merged = writing.write(transaction)
            fates.keep(transaction, writing.merge, before=self.merged.rejected)
            writing.merge.drop_temporary(transaction)
            total = self.merged + merged
            conflicts = self.conflicts + writing.conflicts
            counts = {kind: getattr(total, kind) for kind in _KINDS}
            counts |= {f"conflicts_{kind}": getattr(conflicts, kind) for kind in _DECISIONS}
            context.keep(transaction, {_TABLES: prefix, _BATCHES: self.done + 1, **counts})
        self._drop(writing.merge)
        self.merged, self.conflicts = total, conflicts
        self.done += 1
        context.progress(min(self.done * self.size, self.source.rows), self.source.rows)

    def _part(self, prefix: str) -> WorkTable:
        """The rows of the next batch."""
        context, source = self.context, self.source
        name = context.private_name("batch")
        context.db.create_work(name, source.columns)
        listed = ", ".join(quote_identifier(column.name) for column in source.columns)
        shown = ", ".join(f"s.{quote_identifier(column.name)}" for column in source.columns)
        with context.db.transaction(f"{context.activity} takes a batch") as transaction:
            rows = transaction.execute(
                f"insert into crosstie.{name} ({listed}) select {shown} from crosstie.{source.name} s"
                f" join crosstie.{_rows(prefix)} b on {same_key(source, 'b')}"
                " where b.number > :first and b.number <= :last",
                {"first": self.done * self.size, "last": (self.done + 1) * self.size},
            )
        context.db.prepare(name, source.key, unique=True)
        return replace(source, name=name, rows=rows, bases=())

    def _drop(self, merge: Merge) -> None:
        self.context.db.drop_work((merge.stage, merge.twice))


def _rows(prefix: str) -> str:
    return f"{prefix}_rows"


def _twice(prefix: str) -> str:
    return f"{prefix}_twice"


def _merged(state: Mapping[str, Scalar]) -> Merged:
    return Merged(**{kind: _count(state, kind) for kind in _KINDS})


def _conflicts(state: Mapping[str, Scalar]) -> Conflicts:
    return Conflicts(**{kind: _count(state, f"conflicts_{kind}") for kind in _DECISIONS})


def _count(state: Mapping[str, Scalar], name: str) -> int:
    found = state.get(name, 0)
    assert isinstance(found, int | float), f"{name} is kept as a number"
    return int(found)

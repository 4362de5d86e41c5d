"""Carries out a merge inside a transaction: compares first, writes only differences, one bad row fails nobody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crosstie.db.columns import sqlite_type
from crosstie.db.database import Database, Transaction
from crosstie.db.merge.keys import key_columns, same_key
from crosstie.db.merge.matching import give_memory
from crosstie.db.merge.plan import Companion, Fault, MergePlan
from crosstie.db.merge.refusals import AroundFaults, Constraints, is_row_fault, refuse_unreadable
from crosstie.db.merge.staging import (
    DELETED,
    IGNORED,
    INSERTED,
    UNCHANGED,
    UPDATED,
    Names,
    Staging,
    stage_columns,
)
from crosstie.db.merge.target import refuse_unfillable
from crosstie.db.statements import quote_identifier
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What became of the inbound rows. `ignored` are those that gave way to another row for the same target, or were
    passed over."""

    inserted: int
    updated: int
    unchanged: int
    rejected: int
    ignored: int
    deleted: int = 0

    def __add__(self, other: Merged) -> Merged:
        """Both together."""
        return Merged(
            inserted=self.inserted + other.inserted,
            updated=self.updated + other.updated,
            unchanged=self.unchanged + other.unchanged,
            rejected=self.rejected + other.rejected,
            ignored=self.ignored + other.ignored,
            deleted=self.deleted + other.deleted,
        )


class Merge:
    """One merge. Its private work tables are made before the transaction (`prepare`) and hold, after `apply`, what was
    written and what was refused: `stage` by the names of `Names`."""

    def __init__(self, plan: MergePlan, private_name: str, *, known_twice: str = "") -> None:
        """`known_twice` names a table like `twice`, for a larger population of which this one is a part."""
        self.plan = plan
        self.known_twice = known_twice
        self.stage = f"{private_name}_stage"
        self.twice = f"{private_name}_twice"
        self.names = Names.of(plan)
        self.staging = Staging(plan=plan, faults=[])
        self.counted: int | None = None

    @property
    def faults(self) -> Sequence[Fault]:
        """Why rows were refused: `fault` of a staged row counts from 1 in it."""
        return self.staging.faults

    def use(self, companion: Companion) -> None:
        """Takes another companion, that carries the same."""
        self.plan = replace(self.plan, companion=companion)
        self.staging.plan = self.plan

    def prepare(self, db: Database) -> None:
        """Makes the private work tables, outside the transaction."""
        if db.dialect == "postgresql":
            db.create_work(self.stage, stage_columns(self.plan))
        db.create_work(self.twice, (*key_columns(self.plan.source), Column(name="place", type=ColumnType.INTEGER)))

    def lock(self, transaction: Transaction) -> None:
        """Keeps others from writing to the target until the transaction ends: what is compared now must still be true
        when it is written. SQLite has one writer at a time anyway."""
        compares = self.plan.resolution.key or self.plan.companion.names
        if compares and transaction.dialect == "postgresql":
            transaction.execute(f"lock table {self.plan.target.sql} in share row exclusive mode")

    def apply(self, transaction: Transaction) -> Merged:
        """Stages, checks and writes, after `lock`. Raises DatabaseError for what is not the fault of single rows,
        MappingError when a column of the target that must be filled is not."""
        plan = self.plan
        self.staging.faults.clear()
        if plan.operation in ("insert or update", "insert"):
            refuse_unfillable(plan.target, plan.written)
        give_memory(transaction)
        if transaction.dialect == "sqlite":
            self._make_temporary_stage(transaction)
        has_twice = self.find_twice(transaction)
        self._fill(transaction, has_twice)
        found = self._staged(transaction)
        self._number_new(transaction, found)
        if not self._write(transaction, found):
            found = self._staged(transaction)
        return self._counts(transaction, found)

    def _make_temporary_stage(self, transaction: Transaction) -> None:
        """SQLite writes what is in the file twice; what is temporary it writes once, and elsewhere."""
        self.drop_temporary(transaction)
        listed = ", ".join(f"{column.name} {sqlite_type(column)}" for column in stage_columns(self.plan))
        transaction.execute(f"create temporary table crosstie.{self.stage} ({listed})")

    def drop_temporary(self, transaction: Transaction) -> None:
        """Lets go of a temporary stage, this one or one that an earlier task left on the same connection."""
        if transaction.dialect == "sqlite":
            left = "select name from sqlite_temp_master where type = 'table' and name like '%\\_stage' escape '\\'"
            for (name,) in transaction.rows(left):
                transaction.execute(f"drop table temp.{quote_identifier(str(name))}")

    def find_twice(self, transaction: Transaction) -> bool:
        """Notes the rows that name the same row of the target; whether there are any. One that may not take its row
        is refused alone, and keeps nobody else from it."""
        noted = self._recall_twice(transaction) if self.known_twice else 0
        params = self.staging.params()
        groups = [one for one in (self.plan.resolution.names, self.plan.companion.names) if one]
        resolved = self.staging.resolved()
        if resolved and (not self.plan.resolution.names or self._finds_by_companion(transaction)):
            groups.append(resolved)
        anothers = self.staging.anothers(resolved)
        for group in groups:
            if self._is_source_key(group):
                continue
            present = " and ".join(f"({one}) is not null" for one in group)
            listed = ", ".join(group)
            may = f" and not {anothers}" if anothers and group != self.plan.companion.names else ""
            source = f"{self.staging.source_sql()} where {present}{may}"
            if transaction.row(f"select 1 from {source} group by {listed} having count(*) > 1 limit 1", params) is None:
                continue
            noted += transaction.execute(self._note_twice(source, listed), params)
        return noted > 0

    def _finds_by_companion(self, transaction: Transaction) -> bool:
        """Whether any row is found only by the companion's key: else rows of different names have different targets."""
        own, other = self.plan.resolution.key, self.plan.companion.key
        if not other:
            return False
        lacking = f"({own[0]}) is null and ({other[0]}) is not null"
        found = transaction.row(
            f"select 1 from {self.staging.source_sql()} where {lacking} limit 1", self.staging.params()
        )
        return found is not None

    def _recall_twice(self, transaction: Transaction) -> int:
        """What was noted of these rows for the larger population."""
        own = ", ".join(self.names.source)
        shown = ", ".join(f"k.{name}" for name in self.names.source)
        known = f"crosstie.{self.known_twice} k"
        return transaction.execute(
            f"insert into crosstie.{self.twice} ({own}, place) select {shown}, k.place from {known}"
            f" join crosstie.{self.plan.source.name} s on {same_key(self.plan.source, 'k')}"
        )

    def _is_source_key(self, group: Sequence[str]) -> bool:
        """Whether the work table's own key makes the group unique."""
        names = {f"s.{quote_identifier(name)}" for name in self.plan.source.key}
        return names <= {one.strip("()").replace('"s".', "s.", 1) for one in group}

    def _note_twice(self, source: str, listed: str) -> str:
        keys = [f"s.{quote_identifier(one)}" for one in self.plan.source.key]
        order = ", ".join([*(one.sql for one in self.plan.first_by), *keys])
        shown = ", ".join(f"{key} as {name}" for key, name in zip(keys, self.names.source, strict=True))
        own = ", ".join(self.names.source)
        known = " and ".join(f"w.{name} = x.{name}" for name in self.names.source)
        losers = "place > 1" if self.plan.ignores_same_target else "together > 1"
        return (
            f"insert into crosstie.{self.twice} ({own}, place) select {own}, place from (select {shown},"
            f" row_number() over (partition by {listed} order by {order}) as place,"
            f" count(*) over (partition by {listed}) as together from {source}) x"
            f" where {losers} and not exists (select 1 from crosstie.{self.twice} w where {known})"
        )

    def _fill(self, transaction: Transaction, has_twice: bool) -> None:
        statement = self.staging.statement(self.stage, self.twice, has_twice=has_twice)
        try:
            with transaction.savepoint():
                transaction.execute(statement, self.staging.params())
        except DatabaseError as error:
            if not is_row_fault(error):
                raise
            refuse_unreadable(transaction, self.plan, self.staging, (self.stage, self.twice), has_twice)

    def key(self, alias: str) -> tuple[str, ...]:
        """The target's key of a staged row, as SQL over the stage's alias."""
        if self.counted is None:
            return tuple(f"{alias}.{name}" for name in self.names.key)
        return (f"coalesce({alias}.{self.names.key[0]}, {self.counted} + {alias}.rowid)",)

    def _number_new(self, transaction: Transaction, found: Mapping[tuple[str, bool], int]) -> None:
        """Gives the new rows the keys that SQLite would count up to: without gaps, as far as the rows go through."""
        self.counted = None
        if not self.plan.target.counted or self.plan.target.counted in self.plan.written:
            return
        new = found.get((INSERTED, False), 0)
        if new == sum(found.values()):
            self.counted = self._counted(transaction)
        elif new:
            transaction.execute(
                f"update crosstie.{self.stage} as g set {self.names.key[0]} = :counted + x.place from"
                f" (select rowid as row, row_number() over (order by rowid) as place from crosstie.{self.stage}"
                f" where what = '{INSERTED}' and fault is null) x where g.rowid = x.row",
                {"counted": self._counted(transaction)},
            )

    def _counted(self, transaction: Transaction) -> int:
        """The highest number that SQLite has given to the target's key."""
        target = self.plan.target
        found = [transaction.row(f"select max({quote_identifier(target.counted)}) from {target.sql}")]
        if transaction.row("select 1 from sqlite_master where name = 'sqlite_sequence'"):
            found.append(
                transaction.row("select seq from sqlite_sequence where name = :name", {"name": target.table.name})
            )
        return max(int(row[0]) if row and row[0] is not None else 0 for row in found)

    def _write(self, transaction: Transaction, found: Mapping[tuple[str, bool], int]) -> bool:
        """Writes; whether every row that was to be written went through."""
        pending = [what for what in (UPDATED, INSERTED, DELETED) if found.get((what, False))]
        constraints = Constraints(transaction, self.plan.target)
        try:
            with transaction.savepoint():
                for what in pending:
                    transaction.execute(self.statement(what))
                constraints.settle()
        except DatabaseError as error:
            if not is_row_fault(error):
                raise
            AroundFaults(
                transaction=transaction,
                plan=self.plan,
                stage=self.stage,
                faults=self.staging.faults,
                statement=self.statement,
                constraints=constraints,
            ).write()
            return False
        return True

    def statement(self, what: str, only: str = "") -> str:
        """The write of the staged rows with that outcome; `only` restricts alias g, the stage."""
        target = self.plan.target
        values = {
            one: target.given(target.column(one), f"g.{name}")
            for one, name in zip(self.plan.written, self.names.values, strict=True)
        }
        due = f"g.what = '{what}' and g.fault is null{only}"
        if what == DELETED:
            columns = ", ".join(quote_identifier(one.name) for one in target.key)
            keys = (target.given(one, f"g.{name}") for one, name in zip(target.key, self.names.key, strict=True))
            return (
                f"delete from {target.sql} where ({columns}) in"
                f" (select {', '.join(keys)} from crosstie.{self.stage} g where {due})"
            )
        if what == UPDATED:
            sets = ", ".join(f"{quote_identifier(one)} = {value}" for one, value in values.items())
            same = " and ".join(
                f"t.{quote_identifier(one.name)} = {target.given(one, f'g.{name}')}"
                for one, name in zip(target.key, self.names.key, strict=True)
            )
            return f"update {target.sql} as t set {sets} from crosstie.{self.stage} g where {same} and {due}"
        for column, key in zip(target.key, self.key("g"), strict=True):
            values.setdefault(column.name, target.given(column, key))
        overriding = " overriding system value" if target.overrides_identity else ""
        listed = ", ".join(quote_identifier(one) for one in values)
        return (
            f"insert into {target.sql} ({listed}){overriding} select {', '.join(values.values())}"
            f" from crosstie.{self.stage} g where {due}"
        )

    def _staged(self, transaction: Transaction) -> Mapping[tuple[str, bool], int]:
        outcomes = (INSERTED, UPDATED, DELETED, UNCHANGED, IGNORED)
        kinds = [(what, refused) for what in outcomes for refused in (False, True)]
        counted = ", ".join(
            f"count(*) filter (where what = '{what}' and fault is {'not null' if refused else 'null'})"
            for what, refused in kinds
        )
        row = transaction.row(f"select {counted} from crosstie.{self.stage}") or ()
        return {kind: int(number) for kind, number in zip(kinds, row, strict=True)}

    def _counts(self, transaction: Transaction, found: Mapping[tuple[str, bool], int]) -> Merged:
        rejected = sum(number for (_, refused), number in found.items() if refused)
        inserted, updated = found.get((INSERTED, False), 0), found.get((UPDATED, False), 0)
        deleted, ignored = found.get((DELETED, False), 0), found.get((IGNORED, False), 0)
        if self.plan.ignores_same_target:
            row = transaction.row(f"select count(*) from crosstie.{self.twice}")
            ignored += int(row[0]) if row else 0
        unchanged = self.plan.source.rows - rejected - inserted - updated - deleted - ignored
        return Merged(
            inserted=inserted,
            updated=updated,
            unchanged=unchanged,
            rejected=rejected,
            ignored=ignored,
            deleted=deleted,
        )

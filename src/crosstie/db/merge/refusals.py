"""Finds the rows that the database would refuse, so that the others go through.

What can be asked in SQL is asked (uniqueness); the culprits of other violations are found by bisection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from crosstie.db.database import Transaction
from crosstie.db.merge.exchanges import Exchanges, equal
from crosstie.db.merge.plan import CONSTRAINT, INVALID_VALUE, NOT_NULL, NOT_UNIQUE, Fault, MergePlan
from crosstie.db.merge.staging import DELETED, INSERTED, UNCHANGED, UPDATED, Names, Staging
from crosstie.db.merge.target import Target
from crosstie.db.statements import quote_identifier
from crosstie.errors import DatabaseError

Statement = Callable[[str, str], str]

_UNIQUE_CODES = ("23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID")
_NULL_CODES = ("23502", "SQLITE_CONSTRAINT_NOTNULL")
_VALUE_CODES = ("SQLITE_MISMATCH", "SQLITE_TOOBIG", "SQLITE_CONSTRAINT_DATATYPE", "SQLITE_ERROR")
# A trigger that raises, and a view's check option.
_OTHER_CODES = ("P0001", "44000")
# Staged rows that are to be written and are not yet: what is written or refused is numbered, or has a fault.
_PENDING = f"g.fault is null and g.number is null and g.what in ('{INSERTED}', '{UPDATED}', '{DELETED}')"
_QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"")


def is_row_fault(error: DatabaseError) -> bool:
    """Whether single rows are at fault, and not the statement, the disk or the connection."""
    code = error.code
    return code.startswith(("22", "23", "SQLITE_CONSTRAINT")) or code in _VALUE_CODES or code in _OTHER_CODES


class Constraints:
    """Makes deferred constraints speak now, and not when the task's state is committed."""

    def __init__(self, transaction: Transaction, target: Target) -> None:
        self.transaction = transaction
        self.target = target
        self.known = self._violations()

    def settle(self) -> None:
        """Raises DatabaseError for what has been written since and violates one."""
        if self.transaction.dialect == "postgresql":
            self.transaction.execute("set constraints all immediate")
        elif self._violations() > self.known:
            raise DatabaseError("FOREIGN KEY constraint failed", code="SQLITE_CONSTRAINT_FOREIGNKEY")

    def _violations(self) -> int:
        if not self.target.defers_references:
            return 0
        row = self.transaction.row(
            "select count(*) from pragma_foreign_key_check(:table)", {"table": self.target.table.name}
        )
        return int(row[0]) if row is not None else 0


def bisect(
    transaction: Transaction,
    last: int,
    attempt: Callable[[int, int], int],
    refuse: Callable[[int, DatabaseError], None],
) -> int:
    """Attempts the numbers 1 to `last`, halving what fails until each culprit stands alone and is refused. Gives what
    the attempts that went through gave, summed. Keeps the order of the numbers."""
    done = 0
    waiting = [(1, last)] if last else []
    while waiting:
        low, high = waiting.pop()
        try:
            with transaction.savepoint():
                done += attempt(low, high)
        except DatabaseError as error:
            if not is_row_fault(error):
                raise
            if low == high:
                refuse(low, error)
            else:
                middle = (low + high) // 2
                waiting += [(middle + 1, high), (low, middle)]
    return done


def refuse_unreadable(
    transaction: Transaction,
    plan: MergePlan,
    staging: Staging,
    tables: tuple[str, str],
    has_twice: bool,
) -> None:
    """Stages row by row group, because a value of some row could not even be computed. Raises DatabaseError when the
    statement itself is at fault."""
    stage, twice = tables
    names = Names.of(plan)
    numbers = f"{stage}_rows"
    keys = [quote_identifier(one) for one in plan.source.key]
    shown = ", ".join(f"{key} as {name}" for key, name in zip(keys, names.source, strict=True))
    transaction.execute(
        f"create table crosstie.{numbers} as select {shown}, row_number() over (order by {', '.join(keys)}) as number"
        f" from crosstie.{plan.source.name}"
    )
    transaction.execute(f"create index {numbers}_number on crosstie.{numbers} (number)")
    same = " and ".join(f"b.{name} = s.{key}" for name, key in zip(names.source, keys, strict=True))
    only = f" join crosstie.{numbers} b on b.number between :low and :high and {same}"
    staging.faults.clear()
    statement = staging.statement(stage, twice, has_twice=has_twice, only=only)
    faults = staging.faults

    def attempt(low: int, high: int) -> int:
        params = {**staging.params(), "low": low, "high": high}
        return transaction.execute(statement, params)

    def refuse(number: int, error: DatabaseError) -> None:
        fault = fault_number(faults, Fault(code=INVALID_VALUE, message=_said(error)))
        own = ", ".join(names.source)
        transaction.execute(
            f"insert into crosstie.{stage} ({own}, what, fault, concerned)"
            f" select {own}, '{UNCHANGED}', {fault}, false from crosstie.{numbers} where number = :number",
            {"number": number},
        )

    attempt(0, 0)  # without a single row: fails only when the statement itself is wrong
    bisect(transaction, plan.source.rows, attempt, refuse)


def fault_number(faults: list[Fault], fault: Fault) -> int:
    """The number under which the stage knows that fault."""
    if fault not in faults:
        faults.append(fault)
    return faults.index(fault) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AroundFaults:
    """Writes what can be written, and refuses the rest row by row. `statement` gives the write of the staged rows with
    an outcome and a restriction on alias g, the stage; `faults` is added to."""

    transaction: Transaction
    plan: MergePlan
    stage: str
    faults: list[Fault]
    statement: Statement
    constraints: Constraints

    def write(self) -> None:
        """A value that another row holds is refused, unless that row gives it up in the same merge; therefore again,
        as long as something was written and something is still held up. Rows that wait for each other go last."""
        kinds = (DELETED,) if self.plan.operation == "delete" else (UPDATED, INSERTED)
        while True:
            held = self._mark_not_unique()
            written = sum(self._write(what) for what in kinds)
            if held and not written:
                written = self._exchange(held)
            if not held or not written:
                return
            self.transaction.execute(
                f"update crosstie.{self.stage} as g set fault = null"
                f" where g.fault in ({', '.join(str(one) for one in held)})"
            )

    def _exchange(self, held: Mapping[int, Sequence[str]]) -> int:
        return Exchanges(
            transaction=self.transaction,
            plan=self.plan,
            stage=self.stage,
            statement=self.statement,
            uniques=held,
            settle=self.constraints.settle,
        ).write(bisect)

    def _write(self, what: str) -> int:
        """All that is pending, at once if it goes, else around the culprits; how many rows. What is written is
        numbered."""
        try:
            with self.transaction.savepoint():
                written = self.transaction.execute(self.statement(what, " and g.number is null"))
                self.constraints.settle()
        except DatabaseError as error:
            if not is_row_fault(error):
                raise
            written = self._bisect(what)
        self.transaction.execute(
            f"update crosstie.{self.stage} as g set number = 0 where {_PENDING} and g.what = '{what}'"
        )
        return written

    def _bisect(self, what: str) -> int:
        own = ", ".join(Names.of(self.plan).source)
        same = " and ".join(f"g.{name} = x.{name}" for name in Names.of(self.plan).source)
        last = self.transaction.execute(
            f"update crosstie.{self.stage} as g set number = x.number from (select {own},"
            f" row_number() over (order by {own}) as number from crosstie.{self.stage}"
            f" where what = '{what}' and fault is null and number is null) x where {same}"
        )
        index = f"{self.stage}_number"
        self.transaction.execute(f"create index if not exists {index} on crosstie.{self.stage} (number)")
        ranged = self.statement(what, " and g.number between :low and :high")

        def attempt(low: int, high: int) -> int:
            written = self.transaction.execute(ranged, {"low": low, "high": high})
            self.constraints.settle()
            return written

        def refuse(number: int, error: DatabaseError) -> None:
            fault = _fault(self.transaction, self.plan, error)
            self.transaction.execute(
                f"update crosstie.{self.stage} set fault = :fault where number = :number and what = '{what}'",
                {"fault": fault_number(self.faults, fault), "number": number},
            )

        written = bisect(self.transaction, last, attempt, refuse)
        self.transaction.execute(f"update crosstie.{self.stage} set number = 0 where number > 0")
        return written

    def _mark_not_unique(self) -> Mapping[int, Sequence[str]]:
        """Marks the rows whose value another row holds; the unique columns by the fault that it gave for them."""
        names = Names.of(self.plan)
        target = self.plan.target
        staged = {
            **dict(zip(target.table.key, names.key, strict=True)),
            **dict(zip(self.plan.written, names.values, strict=True)),
        }
        marked: dict[int, Sequence[str]] = {}
        for unique in (target.table.key, *target.table.unique):
            if not unique or not set(unique) <= set(staged) or not set(unique) & set(self.plan.written):
                continue
            message = f"another row of {target.table.name} has this {' and '.join(unique)} already"
            number = fault_number(self.faults, Fault(code=NOT_UNIQUE, message=message, column=unique[0]))
            values = [staged[one] for one in unique]
            present = " and ".join(f"g.{value} is not null" for value in values)
            held = equal(target, unique, values)
            own = equal(target, target.table.key, names.key)
            count = self.transaction.execute(
                f"update crosstie.{self.stage} as g set fault = {number} where {_PENDING} and {present} and exists"
                f" (select 1 from {target.sql} t where {held} and (g.what = '{INSERTED}' or not ({own})))"
            )
            count += self.transaction.execute(_later_ones(names, self.stage, values, number, present))
            if count:
                marked[number] = unique
        return marked


def _later_ones(names: Names, stage: str, values: Sequence[str], number: int, present: str) -> str:
    """Marks all but the first of the pending rows that would hold the same value; updates come before inserts."""
    own = ", ".join(f"g.{name}" for name in names.source)
    by = ", ".join(f"g.{value}" for value in values)
    same = " and ".join(f"g.{name} = x.{name}" for name in names.source)
    return (
        f"update crosstie.{stage} as g set fault = {number} from (select {own}, row_number() over (partition by {by}"
        f" order by case when g.what = '{UPDATED}' then 0 else 1 end, {own}) as place"
        f" from crosstie.{stage} g where {_PENDING} and {present}) x where {same} and x.place > 1"
    )


def _fault(transaction: Transaction, plan: MergePlan, error: DatabaseError) -> Fault:
    code = CONSTRAINT
    if error.code in _NULL_CODES:
        code = NOT_NULL
    elif error.code in _UNIQUE_CODES:
        code = NOT_UNIQUE
    elif _is_value_fault(error):
        code = INVALID_VALUE
    return Fault(code=code, message=_said(error), column=_column_at_fault(transaction, plan, error))


def _is_value_fault(error: DatabaseError) -> bool:
    return error.code.startswith("22") or error.code in _VALUE_CODES


def _said(error: DatabaseError) -> str:
    """What the database says, without the row's values: the reject carries them, a log must not."""
    said = getattr(getattr(error.__cause__, "diag", None), "message_primary", "") or str(
        error.__cause__ or error.message
    )
    first = str(said).splitlines()[0]
    return _QUOTED.sub("…", first) if _is_value_fault(error) else first


def _column_at_fault(transaction: Transaction, plan: MergePlan, error: DatabaseError) -> str:
    """The column that the database names, or that its constraint is about; '' when it does not say."""
    diagnosis = getattr(error.__cause__, "diag", None)
    if diagnosis is not None:
        if diagnosis.column_name:
            return str(diagnosis.column_name)
        row = transaction.row(
            "select a.attname from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid"
            " and a.attnum = any(c.conkey) where c.conname = :name"
            " and c.conrelid = to_regclass(cast(:table as text)) order by a.attnum limit 1",
            {"name": diagnosis.constraint_name or "", "table": plan.target.sql},
        )
        return str(row[0]) if row is not None else ""
    said = str(error.__cause__ or "")
    named = [one for one in plan.written if re.search(rf"(?<!\w){re.escape(one)}(?!\w)", said)]
    return named[0] if named else ""

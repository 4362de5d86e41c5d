"""The statement that stages a merge: each row that must be written or refused, with its target's key and new values.

Table aliases: s the work table, t the target's row (if there is one), w the rows that share their target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crosstie.db.columns import postgresql_cast
from crosstie.db.merge.keys import key_columns, same_key
from crosstie.db.merge.plan import (
    AMBIGUOUS_TARGET,
    DUPLICATE_TARGET,
    KEY_EXISTS,
    KEY_MISSING,
    NOT_NULL,
    OUT_OF_RANGE,
    ROUNDED,
    TIED_TO_ANOTHER,
    TOO_LONG,
    Assignment,
    Fault,
    MergePlan,
)
from crosstie.db.merge.target import TargetColumn
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType

INSERTED, UPDATED, DELETED = "inserted", "updated", "deleted"
UNCHANGED, IGNORED = "unchanged", "ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What stands where in the stage: the work table's key, the target's key, the values, what is carried."""

    source: tuple[str, ...]
    key: tuple[str, ...]
    values: tuple[str, ...]
    carried: tuple[str, ...]

    @classmethod
    def of(cls, plan: MergePlan) -> Names:
        """By counting."""

        def counted(letter: str, number: int) -> tuple[str, ...]:
            return tuple(f"{letter}_{place}" for place in range(1, number + 1))

        return cls(
            source=counted("s", len(plan.source.key)),
            key=counted("k", len(plan.target.key)),
            values=counted("v", len(plan.written)),
            carried=counted("c", len(plan.companion.carried)),
        )


def stage_columns(plan: MergePlan) -> tuple[Column, ...]:
    """The columns of the stage. `number` is filled where rows must be told apart one by one."""
    names = Names.of(plan)
    target = plan.target
    return (
        *key_columns(plan.source),
        Column(name="what", type=ColumnType.TEXT),
        Column(name="fault", type=ColumnType.INTEGER),
        Column(name="number", type=ColumnType.INTEGER),
        Column(name="concerned", type=ColumnType.BOOLEAN),
        *(_wide(one.column).named(name) for one, name in zip(target.key, names.key, strict=True)),
        *(_wide(target.column(one).column).named(name) for one, name in zip(plan.written, names.values, strict=True)),
        *(one.column.named(name) for one, name in zip(plan.companion.carried, names.carried, strict=True)),
    )


def _wide(column: Column) -> Column:
    """The stage holds what does not fit the target, so that it can say so."""
    return Column(name=column.name, type=column.type, scale=column.scale)


@dataclass(slots=True)
class Staging:
    """Composes the staging statement of a plan. `faults` grows by one for each check; a row's fault is its place."""

    plan: MergePlan
    faults: list[Fault]

    def source_sql(self) -> str:
        """The work table and all that is joined to find the target's row, without the row itself."""
        plan = self.plan
        return f"crosstie.{plan.source.name} s{plan.resolution.joins}{plan.companion.joins}"

    def resolved(self) -> tuple[str, ...]:
        """The target's key of a row, as SQL over `source_sql`."""
        key, other = self.plan.resolution.key, self.plan.companion.key
        if not key or not other:
            return key
        return tuple(f"coalesce({one}, {spare})" for one, spare in zip(key, other, strict=True))

    def anothers(self, key: Sequence[str]) -> str:
        """The condition under which the target's row with that key belongs to another record; '' for never."""
        condition = self.plan.companion.anothers
        return condition(key[0]) if condition is not None and key else ""

    def params(self) -> dict[str, object]:
        """All that any part of it binds."""
        plan = self.plan
        found = {**plan.resolution.params, **plan.companion.params}
        for one in plan.assignments:
            found.update(one.value.params)
            if one.when is not None:
                found.update(one.when.params)
        for carried in plan.companion.carried:
            found.update(carried.value.params)
        for ordering in plan.first_by:
            found.update(ordering.value.params)
        return found

    def statement(self, stage: str, twice: str, *, has_twice: bool, only: str = "") -> str:
        """Fills `stage`; `only` restricts the work table's rows by a further join."""
        names = Names.of(self.plan)
        columns = [*names.source, "what", "fault", "concerned", *names.key, *names.values, *names.carried]
        inner = self._inner(names, twice, has_twice, only)
        judged = f"select q.*, {self._fault(names, has_twice)} as fault, {self._what(names)} as what from ({inner}) q"
        shown = [*names.source, "what", "fault", "concerned", *self._keys(names), *names.values, *names.carried]
        return (
            f"insert into crosstie.{stage} ({', '.join(columns)}) select {', '.join(shown)} from ({judged}) r"
            f" where what <> '{UNCHANGED}' or fault is not null or concerned"
        )

    def _inner(self, names: Names, twice: str, has_twice: bool, only: str) -> str:
        plan, target = self.plan, self.plan.target
        resolved = self.resolved()
        shown = [
            f"s.{quote_identifier(one)} as {name}" for one, name in zip(plan.source.key, names.source, strict=True)
        ]
        joins = only
        if resolved:
            conditions = (
                f"t.{quote_identifier(one.name)} = {target.given(one, sql)}"
                for one, sql in zip(target.key, resolved, strict=True)
            )
            joins += f" left join {target.sql} t on {' and '.join(conditions)}"
            shown += [f"{target.read('t', one)} as {name}" for one, name in zip(target.key, names.key, strict=True)]
            shown += [f"t.{quote_identifier(one)} as o_{place}" for place, one in enumerate(plan.written, 1)]
            shown.append(f"t.{quote_identifier(target.key[0].name)} is null as fresh")
            shown += [f"{told} as refused_{place}" for place, (told, _) in enumerate(plan.companion.refused, 1)]
        shown += [
            f"{self._value(target.column(one), bool(resolved))} as {name}"
            for one, name in zip(plan.written, names.values, strict=True)
        ]
        shown += [f"{one.value.sql} as {name}" for one, name in zip(plan.companion.carried, names.carried, strict=True)]
        shown.append(f"{plan.companion.concerned or 'false'} as concerned")
        if plan.resolution.ambiguous:
            # A tie may say which one is meant.
            missing = f"t.{quote_identifier(target.key[0].name)} is null"
            shown.append(f"({plan.resolution.ambiguous} and {missing}) as ambiguous")
        if resolved and (anothers := self.anothers([target.read("t", target.key[0])])):
            shown.append(f"{anothers} as anothers")
        where = ""
        if plan.companion.passed_over:
            shown.append(f"{plan.companion.passed_over} as passed")
        if has_twice:
            joins += f" left join crosstie.{twice} w on {same_key(plan.source, 'w')}"
            shown.append("w.place as place")
            if plan.ignores_same_target:
                where = " where w.place is null"
        # PostgreSQL would compute a value again wherever it is used: this is a fence to its planner.
        fence = " offset 0" if target.dialect == "postgresql" else ""
        return f"select {', '.join(shown)} from {self.source_sql()}{joins}{where}{fence}"

    def _value(self, column: TargetColumn, has_row: bool) -> str:
        """What the column will hold."""
        value = self._assigned(column, has_row)
        kept = self.plan.companion.kept.get(column.name) if has_row else None
        return f"case when {kept} then {self.plan.target.read('t', column)} else {value} end" if kept else value

    def _assigned(self, column: TargetColumn, has_row: bool) -> str:
        """What “set” gives it: the last line that applies, else what it has, or its default."""
        lines = [one for one in self.plan.assignments if one.column == column.name]
        if lines[-1].always:
            return f"({lines[-1].value.sql})"
        default = self._default(column)
        if not has_row:
            return _chosen([one for one in lines if one.on != "update"], default)
        kept = self.plan.target.read("t", column)
        fresh = _chosen([one for one in lines if one.on != "update"], default)
        known = _chosen([one for one in lines if one.on != "insert"], kept)
        first = quote_identifier(self.plan.target.key[0].name)
        return f"case when t.{first} is null then {fresh} else {known} end"

    def _default(self, column: TargetColumn) -> str:
        """What the database itself would put there, as the stage holds it."""
        default = column.default or "null"
        if self.plan.target.dialect == "sqlite":
            return default
        return f"cast({default} as {postgresql_cast(column.column)})"

    def _what(self, names: Names) -> str:
        if not names.key or not self.plan.resolution.key:
            return f"'{INSERTED}'"
        passed = f"when q.passed then '{IGNORED}' " if self.plan.companion.passed_over else ""
        if self.plan.operation == "delete":
            return f"case {passed}when q.fresh then '{UNCHANGED}' else '{DELETED}' end"
        differs = " or ".join(
            self.plan.target.differs(self.plan.target.column(one), f"q.o_{place}", f"q.{name}")
            for place, (one, name) in enumerate(zip(self.plan.written, names.values, strict=True), 1)
            if one in self.plan.compared
        )
        known = f"when {differs or 'false'} then '{UPDATED}' else '{UNCHANGED}'"
        left_alone = self.plan.companion.absent_is_done and self.plan.operation == "update"
        return f"case {passed}when q.fresh then '{UNCHANGED if left_alone else INSERTED}' {known} end"

    def _keys(self, names: Names) -> list[str]:
        """The target's key: the row's own, or for a new row what it is given or takes."""
        if not names.key:
            return []
        found = bool(self.plan.resolution.key)
        keys = []
        for column, name in zip(self.plan.target.key, names.key, strict=True):
            if column.name in self.plan.written:
                new = names.values[self.plan.written.index(column.name)]
            elif column.name == self.plan.target.counted:
                new = "null"  # numbered once it is known how many there are
            else:
                new = self._default(column)
            fresh = f"what = '{INSERTED}' and fault is null"
            keys.append(f"case when {fresh} then {new}{f' else {name}' if found else ''} end")
        return keys

    def _fault(self, names: Names, has_twice: bool) -> str:
        branches = ["when q.passed then null"] if self.plan.companion.passed_over else []
        for condition, fault in self._checks(names, has_twice):
            self.faults.append(fault)
            branches.append(f"when {condition} then {len(self.faults)}")
        return f"case {' '.join(branches)} end" if self.faults else "cast(null as integer)"

    def _checks(self, names: Names, has_twice: bool) -> Iterator[tuple[str, Fault]]:
        plan = self.plan
        name = plan.target.table.name
        if plan.resolution.ambiguous:
            yield "q.ambiguous", Fault(code=AMBIGUOUS_TARGET, message=f"several rows of {name} are meant")
        if has_twice and not plan.ignores_same_target:
            yield (
                "q.place is not null",
                Fault(code=DUPLICATE_TARGET, message=f"several inbound rows are for the same row of {name}"),
            )
        if plan.resolution.key and plan.companion.anothers is not None:
            yield (
                "q.anothers",
                Fault(code=TIED_TO_ANOTHER, message=f"the row of {name} belongs to another remote record"),
            )
        if plan.resolution.key and plan.operation == "insert":
            yield "not q.fresh", Fault(code=KEY_EXISTS, message=f"{name} has this row already")
        if plan.operation in ("update", "delete") and not plan.companion.absent_is_done:
            yield "q.fresh", Fault(code=KEY_MISSING, message=f"{name} has no such row")
        if plan.resolution.key:
            yield from ((f"q.refused_{place}", fault) for place, (_, fault) in enumerate(plan.companion.refused, 1))
        for place, (one, value) in enumerate(zip(plan.written, names.values, strict=True), 1):
            for condition, fault in _value_checks(plan.target.column(one), f"q.{value}"):
                yield self._unless_held(condition, f"q.o_{place}", f"q.{value}"), fault

    def _unless_held(self, condition: str, own: str, value: str) -> str:
        """SQLite may hold what the table does not declare: nothing is wrong with leaving it there."""
        if self.plan.target.dialect == "postgresql" or not self.plan.resolution.key:
            return condition
        return f"({condition}) and (q.fresh or {own} is not {value})"


def _chosen(lines: list[Assignment], otherwise: str) -> str:
    """The value of the last line that applies."""
    branches = []
    for one in reversed(lines):
        conditions = [] if one.when is None else [f"({one.when.sql})"]
        if one.keep_empty:
            conditions.append(f"({one.value.sql}) is not null")
            if one.value.type in (ColumnType.TEXT, ColumnType.SET):
                conditions.append(f"({one.value.sql}) <> ''")
        if not conditions:
            otherwise = f"({one.value.sql})"
            break
        branches.append(f"when {' and '.join(conditions)} then {one.value.sql}")
    return f"case {' '.join(branches)} else {otherwise} end" if branches else otherwise


def _value_checks(column: TargetColumn, value: str) -> Iterator[tuple[str, Fault]]:
    """What would make the database refuse the value, or change it silently, the same on both."""
    kind = column.column.type
    name = column.name
    if not column.column.nullable:
        yield f"{value} is null", Fault(code=NOT_NULL, message=f"{name} must not be empty", column=name)
    if column.column.length and kind in (ColumnType.TEXT, ColumnType.SET):
        limit = column.column.length
        yield (
            f"length({value}) > {limit}",
            Fault(code=TOO_LONG, message=f"{name} holds at most {limit} characters", column=name),
        )
    if column.precision is not None and kind in (ColumnType.DECIMAL, ColumnType.INTEGER):
        digits, scale = column.precision
        yield (
            f"round({value}, {scale}) <> {value}",
            Fault(code=ROUNDED, message=f"{name} holds {scale} decimals, more would be rounded", column=name),
        )
        yield (
            f"abs({value}) >= 1{'0' * (digits - scale)}",
            Fault(code=OUT_OF_RANGE, message=f"{name} holds {digits - scale} digits before the point", column=name),
        )
    if kind is ColumnType.INTEGER and column.integer_bits:
        limit = 2 ** (column.integer_bits - 1)
        yield (
            f"{value} not between {-limit} and {limit - 1}",
            Fault(code=OUT_OF_RANGE, message=f"{name} holds whole numbers up to {limit - 1:,}", column=name),
        )

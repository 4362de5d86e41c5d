"""Finds the rows that a deduplication leaves out, and the fields that others supply for those it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crosstie.activities.deduplication.reading import ReadDeduplication, ReadGroup, Rule
from crosstie.db.merge.keys import key_columns, same_key
from crosstie.db.merge.matching import Fragment, give_memory
from crosstie.db.merge.phrases import Writer
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, WorkTable
from crosstie.workflow.activity import Context

_TEXTS = (ColumnType.TEXT, ColumnType.SET)


def ordering(writer: Writer, rule: Rule) -> Fragment:
    """What stands in the `order by` for a rule, over alias s."""
    value = writer.fragment(rule.value, {"": "s"})
    sql, params = value.sql, dict(value.params)
    if rule.word in ("highest", "lowest"):
        bytewise = ' collate "C"' if writer.dialect == "postgresql" and value.type in _TEXTS else ""
        return replace(value, sql=f"({sql}){bytewise} {'desc' if rule.word == 'highest' else 'asc'} nulls last")
    if rule.word == "not_empty":
        return Fragment(sql=f"case when {_empty(value)} then 1 else 0 end", type=ColumnType.INTEGER, params=params)
    branches = []
    for place, one in enumerate(rule.listed):
        listed = writer.fragment(one, {})
        params.update(listed.params)
        branches.append(f"when {sql} = {listed.sql} then {place}")
    ranked = f"case {' '.join(branches)} else {len(branches)} end"
    return Fragment(sql=ranked, type=ColumnType.INTEGER, params=params)


def _empty(value: Fragment) -> str:
    """Whether a value is empty: null, or a text without characters."""
    return f"({value.sql} is null or {value.sql} = '')" if value.type in _TEXTS else f"({value.sql} is null)"


def _params(fragments: Sequence[Fragment]) -> dict[str, object]:
    return {name: value for one in fragments for name, value in one.params.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubles:
    """The rows to leave out of a population whose key is known. `name` is the table that holds their keys, each with
    the key of the row kept in its place."""

    context: Context
    source: WorkTable
    name: str
    criteria: list[Fragment]
    order: list[Fragment]
    count: int
    group_empty: bool

    @classmethod
    def of(
        cls,
        context: Context,
        source: WorkTable,
        read: ReadDeduplication,
        writer: Writer,
        *,
        count: int,
        group_empty: bool,
    ) -> Doubles:
        """With the definition written as SQL."""
        return cls(
            context=context,
            source=source,
            name=context.private_name("double"),
            criteria=[writer.fragment(one, {"": "s"}) for one in read.criteria],
            order=[ordering(writer, rule) for rule in read.rules],
            count=count,
            group_empty=group_empty,
        )

    @property
    def groups(self) -> str:
        """The table of the criteria of each group that has more rows than are kept."""
        return f"{self.name}_groups"

    def find(self) -> int:
        """Finds these groups; how many there are. Most populations have few: only their rows are put in order then."""
        columns = [Column(name=f"c_{place}", type=one.type) for place, one in enumerate(self.criteria, 1)]
        self.context.db.create_work(self.groups, columns)
        named = [column.name for column in columns]
        shown = ", ".join(f"{value} as {name}" for value, name in zip(self._values(), named, strict=True))
        present = "" if self.group_empty else f" where {' and '.join(f'{name} is not null' for name in named)}"
        listed = ", ".join(named)
        # PostgreSQL would compute a value again wherever it is used: this is a fence to its planner.
        fence = " offset 0" if self.context.db.dialect == "postgresql" else ""
        with self.context.db.transaction(f"{self.context.activity} looks for double rows") as transaction:
            give_memory(transaction)
            found = transaction.execute(
                f"insert into crosstie.{self.groups} ({listed}) select {listed} from (select {shown}"
                f" from crosstie.{self.source.name} s{fence}) x{present}"
                f" group by {listed} having count(*) > {self.count}",
                _params(self.criteria),
            )
        self.context.db.prepare(self.groups)
        return found

    def _values(self) -> list[str]:
        """What a row is grouped by; empty is empty, whether null or a text without characters."""
        return [f"nullif({one.sql}, '')" if one.type in _TEXTS else one.sql for one in self.criteria]

    def make(self) -> None:
        """An empty table."""
        self.context.db.create_work(self.name, (*key_columns(self.source), *key_columns(self.source, "r")))

    def fill(self) -> int:
        """Makes and fills the table; how many rows."""
        self.make()
        keys = [f"s.{quote_identifier(one)}" for one in self.source.key]
        order = ", ".join([*(one.sql for one in self.order), *keys])
        groups, rows = self._values(), f"crosstie.{self.source.name} s"
        if not self.group_empty:
            names = [f"c.c_{place}" for place in range(1, len(groups) + 1)]
            on = " and ".join(f"{name} = {value}" for name, value in zip(names, groups, strict=True))
            groups, rows = names, f"{rows} join crosstie.{self.groups} c on {on}"
        over = f"over (partition by {', '.join(groups)} order by {order})"
        places = range(1, len(keys) + 1)
        shown = ", ".join(
            f"{key} as s_{place}, first_value({key}) {over} as r_{place}"
            for place, key in zip(places, keys, strict=True)
        )
        listed = ", ".join([*(f"s_{place}" for place in places), *(f"r_{place}" for place in places)])
        with self.context.db.transaction(f"{self.context.activity} finds double rows") as transaction:
            give_memory(transaction)
            found = transaction.execute(
                f"insert into crosstie.{self.name} ({listed}) select {listed} from"
                f" (select {shown}, row_number() {over} as place from {rows}) x where place > {self.count}",
                _params([*self.criteria, *self.order]),
            )
        self.context.db.prepare(self.name, tuple(f"s_{place}" for place in places), unique=True)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplied:
    """The fields of a group that the first eligible row supplies together, by the key of the row that is kept. Where
    no row is eligible the table has none, and the kept row's own fields stand."""

    name: str
    fields: tuple[Column, ...]

    @classmethod
    def find(cls, doubles: Doubles, writer: Writer, group: ReadGroup, number: int) -> Supplied:
        """Looks through the rows of each group that has several."""
        context, source = doubles.context, doubles.source
        made = cls(name=context.private_name(f"merged{number}"), fields=group.fields)
        own = key_columns(source)
        given = [column.named(f"f_{place}") for place, column in enumerate(group.fields, 1)]
        context.db.create_work(made.name, (*own, *given))
        order = [ordering(writer, rule) for rule in group.rules] + doubles.order
        eligible = [] if group.when is None else [writer.fragment(group.when, {"": "s"})]
        tests = [f"({one.sql})" for one in eligible]
        values = [
            Fragment(sql=f"s.{quote_identifier(column.name)}", type=column.type, column=column.name)
            for column in group.fields
        ]
        if group.filled:
            tests += [f"not {_empty(one)}" for one in values]
        keys = [f"r_{place}" for place in range(1, len(own) + 1)]
        by = ", ".join([*(one.sql for one in order), *(f"s.{quote_identifier(one)}" for one in source.key)])
        kept = ", ".join(f"d.{key} as {column.name}" for key, column in zip(keys, own, strict=True))
        shown = ", ".join(f"{value.sql} as {column.name}" for value, column in zip(values, given, strict=True))
        listed = ", ".join(column.name for column in (*own, *given))
        where = f" where {' and '.join(tests)}" if tests else ""
        with context.db.transaction(f"{context.activity} merges rows") as transaction:
            give_memory(transaction)
            transaction.execute(
                f"insert into crosstie.{made.name} ({listed}) select {listed} from (select {kept}, {shown},"
                f" row_number() over (partition by {', '.join(f'd.{key}' for key in keys)} order by {by}) as place"
                f" from ({_members(doubles)}) d join crosstie.{source.name} s on {same_key(source, 'd')}"
                f"{where}) x where place = 1",
                _params([*order, *eligible]),
            )
        context.db.prepare(made.name, tuple(column.name for column in own), unique=True)
        return made


def _members(doubles: Doubles) -> str:
    """All rows of each group that has several, with the row kept among them."""
    places = range(1, len(doubles.source.key) + 1)
    all_of = ", ".join([*(f"s_{place}" for place in places), *(f"r_{place}" for place in places)])
    kept = ", ".join([*(f"r_{place} as s_{place}" for place in places), *(f"r_{place}" for place in places)])
    table = f"crosstie.{doubles.name}"
    return f"select {all_of} from {table} union all select distinct {kept} from {table}"

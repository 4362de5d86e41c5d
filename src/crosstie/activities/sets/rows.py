"""Finds rows of one population in others, and publishes a part of a population without copying it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from crosstie.db.database import Transaction
from crosstie.db.expressions import Expression
from crosstie.db.merge import Fragment, give_memory, key_columns, numbered, same_key
from crosstie.db.merge.digests import digest
from crosstie.db.merge.phrases import Writer
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, WorkTable
from crosstie.workflow.activity import Context, Shape

# Long texts cannot be indexed as they are (PostgreSQL manual, B-Tree: a third of a page).
_LONG = (ColumnType.TEXT, ColumnType.SET, ColumnType.BINARY)


@contextmanager
def statements(context: Context, what: str) -> Iterator[Transaction]:
    """A transaction with memory for joins of whole populations."""
    with context.db.transaction(f"{context.activity} {what}") as transaction:
        give_memory(transaction)
        yield transaction


def identified(context: Context) -> WorkTable:
    """The main inbound population with a key that every row has: its own, else its rows numbered in a copy."""
    source = context.input
    if source.key:
        empty = " or ".join(f"{quote_identifier(name)} is null" for name in source.key)
        with context.db.reading() as transaction:
            if transaction.row(f"select 1 from crosstie.{source.name} where {empty} limit 1"):
                source = replace(source, key=())
    return numbered(context.db, source, context.private_name("numbered"), f"{context.activity} numbers its rows")


def comparable(writer: Writer, values: Sequence[Expression], *, nulls_equal: bool) -> tuple[Fragment, ...]:
    """What has to be equal in two rows, over alias s: few short values, or one that stands for them all. Unless nulls
    are equal, a null among the values makes one of what is compared null."""
    parts = tuple(writer.fragment(value, {"": "s"}) for value in values)
    indexable = writer.dialect == "sqlite" or not any(part.type in _LONG for part in parts)
    if indexable and not nulls_equal:
        return parts
    sql = digest(writer.dialect, parts)
    if not nulls_equal:
        empty = " or ".join(f"({part.sql}) is null" for part in parts)
        sql = f"case when {empty} then null else {sql} end"
    return (Fragment(sql=sql, type=ColumnType.BINARY, params=_params(parts)),)


def _params(parts: Sequence[Fragment]) -> dict[str, object]:
    return {name: value for part in parts for name, value in part.params.items()}


class Presence:
    """What occurs in some populations: a private table of what is compared, indexed."""

    def __init__(self, context: Context, name: str) -> None:
        self.context = context
        self.name = context.private_name(name)
        self._columns: tuple[str, ...] = ()

    def add(self, source: WorkTable, parts: Sequence[Fragment]) -> None:
        """Adds the rows of a population. A null among them does no harm: it equals nothing."""
        db = self.context.db
        if not self._columns:
            columns = tuple(Column(name=f"m_{place}", type=part.type) for place, part in enumerate(parts, 1))
            db.create_work(self.name, columns)
            self._columns = tuple(column.name for column in columns)
        listed = ", ".join(part.sql for part in parts)
        with statements(self.context, "collects what it compares") as transaction:
            transaction.execute(
                f"insert into crosstie.{self.name} ({', '.join(self._columns)})"
                f" select distinct {listed} from crosstie.{source.name} s",
                _params(parts),
            )
        db.prepare(self.name, self._columns)

    def exists(self, parts: Sequence[Fragment]) -> Fragment:
        """The condition that a row, alias s, occurs there."""
        on = " and ".join(f"d.{name} = {part.sql}" for name, part in zip(self._columns, parts, strict=True))
        return Fragment(
            sql=f"exists (select 1 from crosstie.{self.name} d where {on})",
            type=ColumnType.BOOLEAN,
            params=_params(parts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """The rows of the main set that do not go on: a private table with their keys. `source` is the main set with a
    key; `shown` what its columns are shown from."""

    context: Context
    source: WorkTable
    name: str
    rows: int

    @classmethod
    def find(cls, context: Context, source: WorkTable, condition: Fragment) -> LeftOut:
        """Finds the rows for which the condition, over alias s, holds."""
        name = context.private_name("out")
        own = key_columns(source)
        context.db.create_work(name, own)
        listed = ", ".join(column.name for column in own)
        keys = ", ".join(f"s.{quote_identifier(one)}" for one in source.key)
        with statements(context, "compares") as transaction:
            found = transaction.execute(
                f"insert into crosstie.{name} ({listed}) select {keys} from crosstie.{source.name} s"
                f" where {condition.sql}",
                condition.params,
            )
        context.db.prepare(name, tuple(column.name for column in own), unique=True)
        return cls(context=context, source=source, name=name, rows=found)

    def others(
        self,
        transition: str,
        shape: Shape,
        *,
        joins: str = "",
        shown: Mapping[str, str] | None = None,
        bases: Sequence[str] = (),
    ) -> WorkTable:
        """The rows that go on, as a view; `joins` brings tables beside them, from which some columns are `shown`."""
        sql = f"select {listed(shape, shown or {})} from crosstie.{self.source.name} s{joins}"
        return self._view(transition, shape, f"{sql} where not {self._found}", self.source.rows - self.rows, bases)

    def themselves(self, transition: str, shape: Shape) -> WorkTable:
        """The rows left out, as a view."""
        sql = f"select {listed(shape, {})} from crosstie.{self.source.name} s where {self._found}"
        return self._view(transition, shape, sql, self.rows, ())

    @property
    def _found(self) -> str:
        return f"exists (select 1 from crosstie.{self.name} d where {same_key(self.source, 'd')})"

    def _view(self, transition: str, shape: Shape, sql: str, rows: int, bases: Sequence[str]) -> WorkTable:
        own = (*self.source.bases, self.source.name, self.name)
        return view(self.context, transition, shape, sql, rows, (*own, *bases))


def listed(shape: Shape, shown: Mapping[str, str]) -> str:
    """The columns of a shape as they stand in a select: from alias s, unless `shown` says otherwise."""
    return ", ".join(
        f"{shown[column.name]} as {quote_identifier(column.name)}"
        if column.name in shown
        else f"s.{quote_identifier(column.name)}"
        for column in shape.columns
    )


def view(context: Context, transition: str, shape: Shape, sql: str, rows: int, bases: Sequence[str]) -> WorkTable:
    """A view under the private name of that transition; `bases` are the work tables that it stands on."""
    name = context.private_name(transition)
    context.db.drop_work((name,))
    with context.db.transaction(f"{context.activity} publishes") as transaction:
        transaction.execute(f"create view crosstie.{name} as {sql}")
    return shape.work_table(name, rows, bases=tuple(dict.fromkeys(bases)))

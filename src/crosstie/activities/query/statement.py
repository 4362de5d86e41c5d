"""The one SQL statement of a query: what is gathered of collections first, then the rows joined to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from crosstie.activities.query.levels import INBOUND, Gathering, Level
from crosstie.db.columns import postgresql_cast
from crosstie.db.database import Database
from crosstie.db.expressions import Expression
from crosstie.db.expressions.nodes import ColumnNode, Node, OperationNode
from crosstie.db.merge import Fragment, Target, TargetColumn, describe_target
from crosstie.db.merge.phrases import Writer
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, Table, WorkTable

Aliases = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A finished `select` with its bound parameters."""

    sql: str
    params: Mapping[str, object]


@dataclass(slots=True, kw_only=True)
class Writing:
    """Writes one statement. `described` tells of a table what reflection does not."""

    writer: Writer
    described: Callable[[Table], Target]
    parts: list[str] = field(default_factory=list)
    params: dict[str, object] = field(default_factory=dict)
    _tables: int = 0
    _written: dict[str, str] = field(default_factory=dict)

    @classmethod
    def over(cls, db: Database, writer: Writer, inbound: WorkTable | None) -> Writing:
        """For a query that runs in a database, beside the inbound population."""
        known: dict[str, Target] = {}

        def described(table: Table) -> Target:
            if table.name not in known:
                known[table.name] = (
                    _as_target(table, inbound, db) if table.name == INBOUND and inbound else describe_target(db, table)
                )
            return known[table.name]

        return cls(writer=writer, described=described)

    def selection(self, select: str) -> Selection:
        """The statement whose last part is that one."""
        ahead = f"with {', '.join(self.parts)} " if self.parts else ""
        return Selection(sql=f"{ahead}{select}", params=self.params)

    def value(self, node: Node, aliases: Aliases) -> str:
        """A value over those aliases."""
        return self._keep(self.writer.fragment(Expression(text="", root=node), aliases))

    def _keep(self, fragment: Fragment) -> str:
        self.params.update(fragment.params)
        return fragment.sql

    def ordering(self, order: Iterable[tuple[Node, bool]], aliases: Aliases) -> list[str]:
        """What stands in an `order by`: the highest or lowest first, empty values last, texts byte by byte."""
        return [
            f"{self.value(_ordered(node), aliases)} {'desc' if highest else 'asc'} nulls last"
            for node, highest in order
        ]

    def source(self, level: Level, nodes: Sequence[Node]) -> tuple[str, dict[str, str]]:
        """What stands after `from` so that the nodes can be written: the table, the linked rows, what is gathered of
        collections; and the alias of each."""
        base = self._alias()
        aliases = {"": base}
        sql = f"{self.described(level.table).sql} {base}"
        used = _used(nodes)
        gathered = [one for one in level.gatherings.values() if any(_is_of(name, one) for name in used)]
        paths = used | {one.parent for one in gathered}
        for path in _with_parents(path for path in paths if path in level.steps):
            step = level.steps[path]
            alias = aliases[path] = self._alias()
            target, parent = self.described(step.table), self.described(level.table_at(step.parent))
            pairs = [
                f"{alias}.{quote_identifier(other)} ="
                f" {_given(target, other, parent, own, f'{aliases[step.parent]}.{quote_identifier(own)}')}"
                for own, other in step.link.pairs
            ]
            sql += f" left join {target.sql} {alias} on {' and '.join(pairs)}"
        for one in gathered:
            for name in sorted(name for name in used if _is_of(name, one)):
                alias = aliases[name] = self._alias()
                sql += f" left join {self._gathered(one)} {alias} on {self._joined(level, one, name, alias, aliases)}"
        return sql, aliases

    def _joined(self, level: Level, one: Gathering, name: str, alias: str, aliases: Aliases) -> str:
        parent, of = self.described(level.table_at(one.parent)), self.described(one.level.table)
        pairs = [
            f"{aliases[one.parent]}.{quote_identifier(own)} = {_given(parent, own, of, other, f'{alias}.k_{place}')}"
            for place, (own, other) in enumerate(one.link.pairs, 1)
        ]
        rank = name.removeprefix(f"{one.qualifier}.")
        if one.ranks and rank.isdecimal():
            pairs.append(f"{alias}.place = {rank}")
        return " and ".join(pairs)

    def _gathered(self, one: Gathering) -> str:
        """The name of the part in which the rows of a collection stand, written once."""
        if one.qualifier in self._written:
            return self._written[one.qualifier]
        nodes = [*one.values, *(node for node, _ in one.order), *([one.condition] if one.condition is not None else [])]
        sql, aliases = self.source(one.level, nodes)
        base = aliases[""]
        keys = [f"{base}.{quote_identifier(other)}" for _, other in one.link.pairs]
        shown = [f"{key} as k_{place}" for place, key in enumerate(keys, 1)]
        shown += [f"{self.value(node, aliases)} as v_{place}" for place, node in enumerate(one.values, 1)]
        if one.ranks:
            by = self.ordering(one.order, aliases) + self.last_order(one.level, aliases)
            shown.append(f"row_number() over (partition by {', '.join(keys)} order by {', '.join(by)}) as place")
        where = f" where {self.value(one.condition, aliases)}" if one.condition is not None else ""
        grouped = "" if one.ranks else f" group by {', '.join(keys)}"
        name = self._written[one.qualifier] = f"c{len(self._written) + 1}"
        self.parts.append(f"{name} as (select {', '.join(shown)} from {sql}{where}{grouped})")
        return name

    def last_order(self, level: Level, aliases: Aliases) -> list[str]:
        """The key of the level's rows, which tells apart what an order leaves open; all columns where there is none."""
        names = level.table.key or tuple(one.name for one in level.table.columns)
        columns = [one for one in level.table.columns if one.name in names and one.type is not ColumnType.BINARY]
        return self.ordering(((column_node(one), False) for one in columns), aliases)

    def _alias(self) -> str:
        self._tables += 1
        return f"t{self._tables}"


def column_node(column: Column) -> ColumnNode:
    """A column of a level's own table."""
    return ColumnNode(qualifier="", column=column, type=column.type, length=column.length, scale=column.scale)


def _ordered(node: Node) -> Node:
    """The node as something that both databases put in the same order."""
    if node.type in (ColumnType.TEXT, ColumnType.SET):
        return OperationNode(operation="ordered", type=node.type, parts=(node,), length=node.length)
    return node


def _used(nodes: Iterable[Node]) -> set[str]:
    found: set[str] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if isinstance(node, ColumnNode):
            found.add(node.qualifier)
        elif isinstance(node, OperationNode):
            pending += node.parts
    return found


def _is_of(name: str, one: Gathering) -> bool:
    return name == one.qualifier or name.startswith(f"{one.qualifier}.")


def _with_parents(paths: Iterable[str]) -> Iterator[str]:
    """The paths and what they lead over, each after its parent."""
    found: dict[str, None] = {}
    for path in sorted(paths):
        parts = path.split(".")
        found.update(dict.fromkeys(".".join(parts[: place + 1]) for place in range(len(parts))))
    return iter(found)


def _given(target: Target, column: str, other: Target, other_column: str, sql: str) -> str:
    """A value of another table's column, so that it can be compared with a column of the target."""
    if target.dialect == "sqlite":
        return sql
    own, its = target.column(column), other.column(other_column)
    return sql if (own.declared, own.collation) == (its.declared, its.collation) else target.given(own, sql)


def _as_target(table: Table, inbound: WorkTable, db: Database) -> Target:
    texts = (ColumnType.TEXT, ColumnType.SET)
    return Target(
        table=table,
        dialect=db.dialect,
        sql=f"crosstie.{inbound.name}",
        columns=tuple(
            TargetColumn(
                column=column,
                declared=postgresql_cast(column),
                collation='pg_catalog."C"' if column.type in texts else "",
            )
            for column in table.columns
        ),
    )

"""What the expressions of a query may name: the columns of its table, of linked rows, and aggregates of collections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import ClassVar

from crosstie.db.expressions import Scope, UnknownScope
from crosstie.db.expressions.aggregates import (
    COUNT,
    EXISTS,
    AggregateCall,
    aggregate,
    none_counts_zero,
    refuse_arguments,
    rows_counted,
)
from crosstie.db.expressions.agreement import become
from crosstie.db.expressions.nodes import ColumnNode, Node, NullNode, VariableNode, operation, shown
from crosstie.db.merge.phrases import unknown
from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType, Table
from crosstie.schema.links import TableLink
from crosstie.workflow.activity import Shape, Site

INBOUND = "inbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The tables and links that the levels of one query know: those of the site, and the inbound population. `numbers`
    tells the collections of the query apart."""

    site: Site
    inbound: Shape | None = None
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _tables: dict[str, Table | None] = field(default_factory=dict)
    _links: dict[str, tuple[TableLink, ...]] = field(default_factory=dict)

    def table(self, name: str) -> Table | None:
        """A table, or the inbound population as one."""
        if name != INBOUND:
            if name not in self._tables:
                self._tables[name] = self.site.table(name)
            return self._tables[name]
        if self.inbound is None:
            return None
        return Table(name=INBOUND, columns=self.inbound.columns, key=self.inbound.key)

    def links(self, table: Table) -> tuple[TableLink, ...]:
        """The links of a table; to and from the inbound population by its key, and by what an enrichment found."""
        if table.name not in self._links:
            self._links[table.name] = self._of_inbound() if table.name == INBOUND else self._of_table(table)
        return self._links[table.name]

    def _of_table(self, table: Table) -> tuple[TableLink, ...]:
        found = self.site.links(table.name)
        back = self._to_inbound(table)
        return (*found, back) if back is not None else found

    def _of_inbound(self) -> tuple[TableLink, ...]:
        if self.inbound is None:
            return ()
        made: list[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = [
            (one.name, one.table, (one.column,), (one.key,)) for one in self.inbound.links
        ]
        if self.inbound.dimension and self.inbound.key:
            target = self.table(self.inbound.dimension)
            if target is not None:
                made.append((target.name.rpartition(".")[2], target.name, self.inbound.key, target.key))
        return tuple(
            TableLink(
                name=name, table=INBOUND, columns=own, to=to, to_columns=other, to_one=True, origin="inbound population"
            )
            for name, to, own, other in made
        )

    def _to_inbound(self, table: Table) -> TableLink | None:
        shape = self.inbound
        if shape is None or not shape.key or shape.dimension != table.name or len(shape.key) != len(table.key):
            return None
        return TableLink(
            name=INBOUND,
            table=table.name,
            columns=table.key,
            to=INBOUND,
            to_columns=shape.key,
            to_one=True,
            origin="inbound population",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A link to one row, followed from the rows of `parent` (a path, '' for the level's own rows)."""

    parent: str
    link: TableLink
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """Rows of a collection, grouped by what links them to the rows of `parent`; `values` are aggregates over `level`,
    columns v_1, v_2 … of it. With `ranks` they are no aggregates: each row counts, in the order of `order`."""

    qualifier: str
    parent: str
    link: TableLink
    level: Level
    condition: Node | None
    values: list[Node] = field(default_factory=list)
    order: tuple[tuple[Node, bool], ...] = ()
    ranks: bool = False

    def value(self, node: Node, *, rank: str = "") -> ColumnNode:
        """A value of it, as a column of what it is joined to; `rank` says of which of its rows."""
        if node not in self.values:
            self.values.append(node)
        assert node.type is not None, "a value has a type"
        name = f"v_{self.values.index(node) + 1}"
        column = Column(name=name, type=node.type, length=node.length, scale=node.scale)
        qualifier = f"{self.qualifier}.{rank}" if rank else self.qualifier
        return ColumnNode(qualifier=qualifier, column=column, type=node.type, length=node.length, scale=node.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level(Scope):
    """The rows of one table. `company.name` follows links to one row; aggregates follow a link to a collection, whose
    rows are a level of their own."""

    aggregates: ClassVar[bool] = True

    table: Table
    around: Surroundings
    steps: dict[str, Step] = field(default_factory=dict)
    gatherings: dict[str, Gathering] = field(default_factory=dict)
    inner: dict[tuple[str, str], Level] = field(default_factory=dict)

    @classmethod
    def over(cls, table: Table, around: Surroundings) -> Level:
        """The level of a table's rows."""
        what = "the inbound population" if table.name == INBOUND else f"table {table.name}"
        return cls(columns={"": table.columns}, what=what, table=table, around=around)

    def resolve(self, qualifier: str | None, name: str) -> Node:
        """A column of the table, or of a linked row. Raises MappingError."""
        if qualifier is None:
            return Scope.resolve(self, None, name)
        path = self.follow(tuple(qualifier.split(".")))
        table = self.table_at(path)
        node = Scope.of(table.columns, f"table {table.name}").resolve(None, name)
        assert isinstance(node, ColumnNode), "a scope of columns gives columns"
        return replace(node, qualifier=path)

    def table_at(self, path: str) -> Table:
        """The table to which a path that was followed leads."""
        return self.steps[path].table if path else self.table

    def follow(self, names: tuple[str, ...]) -> str:
        """The path of those links, each to one row. The table's own name leads nowhere. Raises MappingError."""
        path = ""
        for number, name in enumerate(names):
            link = self.find_link(path, name)
            if link is None and number == 0 and name.lower() == self.table.name.rpartition(".")[2].lower():
                continue
            if link is None:
                raise self._no_link(path, name)
            if not link.to_one:
                raise MappingError(
                    f"“{name}” is a collection: several rows of {link.to} belong to one of {link.table}.",
                    hint=f"Write an aggregate, like count({name}), exists({name}, …) or max({name}.…).",
                )
            path = self._step(path, link)
        return path

    def find_link(self, path: str, name: str) -> TableLink | None:
        """The link of that name from where a path leads."""
        links = self.around.links(self.table_at(path))
        return next((one for one in links if one.name.lower() == name.lower()), None)

    def _step(self, path: str, link: TableLink) -> str:
        longer = f"{path}.{link.name}" if path else link.name
        if longer not in self.steps:
            table = self.around.table(link.to)
            if table is None:
                raise MappingError(f"The table {link.to}, to which {link.name} leads, is not there.")
            self.steps[longer] = Step(parent=path, link=link, table=table)
        return longer

    def _no_link(self, path: str, name: str) -> MappingError:
        table = self.table_at(path)
        names = [one.name for one in self.around.links(table)]
        what = "the inbound population" if table.name == INBOUND else f"table {table.name}"
        way_out = "" if names else " Declare one in crosstie.toml, or add a foreign key."
        return MappingError(f"{what}: {unknown('link', name, names)}{way_out}")

    def collection(self, names: tuple[str, ...]) -> tuple[str, TableLink, Level]:
        """Where a collection hangs, the link that leads to it, and the level of its rows. Raises MappingError."""
        path = self.follow(names[:-1])
        link = self.find_link(path, names[-1])
        if link is None:
            raise self._no_link(path, names[-1])
        if (path, link.name) not in self.inner:
            table = self.around.table(link.to)
            if table is None:
                raise MappingError(f"The table {link.to}, to which {link.name} leads, is not there.")
            self.inner[(path, link.name)] = Level.over(table, self.around)
        return path, link, self.inner[(path, link.name)]

    def gather(self, names: tuple[str, ...], condition: Callable[[Level], Node | None]) -> Gathering:
        """The rows of a collection for which a condition holds; the same twice is one."""
        path, link, level = self.collection(names)
        wanted = condition(level)
        for one in self.gatherings.values():
            if not one.ranks and (one.parent, one.link, one.condition) == (path, link, wanted):
                return one
        made = Gathering(
            qualifier=f"#{next(self.around.numbers)}", parent=path, link=link, level=level, condition=wanted
        )
        self.gatherings[made.qualifier] = made
        return made

    def rank(
        self, names: tuple[str, ...], read: Callable[[Level], tuple[Node | None, tuple[tuple[Node, bool], ...]]]
    ) -> Gathering:
        """The rows of a collection in an order, each with its place; `read` gives condition and order."""
        path, link, level = self.collection(names)
        condition, order = read(level)
        made = Gathering(
            qualifier=f"#{next(self.around.numbers)}",
            parent=path,
            link=link,
            level=level,
            condition=condition,
            order=order,
            ranks=True,
        )
        self.gatherings[made.qualifier] = made
        return made

    def aggregate(self, call: AggregateCall) -> Node:
        """An aggregate of a collection: `count(orders)`, `exists(orders, amount > 10)`, `sum(orders.amount)`,
        `sum(orders, amount * quantity, paid)`. The last argument may be a condition."""
        rest = call.arguments[1:]
        value: Callable[[Level], Node] | None = None
        if call.name == EXISTS or self._leads_to_rows(call.path):
            names = call.path
            if call.name not in (EXISTS, COUNT):
                value, rest = (rest[0], rest[1:]) if rest else (None, rest)
        else:
            names = call.path[:-1]
            value = _column_of(call.path[-1:])
        if call.path and not names:
            raise self._no_link("", call.path[0])
        if not names or len(rest) > 1 or (value is None and call.name not in (EXISTS, COUNT)):
            raise refuse_arguments(call, _usage(call.name))
        gathered = self.gather(names, lambda level: condition_of(rest[0](level)) if rest else None)
        counted = rows_counted() if value is None else aggregate(call.name, value(gathered.level))
        return none_counts_zero(call.name, gathered.value(counted))

    def _leads_to_rows(self, names: tuple[str, ...]) -> bool:
        """Whether the last name is a link; else it is a column of what the links before it lead to."""
        try:
            return bool(names) and self.find_link(self.follow(names[:-1]), names[-1]) is not None
        except MappingError:
            return False


def _column_of(names: tuple[str, ...]) -> Callable[[Level], Node]:
    return lambda level: level.resolve(None, names[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups(Scope):
    """The groups of a query: the values by which it groups, and aggregates of the rows of each group. `values` are the
    aggregates asked for."""

    aggregates: ClassVar[bool] = True

    level: Level
    values: list[Node] = field(default_factory=list)

    def aggregate(self, call: AggregateCall) -> Node:
        """`count()`, `sum(amount)`, `max(company.size, active)`. The last argument may be a condition."""
        if call.name == EXISTS or len(call.arguments) > 2 or (not call.arguments and call.name != COUNT):
            raise refuse_arguments(call, "count(), or with a value and perhaps a condition, like sum(amount, paid)")
        nodes = [argument(self.level) for argument in call.arguments]
        if not nodes:
            return self._column(rows_counted())
        value = nodes[0]
        if len(nodes) > 1:
            kind = value.type or ColumnType.TEXT
            known = become(value, kind)
            value = operation("case", kind, condition_of(nodes[1]), known, length=known.length, scale=known.scale)
        return self._column(aggregate(call.name, value))

    def _column(self, node: Node) -> Node:
        if node not in self.values:
            self.values.append(node)
        assert node.type is not None, "an aggregate has a type"
        name = group_value(self.values.index(node) + 1)
        column = Column(name=name, type=node.type, length=node.length, scale=node.scale)
        return ColumnNode(qualifier="group", column=column, type=node.type, length=node.length, scale=node.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownLevel(UnknownScope):
    """Rows of which nothing is known, because what brings them has mistakes: all can be read, nothing be used."""

    aggregates: ClassVar[bool] = True

    def aggregate(self, call: AggregateCall) -> Node:
        """A value of no known type; its arguments are read."""
        for argument in call.arguments:
            argument(self)
        return VariableNode(path="", name=call.name, type=None)


def group_value(place: int) -> str:
    """The column in which an aggregate of a group stands, beside those that people have named."""
    return f"crosstie_value_{place}"


def condition_of(node: Node) -> Node:
    """The node as a condition. Raises MappingError where it is none."""
    if isinstance(node, NullNode | VariableNode) and node.type is None:
        return become(node, ColumnType.BOOLEAN)
    if node.type is not ColumnType.BOOLEAN:
        raise MappingError(f"The condition of an aggregate is true or false, not {shown(node)}.")
    return node


def _usage(name: str) -> str:
    if name == EXISTS:
        return "exists(LINK) or exists(LINK, condition)"
    if name == COUNT:
        return "count(LINK) or count(LINK, condition)"
    return f"{name}(LINK.column) or {name}(LINK, expression), each with a condition as one more argument"

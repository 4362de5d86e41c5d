"""Aggregates over the collections of an enrichment: `count(orders)`, `sum(orders.amount, orders.paid)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from crosstie.db.expressions import Scope, UnknownScope
from crosstie.db.expressions.aggregates import (
    COUNT,
    EXISTS,
    AggregateCall,
    aggregate,
    none_counts_zero,
    rows_counted,
)
from crosstie.db.expressions.agreement import BOOLEAN, INTEGER
from crosstie.db.expressions.nodes import ColumnNode, Node, OperationNode, VariableNode, literal, operation
from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """An aggregate over the rows of a collection, as the column `g_1` … of the table that gathers them."""

    node: Node
    name: str

    @property
    def column(self) -> Column:
        """In which it is kept."""
        return Column(
            name=self.name, type=self.node.type or ColumnType.INTEGER, length=self.node.length, scale=self.node.scale
        )


def gathered_alias(link: str) -> str:
    """The qualifier under which an expression reads what was gathered of a link."""
    return f"gathered {link}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheringScope(Scope):
    """Columns, and collections of which only aggregates can be told. What is asked for is noted in `gathered`."""

    aggregates: ClassVar[bool] = True

    collections: Mapping[str, tuple[Column, ...]]
    gathered: dict[str, list[Gathered]] = field(default_factory=dict)

    def resolve(self, qualifier: str | None, name: str) -> Node:
        """A column; of a collection there are many values."""
        link = self._collection(qualifier or "")
        if link:
            raise MappingError(
                f"“{qualifier}.{name}” has many values: {link} is a collection.",
                hint=f"Write sum({link}.{name}), count({link}) and so on, or “flatten: {link}”.",
            )
        return Scope.resolve(self, qualifier, name)

    def aggregate(self, call: AggregateCall) -> Node:
        """Reads what is to be gathered; a column stands for it."""
        link, value, left = self._what(call)
        if len(left) > 1:
            raise self._refused(call)
        condition = None
        if left:
            condition = left[0](self._rows(link))
            if condition.type is not BOOLEAN:
                raise MappingError(f"the last argument of {call.name} is a condition over the rows of {link}.")
        node = _aggregated(call.name, value, condition)
        kept = self.gathered.setdefault(link, [])
        known = next((one for one in kept if one.node == node), None)
        if known is None:
            known = Gathered(node=node, name=f"g_{len(kept) + 1}")
            kept.append(known)
        column = known.column
        read = ColumnNode(
            qualifier=gathered_alias(link), column=column, type=column.type, length=column.length, scale=column.scale
        )
        return none_counts_zero(call.name, read)

    def _what(self, call: AggregateCall) -> tuple[str, Node | None, tuple[Callable[[Scope], Node], ...]]:
        """The collection; the value of each of its rows, None when the rows themselves are meant; what follows."""
        rows = call.name in (EXISTS, COUNT)
        if len(call.path) == 1 and (link := self._collection(call.path[0])):
            if rows:
                return link, None, call.arguments[1:]
            if len(call.arguments) < 2:
                raise self._refused(call)
            return link, call.arguments[1](self._rows(link)), call.arguments[2:]
        if not call.arguments or call.name == EXISTS:
            raise self._refused(call)
        value = call.arguments[0](Scope(columns=self.collections, what="the collections"))
        links = {node.qualifier for node in _columns(value)}
        if len(links) != 1:
            raise self._refused(call)
        return links.pop(), value, call.arguments[1:]

    def _rows(self, link: str) -> Scope:
        """What an expression over the rows of a collection may name."""
        return Scope(columns={"": self.collections[link], link: self.collections[link]}, what=link)

    def _refused(self, call: AggregateCall) -> MappingError:
        link = next(iter(self.collections), "LINK")
        what = link if call.name in (EXISTS, COUNT) else f"{link}.column"
        message = f"{call.name} is written {call.name}({what}) or {call.name}({what}, condition)."
        return MappingError(message, hint=f"Collections are: {', '.join(self.collections) or 'none'}.")

    def _collection(self, name: str) -> str:
        return next((one for one in self.collections if one.lower() == name.lower()), "")


class UnknownGatheringScope(UnknownScope):
    """Nothing is known, but aggregates are understood."""

    aggregates: ClassVar[bool] = True

    def aggregate(self, call: AggregateCall) -> Node:
        """A value of no known type."""
        return VariableNode(path="", name=call.name, type=None)


def _aggregated(name: str, value: Node | None, condition: Node | None) -> Node:
    if value is None and condition is None:
        return rows_counted()
    if value is None:
        value = literal(1, INTEGER)
    if condition is not None:
        value = operation("case", value.type or INTEGER, condition, value, length=value.length, scale=value.scale)
    if name == EXISTS:
        return operation("nullif", INTEGER, operation(COUNT, INTEGER, value), literal(0, INTEGER))
    return aggregate(name, value)


def _columns(node: Node) -> Iterator[ColumnNode]:
    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, ColumnNode):
            yield one
        elif isinstance(one, OperationNode):
            pending += one.parts

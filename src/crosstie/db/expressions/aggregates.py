"""Aggregates: what expressions say of several rows at once. Only a scope that knows of such rows understands them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crosstie.db.expressions.agreement import BINARY, BOOLEAN, DECIMAL, FLOAT, INTEGER, SET, TEXT, become, want
from crosstie.db.expressions.nodes import NUMBERS, Node, literal, operation, shown
from crosstie.errors import ConfigError, MappingError

if TYPE_CHECKING:
    from crosstie.db.expressions.scope import Scope

EXISTS, COUNT = "exists", "count"
AGGREGATES = {
    EXISTS: "whether there is one",
    COUNT: "how many there are",
    "count_distinct": "how many different values, nulls left out",
    "sum": "the sum; null when there is no value",
    "avg": "the average, for integers and decimals to 6 decimals; null when there is no value",
    "min": "the lowest value",
    "max": "the highest value",
}
_DIVISION_SCALE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateCall:
    """A call as written. `path` is the first argument where it is nothing but a name, in its parts; `arguments` read
    each argument over a scope."""

    name: str
    path: tuple[str, ...]
    arguments: tuple[Callable[[Scope], Node], ...]


def rows_counted() -> Node:
    """The number of rows."""
    return operation("count_rows", INTEGER)


def aggregate(name: str, value: Node) -> Node:
    """The aggregate of that name over the values of a node. Raises MappingError for a type that it does not take."""
    if name in (COUNT, "count_distinct"):
        known = become(value, TEXT) if value.type is None else value
        exact = operation("ordered", known.type, known) if known.type in (TEXT, SET) else known
        return operation(name, INTEGER, exact)
    if name in ("min", "max"):
        if value.type in (None, BOOLEAN, SET, BINARY):
            raise MappingError(f"{name} takes values that have an order, not {shown(value)}.")
        exact = operation("ordered", TEXT, value, length=value.length) if value.type is TEXT else value
        return operation(name, value.type, exact, length=value.length, scale=value.scale)
    number = want(value, NUMBERS, name)
    assert number.type is not None, "want gives a type"
    kind = {INTEGER: "integers", DECIMAL: "decimals", FLOAT: "floats"}[number.type]
    total = operation(f"sum_{kind}", number.type, number, scale=number.scale)
    if name == "sum":
        return total
    many = operation(COUNT, INTEGER, number)
    if number.type is FLOAT:
        return operation("divide_floats", FLOAT, total, become(many, FLOAT))
    exact_total = become(total, DECIMAL) if number.type is INTEGER else total
    return operation("divide_decimals", DECIMAL, exact_total, become(many, DECIMAL), scale=_DIVISION_SCALE)


def none_counts_zero(name: str, value: Node) -> Node:
    """What an aggregate is where there are no rows, given its value as null there."""
    if name == EXISTS:
        return operation("is_not_null", BOOLEAN, value)
    if name in (COUNT, "count_distinct"):
        return operation("coalesce", INTEGER, value, literal(0, INTEGER))
    return value


def refuse_arguments(call: AggregateCall, usage: str) -> ConfigError:
    """For a call that is not written as it has to be."""
    return ConfigError(f"{call.name} is written {usage}.", hint="docs/expressions.md shows examples.")

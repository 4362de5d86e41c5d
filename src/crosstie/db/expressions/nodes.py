"""The tree of an expression: columns, bound values, and operations with their types settled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal

from crosstie.model import Column, ColumnType

Literal = str | int | float | bool | Decimal | date | datetime | time

NUMBERS = (ColumnType.INTEGER, ColumnType.DECIMAL, ColumnType.FLOAT)
# Decimals that a value may have when nobody said how many; the most that SQLite keeps.
UNKNOWN_SCALE = 15
MOMENTS = (ColumnType.DATE, ColumnType.WALL_CLOCK, ColumnType.INSTANT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A part of an expression. `type` None is a bare null or variable whose type its neighbours give.

    `length` in characters (0: no limit known) and `scale` in decimals say how big a column must be to hold it."""

    type: ColumnType | None
    length: int = 0
    scale: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnNode(Node):
    """A column, by the scope's own qualifier ('' for none) and exact name."""

    qualifier: str
    column: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralNode(Node):
    """A value written in the expression, bound when the statement runs."""

    value: Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class NullNode(Node):
    """The word null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableNode(Node):
    """`$(vars/@name)` or `$(instance/vars/@name)`: a value known when the statement runs. `path` is vars or
    instance/vars."""

    path: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentNode(Node):
    """What the task's clock and zone give when the statement runs: `kind` is now, today or zone."""

    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitsNode(Node):
    """A whole number that must stand in the SQL itself, like the scale of a type; made by us from a checked number."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationNode(Node):
    """An operation of `rendering.OPERATIONS` on its parts, types already made to agree."""

    operation: str
    parts: tuple[Node, ...]


def operation(name: str, type: ColumnType, *parts: Node, length: int = 0, scale: int = 0) -> OperationNode:
    """Short for an operation node."""
    return OperationNode(operation=name, type=type, parts=parts, length=length, scale=scale)


def literal(value: Literal, type: ColumnType) -> LiteralNode:
    """A literal node with the length or scale of its value."""
    length = len(value) if isinstance(value, str) else 0
    scale = 0
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        scale = max(-exponent, 0) if isinstance(exponent, int) else 0
    return LiteralNode(value=value, type=type, length=length, scale=scale)


def digits(value: int) -> DigitsNode:
    """A whole number for the SQL text."""
    return DigitsNode(value=value, type=ColumnType.INTEGER)


ZONE = MomentNode(kind="zone", type=ColumnType.TEXT)


def type_word(node: Node) -> str:
    """What the node is, in the words of a message."""
    words = {
        ColumnType.TEXT: "text",
        ColumnType.SET: "a set",
        ColumnType.BOOLEAN: "true or false",
        ColumnType.DATE: "a date",
        ColumnType.INSTANT: "an instant",
        ColumnType.WALL_CLOCK: "a wall-clock time",
        ColumnType.TIME: "a time of day",
        ColumnType.INTEGER: "an integer",
        ColumnType.DECIMAL: "a decimal",
        ColumnType.FLOAT: "a floating-point number",
        ColumnType.BINARY: "binary",
    }
    return "null" if node.type is None else words[node.type]


def shown(node: Node) -> str:
    """The node in a message: `Email (text)`, `'x' (text)`, or just its type."""
    if isinstance(node, ColumnNode):
        name = f"{node.qualifier}.{node.column.name}" if node.qualifier else node.column.name
        return f"{name} ({type_word(node)})"
    if isinstance(node, LiteralNode):
        text = f"'{node.value}'" if isinstance(node.value, str) else str(node.value)
        return f"{text} ({type_word(node)})"
    if isinstance(node, VariableNode):
        return f"$({node.path}/@{node.name})"
    return type_word(node)

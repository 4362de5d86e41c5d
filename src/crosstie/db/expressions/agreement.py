"""Which types go together, and the conversions put between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from crosstie.db.expressions.nodes import (
    MOMENTS,
    NUMBERS,
    UNKNOWN_SCALE,
    ZONE,
    LiteralNode,
    Node,
    NullNode,
    VariableNode,
    literal,
    operation,
    shown,
    type_word,
)
from crosstie.db.expressions.values import read_literal
from crosstie.errors import MappingError
from crosstie.model import ColumnType

TEXT, INTEGER, DECIMAL, FLOAT = ColumnType.TEXT, ColumnType.INTEGER, ColumnType.DECIMAL, ColumnType.FLOAT
BOOLEAN, DATE, INSTANT, WALL = ColumnType.BOOLEAN, ColumnType.DATE, ColumnType.INSTANT, ColumnType.WALL_CLOCK
TIME, SET, BINARY = ColumnType.TIME, ColumnType.SET, ColumnType.BINARY


def fits(node: Node, type: ColumnType) -> bool:
    """Whether the node can stand where `type` is wanted, by `become`."""
    if node.type is None or node.type == type:
        return True
    if isinstance(node, LiteralNode) and node.type == TEXT:
        return type in (*MOMENTS, TIME, SET) and read_literal(str(node.value), type) is not None
    if node.type in NUMBERS and type in NUMBERS:
        return NUMBERS.index(node.type) < NUMBERS.index(type)
    return node.type in MOMENTS and type in MOMENTS and node.type == DATE


def become(node: Node, type: ColumnType) -> Node:
    """The node as `type`, without loss: numbers widened, a date at its midnight, a text literal read.

    Call it only where `fits` holds."""
    if node.type == type:
        return node
    if isinstance(node, NullNode | VariableNode):
        return replace(
            node, type=type, scale=UNKNOWN_SCALE if isinstance(node, VariableNode) and type is DECIMAL else 0
        )
    if isinstance(node, LiteralNode):
        if node.type == TEXT:
            value = read_literal(str(node.value), type)
            assert value is not None, "the caller has asked `fits`"
            return literal(value, type)
        if isinstance(node.value, int | Decimal) and type in NUMBERS:
            return literal(Decimal(node.value) if type == DECIMAL else float(node.value), type)
    if node.type == SET and type == TEXT:
        return replace(node, type=TEXT)
    if type == DECIMAL:
        return operation("integer_as_decimal", DECIMAL, node)
    if type == FLOAT:
        return operation("number_as_float", FLOAT, node)
    if type == WALL:
        return operation("date_as_wall_clock", WALL, node)
    return operation("date_as_instant", INSTANT, node, ZONE)


def common_type(nodes: Sequence[Node]) -> ColumnType | None:
    """The narrowest type that all can become; None when nothing but nulls and variables is there, or when there is
    none such (tell them apart by `fits`)."""
    known = [node.type for node in nodes if node.type is not None]
    firm = [node.type for node in nodes if node.type is not None and not _loose(node)] or known
    for candidate in (*dict.fromkeys(firm), *NUMBERS, *MOMENTS):
        related = candidate in firm or set(firm) <= set(NUMBERS) or set(firm) <= set(MOMENTS)
        if related and all(fits(node, candidate) for node in nodes):
            return candidate
    return None


def _loose(node: Node) -> bool:
    return isinstance(node, LiteralNode) and node.type == TEXT


def unify(nodes: Sequence[Node], where: str, *, otherwise: ColumnType = TEXT) -> list[Node]:
    """The nodes made one type. All unknown become `otherwise`. Raises MappingError naming what does not go together."""
    if all(node.type is None for node in nodes):
        return [become(node, otherwise) for node in nodes]
    type = common_type(nodes)
    if type is None:
        raise mismatch(nodes, where)
    if type is INTEGER and any(_unknown_number(node) for node in nodes):
        type = DECIMAL
    return [become(node, type) for node in nodes]


def _unknown_number(node: Node) -> bool:
    """A number in a variable may have decimals, whatever it is compared with."""
    return isinstance(node, VariableNode) and node.type is None


def mismatch(nodes: Sequence[Node], where: str) -> MappingError:
    """Says which of the nodes do not go together, with the way out where there is one."""
    known = [node for node in nodes if node.type is not None]
    one, other = known[0], next((node for node in known[1:] if common_type([known[0], node]) is None), known[-1])
    types = {one.type, other.type}
    hint = "Make them the same type, like cast(… as integer)."
    for node, partner in ((one, other), (other, one)):
        if isinstance(node, LiteralNode) and node.type == TEXT:
            if partner.type in (*MOMENTS, TIME):
                forms = {DATE: "2026-01-31", TIME: "14:30:00", WALL: "2026-01-31T14:30:00"}
                form = forms.get(partner.type, "2026-01-31T14:30:00Z")
                hint = f"Write {type_word(partner)} as '{form}'."
            elif partner.type in NUMBERS:
                hint = "Write a number without quotes."
    if types == {INSTANT, WALL}:
        hint = "Say which zone is meant: cast(… as instant) or cast(… as wall_clock) uses the zone in force."
    if SET in types:
        hint = "Ask a set with contains(set, value) or has_any(set, value, …)."
    return MappingError(f"{where}: {shown(one)} and {shown(other)} do not go together.", hint=hint)


def want(node: Node, types: Sequence[ColumnType], where: str) -> Node:
    """The node as the first of `types` that it can be; a set can be searched as text. Raises MappingError."""
    if node.type in types:
        return node
    if node.type is SET and TEXT in types:
        return become(node, TEXT)
    if _unknown_number(node) and DECIMAL in types:
        return become(node, DECIMAL)
    for type in types:
        if fits(node, type):
            return become(node, type)
    words = " or ".join(type_word(NullNode(type=type)) for type in types)
    raise MappingError(f"{where} takes {words}, not {shown(node)}.", hint="Convert it first, like cast(… as text).")

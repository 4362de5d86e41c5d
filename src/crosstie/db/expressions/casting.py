"""cast(… as …) and try_cast(… as …): every pair of types that has one meaning on both databases."""

from __future__ import annotations

from crosstie.db.expressions.agreement import (
    BOOLEAN,
    DATE,
    DECIMAL,
    FLOAT,
    INSTANT,
    INTEGER,
    TEXT,
    TIME,
    WALL,
    become,
    fits,
)
from crosstie.db.expressions.nodes import (
    UNKNOWN_SCALE,
    ZONE,
    LiteralNode,
    Node,
    NullNode,
    VariableNode,
    literal,
    operation,
    shown,
)
from crosstie.db.expressions.values import read_literal
from crosstie.errors import MappingError
from crosstie.model import ColumnType

# (from, to): the operation, and whether it needs the zone in force.
_CASTS: dict[tuple[ColumnType, ColumnType], tuple[str, bool]] = {
    (INTEGER, TEXT): ("integer_as_text", False),
    (DECIMAL, TEXT): ("decimal_as_text", False),
    (BOOLEAN, TEXT): ("boolean_as_text", False),
    (DATE, TEXT): ("date_as_text", False),
    (TIME, TEXT): ("time_as_text", False),
    (WALL, TEXT): ("wall_clock_as_text", False),
    (INSTANT, TEXT): ("instant_as_text", False),
    (INTEGER, FLOAT): ("number_as_float", False),
    (DECIMAL, FLOAT): ("number_as_float", False),
    (FLOAT, DECIMAL): ("float_as_decimal", False),
    (DECIMAL, INTEGER): ("decimal_as_integer", False),
    (BOOLEAN, INTEGER): ("boolean_as_integer", False),
    (DATE, WALL): ("date_as_wall_clock", False),
    (DATE, INSTANT): ("date_as_instant", True),
    (WALL, DATE): ("wall_clock_as_date", False),
    (WALL, TIME): ("wall_clock_as_time", False),
    (WALL, INSTANT): ("wall_clock_as_instant", True),
    (INSTANT, WALL): ("instant_as_wall_clock", True),
}
_READABLE = (INTEGER, DECIMAL, FLOAT, BOOLEAN, DATE, TIME, WALL, INSTANT)


def cast_to(node: Node, type: ColumnType, where: str, *, lenient: bool = False) -> Node:
    """The node converted. Text that does not read as the type fails the statement and names the text; `lenient`
    (try_cast) gives null instead. Raises MappingError for a pair without one meaning."""
    if node.type == type or isinstance(node, NullNode | VariableNode):
        return become(node, type)
    if node.type is TEXT and type in _READABLE:
        return _read(node, type, where, lenient)
    if node.type is FLOAT and type is INTEGER:
        return cast_to(cast_to(node, DECIMAL, where), INTEGER, where)
    if node.type is INSTANT and type in (DATE, TIME):
        return cast_to(cast_to(node, WALL, where), type, where)
    if node.type is INTEGER and type is BOOLEAN:
        return operation("not_equal", BOOLEAN, node, literal(0, INTEGER))
    known = _CASTS.get((node.type or TEXT, type))
    if known is not None:
        name, zoned = known
        scale = UNKNOWN_SCALE if name == "float_as_decimal" else 0
        return operation(name, type, node, *([ZONE] if zoned else []), scale=scale)
    if fits(node, type):
        return become(node, type)
    hint = "Convert it to a decimal first." if node.type is FLOAT else ""
    raise MappingError(f"{where}: {shown(node)} cannot be converted to {type.value}.", hint=hint)


def _read(node: Node, type: ColumnType, where: str, lenient: bool) -> Node:
    if isinstance(node, LiteralNode):
        value = read_literal(str(node.value), type)
        if value is not None:
            return literal(value, type)
        if lenient:
            return NullNode(type=type)
        raise MappingError(f"{where}: {shown(node)} cannot be read as {type.value}.")
    scale = UNKNOWN_SCALE if type is DECIMAL else 0
    return operation(f"{'try' if lenient else 'to'}_{type.value}", type, node, scale=scale)


# What may stand after `as` in a cast.
TYPE_WORDS: dict[str, ColumnType] = {
    "text": TEXT, "varchar": TEXT, "integer": INTEGER, "int": INTEGER, "bigint": INTEGER,
    "decimal": DECIMAL, "numeric": DECIMAL, "float": FLOAT, "double": FLOAT, "double precision": FLOAT,
    "boolean": BOOLEAN, "bool": BOOLEAN, "date": DATE, "time": TIME, "timestamp": WALL, "wall_clock": WALL,
    "timestamptz": INSTANT, "instant": INSTANT, "timestamp with time zone": INSTANT,
}  # fmt: skip

"""SQL text of an expression in each dialect. Every operation has one template per dialect; nothing else is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crosstie.db.database import Dialect
from crosstie.db.expressions.nodes import (
    ColumnNode,
    DigitsNode,
    LiteralNode,
    MomentNode,
    Node,
    NullNode,
    OperationNode,
    VariableNode,
)
from crosstie.model import ColumnType

SQL_TYPES = {
    ColumnType.TEXT: "text",
    ColumnType.INTEGER: "bigint",
    ColumnType.DECIMAL: "numeric",
    ColumnType.FLOAT: "double precision",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date",
    ColumnType.INSTANT: "timestamptz",
    ColumnType.WALL_CLOCK: "timestamp",
    ColumnType.TIME: "time",
    ColumnType.SET: "text",
    ColumnType.BINARY: "bytea",
}


@dataclass(frozen=True, slots=True)
class Templates:
    """How an operation is written: {0}, {1} … are its parts, {all} all of them with commas between."""

    sqlite: str
    postgresql: str

    def of(self, dialect: Dialect) -> str:
        """The template of a dialect."""
        return self.sqlite if dialect == "sqlite" else self.postgresql


def _same(template: str) -> Templates:
    return Templates(template, template)


def _arithmetic(name: str, operator: str) -> dict[str, Templates]:
    divisor = "NULLIF({1}, 0)" if operator == "/" else "{1}"
    quotient = f"({{0}} {operator} {divisor})"
    return {
        f"{name}_integers": Templates(
            f"ct_{name}_integers({{0}}, {{1}})", f"(CAST({{0}} AS bigint) {operator} {divisor})"
        ),
        f"{name}_decimals": Templates(
            f"ct_{name}_decimals({{0}}, {{1}})",
            "crosstie.divide({0}, {1})" if operator == "/" else quotient,
        ),
        f"{name}_floats": Templates(f"ct_{name}_floats({{0}}, {{1}})", quotient),
    }


_CONTAINS = "({0} <> '' AND {1} <> '' AND instr({1}, ';') = 0 AND instr(';' || {0} || ';', ';' || {1} || ';') > 0)"
_ISO = "'YYYY-MM-DD\"T\"HH24:MI:SS.US'"

OPERATIONS: dict[str, Templates] = {
    "not": _same("(NOT {0})"),
    "is_null": _same("({0} IS NULL)"),
    "is_not_null": _same("({0} IS NOT NULL)"),
    "is_true": _same("({0} IS TRUE)"),
    "is_false": _same("({0} IS FALSE)"),
    "equal": _same("({0} = {1})"),
    "not_equal": _same("({0} <> {1})"),
    "less": _same("({0} < {1})"),
    "less_equal": _same("({0} <= {1})"),
    "greater": _same("({0} > {1})"),
    "greater_equal": _same("({0} >= {1})"),
    # Keys compare byte by byte, whatever collation a column of people's was declared with. PostgreSQL's equality is
    # bytewise anyway, and an index of people's own stays usable without the clause.
    "ordered": Templates("{0} COLLATE BINARY", '({0} COLLATE "C")'),
    "exact": Templates("{0} COLLATE BINARY", "{0}"),
    "like": Templates("ct_like({0}, {1})", "({0} LIKE {1})"),
    "not_like": Templates("(NOT ct_like({0}, {1}))", "({0} NOT LIKE {1})"),
    **_arithmetic("add", "+"),
    **_arithmetic("subtract", "-"),
    **_arithmetic("multiply", "*"),
    **_arithmetic("divide", "/"),
    "negate_integer": Templates("ct_negate_integer({0})", "(- CAST({0} AS bigint))"),
    "negate": _same("(- {0})"),
    "joined": _same("({0} || {1})"),
    "concat": Templates("ct_concat({all})", "concat({all})"),
    "coalesce": _same("coalesce({all})"),
    "nullif": _same("nullif({0}, {1})"),
    "lower": Templates("ct_lower({0})", "crosstie.lower({0})"),
    "upper": Templates("ct_upper({0})", "crosstie.upper({0})"),
    "trim": Templates("trim({all})", "btrim({all})"),
    "ltrim": _same("ltrim({all})"),
    "rtrim": _same("rtrim({all})"),
    "length": Templates("ct_length({0})", "CAST(char_length({0}) AS bigint)"),
    "substr": Templates("ct_substr({all})", "substr({all})"),
    "left": Templates("ct_left({0}, {1})", "left({0}, {1})"),
    "right": Templates("ct_right({0}, {1})", "right({0}, {1})"),
    "small": Templates("{0}", "CAST({0} AS integer)"),
    "replace": _same("replace({0}, {1}, {2})"),
    "greatest": Templates("ct_greatest({all})", "greatest({all})"),
    "least": Templates("ct_least({all})", "least({all})"),
    "abs": _same("abs({0})"),
    "abs_integer": Templates("abs({0})", "abs(CAST({0} AS bigint))"),
    "round": Templates("ct_round({0}, {1})", "round({0}, {1})"),
    "floor": Templates("ct_floor({0})", "floor({0})"),
    "ceil": Templates("ct_ceil({0})", "ceil({0})"),
    "integer_as_decimal": Templates("{0}", "CAST({0} AS numeric)"),
    "number_as_float": Templates("CAST({0} AS REAL)", "CAST({0} AS double precision)"),
    "float_as_decimal": Templates("ct_float_to_decimal({0})", "CAST({0} AS numeric)"),
    "decimal_as_integer": Templates("ct_decimal_to_integer({0})", "CAST(round({0}, 0) AS bigint)"),
    "boolean_as_integer": Templates("{0}", "CAST(CAST({0} AS integer) AS bigint)"),
    "fit": Templates("ct_fit({0}, {1}, {2})", "CAST({0} AS numeric({1}, {2}))"),
    "integer_as_text": _same("CAST({0} AS text)"),
    "decimal_as_text": Templates("ct_decimal_text({0})", "CAST(trim_scale({0}) AS text)"),
    "boolean_as_text": _same("(CASE WHEN {0} THEN 'true' WHEN NOT {0} THEN 'false' END)"),
    # A column of dates has SQLite's numeric affinity: next to it, a text like '5' would be compared as a number.
    "date_as_text": Templates("CAST({0} AS text)", "to_char({0}, 'YYYY-MM-DD')"),
    "time_as_text": Templates("CAST({0} AS text)", "to_char({0}, 'HH24:MI:SS.US')"),
    "wall_clock_as_text": Templates("CAST({0} AS text)", f"to_char({{0}}, {_ISO})"),
    "instant_as_text": Templates("CAST({0} AS text)", f"(to_char({{0}} AT TIME ZONE 'UTC', {_ISO}) || 'Z')"),
    **{
        f"{verb}_{name}": Templates(f"ct_{verb}_{name}({{0}})", f"crosstie.{verb}_{name}({{0}})")
        for verb in ("to", "try")
        for name in ("integer", "decimal", "float", "boolean", "date", "time", "wall_clock", "instant")
    },
    "date_as_wall_clock": Templates("({0} || 'T00:00:00.000000')", "CAST({0} AS timestamp)"),
    "date_as_instant": Templates("ct_instant({0}, {1})", "crosstie.first_instant(CAST({0} AS timestamp), {1})"),
    "wall_clock_as_instant": Templates("ct_instant({0}, {1})", "crosstie.first_instant({0}, {1})"),
    "instant_as_wall_clock": Templates("ct_local({0}, {1})", "({0} AT TIME ZONE {1})"),
    "wall_clock_as_date": Templates("substr({0}, 1, 10)", "CAST({0} AS date)"),
    "wall_clock_as_time": Templates("substr({0}, 12)", "CAST({0} AS time)"),
    "add_days_date": Templates("ct_add_days({0}, {1})", "({0} + {1})"),
    "add_days_moment": Templates("ct_add_days({0}, {1})", "({0} + make_interval(hours => 24 * {1}))"),
    "days_between": Templates("ct_days_between({0}, {1})", "CAST({0} - {1} AS bigint)"),
    "year": Templates("CAST(substr({0}, 1, 4) AS INTEGER)", "CAST(extract(year FROM {0}) AS bigint)"),
    "month": Templates("CAST(substr({0}, 6, 2) AS INTEGER)", "CAST(extract(month FROM {0}) AS bigint)"),
    "day": Templates("CAST(substr({0}, 9, 2) AS INTEGER)", "CAST(extract(day FROM {0}) AS bigint)"),
    "count_rows": _same("count(*)"),
    "count": _same("count({0})"),
    "count_distinct": _same("count(DISTINCT {0})"),
    "sum_integers": Templates("sum({0})", "CAST(sum({0}) AS bigint)"),
    "sum_decimals": Templates("ct_sum_decimals({0})", "sum({0})"),
    "sum_floats": _same("sum({0})"),
    "min": _same("min({0})"),
    "max": _same("max({0})"),
    "contains": Templates(_CONTAINS, _CONTAINS.replace("instr(", "strpos(")),
}

# Operations whose text depends on how many parts they have.
_VARIADIC = {"and", "or", "case", "in", "not_in"}


@dataclass(slots=True, kw_only=True)
class Renderer:
    """Writes one expression; the same value twice is one parameter."""

    dialect: Dialect
    qualifiers: Mapping[str, str]
    prefix: str
    _names: dict[Node, str] = field(default_factory=dict, init=False)

    def write(self, node: Node, *, top: bool = False) -> str:
        """The SQL of a node. A column at the top is left bare, so that its own type comes through."""
        if isinstance(node, ColumnNode):
            return self._column(node, top)
        if isinstance(node, DigitsNode):
            return str(node.value)
        if isinstance(node, NullNode):
            return self._typed("NULL", node)
        if isinstance(node, LiteralNode | VariableNode | MomentNode):
            return self._typed(self._parameter(node), node)
        assert isinstance(node, OperationNode), "the parser makes no other node"
        parts = [self.write(part) for part in node.parts]
        if node.operation in _VARIADIC:
            return _variadic(node.operation, parts)
        return OPERATIONS[node.operation].of(self.dialect).format(*parts, all=", ".join(parts))

    def _column(self, node: ColumnNode, top: bool) -> str:
        alias = self.qualifiers.get(node.qualifier, node.qualifier)
        name = quote(node.column.name)
        text = f"{quote(alias)}.{name}" if alias else name
        # varchar, char, citext, uuid and enumerations of PostgreSQL all compare as plain text; for varchar and text
        # the cast costs nothing and an index is still used.
        plain = top or self.dialect == "sqlite" or node.column.type is not ColumnType.TEXT
        return text if plain else f"CAST({text} AS text)"

    def _parameter(self, node: Node) -> str:
        name = self._names.setdefault(node, f"{self.prefix}{len(self._names)}")
        return f":{name}"

    @property
    def bound(self) -> dict[str, Node]:
        """What each parameter stands for."""
        return {name: node for node, name in self._names.items()}

    def _typed(self, text: str, node: Node) -> str:
        if self.dialect == "sqlite":
            return text
        return f"CAST({text} AS {SQL_TYPES[node.type or ColumnType.TEXT]})"


def quote(name: str) -> str:
    """An identifier, the same in both dialects."""
    return '"' + name.replace('"', '""') + '"'


def _variadic(name: str, parts: list[str]) -> str:
    if name == "case":
        pairs, rest = parts[: len(parts) // 2 * 2], parts[len(parts) // 2 * 2 :]
        branches = " ".join(f"WHEN {pairs[i]} THEN {pairs[i + 1]}" for i in range(0, len(pairs), 2))
        otherwise = f" ELSE {rest[0]}" if rest else ""
        return f"(CASE {branches}{otherwise} END)"
    if name in ("and", "or"):
        return _balanced(f" {name.upper()} ", parts)
    word = "NOT IN" if name == "not_in" else "IN"
    return f"({parts[0]} {word} ({', '.join(parts[1:])}))"


def _balanced(word: str, parts: list[str]) -> str:
    """A long chain as a balanced tree: SQLite's parser allows a depth of a thousand."""
    if len(parts) <= 8:
        return f"({word.join(parts)})"
    middle = len(parts) // 2
    return f"({_balanced(word, parts[:middle])}{word}{_balanced(word, parts[middle:])})"

"""Comparisons of a column with values, as SQL.

What is made here is never NULL: a condition holds for a row or does not. Negation is a parameter, because Dataverse
turns `not` into the opposite condition of the column, which has a rule of its own for rows without a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from crosstie.sandbox.dynamics.odata.errors import QueryError
from crosstie.sandbox.dynamics.odata.functions import bare_key, escaped, text_key
from crosstie.sandbox.dynamics.odata.rules import Rules
from crosstie.sandbox.dynamics.odata.values import EXACT, TEXTS, Stored, from_text
from crosstie.sandbox.dynamics.table import Attribute, AttributeType
from crosstie.sandbox.fragments import Sql, quoted, sql_join

FALSE, TRUE = Sql("0"), Sql("1")
OPPOSITE = {"eq": "ne", "ne": "eq", "gt": "le", "le": "gt", "lt": "ge", "ge": "lt"}
_SIGNS = {"eq": "=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
MAX_IN_VALUES = 2000
"""As far as is known; the documentation names no number."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of one of the query's tables; `source` is that table's alias in SQL."""

    source: str
    attribute: Attribute

    @property
    def sql(self) -> Sql:
        """The stored value."""
        return Sql(f"{self.source}.{quoted(self.attribute.logical_name)}")

    def key(self, rules: Rules) -> Sql:
        """The form by which values compare and sort."""
        function = self._function(rules)
        return Sql(f"{function}({self.sql.text})") if function else self.sql

    def value_key(self, value: Stored, rules: Rules) -> Sql:
        """A value in that form."""
        function = self._function(rules)
        return Sql(f"{function}(?)" if function else "?", (value,))

    def _function(self, rules: Rules) -> str:
        if self.attribute.type in TEXTS:
            return "dv_text" if rules.accents else "dv_bare"
        return "dv_number" if self.attribute.type in EXACT else ""


def compare(column: Column, operator: str, value: Stored | None, rules: Rules) -> Sql:
    """`column operator value`; None is null, which equals nothing but null."""
    if value is None:
        if operator in ("eq", "ne"):
            return is_null(column, negated=operator == "ne")
        return FALSE
    if operator == "ne":
        return negated(column, compare(column, "eq", value, rules), rules)
    if column.attribute.type is AttributeType.DATE_TIME and "." in str(value):
        # Stored instants have whole seconds; a literal between two of them equals none.
        whole = f"{str(value).partition('.')[0]}Z"
        return (
            FALSE if operator == "eq" else _test(column, {"ge": "gt", "lt": "le"}.get(operator, operator), whole, rules)
        )
    return _test(column, operator, value, rules)


def _test(column: Column, operator: str, value: Stored, rules: Rules) -> Sql:
    if (
        operator == "eq"
        and isinstance(value, str)
        and column.attribute.type in TEXTS
        and value.isascii()
        and rules.accents
    ):
        # Folding never makes ASCII of what is not, so that an index can serve.
        return sure(column.sql + Sql(" = ? COLLATE NOCASE", (value,)), column)
    return sure(column.key(rules) + Sql(f" {_SIGNS[operator]} ") + column.value_key(value, rules), column)


def sure(condition: Sql, *columns: Column) -> Sql:
    """False where SQL knows no answer, because one of the columns has no value; in a form that lets indexes serve."""
    return Sql("(") + sql_join(" AND ", [*(is_null(one, negated=True) for one in columns), condition]) + Sql(")")


def negated(column: Column, condition: Sql, rules: Rules) -> Sql:
    """Where the condition does not hold: rows without a value among them, or not, as the rules say."""
    if rules.ne_includes_nulls:
        return Sql("NOT ") + condition
    return Sql("(NOT ") + condition + Sql(" AND ") + is_null(column, negated=True) + Sql(")")


def is_null(column: Column, *, negated: bool = False) -> Sql:
    """Whether there is no value, or one."""
    return column.sql + Sql(" IS NOT NULL" if negated else " IS NULL")


def matches(column: Column, function: str, value: str, rules: Rules, *, literal: bool = False) -> Sql:
    """contains, startswith, endswith or like. `literal` says that wildcards in the value stand for themselves."""
    if function != "like" and (literal or not rules.wildcards):
        value = escaped(value)
    pattern = {"contains": f"%{value}%", "startswith": f"{value}%", "endswith": f"%{value}"}.get(function, value)
    key = column.key(rules) if column.attribute.type in TEXTS else Sql("CAST(") + column.sql + Sql(" AS TEXT)")
    return sure(Sql("dv_like(") + key + Sql(", ?)", ((text_key if rules.accents else bare_key)(pattern),)), column)


def one_of(column: Column, texts: Sequence[str], rules: Rules) -> Sql:
    """Whether the value is among those given as text."""
    if len(texts) > MAX_IN_VALUES:
        raise QueryError(f"The number of values of a condition exceeds the limit of {MAX_IN_VALUES}.")
    values = [from_text(column.attribute, text) for text in texts]
    if column.attribute.type in TEXTS and rules.accents and all(str(value).isascii() for value in values):
        listed = msgspec.json.encode(values).decode()
        return sure(column.sql + Sql(" COLLATE NOCASE IN (SELECT value FROM json_each(?))", (listed,)), column)
    if not values:
        return FALSE
    keys = sql_join(", ", [column.value_key(value, rules) for value in values])
    return sure(column.key(rules) + Sql(" IN (") + keys + Sql(")"), column)


def chosen(column: Column, texts: Sequence[str]) -> Sql:
    """Whether a multi-select column has any of the values."""
    if column.attribute.type is not AttributeType.MULTI_SELECT:
        raise QueryError(
            f"The attribute '{column.attribute.logical_name}' is not a multi-select choice, which this operator needs."
        )
    wrapped = Sql("(',' || ") + column.sql + Sql(" || ',')")
    parts = [sure(Sql("INSTR(") + wrapped + Sql(", ?) > 0", (f",{text.strip()},",)), column) for text in texts]
    return Sql("(") + sql_join(" OR ", parts) + Sql(")") if parts else FALSE


def between(column: Column, low: str, high: str, rules: Rules) -> Sql:
    """Whether the value is from `low` to `high`, both included, each given as text."""
    first, last = from_text(column.attribute, low), from_text(column.attribute, high)
    return Sql("(") + compare(column, "ge", first, rules) + Sql(" AND ") + compare(column, "le", last, rules) + Sql(")")


def with_column(left: Column, operator: str, right: Column, rules: Rules) -> Sql:
    """Column against column of one row."""
    if operator == "ne":
        return negated(left, with_column(left, "eq", right, rules), rules)
    one, other = left.key(rules), right.key(rules)
    if left.attribute.type in EXACT or right.attribute.type in EXACT:
        one, other = Sql(f"dv_number({left.sql.text})"), Sql(f"dv_number({right.sql.text})")
    return sure(one + Sql(f" {_SIGNS[operator]} ") + other, left, right)

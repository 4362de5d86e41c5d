"""WHERE and HAVING as SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from crosstie.sandbox.fragments import Sql
from crosstie.sandbox.salesforce.soql import expressions
from crosstie.sandbox.salesforce.soql.comparisons import balanced, compare, includes, member, negated
from crosstie.sandbox.salesforce.soql.errors import SoqlError
from crosstie.sandbox.salesforce.soql.expressions import Value
from crosstie.sandbox.salesforce.soql.scope import Scope
from crosstie.sandbox.salesforce.soql.syntax import (
    Call,
    Comparison,
    Condition,
    Inclusion,
    Junction,
    Negation,
    Path,
    SemiJoin,
)

MAX_SEMI_JOINS = 2


@dataclass(slots=True, kw_only=True)
class ConditionCompiler:
    """Turns the conditions of one query level into SQL.

    `value` gives the typed SQL of a left side; `semi_join` compiles the inner query of a semi-join to SQL of one
    column (None where semi-joins are not allowed at all).
    """

    scope: Scope
    value: Callable[[Path | Call], Value]
    semi_join: Callable[[SemiJoin], Sql] | None
    _semi_joins: int = field(default=0)

    def condition(self, condition: Condition, *, above: str = "") -> Sql:
        """SQL of a condition; `above` is the operator it stands under (AND, OR or NOT)."""
        if isinstance(condition, Junction):
            parts = [self.condition(part, above=_worst(above, condition.operator)) for part in condition.parts]
            separator = f" {condition.operator} "
            return Sql("(") + balanced(separator, parts) + Sql(")")
        if isinstance(condition, Negation):
            return negated(self.condition(condition.part, above="NOT"))
        if isinstance(condition, SemiJoin):
            return self._semi_join(condition, above)
        value = self._filterable(condition.left)
        context = self.scope.context
        if isinstance(condition, Comparison):
            return compare(context, value, condition.operator, condition.value)
        make = includes if isinstance(condition, Inclusion) else member
        found = make(context, value, condition.values)
        return negated(found) if condition.negated else found

    def _filterable(self, operand: Path | Call) -> Value:
        value = self.value(operand)
        column = value.column
        if column is None:
            return value
        if column.field.is_compound:
            message = "Address fields can only be filtered using Distance expressions"
            raise self.scope.context.error("INVALID_FIELD", operand.at, message)
        if not column.field.filterable or value.kind == expressions.OTHER:
            message = f"field '{value.name}' can not be filtered in a query call"
            raise self.scope.context.error("INVALID_FIELD", operand.at, message)
        return value

    def _semi_join(self, condition: SemiJoin, above: str) -> Sql:
        if self.semi_join is None:
            raise self._malformed(condition, "Nesting of semi join sub-selects is not supported")
        if above in ("OR", "NOT"):
            message = f"Semi join sub-selects are not allowed with the '{above}' operator"
            raise self._malformed(condition, message)
        self._semi_joins += 1
        if self._semi_joins > MAX_SEMI_JOINS:
            raise self._malformed(condition, f"Maximum {MAX_SEMI_JOINS} semi join sub-selects are allowed")
        left = self._filterable(condition.left)
        if left.kind != expressions.ID or left.column is None or left.column.parent.path:
            text = condition.left.text if isinstance(condition.left, Path) else condition.left.name
            message = (
                "The left operand field in the where expression for outer query should be an ID field, cannot use:"
                f" '{text}'"
            )
            raise self._malformed(condition, message)
        found = left.sql + Sql(" IN (") + self.semi_join(condition) + Sql(")")
        return negated(found) if condition.negated else found

    def _malformed(self, condition: SemiJoin, message: str) -> SoqlError:
        return self.scope.context.error("MALFORMED_QUERY", condition.at, message)


def _worst(above: str, operator: str) -> str:
    return above if above in ("OR", "NOT") else operator

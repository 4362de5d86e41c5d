"""$filter as SQL.

Source: Dataverse Web API guide, "Filter rows using OData". Dataverse translates a filter into conditions of columns
joined by and/or, and turns `not` into the opposite conditions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crosstie.sandbox.dynamics.odata.comparisons import (
    OPPOSITE,
    Column,
    between,
    chosen,
    compare,
    is_null,
    matches,
    negated,
    one_of,
    with_column,
)
from crosstie.sandbox.dynamics.odata.errors import QueryError, incompatible
from crosstie.sandbox.dynamics.odata.periods import period
from crosstie.sandbox.dynamics.odata.rules import Rules
from crosstie.sandbox.dynamics.odata.scope import Scope
from crosstie.sandbox.dynamics.odata.syntax import (
    Both,
    Compare,
    Condition,
    Either,
    Literal,
    Not,
    Operand,
    Property,
    Related,
    Special,
    TextTest,
)
from crosstie.sandbox.dynamics.odata.values import KINDS, NUMBERS, TEXTS, edm_type, literal_type, stored
from crosstie.sandbox.fragments import Sql, quoted, sql_join

_MIRRORED = {"eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}


@dataclass(frozen=True, slots=True)
class Filter:
    """Compiles the conditions of one scope."""

    scope: Scope
    rules: Rules

    def sql(self, condition: Condition, *, opposite: bool = False) -> Sql:
        """The condition, or its opposite, as SQL that is never NULL. Raises QueryError as the service refuses."""
        match condition:
            case Both(parts) | Either(parts):
                word = " AND " if isinstance(condition, Both) != opposite else " OR "
                return Sql("(") + sql_join(word, [self.sql(part, opposite=opposite) for part in parts]) + Sql(")")
            case Not(part):
                return self.sql(part, opposite=not opposite)
            case Compare(left, operator, right):
                return self._compare(left, OPPOSITE[operator] if opposite else operator, right)
            case TextTest(function, subject, value):
                return self._text_test(function, subject, value, opposite)
            case Special():
                return self._special(condition, opposite)
            case Related():
                return self._related(condition, opposite)

    def _compare(self, left: Operand, operator: str, right: Operand) -> Sql:
        if isinstance(left, Literal):
            if isinstance(right, Literal):
                raise QueryError("A comparison of two literals is not supported.")
            left, operator, right = right, _MIRRORED[operator], left
        whole = self._navigation(left, operator, right)
        if whole is not None:
            return whole
        column = self.scope.column(left.names)
        if isinstance(right, Property):
            other = self.scope.column(right.names)
            _require_comparable(column, operator, other)
            return with_column(column, operator, other, self.rules)
        if right.kind == "null":
            return compare(column, operator, None, self.rules)
        return compare(column, operator, stored(column.attribute, right, operator), self.rules)

    def _navigation(self, left: Property, operator: str, right: Operand) -> Sql | None:
        """A navigation property stands for no value: it can be compared with null only."""
        if left.names[0] in self.scope.variables:
            return None
        alias, table = self.scope.navigated(left.names[:-1])
        found = table.navigated(left.names[-1])
        if found is None or table.property(left.names[-1]) is not None:
            return None
        lookup, target = found
        if isinstance(right, Literal) and right.kind == "null" and operator in ("eq", "ne"):
            return is_null(Column(alias, lookup), negated=operator == "ne")
        given = (
            literal_type(right) if isinstance(right, Literal) else edm_type(self.scope.column(right.names).attribute)
        )
        raise incompatible(f"Microsoft.Dynamics.CRM.{target or 'principal'}", given, KINDS[operator])

    def _text_test(self, function: str, subject: Property, value: Literal, opposite: bool) -> Sql:
        column = self.scope.column(subject.names)
        if column.attribute.type not in TEXTS or value.kind != "string":
            raise QueryError(
                f"No function signature for the function with name '{function}' matches the specified arguments. The "
                f"function signatures considered are: {function}(Edm.String Nullable=true, Edm.String Nullable=true)."
            )
        found = matches(column, function, value.text, self.rules)
        return negated(column, found, self.rules) if opposite else found

    def _related(self, condition: Related, opposite: bool) -> Sql:
        scope, tie = self.scope.inner(condition.path)
        scope.variables[condition.variable] = scope
        every = condition.quantifier == "all"
        where = Sql(tie)
        if condition.inner is not None:
            where += Sql(" AND ") + Filter(scope, self.rules).sql(condition.inner, opposite=every)
        source = f"FROM {quoted(scope.table.logical_name)} AS {scope.alias}{''.join(scope.joins)}"
        prefix = "NOT " if every != opposite else ""
        return Sql(f"{prefix}EXISTS (SELECT 1 {source} WHERE ") + where + Sql(")")

    def _special(self, condition: Special, opposite: bool) -> Sql:
        name = condition.arguments.get("PropertyName")
        if not isinstance(name, str):
            raise QueryError(f"The function '{condition.name}' needs a PropertyName.")
        column = self.scope.by_logical_name(condition.prefix, name)
        values = condition.arguments.get("PropertyValues", ())
        value = condition.arguments.get("PropertyValue")
        texts = (values,) if isinstance(values, str) else values
        found = special(column, condition.name, texts, value if isinstance(value, str) else None, self.rules)
        return negated(column, found, self.rules) if opposite else found


def special(column: Column, name: str, texts: tuple[str, ...], value: str | None, rules: Rules) -> Sql:
    """The condition of a query function by its name, with its list of values or its one value."""
    inside = period(column, name, value, rules)
    if inside is not None:
        return inside
    plain = _LISTS.get(name.removeprefix("Not").replace("DoesNotC", "C"))
    if plain is not None:
        found = plain(column, texts, rules)
        return negated(column, found, rules) if name.startswith(("Not", "DoesNot")) else found
    if name in ("EqualUserId", "NotEqualUserId"):
        return compare(column, "eq" if name == "EqualUserId" else "ne", rules.user_id, rules)
    if name == "Contains":
        return matches(column, "contains", value or "", rules)
    raise QueryError(f"The query function 'Microsoft.Dynamics.CRM.{name}' is not supported.", status=501)


def _between(column: Column, texts: tuple[str, ...], rules: Rules) -> Sql:
    if len(texts) != 2:
        raise QueryError(f"The function Between needs two values for '{column.attribute.logical_name}'.")
    return between(column, texts[0], texts[1], rules)


_LISTS: dict[str, Callable[[Column, tuple[str, ...], Rules], Sql]] = {
    "In": one_of,
    "Between": _between,
    "ContainValues": lambda column, texts, rules: chosen(column, texts),
}


def _require_comparable(left: Column, operator: str, right: Column) -> None:
    one, other = edm_type(left.attribute), edm_type(right.attribute)
    if one != other and not (left.attribute.type in NUMBERS and right.attribute.type in NUMBERS):
        raise incompatible(one, other, KINDS[operator])

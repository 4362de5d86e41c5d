"""People's SQL expressions: a closed list of operators and functions that mean the same on both databases."""

from crosstie.db.expressions.expression import Expression, parse_condition, parse_expression
from crosstie.db.expressions.scope import Scope, UnknownScope
from crosstie.db.expressions.values import Binding

__all__ = ["Binding", "Expression", "Scope", "UnknownScope", "parse_condition", "parse_expression"]

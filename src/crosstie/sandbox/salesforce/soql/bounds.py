"""Bounds that a condition implies although no part of it says so alone.

A page of a keyset walk asks `(SystemModstamp = x AND Id > y) OR SystemModstamp > x`. SQLite can't use an index for
that; `SystemModstamp >= x`, which follows from it, lets it start at the right place of the index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crosstie.sandbox.fragments import Sql
from crosstie.sandbox.salesforce.soql import comparisons, expressions
from crosstie.sandbox.salesforce.soql.expressions import Value
from crosstie.sandbox.salesforce.soql.scope import Context
from crosstie.sandbox.salesforce.soql.syntax import Call, Comparison, Condition, Junction, Literal, Membership, Path

Bounds = dict[tuple[str, str], Any]
"""(SQL of a column, `>=` or `<=`) → operand."""

_KINDS = frozenset({expressions.ID, expressions.DATE, expressions.DATETIME, expressions.INT, expressions.NUMBER})
_SIDES = {"=": (">=", "<="), ">": (">=",), ">=": (">=",), "<": ("<=",), "<=": ("<=",)}


def implied(context: Context, value: Callable[[Path | Call], Value], condition: Condition) -> list[Sql]:
    """The bounds that follow from a condition that holds an OR; none for one without, which bounds plainly enough."""
    if not _has_or(condition):
        return []
    found = _bounds(context, value, condition)
    return [Sql(f"{column} {sign} ?", (operand,)) for (column, sign), operand in found.items()]


def _has_or(condition: Condition) -> bool:
    if not isinstance(condition, Junction):
        return False
    return condition.operator == "OR" or any(_has_or(part) for part in condition.parts)


def _bounds(context: Context, value: Callable[[Path | Call], Value], condition: Condition) -> Bounds:
    if isinstance(condition, Junction):
        parts = [_bounds(context, value, part) for part in condition.parts]
        return _either(parts) if condition.operator == "OR" else _both(parts)
    if isinstance(condition, Comparison) and condition.operator in _SIDES:
        return _of_leaf(context, value(condition.left), (condition.value,), _SIDES[condition.operator])
    if isinstance(condition, Membership) and not condition.negated:
        return _of_leaf(context, value(condition.left), condition.values, _SIDES["="])
    return {}


def _of_leaf(context: Context, left: Value, literals: tuple[Literal, ...], sides: tuple[str, ...]) -> Bounds:
    of_root = left.column is not None and not left.column.parent.path
    plain = all(literal.kind != "keyword" and not comparisons.is_null(left, literal) for literal in literals)
    if left.kind not in _KINDS or not of_root or not plain:
        return {}
    operands = [comparisons.operand(context, left, literal) for literal in literals]
    return {(left.sql.text, side): min(operands) if side == ">=" else max(operands) for side in sides}


def _either(parts: list[Bounds]) -> Bounds:
    shared = [key for key in parts[0] if all(key in part for part in parts)]
    return {key: (min if key[1] == ">=" else max)(part[key] for part in parts) for key in shared}


def _both(parts: list[Bounds]) -> Bounds:
    merged: Bounds = {}
    for part in parts:
        for key, operand in part.items():
            known = merged.get(key, operand)
            merged[key] = max(known, operand) if key[1] == ">=" else min(known, operand)
    return merged

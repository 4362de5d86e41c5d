"""Conditions taken apart: a query that is too long for one call is cut by its one long list of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crosstie.crm.connector import Comparison, Condition, Group, Operator, Value


def several(value: Value) -> tuple[Value, ...]:
    """The values of a comparison with many; a single one is a list of one."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return (value,)
    return tuple(value)


def long_list(condition: Condition | None) -> Comparison | None:
    """The longest ONE_OF that every row must fulfil: a query can be cut by it into several."""
    lists = [one for one in _conjuncts(condition) if one.operator is Operator.ONE_OF]
    return max(lists, key=lambda one: len(several(one.value)), default=None)


def without(condition: Condition | None, left_out: Comparison) -> Condition | None:
    """The condition but for one comparison of it."""
    if condition is None or condition is left_out:
        return None
    if isinstance(condition, Comparison):
        return condition
    kept = tuple(one for item in condition.items if (one := without(item, left_out)) is not None)
    return Group(all=condition.all, items=kept) if kept else None


def _conjuncts(condition: Condition | None) -> Iterator[Comparison]:
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, Group) and (condition.all or len(condition.items) == 1):
        for item in condition.items:
            yield from _conjuncts(item)

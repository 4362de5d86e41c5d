"""Conditions on remote records, in Python: `contacts.Email.not_empty() & contacts.Score__c.at_least(5)`.

They are those of a workflow's filter, with Python values on the right, and the same mistakes are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from crosstie.crm.connector import Condition, Operator
from crosstie.errors import MappingError
from crosstie.model import RemoteObject
from crosstie.script.filters import FilterGroup, FilterTest, build_condition

Scalar = str | int | float | Decimal | bool | date | datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Test:
    field: str
    operator: Operator
    values: tuple[Scalar, ...] = ()
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Where:
    """A condition; `&` and `|` join two."""

    _items: tuple[_Test | Where, ...]
    _all: bool = True

    def __and__(self, other: Where) -> Where:
        return Where((self, other), _all=True)

    def __or__(self, other: Where) -> Where:
        return Where((self, other), _all=False)

    def condition(self, remote: RemoteObject) -> Condition:
        """What the connector is asked. Raises MappingError for a field or value that does not fit."""
        values = {repr(value): _fitting(value) for value in self._values()}
        return build_condition(self._group(), remote, lambda source: values[source])

    def _group(self) -> FilterGroup:
        items = tuple(one._group() if isinstance(one, Where) else _written(one) for one in self._items)
        return FilterGroup(path=(), all=self._all, items=items)

    def _values(self) -> Iterator[Scalar]:
        for one in self._items:
            yield from one._values() if isinstance(one, Where) else one.values


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgField:
    """A field of a remote object, for conditions."""

    name: str

    def empty(self) -> Where:
        """Without a value."""
        return self._test(Operator.EMPTY)

    def not_empty(self) -> Where:
        """With a value."""
        return self._test(Operator.NOT_EMPTY)

    def equal_to(self, value: Scalar) -> Where:
        """The value itself."""
        return self._test(Operator.EQUAL, value)

    def not_equal_to(self, value: Scalar) -> Where:
        """Another value; whether none counts as another is the CRM's."""
        return self._test(Operator.NOT_EQUAL, value)

    def less_than(self, value: Scalar) -> Where:
        """Below the value."""
        return self._test(Operator.LESS, value)

    def at_most(self, value: Scalar) -> Where:
        """The value or below."""
        return self._test(Operator.AT_MOST, value)

    def greater_than(self, value: Scalar) -> Where:
        """Above the value."""
        return self._test(Operator.GREATER, value)

    def at_least(self, value: Scalar) -> Where:
        """The value or above."""
        return self._test(Operator.AT_LEAST, value)

    def before(self, value: date) -> Where:
        """Earlier than a date, or than an instant with its zone."""
        return self._test(Operator.BEFORE, value)

    def after(self, value: date) -> Where:
        """Later than a date, or than an instant with its zone."""
        return self._test(Operator.AFTER, value)

    def starts_with(self, text: str) -> Where:
        """Text that begins so."""
        return self._test(Operator.STARTS_WITH, text)

    def contains(self, text: str) -> Where:
        """Text with that in it."""
        return self._test(Operator.CONTAINS, text)

    def one_of(self, *values: Scalar) -> Where:
        """Any of the values."""
        return self._test(Operator.ONE_OF, *values, listed=True)

    def includes(self, *values: str) -> Where:
        """A set with any of the values in it."""
        return self._test(Operator.INCLUDES, *values, listed=True)

    def _test(self, operator: Operator, *values: Scalar, listed: bool = False) -> Where:
        return Where((_Test(field=self.name, operator=operator, values=values, listed=listed),))


def _written(one: _Test) -> FilterTest:
    return FilterTest(
        path=(),
        field=one.field,
        operator=one.operator.value,
        values=tuple(repr(value) for value in one.values),
        listed=one.listed,
    )


def _fitting(value: Scalar) -> object:
    """The value as a filter takes it: a date is its midnight in UTC."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise MappingError(f"{value} has no time zone.", hint="Give it one, like tzinfo=UTC.")
        return value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return float(value) if isinstance(value, Decimal) else value

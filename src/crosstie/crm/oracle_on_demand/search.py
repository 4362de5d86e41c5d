"""Search specifications from conditions (Web Services guide, "Query Syntax").

v2.0 takes any condition, `([A] = 'x') AND ([B] IS NULL)`: what is joined stands in parentheses, a lone term does not.
v1.0 takes an expression for each field, and records have to meet them all. Texts are compared without regard to case,
as with the other CRMs; keys, ids and picklists exactly, which is faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from crosstie.crm.conditions import several
from crosstie.crm.connector import Comparison, Condition, Operator, Value
from crosstie.crm.oracle_on_demand.envelope import text as xml_text
from crosstie.crm.oracle_on_demand.fields import readable_field
from crosstie.crm.oracle_on_demand.ids import complete_id
from crosstie.crm.oracle_on_demand.times import WireTimes
from crosstie.errors import RequestError
from crosstie.model import FieldType, IndexRange, RemoteField, RemoteObject

_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})
_TEXTS = frozenset({FieldType.TEXT, FieldType.OTHER})
_KEYS = frozenset({FieldType.ID, FieldType.REFERENCE})
_SIGNS = {
    Operator.LESS: "<",
    Operator.AT_MOST: "<=",
    Operator.GREATER: ">",
    Operator.AT_LEAST: ">=",
    Operator.BEFORE: "<",
    Operator.AFTER: ">",
}
_ROUNDED_UP = frozenset({Operator.LESS, Operator.BEFORE, Operator.AT_LEAST})
EMPTY, FILLED = "IS NULL", "IS NOT NULL"
_WILD = str.maketrans({one: f"\\{one}" for one in "\\*?"})

Terms = tuple[str, ...]
"""What may follow a field, one of which has to be true: `= 'x'`, `IS NULL`. None of nothing is."""


class Search:
    """Writes the conditions on one object."""

    def __init__(self, remote: RemoteObject, times: WireTimes) -> None:
        self._remote = remote
        self._times = times

    def specification(self, condition: Condition) -> str:
        """A condition for v2.0's `searchspec`, not yet escaped for XML."""
        if isinstance(condition, Comparison):
            field = readable_field(self._remote, condition.field)
            return self.any_of(field.name, self.terms(condition))
        if not condition.items:
            return f"[{self._remote.key}] {FILLED if condition.all else EMPTY}"
        return joined([self.specification(one) for one in condition.items], "AND" if condition.all else "OR")

    def any_of(self, name: str, terms: Terms) -> str:
        """That one of the terms is true of a field; of none no record's is."""
        if not terms:
            return f"[{self._remote.key}] {EMPTY}"
        return joined([f"[{name}] {one}" for one in terms], "OR")

    def by_field(self, condition: Condition) -> dict[str, list[Terms]]:
        """A condition as v1.0 takes it: for each field what all has to be true of it. Raises RequestError for one that
        joins several fields by OR."""
        found: dict[str, list[Terms]] = {}
        self._collect(condition, found)
        return found

    def _collect(self, condition: Condition, found: dict[str, list[Terms]]) -> None:
        if isinstance(condition, Comparison):
            field = readable_field(self._remote, condition.field)
            self._add(field.name, self.terms(condition), found)
        elif condition.all or len(condition.items) == 1:
            for one in condition.items:
                self._collect(one, found)
        else:
            self._collect_any(condition.items, found)

    def _collect_any(self, items: Sequence[Condition], found: dict[str, list[Terms]]) -> None:
        compared = [one for one in items if isinstance(one, Comparison)]
        names = {readable_field(self._remote, one.field).name for one in compared}
        if len(compared) < len(items) or len(names) > 1:
            raise RequestError(
                f"Web services v1.0 can't join conditions on several fields of {self._remote.name} by “any”.",
                hint="Let the account use v2.0: crosstie account edit ACCOUNT --version v2.0, and collect the objects"
                " again. Or split the import in several.",
            )
        every = tuple(term for one in compared for term in self.terms(one))
        self._add(names.pop() if names else "", every, found)

    def _add(self, name: str, terms: Terms, found: dict[str, list[Terms]]) -> None:
        key = self._remote.key
        found.setdefault(name if terms else key, []).append(terms or (EMPTY,))

    def window(self, span: IndexRange) -> list[Terms]:
        """What has to be true of the index field: the half-open window, never less of it."""
        field = readable_field(self._remote, span.field)
        if field.type is not FieldType.DATETIME:
            raise RequestError(
                f"{self._remote.name}.{field.name} ({field.wire_type}) is no instant and can't be an index."
            )
        before = f"< {_quoted(self._times.before(span.end))}"
        if span.start is None:
            return [(EMPTY, before)]
        return [(f">= {_quoted(self._times.at_least(span.start))}",), (before,)]

    def terms(self, comparison: Comparison) -> Terms:
        """What a comparison says of its field. Raises RequestError when the field can't be compared so."""
        field = readable_field(self._remote, comparison.field)
        operator, value = comparison.operator, comparison.value
        if not field.filterable:
            raise RequestError(
                f"Oracle CRM On Demand can't filter by {self._remote.name}.{field.name} ({field.wire_type}).",
                hint="Filter by another field, or filter the rows after the import.",
            )
        if operator in {Operator.EMPTY, Operator.NOT_EMPTY}:
            return (EMPTY if operator is Operator.EMPTY else FILLED,)
        if operator is Operator.ONE_OF:
            return self.one_of(field, several(value))
        if operator is Operator.INCLUDES:
            return self._includes(field, several(value))
        if operator in {Operator.STARTS_WITH, Operator.CONTAINS}:
            return (self._like(field, operator, value),)
        if value is None:
            raise RequestError(
                f"The filter on {field.name} has no value to compare with.",
                hint="Ask for “empty” or “not empty” instead.",
            )
        if operator is Operator.EQUAL:
            return self.one_of(field, (value,))
        if operator is Operator.NOT_EQUAL:
            # Whether a field without a value is different from one is not sure, so it is said.
            literal = self._literal(field, value)
            return (f"<> {_quoted(literal)}", EMPTY) if literal else (FILLED,)
        return (f"{_SIGNS[operator]} {_quoted(self._literal(field, value, up=operator in _ROUNDED_UP))}",)

    def one_of(self, field: RemoteField, values: Iterable[Value]) -> Terms:
        """That a field has one of these values; an empty text is no value."""
        folded = field.type in _TEXTS and not field.external_id and not field.unique and not field.case_sensitive
        literals = dict.fromkeys(self._literal(field, one) for one in values)
        terms = [f"{'~=' if folded else '='} {_quoted(one)}" if one else EMPTY for one in literals]
        return tuple(terms)

    def _like(self, field: RemoteField, operator: Operator, value: Value) -> str:
        if not isinstance(value, str) or field.type not in _TEXTS:
            raise RequestError(f"“{operator}” compares texts; {field.name} ({field.wire_type}) or its value is none.")
        pattern = value.translate(_WILD)
        return f"~LIKE {_quoted(f'*{pattern}*' if operator is Operator.CONTAINS else f'{pattern}*')}"

    def _includes(self, field: RemoteField, values: Iterable[Value]) -> Terms:
        """Several values stand in one text, `A;B`, which is compared whole or by its ends."""
        terms: list[str] = []
        for one in values:
            plain = self._literal(field, one, within=True)
            wild = plain.translate(_WILD)
            terms += [f"= {_quoted(plain)}"]
            terms += [f"LIKE {_quoted(pattern)}" for pattern in (f"{wild};*", f"*;{wild}", f"*;{wild};*")]
        return tuple(dict.fromkeys(terms))

    def _literal(self, field: RemoteField, value: Value, *, up: bool = False, within: bool = False) -> str:
        """The value as the wire has it. `up` rounds an instant up to a whole second instead of down; `within` allows
        one value of a set. Raises RequestError when it can't be one."""
        if field.type in _KEYS:
            found = complete_id(value) if isinstance(value, str) else None
            return found or _no_id(value)
        if field.type in _TEXTS or field.type is FieldType.ENUMERATION or (field.type is FieldType.SET and within):
            return _text(field, value)
        if field.type in _NUMBERS and isinstance(value, int | float | Decimal | str) and not isinstance(value, bool):
            return _number(field, value)
        if field.type is FieldType.BOOLEAN and isinstance(value, bool):
            return ("Y" if value else "N") if self._times.is_text else str(value).lower()
        if field.type is FieldType.DATETIME and isinstance(value, date):
            midnight = datetime(value.year, value.month, value.day, tzinfo=UTC)
            return self._times.instant_literal(value if isinstance(value, datetime) else midnight, up=up)
        if field.type is FieldType.DATE and isinstance(value, date):
            return self._times.date_literal(
                value.astimezone(UTC).date() if isinstance(value, datetime) and value.tzinfo else value
            )
        return _refuse(field, value)


def joined(parts: Sequence[str], word: str) -> str:
    """Conditions in parentheses with `AND` or `OR` between; a lone one as it is."""
    return parts[0] if len(parts) == 1 else f" {word} ".join(f"({one})" for one in parts)


def content(terms: Sequence[Terms]) -> str:
    """What all has to be true of a field, as the content of its element in v1.0."""
    return joined([joined(one, "OR") for one in terms], "AND")


def checked_id(value: str) -> str:
    """A remote id as the CRM writes it. Raises RequestError for anything that is none."""
    return complete_id(value) or _no_id(value)


def _no_id(value: Value) -> str:
    raise RequestError(f"“{str(value)[:40]}” is not an id of Oracle CRM On Demand (like AAPA-2WJ5PW).")


def _refuse(field: RemoteField, value: Value) -> str:
    hint = "Make the filter's JavaScript give a value of the field's type, e.g. new Date('2012-07-31') for a date."
    if field.type is FieldType.SET:
        hint = "Ask whether it includes a value, or whether it is empty."
    raise RequestError(
        f"The field {field.name} ({field.wire_type}) can't be compared with a value of type {type(value).__name__}.",
        hint=hint,
    )


def _text(field: RemoteField, value: Value) -> str:
    if isinstance(value, str):
        xml_text(value)  # refuses what can't travel, before anything is sent
        return value
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _number(field, value)
    return _refuse(field, value)


def _number(field: RemoteField, value: int | float | Decimal | str) -> str:
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation as error:
        raise RequestError(f"The filter value for {field.name} is not a number.") from error
    if not number.is_finite() or abs(number.adjusted()) > 300:
        raise RequestError(f"The filter value for {field.name} is not a number that Oracle CRM On Demand knows.")
    shown = f"{number:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _quoted(literal: str) -> str:
    return "'" + literal.replace("'", "''") + "'"

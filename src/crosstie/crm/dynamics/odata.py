"""OData filters and orders from a RemoteQuery (Dataverse Web API guide, "Filter rows using OData").

Dataverse has OData 4.0 without `in` and with query functions of its own; texts are compared without regard to case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from urllib.parse import quote

from crosstie.crm.conditions import several
from crosstie.crm.connector import Comparison, Condition, Operator, RemoteQuery, Value
from crosstie.crm.dynamics.columns import property_of, readable_field
from crosstie.crm.dynamics.ids import complete_id
from crosstie.errors import RequestError
from crosstie.model import FieldType, IndexRange, RemoteField, RemoteObject

FUNCTION = "Microsoft.Dynamics.CRM."
_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})
_TEXTS = frozenset({FieldType.TEXT, FieldType.OTHER})
_KEYS = frozenset({FieldType.ID, FieldType.REFERENCE})
_LIKE = re.compile(r"[%_\[]")
_DIGITS = re.compile(r"-?\d{1,10}", re.ASCII)
_SIGNS = {
    Operator.LESS: "lt",
    Operator.AT_MOST: "le",
    Operator.GREATER: "gt",
    Operator.AT_LEAST: "ge",
    Operator.BEFORE: "lt",
    Operator.AFTER: "gt",
}
_ROUNDED_UP = frozenset({Operator.LESS, Operator.BEFORE, Operator.AT_LEAST})


def where(remote: RemoteObject, condition: Condition) -> str:
    """A condition, safe to join with others by `and` and `or`."""
    if isinstance(condition, Comparison):
        return _comparison(remote, condition)
    parts = [where(remote, item) for item in condition.items]
    if not parts:
        return never(remote, opposite=condition.all)
    joined = (" and " if condition.all else " or ").join(parts)
    return f"({joined})" if len(parts) > 1 else joined


def never(remote: RemoteObject, *, opposite: bool = False) -> str:
    """A condition that no record fulfils, or every one."""
    return f"{remote.key} {'ne' if opposite else 'eq'} null"


def window(remote: RemoteObject, span: IndexRange) -> str:
    """The half-open window. Stamps are whole seconds, so both ends are rounded up to the next one."""
    field = readable_field(remote, span.field)
    if field.type is not FieldType.DATETIME:
        raise RequestError(f"{remote.name}.{field.name} ({field.wire_type}) is no instant and can't be an index.")
    before_end = f"{field.name} lt {_instant(span.end, up=True)}"
    if span.start is None:
        return f"({field.name} eq null or {before_end})"
    return f"({field.name} ge {_instant(span.start, up=True)} and {before_end})"


def one_of(remote: RemoteObject, name: str, literals: Sequence[str]) -> str:
    """That a field has one of these values, given as texts of `list_texts`."""
    if not literals:
        return never(remote)
    field = readable_field(remote, name)
    listed = json.dumps(list(literals), ensure_ascii=False, separators=(",", ":"))
    return f"{FUNCTION}In(PropertyName='{field.name}',PropertyValues={listed})"


def list_texts(field: RemoteField, value: Value) -> tuple[str, ...]:
    """The values of a ONE_OF or INCLUDES as texts, each once, in the form that query functions take."""
    return tuple(dict.fromkeys(_list_text(field, one) for one in several(value)))


def checked_id(value: str) -> str:
    """A remote id in lower case. Raises RequestError for anything that is none."""
    found = complete_id(value)
    if found is None:
        raise RequestError(f"“{value[:40]}” is not an id of Dynamics (a GUID).")
    return found


def order(query: RemoteQuery) -> str:
    """The asked order with the key behind it, so that equal rows have an order too; without one just the key."""
    criteria = []
    for one in query.order:
        field = readable_field(query.object, one.field)
        if not field.sortable:
            raise RequestError(
                f"Dynamics can't sort by {query.object.name}.{field.name} ({field.wire_type}).",
                hint="Order by another field, or sort the rows after the import.",
            )
        criteria.append(f"{property_of(field)} {'desc' if one.descending else 'asc'}")
    if all(one.field.lower() != query.object.key for one in query.order):
        criteria.append(f"{query.object.key} asc")
    return ",".join(criteria)


def encoded(text: str) -> str:
    """The value of a query option; a raw `+` would mean a space."""
    return quote(text, safe="(),'")


def _comparison(remote: RemoteObject, comparison: Comparison) -> str:
    field = readable_field(remote, comparison.field)
    operator, value = comparison.operator, comparison.value
    name = property_of(field)
    if not field.filterable:
        raise RequestError(
            f"Dynamics can't filter by {remote.name}.{field.name} ({field.wire_type}).",
            hint="Filter by another field, or filter the rows after the import.",
        )
    if operator in {Operator.EMPTY, Operator.NOT_EMPTY}:
        return f"{name} {'eq' if operator is Operator.EMPTY else 'ne'} null"
    if operator is Operator.ONE_OF:
        return one_of(remote, field.name, list_texts(field, value))
    if operator is Operator.INCLUDES:
        return _includes(remote, field, value)
    if operator in {Operator.STARTS_WITH, Operator.CONTAINS}:
        if not isinstance(value, str) or field.type not in _TEXTS:
            raise RequestError(f"“{operator}” compares texts; {field.name} ({field.wire_type}) or its value is none.")
        function = "contains" if operator is Operator.CONTAINS else "startswith"
        return f"{function}({name},{_text(_LIKE.sub(lambda found: f'[{found.group()}]', value))})"
    if value is None:
        raise RequestError(
            f"The filter on {field.name} has no value to compare with.", hint="Ask for “empty” or “not empty” instead."
        )
    if operator is Operator.EQUAL:
        return f"{name} eq {_literal(field, value)}"
    if operator is Operator.NOT_EQUAL:
        # Whether a null is different from a value by itself is not sure, so it is said.
        return f"({name} ne {_literal(field, value)} or {name} eq null)"
    return f"{name} {_SIGNS[operator]} {_literal(field, value, up=operator in _ROUNDED_UP)}"


def _includes(remote: RemoteObject, field: RemoteField, value: Value) -> str:
    texts = list_texts(field, value)
    if not texts:
        return never(remote)
    listed = json.dumps(texts, separators=(",", ":"))
    return f"{FUNCTION}ContainValues(PropertyName='{field.name}',PropertyValues={listed})"


def _literal(field: RemoteField, value: Value, *, up: bool = False) -> str:
    """The value as a literal of the field's type. `up` rounds an instant up to a whole second instead of down. Raises
    RequestError when it cannot be one."""
    if field.wire_type == "Uniqueidentifier" or field.type in _KEYS:
        return checked_id(value) if isinstance(value, str) else _refuse(field, value)
    if field.type in _TEXTS and isinstance(value, str):
        return _text(value)
    if field.type in _TEXTS and isinstance(value, int | float) and not isinstance(value, bool):
        return _text(_number(field, value))
    if field.type is FieldType.ENUMERATION:
        return _choice(field, value)
    if field.type in _NUMBERS and isinstance(value, int | float | Decimal | str) and not isinstance(value, bool):
        return _number(field, value)
    if field.type is FieldType.BOOLEAN and isinstance(value, bool):
        return "true" if value else "false"
    if field.type in {FieldType.DATETIME, FieldType.WALL_CLOCK} and isinstance(value, date):
        midnight = datetime(value.year, value.month, value.day, tzinfo=UTC)
        return _instant(value if isinstance(value, datetime) else midnight, up=up)
    if field.type is FieldType.DATE and isinstance(value, date):
        day = value.astimezone(UTC).date() if isinstance(value, datetime) and value.tzinfo else value
        return f"{day.year:04}-{day.month:02}-{day.day:02}"
    return _refuse(field, value)


def _refuse(field: RemoteField, value: Value) -> str:
    hint = "Make the filter's JavaScript give a value of the field's type, e.g. new Date('2012-07-31') for a date."
    if field.type is FieldType.SET:
        hint = "Ask whether it includes a value, or whether it is empty."
    raise RequestError(
        f"The field {field.name} ({field.wire_type}) can't be compared with a value of type {type(value).__name__}.",
        hint=hint,
    )


def _list_text(field: RemoteField, value: Value) -> str:
    if field.type is FieldType.SET:
        return _choice(field, value)
    if field.type in _TEXTS and field.wire_type != "Uniqueidentifier" and isinstance(value, str):
        return _encodable(value)
    return _literal(field, value).strip("'")


def _choice(field: RemoteField, value: Value) -> str:
    """The number of a choice; its label is not one."""
    text = str(value).strip()
    if isinstance(value, bool) or not isinstance(value, int | str) or not _DIGITS.fullmatch(text):
        named = next((one for one in field.values if one.label == text), None)
        raise RequestError(
            f"“{text[:40]}” is not a value of {field.name} ({field.wire_type}): they are numbers.",
            hint=f"“{named.label}” is {named.name}." if named else "Look them up: crosstie objects ACCOUNT OBJECT.",
        )
    return text


def _text(value: str) -> str:
    return "'" + _encodable(value).replace("'", "''") + "'"


def _encodable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RequestError("A filter value holds half a character (a lone surrogate); Dynamics refuses it.") from error
    return value


def _number(field: RemoteField, value: int | float | Decimal | str) -> str:
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation as error:
        raise RequestError(f"The filter value for {field.name} is not a number.") from error
    if not number.is_finite() or abs(number.adjusted()) > 300:
        raise RequestError(f"The filter value for {field.name} is not a number that Dynamics knows.")
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _instant(instant: datetime, *, up: bool) -> str:
    if instant.tzinfo is None:
        raise RequestError(f"The instant {instant} has no time zone.")
    utc = instant.astimezone(UTC)
    if up and utc.microsecond:
        utc += timedelta(seconds=1)
    return f"{utc.year:04}-{utc:%m-%dT%H:%M:%S}Z"

"""Values as SOQL literals, and back from the wire (SOQL and SOSL reference, Quoted String Escape Sequences)."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import chain

from crosstie.crm.connector import Value
from crosstie.errors import RequestError
from crosstie.model import FieldType, RemoteField

LITERAL_CHARACTERS = 4_000

_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
    | {chr(code): f"\\u{code:04x}" for code in chain(range(8), (0x0B,), range(0x0E, 0x20), (0x7F,))}
)
_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})
TEXTS = frozenset(
    {FieldType.ID, FieldType.REFERENCE, FieldType.TEXT, FieldType.ENUMERATION, FieldType.SET, FieldType.OTHER}
)


def text_literal(value: str, *, like: bool = False) -> str:
    """A quoted string. With `like`, `%` and `_` stand for themselves."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            "A filter value holds half a character (a lone surrogate); Salesforce refuses it."
        ) from error
    escaped = value.translate(_ESCAPES)
    if like:
        escaped = escaped.replace("%", "\\%").replace("_", "\\_")
    if len(escaped) > LITERAL_CHARACTERS:
        raise RequestError(
            f"A filter value has {len(escaped):,} characters; Salesforce allows {LITERAL_CHARACTERS:,}.",
            hint="Filter by a shorter value.",
        )
    return f"'{escaped}'"


def instant_literal(instant: datetime) -> str:
    """An aware instant in UTC, to the millisecond below."""
    if instant.tzinfo is None:
        raise RequestError(f"The instant {instant} has no time zone.")
    utc = instant.astimezone(UTC)
    fraction = f".{utc.microsecond // 1000:03}" if utc.microsecond >= 1000 else ""
    return f"{utc.year:04}-{utc:%m-%dT%H:%M:%S}{fraction}Z"


def literal(field: RemoteField, value: Value) -> str:
    """The value as a literal of the field's type. Raises RequestError when it cannot be one."""
    if field.type in TEXTS and isinstance(value, str):
        return text_literal(value)
    if field.type in TEXTS and isinstance(value, int | float) and not isinstance(value, bool):
        return text_literal(_number(field, value))
    if field.type in _NUMBERS and isinstance(value, int | float | Decimal | str) and not isinstance(value, bool):
        return _number(field, value)
    if field.type is FieldType.BOOLEAN and isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if field.type is FieldType.DATETIME and isinstance(value, date):
        midnight = datetime(value.year, value.month, value.day, tzinfo=UTC)
        return instant_literal(value if isinstance(value, datetime) else midnight)
    if field.type is FieldType.DATE and isinstance(value, date):
        day = value.astimezone(UTC).date() if isinstance(value, datetime) and value.tzinfo else value
        return f"{day.year:04}-{day.month:02}-{day.day:02}"
    if field.type is FieldType.TIME and isinstance(value, str) and re.fullmatch(r"\d\d:\d\d:\d\d(\.\d{1,3})?Z?", value):
        return value if value.endswith("Z") else f"{value}Z"
    raise RequestError(
        f"The field {field.name} ({field.wire_type}) can't be compared with a value of type {type(value).__name__}.",
        hint="Make the filter's JavaScript give a value of the field's type, e.g. new Date('2012-07-31') for a date.",
    )


def _number(field: RemoteField, value: int | float | Decimal | str) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise RequestError(f"The filter value for {field.name} is not a number ({value}).")
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation as error:
        raise RequestError(f"The filter value for {field.name} is not a number.") from error
    if not number.is_finite() or abs(number.adjusted()) > 300:
        raise RequestError(f"The filter value for {field.name} is not a number that Salesforce knows.")
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def wire_instant(text: str) -> datetime:
    """The instant of a datetime on the wire. Raises RequestError when it is none."""
    try:
        if text.isdecimal():  # epoch milliseconds (simple-salesforce#290)
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is not None:
            return parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RequestError(f"“{text[:40]}” is not a date and time.") from error
    raise RequestError(f"“{text[:40]}” is a date and time without zone.")

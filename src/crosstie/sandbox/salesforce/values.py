"""What a client may write into a field, and how it is stored.

Sources: "Field Types", SOAP API guide, and error texts recorded in public issue threads (restforce#619,
regican/Salesforce#2 for JSON_PARSER_ERROR).
"""

import base64
import binascii
import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from crosstie.sandbox.salesforce.catalog import Field
from crosstie.sandbox.salesforce.errors import ApiError, malformed_id
from crosstie.sandbox.salesforce.ids import to_18

TEXT_TYPES = frozenset(
    {"string", "textarea", "phone", "url", "email", "picklist", "combobox", "encryptedstring", "multipicklist"}
)
NUMBER_TYPES = frozenset({"double", "percent", "currency"})
_EMAIL = re.compile(r"[^@\s,;:\"<>()\[\]\\]+@[^@\s,;:\"<>()\[\]\\.]+(\.[^@\s,;:\"<>()\[\]\\.]+)+")
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(T.*)?")
_DATETIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,3}))?)?Z?")
_INT_LIMIT = 2**31


def stored_value(item: Field, value: Any) -> Any:
    """The value to store for a JSON value. Raises ApiError in Salesforce's words when the field can't take it."""
    if value is None or (value == "" and item.type != "boolean"):
        if item.type == "boolean":
            raise _wrong_token(item, value)
        return None
    if item.type in TEXT_TYPES:
        return _text(item, value)
    if item.type == "boolean":
        return _boolean(item, value)
    if item.type in NUMBER_TYPES or item.type == "int":
        return _number(item, value)
    if item.type == "base64":
        return _blob(item, value)
    if not isinstance(value, str):
        raise _wrong_token(item, value)
    if item.type in ("reference", "id"):
        complete = to_18(value)
        if complete is None:
            raise malformed_id(value, item.name, item.label)
        return complete
    readers = {"date": _date, "datetime": _datetime, "time": _time}
    reader = readers.get(item.type)
    return reader(item, value) if reader else value


_PLAIN_TEXT = TEXT_TYPES - {"multipicklist", "encryptedstring"}


def stored_texts(item: Field, texts: Sequence[str]) -> list[str] | None:
    """`stored_value` of many texts at once; None when the field or one of them must be looked at singly."""
    if item.type not in _PLAIN_TEXT or (item.type == "picklist" and item.restricted_picklist):
        return None
    stripped = list(map(str.strip, texts))
    if item.keeps_space and stripped != list(texts):
        return None
    if "" in stripped or (
        item.length and any(characters(item, text) > item.length for text in _longest(item, stripped))
    ):
        return None
    if item.type == "email" and not all(map(_EMAIL.fullmatch, stripped)):
        return None
    return [text.lower() for text in stripped] if item.lower_case else stripped


def characters(item: Field, text: str) -> int:
    """How long a text counts: characters, or the units of UTF-16 that they take."""
    return len(text.encode("utf-16-le")) // 2 if item.counts_units and not text.isascii() else len(text)


def _longest(item: Field, texts: Sequence[str]) -> Sequence[str]:
    """Those of the texts that may be too long."""
    # A character takes two units at most.
    if max(map(len, texts)) * 2 <= item.length:
        return ()
    return [text for text in texts if len(text) * 2 > item.length]


def _wrong_token(item: Field, value: Any) -> ApiError:
    """The JSON parser's own refusal; {column} is filled in by who knows the body."""
    tokens = {bool: "VALUE_TRUE" if value else "VALUE_FALSE", int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT",
              str: "VALUE_STRING", list: "START_ARRAY", dict: "START_OBJECT", type(None): "VALUE_NULL"}  # fmt: skip
    token = tokens[type(value)]
    shown = {list: "[", dict: "{", type(None): "null", bool: str(value).lower()}.get(type(value), value)
    return ApiError(
        400,
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of {item.type} from {token} value {shown}"
        " or request may be missing a required field at [line:1, column:1]",
    )


def _text(item: Field, value: Any) -> str | None:
    if not isinstance(value, str):
        raise _wrong_token(item, value)
    text = value.strip()
    if not text:
        return None
    if item.type == "multipicklist":
        return _value_set(item, text)
    if item.length and characters(item, text) > item.length:
        raise _row_error(item, "STRING_TOO_LONG", f"data value too large: {value} (max length={item.length})")
    if item.type == "email" and not _EMAIL.fullmatch(text):
        raise _row_error(item, "INVALID_EMAIL_ADDRESS", f"invalid email address: {value}")
    if item.type == "picklist" and item.restricted_picklist:
        _check_listed(item, text)
    if item.keeps_space and item.type != "email":
        text = value
    if item.lower_case:
        text = text.lower()
    # The user of the sandbox may not view encrypted data; what is stored is what can be read: the mask.
    return "*" * len(text) if item.type == "encryptedstring" else text


def _value_set(item: Field, text: str) -> str:
    """In list order, values the list doesn't have at the end, each once."""
    given = dict.fromkeys(part.strip() for part in text.split(";") if part.strip())
    if item.restricted_picklist:
        for part in given:
            _check_listed(item, part)
    order = {entry.value: position for position, entry in enumerate(item.picklist_values)}
    return ";".join(sorted(given, key=lambda part: order.get(part, len(order))))


def _check_listed(item: Field, text: str) -> None:
    if all(text != entry.value for entry in item.picklist_values if entry.active):
        raise _row_error(
            item, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f"bad value for restricted picklist field: {text}"
        )


def _boolean(item: Field, value: Any) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return int(value.lower() in ("true", "1"))
    raise _wrong_token(item, value)


def _number(item: Field, value: Any) -> float | int:
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError as error:
            raise _wrong_token(item, value) from error
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    else:
        raise _wrong_token(item, value)
    if item.type == "int":
        if number != int(number):
            raise _wrong_token(item, value)
        if abs(number) >= min(_INT_LIMIT, 10 ** (item.digits or 10)):
            raise _out_of_range(item, value)
        return int(number)
    digits = (item.precision or 18) - item.scale
    if not math.isfinite(number) or abs(number) >= 10**digits:
        raise _out_of_range(item, value)
    return float(number)


def _out_of_range(item: Field, value: Any) -> ApiError:
    return _row_error(item, "NUMBER_OUTSIDE_VALID_RANGE", f"value outside of valid range on numeric field: {value}")


def _date(item: Field, text: str) -> str:
    match = _DATE.fullmatch(text)
    if not match:
        raise _wrong_token(item, text)
    try:
        day = date(*(int(part) for part in match.groups()[:3]))
    except ValueError as error:
        raise _wrong_token(item, text) from error
    if not 1700 <= day.year <= 4000:
        shown = f"{day:%a %b %d} 00:00:00 GMT {day.year}"
        raise _row_error(item, "INVALID_TYPE_ON_FIELD_IN_RECORD", f"invalid date: {shown}")
    return day.isoformat()


def read_datetime(text: str) -> datetime | None:
    """An instant in any of the forms that the API takes; None when it is none of them or has no zone."""
    match = _DATETIME.fullmatch(text)
    if not match:
        return None
    day, clock, _, zone = match.groups()
    zone = "+00:00" if zone == "Z" else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        return datetime.fromisoformat(f"{day}T{clock}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _datetime(item: Field, text: str) -> str:
    instant = read_datetime(text)
    if instant is None:
        raise _wrong_token(item, text)
    if not 1700 <= instant.year <= 4000:
        raise _row_error(item, "INVALID_TYPE_ON_FIELD_IN_RECORD", f"value not of required type: {text}")
    return instant.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _time(item: Field, text: str) -> str:
    match = _TIME.fullmatch(text)
    if not match:
        raise _wrong_token(item, text)
    hour, minute, second, fraction = match.groups()
    return f"{hour}:{minute}:{second or '00'}.{(fraction or '').ljust(3, '0')}Z"


def _blob(item: Field, value: Any) -> bytes:
    if not isinstance(value, str):
        raise _wrong_token(item, value)
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise _row_error(item, "INVALID_BASE64_DATA", "Provided data is not valid Base64") from error


def _row_error(item: Field, code: str, message: str) -> ApiError:
    return ApiError(400, code, f"{item.label}: {message}", [item.name])

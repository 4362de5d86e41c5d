"""What the body of a write means for a table: its values as the database keeps them, or why it is refused.

Sources: Dataverse Web API guide, "Create a table row" and "Update and delete table rows"; codes of the fact sheet,
section 7.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from crosstie.sandbox.dynamics.errors import ApiError, undeclared, unread_payload
from crosstie.sandbox.dynamics.switches import Switches
from crosstie.sandbox.dynamics.table import CHOICES, Attribute, AttributeType, Table

GUID = re.compile(r"\{?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\}?")
EARLIEST = "1753-01-01"
MOST_CHOICES = 150
_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2})(:\d{2})?(?:\.\d+)?(Z|[+-]\d{2}:\d{2})?", re.IGNORECASE)
_BIND = "@odata.bind"
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_EDM = {
    AttributeType.INTEGER: "Edm.Int32",
    AttributeType.BIG_INT: "Edm.Int64",
    AttributeType.DECIMAL: "Edm.Decimal",
    AttributeType.MONEY: "Edm.Decimal",
    AttributeType.DOUBLE: "Edm.Double",
    AttributeType.BOOLEAN: "Edm.Boolean",
    AttributeType.UNIQUEIDENTIFIER: "Edm.Guid",
    AttributeType.IMAGE: "Edm.Binary",
}

Reference = tuple[str, str]
"""A table's logical name, and the id of a record of it."""


@dataclass(slots=True)
class Payload:
    """A body that was read. `columns` are ready to store; `nested` are objects and lists for navigation properties,
    which make records of their own; `key` is the primary key if it was given."""

    columns: dict[str, Any] = field(default_factory=dict)
    nested: dict[str, Any] = field(default_factory=dict)
    key: str | None = None


def decode(body: bytes) -> Any:
    """The JSON of a body, numbers with a fraction as Decimal. Raises ApiError when it is none."""
    try:
        return _DECODER.decode(body)
    except msgspec.MsgspecError as error:
        raise unread_payload(f"Microsoft.OData.ODataException: {error}") from error


def read_payload(
    table: Table,
    body: Any,
    switches: Switches,
    resolve: Callable[[Table, Attribute, str | None, str], Reference],
    *,
    new: bool,
) -> Payload:
    """Reads a body for a new record or for a change. `resolve` finds what an `@odata.bind` names.

    What can't be written is ignored, as the service does; what is no property is refused.
    """
    if not isinstance(body, dict):
        raise unread_payload("Microsoft.OData.ODataException: An entity was expected.")
    payload = Payload()
    for name, value in body.items():
        if name.endswith(_BIND):
            _bind(table, name.removesuffix(_BIND), value, payload, resolve)
        elif "@" not in name:
            _property(table, name, value, payload, switches, new=new)
    return payload


def _bind(
    table: Table,
    name: str,
    value: Any,
    payload: Payload,
    resolve: Callable[[Table, Attribute, str | None, str], Reference],
) -> None:
    found = table.navigated(name)
    if found is None:
        raise undeclared(name, annotated=True)
    attribute, target = found
    if value is None:
        payload.columns |= lookup_columns(attribute, None)
        return
    if not isinstance(value, str):
        raise unread_payload(
            "Microsoft.OData.ODataException: The value of the property "
            f"'{name}{_BIND}' must be a string with the address of a record."
        )
    payload.columns |= lookup_columns(attribute, resolve(table, attribute, target, value))


def lookup_columns(attribute: Attribute, reference: Reference | None) -> dict[str, Any]:
    """The columns of a lookup that refers to a record, or to none."""
    columns = {attribute.logical_name: reference[1] if reference else None}
    if attribute.type_column:
        columns[attribute.type_column] = reference[0] if reference else None
    return columns


def _property(table: Table, name: str, value: Any, payload: Payload, switches: Switches, *, new: bool) -> None:
    attribute = table.property(name)
    if attribute is None:
        if table.navigated(name) is not None or isinstance(value, list):
            payload.nested[name] = value
            return
        raise undeclared(name)
    if attribute.is_lookup:
        raise ApiError(
            400,
            "0x0",
            "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead.",
        )
    if not attribute.valid_odata:
        raise undeclared(name)
    if name == table.primary_id:
        payload.key = guid(value)
        return
    if not (attribute.valid_for_create if new else attribute.valid_for_update):
        return
    payload.columns[name] = stored_value(table, attribute, value, switches)


def stored_value(table: Table, attribute: Attribute, value: Any, switches: Switches) -> Any:
    """A value of a property as the database keeps it."""
    if value is None or (value == "" and switches.empty_text_null and attribute.max_length is not None):
        if attribute.required == "SystemRequired":
            raise ApiError(400, "0x80040203", f"Attribute: {attribute.logical_name} cannot be set to NULL")
        return None
    return _READERS[attribute.type](table, attribute, value, switches)


def _mismatch(attribute: Attribute, value: Any) -> ApiError:
    expected = _EDM.get(attribute.type, "Edm.String")
    if attribute.type in CHOICES:
        expected = "Edm.Int32"
    if attribute.type is AttributeType.DATE_TIME:
        expected = "Edm.Date" if attribute.behavior == "DateOnly" else "Edm.DateTimeOffset"
    return unread_payload(
        f"Microsoft.OData.ODataException: Cannot convert the literal '{value}' to the expected type '{expected}'."
        f" (property '{attribute.logical_name}')"
    )


def _text(table: Table, attribute: Attribute, value: Any, switches: Switches) -> str:
    if not isinstance(value, str):
        raise _mismatch(attribute, value)
    if attribute.max_length is not None and len(value) > attribute.max_length:
        raise ApiError(
            400,
            "0x80044331",
            f"A validation error occurred. The length of the '{attribute.logical_name}' attribute of the"
            f" '{table.logical_name}' entity exceeded the maximum allowed length of '{attribute.max_length}'.",
        )
    return value


def _whole(table: Table, attribute: Attribute, value: Any, switches: Switches) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _mismatch(attribute, value)
    limits = (-(2**63), 2**63 - 1) if attribute.type is AttributeType.BIG_INT else (-(2**31), 2**31 - 1)
    if not limits[0] <= value <= limits[1]:
        raise _mismatch(attribute, value)
    _check_range(table, attribute, Decimal(value))
    return value


def _check_range(table: Table, attribute: Attribute, value: Decimal) -> None:
    low, high = attribute.minimum, attribute.maximum
    if low is None or high is None or Decimal(str(low)) <= value <= Decimal(str(high)):
        return
    raise ApiError(
        400,
        "0x80044330",
        f"A validation error occurred. The value of '{attribute.logical_name}' on record of type"
        f" '{table.logical_name}' is outside the valid range. Accepted Values: {low:f} to {high:f}",
    )


def _exact(table: Table, attribute: Attribute, value: Any, switches: Switches) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise _mismatch(attribute, value)
    number = Decimal(value)
    _check_range(table, attribute, number)
    return f"{number.quantize(Decimal(1).scaleb(-(attribute.precision or 0)), rounding=ROUND_HALF_UP):f}"


def _double(table: Table, attribute: Attribute, value: Any, switches: Switches) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise _mismatch(attribute, value)
    _check_range(table, attribute, Decimal(value))
    return round(float(value), attribute.precision or 0)


def _boolean(table: Table, attribute: Attribute, value: Any, switches: Switches) -> int:
    if not isinstance(value, bool):
        raise _mismatch(attribute, value)
    return int(value)


def _choice(table: Table, attribute: Attribute, value: Any, switches: Switches) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _mismatch(attribute, value)
    _check_choice(table, attribute, value, switches)
    return value


def _check_choice(table: Table, attribute: Attribute, value: int, switches: Switches) -> None:
    allowed = [one.value for one in attribute.options]
    if value not in allowed:
        raise ApiError(
            400,
            switches.picklist_code,
            f"A validation error occurred. The value '{value}' of '{attribute.logical_name}' on record of type"
            f" '{table.logical_name}' is outside the valid range. Accepted Values: {','.join(map(str, allowed))}",
        )


def _choices(table: Table, attribute: Attribute, value: Any, switches: Switches) -> str | None:
    if not isinstance(value, str) or not re.fullmatch(r"\s*-?\d+\s*(,\s*-?\d+\s*)*|\s*", value):
        raise _mismatch(attribute, value)
    numbers = sorted({int(piece) for piece in value.split(",") if piece.strip()})
    for number in numbers:
        _check_choice(table, attribute, number, switches)
    if len(numbers) > MOST_CHOICES:
        raise ApiError(400, "0x80040203", f"At most {MOST_CHOICES} options can be selected.")
    return ",".join(map(str, numbers)) or None


def _instant(table: Table, attribute: Attribute, value: Any, switches: Switches) -> str:
    if not isinstance(value, str):
        raise _mismatch(attribute, value)
    try:
        text = _day(attribute, value, switches) if attribute.behavior == "DateOnly" else _moment(value)
    except ValueError as error:
        raise _mismatch(attribute, value) from error
    if text < EARLIEST:
        raise ApiError(
            400,
            "0x80040239",
            "DateTime is less than minimum value supported by CrmDateTime. "
            f"Actual value: {value}, Minimum value supported: {EARLIEST}",
        )
    return text


def _day(attribute: Attribute, value: str, switches: Switches) -> str:
    if len(value) > 10 and switches.date_only_time_refused:
        raise _mismatch(attribute, value)
    return date.fromisoformat(value[:10]).isoformat()


def _moment(value: str) -> str:
    """Whole seconds in UTC; without a zone it is UTC. A fraction is dropped. A bare date is its midnight."""
    match = _INSTANT.fullmatch(value)
    if match is None:
        return f"{date.fromisoformat(value).isoformat()}T00:00:00Z"
    minutes, seconds, zone = match.groups()
    moment = datetime.fromisoformat(minutes + (seconds or ":00") + ("+00:00" if zone in (None, "Z", "z") else zone))
    return moment.astimezone(UTC).isoformat()[:19] + "Z"


def guid(value: Any) -> str:
    """A GUID in lower case without braces. Raises ApiError for what is none."""
    found = GUID.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise unread_payload(
            f"Microsoft.OData.ODataException: Cannot convert the literal '{value}' to the expected type 'Edm.Guid'."
        )
    return found[1].lower()


def _identifier(table: Table, attribute: Attribute, value: Any, switches: Switches) -> str:
    return guid(value)


def _image(table: Table, attribute: Attribute, value: Any, switches: Switches) -> str:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise _mismatch(attribute, "…") from error
    text: str = value
    return text


_READERS: Mapping[AttributeType, Callable[[Table, Attribute, Any, Switches], Any]] = {
    AttributeType.STRING: _text,
    AttributeType.MEMO: _text,
    AttributeType.ENTITY_NAME: _text,
    AttributeType.INTEGER: _whole,
    AttributeType.BIG_INT: _whole,
    AttributeType.DECIMAL: _exact,
    AttributeType.MONEY: _exact,
    AttributeType.DOUBLE: _double,
    AttributeType.BOOLEAN: _boolean,
    AttributeType.DATE_TIME: _instant,
    AttributeType.PICKLIST: _choice,
    AttributeType.STATE: _choice,
    AttributeType.STATUS: _choice,
    AttributeType.MULTI_SELECT: _choices,
    AttributeType.UNIQUEIDENTIFIER: _identifier,
    AttributeType.IMAGE: _image,
}

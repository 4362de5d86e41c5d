"""Values of the wire and of the store, by version: v1.0 has text in the user's zone, v2.0 has XSD types.

Sources: Web Services On Demand Guide, "Date and time formats"; fact sheet, 2.3 and 2.7.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from crosstie.sandbox.oracle_on_demand.objects import Field, FieldType

V1_INSTANT = "%m/%d/%Y %H:%M:%S"
V1_DATE = "%m/%d/%Y"
BOUND = "SBL-DAT-00225"
TOO_LONG = "SBL-DAT-00235"
BAD_VALUE = "SBL-DAT-00510"
SEPARATOR = ";"
"""Between the values of a multi-select, in the store and on the wire."""
_ISO_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(Z|[+-]\d{2}:\d{2})?", re.ASCII)
_MAX_INTEGER = 2**31 - 1
_NUMBERS = (FieldType.NUMBER, FieldType.CURRENCY, FieldType.PERCENT)


class WrongValue(Exception):
    """A value that a field can't take; `code` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How values are written in a call: `version` "v1" or "v2", the user's zone, picklists by code (LIC) or by label
    (LDC), and whether v2.0's Z is true."""

    version: str
    zone: ZoneInfo
    labels: bool = False
    utc: bool = True

    def read(self, field: Field, text: str) -> str:
        """The canonical form of a value of the wire. Raises WrongValue."""
        reader = _READERS.get(field.type)
        if reader is not None:
            return reader(self, field, text)
        if field.type is FieldType.PICKLIST:
            return self._code(field, text)
        if field.type is FieldType.MULTI_PICKLIST:
            text = SEPARATOR.join(self._code(field, one.strip()) for one in text.split(SEPARATOR) if one.strip())
        if field.length and len(text) > field.length:
            message = f"The value entered in field '{field.label}' is too long (maximum size {field.length})."
            raise WrongValue(TOO_LONG, message)
        return text

    def write(self, field: Field, stored: str) -> str:
        """The form of the wire of a stored value."""
        match field.type:
            case FieldType.DATETIME:
                return self.write_instant(datetime.fromisoformat(stored))
            case FieldType.DATE if self.version == "v1":
                return date.fromisoformat(stored).strftime(V1_DATE)
            case FieldType.BOOLEAN if self.version == "v1":
                return "Y" if stored == "true" else "N"
            case FieldType.PICKLIST | FieldType.MULTI_PICKLIST if self.labels:
                shown = {one.code: one.label for one in field.picklist}
                return SEPARATOR.join(shown.get(one, one) for one in stored.split(SEPARATOR))
        return stored

    def write_instant(self, instant: datetime) -> str:
        """An instant on the wire."""
        local = instant.astimezone(self.zone)
        if self.version == "v1":
            return local.strftime(V1_INSTANT)
        return (instant.astimezone(UTC) if self.utc else local).strftime("%Y-%m-%dT%H:%M:%SZ")

    def read_instant(self, text: str) -> datetime:
        """The instant that the wire means, in UTC; an hour that comes twice is its first. Raises ValueError."""
        if self.version == "v1":
            form = V1_INSTANT if " " in text else V1_DATE
            return datetime.strptime(text, form).replace(tzinfo=self.zone).astimezone(UTC)
        given = datetime.fromisoformat(text)
        if given.tzinfo is None or (text.endswith("Z") and not self.utc):
            given = given.replace(tzinfo=self.zone)
        return given.astimezone(UTC)

    def _code(self, field: Field, text: str) -> str:
        """The code of a picklist's value. Disabled values can't be chosen."""
        for one in field.picklist:
            if not one.disabled and text == (one.label if self.labels else one.code):
                return one.code
        message = (
            f"The value entered in field {field.label} does not match any value in the bounded pick list"
            f" 'PickList {field.tag}'."
        )
        raise WrongValue(BOUND, message)


def stamp(instant: datetime) -> str:
    """An instant in the store's form, whole seconds."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _wrong(field: Field, text: str) -> WrongValue:
    return WrongValue(BAD_VALUE, f"The value '{text[:100]}' is not valid for field '{field.label}' ({field.type}).")


def _instant(wire: Wire, field: Field, text: str) -> str:
    try:
        return stamp(wire.read_instant(text.strip()))
    except (ValueError, OverflowError):
        raise _wrong(field, text) from None


def _date(wire: Wire, field: Field, text: str) -> str:
    try:
        if wire.version == "v1":
            return datetime.strptime(text.strip(), V1_DATE).replace(tzinfo=UTC).date().isoformat()
        match = _ISO_DATE.fullmatch(text.strip())
        if match:
            return date.fromisoformat(match[1]).isoformat()
    except ValueError:
        raise _wrong(field, text) from None
    raise _wrong(field, text)


def _boolean(wire: Wire, field: Field, text: str) -> str:
    known = {"Y": "true", "N": "false"} if wire.version == "v1" else _XSD_BOOLEANS
    if text.strip() not in known:
        raise _wrong(field, text)
    return known[text.strip()]


def _integer(wire: Wire, field: Field, text: str) -> str:
    digits = text.strip()
    if not re.fullmatch(r"[+-]?\d{1,12}", digits, re.ASCII) or abs(int(digits)) > _MAX_INTEGER:
        raise _wrong(field, text)
    return str(int(digits))


def _number(wire: Wire, field: Field, text: str) -> str:
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise _wrong(field, text) from None
    if not value.is_finite() or value.adjusted() > 15 or not re.fullmatch(r"[+-]?[\d.]+", text.strip(), re.ASCII):
        raise _wrong(field, text)
    plain = format(value or Decimal(0), "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


_XSD_BOOLEANS = {"true": "true", "1": "true", "false": "false", "0": "false"}
_READERS: dict[FieldType, Callable[[Wire, Field, str], str]] = {
    FieldType.DATETIME: _instant,
    FieldType.DATE: _date,
    FieldType.BOOLEAN: _boolean,
    FieldType.INTEGER: _integer,
    **dict.fromkeys(_NUMBERS, _number),
}

"""What may pass between Python and a script: text, number, boolean, date and null, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from crosstie.errors import ScriptError

# An integral number beyond this cannot be told from its neighbours in JavaScript (Number.MAX_SAFE_INTEGER).
MAX_SAFE_INTEGER = 2**53 - 1

# Instants are aware UTC. A variable (`vars`) holds the same without boolean and null.
Value = str | int | float | bool | datetime | None
Variable = str | int | float | datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode(value: object, name: str) -> list[object]:
    """The coded form of a value going into a script. A date is its midnight in UTC, as JavaScript reads `2012-07-31`.

    Raises ScriptError for anything but text, number, boolean, date, aware instant and None."""
    if value is None:
        return ["z"]
    if isinstance(value, bool):
        return ["b", value]
    if isinstance(value, str):
        return ["t", value]
    if isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            raise ScriptError(f"{name} is {value}, which JavaScript cannot hold exactly.", hint="Hand it over as text.")
        return ["n", str(value)]
    if isinstance(value, float | Decimal):
        number = float(value)
        if number - number != 0:
            raise ScriptError(f"{name} is {value}, which is not a number that can be used.")
        return ["n", repr(number)]
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ScriptError(f"{name} is a time without zone ({value}).", hint="Hand over an instant with its zone.")
        return ["d", (value - _EPOCH) // timedelta(milliseconds=1)]
    if isinstance(value, date):
        return encode(datetime(value.year, value.month, value.day, tzinfo=UTC), name)
    raise ScriptError(f"{name} is a {type(value).__name__}; only text, numbers, booleans and dates can enter a script.")


def decode(coded: list[Any], name: str) -> Value:
    """The value of a coded form that a script gave back. Raises ScriptError for text that no database can hold."""
    kind = coded[0]
    if kind == "z":
        return None
    payload = coded[1]
    if kind == "n":
        number = float(payload)
        return int(number) if number.is_integer() and abs(number) <= MAX_SAFE_INTEGER else number
    if kind == "d":
        try:
            return _EPOCH + timedelta(milliseconds=payload)
        except OverflowError as error:
            raise ScriptError(f"{name} is a date outside the years 1 to 9999.") from error
    if kind == "t":
        return clean_text(str(payload), name)
    return bool(payload)


def clean_text(text: str, name: str) -> str:
    """The text itself. Raises ScriptError where it has a NUL or half of a surrogate pair."""
    if "\x00" in text:
        raise ScriptError(f"{name} contains a NUL character, which no database column can hold.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ScriptError(f"{name} contains half of a surrogate pair, which is not a character.")
    return text


def encode_all(values: Mapping[str, object], prefix: str) -> dict[str, list[object]]:
    """The coded forms of several values; `prefix` (like `vars.`) names them in messages."""
    return {name: encode(value, prefix + name) for name, value in values.items()}


def decode_variables(coded: Mapping[str, list[Any]], prefix: str) -> dict[str, Variable]:
    """Variables as a script left them; the harness has already refused everything but text, numbers and dates."""
    decoded: dict[str, Variable] = {}
    for name, one in coded.items():
        value = decode(one, prefix + name)
        if value is not None:
            decoded[name] = value
    return decoded


def number_text(value: int | float) -> str:
    """A number as JavaScript writes it in most cases: no exponent between 1e-7 and 1e21."""
    if isinstance(value, int):
        return str(value)
    if value == 0 or 1e-7 <= abs(value) < 1e21:
        text = format(Decimal(repr(value)), "f")
        return text.removesuffix(".0")
    return repr(value).replace("e-0", "e-")

"""The functions that make expressions mean the same on SQLite as on PostgreSQL, registered on each connection.

All begin with `ct_`: a built-in that were overridden would break people's own indexes and queries. They take and give
SQLite storage values (see `ColumnType`): decimals and floats are REAL or INTEGER, dates and instants fixed-width text,
booleans 0 or 1. A null argument gives null unless said otherwise. `docs/expressions.md` is what people read.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from hashlib import sha256
from typing import Any, cast
from zoneinfo import ZoneInfo

from crosstie.db.text_forms import FORMS

Storage = str | int | float | None

# SQLite keeps a decimal as REAL, which brings 15 significant digits back unchanged, and no more.
DECIMAL_DIGITS = 15
DIVISION_SCALE = 6
_EXACT = Context(prec=80)
_INTEGER_LIMIT = 2**63
_INSTANT = "%Y-%m-%dT%H:%M:%S.%f"
_last = threading.local()


class RefusedValueError(ValueError):
    """A value that a function refuses; the message names it."""


def take_function_error() -> str:
    """Why the last function on this thread failed, once; '' if none did.

    The sqlite3 module answers only "user-defined function raised exception"; whoever sees that asks here."""
    message = getattr(_last, "message", "")
    _last.message = ""
    return message


def register_sqlite_functions(connection: sqlite3.Connection) -> None:
    """Registers everything that expressions use, on a connection of any thread. All are deterministic."""
    for name, (arity, function) in _FUNCTIONS.items():
        connection.create_function(name, arity, _naming(function), deterministic=True)
    # The module's stubs know only aggregates of integers.
    connection.create_aggregate("ct_sum_decimals", 1, cast(Any, _DecimalSum))


def _naming(function: Callable[..., Storage | bytes]) -> Callable[..., Storage | bytes]:
    def named(*given: Storage) -> Storage | bytes:
        try:
            return function(*given)
        except (ValueError, ArithmeticError) as error:
            _last.message = str(error) or type(error).__name__
            raise

    return named


class _DecimalSum:
    """An exact sum of decimals; null when there is no value."""

    def __init__(self) -> None:
        self._sum: Decimal | None = None

    def step(self, value: Storage, /) -> None:
        if value is not None:
            self._sum = _EXACT.add(self._sum or Decimal(0), to_decimal(value))

    def finalize(self) -> str | int | float | None:
        if self._sum is None:
            return None
        try:
            return from_decimal(self._sum)
        except RefusedValueError as error:
            _last.message = str(error)
            raise


def _strict(function: Callable[..., Storage]) -> Callable[..., Storage]:
    """Null as soon as one argument is null."""

    def strict(*given: Storage) -> Storage:
        return None if None in given else function(*given)

    return strict


# Text


class _SimpleCase(dict[int, int]):
    """One character to one character, as PostgreSQL's case mapping in a UTF-8 locale; filled as characters are met."""

    def __init__(self, upper: bool) -> None:
        super().__init__()
        self._upper = upper

    def __missing__(self, code: int) -> int:
        character = chr(code)
        mapped = character.upper() if self._upper else character.lower()
        if len(mapped) > 1:
            # İ is the only one whose full lower case is longer; its simple one is i. For upper case the title case
            # is the simple one where it is a single character (ᾳ to ᾼ), else the character stays (ß).
            title = character.title()
            mapped = "i" if code == 0x130 else title if self._upper and len(title) == 1 else character
        self[code] = ord(mapped)
        return self[code]


_LOWER, _UPPER = _SimpleCase(False), _SimpleCase(True)


def simple_lower(text: str) -> str:
    """Lower case, character by character: ẞ to ß, İ to i, and Σ always to σ."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def simple_upper(text: str) -> str:
    """Upper case, character by character: ß stays as it is."""
    return text.upper() if text.isascii() else text.translate(_UPPER)


def _substr(text: str, start: int, length: int | None = None) -> str:
    """As PostgreSQL: counts from 1; a start before the text uses up length; a negative length is refused."""
    if length is None:
        return text[max(start - 1, 0) :]
    if length < 0:
        raise RefusedValueError(f"substr was asked for {length} characters")
    return text[max(start - 1, 0) : max(start - 1 + length, 0)]


def _right(text: str, count: int) -> str:
    return text[-count:] if count else ""


def _greatest(*given: Storage) -> Storage:
    return max((one for one in given if one is not None), default=None)


def _least(*given: Storage) -> Storage:
    return min((one for one in given if one is not None), default=None)


@lru_cache(maxsize=256)
def like_pattern(pattern: str) -> re.Pattern[str]:
    """A LIKE pattern as a regular expression: % any text, _ one character, backslash takes the next one literally."""
    parts: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            escaped = next(characters, None)
            if escaped is None:
                raise RefusedValueError(f"the LIKE pattern “{pattern}” ends with a backslash")
            parts.append(re.escape(escaped))
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return re.compile("".join(parts), re.DOTALL)


def _like(text: str, pattern: str) -> int:
    return int(like_pattern(pattern).fullmatch(text) is not None)


# Numbers


def to_decimal(value: Storage) -> Decimal:
    """The exact decimal behind a stored number; a REAL stands for its 15 significant digits."""
    return Decimal(format(value, ".15g")) if isinstance(value, float) else Decimal(value or 0)


def from_decimal(value: Decimal) -> Storage:
    """The stored form of a decimal. Raises RefusedValueError where more than 15 significant digits would be rounded."""
    if value == value.to_integral_value() and abs(value) < _INTEGER_LIMIT:
        return int(value)
    if len(value.normalize(_EXACT).as_tuple().digits) > DECIMAL_DIGITS:
        raise RefusedValueError(
            f"{value:f} has more than {DECIMAL_DIGITS} significant digits, the most SQLite can keep"
        )
    return float(value)


def _quantize(value: Decimal, scale: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-scale), rounding=rounding, context=_EXACT)


def _integer(value: int) -> int:
    if not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
        raise RefusedValueError(f"{value} is too big for an integer")
    return value


def _divide_integers(one: int, other: int) -> int | None:
    if other == 0:
        return None
    quotient = abs(one) // abs(other)
    return _integer(quotient if (one < 0) == (other < 0) else -quotient)


def _divide_decimals(one: Storage, other: Storage) -> Storage:
    divisor = to_decimal(other)
    if divisor == 0:
        return None
    return from_decimal(_round_quotient(to_decimal(one), divisor))


def _round_quotient(one: Decimal, divisor: Decimal) -> Decimal:
    """Exactly rounded, half away from zero, to DIVISION_SCALE decimals, whatever the number of digits."""
    shifted = one.scaleb(DIVISION_SCALE, context=_EXACT)
    quotient, rest = _EXACT.divmod(abs(shifted), abs(divisor))
    if rest * 2 >= abs(divisor):
        quotient += 1
    signed = quotient if (one < 0) == (divisor < 0) else -quotient
    return signed.scaleb(-DIVISION_SCALE, context=_EXACT)


def _finite(value: float) -> float:
    if value - value != 0:
        raise RefusedValueError("a floating-point result is out of range")
    return value


def _round_to(value: Storage, scale: int) -> Storage:
    return from_decimal(_quantize(to_decimal(value), scale))


def _decimal_text(value: Storage) -> str:
    exact = to_decimal(value).normalize(_EXACT)
    return format(exact if exact else Decimal(0), "f")


def _digest(*given: Storage | bytes) -> bytes:
    """The SHA-256 of all values, as `db.merge.digests` has PostgreSQL compute it; a null is a value too."""
    return sha256("".join(map(_counted, given)).encode()).digest()


def _counted(value: Storage | bytes) -> str:
    if value is None:
        return "n"
    if isinstance(value, float):
        exact = Decimal(repr(value))
        value = format(exact.normalize(_EXACT) if exact else Decimal(0), "f")
    text = value.hex() if isinstance(value, bytes) else str(value)
    return f"{len(text)}:{text}"


def _fit(value: Storage, precision: int, scale: int) -> Storage:
    """Rounds to `scale` decimals; refuses what then has more than `precision` digits."""
    rounded = _quantize(to_decimal(value), scale)
    if abs(rounded) >= Decimal(10) ** (precision - scale):
        raise RefusedValueError(f"{rounded:f} does not fit into decimal({precision}, {scale})")
    return from_decimal(rounded)


def _decimal_to_integer(value: Storage) -> int:
    return _integer(int(_quantize(to_decimal(value), 0)))


# Reading text as another type

_FORMS = {name: re.compile(form[:-1] + r"\Z") for name, form in FORMS.items()}


def parse_text(text: str, name: str) -> Storage:
    """The stored value of a text read as the type `name` of FORMS. Raises RefusedValueError naming the text."""
    if not _FORMS[name].match(text):
        raise RefusedValueError(f"“{text}” cannot be read as {name}")
    if name == "integer":
        return _integer(int(text))
    if name == "decimal":
        return from_decimal(Decimal(text))
    if name == "float":
        return _finite(float(text))
    if name == "boolean":
        return int(text in ("true", "1"))
    if name == "date":
        return text
    if name == "time":
        return datetime.fromisoformat(f"2000-01-01T{text}").strftime("%H:%M:%S.%f")
    moment = datetime.fromisoformat(text)
    try:
        return instant_storage(moment) if name == "instant" else wall_storage(moment)
    except OverflowError as error:
        raise RefusedValueError(f"“{text}” is outside the years 1 to 9999") from error


def _try_text(text: str, name: str) -> Storage:
    try:
        return parse_text(text, name)
    except ValueError:
        return None


def _reader(name: str, read: Callable[[str, str], Storage]) -> Callable[..., Storage]:
    return _strict(lambda text: read(text, name))


# Dates


def wall_storage(moment: datetime) -> str:
    """A wall-clock time as stored: YYYY-MM-DDTHH:MM:SS.ffffff."""
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S.%f}"


def instant_storage(moment: datetime) -> str:
    """An aware instant as stored: YYYY-MM-DDTHH:MM:SS.ffffffZ."""
    return wall_storage(moment.astimezone(UTC)) + "Z"


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which clocks in `zone` show `wall`; in a gap, `wall` read with the offset before it."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _read_wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _read_instant(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)


def _local(instant: str, zone: str) -> str:
    return wall_storage(_read_instant(instant).astimezone(ZoneInfo(zone)))


def _instant(wall: str, zone: str) -> str:
    return instant_storage(first_instant(_read_wall(wall), ZoneInfo(zone)))


def _add_days(text: str, days: int) -> str:
    """Adds days to a date, wall-clock time or instant (24 hours each) in its stored form."""
    if len(text) == 10:
        return (date.fromisoformat(text) + timedelta(days=days)).isoformat()
    moved = wall_storage(_read_wall(text.removesuffix("Z")) + timedelta(days=days))
    return moved + text[len(moved) :]


def _days_between(later: str, earlier: str) -> int:
    return (date.fromisoformat(later) - date.fromisoformat(earlier)).days


_FUNCTIONS: dict[str, tuple[int, Callable[..., Storage | bytes]]] = {
    "ct_lower": (1, _strict(simple_lower)),
    "ct_upper": (1, _strict(simple_upper)),
    "ct_left": (2, _strict(lambda text, count: text[:count])),
    "ct_right": (2, _strict(_right)),
    "ct_length": (1, _strict(len)),
    "ct_substr": (-1, _strict(_substr)),
    "ct_concat": (-1, lambda *given: "".join(one for one in given if one is not None)),
    "ct_like": (2, _strict(_like)),
    "ct_greatest": (-1, _greatest),
    "ct_least": (-1, _least),
    "ct_add_integers": (2, _strict(lambda one, other: _integer(one + other))),
    "ct_subtract_integers": (2, _strict(lambda one, other: _integer(one - other))),
    "ct_multiply_integers": (2, _strict(lambda one, other: _integer(one * other))),
    "ct_divide_integers": (2, _strict(_divide_integers)),
    "ct_negate_integer": (1, _strict(lambda one: _integer(-one))),
    "ct_add_decimals": (2, _strict(lambda one, other: from_decimal(_EXACT.add(to_decimal(one), to_decimal(other))))),
    "ct_subtract_decimals": (
        2,
        _strict(lambda one, other: from_decimal(_EXACT.subtract(to_decimal(one), to_decimal(other)))),
    ),
    "ct_multiply_decimals": (
        2,
        _strict(lambda one, other: from_decimal(_EXACT.multiply(to_decimal(one), to_decimal(other)))),
    ),
    "ct_divide_decimals": (2, _strict(_divide_decimals)),
    "ct_add_floats": (2, _strict(lambda one, other: _finite(one + other))),
    "ct_subtract_floats": (2, _strict(lambda one, other: _finite(one - other))),
    "ct_multiply_floats": (2, _strict(lambda one, other: _finite(one * other))),
    "ct_divide_floats": (2, _strict(lambda one, other: _finite(one / other) if other else None)),
    "ct_round": (2, _strict(_round_to)),
    "ct_floor": (1, _strict(lambda one: from_decimal(_quantize(to_decimal(one), 0, ROUND_FLOOR)))),
    "ct_ceil": (1, _strict(lambda one: from_decimal(_quantize(to_decimal(one), 0, ROUND_CEILING)))),
    "ct_decimal_text": (1, _strict(_decimal_text)),
    "ct_digest": (-1, _digest),
    "ct_fit": (3, _strict(_fit)),
    "ct_decimal_to_integer": (1, _strict(_decimal_to_integer)),
    "ct_float_to_decimal": (1, _strict(lambda one: from_decimal(to_decimal(one)))),
    **{f"ct_to_{name}": (1, _reader(name, parse_text)) for name in FORMS},
    **{f"ct_try_{name}": (1, _reader(name, _try_text)) for name in FORMS},
    "ct_local": (2, _strict(_local)),
    "ct_instant": (2, _strict(_instant)),
    "ct_add_days": (2, _strict(_add_days)),
    "ct_days_between": (2, _strict(_days_between)),
}

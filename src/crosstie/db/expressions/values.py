"""Values on their way into a statement: literals read, variables fitted to their place, storage forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from crosstie.db.database import Dialect
from crosstie.db.expressions.nodes import Literal
from crosstie.db.sqlite_functions import (
    DECIMAL_DIGITS,
    from_decimal,
    instant_storage,
    parse_text,
    wall_storage,
)
from crosstie.errors import ConfigError
from crosstie.model import ColumnType


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What expressions need when their statement runs: the task's clock, the zone in force, and the variables."""

    now: datetime
    zone: ZoneInfo
    vars: Mapping[str, object] = field(default_factory=dict)
    instance_vars: Mapping[str, object] = field(default_factory=dict)

    def variable(self, path: str, name: str) -> object:
        """The value of a variable. Raises ConfigError when it is not set."""
        values = self.vars if path == "vars" else self.instance_vars
        if name not in values:
            shown = ", ".join(sorted(values)) or "none"
            raise ConfigError(f"The variable $({path}/@{name}) is not set.", hint=f"Set are: {shown}.")
        return values[name]


def canonical_set(text: str) -> str:
    """The values sorted, each once, joined by ';'."""
    return ";".join(sorted({value for value in text.split(";") if value}))


def read_literal(text: str, type: ColumnType) -> Literal | None:
    """The value of a text in its strict form, or None when it does not read as that type."""
    if type in (ColumnType.TEXT, ColumnType.BINARY):
        return text
    if type is ColumnType.SET:
        return canonical_set(text)
    try:
        stored = parse_text(text, type.value)
    except ValueError:
        return None
    if type is ColumnType.DECIMAL:
        return Decimal(text)
    if type is ColumnType.BOOLEAN:
        return bool(stored)
    if isinstance(stored, str):
        return _moment(stored, type)
    assert stored is not None, "a text always reads as a value"
    return stored


def _moment(stored: str, type: ColumnType) -> Literal:
    if type is ColumnType.DATE:
        return date.fromisoformat(stored)
    if type is ColumnType.TIME:
        return time.fromisoformat(stored)
    return datetime.fromisoformat(stored)


def fit_variable(value: object, type: ColumnType, name: str, zone: ZoneInfo) -> Literal | None:
    """A variable's value as the type its place in the expression needs. Raises ConfigError naming the variable."""
    fitted = _fitted(value, type, zone)
    if fitted is None and value is not None:
        raise ConfigError(f"The variable {name} is {value!r}, which cannot be used as {type.value}.")
    return fitted


def _fitted(value: object, type: ColumnType, zone: ZoneInfo) -> Literal | None:
    if isinstance(value, bool):
        return value if type is ColumnType.BOOLEAN else None
    if isinstance(value, str):
        return read_literal(value, type)
    if isinstance(value, int | float | Decimal):
        return _fitted_number(value, type)
    if isinstance(value, datetime):
        if type is ColumnType.INSTANT:
            return value.astimezone(UTC)
        local = value.astimezone(zone)
        if type is ColumnType.TEXT:
            return f"{local.year:04d}/{local:%m/%d %H:%M:%S}"
        if type is ColumnType.WALL_CLOCK:
            return local.replace(tzinfo=None)
        return local.date() if type is ColumnType.DATE else None
    if isinstance(value, date):
        return value if type is ColumnType.DATE else read_literal(value.isoformat(), type)
    return None


def _fitted_number(value: int | float | Decimal, type: ColumnType) -> Literal | None:
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if type is ColumnType.DECIMAL:
        return exact
    if type is ColumnType.FLOAT:
        return float(value)
    if type is ColumnType.INTEGER:
        return int(value) if exact == exact.to_integral_value() else None
    return format(exact, "f") if type is ColumnType.TEXT else None


def storage(value: Literal | None, dialect: Dialect, what: str) -> object:
    """The value as the driver of `dialect` takes it. Raises ConfigError where it cannot be held exactly."""
    if value is None:
        return None
    if isinstance(value, str) and "\x00" in value:
        raise ConfigError(f"{what} contains a NUL character, which no text in a database can hold.")
    if dialect == "postgresql":
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        try:
            return from_decimal(value)
        except (ValueError, InvalidOperation) as error:
            raise ConfigError(f"{what} is {value}: more than {DECIMAL_DIGITS} significant digits.") from error
    if isinstance(value, datetime):
        return instant_storage(value) if value.tzinfo else wall_storage(value)
    if isinstance(value, date):
        return value.isoformat()
    return value.strftime("%H:%M:%S.%f") if isinstance(value, time) else value

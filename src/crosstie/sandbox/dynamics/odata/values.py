"""Values of a query as the database stores them, and whether they may be compared with a column at all."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from crosstie.sandbox.dynamics.odata.errors import QueryError, incompatible
from crosstie.sandbox.dynamics.odata.syntax import Literal
from crosstie.sandbox.dynamics.table import Attribute, AttributeType

Stored = str | int | float
"""A value of a column: text, or a number (0 and 1 for booleans)."""

KINDS = {
    "eq": "Equal",
    "ne": "NotEqual",
    "gt": "GreaterThan",
    "ge": "GreaterThanOrEqual",
    "lt": "LessThan",
    "le": "LessThanOrEqual",
}
"""The operators' long names, which messages use."""
WHOLE = frozenset(
    {
        AttributeType.INTEGER,
        AttributeType.BIG_INT,
        AttributeType.PICKLIST,
        AttributeType.STATE,
        AttributeType.STATUS,
    }
)
EXACT = frozenset({AttributeType.DECIMAL, AttributeType.MONEY})
TEXTS = frozenset({AttributeType.STRING, AttributeType.MEMO, AttributeType.ENTITY_NAME, AttributeType.MULTI_SELECT})
NUMBERS = WHOLE | EXACT | {AttributeType.DOUBLE}
_EDM = {
    AttributeType.INTEGER: "Edm.Int32",
    AttributeType.BIG_INT: "Edm.Int64",
    AttributeType.PICKLIST: "Edm.Int32",
    AttributeType.STATE: "Edm.Int32",
    AttributeType.STATUS: "Edm.Int32",
    AttributeType.DECIMAL: "Edm.Decimal",
    AttributeType.MONEY: "Edm.Decimal",
    AttributeType.DOUBLE: "Edm.Double",
    AttributeType.BOOLEAN: "Edm.Boolean",
    AttributeType.IMAGE: "Edm.Binary",
}
_LITERAL_EDM = {
    "boolean": "Edm.Boolean",
    "string": "Edm.String",
    "guid": "Edm.Guid",
    "datetime": "Edm.DateTimeOffset",
    "date": "Edm.Date",
}
_GUID = re.compile(r"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?")
_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2})(:\d{2})?(\.\d+)?(Z|[+-]\d{2}:\d{2})?", re.IGNORECASE)


def edm_type(attribute: Attribute) -> str:
    """The primitive type of a column's property."""
    if attribute.type in _EDM:
        return _EDM[attribute.type]
    if attribute.type is AttributeType.DATE_TIME:
        return "Edm.Date" if attribute.behavior == "DateOnly" else "Edm.DateTimeOffset"
    return "Edm.String" if attribute.type in TEXTS else "Edm.Guid"


def literal_type(literal: Literal) -> str:
    """The primitive type of a literal."""
    if literal.kind != "number":
        return _LITERAL_EDM[literal.kind]
    text = literal.text.lower()
    if re.fullmatch(r"-?\d+", text):
        return "Edm.Int32" if -(2**31) <= int(text) < 2**31 else "Edm.Int64"
    return "Edm.Double" if "e" in text or text.endswith(("d", "f")) else "Edm.Decimal"


def stored(attribute: Attribute, literal: Literal, operator: str) -> Stored:
    """The value of a literal (not null) in the column's stored form. Raises QueryError for one of another type."""
    wanted, given = edm_type(attribute), literal_type(literal)
    if attribute.type in NUMBERS and literal.kind == "number":
        return from_text(attribute, literal.text.rstrip("mMfFdDlL"))
    if wanted == "Edm.DateTimeOffset" and given in ("Edm.DateTimeOffset", "Edm.Date"):
        return from_text(attribute, literal.text)
    if wanted == given or (attribute.is_lookup and given == "Edm.String" and _GUID.fullmatch(literal.text.lower())):
        return from_text(attribute, literal.text)
    raise incompatible(wanted, given, KINDS[operator])


def from_text(attribute: Attribute, text: str) -> Stored:
    """A value that arrives as text, whatever the column's type, as query functions and FetchXML bring it.

    Raises QueryError when it can't be of the type.
    """
    try:
        return _converted(attribute, text)
    except (ValueError, InvalidOperation) as error:
        raise QueryError(
            f"The value '{text}' is not valid for the attribute '{attribute.logical_name}' of type "
            f"'{edm_type(attribute)}'."
        ) from error


def _converted(attribute: Attribute, text: str) -> Stored:
    kind = attribute.type
    if kind in EXACT or kind in WHOLE:
        number = Decimal(text.strip())
        return int(number) if number == number.to_integral_value() and kind in WHOLE else str(number)
    if kind is AttributeType.DOUBLE:
        return float(text)
    if kind is AttributeType.BOOLEAN:
        return {"true": 1, "1": 1, "false": 0, "0": 0}[text.strip().lower()] if _is_boolean(text) else _refuse(text)
    if kind is AttributeType.DATE_TIME:
        day_only = attribute.behavior == "DateOnly"
        return date.fromisoformat(text[:10]).isoformat() if day_only else instant_text(text)
    if kind in TEXTS or kind is AttributeType.IMAGE:
        return text
    match = _GUID.fullmatch(text.strip().lower())
    return match[1] if match else _refuse(text)


def _is_boolean(text: str) -> bool:
    return text.strip().lower() in ("true", "false", "0", "1")


def _refuse(text: str) -> str:
    raise ValueError(text)


def instant_text(text: str) -> str:
    """An instant as the database has it, `2024-01-15T13:45:07Z`; a fraction of a second stays, so that comparisons
    can see it. Without a zone it is UTC; a bare date is its midnight."""
    match = _INSTANT.fullmatch(text.strip())
    if match is None:
        return f"{date.fromisoformat(text.strip()).isoformat()}T00:00:00Z"
    minutes, seconds, fraction, zone = match.groups()
    moment = datetime.fromisoformat(minutes + (seconds or ":00") + ("+00:00" if zone in (None, "Z", "z") else zone))
    whole = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    kept = fraction if fraction and fraction.strip(".0") else ""
    return f"{whole}{kept}Z"

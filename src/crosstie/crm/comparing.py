"""Whether two wire texts are the same value of a field, as a CRM keeps it.

A CRM gives values back in a form of its own: text trimmed, multi-select values in the order of their list, instants in
UTC to the second, numbers with other digits. So both sides are compared in one form.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from crosstie.crm.outgoing import NUMBERS
from crosstie.model import FieldType, RemoteField

CompleteId = Callable[[str], str | None]


def same_value(field: RemoteField, mine: str | None, theirs: str | None, complete_id: CompleteId) -> bool:
    """Whether the record holds what was sent; a field that was left alone always does."""
    if mine is None:
        return True
    if canonical(field, mine, complete_id) == canonical(field, theirs or "", complete_id):
        return True
    return field.type in NUMBERS and _same_number(_number(mine.strip()), _number(theirs or ""), field.scale)


def canonical_key(key: RemoteField, text: str, complete_id: CompleteId) -> object:
    """A key as a CRM finds it: without regard to case, unless the field says otherwise."""
    form = canonical(key, text, complete_id)
    return form.casefold() if isinstance(form, str) and not key.case_sensitive else form


def canonical(field: RemoteField, text: str, complete_id: CompleteId) -> object:
    """A text in the one form in which both sides are compared."""
    text = text.strip()
    if not text:
        return ""
    kind = field.type
    if kind in NUMBERS:
        return _number(text)
    if kind is FieldType.SET:
        return frozenset(one.strip() for one in text.split(";") if one.strip())
    if kind in {FieldType.ID, FieldType.REFERENCE}:
        return complete_id(text) or text
    if kind is FieldType.BOOLEAN:
        return text.lower() in {"true", "1"}
    if kind in {FieldType.DATETIME, FieldType.WALL_CLOCK}:
        instant = instant_of(text)
        return instant.replace(microsecond=0) if instant else text
    if kind is FieldType.TIME:
        clock, _, fraction = text.removesuffix("Z").partition(".")
        return f"{clock if clock.count(':') > 1 else f'{clock}:00'}.{fraction.ljust(3, '0')}"
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.lower() if field.wire_type == "email" else text


def instant_of(text: str | None) -> datetime | None:
    """The instant of a date and time on the wire, or of milliseconds since 1970; None for what is none."""
    try:
        if text and text.isdecimal():
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
        parsed = datetime.fromisoformat(text or "")
        return parsed.astimezone(UTC) if parsed.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _same_number(mine: Decimal | str, theirs: Decimal | str, scale: int) -> bool:
    """Whether a field of that scale, which is a double, may have made one of the other."""
    if isinstance(mine, str) or isinstance(theirs, str):
        return False
    return float(mine) == float(theirs) or abs(mine - theirs) <= Decimal(5).scaleb(-scale - 1)

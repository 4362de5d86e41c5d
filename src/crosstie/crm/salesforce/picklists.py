"""The values of picklists, with what those of dependent ones depend on (SOAP API guide, DescribeSObjectResult,
PicklistEntry: `validFor` is a set of bits, one for each value of the controlling field)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from crosstie.model import EnumerationValue

_CHECKBOX = ("false", "true")


class Entry(msgspec.Struct, rename="camel"):
    """A picklist entry as a description has it."""

    value: str | None = None
    label: str | None = None
    active: bool = True
    default_value: bool = False
    valid_for: str | None = None


def picklist_values(entries: Sequence[Entry], controlling: Sequence[Entry] | None) -> tuple[EnumerationValue, ...]:
    """The values in the org's order. `controlling` are the entries of the controlling field: None where there is no
    such field or this user can't see it, nothing where it is a checkbox."""
    names = None if controlling is None else tuple(one.value or "" for one in controlling) or _CHECKBOX
    return tuple(
        EnumerationValue(
            name=one.value,
            label=one.label or one.value,
            active=one.active,
            default=one.default_value,
            valid_for=_chosen(one.valid_for, names) if names is not None and one.valid_for else (),
        )
        for one in entries
        if one.value
    )


def _chosen(bits: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names whose bit is set, the highest bit of the first byte being the first name's."""
    try:
        packed = base64.b64decode(bits, validate=True)
    except binascii.Error:
        return ()
    return tuple(name for place, name in enumerate(names) if _is_set(packed, place))


def _is_set(packed: bytes, place: int) -> bool:
    return place // 8 < len(packed) and bool(packed[place // 8] & (0x80 >> place % 8))

"""Short ways to write fields down."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from crosstie.sandbox.oracle_on_demand.definitions import Field, FieldType, Value


def field(tag: str, label: str, kind: FieldType, **more: Any) -> Field:
    """A field whose tag is the same in v1.0 unless `v1_tag` says otherwise."""
    return Field(**{"tag": tag, "v1_tag": tag, "label": label, "type": kind, **more})


def text(tag: str, label: str, length: int = 50, **more: Any) -> Field:
    """A line of text."""
    return field(tag, label, FieldType.TEXT, length=length, **more)


def memo(tag: str, label: str, length: int = 16_350, **more: Any) -> Field:
    """Text of several lines."""
    return field(tag, label, FieldType.MEMO, length=length, **more)


def phone(tag: str, label: str, **more: Any) -> Field:
    """A telephone number."""
    return field(tag, label, FieldType.PHONE, length=40, **more)


def email(tag: str, label: str, **more: Any) -> Field:
    """An e-mail address."""
    return field(tag, label, FieldType.EMAIL, length=100, **more)


def row_id(tag: str, label: str, reference: str | None = None, **more: Any) -> Field:
    """A record's id, or a reference to one."""
    return field(tag, label, FieldType.ID, length=15, reference=reference, **more)


def boolean(tag: str, label: str, **more: Any) -> Field:
    """A check box."""
    return field(tag, label, FieldType.BOOLEAN, **more)


def integer(tag: str, label: str, **more: Any) -> Field:
    """A whole number."""
    return field(tag, label, FieldType.INTEGER, **more)


def number(tag: str, label: str, kind: FieldType = FieldType.NUMBER, **more: Any) -> Field:
    """A decimal number, an amount or a percentage."""
    return field(tag, label, kind, **more)


def date(tag: str, label: str, **more: Any) -> Field:
    """A day."""
    return field(tag, label, FieldType.DATE, **more)


def instant(tag: str, label: str, **more: Any) -> Field:
    """A date and time."""
    return field(tag, label, FieldType.DATETIME, **more)


def values(*codes: str | tuple[str, str], disabled: Sequence[str] = ()) -> tuple[Value, ...]:
    """A picklist: a code alone is its own label; those of `disabled` are at the end."""
    pairs = [(one, one) if isinstance(one, str) else one for one in codes]
    return (
        *(Value(code=code, label=label) for code, label in pairs),
        *(Value(code=one, label=one, disabled=True) for one in disabled),
    )


def picklist(tag: str, label: str, chosen: tuple[Value, ...], **more: Any) -> Field:
    """One of some values."""
    return field(tag, label, FieldType.PICKLIST, **{"length": 30, "picklist": chosen, **more})


def copied(tag: str, label: str, reference: str, source: str, **more: Any) -> Field:
    """Read-only text of the record that `reference` names."""
    return text(tag, label, 100, read_only=True, via=(reference, source), **more)


def custom(made: Field, generic: str) -> Field:
    """The field as the company's own, `generic` in generic WSDLs."""
    return replace(made, custom=True, generic=generic)


def audit(id_label: str, v1_id: str, *, last_updated: bool = False, v1: bool = True) -> list[Field]:
    """What every object begins with: stamps, their users, ModId and Id (Web Services guide, audit fields).

    `last_updated` adds v2.0's ModifiedDateExt, which v1.0 calls LastUpdated.
    """
    stamps = {"read_only": True, **({} if v1 else {"v1_tag": None})}
    fields = [instant("ModifiedDate", "Modified: Date", **stamps), instant("CreatedDate", "Created: Date", **stamps)]
    if last_updated:
        fields.append(instant("ModifiedDateExt", "Last Updated", read_only=True, v1_tag="LastUpdated"))
    return [
        *fields,
        row_id("ModifiedById", "Modified By: Id", "User", **stamps),
        row_id("CreatedById", "Created By: Id", "User", **stamps),
        text("ModifiedBy", "Modified By", 100, filterable=False, **stamps),
        text("CreatedBy", "Created By", 100, filterable=False, **stamps),
        integer("ModId", "Modification Number", v1_tag=None),
        row_id("Id", id_label, v1_tag=v1_id if v1 else None),
    ]


def owned(owner_tag: str = "Owner", *, v1_tag: str | None = "Owner") -> list[Field]:
    """What all sales objects share: the keys of integrators, the owner, the currency."""
    return [
        text("ExternalSystemId", "External Unique Id", 64, v1_tag=v1_tag and "ExternalSystemId"),
        text("IntegrationId", "Integration Id", 64, v1_tag=v1_tag and "IntegrationId"),
        row_id("OwnerId", "Owner Id", "User", v1_tag=v1_tag and "OwnerId"),
        copied(owner_tag, "Owner", "OwnerId", "Alias", v1_tag=v1_tag),
        picklist("CurrencyCode", "Currency", values("EUR", "USD", "GBP"), v1_tag=v1_tag and "CurrencyCode", length=15),
    ]

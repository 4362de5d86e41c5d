"""Global and object describe as RemoteObject and RemoteField (Salesforce REST API guide, sObject Describe)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from crosstie.crm.connector import ObjectName
from crosstie.crm.http import REPORT, Answer
from crosstie.crm.salesforce.picklists import Entry, picklist_values
from crosstie.errors import ProtocolError
from crosstie.model import FieldType, RemoteField, RemoteObject

INDEX_FIELDS = ("LastModifiedDate", "SystemModstamp", "CreatedDate", "LoginTime")
"""Fields fit for an automatic index: first those of Campaign's documentation, in its order, then the fall-backs for
objects that have neither, which see new records only."""

_SAFE_INDEXES = ("SystemModstamp", "LastModifiedDate", "CreatedDate", "LoginTime")

_TYPES: Mapping[str, FieldType] = {
    "id": FieldType.ID,
    "reference": FieldType.REFERENCE,
    "string": FieldType.TEXT,
    "textarea": FieldType.TEXT,
    "phone": FieldType.TEXT,
    "url": FieldType.TEXT,
    "email": FieldType.TEXT,
    "combobox": FieldType.TEXT,
    "encryptedstring": FieldType.TEXT,
    "picklist": FieldType.ENUMERATION,
    "multipicklist": FieldType.SET,
    "boolean": FieldType.BOOLEAN,
    "int": FieldType.INTEGER,
    "long": FieldType.INTEGER,
    "double": FieldType.DECIMAL,
    "percent": FieldType.DECIMAL,
    "currency": FieldType.DECIMAL,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "time": FieldType.TIME,
    "base64": FieldType.BINARY,
    "address": FieldType.COMPOUND,
    "location": FieldType.COMPOUND,
}


class _Field(msgspec.Struct, rename="camel"):
    name: str
    type: str
    label: str | None = None
    length: int = 0
    precision: int = 0
    scale: int = 0
    digits: int = 0
    nillable: bool = True
    createable: bool = False
    updateable: bool = False
    filterable: bool = True
    sortable: bool = True
    external_id: bool = False
    unique: bool = False
    calculated: bool = False
    custom: bool = False
    restricted_picklist: bool = False
    case_sensitive: bool = False
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    compound_field_name: str | None = None
    picklist_values: tuple[Entry, ...] = ()
    controller_name: str | None = None
    deprecated_and_hidden: bool = False


class _Object(msgspec.Struct, rename="camel"):
    name: str
    label: str | None = None
    label_plural: str | None = None
    custom: bool = False
    queryable: bool = True
    createable: bool = False
    updateable: bool = False
    deletable: bool = False
    replicateable: bool = False
    fields: tuple[_Field, ...] = ()


class _Global(msgspec.Struct):
    sobjects: tuple[_Object, ...]


def object_names(answer: Answer) -> tuple[ObjectName, ...]:
    """Every object of a global describe that can be queried, in its order."""
    found = _decode(answer, _Global)
    return tuple(
        ObjectName(name=one.name, label=one.label or one.name, custom=one.custom, readable=one.queryable)
        for one in found.sobjects
        if one.queryable
    )


def remote_object(answer: Answer) -> RemoteObject:
    """The object of a describe answer. Raises ProtocolError when the answer is not a description."""
    found = _decode(answer, _Object)
    visible = [one for one in found.fields if not one.deprecated_and_hidden]
    if not any(one.type == "id" for one in visible):
        raise ProtocolError(
            f"The description of {found.name} has no id field.", hint=REPORT, request_id=answer.request_id
        )
    parts: dict[str, list[str]] = {}
    for one in visible:
        if one.compound_field_name and one.compound_field_name != one.name:
            parts.setdefault(one.compound_field_name, []).append(one.name)
    locations = {one.name for one in visible if one.type in {"address", "location"}}
    lists = {one.name: one.picklist_values for one in found.fields}
    fields = tuple(_remote_field(one, parts, locations, lists) for one in visible)
    names = {field.name for field in fields if field.type is FieldType.DATETIME and field.filterable}
    remote = RemoteObject(
        name=found.name,
        label=found.label or found.name,
        label_plural=found.label_plural or found.label or found.name,
        key=next(one.name for one in visible if one.type == "id"),
        fields=fields,
        index_fields=tuple(name for name in INDEX_FIELDS if name in names),
        safe_index=next((name for name in _SAFE_INDEXES if name in names), ""),
        custom=found.custom,
        readable=found.queryable,
        createable=found.createable,
        updateable=found.updateable,
        deletable=found.deletable,
        tracks_deletions=found.replicateable,
    )
    return replace(remote, fingerprint=fingerprint(remote, answer))


def _remote_field(
    one: _Field, parts: Mapping[str, list[str]], locations: set[str], lists: Mapping[str, tuple[Entry, ...]]
) -> RemoteField:
    kind = _TYPES.get(one.type, FieldType.OTHER)
    owner = one.compound_field_name if one.compound_field_name and one.compound_field_name != one.name else ""
    if kind is FieldType.DECIMAL and owner in locations:
        kind = FieldType.FLOAT  # coordinates: any double, up to 17 digits; money and percents are decimals
    return RemoteField(
        name=one.name,
        label=one.label or one.name,
        type=kind,
        wire_type=one.type,
        length=one.length,
        precision=one.precision or one.digits,
        scale=one.scale,
        nullable=one.nillable,
        createable=one.createable,
        updateable=one.updateable,
        filterable=one.filterable,
        sortable=one.sortable,
        external_id=one.external_id,
        unique=one.unique,
        calculated=one.calculated,
        custom=one.custom,
        restricted=one.restricted_picklist,
        case_sensitive=one.case_sensitive,
        reference_to=one.reference_to,
        relationship=one.relationship_name or "",
        part_of=owner,
        parts=tuple(parts.get(one.name, ())),
        values=picklist_values(one.picklist_values, lists.get(one.controller_name or "")),
        controller=one.controller_name or "",
    )


def fingerprint(remote: RemoteObject, answer: Answer) -> str:
    """A digest of the description and, behind `@`, the date to ask with next time whether it has changed since."""
    plain = replace(remote, fingerprint="")
    digest = hashlib.sha256(msgspec.json.encode(plain)).hexdigest()[:24]
    return f"{digest}@{answer.headers.get('last-modified') or answer.headers.get('date', '')}"


def same_content(one: RemoteObject, other: RemoteObject) -> bool:
    """Whether two descriptions say the same, whenever they were made."""
    return one.fingerprint.partition("@")[0] == other.fingerprint.partition("@")[0]


def known_since(known: RemoteObject | None) -> str:
    """The HTTP date for If-Modified-Since, '' when nothing is known."""
    return known.fingerprint.partition("@")[2] if known else ""


def _decode(answer: Answer, kind: type[Any]) -> Any:
    return answer.decoded(kind, "is not the description expected")

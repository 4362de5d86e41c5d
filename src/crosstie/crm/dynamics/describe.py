"""Definitions of tables as RemoteObject and RemoteField (Dataverse developer guide, "Query schema definitions").

RetrieveMetadataChanges gives one table with its columns, their choices and its keys in one small answer; by
EntityDefinitions it would take a request for each class of columns.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from locale import windows_locale
from typing import Any
from urllib.parse import quote

import msgspec

from crosstie.crm.connector import ObjectName
from crosstie.crm.dynamics.session import Session
from crosstie.crm.http import REPORT
from crosstie.errors import MappingError, ProtocolError
from crosstie.model import EnumerationValue, FieldType, RemoteField, RemoteObject

INDEX_FIELD = "modifiedon"
ID_LENGTH = 36
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,127}", re.ASCII)
_STATE = "statecode"
"""What a status reason depends on."""
_MONEY_SCALE = 4
"""Money travels with four decimals whatever its precision is."""

_TYPES: Mapping[str, FieldType] = {
    "Uniqueidentifier": FieldType.TEXT,
    "Lookup": FieldType.REFERENCE,
    "Owner": FieldType.REFERENCE,
    "Customer": FieldType.REFERENCE,
    "String": FieldType.TEXT,
    "Memo": FieldType.TEXT,
    "EntityName": FieldType.TEXT,
    "Picklist": FieldType.ENUMERATION,
    "State": FieldType.ENUMERATION,
    "Status": FieldType.ENUMERATION,
    "MultiSelectPicklist": FieldType.SET,
    "Boolean": FieldType.BOOLEAN,
    "Integer": FieldType.INTEGER,
    "BigInt": FieldType.INTEGER,
    "Decimal": FieldType.DECIMAL,
    "Money": FieldType.DECIMAL,
    "Double": FieldType.FLOAT,
    "DateTime": FieldType.DATETIME,
    "File": FieldType.TEXT,
    "Image": FieldType.BINARY,
    "PartyList": FieldType.COMPOUND,
}
_BEHAVIORS = {"DateOnly": FieldType.DATE, "TimeZoneIndependent": FieldType.WALL_CLOCK}
_CHOICES = frozenset({"Picklist", "State", "Status", "MultiSelectPicklist"})
_REFERENCES = frozenset({"Lookup", "Owner", "Customer"})
_WITH_COMPANIONS = frozenset({"File", "Image"})
_UNFILTERED = frozenset({"File", "Image", "PartyList"})


class _Localized(msgspec.Struct):
    text: str | None = msgspec.field(name="Label", default=None)
    language: int = msgspec.field(name="LanguageCode", default=0)


class _Label(msgspec.Struct, rename="pascal"):
    user_localized_label: _Localized | None = None
    localized_labels: tuple[_Localized, ...] = ()

    def words(self, otherwise: str) -> str:
        shown = self.user_localized_label.text if self.user_localized_label else None
        return shown or otherwise

    @property
    def further(self) -> tuple[tuple[str, str], ...]:
        """The labels of other languages than the user's, by the language's tag (`fr-FR`)."""
        own = self.user_localized_label.language if self.user_localized_label else 0
        told = ((one.language, one.text) for one in self.localized_labels if one.language != own)
        return tuple((_tag(language), text) for language, text in told if text)


def _tag(language: int) -> str:
    """`fr-FR` of 1036; the number where nobody knows it."""
    return windows_locale.get(language, str(language)).replace("_", "-")


class _Value(msgspec.Struct, rename="pascal"):
    value: Any = None


class _Option(msgspec.Struct, rename="pascal"):
    value: int
    label: _Label = msgspec.field(default_factory=_Label)
    state: int | None = None


class _OptionSet(msgspec.Struct, rename="pascal"):
    name: str | None = None
    is_global: bool = False
    options: tuple[_Option, ...] = ()


class _Attribute(msgspec.Struct, rename="pascal"):
    logical_name: str
    attribute_type: str | None = None
    attribute_type_name: _Value | None = None
    attribute_of: str | None = None
    is_valid_for_create: bool = False
    is_valid_for_update: bool = False
    is_valid_for_read: bool = False
    is_valid_odata: bool = msgspec.field(name="IsValidODataAttribute", default=True)
    is_custom_attribute: bool = False
    required_level: _Value | None = None
    display_name: _Label = msgspec.field(default_factory=_Label)
    max_length: int | None = None
    precision: int | None = None
    date_time_behavior: _Value | None = None
    targets: tuple[str, ...] | None = None
    option_set: _OptionSet | None = None
    default_form_value: int | None = None

    @property
    def kind(self) -> str:
        """The type; for Virtual ones the name says more."""
        if self.attribute_type != "Virtual":
            return self.attribute_type or ""
        named = str(self.attribute_type_name.value) if self.attribute_type_name else ""
        return named.removesuffix("Type") or "Virtual"


class _Key(msgspec.Struct, rename="pascal"):
    key_attributes: tuple[str, ...] = ()
    entity_key_index_status: str = ""


class _Table(msgspec.Struct, rename="pascal"):
    logical_name: str
    entity_set_name: str | None = None
    primary_id_attribute: str | None = None
    display_name: _Label = msgspec.field(default_factory=_Label)
    display_collection_name: _Label = msgspec.field(default_factory=_Label)
    is_custom_entity: bool = False
    is_audit_enabled: _Value | None = None
    change_tracking_enabled: bool = False
    attributes: tuple[_Attribute, ...] = ()
    keys: tuple[_Key, ...] = ()


class _Tables(msgspec.Struct):
    value: tuple[_Table, ...]


class _Definitions(msgspec.Struct, rename="pascal"):
    entity_metadata: tuple[_Table, ...] = ()


_TABLE = (
    "LogicalName",
    "EntitySetName",
    "DisplayName",
    "DisplayCollectionName",
    "IsCustomEntity",
    "IsAuditEnabled",
    "ChangeTrackingEnabled",
    "PrimaryIdAttribute",
    "Attributes",
    "Keys",
)
_ATTRIBUTE = (
    "LogicalName",
    "AttributeType",
    "AttributeTypeName",
    "AttributeOf",
    "IsValidForCreate",
    "IsValidForUpdate",
    "IsValidForRead",
    "IsValidODataAttribute",
    "IsCustomAttribute",
    "RequiredLevel",
    "DisplayName",
    "MaxLength",
    "Precision",
    "DateTimeBehavior",
    "Targets",
    "OptionSet",
    "DefaultFormValue",
)
_KEY = ("KeyAttributes", "EntityKeyIndexStatus")


def object_names(session: Session) -> tuple[ObjectName, ...]:
    """Every table that has records people can read."""
    path = "EntityDefinitions?$select=LogicalName,EntitySetName,DisplayName,IsCustomEntity&$filter=IsPrivate eq false"
    answer = session.get(path.replace(" ", "%20"), "list the objects")
    found: _Tables = answer.decoded(_Tables, "is not a list of tables")
    return tuple(
        ObjectName(
            name=one.logical_name,
            label=one.display_name.words(one.logical_name),
            custom=one.is_custom_entity,
            readable=True,
        )
        for one in found.value
        if one.entity_set_name
    )


def describe(session: Session, name: str, known: RemoteObject | None) -> RemoteObject:
    """The description of a table, in one call. Raises MappingError when there is none of that name."""
    found = _remote_object(_table(session, name))
    return known if known is not None and known.fingerprint == found.fingerprint else found


def _table(session: Session, name: str) -> _Table:
    wanted = name.lower()
    if not _NAME.fullmatch(wanted):
        raise _unknown(name)
    query = quote(json.dumps(_query(wanted), separators=(",", ":")), safe="")
    answer = session.get(f"RetrieveMetadataChanges(Query=@p1)?@p1={query}", f"describe {name}")
    found: _Definitions = answer.decoded(_Definitions, "is not the description expected")
    if not found.entity_metadata:
        raise _unknown(name)
    table, *others = found.entity_metadata
    if others or table.logical_name != wanted or not table.entity_set_name or not table.primary_id_attribute:
        raise ProtocolError(f"The description of {name} is of another table, or has no key.", hint=REPORT)
    return table


def _query(name: str) -> dict[str, Any]:
    """An EntityQueryExpression for one table."""
    value = {"Value": name, "Type": "System.String"}
    condition = {"PropertyName": "LogicalName", "ConditionOperator": "Equals", "Value": value}
    return {
        "Criteria": {"FilterOperator": "And", "Conditions": [condition]},
        "Properties": {"AllProperties": False, "PropertyNames": _TABLE},
        "AttributeQuery": {"Properties": {"AllProperties": False, "PropertyNames": _ATTRIBUTE}},
        "KeyQuery": {"Properties": {"AllProperties": False, "PropertyNames": _KEY}},
    }


def _unknown(name: str) -> MappingError:
    return MappingError(
        f"The org has no object “{name}”, or this user can't see it.",
        hint="Look at the list: crosstie objects ACCOUNT. A table's name is its logical name, like contact.",
    )


def _remote_object(table: _Table) -> RemoteObject:
    key = str(table.primary_id_attribute)
    parents = {one.logical_name: one.kind for one in table.attributes}
    companions = {
        one.attribute_of: one.logical_name for one in table.attributes if one.attribute_of and one.kind == "EntityName"
    }
    alone = {one.key_attributes[0] for one in table.keys if _usable(one) and len(one.key_attributes) == 1}
    fields: list[RemoteField] = []
    for one in sorted(table.attributes, key=lambda one: (one.logical_name != key, one.logical_name)):
        if not _shown(one, parents):
            continue
        field = _field(one, key=key, alone=alone)
        fields.append(field)
        if len(field.reference_to) > 1:
            fields.append(_type_field(field, companions.get(field.name) or f"{field.name}type"))
    if not fields or fields[0].name != key:
        raise ProtocolError(f"The description of {table.logical_name} lacks its key {key}.", hint=REPORT)
    stamped = any(one.name == INDEX_FIELD and one.type is FieldType.DATETIME for one in fields)
    remote = RemoteObject(
        name=table.logical_name,
        label=table.display_name.words(table.logical_name),
        label_plural=table.display_collection_name.words(table.logical_name),
        key=key,
        fields=tuple(fields),
        index_fields=(INDEX_FIELD,) if stamped else (),
        safe_index=INDEX_FIELD if stamped else "",
        custom=table.is_custom_entity,
        createable=any(one.createable for one in fields),
        updateable=any(one.updateable for one in fields),
        tracks_deletions=bool(table.is_audit_enabled and table.is_audit_enabled.value),
        tracks_changes=table.change_tracking_enabled,
        collection=str(table.entity_set_name),
    )
    return replace(remote, fingerprint=hashlib.sha256(msgspec.json.encode(remote)).hexdigest()[:24])


def _usable(key: _Key) -> bool:
    return key.entity_key_index_status == "Active"


def _shown(one: _Attribute, parents: Mapping[str, str]) -> bool:
    """Whether a column can be asked for. Columns that only accompany another (names of lookups, labels) can't, but for
    those of images and files, which are all that can be read of them."""
    if one.kind == "PartyList":
        return True  # so that its name is known, and refused with the reason
    if one.kind not in _TYPES or not one.is_valid_for_read or not one.is_valid_odata:
        return False
    return not one.attribute_of or parents.get(one.attribute_of) in _WITH_COMPANIONS


def _field(one: _Attribute, *, key: str, alone: Iterable[str]) -> RemoteField:
    kind = _type(one)
    name = one.logical_name
    refers = one.kind in _REFERENCES
    level = one.required_level.value if one.required_level else ""
    long = {"Uniqueidentifier": ID_LENGTH, "File": ID_LENGTH, "EntityName": 128}
    return RemoteField(
        name=name,
        label=one.display_name.words(name),
        type=FieldType.ID if name == key else kind,
        wire_type=one.kind,
        length=ID_LENGTH if refers else long.get(one.kind, 0) or one.max_length or 0,
        scale=_scale(one),
        nullable=name != key and level != "SystemRequired",
        createable=one.is_valid_for_create and one.kind not in _UNFILTERED,
        updateable=one.is_valid_for_update and one.kind not in _UNFILTERED and name != key,
        filterable=one.kind not in _UNFILTERED,
        sortable=one.kind not in _UNFILTERED and kind is not FieldType.SET,
        external_id=name in alone,
        unique=name in alone or name == key,
        custom=one.is_custom_attribute,
        restricted=one.kind in _CHOICES,
        reference_to=one.targets or () if refers else (),
        relationship=name if refers else "",
        values=_values(one.option_set, one.default_form_value) if one.option_set and one.kind in _CHOICES else (),
        controller=_STATE if one.kind == "Status" else "",
        value_set=one.option_set.name or "" if one.option_set and one.option_set.is_global else "",
    )


def _type(one: _Attribute) -> FieldType:
    if one.kind == "DateTime" and one.date_time_behavior is not None:
        return _BEHAVIORS.get(str(one.date_time_behavior.value), FieldType.DATETIME)
    return _TYPES[one.kind]


def _scale(one: _Attribute) -> int:
    if one.kind == "Money":
        return _MONEY_SCALE
    return (one.precision or 0) if one.kind == "Decimal" else 0


def _values(options: _OptionSet, default: int | None) -> tuple[EnumerationValue, ...]:
    return tuple(
        EnumerationValue(
            name=str(one.value),
            label=one.label.words(str(one.value)),
            default=one.value == default,
            labels=one.label.further,
            valid_for=() if one.state is None else (str(one.state),),
        )
        for one in options.options
    )


def _type_field(lookup: RemoteField, name: str) -> RemoteField:
    """Which table a lookup of several leads to. It is read with the lookup and only there."""
    return RemoteField(
        name=name,
        label=f"{lookup.label} (type)",
        type=FieldType.TEXT,
        wire_type="EntityName",
        length=128,
        filterable=False,
        sortable=False,
        part_of=lookup.name,
    )

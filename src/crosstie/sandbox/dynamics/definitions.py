"""Definitions of tables, columns, choices, keys and relationships as the metadata endpoints answer them.

Source: Dataverse Web API guide, "Query table definitions", and the EntityMetadata and AttributeMetadata reference.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from crosstie.sandbox.dynamics.generate import fixed_id
from crosstie.sandbox.dynamics.table import Attribute, AttributeType, Key, Option, OptionSet, Table
from crosstie.sandbox.dynamics.tables import OPTION_SETS, TABLES

Definition = dict[str, Any]

_CAST = {
    AttributeType.UNIQUEIDENTIFIER: "UniqueIdentifier",
    AttributeType.OWNER: "Lookup",
    AttributeType.CUSTOMER: "Lookup",
    AttributeType.PARTY_LIST: "Lookup",
    AttributeType.VIRTUAL: "",
}
"""Where the class of the metadata is not named like the type."""
_VIRTUAL = frozenset({AttributeType.MULTI_SELECT, AttributeType.IMAGE, AttributeType.FILE})
WITH_OPTIONS = frozenset(
    {
        AttributeType.PICKLIST,
        AttributeType.STATE,
        AttributeType.STATUS,
        AttributeType.MULTI_SELECT,
        AttributeType.BOOLEAN,
        AttributeType.ENTITY_NAME,
    }
)


def metadata_id(*names: str) -> str:
    """The MetadataId of what has these names."""
    return fixed_id("metadata " + " ".join(names))


def cast_name(kind: AttributeType) -> str:
    """The class of a column's metadata: `StringAttributeMetadata`."""
    return f"{_CAST.get(kind, kind.value)}AttributeMetadata"


def label(text: str, others: Iterable[tuple[int, str]] = ()) -> Definition:
    """A label in English, and in further languages."""
    localized = [
        {"Label": words, "LanguageCode": language, "IsManaged": False, "MetadataId": None, "HasChanged": None}
        for language, words in ((1033, text), *others)
    ]
    return {"LocalizedLabels": localized, "UserLocalizedLabel": localized[0]}


def _managed(value: Any, name: str) -> Definition:
    return {"Value": value, "CanBeChanged": True, "ManagedPropertyLogicalName": name}


def table_definition(table: Table) -> Definition:
    """EntityMetadata without its columns, keys and relationships."""
    return {
        "MetadataId": metadata_id(table.logical_name),
        "LogicalName": table.logical_name,
        "SchemaName": table.schema_name,
        "EntitySetName": table.set_name,
        "LogicalCollectionName": table.set_name,
        "CollectionSchemaName": table.schema_name,
        "DisplayName": label(table.label),
        "DisplayCollectionName": label(table.plural),
        "Description": label(f"{table.label} of this organization."),
        "PrimaryIdAttribute": table.primary_id,
        "PrimaryNameAttribute": table.primary_name,
        "PrimaryImageAttribute": "entityimage" if "entityimage" in table.attributes else None,
        "ObjectTypeCode": table.object_type_code,
        "OwnershipType": table.ownership,
        "TableType": "Standard",
        "IsActivity": table.activity,
        "IsActivityParty": table.logical_name in ("account", "contact", "lead", "systemuser"),
        "IsPrivate": False,
        "IsIntersect": table.intersect,
        "IsCustomEntity": table.custom,
        "IsManaged": not table.custom,
        "IsLogicalEntity": False,
        "IsChildEntity": False,
        "IsValidForAdvancedFind": True,
        "IsAvailableOffline": True,
        "IsEnabledForCharts": True,
        "HasNotes": False,
        "HasActivities": False,
        "DataProviderId": None,
        "ChangeTrackingEnabled": table.change_tracking,
        "CanChangeTrackingBeEnabled": _managed(table.writable, "canchangetrackingbeenabled"),
        "IsOptimisticConcurrencyEnabled": table.optimistic,
        "IsAuditEnabled": _managed(table.audited, "canmodifyauditsettings"),
        "IsCustomizable": _managed(True, "iscustomizable"),
        "IsDuplicateDetectionEnabled": _managed(True, "canmodifyduplicatedetectionsettings"),
        "CanCreateAttributes": _managed(table.writable, "cancreateattributes"),
        "IntroducedVersion": "5.0.0.0",
    }


def attribute_definition(table: Table, logical_name: str) -> Definition:
    """AttributeMetadata with all that its own class adds, but without its choice."""
    return dict(_attribute_definition(table, table.attributes[logical_name]))


@cache
def _attribute_definition(table: Table, one: Attribute) -> Definition:
    logical_name = one.logical_name
    kind = AttributeType.VIRTUAL if one.type in _VIRTUAL else one.type
    found: Definition = {}
    if one.type is not AttributeType.VIRTUAL:
        found["@odata.type"] = f"#Microsoft.Dynamics.CRM.{cast_name(one.type)}"
    return found | {
        "MetadataId": metadata_id(table.logical_name, logical_name),
        "EntityLogicalName": table.logical_name,
        "LogicalName": logical_name,
        "SchemaName": one.schema_name,
        "AttributeOf": one.attribute_of,
        "AttributeType": kind.value,
        "AttributeTypeName": {"Value": f"{one.type.value}Type"},
        "ColumnNumber": list(table.attributes).index(logical_name) + 1,
        "DisplayName": label(one.label),
        "Description": label(f"{one.label} of the {table.label.lower()}."),
        "IsCustomAttribute": one.custom,
        "IsManaged": not one.custom,
        "IsLogical": one.attribute_of is not None,
        "IsPrimaryId": logical_name == table.primary_id,
        "IsPrimaryName": logical_name == table.primary_name,
        "IsValidForCreate": one.valid_for_create,
        "IsValidForRead": one.valid_for_read,
        "IsValidForUpdate": one.valid_for_update,
        "IsValidODataAttribute": one.valid_odata,
        "IsSecured": False,
        "IsFilterable": True,
        "IsSearchable": True,
        "IsRetrievable": True,
        "RequiredLevel": _managed(one.required, "canmodifyrequirementlevelsettings"),
        "SourceType": 0,
        **_specific(one),
    }


def _specific(one: Attribute) -> Definition:
    """What the class of a column's metadata adds."""
    match one.type:
        case AttributeType.STRING:
            return {"MaxLength": one.max_length, "Format": one.format, "FormatName": {"Value": one.format}}
        case AttributeType.MEMO:
            return {"MaxLength": one.max_length, "Format": one.format}
        case AttributeType.INTEGER | AttributeType.BIG_INT:
            low, high = (one.minimum, one.maximum) if one.minimum is not None else (-(2**63), 2**63 - 1)
            return {"MinValue": low, "MaxValue": high} | ({"Format": "None"} if one.minimum is not None else {})
        case AttributeType.DECIMAL | AttributeType.DOUBLE:
            return {"MinValue": one.minimum, "MaxValue": one.maximum, "Precision": one.precision}
        case AttributeType.MONEY:
            is_base = one.logical_name.endswith("_base")
            calculated = one.logical_name.removesuffix("_base") if is_base else ""
            limits = {"MinValue": one.minimum, "MaxValue": one.maximum, "Precision": one.precision}
            return limits | {"PrecisionSource": 2, "CalculationOf": calculated, "IsBaseCurrency": is_base}
        case AttributeType.DATE_TIME:
            return {"Format": one.format, "DateTimeBehavior": {"Value": one.behavior}}
        case AttributeType.LOOKUP | AttributeType.OWNER | AttributeType.CUSTOMER | AttributeType.PARTY_LIST:
            return {"Targets": list(one.targets), "Format": "None"}
        case AttributeType.BOOLEAN:
            return {"DefaultValue": bool(one.default)}
        case AttributeType.PICKLIST | AttributeType.STATE | AttributeType.STATUS | AttributeType.MULTI_SELECT:
            return {"DefaultFormValue": -1 if one.default is None else one.default}
        case AttributeType.IMAGE:
            return {"IsPrimaryImage": one.logical_name == "entityimage", "MaxHeight": 144, "MaxWidth": 144}
        case AttributeType.FILE:
            return {"MaxSizeInKB": 32_768}
        case _:
            return {}


def option_definition(option: Option, kind: AttributeType) -> Definition:
    """One value of a choice."""
    found: Definition = {
        "Value": option.value,
        "Label": label(option.label, option.other_labels),
        "Description": label(""),
        "Color": None,
        "IsManaged": False,
        "ExternalValue": "",
        "ParentValues": [],
        "MetadataId": None,
        "HasChanged": None,
    }
    if kind is AttributeType.STATE:
        found |= {"DefaultStatus": option.default_status, "InvariantName": option.label}
        found["@odata.type"] = "#Microsoft.Dynamics.CRM.StateOptionMetadata"
    elif kind is AttributeType.STATUS:
        found |= {"State": option.state, "TransitionData": None}
        found["@odata.type"] = "#Microsoft.Dynamics.CRM.StatusOptionMetadata"
    return found


def option_set_definition(table: Table, one: Attribute) -> Definition:
    """The choice of a column, its own or a global one."""
    if one.option_set is not None:
        return global_option_set(OPTION_SETS[one.option_set], one.type)
    kind = one.type if one.type in (AttributeType.STATE, AttributeType.STATUS, AttributeType.BOOLEAN) else "Picklist"
    found: Definition = {
        "MetadataId": metadata_id(table.logical_name, one.logical_name, "options"),
        "Name": f"{table.logical_name}_{one.logical_name}",
        "DisplayName": label(one.label),
        "Description": label(""),
        "IsCustomOptionSet": one.custom,
        "IsGlobal": False,
        "IsManaged": not one.custom,
        "OptionSetType": str(kind),
    }
    options = [option_definition(option, one.type) for option in one.options]
    if one.type is AttributeType.BOOLEAN:
        return found | {"FalseOption": options[0], "TrueOption": options[1]}
    return found | {"Options": options}


def global_option_set(one: OptionSet, kind: AttributeType = AttributeType.PICKLIST) -> Definition:
    """A choice that columns share."""
    return {
        "@odata.type": "#Microsoft.Dynamics.CRM.OptionSetMetadata",
        "MetadataId": metadata_id("global", one.name),
        "Name": one.name,
        "DisplayName": label(one.label),
        "Description": label(""),
        "IsCustomOptionSet": True,
        "IsGlobal": True,
        "IsManaged": False,
        "OptionSetType": "Picklist",
        "Options": [option_definition(option, kind) for option in one.options],
    }


def key_definition(table: Table, key: Key) -> Definition:
    """An alternate key."""
    return {
        "MetadataId": metadata_id(table.logical_name, "key", key.logical_name),
        "LogicalName": key.logical_name,
        "SchemaName": key.logical_name,
        "EntityLogicalName": table.logical_name,
        "DisplayName": label(key.logical_name),
        "KeyAttributes": list(key.attributes),
        "EntityKeyIndexStatus": key.status,
        "IsManaged": False,
        "IsSynchronous": False,
        "IsExportKey": False,
        "IsSecondaryKey": False,
        "IntroducedVersion": "1.0",
    }


@cache
def relationships() -> tuple[Definition, ...]:
    """Every one-to-many relationship: one for each target of each lookup, and one with `owner` for owners."""
    return tuple(one for table in TABLES.values() for one in _many_to_one(table))


def _many_to_one(table: Table) -> Iterator[Definition]:
    for one in table.attributes.values():
        targets: Iterable[str] = one.navigation
        if one.type is AttributeType.OWNER:
            targets = ("owner",)
        for target in targets:
            name = one.collections.get(target, f"{target}_{table.logical_name}_{one.logical_name}")
            yield {
                "@odata.type": "#Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata",
                "MetadataId": metadata_id(table.logical_name, one.logical_name, "to", target),
                "SchemaName": name,
                "RelationshipType": "OneToManyRelationship",
                "IsCustomRelationship": one.custom,
                "IsManaged": not one.custom,
                "IsHierarchical": False,
                "ReferencingEntity": table.logical_name,
                "ReferencingAttribute": one.logical_name,
                "ReferencingEntityNavigationPropertyName": one.navigation.get(target, "ownerid"),
                "ReferencedEntity": target,
                "ReferencedAttribute": TABLES[target].primary_id if target in TABLES else "ownerid",
                "ReferencedEntityNavigationPropertyName": name,
            }


BASE_PROPERTIES = frozenset(
    name for name in attribute_definition(TABLES["contact"], "contactid") if name != "@odata.type"
)
"""What every column's metadata has; more needs a cast."""

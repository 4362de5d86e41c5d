"""Describe dicts of fields and objects that were not recorded, with every key that Salesforce's own have.

Source: "sObject Describe", REST API guide; the flags of each type are those of the recorded describes.
"""

from typing import Any

SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "long": "xsd:long",
    "double": "xsd:double",
    "percent": "xsd:double",
    "currency": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "time": "xsd:time",
    "base64": "xsd:base64Binary",
    "address": "urn:address",
    "location": "urn:location",
    "anyType": "xsd:anyType",
    "json": "urn:json",
}
_LENGTHS = {"id": 18, "reference": 18, "phone": 40, "url": 255, "email": 80, "picklist": 255, "combobox": 255}
_NOT_GROUPABLE = frozenset(
    {"datetime", "double", "currency", "percent", "time", "multipicklist", "base64", "address", "location",
     "encryptedstring", "anyType", "complexvalue", "long", "json"}
)  # fmt: skip
_NOT_SORTABLE = frozenset(
    {"multipicklist", "base64", "address", "location", "encryptedstring", "anyType", "complexvalue", "json"}
)
_NOT_FILTERABLE = frozenset({"base64", "encryptedstring", "anyType", "complexvalue", "json"})
_NOT_AGGREGATABLE = frozenset(
    {"boolean", "multipicklist", "base64", "address", "location", "encryptedstring", "anyType", "complexvalue", "json"}
)
LONG_TEXT = 255
"""A textarea that is longer is neither filtered, sorted nor grouped."""


def field(name: str, kind: str, label: str | None = None, **given: Any) -> dict[str, Any]:
    """A field's describe dict: Salesforce's defaults for its type, overridden by `given`.

    `values` is a list of picklist values; `to` a list of referenced objects.
    """
    values = given.pop("values", ())
    targets = list(given.pop("to", ()))
    length = given.get("length", _LENGTHS.get(kind, 0))
    long_text = kind == "textarea" and length > LONG_TEXT
    custom = name.endswith(("__c", "__s"))
    described: dict[str, Any] = {
        "aggregatable": kind not in _NOT_AGGREGATABLE and not long_text,
        "aiPredictionField": False,
        "autoNumber": False,
        "byteLength": length * 3 if SOAP_TYPES.get(kind, "xsd:string") == "xsd:string" else length,
        "calculated": False,
        "calculatedFormula": None,
        "cascadeDelete": False,
        "caseSensitive": False,
        "compoundFieldName": None,
        "controllerName": None,
        "createable": True,
        "custom": custom,
        "defaultValue": False if kind == "boolean" else None,
        "defaultValueFormula": None,
        "defaultedOnCreate": kind == "boolean",
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": 8 if kind == "int" else 0,
        "displayLocationInDecimal": False,
        "encrypted": kind == "encryptedstring",
        "externalId": False,
        "extraTypeInfo": None,
        "filterable": kind not in _NOT_FILTERABLE and not long_text,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": kind not in _NOT_GROUPABLE and not long_text,
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": False,
        "inlineHelpText": None,
        "label": label or name.removesuffix("__c").removesuffix("__s").replace("__", " ").replace("_", " "),
        "length": length,
        "mask": None,
        "maskType": None,
        "name": name,
        "nameField": False,
        "namePointing": False,
        "nillable": kind != "boolean",
        "permissionable": custom,
        "picklistValues": [
            {"active": True, "defaultValue": False, "label": value, "validFor": None, "value": value}
            for value in values
        ],
        "polymorphicForeignKey": len(targets) > 1,
        "precision": 18 if kind in ("double", "percent", "currency") else 0,
        "queryByDistance": kind in ("address", "location"),
        "referenceTargetField": None,
        "referenceTo": targets,
        "relationshipName": None,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "restrictedPicklist": False,
        "scale": 0,
        "searchPrefilterable": False,
        "soapType": SOAP_TYPES.get(kind, "xsd:string"),
        "sortable": kind not in _NOT_SORTABLE and not long_text,
        "type": kind,
        "unique": False,
        "updateable": True,
        "writeRequiresMasterRead": False,
    }
    unknown = given.keys() - described.keys()
    if unknown:
        raise ValueError(f"a describe has no key {', '.join(sorted(unknown))} (field {name})")
    return described | given


def read_only(name: str, kind: str, label: str | None = None, **given: Any) -> dict[str, Any]:
    """A field that nobody writes."""
    return field(name, kind, label, **({"createable": False, "updateable": False} | given))


def system_fields(*, label: str, deletable: bool = True) -> list[dict[str, Any]]:
    """Id, IsDeleted and the audit fields that every object has."""
    always = {"nillable": False, "defaultedOnCreate": True}
    fields = [
        read_only("Id", "id", f"{label} ID", idLookup=True, **always),
        read_only("CreatedDate", "datetime", "Created Date", **always),
        read_only("CreatedById", "reference", "Created By ID", to=["User"], relationshipName="CreatedBy", **always),
        read_only("LastModifiedDate", "datetime", "Last Modified Date", **always),
        read_only(
            "LastModifiedById",
            "reference",
            "Last Modified By ID",
            to=["User"],
            relationshipName="LastModifiedBy",
            **always,
        ),
        read_only("SystemModstamp", "datetime", "System Modstamp", **always),
    ]
    if deletable:
        fields.insert(1, read_only("IsDeleted", "boolean", "Deleted", **always))
    return fields


def sobject(name: str, label: str, key_prefix: str, fields: list[dict[str, Any]], **given: Any) -> dict[str, Any]:
    """An object's describe dict, without URLs."""
    custom = name.endswith("__c")
    described: dict[str, Any] = {
        "actionOverrides": [],
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "childRelationships": [],
        "compactLayoutable": True,
        "createable": True,
        "custom": custom,
        "customSetting": False,
        "deepCloneable": False,
        "defaultImplementation": None,
        "deletable": True,
        "deprecatedAndHidden": False,
        "extendedBy": None,
        "extendsInterfaces": None,
        "feedEnabled": False,
        "fields": fields,
        "hasSubtypes": False,
        "implementedBy": None,
        "implementsInterfaces": None,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": key_prefix,
        "label": label,
        "labelPlural": f"{label}s",
        "layoutable": True,
        "listviewable": None,
        "lookupLayoutable": None,
        "mergeable": False,
        "mruEnabled": True,
        "name": name,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "queryable": True,
        "recordTypeInfos": [
            {
                "active": True,
                "available": True,
                "defaultRecordTypeMapping": True,
                "developerName": "Master",
                "master": True,
                "name": "Master",
                "recordTypeId": "012000000000000AAA",
                "urls": {"layout": f"/services/data/vxx.0/sobjects/{name}/describe/layouts/012000000000000AAA"},
            }
        ],
        "replicateable": True,
        "retrieveable": True,
        "searchLayoutable": True,
        "searchable": True,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {label}s", "name": "everything"}],
        "triggerable": True,
        "undeletable": True,
        "updateable": True,
        "urls": {},
    }
    return described | given

"""The objects of the sandbox org: recorded describes of the standard ones, custom fields, and objects of our own.

The recorded ones come from a real org (see metadata/NOTICE).
"""

import gzip
import json
import re
from collections.abc import Collection
from importlib.resources import files
from typing import Any

from crosstie.sandbox.salesforce.field_types import field, read_only, sobject, system_fields

RECORDED = ("Account", "Contact", "Lead", "Opportunity", "Case")
INTERESTS = ("Cycling", "Café & Küche", "Livres", "Música", "Wandern", "Théâtre", "鉄道", "Кино", "Sports, indoor")
"""The values of Contact.Interests__c, in list order, which is the order on the wire."""
GADGET_CHANNELS = ("Web", "Télévision", "Store", "Phone")
GADGET_TAGS = ("red", "green", "blue", "ärgerlich", "静か")

Described = dict[str, Any]


def org_describes() -> list[Described]:
    """Every object of the org, as `GET sobjects/X/describe` gives it, URLs with the version `vxx.0`."""
    described = [_recorded(name) for name in RECORDED]
    described += [_user(), _organization(), _record_type(), _assignment_rule(), _gadget()]
    names = {entry["name"] for entry in described}
    for entry in described:
        entry["childRelationships"] = [child for child in entry["childRelationships"] if child["childSObject"] in names]
        entry["urls"] = _urls(entry["name"])
    _add_child_relationships(described)
    return described


def visible(described: Collection[Described], hidden: Collection[str]) -> list[Described]:
    """What a user without permission on `hidden` (`Object` or `Object.Field`, any case) is shown."""
    gone = {name.lower() for name in hidden}
    shown = []
    for entry in described:
        name = entry["name"].lower()
        if name in gone:
            continue
        fields = [item for item in entry["fields"] if f"{name}.{item['name'].lower()}" not in gone]
        children = [
            child
            for child in entry["childRelationships"]
            if child["childSObject"].lower() not in gone
            and f"{child['childSObject']}.{child['field']}".lower() not in gone
        ]
        shown.append(entry | {"fields": fields, "childRelationships": children})
    return shown


def with_version(text: str, version: str, instance_url: str) -> str:
    """A describe's JSON with the URLs of the version and the host that were asked."""
    text = re.sub(r"/services/data/v[0-9x]+\.0/", f"/services/data/{version}/", text)
    return re.sub(r"https://[a-z0-9.-]+\.salesforce\.com", instance_url, text)


GLOBAL_KEYS = (
    "activateable", "associateEntityType", "associateParentEntity", "createable", "custom", "customSetting",
    "deepCloneable", "deletable", "deprecatedAndHidden", "feedEnabled", "hasSubtypes", "isInterface", "isSubtype",
    "keyPrefix", "label", "labelPlural", "layoutable", "mergeable", "mruEnabled", "name", "queryable", "replicateable",
    "retrieveable", "searchable", "triggerable", "undeletable", "updateable", "urls",
)  # fmt: skip


def global_entry(entry: Described) -> Described:
    """An object as the global describe lists it."""
    return {key: entry.get(key) for key in GLOBAL_KEYS}


def _recorded(name: str) -> Described:
    packed = files("crosstie.sandbox.salesforce").joinpath(f"metadata/describe_{name}.json.gz").read_bytes()
    entry: Described = json.loads(gzip.decompress(packed))
    entry["fields"] += _custom_fields(name)
    for item in entry["fields"]:
        if item["externalId"]:
            item["idLookup"] = True
    return entry


def _custom_fields(name: str) -> list[Described]:
    erp_id = field("ERP_Id__c", "string", "ERP Id", length=40, externalId=True, unique=True, idLookup=True)
    if name == "Account":
        return [erp_id]
    if name == "Contact":
        return [
            field("Interests__c", "multipicklist", "Interests", length=4099, values=INTERESTS, precision=6),
            erp_id,
            field("Score__c", "double", "Score", precision=10, scale=2),
            # Neither unique nor rare: what a client gets by it can be several records (HTTP 300).
            field("Legacy_Key__c", "string", "Legacy Key", length=30, externalId=True, idLookup=True),
        ]
    return []


def _owner(*targets: str) -> Described:
    return field(
        "OwnerId", "reference", "Owner ID", to=targets, relationshipName="Owner", nillable=False, defaultedOnCreate=True
    )


def _user() -> Described:
    fields = [
        *system_fields(label="User", deletable=False),
        field("Username", "string", length=80, nillable=False, idLookup=True),
        field("LastName", "string", "Last Name", length=80, nillable=False, compoundFieldName="Name"),
        field("FirstName", "string", "First Name", length=40, compoundFieldName="Name"),
        read_only("Name", "string", "Full Name", length=121, nillable=False, nameField=True),
        field("Email", "email", nillable=False, idLookup=True),
        field("Alias", "string", length=8, nillable=False),
        field("IsActive", "boolean", "Active"),
        field("TimeZoneSidKey", "picklist", "Time Zone", length=40, nillable=False, values=["Europe/Paris", "UTC"]),
        field("LocaleSidKey", "picklist", "Locale", length=40, nillable=False, values=["fr_FR", "en_US"]),
        field("LanguageLocaleKey", "picklist", "Language", length=40, nillable=False, values=["fr", "en_US"]),
        field("UserType", "picklist", "User Type", length=40, values=["Standard"]),
        field("FederationIdentifier", "string", "SAML Federation ID", length=512, idLookup=True),
    ]
    return sobject("User", "User", "005", fields, deletable=False, undeletable=False, createable=False)


def _organization() -> Described:
    fields = [
        *system_fields(label="Organization", deletable=False),
        read_only("Name", "string", length=80, nillable=False, nameField=True),
        read_only("Country", "string", length=80),
        read_only("DefaultLocaleSidKey", "picklist", "Locale", length=40, values=["fr_FR", "en_US"]),
        read_only("TimeZoneSidKey", "picklist", "Time Zone", length=40, values=["Europe/Paris", "UTC"]),
        read_only("LanguageLocaleKey", "picklist", "Language", length=40, values=["fr", "en_US"]),
        read_only("NamespacePrefix", "string", "Namespace Prefix", length=15),
        read_only("InstanceName", "string", "Instance Name", length=5),
        read_only("IsSandbox", "boolean", "Is Sandbox"),
        read_only("OrganizationType", "picklist", "Edition", length=40, values=["Enterprise Edition"]),
        read_only("TrialExpirationDate", "datetime", "Trial Expiration Date"),
    ]
    return sobject(
        "Organization", "Organization", "00D", fields, createable=False, updateable=False, deletable=False,
        undeletable=False, layoutable=False, triggerable=False, searchable=False,
    )  # fmt: skip


def _record_type() -> Described:
    fields = [
        *system_fields(label="Record Type", deletable=False),
        read_only("Name", "string", length=80, nillable=False, nameField=True),
        read_only("DeveloperName", "string", "Record Type Name", length=80, nillable=False),
        read_only("NamespacePrefix", "string", "Namespace Prefix", length=15),
        read_only("Description", "string", length=255),
        read_only("SobjectType", "picklist", "SObject Type Name", length=40, values=["Account"]),
        read_only("IsActive", "boolean", "Active"),
    ]
    return sobject(
        "RecordType", "Record Type", "012", fields, createable=False, updateable=False, deletable=False,
        undeletable=False, layoutable=False, triggerable=False, searchable=False,
    )  # fmt: skip


def _assignment_rule() -> Described:
    fields = [
        *system_fields(label="Assignment Rule", deletable=False),
        read_only("Name", "string", length=120, nameField=True),
        read_only("SobjectType", "picklist", "SObject Type", length=40, values=["Case", "Lead"]),
        read_only("Active", "boolean", nillable=False),
    ]
    return sobject(
        "AssignmentRule", "Assignment Rule", "01Q", fields, createable=False, updateable=False, deletable=False,
        undeletable=False, layoutable=False, triggerable=False, searchable=False, mruEnabled=False,
    )  # fmt: skip


def _gadget() -> Described:
    """A custom object with a field of every type of the fact sheet's table 2.3."""
    fields = [
        *system_fields(label="Gadget"),
        _owner("Group", "User"),
        field("Name", "string", "Gadget Name", length=80, nameField=True, idLookup=True),
        field("Contact__c", "reference", "Contact", to=["Contact"], relationshipName="Contact__r"),
        field("Account__c", "reference", "Account", to=["Account"], relationshipName="Account__r"),
        field(
            "Serial__c", "string", "Serial", length=30, externalId=True, unique=True, idLookup=True, caseSensitive=True
        ),
        field("Required__c", "string", "Required", length=20, nillable=False),
        field("Notes__c", "textarea", "Notes", length=255),
        field("Story__c", "textarea", "Story", length=32768),
        field("Hotline__c", "phone", "Hotline"),
        field("Page__c", "url", "Page"),
        field("Contact_Email__c", "email", "Contact Email"),
        field("Combo__c", "combobox", "Combo", values=["one", "two"]),
        field("Secret__c", "encryptedstring", "Secret", length=100, mask="*", maskType="all"),
        field("Channel__c", "picklist", "Channel", values=GADGET_CHANNELS, restrictedPicklist=True),
        field("Colour__c", "picklist", "Colour", values=["Red", "Vert", "Blau"]),
        field("Tags__c", "multipicklist", "Tags", length=4099, values=GADGET_TAGS, precision=4,
              restrictedPicklist=True),
        field("Active__c", "boolean", "Active"),
        field("Count__c", "int", "Count"),
        field("Weight__c", "double", "Weight", precision=18, scale=6),
        field("Share__c", "percent", "Share", precision=5, scale=2),
        field("Price__c", "currency", "Price", precision=18, scale=2),
        field("Built__c", "date", "Built"),
        field("Seen__c", "datetime", "Seen"),
        field("Opens__c", "time", "Opens"),
        field("Image__c", "base64", "Image"),
        read_only("Site__c", "address", "Site"),
        *_address_parts("Site"),
        read_only("Place__c", "location", "Place", displayLocationInDecimal=True),
        field("Place__Latitude__s", "double", "Place (Latitude)", compoundFieldName="Place__c", scale=15),
        field("Place__Longitude__s", "double", "Place (Longitude)", compoundFieldName="Place__c", scale=15),
        read_only(
            "Doubled__c", "double", "Doubled", calculated=True, calculatedFormula="Count__c * 2", scale=0
        ),
        read_only("Ticks__c", "long", "Ticks"),
        read_only("Any__c", "anyType", "Any", length=255),
        read_only("Complex__c", "complexvalue", "Complex", length=255),
        read_only("Category__c", "datacategorygroupreference", "Category", length=80),
        read_only("Extra__c", "json", "Extra", length=255),
    ]  # fmt: skip
    return sobject("Gadget__c", "Gadget", "a00", fields)


def _address_parts(stem: str) -> list[Described]:
    compound = f"{stem}__c"
    return [
        field(f"{stem}__Street__s", "textarea", f"{stem} (Street)", length=255, compoundFieldName=compound),
        field(f"{stem}__City__s", "string", f"{stem} (City)", length=40, compoundFieldName=compound),
        field(f"{stem}__PostalCode__s", "string", f"{stem} (Zip)", length=20, compoundFieldName=compound),
        field(f"{stem}__StateCode__s", "picklist", f"{stem} (State)", length=10, compoundFieldName=compound),
        field(f"{stem}__CountryCode__s", "picklist", f"{stem} (Country)", length=10, compoundFieldName=compound),
        field(f"{stem}__Latitude__s", "double", f"{stem} (Latitude)", compoundFieldName=compound, scale=15),
        field(f"{stem}__Longitude__s", "double", f"{stem} (Longitude)", compoundFieldName=compound, scale=15),
        field(f"{stem}__GeocodeAccuracy__s", "picklist", f"{stem} (Accuracy)", length=40, compoundFieldName=compound,
              values=["Address", "City", "Zip"], restrictedPicklist=True),
    ]  # fmt: skip


def _urls(name: str) -> dict[str, str]:
    root = f"/services/data/vxx.0/sobjects/{name}"
    return {
        "compactLayouts": f"{root}/describe/compactLayouts",
        "rowTemplate": f"{root}/{{ID}}",
        "approvalLayouts": f"{root}/describe/approvalLayouts",
        "defaultValues": f"{root}/defaultValues?recordTypeId&fields",
        "listviews": f"{root}/listviews",
        "describe": f"{root}/describe",
        "quickActions": f"{root}/quickActions",
        "layouts": f"{root}/describe/layouts",
        "sobject": root,
    }


def _add_child_relationships(described: list[Described]) -> None:
    """Names the way from a parent to the children that were added here."""
    by_name = {entry["name"]: entry for entry in described}
    for parent, name in (("Contact", "Gadgets__r"), ("Account", "Gadgets__r")):
        by_name[parent]["childRelationships"].append(
            {
                "cascadeDelete": False,
                "childSObject": "Gadget__c",
                "deprecatedAndHidden": False,
                "field": f"{parent}__c",
                "junctionIdListNames": [],
                "junctionReferenceTo": [],
                "relationshipName": name,
                "restrictedDelete": False,
            }
        )

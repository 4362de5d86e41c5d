"""The administrative services, which want credentials in each request: fields and picklists as administrators set
them up.

Sources: Web Services On Demand Guide, "FieldManagementRead", "FieldManagementUpsert" and "PicklistRead"; their
namespaces and paths are those that a field client uses.
"""

from __future__ import annotations

from collections.abc import Iterable

from lxml import etree

from crosstie.sandbox.oracle_on_demand.definitions import Field, Object
from crosstie.sandbox.oracle_on_demand.elements import element
from crosstie.sandbox.oracle_on_demand.metadata import LANGUAGES, record_type, service_name
from crosstie.sandbox.oracle_on_demand.org import Call, Org

PATHS = ("/Services/cte/FieldManagementService", "/Services/cte/PicklistService")
"""Where these services are reached."""
FIELDS = "urn:crmondemand/ws/odesabs/fieldmanagement/"
FIELD_DATA = "urn:/crmondemand/xml/fieldmanagement/data"
PICKLISTS = "urn:crmondemand/ws/odesabs/picklist/"
PICKLIST_DATA = "urn:/crmondemand/xml/picklist/data"


def field_management_read(org: Org, call: Call) -> etree._Element:
    """The fields of one object: the company's own, or all of them when IncludeAll is true."""
    name, everything = _criteria(call, "FieldSet")
    return _fields("FieldManagementRead_Output", [record_type(org, name)], everything)


def field_management_read_all(org: Org, call: Call) -> etree._Element:
    """The company's own fields of every object."""
    return _fields("FieldManagementReadAll_Output", org.objects.values(), False)


def picklist_read(org: Org, call: Call) -> etree._Element:
    """The picklists of one object: the company's own, or all of them when IncludeAll is true."""
    name, everything = _criteria(call, "PicklistSet")
    return _picklists("PicklistRead_Output", [record_type(org, name)], everything)


def picklist_read_all(org: Org, call: Call) -> etree._Element:
    """The company's own picklists of every object."""
    return _picklists("PicklistReadAll_Output", org.objects.values(), False)


def _criteria(call: Call, tag: str) -> tuple[str, bool]:
    """ObjectName and IncludeAll of the set that is asked for."""
    found = {
        etree.QName(one).localname: (one.text or "").strip()
        for asked in call.input.iterchildren("*")
        if etree.QName(asked).localname == tag
        for one in asked.iterchildren("*")
    }
    return found.get("ObjectName", ""), found.get("IncludeAll", "").lower() == "true"


def _fields(root: str, records: Iterable[Object], everything: bool) -> etree._Element:
    sets = [
        element(
            FIELD_DATA,
            "FieldSet",
            element(FIELD_DATA, "ObjectName", service_name(record)),
            element(
                FIELD_DATA,
                "ListOfFields",
                *(_field(one) for one in record.fields.values() if everything or one.custom),
            ),
        )
        for record in records
    ]
    return element(FIELDS, root, element(FIELD_DATA, "ListOfFieldSet", *sets))


def _field(field: Field) -> etree._Element:
    told = {
        "Name": field.generic or field.label,
        "DisplayName": field.label,
        "FieldType": str(field.type),
        "IntegrationTag": field.tag,
        "GenericIntegrationTag": field.generic or field.tag,
        "Required": str(field.required).lower(),
        "ReadOnly": str(field.read_only).lower(),
    }
    translations = [
        element(
            FIELD_DATA,
            "FieldTranslation",
            element(FIELD_DATA, "LanguageCode", language),
            element(FIELD_DATA, "DisplayName", field.label),
        )
        for language in LANGUAGES
    ]
    return element(
        FIELD_DATA,
        "Field",
        *(element(FIELD_DATA, name, value) for name, value in told.items()),
        element(FIELD_DATA, "ListOfFieldTranslations", *translations),
    )


def _picklists(root: str, records: Iterable[Object], everything: bool) -> etree._Element:
    sets = [
        element(
            PICKLIST_DATA,
            "PicklistSet",
            element(PICKLIST_DATA, "ObjectName", service_name(record)),
            element(
                PICKLIST_DATA,
                "ListOfPicklists",
                *(
                    _picklist(one)
                    for one in record.fields.values()
                    if one.is_picklist and not one.read_only and (everything or one.custom)
                ),
            ),
        )
        for record in records
    ]
    return element(PICKLISTS, root, element(PICKLIST_DATA, "ListOfPicklistSet", *sets))


def _picklist(field: Field) -> etree._Element:
    values = []
    for order, one in enumerate(field.picklist, 1):
        translations = [
            element(
                PICKLIST_DATA,
                "ValueTranslation",
                element(PICKLIST_DATA, "LanguageCode", language),
                element(PICKLIST_DATA, "Value", one.label),
                element(PICKLIST_DATA, "Order", str(order)),
            )
            for language in LANGUAGES
        ]
        values.append(
            element(
                PICKLIST_DATA,
                "PicklistValue",
                element(PICKLIST_DATA, "ValueId", one.code),
                element(PICKLIST_DATA, "Disabled", str(one.disabled).lower()),
                element(PICKLIST_DATA, "ListOfValueTranslations", *translations),
            )
        )
    return element(
        PICKLIST_DATA,
        "Picklist",
        element(PICKLIST_DATA, "Name", field.generic or field.tag),
        element(PICKLIST_DATA, "ListOfPicklistValues", *values),
    )

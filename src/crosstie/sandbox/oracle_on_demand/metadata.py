"""The services that tell of fields and of picklists: Mapping and Picklist.

Sources: Web Services On Demand Guide, "GetMapping" and "GetPicklistValues"; fact sheet, section 3.
"""

from __future__ import annotations

from lxml import etree

from crosstie.sandbox.oracle_on_demand.definitions import FLAVOURS, Field, Object
from crosstie.sandbox.oracle_on_demand.elements import element
from crosstie.sandbox.oracle_on_demand.org import Call, Org
from crosstie.sandbox.oracle_on_demand.refusals import no_picklist, no_record_type

MAPPING = "urn:crmondemand/ws/mapping/"
MAPPING_DATA = "urn:/crmondemand/xml/mappingservice"
PICKLIST = "urn:crmondemand/ws/picklist/"
PICKLIST_DATA = "urn:/crmondemand/xml/picklist"
LANGUAGES = ("ENU", "FRA", "DEU")
"""The languages of the company, in all of which the labels are those of ENU."""
_HIDDEN = frozenset({"ModifiedById", "CreatedById", "IntegrationId"})
"""Fields that the user interface does not show."""
_UNREADABLE = frozenset({"SalesStage", "CurrencyCode"})
"""Picklists that other services look after, so that this one refuses them."""
_DEFINED = "01/01/2019 00:00:00"


def service_name(record: Object) -> str:
    """How these services name an object."""
    return record.service_name or record.name


def record_type(org: Org, name: str) -> Object:
    """The object of a name of these services. Raises SoapFault."""
    for record in org.objects.values():
        if service_name(record) == name:
            return record
    raise no_record_type(name)


def get_mapping(org: Org, call: Call) -> etree._Element:
    """Every field of an object with its label, its tag in generic WSDLs of v1.0 (of v2.0 where there is no v1.0), and
    its type."""
    record = record_type(org, call.argument("ObjectName"))
    version = record.versions[0]
    flavour = "custom" if org.switches.mapping_custom_tags else "generic"
    listed = element(MAPPING_DATA, "ListOfField")
    for field in record.fields.values():
        tag = field.tag_in(version, flavour)
        if tag is None:
            continue
        told = {
            "LastUpdated": _DEFINED,
            "DisplayName": "hidden" if field.tag in _HIDDEN else field.label,
            "ElementName": tag,
            "DataType": str(field.type),
        }
        listed.append(element(MAPPING_DATA, "Field", *(element(MAPPING_DATA, *pair) for pair in told.items())))
    name = element(MAPPING, "ObjectName", service_name(record))
    return element(MAPPING, "MappingWS_GetMapping_Output", name, listed)


def get_picklist_values(org: Org, call: Call) -> etree._Element:
    """The values of one picklist, which is named by any of its tags, in one language or in all of the company."""
    record = record_type(org, call.argument("RecordType"))
    name = call.argument("FieldName")
    field = _named(record, name)
    if field is None or not field.is_picklist or field.read_only or field.tag in _UNREADABLE:
        raise no_picklist(name, service_name(record))
    language = call.argument("LanguageCode")
    groups = [_group(field, one) for one in ((language,) if language else LANGUAGES)]
    listed = element(PICKLIST_DATA, "ListOfParentPicklistValue", *groups)
    return element(PICKLIST, "PicklistWS_GetPicklistValues_Output", listed)


def _named(record: Object, tag: str) -> Field | None:
    for version in record.versions:
        for flavour in FLAVOURS:
            field = record.field_of(tag, version, flavour)
            if field is not None:
                return field
    return None


def _group(field: Field, language: str) -> etree._Element:
    """The values that go with one value of a parent picklist; nothing here cascades, so that there is no parent."""
    values = [
        element(
            PICKLIST_DATA,
            "PicklistValue",
            element(PICKLIST_DATA, "Code", one.code),
            element(PICKLIST_DATA, "DisplayValue", one.label),
            element(PICKLIST_DATA, "Disabled", "Y" if one.disabled else "N"),
        )
        for one in field.picklist
    ]
    return element(
        PICKLIST_DATA,
        "ParentPicklistValue",
        element(PICKLIST_DATA, "Language", language),
        element(PICKLIST_DATA, "ParentFieldName"),
        element(PICKLIST_DATA, "ParentDisplayValue"),
        element(PICKLIST_DATA, "ParentCode"),
        element(PICKLIST_DATA, "ListOfPicklistValue", *values),
    )

"""The services that are of no object, by their SOAP action."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from crosstie.sandbox.oracle_on_demand import administration, metadata, signed_in
from crosstie.sandbox.oracle_on_demand.org import Call, Org

Answer = Callable[[Org, Call], etree._Element]


@dataclass(frozen=True, slots=True)
class Service:
    """Who answers an operation, and its body's element. An `administrative` one takes no session: it needs
    credentials in each request."""

    answer: Answer
    body: str
    administrative: bool = False


SERVICES: dict[tuple[str, str], Service] = {
    ("mapping/", "GetMapping"): Service(metadata.get_mapping, "MappingWS_GetMapping_Input"),
    ("picklist/", "GetPicklistValues"): Service(metadata.get_picklist_values, "PicklistWS_GetPicklistValues_Input"),
    ("time/", "GetServerTime"): Service(signed_in.get_server_time, "TimeWS_GetServerTime_Input"),
    ("currentuser/", "CurrentUserQueryPage"): Service(
        signed_in.current_user, "CurrentUserWS_CurrentUserQueryPage_Input"
    ),
    ("odesabs/fieldmanagement/", "FieldManagementRead"): Service(
        administration.field_management_read, "FieldManagementRead_Input", administrative=True
    ),
    ("odesabs/fieldmanagement/", "FieldManagementReadAll"): Service(
        administration.field_management_read_all, "FieldManagementReadAll_Input", administrative=True
    ),
    ("odesabs/picklist/", "PicklistRead"): Service(
        administration.picklist_read, "PicklistRead_Input", administrative=True
    ),
    ("odesabs/picklist/", "PicklistReadAll"): Service(
        administration.picklist_read_all, "PicklistReadAll_Input", administrative=True
    ),
}
"""By what follows `urn:crmondemand/ws/` in the SOAP action's namespace, in lower case, and the operation."""

"""What one asks first: the service document, who one is, the version, and $metadata.

Sources: Dataverse Web API guide, "Web API service documents", WhoAmI and RetrieveVersion functions.
"""

from xml.sax.saxutils import quoteattr

from crosstie.sandbox.dynamics.errors import json_response
from crosstie.sandbox.dynamics.generate import BUSINESS_UNIT_ID
from crosstie.sandbox.dynamics.odata.values import edm_type
from crosstie.sandbox.dynamics.org import Call, Org
from crosstie.sandbox.dynamics.table import Table
from crosstie.sandbox.dynamics.tables import TABLES
from crosstie.sandbox.http import Response

VERSION = "9.2.26111.180"


class Discovery:
    """Answers for one organization."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def service_document(self, call: Call) -> Response:
        """GET of the service's root."""
        sets = [{"name": one.set_name, "kind": "EntitySet", "url": one.set_name} for one in TABLES.values()]
        return json_response({"@odata.context": f"{call.base}/$metadata", "value": sets})

    def who_am_i(self, call: Call) -> Response:
        """GET WhoAmI, with the hint how many requests may be made at the same time."""
        body = {
            "@odata.context": f"{call.base}/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse",
            "BusinessUnitId": BUSINESS_UNIT_ID,
            "UserId": call.user.id,
            "OrganizationId": self._org.organization_id(),
        }
        return json_response(body, headers={"x-ms-dop-hint": str(self._org.switches.parallelism_hint)})

    def version(self, call: Call) -> Response:
        """GET RetrieveVersion."""
        context = f"{call.base}/$metadata#Microsoft.Dynamics.CRM.RetrieveVersionResponse"
        return json_response({"@odata.context": context, "Version": VERSION})

    def metadata_document(self, call: Call) -> Response:
        """GET $metadata: the tables in CSDL."""
        types = "".join(_entity_type(one) for one in TABLES.values())
        sets = "".join(
            f'<EntitySet Name="{one.set_name}" EntityType="mscrm.{one.logical_name}"/>' for one in TABLES.values()
        )
        document = (
            '<?xml version="1.0" encoding="utf-8"?>'
            '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>'
            '<Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" xmlns="http://docs.oasis-open.org/odata/ns/edm">'
            f'{types}<EntityContainer Name="System">{sets}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>'
        )
        headers = {"Content-Type": "application/xml", "OData-Version": "4.0"}
        return Response(headers=headers, parts=(document.encode(),))


def _entity_type(table: Table) -> str:
    parts = [f'<EntityType Name="{table.logical_name}"><Key><PropertyRef Name="{table.primary_id}"/></Key>']
    for one in table.attributes.values():
        if one.selectable:
            parts.append(f"<Property Name={quoteattr(one.property_name)} Type={quoteattr(edm_type(one))}/>")
        for target, name in one.navigation.items():
            parts.append(f'<NavigationProperty Name="{name}" Type="mscrm.{target}"/>')
    parts += [
        f'<NavigationProperty Name="{one.collections[table.logical_name]}"'
        f' Type="Collection(mscrm.{other.logical_name})"/>'
        for other in TABLES.values()
        for one in other.attributes.values()
        if table.logical_name in one.collections
    ]
    return "".join([*parts, "</EntityType>"])

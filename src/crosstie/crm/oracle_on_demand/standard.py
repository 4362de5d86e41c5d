"""What every company has, which no service tells: the standard objects, whose names differ between services (Web
Services guide, "Mapping Service", "DeletedItem"), and what is known of their fields."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from crosstie.crm.oracle_on_demand.settings import OUR_KEY

ID_LENGTH = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """An object that a company has. `service_name` is how the services for metadata name it, `deleted` how that of
    deletions does, none where they are not kept there; `custom` objects are for the company to use."""

    name: str
    label: str
    service_name: str = ""
    deleted: tuple[str, ...] = ()
    custom: bool = False
    v2_only: bool = False
    deletable: bool = True

    @property
    def asked_as(self) -> str:
        """Its name for the services for metadata."""
        return self.service_name or self.name


def _plain(name: str, label: str = "", *deleted: str) -> Standard:
    spaced = label or name
    return Standard(name=name, label=spaced, service_name=spaced, deleted=deleted or (name,))


def _custom(number: int) -> Standard:
    early = number <= 3
    spaced = f"Custom Object {number}"
    return Standard(
        name=f"CustomObject{number}",
        label=spaced,
        service_name=spaced if early else f"CustomObject{number}",
        deleted=(f"OnDemand {spaced}" if early else f"CustomObject{number}",),
        custom=True,
        v2_only=not early,
    )


_MOST_CUSTOM = 15
STANDARD = MappingProxyType(
    {
        one.name: one
        for one in (
            _plain("Account"),
            _plain("Activity", "Activity", "Action***Appointment", "Action***Task"),
            _plain("Asset", "Asset", "Asset Mgmt - Asset"),
            _plain("Campaign"),
            _plain("Contact"),
            _plain("Lead"),
            _plain("Opportunity"),
            _plain("Product"),
            _plain("ServiceRequest", "Service Request"),
            _plain("Solution"),
            Standard(name="User", label="User", deletable=False),
            *(_custom(number) for number in range(1, _MOST_CUSTOM + 1)),
        )
    }
)
"""The objects of a company, by the name that their web service has."""


def standard_of(name: str) -> Standard | None:
    """The object of that name, in any case."""
    return next((one for one in STANDARD.values() if one.name.lower() == name.lower()), None)


STAMPS = ("LastUpdated", "ModifiedDate", "LastLoggedIn")
"""The fields that can be an automatic index, in the order of Campaign's documentation."""

OUR_KEYS = frozenset({OUR_KEY, "IntegrationId"})

AUDIT = MappingProxyType(
    {
        "ModifiedDate": "Date/Time",
        "CreatedDate": "Date/Time",
        "ModifiedById": "ID",
        "CreatedById": "ID",
        "ModId": "Integer",
        "Id": "ID",
    }
)
"""What every object has in v2.0, shown by the user interface or not."""

READ_ONLY = frozenset(
    {"ModifiedDate", "CreatedDate", "ModifiedDateExt", "CreatedDateExt", "LastUpdated", "ModifiedById", "CreatedById"}
    | {"ModifiedBy", "CreatedBy", "LastLoggedIn", "ModId"}
)
NOT_FILTERABLE = frozenset({"ModifiedBy", "CreatedBy"})

RENAMED = MappingProxyType(
    {
        "CreatedbyEmailAddress": "CreatedByEMailAddr",
        "ModifiedbyEmailAddress": "UpdatedByEMailAddr",
        "LastUpdated": "ModifiedDateExt",
        "ModifiedByDate": "ModifiedDate",
    }
)
"""Tags of v1.0 that v2.0 has otherwise, on every object."""

RENAMED_ON = MappingProxyType(
    {
        ("Contact", "OccamTerritory"): "Territory",
        ("Activity", "Owner"): "Alias",
        ("Account", "PartnerOrgStatus"): "PartnerStatus",
    }
)
"""The same, on one object."""

REFERENCES = MappingProxyType(
    {
        "AccountId": "Account",
        "ParentAccountId": "Account",
        "ContactId": "Contact",
        "PrimaryContactId": "Contact",
        "KeyContactId": "Contact",
        "OpportunityId": "Opportunity",
        "LeadId": "Lead",
        "CampaignId": "Campaign",
        "SourceCampaignId": "Campaign",
        "ServiceRequestId": "ServiceRequest",
        "ProductId": "Product",
        "ParentActivityId": "Activity",
        "OwnerId": "User",
        "SalesRepId": "User",
        "ModifiedById": "User",
        "CreatedById": "User",
        "UserId": "User",
    }
)
"""Where ids lead."""

REFERENCES_ON = MappingProxyType({("Contact", "ManagerId"): "Contact", ("User", "ManagerId"): "User"})

LENGTHS = MappingProxyType(
    {
        "ContactFirstName": 50,
        "ContactLastName": 50,
        "MiddleName": 50,
        "LeadFirstName": 50,
        "LeadLastName": 50,
        "AccountName": 100,
        "Location": 50,
        "JobTitle": 75,
    }
)
"""Lengths of columns that no service tells and that are the application's own."""

"""Opportunity, Activity, User, two custom objects, and deleted items.

Tags are those of downloaded WSDLs (fact sheet, section 7).
"""

from crosstie.sandbox.oracle_on_demand.customer_objects import BUILT_IN_KEYS, LEAD_SOURCES
from crosstie.sandbox.oracle_on_demand.definitions import FieldType, Object, listed
from crosstie.sandbox.oracle_on_demand.field_kinds import (
    audit,
    boolean,
    copied,
    custom,
    date,
    email,
    instant,
    integer,
    memo,
    number,
    owned,
    phone,
    picklist,
    row_id,
    text,
    values,
)

OPPORTUNITY = Object(
    name="Opportunity",
    label="Opportunity",
    name_tag="OpportunityName",
    user_keys=(*BUILT_IN_KEYS, ("OpportunityName", "AccountId")),
    fields=listed(
        [
            *audit("Row Id", "OpportunityId"),
            text("OpportunityName", "Opportunity Name", 100, required=True),
            row_id("AccountId", "Account Id", "Account"),
            copied("AccountName", "Account", "AccountId", "AccountName"),
            row_id("KeyContactId", "Key Contact Id", "Contact"),
            date("CloseDate", "Close Date", required=True),
            picklist(
                "SalesStage",
                "Sales Stage",
                values("Qualified Lead", "Building Vision", ("Short List", "Shortlist"), "Closed/Won", "Closed/Lost"),
                required=True,
            ),
            picklist("Status", "Status", values("Pending", "Open", "Won", "Lost")),
            number("Probability", "Probability %", FieldType.PERCENT),
            number("Revenue", "Revenue", FieldType.CURRENCY),
            number("ExpectedRevenue", "Expected Revenue", FieldType.CURRENCY, read_only=True, filterable=False),
            boolean("Forecast", "Forecast"),
            picklist("Priority", "Priority", values("Low", "Medium", "High")),
            picklist("LeadSource", "Lead Source", LEAD_SOURCES),
            text("NextStep", "Next Step", 250),
            memo("Description", "Description"),
            *owned(),
        ]
    ),
)

ACTIVITY = Object(
    name="Activity",
    label="Activity",
    name_tag="Subject",
    deleted_type="Action***Task",
    user_keys=BUILT_IN_KEYS,
    fields=listed(
        [
            *audit("Row Id", "ActivityId"),
            picklist("Activity", "Activity", values("Task", "Appointment"), required=True),
            text("Subject", "Subject", 150, required=True),
            picklist("Type", "Type", values("Call", "Correspondence", "Demonstration", "Email", "Meeting", "To Do")),
            picklist("Status", "Status", values("Not Started", "In Progress", "Completed", "Deferred")),
            picklist("Priority", "Priority", values(("1-High", "1 - High"), "2-Medium", "3-Low")),
            date("DueDate", "Due Date"),
            instant("StartTime", "Start Time"),
            instant("EndTime", "End Time"),
            text("Location", "Location", 100),
            row_id("AccountId", "Account Id", "Account"),
            row_id("PrimaryContactId", "Primary Contact Id", "Contact"),
            row_id("OpportunityId", "Opportunity Id", "Opportunity"),
            row_id("LeadId", "Lead Id", "Lead"),
            boolean("Private", "Private"),
            memo("Description", "Description"),
            *owned("Alias"),
        ]
    ),
)

USER = Object(
    name="User",
    label="User",
    name_tag="FullName",
    deletable=False,
    user_keys=(*BUILT_IN_KEYS, ("UserSignInId",)),
    fields=listed(
        [
            *audit("Row Id", "UserId"),
            text("UserSignInId", "User Sign In ID", 50, required=True),
            text("UserLoginId", "User ID", 50),
            text("Alias", "Alias", 50, required=True),
            text("FirstName", "First Name", required=True),
            text("LastName", "Last Name", required=True),
            text("FullName", "Full Name", 101, read_only=True, joined=("FirstName", "LastName")),
            email("EMailAddr", "Email", required=True),
            phone("PhoneNumber", "Work Phone #"),
            phone("CellPhone", "Cellular Phone #"),
            text("JobTitle", "Job Title", 75),
            text("Department", "Department", 75),
            text("Role", "Role", 50, required=True),
            picklist("Status", "Status", values("Active", "Inactive"), required=True),
            row_id("ManagerId", "Reports To Id", "User"),
            copied("ManagerAlias", "Reports To", "ManagerId", "Alias"),
            text("TimeZoneName", "Time Zone", 100),
            picklist("LanguageCode", "Language", values("ENU", "FRA", "DEU")),
            picklist("CurrencyCode", "Currency", values("EUR", "USD", "GBP")),
            instant("LastLoggedIn", "Last Signed In", read_only=True),
            boolean("NeverCall", "Never Call"),
            text("ExternalSystemId", "External Unique Id", 64),
            text("IntegrationId", "Integration Id", 64),
        ]
    ),
)

CUSTOM_OBJECT_1 = Object(
    name="CustomObject1",
    label="Visit",
    service_name="Custom Object 1",
    deleted_type="OnDemand Custom Object 1",
    user_keys=BUILT_IN_KEYS,
    fields=listed(
        [
            *audit("Row Id", "CustomObject1Id"),
            text("Name", "Name", 100, required=True),
            picklist("Type", "Type", values("Shop", "Fair", ("Home", "At home"))),
            row_id("ContactId", "Contact Id", "Contact"),
            copied("ContactFullName", "Contact", "ContactId", "ContactFullName"),
            row_id("AccountId", "Account Id", "Account"),
            memo("Description", "Description"),
            *owned(),
            custom(date("dVisit_Date", "Visit Date"), "CustomDate0"),
            custom(integer("iRating", "Rating"), "CustomInteger0"),
            custom(number("cAmount_Spent", "Amount Spent", FieldType.CURRENCY), "CustomCurrency0"),
        ]
    ),
)

CUSTOM_OBJECT_4 = Object(
    name="CustomObject4",
    label="Membership",
    user_keys=BUILT_IN_KEYS,
    versions=("v2",),
    fields=listed(
        [
            *audit("Row Id", "", v1=False),
            text("Name", "Name", 100, required=True, v1_tag=None),
            row_id("ContactId", "Contact Id", "Contact", v1_tag=None),
            boolean("Active", "Active", v1_tag=None),
            memo("Description", "Description", v1_tag=None),
            *owned(v1_tag=None),
            custom(text("stCard_Number", "Card Number", 40, v1_tag=None), "CustomText0"),
        ]
    ),
)

DELETED_ITEM = Object(
    name="DeletedItem",
    label="Deleted Item",
    payload_name="deleteditem",
    query_only=True,
    deletable=False,
    user_keys=(("Id",),),
    stamps=(),
    versions=("v1",),
    order=("DeletedDate", "Id"),
    fields=listed(
        [
            row_id("Id", "Deleted Item Id", v1_tag="DeletedItemId"),
            row_id("DeletedById", "Deleted By Id", "User"),
            text("DeletedBy", "Deleted By"),
            instant("DeletedDate", "Deleted Date"),
            text("Name", "Name", 255),
            row_id("ObjectId", "Object Id"),
            text("Type", "Type", 100),
            text("ExternalSystemId", "External Unique Id", 64),
        ]
    ),
)
"""What was deleted within the time of retention; a service of its own, in v1.0's manner."""

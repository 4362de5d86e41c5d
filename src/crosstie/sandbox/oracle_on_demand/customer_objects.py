"""Contact, Account and Lead. Tags are those of downloaded WSDLs (fact sheet, section 7)."""

from crosstie.sandbox.oracle_on_demand.definitions import Child, Field, FieldType, Object, listed
from crosstie.sandbox.oracle_on_demand.field_kinds import (
    audit,
    boolean,
    copied,
    custom,
    date,
    email,
    field,
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

SALUTATIONS = values("Mr.", "Ms.", "Mrs.", "Dr.", ("Prof.", "Professor"))
LEAD_SOURCES = values("Trade Show", "Web", "Referral", ("Partner", "Business partner"), "Other", disabled=("Fax",))
INDUSTRIES = values("Energy", ("High Technology", "Technology"), "Manufacturing", "Services", "Other")
BUILT_IN_KEYS = (("Id",), ("ExternalSystemId",), ("IntegrationId",))


def team(owner: str) -> Child:
    """The users who work on a record."""
    return Child(
        list_tag=f"ListOf{owner}Team",
        tag=f"{owner}Team",
        fields=listed(
            [
                row_id("Id", "Row Id", v1_tag=f"{owner}TeamId"),
                row_id("UserId", "User Id", "User", required=True),
                copied("UserAlias", "User", "UserId", "Alias"),
                picklist("TeamRole", "Team Role", values("Sales", "Support", ("Executive", "Executive sponsor"))),
            ]
        ),
    )


def _address(prefix: str, label: str, tags: tuple[str, ...]) -> list[Field]:
    names = ("Street", "Street 2", "City", "State/Province", "Zip/Post Code", "Country")
    lengths = (200, 100, 50, 50, 30, 50)
    return [
        text(f"{prefix}{tag}", f"{label} {name}", length)
        for tag, name, length in zip(tags, names, lengths, strict=True)
    ]


CONTACT = Object(
    name="Contact",
    label="Contact",
    name_tag="ContactFullName",
    user_keys=(*BUILT_IN_KEYS, ("ContactFirstName", "ContactLastName", "ContactEmail")),
    stamps=("ModifiedDate", "ModifiedDateExt"),
    children=(team("Contact"),),
    fields=listed(
        [
            *audit("Row Id", "ContactId", last_updated=True),
            text("ContactFirstName", "First Name", required=True),
            text("ContactLastName", "Last Name", required=True),
            text("MiddleName", "Middle Name"),
            text("ContactFullName", "Full Name", 101, read_only=True, joined=("ContactFirstName", "ContactLastName")),
            picklist("MrMrs", "Mr./Ms.", SALUTATIONS, length=15),
            picklist("ContactType", "Contact Type", values("Customer", "Prospect", ("Partner", "Business partner"))),
            text("JobTitle", "Job Title", 75),
            text("Department", "Department", 75),
            email("ContactEmail", "Email"),
            phone("WorkPhone", "Work Phone #"),
            phone("CellularPhone", "Cellular Phone #"),
            phone("HomePhone", "Home Phone #"),
            row_id("AccountId", "Account Id", "Account"),
            copied("AccountName", "Account", "AccountId", "AccountName"),
            text(
                "AccountExternalSystemId",
                "Account External Unique Id",
                64,
                via=("AccountId", "ExternalSystemId"),
                resolves="AccountId",
            ),
            picklist("LeadSource", "Lead Source", LEAD_SOURCES),
            row_id("ManagerId", "Reports To Id", "Contact"),
            copied("Manager", "Reports To", "ManagerId", "ContactFullName"),
            date("DateofBirth", "Date of Birth"),
            picklist("Gender", "Gender", values(("M", "Male"), ("F", "Female"), ("U", "Unknown"))),
            boolean("NeverEmail", "Never Email"),
            boolean("OptOut", "Opt Out"),
            boolean("Private", "Private"),
            instant("LastCallDate", "Last Call"),
            number("AnnualIncome", "Annual Income", FieldType.CURRENCY),
            *_address(
                "",
                "Contact",
                (
                    "AlternateAddress1",
                    "AlternateAddress2",
                    "AlternateCity",
                    "AlternateStateProvince",
                    "AlternateZipCode",
                    "AlternateCountry",
                ),
            ),
            memo("Description", "Description"),
            *owned(),
            text("IndexedShortText0", "Indexed Short Text 0", 40),
            custom(
                picklist("plCustomer_Tier", "Customer Tier", values(("A", "Gold"), ("B", "Silver"), ("C", "Bronze"))),
                "CustomPickList9",
            ),
            custom(boolean("bNewsletter", "Newsletter"), "CustomBoolean0"),
            custom(number("nScore", "Score"), "CustomNumber0"),
            custom(text("stCampaign_Code", "Campaign Code", 40), "CustomText39"),
            custom(date("dLast_Visit", "Last Visit"), "CustomDate0"),
            custom(instant("dtLast_Mailing", "Last Mailing"), "CustomDate1"),
            custom(
                field(
                    "mspInterests",
                    "Interests",
                    FieldType.MULTI_PICKLIST,
                    length=250,
                    picklist=values("Books", "Music", ("Sport", "Sports"), "Travel"),
                ),
                "CustomMultiSelectPickList0",
            ),
        ]
    ),
)

ACCOUNT = Object(
    name="Account",
    label="Account",
    name_tag="AccountName",
    user_keys=(*BUILT_IN_KEYS, ("AccountName", "Location")),
    children=(team("Account"),),
    fields=listed(
        [
            *audit("Row Id", "AccountId"),
            text("AccountName", "Account Name", 100, required=True),
            text("Location", "Location", 50),
            picklist("AccountType", "Account Type", values("Prospect", "Customer", ("Partner", "Business partner"))),
            picklist("Industry", "Industry", INDUSTRIES),
            picklist("Priority", "Priority", values("Low", "Medium", "High")),
            phone("MainPhone", "Main Phone #"),
            phone("MainFax", "Main Fax #"),
            field("WebSite", "Web Site", FieldType.URL, length=200),
            number("AnnualRevenues", "Annual Revenues", FieldType.CURRENCY),
            integer("NumberEmployees", "Number of Employees"),
            boolean("PublicCompany", "Public Company"),
            boolean("Reference", "Reference"),
            row_id("ParentAccountId", "Parent Account Id", "Account"),
            copied("ParentAccount", "Parent Account", "ParentAccountId", "AccountName"),
            *_address(
                "PrimaryBillTo",
                "Billing",
                ("StreetAddress", "StreetAddress2", "City", "State", "PostalCode", "Country"),
            ),
            memo("Description", "Description"),
            *owned(),
            custom(text("stRegion_Code", "Region Code", 40), "CustomText0"),
        ]
    ),
)

LEAD = Object(
    name="Lead",
    label="Lead",
    name_tag="LeadFullName",
    user_keys=BUILT_IN_KEYS,
    stamps=("ModifiedDate", "ModifiedDateExt"),
    fields=listed(
        [
            *audit("Row Id", "LeadId", last_updated=True),
            text("LeadFirstName", "First Name", required=True),
            text("LeadLastName", "Last Name", required=True),
            text("LeadFullName", "Full Name", 101, read_only=True, joined=("LeadFirstName", "LeadLastName")),
            picklist("MrMrs", "Mr./Ms.", SALUTATIONS, length=15),
            text("JobTitle", "Job Title", 75),
            text("Company", "Company", 100),
            email("LeadEmail", "Email"),
            phone("PrimaryPhone", "Primary Phone #"),
            phone("CellularPhone", "Cellular Phone #"),
            *_address("", "Lead", ("StreetAddress", "StreetAddress2", "City", "StateProvince", "ZipCode", "Country")),
            picklist("Industry", "Industry", INDUSTRIES),
            number("AnnualRevenues", "Annual Revenue", FieldType.CURRENCY),
            picklist("Status", "Status", values("Qualifying", "Qualified", "Archived", "Rejected", "Converted")),
            picklist("Rating", "Rating", values("A", "B", "C", "D")),
            picklist("Source", "Lead Source", LEAD_SOURCES),
            text("ProductInterest", "Product Interest", 100),
            number("PotentialRevenue", "Potential Revenue", FieldType.CURRENCY),
            date("EstimatedCloseDate", "Estimated Close Date"),
            row_id("AccountId", "Account Id", "Account"),
            row_id("ContactId", "Contact Id", "Contact"),
            row_id("OpportunityId", "Opportunity Id", "Opportunity"),
            boolean("NeverEmail", "Never Email"),
            memo("Description", "Description"),
            *owned("LeadOwner", v1_tag="LeadOwner"),
            custom(text("stCampaign_Code", "Campaign Code", 40), "CustomText39"),
        ]
    ),
)

"""The tables that the others lean on: users, teams, currencies, the organization, and what tells about messages, jobs
and the audit."""

from typing import Any

from crosstie.sandbox.dynamics.columns import (
    ACTIVE_STATES,
    OWNERS,
    STAMPS,
    VERSION,
    boolean,
    choice,
    decimal,
    entity_name,
    identifier,
    instant,
    integer,
    lookup,
    memo,
    states,
    table,
    text,
)

_SYSTEM: dict[str, Any] = {"ownership": "OrganizationOwned", "bulk_messages": False, "writable": False}

SYSTEM_USER = table(
    "SystemUser",
    "systemusers",
    8,
    text("FullName", 200, valid_for_create=False, valid_for_update=False),
    text("FirstName", 64),
    text("LastName", 64),
    text("DomainName", 1024, label="User Name"),
    text("InternalEMailAddress", 100, "Email", label="Primary Email"),
    text("Title", 128),
    identifier("ApplicationId", label="Application ID"),
    identifier("AzureActiveDirectoryObjectId", label="Azure AD Object ID"),
    lookup("BusinessUnitId", "businessunit", label="Business Unit"),
    boolean("IsDisabled", "Enabled", "Disabled", label="Status"),
    STAMPS,
    VERSION,
    name="fullname",
    label="User",
    **{**_SYSTEM, "ownership": "BusinessOwned"},
)

TEAM = table(
    "Team",
    "teams",
    9,
    text("Name", 160, label="Team Name"),
    choice("TeamType", dict(enumerate(("Owner", "Access", "Security Group", "Office Group")))),
    lookup("BusinessUnitId", "businessunit", label="Business Unit"),
    boolean("IsDefault"),
    STAMPS,
    VERSION,
    name="name",
    **{**_SYSTEM, "ownership": "BusinessOwned"},
)

BUSINESS_UNIT = table("BusinessUnit", "businessunits", 10, text("Name", 160), STAMPS, VERSION, name="name", **_SYSTEM)

CURRENCY = table(
    "TransactionCurrency",
    "transactioncurrencies",
    9105,
    text("CurrencyName", 100),
    text("ISOCurrencyCode", 5, label="Currency Code"),
    text("CurrencySymbol", 13),
    integer("CurrencyPrecision", 0, 4),
    decimal("ExchangeRate", 12, 0.000000000001, 100_000_000_000),
    ACTIVE_STATES,
    STAMPS,
    VERSION,
    name="currencyname",
    label="Currency",
    plural="Currencies",
    **_SYSTEM,
)

ORGANIZATION = table(
    "Organization",
    "organizations",
    1019,
    text("Name", 160),
    integer("ExpireChangeTrackingInDays", 0, 365),
    integer("LanguageCode", 0, 25_000),
    lookup("BaseCurrencyId", "transactioncurrency"),
    boolean("IsAuditEnabled"),
    integer("AuditRetentionPeriodV2", -1, 36_500),
    STAMPS,
    VERSION,
    name="name",
    **_SYSTEM,
)

AUDIT = table(
    "Audit",
    "audits",
    4567,
    choice("Action", {0: "Unknown", 1: "Create", 2: "Update", 3: "Delete"}),
    choice("Operation", {1: "Create", 2: "Update", 3: "Delete", 4: "Access"}),
    instant("CreatedOn", label="Changed Date"),
    lookup("UserId", "systemuser", label="Changed By"),
    lookup("ObjectId", "account", "contact", "lead", "new_visit", label="Record", navigation="objectid"),
    entity_name("ObjectTypeCode", label="Entity"),
    text("TransactionId", 100),
    name=None,
    change_tracking=False,
    optimistic=False,
    plural="Auditing",
    **_SYSTEM,
)

MESSAGE = table("SdkMessage", "sdkmessages", 4606, text("Name", 256), VERSION, name="name", **_SYSTEM)

MESSAGE_FILTER = table(
    "SdkMessageFilter",
    "sdkmessagefilters",
    4607,
    entity_name("PrimaryObjectTypeCode", label="Primary Object Type Code"),
    lookup("SdkMessageId", "sdkmessage", label="SDK Message ID"),
    VERSION,
    name=None,
    **_SYSTEM,
)

JOB = table(
    "AsyncOperation",
    "asyncoperations",
    4700,
    text("Name", 256, label="System Job Name"),
    integer("OperationType", label="System Job Type"),
    memo("FriendlyMessage", 500, label="Message"),
    integer("ErrorCode"),
    instant("StartedOn"),
    instant("CompletedOn"),
    states(
        {0: "Ready", 1: "Suspended", 2: "Locked", 3: "Completed"},
        [
            (0, "Waiting For Resources", 0),
            (10, "Waiting", 1),
            (20, "In Progress", 2),
            (21, "Pausing", 2),
            (22, "Canceling", 2),
            (30, "Succeeded", 3),
            (31, "Failed", 3),
            (32, "Canceled", 3),
        ],
    ),
    lookup("OwnerId", *OWNERS, navigation="ownerid"),
    STAMPS,
    VERSION,
    name="name",
    primary="AsyncOperationId",
    label="System Job",
    **_SYSTEM,
)

"""Tables that a customer of Dynamics made: one with every type of column, and some that lack something."""

from crosstie.sandbox.dynamics.columns import (
    ACTIVE_STATES,
    CURRENCY,
    OWNERSHIP,
    STAMPS,
    VERSION,
    big_int,
    boolean,
    choice,
    customer,
    decimal,
    double,
    entity_name,
    file,
    identifier,
    image,
    instant,
    integer,
    lookup,
    managed_property,
    memo,
    money,
    multi_choice,
    party_list,
    states,
    table,
    text,
)
from crosstie.sandbox.dynamics.table import Option, OptionSet

SEASONS = OptionSet(
    "new_season",
    "Season",
    (
        Option(100_000_000, "Spring", other_labels=((1036, "Printemps"),)),
        Option(100_000_001, "Summer", other_labels=((1036, "Été"),)),
        Option(100_000_002, "Autumn", other_labels=((1036, "Automne"),)),
        Option(100_000_003, "Winter", other_labels=((1036, "Hiver"),)),
    ),
)
"""The global choice, in two languages."""

OPTION_SETS: dict[str, OptionSet] = {SEASONS.name: SEASONS}

EVERYTHING = table(
    "new_Everything",
    "new_everythings",
    10_001,
    text("new_Name", 100, required="ApplicationRequired"),
    text("new_Serial", 30),
    text("new_Code", 20),
    text("new_Mandatory", 40, required="Recommended"),
    text("new_Mail", 100, "Email"),
    memo("new_Notes", 4000),
    integer("new_Count", -1000, 1000),
    big_int("new_Ticks"),
    decimal("new_Share", 10, -100_000_000_000, 100_000_000_000),
    double("new_Weight", 5, -100_000_000_000, 100_000_000_000),
    money("new_Price"),
    boolean("new_Active"),
    instant("new_Seen"),
    instant("new_SeenDay", format="DateOnly"),
    instant("new_Built", "DateOnly"),
    instant("new_Opens", "TimeZoneIndependent"),
    choice("new_Colour", {100_000_000: "Red", 100_000_001: "Vert, clair", 100_000_002: "Türkis"}),
    choice("new_Season", SEASONS),
    multi_choice("new_Tags", {number: f"Tag; {number}" for number in range(1, 10)}),
    multi_choice("new_Seasons", SEASONS),
    lookup("new_AccountId", "account", label="Account", collections={"account": "new_account_new_everything"}),
    lookup("new_ParentId", "new_everything", label="Parent"),
    lookup("new_AboutId", "account", "contact", "new_everything", label="About"),
    customer("new_CustomerId", label="Customer"),
    party_list("new_Guests"),
    identifier("new_Token"),
    entity_name("new_TableName"),
    managed_property("new_Managed"),
    image("new_Picture"),
    file("new_Document"),
    states(
        {0: "Active", 1: "Inactive"},
        [(1, "Draft", 0), (100_000_001, "Approved", 0), (2, "Withdrawn", 1), (100_000_002, "Sold", 1)],
    ),
    OWNERSHIP,
    CURRENCY,
    STAMPS,
    VERSION,
    name="new_name",
    keys={
        "new_serial_key": ("new_serial",),
        "new_code_and_season": ("new_code", "new_season"),
        "new_account_and_code": ("new_accountid", "new_code"),
    },
    plural="Everything",
)

VISIT = table(
    "new_Visit",
    "new_visits",
    10_002,
    text("new_Name", 100, required="SystemRequired"),
    lookup("new_ContactId", "contact", label="Contact", required="ApplicationRequired"),
    instant("new_At"),
    integer("new_Minutes", 0, 10_000),
    ACTIVE_STATES,
    OWNERSHIP,
    STAMPS,
    VERSION,
    name="new_name",
    change_tracking=False,
    optimistic=False,
    audited=True,
    bulk_messages=False,
)
"""Nobody tracks its changes, conditions on its versions are refused, and it knows no bulk messages."""

JOURNAL = table(
    "new_Journal",
    "new_journals",
    10_003,
    text("new_Name", 100),
    integer("new_Number"),
    VERSION,
    name="new_name",
    ownership="OrganizationOwned",
    change_tracking=False,
)
"""It has no modifiedon."""

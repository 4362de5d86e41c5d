"""Fills a new org with seeded records, in SQL: a million contacts in well under a minute.

Every column is a function of the record's number, so the same size gives the same org on every machine. Beside n
contacts there are n/10 accounts, n/5 leads, and n/20 opportunities, cases and gadgets each, and n/200 contacts in
the recycle bin. Stamps spread over seven years before the clock's first instant; about every third record belongs to
a bulk load in which thousands share one second.
"""

import sqlite3
from collections.abc import Mapping
from datetime import timedelta

from crosstie.sandbox.clock import FIRST_INSTANT
from crosstie.sandbox.salesforce.describes import GADGET_CHANNELS, GADGET_TAGS, INTERESTS
from crosstie.sandbox.salesforce.ids import ALPHABET, CHECKSUMS, POD, checksum, make_id
from crosstie.sandbox.seeding import (
    FIRST_DAY,
    SEEDS,
    SeedTable,
    create_seed_tables,
    joins,
    mail_address,
    numbered,
    one_of,
    pick,
    scattered,
)

ORG_ID = make_id("00D", 42)
USER_ID = make_id("005", 1)
"""The integration user: signs in, and owns what it creates."""
USERS = 5
STAMP = "'%Y-%m-%dT%H:%M:%S.000+0000'"


def generate(connection: sqlite3.Connection, records: int) -> None:
    """Writes every record; the tables exist, are empty and have no index yet."""
    _seed_tables(connection)
    accounts, leads, others = max(records // 10, 2), max(records // 5, 2), max(records // 20, 2)
    bin_size = records // 200
    _org_rows(connection)
    _fill(connection, "Account", "001", accounts, _account_columns(accounts))
    connection.execute("CREATE TEMP TABLE account_id AS SELECT Id AS id FROM Account ORDER BY rowid")
    _fill(connection, "Contact", "003", records + bin_size, _contact_columns(accounts, records))
    connection.execute("CREATE TEMP TABLE contact_id AS SELECT Id AS id FROM Contact ORDER BY rowid")
    _fill(connection, "Lead", "00Q", leads, _lead_columns(leads))
    _fill(connection, "Opportunity", "006", others, _opportunity_columns(accounts))
    _fill(connection, "Case", "500", others, _case_columns(accounts, records))
    _fill(connection, "Gadget__c", "a00", others, _gadget_columns(accounts, records))
    connection.execute(
        "INSERT INTO sandbox_delete_log SELECT 'Contact', Id, SystemModstamp FROM Contact WHERE IsDeleted = 1"
    )
    for table in ("account_id", "contact_id", "pair", *_SEEDS):
        connection.execute(f"DROP TABLE temp.{table}")


_SEEDS: dict[str, SeedTable] = {
    **SEEDS,
    "interest": (
        "names",
        [
            (";".join(value for k, value in enumerate(INTERESTS) if chosen >> k & 1) or None,)
            for chosen in range(1 << len(INTERESTS))
        ],
    ),
    "tag": (
        "names",
        [
            (";".join(value for k, value in enumerate(GADGET_TAGS) if chosen >> k & 1) or None,)
            for chosen in range(1 << len(GADGET_TAGS))
        ],
    ),
}


def _seed_tables(connection: sqlite3.Connection) -> None:
    """The seed tables, and `pair`, which has the two base-62 digits of each number below 62²."""
    create_seed_tables(connection, _SEEDS)
    connection.execute("CREATE TEMP TABLE pair (digits, capitals)")
    pairs = ((high + low, high.isupper() + 2 * low.isupper()) for high in ALPHABET for low in ALPHABET)
    connection.executemany("INSERT INTO temp.pair VALUES (?, ?)", pairs)


def _id(prefix: str) -> str:
    """SQL: the 18-character id of record n (n < 62⁴), equal to `ids.make_id`."""
    start = prefix + POD + "0"
    fixed = checksum(start + "0000")[:2]
    high = "(SELECT {} FROM temp.pair WHERE rowid = n / 3844 + 1)"
    low = "(SELECT {} FROM temp.pair WHERE rowid = n % 3844 + 1)"
    capitals = f"2 * {high.format('capitals')} + 8 * {low.format('capitals')}"
    return (
        f"'{start}' || {high.format('digits')} || {low.format('digits')} || '{fixed}'"
        f" || substr('{CHECKSUMS}', {capitals} + 1, 1)"
    )


def _user(salt: int) -> str:
    choices = ", ".join(f"'{make_id('005', number)}'" for number in range(1, USERS + 1))
    cases = " ".join(f"WHEN {k} THEN {user}" for k, user in enumerate(choices.split(", ")))
    return f"CASE {scattered(salt, USERS)} {cases} END"


def _fill(connection: sqlite3.Connection, table: str, prefix: str, count: int, columns: dict[str, str]) -> None:
    """Inserts records 1 to `count`. The stamps come first, as `s` (created) and `m` (modified) in epoch seconds."""
    common = {
        "Id": _id(prefix),
        "CreatedDate": f"strftime({STAMP}, c, 'unixepoch')",
        "CreatedById": _user(91),
        # Automation moves SystemModstamp alone (every 16th), audit fields set on import move LastModifiedDate back.
        "LastModifiedDate": f"strftime({STAMP}, CASE n % 16 WHEN 3 THEN c WHEN 7 THEN m - 86400 * (n % 9) ELSE m END,"
        " 'unixepoch')",
        "LastModifiedById": _user(92),
        "SystemModstamp": f"strftime({STAMP}, m, 'unixepoch')",
    }
    chosen = common | columns
    names, values = ", ".join(f'"{name}"' for name in chosen), ", ".join(chosen.values())
    connection.execute(
        f"""
        INSERT INTO "{table}" ({names})
        {numbered(count)}
        SELECT {values} FROM dated {joins(values, _SEEDS)}
        """
    )
    connection.execute("INSERT OR REPLACE INTO sandbox_sequence VALUES (?, ?)", (table, count))


def _person(salt: int) -> dict[str, str]:
    first, last = pick("person", "first", salt), pick("person", "last", salt)
    # Every 19th person has no first name, and then the whole name is the last one.
    return {
        "FirstName": f"CASE WHEN n % 19 <> 5 THEN {first} END",
        "LastName": last,
        "Name": f"CASE WHEN n % 19 <> 5 THEN {first} || ' ' ELSE '' END || {last}",
        "Salutation": f"CASE WHEN n % 4 <> 1 THEN {pick('person', 'salutation', salt)} END",
    }


def _address(stem: str, salt: int) -> dict[str, str]:
    parts = {"Street": "street", "City": "city", "State": "state", "PostalCode": "zip", "Country": "country"}
    return {
        stem + part: f"CASE WHEN n % 7 <> 2 THEN {pick('place', column, salt)} END" for part, column in parts.items()
    }


def _parent(table: str, count: int, salt: int, unless: str) -> str:
    chosen = f"SELECT id FROM temp.{table} WHERE rowid = {scattered(salt, count)} + 1"
    return f"CASE WHEN {unless} THEN NULL ELSE ({chosen}) END"


def _account_columns(accounts: int) -> dict[str, str]:
    return {
        "OwnerId": _user(93),
        "Name": f"{pick('firm', 'name', 3)} || ' ' || n",
        "Type": one_of(("Prospect", "Customer - Direct", "Channel Partner / Reseller", None), 4),
        "Industry": one_of(("Banking", "Education", "Food & Beverage", "Technology", None), 5),
        "Phone": f"'+33 4 77 ' || printf('%06d', {scattered(6, 1000000)})",
        "Website": "CASE WHEN n % 5 <> 1 THEN 'https://firm' || n || '.example/?q=\"a,b\"&x=1' END",
        "AnnualRevenue": f"CASE WHEN n % 6 <> 1 THEN {scattered(8, 400000000)} * 1.0 END",
        "NumberOfEmployees": f"CASE WHEN n % 6 <> 2 THEN {scattered(9, 20000)} END",
        "Description": f"CASE WHEN n % 3 = 0 THEN {pick('prose', 'body', 10)} END",
        "ERP_Id__c": "CASE WHEN n % 10 <> 4 THEN 'A-' || printf('%07d', n) END",
        "CleanStatus": "'Pending'",
        "AccountSource": one_of(("Web", "Other", None), 11),
        "ns__LinkedAccount__c": _id("001"),
        **_address("Billing", 12),
    }


def _contact_columns(accounts: int, records: int) -> dict[str, str]:
    person = 21
    day = f"{scattered(24, 20000)} || ' days'"
    in_bin = f"n > {records}"
    bin_stamp = int((FIRST_INSTANT - timedelta(days=10)).timestamp())
    modified = f"CASE WHEN {in_bin} THEN {bin_stamp} + {scattered(40, 777600)} ELSE m END"
    return {
        "OwnerId": _user(94),
        **_person(person),
        **_address("Mailing", 22),
        "AccountId": _parent("account_id", accounts, 23, "n % 31 = 3"),
        "Email": mail_address(person, accounts),
        "Phone": f"CASE WHEN n % 5 <> 0 THEN '+49 (0)30 ' || {scattered(25, 10000000)} END",
        "MobilePhone": f"CASE WHEN n % 3 = 0 THEN '0' || {scattered(26, 1000000000)} END",
        "Title": f"CASE WHEN n % 8 <> 3 THEN {pick('title', 'name', 27)} END",
        "Department": f"CASE WHEN n % 6 <> 3 THEN {pick('department', 'name', 28)} END",
        "LeadSource": one_of(("Web", "Phone Inquiry", "Partner Referral", "Other", None), 29),
        "Birthdate": f"CASE WHEN n % 4 <> 2 THEN date('1945-01-01', {day}) END",
        "LastActivityDate": f"CASE WHEN n % 3 <> 1 THEN date(m, 'unixepoch', -{scattered(30, 400)} || ' days') END",
        "Description": f"CASE WHEN n % 3 = 0 THEN {pick('prose', 'body', 31)} END",
        "CleanStatus": "'Pending'",
        "Interests__c": f"CASE WHEN n % 5 <> 4 THEN {pick('interest', 'names', 32)} END",
        "ERP_Id__c": "CASE WHEN n % 10 <> 7 THEN 'C-' || printf('%07d', n) END",
        "Legacy_Key__c": "CASE WHEN n % 50 = 9 THEN 'L/' || (n / 100) END",
        "Score__c": f"CASE WHEN n % 11 <> 6 THEN {scattered(33, 10001)} / 100.0 END",
        "IsDeleted": f"CASE WHEN {in_bin} THEN 1 ELSE 0 END",
        "SystemModstamp": f"strftime({STAMP}, {modified}, 'unixepoch')",
    }


def _lead_columns(leads: int) -> dict[str, str]:
    return {
        "OwnerId": _user(95),
        **_person(41),
        **_address("", 42),
        "Company": pick("firm", "name", 43),
        "Email": mail_address(41, max(leads // 2, 1)),
        "Phone": f"CASE WHEN n % 5 <> 0 THEN '+81 3-' || {scattered(44, 10000000)} END",
        "Title": f"CASE WHEN n % 8 <> 3 THEN {pick('title', 'name', 45)} END",
        "LeadSource": one_of(("Web", "Purchased List", None), 46),
        "Status": one_of(("Open - Not Contacted", "Working - Contacted", "Closed - Not Converted"), 47),
        "Rating": one_of(("Hot", "Warm", "Cold", None), 48),
        "AnnualRevenue": f"CASE WHEN n % 6 = 1 THEN {scattered(49, 900000000)} * 1.0 END",
        "NumberOfEmployees": f"CASE WHEN n % 6 <> 2 THEN {scattered(50, 20000)} END",
        "Description": f"CASE WHEN n % 4 = 0 THEN {pick('prose', 'body', 51)} END",
        "CleanStatus": "'Pending'",
        "IsUnreadByOwner": "n % 2",
    }


def _opportunity_columns(accounts: int) -> dict[str, str]:
    stages = ("Prospecting", "Qualification", "Closed Won", "Closed Lost")
    stage = one_of(stages, 61)
    return {
        "OwnerId": _user(96),
        "AccountId": _parent("account_id", accounts, 62, "n % 17 = 3"),
        "Name": f"{pick('firm', 'name', 63)} || ' – ' || n",
        "StageName": stage,
        "IsClosed": f"{stage} LIKE 'Closed%'",
        "IsWon": f"{stage} = 'Closed Won'",
        "Probability": one_of(("10", "20", "100", "0"), 61),
        "Amount": f"CASE WHEN n % 5 <> 3 THEN {scattered(64, 10000000)} / 100.0 END",
        "CloseDate": f"date('2026-01-01', {scattered(65, 720)} || ' days')",
        "Type": one_of(("New Customer", "Existing Customer - Upgrade", None), 66),
        "ForecastCategory": one_of(("Pipeline", "Pipeline", "Closed", "Omitted"), 61),
        "ForecastCategoryName": one_of(("Pipeline", "Pipeline", "Closed", "Omitted"), 61),
        "Description": f"CASE WHEN n % 4 = 0 THEN {pick('prose', 'body', 67)} END",
    }


def _case_columns(accounts: int, records: int) -> dict[str, str]:
    return {
        "OwnerId": _user(97),
        "CaseNumber": "printf('%08d', n)",
        "ContactId": _parent("contact_id", records, 71, "n % 9 = 2"),
        "AccountId": _parent("account_id", accounts, 72, "n % 9 = 5"),
        "Subject": f"{pick('title', 'name', 73)} || ' #' || n",
        "Status": one_of(("New", "Working", "Escalated", "Closed"), 74),
        "IsClosed": f"{one_of(('New', 'Working', 'Escalated', 'Closed'), 74)} = 'Closed'",
        "Priority": one_of(("High", "Medium", "Low"), 75),
        "Origin": one_of(("Phone", "Email", "Web", None), 76),
        "Description": f"CASE WHEN n % 2 = 0 THEN {pick('prose', 'body', 77)} END",
    }


def _gadget_columns(accounts: int, records: int) -> dict[str, str]:
    latitude = f"CASE WHEN n % 4 <> 3 THEN {scattered(100, 1800000)} / 10000.0 - 90 END"
    return {
        "OwnerId": _user(98),
        "Name": "'Gadget ' || n",
        "Contact__c": _parent("contact_id", records, 101, "n % 5 = 2"),
        "Account__c": _parent("account_id", accounts, 102, "n % 5 = 3"),
        "Serial__c": "CASE WHEN n % 2 = 0 THEN 'sn-' ELSE 'SN-' END || n",
        "Required__c": "'r' || n",
        "Notes__c": f"CASE WHEN n % 3 = 1 THEN {pick('prose', 'body', 103)} END",
        "Story__c": f"CASE WHEN n % 3 = 2 THEN {pick('prose', 'body', 104)} END",
        "Hotline__c": f"'0800 ' || {scattered(105, 1000000)}",
        "Page__c": "'https://gadget.example/' || n",
        "Contact_Email__c": "'gadget' || n || '@example.com'",
        "Combo__c": one_of(("one", "two", "drei, vier", None), 106),
        "Secret__c": "CASE WHEN n % 2 = 0 THEN '***' END",
        "Channel__c": one_of((*GADGET_CHANNELS, None), 107),
        "Colour__c": one_of(("Red", "Vert", "Blau", "Türkis", None), 108),
        "Tags__c": pick("tag", "names", 109),
        "Active__c": "n % 3 = 0",
        "Count__c": f"CASE WHEN n % 6 <> 1 THEN {scattered(110, 2000)} - 1000 END",
        "Doubled__c": f"CASE WHEN n % 6 <> 1 THEN ({scattered(110, 2000)} - 1000) * 2.0 END",
        "Weight__c": f"CASE WHEN n % 6 <> 2 THEN {scattered(111, 1000000007)} / 1000.0 END",
        "Share__c": f"CASE WHEN n % 6 <> 3 THEN {scattered(112, 10001)} / 100.0 END",
        "Price__c": f"CASE n % 6 WHEN 4 THEN NULL WHEN 5 THEN 350000000.0 ELSE {scattered(113, 1000000)} / 100.0 END",
        "Built__c": f"CASE WHEN n % 6 <> 5 THEN date('1999-12-31', {scattered(114, 20000)} || ' days') END",
        "Seen__c": f"CASE WHEN n % 7 <> 5 THEN strftime({STAMP}, {scattered(115, 1900000000)}, 'unixepoch') END",
        "Opens__c": f"CASE WHEN n % 7 <> 6 THEN strftime('%H:%M:%S.000Z', {scattered(116, 86400)}, 'unixepoch') END",
        "Image__c": "CASE WHEN n % 8 = 0 THEN CAST('PNG' || n AS BLOB) END",
        "Place__Latitude__s": latitude,
        "Place__Longitude__s": f"CASE WHEN n % 4 <> 3 THEN {scattered(117, 3600000)} / 10000.0 - 180 END",
        "Site__Street__s": pick("place", "street", 118),
        "Site__City__s": pick("place", "city", 118),
        "Site__PostalCode__s": pick("place", "zip", 118),
        "Site__CountryCode__s": one_of(("FR", "DE", "JP"), 119),
        "Ticks__c": "n * 10000000000",
        "Any__c": "CASE WHEN n % 9 = 0 THEN 'any ' || n END",
    }


def _org_rows(connection: sqlite3.Connection) -> None:
    created = FIRST_DAY.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    audit = {"CreatedDate": created, "LastModifiedDate": created, "SystemModstamp": created}
    audit |= {"CreatedById": USER_ID, "LastModifiedById": USER_ID}
    names = (("Sync", "Crosstie"), ("Ines", "Durand"), ("Jörg", "Weiß"), ("晴", "佐藤"), ("Owen", "O'Hara"))
    for number, (first, last) in enumerate(names, 1):
        _insert(
            connection,
            "User",
            audit
            | {
                "Id": make_id("005", number),
                "Username": USERNAME if number == 1 else f"user{number}@acme.example",
                "FirstName": first,
                "LastName": last,
                "Name": f"{first} {last}",
                "Email": f"user{number}@acme.example",
                "Alias": f"user{number}",
                "IsActive": 1,
                "TimeZoneSidKey": "Europe/Paris",
                "LocaleSidKey": "fr_FR",
                "LanguageLocaleKey": "en_US",
                "UserType": "Standard",
            },
        )
    _insert(
        connection,
        "Organization",
        audit
        | {
            "Id": ORG_ID,
            "Name": "Acme",
            "Country": "FR",
            "DefaultLocaleSidKey": "fr_FR",
            "TimeZoneSidKey": "Europe/Paris",
            "LanguageLocaleKey": "en_US",
            "InstanceName": "XT1",
            "OrganizationType": "Enterprise Edition",
        },
    )
    household = {"Id": "01254000001upcKAAQ", "Name": "Household", "DeveloperName": "Household"}
    _insert(connection, "RecordType", audit | household | {"SobjectType": "Account", "IsActive": 1})


USERNAME = "sync@acme.example"


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
    connection.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', tuple(row.values()))

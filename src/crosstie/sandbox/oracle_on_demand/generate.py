"""Fills a new company with seeded records, in SQL.

Beside n contacts there are n/10 accounts, n/5 leads, and n/20 opportunities, activities and records of each custom
object. Row ids are scattered, yet a function of object and number.
"""

import sqlite3
from collections.abc import Mapping

from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.oracle_on_demand.objects import OBJECTS, Object
from crosstie.sandbox.seeding import (
    SEEDS,
    create_seed_tables,
    joins,
    mail_address,
    numbered,
    one_of,
    pick,
    scattered,
)

USER_SIGN_IN = "ACME-DEV/INTEGRATION"
STAMP = "'%Y-%m-%dT%H:%M:%SZ'"
_LETTERS = {
    "Contact": "C",
    "Account": "A",
    "Lead": "L",
    "Opportunity": "O",
    "Activity": "T",
    "User": "U",
    "CustomObject1": "1",
    "CustomObject4": "4",
}
_USERS = (
    ("Integration", "Gateway"),
    ("Odile", "Müller"),
    ("Ravi", "Gupta"),
    ("Łucja", "Nowak"),
    ("Mary Ann", "O'Brien"),
)


def user_id(number: int) -> str:
    """The row id of a user: 1 is the one who signs in and owns what it makes, 2 makes the changes of control."""
    return f"AAPA-U{number:05d}"


USER_ID, OTHER_USER_ID = user_id(1), user_id(2)


def record_id(name: str, number: str = "n") -> str:
    """SQL: the row id of an object's record with that number; an odd factor scatters the numbers, each once."""
    letter = _LETTERS[name]
    return f"'AAPA-{letter}' || printf('%06X', (({number}) * 2654435761 + {ord(letter)} * 40503) & 16777215)"


def generate(connection: sqlite3.Connection, records: int) -> None:
    """Writes every record; the tables exist, are empty and have no index yet."""
    create_seed_tables(connection, SEEDS)
    accounts, leads, others = max(records // 10, 2), max(records // 5, 2), max(records // 20, 2)
    _users(connection)
    _fill(connection, "Account", accounts, _account(accounts))
    _fill(connection, "Contact", records, _contact(accounts, records))
    _fill(connection, "Lead", leads, _lead(leads, accounts))
    _fill(connection, "Opportunity", others, _opportunity(accounts, records))
    _fill(connection, "Activity", others, _activity(accounts, records))
    _fill(connection, "CustomObject1", others, _visit(accounts, records))
    _fill(connection, "CustomObject4", others, _membership(records))
    _teams(connection)
    _copies(connection)
    for table in SEEDS:
        connection.execute(f"DROP TABLE temp.{table}")


def _fill(connection: sqlite3.Connection, name: str, count: int, chosen: Mapping[str, str]) -> None:
    """Inserts records 1 to `count`; columns that are not given are null."""
    record = OBJECTS[name]
    given = {**_shared(record), **chosen}
    for tag, field in record.fields.items():
        if field.joined:
            given[tag] = "trim(" + " || ' ' || ".join(f"coalesce({given[one]}, '')" for one in field.joined) + ")"
    names, values = ", ".join(quoted(one) for one in given), ", ".join(given.values())
    connection.execute(
        f"INSERT INTO {quoted(record.table)} ({names}) {numbered(count)}"
        f" SELECT {values} FROM dated {joins(values, SEEDS)}"
    )


def _shared(record: Object) -> dict[str, str]:
    """What records have without being asked: keys, stamps and owners."""
    modified, created = f"strftime({STAMP}, m, 'unixepoch')", f"strftime({STAMP}, c, 'unixepoch')"
    found = {
        "Id": record_id(record.name),
        "ModifiedDate": modified,
        "ModifiedDateExt": modified,
        "CreatedDate": created,
        "ModifiedById": _user(92),
        "CreatedById": _user(91),
        "ModifiedBy": "'Gateway, ' || strftime('%m/%d/%Y %H:%M:%S', m, 'unixepoch')",
        "CreatedBy": "'Gateway, ' || strftime('%m/%d/%Y %H:%M:%S', c, 'unixepoch')",
        "ModId": "n % 7",
        "IntegrationId": record_id(record.name),
        "ExternalSystemId": f"CASE WHEN n % 10 = 4 THEN '{_LETTERS[record.name]}-' || printf('%07d', n) END",
        "OwnerId": _user(93),
        "CurrencyCode": one_of(["EUR", "EUR", "USD"], 94),
    }
    return {tag: value for tag, value in found.items() if tag in record.fields}


def _user(salt: int) -> str:
    return one_of([user_id(number) for number in range(1, len(_USERS) + 1)], salt)


def _choice(name: str, tag: str, salt: int, *, always: bool = False) -> str:
    """One of a picklist's values, by its code, or none."""
    codes = [one.code for one in OBJECTS[name].fields[tag].picklist if not one.disabled]
    return one_of(codes if always else [*codes, None], salt)


def _day(salt: int, span: int = 400) -> str:
    return f"date(c + {scattered(salt, span)} * 86400, 'unixepoch')"


def _amount(salt: int, below: int) -> str:
    """A number with at most two decimals, in plain notation."""
    cents = scattered(salt, below)
    return f"rtrim(rtrim(printf('%d.%02d', ({cents}) / 100, ({cents}) % 100), '0'), '.')"


def _address(tags: Mapping[str, str], salt: int) -> dict[str, str]:
    return {tag: f"CASE WHEN n % 7 <> 2 THEN {pick('place', column, salt)} END" for tag, column in tags.items()}


def _users(connection: sqlite3.Connection) -> None:
    at = "2019-11-01T00:00:00Z"
    for number, (first, last) in enumerate(_USERS, start=1):
        row = {
            "Id": user_id(number),
            "ModId": 0,
            "CreatedDate": at,
            "ModifiedDate": at,
            "CreatedById": USER_ID,
            "ModifiedById": USER_ID,
            "UserSignInId": USER_SIGN_IN if number == 1 else f"ACME-DEV/USER{number}",
            "Alias": last,
            "FirstName": first,
            "LastName": last,
            "FullName": f"{first} {last}",
            "EMailAddr": f"user{number}@acme.example",
            "Role": "Administrator" if number == 1 else "Sales Manager",
            "Status": "Active",
            "LanguageCode": "ENU",
            "CurrencyCode": "EUR",
            "LastLoggedIn": at,
            "IntegrationId": user_id(number),
        }
        names, marks = ", ".join(quoted(one) for one in row), ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO user ({names}) VALUES ({marks})", tuple(row.values()))


def _account(accounts: int) -> dict[str, str]:
    parent = record_id("Account", f"{scattered(13, accounts)} + 1")
    street = {"StreetAddress": "street", "City": "city", "State": "state", "PostalCode": "zip", "Country": "country"}
    return {
        "AccountName": f"{pick('firm', 'name', 3)} || ' ' || n",
        "Location": f"{pick('place', 'city', 23)}",
        "AccountType": _choice("Account", "AccountType", 4),
        "Industry": _choice("Account", "Industry", 5),
        "Priority": _choice("Account", "Priority", 24),
        "MainPhone": f"'+33 4 77 ' || printf('%06d', {scattered(6, 1000000)})",
        "WebSite": "CASE WHEN n % 5 <> 1 THEN 'https://firm' || n || '.example/?q=\"a,b\"&x=1' END",
        "AnnualRevenues": f"CASE WHEN n % 3 <> 0 THEN {_amount(25, 90000000)} END",
        "NumberEmployees": f"CASE WHEN n % 3 <> 1 THEN CAST({scattered(26, 5000)} AS TEXT) END",
        "PublicCompany": "CASE WHEN n % 9 = 1 THEN 'true' ELSE 'false' END",
        "ParentAccountId": f"CASE WHEN n % 8 = 3 THEN {parent} END",
        "Description": f"CASE WHEN n % 4 = 2 THEN {pick('prose', 'body', 27)} END",
        "stRegion_Code": "'R' || (n % 12)",
        **_address({f"PrimaryBillTo{tag}": column for tag, column in street.items()}, 21),
    }


def _contact(accounts: int, records: int) -> dict[str, str]:
    account = record_id("Account", f"{scattered(7, accounts)} + 1")
    manager = record_id("Contact", f"{scattered(34, max(records, 1))} + 1")
    street = {"Address1": "street", "City": "city", "StateProvince": "state", "ZipCode": "zip", "Country": "country"}
    return {
        "ContactFirstName": pick("person", "first", 11),
        "ContactLastName": pick("person", "last", 11),
        "MrMrs": f"CASE WHEN n % 6 <> 0 THEN {pick('person', 'salutation', 11)} END",
        "ContactType": _choice("Contact", "ContactType", 31),
        "JobTitle": f"CASE WHEN n % 5 <> 3 THEN {pick('title', 'name', 12)} END",
        "Department": f"CASE WHEN n % 4 <> 1 THEN {pick('department', 'name', 32)} END",
        "ContactEmail": mail_address(11, accounts),
        "WorkPhone": f"'+49 30 ' || printf('%07d', {scattered(33, 10000000)})",
        "CellularPhone": f"CASE WHEN n % 3 = 1 THEN '+33 6 ' || printf('%08d', {scattered(35, 100000000)}) END",
        "AccountId": f"CASE WHEN n % 6 <> 5 THEN {account} END",
        "LeadSource": _choice("Contact", "LeadSource", 36),
        "ManagerId": f"CASE WHEN n % 11 = 6 THEN {manager} END",
        "DateofBirth": f"CASE WHEN n % 4 <> 0 THEN date('1940-01-01', '+' || {scattered(37, 24000)} || ' days') END",
        "Gender": _choice("Contact", "Gender", 38),
        "NeverEmail": "CASE WHEN n % 13 = 4 THEN 'true' ELSE 'false' END",
        "OptOut": "CASE WHEN n % 17 = 4 THEN 'true' WHEN n % 17 < 12 THEN 'false' END",
        "LastCallDate": f"CASE WHEN n % 3 = 2 THEN strftime({STAMP}, c + {scattered(39, 9000000)}, 'unixepoch') END",
        "AnnualIncome": f"CASE WHEN n % 4 = 1 THEN {_amount(40, 20000000)} END",
        "Description": f"CASE WHEN n % 3 = 1 THEN {pick('prose', 'body', 41)} END",
        "plCustomer_Tier": _choice("Contact", "plCustomer_Tier", 42),
        "bNewsletter": "CASE WHEN n % 3 = 0 THEN 'true' WHEN n % 3 = 1 THEN 'false' END",
        "nScore": f"CASE WHEN n % 5 <> 4 THEN {_amount(43, 100000)} END",
        "stCampaign_Code": "CASE WHEN n % 4 = 3 THEN 'C' || (n % 50) END",
        "dLast_Visit": f"CASE WHEN n % 4 = 0 THEN {_day(44)} END",
        "mspInterests": one_of(["Books", "Books;Music", "Sport;Travel", None], 45),
        **_address({f"Alternate{tag}": column for tag, column in street.items()}, 22),
    }


def _lead(leads: int, accounts: int) -> dict[str, str]:
    street = {"StreetAddress": "street", "City": "city", "StateProvince": "state", "ZipCode": "zip"}
    return {
        "LeadFirstName": pick("person", "first", 51),
        "LeadLastName": pick("person", "last", 51),
        "Company": pick("firm", "name", 52),
        "JobTitle": pick("title", "name", 53),
        "LeadEmail": mail_address(51, accounts),
        "PrimaryPhone": f"'+1 636 ' || printf('%07d', {scattered(54, 10000000)})",
        "Industry": _choice("Lead", "Industry", 55),
        "AnnualRevenues": f"CASE WHEN n % 3 = 0 THEN {_amount(56, 90000000)} END",
        "Status": _choice("Lead", "Status", 57, always=True),
        "Rating": _choice("Lead", "Rating", 58),
        "Source": _choice("Lead", "Source", 59),
        "PotentialRevenue": f"CASE WHEN n % 2 = 0 THEN {_amount(60, 5000000)} END",
        "EstimatedCloseDate": f"CASE WHEN n % 3 <> 2 THEN {_day(61)} END",
        "NeverEmail": "'false'",
        "Description": f"CASE WHEN n % 4 = 1 THEN {pick('prose', 'body', 62)} END",
        **_address({**street, "Country": "country"}, 63),
    }


def _opportunity(accounts: int, records: int) -> dict[str, str]:
    return {
        "OpportunityName": f"'Deal ' || n || ' with ' || {pick('firm', 'name', 71)}",
        "AccountId": record_id("Account", f"{scattered(72, accounts)} + 1"),
        "KeyContactId": record_id("Contact", f"{scattered(73, max(records, 1))} + 1") if records else "NULL",
        "CloseDate": _day(74),
        "SalesStage": _choice("Opportunity", "SalesStage", 75, always=True),
        "Status": _choice("Opportunity", "Status", 76),
        "Probability": f"CAST({scattered(77, 101)} AS TEXT)",
        "Revenue": f"CASE WHEN n % 5 <> 0 THEN {_amount(78, 50000000)} END",
        "Forecast": "CASE WHEN n % 2 THEN 'true' ELSE 'false' END",
        "Priority": _choice("Opportunity", "Priority", 79),
    }


def _activity(accounts: int, records: int) -> dict[str, str]:
    start = f"c + {scattered(64, 9000000)} / 900 * 900"
    return {
        "Activity": "CASE WHEN n % 3 = 0 THEN 'Appointment' ELSE 'Task' END",
        "Subject": f"'Call ' || {pick('person', 'last', 65)} || ' (' || n || ')'",
        "Type": _choice("Activity", "Type", 66),
        "Status": _choice("Activity", "Status", 67, always=True),
        "Priority": _choice("Activity", "Priority", 68, always=True),
        "DueDate": f"CASE WHEN n % 3 THEN {_day(69)} END",
        "StartTime": f"CASE WHEN n % 3 = 0 THEN strftime({STAMP}, {start}, 'unixepoch') END",
        "EndTime": f"CASE WHEN n % 3 = 0 THEN strftime({STAMP}, {start} + 1800, 'unixepoch') END",
        "AccountId": record_id("Account", f"{scattered(70, accounts)} + 1"),
        "PrimaryContactId": record_id("Contact", f"{scattered(71, max(records, 1))} + 1") if records else "NULL",
        "Private": "'false'",
    }


def _visit(accounts: int, records: int) -> dict[str, str]:
    return {
        "Name": "'Visit ' || n",
        "Type": _choice("CustomObject1", "Type", 84),
        "ContactId": record_id("Contact", f"{scattered(85, max(records, 1))} + 1") if records else "NULL",
        "AccountId": record_id("Account", f"{scattered(86, accounts)} + 1"),
        "dVisit_Date": _day(87),
        "iRating": f"CASE WHEN n % 4 THEN CAST({scattered(88, 6)} AS TEXT) END",
        "cAmount_Spent": f"CASE WHEN n % 3 THEN {_amount(89, 40000)} END",
    }


def _membership(records: int) -> dict[str, str]:
    return {
        "Name": "'Member ' || n",
        "ContactId": record_id("Contact", f"{scattered(95, max(records, 1))} + 1") if records else "NULL",
        "Active": "CASE WHEN n % 4 THEN 'true' ELSE 'false' END",
        "stCard_Number": "printf('%016d', n * 7919)",
    }


def _teams(connection: sqlite3.Connection) -> None:
    """Every fifth contact and account has one user in its team."""
    for name, column in (("contact", "contactteam"), ("account", "accountteam")):
        connection.execute(
            f"INSERT INTO {name}_{column} (Id, ParentId, UserId, UserAlias, TeamRole)"
            f" SELECT 'AAPA-{name[0].upper()}T' || printf('%06X', {name}.rowid), {name}.Id, user.Id, user.Alias,"
            f" 'Sales'"
            f" FROM {name} JOIN user ON user.rowid = {name}.rowid % 5 + 1 WHERE {name}.rowid % 5 = 2"
        )


def _copies(connection: sqlite3.Connection) -> None:
    """Fills the fields that are copies of a referenced record's."""
    for record in OBJECTS.values():
        for tag, field in record.fields.items():
            if field.via is None:
                continue
            lookup, source = field.via
            other = OBJECTS[record.fields[lookup].reference or ""]
            connection.execute(
                f"UPDATE {quoted(record.table)} SET {quoted(tag)} = other.{quoted(source)}"
                f" FROM {quoted(other.table)} AS other WHERE other.Id = {quoted(record.table)}.{quoted(lookup)}"
            )

"""Fills a new organization with seeded records, in SQL.

Beside n contacts there are n/10 accounts, n/5 leads, and n/20 opportunities, tasks, e-mails, visits and rows of the
table with every type of column. GUIDs are scattered, yet a function of table and number.
"""

import sqlite3
import uuid
from collections.abc import Mapping

from crosstie.sandbox.dynamics.columns import OWNERS
from crosstie.sandbox.dynamics.customer_tables import INDUSTRIES, LEAD_SOURCES
from crosstie.sandbox.dynamics.tables import TABLES, Table
from crosstie.sandbox.fragments import quoted
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

_NAMESPACE = uuid.UUID("6f8a4d0e-3c55-4c1b-9f0e-0d1f5a7c2b11")


def fixed_id(name: str) -> str:
    """The GUID of something that every organization has, by a name of ours."""
    return str(uuid.uuid5(_NAMESPACE, name))


ORGANIZATION_ID = fixed_id("organization")
BUSINESS_UNIT_ID = fixed_id("businessunit")
TEAM_ID = fixed_id("team")
USER_ID = fixed_id("systemuser 1")
"""The application user: signs in, and owns what it creates."""
OTHER_USER_ID = fixed_id("systemuser 2")
"""Who makes the changes of the control endpoint: never the application user, whose echoes a client may drop."""
USERS = 5
EURO_ID, DOLLAR_ID = fixed_id("EUR"), fixed_id("USD")
DOLLAR_RATE = "1.250000000000"
FIRST_VERSION = 1_000_000
STAMP = "'%Y-%m-%dT%H:%M:%SZ'"
_INTERESTS = tuple(
    ",".join(str(100_000_000 + k) for k in range(5) if chosen >> k & 1) or None for chosen in range(1 << 5)
)
_TAGS = tuple(",".join(str(1 + k) for k in range(9) if chosen >> k & 1) or None for chosen in range(0, 1 << 9, 5))
_SEEDS: dict[str, SeedTable] = {
    **SEEDS,
    "interest": ("codes", [(one,) for one in _INTERESTS]),
    "tag": ("codes", [(one,) for one in _TAGS]),
}


def generate(connection: sqlite3.Connection, records: int) -> None:
    """Writes every record; the tables exist, are empty and have no index yet."""
    create_seed_tables(connection, _SEEDS)
    _system_rows(connection)
    accounts, leads, others = max(records // 10, 2), max(records // 5, 2), max(records // 20, 2)
    _fill(connection, "account", accounts, _account(accounts, records))
    _fill(connection, "contact", records, _contact(accounts, records))
    _fill(connection, "lead", leads, _lead(leads, accounts))
    _fill(connection, "opportunity", others, _opportunity(accounts, records))
    _fill(connection, "task", others, _task(accounts, records))
    _fill(connection, "email", others, _email(records))
    _fill(connection, "activityparty", 2 * others, _party(others, records))
    _fill(connection, "new_everything", others, _everything(accounts, records))
    _fill(connection, "new_visit", others, _visit(records))
    _fill(connection, "new_journal", min(others, 50), {"new_name": "'Entry ' || n", "new_number": "n"})
    for table in _SEEDS:
        connection.execute(f"DROP TABLE temp.{table}")


def record_id(table: str, number: str = "n") -> str:
    """SQL: the GUID of a table's record with that number; an odd factor makes each number another first part."""
    salt = int(fixed_id(f"salt {table}")[:7], 16)
    first = f"(({number}) * 2654435761 + {salt}) & 4294967295"
    second = f"(({number}) * 40503 + {salt}) & 65535"
    third = f"(({number}) * 2246822519 + {salt}) >> 3 & 4095"
    last = f"(({number}) * 3266489917 + {salt}) & 281474976710655"
    return f"printf('%08x-%04x-4%03x-a%03x-%012x', {first}, {second}, {third}, {salt & 4095}, {last})"


def _fill(connection: sqlite3.Connection, name: str, count: int, chosen: Mapping[str, str]) -> None:
    """Inserts records 1 to `count`; columns that are not given are null, or have the default of their choice."""
    table = TABLES[name]
    given = {**_common(table), **chosen}
    (version,) = connection.execute("SELECT last FROM sandbox_version").fetchone()
    if "versionnumber" in table.attributes:
        given["versionnumber"] = f"{version} + n"
    names, values = ", ".join(quoted(one) for one in given), ", ".join(given.values())
    connection.execute(
        f"INSERT INTO {quoted(name)} ({names}) {numbered(count)} SELECT {values} FROM dated {joins(values, _SEEDS)}"
    )
    connection.execute("UPDATE sandbox_version SET last = last + ?", (count,))


def _common(table: Table) -> dict[str, str]:
    """What records have without being asked: keys, stamps, owners, and the defaults of choices."""
    created = f"strftime({STAMP}, c, 'unixepoch')"
    found = {
        table.primary_id: record_id(table.logical_name),
        "createdon": created,
        "modifiedon": f"strftime({STAMP}, m, 'unixepoch')",
        "createdby": _user(91),
        "modifiedby": _user(92),
        "ownerid": _user(93),
        "ownerid__type": f"'{OWNERS[0]}'",
        "owninguser": _user(93),
        "owningbusinessunit": f"'{BUSINESS_UNIT_ID}'",
        "statecode": "CASE WHEN n % 23 = 7 THEN 1 ELSE 0 END",
        "statuscode": "CASE WHEN n % 23 = 7 THEN 2 ELSE 1 END",
        "activitytypecode": f"'{table.logical_name}'",
    }
    present = {*table.attributes, *(one.type_column for one in table.stored)}
    defaults = {one.logical_name: str(one.default) for one in table.stored if one.default is not None}
    return defaults | {name: value for name, value in found.items() if name in present}


def _user(salt: int) -> str:
    return one_of([fixed_id(f"systemuser {number}") for number in range(1, USERS + 1)], salt)


def _address(salt: int) -> dict[str, str]:
    """Street, town and country of the first address, and their lines together."""
    parts = {"city": "city", "stateorprovince": "state", "postalcode": "zip", "country": "country"}
    there = "n % 7 <> 2"
    street = pick("place", "street", salt)
    chosen = {part: pick("place", column, salt) for part, column in parts.items()}
    latitude = f"round({scattered(salt + 60, 18000000)} / 100000.0 - 90, 5)"
    town = f"{chosen['city']} || ', ' || {chosen['stateorprovince']} || ' ' || {chosen['postalcode']}"
    first = f"replace(replace({street}, char(13), ''), char(10), ', ')"
    return {
        "address1_addressid": record_id(f"address {salt}"),
        "address1_line1": f"CASE WHEN {there} THEN {first} END",
        "address1_composite": f"CASE WHEN {there} THEN {first} || char(13, 10) || {town} || char(13, 10)"
        f" || {chosen['country']} END",
        "address1_latitude": f"CASE WHEN n % 4 <> 3 THEN {latitude} END",
        **{f"address1_{part}": f"CASE WHEN {there} THEN {value} END" for part, value in chosen.items()},
    }


def _money(name: str, amount: str, unless: str = "0") -> dict[str, str]:
    """An amount in whole cents (as SQL), with its value in euros; the currency is that of `_currency`."""
    text = f"printf('%d.%02d00', ({amount}) / 100, ({amount}) % 100)"
    # A dollar amount in cents times 0.8 has at most four decimals of a euro: 80 of its ten-thousandths each.
    base = f"CASE WHEN n % 4 = 1 THEN ({amount}) * 80 ELSE ({amount}) * 100 END"
    return {
        name: f"CASE WHEN NOT ({unless}) THEN {text} END",
        f"{name}_base": f"CASE WHEN NOT ({unless}) THEN printf('%d.%04d', ({base}) / 10000, ({base}) % 10000) END",
    }


def _currency() -> dict[str, str]:
    return {
        "transactioncurrencyid": f"CASE WHEN n % 4 = 1 THEN '{DOLLAR_ID}' ELSE '{EURO_ID}' END",
        "exchangerate": f"CASE WHEN n % 4 = 1 THEN '{DOLLAR_RATE}' ELSE '1.000000000000' END",
    }


def _choice(last: int, salt: int, first: int = 1) -> str:
    return one_of([*range(first, last + 1), None], salt)


def _account(accounts: int, records: int) -> dict[str, str]:
    other = f"{scattered(13, accounts)} + 1"
    return {
        "name": f"{pick('firm', 'name', 3)} || ' ' || n",
        "accountnumber": "CASE WHEN n % 10 <> 4 THEN 'A-' || printf('%07d', n) END",
        "customertypecode": _choice(12, 4),
        "industrycode": _choice(len(INDUSTRIES), 5),
        "telephone1": f"'+33 4 77 ' || printf('%06d', {scattered(6, 1000000)})",
        "websiteurl": "CASE WHEN n % 5 <> 1 THEN 'https://firm' || n || '.example/?q=\"a,b\"&x=1' END",
        "emailaddress1": "CASE WHEN n % 5 <> 2 THEN 'info@firm' || n || '.example' END",
        "numberofemployees": f"CASE WHEN n % 6 <> 2 THEN {scattered(9, 20000)} END",
        "description": f"CASE WHEN n % 3 = 0 THEN {pick('prose', 'body', 10)} END",
        "parentaccountid": f"CASE WHEN n % 8 = 3 THEN {record_id('account', other)} END",
        "primarycontactid": f"CASE WHEN n % 3 = 1 THEN {_contact_id(records, 14)} END" if records else "NULL",
        "merged": "0",
        **_money("revenue", f"{scattered(8, 1000000007)} * 40", "n % 6 = 1"),
        **_currency(),
        **_address(12),
    }


def _contact_id(records: int, salt: int) -> str:
    return record_id("contact", f"{scattered(salt, records)} + 1")


def _contact(accounts: int, records: int) -> dict[str, str]:
    first = f"CASE WHEN n % 19 <> 5 THEN {pick('person', 'first', 21)} END"
    last = pick("person", "last", 21)
    parent = record_id("account", f"{scattered(23, accounts)} + 1")
    belongs = "n % 31 <> 3"
    merged = "n % 211 = 9 AND n > 1"
    return {
        "firstname": first,
        "lastname": last,
        "fullname": f"CASE WHEN n % 19 <> 5 THEN {pick('person', 'first', 21)} || ' ' ELSE '' END || {last}",
        "salutation": f"CASE WHEN n % 4 <> 1 THEN {pick('person', 'salutation', 21)} END",
        "emailaddress1": mail_address(21, accounts),
        "telephone1": f"CASE WHEN n % 5 <> 0 THEN '+49 (0)30 ' || {scattered(25, 10000000)} END",
        "mobilephone": f"CASE WHEN n % 3 = 0 THEN '0' || {scattered(26, 1000000000)} END",
        "jobtitle": f"CASE WHEN n % 8 <> 3 THEN {pick('title', 'name', 27)} END",
        "department": f"CASE WHEN n % 6 <> 3 THEN {pick('department', 'name', 28)} END",
        "birthdate": f"CASE WHEN n % 4 <> 2 THEN date('1945-01-01', {scattered(24, 20000)} || ' days') END",
        "description": f"CASE WHEN n % 3 = 0 THEN {pick('prose', 'body', 31)} END",
        "gendercode": _choice(2, 33),
        "familystatuscode": _choice(4, 34),
        "numberofchildren": f"CASE WHEN n % 6 <> 1 THEN {scattered(35, 5)} END",
        "donotbulkemail": "n % 11 = 4",
        "donotemail": "n % 13 = 4",
        "preferredcontactmethodcode": f"1 + {scattered(36, 5)}",
        "parentcustomerid": f"CASE WHEN {belongs} THEN {parent} END",
        "parentcustomerid__type": f"CASE WHEN {belongs} THEN 'account' END",
        "accountid": f"CASE WHEN {belongs} THEN {parent} END",
        "new_externalid": "CASE WHEN n % 10 <> 7 THEN 'C-' || printf('%07d', n) END",
        "new_interests": f"CASE WHEN n % 5 <> 4 THEN {pick('interest', 'codes', 32)} END",
        "new_score": f"CASE WHEN n % 6 <> 2 THEN printf('%d.%02d', {scattered(37, 1000)}, n % 100) END",
        "merged": f"{merged}",
        "masterid": f"CASE WHEN {merged} THEN {record_id('contact', 'n - 1')} END",
        "statecode": f"CASE WHEN {merged} OR n % 23 = 7 THEN 1 ELSE 0 END",
        "statuscode": f"CASE WHEN {merged} OR n % 23 = 7 THEN 2 ELSE 1 END",
        **_money("annualincome", f"{scattered(38, 10000000)}", "n % 6 = 3"),
        **_currency(),
        **_address(22),
    }


def _lead(leads: int, accounts: int) -> dict[str, str]:
    first, last = pick("person", "first", 41), pick("person", "last", 41)
    state = scattered(47, 7)
    return {
        "firstname": first,
        "lastname": last,
        "fullname": f"{first} || ' ' || {last}",
        "subject": f"{pick('title', 'name', 40)} || ' – ' || n",
        "companyname": pick("firm", "name", 43),
        "emailaddress1": mail_address(41, max(leads // 2, 1)),
        "telephone1": f"CASE WHEN n % 5 <> 0 THEN '+81 3-' || {scattered(44, 10000000)} END",
        "jobtitle": f"CASE WHEN n % 8 <> 3 THEN {pick('title', 'name', 45)} END",
        "leadsourcecode": _choice(len(LEAD_SOURCES), 46),
        "leadqualitycode": f"1 + {scattered(48, 3)}",
        "industrycode": _choice(len(INDUSTRIES), 49),
        "numberofemployees": f"CASE WHEN n % 6 <> 2 THEN {scattered(50, 20000)} END",
        "estimatedclosedate": f"date('2026-01-01', {scattered(51, 720)} || ' days')",
        "estimatedvalue": f"CASE WHEN n % 5 <> 2 THEN {scattered(52, 10000000)} / 100.0 END",
        "parentaccountid": f"CASE WHEN n % 4 = 2 THEN {record_id('account', f'{scattered(53, accounts)} + 1')} END",
        "statuscode": f"1 + {state}",
        "statecode": f"CASE WHEN {state} < 2 THEN 0 WHEN {state} = 2 THEN 1 ELSE 2 END",
        "merged": "0",
        **_money("budgetamount", f"{scattered(54, 100000000)}", "n % 3 = 1"),
        **_currency(),
        **_address(42),
    }


def _opportunity(accounts: int, records: int) -> dict[str, str]:
    person = f"n % 3 = 1 AND {int(records > 0)}"
    state = scattered(61, 5)
    contact = _contact_id(max(records, 1), 62)
    return {
        "name": f"{pick('firm', 'name', 63)} || ' – ' || n",
        "customerid": f"CASE WHEN {person} THEN {contact}"
        f" ELSE {record_id('account', f'{scattered(64, accounts)} + 1')} END",
        "customerid__type": f"CASE WHEN {person} THEN 'contact' ELSE 'account' END",
        "estimatedclosedate": f"date('2026-01-01', {scattered(65, 720)} || ' days')",
        "closeprobability": f"CASE WHEN n % 5 <> 3 THEN {scattered(66, 101)} END",
        "opportunityratingcode": f"1 + {scattered(67, 3)}",
        "description": f"CASE WHEN n % 4 = 0 THEN {pick('prose', 'body', 68)} END",
        "statuscode": f"1 + {state}",
        "statecode": f"CASE WHEN {state} < 2 THEN 0 WHEN {state} = 2 THEN 1 ELSE 2 END",
        **_money("estimatedvalue", f"{scattered(69, 1000000000)}", "n % 5 = 3"),
        **_currency(),
    }


def _task(accounts: int, records: int) -> dict[str, str]:
    person = f"n % 2 = 1 AND {int(records > 0)}"
    return {
        "subject": f"{pick('title', 'name', 70)} || ' #' || n",
        "description": f"CASE WHEN n % 2 = 0 THEN {pick('prose', 'body', 71)} END",
        "regardingobjectid": f"CASE WHEN {person} THEN {_contact_id(max(records, 1), 72)}"
        f" ELSE {record_id('account', f'{scattered(73, accounts)} + 1')} END",
        "regardingobjectid__type": f"CASE WHEN {person} THEN 'contact' ELSE 'account' END",
        "scheduledend": f"strftime({STAMP}, m + {scattered(74, 1000000)}, 'unixepoch')",
        "percentcomplete": scattered(75, 101),
        "statecode": "CASE WHEN n % 3 = 1 THEN 1 ELSE 0 END",
        "statuscode": "CASE WHEN n % 3 = 1 THEN 5 ELSE 2 END",
    }


def _email(records: int) -> dict[str, str]:
    return {
        "subject": f"'Re: ' || {pick('title', 'name', 76)}",
        "description": pick("prose", "body", 77),
        "regardingobjectid": _contact_id(max(records, 1), 78) if records else "NULL",
        "regardingobjectid__type": "'contact'" if records else "NULL",
        "sender": "'news@acme.example'",
        "statecode": "CASE WHEN n % 4 = 1 THEN 0 ELSE 1 END",
        "statuscode": "CASE WHEN n % 4 = 1 THEN 1 ELSE 3 END",
    }


def _party(emails: int, records: int) -> dict[str, str]:
    """Two for each e-mail: who sent it, and whom it went to."""
    sends = f"n <= {emails} OR {int(records == 0)}"
    contact = _contact_id(max(records, 1), 79)
    return {
        "activityid": record_id("email", f"(n - 1) % {emails} + 1"),
        "activityid__type": "'email'",
        "participationtypemask": f"CASE WHEN n <= {emails} THEN 1 ELSE 2 END",
        "partyid": f"CASE WHEN {sends} THEN '{USER_ID}' ELSE {contact} END",
        "partyid__type": f"CASE WHEN {sends} THEN 'systemuser' ELSE 'contact' END",
        "addressused": f"CASE WHEN {sends} THEN 'news@acme.example' ELSE 'person' || n || '@example.com' END",
    }


def _everything(accounts: int, records: int) -> dict[str, str]:
    account = record_id("account", f"{scattered(101, accounts)} + 1")
    contact = _contact_id(max(records, 1), 102)
    person = f"n % 2 = 1 AND {int(records > 0)}"
    return {
        "new_name": "'Everything ' || n",
        "new_serial": "CASE WHEN n % 2 = 0 THEN 'sn-' ELSE 'SN-' END || n",
        "new_code": "'c' || n",
        "new_mandatory": "'m' || n",
        "new_mail": "'thing' || n || '@example.com'",
        "new_notes": f"CASE WHEN n % 3 = 1 THEN {pick('prose', 'body', 103)} END",
        "new_count": f"CASE WHEN n % 6 <> 1 THEN {scattered(110, 2000)} - 1000 END",
        "new_ticks": "n * 1000000000000007",
        "new_share": f"CASE WHEN n % 6 <> 3 THEN printf('%d.%010d', n % 7, {scattered(112, 999999937)}) END",
        "new_weight": f"CASE WHEN n % 6 <> 2 THEN round({scattered(111, 1000000007)} / 100000.0, 5) END",
        "new_active": "n % 3 = 0",
        "new_seen": f"CASE WHEN n % 7 <> 5 THEN strftime({STAMP}, {scattered(115, 1900000000)}, 'unixepoch') END",
        "new_seenday": f"CASE WHEN n % 7 <> 4 THEN date('1999-12-31', {scattered(116, 9000)} || ' days')"
        " || 'T22:00:00Z' END",
        "new_built": f"CASE WHEN n % 6 <> 5 THEN date('1899-12-31', {scattered(114, 50000)} || ' days') END",
        "new_opens": f"CASE WHEN n % 7 <> 6 THEN strftime({STAMP}, {scattered(117, 1900000000)}, 'unixepoch') END",
        "new_colour": one_of([100_000_000, 100_000_001, 100_000_002, None], 108),
        "new_season": one_of([100_000_000, 100_000_001, 100_000_002, 100_000_003, None], 109),
        "new_tags": pick("tag", "codes", 118),
        "new_seasons": one_of(["100000000", "100000001,100000003", None], 119),
        "new_accountid": f"CASE WHEN n % 5 <> 3 THEN {account} END",
        "new_parentid": f"CASE WHEN n % 4 = 2 THEN {record_id('new_everything', 'n - 1')} END",
        "new_aboutid": f"CASE WHEN {person} THEN {contact} ELSE {account} END",
        "new_aboutid__type": f"CASE WHEN {person} THEN 'contact' ELSE 'account' END",
        "new_customerid": f"CASE WHEN n % 5 = 2 THEN NULL WHEN {person} THEN {contact} ELSE {account} END",
        "new_customerid__type": f"CASE WHEN n % 5 = 2 THEN NULL WHEN {person} THEN 'contact' ELSE 'account' END",
        "new_token": record_id("token"),
        "new_tablename": one_of(["account", "contact", None], 120),
        **_money("new_price", f"{scattered(113, 100000000)}", "n % 6 = 4"),
        **_currency(),
    }


def _visit(records: int) -> dict[str, str]:
    return {
        "new_name": "'Visit ' || n",
        "new_contactid": _contact_id(records, 121) if records else "NULL",
        "new_at": f"strftime({STAMP}, m - {scattered(122, 1000000)}, 'unixepoch')",
        "new_minutes": scattered(123, 240),
    }


def _system_rows(connection: sqlite3.Connection) -> None:
    created = FIRST_DAY.strftime("%Y-%m-%dT%H:%M:%SZ")
    stamps = {"createdon": created, "modifiedon": created, "createdby": USER_ID, "modifiedby": USER_ID}
    _insert(connection, "businessunit", stamps | {"businessunitid": BUSINESS_UNIT_ID, "name": "Acme"})
    names = (("#", "Crosstie"), ("Ines", "Durand"), ("Jörg", "Weiß"), ("晴", "佐藤"), ("Owen", "O'Hara"))
    for number, (first, last) in enumerate(names, 1):
        person = {
            "systemuserid": fixed_id(f"systemuser {number}"),
            "firstname": first,
            "lastname": last,
            "fullname": f"{first} {last}",
            "domainname": f"user{number}@acme.example",
            "internalemailaddress": f"user{number}@acme.example",
            "azureactivedirectoryobjectid": fixed_id(f"directory {number}"),
            "businessunitid": BUSINESS_UNIT_ID,
            "isdisabled": 0,
        }
        _insert(connection, "systemuser", stamps | person)
    team = {"teamid": TEAM_ID, "name": "Acme", "teamtype": 0, "isdefault": 1, "businessunitid": BUSINESS_UNIT_ID}
    _insert(connection, "team", stamps | team)
    currencies = ((EURO_ID, "Euro", "EUR", "€", "1.000000000000"), (DOLLAR_ID, "US Dollar", "USD", "$", DOLLAR_RATE))
    for currency_id, name, code, symbol, rate in currencies:
        currency = {"transactioncurrencyid": currency_id, "currencyname": name, "isocurrencycode": code}
        rest = {"currencysymbol": symbol, "currencyprecision": 2, "exchangerate": rate, "statecode": 0, "statuscode": 1}
        _insert(connection, "transactioncurrency", stamps | currency | rest)
    organization = {
        "organizationid": ORGANIZATION_ID,
        "name": "Acme",
        "expirechangetrackingindays": 7,
        "languagecode": 1033,
        "basecurrencyid": EURO_ID,
        "isauditenabled": 1,
        "auditretentionperiodv2": 30,
    }
    _insert(connection, "organization", stamps | organization)
    for message in ("CreateMultiple", "UpdateMultiple", "UpsertMultiple"):
        message_id = fixed_id(f"message {message}")
        _insert(connection, "sdkmessage", {"sdkmessageid": message_id, "name": message})
        for table in TABLES.values():
            if table.bulk_messages:
                filter_id = fixed_id(f"filter {message} {table.logical_name}")
                about = {"primaryobjecttypecode": table.logical_name, "sdkmessageid": message_id}
                _insert(connection, "sdkmessagefilter", {"sdkmessagefilterid": filter_id} | about)


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    (version,) = connection.execute("UPDATE sandbox_version SET last = last + 1 RETURNING last").fetchone()
    given = {**row, "versionnumber": version}
    names, marks = ", ".join(quoted(name) for name in given), ", ".join("?" * len(given))
    connection.execute(f"INSERT INTO {quoted(table)} ({names}) VALUES ({marks})", tuple(given.values()))

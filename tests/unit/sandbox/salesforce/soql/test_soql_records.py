"""Records as the query resource shows them."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.ids import make_id

Ask = Callable[..., soql.Result]
MULLER, OBRIEN, GONE = (make_id("003", number) for number in (1, 2, 3))
ACME, GLOBEX = make_id("001", 1), make_id("001", 2)
ANN = make_id("005", 1)


def _records(result: soql.Result) -> list[dict[str, Any]]:
    return result.records_json(result.rows(), "v64.0")


def _attributes(kind: str, record_id: str, real: str | None = None) -> dict[str, str]:
    return {"type": kind, "url": f"/services/data/v64.0/sobjects/{real or kind}/{record_id}"}


def test_fields_parents_and_children_are_nested_under_their_true_names(ask: Ask) -> None:
    records = _records(ask("select NAME, parent.name, parent.owner.username, (select id from contacts) from account"))
    contacts = [{"attributes": _attributes("Contact", who), "Id": who} for who in (MULLER, OBRIEN)]
    assert records == [
        {
            "attributes": _attributes("Account", ACME),
            "Name": "Acme",
            "Parent": None,
            "Contacts": {"totalSize": 2, "done": True, "records": contacts},
        },
        {
            "attributes": _attributes("Account", GLOBEX),
            "Name": "Globex",
            "Parent": {
                "attributes": _attributes("Account", ACME),
                "Name": "Acme",
                "Owner": {"attributes": _attributes("User", ANN), "Username": "ann@example.com"},
            },
            "Contacts": None,
        },
    ]
    assert list(records[0]) == ["attributes", "Name", "Parent", "Contacts"]


def test_addresses_locations_and_files_are_assembled(ask: Ask) -> None:
    (acme,) = _records(ask("SELECT BillingAddress, ShippingAddress FROM Account WHERE Name = 'acme'"))
    assert acme["BillingAddress"]["city"] == "Łódź"
    assert acme["BillingAddress"]["street"] is None
    assert acme["ShippingAddress"] is None
    (lamp,) = _records(ask("SELECT Place__c, Image__c, Contact__r.MailingAddress, Opens__c FROM Gadget__c"))
    assert lamp["Place__c"] == {"latitude": 51.75, "longitude": 19.5}
    assert lamp["Image__c"] == f"/services/data/v64.0/sobjects/Gadget__c/{make_id('a00', 1)}/Image__c"
    assert lamp["Contact__r"]["MailingAddress"] is None
    assert lamp["Opens__c"] == "14:30:00.000Z"


def test_json_values_have_the_types_of_the_wire(ask: Ask) -> None:
    (lamp,) = _records(ask("SELECT Active__c, Count__c, Weight__c, Seen__c FROM Gadget__c"))
    del lamp["attributes"]
    assert json.dumps(lamp) == (
        '{"Active__c": true, "Count__c": 7, "Weight__c": 0.30000000000000004, '
        '"Seen__c": "2026-11-23T00:00:00.000+0000"}'
    )


def test_a_polymorphic_parent_is_a_name(ask: Ask) -> None:
    (lamp,) = _records(ask("SELECT Owner.Name, Owner.Type FROM Gadget__c WHERE Owner.Type = 'User'"))
    assert lamp["Owner"] == {"attributes": _attributes("Name", ANN, "User"), "Name": "Ann", "Type": "User"}


def test_typeof_shows_the_branch_of_the_object_that_is_there(ask: Ask) -> None:
    query = "SELECT Id, TYPEOF Owner WHEN User THEN Username, Id ELSE Name END FROM Gadget__c"
    (lamp,) = _records(ask(query))
    assert lamp["Owner"] == {"attributes": _attributes("User", ANN), "Username": "ann@example.com", "Id": ANN}


def test_aliases_of_objects_and_relationships(ask: Ask) -> None:
    expected = [{"attributes": _attributes("Contact", MULLER), "LastName": "Müller"}]
    assert (
        _records(ask("SELECT c.LastName FROM Contact c, c.Account a WHERE a.Name = 'Acme' AND c.Email != ''"))
        == expected
    )
    assert _records(ask("SELECT Contact.LastName FROM Contact WHERE Contact.Email != null")) == expected


def test_counts_and_aggregates_are_named(ask: Ask) -> None:
    counted = ask("SELECT COUNT() FROM Contact")
    assert (counted.total_size, _records(counted)) == (2, [])
    assert ask("SELECT COUNT() FROM Contact LIMIT 1").total_size == 1
    assert _records(ask("SELECT COUNT(Id), MAX(AnnualRevenue) top, MIN(Name), SUM(AnnualRevenue) FROM Account")) == [
        {"attributes": {"type": "AggregateResult"}, "expr0": 2, "top": 3.5e8, "expr1": "Acme", "expr2": 350001200.5}
    ]
    grouped = _records(
        ask(
            "SELECT Account.Name, COUNT(Id) n FROM Contact GROUP BY Account.Name"
            " HAVING COUNT(Id) > 1 ORDER BY COUNT(Id)"
        )
    )
    assert grouped == [{"attributes": {"type": "AggregateResult"}, "Name": "Acme", "n": 2}]
    years = _records(
        ask("SELECT CALENDAR_YEAR(SystemModstamp), COUNT(Id) FROM Contact GROUP BY CALENDAR_YEAR(SystemModstamp)")
    )
    assert years == [{"attributes": {"type": "AggregateResult"}, "expr0": 2026, "expr1": 2}]


def test_date_functions_read_utc_unless_converted(ask: Ask) -> None:
    def hours(expression: str) -> list[Any]:
        result = ask(f"SELECT {expression} h, COUNT(Id) FROM Contact GROUP BY {expression} ORDER BY {expression}")
        return [record["h"] for record in _records(result)]

    assert hours("HOUR_IN_DAY(SystemModstamp)") == [1, 2]
    assert hours("HOUR_IN_DAY(convertTimezone(SystemModstamp))") == [2, 3]
    assert hours("DAY_ONLY(SystemModstamp)") == ["2026-11-21", "2026-11-22"]
    assert hours("DAY_IN_WEEK(SystemModstamp)") == [1, 7]
    assert hours("WEEK_IN_MONTH(SystemModstamp)") == [3, 4]
    assert hours("WEEK_IN_YEAR(SystemModstamp)") == [47]
    assert hours("CALENDAR_QUARTER(Birthdate)") == [None, 1]
    assert ask("SELECT Id FROM Contact WHERE DAY_ONLY(SystemModstamp) = 2026-11-21").total_size == 1
    assert ask("SELECT Id FROM Contact WHERE DAY_IN_YEAR(Birthdate) = 60").total_size == 1


def test_deleted_rows_show_only_when_asked_for(ask: Ask) -> None:
    assert ask("SELECT Id FROM Contact").total_size == 2
    assert ask("SELECT Id FROM Contact WHERE IsDeleted = true").total_size == 0
    assert ask("SELECT Id FROM Contact", include_deleted=True).total_size == 3
    assert ask("SELECT Id FROM Contact WHERE IsDeleted = true ALL ROWS").total_size == 1


def test_booleans_and_parents_that_are_missing_count_as_false_and_null(ask: Ask) -> None:
    assert ask("SELECT Id FROM Contact WHERE IsEmailBounced = null").total_size == 1
    assert ask("SELECT Id FROM Contact WHERE IsEmailBounced != null").total_size == 1
    assert ask("SELECT Id FROM Account WHERE Parent.Owner.IsActive = false").total_size == 1
    assert ask("SELECT Id FROM Account WHERE Parent.Name = null").total_size == 1


def test_every_form_of_datetime_is_the_same_instant(ask: Ask) -> None:
    for literal in (
        "2026-11-21T01:00:00Z",
        "2026-11-21T02:00:00+01:00",
        "2026-11-20T20:00:00-0500",
        "2026-11-21T01:00:00.000+0000",
        "2026-11-21T01:00:00.0Z",
    ):
        assert ask(f"SELECT Id FROM Contact WHERE SystemModstamp = {literal}").total_size == 1


def test_ids_of_fifteen_and_eighteen_characters_are_equal(ask: Ask) -> None:
    assert ask(f"SELECT Id FROM Contact WHERE Id = '{MULLER[:15]}'").total_size == 1
    assert ask(f"SELECT Id FROM Contact WHERE Id IN ('{MULLER}', '{OBRIEN[:15]}')").total_size == 2
    assert ask(f"SELECT Id FROM Contact WHERE AccountId != '{ACME[:15]}'").total_size == 0


def test_labels_are_shown_and_found_by_to_label(ask: Ask) -> None:
    (contact,) = _records(ask("SELECT toLabel(LeadSource), Email FROM Contact WHERE toLabel(LeadSource) = 'web'"))
    assert contact["LeadSource"] == "Web"


def test_field_groups_are_expanded(ask: Ask) -> None:
    (standard, *_) = _records(ask("SELECT FIELDS(STANDARD) FROM Contact"))
    assert {"Id", "LastName", "MailingAddress"} <= set(standard)
    assert not any(name.endswith("__c") for name in standard)
    (custom,) = _records(ask("SELECT Id, FIELDS(CUSTOM) FROM Gadget__c LIMIT 1"))
    assert {"Id", "Place__c", "Weight__c"} <= set(custom)
    assert "CreatedDate" not in custom


def test_a_limit_in_a_child_subquery_counts_for_each_parent(ask: Ask) -> None:
    query = (
        "SELECT Id, (SELECT LastName, Account.Name FROM Account.Contacts ORDER BY LastName DESC LIMIT 1) FROM Account"
    )
    acme, globex = _records(ask(query))
    assert [contact["LastName"] for contact in acme["Contacts"]["records"]] == ['O\'Brien "B"']
    assert acme["Contacts"]["records"][0]["Account"]["Name"] == "Acme"
    assert globex["Contacts"] is None


def test_a_page_of_records_is_fetched_by_its_ids_with_the_values_of_now(
    ask: Ask, connection: sqlite3.Connection
) -> None:
    result = ask("SELECT LastName FROM Contact ORDER BY LastName DESC")
    ids = list(result.ids())
    connection.execute("UPDATE Contact SET LastName = 'Changed' WHERE Id = ?", (MULLER,))
    connection.execute("DELETE FROM Contact WHERE Id = ?", (OBRIEN,))
    records = result.records_json(result.rows_by_id(ids), "v64.0")
    assert [record["LastName"] for record in records] == ["Changed"]


def test_bulk_rows_hold_the_columns_asked_for_and_nothing_else(ask: Ask) -> None:
    result = ask("SELECT SystemModstamp, account.owner.name, Id, AccountId FROM Contact ORDER BY Id", bulk=True)
    assert result.column_names == ("SystemModstamp", "Account.Owner.Name", "Id", "AccountId")
    assert next(result.rows()) == ("2026-11-21T01:00:00.000+0000", "Ann", MULLER, ACME)


def test_csv_lines_are_those_of_bulk(ask: Ask, connection: sqlite3.Connection) -> None:
    result = ask(
        "SELECT Name, Active__c, Count__c, Weight__c, Price__c, Seen__c, Opens__c, Notes__c FROM Gadget__c", bulk=True
    )
    sql, params = result.csv_sql(line_ending="\r\n")
    text = result.csv_header(line_ending="\r\n") + "".join(line for (line,) in connection.execute(sql, params))
    assert text.endswith('"two\nlines, ""quoted"""\r\n')
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["Name", "Active__c", "Count__c", "Weight__c", "Price__c", "Seen__c", "Opens__c", "Notes__c"]
    assert rows[1] == [
        "Lamp",
        "true",
        "7",
        "0.30000000000000004",
        "",
        "2026-11-23T00:00:00.000Z",
        "14:30:00.000Z",
        'two\nlines, "quoted"',
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (12.0, "12.0"),
        (-1234.5, "-1234.5"),
        (0.001, "0.001"),
        (0.00095, "9.5E-4"),
        (9999999.5, "9999999.5"),
        (1e7, "1.0E7"),
        (3.5e8, "3.5E8"),
        (123456789.25, "1.2345678925E8"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e22, "1.0E22"),
        (5e-324, "5.0E-324"),
    ],
)
def test_doubles_are_printed_as_java_does(ask: Ask, connection: sqlite3.Connection, value: float, text: str) -> None:
    assert soql.double_text(value) == text
    connection.execute("UPDATE Gadget__c SET Weight__c = ?", (value,))
    sql, params = ask("SELECT Weight__c FROM Gadget__c", bulk=True).csv_sql()
    assert connection.execute(sql, params).fetchone() == (f'"{text}"\n',)


@pytest.mark.parametrize(
    "condition",
    [
        "SystemModstamp >= 2026-11-01T00:00:00Z AND SystemModstamp < 2026-12-01T00:00:00Z",
        "SystemModstamp = LAST_N_DAYS:3",
        f"(SystemModstamp = 2026-11-01T00:00:00Z AND Id > '{MULLER}') OR SystemModstamp > 2026-11-01T00:00:00Z",
        f"Id > '{MULLER}'",
        f"Id IN ('{MULLER}', '{OBRIEN}')",
        "AccountId IN (SELECT Id FROM Account WHERE Name LIKE 'A%')",
        "Email = 'someone@example.com'",
    ],
)
def test_windows_and_keysets_use_an_index_and_no_python(
    ask: Ask, connection: sqlite3.Connection, condition: str
) -> None:
    result = ask(f"SELECT Id, LastName, Account.Name FROM Contact WHERE {condition}", bulk=True)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {result.sql}", result.params)]
    assert any(step.startswith("SEARCH t0 USING") for step in plan), plan
    assert "soql_" not in result.sql


def test_nulls_come_first_unless_the_query_says_otherwise(ask: Ask) -> None:
    def order(clause: str) -> list[str | None]:
        return [row["Email"] for row in _records(ask(f"SELECT Email FROM Contact ORDER BY Email {clause}"))]

    assert order("") == order("DESC") == order("DESC NULLS FIRST") == [None, "m@example.com"]
    assert order("NULLS LAST") == order("DESC NULLS LAST") == ["m@example.com", None]


def test_more_groups_than_a_page_are_refused(ask: Ask, connection: sqlite3.Connection) -> None:
    connection.executemany(
        "INSERT INTO Contact (Id, LastName) VALUES (?, ?)",
        [(make_id("003", number), f"Person {number}") for number in range(100, 2_101)],
    )
    with pytest.raises(soql.SoqlError) as caught:
        ask("SELECT LastName FROM Contact GROUP BY LastName")
    assert caught.value.code == "EXCEEDED_ID_LIMIT"
    assert ask("SELECT LastName FROM Contact GROUP BY LastName LIMIT 2000").total_size == 2000


def test_queries_run_while_another_is_being_read(ask: Ask) -> None:
    reading = ask("SELECT LastName FROM Contact ORDER BY LastName").rows()
    first = next(reading)
    assert ask("SELECT Id FROM Contact WHERE LastName = 'müller'").total_size == 1
    assert len([first, *reading]) == 2

"""What Salesforce refuses is refused with its code and words."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from crosstie.sandbox.salesforce import soql

Ask = Callable[..., soql.Result]
_REFER = " Please reference your WSDL or the describe call for the appropriate names."
_COLUMN = (
    "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name." + _REFER
)
_RELATION = (
    "If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship"
    " name." + _REFER
)
_OBJECT = "If you are attempting to use a custom object, be sure to append the '__c' after the entity name." + _REFER

MALFORMED = [
    ("SELECT Id FORM Contact", 16, "unexpected token: 'Contact'"),
    ("SELECT Id, FROM Contact", 12, "unexpected token: 'FROM'"),
    ("SELECT Id FROM Contact WHERE", 29, "unexpected token: '<EOF>'"),
    ("SELECT Id FROM Contact WHERE LastName IS NULL", 39, "unexpected token: 'IS'"),
    ("SELECT Id FROM Contact WHERE LastName = Smith", 41, "unexpected token: 'Smith'"),
    ("SELECT Id FROM Contact WHERE LastName = :name", 41, "Bind variables only allowed in Apex code"),
    (
        "SELECT Id FROM Contact WHERE LastName = 'a' AND FirstName = 'b' OR Email = 'c'",
        65,
        "unexpected token: 'OR'",
    ),
    ("SELECT Id FROM Contact WHERE LastName = 'a' AND NOT FirstName = 'b'", 49, "unexpected token: 'NOT'"),
    ("SELECT Id FROM Contact WHERE NOT LastName = 'a' AND Email = 'b'", 49, "unexpected token: 'AND'"),
    ("SELECT Id FROM Contact WHERE SystemModstamp > 2026-11-23T01:07:37 00:00", 57, "unexpected token: 'T01:07'"),
    ("SELECT Id FROM Contact WHERE LastName IN ()", 43, "unexpected token: ')'"),
    ("SELECT Id FROM Contact LIMIT 5 LIMIT 6", 32, "unexpected token: 'LIMIT'"),
    ("SELECT Id FROM Contact LIMIT -1", 30, "unexpected token: '-1'"),
    ("SELECT Id c FROM Contact", 8, "only aggregate expressions use field aliasing"),
    ("SELECT Id FROM Contact ORDER BY Description", 33, "field 'Description' can not be sorted in a query call"),
    (
        "SELECT SystemModstamp, COUNT(Id) FROM Contact GROUP BY SystemModstamp",
        56,
        "field 'SystemModstamp' can not be grouped in a query call",
    ),
    ("SELECT LastName, COUNT(Id) FROM Contact", 8, "Field must be grouped or aggregated: LastName"),
    (
        "SELECT LastName, COUNT(Id) FROM Contact GROUP BY LastName ORDER BY Email",
        68,
        "Ordered field must be grouped or aggregated: Email",
    ),
    ("SELECT SUM(LastName) FROM Contact", 12, "field LastName does not support aggregate operator SUM"),
    (
        "SELECT MAX(LastName) FROM Contact LIMIT 1",
        1,
        "Non-grouped query that uses overall aggregate functions cannot also use LIMIT",
    ),
    ("SELECT LastName FROM Contact WHERE LOWER(LastName) = 'a'", 36, "Invalid aggregate function: LOWER"),
    ("SELECT Id FROM Contact WHERE Birthdate = 2026-02-30", 42, "Invalid date: 2026-02-30"),
    ("SELECT Id FROM Contact WHERE Birthdate = LAST_N_DAYS:999999", 42, "Invalid date literal: LAST_N_DAYS:999999"),
    ("SELECT Id FROM Contact WHERE SystemModstamp > N_YEARS_AGO:2025", 47, "Invalid date literal: N_YEARS_AGO:2025"),
    (
        "SELECT Id FROM Contact WHERE SystemModstamp > 0001-01-01T00:00:00+01:00",
        47,
        "Invalid dateTime: 0001-01-01T00:00:00+01:00",
    ),
    (
        "SELECT Id FROM Account WHERE Id IN (SELECT ParentId FROM Account)",
        30,
        "The inner and outer selects should not be on the same object type",
    ),
    (
        "SELECT Id FROM Account WHERE Id IN (SELECT OwnerId FROM Contact)",
        30,
        "The selected field 'OwnerId' in the subquery and the left operand field in the where expression in the outer"
        " query 'Id' should point to the same object type",
    ),
    (
        "SELECT Id FROM Account WHERE Name = 'a' OR Id IN (SELECT AccountId FROM Contact)",
        44,
        "Semi join sub-selects are not allowed with the 'OR' operator",
    ),
    (
        "SELECT Id FROM Account WHERE Id IN (SELECT LastName FROM Contact)",
        44,
        "Semi join sub-selects can only query id fields, cannot use: 'LastName'",
    ),
    (
        "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Account WHERE OwnerId IN (SELECT Id FROM User))",
        73,
        "Nesting of semi join sub-selects is not supported",
    ),
]
INVALID_FIELDS = [
    ("SELECT Foo FROM Contact", 8, f"No such column 'Foo' on entity 'Contact'. {_COLUMN}"),
    ("SELECT Account.Foo__c FROM Contact", 8, f"No such column 'Foo__c' on entity 'Account'. {_COLUMN}"),
    ("SELECT Owner.Department FROM Gadget__c", 8, f"No such column 'Department' on entity 'Name'. {_COLUMN}"),
    (
        "SELECT Id, Konto.Name FROM Contact",
        12,
        f"Didn't understand relationship 'Konto' in field path. {_RELATION}",
    ),
    ("SELECT Id FROM Contact WHERE Description = 'x'", 30, "field 'Description' can not be filtered in a query call"),
    (
        "SELECT Id FROM Contact WHERE MailingAddress = 'x'",
        30,
        "Address fields can only be filtered using Distance expressions",
    ),
]
TYPES = [
    ("LastName", "5", "string and should be enclosed in quotes"),
    ("LastName", "TODAY", "string and should be enclosed in quotes"),
    ("AccountId", "5", "string and should be enclosed in quotes"),
    ("Birthdate", "'2026-11-23'", "date and should not be enclosed in quotes"),
    ("Birthdate", "2026-11-23T00:00:00Z", "date and should not be enclosed in quotes"),
    ("SystemModstamp", "'2026-11-23T00:00:00Z'", "dateTime and should not be enclosed in quotes"),
    ("SystemModstamp", "2026-11-23", "dateTime and should not be enclosed in quotes"),
    ("IsEmailBounced", "'true'", "boolean and should not be enclosed in quotes"),
    ("MailingLatitude", "'5'", "double and should not be enclosed in quotes"),
]
OPERATORS = [
    ("Id LIKE 'a%'", "invalid operator on id field"),
    ("AccountId LIKE 'a%'", "invalid operator on reference field"),
    ("IsEmailBounced > TRUE", "invalid operator on boolean field"),
    ("Birthdate LIKE '2026%'", "invalid operator on date field"),
    ("LastName INCLUDES ('a')", "invalid operator on string field"),
    ("Id = 'abc'", "invalid ID field: abc"),
    ("AccountId = '0015g00000000001AB'", "invalid ID field: 0015g00000000001AB"),
]


def _refused(ask: Ask, text: str, **options: Any) -> soql.SoqlError:
    with pytest.raises(soql.SoqlError) as caught:
        ask(text, **options)
    return caught.value


def _is_located(error: soql.SoqlError, column: int, message: str) -> None:
    empty, excerpt, caret, place, *rest = error.message.split("\n")
    assert (empty, place, "\n".join(rest)) == ("", f"ERROR at Row:1:Column:{column}", message)
    assert caret.strip() == "^"
    assert len(caret) <= len(excerpt) + 1


@pytest.mark.parametrize(("text", "column", "message"), MALFORMED)
def test_malformed_queries_name_the_place(ask: Ask, text: str, column: int, message: str) -> None:
    error = _refused(ask, text)
    assert error.code == "MALFORMED_QUERY"
    _is_located(error, column, message)


@pytest.mark.parametrize(("text", "column", "message"), INVALID_FIELDS)
def test_unknown_and_unfit_fields(ask: Ask, text: str, column: int, message: str) -> None:
    error = _refused(ask, text)
    assert error.code == "INVALID_FIELD"
    _is_located(error, column, message)


@pytest.mark.parametrize(("field", "literal", "wanted"), TYPES)
def test_a_literal_of_another_type_is_refused(ask: Ask, field: str, literal: str, wanted: str) -> None:
    start = f"SELECT Id FROM Contact WHERE {field} = "
    error = _refused(ask, start + literal)
    assert error.code == "INVALID_FIELD"
    _is_located(error, len(start) + 1, f"value of filter criterion for field '{field}' must be of type {wanted}")


@pytest.mark.parametrize(("condition", "message"), OPERATORS)
def test_an_operator_that_the_type_lacks_is_refused(ask: Ask, condition: str, message: str) -> None:
    error = _refused(ask, f"SELECT Id FROM Contact WHERE {condition}")
    assert error.code == "INVALID_QUERY_FILTER_OPERATOR"
    assert error.message.endswith(f"\n{message}")


def test_unknown_objects_and_child_relationships_are_invalid_types(ask: Ask) -> None:
    error = _refused(ask, "SELECT Id FROM Contakt")
    assert error.code == "INVALID_TYPE"
    _is_located(error, 16, f"sObject type 'Contakt' is not supported. {_OBJECT}")
    error = _refused(ask, "SELECT Id, (SELECT Id FROM Kontakte) FROM Account")
    assert error.code == "INVALID_TYPE"
    _is_located(error, 28, f"Didn't understand relationship 'Kontakte' in FROM part of query call. {_RELATION}")


def test_the_excerpt_is_cut_at_blanks_around_the_place(ask: Ask) -> None:
    columns = ", ".join(
        ["Id", "LastName", "FirstName", "Email", "Phone", "Wrong", "Fax", "MailingCity", "MailingState"]
    )
    error = _refused(ask, f"SELECT {columns} FROM Contact")
    assert error.message.startswith(
        "\nLastName, FirstName, Email, Phone, Wrong, Fax, MailingCity, MailingState\n" + " " * 35 + "^\n"
    )


def test_rows_are_counted_in_queries_of_several_lines(ask: Ask) -> None:
    error = _refused(ask, "SELECT Id\nFROM Contact\nWHERE Wrong = 1")
    assert "\nWHERE Wrong = 1\n      ^\nERROR at Row:3:Column:7\n" in error.message


def test_limits_are_refused_with_their_own_codes(ask: Ask) -> None:
    assert _refused(ask, "SELECT Id FROM Contact OFFSET 2001").code == "NUMBER_OUTSIDE_VALID_RANGE"
    error = _refused(ask, "SELECT FIELDS(ALL) FROM Contact")
    assert error.message == "The SOQL FIELDS function must have a LIMIT of at most 200"
    error = _refused(ask, "SELECT FIELDS(CUSTOM) FROM Contact LIMIT 201")
    assert error.message == "The SOQL FIELDS function must have a LIMIT of at most 200"
    error = _refused(ask, "SELECT Id, FIELDS(ALL) FROM Contact LIMIT 200")
    assert (error.code, error.message) == ("INVALID_FIELD", "duplicate field selected: Id")
    error = _refused(ask, f"SELECT Id FROM Contact WHERE LastName = '{'x' * 100_000}'")
    assert error.message == "SOQL statements cannot be longer than 100000 characters."
    assert "4000" in _refused(ask, f"SELECT Id FROM Contact WHERE LastName = '{'x' * 4001}'").message
    assert ask(f"SELECT Id FROM Contact WHERE LastName = '{'x' * 4000}'").total_size == 0


def test_what_is_too_deep_or_too_wide_is_too_complicated(ask: Ask) -> None:
    deep = "(" * 5_000 + "LastName = 'a'" + ")" * 5_000
    assert _refused(ask, f"SELECT Id FROM Contact WHERE {deep}").code == "QUERY_TOO_COMPLICATED"
    wide = ",".join(str(number) for number in range(10_000, 26_000))
    assert ask(f"SELECT Id FROM Contact WHERE MailingLatitude IN ({wide})").total_size == 0
    many = " OR ".join(["LastName = 'a'"] * 2_000)
    assert ask(f"SELECT Id FROM Contact WHERE {many}").total_size == 0
    days = ", ".join(["TODAY", "2026-11-23"] * 1_000)
    assert ask(f"SELECT Id FROM Contact WHERE Birthdate IN ({days})").total_size == 0
    chosen = ";".join(chr(code) for code in range(0x4E00, 0x4E00 + 1_900))
    assert ask(f"SELECT Id FROM Gadget__c WHERE Tags__c INCLUDES ('{chosen}')").total_size == 0
    text = ", ".join(["'a'"] * 19_000)
    assert _refused(ask, f"SELECT Id FROM Gadget__c WHERE Tags__c INCLUDES ({text})").code == "QUERY_TOO_COMPLICATED"
    users = itertools.product(["CreatedBy", "LastModifiedBy"], repeat=5)
    wide_tree = ", ".join(f"{'.'.join(names)}.Id" for names in users)
    assert _refused(ask, f"SELECT {wide_tree} FROM Contact").code == "QUERY_TOO_COMPLICATED"
    deep_path = ".".join(["ReportsTo"] * 5)
    assert ask(f"SELECT {deep_path}.Id FROM Contact").total_size == 2
    assert _refused(ask, f"SELECT ReportsTo.{deep_path}.Id FROM Contact").code == "INVALID_FIELD"
    children = "SELECT Id FROM ChildAccounts"
    for _ in range(3):
        children = f"SELECT Id, ({children}) FROM ChildAccounts"
    assert ask(f"SELECT Id, ({children}) FROM Account").total_size == 2
    too_deep = f"SELECT Id, (SELECT Id, ({children}) FROM ChildAccounts) FROM Account"
    assert "no more than five levels" in _refused(ask, too_deep).message


def test_a_string_that_does_not_end_or_has_a_wrong_escape_is_malformed(ask: Ask) -> None:
    error = _refused(ask, "SELECT Id FROM Contact WHERE LastName = 'a")
    assert "mismatched character '<EOF>' expecting '''" in error.message
    error = _refused(ask, r"SELECT Id FROM Contact WHERE LastName = 'a\q'")
    assert r"Illegal character sequence '\q' in string literal." in error.message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT COUNT() FROM Contact", "Aggregate Relationships not supported in Bulk Query"),
        ("SELECT LastName FROM Contact GROUP BY LastName", "Aggregate Relationships not supported in Bulk Query"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "Aggregate Relationships not supported in Bulk Query"),
        ("SELECT Id FROM Contact OFFSET 1", "OFFSET not supported in Bulk Query"),
        ("SELECT MailingAddress FROM Contact", "Selecting compound data not supported in Bulk Query"),
        ("SELECT Image__c FROM Gadget__c", "Selecting binary data not supported in Bulk Query"),
        ("SELECT TYPEOF Owner WHEN User THEN Name END FROM Gadget__c", "TYPEOF not supported in Bulk Query"),
    ],
)
def test_bulk_refuses_what_has_no_flat_columns(ask: Ask, query: str, message: str) -> None:
    assert ask(query) is not None
    error = _refused(ask, query, bulk=True)
    assert (error.code, error.message) == ("API_ERROR", message)

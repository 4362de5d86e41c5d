"""SOQL: escaping that can't be broken out of, literals of every type, lists cut to fit a URL."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from urllib.parse import parse_qs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.crm.salesforce.objects import CONTACT

from crosstie.crm.connector import Comparison, Group, Operator, Order, RemoteQuery, Value
from crosstie.crm.salesforce import soql
from crosstie.crm.salesforce.literals import text_literal, wire_instant
from crosstie.crm.salesforce.soql import Keyset, Part
from crosstie.errors import MappingError, RequestError
from crosstie.model import IndexRange

QUERY = RemoteQuery(object=CONTACT, fields=("Id", "Email"))
START = datetime(2026, 11, 22, 8, tzinfo=UTC)
END = datetime(2026, 11, 23, 8, tzinfo=UTC)
WINDOW = IndexRange(field="SystemModstamp", start=START, end=END)

_STRING = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def unescaped(literal: str) -> str:
    """A second reading of a SOQL string literal, by the rules of the SOQL reference."""
    whole = _STRING.fullmatch(literal)
    assert whole is not None, literal
    names = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}

    def one(found: re.Match[str]) -> str:
        code = found.group(1)
        return chr(int(code[1:], 16)) if len(code) == 5 else names.get(code, code)

    return _ESCAPE.sub(one, whole.group(1))


def is_(field: str, operator: Operator, value: Value = None) -> Comparison:
    """A comparison."""
    return Comparison(field=field, operator=operator, value=value)


def where(condition: Comparison | Group) -> str:
    """The condition as it is rendered."""
    return soql.where(CONTACT, condition)


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_a_text_literal_means_the_text_and_ends_where_it_ends(text: str) -> None:
    literal = text_literal(text)
    assert unescaped(literal) == text
    assert _STRING.match(f"{literal} OR Id != null").group() == literal  # type: ignore[union-attr]
    assert all(ord(character) >= 0x20 for character in literal)


@settings(max_examples=100)
@given(st.text(alphabet="%_\\'\"a", max_size=20))
def test_in_a_pattern_wildcards_stand_for_themselves(text: str) -> None:
    pattern = text_literal(text, like=True)[1:-1]
    assert re.sub(r"\\.", "", pattern).translate({}) == re.sub(r"[\\'\"%_]", "", text)
    bare = re.sub(r"\\.", "", pattern)
    assert "%" not in bare
    assert "_" not in bare


def test_half_a_character_and_a_long_text_are_refused() -> None:
    with pytest.raises(RequestError, match="surrogate"):
        text_literal("\ud800")
    text_literal("x" * 4000)
    with pytest.raises(RequestError, match="4,002 characters"):
        text_literal("'" * 2001)


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (is_("email", Operator.EMPTY), "Email = null"),
        (is_("Email", Operator.NOT_EMPTY), "Email != null"),
        (is_("LastName", Operator.EQUAL, "O'Hara"), "LastName = 'O\\'Hara'"),
        (is_("LastName", Operator.NOT_EQUAL, 7.0), "LastName != '7'"),
        (is_("LastName", Operator.STARTS_WITH, "50%_"), "LastName LIKE '50\\%\\_%'"),
        (is_("LastName", Operator.CONTAINS, "a'b"), "LastName LIKE '%a\\'b%'"),
        (is_("Score__c", Operator.AT_LEAST, 50.0), "Score__c >= 50"),
        (is_("Score__c", Operator.LESS, 1e21), "Score__c < 1000000000000000000000"),
        (is_("Score__c", Operator.GREATER, "-0.25"), "Score__c > -0.25"),
        (is_("Children__c", Operator.AT_MOST, 3), "Children__c <= 3"),
        (is_("HasOptedOutOfEmail", Operator.EQUAL, True), "HasOptedOutOfEmail = TRUE"),
        (is_("Birthdate", Operator.AFTER, date(2012, 7, 31)), "Birthdate > 2012-07-31"),
        (is_("Birthdate", Operator.AFTER, datetime(2012, 7, 31, tzinfo=UTC)), "Birthdate > 2012-07-31"),
        (is_("SystemModstamp", Operator.BEFORE, END), "SystemModstamp < 2026-11-23T08:00:00Z"),
        (
            is_("SystemModstamp", Operator.BEFORE, END.astimezone(timezone(timedelta(hours=2)))),
            "SystemModstamp < 2026-11-23T08:00:00Z",
        ),
        (
            is_("SystemModstamp", Operator.BEFORE, END + timedelta(milliseconds=5, microseconds=999)),
            "SystemModstamp < 2026-11-23T08:00:00.005Z",
        ),
        (is_("SystemModstamp", Operator.AFTER, date(2026, 1, 2)), "SystemModstamp > 2026-01-02T00:00:00Z"),
        (is_("Calls__c", Operator.EQUAL, "14:30:00"), "Calls__c = 14:30:00Z"),
        (is_("LeadSource", Operator.ONE_OF, ["Web", "Other"]), "LeadSource IN ('Web','Other')"),
        (is_("LeadSource", Operator.ONE_OF, "Web"), "LeadSource IN ('Web')"),
        (is_("LeadSource", Operator.ONE_OF, []), "Id = null"),
        (is_("Interests__c", Operator.INCLUDES, ["Golf", "A;B"]), "Interests__c INCLUDES ('Golf','A;B')"),
        (Group(all=True, items=()), "Id != null"),
        (Group(all=False, items=()), "Id = null"),
        (Group(all=False, items=(is_("Email", Operator.EMPTY),)), "Email = null"),
        (
            Group(
                all=True,
                items=(
                    is_("Email", Operator.EMPTY),
                    Group(all=False, items=(is_("Id", Operator.EMPTY), is_("Id", Operator.NOT_EMPTY))),
                ),
            ),
            "(Email = null AND (Id = null OR Id != null))",
        ),
    ],
)
def test_conditions(condition: Comparison | Group, text: str) -> None:
    assert where(condition) == text


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (is_("Score__c", Operator.EQUAL, "many"), "not a number"),
        (is_("Score__c", Operator.EQUAL, float("nan")), "not a number"),
        (is_("Score__c", Operator.EQUAL, float("inf")), "not a number"),
        (is_("Score__c", Operator.EQUAL, True), "can't be compared with a value of type bool"),
        (is_("LastName", Operator.EQUAL, True), "can't be compared"),
        (is_("HasOptedOutOfEmail", Operator.EQUAL, "true"), "can't be compared"),
        (is_("Birthdate", Operator.EQUAL, "2012-07-31"), r"new Date\('2012-07-31'\)"),
        (is_("SystemModstamp", Operator.EQUAL, datetime(2026, 1, 1)), "no time zone"),  # noqa: DTZ001
        (is_("Calls__c", Operator.EQUAL, "2026-01-01 OR Id != null"), "can't be compared"),
        (is_("Email", Operator.EQUAL, None), "no value to compare with"),
        (is_("Score__c", Operator.CONTAINS, "5"), "compares texts"),
        (is_("Description", Operator.NOT_EMPTY), "can't filter by Contact.Description"),
    ],
)
def test_values_that_do_not_fit_are_refused(condition: Comparison, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        where(condition)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nickname", "no field “Nickname”"),
        ("MailingAddress", "read by its parts"),
        ("Photo__c", "files"),
        ("Id FROM Contact--", "no field"),
        ("Boss.Name", "no relationship “Boss”"),
        ("Account.Name, Id", "no relationship"),
    ],
)
def test_fields_that_cannot_be_read_are_refused(name: str, message: str) -> None:
    with pytest.raises(MappingError, match=message):
        soql.selected(replace(QUERY, fields=("Id", name)))


def test_names_come_in_the_spelling_of_the_crm() -> None:
    columns = soql.selected(replace(QUERY, fields=("ID", "email", "account.Name")))
    assert [(one.asked, one.path) for one in columns] == [
        ("ID", "Id"),
        ("email", "Email"),
        ("account.Name", "Account.Name"),
    ]


def test_a_window_has_two_ends_and_the_first_read_includes_rows_without_a_stamp() -> None:
    assert soql.render(replace(QUERY, window=WINDOW), ("Id",)) == (
        "SELECT Id FROM Contact"
        " WHERE (SystemModstamp >= 2026-11-22T08:00:00Z AND SystemModstamp < 2026-11-23T08:00:00Z)"
    )
    first = replace(QUERY, window=replace(WINDOW, start=None))
    assert soql.render(first, ("Id",)).endswith("(SystemModstamp = null OR SystemModstamp < 2026-11-23T08:00:00Z)")


def test_a_read_goes_on_behind_a_row() -> None:
    windowed = replace(QUERY, window=WINDOW)
    key = "003000000000001AAA"
    behind = soql.render(windowed, ("Id",), keyset=Keyset(stamp="2026-11-22T09:00:00.000+0000", id=key))
    assert behind.endswith(
        f"AND (SystemModstamp < 2026-11-22T09:00:00Z OR (SystemModstamp = 2026-11-22T09:00:00Z AND Id > '{key}'))"
    )
    first = replace(QUERY, window=replace(WINDOW, start=None))
    behind = soql.render(first, ("Id",), keyset=Keyset(stamp="2026-11-22T09:00:00.000+0000", id=key))
    assert "SystemModstamp < 2026-11-22T09:00:00Z OR SystemModstamp = null OR (SystemModstamp = 2026" in behind
    null = soql.render(first, ("Id",), keyset=Keyset(stamp="", id=key))
    assert null.endswith(f"AND (SystemModstamp = null AND Id > '{key}')")
    assert soql.render(QUERY, ("Id",), keyset=Keyset(stamp=None, id=key)).endswith(f"WHERE Id > '{key}'")


@pytest.mark.parametrize("bad", ["003' OR Id != '", "003", "0030000000000011", "0030000000000é1"])
def test_what_is_no_id_never_gets_into_a_query(bad: str) -> None:
    with pytest.raises(RequestError, match="not a Salesforce id"):
        soql.render(replace(QUERY, ids=[bad]), ("Id",))


def test_order_places_nulls_as_the_crm_does_and_ends_with_the_id() -> None:
    ordered = replace(QUERY, order=(Order(field="email"), Order(field="Score__c", descending=True)))
    assert soql.asked_order(ordered) == ("Email ASC NULLS FIRST", "Score__c DESC NULLS LAST", "Id")
    assert soql.asked_order(replace(QUERY, order=(Order(field="Id", descending=True),))) == ("Id DESC NULLS LAST",)
    with pytest.raises(RequestError, match="can't sort by"):
        soql.asked_order(replace(QUERY, order=(Order(field="Description"),)))


def test_an_index_has_to_be_an_instant() -> None:
    with pytest.raises(RequestError, match="is no instant"):
        soql.render(replace(QUERY, window=replace(WINDOW, field="Birthdate")), ("Id",))


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_the_url_carries_exactly_the_query(text: str) -> None:
    query = f"SELECT Id FROM Contact WHERE LastName = {text_literal(text)}"
    assert parse_qs(f"q={soql.encoded(query)}", strict_parsing=True) == {"q": [query]}


def ids(count: int) -> list[str]:
    """Ids of the right form."""
    return [f"003{number:012d}AAA" for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 500, 601, 5_000])
def test_ids_are_cut_so_that_every_query_fits_a_url(count: int) -> None:
    query = replace(QUERY, ids=ids(count), window=WINDOW)
    order = soql.keyset_order(query)
    seen: list[str] = []
    for part in soql.parts(query, ("Id", "Email"), order):
        text = soql.render(query, ("Id", "Email"), part=part, order=order)
        assert len(soql.encoded(text)) < 16_384 - 3_000
        seen += re.findall(r"'(003\d{12}AAA)'", text)
    assert seen == ids(count)


def test_a_long_list_in_a_filter_is_cut_and_the_rest_of_the_filter_stays() -> None:
    names = [f"Straße {number} 'x'" for number in range(1500)]
    condition = Group(
        all=True, items=(is_("Email", Operator.NOT_EMPTY), is_("LastName", Operator.ONE_OF, [*names, names[0]]))
    )
    query = replace(QUERY, condition=condition)
    cut = soql.parts(query, ("Id",), ("Id",))
    assert len(cut) > 1
    seen: list[str] = []
    for part in cut:
        text = soql.render(query, ("Id",), part=part, order=("Id",))
        assert len(soql.encoded(text)) < 16_384 - 3_000
        assert text.startswith("SELECT Id FROM Contact WHERE Email != null AND LastName IN (")
        seen += [unescaped(one.group()) for one in _STRING.finditer(text)]
    assert seen == names


def test_a_list_under_or_is_not_cut_but_refused_with_the_way_out() -> None:
    names = [f"name {number}" for number in range(2000)]
    either = Group(all=False, items=(is_("Email", Operator.EMPTY), is_("LastName", Operator.ONE_OF, names)))
    with pytest.raises(RequestError, match="road: bulk"):
        soql.parts(replace(QUERY, condition=either), ("Id",), ("Id",))


def test_a_short_query_is_one_part_and_a_giant_one_is_refused() -> None:
    assert soql.parts(QUERY, ("Id",), ("Id",)) == (Part(),)
    many = replace(QUERY, condition=is_("LastName", Operator.ONE_OF, ["x" * 3000] * 40))
    with pytest.raises(RequestError, match="100,000"):
        soql.render(many, ("Id",))


@pytest.mark.parametrize(
    "text", ["2026-11-23T01:07:37.000+0000", "2026-11-23T01:07:37Z", "2026-11-23T01:07:37+00:00", "1795396057000"]
)
def test_every_wire_form_of_an_instant(text: str) -> None:
    assert wire_instant(text) == datetime(2026, 11, 23, 1, 7, 37, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-23T01:07:37"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(RequestError):
        wire_instant(text)

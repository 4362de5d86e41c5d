"""Filters: what is refused, with path and words, and what the connector gets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
import yaml

from crosstie.crm.connector import Comparison, Group, Operator
from crosstie.errors import MappingError, ScriptError
from crosstie.model import FieldType, RemoteField, RemoteObject
from crosstie.script.engine import ScriptScope, evaluate
from crosstie.script.filters import build_condition, filter_problems, read_filter


def field(
    name: str, type: FieldType, *, label: str = "", filterable: bool = True, parts: tuple[str, ...] = ()
) -> RemoteField:
    return RemoteField(
        name=name, label=label or name, type=type, wire_type=type.value, filterable=filterable, parts=parts
    )


CONTACT = RemoteObject(
    name="Contact",
    label="Contact",
    label_plural="Contacts",
    key="Id",
    fields=(
        field("Id", FieldType.ID),
        field("AccountId", FieldType.REFERENCE),
        field("Email", FieldType.TEXT),
        field("emailaddress2", FieldType.TEXT, label="Private Mail"),
        field("Description", FieldType.TEXT, filterable=False),
        field("LastActivityDate", FieldType.DATE),
        field("SystemModstamp", FieldType.DATETIME),
        field("Score__c", FieldType.DECIMAL),
        field("Visits__c", FieldType.INTEGER),
        field("Interests__c", FieldType.SET),
        field("Active__c", FieldType.BOOLEAN),
        field("Opens__c", FieldType.TIME),
        field("MailingAddress", FieldType.COMPOUND, parts=("MailingCity", "MailingStreet")),
    ),
)
SCOPE = ScriptScope(now=datetime(2026, 11, 23, tzinfo=UTC), vars={"least": 5})


def problems(text: str, *, strict: bool = False) -> list[tuple[tuple[str | int, ...], str]]:
    return list(filter_problems(read_filter(yaml.safe_load(text)), CONTACT, strict=strict))


def condition(text: str, run: Callable[[str], object] = lambda source: evaluate(source, SCOPE)) -> object:
    tree = read_filter(yaml.safe_load(text))
    assert list(filter_problems(tree, CONTACT, strict=False)) == []
    return build_condition(tree, CONTACT, run)


def test_a_tree_becomes_a_condition_with_evaluated_values() -> None:
    text = """
    all:
      - {field: Email, is: not empty}
      - any:
          - {field: LastActivityDate, is: after, value: "new Date('2012-07-31')"}
          - {field: score__c, is: at least, value: "10 * vars.least"}
    """
    assert condition(text) == Group(
        all=True,
        items=(
            Comparison(field="Email", operator=Operator.NOT_EMPTY),
            Group(
                all=False,
                items=(
                    Comparison(field="LastActivityDate", operator=Operator.AFTER, value=date(2012, 7, 31)),
                    Comparison(field="Score__c", operator=Operator.AT_LEAST, value=50),
                ),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{field: Email, is: equal to, value: \"'O''Brien'\"}".replace("''", "\\\\'"), "O'Brien"),
        ("{field: Score__c, is: less than, value: 1.5}", 1.5),
        ("{field: Visits__c, is: equal to, value: 3}", 3),
        ("{field: Active__c, is: equal to, value: true}", True),
        ("{field: LastActivityDate, is: before, value: 2012-07-31}", date(2012, 7, 31)),
        ("{field: SystemModstamp, is: at least, value: 2012-07-31}", datetime(2012, 7, 31, tzinfo=UTC)),
        ("{field: Interests__c, is: includes, value: [\"'a'\", \"'b'\"]}", ("a", "b")),
        ("{field: Id, is: one of, value: \"'003'\"}", ("003",)),
    ],
)
def test_a_value_arrives_in_the_type_of_the_field(text: str, value: object) -> None:
    found = condition(text)
    assert isinstance(found, Comparison)
    assert found.value == value
    assert type(found.value) is type(value)


def test_each_value_is_evaluated_once_in_the_order_of_the_file() -> None:
    asked: list[str] = []

    def run(source: str) -> object:
        asked.append(source)
        return 1

    tests = "{field: Score__c, is: equal to, value: vars.a}, {field: Visits__c, is: one of, value: [vars.b, vars.c]}"
    condition(f"all: [{tests}]", run)
    assert asked == ["vars.a", "vars.b", "vars.c"]


def test_mixed_operators_on_one_level_are_refused_always() -> None:
    # Campaign's example of a wrong filter: conditions of one level joined by AND and by OR.
    wrong = "{all: [{field: Email, is: not empty}], any: [{field: Score__c, is: at least, value: 1}]}"
    for strict in (False, True):
        ((path, message),) = problems(wrong, strict=strict)
        assert path == ()
        assert "one logical operator" in message


def test_comparing_text_is_refused_when_strict() -> None:
    text = "{field: Email, is: equal to, value: \"'x'\"}"
    assert problems(text) == []
    ((path, message),) = problems(text, strict=True)
    assert path == ("is",)
    assert "strict allows only null tests, numbers and dates; Email is text" in message


@pytest.mark.parametrize(
    "text",
    [
        "{field: Email, is: empty}",
        "{field: Score__c, is: at least, value: 1}",
        "{field: SystemModstamp, is: before, value: new Date()}",
    ],
)
def test_strict_allows_null_tests_numbers_and_dates(text: str) -> None:
    assert problems(text, strict=True) == []


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("{field: Score__c, is: greather than, value: 1}", ("is",), "Did you mean “greater than”?"),
        ("{field: Score__c, is: '>=', value: 1}", ("is",), "Did you mean “at least”?"),
        ("{field: Emial, is: empty}", ("field",), "Contact has no field “Emial”. Did you mean “Email”?"),
        ("{field: private mail, is: empty}", ("field",), "Did you mean “emailaddress2”?"),
        ("{field: Account.Name, is: empty}", ("field",), "can't join"),
        ("{field: lower(Email), is: empty}", ("field",), "not an expression"),
        ("{field: MailingAddress, is: empty}", ("field",), "Use MailingCity or MailingStreet"),
        ("{field: Description, is: empty}", ("field",), "can't be filtered"),
        ("{field: Email, is: includes, value: \"'x'\"}", ("is",), "not for Email (text)"),
        (
            "{field: Active__c, is: greater than, value: true}",
            ("is",),
            "It can be empty, not empty, equal to",
        ),
        ("{field: Opens__c, is: equal to, value: 1}", ("is",), "not for Opens__c (time)"),
        ("{field: Email, is: before, value: new Date()}", ("is",), "not for Email"),
        ("{field: Email, is: empty, value: 1}", ("value",), "takes no value"),
        ("{field: Email, is: equal to}", (), "needs a “value:”"),
        ("{field: Score__c, is: equal to, value: [1, 2]}", ("value",), "takes one value"),
        ("{field: Score__c, is: equal to, value: null}", ("value",), "is: empty"),
        ("{field: Email, is: equal to, value: Smith}", ("value",), "inside the quotes: \"'Smith'\""),
        ("{field: Email, is: equal to, value: New York}", ("value",), "inside the quotes: \"'New York'\""),
        ("{field: Score__c, is: one of, value: [1, '3 +']}", ("value", 1), "is not JavaScript: SyntaxError"),
        ("{field: Score__c, is: equal to, vale: 1}", ("vale",), "Did you mean “value”?"),
        ("{is: empty}", (), "needs “field:”"),
        ("{except: [{field: Email, is: empty}]}", ("except",), "EXCEPT"),
        ("{not: {field: Email, is: empty}}", ("not",), "EXCEPT"),
        ("{all: []}", ("all",), "at least one test"),
        ("{all: [{field: Email, is: empty}], field: Email}", ("field",), "can't stand beside all"),
        ("Email is empty", (), "is not a filter"),
    ],
)
def test_a_mistake_is_told_with_its_path_and_the_way_out(text: str, path: tuple[str | int, ...], message: str) -> None:
    found = problems(f"all: [{{any: [{text}]}}]")
    assert [one for one, _ in found] == [("all", 0, "any", 0, *path)]
    assert message in found[0][1]


def test_every_mistake_is_told_at_once() -> None:
    found = problems("all: [{field: Emial, is: blank}, {field: Score__c, is: more, value: 1}, 5]")
    assert [path for path, _ in found] == [
        ("all", 0, "is"),
        ("all", 0, "field"),
        ("all", 1, "is"),
        ("all", 2),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{field: Email, is: equal to, value: 5}", "gives the number 5, but Email is text"),
        ("{field: Score__c, is: equal to, value: \"'5'\"}", "gives the text “5”, but Score__c is decimal"),
        ("{field: Visits__c, is: equal to, value: 1.5}", "gives the number 1.5, but Visits__c is integer"),
        ("{field: LastActivityDate, is: after, value: \"'2012-07-31'\"}", "but LastActivityDate is date"),
        ("{field: Score__c, is: equal to, value: getOption('nothing')}", "gives null"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(text: str, message: str) -> None:
    with pytest.raises(MappingError, match=r"^filter\.all\[0\]\.value: ") as caught:
        condition(f"all: [{text}]")
    assert message in caught.value.message


def test_a_value_that_fails_tells_where() -> None:
    with pytest.raises(ScriptError, match=r"^filter\.value: TypeError: cannot read property"):
        condition("{field: Score__c, is: equal to, value: vars.a.b}")


def test_a_condition_is_not_built_from_mistakes() -> None:
    with pytest.raises(MappingError, match=r"filter\.field: Contact has no field"):
        build_condition(read_filter({"field": "Emial", "is": "empty"}), CONTACT, lambda source: 1)
    with pytest.raises(MappingError, match="not a filter"):
        build_condition(read_filter([1]), CONTACT, lambda source: 1)

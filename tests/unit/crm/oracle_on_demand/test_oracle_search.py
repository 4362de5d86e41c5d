"""Search specifications: each condition as it is written, in both versions, and nothing that breaks out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from crosstie.crm.connector import Comparison, Condition, Group, Operator
from crosstie.crm.oracle_on_demand.search import Search, content
from crosstie.crm.oracle_on_demand.times import WireTimes
from crosstie.errors import MappingError, RequestError
from crosstie.model import FieldType, IndexRange, RemoteField, RemoteObject


def _field(name: str, kind: FieldType, *, ours: bool = False, filterable: bool = True) -> RemoteField:
    return RemoteField(
        name=name, label=name, type=kind, wire_type=kind.value, external_id=ours, unique=ours, filterable=filterable
    )


CONTACT = RemoteObject(
    name="Contact",
    label="Contact",
    label_plural="Contacts",
    key="Id",
    fields=(
        _field("Id", FieldType.ID),
        _field("Name", FieldType.TEXT),
        _field("ModifiedBy", FieldType.TEXT, filterable=False),
        _field("ExternalSystemId", FieldType.TEXT, ours=True),
        _field("Tier", FieldType.ENUMERATION),
        _field("Interests", FieldType.SET),
        _field("Score", FieldType.DECIMAL),
        _field("OptOut", FieldType.BOOLEAN),
        _field("Born", FieldType.DATE),
        _field("ModifiedDate", FieldType.DATETIME),
    ),
)
V2 = Search(CONTACT, WireTimes(zone=None, is_text=False))
V1 = Search(CONTACT, WireTimes(zone=ZoneInfo("Europe/Paris"), is_text=True))


def one(name: str, operator: Operator, value: object = None) -> Comparison:
    return Comparison(field=name, operator=operator, value=value)


NOON = datetime(2026, 7, 1, 10, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("condition", "written"),
    [
        (one("Name", Operator.EMPTY), "[Name] IS NULL"),
        (one("Name", Operator.EQUAL, "O'Neill"), "[Name] ~= 'O''Neill'"),
        (one("Name", Operator.EQUAL, ""), "[Name] IS NULL"),
        (one("Name", Operator.NOT_EQUAL, ""), "[Name] IS NOT NULL"),
        (one("ExternalSystemId", Operator.EQUAL, "a*b"), "[ExternalSystemId] = 'a*b'"),
        (one("Tier", Operator.NOT_EQUAL, "A"), "([Tier] <> 'A') OR ([Tier] IS NULL)"),
        (one("Name", Operator.CONTAINS, r"*?\'"), r"[Name] ~LIKE '*\*\?\\''*'"),
        (one("Name", Operator.STARTS_WITH, "a"), "[Name] ~LIKE 'a*'"),
        (one("Score", Operator.AT_LEAST, 1e-7), "[Score] >= '0.0000001'"),
        (one("OptOut", Operator.EQUAL, True), "[OptOut] = 'true'"),
        (one("Born", Operator.BEFORE, date(1980, 1, 2)), "[Born] < '1980-01-02'"),
        (one("ModifiedDate", Operator.AFTER, NOON), "[ModifiedDate] > '2026-07-01T10:00:00Z'"),
        (one("ModifiedDate", Operator.BEFORE, NOON), "[ModifiedDate] < '2026-07-01T10:00:01Z'"),
        (one("Id", Operator.ONE_OF, ["aapa-1", "AAPA-1"]), "[Id] = 'AAPA-1'"),
        (one("Name", Operator.ONE_OF, []), "[Id] IS NULL"),
        (
            one("Interests", Operator.INCLUDES, ["A*"]),
            r"([Interests] = 'A*') OR ([Interests] LIKE 'A\*;*') OR ([Interests] LIKE '*;A\*')"
            r" OR ([Interests] LIKE '*;A\*;*')",
        ),
        (Group(all=True, items=()), "[Id] IS NOT NULL"),
        (Group(all=False, items=()), "[Id] IS NULL"),
        (Group(all=True, items=(one("Tier", Operator.EMPTY),)), "[Tier] IS NULL"),
        (
            Group(
                all=False,
                items=(
                    one("Tier", Operator.EMPTY),
                    Group(all=True, items=(one("Name", Operator.EMPTY), one("Born", Operator.NOT_EMPTY))),
                ),
            ),
            "([Tier] IS NULL) OR (([Name] IS NULL) AND ([Born] IS NOT NULL))",
        ),
    ],
)
def test_a_condition_is_written_for_v2(condition: Condition, written: str) -> None:
    assert V2.specification(condition) == written


def test_conditions_of_a_field_are_one_element_for_v1() -> None:
    items = (
        one("Name", Operator.NOT_EQUAL, "x"),
        one("Name", Operator.STARTS_WITH, "a"),
        one("OptOut", Operator.EQUAL, False),
        one("Born", Operator.BEFORE, date(1980, 1, 2)),
        one("ModifiedDate", Operator.AFTER, NOON),
    )
    found = {name: content(terms) for name, terms in V1.by_field(Group(all=True, items=items)).items()}
    assert found == {
        "Name": "((<> 'x') OR (IS NULL)) AND (~LIKE 'a*')",
        "OptOut": "= 'N'",
        "Born": "< '01/02/1980'",
        "ModifiedDate": "> '07/01/2026 12:00:00'",
    }
    anyone = Group(all=False, items=(one("Name", Operator.EQUAL, "a"), one("Name", Operator.EMPTY)))
    assert content(V1.by_field(anyone)["Name"]) == "(~= 'a') OR (IS NULL)"
    nobody = Group(all=True, items=(Group(all=False, items=()), one("Tier", Operator.ONE_OF, [])))
    assert content(V1.by_field(nobody)["Id"]) == "(IS NULL) AND (IS NULL)"


def test_a_window_is_half_open_and_first_takes_what_has_no_stamp() -> None:
    span = IndexRange(field="ModifiedDate", start=NOON, end=NOON.replace(hour=11))
    assert V2.window(span) == [(">= '2026-07-01T10:00:01Z'",), ("< '2026-07-01T11:00:01Z'",)]
    first = IndexRange(field="ModifiedDate", start=None, end=NOON)
    assert V1.window(first) == [("IS NULL", "< '07/01/2026 12:00:01'")]
    with pytest.raises(RequestError, match="is no instant"):
        V2.window(IndexRange(field="Born", start=None, end=NOON))


@pytest.mark.parametrize(
    "condition",
    [
        one("Id", Operator.EQUAL, "' OR [Id] <> '"),
        one("Score", Operator.EQUAL, "1' OR"),
        one("Score", Operator.LESS, float("inf")),
        one("Name", Operator.EQUAL, "half \ud800"),
        one("Name", Operator.EQUAL, "nul \0"),
        one("OptOut", Operator.EQUAL, "yes"),
        one("Interests", Operator.EQUAL, "A"),
        one("ModifiedBy", Operator.EMPTY),
        one("Name", Operator.LESS, None),
        one("Tier", Operator.CONTAINS, "A"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_it_is_sent(condition: Comparison) -> None:
    with pytest.raises(RequestError):
        V2.specification(condition)


def test_a_path_to_a_parent_says_what_there_is_instead() -> None:
    with pytest.raises(MappingError, match="no paths to other records") as caught:
        V2.specification(one("Account.Name", Operator.EMPTY))
    assert "AccountName" in caught.value.hint

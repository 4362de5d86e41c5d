"""What a client may write into a field, and what is stored."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstie.sandbox.salesforce.catalog import Field
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.field_types import field
from crosstie.sandbox.salesforce.values import read_datetime, stored_value


def described(kind: str, **more: Any) -> Field:
    return Field.from_describe(field("Probe__c", kind, "Probe", **more))


def refusal(kind: str, value: Any, **more: Any) -> str:
    with pytest.raises(ApiError) as caught:
        stored_value(described(kind, **more), value)
    return caught.value.code


instants = st.integers(-8_000_000_000, 60_000_000_000).map(
    lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@given(instants, st.integers(-12 * 60, 14 * 60), st.sampled_from(["", ".0", ".000", ".999999"]), st.booleans())
def test_instants_in_every_accepted_form(moment: datetime, offset: int, fraction: str, colon: bool) -> None:
    local = moment.astimezone(timezone(timedelta(minutes=offset)))
    zone = local.strftime("%z")
    text = f"{local:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + fraction + (f"{zone[:3]}:{zone[3:]}" if colon else zone)
    assert read_datetime(text) == moment
    assert stored_value(described("datetime"), text) == f"{moment:%Y-%m-%dT%H:%M:%S}.000+0000"


@pytest.mark.parametrize("text", ["2026-01-01", "2026-01-01T10:00:00", "2026-13-01T10:00:00Z", "2026-01-01 10:00:00Z"])
def test_what_is_no_instant(text: str) -> None:
    assert read_datetime(text) is None
    assert refusal("datetime", text) == "JSON_PARSER_ERROR"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
def test_text_is_trimmed_and_empty_is_null(text: str) -> None:
    assert stored_value(described("string", length=80), text) == (text.strip() or None)


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6))
def test_value_sets_come_in_list_order_once_each(chosen: list[str]) -> None:
    item = described("multipicklist", values=["d", "c", "b", "a"], length=4099)
    assert stored_value(item, ";".join(chosen)) == (";".join(v for v in ("d", "c", "b", "a") if v in chosen) or None)


@given(st.floats(allow_nan=False, min_value=-9e7, max_value=9e7))
def test_numbers_stay_exact(number: float) -> None:
    assert stored_value(described("double", precision=18, scale=2), number) == number
    assert stored_value(described("double", precision=18, scale=2), repr(number)) == number


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        ("boolean", "TRUE", 1),
        ("boolean", False, 0),
        ("date", "2026-02-28", "2026-02-28"),
        ("date", "2026-02-28T23:00:00Z", "2026-02-28"),
        ("time", "14:30", "14:30:00.000Z"),
        ("time", "14:30:05.25Z", "14:30:05.250Z"),
        ("int", 7.0, 7),
        ("base64", "aGk=", b"hi"),
        ("reference", "001R0000005hDFY", "001R0000005hDFYIA2"),
        ("picklist", "not in the list", "not in the list"),
        ("phone", "", None),
    ],
)
def test_stored_forms(kind: str, value: Any, stored: Any) -> None:
    assert stored_value(described(kind), value) == stored


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("string", 5, "JSON_PARSER_ERROR"),
        ("string", ["a"], "JSON_PARSER_ERROR"),
        ("boolean", None, "JSON_PARSER_ERROR"),
        ("boolean", "maybe", "JSON_PARSER_ERROR"),
        ("int", 1.5, "JSON_PARSER_ERROR"),
        ("int", 10**9, "NUMBER_OUTSIDE_VALID_RANGE"),
        ("double", 1e18, "NUMBER_OUTSIDE_VALID_RANGE"),
        ("date", "2026-02-30", "JSON_PARSER_ERROR"),
        ("date", "0900-01-01", "INVALID_TYPE_ON_FIELD_IN_RECORD"),
        ("time", "25:00:00", "JSON_PARSER_ERROR"),
        ("base64", "not base64!", "INVALID_BASE64_DATA"),
        ("reference", "001R0000005hDFYIA3", "MALFORMED_ID"),
        ("email", "a@b", "INVALID_EMAIL_ADDRESS"),
        ("phone", "0" * 41, "STRING_TOO_LONG"),
    ],
)
def test_refused_forms(kind: str, value: Any, code: str) -> None:
    assert refusal(kind, value) == code


def test_restricted_lists_refuse_what_they_do_not_have() -> None:
    for kind, value in (("picklist", "z"), ("multipicklist", "a;z")):
        code = refusal(kind, value, values=["a"], restrictedPicklist=True, length=255)
        assert code == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"

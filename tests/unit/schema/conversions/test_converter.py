"""Conversions of whole columns, held against plain Python."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstie.errors import MappingError
from crosstie.model import FieldType, RemoteField
from crosstie.schema.conversions import MODES
from crosstie.schema.conversions.converter import BadCell, Converted, Converter

PARIS = ZoneInfo("Europe/Paris")
# Whole and half-hour changes, changes at midnight, none, and a zone that skipped a whole day.
ZONES = [
    ZoneInfo(key)
    for key in (
        "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "America/Havana",
        "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca", "UTC",
    )
]  # fmt: skip


def converter(
    type: FieldType, mode: str = "default", *, zone: ZoneInfo = PARIS, scale: int = 0, length: int = 0
) -> Converter:
    field = RemoteField(name="Field__c", label="Field", type=type, wire_type=type.value, scale=scale, length=length)
    return Converter(field, mode, zone)


def convert(one: Converter, *cells: str | None) -> tuple[list[Any], list[BadCell], Converted]:
    array = pa.array(cells, pa.string())
    converted = one.to_local(array)
    assert len(converted.values) == len(array)
    return converted.values.to_pylist(), list(one.bad_cells(array, converted)), converted


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


DESIGN_EXAMPLE: list[tuple[str, object, str]] = [
    ("default", datetime(2026, 1, 1, 23, 30, tzinfo=UTC), "2026-01-01T23:30:00.000Z"),
    ("date_only", date(2026, 1, 2), "2026-01-01T23:00:00.000Z"),
    ("without_time_offset", wall("2026-01-01T23:30:00"), "2026-01-01T23:30:00.000Z"),
    ("copy_paste", "2026-01-01T23:30:00Z", "2026-01-01T23:30:00Z"),
]


@pytest.mark.parametrize(("mode", "local", "wire"), DESIGN_EXAMPLE)
def test_the_example_of_the_design(mode: str, local: object, wire: str) -> None:
    one = converter(FieldType.DATETIME, mode)
    values, bad, converted = convert(one, "2026-01-01T23:30:00Z")
    assert (values, bad) == ([local], [])
    assert one.to_wire(converted.values).to_pylist() == [wire]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T01:07:37.000+0000",
        "2026-11-23T01:07:37.000Z",
        "2026-11-23T01:07:37Z",
        "2026-11-23T01:07:37+00:00",
        "2026-11-23T02:07:37.000+0100",
        "2026-11-22T19:37:37-05:30",
        "2026-11-23 01:07:37Z",
        "1795396057000",
        "2026-11-23T02:07:37",
        "2026-11-23T02:07:37.000",
    ],
)
def test_every_wire_form_of_an_instant_is_read_alone_and_among_others(text: str) -> None:
    instant = datetime(2026, 11, 23, 1, 7, 37, tzinfo=UTC)
    one = converter(FieldType.DATETIME)
    assert convert(one, text, None)[:2] == ([instant, None], [])
    mixed = ("2026-11-23T01:07:37.000Z", text, None, "2026-11-23T02:07:37", "1795396057000")
    assert convert(one, *mixed)[:2] == ([instant, instant, None, instant, instant], [])


def test_what_cannot_be_read_is_named_and_the_rest_goes_on() -> None:
    values, bad, _ = convert(
        converter(FieldType.DATETIME), "2026-01-01T00:00:00Z", "2026-02-30T00:00:00Z", None, "soon", "0000-01-01T00:00Z"
    )
    assert values == [datetime(2026, 1, 1, tzinfo=UTC), None, None, None, None]
    assert [(cell.row, cell.field, cell.value) for cell in bad] == [
        (1, "Field__c", "2026-02-30T00:00:00Z"),
        (3, "Field__c", "soon"),
        (4, "Field__c", "0000-01-01T00:00Z"),
    ]
    assert {cell.reason for cell in bad} == {"cannot be read as a date and time"}


def test_a_repeated_hour_is_its_first_and_a_gap_its_end_with_a_warning() -> None:
    one = converter(FieldType.DATETIME)
    values, bad, converted = convert(one, "2026-10-25T02:30:00", "2026-03-29T02:30:00", "2026-07-01T12:00:00")
    assert values == [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
        datetime(2026, 7, 1, 10, 0, tzinfo=UTC),
    ]
    assert (bad, converted.repeated, converted.skipped) == ([], 1, 1)


def test_years_beyond_the_systems_list_follow_the_rules_too() -> None:
    one = converter(FieldType.DATETIME)
    values, _, converted = convert(
        one, "2050-07-01T12:00:00", "2050-10-30T02:30:00", "2050-03-27T02:30:00", "2026-07-01T12:00:00"
    )
    assert values == [
        datetime(2050, 7, 1, 10, tzinfo=UTC),
        datetime(2050, 10, 30, 0, 30, tzinfo=UTC),
        datetime(2050, 3, 27, 1, tzinfo=UTC),
        datetime(2026, 7, 1, 10, tzinfo=UTC),
    ]
    assert (converted.repeated, converted.skipped) == (1, 1)
    assert convert(converter(FieldType.DATETIME, "date_only"), "2050-06-30T22:00:00Z")[0] == [date(2050, 7, 1)]


def first_instant(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the repeated hour and the gap mean, in plain Python."""
    instant = moment.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == moment:
        return instant
    second = int(instant.timestamp())
    offset = instant.astimezone(zone).utcoffset()
    while datetime.fromtimestamp(second - 1, zone).utcoffset() == offset:
        second -= 1
    return datetime.fromtimestamp(second, UTC)


def changes(zone: ZoneInfo) -> list[datetime]:
    """The instants of 1990 to 2060 at which the zone's offset changes, to the hour before."""
    hours = (datetime(1990, 1, 1, tzinfo=UTC) + timedelta(hours=12 * step) for step in range(2 * 366 * 70))
    found, before = [], None
    for hour in hours:
        offset = hour.astimezone(zone).utcoffset()
        if before is not None and offset != before:
            found.append(hour)
        before = offset
    return found


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_zoneless_times_around_every_change_equal_plain_python(zone: ZoneInfo) -> None:
    around = [
        (change.astimezone(zone) + timedelta(minutes=15 * step)).replace(tzinfo=None)
        for change in changes(zone)[::7]
        for step in range(-60, 12)
    ] or [wall("2026-01-01T00:00:00")]
    one = converter(FieldType.DATETIME, zone=zone)
    values, bad, _ = convert(one, *(moment.isoformat() for moment in around))
    assert bad == []
    assert values == [first_instant(moment, zone) for moment in around]


@given(
    moments=st.lists(st.datetimes(datetime(1901, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=6),  # noqa: DTZ001
    zone=st.sampled_from(ZONES),
)
@settings(max_examples=150, deadline=None)
def test_instants_their_dates_and_their_written_times_equal_plain_python(
    moments: list[datetime], zone: ZoneInfo
) -> None:
    aware = [moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000) for moment in moments]
    cells = [moment.isoformat(timespec="milliseconds") for moment in aware]
    assert convert(converter(FieldType.DATETIME, zone=zone), *cells)[0] == aware
    dates = convert(converter(FieldType.DATETIME, "date_only", zone=zone), *cells)[0]
    assert dates == [moment.astimezone(zone).date() for moment in aware]
    local = [moment.astimezone(zone) for moment in aware if moment.astimezone(zone).second == moment.second]
    written = convert(
        converter(FieldType.DATETIME, "without_time_offset", zone=zone),
        *(moment.isoformat(timespec="milliseconds") for moment in local),
    )[0]
    assert written == [moment.replace(tzinfo=None) for moment in local]


@given(days=st.lists(st.dates(date(1950, 1, 1), date(2090, 1, 1)), min_size=1, max_size=6), zone=st.sampled_from(ZONES))
@settings(max_examples=150, deadline=None)
def test_a_date_written_at_its_midnight_reads_as_the_same_date(days: list[date], zone: ZoneInfo) -> None:
    # Samoa had no 30 December 2011, so that no instant is of that date there.
    days = [day for day in days if not (zone.key == "Pacific/Apia" and day == date(2011, 12, 30))]
    one = converter(FieldType.DATETIME, "date_only", zone=zone)
    wire = one.to_wire(pa.array(days, pa.date32()))
    assert one.to_local(wire).values.to_pylist() == days


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.0", Decimal("12.00")),
        ("5600000.0", Decimal("5600000.00")),
        ("3.5E8", Decimal("350000000.00")),
        ("3.5e-1", Decimal("0.35")),
        ("-0.0", Decimal("0.00")),
        (".5", Decimal("0.50")),
        ("999999999999999999", Decimal("999999999999999999.00")),
    ],
)
def test_a_decimal_is_exact(text: str, value: Decimal) -> None:
    values, bad, converted = convert(converter(FieldType.DECIMAL, scale=2), text)
    assert (values, bad) == ([value], [])
    assert converted.values.type == pa.decimal128(38, 2)


def test_more_decimals_than_the_scale_widen_the_batch_and_are_not_rounded() -> None:
    values, bad, converted = convert(converter(FieldType.DECIMAL, scale=2), "1.5", "0.30000000000000004", "1.25E-5")
    assert values == [Decimal("1.5"), Decimal("0.30000000000000004"), Decimal("0.0000125")]
    assert (bad, converted.values.type) == ([], pa.decimal128(38, 17))


@pytest.mark.parametrize(
    ("type", "texts"),
    [
        (
            FieldType.DECIMAL,
            ["x", "NaN", "Infinity", "1e18", "1e400", "0.123456789012345678901", "1,5", " 1", "0x1", ""],
        ),
        (FieldType.INTEGER, ["1.5", "9223372036854775808", "0x1F", "", "1e3", "NaN", "--1"]),
        (FieldType.FLOAT, ["NaN", "inf", "1e400", "x", ""]),
        (FieldType.BOOLEAN, ["yes", "2", "", "t"]),
        (FieldType.DATE, ["2026-02-29", "2026-1-1", "0000-01-01", "01/01/2026", "2026-01-01T00:00:00Z", ""]),
        (FieldType.TIME, ["24:00:00", "14:30:60Z", "14:30+01:00", "noon", ""]),
        (
            FieldType.DATETIME,
            ["2026-11-23T24:00:00Z", "9999-12-31T23:59:59-01:00", "12", "2026-11-23T01:07:37+24:00", ""],
        ),
    ],
)
def test_invalid_values_are_bad_alone_and_all_together(type: FieldType, texts: list[str]) -> None:
    one = converter(type, scale=2)
    for text in texts:
        values, bad, _ = convert(one, text)
        assert (values, [cell.value for cell in bad]) == ([None], [text])
    values, bad, _ = convert(one, *texts)
    assert (values, [cell.value for cell in bad]) == ([None] * len(texts), texts)


def test_simple_types() -> None:
    assert convert(converter(FieldType.INTEGER), "12", "12.0", "+5", "-9223372036854775808", None)[0] == [
        12, 12, 5, -(2**63), None,
    ]  # fmt: skip
    assert convert(converter(FieldType.BOOLEAN), "true", "FALSE", "1", "0", None)[0] == [True, False, True, False, None]
    assert convert(converter(FieldType.DATE), "2024-02-29", None)[0] == [date(2024, 2, 29), None]
    assert convert(converter(FieldType.TIME), "14:30:00.000Z", None)[0] == [time(14, 30), None]
    assert convert(converter(FieldType.TIME), "14:30", "00:00:00.5Z")[0] == [time(14, 30), time(0, 0, 0, 500000)]
    assert convert(converter(FieldType.FLOAT), "1.5", "1E3")[0] == [1.5, 1000.0]


def test_equal_sets_are_equal_texts() -> None:
    assert convert(converter(FieldType.SET), "b;a", "a;b;a", "c", None, ";d")[0] == ["a;b", "a;b", "c", None, "d"]


def test_text_longer_than_the_field_is_bad_in_characters_not_bytes() -> None:
    values, bad, _ = convert(converter(FieldType.TEXT, length=3), "abc", "ééé", "😀😀😀", "abcd", None)
    assert values == ["abc", "ééé", "😀😀😀", None, None]
    assert [(cell.row, cell.value, cell.reason) for cell in bad] == [
        (3, "abcd", "is longer than the 3 characters of the field")
    ]
    assert convert(converter(FieldType.TEXT), "a" * 1000)[1] == []


READ = [
    FieldType.INTEGER,
    FieldType.DECIMAL,
    FieldType.FLOAT,
    FieldType.BOOLEAN,
    FieldType.DATE,
    FieldType.DATETIME,
    FieldType.TIME,
]
WIRE_TEXTS = st.one_of(
    st.text(st.sampled_from("0123456789-+:.TZeExX "), max_size=14),
    st.from_regex(
        r"(0000|0001|1999|2026|2050|9999)-(0[0-3]|1[0-3])-(0[0-3]|2[89]|3[0-2])"
        r"([T ]([01][0-9]|2[0-5])(:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,7})?)?)?)?(Z|[+-][0-2][0-9](:?[0-6][0-9])?)?",
        fullmatch=True,
    ),
    st.from_regex(r"[+-]?[0-9]{0,20}\.?[0-9]{0,22}([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.from_regex(r"[0-2][0-9](:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,7})?)?)?Z?", fullmatch=True),
    st.sampled_from(["true", "False", "0", "1", "nan", "-inf", "0x10"]),
).filter(lambda text: re.search(r"[eE][+-]?\d{3}", text) is None)


@given(
    cells=st.lists(WIRE_TEXTS, min_size=1, max_size=6),
    type=st.sampled_from(READ),
    mode=st.sampled_from(MODES),
)
@settings(max_examples=200, deadline=None)
def test_what_becomes_of_a_cell_never_depends_on_its_neighbours(cells: list[str], type: FieldType, mode: str) -> None:
    try:
        one = converter(type, mode, scale=2)
    except MappingError:
        return
    together = convert(one, *cells, *(["bad"] * 3))[0][: len(cells)]
    alone = [convert(one, cell)[0][0] for cell in cells]
    assert together == alone


def test_a_few_bad_cells_among_many_are_found() -> None:
    cells = [f"2026-01-{1 + number % 28:02d}T00:00:00.000+0000" for number in range(5000)]
    places = [0, 17, 2500, 4999]
    for place in places:
        cells[place] = f"bad {place}"
    values, bad, _ = convert(converter(FieldType.DATETIME), *cells)
    assert [cell.row for cell in bad] == places
    assert values.count(None) == len(places)


def test_a_column_of_nothing_but_bad_or_null_cells() -> None:
    for type in (*READ, FieldType.SET, FieldType.TEXT):
        assert convert(converter(type, length=5), None, None)[0] == [None, None]
        assert convert(converter(type))[0] == []
    assert len(convert(converter(FieldType.DATETIME), *["bad"] * 300)[1]) == 300


LATE = datetime(2026, 1, 1, 23, 30, tzinfo=UTC)
INSTANT, WALL = pa.timestamp("us", "UTC"), pa.timestamp("us")
DAYS = pa.array([date(2026, 7, 1), None])
AMOUNTS = pa.array([Decimal("1.5"), Decimal(0)], pa.decimal128(38, 7))
WIRE: list[tuple[FieldType, str, pa.Array, list[str | None]]] = [
    (FieldType.DATETIME, "default", pa.array([LATE, None], INSTANT), ["2026-01-01T23:30:00.000Z", None]),
    (FieldType.DATETIME, "default", pa.array([LATE.replace(microsecond=5)], INSTANT), ["2026-01-01T23:30:00.000005Z"]),
    (FieldType.DATETIME, "default", pa.array([wall("2026-07-01T12:00")], WALL), ["2026-07-01T10:00:00.000Z"]),
    (FieldType.DATETIME, "default", DAYS, ["2026-06-30T22:00:00.000Z", None]),
    (FieldType.DATETIME, "without_time_offset", DAYS, ["2026-07-01T00:00:00.000Z", None]),
    (FieldType.DATE, "default", pa.array([LATE], INSTANT), ["2026-01-02"]),
    (FieldType.DATE, "default", DAYS, ["2026-07-01", None]),
    (FieldType.TIME, "default", pa.array([time(14, 30)], pa.time64("us")), ["14:30:00.000Z"]),
    (
        FieldType.DATETIME,
        "default",
        pa.array([LATE, LATE.replace(microsecond=123456)], INSTANT),
        ["2026-01-01T23:30:00.000Z", "2026-01-01T23:30:00.123456Z"],
    ),
    (
        FieldType.TIME,
        "default",
        pa.array([time(14, 30), time(1, 2, 3, 456789)], pa.time64("us")),
        ["14:30:00.000Z", "01:02:03.456789Z"],
    ),
    (FieldType.DECIMAL, "default", AMOUNTS, ["1.5000000", "0.0000000"]),
    (FieldType.INTEGER, "default", pa.array([5, None]), ["5", None]),
    (FieldType.BOOLEAN, "default", pa.array([True, False]), ["true", "false"]),
    (FieldType.SET, "default", pa.array(["a;b"]), ["a;b"]),
]


@pytest.mark.parametrize(("type", "mode", "array", "wire"), WIRE)
def test_a_local_column_is_written_as_wire_text(
    type: FieldType, mode: str, array: pa.Array, wire: list[str | None]
) -> None:
    assert converter(type, mode).to_wire(array).to_pylist() == wire


def test_what_has_no_wire_text_is_a_mapping_error() -> None:
    with pytest.raises(MappingError, match="cannot be written from binary"):
        converter(FieldType.TEXT).to_wire(pa.array([b"x"]))

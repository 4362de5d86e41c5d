"""Dates without a zone: gaps, repeated hours, and windows that lose nothing in them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scale import examples

from crosstie.crm.oracle_on_demand.times import WireTimes
from crosstie.errors import RequestError

ZONES = ("Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")
# Around the changes of 2026 in each of these zones, and some days between.
_BEGINNINGS = [datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 8), (3, 29), (4, 4), (10, 25), (11, 1))]
SPANS = st.integers(1, 4 * 3600)
MOMENTS = st.builds(
    lambda begin, seconds: begin + timedelta(seconds=seconds),
    st.sampled_from(_BEGINNINGS),
    st.integers(-6 * 3600, 30 * 3600),
)


def wall(text: str, *, is_text: bool) -> datetime:
    """The wall clock that a literal shows."""
    form = "%m/%d/%Y %H:%M:%S" if is_text else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.strptime(text, form)  # noqa: DTZ007 - a wall clock


@settings(max_examples=examples(200, 2_000))
@given(
    zone=st.sampled_from(ZONES),
    start=MOMENTS,
    span=st.integers(1, 4 * 3600),
    at=st.integers(0, 4 * 3600),
    v1=st.booleans(),
)
def test_a_window_holds_every_moment_in_it_however_the_service_compares(
    zone: str, start: datetime, span: int, at: int, v1: bool
) -> None:
    """Services may compare wall clocks, or instants with either reading of a repeated hour."""
    place = ZoneInfo(zone)
    times = WireTimes(zone=place, is_text=v1)
    moment = start + timedelta(seconds=at % span)
    low = wall(times.at_least(start), is_text=v1)
    high = wall(times.before(start + timedelta(seconds=span)), is_text=v1)
    shown = moment.astimezone(place).replace(tzinfo=None)
    assert low <= shown < high
    for fold in (0, 1):
        as_instant = [one.replace(tzinfo=place, fold=fold).astimezone(UTC) for one in (low, high)]
        assert as_instant[0] <= moment < as_instant[1]


@settings(max_examples=examples(200, 2_000))
@given(zone=st.sampled_from(ZONES), moment=MOMENTS, v1=st.booleans())
def test_what_is_written_is_read_as_the_same_instant_or_its_first_occurrence(
    zone: str, moment: datetime, v1: bool
) -> None:
    place = ZoneInfo(zone)
    times = WireTimes(zone=place, is_text=v1)
    text = times.read_instant(times.instant_literal(moment))
    read = datetime.fromisoformat(text)
    local = moment.astimezone(place)
    assert read.replace(tzinfo=None) == local.replace(tzinfo=None)
    if local.fold == 0:
        assert read == moment
    else:
        assert read < moment
        assert times.is_repeated(text)


def test_the_hour_that_comes_twice_is_told_and_the_one_before_is_not() -> None:
    times = WireTimes(zone=ZoneInfo("Europe/Paris"), is_text=True)
    assert times.read_instant("10/25/2026 02:30:00") == "2026-10-25T02:30:00+02:00"
    assert times.is_repeated("2026-10-25T02:30:00+02:00")
    assert not times.is_repeated("2026-10-25T01:59:59+02:00")
    assert not times.is_repeated("2026-10-25T03:00:00+01:00")


def test_a_window_around_the_repeated_hour_is_no_wider_than_that() -> None:
    times = WireTimes(zone=ZoneInfo("Europe/Paris"), is_text=True)
    inside = datetime(2026, 10, 25, 0, 40, tzinfo=UTC)
    assert (times.at_least(inside), times.before(inside)) == ("10/25/2026 01:59:59", "10/25/2026 03:00:00")
    after = datetime(2026, 10, 25, 2, 0, tzinfo=UTC)
    assert (times.at_least(after), times.before(after)) == ("10/25/2026 03:00:00", "10/25/2026 03:00:00")


def test_v2_is_utc_and_passes_as_it_is() -> None:
    times = WireTimes(zone=None, is_text=False)
    assert times.read_instant("2026-10-25T02:30:00Z") == "2026-10-25T02:30:00Z"
    moment = datetime(2026, 10, 25, 0, 40, 0, 1, tzinfo=UTC)
    assert times.at_least(moment) == times.before(moment) == "2026-10-25T00:40:01Z"
    assert times.instant_literal(moment) == "2026-10-25T00:40:00Z"
    assert times.date_literal(date(2026, 3, 1)) == "2026-03-01"
    with pytest.raises(RequestError, match="has no time zone"):
        times.at_least(moment.replace(tzinfo=None))


def test_dates_of_both_versions_are_iso_and_what_is_none_stays() -> None:
    times = WireTimes(zone=ZoneInfo("Europe/Paris"), is_text=True)
    assert times.read_date("03/01/2026") == times.read_date("2026-03-01") == "2026-03-01"
    assert times.read_date("2026-03-01T00:00:00Z") == "2026-03-01"
    assert times.read_date("soon") == times.read_instant("soon") == "soon"
    assert times.read_instant("13/45/2026 10:00:00") == "13/45/2026 10:00:00"
    assert times.date_literal(date(2026, 3, 1)) == "03/01/2026"

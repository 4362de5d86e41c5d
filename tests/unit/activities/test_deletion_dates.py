"""Dates of an import of deletions: both ends included, days of the zone in force, hours that come twice or never."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstie.activities.crm_import_deleted.dates import TICK, check_written, moment_of, read_moment
from crosstie.errors import MappingError
from crosstie.script.engine import ScriptScope

PARIS = ZoneInfo("Europe/Paris")
# Changes at midnight, of half an hour, and of a whole day.
ZONES = [ZoneInfo(name) for name in ("Europe/Paris", "America/Havana", "Asia/Beirut", "Australia/Lord_Howe", "UTC")]
DAYS = st.dates(date(1971, 1, 1), date(2037, 12, 30))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(DAYS, st.sampled_from(ZONES))
def test_days_follow_each_other_without_gap_and_hold_all_their_instants(day: date, zone: ZoneInfo) -> None:
    this, following = read_moment(f"{day}"), read_moment(f"{day + timedelta(days=1):%Y/%m/%d}")
    assert this.last(zone) + TICK == following.first(zone)
    assert this.first(zone).astimezone(zone).date() == day
    assert this.last(zone).astimezone(zone).date() == day
    assert (this.first(zone) - timedelta(microseconds=1)).astimezone(zone).date() != day


@given(st.tuples(DAYS, st.times()).map(lambda pair: datetime.combine(*pair)), st.sampled_from(ZONES))
def test_a_time_holds_every_instant_at_which_clocks_show_it(local: datetime, zone: ZoneInfo) -> None:
    moment = read_moment(f"{local:%Y-%m-%d %H:%M:%S.%f}")
    shown = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    shown = {one for one in shown if one.astimezone(zone).replace(tzinfo=None) == local}
    assert moment.first(zone) <= moment.last(zone)
    if shown:
        assert (moment.first(zone), moment.last(zone)) == (min(shown), max(shown))
    else:
        assert moment.first(zone) == moment.last(zone)


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-14 * 60, 14 * 60))
def test_a_zone_of_its_own_wins(instant: datetime, minutes: int) -> None:
    if not 1901 <= instant.year <= 2998:
        return
    there = instant.astimezone(timezone(timedelta(minutes=minutes)))
    for moment in (read_moment(there), read_moment(there.isoformat(sep=" "))):
        assert moment.first(PARIS) == moment.last(PARIS) == instant


def test_the_hour_that_comes_twice_is_all_included() -> None:
    twice = read_moment("2026-10-25 02:30")
    assert (twice.first(PARIS), twice.last(PARIS)) == (utc("2026-10-25 00:30"), utc("2026-10-25 01:30"))


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026-13-01", "2026-02-29", "2026-1", "2026-11/01", "2026-11-01 24:00", "2026-11-01T08", "0001-01-01",
     "2026-11-01 08:00 +25:00", "2026-11-01 08:00 Paris", "20261101", "２０２６-11-01"],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"date|empty"):
        check_written(text)


def test_what_an_expression_gives_is_told_by_the_keys_name() -> None:
    scope = ScriptScope(now=utc("2026-11-23 08:00"), vars={"day": utc("2026-11-20 10:00"), "text": "2026/11/20"})
    assert moment_of("start", "<%= vars.day %>", scope).first(PARIS) == utc("2026-11-20 10:00")
    assert moment_of("start", "<%= vars.text %> 08:00", scope).first(PARIS) == utc("2026-11-20 07:00")
    assert moment_of("end", "<%= vars.text %>", scope).last(PARIS) == utc("2026-11-20 23:00") - TICK
    for text in ("<%= vars.none %>", "<%= 1 %>", "<%= vars.text + 'x' %>", "<%= nothing.at.all %>"):
        with pytest.raises(MappingError, match=r"^end: "):
            moment_of("end", text, scope)

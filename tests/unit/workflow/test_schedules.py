"""When schedules fire: every frequency over a year in several zones, beside a plain walk through time; properties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.scale import examples
from tests.unit.workflow.test_definition import EmptySite

from crosstie.activities import ACTIVITIES
from crosstie.errors import DefinitionError
from crosstie.workflow import firing
from crosstie.workflow.definition import read_definition
from crosstie.workflow.schedules import Schedule, to_instant

PARIS = ZoneInfo("Europe/Paris")
QUARTER = timedelta(minutes=15)
# Clocks that change at 2 and at midnight, by an hour and by half of one, in both hemispheres; none; a day left out.
YEARS = (
    ("UTC", 2026),
    ("Europe/Paris", 2026),
    ("America/New_York", 2026),
    ("America/Santiago", 2026),
    ("Australia/Lord_Howe", 2026),
    ("Asia/Kathmandu", 2026),
    ("Pacific/Apia", 2011),
)


def on(*times: str) -> Callable[[datetime], bool]:
    meant = {(int(one[:2]), int(one[3:])) for one in times}
    return lambda local: (local.hour, local.minute) in meant


def nth(local: datetime) -> int:
    return (local.day - 1) // 7 + 1


def last_of_month(local: datetime) -> bool:
    return (local + timedelta(days=1)).month != local.month


# Each schedule, and how a person would say which local times it means.
FREQUENCIES: tuple[tuple[dict[str, Any], Callable[[datetime], bool]], ...] = (
    ({"every": "15m", "days": "sat, sun"}, lambda local: local.weekday() > 4),
    ({"every": "1h"}, lambda local: local.minute == 0),
    (
        {"every": "1h", "between": ["07:00", "21:00"], "days": "mon-fri"},
        lambda local: local.minute == 0 and 7 <= local.hour <= 21 and local.weekday() < 5,
    ),
    (
        {"every": "90m", "between": ["00:15", "06:00"]},
        on("00:15", "01:45", "03:15", "04:45"),
    ),
    (
        {"every": "2h", "between": ["22:00", "04:00"], "days": "sat"},
        lambda local: (
            (local.weekday() == 5 and on("22:00")(local))
            or (local.weekday() == 6 and on("00:00", "02:00", "04:00")(local))
        ),
    ),
    ({"at": "02:30"}, on("02:30")),
    ({"at": ["00:00", "23:45", "02:15"]}, on("00:00", "23:45", "02:15")),
    ({"at": "08:30", "days": ["mon", "thursday"]}, lambda local: on("08:30")(local) and local.weekday() in (0, 3)),
    ({"at": "08:30", "days": "sat-mon"}, lambda local: on("08:30")(local) and local.weekday() in (5, 6, 0)),
    ({"at": "02:00", "monthly": 31}, lambda local: on("02:00")(local) and local.day == 31),
    ({"at": "00:00", "monthly": "last day"}, lambda local: on("00:00")(local) and last_of_month(local)),
    (
        {"at": "09:00", "monthly": ["first monday", "fifth friday", 15]},
        lambda local: (
            on("09:00")(local)
            and (
                (local.weekday() == 0 and nth(local) == 1)
                or (local.weekday() == 4 and nth(local) == 5)
                or local.day == 15
            )
        ),
    ),
    (
        {"at": "02:45", "monthly": "last sunday"},
        lambda local: on("02:45")(local) and local.weekday() == 6 and (local + timedelta(days=7)).month != local.month,
    ),
    (
        {"cron": "*/30 8-10,20 1,15 * mon"},
        lambda local: (
            local.minute in (0, 30) and local.hour in (8, 9, 10, 20) and (local.day in (1, 15) or local.weekday() == 0)
        ),
    ),
    (
        {"cron": "15 2 * 3,oct 0-7/7"},
        lambda local: on("02:15")(local) and local.month in (3, 10) and local.weekday() == 6,
    ),
    ({"cron": "45 23 29 feb *"}, lambda local: on("23:45")(local) and (local.month, local.day) == (2, 29)),
)


def walk(zone: ZoneInfo, year: int) -> Iterator[tuple[datetime, list[datetime]]]:
    """Each quarter of an hour of a year, with the local times that come to pass at it: none while the clock repeats an
    hour, several when it leaves some out."""
    instant = datetime(year - 1, 12, 30, tzinfo=UTC)
    reached = instant.astimezone(zone).replace(tzinfo=None)
    while instant.year <= year:
        instant += QUARTER
        local = instant.astimezone(zone).replace(tzinfo=None)
        passed = []
        while reached < local:
            reached += QUARTER
            passed.append(reached)
        yield instant, passed


@pytest.mark.parametrize(("name", "year"), YEARS)
def test_a_year_of_every_frequency(name: str, year: int) -> None:
    zone = ZoneInfo(name)
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 12, tzinfo=UTC)
    steps = [(instant, passed) for instant, passed in walk(zone, year) if begin < instant <= end]
    for keys, means in FREQUENCIES:
        expected = [instant for instant, passed in steps if any(means(local) for local in passed)]
        schedule = Schedule.model_validate(keys)
        fired = []
        here: datetime | None = schedule.after(begin, zone)
        while here is not None and here <= end:
            fired.append(here)
            here = schedule.after(here, zone)
        assert fired == expected, keys
        for one in (*fired[:3], *fired[-3:]):
            assert schedule.latest(one, zone) == one
            assert schedule.latest(one + timedelta(minutes=7), zone) == one


def nightly() -> Schedule:
    return Schedule.model_validate({"at": "02:30"})


def test_a_time_that_does_not_exist_fires_after_the_gap_and_one_that_exists_twice_once() -> None:
    at_night = nightly()
    spring = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert at_night.after(spring, PARIS) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    autumn = datetime(2026, 10, 24, 12, tzinfo=UTC)
    first = at_night.after(autumn, PARIS)
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert at_night.after(first, PARIS) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_a_fixed_offset_stays_fixed() -> None:
    daily = Schedule.model_validate({"at": "08:00"})
    there = ZoneInfo("Etc/GMT-2")
    for month in (1, 7):
        assert daily.after(datetime(2026, month, 1, tzinfo=UTC), there) == datetime(2026, month, 1, 6, tzinfo=UTC)


def test_validity_includes_both_ends() -> None:
    schedule = Schedule.model_validate({"at": "08:00", "since": "2026-03-02", "until": "2026-03-04"})
    fired = []
    here = schedule.after(datetime(2026, 1, 1, tzinfo=UTC), PARIS)
    while here is not None:
        fired.append(here.day)
        here = schedule.after(here, PARIS)
    assert fired == [2, 3, 4]
    exact = Schedule.model_validate({"every": "1h", "since": "2026-03-02 08:00", "until": "2026-03-02 10:00"})
    assert exact.after(datetime(2026, 1, 1, tzinfo=UTC), UTC_ZONE) == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert exact.latest(datetime(2027, 1, 1, tzinfo=UTC), UTC_ZONE) == datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert exact.latest(datetime(2026, 3, 2, 7, tzinfo=UTC), UTC_ZONE) is None


UTC_ZONE = ZoneInfo("UTC")


def test_once_fires_once() -> None:
    once = Schedule.model_validate({"once": "2026-12-01 08:00"})
    at = datetime(2026, 12, 1, 7, 0, tzinfo=UTC)
    assert once.after(at - timedelta(days=400), PARIS) == at
    assert once.after(at, PARIS) is None
    assert once.latest(at, PARIS) == at
    assert once.latest(at - timedelta(seconds=1), PARIS) is None


def test_a_day_that_comes_seldom_is_found() -> None:
    leap = Schedule.model_validate({"cron": "0 0 29 2 *"})
    assert leap.after(datetime(2096, 3, 1, tzinfo=UTC), UTC_ZONE) == datetime(2104, 2, 29, tzinfo=UTC)
    assert leap.latest(datetime(2104, 2, 28, tzinfo=UTC), UTC_ZONE) == datetime(2096, 2, 29, tzinfo=UTC)


times = st.times(max_value=time(23, 59)).map(lambda one: f"{one:%H:%M}")
names = st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
some_days = st.lists(names, min_size=1, max_size=3)
days: st.SearchStrategy[dict[str, Any]] = st.one_of(st.just({}), some_days.map(lambda one: {"days": one}))
monthly = st.lists(
    st.one_of(st.integers(1, 31).map(str), st.sampled_from(["last day", "first monday", "last friday"])),
    min_size=1,
    max_size=2,
).map(lambda one: {"monthly": one})
every = st.tuples(st.integers(1, 1439), st.one_of(st.none(), st.tuples(times, times))).map(
    lambda one: {"every": f"{one[0]}m", **({"between": list(one[1])} if one[1] else {})}
)
at = st.lists(times, min_size=1, max_size=3).map(lambda one: {"at": one})
cron = st.tuples(st.integers(0, 59), st.integers(0, 23), st.integers(1, 31)).map(
    lambda one: {"cron": f"{one[0]} {one[1]} {one[2]} * *"}
)
schedules = st.one_of(
    st.tuples(st.one_of(every, at), st.one_of(days, monthly)).map(lambda parts: {**parts[0], **parts[1]}), cron
).map(Schedule.model_validate)
FIRST, LAST = (datetime(year, 1, 1) for year in (2011, 2030))  # noqa: DTZ001 - Hypothesis wants them naive
zones = st.sampled_from([ZoneInfo(name) for name, _ in YEARS])
instants = st.datetimes(FIRST, LAST).map(lambda one: one.replace(tzinfo=UTC))


@settings(max_examples=examples(150, 5000))
@given(schedules, zones, instants)
@example(nightly(), PARIS, datetime(2026, 3, 29, 1, 0, tzinfo=UTC))
@example(Schedule.model_validate({"every": "30m"}), ZoneInfo("Pacific/Apia"), datetime(2011, 12, 30, 9, 59, tzinfo=UTC))
def test_next_and_latest_are_neighbours(schedule: Schedule, zone: ZoneInfo, instant: datetime) -> None:
    following = schedule.after(instant, zone)
    assert following is not None
    assert following > instant
    assert schedule.latest(following, zone) == following
    before = schedule.latest(following - timedelta(microseconds=1), zone)
    assert before is not None
    assert before <= instant
    assert schedule.after(before, zone) == following


@settings(max_examples=examples(100, 2000))
@given(schedules)
def test_a_schedule_is_kept_as_json(schedule: Schedule) -> None:
    assert Schedule.model_validate_json(schedule.model_dump_json(exclude_defaults=True)) == schedule


def test_validity_and_tolerance_are_kept_as_json() -> None:
    schedule = Schedule.model_validate(
        {"once": "2026-12-01 08:00", "since": "2026-01-01", "until": "2026-12-31", "late": "10m", "times": 3}
    )
    assert Schedule.model_validate_json(schedule.model_dump_json(exclude_defaults=True)) == schedule


@settings(max_examples=examples(100, 2000))
@given(zones, st.datetimes(FIRST, LAST))
def test_local_times_become_instants_in_order(zone: ZoneInfo, local: datetime) -> None:
    instant = to_instant(local, zone)
    assert to_instant(local + timedelta(minutes=1), zone) >= instant
    back = instant.astimezone(zone).replace(tzinfo=None)
    assert back >= local
    if back > local:  # in a gap: an instant earlier the clock showed a time before it
        earlier = instant - timedelta(microseconds=2)
        assert earlier.astimezone(zone).replace(tzinfo=None) < local


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("{}", "it does not say when: give one of every (like 1h), at (like “08:30”), once (like 2026-12-01 08:00)"),
        ('{every: 1h, at: "08:00"}', "every and at can't stand together; keep one of them"),
        ('{at: "08:00", between: ["07:00", "08:00"]}', "between goes with every; with at, list the times"),
        ("{every: 1d}", "every is an interval within a day; for whole days give at, and days or monthly"),
        ("{every: 0}", "every is longer than nothing, like 15m"),
        ("{every: 10}", "“10” is not a duration: it has no unit; write 10m or 10s"),
        ('{at: "25:00"}', "“25:00” is not a time of day; write it like “08:30”"),
        ('{at: "8:00", days: mon-fry}', "“mon-fry” is not a day of the week; write mon, tue, …, or mon-fri"),
        ('{at: "8:00", days: t}', "“t” is not a day of the week; write mon, tue, …, or mon-fri"),
        (
            '{at: "8:00", monthly: 32}',
            "“32” is not a day of the month; write 15, last day, first monday or last friday",
        ),
        ('{at: "8:00", monthly: 1, days: mon}', "days and monthly can't stand together; keep one of them"),
        ("{cron: 0 8 * *}", "“0 8 * *” is not a cron expression: it has 4 fields instead of 5 (minute, hour,"),
        ('{cron: "0 24 * * *"}', "“24” is not a hour of cron: it is between 0 and 23"),
        ('{cron: "0 0 31 2 *"}', "“0 0 31 2 *” never fires: no month has such a day"),
        ('{cron: "*/0 0 * * *"}', "“*/0” is not a minute of cron: the step after “/” is a number from 1"),
        ('{cron: "0 9-8 * * *"}', "“9-8” is not a hour of cron: the range ends before it begins"),
        ("{once: tomorrow}", "“tomorrow” is not a date and time; write it like 2026-12-01 08:00, in the"),
        ('{at: "8:00", since: 2026-05-02, until: 2026-05-01}', "until lies before since"),
        ("{evry: 1h}", "“evry” is not a key here. Did you mean “every”?"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_words_for_people(keys: str, expected: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        flow(f"  s: {{type: scheduler{',' if len(keys) > 2 else ''} {keys[1:]}\n")
    assert expected in caught.value.message


def flow(activities: str) -> Any:
    return read_definition("f.yaml", f"workflow: f\nactivities:\n{activities}", ACTIVITIES, EmptySite())


def test_two_schedules_in_one_branch_are_refused() -> None:
    branches = '  a: {type: scheduler, at: "8:00", next: x}\n  b: {type: scheduler, at: "9:00", next: %s}\n'
    work = "  x: {type: javascript, code: '1', next: done}\n  y: {type: javascript, code: '1', next: done}\n"
    with pytest.raises(DefinitionError, match="it leads to “x”, and so does “a”: there is one schedule per branch"):
        flow(branches % "x" + work + "  done: {type: end}\n")
    assert flow(branches % "y" + work + "  done: {type: end}\n").initial() == ("a", "b")


def test_a_scheduler_has_nothing_before_it() -> None:
    with pytest.raises(DefinitionError, match="scheduler begins a branch, but “first” leads to it"):
        flow("  first: {type: start}\n  s: {type: scheduler, every: 1h}\n")


@pytest.mark.parametrize(
    ("keys", "warned"),
    [
        ("every: 10m", "It fires every 10 minutes, which is more often than every 15 minutes."),
        ("every: 20s", "It fires every 20 seconds, which is more often than every 15 minutes."),
        ('at: ["8:00", "8:05"]', "It fires every 5 minutes, which is more often than every 15 minutes."),
        ('cron: "0,59 * * * *"', "It fires every 60 seconds, which is more often than every 15 minutes."),
        ("every: 15m", None),
        ('at: "8:00"', None),
    ],
)
def test_a_schedule_that_fires_often_is_warned_of(keys: str, warned: str | None) -> None:
    found = firing.warnings(flow(f"  s: {{type: scheduler, {keys}}}\n"))
    assert found.get("s") == warned


def test_python_gets_the_same_words() -> None:
    with pytest.raises(ValidationError, match="it does not say when"):
        Schedule.model_validate({})

"""Deletions of Salesforce, imported: its feed, its bin, merges and undeletes. What every CRM has to do is in
`tests/contract/every_connector`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crosstie.errors import ConfigError, DefinitionError, TaskError
from crosstie.sync import windows
from crosstie.workflow.definition import read_definition
from crosstie.workflow.runner import RunReport
from tests.contract.imports.world import ACCOUNT, CATALOGUE, DescribedSite, TableSite, World, flow
from tests.contract.salesforce_deletions.feed import Feed

OPTION = "LASTDELETED_away_gone"
INDEX: Mapping[str, object] = {"index": True}
REMOVE = {"type": "update_data", "into": "person", "operation": "delete", "identify": {"Id": "crm_id"}}
WRITE = {
    "type": "update_data",
    "into": "person",
    "identify": {"Id": "crm_id"},
    "set": {"crm_id": "Id", "last_name": "LastName", "active": "true"},
}
BY_NAME = {"all": [{"field": "LastName", "is": "starts with", "value": "'Away '"}]}
IMPORT = flow({"index": {"field": "SystemModstamp"}, "filter": BY_NAME, "next": "write"}, more={"write": WRITE})


def away(read: Mapping[str, object] = INDEX, *, zone: str = "", name: str = "away", **more: object) -> str:
    """A definition whose activity `gone` imports deleted contacts."""
    deleted = {"type": "crm_import_deleted", "account": ACCOUNT, "object": "Contact", **read}
    return json.dumps(
        {"workflow": name, **({"time_zone": zone} if zone else {}), "activities": {"gone": deleted, **more}}
    )


def made(world: World, count: int, word: str = "x") -> list[str]:
    """New contacts whose names begin with “Away”."""
    return world.sandbox.insert("Contact", [{"LastName": f"Away {word} {number}"} for number in range(count)])


def delete(world: World, *ids: str) -> str:
    """Deletes contacts on the CRM; when that was, as a wire stamp."""
    at = world.sandbox.now()
    world.sandbox.control("delete", ids=list(ids))
    return f"{at:%Y-%m-%dT%H:%M:%S}.000+0000"


def tied(world: World, count: int, word: str = "x") -> list[str]:
    """New contacts, imported into the table of people."""
    ids = made(world, count, word)
    world.advance(minutes=10)
    world.run(IMPORT)
    world.advance(minutes=10)
    return ids


def gone(world: World, report: RunReport) -> dict[str, tuple[datetime | None, str | None]]:
    """What an import put out at the end of a branch: when, and into what it was merged, by id."""
    return {row["Id"]: (row["deletedAt"], row["mergedInto"]) for row in world.rows(report, "gone")}


def people(world: World) -> dict[str, bool]:
    return {one: bool(active) for one, active in world.query("select crm_id, active from person")}


def buried(world: World, *ids: str) -> set[str]:
    found = world.query("select remote_id from crosstie.tie_1 where tombstone is not null and local_key = ''")
    return {row[0] for row in found}.intersection(ids)


def refused(world: World, text: str) -> ConfigError:
    """The mistake with which a run ends, before anything is asked or stored."""
    with pytest.raises(TaskError) as caught:
        world.run(text, restart=True)
    assert isinstance(caught.value.cause, ConfigError)
    return caught.value.cause


def test_the_index_brings_each_deletion_once_and_moves_when_what_it_fed_has_ended_well(tabled: World) -> None:
    world = tabled
    ids = tied(world, 4)
    before = delete(world, ids[0])
    world.advance(minutes=3)
    first = world.run(away())
    assert gone(world, first)[ids[0]] == (datetime.fromisoformat(before), None)
    assert world.option(OPTION) == f"{world.clock.now():%Y/%m/%d %H:%M}:00"
    assert world.window().start is None
    delete(world, ids[1])
    world.advance(minutes=4)
    for _ in range(2):
        with pytest.raises(TaskError, match="not today"):
            world.run(away(then={"type": "javascript", "code": "logError('not today')"}), restart=True)
    assert world.option(OPTION) == windows.option_text(world.window().start or world.clock.now())
    delete(world, ids[2])
    world.advance(minutes=4)
    third = world.run(away(), restart=True)
    assert set(gone(world, third)) == {ids[1], ids[2]}
    assert third.counts["gone"] == {"rows": 2, "seen before": 1}
    seen = []
    for minutes in (4, 30, 1):
        world.advance(minutes=minutes)
        seen.append(world.run(away()).counts["gone"])
    assert seen == [{"rows": 0, "seen before": 3}, {"rows": 0, "seen before": 3}, {"rows": 0}]


def test_rows_go_with_their_records_and_older_versions_do_not_come_back(tabled: World) -> None:
    world = tabled
    ids = tied(world, 3)
    (unknown,) = made(world, 1, "unknown")
    world.advance(minutes=1)
    delete(world, ids[0], unknown)
    world.advance(minutes=2)
    report = world.run(away(write=REMOVE))
    assert set(people(world)) == set(ids[1:])
    assert report.counts["write"]["rejected"] == 0
    assert buried(world, ids[0], unknown) == {ids[0], unknown}
    world.sandbox.control("undelete", ids=[ids[0]])
    world.advance(minutes=10)
    world.run(IMPORT)
    assert set(people(world)) == set(ids)
    assert buried(world, *ids) == set()
    world.set_option("", OPTION)
    assert ids[0] not in gone(world, world.run(away()))


def test_what_lives_is_left_out_though_the_feed_names_it(tabled: World, feed: Feed) -> None:
    world = tabled
    ids = tied(world, 3)
    delete(world, ids[0], ids[1])
    world.sandbox.control("undelete", ids=[ids[0]])
    world.advance(minutes=1)
    at = world.clock.now() - timedelta(minutes=1)
    feed.named[ids[2]] = f"{at:%Y-%m-%dT%H:%M:%S}.000+0000"
    # Deleted, undeleted and deleted again: one row, with the last time.
    feed.named[ids[1]] = f"{at - timedelta(minutes=5):%Y-%m-%dT%H:%M:%S}.000+0000"
    world.advance(minutes=2)
    report = world.run(away({"start": f"{at - timedelta(minutes=10):%Y-%m-%d %H:%M}"}))
    assert gone(world, report) == {ids[1]: (at.replace(tzinfo=UTC), None)}
    assert report.counts["gone"]["alive"] == 1
    assert any("1 of the records that the feed names are there" in one.text for one in world.log(report))


def test_both_dates_are_included_and_a_day_is_a_day_of_the_zone(tabled: World) -> None:
    world = tabled
    noon = (world.clock.now() + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    # Midnight in Tokyo is 15:00 UTC.
    midnight = noon.replace(hour=15)
    second, day = timedelta(seconds=1), timedelta(days=1)
    times = [midnight - second, midnight, midnight + day / 2, midnight + day - second, midnight + day]
    ids = made(world, len(times))
    for at, one in zip(times, ids, strict=True):
        world.advance(seconds=(at - world.sandbox.now()).total_seconds())
        delete(world, one)
    world.advance(hours=1)
    today, tomorrow = f"{midnight + day:%Y-%m-%d}", f"{midnight + 2 * day:%Y-%m-%d}"

    def found(start: str, end: str, zone: str = "Asia/Tokyo") -> list[int]:
        report = world.run(away({"start": start, "end": end}, zone=zone))
        return sorted(ids.index(one) for one in gone(world, report) if one in ids)

    assert found(today, today) == [1, 2, 3]
    assert found(f"{today} 00:00:01", f"<%= '{tomorrow}' %>") == [2, 3, 4]
    assert found(f"<%= new Date('{midnight - second:%Y-%m-%dT%H:%M:%SZ}') %>", today.replace("-", "/") + " 00:00") == [
        0,
        1,
    ]
    assert found(f"{midnight:%Y-%m-%dT%H:%MZ}", f"{tomorrow}T00:00+09:00", "America/New_York") == [1, 2, 3, 4]


def test_end_left_out_is_now_and_not_past_what_the_crm_covers(tabled: World) -> None:
    world = tabled
    (early, late) = made(world, 2)
    start = world.sandbox.now()
    delete(world, early)
    world.advance(minutes=3)
    world.sandbox.control("delete", ids=[late], late=600)
    world.advance(minutes=3)
    text = away({"start": f"{start:%Y-%m-%d %H:%M}", "end": "2999-01-01"})
    report = world.run(text)
    assert set(gone(world, report)) == {early}
    assert any("vouches for deletions up to" in one.text for one in world.log(report))
    world.advance(minutes=10)
    assert set(gone(world, world.run(text))) == {early, late}


def test_dates_that_cannot_be_used_are_refused_by_name(tabled: World) -> None:
    for read, message in (
        ({"start": "<%= vars.nothing %>"}, "start: it is empty"),
        ({"start": "<%= 7 %>"}, "start: “7” is not a date"),
        ({"start": "2026-11-20", "end": "<%= '2026-11-19' %>"}, "start, 2026-11-20 00:00:00 UTC, comes after end"),
        ({"start": "2020-01-01"}, "deletions of Contact can only be had from"),
    ):
        assert message in refused(tabled, away(read)).message


def test_what_is_no_longer_kept_is_refused_with_what_can_be_had(tabled: World) -> None:
    world = tabled
    kept = world.clock.now() - timedelta(days=15)
    error = refused(world, away({"start": f"{kept - timedelta(days=1):%Y-%m-%d}"}))
    assert f"from {kept:%Y-%m-%d %H:%M}" in error.message
    assert "by: compare" in error.hint
    world.set_option(f"{kept - timedelta(days=1):%Y/%m/%d %H:%M:%S}", OPTION)
    error = refused(world, away())
    assert f"from {kept:%Y/%m/%d %H:%M}" in error.message
    assert f"crosstie option set {OPTION} ''" in error.hint
    assert world.query("select id from crosstie.import_window") == []
    # The start of a window may be near the edge of what is kept: the overlap does not reach beyond it.
    world.set_option(f"{kept + timedelta(minutes=5):%Y/%m/%d %H:%M:%S}", OPTION)
    assert world.run(away()).counts["gone"]["rows"] >= 0


def test_an_option_ahead_of_the_clock_reads_nothing_twice_and_loses_nothing(tabled: World) -> None:
    world = tabled
    world.run(away())
    early, late = made(world, 2)
    world.advance(minutes=1)
    delete(world, early)
    world.advance(minutes=2)
    world.set_option(f"{world.clock.now() + timedelta(minutes=5, seconds=30):%Y/%m/%d %H:%M:%S}", OPTION)
    ahead = world.option(OPTION)
    assert set(gone(world, world.run(away()))) == {early}
    assert world.run(away()).counts["gone"] == {"rows": 0, "seen before": 1}
    assert world.option(OPTION) == ahead
    world.advance(minutes=10)
    delete(world, late)
    world.advance(minutes=2)
    assert set(gone(world, world.run(away()))) == {late}


def test_losers_of_a_merge_name_the_record_that_stays(tabled: World) -> None:
    world = tabled
    first, second, third, alone = made(world, 4)
    world.sandbox.control("merge", master=second, losers=[first])
    world.advance(minutes=1)
    world.sandbox.control("merge", master=third, losers=[second])
    at = delete(world, alone)
    world.advance(minutes=2)
    for by in ("feed", "recycle_bin"):
        world.advance(minutes=20)
        start = datetime.fromisoformat(at) - timedelta(minutes=5)
        report = world.run(away({"start": f"{start:%Y-%m-%d %H:%M}", "by": by}))
        assert {one: into for one, (_, into) in gone(world, report).items()} == {
            first: third,
            second: third,
            alone: None,
        }
        assert report.counts["gone"] == {"rows": 3, "merged": 2}


def test_an_object_without_feed_is_read_from_the_bin_and_the_log_says_so(tabled: World) -> None:
    world = tabled
    objects = {**world.site.objects, "Contact": replace(world.site.objects["Contact"], tracks_deletions=False)}
    world.site = TableSite(objects, world.db)
    lost, kept = made(world, 2)
    delete(world, lost, kept)
    world.sandbox.control("purge", ids=[lost])
    world.advance(minutes=20)
    report = world.run(away())
    assert kept in gone(world, report)
    assert lost not in gone(world, report)
    (line,) = [one.text for one in world.log(report) if "recycle bin" in one.text]
    assert "Contact has no deletion feed; what was deleted for good is not in it" in line
    bare = replace(objects["Contact"], fields=tuple(one for one in objects["Contact"].fields if one.name == "Id"))
    world.site = TableSite({**objects, "Contact": bare}, world.db)
    with pytest.raises(DefinitionError, match="write “by: compare”"):
        world.run(away())


def test_deletions_for_good_are_found_by_comparing_with_the_ties(tabled: World) -> None:
    world = tabled
    ids = tied(world, 4)
    world.sandbox.control("purge", ids=ids[:1])
    world.sandbox.control("purge_delete_log")
    world.advance(minutes=90)
    at = delete(world, ids[1])
    world.sandbox.control("merge", master=ids[3], losers=[ids[2]])
    found = away({"by": "compare"})
    report = world.run(found)
    assert gone(world, report) == {
        ids[0]: (None, None),
        ids[1]: (datetime.fromisoformat(at), None),
        ids[2]: (datetime.fromisoformat(at), ids[3]),
    }
    assert any("When 1 of them were deleted the CRM does not tell" in one.text for one in world.log(report))
    world.run(away({"by": "compare"}, write=REMOVE))
    assert set(people(world)) == {ids[3]}
    assert world.run(found).counts["gone"] == {"rows": 0}
    world.advance(days=16)  # the purge of the log is forgotten


def test_what_came_while_both_sides_were_compared_is_not_gone(tabled: World, feed: Feed) -> None:
    world = tabled
    tied(world, 1)

    def come() -> None:
        (one,) = made(world, 1, "meanwhile")
        world.execute("insert into crosstie.tie_1 (remote_id, local_key) values (:id, 'x')", id=one)

    feed.meanwhile.append(come)
    report = world.run(away({"by": "compare"}))
    assert (gone(world, report), feed.meanwhile) == ({}, [])
    assert any("2 tied here; 0 of these are gone there" in one.text for one in world.log(report))


def test_a_second_attempt_asks_for_the_same_window(tabled: World) -> None:
    world = tabled
    world.run(away())
    (one,) = made(world, 1)
    delete(world, one)
    world.advance(minutes=5)
    world.sandbox.faults([{"match": {"kind": "deleted"}, "after": 1, "times": None, "fault": {"type": "status"}}])
    with pytest.raises(TaskError):
        world.run(away())
    before = world.window()
    world.sandbox.faults([])
    world.advance(minutes=5)
    report = world.run(away())
    assert set(gone(world, report)) == {one}
    assert replace(world.window(), status=before.status, rows=0, tail_table="") == before
    assert world.option(OPTION) == windows.option_text(before.end)


def test_the_variables_of_the_window_go_to_the_next_activity(tabled: World) -> None:
    world = tabled
    code = "vars.seen = [vars.crmOptionName, vars.crmStartImport, vars.crmEndDate].join('|')"
    start = ""
    for _ in range(2):
        report = world.run(away(script={"type": "javascript", "code": code}))
        ((found,),) = world.query(
            "select vars from crosstie.event where run = :run and source = 'script'", run=report.run
        )
        end = world.option(OPTION)
        assert json.loads(found)["seen"] == f"{OPTION}|{start}|{end}"
        start = end or ""
        world.advance(minutes=10)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        ({}, "it does not say from when"),
        ({"index": True, "start": "2026-11-01"}, "leave out “start”, or the index"),
        ({"by": "compare", "index": True}, "“by: compare” looks at all records: leave out “index”"),
        ({"start": "2026-11-01", "brake": 7}, "“brake” goes with “by: compare”"),
        ({"start": "soon"}, "“soon” is not a date; write it like 2026-12-01"),
        ({"start": "2026-02-30"}, "“2026-02-30” is not a date"),
        ({"start": "<%= vars. %>"}, "SyntaxError"),
        ({"start": "2026-11-02", "end": "2026-11-01"}, "2026-11-01 comes before start, 2026-11-02"),
        ({"start": "2026-11-02", "end": "2026-11-02 08:00"}, ""),
        ({"index": True, "object": "Contakt"}, "Did you mean “Contact”?"),
        ({"index": True, "account": "cmr"}, "Did you mean “crm”?"),
    ],
)
def test_mistakes_are_told_at_validation(site: DescribedSite, read: dict[str, Any], message: str) -> None:
    if not message:
        read_definition("flow.yaml", away(read), CATALOGUE, site)
        return
    with pytest.raises(DefinitionError, match=re.escape(message)):
        read_definition("flow.yaml", away(read), CATALOGUE, site)

"""Records that were imported and stopped matching the filter: each is told of once, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from crosstie.db.database import Database
from crosstie.errors import DefinitionError, TaskError
from crosstie.workflow import state
from crosstie.workflow.definition import read_definition
from crosstie.workflow.runner import RunReport
from tests.contract.imports.test_import_interruptions import Dying, Killed
from tests.contract.imports.world import CATALOGUE, World, flow, indexed

FILTER = {"all": [{"field": "Score__c", "is": "at least", "value": "50"}]}
GONE = {"gone": {"type": "javascript", "code": "1"}}
NAME = "Leaver of the tests"


def watching(**read: Any) -> str:
    """An import that looks for leavers."""
    return indexed(["LastName", "Score__c"], **{"filter": FILTER, "leavers": "gone", "more": GONE, **read})


def left(world: World, report: RunReport | state.Run) -> list[str]:
    """The ids of the Leavers transition."""
    return sorted(row["Id"] for row in world.rows(report, "gone"))


def change(world: World, ids: list[str], **values: object) -> None:
    for one in ids:
        world.sandbox.control("update", id=one, values=values)


@pytest.fixture
def people(world: World) -> Iterator[list[str]]:
    """Six records that match; they are no more when the test is over."""
    ids = world.sandbox.insert("Contact", [{"LastName": f"{NAME} {n}", "Score__c": 60} for n in range(6)])
    world.advance(minutes=30)
    yield sorted(ids)
    world.sandbox.control("purge", ids=ids)


@pytest.mark.parametrize("road", ["pages", "bulk"])
def test_what_stopped_matching_leaves_once(world: World, people: list[str], road: str) -> None:
    text = watching(road=road)
    first = world.run(text)
    assert set(people) <= set(world.ids(first))
    assert left(world, first) == []
    world.advance(minutes=30)
    change(world, people[:1], Score__c=10)
    change(world, people[1:2], Score__c=None)
    change(world, people[2:3], Score__c=70)
    never = world.sandbox.insert("Contact", [{"LastName": "Never", "Score__c": 1}])
    at = world.clock.now()
    world.advance(minutes=5)
    report = world.run(text)
    assert world.ids(report) == people[2:3]
    assert left(world, report) == people[:2]
    assert report.counts["read"] == {"rows": 1, "left": 2}
    assert {(row["SystemModstamp"], row["local_key"]) for row in world.rows(report, "gone")} == {(at, None)}
    # They change again and still don't match: that is no news.
    change(world, people[:2], Score__c=5)
    world.advance(minutes=5)
    again = world.run(text)
    assert (world.ids(again), left(world, again)) == ([], [])
    # One comes back, and leaves again.
    change(world, people[:1], Score__c=90)
    world.advance(minutes=5)
    assert world.ids(world.run(text)) == people[:1]
    change(world, people[:1], Score__c=9)
    world.advance(minutes=5)
    assert left(world, world.run(text)) == people[:1]
    world.sandbox.control("purge", ids=never)


def test_deleted_records_are_no_leavers(world: World, people: list[str]) -> None:
    world.run(watching())
    world.advance(minutes=30)
    change(world, people[:2], Score__c=10)
    world.sandbox.control("delete", ids=people[:1])
    world.advance(minutes=5)
    assert left(world, world.run(watching())) == people[1:2]
    # It comes back, still not matching.
    world.sandbox.control("undelete", ids=people[:1])
    world.advance(minutes=5)
    assert left(world, world.run(watching())) == people[:1]


def test_what_was_never_accepted_does_not_leave(world: World, people: list[str]) -> None:
    spoilt = people[0]
    world.sandbox.control("set_stamp", ids=[spoilt], values={"Birthdate": "2026-02-31"})
    text = indexed(["LastName", "Score__c", "Birthdate"], filter=FILTER, leavers="gone", more=GONE)
    assert world.run(text).counts["read"]["rejected"] == 1
    world.advance(minutes=30)
    change(world, people[:2], Score__c=10)
    world.advance(minutes=5)
    assert left(world, world.run(text)) == people[1:2]


def test_what_is_refused_now_still_matches(world: World, people: list[str]) -> None:
    text = indexed(["LastName", "Score__c", "Birthdate"], filter=FILTER, leavers="gone", more=GONE)
    world.run(text)
    world.advance(minutes=30)
    stamp = f"{world.clock.now():%Y-%m-%dT%H:%M:%S}.000+0000"
    world.sandbox.control("set_stamp", ids=people[:1], values={"Birthdate": "2026-02-31", "SystemModstamp": stamp})
    for counts in ({"rows": 0, "rejected": 1}, {"rows": 0, "still refused": 1}):
        world.advance(minutes=5)
        report = world.run(text)
        assert (report.counts["read"], left(world, report)) == (counts, [])
    change(world, people[:1], Score__c=10)
    world.advance(minutes=5)
    assert left(world, world.run(text)) == people[:1]


def test_what_becomes_visible_between_the_reads_has_not_left(world: World, people: list[str]) -> None:
    world.run(watching())
    world.advance(minutes=30)
    stamp = f"{world.clock.now():%Y-%m-%dT%H:%M:%S}.000+0000"
    change(world, people[1:3], Score__c=65)
    world.advance(minutes=5)

    def appear(loaded: int) -> None:
        world.watcher.on_rows = lambda loaded: None
        world.sandbox.control("set_stamp", ids=people[:1], values={"SystemModstamp": stamp})

    world.watcher.on_rows = appear
    report = world.run(watching())
    assert world.ids(report) == people[1:3]
    assert left(world, report) == []
    assert any("3 records changed, whether they match or not" in one.text for one in world.log(report))
    world.advance(minutes=5)
    again = world.run(watching())
    assert (world.ids(again), left(world, again)) == (people[:1], [])


@pytest.mark.parametrize("road", ["pages", "bulk"])
def test_leavers_of_a_run_that_failed_are_told_again(world: World, people: list[str], road: str) -> None:
    fails = {"gone": {"type": "javascript", "code": "throw new Error('no')"}}
    world.run(watching(road=road))
    world.advance(minutes=30)
    change(world, people[:2], Score__c=10)
    world.advance(minutes=5)
    with pytest.raises(TaskError):
        world.run(watching(road=road, more=fails))
    report = world.run(watching(road=road), restart=True)
    assert left(world, report) == people[:2]
    world.advance(minutes=5)
    assert left(world, world.run(watching(road=road))) == []


COMMITS = (
    *("read begins", "window of", "remote job", "records that may have left", "records that came and left", "leavers"),
    *("read is published", "gone begins", "gone is published", r"run \d+ ends"),
)


@pytest.mark.parametrize(("after", "commits"), [(False, COMMITS), (True, COMMITS[-4:])], ids=["before", "after"])
def test_a_kill_at_any_commit_loses_and_repeats_no_leaver(
    world: World, people: list[str], after: bool, commits: tuple[str, ...]
) -> None:
    text = watching(road="bulk")
    world.run(text)
    world.advance(minutes=30)
    database = world.db
    score, matching = 60, list(people)
    for purpose in commits:
        gone, back = (people[:3], people[3:]) if people[0] in matching else (people[3:], people[:3])
        change(world, gone, Score__c=10)
        change(world, back, Score__c=(score := score + 1))
        world.advance(minutes=3)
        expected = sorted(set(matching) - set(back))
        before = world.latest_run().id
        world.db = cast(Database, Dying(database, purpose, after=after))
        with pytest.raises(Killed):
            world.run(text)
        world.db = database
        begun = world.latest_run()
        if begun.id == before or begun.status is not state.RunStatus.DONE:
            world.run(text)
        run = world.latest_run()
        assert world.ids(run) == sorted(back), purpose
        assert left(world, run) == expected, purpose
        matching = list(back)
    world.advance(minutes=30)
    assert left(world, world.run(text)) == []
    kept = {name.split("_")[-1] for name in world.db.work_tables()}
    assert kept == {"raw", "tail", "matches", "leavers"}


def test_the_job_that_looks_for_leavers_is_taken_up_again(world: World, people: list[str]) -> None:
    text = watching(road="bulk")
    world.run(text)
    world.advance(minutes=30)
    change(world, people[:1], Score__c=10)
    world.advance(minutes=5)
    world.sandbox.counters(reset=True)
    database = world.db
    world.db = cast(Database, Dying(database, "records that may have left", after=False))
    with pytest.raises(Killed):
        world.run(text)
    world.db = database
    assert left(world, world.run(text)) == people[:1]
    assert world.sandbox.counters()["requests"]["bulk_create"] == 2


def test_leavers_asked_for_later_begin_with_what_matches_then(world: World, people: list[str]) -> None:
    world.run(indexed(["LastName", "Score__c"], filter=FILTER))
    world.advance(minutes=30)
    change(world, people[:1], Score__c=10)
    world.advance(minutes=5)
    report = world.run(watching())
    assert left(world, report) == []
    assert any("what leaves is told from the next run on" in one.text for one in world.log(report))
    change(world, people[1:2], Score__c=10)
    world.advance(minutes=5)
    assert left(world, world.run(watching())) == people[1:2]
    # Windows without looking for them: what left meanwhile and changes again is still known.
    change(world, people[2:3], Score__c=10)
    world.advance(minutes=5)
    world.run(indexed(["LastName", "Score__c"], filter=FILTER))
    assert left(world, world.run(watching())) == []
    change(world, people[2:4], Score__c=11)
    world.advance(minutes=5)
    assert left(world, world.run(watching())) == people[2:4]


def test_a_full_read_finds_what_left_without_a_stamp_or_by_another_filter(world: World, people: list[str]) -> None:
    world.run(watching())
    world.advance(minutes=30)
    # As a formula field does: another value, the stamp of before.
    world.sandbox.control("set_stamp", ids=people[:1], values={"Title": "moved"})
    narrower = {"all": [*FILTER["all"], {"field": "Title", "is": "empty"}]}
    change(world, people[1:], Title=None)
    world.advance(minutes=5)
    assert left(world, world.run(watching())) == []
    assert left(world, world.run(watching(filter=narrower))) == []
    world.set_option("")
    report = world.run(watching(filter=narrower))
    assert people[0] in left(world, report)
    assert not set(people[1:]) & set(left(world, report))
    world.set_option("")
    assert left(world, world.run(watching(filter=narrower))) == []


def test_a_hand_edit_of_the_option_during_the_run_repeats_no_leaver(world: World, people: list[str]) -> None:
    world.run(watching())
    option = world.option()
    assert option is not None
    world.advance(minutes=30)
    change(world, people[:1], Score__c=10)
    change(world, people[1:2], Score__c=61)
    world.advance(minutes=5)
    world.watcher.on_rows = lambda loaded: world.set_option(option.replace("/", "/", 1)[:-2] + "01")
    assert left(world, world.run(watching())) == people[:1]
    world.watcher.on_rows = lambda loaded: None
    again = world.run(watching())
    assert (world.ids(again), left(world, again)) == (people[1:2], [])


def test_a_run_without_change_costs_one_call_more(world: World, people: list[str]) -> None:
    world.run(watching())
    world.advance(minutes=30)
    assert world.run(watching()).api_calls == 4
    change(world, people[:1], Score__c=10)
    world.advance(minutes=5)
    # One more, to ask whether it matches after all.
    report = world.run(watching())
    assert (report.api_calls, left(world, report)) == (5, people[:1])


def test_the_key_of_the_tied_row_goes_along(world: World, people: list[str]) -> None:
    world.run(watching())
    ((org,),) = world.query("select distinct org from crosstie.import_window")
    for number in (1, 2):
        world.execute(
            f"create table crosstie.tie_{number} (remote_id text, local_key text, stamp text, tombstone text)"
        )
        world.execute(
            "insert into crosstie.tie (account, org, object, local_table, table_name)"
            " values ('crm', :org, 'Contact', :table, :name)",
            org=org,
            table=f"people_{number}",
            name=f"tie_{number}",
        )
    world.execute("insert into crosstie.tie_1 (remote_id, local_key) values (:id, '41')", id=people[0])
    world.execute("insert into crosstie.tie_1 (remote_id, local_key) values (:id, '42')", id=people[1])
    world.execute("insert into crosstie.tie_2 (remote_id, local_key) values (:id, '43')", id=people[1])
    world.advance(minutes=30)
    change(world, people[:3], Score__c=10)
    world.advance(minutes=5)
    report = world.run(watching())
    assert {row["Id"]: row["local_key"] for row in world.rows(report, "gone")} == {
        people[0]: "41",
        people[1]: None,
        people[2]: None,
    }


def test_matches_survive_a_crash_of_the_database_server(world: World, people: list[str]) -> None:
    world.run(watching())
    ((name,),) = world.query("select table_name from crosstie.matches")
    if world.db.dialect == "postgresql":
        assert world.query(f"select relpersistence from pg_class where relname = '{name}'") == [("p",)]
    ((count,),) = world.query(f"select count(*) from crosstie.{name}")
    assert count >= len(people)
    world.db.drop_work([name])
    world.advance(minutes=30)
    change(world, people[:1], Score__c=10)
    world.advance(minutes=5)
    report = world.run(watching())
    assert left(world, report) == []
    assert any("its table is gone" in one.text for one in world.log(report) if one.level == "warning")


@pytest.mark.parametrize(
    ("read", "message"),
    [
        ({"leavers": "gone", "index": True}, "this import has none; add a filter, or leave out leavers"),
        ({"leavers": "gone", "filter": FILTER}, "among what changed since the last import; add “index: true”"),
        (
            {"leavers": "gone", "filter": FILTER, "index": True, "fields": [{"field": "Id", "as": "local_key"}]},
            "the Leavers transition has a column local_key of its own",
        ),
        ({"leavers": "nowhere", "filter": FILTER, "index": True}, "there is no activity “nowhere”"),
    ],
)
def test_mistakes_are_named(world: World, read: dict[str, object], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        world.run(flow(read, more=GONE))


def test_the_graph_shows_where_leavers_go(world: World) -> None:
    definition = read_definition("flow.yaml", watching(), CATALOGUE, world.site)
    assert "leavers → gone" in definition.graph()

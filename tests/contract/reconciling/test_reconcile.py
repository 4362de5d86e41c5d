"""Both sides compared: lateness that no window can see is named, healed, and nothing else is written."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crosstie.app.reconciling import Cost, Reconciler, Reconciliation, Watch
from crosstie.app.reconciling.subject import find_subject
from crosstie.errors import BrakeError, ConfigError
from crosstie.sync.comparison import REMOTE_COLUMNS, Imported, Verdict, comparing, is_comparisons, sweep
from crosstie.workflow.definition import Definition, read_definition
from crosstie.workflow.runner import RunReport, Surroundings
from tests.contract.imports.world import CATALOGUE, TableSite, World, flow, indexed, open_connector
from tests.contract.reconciling.conftest import CONTACTS

FIELDS: list[object] = ["LastName", "Title", "Birthdate", "AssistantName"]
WRITE = {
    "type": "update_data",
    "into": "person",
    "identify": {"Id": "crm_id"},
    "set": {"crm_id": "Id", "last_name": "LastName", "title": "Title", "born": "Birthdate"},
}
PLAIN_TABLE = "(id integer primary key, crm_id varchar(18), last_name text, title text, born date)"
OTHER_ORG = "00D000000000001AAA"


def definition(more: Mapping[str, object] | None = None, **read: object) -> str:
    """An import of contacts that ends in the table person."""
    return indexed(FIELDS, next="write", more={"write": WRITE, **(more or {})}, **read)


TEXT = definition()


@pytest.fixture
def tied(world: World) -> Iterator[World]:
    """A world whose contacts were all imported into the table person, half an hour ago."""
    serial = "integer primary key"
    if world.db.dialect == "postgresql":
        serial = "bigint generated always as identity primary key"
    world.execute(
        f"create table person (id {serial}, crm_id varchar(18) unique, last_name varchar(40), title varchar(128),"
        " born date)"
    )
    world.site = TableSite(world.site.objects, world.db)
    world.run(TEXT)
    world.advance(minutes=30)
    yield world


def reader(world: World, text: str = TEXT, activity: str = "", *, into: str = "", **how: Any) -> Reconciler:
    read: Definition = read_definition("flow.yaml", text, CATALOGUE, world.site)
    around = Surroundings(
        db=world.db,
        site=world.site,
        clock=world.clock,
        connect=lambda account: open_connector(world.sandbox, **world.options),
        watcher=world.watcher,
        zone=ZoneInfo("UTC"),
    )
    return Reconciler(around=around, subject=find_subject(read, world.site, activity, into), **how)


def reconcile(world: World, text: str = TEXT, **how: Any) -> Reconciliation:
    """Reconciles, and sees that no work table stays and nothing of people's is written."""
    before = everything(world)
    found = reader(world, text, **how).run()
    assert everything(world) == before
    assert leftovers(world) == []
    return found


def leftovers(world: World) -> list[str]:
    return [name for name in world.db.work_tables() if is_comparisons(name)]


def everything(world: World) -> list[Any]:
    tables = ("person", "crosstie.option", "crosstie.tie_1", "crosstie.import_window", "crosstie.reject")
    found = [world.query(f"select * from {table} order by 1") for table in tables]
    return [*found, world.query("select id from crosstie.run order by 1")]


def told(found: Reconciliation) -> dict[str, int]:
    """The verdicts that there are."""
    return {str(verdict): number for verdict, number in found.counts.items() if number}


def ids(found: Reconciliation, verdict: Verdict) -> list[str]:
    return [one.remote_id for one in found.first[verdict]]


def beyond_overlap(world: World) -> tuple[list[str], list[str]]:
    """Two records changed and one made, visible only when the windows had long passed: the changed and the new."""
    changed = world.sandbox.change_contacts(2, late=3600, holds_back=False)
    made = world.sandbox.insert("Contact", [{"LastName": "Late"}], late=3600, holds_back=False)
    for minutes in (30, 60):
        world.advance(minutes=minutes)
        assert world.run(TEXT).counts["write"] == {"inserted": 0, "updated": 0, "unchanged": 0, "rejected": 0}
    return sorted(changed), made


def written(report: RunReport) -> dict[str, int]:
    return dict(report.counts["write"])


def test_after_an_import_both_sides_are_equal(tied: World) -> None:
    tied.sandbox.counters(reset=True)
    costs: list[Cost] = []
    found = reconcile(tied, watch=Watch(begun=costs.append))
    assert found.equal
    assert told(found) == {}
    assert found.remote_rows == found.local_rows >= CONTACTS
    assert (costs[0].rows, costs[0].api_calls) == (found.remote_rows, found.api_calls)
    assert tied.sandbox.counters()["requests"]["query"] == found.api_calls == 2


@pytest.mark.parametrize("road", ["pages", "bulk"])
def test_lateness_beyond_the_overlap_is_named_and_healed_by_the_next_run_and_nothing_else_is_written(
    tied: World, road: str
) -> None:
    tied.options = {"bulk_from_rows": 100, "bulk_page_rows": 120} if road == "bulk" else {}
    changed, made = beyond_overlap(tied)
    found = reconcile(tied)
    assert told(found) == {"missing": 1, "stale": 2}
    assert ids(found, Verdict.STALE) == changed
    assert ids(found, Verdict.MISSING) == made
    assert all(one.remote_stamp > one.local_stamp for one in found.first[Verdict.STALE])  # type: ignore[operator]
    assert not found.equal
    assert (found.asked_for, found.repaired) == (0, 0)

    assert (repaired := reconcile(tied, repair=True)).repaired == 3
    assert repaired.asked_for == 3
    again = reconcile(tied, repair=True)
    assert (again.repaired, again.asked_for) == (0, 3)
    assert told(again) == told(found)

    tied.advance(minutes=5)
    assert written(tied.run(TEXT)) == {"inserted": 1, "updated": 2, "unchanged": 0, "rejected": 0}
    assert reconcile(tied).equal
    tied.advance(minutes=5)
    assert written(tied.run(TEXT)) == {"inserted": 0, "updated": 0, "unchanged": 0, "rejected": 0}
    assert tied.query("select * from crosstie.unaccepted") == []
    assert [row[0] for row in tied.query("select action from crosstie.audit where action = 'repair'")] == ["repair"]


def test_what_a_repair_asked_for_survives_a_run_that_fails_and_is_restarted(tied: World) -> None:
    beyond_overlap(tied)
    reconcile(tied, repair=True)
    broken = definition(more={"then": {"type": "javascript", "code": "throw new Error('no')"}})
    broken = broken.replace('"into": "person"', '"into": "person", "next": "then"')
    with pytest.raises(Exception, match="no"):
        tied.run(broken.replace('"next": "write"', '"next": "then"'))
    assert written(tied.run(TEXT, restart=True)) == {"inserted": 1, "updated": 2, "unchanged": 0, "rejected": 0}
    assert reconcile(tied).equal


def test_what_the_overlap_still_reaches_is_the_next_runs(tied: World) -> None:
    late = tied.sandbox.change_contacts(2, late=600, holds_back=False)
    tied.advance(minutes=5)
    tied.run(TEXT)
    tied.advance(minutes=6)
    changed = tied.sandbox.change_contacts(3)
    found = reconcile(tied)
    assert told(found) == {"too new": len({*late, *changed})}
    assert found.equal
    tied.advance(minutes=5)
    tied.run(TEXT)
    assert told(reconcile(tied)) == {}


def test_deletions_are_told_from_records_that_left_the_filter(tied: World) -> None:
    text = definition(filter={"all": [{"field": "AssistantName", "is": "empty"}]})
    tied.run(text)
    purged, deleted, left, moved = sorted(tied.sandbox.change_contacts(4))
    tied.sandbox.control("delete", ids=[purged, deleted])
    tied.sandbox.control("purge", ids=[purged])
    for one in (left, moved):
        tied.sandbox.control("update", id=one, values={"AssistantName": "Somebody"})
    tied.advance(minutes=30)
    tied.run(text)
    tied.sandbox.control("update", id=moved, values={"AssistantName": None})
    found = reconcile(tied, text)
    assert ids(found, Verdict.DELETED) == [purged, deleted]
    assert ids(found, Verdict.LEFT_FILTER) == [left]
    assert told(found) == {"deleted": 2, "left the filter": 1, "too new": 1}
    assert found.repairable == 0
    untold = reconcile(tied, text, tell_apart_up_to=2)
    assert told(untold) == {"gone": 3, "too new": 1}
    assert not untold.equal
    tied.sandbox.control("update", id=left, values={"AssistantName": None})


def test_what_was_handed_on_as_a_leaver_is_no_difference(tied: World) -> None:
    """Told before leavers were asked for: a difference. Handed on by a run, deleted after that or not: none."""
    narrow: dict[str, Any] = {"filter": {"all": [{"field": "AssistantName", "is": "empty"}]}}
    before, handed, deleted, back = sorted(tied.sandbox.change_contacts(4))
    tied.run(definition(**narrow))
    tied.sandbox.control("update", id=before, values={"AssistantName": "Somebody"})
    tied.advance(minutes=30)
    text = definition(more={"gone": {"type": "javascript", "code": "1"}}, leavers="gone", **narrow)
    tied.run(text)
    for one in (handed, deleted, back):
        tied.sandbox.control("update", id=one, values={"AssistantName": "Somebody"})
    tied.advance(minutes=30)
    tied.run(text)
    tied.sandbox.control("delete", ids=[deleted])
    found = reconcile(tied, text)
    assert ids(found, Verdict.HANDED_ON) == sorted([handed, deleted, back])
    assert told(found) == {"left the filter": 1, "handed on": 3}
    assert ids(found, Verdict.LEFT_FILTER) == [before]
    tied.sandbox.control("update", id=back, values={"AssistantName": None})
    tied.advance(minutes=30)
    tied.run(text)
    tied.sandbox.control("update", id=back, values={"AssistantName": "Somebody"})
    assert told(reconcile(tied, text)) == {"left the filter": 2, "handed on": 2}
    for one in (before, handed, back):
        tied.sandbox.control("update", id=one, values={"AssistantName": None})


def test_a_filter_that_was_widened_names_what_it_lets_in(tied: World) -> None:
    (apart,) = tied.sandbox.insert("Contact", [{"LastName": "Apart", "AssistantName": "x"}])
    tied.advance(minutes=30)
    narrow = definition(filter={"all": [{"field": "AssistantName", "is": "empty"}]})
    tied.run(narrow)
    tied.advance(hours=1)
    tied.run(TEXT)
    found = reconcile(tied)
    assert told(found) == {"missing": 1}
    assert ids(found, Verdict.MISSING) == [apart]
    assert reconcile(tied, narrow).equal
    tied.sandbox.control("delete", ids=[apart])


def test_a_filter_is_asked_as_of_the_last_run_that_ended_well(tied: World) -> None:
    """A filter that moves with the clock asks for what the import asked for, and not for what it would ask for now."""
    value = "new Date(new Date().getTime() - 3600 * 1000)"
    tied.sandbox.change_contacts(5)
    text = definition(filter={"all": [{"field": "LastModifiedDate", "is": "after", "value": value}]})
    tied.execute("delete from crosstie.option")
    tied.execute("delete from person")
    tied.execute("delete from crosstie.tie_1")
    tied.advance(minutes=20)
    assert written(tied.run(text))["inserted"] == 5
    tied.advance(hours=3)
    found = reconcile(tied, text)
    assert (told(found), found.remote_rows) == ({}, 5)


def spoil(world: World, *ids: str, born: str | None) -> None:
    stamp = f"{world.clock.now():%Y-%m-%dT%H:%M:%S}.000+0000"
    world.sandbox.control("set_stamp", ids=list(ids), values={"Birthdate": born, "SystemModstamp": stamp})


def test_what_was_refused_is_known_until_it_changes_unseen(tied: World) -> None:
    bad, worse = sorted(tied.sandbox.change_contacts(2))
    spoil(tied, bad, worse, born="2026-02-31")
    tied.advance(minutes=30)
    tied.run(TEXT)
    tied.advance(minutes=30)
    tied.run(TEXT)
    found = reconcile(tied)
    assert told(found) == {"refused": 2}
    assert found.equal
    assert reconcile(tied, repair=True).repaired == 0
    tied.execute("update crosstie.reject set status = 'dismissed' where remote_id = :id", id=bad)
    tied.execute("delete from crosstie.unaccepted where remote_id = :id", id=bad)
    assert told(reconcile(tied)) == {"refused": 2}
    # The dismissed one changes, and the change becomes visible when the windows have passed.
    tied.sandbox.control("change", object="Contact", ids=[bad], late=3600, holds_back=False)
    for minutes in (30, 60):
        tied.advance(minutes=minutes)
        tied.run(TEXT)
    found = reconcile(tied)
    assert told(found) == {"stale": 1, "refused": 1}
    assert ids(found, Verdict.STALE) == [bad]
    spoil(tied, bad, worse, born=None)


def test_what_the_update_refused_is_known(tied: World) -> None:
    (made,) = tied.sandbox.insert("Contact", [{"LastName": "L" * 41}])
    tied.advance(minutes=30)
    assert written(tied.run(TEXT))["rejected"] == 1
    tied.advance(minutes=30)
    tied.run(TEXT)
    found = reconcile(tied)
    assert told(found) == {"refused": 1}
    assert ids(found, Verdict.REFUSED) == [made]
    tied.sandbox.control("delete", ids=[made])


def test_a_repaired_record_that_cannot_be_converted_is_a_reject_like_any_other(tied: World) -> None:
    changed, _ = beyond_overlap(tied)
    tied.sandbox.control("set_stamp", ids=changed[:1], values={"Birthdate": "2026-02-31"})
    reconcile(tied, repair=True)
    tied.advance(minutes=5)
    report = tied.run(TEXT)
    assert (report.rejects, written(report)["updated"], written(report)["inserted"]) == (1, 1, 1)
    assert tied.query("select remote_id, status from crosstie.reject") == [(changed[0], "open")]
    assert told(reconcile(tied)) == {"refused": 1}
    tied.sandbox.control("set_stamp", ids=changed[:1], values={"Birthdate": None})


def test_a_row_that_was_lost_here_comes_back_though_the_tail_has_it(tied: World) -> None:
    (changed,) = tied.sandbox.change_contacts(1)
    tied.advance(minutes=19)
    tied.run(TEXT)
    tied.execute("delete from person where crm_id = :id", id=changed)
    tied.execute("delete from crosstie.tie_1 where remote_id = :id", id=changed)
    assert ids(reconcile(tied, repair=True), Verdict.MISSING) == [changed]
    report = tied.run(TEXT)
    assert written(report) == {"inserted": 1, "updated": 0, "unchanged": 0, "rejected": 0}
    assert reconcile(tied).equal


def test_an_option_that_was_moved_on_by_hand_leaves_a_gap_that_is_named(tied: World) -> None:
    changed = tied.sandbox.change_contacts(2)
    tied.advance(hours=1)
    assert told(reconcile(tied)) == {"too new": 2}
    tied.set_option(f"{tied.clock.now():%Y/%m/%d %H:%M}:00")
    found = reconcile(tied)
    assert ids(found, Verdict.STALE) == sorted(changed)


def test_a_run_that_goes_on_meanwhile_makes_no_difference(tied: World) -> None:
    changed = tied.sandbox.change_contacts(2)
    (made,) = tied.sandbox.insert("Contact", [{"LastName": "Meanwhile"}])
    tied.advance(minutes=30)
    runs: list[RunReport] = []

    def run_now(rows: int, expected: int | None) -> None:
        if not runs:
            (newer,) = tied.sandbox.insert("Contact", [{"LastName": "Newer"}])
            changed.append(newer)
            tied.advance(minutes=20)
            runs.append(tied.run(TEXT))

    found = reader(tied, watch=Watch(rows=run_now)).run()
    assert written(runs[0]) == {"inserted": 2, "updated": 2, "unchanged": 0, "rejected": 0}
    assert told(found) == {}
    assert leftovers(tied) == []
    tied.sandbox.control("delete", ids=[made, changed[-1]])


def test_the_same_comparison_is_not_made_twice_at_once_and_its_tables_are_swept(tied: World) -> None:
    class Killed(BaseException):
        pass

    def kill(rows: int, expected: int | None) -> None:
        assert leftovers(tied) != []
        tied.run(TEXT)
        assert leftovers(tied) != [], "a run sweeps nothing of a comparison that is under way"
        with pytest.raises(BrakeError, match="contacts/read is being reconciled by another process"):
            reader(tied).run()
        raise Killed

    with pytest.raises(Killed):
        reader(tied, watch=Watch(rows=kill)).run()
    assert leftovers(tied) == []


@pytest.mark.parametrize("by", ["a run", "a comparison"])
def test_what_a_killed_comparison_left_is_swept(tied: World, by: str) -> None:
    place = Imported(workflow="contacts", activity="read", account="crm", object="Contact", option="", stamp_column="")
    with comparing(tied.db, place, "tie_1", tied.clock.now()) as comparison:
        left = comparison.name("remote")
    tied.db.create_work(left, REMOTE_COLUMNS)
    assert leftovers(tied) == [left]
    if by == "a run":
        tied.run(TEXT)
    else:
        reader(tied).run()
    assert leftovers(tied) == []
    sweep(tied.db, [left])


def test_records_that_are_found_twice_and_stamps_that_cannot_be_read_do_no_harm(tied: World) -> None:
    (odd,) = tied.sandbox.change_contacts(1)
    tied.sandbox.control("set_stamp", ids=[odd], values={"SystemModstamp": None})
    found = reconcile(tied)
    assert told(found) == {"stale": 1}
    assert found.first[Verdict.STALE][0].remote_stamp is None
    spoil(tied, odd, born=None)


def test_without_stamps_only_ids_are_compared_and_that_is_said(tied: World) -> None:
    tied.execute("update crosstie.tie_1 set stamp = null")
    beyond = beyond_overlap(tied)
    tied.execute("update crosstie.tie_1 set stamp = null")
    found = reconcile(tied)
    assert told(found) == {"missing": 1}
    assert ids(found, Verdict.MISSING) == beyond[1]
    assert not found.compares_stamps
    assert "only ids were compared" in found.notes[0]


def test_too_many_to_repair_one_by_one_are_not_repaired_and_that_is_said(tied: World) -> None:
    beyond_overlap(tied)
    found = reconcile(tied, repair=True, repair_up_to=2)
    assert found.repaired == 0
    assert "3 records are too many" in found.notes[0]
    assert tied.query("select * from crosstie.unaccepted") == []


def test_all_that_differs_goes_into_a_file_and_the_first_are_shown(tied: World, tmp_path: Path) -> None:
    changed, made = beyond_overlap(tied)
    file = tmp_path / "differences.csv"
    found = reconcile(tied, output=file, limit=1)
    assert [len(shown) for shown in found.first.values() if shown] == [1, 1]
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert sorted(row["remote_id"] for row in rows) == sorted([*changed, *made])
    assert {row["verdict"] for row in rows} == {"missing", "stale"}
    assert all(bool(row["local_key"]) == (row["verdict"] == "stale") for row in rows)
    with pytest.raises(ConfigError, match="cannot be written"):
        reconcile(tied, output=tmp_path / "missing" / "file.csv")


def test_an_object_without_records_is_equal(world: World) -> None:
    filter_ = {"all": [{"field": "LastName", "is": "equal to", "value": "'Nobody of that name'"}]}
    text = definition(filter=filter_)
    world.execute(
        "create table person (id integer primary key, crm_id varchar(18), last_name text, title text, born date)"
    )
    world.site = TableSite(world.site.objects, world.db)
    world.run(text)
    found = reader(world, text).run()
    assert (found.equal, found.remote_rows, found.local_rows, told(found)) == (True, 0, 0, {})
    assert leftovers(world) == []


def test_before_the_first_run_there_is_nothing_to_compare(tied: World) -> None:
    tied.execute("delete from crosstie.import_window")
    tied.sandbox.counters(reset=True)
    with pytest.raises(ConfigError, match="contacts/read has never ended well yet") as caught:
        reader(tied).run()
    assert "crosstie run contacts" in caught.value.hint
    assert tied.sandbox.counters()["requests_total"] == 0


def test_another_org_behind_the_account_is_refused(tied: World) -> None:
    tied.execute("update crosstie.import_window set org = :org", org=OTHER_ORG)
    with pytest.raises(ConfigError, match=f"imported from the org {OTHER_ORG}, but account crm now leads to"):
        reader(tied).run()
    assert tied.query("select * from crosstie.unaccepted") == []


def test_ties_of_another_org_are_refused(tied: World) -> None:
    tied.execute("update crosstie.tie set org = :org", org=OTHER_ORG)
    with pytest.raises(ConfigError, match=f"tied to Contact records of the org {OTHER_ORG}"):
        reader(tied).run()


def test_an_import_that_was_changed_has_to_run_first(tied: World) -> None:
    text = TEXT.replace('"field": "SystemModstamp"', '"field": "LastModifiedDate"')
    with pytest.raises(ConfigError, match="by LastModifiedDate, but when it last ended well it imported Contact"):
        reader(tied, text).run()


SECOND = {"type": "crm_import", "account": "crm", "object": "Contact", "index": True, "fields": ["LastName"]}
PLAIN = {**SECOND, "index": None, "next": "done"}
DONE: dict[str, object] = {"type": "end"}


@pytest.mark.parametrize(
    ("text", "activity", "message"),
    [
        (TEXT, "reed", "Workflow contacts has no import “reed”.* Did you mean “read”. It has read"),
        (flow({"fields": FIELDS}, more={"write": WRITE}), "", "No import of contacts has an automatic index"),
        (definition({"two": PLAIN, "done": DONE}), "two", "Import contacts/two has no automatic index"),
        (definition({"two": {**SECOND, "next": "done"}, "done": DONE}), "", "several imports .* read, two"),
        (indexed(["LastName"]), "", "end in no update_data that keeps ties"),
        (definition({"write": {**WRITE, "ties": False}}), "", "end in no update_data that keeps ties"),
        (
            definition({"write": {**WRITE, "outcome": True, "next": "more"}, "more": {**WRITE, "into": "other"}}),
            "",
            "tied to several tables: person, other",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(tied: World, text: str, activity: str, message: str) -> None:
    tied.execute(f"create table other {PLAIN_TABLE}")
    with pytest.raises(ConfigError, match=message):
        reader(tied, text, activity)


def test_the_table_can_be_chosen(tied: World) -> None:
    tied.execute(f"create table other {PLAIN_TABLE}")
    two = definition({"write": {**WRITE, "outcome": True, "next": "more"}, "more": {**WRITE, "into": "other"}})
    found = reconcile(tied, two, into="other")
    assert (found.table, found.local_rows) == ("other", 0)
    assert told(found) == {"missing": found.remote_rows}
    with pytest.raises(ConfigError, match="No rows of read are tied to a table person2"):
        reader(tied, two, into="person2")


def test_what_is_left_out_on_the_way_is_said(tied: World) -> None:
    once = {"type": "deduplication", "by": ["LastName"], "keep": {"highest": "SystemModstamp"}, "next": "write"}
    each = {**once, "by": ["Id"]}
    text = json.loads(definition({"once": once}))
    text["activities"]["read"]["next"] = "once"
    found = reconcile(tied, json.dumps(text))
    assert found.notes == ("once leaves records out on their way to person; they are told as missing too.",)
    text["activities"]["once"] = each
    assert reconcile(tied, json.dumps(text)).notes == ()


def test_other_imports_into_the_same_table_are_said(tied: World) -> None:
    tied.execute(
        "insert into crosstie.import_window (option_name, account, org, object, workflow, activity, run, field, end_at,"
        " status, opened_at) select 'OTHER', account, org, object, 'others', 'read', run, field, end_at, status,"
        " opened_at from crosstie.import_window"
    )
    found = reconcile(tied)
    assert "others/read" in found.notes[0]
    assert found.equal


def test_the_overlap_in_force_is_the_one_that_grew(tied: World) -> None:
    tied.execute("update crosstie.tail set late_seconds = 3600")
    found = reconcile(tied)
    assert found.end - found.bound == timedelta(minutes=90)
    assert replace(found, seconds=0.0).option == "LASTIMPORT_contacts_read"

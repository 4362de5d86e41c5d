"""The automatic index against a sandbox: what each window reads, and what is left out of it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from crosstie.errors import ConfigError, TaskError
from crosstie.sync import windows
from crosstie.workflow.runner import RunReport
from tests.contract.imports.conftest import CONTACTS
from tests.contract.imports.world import OPTION, World, indexed

TEN_MINUTES = timedelta(minutes=10)


def first_import(world: World, text: str = "") -> RunReport:
    report = world.run(text or indexed())
    assert report.counts["read"]["rows"] >= CONTACTS
    world.advance(minutes=30)
    return report


def test_the_first_import_has_every_record_and_those_without_stamp(world: World) -> None:
    (unstamped,) = world.sandbox.insert("Contact", [{"LastName": "Unstamped"}])
    world.sandbox.control("set_stamp", ids=[unstamped], values={"SystemModstamp": None})
    world.advance(hours=1)
    report = world.run(indexed())
    assert unstamped in world.ids(report)
    assert report.counts["read"]["rows"] >= CONTACTS + 1
    world.sandbox.control("delete", ids=[unstamped])


def test_the_option_moves_once_in_the_documented_form(world: World) -> None:
    at = world.clock.now()
    report = first_import(world)
    assert world.option() == f"{(at - timedelta(minutes=1)):%Y/%m/%d %H:%M}:00"
    assert world.query("select name from crosstie.option") == [(OPTION,)]
    with world.db.reading() as transaction:
        (window,) = windows.windows_of(transaction, report.run)
    assert window.status is windows.WindowStatus.CONFIRMED
    assert (window.start, windows.option_text(window.end)) == (None, world.option())


@pytest.mark.parametrize("k", [0, 1, 7, 500])
def test_k_changed_records_give_k_rows_and_the_overlap_gives_none(world: World, k: int) -> None:
    first_import(world)
    changed = world.sandbox.change_contacts(k) if k else []
    world.advance(minutes=10)
    report = world.run(indexed())
    assert world.ids(report) == sorted(changed)
    world.advance(minutes=2)
    again = world.run(indexed())
    assert world.ids(again) == []
    assert again.counts["read"] == {"rows": 0, **({"seen before": k} if k else {})}


def test_a_record_that_changed_again_inside_the_overlap_comes_again(world: World) -> None:
    first_import(world)
    changed = world.sandbox.change_contacts(5)
    world.advance(minutes=5)
    world.run(indexed())
    # Another value with the stamp of before: the index alone would not see it, the comparison with the tail does.
    world.sandbox.control("set_stamp", ids=changed[:1], values={"Title": "Changed without a stamp"})
    world.sandbox.control("update", id=changed[1], values={"Title": "Changed with one"})
    world.advance(minutes=5)
    report = world.run(indexed())
    assert world.ids(report) == sorted(changed[:2])
    assert {row["Title"] for row in world.rows(report)} == {"Changed without a stamp", "Changed with one"}
    assert report.counts["read"]["seen before"] == 3


def test_an_option_set_by_hand_really_reads_again(world: World) -> None:
    first_import(world)
    changed = world.sandbox.change_contacts(3)
    before = world.option()
    assert before is not None
    world.advance(minutes=10)
    world.run(indexed())
    world.set_option(before)
    world.advance(minutes=1)
    assert world.ids(world.run(indexed())) == sorted(changed)
    world.set_option("")
    assert world.run(indexed()).counts["read"]["rows"] >= CONTACTS


def test_another_list_of_fields_reads_the_overlap_again(world: World) -> None:
    first_import(world)
    changed = world.sandbox.change_contacts(3)
    world.advance(minutes=5)
    world.run(indexed())
    world.advance(minutes=5)
    report = world.run(indexed(["LastName", "Email"]))
    assert world.ids(report) == sorted(changed)


def test_a_malformed_option_is_refused_and_nothing_moves(world: World) -> None:
    world.set_option("2026-11-23 08:00")
    calls = world.sandbox.counters(reset=True)
    with pytest.raises(TaskError, match="yyyy/MM/dd hh:mm:ss") as caught:
        world.run(indexed())
    assert isinstance(caught.value.__cause__, ConfigError)
    assert world.option() == "2026-11-23 08:00"
    assert world.query("select id from crosstie.import_window") == []
    assert calls is not None
    assert world.sandbox.counters()["rows_total"] == 0


def test_an_open_transaction_holds_the_end_of_the_window_back(world: World) -> None:
    first_import(world)
    begun = world.clock.now()
    late = world.sandbox.change_contacts(2, late=1200, holds_back=True)
    world.advance(minutes=10)
    seen = world.sandbox.change_contacts(3)
    world.advance(minutes=5)
    report = world.run(indexed())
    assert world.window().end <= begun
    assert world.ids(report) == []
    world.advance(minutes=10)
    report = world.run(indexed())
    assert set(late) | set(seen) == set(world.ids(report))


def late_change(world: World, seconds: float, count: int = 2) -> list[str]:
    """Records whose change becomes visible that much later, without the CRM telling."""
    return world.sandbox.change_contacts(count, late=seconds, holds_back=False)


def test_what_became_visible_late_is_imported_and_the_overlap_grows(world: World) -> None:
    first_import(world)
    late = late_change(world, 14 * 60)
    world.advance(minutes=13)
    assert world.ids(world.run(indexed())) == []
    world.advance(minutes=4)
    report = world.run(indexed())
    assert world.ids(report) == sorted(late)
    assert any("became visible" in message.text for message in world.log(report))
    assert world.window().overlap == windows.OVERLAP
    world.advance(minutes=2)
    assert world.ids(world.run(indexed())) == []
    # 12 minutes late, and half as much again.
    assert world.window().overlap == timedelta(minutes=18)


def test_the_overlap_does_not_grow_by_what_it_brings_again(world: World) -> None:
    first_import(world)
    for _ in range(6):
        world.sandbox.change_contacts(1)
        world.advance(minutes=1)
    late_change(world, 15 * 60)
    rows, overlaps = [], []
    for minutes in (6, 7, 1, 1, 1, 1, 1, 1, 1):
        for _ in range(minutes):
            world.sandbox.change_contacts(1)
            world.advance(minutes=1)
        rows.append(world.run(indexed()).counts["read"]["rows"])
        overlaps.append(world.window().overlap)
    # 13 minutes late, and half as much again. The minutes that this reaches back further come once more, but they are
    # not late, and the overlap does not grow with them.
    assert overlaps[:4] == [windows.OVERLAP] * 4
    assert overlaps[4:] == [timedelta(minutes=19, seconds=30)] * 5
    assert rows[-4:] == [1, 1, 1, 1]


def test_two_runs_in_one_minute_are_harmless(world: World) -> None:
    first_import(world)
    changed = world.sandbox.change_contacts(4)
    world.advance(minutes=5)
    assert world.ids(world.run(indexed())) == sorted(changed)
    option = world.option()
    assert world.ids(world.run(indexed())) == []
    assert world.ids(world.run(indexed())) == []
    assert world.option() == option


def test_a_filter_with_the_time_of_day_keeps_its_tail(world: World) -> None:
    condition = {"all": [{"field": "CreatedDate", "is": "before", "value": "new Date()"}]}
    text = indexed(filter=condition)
    first_import(world, text)
    changed = world.sandbox.change_contacts(4)
    world.advance(minutes=5)
    assert world.ids(world.run(text)) == sorted(changed)
    world.advance(minutes=5)
    again = world.run(text)
    assert again.counts["read"] == {"rows": 0, "seen before": 4}


def test_a_window_much_larger_than_the_last_one_goes_by_bulk(world: World) -> None:
    world.options = {"bulk_from_rows": 300}
    first_import(world)
    world.sandbox.change_contacts(10)
    world.advance(minutes=30)
    assert world.run(indexed()).counts["read"]["rows"] == 10
    changed = world.sandbox.change_contacts(600)
    world.advance(minutes=30)
    world.sandbox.counters(reset=True)
    report = world.run(indexed())
    assert world.ids(report) == sorted(changed)
    assert world.sandbox.counters()["requests"].get("bulk_create") == 1


def test_the_variables_of_the_window_go_to_the_next_activity(world: World) -> None:
    code = "vars.seen = [vars.crmOptionName, vars.crmStartImport, vars.crmEndDate].join('|')"
    text = indexed(next="script", more={"script": {"type": "javascript", "code": code}})
    starts = [""]
    for _ in range(2):
        report = world.run(text)
        ((found,),) = world.query(
            "select vars from crosstie.event where run = :run and source = 'script'", run=report.run
        )
        end = world.option()
        assert end is not None
        assert json.loads(found)["seen"] == f"{OPTION}|{starts[-1]}|{end}"
        starts.append(end)
        world.advance(minutes=10)
    assert len(set(starts)) == 3


def test_work_tables_are_swept_but_the_tail_in_force(world: World) -> None:
    first_import(world)
    for _ in range(3):
        world.sandbox.change_contacts(5)
        world.advance(minutes=5)
        report = world.run(indexed())
    kept = {name.split("_")[1] for name in world.db.work_tables()}
    assert kept == {str(report.run)}
    assert sorted(name.rsplit("_", 1)[1] for name in world.db.work_tables()) == ["raw", "tail"]

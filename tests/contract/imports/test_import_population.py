"""Records asked for by ids from upstream: what goes on with them, what is refused and why, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from crosstie.app.rejects import InboxReject, Rejects
from crosstie.errors import DefinitionError
from crosstie.workflow.runner import RunReport
from tests.contract.imports.world import World, flow

UNKNOWN = "0035g00000zzzzzAAA"
REFUSED = {"refused": {"type": "javascript", "code": "1"}}
Row = tuple[str | None, ...]


def by_ids(
    rows: Sequence[Row],
    *,
    columns: Sequence[str] = ("id", "note"),
    keep: Sequence[object] = ("note",),
    read: Mapping[str, object] | None = None,
    **more: object,
) -> str:
    """An import of the records of inbound rows."""
    source = {"type": "given", "columns": columns, "rows": rows}
    importing = {"population": {"ids": columns[0], "keep": keep}, "rejects": "refused", **more, **(read or {})}
    return flow(importing, before={"source": source}, more=REFUSED)


def inbox(world: World, *, open_only: bool = True) -> list[InboxReject]:
    found = Rejects(world.db, world.clock.now).list(open_only=open_only, limit=10_000)
    return sorted(found, key=lambda one: one.id)


def counts(report: RunReport) -> dict[str, int]:
    return dict(report.counts["read"])


def requests(world: World) -> dict[str, int]:
    """What was asked of the CRM since the last reset, sign-in and description aside."""
    found: dict[str, int] = world.sandbox.counters()["requests"]
    return {kind: count for kind, count in found.items() if count and kind not in ("describe", "token", "versions")}


@pytest.fixture
def ids(world: World) -> list[str]:
    """The ids of all contacts."""
    found = world.ids(world.run(flow({"road": "pages"})))
    world.sandbox.counters(reset=True)
    return found


def test_every_inbound_row_goes_on_with_its_record_and_its_own_kept_columns(world: World, ids: list[str]) -> None:
    wanted = ids[:1300]
    rows: list[Row] = [(one, f"note {place}") for place, one in enumerate(wanted)]
    report = world.run(by_ids([*rows, (wanted[5], "another note")]))
    found = world.rows(report)
    assert sorted((row["Id"], row["note"]) for row in found) == sorted([*rows, (wanted[5], "another note")])
    assert all(row["LastName"] for row in found)
    assert counts(report) == {"rows": 1301}
    assert any("1 records are named by several inbound rows" in one.text for one in world.log(report))
    assert requests(world) == {"retrieve": 1}


def test_without_kept_columns_each_record_goes_on_once(world: World, ids: list[str]) -> None:
    report = world.run(by_ids([(ids[0],), (ids[1],), (ids[0],)], columns=("id",), keep=()))
    assert world.ids(report) == ids[:2]
    assert counts(report) == {"rows": 2}


def test_ids_are_understood_as_people_have_them(world: World, ids: list[str]) -> None:
    rows = [(ids[0][:15], "15"), (ids[1].lower(), "lower"), (f"  {ids[2]} ", "blanks"), (ids[0], "18")]
    report = world.run(by_ids(rows))
    assert sorted((row["Id"], row["note"]) for row in world.rows(report)) == sorted(
        [(ids[0], "15"), (ids[1], "lower"), (ids[2], "blanks"), (ids[0], "18")]
    )
    # One list of a query, in which the id that comes in twice stands once.
    assert requests(world) == {"query": 1}
    assert world.sandbox.counters()["rows"]["query"] == 3


ODD: list[Row] = [(UNKNOWN, "lost"), (None, "none"), ("", "empty"), (" ", "blank"), ("no id at all", "odd")]


def test_what_has_no_record_is_refused_with_its_inbound_columns(world: World, ids: list[str]) -> None:
    gone = ids[7]
    world.sandbox.control("delete", ids=[gone])
    try:
        report = world.run(by_ids([(ids[0], "kept"), (gone, "gone"), *ODD]))
    finally:
        world.sandbox.control("undelete", ids=[gone])
    assert [row["note"] for row in world.rows(report)] == ["kept"]
    assert counts(report) == {"rows": 1, "unknown": 1, "deleted": 1, "malformed ids": 1, "without id": 3}
    refused = world.rows(report, "refused")
    assert {(row["note"], row["errorSymbol"], row["Id"]) for row in refused} == {
        ("gone", "ID_DELETED", gone),
        ("lost", "ID_UNKNOWN", UNKNOWN),
        ("none", "ID_EMPTY", None),
        ("empty", "ID_EMPTY", ""),
        ("blank", "ID_EMPTY", " "),
        ("odd", "ID_MALFORMED", "no id at all"),
    }
    assert all(row["errorMessage"] and row["errorField"] == "id" and row["LastName"] is None for row in refused)
    kept = inbox(world)
    assert {(one.symbol, one.remote_id, one.record["note"]) for one in kept} == {
        ("ID_DELETED", gone, "gone"),
        ("ID_UNKNOWN", UNKNOWN, "lost"),
        ("ID_EMPTY", "", "none"),
        ("ID_EMPTY", "", "empty"),
        ("ID_EMPTY", "", "blank"),
        ("ID_MALFORMED", "", "odd"),
    }
    assert {(one.account, one.object, one.field) for one in kept} == {("crm", "Contact", "id")}
    assert report.rejects == len(kept)
    warnings = [one.text for one in world.log(report) if one.level == "warning"]
    assert [text.split(" don't")[0] for text in warnings] == [
        "1 inbound rows",
        "1 inbound rows",
        "1 inbound rows",
        "3 inbound rows",
    ]
    assert not any("no id at all" in text for text in warnings)


def test_what_is_refused_again_is_in_the_inbox_once_and_is_settled_when_it_is_there(
    world: World, ids: list[str]
) -> None:
    text = by_ids([(ids[0], "kept"), (ids[7], "gone"), *ODD])
    world.sandbox.control("delete", ids=[ids[7]])
    world.run(text)
    before = inbox(world)
    again = world.run(text)
    assert [(one.id, one.record) for one in inbox(world)] == [(one.id, one.record) for one in before]
    assert {one.run for one in inbox(world)} == {again.run}
    assert again.rejects == len(before)
    empty = next(one.id for one in before if one.record["note"] == "empty")
    Rejects(world.db, world.clock.now).dismiss([empty])
    world.sandbox.control("undelete", ids=[ids[7]])
    report = world.run(text)
    assert counts(report) == {"rows": 2, "unknown": 1, "malformed ids": 1, "without id": 3}
    status = {one.record["note"]: one.status for one in inbox(world, open_only=False)}
    assert status == {
        "gone": "accepted",
        "empty": "dismissed",
        **dict.fromkeys(("lost", "none", "blank", "odd"), "open"),
    }


@pytest.mark.parametrize("road", ["auto", "pages", "bulk"])
def test_with_a_filter_what_it_leaves_out_is_not_unknown(world: World, ids: list[str], road: str) -> None:
    condition = {"all": [{"field": "Score__c", "is": "at least", "value": "50"}]}
    matching = set(world.ids(world.run(flow({"filter": condition}))))
    wanted = ids[:900]
    rows: list[Row] = [(one, "asked") for one in wanted]
    report = world.run(by_ids([*rows, (UNKNOWN, "lost")], filter=condition, road=road))
    assert world.ids(report) == sorted(matching & set(wanted))
    left_out = len(set(wanted) - matching)
    assert 0 < left_out < 900
    assert counts(report) == {"rows": 900 - left_out, "unknown": 1, "left out by the filter": left_out}
    assert [one.remote_id for one in inbox(world)] == [UNKNOWN]


@pytest.mark.parametrize("keep", [("note",), ()])
def test_every_road_gives_the_same(world: World, ids: list[str], keep: tuple[str, ...]) -> None:
    rows: list[Row] = [(one, f"note {place}") for place, one in enumerate(ids[:800])]
    found = []
    for road in ("pages", "bulk"):
        world.sandbox.counters(reset=True)
        report = world.run(by_ids([*rows, *ODD], keep=keep, road=road, fields=["LastName", "Score__c"]))
        found.append((counts(report), sorted(world.rows(report), key=str), len(world.rows(report, "refused"))))
        assert bool(requests(world).get("bulk_create")) == (road == "bulk")
    assert found[0] == found[1]
    assert found[0][0]["rows"] == 800


def test_a_large_share_is_read_whole_and_a_few_are_read_by_id(world: World, ids: list[str]) -> None:
    fields: list[object] = ["LastName", "Account.Name"]
    rows: list[Row] = [(one, "asked") for one in ids[:1500]]
    report = world.run(by_ids(rows, fields=fields))
    # Lists of a query take three calls, and all contacts one page: counted, and read whole.
    assert requests(world) == {"record_count": 1, "query": 1}
    assert world.ids(report) == ids[:1500]
    assert any("1,500 ids would take 3 calls, all" in one.text for one in world.log(report))
    world.sandbox.counters(reset=True)
    assert world.ids(world.run(by_ids(rows[:700], fields=fields))) == ids[:700]
    assert requests(world) == {"query": 2}
    world.sandbox.counters(reset=True)
    report = world.run(by_ids(rows, fields=fields, road="pages"))
    assert requests(world) == {"query": 3}
    assert any("1,500 ids in 3 calls, as asked for" in one.text for one in world.log(report))


def test_the_calls_are_those_of_the_cost_model(world: World, ids: list[str]) -> None:
    strange: list[Row] = [(f"003zz00000{number:05d}", "lost") for number in range(5_000)]
    report = world.run(by_ids(strange, road="pages"))
    # 5,000 ids by collections, and 9 lists of a query would tell which of them are deleted: too dear.
    assert requests(world) == {"retrieve": 3}
    assert counts(report) == {"rows": 0, "unknown": 5_000}
    world.sandbox.counters(reset=True)
    report = world.run(by_ids([(one, "asked") for one in ids] + strange[:100], road="pages"))
    assert requests(world) == {"retrieve": 1, "query_all": 1}
    assert report.api_calls == 2 + 2


def test_what_collections_refuse_is_asked_by_queries(world: World, ids: list[str]) -> None:
    world.sandbox.faults(
        [
            {
                "match": {"kind": "retrieve"},
                "times": None,
                "fault": {"type": "status", "status": 400, "code": "INVALID_TYPE"},
            }
        ]
    )
    report = world.run(by_ids([(one, "asked") for one in ids[:900]], road="pages"))
    assert world.ids(report) == ids[:900]
    assert requests(world) == {"retrieve": 1, "query": 2}


def test_kept_columns_keep_their_type_and_label_and_can_be_renamed(world: World) -> None:
    contacts = {
        "type": "crm_import",
        "account": "crm",
        "object": "Contact",
        "fields": ["AccountId", "LastName", "Score__c", "Birthdate"],
        "filter": {"field": "Score__c", "is": "at least", "value": "90"},
    }
    population = {"ids": "AccountId", "keep": [{"column": "Id", "as": "person"}, "Score__c", "Birthdate", "LastName"]}
    accounts = {"object": "Account", "fields": ["Name"], "population": population, "rejects": "refused"}
    report = world.run(flow(accounts, before={"contacts": contacts}, more=REFUSED))
    rows = world.rows(report)
    assert len(rows) == report.counts["contacts"]["rows"] - report.counts["read"].get("without id", 0) > 0
    assert len({row["person"] for row in rows}) == len(rows)
    assert all(isinstance(row["Score__c"], Decimal) and row["Score__c"] >= 90 for row in rows)
    event = world.query("select description from crosstie.event where source = 'read' and transition = 'ok'")[-1][0]
    table: dict[str, Any] = json.loads(event)
    described = {one["name"]: (one["type"], one["label"]) for one in table["columns"]}
    assert described["Birthdate"] == ("date", world.site.objects["Contact"].field("Birthdate").label)  # type: ignore[union-attr]
    assert table["key"] == ["person"]
    refused = world.rows(report, "refused")
    assert len(refused) == report.counts["read"].get("without id", 0)
    assert all(isinstance(row["Score__c"], Decimal) for row in refused)


def test_a_record_that_cannot_be_converted_is_refused_with_its_inbound_row(world: World, ids: list[str]) -> None:
    world.sandbox.control("set_stamp", ids=[ids[3]], values={"Birthdate": "2026-02-31"})
    try:
        for road in ("pages", "bulk"):
            text = by_ids([(ids[2], "good"), (ids[3], "bad")], fields=["Birthdate"], road=road)
            report = world.run(text)
            assert [row["note"] for row in world.rows(report)] == ["good"]
            if road == "pages":
                (refused,) = world.rows(report, "refused")
                assert (refused["note"], refused["errorField"]) == ("bad", "Birthdate")
                assert counts(report) == {"rows": 1, "rejected": 1}
            else:
                # It was handed on, and lies in the inbox.
                assert counts(report) == {"rows": 1, "still refused": 1}
        (kept,) = inbox(world)
        assert (kept.remote_id, kept.symbol) == (ids[3], "CONVERSION_FAILED")
    finally:
        world.sandbox.control("set_stamp", ids=[ids[3]], values={"Birthdate": None})


def test_a_refused_record_that_nobody_asked_for_is_nobodys(world: World, ids: list[str]) -> None:
    world.sandbox.control("set_stamp", ids=[ids[3]], values={"Birthdate": "2026-02-31"})
    try:
        report = world.run(by_ids([(ids[2], "good")], fields=["Birthdate"], road="bulk"))
    finally:
        world.sandbox.control("set_stamp", ids=[ids[3]], values={"Birthdate": None})
    assert counts(report) == {"rows": 1}
    assert inbox(world) == []


def test_an_empty_population_asks_for_nothing(world: World) -> None:
    world.sandbox.counters(reset=True)
    report = world.run(by_ids([], columns=("id",), keep=()))
    assert world.rows(report) == world.rows(report, "refused") == []
    assert world.sandbox.counters()["rows_total"] == 0


class Killed(BaseException):
    """The end of the process: nothing of ours may handle it."""


@pytest.mark.parametrize("road", ["pages", "bulk"])
def test_a_killed_import_of_a_population_is_gone_on_with(world: World, ids: list[str], road: str) -> None:
    world.options = {"bulk_page_rows": 300}
    world.sandbox.switches(query_page_rows=200)
    text = by_ids([*((one, f"note {place}") for place, one in enumerate(ids[:1_000])), *ODD], road=road,
                  fields=["Account.Name"])  # fmt: skip

    def stop(loaded: int) -> None:
        world.watcher.on_rows = lambda loaded: None
        raise Killed

    world.watcher.on_rows = stop
    with pytest.raises(Killed):
        world.run(text)
    report = world.run(text)
    assert report.resumed
    assert counts(report) == {"rows": 1_000, "unknown": 1, "malformed ids": 1, "without id": 3}
    assert requests(world).get("bulk_create", 0) == (road == "bulk")
    assert len(inbox(world)) == len(ODD)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        ({"order_by": ["LastName"]}, "come in no order"),
        ({"index": True}, "a population from upstream is read whole; leave out the index"),
        ({"population": {"ids": "ids"}}, "the inbound population has no column ids. Did you mean “id”"),
        ({"population": {"ids": "id", "keep": ["not"]}}, "the inbound population has no column not."),
        ({"population": {"ids": "id", "keep": ["id"]}}, "the imported fields have a column id too"),
        ({"population": {"ids": "id", "keep": ["note", "note"]}}, "two kept columns would be called note"),
        (
            {"population": {"ids": "id", "keep": [{"column": "note", "as": "lastname"}]}},
            "the imported fields have a column lastname too",
        ),
    ],
)
def test_mistakes_in_a_population_are_named(world: World, read: dict[str, object], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        world.run(by_ids([(UNKNOWN, "lost")], read=read))


def test_ids_that_are_no_text_are_refused_beforehand(world: World) -> None:
    contacts = {"type": "crm_import", "account": "crm", "object": "Contact", "fields": ["Score__c"]}
    with pytest.raises(DefinitionError, match=r"Score__c is decimal; remote ids are text"):
        world.run(flow({"population": {"ids": "Score__c"}}, before={"contacts": contacts}))

"""What an import puts out: order, filters, conversions, links, and the same by either road."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from crosstie.errors import DefinitionError, TaskError
from tests.contract.imports.conftest import CONTACTS
from tests.contract.imports.world import World, flow, indexed
from tests.sandboxes import Client


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    opened = Client(world.sandbox)
    yield opened
    opened.close()


def records(client: Client, text: str) -> list[dict[str, Any]]:
    """All records of a query, as the CRM orders them."""
    answer = client.query(text)
    found = list(answer["records"])
    while not answer["done"]:
        answer = client.get(answer["nextRecordsUrl"]).json()
        found.extend(answer["records"])
    return found


@pytest.mark.parametrize("locators_expire", [False, True])
def test_an_ordered_import_numbers_its_rows_as_the_crm_orders_them(
    world: World, client: Client, locators_expire: bool
) -> None:
    world.sandbox.switches(query_page_rows=250)
    if locators_expire:
        world.sandbox.faults([{"match": {"kind": "query_more"}, "after": 3, "fault": {"type": "expire_locators"}}])
    text = flow({"fields": ["Email"], "order_by": [{"Email": "descending"}, "CreatedDate"]})
    report = world.run(text)
    rows = sorted(world.rows(report), key=lambda row: int(row["crosstie_position"]))
    assert len({row["crosstie_position"] for row in rows}) == len(rows)
    world.sandbox.faults([])
    wanted = records(client, "SELECT Id, Email FROM Contact ORDER BY Email DESC NULLS LAST, CreatedDate, Id")
    assert [row["Email"] for row in rows] == [one["Email"] for one in wanted]
    assert {row["Id"] for row in rows} == {one["Id"] for one in wanted}
    assert report.counts["read"] == {"rows": len(wanted)}


def test_a_page_after_its_locator_expired_gives_one_row_per_id(world: World, client: Client) -> None:
    world.sandbox.switches(query_page_rows=250)
    world.sandbox.faults([{"match": {"kind": "query_more"}, "after": 2, "fault": {"type": "expire_locators"}}])
    report = world.run(indexed(road="pages"))
    assert world.sandbox.counters()["requests"]["query_more"] > 3
    assert len(world.ids(report)) == len(set(world.ids(report)))
    end = f"{world.window().end:%Y-%m-%dT%H:%M:%SZ}"
    wanted = records(client, f"SELECT Id FROM Contact WHERE SystemModstamp < {end} OR SystemModstamp = null")
    assert world.ids(report) == sorted(one["Id"] for one in wanted)


@pytest.mark.parametrize("unordered", [False, True])
def test_both_roads_give_the_same_values(world: World, unordered: bool) -> None:
    world.sandbox.switches(bulk_unordered=unordered, query_page_rows=700)
    world.options = {"bulk_page_rows": 300}
    fields: list[object] = [
        *("FirstName", "LastName", "Email", "Birthdate", "Score__c", "Interests__c", "IsEmailBounced", "Description"),
        *("CreatedDate", "LastActivityDate", "MailingLatitude", "MailingStreet", "AccountId", "Account.Name"),
        {"field": "CreatedDate", "conversion": "copy_paste", "as": "created_text"},
    ]
    found = []
    for road in ("pages", "bulk"):
        report = world.run(indexed(fields, road=road))
        found.append(sorted(world.rows(report), key=lambda row: str(row["Id"])))
        assert len(found[-1]) >= CONTACTS
        world.set_option("")
    for rows in found:
        for row in rows:
            row["created_text"] = row["created_text"].replace("+0000", "Z")
    assert found[0] == found[1]


def test_gadgets_of_every_type_are_the_same_by_either_road(world: World) -> None:
    gadget = world.site.objects["Gadget__c"]
    fields = [one.name for one in gadget.fields if one.type not in ("compound", "binary")]
    found = []
    for road in ("pages", "bulk"):
        report = world.run(flow({"object": "Gadget__c", "fields": fields, "road": road}))
        found.append(sorted(world.rows(report), key=lambda row: str(row["Id"])))
    assert found[0] == found[1]
    assert len(found[0]) == CONTACTS // 20


def test_values_of_a_filter_are_javascript(world: World, client: Client) -> None:
    tree = {
        "all": [
            {"field": "Email", "is": "not empty"},
            {
                "any": [
                    {"field": "Birthdate", "is": "after", "value": "new Date(Date.UTC(1980 + 5, 0, 31))"},
                    {"field": "Score__c", "is": "at least", "value": "[20, 30].reduce((a, b) => a + b)"},
                    {"field": "LastName", "is": "one of", "value": ["'Gar' + 'cía'", "'O\\'Brien'"]},
                ]
            },
        ]
    }
    where = "Email != null AND (Birthdate > 1985-01-31 OR Score__c >= 50 OR LastName IN ('García', 'O\\'Brien'))"
    wanted = sorted(one["Id"] for one in records(client, f"SELECT Id FROM Contact WHERE {where}"))
    assert 0 < len(wanted) < CONTACTS
    assert world.ids(world.run(flow({"filter": tree}))) == wanted


def test_a_filter_with_the_time_means_the_beginning_of_the_run(world: World) -> None:
    (recent,) = world.sandbox.insert("Contact", [{"LastName": "Recent"}])
    world.advance(minutes=10)
    value = "new Date(Date.now() - 15 * 60 * 1000)"
    text = flow({"filter": {"field": "CreatedDate", "is": "after", "value": value}})
    assert recent in world.ids(world.run(text))
    world.advance(minutes=10)
    assert recent not in world.ids(world.run(text))


def test_the_four_conversions(world: World) -> None:
    fields: list[object] = [
        {"field": "EmailBouncedDate", "as": "instant"},
        {"field": "EmailBouncedDate", "conversion": "date_only", "as": "day"},
        {"field": "EmailBouncedDate", "conversion": "without_time_offset", "as": "wall"},
        {"field": "EmailBouncedDate", "conversion": "copy_paste", "as": "wire"},
        {"field": "Score__c", "as": "score"},
        {"field": "Score__c", "conversion": "copy_paste", "as": "score_text"},
        {"field": "Interests__c", "as": "interests"},
        {"field": "Birthdate", "as": "born"},
        "Account.Name",
    ]
    (account,) = world.sandbox.insert("Account", [{"Name": "Société Générale des Traverses"}])
    (one,) = world.sandbox.insert(
        "Contact", [{"LastName": "Converted", "AccountId": account, "Score__c": 12.5, "Birthdate": "1980-02-29"}]
    )
    world.sandbox.control(
        "set_stamp",
        ids=[one],
        values={"EmailBouncedDate": "2026-01-01T23:30:00.000+0000", "Interests__c": "Wine;Art;Music;Art"},
    )
    world.advance(minutes=5)
    for road in ("pages", "bulk"):
        filtered = {"field": "LastName", "is": "equal to", "value": "'Converted'"}
        report = world.run(flow({"fields": fields, "filter": filtered, "road": road}, zone="Europe/Paris"))
        row = next(row for row in world.rows(report) if row["Id"] == one)
        assert row["instant"] == datetime(2026, 1, 1, 23, 30, tzinfo=UTC)
        assert row["day"] == date(2026, 1, 2)
        assert row["wall"] == datetime(2026, 1, 1, 23, 30)  # noqa: DTZ001 - a wall clock has no zone
        assert row["wire"].startswith("2026-01-01T23:30:00.000")
        assert (row["score"], Decimal(row["score_text"])) == (Decimal("12.5"), Decimal("12.5"))
        assert row["interests"] == "Art;Music;Wine"
        assert row["born"] == date(1980, 2, 29)
        assert row["Account_Name"] == "Société Générale des Traverses"


@pytest.mark.parametrize(
    ("read", "message"),
    [
        ({"fields": ["LastName", "LastName"]}, "two fields would become column LastName"),
        ({"fields": [{"field": "LastName", "as": "errorMessage"}]}, "the import itself has a column errorMessage"),
        (
            {"fields": [{"field": "LastName", "as": "crosstie_position"}], "order_by": ["LastName"]},
            "the import itself has a column crosstie_position",
        ),
    ],
)
def test_columns_that_collide_are_named(world: World, read: dict[str, object], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        world.run(flow(read))


def test_a_large_import_reports_progress_and_its_cost(world: World) -> None:
    seen: list[int] = []
    world.watcher.on_rows = seen.append
    world.sandbox.switches(query_page_rows=500)
    report = world.run(flow({"road": "pages"}))
    assert seen == sorted(seen)
    assert seen[-1] == report.counts["read"]["rows"] == report.remote_rows
    assert report.api_calls == len(seen) + 2


def test_a_failure_of_the_whole_call_stops_the_run_and_moves_nothing(world: World) -> None:
    world.sandbox.faults(
        [{"match": {"kind": "query"}, "times": None, "fault": {"type": "status", "status": 503, "retry_after": 3600}}]
    )
    with pytest.raises(TaskError):
        world.run(indexed())
    assert world.option() is None
    world.sandbox.faults([])
    report = world.run(indexed())
    assert report.resumed
    assert report.counts["read"]["rows"] >= CONTACTS
    assert world.window().end <= world.clock.now() - timedelta(minutes=1)

"""Reading what moves, in both versions; the names, zones and limits that only this CRM has."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crosstie.activities.crm_import import CrmImport
from crosstie.crm.connector import Comparison, Connector, Group, Operator, Order, Partition, RemoteQuery
from crosstie.errors import MappingError, RequestError
from crosstie.model import FieldType, IndexRange, RemoteObject
from tests.contract.every_connector.worlds import World, read
from tests.contract.imports.world import ACCOUNT, DescribedSite

V1: Mapping[str, Any] = {"version": "v1.0"}
RECORDS = 250


def small(world: World, changed: Mapping[str, Any]) -> tuple[Connector, RemoteObject]:
    """A connector with these settings whose pages are small, and the contacts."""
    connector = world.open(changed={**changed, "page_rows": 50})
    return connector, connector.describe("Contact")


@pytest.mark.parametrize("changed", [{}, V1], ids=["v2", "v1"])
def test_nothing_is_lost_while_records_change_and_go_between_pages(world: World, changed: Mapping[str, Any]) -> None:
    connector, contact = small(world, changed)
    query = RemoteQuery(object=contact, fields=(contact.key,))
    before = {str(row[0]) for row in read(connector, query)}
    gone: list[str] = []

    def disturb(partition: Partition) -> None:
        world.sandbox.change_contacts(40)
        if len(gone) < 2:
            gone.append(sorted(before - {*gone})[0])
            world.delete(gone[-1:])

    found = [str(row[0]) for row in read(connector, query, between=disturb)]
    assert before - {*gone} <= set(found) <= before
    assert connector.usage.reopened or len(found) == len(set(found))
    world.sandbox.control("restore", object="Contact", ids=gone)


def test_an_ordered_read_begins_anew_when_records_have_moved(world: World) -> None:
    connector, contact = small(world, {})
    query = RemoteQuery(object=contact, fields=("Id", "ContactLastName"), order=(Order(field="Id"),))
    before = {str(row[0]) for row in read(connector, query)}
    gone: list[str] = []

    def disturb(partition: Partition) -> None:
        if not gone:
            gone.append(min(before))
            world.delete(gone)

    found = read(connector, query, between=disturb)
    assert {str(row[0]) for row in found} >= before - {*gone}
    assert connector.usage.reopened == 1
    world.sandbox.control("restore", object="Contact", ids=gone)


def test_v1_sorts_or_filters_and_sorts_here_when_asked(world: World) -> None:
    connector, contact = small(world, V1)
    fields = ("ContactId", "DateofBirth")
    order = (Order(field="DateofBirth", descending=True),)
    some = Comparison(field="ContactLastName", operator=Operator.NOT_EMPTY)
    query = RemoteQuery(object=contact, fields=fields, order=order, condition=some)
    with pytest.raises(RequestError, match="sort or filter Contact, never both") as caught:
        connector.open(query, lambda token: None)
    assert "--sort-here" in caught.value.hint
    site = DescribedSite({"Contact": contact})
    filled = {"field": "DateofBirth", "is": "not empty"}
    for more, refused in (({"index": True}, True), ({"filter": filled}, True), ({}, False)):
        written = {"type": "crm_import", "account": ACCOUNT, "object": "Contact", "fields": ["ContactLastName"]}
        activity = CrmImport.model_validate({**written, "order_by": ["DateofBirth"], **more})
        assert any("sorted or filtered" in one.message for one in activity.problems((), site)) is refused
    connector, contact = small(world, {**V1, "sort_here": True})
    query = RemoteQuery(object=contact, fields=fields, order=order, condition=some)
    days = [str(row[1] or "") for row in read(connector, query)]
    assert len(days) == RECORDS
    assert days == sorted(days, reverse=True)
    assert "" in days


def test_v1_reads_the_same_records_by_names_of_its_own(world: World) -> None:
    second, contact = small(world, {})
    first, old = small(world, V1)
    assert old.key == "ContactId"
    assert old.index_fields == ("LastUpdated", "ModifiedDate")
    assert contact.index_fields == ("ModifiedDate",)
    names = ("ContactLastName", "mspInterests", "nScore", "NeverEmail", "DateofBirth")
    new = {row[0]: row for row in read(second, RemoteQuery(object=contact, fields=("Id", *names, "ModifiedDate")))}
    for row in read(first, RemoteQuery(object=old, fields=("ContactId", *names, "ModifiedDate"))):
        assert row[:-1] == new[row[0]][:-1]
        assert datetime.fromisoformat(str(row[-1])) == datetime.fromisoformat(str(new[row[0]][-1]))
    email = Comparison(field="ContactEmail", operator=Operator.NOT_EMPTY)
    starts = Comparison(field="ContactLastName", operator=Operator.STARTS_WITH, value="m")
    anyone = Group(all=False, items=(email, starts))
    with pytest.raises(RequestError, match="can't join conditions on several fields"):
        first.count(RemoteQuery(object=old, fields=("ContactId",), condition=anyone))
    both = Group(all=True, items=(email, starts))
    wanted = second.count(RemoteQuery(object=contact, fields=("Id",), condition=both))
    assert first.count(RemoteQuery(object=old, fields=("ContactId",), condition=both)) == wanted > 0


@pytest.mark.parametrize("changed", [V1, {"dates": "zone"}], ids=["v1", "v2 with a false Z"])
def test_no_window_misses_a_record_of_the_repeated_hour(world: World, changed: Mapping[str, Any]) -> None:
    """In New York clocks went from 2:00 back to 1:00 on 2026-11-01 at 6:00 UTC."""
    world.sandbox.switches(v2_dates_in_utc=False)
    connector, contact = small(world, changed)
    key, stamp = contact.key, "ModifiedDate"
    ids = sorted(str(row[0]) for row in read(connector, RemoteQuery(object=contact, fields=(key,))))[:17]
    begin = datetime(2026, 11, 1, 4, tzinfo=UTC)
    moments = {one: begin + timedelta(minutes=15 * nth) for nth, one in enumerate(ids)}
    for one, moment in moments.items():
        world.set_stamp([one], f"{moment:%Y-%m-%dT%H:%M:%SZ}")
    for nth in range(8):
        window = IndexRange(
            field=stamp, start=begin + timedelta(minutes=30 * nth), end=begin + timedelta(minutes=30 * nth + 30)
        )
        found = read(connector, RemoteQuery(object=contact, fields=(key, stamp), window=window))
        inside = {one for one, moment in moments.items() if window.start <= moment < window.end}  # type: ignore[operator]
        assert {row[0] for row in found} >= inside
        for row in found:
            read_as = datetime.fromisoformat(str(row[1]))
            true = moments[str(row[0])]
            assert read_as in {true, true - timedelta(hours=1)}
    world.set_stamp(ids, "2024-05-05T05:05:05Z")


def test_a_false_z_is_no_instant(world: World) -> None:
    world.sandbox.switches(v2_dates_in_utc=False)
    connector, contact = small(world, {"dates": "zone"})
    one = str(read(connector, RemoteQuery(object=contact, fields=("Id",)))[0][0])
    world.set_stamp([one], "2025-07-01T12:00:00Z")
    ((_, text),) = read(connector, RemoteQuery(object=contact, fields=("Id", "ModifiedDate"), ids=[one]))
    assert text == "2025-07-01T08:00:00-04:00"


def download(world: World, folder: Path, *paths: str) -> None:
    """WSDLs as an administrator downloads them."""
    trust = ssl.create_default_context(cafile=world.sandbox.ca_file)
    for path in paths:
        with urllib.request.urlopen(f"{world.sandbox.told['url']}/wsdl/{path}", context=trust) as answer:
            (folder / path.replace("/", "_")).write_bytes(answer.read())


def test_fields_come_from_the_wsdls_of_a_folder(world: World, tmp_path: Path) -> None:
    download(world, tmp_path, "v2/custom/Contact.wsdl", "v1/generic/Contact.wsdl", "v2/custom/CustomObject4.wsdl")
    connector, contact = small(world, {"wsdl_folder": str(tmp_path)})
    names = [field.name for field in contact.fields]
    assert names[:2] == ["ModifiedDate", "CreatedDate"]
    score = contact.field("nScore")
    assert score is not None
    assert (score.label, score.type, score.custom) == ("Score", FieldType.DECIMAL, True)
    assert len(read(connector, RemoteQuery(object=contact, fields=("Id", "nScore", "mspInterests")))) == RECORDS
    assert any(one.name == "CustomObject4" for one in connector.objects())
    first, old = small(world, {**V1, "wsdl_folder": str(tmp_path)})
    tier = old.field("CustomPickList9")
    assert tier is not None
    assert {value.name: value.label for value in tier.values} == {"A": "Gold", "B": "Silver", "C": "Bronze"}
    assert len(read(first, RemoteQuery(object=old, fields=("ContactId", "CustomPickList9")))) == RECORDS


def test_without_the_services_for_administrators_custom_fields_have_their_generic_names(world: World) -> None:
    connector, contact = small(world, {"admin_services": False})
    tier = contact.field("CustomPickList9")
    assert tier is not None
    assert [value.label for value in tier.values] == ["Gold", "Silver", "Bronze"]
    assert "field_management_read" not in world.sandbox.counters()["requests"]
    assert len(read(connector, RemoteQuery(object=contact, fields=("Id", "CustomPickList9")))) == RECORDS


def test_custom_objects_are_read_where_the_version_serves_them(world: World) -> None:
    connector, _ = small(world, {})
    for name in ("CustomObject1", "CustomObject4"):
        remote = connector.describe(name)
        assert remote.custom
        assert read(connector, RemoteQuery(object=remote, fields=(remote.key, "Name")))
    with pytest.raises(MappingError, match=r"served by web services v2\.0 only"):
        world.open(changed=V1).describe("CustomObject4")


def test_deletions_need_the_users_zone_and_are_kept_thirty_days(world: World) -> None:
    connector, contact = small(world, {"time_zone": ""})
    with pytest.raises(RequestError, match="does not name") as caught:
        connector.deletion_reach(contact)
    assert "--time-zone" in caught.value.hint
    connector, contact = small(world, {})
    now = connector.server_time()
    world.sandbox.counters(reset=True)
    with pytest.raises(RequestError, match="no longer has all deletions"):
        connector.deleted(contact, now - timedelta(days=31), now)
    assert world.sandbox.counters()["requests_total"] == 0
    with pytest.raises(RequestError, match="does not tell which User"):
        connector.deletion_reach(connector.describe("User"))


def test_a_full_last_page_costs_no_further_call(world: World) -> None:
    connector, contact = small(world, {})
    world.sandbox.counters(reset=True)
    assert len(read(connector, RemoteQuery(object=contact, fields=("Id",)))) == RECORDS
    assert world.sandbox.counters()["requests"]["query"] == RECORDS // 50


def test_what_was_described_before_is_asked_for_by_one_call_until_it_changes(world: World) -> None:
    connector, contact = small(world, {})
    world.sandbox.counters(reset=True)
    assert connector.describe("Contact", known=contact) is contact
    assert world.sandbox.counters()["requests_total"] == 1
    world.sandbox.hide("Contact.JobTitle")
    changed = connector.describe("Contact", known=contact)
    assert changed.field("JobTitle") is None
    assert changed.fingerprint != contact.fingerprint

"""Imports that only Dynamics has: deletions by change tracking, whose tokens move with the index and run out."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest

from crosstie.crm.dynamics.ids import complete_id
from crosstie.errors import DefinitionError, TaskError
from crosstie.workflow.runner import RunReport
from tests.contract.every_connector.test_importing import Imports, KindSite
from tests.contract.every_connector.worlds import World
from tests.contract.imports.world import ACCOUNT, flow

OPTION = "LASTDELETED_gone_read"


def imported(running: Imports, name: str = "contact", **more: object) -> RunReport:
    """A run of the import of deletions."""
    read = {"type": "crm_import_deleted", "account": ACCOUNT, "object": name, "by": "tracking", "index": True, **more}
    return running.run(json.dumps({"workflow": "gone", "activities": {"read": read}}))


def told(running: Imports) -> set[str]:
    """The remote ids that a run put out."""
    return {row["contactid"] for row in running.rows(imported(running))}


def test_what_was_deleted_is_told_once_and_costs_a_call(running: Imports, world: World) -> None:
    ids = world.insert([f"Gone {number}" for number in range(4)])
    assert told(running) == set()
    world.delete(ids[:3])
    running.advance(minutes=2)
    world.sandbox.counters(reset=True)
    rows = running.rows(imported(running))
    assert {row["contactid"] for row in rows} == set(ids[:3])
    assert all(row["deletedAt"] is None for row in rows)
    counted = {kind: calls for kind, calls in world.sandbox.counters()["requests"].items() if calls}
    assert counted.pop("changes") == 1
    assert told(running) == set()
    world.delete(ids[3:])
    assert told(running) == {ids[3]}


def test_a_run_that_failed_tells_the_same_again(running: Imports, world: World) -> None:
    ids = world.insert(["Gone again"])
    assert told(running) == set()
    world.delete(ids)
    world.sandbox.faults([world.fault("query", {"type": "status", "status": 400})])
    with pytest.raises(TaskError):
        imported(running)
    world.sandbox.faults([])
    assert told(running) == set(ids)


def test_an_option_that_was_set_by_hand_is_no_token(running: Imports) -> None:
    told(running)
    running.set_option("2020/01/01 00:00:00", OPTION)
    with pytest.raises(TaskError, match="has none of then") as caught:
        imported(running)
    assert "crosstie option set" in caught.value.hint
    running.set_option("", OPTION)
    assert told(running) == set()


def test_a_token_that_has_run_out_says_how_to_go_on(running: Imports) -> None:
    told(running)
    before = running.option(OPTION)
    running.advance(days=40)
    with pytest.raises(TaskError, match="no longer has the changes") as caught:
        imported(running)
    assert "by: compare" in caught.value.hint
    assert running.option(OPTION) == before


def test_a_table_that_is_not_tracked_is_refused_by_validation(running: Imports) -> None:
    with pytest.raises(DefinitionError, match="tracks no changes of new_journal"):
        imported(running, "new_journal")
    with pytest.raises(DefinitionError, match="write “index: true”"):
        imported(running, index=False)


def test_an_import_by_bulk_is_refused_by_validation(running: Imports) -> None:
    read = {"object": "contact", "fields": ["lastname"], "road": "bulk"}
    with pytest.raises(DefinitionError, match="Microsoft Dynamics 365 has no bulk interface"):
        running.run(flow(read))


def test_a_table_without_a_stamp_is_refused_for_an_index_by_name(running: Imports) -> None:
    read = {"object": "new_journal", "fields": ["new_name"], "index": True}
    with pytest.raises(DefinitionError, match="new_journal has no field that tells when a record changed"):
        running.run(flow(read))


def test_fields_of_every_kind_become_what_they_are(running: Imports, world: World) -> None:
    connector = world.open()
    objects = {name: connector.describe(name) for name in ("new_everything", "account", "contact")}
    running.site = KindSite(objects, world.kind)
    fields = [
        {"field": "new_accountid.name", "as": "firm"},
        {"field": "contact:new_aboutid.new_interests", "as": "interests"},
        {"field": "contact:new_aboutid.parentcustomerid", "as": "firm_of"},
        "new_aboutid",
        "new_aboutidtype",
        "new_opens",
        {"field": "new_opens", "conversion": "date_only", "as": "opens_on"},
        "new_seen",
        "new_built",
        "new_price",
        "new_tags",
        "new_season",
    ]
    read = {"object": "new_everything", "fields": fields}
    rows = running.rows(running.run(flow(read, zone="Pacific/Auckland")))
    firms = {row["firm"] for row in rows} - {None}
    assert firms and all(isinstance(one, str) for one in firms)
    assert {row["new_aboutidtype"] for row in rows} - {None} <= {"account", "contact", "new_everything"}
    assert any(";" in row["interests"] for row in rows if row["interests"])
    assert any(complete_id(row["firm_of"]) for row in rows if row["firm_of"])
    opened = [row for row in rows if row["new_opens"] is not None]
    assert opened and all(row["new_opens"].tzinfo is None for row in opened)
    assert all(row["opens_on"] == row["new_opens"].date() for row in opened)
    assert all(row["new_seen"].utcoffset() == timedelta(0) for row in rows if row["new_seen"] is not None)
    assert {type(row["new_built"]) for row in rows} <= {date, type(None)}
    assert any(isinstance(row["new_price"], Decimal) for row in rows)
    assert any(";" in row["new_tags"] for row in rows if row["new_tags"])
    assert all(row["new_season"].isdigit() for row in rows if row["new_season"])


def test_labels_come_beside_their_values_where_they_are_asked_for(running: Imports, world: World) -> None:
    connector = world.open()
    running.site = KindSite({name: connector.describe(name) for name in ("contact", "account")}, world.kind)
    (firm,) = world.sandbox.insert("account", [{"name": "Labels Ltd", "industrycode": 1}])
    lead = {"parentcustomerid_account@odata.bind": f"/accounts({firm})", "preferredcontactmethodcode": 2}
    ids = world.sandbox.insert("contact", [{"lastname": "Labelled", "new_interests": "100000001,100000003", **lead}])
    fields: list[object] = [
        "statuscode",
        "statuscode@label",
        "new_interests@label",
        "donotemail@label",
        "birthdate@label",
        {"field": "parentcustomerid@label", "as": "firm"},
        "account:parentcustomerid.industrycode@label",
    ]
    where = {"all": [{"field": "lastname", "is": "equal to", "value": "'Labelled'"}]}
    (row,) = running.rows(running.run(flow({"object": "contact", "fields": fields, "filter": where})))
    assert row == {
        "contactid": ids[0],
        "statuscode": "1",
        "statuscode_label": "Active",
        "new_interests_label": "; ".join(_labels(running, "contact", "new_interests", "100000001", "100000003")),
        "donotemail_label": "Allow",
        "birthdate_label": None,
        "firm": "Labels Ltd",
        "account_parentcustomerid_industrycode_label": _labels(running, "account", "industrycode", "1")[0],
    }
    with pytest.raises(DefinitionError, match="lastname is shown as it is"):
        running.run(flow({"object": "contact", "fields": ["lastname@label"]}))
    running.site = KindSite(running.site.objects, "salesforce")
    with pytest.raises(DefinitionError, match="tells no labels"):
        running.run(flow({"object": "contact", "fields": ["statuscode@label"]}))
    world.delete(ids)


def _labels(running: Imports, table: str, field: str, *values: str) -> list[str]:
    known = running.site.objects[table].field(field)
    assert known is not None
    return [one.label for value in values for one in known.values if one.name == value]


def test_what_holds_no_value_of_its_own_is_refused_by_name(running: Imports, world: World) -> None:
    everything = world.open().describe("new_everything")
    running.site = KindSite({"new_everything": everything}, world.kind)
    for name, message in (
        ("new_guests", r"new_guests \(PartyList\) stands for several records"),
        (next(one.name for one in everything.fields if one.wire_type == "Image"), "holds binary content"),
    ):
        with pytest.raises(DefinitionError, match=message):
            running.run(flow({"object": "new_everything", "fields": [name]}))

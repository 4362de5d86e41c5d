"""What values become on the way: any script, quotes and line breaks, numbers, dates, sets, nothing and empty."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.crm.writing import Operation, RemoteWrite, WriteRoad
from tests.contract.salesforce_writing.test_roads import ROADS, soql
from tests.contract.writing.shipping import Row, find, send
from tests.sandboxes import Client, Sandbox
from tests.scale import examples

TEXT = "Zoë „Ω“ 李\n\"quoted\", 'single'\r\n\\ tab\t; #N/A <b> 🚲 end"
EVERYTHING: Row = {
    "Name": 'Ünïcode, "quoted"',
    "Required__c": "yes",
    "Story__c": TEXT,
    "Hotline__c": "+33 1 23",
    "Contact_Email__c": "Zoe@Example.COM",
    "Channel__c": "Télévision",
    "Tags__c": "ärgerlich;red;green",
    "Active__c": "true",
    "Count__c": "-12",
    "Weight__c": "1234567890.123456",
    "Share__c": "+50",
    "Price__c": ".5",
    "Built__c": "2024-02-29",
    "Seen__c": "2026-01-01T23:30:00.000Z",
    "Opens__c": "09:05:00.000Z",
    "Place__Latitude__s": "48.858370000000001",
    "Site__City__s": "Ürümqi",
}
READ_BACK = {
    **EVERYTHING,
    "Tags__c": "red;green;ärgerlich",
    "Active__c": True,
    "Count__c": -12,
    "Weight__c": 1234567890.123456,
    "Share__c": 50.0,
    "Price__c": 0.5,
    "Seen__c": "2026-01-01T23:30:00.000+0000",
    "Place__Latitude__s": 48.85837,
}
FIELDS = tuple(EVERYTHING)


@pytest.mark.parametrize("road", ROADS)
def test_a_value_of_every_type_is_written_left_alone_and_cleared(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client, road: WriteRoad
) -> None:
    lowered = bool(sandbox.switches()["email_lowered"])
    expected = {**READ_BACK, "Contact_Email__c": "zoe@example.com"} if lowered else READ_BACK
    gadget = connector.describe("Gadget__c")
    write = RemoteWrite(object=gadget, operation=Operation.INSERT, fields=FIELDS, road=road)
    made = send(connector, write, [EVERYTHING]).rows[0]
    assert made.effect == "created", made
    update = replace(write, operation=Operation.UPDATE)
    assert soql(client, ", ".join(FIELDS), "Gadget__c", f"Id = '{made.remote_id}'") == [expected]
    found = find(connector, update, [{**EVERYTHING, "remote_id": made.remote_id}], "", sandbox.now())
    assert found.rows[0].outcome == ("accepted" if road is WriteRoad.CALLS else "retry")

    alone: Row = {"remote_id": made.remote_id, "Name": "Alone"}
    assert send(connector, update, [alone]).rows[0].effect == "updated"
    (left,) = soql(client, ", ".join(FIELDS), "Gadget__c", f"Id = '{made.remote_id}'")
    assert left == {**expected, "Name": "Alone"}

    kept = {"Required__c", "Active__c", "Name"}
    cleared: Row = {name: "" for name in FIELDS if name not in kept}
    assert send(connector, update, [{"remote_id": made.remote_id, **cleared}]).rows[0].effect == "updated"
    (empty,) = soql(client, ", ".join(FIELDS), "Gadget__c", f"Id = '{made.remote_id}'")
    assert empty == {**dict.fromkeys(FIELDS), "Required__c": "yes", "Active__c": True, "Name": "Alone"}
    refused = send(connector, update, [{"remote_id": made.remote_id, "Active__c": ""}]).rows[0]
    assert (refused.symbol, refused.fields) == ("INVALID_TYPE_ON_FIELD_IN_RECORD", "Active__c")


def test_what_a_bulk_job_cannot_carry_is_refused_by_name_and_goes_by_collections(
    connector: SalesforceConnector, client: Client
) -> None:
    write = RemoteWrite(
        object=connector.describe("Gadget__c"),
        operation=Operation.INSERT,
        fields=("Name", "Required__c", "Story__c"),
        road=WriteRoad.BULK,
    )
    rows: list[Row] = [
        {"Name": "#N/A", "Required__c": "1"},
        {"Name": "Long", "Required__c": "1", "Story__c": "é" * 32_001},
        {"Name": "Zero\0", "Required__c": "1"},
        {"Name": " blanks ", "Required__c": "1"},
    ]
    found = send(connector, write, rows)
    assert [found.rows[row].symbol for row in range(4)] == ["NOT_IN_BULK", "NOT_IN_BULK", "INVALID_CHARACTER", None]
    found = send(connector, replace(write, road=WriteRoad.CALLS), rows[:2])
    for row in range(2):
        place = f"Id = '{found.rows[row].remote_id}'"
        read = soql(client, "Name, Story__c", "Gadget__c", place)
        assert read == [{"Name": rows[row]["Name"], "Story__c": rows[row].get("Story__c")}]


PLAIN = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t\"',;"), min_size=1, max_size=20)
LAST = PLAIN.map(lambda text: f"x{text}x")
NUMBERS = st.decimals(min_value=-(10**7), max_value=10**7, places=3).map(str)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "LastName": PLAIN.map(lambda text: f"x{text}x"),
            "Department": st.none() | PLAIN,
            "Score__c": st.none() | NUMBERS,
        }
    ),
    min_size=1,
    max_size=12,
)


def form(field: str, value: object) -> object:
    """A value sent or read, in one form."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return float(Decimal(str(value))) if field == "Score__c" else str(value).strip()


@settings(max_examples=examples(6, 200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, road=st.sampled_from(ROADS))
def test_any_rows_are_read_back_as_they_were_sent(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client, rows: list[dict[str, Any]], road: WriteRoad
) -> None:
    contact = connector.describe("Contact")
    names = ("LastName", "Department", "Score__c")
    write = RemoteWrite(object=contact, operation=Operation.INSERT, fields=names, road=road)
    found = send(connector, write, rows)
    sent = {}
    for row, one in found.rows.items():
        assert one.outcome == "accepted", one
        sent[str(one.remote_id)] = tuple(form(name, rows[row][name]) for name in names)
    listed = ",".join(f"'{one}'" for one in sent)
    read = soql(client, f"Id, {', '.join(names)}", "Contact", f"Id IN ({listed})")
    assert {one["Id"]: tuple(form(name, one[name]) for name in names) for one in read} == sent
    sandbox.advance(timedelta(minutes=5))
    update = replace(write, operation=Operation.UPDATE, road=WriteRoad.CALLS)
    ids: list[Row] = [{**row, "remote_id": found.rows[number].remote_id} for number, row in enumerate(rows)]
    assert find(connector, update, ids, "", sandbox.now()).outcomes() == {"accepted"}

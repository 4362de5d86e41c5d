"""What is refused before it is sent, how the rest looks on the wire, and what the words of a fault say of a group."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from crosstie.crm.oracle_on_demand.faults import Fault, FaultKind
from crosstie.crm.oracle_on_demand.groups import Group, halves, named_fields, suspect
from crosstie.crm.oracle_on_demand.names import Service
from crosstie.crm.oracle_on_demand.packing import packing
from crosstie.crm.oracle_on_demand.rendering import Rendering
from crosstie.crm.oracle_on_demand.settings import Version
from crosstie.crm.oracle_on_demand.shipment import Shipment
from crosstie.crm.oracle_on_demand.times import WireTimes
from crosstie.crm.writing import Certainty, Operation, RemoteWrite, WriteRoad, outgoing
from crosstie.errors import RequestError
from crosstie.model import EnumerationValue, FieldType, RemoteField, RemoteObject

V2 = Rendering(v2=True, times=WireTimes(zone=None, is_text=False))
V1 = Rendering(v2=False, times=WireTimes(zone=ZoneInfo("Europe/Paris"), is_text=True))


def field(name: str, kind: FieldType, **more: Any) -> RemoteField:
    return RemoteField(
        name=name,
        label=f"The {name}",
        type=kind,
        wire_type=kind.value,
        **{"createable": True, "updateable": True} | more,
    )


TIERS = tuple(EnumerationValue(name=one, label=f"Tier {one}") for one in "AB")
CONTACT = RemoteObject(
    name="Contact",
    label="Contact",
    label_plural="Contacts",
    key="Id",
    fields=(
        field("ModId", FieldType.INTEGER, createable=False, updateable=False),
        field("Id", FieldType.ID, createable=False, updateable=False),
        field("LastName", FieldType.TEXT, length=10, nullable=False),
        field("AccountId", FieldType.REFERENCE, reference_to=("Account",), relationship="AccountId"),
        field("AccountExternalSystemId", FieldType.TEXT, length=64),
        field("Born", FieldType.DATE),
        field("Called", FieldType.DATETIME),
        field("Never", FieldType.BOOLEAN),
        field("Score", FieldType.DECIMAL, precision=18, scale=2),
        field("Tier", FieldType.ENUMERATION, values=TIERS, restricted=True),
        field("Likes", FieldType.SET, values=TIERS, restricted=True),
        field("ExternalSystemId", FieldType.TEXT, length=64, external_id=True, case_sensitive=True),
    ),
)
FIELDS = ("LastName", "AccountId.ExternalSystemId", "Born", "Called", "Never", "Score", "Tier", "Likes")
WRITE = RemoteWrite(object=CONTACT, operation=Operation.UPDATE, fields=FIELDS)
FULL = ("Zoë <&", "E-1", "2024-02-29", "2026-07-01T22:30:00.250Z", "true", "+1.50", "B", "B;A")


def shipment(write: RemoteWrite, *rows: tuple[str | None, ...], rendering: Rendering = V2, **given: Any) -> Shipment:
    """Rows of the fields' texts; `ids`, `keys` and `versions` beside them."""
    count = len(rows)
    columns: list[list[str | None]] = [given.get(name, [None] * count) for name in ("ids", "keys")]
    columns += [list(one) for one in zip(*rows, strict=True)]
    if write.conditional:
        columns.append(given["versions"])
    arrays = [pa.array(range(count), pa.int64()), *(pa.array(one, pa.string()) for one in columns)]
    return Shipment(write, [pa.RecordBatch.from_arrays(arrays, schema=outgoing(write))], rendering)


@pytest.mark.parametrize(
    ("rendering", "record"),
    [
        (
            V2,
            "<Id>A-1</Id><LastName>Zoë &lt;&amp;</LastName><AccountExternalSystemId>E-1</AccountExternalSystemId>"
            "<Born>2024-02-29</Born><Called>2026-07-01T22:30:00Z</Called><Never>true</Never><Score>1.50</Score>"
            "<Tier>B</Tier><Likes>B;A</Likes>",
        ),
        (
            V1,
            "<Id>A-1</Id><LastName>Zoë &lt;&amp;</LastName><AccountExternalSystemId>E-1</AccountExternalSystemId>"
            "<Born>02/29/2024</Born><Called>07/02/2026 00:30:00</Called><Never>Y</Never><Score>1.50</Score>"
            "<Tier>B</Tier><Likes>B;A</Likes>",
        ),
    ],
)
def test_a_record_has_its_elements_in_their_order_and_its_values_in_the_form_of_the_version(
    rendering: Rendering, record: str
) -> None:
    turned = replace(WRITE, fields=FIELDS[::-1])
    made = shipment(turned, FULL[::-1], ids=["A-1"], rendering=rendering)
    assert made.refused == {}
    assert made.elements(0, {"Id": "A-1"}) == record


def test_a_field_is_left_alone_by_null_and_cleared_by_nothing_and_a_parent_by_its_id() -> None:
    write = replace(WRITE, fields=FIELDS[:3])
    made = shipment(write, (None, "", ""), ids=["A-1"])
    assert made.elements(0, {}) == "<AccountId/><Born/>"
    new = shipment(replace(write, operation=Operation.INSERT), ("New", "", None), ids=["token"])
    assert new.elements(0, {"ExternalSystemId": "token"}, made=True) == (
        "<LastName>New</LastName><ExternalSystemId>token</ExternalSystemId>"
    )


@pytest.mark.parametrize(
    ("place", "text", "symbol"),
    [
        (0, "x" * 11, "TOO_LONG"),
        (0, "", "REQUIRED"),
        (0, "a\x01b", "INVALID_CHARACTER"),
        (2, "2024-02-30", "INVALID_VALUE"),
        (3, "2024-02-29", "INVALID_VALUE"),
        (4, "perhaps", "INVALID_VALUE"),
        (5, "1,5", "INVALID_VALUE"),
    ],
)
def test_what_can_be_known_is_refused_before_it_takes_its_group_with_it(place: int, text: str, symbol: str) -> None:
    spoilt = [*FULL]
    spoilt[place] = text
    made = shipment(WRITE, FULL, tuple(spoilt), FULL, ids=["A-1", "A-2", "rubbish"])
    assert made.open == [0]
    assert (made.refused[1].symbol, made.refused[1].fields) == (symbol, FIELDS[place])
    assert made.refused[2].symbol == "MALFORMED_ID"


def test_a_new_record_needs_its_required_fields_and_a_known_one_does_not() -> None:
    insert = replace(WRITE, operation=Operation.INSERT, fields=("Score",))
    assert [one.symbol for one in shipment(insert, ("1",), ids=["t"]).refused.values()] == ["REQUIRED"]
    upsert = replace(insert, operation=Operation.UPSERT, key="ExternalSystemId")
    known = shipment(upsert, ("1",), ("2",), ("3",), keys=["a", "b", None])
    assert known.open == [0, 1]
    known.refuse_lacking_when_made([1])
    assert known.open == [0]


def test_a_group_is_written_in_the_namespaces_of_its_version() -> None:
    group = Group(method="Execute", places=(0, 1), records=("<Id>A-1</Id>", ""), operations=("update", "insert"))
    told = group.message(Service(name="Contact", version=Version.V2))
    assert told.action == "document/urn:crmondemand/ws/ecbs/contact/:ContactExecute"
    assert told.body == (
        '<ContactExecute_Input xmlns="urn:crmondemand/ws/ecbs/contact/"><ListOfContact'
        ' xmlns="urn:/crmondemand/xml/Contact/Data"><Contact operation="update"><Id>A-1</Id></Contact>'
        '<Contact operation="insert"></Contact></ListOfContact><LOVLanguageMode>LIC</LOVLanguageMode>'
        "</ContactExecute_Input>"
    )
    old = Group(method="InsertOrUpdate", places=(0,), records=("<ContactId>A-1</ContactId>",))
    assert old.message(Service(name="Contact", version=Version.V1)).body == (
        '<ContactWS_ContactInsertOrUpdate_Input xmlns="urn:crmondemand/ws/contact/"><ListOfContact'
        ' xmlns="urn:/crmondemand/xml/contact"><Contact><ContactId>A-1</ContactId></Contact></ListOfContact>'
        "</ContactWS_ContactInsertOrUpdate_Input>"
    )


def fault(message: str, kind: FaultKind = FaultKind.BAD_VALUE) -> Fault:
    return Fault(kind=kind, code="SBL-X", symbol="", message=message, log_file="", from_application=True)


def test_a_row_that_a_fault_quotes_leaves_alone_and_the_fields_it_quotes_are_at_fault() -> None:
    made = shipment(WRITE, *[FULL] * 4, ids=["A-1", "A-2", "A-3", "A-4"])
    assert suspect(made, made.open, fault('No row for [Id] = "A-3".')) == 2
    assert suspect(made, made.open, fault("Between 'A-3' and 'A-4'.")) is None
    assert named_fields(made, fault("Field 'The Score' is too large.")) == "Score"
    assert halves(range(5)) == ((0, 1, 2), (3, 4))


def test_an_insert_goes_in_groups_where_a_free_key_finds_it_again() -> None:
    insert = replace(WRITE, operation=Operation.INSERT, fields=("LastName",))
    with_key = packing(insert, 45, "ExternalSystemId")
    assert (with_key.rows, with_key.calls, with_key.certainty) == (20, 3, Certainty.FINDABLE)
    alone = packing(insert, 45, "Elsewhere")
    assert (alone.rows, alone.calls, alone.certainty) == (1, 45, Certainty.OPAQUE)
    own = packing(replace(insert, fields=("LastName", "ExternalSystemId")), 45, "ExternalSystemId")
    assert (own.rows, own.certainty) == (20, Certainty.FINDABLE)
    upsert = packing(replace(insert, operation=Operation.UPSERT, key="ExternalSystemId"), 45, "ExternalSystemId")
    assert (upsert.calls, upsert.certainty) == (6, Certainty.REPEATABLE)


@pytest.mark.parametrize("changed", [{"road": WriteRoad.BULK}, {"duplicates": "allow"}, {"assignment": "active"}])
def test_what_there_is_not_is_refused_with_the_way_out(changed: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as refused:
        packing(replace(WRITE, **changed), 1, "ExternalSystemId")
    assert refused.value.hint

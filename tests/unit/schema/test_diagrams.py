"""Entity diagrams: what is in them, and that no name of a CRM breaks them."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

from crosstie.model import FieldType, RemoteField, RemoteObject
from crosstie.schema.diagram import lines, linked, mermaid, svg
from crosstie.schema.store import Schema

SVG = "{http://www.w3.org/2000/svg}"


def schema(name: str, label: str, *fields: RemoteField) -> Schema:
    key = RemoteField(name="Id", label="Id", type=FieldType.ID, wire_type="id")
    remote = RemoteObject(name=name, label=label, label_plural=label, key="Id", fields=(key, *fields))
    return Schema(account="crm", object=remote, table=f"crm_{name}".lower(), collected_at=datetime.now(UTC))


def link(name: str, *targets: str, nullable: bool = True) -> RemoteField:
    return RemoteField(
        name=name, label=name, type=FieldType.REFERENCE, wire_type="reference", reference_to=targets, nullable=nullable
    )


TEXT = RemoteField(name="LastName", label="Last name", type=FieldType.TEXT, wire_type="string")
ACCOUNT = schema("Account", "Firm", link("ParentId", "Account"))
CONTACT = schema("Contact", "Contact", TEXT, link("AccountId", "Account"), link("OwnerId", "User", "Group"))
ODD = schema('new "x" <y>', "<b>& Söhne", link("Customer Id", "Account", "Contact", nullable=False))
ALONE = schema("Alone", "Alone", TEXT)
ALL = (ACCOUNT, CONTACT, ODD, ALONE)


def test_links_join_what_was_collected_and_nothing_else() -> None:
    assert {(one.from_, one.field, one.to, one.optional) for one in lines(ALL)} == {
        ("Account", "ParentId", "Account", True),
        ("Contact", "AccountId", "Account", True),
        (ODD.object.name, "Customer Id", "Account", False),
        (ODD.object.name, "Customer Id", "Contact", False),
    }
    assert [one.object.name for one in linked(CONTACT, ALL)] == ["Contact", "Account", ODD.object.name]
    assert linked(ALONE, ALL) == (ALONE,)


def test_mermaid_has_entities_keys_and_lines() -> None:
    text = mermaid(ALL)

    assert text.startswith("erDiagram\n")
    assert "  Account |o--o{ Contact : AccountId\n" in text
    assert "  Account ||--o{ \"new 'x' <y>\" : Customer_Id\n" in text
    assert "    id Id PK\n" in text
    assert "    reference AccountId FK\n" in text
    assert "LastName" not in text
    assert "    text LastName\n" in mermaid(ALL, every_field=True)


def test_svg_is_well_formed_with_a_box_for_each_object_and_an_arrow_for_each_link() -> None:
    drawing = ElementTree.fromstring(svg(ALL, every_field=True))

    texts = ["".join(one.itertext()) for one in drawing.iter(f"{SVG}text")]
    assert any(one.startswith('new "x" <y> “<b>& Söhne') for one in texts)
    assert "LastName  text" in texts
    arrows = [one for one in drawing.iter(f"{SVG}path") if one.get("marker-end")]
    assert len(arrows) == len(lines(ALL))
    boxes = [one for one in drawing.iter(f"{SVG}rect") if one.get("rx")]
    assert len(boxes) == len(ALL)
    width, height = float(drawing.get("width") or 0), float(drawing.get("height") or 0)
    corners = [
        (
            float(one.get("x") or 0),
            float(one.get("y") or 0),
            float(one.get("width") or 0),
            float(one.get("height") or 0),
        )
        for one in boxes
    ]
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in corners)
    overlapping = [
        (one, other)
        for number, one in enumerate(corners)
        for other in corners[number + 1 :]
        if one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    ]
    assert overlapping == []

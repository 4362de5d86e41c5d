"""A new company: the same for the same size, by its own rules, and there again at the next start."""

from pathlib import Path
from typing import Any

import pytest

from crosstie.sandbox.control import ListedValue, SetField, SetValues
from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.oracle_on_demand.changed_fields import AddedField
from crosstie.sandbox.oracle_on_demand.objects import FieldType
from crosstie.sandbox.oracle_on_demand.org import Org
from crosstie.sandbox.oracle_on_demand.sessions import Sessions
from crosstie.sandbox.oracle_on_demand.sign_in import SignIn
from crosstie.sandbox.oracle_on_demand.values import Wire


def rows(org: Org, table: str) -> list[dict[str, Any]]:
    with org.read() as connection:
        cursor = connection.execute(f"SELECT * FROM {quoted(table)} ORDER BY Id")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Org:
    return Org(tmp_path_factory.mktemp("company"), records=240)


def test_records_obey_the_rules_of_their_objects(org: Org) -> None:
    ids: set[str] = set()
    for record in org.objects.values():
        found = rows(org, record.table)
        assert found
        ids_here = {row["Id"] for row in found}
        assert len(ids_here) == len(found) and not ids_here & ids
        ids |= ids_here
        plain = Wire(version="v2", zone=org.zone)
        for row in found:
            for tag, field in record.fields.items():
                value = row[tag]
                assert value != "" and (value or not field.required), (record.name, tag)
                if value is not None and tag != "ModId":
                    assert plain.read(field, value) == value, (record.name, tag)
    assert len(rows(org, "contact")) == 240


def test_references_lead_to_records_and_copies_are_theirs(org: Org) -> None:
    for record in org.objects.values():
        for tag, field in record.fields.items():
            reference = field.reference or (field.via and record.fields[field.via[0]].reference)
            if not reference:
                continue
            known = {row["Id"]: row for row in rows(org, org.objects[reference].table)}
            for row in rows(org, record.table):
                if field.via is not None:
                    lookup, source = field.via
                    assert row[tag] == (row[lookup] and known[row[lookup]][source])
                else:
                    assert row[tag] is None or row[tag] in known, (record.name, tag)


def test_the_same_size_gives_the_same_data_and_a_restart_finds_it(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, second = Org(tmp_path, records=40), Org(tmp_path / "other", records=40)
    assert rows(first, "contact") == rows(second, "contact")
    password = SignIn(first, Sessions(first)).told()["password"]
    assert SignIn(second, Sessions(second)).told()["password"] != password
    first.add_field(
        AddedField(object="Lead", tag="iTries", label="Tries", generic="CustomInteger7", type=FieldType.INTEGER)
    )
    first.set_field(SetField(object="Contact", field="mspInterests", name="mspHobbies"))
    first.set_values(SetValues(object="Contact", field="mspInterests", values=[ListedValue(value="Chess")]))
    first.switch({"time_zone": "Asia/Tokyo"})
    first.close()
    again = Org(tmp_path, records=1)
    assert len(rows(again, "contact")) == 40 and again.zone.key == "Asia/Tokyo"
    assert SignIn(again, Sessions(again)).told()["password"] == password
    found = again.objects["Lead"].field_of("CustomInteger7", "v1", "generic")
    assert found is not None and found.type is FieldType.INTEGER
    assert "iTries" in rows(again, "lead")[0]
    assert any(row["mspHobbies"] for row in rows(again, "contact"))
    assert [one.code for one in again.objects["Contact"].fields["mspHobbies"].picklist] == ["Chess"]
    again.set_field(SetField(object="Contact", field="mspInterests"))
    assert again.objects["Contact"].fields["mspInterests"].picklist[0].label == "Chess"
    assert any(row["mspInterests"] for row in rows(again, "contact"))

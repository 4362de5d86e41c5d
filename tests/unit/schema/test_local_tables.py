"""The local table made for a remote object, and what collecting it again changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crosstie.errors import ConfigError
from crosstie.model import ColumnType, EnumerationValue, FieldType, RemoteField, RemoteObject, Table
from crosstie.schema.tables import difference, local_table, table_name


def field(name: str, kind: FieldType = FieldType.TEXT, length: int = 40) -> RemoteField:
    return RemoteField(name=name, label=name, type=kind, wire_type=kind.value, length=length)


CONTACT = RemoteObject(
    name="Contact",
    label="Contact",
    label_plural="Contacts",
    key="Id",
    fields=(
        field("Id", FieldType.ID, 18),
        field("LastName"),
        field("Birthdate", FieldType.DATE),
        field("MailingAddress", FieldType.COMPOUND),
        field("MailingCity"),
        replace(
            field("LeadSource", FieldType.ENUMERATION),
            values=(EnumerationValue(name="Web", label="Web"), EnumerationValue(name="Fair", label="Fair")),
        ),
    ),
)


def test_table_is_keyed_by_the_remote_id_and_named_in_lower_case() -> None:
    table = local_table("salesforce", CONTACT)

    assert table.name == "salesforce_contact"
    assert table.key == ("id",)
    assert [column.name for column in table.columns] == ["id", "lastname", "birthdate", "mailingcity", "leadsource"]
    assert [column.nullable for column in table.columns] == [False, True, True, True, True]
    birthdate = table.column("birthdate")
    assert birthdate is not None
    assert birthdate.type is ColumnType.DATE


def test_a_name_too_long_for_postgresql_stays_unique() -> None:
    first = table_name("salesforce", "Namespace__" + "A" * 40 + "_one__c")
    second = table_name("salesforce", "Namespace__" + "A" * 40 + "_two__c")

    assert len(first) == len(second) == 63
    assert first != second
    assert first == table_name("salesforce", "namespace__" + "a" * 40 + "_one__c")


def test_a_first_collection_makes_the_table() -> None:
    found = difference(local_table("salesforce", CONTACT), None)

    assert found.created
    assert not found.empty


def test_collecting_again_without_change_finds_nothing() -> None:
    table = local_table("salesforce", CONTACT)

    assert difference(table, table, before=CONTACT, now=CONTACT).empty


def test_new_fields_are_added_and_gone_ones_reported() -> None:
    now = replace(CONTACT, fields=(*CONTACT.fields[:2], field("Score__c", FieldType.DECIMAL), *CONTACT.fields[3:]))

    found = difference(local_table("salesforce", now), local_table("salesforce", CONTACT), before=CONTACT, now=now)

    assert [column.name for column in found.added] == ["score__c"]
    assert found.removed == ("Birthdate",)
    assert not found.created


def test_changes_of_type_length_and_values_are_reported() -> None:
    source = CONTACT.fields[5]
    now = replace(
        CONTACT,
        fields=(
            CONTACT.fields[0],
            replace(CONTACT.fields[1], length=80),
            replace(CONTACT.fields[2], type=FieldType.DATETIME, wire_type="datetime"),
            *CONTACT.fields[3:5],
            replace(source, values=(source.values[0], EnumerationValue(name="Mail", label="Mail"))),
        ),
    )

    found = difference(local_table("salesforce", now), local_table("salesforce", CONTACT), before=CONTACT, now=now)

    assert [column.name for column in found.added] == ["birthdate"]
    assert found.set_aside == (("birthdate", "birthdate_was"),)
    assert [column.length for column in found.wider] == [80]
    assert found.changed == (
        "LastName: length was 40, is 80",
        "Birthdate: was date, is datetime",
        "LeadSource: values new Mail; gone Fair",
    )


def test_a_table_of_somebody_else_is_refused() -> None:
    taken = Table(name="salesforce_contact", columns=local_table("salesforce", CONTACT).columns, key=("number",))

    with pytest.raises(ConfigError, match="number") as caught:
        difference(local_table("salesforce", CONTACT), taken)

    assert "rename" in caught.value.hint


def test_columns_that_people_added_are_no_difference() -> None:
    table = local_table("salesforce", CONTACT)
    extra = replace(table, columns=(*table.columns, replace(table.columns[1], name="our_note")))

    assert difference(table, extra, before=CONTACT, now=CONTACT).empty

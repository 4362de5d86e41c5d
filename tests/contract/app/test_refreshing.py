"""What becomes of a local table when its remote object changed, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from crosstie.db.database import Database
from crosstie.errors import BrakeError
from crosstie.model import ColumnType, FieldType, RemoteField, RemoteObject
from crosstie.schema.store import SchemaStore

KEY = RemoteField(name="Id", label="Id", type=FieldType.ID, wire_type="id", length=18)
NAME = RemoteField(name="LastName", label="Last name", type=FieldType.TEXT, wire_type="string", length=20)
SCORE = RemoteField(name="Score__c", label="Score", type=FieldType.DECIMAL, wire_type="double", scale=2)
RANK = replace(SCORE, name="Rank__c")


def described(*fields: RemoteField) -> RemoteObject:
    return RemoteObject(name="Contact", label="Contact", label_plural="Contacts", key="Id", fields=(KEY, *fields))


@pytest.fixture
def store(database: Database) -> SchemaStore:
    store = SchemaStore(database, lambda: datetime.now(UTC))
    store.keep("crm", described(NAME, SCORE))
    with database.transaction("test") as transaction:
        transaction.execute("create index crm_contact_name on crm_contact (lastname)")
        transaction.execute("insert into crm_contact values ('1', 'Grün', 12.5)")
    return store


def rows(database: Database) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    with database.reading() as transaction:
        return transaction.named_rows("select * from crm_contact")


@pytest.mark.parametrize(
    ("now", "word", "text"),
    [
        (described(NAME), "removed", "Score__c is gone on the CRM"),
        (described(NAME, RANK), "renamed", "Score__c is called Rank__c now"),
        (described(NAME, replace(SCORE, type=FieldType.TEXT, wire_type="string", length=9)), "retyped", "was double"),
    ],
    ids=["removed", "renamed", "retyped"],
)
def test_what_may_break_workflows_is_refused_until_it_is_accepted(
    database: Database, store: SchemaStore, now: RemoteObject, word: str, text: str
) -> None:
    before = rows(database)

    for accepted in ([], ["LastName"], [other for other in ("removed", "renamed", "retyped") if other != word]):
        with pytest.raises(BrakeError, match=text) as refused:
            store.keep("crm", now, accepted)
        assert f"--accept {word}" in refused.value.hint

    assert rows(database) == before
    found = store.find("crm", "Contact")
    assert found is not None
    assert found.object == described(NAME, SCORE)
    store.keep("crm", now, [word])
    assert store.compare("crm", now).difference.empty


def test_a_gone_field_leaves_its_column_and_values(database: Database, store: SchemaStore) -> None:
    before = rows(database)

    store.keep("crm", described(NAME), ["score__C"])

    assert rows(database) == before


def test_a_renamed_field_takes_its_values_along(database: Database, store: SchemaStore) -> None:
    store.keep("crm", described(NAME, RANK), ["renamed"])

    names, (row,) = rows(database)
    assert dict(zip(names, row, strict=True)) == {"id": "1", "lastname": "Grün", "rank__c": 12.5}


def test_the_values_of_a_retyped_field_are_kept_beside_the_new_column(database: Database, store: SchemaStore) -> None:
    text = replace(SCORE, type=FieldType.TEXT, wire_type="string", length=9)
    store.keep("crm", described(NAME, text), ["all"])
    store.keep("crm", described(NAME, replace(SCORE, type=FieldType.DATE, wire_type="date")), ["all"])

    names, (row,) = rows(database)
    assert dict(zip(names, row, strict=True)) == {
        "id": "1",
        "lastname": "Grün",
        "score__c_was": 12.5,
        "score__c_was2": None,
        "score__c": None,
    }
    table = database.reflect("crm_contact")
    assert table is not None
    column = table.column("score__c")
    assert column is not None
    assert column.type is ColumnType.DATE


def test_a_longer_field_makes_its_column_wider_and_a_shorter_one_changes_nothing(
    database: Database, store: SchemaStore
) -> None:
    before = rows(database)
    lengths = []
    for length in (50, 30):
        store.keep("crm", described(replace(NAME, length=length), SCORE))
        table = database.reflect("crm_contact")
        assert table is not None
        column = table.column("lastname")
        assert column is not None
        lengths.append(column.length)

    assert lengths == [50, 50]
    assert rows(database) == before
    with database.transaction("test") as transaction:
        transaction.execute(f"update crm_contact set lastname = '{'é' * 50}'")
    found = database.reflect("crm_contact")
    assert found is not None
    assert found.key == ("id",)


def test_a_field_is_only_taken_for_a_renamed_one_when_one_alone_fits(store: SchemaStore) -> None:
    two = store.compare("crm", described(NAME, RANK, replace(RANK, name="Grade__c")))
    other_label = store.compare("crm", described(NAME, replace(RANK, label="Rank")))

    for found in (two, other_label):
        assert found.difference.removed == ("Score__c",)
        assert found.difference.renamed == ()

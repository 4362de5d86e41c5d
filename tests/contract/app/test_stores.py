"""Options, the reject inbox, adoption and collected objects, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from crosstie.app import adoption
from crosstie.app.options import Options
from crosstie.app.rejects import Rejects
from crosstie.crm.connector import Connector
from crosstie.db.database import Database, instant_text
from crosstie.errors import ConfigError
from crosstie.model import EnumerationValue, FieldType, RemoteField, RemoteObject
from crosstie.schema.store import SchemaStore, description_text, read_description

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def now() -> datetime:
    return NOW


def described(*fields: RemoteField) -> RemoteObject:
    key = RemoteField(name="Id", label="Id", type=FieldType.ID, wire_type="id", length=18)
    return RemoteObject(name="Contact", label="Contact", label_plural="Contacts", key="Id", fields=(key, *fields))


NAME = RemoteField(name="LastName", label="Last “name”", type=FieldType.TEXT, wire_type="string", length=80)
KINDS = RemoteField(
    name="Kinds__c",
    label="Genres",
    type=FieldType.SET,
    wire_type="multipicklist",
    values=(EnumerationValue(name="é", label="É", default=True), EnumerationValue(name="b", label="B", active=False)),
)


class Describing:
    """A connector that only describes."""

    def __init__(self, *descriptions: RemoteObject) -> None:
        self._descriptions = list(descriptions)

    def describe(self, name: str, *, known: RemoteObject | None = None) -> RemoteObject:
        """The next description."""
        return self._descriptions.pop(0)


def describing(*descriptions: RemoteObject) -> Connector:
    return cast(Connector, Describing(*descriptions))


def audit(database: Database) -> Sequence[tuple[Any, ...]]:
    with database.reading() as transaction:
        return transaction.rows("select action, thing, before, after from crosstie.audit order by id")


def test_an_option_is_set_read_and_recorded(database: Database) -> None:
    options = Options(database, now)

    options.set("INDEX", "2026/11/23 08:00:00")
    after = options.set("INDEX", "")

    assert after.value == ""
    assert after.changed_at == NOW
    assert [one.name for one in options.list()] == ["INDEX"]
    assert audit(database) == [
        ("set", "option INDEX", "", "2026/11/23 08:00:00"),
        ("set", "option INDEX", "2026/11/23 08:00:00", ""),
    ]


def test_a_missing_option_differs_from_an_empty_one(database: Database) -> None:
    options = Options(database, now)
    options.set("LASTIMPORT_contacts", "")

    assert options.get("LASTIMPORT_contacts").value == ""
    with pytest.raises(ConfigError, match="LASTIMPORT_contact") as caught:
        options.get("LASTIMPORT_contact")
    assert "LASTIMPORT_contacts" in caught.value.hint


def add_reject(database: Database, remote_id: str, workflow: str = "w") -> int:
    with database.transaction("test") as transaction:
        row = transaction.row(
            "insert into crosstie.reject (run, task, workflow, activity, account, object, remote_id, code, symbol,"
            " message, field, value, record, at, status) values (1, 1, :workflow, 'a', 's', 'Contact', :id, '', 'BAD',"
            " 'is bad', 'Email', 'x', '{\"Email\": \"x\", \"Phone\": null}', :at, 'open') returning id",
            {"workflow": workflow, "id": remote_id, "at": instant_text(NOW)},
        )
        transaction.execute(
            "insert into crosstie.import_window (option_name, account, org, object, workflow, activity, run, field,"
            " end_at, overlap_seconds, status, opened_at) values (:option, 's', 'o', 'Contact', :workflow, 'a', 1, 'f',"
            " :at, 900, 'confirmed', :at)",
            {"option": f"INDEX_{workflow}", "workflow": workflow, "at": instant_text(NOW)},
        )
        transaction.execute(
            "insert into crosstie.unaccepted (option_name, remote_id, since, run) values (:option, :id, :at, 1)",
            {"option": f"INDEX_{workflow}", "id": remote_id, "at": instant_text(NOW)},
        )
    assert row is not None
    return int(row[0])


def unaccepted(database: Database) -> list[str]:
    with database.reading() as transaction:
        return [row[0] for row in transaction.rows("select remote_id from crosstie.unaccepted order by remote_id")]


def test_dismissed_rejects_are_not_asked_for_again(database: Database) -> None:
    inbox = Rejects(database, now)
    first, second, third = add_reject(database, "1"), add_reject(database, "2"), add_reject(database, "3", "other")

    assert inbox.dismiss([first]) == 1
    assert inbox.dismiss([first]) == 0
    assert unaccepted(database) == ["2", "3"]
    assert inbox.dismiss(workflow="w") == 1
    assert unaccepted(database) == ["3"]
    assert [one.id for one in inbox.list()] == [third]
    assert [one.id for one in inbox.list(open_only=False)] == [third, second, first]
    assert inbox.count(workflow="w", open_only=False) == 2
    assert inbox.get(third).record == {"Email": "x", "Phone": None}


def test_an_unknown_reject_dismisses_none(database: Database) -> None:
    inbox = Rejects(database, now)
    first = add_reject(database, "1")

    with pytest.raises(ConfigError, match="4711"):
        inbox.dismiss([first, 4711])

    assert inbox.get(first).status == "open"


def test_a_blank_database_becomes_ours_and_a_copy_has_to_be_adopted(database: Database, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "key.databases", tmp_path / "elsewhere" / "key.databases"
    assert adoption.is_own(database, ours)
    Options(database, now).set("A", "1")

    assert adoption.is_own(database, ours)
    assert not adoption.is_own(database, theirs)
    adopted = adoption.adopt(database, theirs, NOW)

    assert adopted.changed
    assert adopted.id in theirs.read_text(encoding="ascii").split()
    with database.reading() as transaction:
        assert transaction.row("select value from crosstie.meta where name = 'database_id'") == (adopted.id,)


def test_collecting_makes_the_table_and_collecting_again_widens_it(database: Database) -> None:
    store = SchemaStore(database, now)

    first = store.collect("salesforce", "Contact", describing(described(NAME)))
    again = store.collect("salesforce", "Contact", describing(described(NAME, KINDS)))

    assert first.difference.created
    assert [column.name for column in again.difference.added] == ["kinds__c"]
    table = database.reflect("salesforce_contact")
    assert table is not None
    assert [column.name for column in table.columns] == ["id", "lastname", "kinds__c"]
    assert table.key == ("id",)
    assert store.names("salesforce") == ("Contact",)
    assert [one.table for one in store.list()] == ["salesforce_contact"]


def test_a_gone_field_keeps_its_column(database: Database) -> None:
    store = SchemaStore(database, now)
    store.collect("salesforce", "Contact", describing(described(NAME, KINDS)))

    again = store.collect("salesforce", "Contact", describing(described(NAME)), accepted=["removed"])

    assert again.difference.removed == ("Kinds__c",)
    table = database.reflect("salesforce_contact")
    assert table is not None
    assert table.column("kinds__c") is not None


def test_a_dry_run_stores_nothing(database: Database) -> None:
    store = SchemaStore(database, now)

    shown = store.collect("salesforce", "Contact", describing(described(NAME)), dry_run=True)

    assert shown.difference.created
    assert database.reflect("salesforce_contact") is None
    assert store.find("salesforce", "Contact") is None


def test_a_collected_object_is_found_in_any_case_and_as_another_process_stored_it(database: Database) -> None:
    times = iter(NOW + timedelta(seconds=one) for one in range(10))
    reading, writing = SchemaStore(database, now), SchemaStore(database, lambda: next(times))
    writing.collect("salesforce", "Contact", describing(described(NAME)))
    before = reading.find("salesforce", "CONTACT")
    writing.collect("salesforce", "Contact", describing(described(NAME, KINDS)))

    after = reading.find("salesforce", "contact")

    assert before is not None
    assert after is not None
    assert len(after.object.fields) == len(before.object.fields) + 1


def test_a_description_comes_back_as_it_was() -> None:
    original = replace(described(NAME, KINDS), index_fields=("SystemModstamp",), safe_index="SystemModstamp")

    assert read_description(description_text(original)) == original

"""Changes on the CRM's side, made by the control endpoint: what other users and automation do in a real org."""

import sqlite3
from typing import Any

from crosstie.sandbox.salesforce.catalog import SObject
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.ids import make_id
from crosstie.sandbox.salesforce.merging import merged
from crosstie.sandbox.salesforce.org import Org
from crosstie.sandbox.salesforce.records import Records, Writer
from crosstie.sandbox.salesforce.row_ids import record_id_of
from crosstie.sandbox.salesforce.schema import quoted
from crosstie.sandbox.salesforce.visibility import count_change

OTHER_USER_ID = make_id("005", 2)
"""Who makes the changes: never the integration user, whose echoes a client may drop."""
FIRST_PRIME = 7919


class Changes:
    """Changes in the name of other users. Every one is deterministic for a given history of calls."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records

    def touch(
        self, name: str, which: int | list[str], fields: list[str] | None, *, late: float = 0.0, holds_back: bool = True
    ) -> list[str]:
        """Changes so many records of an object, or those of these ids, never the same values twice; returns their ids.

        Without `fields`, a contact's Title and Score__c, else the first text field that can be updated.
        """
        sobject = self._sobject(name)
        chosen = self._fields(sobject, fields)
        turn = self._org.database.setting("change_turn", 0) + 1
        self._org.database.keep_setting("change_turn", turn)
        with self._org.database.writing() as connection:
            if isinstance(which, int):
                ids = self._some_ids(connection, sobject, which, turn)
            else:
                ids = [record_id_of(one) for one in which]
            if late or {"FirstName", "LastName"} & set(chosen):
                writer = Writer(user_id=OTHER_USER_ID, late=late, holds_back=holds_back)
                for record_id in ids:
                    given = {field: self._value(sobject, field, turn, record_id) for field in chosen}
                    self._records.update(sobject, record_id, given, writer)
            else:
                self._touch_at_once(connection, sobject, ids, chosen, turn)
        return ids

    def insert(self, name: str, rows: list[dict[str, Any]], *, late: float = 0.0, holds_back: bool = True) -> list[str]:
        """Creates records; returns their ids."""
        writer = Writer(user_id=OTHER_USER_ID, late=late, holds_back=holds_back)
        with self._org.database.writing():
            return [self._records.insert(self._sobject(name), row, writer) for row in rows]

    def update(self, name: str, record_id: str, values: dict[str, Any], *, late: float = 0.0) -> None:
        """Changes one record."""
        writer = Writer(user_id=OTHER_USER_ID, late=late)
        self._records.update(self._sobject(name), record_id_of(record_id), values, writer)

    def delete(self, name: str, ids: list[str], *, late: float = 0.0) -> None:
        """Moves records into the recycle bin."""
        writer = Writer(user_id=OTHER_USER_ID, late=late)
        with self._org.database.writing():
            for record_id in ids:
                self._records.delete(self._sobject(name), record_id_of(record_id), writer)

    def undelete(self, name: str, ids: list[str]) -> None:
        """Takes records out of the recycle bin."""
        now = self._org.now_stamp()
        with self._org.database.writing() as connection:
            for record_id in ids:
                self._org.bin.undelete(
                    connection, self._org.full_catalog, self._sobject(name), record_id_of(record_id), now
                )

    def merge(self, name: str, master: str, losers: list[str]) -> list[str]:
        """Merges up to two records into another, as a user does; returns the records that refer to it now instead."""
        return merged(self._org, self._records, self._sobject(name), master, losers, user_id=OTHER_USER_ID)

    def purge(self, name: str, ids: list[str]) -> None:
        """Deletes records for good."""
        with self._org.database.writing():
            for record_id in ids:
                self._records.purge(self._sobject(name), record_id_of(record_id))

    def set_stamp(self, name: str, ids: list[str], values: dict[str, str | None]) -> None:
        """Sets audit fields as automation, import with audit fields and old data do; nothing else moves."""
        sobject = self._sobject(name)
        unknown = [field for field in values if sobject.field(field) is None]
        if unknown:
            raise ApiError(400, "INVALID_FIELD", f"{sobject.name} has no field {', '.join(unknown)}")
        assignments = ", ".join(f"{quoted(sobject.fields[field.lower()].name)} = ?" for field in values)
        with self._org.database.writing() as connection:
            for record_id in ids:
                connection.execute(
                    f"UPDATE {quoted(sobject.table)} SET {assignments} WHERE Id = ?",
                    (*values.values(), record_id_of(record_id)),
                )
            count_change(connection)

    def _touch_at_once(
        self, connection: sqlite3.Connection, sobject: SObject, ids: list[str], fields: list[str], turn: int
    ) -> None:
        now = self._org.now_stamp()
        assignments = ", ".join(f"{quoted(field)} = ?" for field in fields)
        connection.executemany(
            f"UPDATE {quoted(sobject.table)} SET {assignments}, LastModifiedDate = ?, LastModifiedById = ?,"
            " SystemModstamp = ? WHERE Id = ?",
            (
                (*(self._value(sobject, field, turn, one) for field in fields), now, OTHER_USER_ID, now, one)
                for one in ids
            ),
        )
        count_change(connection)

    def _some_ids(self, connection: sqlite3.Connection, sobject: SObject, count: int, turn: int) -> list[str]:
        """`count` living records, scattered; other ones each turn as far as there are enough."""
        table = quoted(sobject.table)
        alive = " WHERE IsDeleted = 0" if sobject.field("IsDeleted") else ""
        (total,) = connection.execute(f"SELECT count(*) FROM {table}{alive}").fetchone()
        if count > total:
            raise ApiError(400, "INVALID_INPUT", f"{sobject.name} has {total} records, {count} were to change")
        rows = connection.execute(
            f"SELECT Id FROM {table}{alive} ORDER BY (rowid * {FIRST_PRIME} + ?) % ?, Id LIMIT ?",
            (turn * 104_729, total + 1, count),
        )
        return [row[0] for row in rows]

    def _fields(self, sobject: SObject, names: list[str] | None) -> list[str]:
        if names is None and sobject.name == "Contact":
            return ["Title", "Score__c"]
        if names is None:
            kinds = ("string", "textarea")
            found = [
                one.name for one in sobject.fields.values() if one.type in kinds and one.updateable and one.nillable
            ]
            names = found[:1]
        return [self._writable(sobject, name) for name in names]

    def _writable(self, sobject: SObject, name: str) -> str:
        found = sobject.field(name)
        if found is None or not found.updateable or found.type not in ("string", "textarea", "double", "int", "date"):
            raise ApiError(
                400, "INVALID_FIELD", f"{sobject.name}.{name} is no text, number or date that can be touched"
            )
        return found.name

    def _value(self, sobject: SObject, name: str, turn: int, record_id: str) -> Any:
        kind = sobject.fields[name.lower()].type
        if kind == "double":
            return turn + 0.25
        if kind == "int":
            return turn
        if kind == "date":
            return f"{1900 + turn % 200:04d}-{1 + turn % 12:02d}-{1 + turn % 28:02d}"
        return f"Changed «{turn}» {record_id[10:15]}"

    def _sobject(self, name: str) -> SObject:
        found = self._org.full_catalog.object(name)
        if found is None:
            raise ApiError(400, "INVALID_TYPE", f"The sandbox has no object {name}")
        return found

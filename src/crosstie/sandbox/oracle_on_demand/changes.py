"""Changes on the CRM's side, made by the control endpoint: what other users and the service itself do."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from crosstie.sandbox.control import ControlRefused
from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.oracle_on_demand.generate import OTHER_USER_ID
from crosstie.sandbox.oracle_on_demand.objects import FieldType, Object
from crosstie.sandbox.oracle_on_demand.org import Org, User
from crosstie.sandbox.oracle_on_demand.payload import Given
from crosstie.sandbox.oracle_on_demand.records import Records, Writer
from crosstie.sandbox.oracle_on_demand.rows import dig_up, find_row, write_row

FIRST_PRIME = 7919
_TEXTS = (FieldType.TEXT, FieldType.MEMO)


class Changes:
    """Changes in the name of another user. Every one is deterministic for a given history of calls. Values are those of
    the store: dates in ISO, instants in UTC, booleans true and false; None clears."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records

    def touch(self, name: str, which: int | list[str], tags: list[str] | None, *, late: float = 0.0) -> list[str]:
        """Changes so many records, or those of these ids, never the same values twice; returns their ids.

        Without `tags`, a contact's JobTitle and nScore, else the first text that can be changed.
        """
        record = self._object(name)
        chosen = self._tags(record, tags)
        with self._org.write() as connection:
            turn = self._org.database.setting("change_turn", 0) + 1
            self._org.database.keep_setting("change_turn", turn)
            ids = self._some_ids(connection, record, which, turn) if isinstance(which, int) else which
            for number, record_id in enumerate(ids):
                values = {tag: _value(record, tag, turn, number) for tag in chosen}
                self._update(connection, record, record_id, values, late)
        return list(ids)

    def insert(self, name: str, rows: list[dict[str, str | None]], *, late: float = 0.0) -> list[str]:
        """Makes records; returns their ids."""
        record = self._object(name)
        with self._org.write() as connection:
            return [
                self._records.insert(connection, record, self._given(record, row), self._writer(connection, late))["Id"]
                for row in rows
            ]

    def update(self, name: str, record_id: str, values: dict[str, str | None], *, late: float = 0.0) -> None:
        """Changes one record."""
        with self._org.write() as connection:
            self._update(connection, self._object(name), record_id, values, late)

    def delete(self, name: str, ids: list[str]) -> None:
        """Deletes records."""
        record = self._object(name)
        with self._org.write() as connection:
            for record_id in ids:
                nothing = Given(values={})
                self._records.delete(connection, record, record_id, nothing, self._writer(connection, 0.0))

    def restore(self, name: str, ids: list[str]) -> None:
        """Brings deleted records back, as users do; their ids stay."""
        record = self._object(name)
        with self._org.write() as connection:
            for record_id in ids:
                if not dig_up(connection, record, record_id):
                    raise ControlRefused(f"{name} {record_id} is not among the deleted items")
                if self._org.switches.restore_moves_stamp:
                    now = dict.fromkeys(record.stamps, self._org.now_stamp())
                    write_row(connection, record.table, record_id, now)

    def set_stamp(self, name: str, ids: list[str], values: Mapping[str, str | None]) -> None:
        """Sets columns as old data has them; nothing else moves."""
        record = self._object(name)
        self._known(record, values)
        with self._org.write() as connection:
            for record_id in ids:
                if find_row(connection, record.table, record_id) is None:
                    raise ControlRefused(f"there is no {name} {record_id}")
                write_row(connection, record.table, record_id, values)

    def rows(self, name: str, ids: list[str] | None) -> list[dict[str, Any]]:
        """Rows as they are stored, in the order of their ids."""
        record = self._object(name)
        with self._org.read() as connection:
            if ids is not None:
                return [row for row in (find_row(connection, record.table, one) for one in ids) if row is not None]
            cursor = connection.execute(f"SELECT * FROM {quoted(record.table)} ORDER BY Id")
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def _update(
        self,
        connection: sqlite3.Connection,
        record: Object,
        record_id: str,
        values: Mapping[str, str | None],
        late: float,
    ) -> None:
        given = self._given(record, values)
        self._records.update(connection, record, record_id, given, self._writer(connection, late))

    def _writer(self, connection: sqlite3.Connection, late: float) -> Writer:
        row = find_row(connection, "user", OTHER_USER_ID) or {}
        return Writer(user=User(id=row["Id"], sign_in=row["UserSignInId"], name=row["FullName"]), late=late)

    def _object(self, name: str) -> Object:
        found = self._org.all_objects.get(name)
        if found is None:
            raise ControlRefused(f"There is no object {name}. There are: {', '.join(self._org.all_objects)}.")
        return found

    def _given(self, record: Object, values: Mapping[str, str | None]) -> Given:
        self._known(record, values)
        return Given(values=dict(values))

    def _known(self, record: Object, values: Mapping[str, Any]) -> None:
        unknown = [tag for tag in values if tag not in record.fields]
        if unknown:
            raise ControlRefused(f"{record.name} has no field {', '.join(unknown)}")

    def _some_ids(self, connection: sqlite3.Connection, record: Object, count: int, turn: int) -> list[str]:
        """`count` records, scattered; other ones each turn as far as there are enough."""
        table = quoted(record.table)
        (total,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        if count > total:
            raise ControlRefused(f"there are {total} records of {record.name}, {count} were to change")
        rows = connection.execute(
            f"SELECT Id FROM {table} ORDER BY (rowid * {FIRST_PRIME} + ?) % ?, Id LIMIT ?",
            (turn * 104_729, total + 1, count),
        )
        return [row[0] for row in rows]

    def _tags(self, record: Object, tags: list[str] | None) -> list[str]:
        if tags is None and record.name == "Contact":
            return ["JobTitle", "nScore"]
        if tags is None:
            texts = (one for one in record.fields.values() if one.type in _TEXTS)
            return [next(one.tag for one in texts if not (one.read_only or one.joined or one.via))]
        self._known(record, dict.fromkeys(tags))
        return tags


def _value(record: Object, tag: str, turn: int, number: int) -> str:
    field = record.fields[tag]
    if field.type in (FieldType.TEXT, FieldType.MEMO):
        return f"Changed «{turn}» {number}"[: field.length or None]
    if field.type in (FieldType.NUMBER, FieldType.CURRENCY, FieldType.PERCENT):
        return f"{turn}.25"
    if field.type is FieldType.INTEGER:
        return str(turn)
    raise ControlRefused(f"{record.name}.{tag} is no text or number that can be touched")

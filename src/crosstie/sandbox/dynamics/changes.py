"""Changes on the CRM's side, made by the control endpoint: what other users and automation do."""

import json
from collections.abc import Mapping
from typing import Any

from crosstie.sandbox.dynamics.addresses import required
from crosstie.sandbox.dynamics.errors import ApiError
from crosstie.sandbox.dynamics.generate import OTHER_USER_ID
from crosstie.sandbox.dynamics.org import Org
from crosstie.sandbox.dynamics.payload import decode, guid
from crosstie.sandbox.dynamics.records import Records, Writer
from crosstie.sandbox.dynamics.table import Attribute, AttributeType, Table
from crosstie.sandbox.dynamics.tables import TABLES, table_of_set
from crosstie.sandbox.dynamics.visibility import apply_columns
from crosstie.sandbox.fragments import quoted

FIRST_PRIME = 7919


class Changes:
    """Changes in the name of other users. Every one is deterministic for a given history of calls."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records

    def touch(self, name: str, which: int | list[str], columns: list[str] | None, *, late: float = 0.0) -> list[str]:
        """Changes so many rows of a table, or those of these ids, never the same values twice; returns their ids.

        Without `columns`, a contact's jobtitle and new_score, else the first text that can be changed.
        """
        table = table_named(name)
        chosen = self._columns(table, columns)
        turn = self._org.database.setting("change_turn", 0) + 1
        self._org.database.keep_setting("change_turn", turn)
        writer = Writer(user_id=OTHER_USER_ID, late=late)
        with self._org.write():
            ids = self._some_ids(table, which, turn) if isinstance(which, int) else [guid(one) for one in which]
            for number, record_id in enumerate(ids):
                body = {one.logical_name: _value(one, turn, number) for one in chosen}
                self._records.update(table, record_id, body, writer)
        return ids

    def insert(self, name: str, rows: list[dict[str, Any]], *, late: float = 0.0) -> list[str]:
        """Makes rows from bodies as the Web API takes them; returns their ids."""
        writer = Writer(user_id=OTHER_USER_ID, late=late)
        with self._org.write():
            return [self._records.create(table_named(name), _exact(row), writer) for row in rows]

    def update(self, name: str, record_id: str, values: dict[str, Any], *, late: float = 0.0) -> None:
        """Changes one row."""
        writer = Writer(user_id=OTHER_USER_ID, late=late)
        self._records.update(table_named(name), guid(record_id), _exact(values), writer)

    def delete(self, name: str, ids: list[str]) -> None:
        """Deletes rows."""
        writer = Writer(user_id=OTHER_USER_ID)
        with self._org.write():
            for record_id in ids:
                self._records.delete(table_named(name), guid(record_id), writer)

    def merge(self, name: str, master: str, loser: str) -> None:
        """Merges a row into another: it becomes inactive, with `merged` and the master's id; nothing is deleted."""
        table = table_named(name)
        if "masterid" not in table.attributes:
            raise ApiError(400, "0x80040203", f"Rows of {name} can't be merged.")
        with self._org.write() as connection:
            master_id = required(connection, table, guid(master))
            inactive = table.attributes["statecode"].options[-1]
            columns = {
                "merged": 1,
                "masterid": master_id,
                "statecode": inactive.value,
                "statuscode": inactive.default_status,
                "modifiedon": self._org.now_stamp(),
                "modifiedby": OTHER_USER_ID,
            }
            apply_columns(connection, table, required(connection, table, guid(loser)), columns)

    def set_stamp(self, name: str, ids: list[str], values: Mapping[str, str | None]) -> None:
        """Sets date-time columns as old data has them, in wire form or null; nothing else moves but the version."""
        table = table_named(name)
        unknown = [column for column in values if column not in table.attributes]
        if unknown:
            raise ApiError(400, "0x80041103", f"{name} has no column {', '.join(unknown)}.")
        with self._org.write() as connection:
            for record_id in ids:
                apply_columns(connection, table, required(connection, table, guid(record_id)), values)

    def _some_ids(self, table: Table, count: int, turn: int) -> list[str]:
        """`count` rows, scattered; other ones each turn as far as there are enough."""
        name, key = quoted(table.logical_name), quoted(table.primary_id)
        with self._org.read() as connection:
            (total,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
            if count > total:
                message = f"{table.logical_name} has {total} rows, {count} were to change"
                raise ApiError(400, "0x80040203", message)
            rows = connection.execute(
                f"SELECT {key} FROM {name} ORDER BY (rowid * {FIRST_PRIME} + ?) % ?, {key} LIMIT ?",
                (turn * 104_729, total + 1, count),
            )
            return [row[0] for row in rows]

    def _columns(self, table: Table, names: list[str] | None) -> list[Attribute]:
        if names is None and table.logical_name == "contact":
            names = ["jobtitle", "new_score"]
        kinds = (AttributeType.STRING, AttributeType.MEMO, AttributeType.INTEGER, AttributeType.DECIMAL)
        if names is None:
            found = [one for one in table.attributes.values() if one.type in kinds[:2] and one.valid_for_update]
            return found[:1]
        for name in names:
            if name not in table.attributes or table.attributes[name].type not in kinds:
                message = f"{table.logical_name}.{name} is no text or number that can be touched"
                raise ApiError(400, "0x80041103", message)
        return [table.attributes[name] for name in names]


def table_named(name: str) -> Table:
    """The table of a logical name or a set's name."""
    found = TABLES.get(name) or table_of_set(name)
    if found is None:
        raise ApiError(400, "0x80041102", f"The sandbox has no table {name}")
    return found


def _exact(body: Mapping[str, Any]) -> Any:
    """Numbers as bodies of requests have them."""
    return decode(json.dumps(body).encode())


def _value(attribute: Attribute, turn: int, number: int) -> Any:
    if attribute.type is AttributeType.INTEGER:
        return turn
    if attribute.type is AttributeType.DECIMAL:
        return decode(f"{turn}.25".encode())
    return f"Changed «{turn}» {number}"[: attribute.max_length]

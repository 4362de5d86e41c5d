"""Writes records: creates, updates and deletes them, with all that the service does beside.

Sources: Dataverse Web API guide, "Create a table row", "Update and delete table rows", "Perform conditional
operations".
"""

import secrets
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from types import MappingProxyType
from typing import Any

from crosstie.sandbox.dynamics.addresses import read_address, read_key, required
from crosstie.sandbox.dynamics.derived import derived, settled_state
from crosstie.sandbox.dynamics.errors import ApiError, no_record, undeclared
from crosstie.sandbox.dynamics.generate import BUSINESS_UNIT_ID
from crosstie.sandbox.dynamics.org import Org
from crosstie.sandbox.dynamics.payload import Payload, Reference, lookup_columns, read_payload
from crosstie.sandbox.dynamics.rules import Rules
from crosstie.sandbox.dynamics.table import Attribute, AttributeType, Table
from crosstie.sandbox.dynamics.tables import TABLES, collection_behind
from crosstie.sandbox.dynamics.visibility import apply_columns, next_version
from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.late_writes import keep_late_write

Row = dict[str, Any]
EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes, and how: `late` is in seconds of sandbox time, the others as the request's headers say."""

    user_id: str
    late: float = 0.0
    detects_duplicates: bool = False
    bypasses_plugins: bool = False


class Records:
    """Writes into one organization. Every method is one transaction, or a part of the caller's."""

    def __init__(self, org: Org, rules: Rules) -> None:
        self._org = org
        self._rules = rules

    def create(
        self, table: Table, body: Any, writer: Writer, *, key: str | None = None, given: Mapping[str, Any] = EMPTY
    ) -> str:
        """Makes a record; returns its id, which is `key`, else the body's, else a new one. `given` are columns as they
        are stored, which the body overrides."""
        _check_writable(table, "Create")
        with self._org.write() as connection:
            payload = self._read(connection, table, body, new=True)
            record_id = key or payload.key or str(uuid.uuid4())
            columns = self._new_columns(table, {**given, **payload.columns}, writer)
            self._nested_parents(connection, table, payload, columns, writer)
            _check_required(table, columns)
            columns |= derived(connection, table, columns)
            self._checked(connection, table, record_id, columns, payload.columns, writer)
            self._write(connection, table, record_id, columns, writer, new=True)
            self._nested_children(connection, table, record_id, payload, writer)
        return record_id

    def update(self, table: Table, record_id: str, body: Any, writer: Writer, *, dropped: tuple[str, ...] = ()) -> None:
        """Changes a record. `dropped` are columns that the body names in vain (those of the key in the address)."""
        _check_writable(table, "Update")
        with self._org.write() as connection:
            current = self.row(connection, table, record_id)
            payload = self._read(connection, table, body, new=False)
            columns = {name: value for name, value in payload.columns.items() if name not in dropped}
            self._nested_parents(connection, table, payload, columns, writer)
            columns |= settled_state(table, columns, current)
            columns |= _image_companions(table, columns)
            if "modifiedon" in table.attributes:
                columns |= {"modifiedon": self._org.now_stamp(), "modifiedby": writer.user_id}
            columns |= _owner(table, columns)
            after = {**current, **columns}
            columns |= {
                name: value for name, value in derived(connection, table, after).items() if current.get(name) != value
            }
            self._checked(connection, table, record_id, {**current, **columns}, payload.columns, writer)
            self._write(connection, table, record_id, columns, writer, new=False)
            self._nested_children(connection, table, record_id, payload, writer)

    def delete(self, table: Table, record_id: str, writer: Writer) -> None:
        """Deletes a record for good. What refers to it through a named relationship refers to nothing any more."""
        _check_writable(table, "Delete")
        with self._org.write() as connection:
            self.row(connection, table, record_id)
            self._unlink(connection, table, record_id)
            connection.execute(
                f"DELETE FROM {quoted(table.logical_name)} WHERE {quoted(table.primary_id)} = ?", (record_id,)
            )
            gone = (table.logical_name, record_id, next_version(connection), self._org.now_stamp())
            connection.execute("INSERT INTO deleted VALUES (?, ?, ?, ?)", gone)
            if table.audited:
                self._audit_deletion(connection, table, record_id, writer)

    def row(self, connection: sqlite3.Connection, table: Table, record_id: str) -> Row:
        """A record as it is stored. Raises ApiError when it is not there."""
        cursor = connection.execute(
            f"SELECT * FROM {quoted(table.logical_name)} WHERE {quoted(table.primary_id)} = ?", (record_id,)
        )
        found = cursor.fetchone()
        if found is None:
            raise no_record(table.logical_name, record_id)
        return dict(zip((column[0] for column in cursor.description), found, strict=True))

    def reference(self, connection: sqlite3.Connection, address: str, attribute: Attribute) -> Reference:
        """The record that an address names, as a target of a lookup."""
        target, text = read_address(address)
        if target.logical_name not in attribute.targets:
            raise ApiError(
                400, "0x80060888", f"A record of {target.set_name} can't be the value of {attribute.logical_name}."
            )
        return target.logical_name, required(connection, target, read_key(target, text))

    def _read(self, connection: sqlite3.Connection, table: Table, body: Any, *, new: bool) -> Payload:
        def resolve(asked: Table, attribute: Attribute, target: str | None, address: str) -> Reference:
            found = self.reference(connection, address, attribute)
            if target is not None and found[0] != target:
                name = attribute.navigation[target]
                raise ApiError(400, "0x80060888", f"The property {name} leads to {target}, not to {found[0]}.")
            return found

        return read_payload(self._org.choices.of(table), body, self._org.switches, resolve, new=new)

    def _new_columns(self, table: Table, given: Row, writer: Writer) -> Row:
        """What a new record has beside what was given."""
        columns: Row = {**_defaults(table), **given}
        if "statecode" in table.attributes:
            if given.get("statecode") and not self._org.switches.create_inactive:
                raise ApiError(400, "0x80048408", f"A new {table.logical_name} can't begin in another state than 0.")
            columns["statecode"] = given.get("statecode") or 0
            columns |= settled_state(table, {**columns, "statuscode": given.get("statuscode")}, {})
        now = self._org.now_stamp()
        if "modifiedon" in table.attributes:
            stamps = {"createdon": now, "modifiedon": now, "createdby": writer.user_id, "modifiedby": writer.user_id}
            columns |= stamps
            if given.get("overriddencreatedon"):
                columns |= {"createdon": given["overriddencreatedon"], "overriddencreatedon": now}
        if "ownerid" in table.attributes and columns.get("ownerid") is None:
            columns |= {"ownerid": writer.user_id, "ownerid__type": "systemuser"}
        if "activitytypecode" in table.attributes:
            columns["activitytypecode"] = table.logical_name
        return columns | _owner(table, columns) | _image_companions(table, columns)

    def _checked(
        self, connection: sqlite3.Connection, table: Table, record_id: str, columns: Row, given: Row, writer: Writer
    ) -> None:
        """Asks plug-ins and duplicate rules."""
        if not writer.bypasses_plugins:
            self._rules.check_plugins(table, given)
        if writer.detects_duplicates:
            self._rules.check_duplicates(connection, table, record_id, columns)

    def _write(
        self,
        connection: sqlite3.Connection,
        table: Table,
        record_id: str,
        columns: Row,
        writer: Writer,
        *,
        new: bool,
    ) -> None:
        if new and _there(connection, table, record_id):
            switches = self._org.switches
            message = "A record with matching key values already exists."
            raise ApiError(switches.duplicate_status, switches.primary_key_code, message)
        if writer.late:
            visible_at = self._org.clock.now() + timedelta(seconds=writer.late)
            keep_late_write(connection, table.logical_name, record_id, columns, visible_at)
            return
        try:
            apply_columns(connection, table, record_id, columns)
        except sqlite3.IntegrityError as error:
            raise self._key_violated(table, str(error)) from error

    def _key_violated(self, table: Table, message: str) -> ApiError:
        named = {part.strip().rpartition(".")[2] for part in message.rpartition(":")[2].split(",")}
        key = next(one for one in table.keys if set(one.attributes) == named)
        labels = ", ".join(table.attributes[name].label for name in key.attributes)
        return ApiError(
            self._org.switches.duplicate_status,
            self._org.switches.alternate_key_code,
            f"Entity Key {key.logical_name} violated. A record with the same value for {labels} already exists."
            " A duplicate record cannot be created. Select one or more unique values and try again.",
        )

    def _nested_parents(
        self, connection: sqlite3.Connection, table: Table, payload: Payload, columns: Row, writer: Writer
    ) -> None:
        """Makes the records that a body gives as objects of single-valued navigation properties."""
        for name, value in list(payload.nested.items()):
            found = table.navigated(name)
            if found is None:
                continue
            attribute, target = found
            if target is None or not isinstance(value, dict):
                raise undeclared(name)
            made = self.create(TABLES[target], value, writer)
            columns |= lookup_columns(attribute, (target, made))
            del payload.nested[name]

    def _nested_children(
        self, connection: sqlite3.Connection, table: Table, record_id: str, payload: Payload, writer: Writer
    ) -> None:
        """Makes the records that a body lists under collection-valued navigation properties. Those who take part in
        an activity are replaced as a whole."""
        for name, values in payload.nested.items():
            behind = collection_behind(table, name)
            if behind is None or not isinstance(values, list):
                raise undeclared(name)
            child, lookup = behind
            if child.logical_name == "activityparty":
                self._replace_parties(connection, table, record_id, child, values)
                continue
            for value in values:
                made = self.create(child, value, writer)
                tie = lookup_columns(lookup, (table.logical_name, record_id))
                apply_columns(connection, child, made, tie)

    def _replace_parties(
        self, connection: sqlite3.Connection, table: Table, record_id: str, party: Table, values: list[Any]
    ) -> None:
        connection.execute("DELETE FROM activityparty WHERE activityid = ?", (record_id,))
        for value in values:
            columns = self._read(connection, party, value, new=True).columns
            columns |= lookup_columns(party.attributes["activityid"], (table.logical_name, record_id))
            apply_columns(connection, party, str(uuid.uuid4()), columns)

    def _unlink(self, connection: sqlite3.Connection, table: Table, record_id: str) -> None:
        for other in TABLES.values():
            for one in other.attributes.values():
                if table.logical_name not in one.collections:
                    continue
                name, column = quoted(other.logical_name), quoted(one.logical_name)
                if other.logical_name == "activityparty":
                    connection.execute(f"DELETE FROM {name} WHERE {column} = ?", (record_id,))
                    continue
                found = connection.execute(
                    f"SELECT {quoted(other.primary_id)} FROM {name} WHERE {column} = ?", (record_id,)
                ).fetchall()
                for (child,) in found:
                    apply_columns(connection, other, child, lookup_columns(one, None))

    def _audit_deletion(self, connection: sqlite3.Connection, table: Table, record_id: str, writer: Writer) -> None:
        row = {
            "action": 3,
            "operation": 3,
            "createdon": self._org.now_stamp(),
            "userid": writer.user_id,
            "objectid": record_id,
            "objectid__type": table.logical_name,
            "objecttypecode": table.logical_name,
        }
        apply_columns(connection, TABLES["audit"], str(uuid.uuid4()), row)


def _check_writable(table: Table, verb: str) -> None:
    if not table.writable:
        raise ApiError(
            400, "0x80040800", f"The '{verb}' method does not support entities of type '{table.logical_name}'."
        )


def _check_required(table: Table, columns: Mapping[str, Any]) -> None:
    for name in _needed(table):
        if columns.get(name) is None:
            raise ApiError(400, "0x80040203", f"Attribute: {name} cannot be set to NULL")


@cache
def _needed(table: Table) -> tuple[str, ...]:
    needed = (one.logical_name for one in table.stored if one.required == "SystemRequired")
    return tuple(name for name in needed if name != table.primary_id)


@cache
def _defaults(table: Table) -> Mapping[str, int]:
    """What new records have where they say nothing."""
    return {one.logical_name: one.default for one in table.stored if one.default is not None}


def _owner(table: Table, columns: Mapping[str, Any]) -> Row:
    """The columns that follow from the owner."""
    if "owninguser" not in table.attributes or "ownerid" not in columns:
        return {}
    is_user = columns["ownerid__type"] == "systemuser"
    return {
        "owninguser": columns["ownerid"] if is_user else None,
        "owningteam": None if is_user else columns["ownerid"],
        "owningbusinessunit": BUSINESS_UNIT_ID,
    }


def _image_companions(table: Table, columns: Mapping[str, Any]) -> Row:
    """The stamp and the id that a new picture gets."""
    found: Row = {}
    for name in columns:
        if table.attributes.get(name) is not None and table.attributes[name].type is AttributeType.IMAGE:
            there = columns[name] is not None
            found[f"{name}_timestamp"] = secrets.randbits(52) if there else None
            found[f"{name}id"] = str(uuid.uuid4()) if there else None
    return found


def _there(connection: sqlite3.Connection, table: Table, record_id: str) -> bool:
    sql = f"SELECT 1 FROM {quoted(table.logical_name)} WHERE {quoted(table.primary_id)} = ?"
    return connection.execute(sql, (record_id,)).fetchone() is not None

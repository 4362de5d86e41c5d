"""Records written by the service's rules: keys, required fields, references, copies, stamps and ModId.

Source: Web Services On Demand Guide, "User keys", "Insert", "Update", "Delete"; fact sheet, 2.5 and 2.6.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.late_writes import keep_late_write
from crosstie.sandbox.oracle_on_demand.faults import (
    SoapFault,
    conflict,
    duplicate,
    no_record,
    no_user_key,
    several_matches,
    wrapped,
)
from crosstie.sandbox.oracle_on_demand.objects import Child, Object
from crosstie.sandbox.oracle_on_demand.org import Org, User
from crosstie.sandbox.oracle_on_demand.payload import Given
from crosstie.sandbox.oracle_on_demand.rows import apply_columns, bury, find_row, new_id, write_row
from crosstie.sandbox.oracle_on_demand.values import BOUND, V1_INSTANT

Row = dict[str, Any]
_RULES = "rules"


class Rule(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A validation rule of the company: `value` in a field of an object is refused."""

    object: str
    field: str
    value: str
    code: str = "SBL-EXL-00151"
    message: str = "A validation rule of the company does not allow this value."


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """In whose name a write is made, and how many seconds later readers see it."""

    user: User
    late: float = 0.0


class Records:
    """Writes single records. Every method is called within a write transaction, and raises SoapFault."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self.rules = [msgspec.convert(one, Rule) for one in org.database.setting(_RULES, [])]

    def set_rules(self, rules: list[Rule]) -> None:
        """Sets every validation rule."""
        self._org.database.keep_setting(_RULES, msgspec.to_builtins(rules))
        self.rules = list(rules)

    def find(self, connection: sqlite3.Connection, record: Object, key: tuple[str, ...], given: Given) -> str | None:
        """The id of the record that a user key names, None for no such record."""
        missing = [tag for tag in key if not given.values.get(tag)]
        if missing:
            if usable_key(record, given) is None:
                raise no_user_key(record.name)
            raise several_matches(record.name, _search(given.values, key))
        where = " AND ".join(f"{quoted(tag)} = ?" for tag in key)
        found = connection.execute(
            f"SELECT Id FROM {quoted(record.table)} WHERE {where} LIMIT 2", [given.values[tag] for tag in key]
        ).fetchall()
        if len(found) > 1:
            raise several_matches(record.name, _search(given.values, key))
        return found[0][0] if found else None

    def insert(self, connection: sqlite3.Connection, record: Object, given: Given, writer: Writer) -> Row:
        """Makes a record; returns its row."""
        for tag, one in record.fields.items():
            if one.required and not given.values.get(tag):
                message = f"'{one.label}' is a required field. Please enter a value for the field."
                raise wrapped("SBL-DAT-00498", message, "WriteRecord", record.name)
        if given.values.get("Id") and find_row(connection, record.table, given.values["Id"] or ""):
            raise duplicate(self._org.switches, record.name, _search(given.values, ("Id",)))
        columns = {tag: value for tag, value in given.values.items() if tag not in ("Id", "ModId")}
        row_id = new_id(connection)
        stamps = self._stamps(record, writer.user, row_id)
        if "OwnerId" in record.fields and not columns.get("OwnerId"):
            columns["OwnerId"] = writer.user.id
        if "IntegrationId" in record.fields and not columns.get("IntegrationId"):
            columns["IntegrationId"] = row_id
        return self._write(connection, record, {"Id": row_id, "ModId": -1} | stamps, columns, given, writer)

    def update(self, connection: sqlite3.Connection, record: Object, row_id: str, given: Given, writer: Writer) -> Row:
        """Changes a record that is there; returns its row."""
        row = self._current(connection, record, row_id, given)
        columns = {tag: value for tag, value in given.values.items() if tag not in ("Id", "ModId")}
        same = all(row[tag] == value for tag, value in columns.items())
        if same and not given.children and not self._org.switches.unchanged_moves_stamp:
            return row
        return self._write(connection, record, row, columns, given, writer)

    def delete(self, connection: sqlite3.Connection, record: Object, row_id: str, given: Given, writer: Writer) -> Row:
        """Moves a record to the deleted items; returns its last row."""
        row = self._current(connection, record, row_id, given)
        self._refuse_rights(record)
        bury(connection, record, row, self._org.now_stamp(), (writer.user.id, writer.user.name))
        return row

    def children(self, connection: sqlite3.Connection, record: Object, row_id: str, given: Given) -> None:
        """Writes the child records of a record."""
        for child, parts in given.children:
            for part in parts:
                self._child(connection, record, child, row_id, part)

    def _current(self, connection: sqlite3.Connection, record: Object, row_id: str, given: Given) -> Row:
        row = find_row(connection, record.table, row_id)
        if row is None:
            raise no_record(record.name, f'[Id] = "{row_id}"')
        wanted = given.values.get("ModId")
        if wanted is not None and int(wanted) != row["ModId"]:
            raise conflict(self._org.switches, record.name)
        return row

    def _write(
        self,
        connection: sqlite3.Connection,
        record: Object,
        row: Row,
        columns: dict[str, Any],
        given: Given,
        writer: Writer,
    ) -> Row:
        """Writes columns over a row that is there or, without a stamp of its last change, is to be made."""
        self._refuse_rights(record)
        self._refuse_by_rules(record, columns)
        self._refer(connection, record, columns)
        row_id = row["Id"]
        after = row | columns
        self._refuse_duplicates(connection, record, after, columns)
        columns |= self._derived(connection, record, after, columns)
        changed = {
            tag: value for tag, value in self._stamps(record, writer.user, row_id).items() if tag not in _CREATED
        }
        columns |= {tag: row[tag] for tag in _CREATED if row["ModId"] == -1 and tag in row} | changed
        if writer.late:
            visible_at = self._org.clock.now() + timedelta(seconds=writer.late)
            keep_late_write(connection, record.name, row_id, columns, visible_at)
        else:
            apply_columns(connection, record, row_id, columns)
            self._tell_copies(connection, record, row_id, columns)
        self.children(connection, record, row_id, given)
        return row | columns | {"ModId": row["ModId"] + 1}

    def _stamps(self, record: Object, user: User, row_id: str) -> Row:
        now = self._org.clock.now()
        shown = f"{user.name}, {now.astimezone(self._org.zone).strftime(V1_INSTANT)}"
        found = {
            **dict.fromkeys(record.stamps, self._org.now_stamp()),
            "CreatedDate": self._org.now_stamp(),
            "ModifiedById": user.id,
            "CreatedById": user.id,
            "ModifiedBy": shown,
            "CreatedBy": shown,
        }
        return {tag: value for tag, value in found.items() if tag in self._all(record).fields}

    def _all(self, record: Object) -> Object:
        return self._org.all_objects[record.name]

    def _refuse_rights(self, record: Object) -> None:
        if record.name in self._org.switches.write_denied:
            message = f"You do not have the privilege to write records of '{record.label}'."
            raise wrapped("SBL-DAT-00553", message, "WriteRecord", record.name)

    def _refuse_by_rules(self, record: Object, columns: Mapping[str, Any]) -> None:
        for rule in self.rules:
            if rule.object == record.name and columns.get(rule.field) == rule.value:
                raise wrapped(rule.code, rule.message, "WriteRecord", record.name)

    def _refer(self, connection: sqlite3.Connection, record: Object, columns: dict[str, Any]) -> None:
        """Turns other ways to name a record into its id, and looks whether every record that is named is there."""
        for tag, one in record.fields.items():
            if one.resolves is None or tag not in columns:
                continue
            value = columns.pop(tag)
            if columns.get(one.resolves):
                continue
            columns[one.resolves] = value and self._named(connection, record, tag, value)
        for tag, value in columns.items():
            reference = self._all(record).fields[tag].reference
            if reference and value and not find_row(connection, self._org.all_objects[reference].table, value):
                raise self._unbound(record, tag)

    def _named(self, connection: sqlite3.Connection, record: Object, tag: str, value: str) -> str:
        one = record.fields[tag]
        lookup, source = one.via or ("", "")
        other = self._org.all_objects[record.fields[lookup].reference or ""]
        found = connection.execute(
            f"SELECT Id FROM {quoted(other.table)} WHERE {quoted(source)} = ?", (value,)
        ).fetchone()
        if found is None:
            raise self._unbound(record, tag)
        named: str = found[0]
        return named

    def _unbound(self, record: Object, tag: str) -> SoapFault:
        label = self._all(record).fields[tag].label
        message = (
            f"The value entered in field {label} does not match any value in the bounded pick list 'PickList {tag}'."
        )
        return wrapped(BOUND, message, "SetFieldValue", record.name)

    def _refuse_duplicates(
        self, connection: sqlite3.Connection, record: Object, after: Row, columns: Mapping[str, Any]
    ) -> None:
        for key in record.user_keys:
            if not any(tag in columns for tag in key) or not all(after.get(tag) for tag in key):
                continue
            values = [after[tag] for tag in key]
            stored = " AND ".join(f"{quoted(tag)} = ?" for tag in key)
            kept = " AND ".join(f"work ->> '$.{tag}' = ?" for tag in key)
            there = connection.execute(
                f"SELECT 1 FROM {quoted(record.table)} WHERE {stored} AND Id <> ?"
                f" UNION ALL SELECT 1 FROM sandbox_late_write WHERE entity = ? AND {kept} AND id <> ? LIMIT 1",
                (*values, after["Id"], record.name, *values, after["Id"]),
            ).fetchone()
            if there:
                raise duplicate(self._org.switches, record.name, _search(after, key))

    def _derived(self, connection: sqlite3.Connection, record: Object, after: Row, columns: Row) -> Row:
        """Copies of the records that are named now, and joins of our own fields."""
        found: Row = {}
        for tag, one in self._all(record).fields.items():
            if one.via is not None and one.via[0] in columns:
                lookup, source = one.via
                other = self._org.all_objects[self._all(record).fields[lookup].reference or ""]
                row = find_row(connection, other.table, columns[lookup] or "")
                found[tag] = row and row[source]
            elif any(part in columns for part in one.joined):
                found[tag] = " ".join(after.get(part) or "" for part in one.joined).strip() or None
        return found

    def _tell_copies(self, connection: sqlite3.Connection, record: Object, row_id: str, columns: Row) -> None:
        """Brings the copies that others have up to date; their stamps stay."""
        for other in self._org.all_objects.values():
            for tag, one in other.fields.items():
                if one.via is None or one.via[1] not in columns:
                    continue
                lookup, source = one.via
                if other.fields[lookup].reference == record.name:
                    connection.execute(
                        f"UPDATE {quoted(other.table)} SET {quoted(tag)} = ? WHERE {quoted(lookup)} = ?",
                        (columns[source], row_id),
                    )

    def _child(
        self, connection: sqlite3.Connection, record: Object, child: Child, parent_id: str, given: Given
    ) -> None:
        """Writes one child record: by its id, or by the record that it names."""
        table = record.child_table(child)
        named = next(tag for tag, one in child.fields.items() if one.reference)
        key = "Id" if given.values.get("Id") else named
        found = connection.execute(
            f"SELECT Id FROM {quoted(table)} WHERE ParentId = ? AND {quoted(key)} = ?",
            (parent_id, given.values.get(key)),
        ).fetchone()
        if given.operation in ("update", "delete") and found is None:
            raise no_record(child.tag, f'[{key}] = "{given.values.get(key)}"')
        if given.operation == "insert" and found is not None:
            raise duplicate(self._org.switches, child.tag, f'[{key}] = "{given.values.get(key)}"')
        if given.operation == "delete":
            connection.execute(f"DELETE FROM {quoted(table)} WHERE Id = ?", found)
            return
        columns: Row = {tag: value for tag, value in given.values.items() if tag != "Id"}
        if found is None and not columns.get(named):
            message = f"'{child.fields[named].label}' is a required field. Please enter a value for the field."
            raise wrapped("SBL-DAT-00498", message, "WriteRecord", child.tag)
        if columns.get(named):
            other = self._org.all_objects[child.fields[named].reference or ""]
            row = find_row(connection, other.table, columns[named])
            if row is None:
                raise no_record(other.name, f'[Id] = "{columns[named]}"')
            for tag, one in child.fields.items():
                if one.via and one.via[0] == named:
                    columns[tag] = row[one.via[1]]
        write_row(connection, table, found[0] if found else new_id(connection), {"ParentId": parent_id} | columns)


def usable_key(record: Object, given: Given) -> tuple[str, ...] | None:
    """The first user key that a record gives in whole."""
    return next((key for key in record.user_keys if all(given.values.get(tag) for tag in key)), None)


def _search(values: Mapping[str, Any], key: tuple[str, ...]) -> str:
    """A search specification as messages quote it."""
    return " AND ".join(f'[{tag}] = "{values.get(tag) or ""}"' for tag in key)


_CREATED = ("CreatedDate", "CreatedById", "CreatedBy")

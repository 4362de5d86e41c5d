"""Writing records: checks in Salesforce's order and words, derived columns, stamps, the recycle bin.

Sources: "sObject Rows", "Insert or Update (Upsert)", REST API guide; the row errors of the fact sheet, section 4.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from crosstie.sandbox.salesforce.catalog import Field, SObject
from crosstie.sandbox.salesforce.derived import DERIVATIONS
from crosstie.sandbox.salesforce.duplicates import DuplicateOptions, check_duplicates
from crosstie.sandbox.salesforce.errors import ApiError, not_found
from crosstie.sandbox.salesforce.ids import make_id, number_of, to_18
from crosstie.sandbox.salesforce.org import Org
from crosstie.sandbox.salesforce.relations import going_along
from crosstie.sandbox.salesforce.row_errors import (
    duplicate_value,
    entity_deleted,
    lead_converted,
    required_missing,
    row_locked,
)
from crosstie.sandbox.salesforce.row_ids import record_id_of
from crosstie.sandbox.salesforce.rules import NONE
from crosstie.sandbox.salesforce.schema import quoted
from crosstie.sandbox.salesforce.values import stored_value
from crosstie.sandbox.salesforce.visibility import apply_columns, count_change, keep_late_write

AUDIT = ("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes, how late it becomes visible (seconds of sandbox time), and by which rules of the org."""

    user_id: str
    late: float = 0.0
    holds_back: bool = True
    assignment: str = NONE
    """What Sforce-Auto-Assign says: the active rule, none, or the id of one."""
    duplicates: DuplicateOptions | None = None
    """What the client says of duplicates; None for who is not held to the rules."""
    saved: set[str] = field(default_factory=set)
    """The records of the same save, which duplicate rules don't compare with each other."""


class SeveralRecords(Exception):
    """An external id that belongs to more than one record (HTTP 300)."""

    def __init__(self, ids: list[str]) -> None:
        super().__init__(f"{len(ids)} records")
        self.ids = ids


class Records:
    """The one road by which records of an org change, for clients and for the control endpoint."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def insert(self, sobject: SObject, given: Mapping[str, Any], writer: Writer) -> str:
        """Creates a record; returns its id."""
        check_allowed(sobject, "insert")
        with self._org.database.writing() as connection:
            columns = self._columns(connection, sobject, given, inserting=True)
            missing = [
                item.name for item in sobject.fields.values() if is_required(item) and columns.get(item.name) is None
            ]
            if missing:
                raise required_missing(missing)
            owner = self._org.rules.owner(sobject, writer.assignment)
            if owner is not None:
                columns["OwnerId"] = owner
            record_id = make_id(sobject.key_prefix or "a0z", take_numbers(connection, sobject, 1))
            self._check_duplicates(connection, sobject, record_id, {}, columns, writer)
            self._check_unique(connection, sobject, columns, record_id)
            complete = defaults(sobject, record_id, self._org.now_stamp(), writer) | columns
            complete |= _derived(connection, sobject, record_id, complete)
            self._write(connection, sobject, record_id, complete, writer)
        writer.saved.add(record_id)
        return record_id

    def update(self, sobject: SObject, record_id: str, given: Mapping[str, Any], writer: Writer) -> None:
        """Changes the fields that are given; stamps move even when nothing differs."""
        with self._org.database.writing() as connection:
            before = self.require(connection, sobject, record_id)
            check_allowed(sobject, "update")
            if before.get("IsConverted"):
                raise lead_converted()
            self._check_unlocked(record_id)
            columns = self._columns(connection, sobject, given, inserting=False)
            missing = [
                name for name, value in columns.items() if value is None and is_required(sobject.fields[name.lower()])
            ]
            if missing:
                raise required_missing(missing)
            owner = self.owner_by_change(sobject, writer)
            if owner is not None:
                columns["OwnerId"] = owner
            self._check_duplicates(connection, sobject, record_id, before, columns, writer)
            self._check_unique(connection, sobject, columns, record_id)
            now = self._org.now_stamp()
            columns |= {"LastModifiedDate": now, "LastModifiedById": writer.user_id, "SystemModstamp": now}
            columns |= _derived(connection, sobject, record_id, columns)
            self._write(connection, sobject, record_id, columns, writer)
        writer.saved.add(record_id)

    def upsert(
        self, sobject: SObject, key: Field, value: str, given: Mapping[str, Any], writer: Writer, *, update_only: bool
    ) -> tuple[str, bool]:
        """Creates or updates the record with that external id; returns its id and whether it was created."""
        if any(name.lower() == key.name.lower() for name in given):
            raise ApiError(
                400, "INVALID_FIELD", f"The {key.name} field should not be specified in the sobject data.", [key.name]
            )
        with self._org.database.writing() as connection:
            found = self.find(connection, sobject, key, value)
            if len(found) > 1:
                raise SeveralRecords(found)
            if found:
                self.update(sobject, found[0], given, writer)
                return found[0], False
            if update_only or key.type == "id":
                raise not_found()
            return self.insert(sobject, {**given, key.name: value}, writer), True

    def delete(self, sobject: SObject, record_id: str, writer: Writer) -> None:
        """Moves a record into the recycle bin: IsDeleted and a new SystemModstamp."""
        with self._org.database.writing() as connection:
            self.require(connection, sobject, record_id)
            check_allowed(sobject, "delete")
            self._check_unlocked(record_id)
            gone = {"IsDeleted": 1, "SystemModstamp": self._org.now_stamp()}
            if self._org.switches.children_bound:
                for child, child_id in list(going_along(connection, self._org.full_catalog, sobject, record_id)):
                    self._write(connection, child, child_id, gone, writer)
            self._write(connection, sobject, record_id, gone, writer)

    def purge(self, sobject: SObject, record_id: str) -> None:
        """Deletes for good: queryAll does not show it any more, only the delete log does."""
        now = self._org.now_stamp()
        with self._org.database.writing() as connection:
            connection.execute(f"DELETE FROM {quoted(sobject.table)} WHERE Id = ?", (record_id,))
            connection.execute(
                "INSERT OR IGNORE INTO sandbox_delete_log VALUES (?, ?, ?)", (sobject.name, record_id, now)
            )
            count_change(connection)

    def require(self, connection: sqlite3.Connection, sobject: SObject, record_id: str) -> dict[str, Any]:
        """The stored record; 404 when it is not there, or in the bin."""
        cursor = connection.execute(f"SELECT * FROM {quoted(sobject.table)} WHERE Id = ?", (record_id,))
        row = cursor.fetchone()
        if row is None:
            raise self.missing(connection, sobject, record_id)
        record = dict(zip([column[0] for column in cursor.description], row, strict=True))
        if record.get("IsDeleted"):
            raise entity_deleted()
        return record

    def missing(self, connection: sqlite3.Connection, sobject: SObject, record_id: str) -> ApiError:
        """What is said of a record that is not there: it never was, or is gone from the bin too."""
        if self._org.switches.purged_as_deleted:
            log = "SELECT 1 FROM sandbox_delete_log WHERE object = ? AND id = ?"
            if connection.execute(log, (sobject.name, record_id)).fetchone():
                return entity_deleted()
        return not_found()

    def owner_by_change(self, sobject: SObject, writer: Writer) -> str | None:
        """Who gets a record that is changed; None for who has it."""
        if not self._org.switches.assignment_on_update:
            return None
        return self._org.rules.owner(sobject, writer.assignment)

    def find(self, connection: sqlite3.Connection, sobject: SObject, key: Field, value: str) -> list[str]:
        """The ids of the visible records with that external id, in id order."""
        if key.type == "id":
            value = record_id_of(value)
        collation = "" if key.case_sensitive or key.type == "id" else " COLLATE NOCASE"
        alive = " AND IsDeleted = 0" if sobject.field("IsDeleted") else ""
        rows = connection.execute(
            f"SELECT Id FROM {quoted(sobject.table)} WHERE {quoted(key.name)} = ?{collation}{alive} ORDER BY Id",
            (value,),
        )
        return [row[0] for row in rows]

    def _columns(
        self, connection: sqlite3.Connection, sobject: SObject, given: Mapping[str, Any], *, inserting: bool
    ) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for name, value in given.items():
            if name == "attributes":
                continue
            if isinstance(value, dict) and (relation := sobject.relationship(name)) is not None:
                columns[relation.name] = self.parent_by_key(connection, relation, value)
                continue
            item = sobject.field(name)
            if item is None:
                message = f"No such column '{name}' on sobject of type {sobject.name}"
                raise ApiError(400, "INVALID_FIELD", message, unread=True)
            check_writable(item, inserting=inserting)
            columns[item.name] = stored_value(item, value)
            if item.type == "reference" and columns[item.name] is not None:
                self.check_reference(connection, item, columns[item.name])
        return columns

    def parent_by_key(self, connection: sqlite3.Connection, relation: Field, value: dict[str, Any]) -> str:
        """Resolves `"Account": {"ERP_Id__c": "A-1"}`; of several kinds of parent `attributes` can name one."""
        pairs = [(name, text) for name, text in value.items() if name != "attributes"]
        attributes = value.get("attributes")
        kind = attributes.get("type") if isinstance(attributes, dict) else None
        for parent_name in [one for one in relation.reference_to if kind in (None, one)]:
            parent = self._org.catalog.object(parent_name)
            key = parent.field(pairs[0][0]) if parent is not None and len(pairs) == 1 else None
            if parent is None or key is None or not (key.external_id or key.id_lookup):
                continue
            found = self.find(connection, parent, key, str(pairs[0][1]))
            if len(found) == 1:
                self._check_unlocked(found[0])
                return found[0]
            raise ApiError(
                400,
                "INVALID_FIELD",
                f"Foreign key external ID: {str(pairs[0][1]).lower()} not found for field {key.name}"
                f" in entity {parent.name}",
                [],
            )
        raise ApiError(
            400, "INVALID_FIELD", f"No such relationship key for {relation.relationship_name}", [relation.name]
        )

    def check_reference(self, connection: sqlite3.Connection, item: Field, record_id: str) -> None:
        """Refuses an id that no living record has which the field can refer to, or that another transaction holds."""
        parents = [self._org.full_catalog.object(name) for name in item.reference_to]
        parent = next((one for one in parents if one is not None and one.key_prefix == record_id[:3]), None)
        if parent is None:
            known = {one.key_prefix for one in self._org.full_catalog.objects.values()}
            if record_id[:3] in known:
                raise ApiError(
                    400,
                    "FIELD_INTEGRITY_EXCEPTION",
                    f"{item.label}: id value of incorrect type: {record_id}",
                    [item.name],
                )
            raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
        alive = "IsDeleted" if parent.field("IsDeleted") else "0"
        row = connection.execute(f"SELECT {alive} FROM {quoted(parent.table)} WHERE Id = ?", (record_id,)).fetchone()
        if row is None:
            raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
        if row[0]:
            raise entity_deleted()
        self._check_unlocked(record_id)

    def _check_duplicates(
        self,
        connection: sqlite3.Connection,
        sobject: SObject,
        record_id: str,
        before: Mapping[str, Any],
        columns: Mapping[str, Any],
        writer: Writer,
    ) -> None:
        rules = self._org.rules.of_duplicates(sobject)
        if not rules or writer.duplicates is None:
            return
        after = {**before, **columns}
        after |= _derived(connection, sobject, record_id, after)
        spared = {record_id, *writer.saved}
        check_duplicates(connection, sobject, rules, writer.duplicates, before=before, after=after, spared=spared)

    def parents(self, connection: sqlite3.Connection, sobject: SObject, given: Mapping[str, Any]) -> set[str]:
        """The ids of the records that a row of JSON refers to, by id or by key; what means none is left out."""
        found: set[str] = set()
        for name, value in given.items():
            item = sobject.field(name)
            if item is not None and item.type == "reference" and isinstance(value, str):
                found.add(to_18(value) or "")
            elif isinstance(value, dict) and (relation := sobject.relationship(name)) is not None:
                with suppress(ApiError):
                    found.add(self.parent_by_key(connection, relation, value))
        return found - {""}

    def _check_unlocked(self, record_id: str) -> None:
        if record_id in self._org.locked:
            raise row_locked(record_id)

    def _check_unique(
        self, connection: sqlite3.Connection, sobject: SObject, columns: Mapping[str, Any], record_id: str
    ) -> None:
        for name, value in columns.items():
            item = sobject.fields[name.lower()]
            if not item.unique or value is None:
                continue
            others = [other for other in self.find(connection, sobject, item, value) if other != record_id]
            if others:
                raise duplicate_value(item, others[0])

    def _write(
        self, connection: sqlite3.Connection, sobject: SObject, record_id: str, columns: dict[str, Any], writer: Writer
    ) -> None:
        if writer.late:
            visible_at = self._org.clock.now() + timedelta(seconds=writer.late)
            keep_late_write(
                connection, sobject, record_id, columns, visible_at=visible_at, holds_back=writer.holds_back
            )
            return
        apply_columns(connection, sobject, record_id, columns)
        count_change(connection)


def check_allowed(sobject: SObject, operation: str) -> None:
    """Refuses what nobody may do to records of the object: insert, update or delete them."""
    if operation == "insert" and not sobject.createable:
        raise ApiError(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {sobject.label}")
    if operation == "update" and not sobject.updateable:
        raise ApiError(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "entity type cannot be updated")
    if operation == "delete" and not sobject.deletable:
        raise ApiError(400, "DELETE_FAILED", "entity type cannot be deleted", [])


def check_writable(item: Field, *, inserting: bool) -> None:
    """Refuses a field that the user may not set in an insert, or in an update."""
    if inserting and item.type == "id":
        message = "cannot specify Id in an insert call"
        raise ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, [item.name])
    if not (item.createable if inserting else item.updateable):
        raise ApiError(
            400,
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            f"Unable to create/update fields: {item.name}. Please check the security settings of this field"
            " and verify that it is read/write for your profile or permission set.",
            [item.name],
        )


def is_required(item: Field) -> bool:
    """Whether a record without a value in this field is refused."""
    return item.createable and not item.nillable and not item.defaulted_on_create and item.type != "boolean"


def defaults(sobject: SObject, record_id: str, now: str, writer: Writer) -> dict[str, Any]:
    """What a new record has in the fields that its writer leaves out."""
    values: dict[str, Any] = {
        "CreatedDate": now,
        "LastModifiedDate": now,
        "SystemModstamp": now,
        "CreatedById": writer.user_id,
        "LastModifiedById": writer.user_id,
        "OwnerId": writer.user_id,
    }
    for item in sobject.fields.values():
        if item.type == "boolean":
            values[item.name] = 0
        elif item.raw.get("defaultValue") is not None:
            values[item.name] = item.raw["defaultValue"]
        elif item.auto_number:
            values[item.name] = f"{number_of(record_id):08d}"
    return {name: value for name, value in values.items() if sobject.field(name) is not None}


def take_numbers(connection: sqlite3.Connection, sobject: SObject, count: int) -> int:
    """The first of `count` numbers for new records of the object, which nobody else gets."""
    connection.execute(
        "INSERT INTO sandbox_sequence VALUES (?1, ?2) ON CONFLICT (object) DO UPDATE SET last = last + ?2",
        (sobject.name, count),
    )
    (last,) = connection.execute("SELECT last FROM sandbox_sequence WHERE object = ?", (sobject.name,)).fetchone()
    return int(last) - count + 1


def _derived(
    connection: sqlite3.Connection, sobject: SObject, record_id: str, columns: Mapping[str, Any]
) -> dict[str, Any]:
    """The columns that follow from others: from `columns`, else from what is stored."""
    derivation = DERIVATIONS.get(sobject.name)
    if derivation is None:
        return {}
    values = {name: columns[name] for name in derivation.needs if name in columns}
    stored = [name for name in derivation.needs if name not in columns]
    if stored:
        row = connection.execute(
            f"SELECT {', '.join(map(quoted, stored))} FROM {quoted(sobject.table)} WHERE Id = ?", (record_id,)
        ).fetchone()
        values |= dict(zip(stored, row or [None] * len(stored), strict=True))
    return derivation.compute(record_id, values)

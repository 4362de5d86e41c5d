"""A small org for the comparison: two objects with a field of every comparable type, and their rows in SQLite."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from typing import Any

from crosstie.sandbox.salesforce.catalog import Catalog

Row = dict[str, Any]
Rows = dict[str, list[Row]]

KINDS = ["Gold", "silver", "Bronze", "Über"]
TAGS = ["Red", "green", "Blue", "Ärger"]
TYPES: dict[str, dict[str, str]] = {
    "Firm__c": {
        "Id": "id",
        "IsDeleted": "boolean",
        "Name": "string",
        "Size__c": "int",
        "Rating__c": "double",
        "Active__c": "boolean",
        "Kind__c": "picklist",
        "Founded__c": "date",
    },
    "Person__c": {
        "Id": "id",
        "IsDeleted": "boolean",
        "Name": "string",
        "Code__c": "string",
        "Age__c": "int",
        "Score__c": "double",
        "Born__c": "date",
        "Seen__c": "datetime",
        "Active__c": "boolean",
        "Tags__c": "multipicklist",
        "Kind__c": "picklist",
        "Firm__c": "reference",
        "Boss__c": "reference",
    },
}
CASE_SENSITIVE = {"Code__c"}
PARENTS = {("Person__c", "Firm__r"): ("Firm__c", "Firm__c"), ("Person__c", "Boss__r"): ("Boss__c", "Person__c")}
"""(object, relationship) → (reference field, parent object)."""
CHILDREN = {("Firm__c", "People__r"): ("Person__c", "Firm__c"), ("Person__c", "Reports__r"): ("Person__c", "Boss__c")}
"""(object, child relationship) → (child object, reference field)."""
_COLUMNS = {"boolean": "INTEGER NOT NULL", "int": "INTEGER", "double": "REAL"}
_VALUES = {"picklist": KINDS, "multipicklist": TAGS}


def _field(owner: str, name: str, kind: str) -> dict[str, Any]:
    relationship = name.replace("__c", "__r") if kind == "reference" else None
    target = PARENTS[owner, relationship][1] if relationship is not None else None
    return {
        "name": name,
        "label": name,
        "type": kind,
        "nillable": kind not in ("boolean", "id"),
        "filterable": True,
        "sortable": kind != "multipicklist",
        "groupable": kind not in ("double", "datetime", "multipicklist"),
        "aggregatable": kind not in ("boolean", "multipicklist"),
        "caseSensitive": name in CASE_SENSITIVE,
        "referenceTo": [target] if target else [],
        "relationshipName": relationship,
        "picklistValues": [{"value": value, "label": value, "active": True} for value in _VALUES.get(kind, [])],
    }


CATALOG = Catalog.from_describes(
    {
        "name": owner,
        "label": owner,
        "keyPrefix": prefix,
        "fields": [_field(owner, name, kind) for name, kind in TYPES[owner].items()],
        "childRelationships": [
            {"childSObject": child, "field": field, "relationshipName": name}
            for (parent, name), (child, field) in CHILDREN.items()
            if parent == owner
        ],
    }
    for owner, prefix in (("Firm__c", "a00"), ("Person__c", "a01"))
)


def stored(value: Any, kind: str) -> Any:
    """A value as the sandbox's store keeps it."""
    if value is None:
        return None
    if kind == "boolean":
        return int(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}+0000"
    if isinstance(value, date):
        return value.isoformat()
    if kind == "multipicklist":
        return ";".join(value)
    return value


def load(rows: Rows) -> sqlite3.Connection:
    """A database in memory that holds these rows."""
    connection = sqlite3.connect(":memory:")
    for owner, fields in TYPES.items():
        columns = ", ".join(f'"{name}" {_COLUMNS.get(kind, "TEXT")}' for name, kind in fields.items())
        connection.execute(f'CREATE TABLE "{owner}" ({columns})')
        marks = ", ".join("?" * len(fields))
        connection.executemany(
            f'INSERT INTO "{owner}" VALUES ({marks})',
            [tuple(stored(row[name], kind) for name, kind in fields.items()) for row in rows[owner]],
        )
    return connection

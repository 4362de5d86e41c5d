"""The company's tables in SQLite; how values are stored is told in `objects`."""

import sqlite3

from crosstie.sandbox.database import SETTINGS
from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.late_writes import LATE_WRITES
from crosstie.sandbox.oracle_on_demand.objects import DELETED_ITEM, OBJECTS, Field, FieldType, Object

OWN_TABLES = (
    LATE_WRITES,
    "CREATE TABLE sandbox_row_id (last INTEGER NOT NULL)",
    "INSERT INTO sandbox_row_id VALUES (0)",
    SETTINGS,
)
UNIQUE_KEYS = ("ExternalSystemId", "IntegrationId")
_STAMPS = ("ModifiedDate", "ModifiedDateExt", "LastLoggedIn")


def create_tables(connection: sqlite3.Connection) -> None:
    """Makes every table, without indexes, so that generated rows load fast."""
    for statement in OWN_TABLES:
        connection.execute(statement)
    for record in OBJECTS.values():
        _create(connection, record.table, record.fields)
        for child in record.children:
            _create(connection, record.child_table(child), child.fields, ", ParentId TEXT")
    # What was deleted, with the object's name and the whole row as JSON, so that it can be restored.
    _create(connection, DELETED_ITEM.table, DELETED_ITEM.fields, ", object TEXT NOT NULL, work TEXT NOT NULL")


def create_indexes(connection: sqlite3.Connection) -> None:
    """Makes the indexes: of ids, of integrators' keys, of stamps and of references."""
    for record in (*OBJECTS.values(), DELETED_ITEM):
        table = record.table
        connection.execute(f"CREATE UNIQUE INDEX {quoted(table + '_Id')} ON {quoted(table)} (Id)")
        for tag, field in record.fields.items():
            if tag in UNIQUE_KEYS and record is not DELETED_ITEM:
                connection.execute(f"CREATE UNIQUE INDEX {quoted(f'{table}_{tag}')} ON {quoted(table)} ({quoted(tag)})")
            elif tag in (*_STAMPS, "DeletedDate"):
                # With the id, so that pages sort without reading rows.
                connection.execute(f"CREATE INDEX {quoted(f'{table}_{tag}')} ON {quoted(table)} ({quoted(tag)}, Id)")
            elif field.reference and tag not in ("CreatedById", "ModifiedById"):
                connection.execute(f"CREATE INDEX {quoted(f'{table}_{tag}')} ON {quoted(table)} ({quoted(tag)})")
        for key in record.user_keys:
            if len(key) > 1 or key[0] not in ("Id", *UNIQUE_KEYS):
                listed = ", ".join(quoted(tag) for tag in key)
                connection.execute(f"CREATE INDEX {quoted(f'{table}_{key[0]}_key')} ON {quoted(table)} ({listed})")
        for child in record.children:
            name = record.child_table(child)
            connection.execute(f"CREATE INDEX {quoted(name + '_parent')} ON {quoted(name)} (ParentId)")


def add_column(connection: sqlite3.Connection, record: Object, tag: str) -> None:
    """Adds the column of a custom field."""
    connection.execute(f"ALTER TABLE {quoted(record.table)} ADD COLUMN {quoted(tag)} TEXT")


def rename_column(connection: sqlite3.Connection, record: Object, old: str, new: str) -> None:
    """Renames the column of a custom field."""
    connection.execute(f"ALTER TABLE {quoted(record.table)} RENAME COLUMN {quoted(old)} TO {quoted(new)}")


def _create(connection: sqlite3.Connection, table: str, fields: dict[str, Field], more: str = "") -> None:
    listed = ", ".join(f"{quoted(tag)} {_kind(tag, field)}" for tag, field in fields.items())
    connection.execute(f"CREATE TABLE {quoted(table)} ({listed}{more})")


def _kind(tag: str, field: Field) -> str:
    return "INTEGER" if tag == "ModId" and field.type is FieldType.INTEGER else "TEXT"

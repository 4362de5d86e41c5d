"""The tables of the org: one for each object, and the sandbox's own beside them.

The storage convention: values are the canonical wire text where text is the wire form (ids 18 characters, datetimes
`2026-11-23T01:07:37.000+0000`, multi-picklists `A;B` in list order), booleans 0/1, an empty text is NULL.
"""

import sqlite3
from collections.abc import Iterable

from crosstie.sandbox.database import SETTINGS
from crosstie.sandbox.salesforce.catalog import Catalog, Field, SObject

COLUMN_TYPES = {"boolean": "INTEGER", "int": "INTEGER", "long": "INTEGER", "base64": "BLOB"} | dict.fromkeys(
    ("double", "percent", "currency"), "REAL"
)

OWN_TABLES = (
    "CREATE TABLE sandbox_sequence (object TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE sandbox_delete_log (object TEXT NOT NULL, id TEXT NOT NULL, deleted_at TEXT NOT NULL,"
    " PRIMARY KEY (object, id)) WITHOUT ROWID",
    "CREATE TABLE sandbox_late_write (number INTEGER PRIMARY KEY, object TEXT NOT NULL, id TEXT NOT NULL,"
    " stamp TEXT NOT NULL, visible_at REAL NOT NULL, holds_back INTEGER NOT NULL, work TEXT NOT NULL)",
    "CREATE TABLE sandbox_session (token TEXT PRIMARY KEY, kind TEXT NOT NULL, user_id TEXT NOT NULL,"
    " client_id TEXT, refresh_token TEXT) WITHOUT ROWID",
    "CREATE TABLE sandbox_bulk_job (id TEXT PRIMARY KEY, job TEXT NOT NULL) WITHOUT ROWID",
    SETTINGS,
    "INSERT INTO sandbox_setting VALUES ('data_version', '1')",
)


def quoted(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def column_definition(item: Field) -> str:
    """A field's column; booleans are never null, as on the wire."""
    kind = COLUMN_TYPES.get(item.type, "TEXT")
    if item.name == "Id":
        return f"{quoted(item.name)} TEXT NOT NULL"
    if item.type == "boolean":
        return f"{quoted(item.name)} INTEGER NOT NULL DEFAULT 0"
    return f"{quoted(item.name)} {kind}"


def create_tables(connection: sqlite3.Connection, catalog: Catalog) -> None:
    """Makes every table, without indexes, so that generated rows load fast."""
    for statement in OWN_TABLES:
        connection.execute(statement)
    for item in catalog.objects.values():
        columns = ", ".join(column_definition(part) for part in item.fields.values() if not part.is_compound)
        connection.execute(f"CREATE TABLE {quoted(item.name)} ({columns})")


def add_missing_tables(connection: sqlite3.Connection, catalog: Catalog) -> None:
    """Makes what a state directory of an older sandbox lacks."""
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    missing = {name: item for name, item in catalog.objects.items() if item.table not in there}
    for item in missing.values():
        columns = ", ".join(column_definition(part) for part in item.fields.values() if not part.is_compound)
        connection.execute(f"CREATE TABLE {quoted(item.name)} ({columns})")
        connection.execute(f"CREATE UNIQUE INDEX {quoted(item.name + '_Id')} ON {quoted(item.name)} (Id)")
    connection.execute("CREATE INDEX IF NOT EXISTS sandbox_deleted_at ON sandbox_delete_log (deleted_at)")


def create_indexes(connection: sqlite3.Connection, catalog: Catalog) -> None:
    """Indexes what Salesforce indexes: ids, stamps, references that queries join by, external ids, e-mail."""
    for item in catalog.objects.values():
        connection.execute(f"CREATE UNIQUE INDEX {quoted(item.name + '_Id')} ON {quoted(item.name)} (Id)")
        for columns, suffix in _indexed(item):
            connection.execute(f"CREATE INDEX {quoted(f'{item.name}_{suffix}')} ON {quoted(item.name)} ({columns})")
    connection.execute("PRAGMA analysis_limit = 1000")
    connection.execute("ANALYZE")


def _indexed(item: SObject) -> Iterable[tuple[str, str]]:
    for stamp in ("SystemModstamp", "LastModifiedDate"):
        if item.field(stamp):
            yield f"{stamp}, Id", stamp
    for part in item.fields.values():
        if part.external_id:
            # External ids match in any case unless the field is case-sensitive.
            collation = "" if part.case_sensitive else " COLLATE NOCASE"
            yield f"{quoted(part.name)}{collation}", part.name
        elif part.type == "reference" and part.name in ("AccountId", "ContactId", "Contact__c", "Account__c"):
            yield quoted(part.name), part.name
        elif part.name == "Email":
            yield f"{quoted(part.name)} COLLATE NOCASE", part.name

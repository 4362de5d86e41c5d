"""The organization's tables in SQLite: one for each Dataverse table, named by its logical name.

The storage convention: a column for each stored attribute, by logical name, in the wire's own form. GUIDs are text in
lower case; instants `2024-01-15T13:45:07Z` and dates `2024-01-15` text; whole numbers, doubles and choices numbers;
booleans 0/1; Decimal and Money text in plain notation with as many decimals as the attribute has; multi-selects
`2,3,8`. A lookup `x` is a column `x` with the GUID, and `x__type` with the target's logical name where it has several
targets. `versionnumber` comes from one counter for all tables.
"""

import sqlite3
from collections.abc import Iterator

from crosstie.sandbox.database import SETTINGS
from crosstie.sandbox.dynamics.tables import TABLES, Attribute, AttributeType, Table
from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.late_writes import LATE_WRITES

_NUMBERS = {
    AttributeType.INTEGER: "INTEGER",
    AttributeType.BIG_INT: "INTEGER",
    AttributeType.BOOLEAN: "INTEGER",
    AttributeType.PICKLIST: "INTEGER",
    AttributeType.STATE: "INTEGER",
    AttributeType.STATUS: "INTEGER",
    AttributeType.DOUBLE: "REAL",
}

OWN_TABLES = (
    "CREATE TABLE sandbox_version (last INTEGER NOT NULL)",
    "INSERT INTO sandbox_version VALUES (1000000)",
    "CREATE TABLE deleted (entity TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, at TEXT NOT NULL)",
    "CREATE INDEX deleted_version ON deleted (entity, version)",
    LATE_WRITES,
    "CREATE TABLE sandbox_file (entity TEXT NOT NULL, id TEXT NOT NULL, attribute TEXT NOT NULL, content BLOB NOT NULL,"
    " PRIMARY KEY (entity, id, attribute)) WITHOUT ROWID",
    "CREATE TABLE sandbox_token (token TEXT PRIMARY KEY, user_id TEXT NOT NULL, resource TEXT NOT NULL,"
    " expires REAL NOT NULL) WITHOUT ROWID",
    SETTINGS,
)


def columns(table: Table) -> Iterator[tuple[str, str]]:
    """Every column of a table with its SQL type."""
    for one in table.stored:
        yield one.logical_name, _NUMBERS.get(one.type, "TEXT")
        if one.type_column:
            yield one.type_column, "TEXT"


def create_tables(connection: sqlite3.Connection) -> None:
    """Makes every table, without indexes, so that generated rows load fast."""
    for statement in OWN_TABLES:
        connection.execute(statement)
    for table in TABLES.values():
        listed = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns(table))
        connection.execute(f"CREATE TABLE {quoted(table.logical_name)} ({listed})")


def create_indexes(connection: sqlite3.Connection) -> None:
    """Makes the indexes: of keys, stamps, versions and lookups.

    Alternate keys compare without case, as the service's collation does, and rows without a value never collide.
    """
    for table in TABLES.values():
        name = table.logical_name
        connection.execute(f"CREATE UNIQUE INDEX {quoted(name + '_id')} ON {quoted(name)} ({quoted(table.primary_id)})")
        for key in table.keys:
            listed = ", ".join(f"{quoted(part)} COLLATE NOCASE" for part in key.attributes)
            connection.execute(f"CREATE UNIQUE INDEX {quoted(key.logical_name)} ON {quoted(name)} ({listed})")
        for column in _indexed(table):
            index = quoted(f"{name}_{column.logical_name}")
            connection.execute(f"CREATE INDEX {index} ON {quoted(name)} ({quoted(column.logical_name)})")


def _indexed(table: Table) -> list[Attribute]:
    """Stamps and versions, and the lookups that a relationship is followed back by."""
    stamps = ("modifiedon", "versionnumber")
    return [one for name, one in table.attributes.items() if name in stamps or one.collections]

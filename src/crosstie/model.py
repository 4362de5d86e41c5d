"""The few types that really cross rooms; every other type lives with its noun."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class ColumnType(StrEnum):
    """What a column holds, the same on both databases. In brackets: PostgreSQL type / SQLite storage.

    TEXT (text collate "C" / TEXT), INTEGER (bigint / INTEGER), DECIMAL (numeric / NUMERIC, at most 15 significant
    digits), FLOAT (double precision / REAL), BOOLEAN (boolean / INTEGER 0 or 1), DATE (date / TEXT YYYY-MM-DD),
    INSTANT (timestamptz / TEXT YYYY-MM-DDTHH:MM:SS.ffffffZ, always UTC), WALL_CLOCK (timestamp / TEXT
    YYYY-MM-DDTHH:MM:SS.ffffff, a time without zone), TIME (time / TEXT HH:MM:SS.ffffff), SET (text / TEXT: the values
    sorted, each once, joined by ';', so that equal sets are equal texts), BINARY (bytea / BLOB).
    """

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"
    WALL_CLOCK = "wall_clock"
    TIME = "time"
    SET = "set"
    BINARY = "binary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table or work table. `length` in characters (0: no limit); `scale` decimals of a DECIMAL."""

    name: str
    type: ColumnType
    label: str = ""
    length: int = 0
    scale: int = 0
    nullable: bool = True

    def named(self, name: str) -> Column:
        """The same column under another name."""
        return replace(self, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of people's, as reflected from the database. `key` names the primary key's columns in order."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()

    def column(self, name: str) -> Column | None:
        """The column with that exact name, else the only one that matches without regard to case."""
        return find_column(self.columns, name)


def find_column(columns: tuple[Column, ...], name: str) -> Column | None:
    """The column with that name: exact, else without regard to case and to a leading '@' if only one matches."""
    wanted = name.removeprefix("@")
    for column in columns:
        if column.name == wanted:
            return column
    found = [column for column in columns if column.name.lower() == wanted.lower()]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a work table's rows come from: which account, org and object, which column is the remote id,
    which the change stamp, and which columns carry which remote field unchanged (column name → field name).
    `gone`: the records were deleted on the CRM, at their stamp."""

    account: str
    org: str
    object: str
    remote_id: str
    stamp: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link made upstream (by an enrichment): the work table's `column` holds the key of a row of `table`, or null."""

    name: str
    table: str
    column: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTable:
    """The population behind a transition: an SQL table (or view) of ours, never changed once published.

    `name` is without namespace (`w_12_40_ok` for `crosstie.w_12_40_ok`); `bases` names the work tables that a view
    stands on; `key` the columns that together are unique in it, when that is known; `dimension` the table of people's
    whose rows it identifies."""

    name: str
    columns: tuple[Column, ...]
    rows: int
    lineage: Lineage | None = None
    links: tuple[Link, ...] = ()
    key: tuple[str, ...] = ()
    dimension: str = ""
    bases: tuple[str, ...] = ()

    def column(self, name: str) -> Column | None:
        """The column with that name, see `find_column`."""
        return find_column(self.columns, name)


LABEL = "@label"
"""Behind the name of a remote field: its value as people see it in the CRM, where that tells such labels."""


class FieldType(StrEnum):
    """What a remote field holds; the wire text of each is what `crm` delivers and `schema.conversions` parses.
    WALL_CLOCK is a date and time that means the same hour in every zone, whatever offset the wire writes behind it."""

    ID = "id"
    REFERENCE = "reference"
    TEXT = "text"
    ENUMERATION = "enumeration"
    SET = "set"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    WALL_CLOCK = "wall_clock"
    TIME = "time"
    BINARY = "binary"
    COMPOUND = "compound"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumerationValue:
    """One entry of a closed list: `name` is what travels on the wire, `label` what people see.

    `labels` are those of further languages, (language, label), where the CRM tells them. `valid_for`: the values of the
    field's controller with which it may be chosen; empty means with any."""

    name: str
    label: str
    active: bool = True
    default: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    valid_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteField:
    """A CRM column. `wire_type` is the CRM's own word for the type, `parts` the fields a compound is offered as.

    Of an enumeration: `restricted` lists take nothing else, `controller` names the field on which its values depend,
    `value_set` the list of the CRM's that several fields share."""

    name: str
    label: str
    type: FieldType
    wire_type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    nullable: bool = True
    createable: bool = False
    updateable: bool = False
    filterable: bool = True
    sortable: bool = True
    external_id: bool = False
    unique: bool = False
    calculated: bool = False
    custom: bool = False
    restricted: bool = False
    case_sensitive: bool = False
    reference_to: tuple[str, ...] = ()
    relationship: str = ""
    part_of: str = ""
    parts: tuple[str, ...] = ()
    values: tuple[EnumerationValue, ...] = ()
    controller: str = ""
    value_set: str = ""

    def leads_to(self, chosen: str = "") -> str | None:
        """The object that a reference leads to, of several the chosen one, without regard to case; None when it does
        not lead there."""
        if not chosen:
            return self.reference_to[0] if self.reference_to else None
        return next((one for one in self.reference_to if one.lower() == chosen.lower()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteObject:
    """A CRM table as described. `index_fields` are those fit for an automatic index, in the documented order;
    `safe_index` is the one we recommend. `fingerprint` changes when the description does. `tracks_changes`: the CRM
    tells what changed since a token of its own. `sorts_or_filters`: a read is ordered or filtered, never both.
    `collection` is what it calls the set of its records, where that is not
    the object's name."""

    name: str
    label: str
    label_plural: str
    key: str
    fields: tuple[RemoteField, ...]
    index_fields: tuple[str, ...] = ()
    safe_index: str = ""
    custom: bool = False
    readable: bool = True
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    tracks_deletions: bool = False
    tracks_changes: bool = False
    sorts_or_filters: bool = False
    fingerprint: str = ""
    collection: str = ""

    def field(self, name: str) -> RemoteField | None:
        """The field with that API name, without regard to case."""
        wanted = name.lower()
        return next((field for field in self.fields if field.name.lower() == wanted), None)

    def link(self, relationship: str) -> RemoteField | None:
        """The reference that is followed by that name, without regard to case."""
        wanted = relationship.lower()
        return next((one for one in self.fields if one.relationship and one.relationship.lower() == wanted), None)

    def name_by_label(self, label: str) -> str:
        """The API name of the field that people see under that label; '' when none or several have it."""
        wanted = label.casefold()
        found = [field.name for field in self.fields if field.label.casefold() == wanted]
        return found[0] if len(found) == 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRange:
    """The part of an object that an import reads: `field` >= start and < end, both aware UTC.

    `start` None means from the beginning; then rows whose index field is empty are included.
    """

    field: str
    start: datetime | None
    end: datetime

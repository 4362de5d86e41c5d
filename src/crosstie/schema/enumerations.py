"""Enumerations: closed lists of values of ours, which may follow picklists of CRMs, as the database keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from crosstie.db.audit import record, who
from crosstie.db.database import Transaction, instant_text, parse_instant
from crosstie.db.statements import quote_identifier
from crosstie.model import ColumnType, EnumerationValue

_SEPARATOR = ";"


class Unknown(StrEnum):
    """What an import does with values that the list does not have."""

    REPORT = "report"
    ADD = "add"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A remote field that an enumeration follows."""

    account: str
    object: str
    field: str

    def __str__(self) -> str:
        return f"{self.account} {self.object}.{self.field}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enumeration:
    """A closed list; its values are in the order in which people see them.

    `replaces`: a synchronisation makes the values those of the CRM; else it only adds new ones. `columns` are the
    columns of people's tables, (table, column), that hold its values."""

    name: str
    label: str = ""
    values: tuple[EnumerationValue, ...] = ()
    replaces: bool = False
    on_unknown: Unknown = Unknown.REPORT
    sources: tuple[Source, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    synced_at: datetime | None = None

    def value(self, name: str) -> EnumerationValue | None:
        """The value of that name, exactly as it travels."""
        return next((one for one in self.values if one.name == name), None)


_ENUMERATION = "select name, label, replaces, on_unknown, synced_at from crosstie.enumeration"


def enumerations(transaction: Transaction) -> tuple[Enumeration, ...]:
    """All enumerations by name."""
    return tuple(_read(transaction, row) for row in transaction.rows(f"{_ENUMERATION} order by name"))


def find_enumeration(transaction: Transaction, name: str) -> Enumeration | None:
    """The enumeration of that name, None when there is none."""
    row = transaction.row(f"{_ENUMERATION} where name = :name", {"name": name})
    return _read(transaction, row) if row else None


def followed_by(transaction: Transaction, account: str, remote_object: str) -> Mapping[str, str]:
    """The enumerations that follow fields of an object, by field."""
    rows = transaction.rows(
        "select field, enumeration from crosstie.enumeration_source where account = :account and object = :object",
        {"account": account, "object": remote_object},
    )
    return {str(field): str(name) for field, name in rows}


def on_unknown(transaction: Transaction, name: str) -> Unknown:
    """What an enumeration says that imports do with values that it does not have."""
    row = transaction.row("select on_unknown from crosstie.enumeration where name = :name", {"name": name})
    return Unknown(str(row[0])) if row else Unknown.IGNORE


def lock_enumeration(transaction: Transaction, name: str) -> None:
    """Comes before what is decided by the values that an enumeration has."""
    transaction.lock(f"enumeration {name}")


def store_enumeration(
    transaction: Transaction, wanted: Enumeration, before: Enumeration | None, action: str, now: datetime
) -> None:
    """Makes the enumeration what is wanted; what changed is recorded with who did it. Nothing is written where nothing
    differs but the time of the synchronisation."""
    by = who()
    transaction.execute(
        "insert into crosstie.enumeration (name, label, replaces, on_unknown, synced_at, changed_at, changed_by)"
        " values (:name, :label, :replaces, :unknown, :synced, :now, :by) on conflict (name) do update set"
        " label = excluded.label, replaces = excluded.replaces, on_unknown = excluded.on_unknown,"
        " synced_at = excluded.synced_at, changed_at = excluded.changed_at, changed_by = excluded.changed_by",
        {
            "name": wanted.name,
            "label": wanted.label,
            "replaces": int(wanted.replaces),
            "unknown": wanted.on_unknown.value,
            "synced": instant_text(wanted.synced_at) if wanted.synced_at else None,
            "now": instant_text(now),
            "by": by,
        },
    )
    if before is None or before.values != wanted.values:
        _store_values(transaction, wanted)
    if before is None or before.sources != wanted.sources:
        _store_sources(transaction, wanted)
    if before is None or before.columns != wanted.columns:
        _store_columns(transaction, wanted)
    told = _told(before) if before is not None else ""
    if told != _told(wanted):
        record(transaction, now, action, f"enumeration {wanted.name}", told, _told(wanted))


def remove_enumeration(transaction: Transaction, gone: Enumeration, now: datetime) -> None:
    """Removes an enumeration with its values; columns that hold them stay as they are."""
    for table, key in (
        ("enumeration_value", "enumeration"),
        ("enumeration_source", "enumeration"),
        ("enumeration_column", "enumeration"),
        ("enumeration", "name"),
    ):
        transaction.execute(f"delete from crosstie.{table} where {key} = :name", {"name": gone.name})
    record(transaction, now, "delete", f"enumeration {gone.name}", _told(gone), "")


def unknown_values(
    transaction: Transaction, table: str, column: str, kind: ColumnType, enumeration: str, most: int
) -> tuple[str, ...]:
    """The values in a column of a work table that the enumeration does not have, at most so many of them, by name; of
    sets, the single values."""
    quoted = quote_identifier(column)
    found = f"select distinct {quoted} as value from crosstie.{table} where {quoted} is not null"
    prefix = ""
    if kind is ColumnType.SET:
        prefix, found = _taken_apart(transaction, found), "select distinct value from pieces where value <> ''"
    rows = transaction.rows(
        f"{prefix}select f.value from ({found}) f where not exists (select 1 from crosstie.enumeration_value v"
        " where v.enumeration = :enumeration and v.name = f.value) order by f.value limit :most",
        {"enumeration": enumeration, "most": most},
    )
    return tuple(str(row[0]) for row in rows)


def _taken_apart(transaction: Transaction, sets: str) -> str:
    """`pieces`, the single values of sets."""
    place = "instr" if transaction.dialect == "sqlite" else "strpos"
    cut = f"{place}(rest, '{_SEPARATOR}')"
    return (
        # An empty part of the text, and no '': PostgreSQL wants one collation throughout.
        f"with recursive pieces(value, rest) as (select substr(value, 1, 0), value || '{_SEPARATOR}' from ({sets}) s"
        f" union all select substr(rest, 1, {cut} - 1), substr(rest, {cut} + 1) from pieces where rest <> '') "
    )


def add_values(transaction: Transaction, name: str, values: Sequence[str]) -> int:
    """Adds values that the enumeration does not have, at its end, labelled like themselves; how many."""
    lock_enumeration(transaction, name)
    row = transaction.row(
        "select coalesce(max(position), 0) from crosstie.enumeration_value where enumeration = :name", {"name": name}
    )
    last = int(row[0]) if row else 0
    return sum(
        transaction.execute(
            "insert into crosstie.enumeration_value (enumeration, name, position, label) values"
            " (:enumeration, :name, :position, :name) on conflict do nothing",
            {"enumeration": name, "name": value, "position": last + number},
        )
        for number, value in enumerate(values, 1)
    )


def rows_with(transaction: Transaction, table: str, column: str, value: str) -> int:
    """How many rows of a table of people's hold the value, alone or in a set; names come quoted."""
    row = transaction.row(
        f"select count(*) from {table} where replace(';' || {column} || ';', ';' || :value || ';', '')"
        f" <> ';' || {column} || ';'",
        {"value": value},
    )
    return int(row[0]) if row else 0


def _read(transaction: Transaction, row: Sequence[object]) -> Enumeration:
    name = {"name": str(row[0])}
    values = transaction.rows(
        "select name, label, active, is_default, labels, valid_for from crosstie.enumeration_value"
        " where enumeration = :name order by position, name",
        name,
    )
    sources = transaction.rows(
        "select account, object, field from crosstie.enumeration_source where enumeration = :name"
        " order by account, object, field",
        name,
    )
    columns = transaction.rows(
        "select table_name, column_name from crosstie.enumeration_column where enumeration = :name"
        " order by table_name, column_name",
        name,
    )
    return Enumeration(
        name=str(row[0]),
        label=str(row[1]),
        values=tuple(_value(one) for one in values),
        replaces=bool(row[2]),
        on_unknown=Unknown(str(row[3])),
        sources=tuple(Source(account=str(one[0]), object=str(one[1]), field=str(one[2])) for one in sources),
        columns=tuple((str(one[0]), str(one[1])) for one in columns),
        synced_at=parse_instant(str(row[4])) if row[4] else None,
    )


def _value(row: Sequence[object]) -> EnumerationValue:
    return EnumerationValue(
        name=str(row[0]),
        label=str(row[1]),
        active=bool(row[2]),
        default=bool(row[3]),
        labels=tuple(msgspec.json.decode(str(row[4]), type=dict[str, str]).items()),
        valid_for=msgspec.json.decode(str(row[5]), type=tuple[str, ...]),
    )


def _store_values(transaction: Transaction, wanted: Enumeration) -> None:
    name = {"enumeration": wanted.name}
    transaction.execute("delete from crosstie.enumeration_value where enumeration = :enumeration", name)
    for position, one in enumerate(wanted.values, 1):
        transaction.execute(
            "insert into crosstie.enumeration_value"
            " (enumeration, name, position, label, active, is_default, labels, valid_for) values"
            " (:enumeration, :name, :position, :label, :active, :default, :labels, :valid_for)",
            {
                **name,
                "name": one.name,
                "position": position,
                "label": one.label,
                "active": int(one.active),
                "default": int(one.default),
                "labels": msgspec.json.encode(dict(one.labels)).decode(),
                "valid_for": msgspec.json.encode(one.valid_for).decode(),
            },
        )


def _store_sources(transaction: Transaction, wanted: Enumeration) -> None:
    transaction.execute(
        "delete from crosstie.enumeration_source where enumeration = :name",
        {"name": wanted.name},
    )
    for one in wanted.sources:
        transaction.execute(
            "insert into crosstie.enumeration_source (account, object, field, enumeration) values"
            " (:account, :object, :field, :name) on conflict (account, object, field) do update set"
            " enumeration = excluded.enumeration",
            {"account": one.account, "object": one.object, "field": one.field, "name": wanted.name},
        )


def _store_columns(transaction: Transaction, wanted: Enumeration) -> None:
    transaction.execute("delete from crosstie.enumeration_column where enumeration = :name", {"name": wanted.name})
    for table, column in wanted.columns:
        transaction.execute(
            "insert into crosstie.enumeration_column (enumeration, table_name, column_name)"
            " values (:name, :table, :column)",
            {"name": wanted.name, "table": table, "column": column},
        )


def _told(one: Enumeration) -> str:
    """An enumeration in a line of the audit."""
    values = "; ".join(f"{value.name}={value.label}{'' if value.active else ' (inactive)'}" for value in one.values)
    return f"{'replaces' if one.replaces else 'adds'}, {one.on_unknown.value}: {values}"

"""Rows of a table as the objects of an answer, with the annotations that were asked for.

Sources: Dataverse Web API guide, "Select columns using OData" and "Request annotations".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from crosstie.sandbox.dynamics.errors import unknown_property
from crosstie.sandbox.dynamics.odata.rules import Rules
from crosstie.sandbox.dynamics.odata.values import EXACT, WHOLE
from crosstie.sandbox.dynamics.preferences import FORMATTED, LOOKUP_TABLE, NAVIGATION, Preferences
from crosstie.sandbox.dynamics.table import CHOICES, Attribute, AttributeType, Option, Table
from crosstie.sandbox.fragments import quoted

ETAG = "@odata.etag"
Row = Sequence[Any]
Record = dict[str, Any]
Names = Mapping[tuple[str, str], str]
"""The primary names of referenced records by table and id."""


@dataclass(frozen=True, slots=True)
class Member:
    """A property of the rows: its attribute, and where its value (and the target's table) stand in a SQL row."""

    key: str
    attribute: Attribute
    at: int
    type_at: int | None
    options: Sequence[Option] = ()

    def target(self, row: Row) -> str:
        """The table that a lookup's value is of."""
        targets = self.attribute.targets
        named = row[self.type_at] if self.type_at is not None else None
        return str(named) if named else targets[0] if targets else ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What rows of a table look like: the SQL columns to select, and how their values become members."""

    table: Table
    columns: tuple[str, ...]
    members: tuple[Member, ...]
    versioned: bool

    @property
    def width(self) -> int:
        """How many SQL columns there are."""
        return len(self.columns)

    def member(self, attribute: Attribute) -> Member:
        """The place of an attribute that was selected, or needed."""
        return next(one for one in self.members if one.attribute is attribute)

    def records(self, rows: Iterable[Row], shown: int, wanted: Preferences, names: Names) -> list[Record]:
        """The objects of rows; the first `shown` members appear."""
        members = self.members[:shown]
        if any(wanted.wants(one) for one in (FORMATTED, LOOKUP_TABLE, NAVIGATION)):
            return [self._annotated(row, members, wanted, names) for row in rows]
        keys = ([ETAG] if self.versioned else []) + [one.key for one in members]
        converted = [(one.key, convert) for one in members if (convert := converter(one.attribute)) is not None]
        found = []
        for row in rows:
            record = dict(zip(keys, row, strict=False))
            for key, convert in converted:
                value = record[key]
                if value is not None:
                    record[key] = convert(value)
            found.append(record)
        return found

    def _annotated(self, row: Row, members: Sequence[Member], wanted: Preferences, names: Names) -> Record:
        record: Record = {ETAG: row[0]} if self.versioned else {}
        for one in members:
            value = row[one.at]
            if value is None:
                record[one.key] = None
                continue
            record.update(_annotations(one, row, wanted, names))
            convert = converter(one.attribute)
            record[one.key] = value if convert is None else convert(value)
        return record


def shape(
    table: Table,
    alias: str,
    select: Sequence[str] | None,
    needed: Iterable[Attribute],
    rules: Rules,
) -> tuple[Shape, int]:
    """The shape of a $select (None: every column), with the number of members that appear.

    The primary key always appears; `needed` are attributes to fetch besides; columns that the rules hide are null.
    Raises QueryError for an unknown name.
    """
    chosen = [one for one in table.attributes.values() if one.selectable] if select is None else _named(table, select)
    primary = table.attributes[table.primary_id]
    chosen = list(dict.fromkeys([*chosen, primary]))
    besides = [one for one in dict.fromkeys(needed) if one not in chosen]
    versioned = "versionnumber" in table.attributes
    columns = [f"'W/\"' || {alias}.versionnumber || '\"'"] if versioned else []
    start = len(columns)
    everything = [*chosen, *besides]
    for one in everything:
        shown = one.stored and f"{table.logical_name}.{one.logical_name}" not in rules.hidden
        columns.append(f"{alias}.{quoted(one.logical_name)}" if shown else "NULL")
    members = []
    for at, one in enumerate(everything, start):
        type_at = None
        if one.type_column is not None:
            type_at = len(columns)
            columns.append(f"{alias}.{quoted(one.type_column)}")
        options = rules.choices.get(f"{table.logical_name}.{one.logical_name}", one.options)
        members.append(Member(one.property_name, one, at, type_at, options))
    return Shape(table, tuple(columns), tuple(members), versioned), len(chosen)


def _named(table: Table, select: Sequence[str]) -> list[Attribute]:
    found = []
    for name in select:
        one = table.property(name)
        if one is not None and one.selectable:
            found.append(one)
        elif table.navigated(name) is None:
            raise unknown_property(name, table.logical_name)
    return found


def converter(attribute: Attribute) -> Callable[[Any], Any] | None:
    """What makes the JSON value of a stored one; None where they are the same."""
    if attribute.type is AttributeType.BOOLEAN:
        return bool
    if attribute.type is AttributeType.DOUBLE:
        return float
    if attribute.type in EXACT:
        places = 4 if attribute.type is AttributeType.MONEY else attribute.precision or 0
        return lambda value: msgspec.Raw(f"{Decimal(str(value)):.{places}f}".encode())
    return None


def _annotations(member: Member, row: Row, wanted: Preferences, names: Names) -> Record:
    found: Record = {}
    value, attribute = row[member.at], member.attribute
    if wanted.wants(FORMATTED):
        text = names.get((member.target(row), value)) if attribute.is_lookup else formatted(member, value)
        if text is not None:
            found[f"{member.key}@{FORMATTED}"] = text
    if attribute.is_lookup:
        target = member.target(row)
        navigation = attribute.navigation.get(target)
        if wanted.wants(NAVIGATION) and navigation is not None:
            found[f"{member.key}@{NAVIGATION}"] = navigation
        if wanted.wants(LOOKUP_TABLE):
            found[f"{member.key}@{LOOKUP_TABLE}"] = target
    return found


def formatted(member: Member, value: Any) -> str | None:
    """A value as people in the United States read it; None for what has no such form."""
    attribute, kind = member.attribute, member.attribute.type
    if kind in CHOICES or kind is AttributeType.BOOLEAN:
        return next((one.label for one in member.options if one.value == value), str(value))
    if kind is AttributeType.MULTI_SELECT:
        labels = {str(one.value): one.label for one in member.options}
        return "; ".join(labels.get(piece, piece) for piece in str(value).split(","))
    if kind in WHOLE:
        return f"{value:,}"
    if kind is AttributeType.MONEY:
        amount = Decimal(str(value))
        return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"
    if kind is AttributeType.DECIMAL or kind is AttributeType.DOUBLE:
        return f"{Decimal(str(value)):,.{attribute.precision or 0}f}"
    if kind is AttributeType.DATE_TIME:
        return _formatted_time(attribute, str(value))
    return None


def _formatted_time(attribute: Attribute, text: str) -> str:
    moment = datetime.fromisoformat(text.removesuffix("Z"))
    day = f"{moment.month}/{moment.day}/{moment.year:04d}"
    if attribute.behavior == "DateOnly" or attribute.format == "DateOnly":
        return day
    return f"{day} {moment.hour % 12 or 12}:{moment.minute:02d} {'AM' if moment.hour < 12 else 'PM'}"

"""Evaluates query structures over lists of rows in plain Python. Shares nothing with the engine it judges."""

from __future__ import annotations

import functools
import operator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from .org import CASE_SENSITIVE, CHILDREN, KINDS, PARENTS, TYPES, Row, Rows, stored
from .queries import Aggregate, Compare, DateWord, Includes, Joined, Kids, Not, OneOf, Order, Path, Query, Semi

_ORDERED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def plain(text: str) -> str:
    """Text as it compares: each character's upper case if that is one character; ASCII only meets ASCII."""
    result = ""
    for character in text:
        upper = character.upper()
        crosses = upper.isascii() and not character.isascii()
        result += upper if len(upper) == 1 and not crosses else character
    return result


class Evaluator:
    """Answers query structures from rows."""

    def __init__(self, rows: Rows, now: datetime, zone: ZoneInfo, *, all_rows: bool = False) -> None:
        self.rows = rows
        self.by_id = {row["Id"]: row for table in rows.values() for row in table}
        self.today = now.astimezone(zone).date()
        self.zone = zone
        self.all_rows = all_rows

    # -- values

    def get(self, owner: str, row: Row | None, path: Path) -> Any:
        """The value at a path from a row; null behind a missing parent, except that booleans are false there."""
        if len(path) == 1:
            if row is None:
                return False if TYPES[owner][path[0]] == "boolean" else None
            return row[path[0]]
        field, parent = PARENTS[owner, path[0]]
        return self.get(parent, None if row is None else self.by_id.get(row[field] or ""), path[1:])

    def kind(self, owner: str, path: Path) -> str:
        """The describe type at a path."""
        for name in path[:-1]:
            owner = PARENTS[owner, name][1]
        return TYPES[owner][path[-1]]

    # -- conditions

    def holds(self, owner: str, row: Row, condition: Any) -> bool:
        """Whether a row meets a condition; what isn't true of a null is false, and its negation true."""
        match condition:
            case None:
                return True
            case Joined("AND", parts):
                return all(self.holds(owner, row, part) for part in parts)
            case Joined("OR", parts):
                return any(self.holds(owner, row, part) for part in parts)
            case Not(part):
                return not self.holds(owner, row, part)
            case OneOf(path, negated, values):
                found = any(self._compare(owner, row, path, "=", value) for value in values)
                return found != negated
            case Includes(path, negated, choices):
                chosen = {plain(value) for value in self.get(owner, row, path) or ()}
                found = any(all(plain(value) in chosen for value in choice) for choice in choices)
                return found != negated
            case Semi(path, negated, inner_owner, inner_field, inside):
                ids = {
                    inner[inner_field]
                    for inner in self.visible(inner_owner)
                    if inner[inner_field] is not None and self.holds(inner_owner, inner, inside)
                }
                return (self.get(owner, row, path) in ids) != negated
            case Compare(path, sign, value):
                return self._compare(owner, row, path, sign, value)
        raise AssertionError(condition)

    def _compare(self, owner: str, row: Row, path: Path, sign: str, value: Any) -> bool:
        if sign in ("!=", "<>"):
            return not self._compare(owner, row, path, "=", value)
        kind = self.kind(owner, path)
        return self.matches(self.get(owner, row, path), kind, sign, value, path[-1] in CASE_SENSITIVE)

    def matches(self, have: Any, kind: str, sign: str, value: Any, sensitive: bool = False) -> bool:
        """One comparison of a value with a literal."""
        if kind == "boolean":
            return bool(have) == bool(value)
        if value is None or value == "":
            return have is None if sign in ("=", "LIKE") else False
        if have is None:
            return False
        if isinstance(value, DateWord):
            return self._on_days(have, sign, value)
        if sign == "LIKE":
            return like(have if sensitive else plain(have), tuple_of(value, sensitive))
        if kind == "multipicklist":
            return {plain(part) for part in have} == {plain(part) for part in value}
        if isinstance(value, str) and kind in ("id", "reference"):
            value = self._full_id(value)
        elif isinstance(value, str) and not sensitive:
            have, value = plain(have), plain(value)
        return bool(have == value) if sign == "=" else bool(_ORDERED[sign](have, value))

    def _full_id(self, text: str) -> str:
        return next((known for known in self.by_id if known[:15] == text[:15]), text)

    def _on_days(self, have: Any, sign: str, value: DateWord) -> bool:
        day = have.astimezone(self.zone).date() if isinstance(have, datetime) else have
        side = position(day, self.today, value)
        return {"=": side == 0, "<": side < 0, "<=": side <= 0, ">": side > 0, ">=": side >= 0}[sign]

    # -- rows

    def visible(self, owner: str) -> list[Row]:
        """The rows that a query of an object sees at all."""
        return [row for row in self.rows[owner] if self.all_rows or not row["IsDeleted"]]

    def ordered(self, owner: str, rows: list[Row], order: tuple[Order, ...]) -> list[Row]:
        """Rows sorted as ORDER BY says, the Id last."""
        rows = sorted(rows, key=lambda row: str(row["Id"]))
        for item in reversed(order):
            keyed = [(self._sort_key(owner, row, item.operand), row) for row in rows]
            rows = [row for _, row in sort_nulls(keyed, item)]
        return rows

    def _sort_key(self, owner: str, row: Row, path: Path) -> Any:
        return sort_key(self.get(owner, row, path), self.kind(owner, path), path[-1] in CASE_SENSITIVE)

    def answer(self, query: Query) -> list[dict[str, Any]]:
        """The records of a query that isn't grouped, as JSON without attributes of the root."""
        rows = [row for row in self.visible(query.owner) if self.holds(query.owner, row, query.condition)]
        rows = self.ordered(query.owner, rows, query.order)
        rows = rows[query.offset or 0 :]
        rows = rows if query.limit is None else rows[: query.limit]
        return [self.record(query.owner, row, query.select) for row in rows]

    def record(self, owner: str, row: Row, select: tuple[Any, ...]) -> dict[str, Any]:
        """One record with attributes, parents and child subqueries."""
        record: dict[str, Any] = {"attributes": attributes(owner, row)}
        for item in select:
            if isinstance(item, Kids):
                record[item.relationship] = self.kids(owner, row, item)
                continue
            here, at, where = record, row, owner
            for name in item[:-1]:
                field, where = PARENTS[where, name]
                parent = self.by_id.get(at[field] or "")
                if parent is None:
                    here[name] = None
                    break
                here = here.setdefault(name, {"attributes": attributes(where, parent)})
                at = parent
            else:
                here[item[-1]] = shown(at[item[-1]], TYPES[where][item[-1]])
        return record

    def kids(self, owner: str, row: Row, item: Kids) -> dict[str, Any] | None:
        """The nested result of a child subquery, null when it is empty."""
        child, field = CHILDREN[owner, item.relationship]
        rows = [kid for kid in self.visible(child) if kid[field] == row["Id"]]
        rows = self.ordered(child, [kid for kid in rows if self.holds(child, kid, item.condition)], item.order)
        rows = rows if item.limit is None else rows[: item.limit]
        if not rows:
            return None
        return {"totalSize": len(rows), "done": True, "records": [self.record(child, kid, item.fields) for kid in rows]}

    # -- groups

    def groups(self, query: Query) -> list[tuple[Any, ...]]:
        """The rows of a grouped query in the order of its first ORDER BY items, else in no order."""
        found: dict[tuple[Any, ...], list[Row]] = {}
        for row in self.visible(query.owner):
            if self.holds(query.owner, row, query.condition):
                key = tuple(self._group_key(query.owner, row, path) for path in query.groups)
                found.setdefault(key, []).append(row)
        if not query.groups:
            found = {(): [row for rows in found.values() for row in rows]}
        rows = [members for members in found.values() if self._kept(query, members)]
        for item in reversed(query.order):
            keyed = [(self._group_sort_key(query.owner, members, item.operand), members) for members in rows]
            rows = [members for _, members in sort_nulls(keyed, item)]
        return [tuple(self._group_value(query.owner, members, item) for item in query.select) for members in rows]

    def _kept(self, query: Query, members: list[Row]) -> bool:
        if query.having is None:
            return True
        value = self.aggregate(query.owner, members, query.having.path)
        wanted = query.having.value
        return (
            not self.matches(value, "int", "=", wanted)
            if query.having.operator == "!="
            else self.matches(value, "int", query.having.operator, wanted)
        )

    def _group_key(self, owner: str, row: Row, path: Path) -> Any:
        value = self.get(owner, row, path)
        folds = self.kind(owner, path) in ("string", "picklist") and path[-1] not in CASE_SENSITIVE
        return plain(value) if folds and value is not None else value

    def _group_value(self, owner: str, members: list[Row], item: Any) -> Any:
        if isinstance(item, Aggregate):
            return self.aggregate(owner, members, item)
        values = [self.get(owner, row, item) for row in members]
        return shown(min(values) if isinstance(values[0], str) else values[0], self.kind(owner, item))

    def _group_sort_key(self, owner: str, members: list[Row], operand: Any) -> Any:
        if isinstance(operand, Aggregate):
            return self.aggregate(owner, members, operand)
        return self._sort_key(owner, members[0], operand)

    def aggregate(self, owner: str, members: list[Row], item: Aggregate) -> Any:
        """COUNT, SUM and the rest over a group; nulls don't count."""
        kind = self.kind(owner, item.path)
        sensitive = item.path[-1] in CASE_SENSITIVE
        values = [value for row in members if (value := self.get(owner, row, item.path)) is not None]
        if item.function == "COUNT":
            return len(values)
        if item.function == "COUNT_DISTINCT":
            return len({sort_key(value, "string", sensitive or kind in ("id", "reference")) for value in values})
        if not values:
            return None
        if item.function in ("SUM", "AVG"):
            total = sum(values)
            return total / len(values) if item.function == "AVG" else total
        best = min if item.function == "MIN" else max
        return shown(best(values, key=lambda value: (sort_key(value, kind, sensitive), stored(value, kind))), kind)


def sort_nulls(keyed: list[tuple[Any, Any]], item: Order) -> list[tuple[Any, Any]]:
    """A stable sort by the keys; nulls first unless the item says last."""
    nulls = [pair for pair in keyed if pair[0] is None]
    rest = [pair for pair in keyed if pair[0] is not None]
    rest = sorted(rest, key=_first, reverse=item.descending)
    return rest + nulls if item.nulls == "LAST" else nulls + rest


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def sort_key(value: Any, kind: str, sensitive: bool) -> Any:
    """By what a value sorts: text without case, picklists by their list."""
    if value is None or not isinstance(value, str) or kind in ("id", "reference") or sensitive:
        return value
    if kind == "picklist":
        return (KINDS.index(value) if value in KINDS else len(KINDS), plain(value))
    return plain(value)


def shown(value: Any, kind: str) -> Any:
    """A value as JSON shows it."""
    return bool(value) if kind == "boolean" else stored(value, kind)


def attributes(owner: str, row: Row) -> dict[str, str]:
    """The attributes of a record."""
    return {"type": owner, "url": f"/services/data/v64.0/sobjects/{owner}/{row['Id']}"}


def tuple_of(pieces: tuple[Any, ...], sensitive: bool) -> tuple[Any, ...]:
    """A LIKE pattern as single characters and wildcards."""
    tokens: list[Any] = []
    for piece in pieces:
        tokens.extend([piece] if isinstance(piece, tuple) else (piece if sensitive else plain(piece)))
    return tuple(tokens)


def like(text: str, pattern: tuple[Any, ...]) -> bool:
    """Whether a text matches a pattern of characters, ("%",) and ("_",)."""

    @functools.cache
    def from_here(at: int, piece: int) -> bool:
        if piece == len(pattern):
            return at == len(text)
        wanted = pattern[piece]
        if wanted == ("%",):
            return any(from_here(later, piece + 1) for later in range(at, len(text) + 1))
        return at < len(text) and wanted in (("_",), text[at]) and from_here(at + 1, piece + 1)

    return from_here(0, 0)


def position(day: date, today: date, literal: DateWord) -> int:
    """-1, 0 or 1: a day before, in or after the span of a date literal."""
    low, high, unit = span(literal)
    index = unit_index(day, unit) - unit_index(today, unit)
    return -1 if index < low else int(index > high)


def span(literal: DateWord) -> tuple[int, int, str]:
    """First and last unit of a date literal, counted from the unit that holds today."""
    word, n = literal.word, literal.n
    fixed = {
        "TODAY": (0, 0),
        "YESTERDAY": (-1, -1),
        "TOMORROW": (1, 1),
        "LAST_90_DAYS": (-90, 0),
        "NEXT_90_DAYS": (1, 90),
    }
    if word in fixed:
        return (*fixed[word], "DAY")
    unit = next(name for name in ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR") if name in word)
    if n is None:
        shift = {"LAST": -1, "THIS": 0, "NEXT": 1}[word.split("_")[0]]
        return shift, shift, unit
    if word.endswith("_AGO"):
        return -n, -n, unit
    if word.startswith("NEXT"):
        return 1, n, unit
    return -n, 0 if unit == "DAY" else -1, unit


def unit_index(day: date, unit: str) -> int:
    """The number of the day, week (from Sunday), month, quarter or year that holds a day."""
    months = day.year * 12 + day.month - 1
    days = day.toordinal()
    return {"DAY": days, "WEEK": days // 7, "MONTH": months, "QUARTER": months // 3, "YEAR": day.year}[unit]

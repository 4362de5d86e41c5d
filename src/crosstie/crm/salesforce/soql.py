"""SOQL from a RemoteQuery: literals, conditions, windows, lists of ids, order (SOQL and SOSL reference)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote_plus

from crosstie.crm.conditions import long_list, several, without
from crosstie.crm.connector import Comparison, Condition, Operator, RemoteQuery
from crosstie.crm.salesforce.literals import (
    LITERAL_CHARACTERS,
    TEXTS,
    instant_literal,
    literal,
    text_literal,
    wire_instant,
)
from crosstie.errors import MappingError, RequestError
from crosstie.model import FieldType, IndexRange, RemoteField, RemoteObject

QUERY_CHARACTERS = 100_000
URI_BYTES = 16_384
"""Salesforce's limit of a URI together with the headers."""

HEADER_BYTES = 3_500
"""What is left for headers: a token in JWT form alone may take 2,000."""

_KEYSET_BYTES = 400
_ID_BYTES = 21
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?", re.ASCII)
_SIGNS = {
    Operator.EQUAL: "=",
    Operator.NOT_EQUAL: "!=",
    Operator.LESS: "<",
    Operator.AT_MOST: "<=",
    Operator.GREATER: ">",
    Operator.AT_LEAST: ">=",
    Operator.BEFORE: "<",
    Operator.AFTER: ">",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """One selected column: the name that was asked, the path in the CRM's own spelling, the field unless related."""

    asked: str
    path: str
    field: RemoteField | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyset:
    """Where an ordered read goes on: behind the row with that id, and that index value as wire text ('' for null);
    `stamp` None when the read is ordered by id only."""

    stamp: str | None
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a query's one long list of values: those from `start` up to `end`; `end` -1: there is no list."""

    start: int = 0
    end: int = -1


WHOLE = Part()


def selected(query: RemoteQuery) -> tuple[Selected, ...]:
    """The asked columns. Raises MappingError for a field that the object does not have or that cannot be read."""
    return tuple(select(query.object, name) for name in query.fields)


def select(remote: RemoteObject, name: str) -> Selected:
    """One column by field name or relationship path."""
    if "." not in name:
        field = readable_field(remote, name)
        return Selected(asked=name, path=field.name, field=field)
    first, *rest = name.split(".")
    link = next((one for one in remote.fields if one.relationship.lower() == first.lower()), None)
    if link is None or not all(_NAME.fullmatch(part) for part in rest):
        raise MappingError(
            f"{remote.name} has no relationship “{first}” for the field {name}.",
            hint=f"It has: {', '.join(sorted(one.relationship for one in remote.fields if one.relationship))}.",
        )
    return Selected(asked=name, path=".".join((link.relationship, *rest)), field=None)


def readable_field(remote: RemoteObject, name: str) -> RemoteField:
    """The field of that name. Raises MappingError when there is none, or when it has to be read by its parts."""
    found = remote.field(name)
    if found is None:
        raise MappingError(
            f"{remote.name} has no field “{name}”, or this user can't see it.",
            hint=f"Collect {remote.name} again if the field is new; grant access to it if it is hidden.",
        )
    if found.type is FieldType.COMPOUND:
        raise MappingError(
            f"{remote.name}.{found.name} is a compound ({found.wire_type}) and is read by its parts.",
            hint=f"Take {', '.join(found.parts)} instead.",
        )
    if found.type is FieldType.BINARY:
        raise MappingError(
            f"{remote.name}.{found.name} holds files (base64); they are not read.", hint="Leave the field out."
        )
    return found


def where(remote: RemoteObject, condition: Condition) -> str:
    """A condition, safe to join with others by AND and OR."""
    if isinstance(condition, Comparison):
        return _comparison(remote, condition)
    parts = [where(remote, item) for item in condition.items]
    if not parts:
        return never(remote, opposite=condition.all)
    joined = (" AND " if condition.all else " OR ").join(parts)
    return f"({joined})" if len(parts) > 1 else joined


def never(remote: RemoteObject, *, opposite: bool = False) -> str:
    """A condition that no record fulfils, or every one."""
    return f"{remote.key} {'!=' if opposite else '='} null"


def _comparison(remote: RemoteObject, comparison: Comparison) -> str:
    field = readable_field(remote, comparison.field)
    operator, value = comparison.operator, comparison.value
    if not field.filterable:
        raise RequestError(
            f"Salesforce can't filter by {remote.name}.{field.name} ({field.wire_type}).",
            hint="Filter by another field, or filter the rows after the import.",
        )
    if operator in {Operator.EMPTY, Operator.NOT_EMPTY}:
        return f"{field.name} {'=' if operator is Operator.EMPTY else '!='} null"
    if operator in {Operator.ONE_OF, Operator.INCLUDES}:
        values = several(value)
        if not values:
            return never(remote)
        word = "IN" if operator is Operator.ONE_OF else "INCLUDES"
        return f"{field.name} {word} ({','.join(literal(field, one) for one in values)})"
    if operator in {Operator.STARTS_WITH, Operator.CONTAINS}:
        if not isinstance(value, str) or field.type not in TEXTS:
            raise RequestError(f"“{operator}” compares texts; {field.name} ({field.wire_type}) or its value is none.")
        inner = text_literal(value, like=True)[1:-1]
        return f"{field.name} LIKE '{'%' if operator is Operator.CONTAINS else ''}{inner}%'"
    if value is None:
        raise RequestError(
            f"The filter on {field.name} has no value to compare with.", hint="Ask for “empty” or “not empty” instead."
        )
    return f"{field.name} {_SIGNS[operator]} {literal(field, value)}"


def _window(remote: RemoteObject, window: IndexRange) -> str:
    field = readable_field(remote, window.field)
    if field.type is not FieldType.DATETIME:
        raise RequestError(f"{remote.name}.{field.name} ({field.wire_type}) is no instant and can't be an index.")
    before_end = f"{field.name} < {instant_literal(window.end)}"
    if window.start is None:
        return f"({field.name} = null OR {before_end})"
    return f"({field.name} >= {instant_literal(window.start)} AND {before_end})"


def is_id(value: str) -> bool:
    """Whether a text has the form of a remote id: 15 or 18 letters and digits."""
    return _ID.fullmatch(value) is not None


def checked_id(value: str) -> str:
    """A remote id as it is. Raises RequestError for anything that is none."""
    if not is_id(value):
        raise RequestError(f"“{value[:40]}” is not a Salesforce id (15 or 18 letters and digits).")
    return value


def _list_values(query: RemoteQuery, comparison: Comparison) -> tuple[str, ...]:
    field = readable_field(query.object, comparison.field)
    return tuple(dict.fromkeys(literal(field, one) for one in several(comparison.value)))


def _part_of(query: RemoteQuery, part: Part) -> tuple[Condition | None, str]:
    """The condition without the list that is cut, and the part of the list as a condition ('' without a list)."""
    if query.ids is not None:
        ids = query.ids if part.end < 0 else query.ids[part.start : part.end]
        chosen = tuple(dict.fromkeys(f"'{checked_id(one)}'" for one in ids))
        return query.condition, f"{query.object.key} IN ({','.join(chosen)})" if chosen else never(query.object)
    comparison = long_list(query.condition) if part.end >= 0 else None
    if comparison is None:
        return query.condition, ""
    values = _list_values(query, comparison)[part.start : part.end]
    name = readable_field(query.object, comparison.field).name
    return without(query.condition, comparison), f"{name} IN ({','.join(values)})"


def render(
    query: RemoteQuery,
    columns: Sequence[str] | None,
    *,
    part: Part = WHOLE,
    keyset: Keyset | None = None,
    order: Sequence[str] = (),
) -> str:
    """The SOQL. `columns` None counts. `order` holds finished criteria. Raises RequestError when it gets too long."""
    text = _text(query, columns, part=part, keyset=keyset, order=order)
    if len(text) > QUERY_CHARACTERS:
        raise RequestError(
            f"The query on {query.object.name} has {len(text):,} characters; Salesforce allows {QUERY_CHARACTERS:,}.",
            hint="Ask for fewer fields or a shorter filter.",
            code="QUERY_TOO_LONG",
        )
    return text


def _text(
    query: RemoteQuery, columns: Sequence[str] | None, *, part: Part, keyset: Keyset | None, order: Sequence[str]
) -> str:
    remote = query.object
    conditions = []
    if query.window is not None:
        conditions.append(_window(remote, query.window))
    condition, listed = _part_of(query, part)
    if condition is not None:
        conditions.append(where(remote, condition))
    if listed:
        conditions.append(listed)
    if keyset is not None:
        conditions.append(_behind(query, keyset))
    text = f"SELECT {'COUNT()' if columns is None else ','.join(columns)} FROM {remote.name}"
    if conditions:
        text += f" WHERE {' AND '.join(conditions)}"
    if order:
        text += f" ORDER BY {','.join(order)}"
    return text


def _behind(query: RemoteQuery, keyset: Keyset) -> str:
    key = query.object.key
    last = f"'{checked_id(keyset.id)}'"
    if query.window is None or keyset.stamp is None:
        return f"{key} > {last}"
    name = readable_field(query.object, query.window.field).name
    if not keyset.stamp:  # nulls come last
        return f"({name} = null AND {key} > {last})"
    stamp = instant_literal(wire_instant(keyset.stamp))
    unstamped = f" OR {name} = null" if query.window.start is None else ""
    return f"({name} < {stamp}{unstamped} OR ({name} = {stamp} AND {key} > {last}))"


def keyset_order(query: RemoteQuery) -> tuple[str, ...]:
    """The order that lets a read go on behind any row, for queries that ask for none: index field, then id.

    The newest comes first. A page shows values of now in the order of when the read began, so its last row may have a
    newer stamp than it is placed by: going on behind that one reads some rows twice, where the other way round it
    would leave out all those between the two stamps."""
    key = query.object.key
    if query.window is None:
        return (key,)
    field = readable_field(query.object, query.window.field)
    return (f"{field.name} DESC NULLS LAST", key) if field.sortable else (key,)


def asked_order(query: RemoteQuery) -> tuple[str, ...]:
    """The asked order, with the id behind it so that equal rows have an order too."""
    criteria = []
    for one in query.order:
        field = readable_field(query.object, one.field)
        if not field.sortable:
            raise RequestError(
                f"Salesforce can't sort by {query.object.name}.{field.name} ({field.wire_type}).",
                hint="Order by another field, or sort the rows after the import.",
            )
        criteria.append(f"{field.name} {'DESC NULLS LAST' if one.descending else 'ASC NULLS FIRST'}")
    if all(one.field.lower() != query.object.key.lower() for one in query.order):
        criteria.append(query.object.key)
    return tuple(criteria)


def encoded(text: str) -> str:
    """The SOQL as the value of `q`; a raw `+` would mean a space (SalesforceSharp#4)."""
    return quote_plus(text, safe="(),:=!'*")


def fits_uri(query: RemoteQuery, columns: Sequence[str] | None, order: Sequence[str] = ()) -> bool:
    """Whether the query can travel in a URL as a whole."""
    return len(encoded(_text(query, columns, part=WHOLE, keyset=None, order=order))) + HEADER_BYTES <= URI_BYTES


def parts(query: RemoteQuery, columns: Sequence[str] | None, order: Sequence[str]) -> tuple[Part, ...]:
    """The parts into which a query must be cut so that each fits a URL; WHOLE alone when it fits as it is.

    Raises RequestError (code QUERY_TOO_LONG) when even one value at a time does not fit."""
    comparison: Comparison | None = None
    if query.ids is None:
        if fits_uri(query, columns, order):
            return (WHOLE,)
        comparison = long_list(query.condition)
    elif not query.ids:
        return ()
    shell = replace(query, ids=None, condition=without(query.condition, comparison) if comparison else query.condition)
    room = (
        URI_BYTES
        - HEADER_BYTES
        - len(encoded(_text(shell, columns, part=WHOLE, keyset=None, order=order)))
        - _KEYSET_BYTES
    )
    if (query.ids is None and comparison is None) or room < LITERAL_CHARACTERS // 10:
        raise RequestError(
            f"The query on {query.object.name} is too long for a URL ({URI_BYTES:,} bytes with headers).",
            hint="Ask for fewer fields or a shorter filter, or read it by Bulk (road: bulk).",
            code="QUERY_TOO_LONG",
        )
    if comparison is None:
        assert query.ids is not None
        step = room // _ID_BYTES
        return tuple(
            Part(start=start, end=min(start + step, len(query.ids))) for start in range(0, len(query.ids), step)
        )
    return tuple(_cut(_list_values(query, comparison), room))


def _cut(values: Sequence[str], room: int) -> Iterator[Part]:
    start, used = 0, 0
    for index, value in enumerate(values):
        size = len(encoded(value)) + 1
        if index > start and used + size > room:
            yield Part(start=start, end=index)
            start, used = index, 0
        used += size
    yield Part(start=start, end=len(values))

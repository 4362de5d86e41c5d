"""Generated queries as plain structures, and how each is written as SOQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

Path = tuple[str, ...]


@dataclass(frozen=True)
class DateWord:
    """A date literal: TODAY, or LAST_N_DAYS with its n."""

    word: str
    n: int | None = None

    def __str__(self) -> str:
        return self.word if self.n is None else f"{self.word}:{self.n}"


@dataclass(frozen=True)
class Compare:
    """`path operator value`, in HAVING with an aggregate for the path.

    The value of LIKE is a tuple of pieces: text, or ("%",) and ("_",) for the wildcards.
    """

    path: Any
    operator: str
    value: Any


@dataclass(frozen=True)
class OneOf:
    """`path [NOT] IN (values)`."""

    path: Path
    negated: bool
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Includes:
    """`path INCLUDES|EXCLUDES (choices)`, each choice a tuple of values that must all be there."""

    path: Path
    negated: bool
    choices: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Joined:
    """Conditions under AND or OR."""

    operator: str
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Not:
    """NOT (part)."""

    part: Any


@dataclass(frozen=True)
class Semi:
    """`path [NOT] IN (SELECT field FROM owner WHERE condition)`."""

    path: Path
    negated: bool
    owner: str
    field: str
    condition: Any


@dataclass(frozen=True)
class Order:
    """One item of ORDER BY; the operand is a path or an aggregate."""

    operand: Any
    descending: bool
    nulls: str | None


@dataclass(frozen=True)
class Aggregate:
    """`function(path)`."""

    function: str
    path: Path


@dataclass(frozen=True)
class Kids:
    """A child subquery."""

    relationship: str
    fields: tuple[Path, ...]
    condition: Any = None
    order: tuple[Order, ...] = ()
    limit: int | None = None


@dataclass(frozen=True)
class Query:
    """A query. With `groups` or aggregates in `select` its rows are groups."""

    owner: str
    select: tuple[Any, ...]
    condition: Any = None
    groups: tuple[Any, ...] = ()
    having: Any = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int | None = None
    all_rows: bool = field(default=False)


def written(query: Query) -> str:
    """The query as SOQL."""
    text = f"SELECT {', '.join(_selected(item) for item in query.select)} FROM {query.owner}"
    if query.condition is not None:
        text += f" WHERE {condition_text(query.condition)}"
    if query.groups:
        text += f" GROUP BY {', '.join(operand_text(group) for group in query.groups)}"
    if query.having is not None:
        text += f" HAVING {condition_text(query.having)}"
    return text + _tail(query.order, query.limit, query.offset) + (" ALL ROWS" if query.all_rows else "")


def _tail(order: tuple[Order, ...], limit: int | None, offset: int | None) -> str:
    text = f" ORDER BY {', '.join(_order_text(item) for item in order)}" if order else ""
    text += "" if limit is None else f" LIMIT {limit}"
    return text + ("" if offset is None else f" OFFSET {offset}")


def _selected(item: Any) -> str:
    if isinstance(item, Kids):
        fields = ", ".join(operand_text(path) for path in item.fields)
        where = "" if item.condition is None else f" WHERE {condition_text(item.condition)}"
        return f"(SELECT {fields} FROM {item.relationship}{where}{_tail(item.order, item.limit, None)})"
    return operand_text(item)


def _order_text(item: Order) -> str:
    nulls = "" if item.nulls is None else f" NULLS {item.nulls}"
    return f"{operand_text(item.operand)} {'DESC' if item.descending else 'ASC'}{nulls}"


def operand_text(operand: Any) -> str:
    """A path or aggregate as SOQL; field names in lower case, which must not matter."""
    if isinstance(operand, Aggregate):
        return f"{operand.function}({operand_text(operand.path)})"
    return ".".join(operand).lower()


def condition_text(condition: Any) -> str:
    """A condition as SOQL, every nested one in parentheses."""
    match condition:
        case Joined(operator, parts):
            return f" {operator} ".join(f"({condition_text(part)})" for part in parts)
        case Not(part):
            return f"NOT ({condition_text(part)})"
        case OneOf(path, negated, values):
            listed = ", ".join(literal(value) for value in values)
            return f"{operand_text(path)} {'NOT IN' if negated else 'IN'} ({listed})"
        case Includes(path, negated, choices):
            listed = ", ".join(literal(";".join(choice)) for choice in choices)
            return f"{operand_text(path)} {'EXCLUDES' if negated else 'INCLUDES'} ({listed})"
        case Semi(path, negated, owner, inner, inside):
            where = "" if inside is None else f" WHERE {condition_text(inside)}"
            return f"{operand_text(path)} {'NOT IN' if negated else 'IN'} (SELECT {inner} FROM {owner}{where})"
        case Compare(path, "LIKE", value):
            return f"{operand_text(path)} LIKE {like_literal(value)}"
        case Compare(path, operator, value):
            return f"{operand_text(path)} {operator} {literal(value)}"
    raise AssertionError(condition)


def literal(value: Any) -> str:
    """A value as a SOQL literal."""
    if value is None or isinstance(value, bool):
        return str(value).upper() if value is not None else "null"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, tuple):
        return quoted(";".join(value))
    return str(value)


_ESCAPES = {"'": r"\'", '"': r"\"", "\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f"}


def quoted(text: str) -> str:
    """A text as a string literal."""
    return "'" + "".join(_ESCAPES.get(character, character) for character in text) + "'"


def like_literal(pieces: tuple[Any, ...]) -> str:
    """A LIKE pattern: pieces of text, in which % and _ are escaped, and ("%",) or ("_",) for the wildcards."""
    parts = []
    for piece in pieces:
        if isinstance(piece, tuple):
            parts.append(piece[0])
        else:
            parts.append("".join(f"\\{c}" if c in "%_" else _ESCAPES.get(c, c) for c in piece))
    return "'" + "".join(parts) + "'"

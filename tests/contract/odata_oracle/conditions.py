"""Conditions as structures: how they are written in OData, and which rows they hold for, in plain Python.

Shares nothing with the engine it judges. `Facts` are the positions of the switches.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
"""A record by logical names; a lookup holds the row that it leads to, `children` the rows that lead here."""

KINDS = {
    "new_name": "text",
    "new_serial": "text",
    "new_count": "number",
    "new_share": "number",
    "new_weight": "number",
    "new_price": "number",
    "new_colour": "number",
    "new_active": "boolean",
    "new_seen": "instant",
    "new_built": "date",
    "new_tags": "set",
    "name": "text",
    "numberofemployees": "number",
}
_ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_OTHER = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt"}
CRM = "Microsoft.Dynamics.CRM."


@dataclass(frozen=True, slots=True)
class Facts:
    """What nobody is sure of."""

    nulls: bool
    wildcards: bool


def plain(text: str) -> str:
    """Text as it compares: each character's upper case if that is one character; ASCII only meets ASCII."""
    result = ""
    for character in text:
        upper = character.upper()
        crosses = upper.isascii() and not character.isascii()
        result += upper if len(upper) == 1 and not crosses else character
    return result


def written(value: Any) -> str:
    """A literal."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return bare(value)


def bare(value: Any) -> str:
    """A value without quotes, as lists of query functions have it within their own."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else f"{value:f}" if isinstance(value, Decimal) else str(value)


@dataclass(frozen=True, slots=True)
class Field:
    """A column here, behind the lookup, or of a lambda's variable."""

    names: tuple[str, ...]

    @property
    def kind(self) -> str:
        return KINDS[self.names[-1]]

    def text(self) -> str:
        return "/".join(self.names)

    def value(self, row: Row) -> Any:
        names = self.names[1:] if self.names[0] == "o" else self.names
        found: Any = row
        for name in names:
            found = None if found is None else found[name]
        return plain(found) if self.kind == "text" and found is not None else found


@dataclass(frozen=True, slots=True)
class Compare:
    field: Field
    sign: str
    value: Any

    def text(self) -> str:
        return f"{self.field.text()} {self.sign} {written(self.value)}"

    def holds(self, row: Row, facts: Facts, wanted: bool) -> bool:
        have = self.field.value(row)
        if self.value is None:
            return self.sign in ("eq", "ne") and (have is None) is ((self.sign == "eq") is wanted)
        value = plain(self.value) if self.field.kind == "text" else self.value
        if self.sign in ("eq", "ne"):
            return _either_way(have, lambda: have == value, (self.sign == "eq") is wanted, facts)
        sign = self.sign if wanted else _OTHER[self.sign]
        return have is not None and bool(_ORDERED[sign](have, value))


@dataclass(frozen=True, slots=True)
class Columns:
    """One column against another."""

    left: Field
    sign: str
    right: Field

    def text(self) -> str:
        return f"{self.left.text()} {self.sign} {self.right.text()}"

    def holds(self, row: Row, facts: Facts, wanted: bool) -> bool:
        one, other = self.left.value(row), self.right.value(row)
        if self.sign in ("eq", "ne"):
            same = one is not None and other is not None and one == other
            return _either_way(one, lambda: same, (self.sign == "eq") is wanted, facts)
        sign = self.sign if wanted else _OTHER[self.sign]
        return one is not None and other is not None and bool(_ORDERED[sign](one, other))


@dataclass(frozen=True, slots=True)
class TextTest:
    function: str
    field: Field
    value: str

    def text(self) -> str:
        return f"{self.function}({self.field.text()}, {written(self.value)})"

    def holds(self, row: Row, facts: Facts, wanted: bool) -> bool:
        have = self.field.value(row)
        middle = list(plain(self.value)) if not facts.wildcards else pattern(plain(self.value))
        before = [ANY] if self.function != "startswith" else []
        after = [ANY] if self.function != "endswith" else []
        return _either_way(have, lambda: like(have, [*before, *middle, *after]), wanted, facts)


@dataclass(frozen=True, slots=True)
class Function:
    """In, Between or ContainValues, or its negation. In takes the value of a multi-select as a whole."""

    name: str
    field: Field
    values: tuple[Any, ...]

    def text(self) -> str:
        listed = ",".join('"' + bare(one).replace("\\", "\\\\").replace('"', '\\"') + '"' for one in self.values)
        *path, name = self.field.names
        before = "".join(f"{one}/" for one in path)
        return f"{before}{CRM}{self.name}(PropertyName='{name}',PropertyValues=[{listed}])"

    def holds(self, row: Row, facts: Facts, wanted: bool) -> bool:
        negative = self.name.startswith(("Not", "Does"))
        return _either_way(self.field.value(row), lambda: self._meets(row), wanted is not negative, facts)

    def _meets(self, row: Row) -> bool:
        have = self.field.value(row)
        values = [plain(one) if self.field.kind == "text" else one for one in self.values]
        if self.name.endswith("Between"):
            return bool(values[0] <= have <= values[1])
        if self.name.endswith("ContainValues"):
            return bool(set(have.split(",")) & set(values))
        return have in values


@dataclass(frozen=True, slots=True)
class Several:
    word: str
    parts: tuple[Any, ...]

    def text(self) -> str:
        return "(" + f" {self.word} ".join(part.text() for part in self.parts) + ")"

    def holds(self, row: Row, facts: Facts, wanted: bool) -> bool:
        joined = all if (self.word == "and") is wanted else any
        return joined(part.holds(row, facts, wanted) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    part: Any

    def text(self) -> str:
        return f"not ({self.part.text()})"

    def holds(self, row: Row, facts: Facts, wanted: bool) -> bool:
        return bool(self.part.holds(row, facts, not wanted))


@dataclass(frozen=True, slots=True)
class Related:
    """any or all of the rows behind the collection."""

    quantifier: str
    inner: Any

    def text(self) -> str:
        return f"new_account_new_everything/{self.quantifier}(o:{self.inner.text()})"

    def holds(self, row: Row, facts: Facts, wanted: bool) -> bool:
        if self.quantifier == "any":
            found = any(self.inner.holds(child, facts, True) for child in row["children"])
        else:
            found = not any(self.inner.holds(child, facts, False) for child in row["children"])
        return found is wanted


def _either_way(have: Any, test: Callable[[], bool], wanted: bool, facts: Facts) -> bool:
    """A test, or its negation, which finds rows without a value or not."""
    if have is None:
        return not wanted and facts.nulls
    return test() is wanted


ANY = "any text"


def pattern(text: str) -> list[Any]:
    """The pieces of a LIKE pattern: characters, ANY, None for one character, and (negated, characters) for a class."""
    pieces: list[Any] = []
    while text:
        end = text.find("]", 2) if text[0] == "[" else -1
        if end > 0:
            inner = text[1:end]
            negated = inner.startswith("^")
            pieces.append((negated, inner[1:] if negated else inner))
            text = text[end + 1 :]
            continue
        pieces.append({"%": ANY, "_": None}.get(text[0], text[0]))
        text = text[1:]
    return pieces


def like(text: str, pieces: list[Any]) -> bool:
    """Whether a text matches the pieces of a pattern."""
    if not pieces:
        return not text
    first, rest = pieces[0], pieces[1:]
    if first is ANY:
        return any(like(text[at:], rest) for at in range(len(text) + 1))
    if not text:
        return False
    if isinstance(first, tuple):
        return ((text[0] in first[1]) is not first[0]) and like(text[1:], rest)
    return (first is None or first == text[0]) and like(text[1:], rest)


def ordered(rows: list[Row], keys: list[tuple[str, bool]], primary: str) -> list[str]:
    """The ids of rows by columns, each going up or down; nulls come first going up."""

    def key(row: Row, name: str) -> tuple[bool, Any]:
        value = Field((name,)).value(row)
        return (value is not None, value if value is not None else 0)

    found = sorted(rows, key=lambda row: str(row[primary]))
    for name, descending in reversed(keys):
        found.sort(key=lambda row: key(row, name), reverse=descending)
    return [row[primary] for row in found]


def stored(row: Mapping[str, Any]) -> Row:
    """A row as the database has it."""
    found: Row = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found[name] = value["accountid"]
        elif isinstance(value, datetime):
            found[name] = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        elif isinstance(value, Decimal):
            found[name] = f"{value:.{4 if name == 'new_price' else 10}f}"
        elif KINDS.get(name) == "date":
            found[name] = None if value is None else str(value)
        elif not isinstance(value, list):
            found[name] = value
    return found

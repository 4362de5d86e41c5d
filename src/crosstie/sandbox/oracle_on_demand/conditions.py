"""Conditions as SQL over the tables of the company.

Text compares as it is, also by its case; `~=` and `~LIKE` fold it. As in Oracle's databases an empty text is no value,
and what has no value meets no comparison, `<>` among them, unless the switch `unequal_finds_empty` says otherwise.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from crosstie.sandbox.folding import fold
from crosstie.sandbox.fragments import Sql, quoted, sql_join
from crosstie.sandbox.oracle_on_demand.definitions import Child, Field, FieldType, Object
from crosstie.sandbox.oracle_on_demand.search import Compare, Condition, Exists, IsNull, Joined, MalformedSearch
from crosstie.sandbox.oracle_on_demand.values import Wire, WrongValue

NUMERIC = frozenset({FieldType.NUMBER, FieldType.CURRENCY, FieldType.PERCENT, FieldType.INTEGER})
TYPED = NUMERIC | {FieldType.BOOLEAN, FieldType.DATE, FieldType.DATETIME}
"""The types that are no text in v2.0, so that a field without a value is left out of a row."""
_PICKLISTS = frozenset({FieldType.PICKLIST, FieldType.MULTI_PICKLIST})
_LOCAL = re.compile(r"\d\d/\d\d/\d{4}( \d\d:\d\d:\d\d)?", re.ASCII)
_BOOLEANS = {"Y": "true", "N": "false"}


class UnknownField(LookupError):
    """A tag that the object has not."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


def install(connection: sqlite3.Connection) -> None:
    """Registers what the SQL made here calls."""
    connection.create_function("folded", 1, fold, deterministic=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the tags of a condition mean: an object as one version and flavour know it, or one of its child lists
    (`child`), under the alias that the SQL gives its table."""

    subject: Object
    flavour: str
    wire: Wire
    unequal_finds_empty: bool = False
    child: Child | None = None
    alias: str = "t"

    def field(self, tag: str) -> Field:
        """The field of a tag. Raises UnknownField."""
        if self.child is None:
            found = self.subject.field_of(tag, self.wire.version, self.flavour)
        else:
            named = {one.tag_in(self.wire.version, self.flavour): one for one in self.child.fields.values()}
            found = named.get(tag)
        if found is None:
            raise UnknownField(tag)
        return found

    def column(self, field: Field) -> str:
        """The SQL of a field's column."""
        return f"{self.alias}.{quoted(field.tag)}"

    def within(self, child: Child) -> Scope:
        """The scope of a child list's records."""
        return replace(self, child=child, alias="c")


def sort_key(scope: Scope, field: Field) -> str:
    """The SQL by which a field's values compare and sort."""
    column = scope.column(field)
    return f"CAST({column} AS REAL)" if field.type in NUMERIC else column


def compiled(condition: Condition, scope: Scope) -> Sql:
    """The SQL of a condition; it may be NULL, which is not met.

    Raises UnknownField, and MalformedSearch for a literal that can't be of its field's type and for a field that
    can't be searched.
    """
    if isinstance(condition, Joined):
        return _balanced(condition.word, [compiled(part, scope) for part in condition.parts])
    if isinstance(condition, Exists):
        return _exists(condition, scope)
    field = scope.field(condition.tag)
    if not field.filterable:
        raise MalformedSearch(f"the field {condition.tag} can't be searched")
    if isinstance(condition, IsNull):
        return Sql(f"{scope.column(field)} IS {'NOT ' if condition.negated else ''}NULL")
    return _comparison(condition, field, scope)


def both(parts: Sequence[Sql], word: str = "AND") -> Sql:
    """Conditions joined; all of nothing is true."""
    return _balanced(word, list(parts)) if parts else Sql("1")


def children(scope: Scope, child: Child, condition: Sql) -> Sql:
    """Whether a child list holds a record that meets a condition in the scope `within` it."""
    table = quoted(scope.subject.child_table(child))
    return Sql(f"EXISTS (SELECT 1 FROM {table} AS c WHERE c.ParentId = {scope.alias}.Id AND (") + condition + Sql("))")


def _balanced(word: str, parts: list[Sql]) -> Sql:
    """As a tree of little depth, of which SQLite allows only so much."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    halves = [_balanced(word, parts[:middle]), _balanced(word, parts[middle:])]
    return Sql("(") + sql_join(f" {word} ", halves) + Sql(")")


def _exists(condition: Exists, scope: Scope) -> Sql:
    if scope.child is not None:
        raise MalformedSearch("EXISTS within EXISTS")
    missing: UnknownField | None = None
    for child in scope.subject.children:
        try:
            found = children(scope, child, compiled(condition.part, scope.within(child)))
        except UnknownField as error:
            missing = missing or error
        else:
            return Sql("NOT ") + found if condition.negated else found
    raise missing or MalformedSearch("the object has no child list for EXISTS")


def _comparison(condition: Compare, field: Field, scope: Scope) -> Sql:
    operator = condition.operator
    if condition.literal == "":
        return Sql("NULL")
    column = scope.column(field)
    if operator in ("LIKE", "~LIKE"):
        pattern = glob_pattern(condition.literal)
        if operator == "~LIKE":
            return Sql(f"folded({column}) GLOB ?", (fold(pattern),))
        return Sql(f"{column} GLOB ?", (pattern,))
    value = literal(scope.wire, field, condition.literal)
    if operator == "~=":
        return Sql(f"folded({column}) = ?", (fold(value),))
    given: str | float = float(value) if field.type in NUMERIC else value
    test = Sql(f"{sort_key(scope, field)} {operator} ?", (given,))
    if operator == "<>" and scope.unequal_finds_empty:
        return Sql("(") + test + Sql(f" OR {column} IS NULL)")
    return test


def literal(wire: Wire, field: Field, text: str) -> str:
    """The canonical form of a literal. Beside the form of its version it may have v1.0's, in the user's zone; a text
    or a value that the field could not take is one that no row has. Raises MalformedSearch for what is no date, number
    or boolean."""
    kind = field.type
    if kind in _PICKLISTS:
        shown = {one.label: one.code for one in field.picklist} if wire.labels else {}
        return shown.get(text, text)
    if kind is FieldType.BOOLEAN:
        text = _BOOLEANS.get(text, text)
        wire = replace(wire, version="v2")
    elif kind in (FieldType.DATE, FieldType.DATETIME) and _LOCAL.fullmatch(text.strip()):
        wire = replace(wire, version="v1")
        text = text.strip()[:10] if kind is FieldType.DATE else text
    elif kind not in TYPED:
        return text
    try:
        return wire.read(field, text)
    except WrongValue as error:
        raise MalformedSearch(error.message) from error


def glob_pattern(text: str) -> str:
    """A pattern of LIKE in the language of SQLite's GLOB: `*` any text, `?` one character, a backslash before one of
    these or another backslash takes its meaning away."""
    pieces: list[str] = []
    characters = iter(text)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            if following in ("*", "?"):
                pieces.append(f"[{following}]")
            elif following == "\\":
                pieces.append("\\")
            else:
                pieces.append("\\" + ("[[]" if following == "[" else following))
        elif character == "[":
            pieces.append("[[]")
        else:
            pieces.append(character)
    return "".join(pieces)

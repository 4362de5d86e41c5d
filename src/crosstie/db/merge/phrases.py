"""Reading an activity's expressions: every mistake is kept with its place, so that all can be told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crosstie.db.database import Dialect
from crosstie.db.expressions import Binding, Expression, Scope, UnknownScope, parse_condition, parse_expression
from crosstie.db.expressions.agreement import become, fits
from crosstie.db.merge.matching import Fragment, Ordering, Pair
from crosstie.errors import ConfigError, MappingError
from crosstie.model import Column, ColumnType, Table

Place = tuple[str | int, ...]
_SHOWN = 12


class OrderLine(BaseModel):
    """What comes first: rows with the highest, or with the lowest, value of an expression; empty values come last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    highest: str | None = Field(None, description="the expression whose highest value comes first")
    lowest: str | None = Field(None, description="the expression whose lowest value comes first")

    @model_validator(mode="after")
    def _one(self) -> OrderLine:
        if (self.highest is None) == (self.lowest is None):
            raise ValueError("write either “highest: expression” or “lowest: expression”")
        return self

    @property
    def text(self) -> str:
        """The expression."""
        return self.highest if self.highest is not None else self.lowest or ""

    @property
    def word(self) -> str:
        """The key under which it is written."""
        return "highest" if self.highest is not None else "lowest"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPair:
    """Two expressions that must be equal: one over the work table, one over the table."""

    source: Expression
    target: Expression


@dataclass(slots=True)
class Phrases:
    """Reads expressions; `mistakes` are the places, within the activity's own keys, and what is wrong there."""

    mistakes: list[tuple[Place, str]] = field(default_factory=list)

    def refuse(self, place: Place, message: str) -> None:
        """Notes a mistake."""
        self.mistakes.append((place, message))

    def value(self, place: Place, text: str, scope: Scope) -> Expression | None:
        """An expression, or None after noting why not; over an UnknownScope it is only checked, and always None."""
        return self._read(place, text, scope, parse_expression)

    def condition(self, place: Place, text: str, scope: Scope) -> Expression | None:
        """A condition, or None after noting why not."""
        return self._read(place, text, scope, parse_condition)

    def _read(
        self, place: Place, text: str, scope: Scope, parse: Callable[[str, Scope], Expression]
    ) -> Expression | None:
        unknown_types = isinstance(scope, UnknownScope)
        try:
            parsed = parse(text, scope)
        except ConfigError as error:
            if not (unknown_types and isinstance(error, MappingError)):
                self.refuse(place, f"{error.message} {error.hint}".strip())
            return None
        return None if unknown_types else parsed

    def value_for(self, place: Place, text: str, scope: Scope, column: Column, table: str) -> Expression | None:
        """An expression as the type of the column that it goes into."""
        found = self.value(place, text, scope)
        if found is None:
            return None
        typed = as_type(found, column.type)
        if typed is None:
            self.refuse(
                place,
                f"“{text}” is {found.type.value}, but column {column.name} of table {table} holds {column.type.value}."
                f" Convert it: cast({text} as {column.type.value}).",
            )
        return typed

    def pair(self, place: Place, source: str, target: str, scope: Scope, table: Table) -> ReadPair | None:
        """A pair source: target, made one type."""
        left = self.value(place, source, scope)
        right = self.value(place, target, Scope.of(table.columns, f"table {table.name}"))
        if left is None or right is None:
            return None
        converted = as_type(left, right.type)
        if converted is not None:
            return ReadPair(source=converted, target=right)
        other = as_type(right, left.type)
        if other is not None:
            return ReadPair(source=left, target=other)
        self.refuse(
            place,
            f"“{source}” is {left.type.value} and “{target}” of table {table.name} is {right.type.value}: they are"
            f" never equal. Convert one, like cast({source} as {right.type.value}).",
        )
        return None


def as_type(expression: Expression, kind: ColumnType) -> Expression | None:
    """The expression as that type where nothing can be lost, else None. A set goes into a text column as it is stored:
    its values sorted and joined, so that equal sets are equal texts."""
    if expression.type is kind:
        return expression
    stored_alike = expression.type is ColumnType.SET and kind is ColumnType.TEXT
    if not stored_alike and not fits(expression.root, kind):
        return None
    return replace(expression, root=become(expression.root, kind))


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """A message for a name that does not exist, with close matches and the list."""
    lower = {one.lower(): one for one in known}
    close = [lower[one] for one in get_close_matches(name.lower(), lower, 2, 0.6)]
    guess = f" Did you mean {' or '.join(f'“{one}”' for one in close)}?" if close else ""
    shown = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    return f"there is no {what} “{name}”.{guess}" + (f" There is {shown}." if known else "")


@dataclass(slots=True)
class Writer:
    """Writes expressions as fragments of one statement, each with parameters of its own."""

    dialect: Dialect
    binding: Binding
    number: int = 0

    def fragment(self, expression: Expression, aliases: Mapping[str, str]) -> Fragment:
        """The expression over those SQL aliases of the scope's qualifiers."""
        self.number += 1
        prefix = f"x{self.number}_"
        return Fragment(
            sql=expression.sql(self.dialect, aliases, prefix=prefix),
            type=expression.type,
            params=expression.params(self.dialect, self.binding, prefix=prefix),
            column=expression.is_column,
        )

    def pair(self, pair: ReadPair) -> Pair:
        """A pair over s and t."""
        return Pair(source=self.fragment(pair.source, {"": "s"}), target=self.fragment(pair.target, {"": "t"}))

    def ordering(self, line: OrderLine, scope: Scope, alias: str) -> Ordering:
        """What comes first."""
        value = self.fragment(parse_expression(line.text, scope), {"": alias})
        kind = value.type
        if self.dialect == "postgresql" and kind in (ColumnType.TEXT, ColumnType.SET):
            value = replace(value, sql=f'({value.sql}) collate "C"')
        return Ordering(value=value, highest=line.highest is not None)

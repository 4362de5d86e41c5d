"""Which columns an expression may name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

from crosstie.db.expressions.aggregates import AggregateCall
from crosstie.db.expressions.nodes import ColumnNode, Node, VariableNode
from crosstie.errors import MappingError
from crosstie.model import Column, find_column

_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Columns by qualifier. '' holds those that need none; a bare name is looked for there first, then everywhere.

    `what` names the whole in messages, like `table recipient`."""

    aggregates: ClassVar[bool] = False
    """Whether it understands aggregates."""

    columns: Mapping[str, tuple[Column, ...]]
    what: str = "the input"

    @classmethod
    def of(cls, columns: tuple[Column, ...], what: str = "the input") -> Scope:
        """One set of columns without qualifier."""
        return cls(columns={"": columns}, what=what)

    def resolve(self, qualifier: str | None, name: str) -> Node:
        """The column of that name: exact first, else without regard to case. Raises MappingError."""
        if qualifier is not None:
            alias = self._alias(qualifier, name)
            column = find_column(self.columns[alias], name)
            if column is None:
                raise self._unknown(name, {alias: self.columns[alias]})
            return _node(alias, column)
        plain = find_column(self.columns.get("", ()), name)
        if plain is not None:
            return _node("", plain)
        found = [(alias, column) for alias in self.columns if (column := find_column(self.columns[alias], name))]
        if not found:
            raise self._unknown(name, self.columns)
        if len(found) > 1:
            choices = " or ".join(f"{alias}.{column.name}" for alias, column in found)
            raise MappingError(f"“{name}” stands for several columns.", hint=f"Write {choices}.")
        return _node(*found[0])

    def aggregate(self, call: AggregateCall) -> Node:
        """The value of an aggregate; asked only where `aggregates` says so. Raises ConfigError."""
        raise TypeError(f"{type(self).__name__} understands no aggregates")

    def _alias(self, qualifier: str, name: str) -> str:
        if qualifier in self.columns:
            return qualifier
        found = [alias for alias in self.columns if alias.lower() == qualifier.lower()]
        if len(found) == 1:
            return found[0]
        known = ", ".join(alias for alias in self.columns if alias)
        hint = f"Known are: {known}." if known else f"Write just {name}."
        raise MappingError(f"“{qualifier}.{name}”: there is nothing called {qualifier} here.", hint=hint)

    def _unknown(self, name: str, columns: Mapping[str, tuple[Column, ...]]) -> MappingError:
        names = [
            f"{alias}.{one.name}" if alias and len(columns) > 1 else one.name
            for alias in columns
            for one in columns[alias]
        ]
        same = [one for one in names if one.lower() == name.lower()]
        if len(same) > 1:
            return MappingError(f"“{name}” could be {' or '.join(same)}.", hint="Write it with its exact case.")
        lower = {one.lower(): one for one in reversed(names)}
        close = [lower[one] for one in get_close_matches(name.lower(), lower, 3, 0.6)]
        guess = f" Did you mean {' or '.join(f'“{one}”' for one in close)}?" if close else ""
        listed = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        alias = next(iter(columns)) if len(columns) == 1 else ""
        what = alias or self.what
        return MappingError(f"{what} has no column {name}.{guess}", hint=f"It has {listed}." if listed else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownScope(Scope):
    """Columns of which nothing is known, because what makes them has mistakes: every name is one of them.

    An expression over it can be read, so that its grammar and functions are checked, but never be used; types that do
    not go together mean nothing there."""

    def resolve(self, qualifier: str | None, name: str) -> Node:
        """A value of no known type, which goes together with all."""
        return VariableNode(path=qualifier or "", name=name, type=None)


def _node(qualifier: str, column: Column) -> ColumnNode:
    return ColumnNode(qualifier=qualifier, column=column, type=column.type, length=column.length, scale=column.scale)

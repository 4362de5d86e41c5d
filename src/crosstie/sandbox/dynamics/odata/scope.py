"""What the names of a query mean: columns, and the tables that navigation properties lead to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from crosstie.sandbox.dynamics.errors import unknown_property
from crosstie.sandbox.dynamics.odata.comparisons import Column
from crosstie.sandbox.dynamics.odata.errors import QueryError
from crosstie.sandbox.dynamics.table import Attribute, Table
from crosstie.sandbox.fragments import quoted

Tables = Mapping[str, Table]


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection-valued navigation property: the table behind it, and the lookup there that leads back."""

    name: str
    table: Table
    lookup: Attribute


def collection(tables: Tables, table: Table, name: str) -> Collection | None:
    """The collection of a table by its name, in exactly that case."""
    for other in tables.values():
        for one in other.attributes.values():
            if one.collections.get(table.logical_name) == name:
                return Collection(name, other, one)
    return None


@dataclass(slots=True)
class Scope:
    """The names that one table of a query sees. `joins` grows as paths are resolved."""

    table: Table
    tables: Tables
    aliases: Iterator[int] = field(default_factory=itertools.count)
    alias: str = ""
    joins: list[str] = field(default_factory=list)
    variables: dict[str, Scope] = field(default_factory=dict)
    _known: dict[tuple[str, ...], tuple[str, Table]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.alias = self.alias or f"t{next(self.aliases)}"

    def column(self, names: tuple[str, ...]) -> Column:
        """The column at the end of a path. Raises QueryError for a name that is not there in exactly that case."""
        if names[0] in self.variables and len(names) > 1:
            return self.variables[names[0]].column(names[1:])
        alias, table = self.navigated(names[:-1])
        found = table.property(names[-1])
        if found is None or not found.selectable:
            raise unknown_property(names[-1], table.logical_name)
        return Column(alias, found)

    def by_logical_name(self, prefix: tuple[str, ...], name: str) -> Column:
        """The column that a query function names by its logical name; the property's name of a lookup serves too."""
        if prefix and prefix[0] in self.variables:
            return self.variables[prefix[0]].by_logical_name(prefix[1:], name)
        alias, table = self.navigated(prefix)
        found = table.property(name) or table.attributes.get(name)
        if found is None or not found.selectable:
            raise QueryError(
                f"'{table.logical_name}' entity doesn't contain attribute with Name = '{name}'.", code="0x80041103"
            )
        return Column(alias, found)

    def navigated(self, names: tuple[str, ...]) -> tuple[str, Table]:
        """The alias and the table that single-valued navigation properties lead to, joined when needed."""
        if not names:
            return self.alias, self.table
        if names not in self._known:
            alias, table = self.navigated(names[:-1])
            self._known[names] = self._joined(alias, table, names[-1])
        return self._known[names]

    def _joined(self, alias: str, table: Table, name: str) -> tuple[str, Table]:
        found = table.navigated(name)
        if found is None:
            raise unknown_property(name, table.logical_name)
        lookup, target = found
        if target is None:
            raise unknown_property(name, "principal")
        other = self.tables[target]
        joined = f"t{next(self.aliases)}"
        self.joins.append(
            f" LEFT JOIN {quoted(target)} AS {joined}"
            f" ON {joined}.{quoted(other.primary_id)} = {alias}.{quoted(lookup.logical_name)}"
        )
        return joined, other

    def inner(self, path: tuple[str, ...]) -> tuple[Scope, str]:
        """The scope of the records behind a collection, and the SQL that ties them to the record here."""
        if path and path[0] in self.variables and len(path) > 1:
            return self.variables[path[0]].inner(path[1:])
        alias, table = self.navigated(path[:-1])
        found = collection(self.tables, table, path[-1])
        if found is None:
            raise unknown_property(path[-1], table.logical_name)
        scope = Scope(found.table, self.tables, self.aliases, variables=dict(self.variables))
        tie = f"{scope.alias}.{quoted(found.lookup.logical_name)} = {alias}.{quoted(table.primary_id)}"
        return scope, tie

"""Resolves field paths of one query level to SQL columns, adding the joins to parents that they need."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.salesforce.catalog import Catalog, Field, SObject
from crosstie.sandbox.salesforce.soql.errors import SoqlError, located, too_complicated
from crosstie.sandbox.salesforce.soql.syntax import Path

MAX_PARENT_LEVELS = 5
MAX_JOINS = 60
"""SQLite joins 64 tables; Salesforce allows 55 child-to-parent relationships."""
NAME_OBJECT_FIELDS = frozenset(
    {"id", "name", "firstname", "lastname", "email", "phone", "title", "alias", "username", "isactive"}
)
"""What can be read through a reference that points to several objects, besides `Type` (object reference, "Name")."""

_REFER = " Please reference your WSDL or the describe call for the appropriate names."


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a compilation knows besides the query itself. `now` is aware; `user_zone` decides what a day is."""

    text: str
    catalog: Catalog
    now: datetime
    user_zone: ZoneInfo
    include_deleted: bool
    bulk: bool
    aliases: Iterator[int] = field(default_factory=itertools.count)

    def error(self, code: str, at: int, message: str) -> SoqlError:
        """An error that names a place in the query."""
        return located(code, self.text, at, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One object a joined parent can be, and the SQL alias of its table."""

    sobject: SObject
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A node of the parent tree: the root of the query or a parent reached from it.

    `path` holds the relationship names in their true spelling. A polymorphic parent has several targets (of which at
    most one is there for a row) and shows the fields of the object Name.
    """

    path: tuple[str, ...]
    targets: tuple[Target, ...]
    polymorphic: bool

    @property
    def name(self) -> str:
        """The object's name as messages and attributes give it."""
        return "Name" if self.polymorphic else self.targets[0].sobject.name

    def column(self, name: str) -> str:
        """SQL of a field of this node: of whichever target is there."""
        parts = [
            f"{target.alias}.{quoted(found.name)}"
            for target in self.targets
            if (found := target.sobject.field(name)) is not None
        ]
        if not parts:
            return "NULL"
        return parts[0] if len(parts) == 1 else f"COALESCE({', '.join(parts)})"

    def type_column(self) -> str:
        """SQL of the name of the object that is there for a row."""
        cases = " ".join(
            f"WHEN {target.alias}.\"Id\" IS NOT NULL THEN '{target.sobject.name}'" for target in self.targets
        )
        return f"CASE {cases} END"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A resolved field: its SQL, its describe, the node it belongs to and its path in true spelling."""

    sql: str
    field: Field
    parent: Parent

    @property
    def path(self) -> tuple[str, ...]:
        """Relationship names and field name in their true spelling."""
        return (*self.parent.path, self.field.name)

    @property
    def nullable_boolean(self) -> bool:
        """True for a boolean of a parent, which is null when there is no parent."""
        return bool(self.parent.path)


@dataclass(slots=True, kw_only=True)
class Scope:
    """The objects that one query level reads, growing as paths are resolved."""

    context: Context
    sobject: SObject
    root: Parent
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    parents: dict[tuple[str, ...], Parent] = field(default_factory=dict)
    joins: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, context: Context, sobject: SObject) -> Scope:
        """A scope over one object, without any join yet."""
        root = Parent(path=(), targets=(Target(sobject=sobject, alias=f"t{next(context.aliases)}"),), polymorphic=False)
        return cls(context=context, sobject=sobject, root=root, parents={(): root})

    @property
    def from_sql(self) -> str:
        """The FROM list with every join used so far."""
        target = self.root.targets[0]
        return " ".join([f"{quoted(self.sobject.table)} AS {target.alias}", *self.joins])

    def column(self, path: Path) -> Column:
        """The column that a path names. Raises INVALID_FIELD for an unknown relationship or field."""
        names = self.expanded(path)
        return self.column_of(self.parent(names[:-1], path.at), names[-1], path.at)

    def column_of(self, parent: Parent, name: str, at: int) -> Column:
        """The column of one field of a node. Raises INVALID_FIELD when the node has no such field."""
        found = self._field(parent, name)
        if found is None:
            raise self.context.error(
                "INVALID_FIELD",
                at,
                f"No such column '{name}' on entity '{parent.name}'. If you are attempting to use a custom field,"
                f" be sure to append the '__c' after the custom field name.{_REFER}",
            )
        is_type = parent.polymorphic and found.name == "Type"
        sql = parent.type_column() if is_type else parent.column(found.name)
        return Column(sql=sql, field=found, parent=parent)

    def expanded(self, path: Path) -> tuple[str, ...]:
        """The names of a path without alias or object name in front, aliases of parents replaced by their paths."""
        names = path.names
        if len(names) == 1:
            return names
        first = names[0].lower()
        if first in self.aliases:
            return (*self.aliases[first], *names[1:])
        if first == self.sobject.name.lower() and self.sobject.relationship(first) is None:
            return names[1:]
        return names

    def parent(self, names: tuple[str, ...], at: int) -> Parent:
        """The node that a path of relationship names reaches, joined if it wasn't yet."""
        if len(names) > MAX_PARENT_LEVELS:
            raise self.context.error(
                "INVALID_FIELD",
                at,
                "In each specified relationship, no more than five levels can be specified in a child-to-parent"
                " relationship.",
            )
        node = self.root
        for name in names:
            node = self._step(node, name, at)
        return node

    def _step(self, node: Parent, name: str, at: int) -> Parent:
        reference = None if node.polymorphic else node.targets[0].sobject.relationship(name)
        targets = [
            target
            for reached in (reference.reference_to if reference else ())
            if (target := self.context.catalog.object(reached)) is not None
        ]
        if reference is None or not targets:
            raise self.context.error(
                "INVALID_FIELD",
                at,
                f"Didn't understand relationship '{name}' in field path. If you are attempting to use a custom"
                f" relationship, be sure to append the '__r' after the custom relationship name.{_REFER}",
            )
        path = (*node.path, str(reference.relationship_name))
        known = self.parents.get(path)
        return known if known is not None else self._join(node, reference, path, targets)

    def _join(self, node: Parent, reference: Field, path: tuple[str, ...], targets: list[SObject]) -> Parent:
        joined = []
        for sobject in targets:
            alias = f"t{next(self.context.aliases)}"
            key = node.column(reference.name)
            if len(self.joins) >= MAX_JOINS:
                raise too_complicated()
            self.joins.append(f'LEFT JOIN {quoted(sobject.table)} AS {alias} ON {alias}."Id" = {key}')
            joined.append(Target(sobject=sobject, alias=alias))
        parent = Parent(path=path, targets=tuple(joined), polymorphic=reference.polymorphic)
        self.parents[path] = parent
        return parent

    def _field(self, parent: Parent, name: str) -> Field | None:
        if not parent.polymorphic:
            return parent.targets[0].sobject.field(name)
        candidates = [found for target in parent.targets if (found := target.sobject.field(name)) is not None]
        if name.lower() == "type":
            template = next(iter(parent.targets[0].sobject.fields.values()))
            return replace(template, name="Type", type="string", filterable=True, sortable=True, groupable=True)
        if name.lower() in NAME_OBJECT_FIELDS and candidates:
            return candidates[0]
        return None


def unsupported_object(context: Context, name: str, at: int) -> SoqlError:
    """The error for an object that the org does not have or that can't be queried."""
    return context.error(
        "INVALID_TYPE",
        at,
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the"
        f" '__c' after the entity name.{_REFER}",
    )


def unknown_children(context: Context, name: str, at: int) -> SoqlError:
    """The error for a child relationship that the object does not have."""
    return context.error(
        "INVALID_TYPE",
        at,
        f"Didn't understand relationship '{name}' in FROM part of query call. If you are attempting to use a custom"
        f" relationship, be sure to append the '__r' after the custom relationship name.{_REFER}",
    )

"""The SELECT list of a query that is not grouped: columns, and the layout of the records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from crosstie.sandbox.fragments import Sql
from crosstie.sandbox.salesforce.catalog import COMPOUND_TYPES, Field
from crosstie.sandbox.salesforce.soql.errors import SoqlError
from crosstie.sandbox.salesforce.soql.expressions import value_of
from crosstie.sandbox.salesforce.soql.layout import Children, Node, Output, SelectItem, TypeofNode
from crosstie.sandbox.salesforce.soql.scope import Column, Parent, Scope
from crosstie.sandbox.salesforce.soql.syntax import (
    Call,
    Path,
    Query,
    Selected,
    SelectedChildren,
    SelectedFields,
    SelectedTypeof,
    SelectEntry,
)

MAX_FIELDS_ROWS = 200
_ADDRESS_KEYS = (
    ("street", "Street"),
    ("city", "City"),
    ("state", "State"),
    ("stateCode", "StateCode"),
    ("postalCode", "PostalCode"),
    ("country", "Country"),
    ("countryCode", "CountryCode"),
    ("latitude", "Latitude"),
    ("longitude", "Longitude"),
    ("geocodeAccuracy", "GeocodeAccuracy"),
)
_VALUE_FUNCTIONS = frozenset({"TOLABEL"})


def bulk_refusal(message: str) -> SoqlError:
    """What a Bulk API 2.0 query job is refused with; the text about compound data is a recorded one."""
    return SoqlError("API_ERROR", message)


@dataclass(slots=True, kw_only=True)
class Selection:
    """Builds the layout of one query level, entry by entry.

    `children` compiles a child subquery to the entry that renders it.
    """

    scope: Scope
    children: Callable[[Query, int], tuple[str, Children]]
    output: Output = field(default_factory=Output)
    items: list[SelectItem] = field(default_factory=list)
    root: Node = field(init=False)
    _nodes: dict[tuple[str, ...], Node] = field(default_factory=dict)
    _children_seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.output.repeat = self.scope.context.bulk
        self.root = self._new_node(self.scope.root)
        self._nodes[()] = self.root

    def add(self, entry: SelectEntry, query: Query) -> None:
        """Take one entry of the SELECT list. Raises SoqlError."""
        if isinstance(entry, Selected):
            self._add_selected(entry)
        elif isinstance(entry, SelectedFields):
            self._add_fields(entry, query)
        elif isinstance(entry, SelectedTypeof):
            self._add_typeof(entry)
        else:
            self._add_children(entry)

    def _new_node(self, parent: Parent) -> Node:
        if self.scope.context.bulk:
            return Node(type_name=parent.name, id_place=-1)
        return Node(
            type_name=parent.name,
            id_place=self._hidden(Sql(parent.column("Id"))),
            type_place=self._hidden(Sql(parent.type_column())) if parent.polymorphic else None,
        )

    def _hidden(self, column: Sql) -> int:
        return self.output.add(column)

    def _node(self, parent: Parent) -> Node:
        node = self._nodes.get(parent.path)
        if node is None:
            above = self._node(self.scope.parents[parent.path[:-1]])
            node = self._nodes[parent.path] = self._new_node(parent)
            above.entries[parent.path[-1]] = node
        return node

    def _add_selected(self, entry: Selected) -> None:
        if isinstance(entry.operand, Path):
            if entry.alias is not None:
                message = "only aggregate expressions use field aliasing"
                raise self.scope.context.error("MALFORMED_QUERY", entry.at, message)
            self._add_column(self.scope.column(entry.operand))
            return
        self._add_call(entry, entry.operand)

    def _add_call(self, entry: Selected, call: Call) -> None:
        context = self.scope.context
        value = value_of(self.scope, call)
        if call.name not in _VALUE_FUNCTIONS or value.column is None:
            raise context.error("MALFORMED_QUERY", entry.at, f"Field must be grouped or aggregated: {value.name}")
        if value.column.field.is_compound:
            self._add_column(value.column)
            return
        key = entry.alias or value.column.field.name
        self._place(value.column.parent, key, value.sql, value.type)

    def _add_column(self, column: Column) -> None:
        found = column.field
        if self.scope.context.bulk:
            if found.is_compound:
                raise bulk_refusal("Selecting compound data not supported in Bulk Query")
            if found.type == "base64":
                raise bulk_refusal("Selecting binary data not supported in Bulk Query")
        if found.is_compound:
            self._add_compound(column)
        else:
            self._place(column.parent, found.name, Sql(column.sql), found.type)

    def _place(self, parent: Parent, key: str, sql: Sql, wire_type: str) -> None:
        name = ".".join((*parent.path, key))
        node = self._node(parent)
        self._refuse_double(node, key, name)
        place = self.output.add(sql)
        item = SelectItem(name=name, type=wire_type, place=place)
        node.entries[key] = item
        self.items.append(item)

    def _refuse_double(self, node: Node, key: str, name: str) -> None:
        if any(key.lower() == known.lower() for known in node.entries):
            raise SoqlError("INVALID_FIELD", f"duplicate field selected: {name}")

    def _add_compound(self, column: Column) -> None:
        name = ".".join(column.path)
        node = self._node(column.parent)
        self._refuse_double(node, column.field.name, name)
        sobject = column.parent.targets[0].sobject
        components = sobject.components(column.field)
        parts = tuple(
            SelectItem(name=key, type=part.type, place=self._hidden(Sql(column.parent.column(part.name))))
            for key, part in _component_keys(column.field, components)
        )
        item = SelectItem(name=name, type=column.field.type, place=-1, parts=parts)
        node.entries[column.field.name] = item
        self.items.append(item)

    def _add_fields(self, entry: SelectedFields, query: Query) -> None:
        context = self.scope.context
        bounded = entry.kind == "STANDARD"
        if context.bulk and not bounded:
            message = "The SOQL FIELDS function is not supported with an unbounded set of fields in this API"
            raise context.error("MALFORMED_QUERY", entry.at, message)
        if not bounded and (query.limit is None or query.limit > MAX_FIELDS_ROWS):
            message = f"The SOQL FIELDS function must have a LIMIT of at most {MAX_FIELDS_ROWS}"
            raise SoqlError("MALFORMED_QUERY", message)
        for found in self.scope.sobject.fields.values():
            if entry.kind != "ALL" and found.custom != (entry.kind == "CUSTOM"):
                continue
            if context.bulk and (found.type in COMPOUND_TYPES or found.type == "base64"):
                continue
            self._add_column(self.scope.column(Path(names=(found.name,), at=entry.at)))

    def _add_children(self, entry: SelectedChildren) -> None:
        if self.scope.context.bulk:
            raise bulk_refusal("Aggregate Relationships not supported in Bulk Query")
        name, children = self.children(entry.query, entry.at)
        if name.lower() in self._children_seen:
            raise SoqlError("INVALID_FIELD", f"duplicate field selected: {name}")
        self._children_seen.add(name.lower())
        self.root.entries[name] = children

    def _add_typeof(self, entry: SelectedTypeof) -> None:
        context = self.scope.context
        if context.bulk:
            raise bulk_refusal("TYPEOF not supported in Bulk Query")
        names = self.scope.expanded(entry.relationship)
        parent = self.scope.parent(names, entry.relationship.at)
        if not parent.polymorphic:
            message = f"TYPEOF is only supported on polymorphic relationships: {entry.relationship.text}"
            raise context.error("MALFORMED_QUERY", entry.at, message)
        above = self._node(self.scope.parents[parent.path[:-1]])
        self._refuse_double(above, parent.path[-1], ".".join(parent.path))
        type_place = self._hidden(Sql(parent.type_column()))
        branches: dict[str, Node] = {}
        for branch in entry.branches:
            target = next(
                (known for known in parent.targets if known.sobject.name.lower() == branch.object_name.lower()), None
            )
            if target is None:
                message = f"Relationship '{entry.relationship.text}' does not reach sObject type '{branch.object_name}'"
                raise context.error("INVALID_FIELD", branch.at, message)
            alone = Parent(path=parent.path, targets=(target,), polymorphic=False)
            branches[target.sobject.name] = self._typeof_node(alone, branch.fields)
        otherwise = self._typeof_node(parent, entry.otherwise) if entry.otherwise else None
        above.entries[parent.path[-1]] = TypeofNode(type_place=type_place, branches=branches, otherwise=otherwise)

    def _typeof_node(self, parent: Parent, fields: tuple[Path, ...]) -> Node:
        node = Node(
            type_name=parent.name,
            id_place=self._hidden(Sql(parent.column("Id"))),
            type_place=self._hidden(Sql(parent.type_column())) if parent.polymorphic else None,
        )
        for path in fields:
            if len(path.names) != 1:
                message = "Relationship fields are not supported in TYPEOF here"
                raise self.scope.context.error("MALFORMED_QUERY", path.at, message)
            column = self.scope.column_of(parent, path.names[0], path.at)
            if column.field.is_compound:
                message = f"Compound field not supported in TYPEOF here: {column.field.name}"
                raise self.scope.context.error("MALFORMED_QUERY", path.at, message)
            key = column.field.name
            self._refuse_double(node, key, key)
            place = self.output.add(Sql(column.sql))
            node.entries[key] = SelectItem(name=key, type=column.field.type, place=place)
        return node


def _component_keys(compound: Field, components: tuple[Field, ...]) -> list[tuple[str, Field]]:
    """The keys of an address or location with the stored fields behind them; parts that don't exist are left out."""
    if compound.type == "location":
        wanted: tuple[tuple[str, str], ...] = (("latitude", "latitude__s"), ("longitude", "longitude__s"))
    else:
        wanted = _ADDRESS_KEYS
    found = []
    for key, suffix in wanted:
        endings = (suffix.lower(), f"{suffix.lower()}__s")
        part = next((known for known in components if known.name.lower().endswith(endings)), None)
        if part is not None:
            found.append((key, part))
    return found

"""Where lookups lead: entity sets, and the navigation properties by which a parent is bound.

Source: Dataverse Web API guide, "Query table definitions" and "Web API navigation properties". Names are
case-sensitive, and a lookup that may lead to several tables has one for each of them; so they are asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from crosstie.crm.dynamics.session import Session


class _Relationship(msgspec.Struct, rename="pascal"):
    referencing_attribute: str
    referenced_entity: str
    referencing_entity_navigation_property_name: str


class _Table(msgspec.Struct, rename="pascal"):
    logical_name: str
    entity_set_name: str
    primary_id_attribute: str
    many_to_one_relationships: tuple[_Relationship, ...] = ()


class _Column(msgspec.Struct, rename="pascal"):
    attribute_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundTable:
    """A table as requests name it. `navigation` has the navigation property of each lookup column and parent table."""

    name: str
    entity_set: str
    key: str
    navigation: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def bound_by(self, lookup: str, parent: str) -> str:
        """The navigation property of a lookup column to a parent table; '' when there is none. One property may serve
        several tables, as an owner's does."""
        found = self.navigation.get((lookup, parent))
        if found is None:
            others = {name for (column, _), name in self.navigation.items() if column == lookup}
            found = others.pop() if len(others) == 1 else ""
        return found


class Tables:
    """The tables of one environment, each asked for once. Thread-safe."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._related: dict[str, BoundTable] = {}
        self._plain: dict[str, BoundTable] = {}
        self._types: dict[tuple[str, str], str] = {}

    def table(self, name: str) -> BoundTable:
        """A table by its logical name, with what it refers to. Raises ConnectorError."""
        with self._lock:
            if name not in self._related:
                related = "ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName"
                self._related[name] = self._ask(name, f"&$expand=ManyToOneRelationships($select={related})")
            return self._related[name]

    def parent(self, name: str) -> BoundTable:
        """A table that others refer to, without what it refers to itself. Raises ConnectorError."""
        with self._lock:
            if name not in self._related and name not in self._plain:
                self._plain[name] = self._ask(name, "")
            return self._related.get(name) or self._plain[name]

    def column_type(self, table: str, column: str) -> str:
        """The AttributeType of a table's column. Raises ConnectorError."""
        with self._lock:
            if (table, column) not in self._types:
                path = (
                    f"EntityDefinitions(LogicalName='{table}')/Attributes(LogicalName='{column}')?$select=AttributeType"
                )
                answer = self._session.get(path, f"type of {table}.{column}")
                found: _Column = answer.decoded(_Column, "does not describe a column")
                self._types[table, column] = found.attribute_type
            return self._types[table, column]

    def _ask(self, name: str, more: str) -> BoundTable:
        path = f"EntityDefinitions(LogicalName='{name}')?$select=LogicalName,EntitySetName,PrimaryIdAttribute{more}"
        answer = self._session.get(path, f"names of {name}")
        table: _Table = answer.decoded(_Table, "does not describe a table")
        return BoundTable(
            name=table.logical_name,
            entity_set=table.entity_set_name,
            key=table.primary_id_attribute,
            navigation={
                (one.referencing_attribute, one.referenced_entity): one.referencing_entity_navigation_property_name
                for one in table.many_to_one_relationships
            },
        )

"""How the columns of a compiled query become records: nodes of the parent tree with their fields in SELECT order."""

from __future__ import annotations

from dataclasses import dataclass, field

from crosstie.sandbox.fragments import Sql


@dataclass(slots=True, kw_only=True)
class Output:
    """The columns of a SELECT list with the place at which each is found in a row.

    With `repeat` every column gets a place of its own (Bulk: columns are what was asked for), else equal ones share.
    """

    repeat: bool = False
    columns: list[Sql] = field(default_factory=list)
    _places: dict[Sql, int] = field(default_factory=dict)

    def add(self, column: Sql) -> int:
        """The place of a column in the row, added if it isn't there yet."""
        place = self._places.get(column)
        if place is None or self.repeat:
            place = self._places[column] = len(self.columns)
            self.columns.append(column)
        return place


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectItem:
    """One column of the result as the query asked for it.

    `name` is the path in true spelling or the alias (`expr0` where there is none), `type` the wire type of describe,
    `place` its index in a row; a compound field has its parts in `parts` instead and place -1.
    """

    name: str
    type: str
    place: int
    parts: tuple[SelectItem, ...] = ()


@dataclass(slots=True, kw_only=True)
class Node:
    """A record in the making: the root, a parent, or a child. `id_place` finds its Id in the row.

    `type_name` is what attributes say; `type_place` finds the object that is really there when the reference points
    to several. `entries` maps keys of the record, in order, to what they hold.
    """

    type_name: str
    id_place: int
    type_place: int | None = None
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """A child subquery: SQL with one parameter more at its end, a JSON array of parent ids.

    Its rows end with the parent's id; they come sorted by parent, then as the subquery orders them.
    """

    sql: Sql
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeofNode:
    """A TYPEOF clause: per object name the node to render, `otherwise` for every other object."""

    type_place: int
    branches: dict[str, Node]
    otherwise: Node | None


Entry = SelectItem | Node | Children | TypeofNode

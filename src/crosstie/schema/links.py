"""Links: how people's tables and the local tables of collected objects hang together.

They come from what a person declares, from foreign keys, and from the references of collected objects. Each can be
followed in both directions: back, it leads to a collection, unless the columns are unique.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crosstie.db.foreign_keys import ForeignKey
from crosstie.model import FieldType, Table

if TYPE_CHECKING:
    from crosstie.schema.store import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLink:
    """A link from `table` to the rows of `to` in which `to_columns` equal `columns`. `to_one` when there is at most one
    such row; else it is a collection. `origin` says where it comes from: declared, foreign key, or remote reference.

    It is followed under `name`, which no other link of the table has, without regard to case."""

    name: str
    table: str
    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...]
    to_one: bool
    origin: str

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The columns that must be equal: own, of the other table."""
        return tuple(zip(self.columns, self.to_columns, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A link as it is given, before it is known under which names it can be followed. `name` '' when nobody said;
    `back` is the name of the opposite direction, '' likewise."""

    table: str
    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...]
    origin: str
    name: str = ""
    back: str = ""


def of_foreign_keys(keys: Iterable[ForeignKey]) -> Iterator[Relation]:
    """The relations that the database declares."""
    for key in keys:
        yield Relation(table=key.table, columns=key.columns, to=key.to, to_columns=key.to_columns, origin="foreign key")


def of_references(schemas: Sequence[Schema]) -> Iterator[Relation]:
    """The relations between local tables, where an object refers to others that are collected too."""
    tables = {(schema.account, schema.object.name): schema for schema in schemas}
    for schema in schemas:
        for field in schema.object.fields:
            targets = [tables.get((schema.account, name)) for name in field.reference_to]
            if field.type is not FieldType.REFERENCE:
                continue
            for target in (one for one in targets if one is not None):
                named = field.relationship.lower().removesuffix("__r")
                yield Relation(
                    table=schema.table,
                    columns=(field.name.lower(),),
                    to=target.table,
                    to_columns=(target.object.key.lower(),),
                    origin="remote reference",
                    # A field that leads to several objects is one link for each.
                    name=f"{named}_{target.object.name.lower()}" if named and len(field.reference_to) > 1 else named,
                )


def links_of(
    table: str, relations: Iterable[Relation], reflect: Callable[[str], Table | None]
) -> tuple[TableLink, ...]:
    """The links of a table in both directions, under names of their own; an earlier relation keeps its name, and a
    later one that says the same is left out. What names a table or column that is not there is left out."""
    given = tuple(relations)
    here = reflect(table)
    if here is None:
        return ()
    forth = [
        link
        for relation in given
        if relation.table == here.name and (link := _link(relation, here, reflect(relation.to))) is not None
    ]
    back = [
        link
        for relation in given
        if relation.to == here.name and (link := _link(_reversed(relation), here, reflect(relation.table))) is not None
    ]
    named: dict[str, TableLink] = {}
    seen: set[tuple[object, ...]] = set()
    for link in (*forth, *back):
        same = (link.to, frozenset(link.pairs))
        if same not in seen:
            seen.add(same)
            name = _free(link, named)
            named[name.lower()] = replace(link, name=name)
    return tuple(named.values())


def _link(relation: Relation, here: Table, there: Table | None) -> TableLink | None:
    if there is None:
        return None
    own = [here.column(name) for name in relation.columns]
    other = [there.column(name) for name in relation.to_columns]
    columns = tuple(one.name for one in own if one is not None)
    to_columns = tuple(one.name for one in other if one is not None)
    if not columns or not len(columns) == len(to_columns) == len(relation.columns):
        return None
    return TableLink(
        name=relation.name or _name(columns, there.name),
        table=here.name,
        columns=columns,
        to=there.name,
        to_columns=to_columns,
        to_one=any(key and set(key) <= set(to_columns) for key in (there.key, *there.unique)),
        origin=relation.origin,
    )


def _reversed(relation: Relation) -> Relation:
    return replace(
        relation,
        table=relation.to,
        columns=relation.to_columns,
        to=relation.table,
        to_columns=relation.columns,
        name=relation.back or _short(relation.table),
        back=relation.name,
    )


def _name(columns: tuple[str, ...], to: str) -> str:
    """`company` for company_id; the table that it leads to where the column's name says nothing."""
    last = columns[-1]
    for ending in ("_id", "_key", "_fk", "id"):
        stem = last[: -len(ending)].rstrip("_") if last.lower().endswith(ending) else ""
        if stem:
            return stem
    return _short(to)


def _short(table: str) -> str:
    """The name of a table without its schema."""
    return table.rpartition(".")[2]


def _free(link: TableLink, taken: Iterable[str]) -> str:
    """The link's name, or one with the columns that tell it from the others of that name."""
    columns = "_".join(link.columns if link.to_one else link.to_columns)
    names = (link.name, f"{link.name}_by_{columns}", *(f"{link.name}_{number}" for number in range(2, 1000)))
    return next(name for name in names if name.lower() not in taken)

"""Reads the definition of an enrichment against the inbound columns and the tables; keeps every mistake."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crosstie.db.expressions import Expression, Scope, UnknownScope
from crosstie.db.merge.matching import ambiguous_column
from crosstie.db.merge.phrases import OrderLine, Phrases, Place, ReadPair, unknown
from crosstie.model import Column, ColumnType, Link, Table, find_column
from crosstie.workflow.activity import Shape, Site

if TYPE_CHECKING:
    from crosstie.activities.enrichment import Enrichment, LinkTo


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLink:
    """A link, understood."""

    name: str
    table: Table
    key: Column
    column: str
    alternatives: tuple[tuple[ReadPair, ...], ...]
    order: tuple[OrderLine, ...]

    @property
    def mark(self) -> str:
        """The column that says that several rows were found; '' where an order decides."""
        return "" if self.order else ambiguous_column(self.name)

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it adds to the work table."""
        key = Column(name=self.column, type=self.key.type, scale=self.key.scale)
        return (key, *((Column(name=self.mark, type=ColumnType.BOOLEAN),) if self.mark else ()))

    @property
    def link(self) -> Link:
        """As the work table carries it."""
        return Link(name=self.name, table=self.table.name, column=self.column, key=self.key.name)


@dataclass(slots=True, kw_only=True)
class ReadEnrichment:
    """The definition, understood; not `complete` when mistakes hide a column or a link of what goes out."""

    links: list[ReadLink] = field(default_factory=list)
    added: list[tuple[str, Expression]] = field(default_factory=list)
    kept: tuple[Column, ...] = ()
    complete: bool = True

    def shape(self, inbound: Shape) -> Shape:
        """What goes out."""
        new = [column for link in self.links for column in link.columns]
        new += [expression.column(name) for name, expression in self.added]
        names = {column.name for column in self.kept}
        return replace(
            inbound,
            columns=(*self.kept, *new),
            lineage=inbound.lineage
            and replace(inbound.lineage, fields=tuple(one for one in inbound.lineage.fields if one[0] in names)),
            links=(*inbound.links, *(link.link for link in self.links)),
        )


def read_enrichment(definition: Enrichment, phrases: Phrases, inbound: Shape | None, site: Site) -> ReadEnrichment:
    """Reads it all, whatever is wrong; the mistakes are left with `phrases`. Without `inbound` only what needs none is
    looked at."""
    known = inbound.columns if inbound is not None else ()
    read = ReadEnrichment(kept=_kept(definition, phrases, inbound) if inbound is not None else ())
    scope = Scope.of(known, "the inbound population") if inbound is not None else UnknownScope(columns={})
    read.complete = not phrases.mistakes
    for name, link in definition.links.items():
        found = _read_link(phrases, name, link, scope, site)
        if found is not None:
            read.links.append(found)
    read.complete = read.complete and len(read.links) == len(definition.links)
    columns = {"": known, **{link.name: link.table.columns for link in read.links}}
    hidden = definition.links.keys() - columns
    over = Scope(columns=columns, what="the inbound population")
    for name, text in definition.add.items():
        # What is taken from a link that is not understood cannot be judged.
        blind = inbound is None or any(link.lower() in text.lower() for link in hidden)
        value = phrases.value(("add", name), text, UnknownScope(columns={}) if blind else over)
        if value is not None:
            read.added.append((name, value))
    read.complete = read.complete and len(read.added) == len(definition.add)
    _refuse_collisions(phrases, read)
    return read


def _kept(definition: Enrichment, phrases: Phrases, inbound: Shape) -> tuple[Column, ...]:
    if definition.columns == "all":
        return inbound.columns
    wanted = set(inbound.key) | {link.column for link in inbound.links}
    wanted |= {column.name for column in inbound.columns if column.name in _marks(inbound)}
    if inbound.lineage is not None:
        wanted |= {inbound.lineage.remote_id, inbound.lineage.stamp}
    for number, name in enumerate(definition.columns):
        column = find_column(inbound.columns, name)
        if column is None:
            known = [one.name for one in inbound.columns]
            phrases.refuse(("columns", number), f"inbound {unknown('column', name, known)}")
        else:
            wanted.add(column.name)
    return tuple(column for column in inbound.columns if column.name in wanted)


def _marks(inbound: Shape) -> set[str]:
    return {ambiguous_column(link.name) for link in inbound.links}


def _read_link(phrases: Phrases, name: str, link: LinkTo, scope: Scope, site: Site) -> ReadLink | None:
    place: Place = ("links", name)
    table = site.table(link.to)
    if table is None:
        phrases.refuse((*place, "to"), unknown("table", link.to, site.tables()))
        return None
    if len(table.key) != 1:
        what = "no primary key" if not table.key else "a primary key of several columns"
        phrases.refuse((*place, "to"), f"table {table.name} has {what}: a link needs one column to hold the key")
        return None
    alternatives = []
    for number, pairs in enumerate(link.first_of):
        if not pairs:
            phrases.refuse((*place, "first_of", number), "write at least one pair, like {Email: email}")
        read = [
            phrases.pair((*place, "first_of", number, left), left, right, scope, table) for left, right in pairs.items()
        ]
        alternatives.append(tuple(one for one in read if one is not None))
    for number, line in enumerate(link.order):
        phrases.value((*place, "order", number, line.word), line.text, Scope.of(table.columns, f"table {table.name}"))
    key = table.column(table.key[0])
    assert key is not None, "a table's key names its columns"
    return ReadLink(
        name=name,
        table=table,
        key=key,
        column=link.as_ or f"{name}_{key.name}",
        alternatives=tuple(alternatives),
        order=link.order,
    )


def _refuse_collisions(phrases: Phrases, read: ReadEnrichment) -> None:
    taken = {column.name.lower(): "an inbound column" for column in read.kept}
    new = [(("links", link.name), column.name) for link in read.links for column in link.columns]
    new += [(("add", name), name) for name, _ in read.added]
    for place, name in new:
        if name.lower() in taken:
            phrases.refuse(place, f"column {name} would stand twice: {taken[name.lower()]} has that name already")
        taken.setdefault(name.lower(), "another new column")

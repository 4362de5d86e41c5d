"""Reads the definition of an enrichment against the inbound columns and the tables; keeps every mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crosstie.activities.enrichment.gathering import Gathered, GatheringScope, UnknownGatheringScope
from crosstie.db.expressions import Expression, Scope, UnknownScope
from crosstie.db.expressions.nodes import ColumnNode
from crosstie.db.merge.matching import ambiguous_column
from crosstie.db.merge.phrases import OrderLine, Phrases, Place, ReadPair, unknown
from crosstie.model import Column, ColumnType, Link, Table, find_column
from crosstie.workflow.activity import Shape, Site

if TYPE_CHECKING:
    from crosstie.activities.enrichment import Enrichment, LinkTo

MANY = "1-N"
REQUIRED = "1-1"
VIA = "crosstie_via_{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLink:
    """A link, understood. `table` is the table or, where `inbound` says which, the inbound population that it leads to;
    `column` the work table's column for the key found, '' where there is none."""

    name: str
    table: Table
    inbound: int | None
    cardinality: str
    column: str
    leads_to: str
    alternatives: tuple[tuple[ReadPair, ...], ...]
    order: tuple[OrderLine, ...]

    @property
    def many(self) -> bool:
        """Whether it is a collection."""
        return self.cardinality == MANY

    @property
    def required(self) -> bool:
        """Whether a row without target is refused."""
        return self.cardinality == REQUIRED

    @property
    def key(self) -> Column:
        """The key of what it leads to."""
        found = self.table.column(self.table.key[0])
        assert found is not None, "a table's key names its columns"
        return found

    @property
    def mark(self) -> str:
        """The column that says that several rows were found; '' where an order decides, or all or none may be."""
        return "" if self.order or self.many or self.required else ambiguous_column(self.name)

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it adds to the work table."""
        found = []
        if self.column:
            found.append(Column(name=self.column, type=self.key.type, scale=self.key.scale))
        if self.mark:
            found.append(Column(name=self.mark, type=ColumnType.BOOLEAN))
        return tuple(found)

    @property
    def links(self) -> tuple[Link, ...]:
        """As the work table carries it: where it leads to rows of a table of people's."""
        if not self.column or not self.leads_to:
            return ()
        return (Link(name=self.name, table=self.leads_to, column=self.column, key=self.key.name),)


@dataclass(slots=True, kw_only=True)
class ReadEnrichment:
    """The definition, understood; not `complete` when mistakes hide a column or a link of what goes out.

    `via` are columns of `here`, the table that the population is of, which links of it go out from: `VIA` by number."""

    links: list[ReadLink] = field(default_factory=list)
    here: Table | None = None
    via: list[Column] = field(default_factory=list)
    added: list[tuple[str, Expression]] = field(default_factory=list)
    gathered: Mapping[str, list[Gathered]] = field(default_factory=dict)
    flattened: ReadLink | None = None
    dimension: ReadLink | None = None
    kept: tuple[Column, ...] = ()
    complete: bool = True

    @property
    def found(self) -> list[ReadLink]:
        """The links for which at most one row is searched."""
        return [link for link in self.links if not link.many]

    @property
    def shown(self) -> list[ReadLink]:
        """The links that put columns out."""
        return [link for link in self.links if not link.many or link is self.flattened]

    def shape(self, inbound: Shape) -> Shape:
        """What goes out. A flattened row is one of several for its record: nothing tells it apart."""
        new = [column for link in self.shown for column in link.columns]
        new += [expression.column(name) for name, expression in self.added]
        names = {column.name for column in self.kept}
        shape = replace(
            inbound,
            columns=(*self.kept, *new),
            lineage=inbound.lineage
            and replace(inbound.lineage, fields=tuple(one for one in inbound.lineage.fields if one[0] in names)),
            links=(*inbound.links, *(one for link in self.shown for one in link.links)),
        )
        if self.flattened is not None:
            shape = replace(shape, key=(), lineage=None, dimension="")
        return shape if self.dimension is None else replace(shape, dimension=self.dimension.leads_to)


def read_enrichment(definition: Enrichment, phrases: Phrases, inputs: tuple[Shape, ...], site: Site) -> ReadEnrichment:
    """Reads it all, whatever is wrong; the mistakes are left with `phrases`. Without `inputs` only what needs none is
    looked at."""
    inbound = inputs[0] if inputs else None
    known = inbound.columns if inbound is not None else ()
    read = ReadEnrichment(kept=_kept(definition, phrases, inbound) if inbound is not None else ())
    scope = Scope.of(known, "the inbound population") if inbound is not None else UnknownScope(columns={})
    read.complete = not phrases.mistakes
    for name, link in definition.links.items():
        if link.link is not None:
            found = _read_table_link(definition, phrases, name, link, read, inbound, site)
        else:
            found = _read_link(definition, phrases, name, link, scope, inputs, site)
        if found is not None:
            read.links.append(found)
    read.complete = read.complete and len(read.links) == len(definition.links)
    read.flattened = _named(definition, phrases, read, "flatten", many=True)
    read.dimension = _named(definition, phrases, read, "dimension", many=False)
    _check_dimension(phrases, read, inbound)
    _read_added(definition, phrases, read, inbound)
    _refuse_collisions(phrases, read)
    return read


def _read_added(definition: Enrichment, phrases: Phrases, read: ReadEnrichment, inbound: Shape | None) -> None:
    hidden = definition.links.keys() - {link.name for link in read.links}
    gathering = GatheringScope(
        columns={
            "": inbound.columns if inbound is not None else (),
            **{link.name: link.table.columns for link in read.shown},
        },
        what="the inbound population",
        collections={link.name: link.table.columns for link in read.links if link not in read.shown},
    )
    for name, text in definition.add.items():
        # What is taken from a link that is not understood cannot be judged.
        blind = inbound is None or any(link.lower() in text.lower() for link in hidden)
        value = phrases.value(("add", name), text, UnknownGatheringScope(columns={}) if blind else gathering)
        if value is not None:
            read.added.append((name, value))
    read.gathered = gathering.gathered
    read.complete = read.complete and len(read.added) == len(definition.add)


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


def _read_link(
    definition: Enrichment,
    phrases: Phrases,
    name: str,
    link: LinkTo,
    scope: Scope,
    inputs: tuple[Shape, ...],
    site: Site,
) -> ReadLink | None:
    place: Place = ("links", name)
    sources = definition.default_sources()
    inbound = sources.index(link.to) if link.to in sources[1:] else None
    if inbound is not None:
        if inbound >= len(inputs):
            return None
        other = inputs[inbound]
        table: Table | None = Table(name=link.to, columns=other.columns, key=other.key)
        leads_to = other.dimension if len(other.key) == 1 else ""
    else:
        table = site.table(link.to)
        leads_to = table.name if table is not None else ""
    if table is None:
        phrases.refuse((*place, "to"), unknown("table", link.to, [*sources[1:], *site.tables()]))
        return None
    if inbound is None and len(table.key) != 1 and link.cardinality != MANY:
        what = "no primary key" if not table.key else "a primary key of several columns"
        phrases.refuse((*place, "to"), f"table {table.name} has {what}: a link needs one column to hold the key")
        return None
    alternatives = [
        _read_pairs(phrases, (*place, *within), pairs, scope, table) for within, pairs in link.alternatives()
    ]
    of_table = Scope.of(table.columns, f"table {table.name}")
    for number, line in enumerate(link.order):
        phrases.value((*place, "order", number, line.word), line.text, of_table)
    return ReadLink(
        name=name,
        table=table,
        inbound=inbound,
        cardinality=link.cardinality,
        column=_column(definition, name, link, table),
        leads_to=leads_to,
        alternatives=tuple(alternatives),
        order=link.order,
    )


def _column(definition: Enrichment, name: str, link: LinkTo, table: Table) -> str:
    """The work table's column for the key; '' where no single column tells the rows apart."""
    if len(table.key) != 1:
        return ""
    return link.as_ or (table.key[0] if definition.dimension == name else f"{name}_{table.key[0]}")


def _read_table_link(
    definition: Enrichment,
    phrases: Phrases,
    name: str,
    link: LinkTo,
    read: ReadEnrichment,
    inbound: Shape | None,
    site: Site,
) -> ReadLink | None:
    """A link of the table that the population is of: it goes out from that table's row."""
    place: Place = ("links", name, "link")
    if inbound is None:
        return None
    here = site.table(inbound.dimension) if inbound.dimension else None
    if here is None:
        phrases.refuse(
            place, "the inbound population is of no table whose links could be followed: write “to” and “on”"
        )
        return None
    known = site.links(here.name)
    found = next((one for one in known if one.name.lower() == (link.link or "").lower()), None)
    table = site.table(found.to) if found is not None else None
    if found is None or table is None:
        phrases.refuse(place, f"table {here.name}: {unknown('link', link.link or '', [one.name for one in known])}")
        return None
    if any(find_column(inbound.columns, one) is None for one in here.key):
        phrases.refuse(place, f"the inbound population lacks the key of {here.name}: {', '.join(here.key)}")
        return None
    cardinality = link.cardinality if found.to_one else MANY
    if len(table.key) != 1 and cardinality != MANY:
        phrases.refuse(place, f"table {table.name} has no primary key of one column: a link needs one to hold the key")
        return None
    read.here = here
    pairs = []
    for own, there in found.pairs:
        of_here, of_table = here.column(own), table.column(there)
        assert of_here is not None and of_table is not None, "a link names columns that are there"
        read.via.append(of_here)
        given = of_here.named(VIA.format(len(read.via)))
        pairs.append(ReadPair(source=_just(given), target=_just(of_table)))
    return ReadLink(
        name=name,
        table=table,
        inbound=None,
        cardinality=cardinality,
        column=_column(definition, name, link, table),
        leads_to=table.name,
        alternatives=(tuple(pairs),),
        order=(),
    )


def _just(column: Column) -> Expression:
    """The expression that is nothing but that column."""
    node = ColumnNode(qualifier="", column=column, type=column.type, length=column.length, scale=column.scale)
    return Expression(text=column.name, root=node)


def _read_pairs(
    phrases: Phrases, place: Place, pairs: Mapping[str, str], scope: Scope, table: Table
) -> tuple[ReadPair, ...]:
    if not pairs:
        phrases.refuse(place, "write at least one pair, like {Email: email}")
    read = [phrases.pair((*place, left), left, right, scope, table) for left, right in pairs.items()]
    return tuple(one for one in read if one is not None)


def _named(definition: Enrichment, phrases: Phrases, read: ReadEnrichment, word: str, *, many: bool) -> ReadLink | None:
    """The link that `flatten` or `dimension` names."""
    name = getattr(definition, word)
    if name is None:
        return None
    if name not in definition.links:
        phrases.refuse((word,), unknown("link", name, list(definition.links)))
    found = next((link for link in read.links if link.name == name), None)
    if found is not None and found.many is not many:
        what = f"a collection (cardinality: {MANY})" if many else "a link to one row, not a collection"
        phrases.refuse((word,), f"“{word}” names {what}; {name} is {found.cardinality}")
    return found if found is not None and found.many is many else None


def _check_dimension(phrases: Phrases, read: ReadEnrichment, inbound: Shape | None) -> None:
    """Later activities find the rows of a dimension by columns that are named like its key."""
    link = read.dimension
    if link is None or inbound is None:
        return
    if not link.links:
        phrases.refuse(("dimension",), f"{link.name} leads to no rows of a table that one column tells apart")
    elif link.column != link.key.name:
        phrases.refuse(
            ("links", link.name, "as"),
            f"the rows of {link.leads_to} are identified by a column {link.key.name}: leave “as” out",
        )


def _refuse_collisions(phrases: Phrases, read: ReadEnrichment) -> None:
    taken = {column.name.lower(): "an inbound column" for column in read.kept}
    new = [(("links", link.name), column.name) for link in read.shown for column in link.columns]
    new += [(("add", name), name) for name, _ in read.added]
    for place, name in new:
        if name.lower() in taken:
            phrases.refuse(place, f"column {name} would stand twice: {taken[name.lower()]} has that name already")
        taken.setdefault(name.lower(), "another new column")

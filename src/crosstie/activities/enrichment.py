"""Enrichment: links each inbound row to rows of people's tables, and adds columns; the rows stay the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from crosstie.db.expressions import Binding, Expression, Scope
from crosstie.db.merge import Candidates, Target, candidates, describe_target
from crosstie.db.merge.matching import ambiguous_column
from crosstie.db.merge.phrases import OrderLine, Phrases, Place, ReadPair, Writer, unknown
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType, Link, Table, WorkTable, find_column
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site


class LinkTo(BaseModel):
    """A reconciliation: searches one row of a table for each inbound row and stores its key."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    to: str = Field(description="the table to search in")
    first_of: tuple[dict[str, str], ...] = Field(
        min_length=1,
        description="pairs inbound expression: expression over the table, that must all be equal; a list of such"
        " mappings is tried in this order",
    )
    order: tuple[OrderLine, ...] = Field((), description="which row is taken when several are found")
    as_: str = Field("", alias="as", description="the column for the key; by default LINK_KEY, like recipient_id")

    @field_validator("first_of", "order", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadLink:
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
class _ReadEnrichment:
    """The definition, understood."""

    links: list[_ReadLink] = field(default_factory=list)
    added: list[tuple[str, Expression]] = field(default_factory=list)
    kept: tuple[Column, ...] = ()

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


class Enrichment(Activity):
    """Adds links to rows of tables, columns of the linked rows, and computed columns."""

    summary: ClassVar[str] = "adds links to rows of other tables, and columns; the rows stay the same"

    type: Literal["enrichment"]
    links: dict[str, LinkTo] = Field(default_factory=dict, description="name: where it leads and how it is found")
    add: dict[str, str] = Field(
        default_factory=dict, description="column: expression over the inbound columns and, as LINK.column, the linked"
    )
    columns: tuple[str, ...] | Literal["all"] = Field(
        "all", description="which inbound columns go on: all, or a list; keys always do"
    )

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown tables and columns, types that never are equal, names that collide, nothing to do."""
        phrases = Phrases()
        if not self.links and not self.add and self.columns == "all":
            phrases.refuse((), "this enrichment adds nothing: write “links” or “add”")
        self._read(phrases, inputs[0], site)
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The chosen inbound columns, the keys of the links, the columns added."""
        return {OK: self._read(Phrases(), inputs[0], site).shape(inputs[0])}

    def run(self, context: Context) -> Done:
        """Finds the links into a small table beside the inbound one; a view joins the two."""
        phrases = Phrases()
        read = self._read(phrases, Shape.of(context.input), context.site)
        if phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        return _Enriching(context=context, read=read).run()

    def _read(self, phrases: Phrases, inbound: Shape, site: Site) -> _ReadEnrichment:
        read = _ReadEnrichment(kept=self._kept(phrases, inbound))
        scope = Scope.of(inbound.columns, "the inbound population")
        for name, link in self.links.items():
            found = _read_link(phrases, name, link, scope, site)
            if found is not None:
                read.links.append(found)
        columns = {"": inbound.columns, **{link.name: link.table.columns for link in read.links}}
        for name, text in self.add.items():
            value = phrases.value(("add", name), text, Scope(columns=columns, what="the inbound population"))
            if value is not None:
                read.added.append((name, value))
        _refuse_collisions(phrases, read)
        return read

    def _kept(self, phrases: Phrases, inbound: Shape) -> tuple[Column, ...]:
        if self.columns == "all":
            return inbound.columns
        wanted = set(inbound.key) | {link.column for link in inbound.links}
        wanted |= {column.name for column in inbound.columns if column.name in _marks(inbound)}
        if inbound.lineage is not None:
            wanted |= {inbound.lineage.remote_id, inbound.lineage.stamp}
        for number, name in enumerate(self.columns):
            column = find_column(inbound.columns, name)
            if column is None:
                known = [one.name for one in inbound.columns]
                phrases.refuse(("columns", number), f"inbound {unknown('column', name, known)}")
            else:
                wanted.add(column.name)
        return tuple(column for column in inbound.columns if column.name in wanted)


def _marks(inbound: Shape) -> set[str]:
    return {ambiguous_column(link.name) for link in inbound.links}


def _read_link(phrases: Phrases, name: str, link: LinkTo, scope: Scope, site: Site) -> _ReadLink | None:
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
    return _ReadLink(
        name=name,
        table=table,
        key=key,
        column=link.as_ or f"{name}_{key.name}",
        alternatives=tuple(alternatives),
        order=link.order,
    )


def _refuse_collisions(phrases: Phrases, read: _ReadEnrichment) -> None:
    taken = {column.name.lower(): "an inbound column" for column in read.kept}
    new = [(("links", link.name), column.name) for link in read.links for column in link.columns]
    new += [(("add", name), name) for name, _ in read.added]
    for place, name in new:
        if name.lower() in taken:
            phrases.refuse(place, f"column {name} would stand twice: {taken[name.lower()]} has that name already")
        taken.setdefault(name.lower(), "another new column")


@dataclass(slots=True, kw_only=True)
class _Enriching:
    """One execution."""

    context: Context
    read: _ReadEnrichment

    def run(self) -> Done:
        context = self.context
        inbound = context.input
        writer = Writer(
            dialect=context.db.dialect,
            binding=Binding(now=context.now(), zone=context.zone, vars=dict(context.vars)),
        )
        shape = self.read.shape(Shape.of(inbound))
        if inbound.key:
            name = context.private_name("links")
            self._fill(writer, name, key_only=True)
            table = self._view(shape, name)
        else:
            name = context.private_name()
            self._fill(writer, name, key_only=False)
            table = shape.work_table(name, inbound.rows)
        return Done(tables={OK: table}, counts=self._counts(name, key_only=bool(inbound.key)))

    def _fill(self, writer: Writer, name: str, *, key_only: bool) -> None:
        """Loads the links: beside the key only, or the whole outbound table where the rows have no key."""
        context = self.context
        own = [one for one in (context.input.column(one) for one in context.input.key) if one is not None]
        carried = own if key_only else list(self.read.kept)
        placed = [column.named(f"s_{place}") for place, column in enumerate(carried, 1)]
        new = self._new_columns(key_only)
        columns = (*(placed if key_only else carried), *new)
        context.db.create_work(name, columns)
        with context.db.reading() as transaction:
            targets = {link.name: describe_target(transaction, link.table) for link in self.read.links}
        statement, params = self._statement(writer, carried, targets, key_only=key_only)
        listed = ", ".join(quote_identifier(column.name) for column in columns)
        with context.db.transaction(f"{context.activity} finds its links") as transaction:
            transaction.execute(f"insert into crosstie.{name} ({listed}) {statement}", params)
        context.db.prepare(name, tuple(column.name for column in placed) if key_only else (), unique=key_only)

    def _new_columns(self, key_only: bool) -> list[Column]:
        new = [column for link in self.read.links for column in link.columns]
        new += [expression.column(name) for name, expression in self.read.added]
        return [column.named(f"n_{place}") for place, column in enumerate(new, 1)] if key_only else new

    def _statement(
        self, writer: Writer, carried: list[Column], targets: Mapping[str, Target], *, key_only: bool
    ) -> tuple[str, dict[str, object]]:
        params: dict[str, object] = {}
        joins = ""
        shown = [f"s.{quote_identifier(column.name)}" for column in carried]
        some = []
        aliases = {"": "s"}
        used = {qualifier for _, expression in self.read.added for qualifier, _ in expression.columns}
        for number, link in enumerate(self.read.links, 1):
            target = targets[link.name]
            found = self._candidates(writer, link, target, number)
            joins += "".join(one.join for one in found)
            for one in found:
                params.update(one.params)
            key = _chosen(found, lambda one: f"case when {one.found} = 1 then {one.keys[0]} end")
            shown.append(key)
            some.append(f"({key}) is not null")
            if link.mark:
                several = _chosen(found, lambda one: f"{one.found} > 1")
                shown.append(f"coalesce({several}, false)")
                some.append(f"coalesce({several}, false)")
            if link.name in used:
                alias = f"l{number}"
                column = quote_identifier(link.key.name)
                joins += f" left join {target.sql} {alias} on {alias}.{column} = {target.given(target.key[0], key)}"
                aliases[link.name] = alias
        for _, expression in self.read.added:
            added = writer.fragment(expression, aliases)
            params.update(added.params)
            shown.append(added.sql)
        where = f" where {' or '.join(some)}" if key_only and not self.read.added and some else ""
        return f"select {', '.join(shown)} from crosstie.{self.context.input.name} s{joins}{where}", params

    def _candidates(self, writer: Writer, link: _ReadLink, target: Target, number: int) -> list[Candidates]:
        scope = Scope.of(link.table.columns, f"table {link.table.name}")
        return [
            candidates(
                target,
                f"crosstie.{self.context.input.name}",
                [writer.pair(pair) for pair in pairs],
                alias=f"m{number}_{place}",
                order=[writer.ordering(line, scope, "t") for line in link.order],
            )
            for place, pairs in enumerate(link.alternatives, 1)
        ]

    def _view(self, shape: Shape, links: str) -> WorkTable:
        """The inbound table with the small one beside it: nothing is copied."""
        context = self.context
        inbound = context.input
        name = context.private_name()
        shown = [f"s.{quote_identifier(column.name)}" for column in self.read.kept]
        marks = {link.mark for link in self.read.links}
        for place, column in enumerate(shape.columns[len(self.read.kept) :], 1):
            value = f"coalesce(l.n_{place}, false)" if column.name in marks else f"l.n_{place}"
            shown.append(f"{value} as {quote_identifier(column.name)}")
        same = " and ".join(f"l.s_{place} = s.{quote_identifier(one)}" for place, one in enumerate(inbound.key, 1))
        context.db.drop_work((name,))
        with context.db.transaction(f"{context.activity} publishes") as transaction:
            transaction.execute(
                f"create view crosstie.{name} as select {', '.join(shown)}"
                f" from crosstie.{inbound.name} s left join crosstie.{links} l on {same}"
            )
        return shape.work_table(name, inbound.rows, bases=(*inbound.bases, inbound.name, links))

    def _counts(self, name: str, *, key_only: bool) -> Mapping[str, int]:
        """Known, new and ambiguous rows, of the first link; the others are told in the log."""
        rows = self.context.input.rows
        names = [column.name for column in self._new_columns(key_only)]
        counts: Mapping[str, int] = {"rows": rows}
        for number, link in enumerate(self.read.links):
            place = sum(len(one.columns) for one in self.read.links[:number])
            known = self._count(name, f"{quote_identifier(names[place])} is not null")
            ambiguous = self._count(name, quote_identifier(names[place + 1])) if link.mark else 0
            found = {"known": known, "new": rows - known - ambiguous, "ambiguous": ambiguous}
            if ambiguous:
                self.context.log.warning(
                    f"link {link.name}: {ambiguous} rows stand for several rows of {link.table.name}; their key stays"
                    " empty. Add an “order” to say which one is meant, or match on more."
                )
            if number == 0:
                counts = found
            else:
                self.context.log.info(f"link {link.name}: {known} known, {found['new']} new, {ambiguous} ambiguous")
        return counts

    def _count(self, name: str, condition: str) -> int:
        with self.context.db.reading() as transaction:
            row = transaction.row(f"select count(*) from crosstie.{name} where {condition}")
        return int(row[0]) if row is not None else 0


def _chosen(found: list[Candidates], of: Any) -> str:
    """What the first alternative says that found anything."""
    branches = " ".join(f"when {one.found} is not null then {of(one)}" for one in found)
    return f"case {branches} end"

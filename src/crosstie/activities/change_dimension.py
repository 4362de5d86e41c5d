"""Change dimension: from rows of one table to the rows of another that they are linked with, each once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from crosstie.db.expressions import Expression, Scope, UnknownScope
from crosstie.db.merge import Fragment, Target, describe_target, give_memory, matched, numbered
from crosstie.db.merge.phrases import OrderLine, Phrases, ReadPair, Writer, unknown
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import Column, Table, WorkTable, find_column
from crosstie.schema.links import TableLink
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site

_CHOICES = "write “link” with the name of a link, or “on” with pairs like {company_id: id}"


@dataclass(slots=True, kw_only=True)
class _Read:
    """A definition, understood. Of the three ways `pairs`, `link` (between tables) and `column` (a link made upstream,
    which holds the key) one is given."""

    table: Table
    pairs: list[ReadPair] = field(default_factory=list)
    link: TableLink | None = None
    here: Table | None = None
    column: str = ""
    added: list[tuple[str, Expression]] = field(default_factory=list)
    carried: list[tuple[str, Expression]] = field(default_factory=list)

    @property
    def shape(self) -> Shape:
        """What goes out: the table's key, and the columns asked for."""
        keys = [column for name in self.table.key if (column := self.table.column(name)) is not None]
        new = [expression.column(name) for name, expression in (*self.added, *self.carried)]
        return Shape(columns=(*(_plain(key) for key in keys), *new), key=self.table.key, dimension=self.table.name)


class ChangeDimension(Activity):
    """Replaces the inbound population by the rows of another table that it is linked with."""

    summary: ClassVar[str] = "goes from rows of one table to the linked rows of another, each once"

    type: Literal["change_dimension"]
    to: str = Field(description="the table whose rows go out")
    link: str | None = Field(
        None,
        description="a link to it: one made upstream, or one of the table that the population is of; by default the"
        " only one there is",
    )
    on: dict[str, str] | None = Field(
        None, description="instead of a link, pairs inbound expression: expression over the table, that must be equal"
    )
    add: dict[str, str] = Field(default_factory=dict, description="column: expression over the table's columns")
    carry: dict[str, str] = Field(
        default_factory=dict,
        description="column: expression over the inbound columns; of several inbound rows the first by “order” counts",
    )
    order: tuple[OrderLine, ...] = Field((), description="which inbound row comes first; ties are broken by its key")

    @field_validator("order", mode="before", json_schema_input_type=OrderLine | tuple[OrderLine, ...])
    @classmethod
    def _orders(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_way(self) -> ChangeDimension:
        if self.link is not None and self.on is not None:
            raise ValueError("write either “link” or “on”")
        if self.order and not self.carry:
            raise ValueError("an order is only used with “carry”")
        return self

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown table, columns or link; no way from the inbound population to the table."""
        phrases = Phrases()
        self._read(phrases, inputs[0] if inputs else None, site)
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The table's key and the columns asked for. Raises MappingError where mistakes hide them."""
        phrases = Phrases()
        read = self._read(phrases, inputs[0], site)
        if read is None or phrases.mistakes:
            raise MappingError("The columns of this population cannot be told before its mistakes are mended.")
        return {OK: read.shape}

    def run(self, context: Context) -> Done:
        """One statement into a work table of keys."""
        phrases = Phrases()
        read = self._read(phrases, Shape.of(context.input), context.site)
        if read is None or phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        return _Changing(definition=self, read=read, context=context).run()

    def _read(self, phrases: Phrases, inbound: Shape | None, site: Site) -> _Read | None:
        table = site.table(self.to)
        scope = UnknownScope(columns={}) if inbound is None else Scope.of(inbound.columns, "the inbound population")
        if table is None:
            phrases.refuse(("to",), unknown("table", self.to, site.tables()))
            return None
        if not table.key:
            phrases.refuse(("to",), f"table {table.name} has no primary key, so that its rows can't be told apart")
            return None
        read = _Read(table=table)
        self._read_way(phrases, read, inbound, scope, site)
        of_table = Scope.of(table.columns, f"table {table.name}")
        for word, over, found in (("add", of_table, read.added), ("carry", scope, read.carried)):
            for name, text in getattr(self, word).items():
                value = phrases.value((word, name), text, over)
                if value is not None:
                    found.append((name, value))
        for number, line in enumerate(self.order):
            phrases.value(("order", number, line.word), line.text, scope)
        self._refuse_collisions(phrases, table)
        return read

    def _refuse_collisions(self, phrases: Phrases, table: Table) -> None:
        taken = {name.lower(): "the key" for name in table.key}
        for word in ("add", "carry"):
            for name in getattr(self, word):
                if name.lower() in taken:
                    phrases.refuse(
                        (word, name), f"column {name} would stand twice: {taken[name.lower()]} has that name"
                    )
                taken.setdefault(name.lower(), "another column")

    def _read_way(self, phrases: Phrases, read: _Read, inbound: Shape | None, scope: Scope, site: Site) -> None:
        if self.on is not None:
            if not self.on:
                phrases.refuse(("on",), "write at least one pair, like {company_id: id}")
            for left, right in self.on.items():
                pair = phrases.pair(("on", left), left, right, scope, read.table)
                if pair is not None:
                    read.pairs.append(pair)
        elif inbound is not None:
            self._read_link(phrases, read, inbound, site)

    def _read_link(self, phrases: Phrases, read: _Read, inbound: Shape, site: Site) -> None:
        """The link of that name, or the only one that leads to the table: those made upstream first."""
        made = [one for one in inbound.links if one.table == read.table.name and read.table.key == (one.key,)]
        here = site.table(inbound.dimension) if inbound.dimension else None
        known = [one for one in site.links(here.name) if one.to == read.table.name] if here is not None else []
        wanted = (self.link or "").lower()
        upstream = [one for one in made if not wanted or one.name.lower() == wanted]
        tables = [one for one in known if not wanted or one.name.lower() == wanted]
        names = [*(one.name for one in made), *(one.name for one in known)]
        if len(upstream) == 1:
            read.column = upstream[0].column
        elif not upstream and len(tables) == 1 and here is not None:
            read.link, read.here = tables[0], here
            if any(find_column(inbound.columns, name) is None for name in here.key):
                phrases.refuse((), f"the inbound population lacks the key of {here.name}: {', '.join(here.key)}")
        elif self.link is not None:
            phrases.refuse(("link",), f"{unknown('link', self.link, names)} It has to lead to {read.table.name}.")
        elif names:
            phrases.refuse(
                (), f"several links lead to {read.table.name}: {', '.join(names)}. Say which: “link: {names[0]}”"
            )
        else:
            whose = f"rows of {inbound.dimension}" if inbound.dimension else "the inbound rows"
            phrases.refuse((), f"no link leads from {whose} to {read.table.name}: {_CHOICES}")


@dataclass(slots=True, kw_only=True)
class _Changing:
    """One execution."""

    definition: ChangeDimension
    read: _Read
    context: Context
    writer: Writer = field(init=False)

    def run(self) -> Done:
        """Fills the work table."""
        context, read = self.context, self.read
        self.writer = Writer(
            dialect=context.db.dialect,
            binding=context.binding(),
        )
        source = context.input
        if read.carried:
            purpose = f"{context.activity} numbers its rows"
            source = numbered(context.db, source, context.private_name("numbered"), purpose)
        target = describe_target(context.db, read.table)
        name, shape = context.private_name(), read.shape
        context.db.create_work(name, shape.columns)
        wanted, given, joins, params = self._way(source, target)
        added = [self.writer.fragment(expression, {"": "t"}) for _, expression in read.added]
        values = [*(Fragment(sql=target.read("t", key), type=key.column.type) for key in target.key), *added]
        if read.carried:
            statement, more = self._first_of_each(source, target, values, wanted, given, joins)
            params |= more
        else:
            statement = (
                f"select {', '.join(one.sql for one in values)} from {target.sql} t where ({', '.join(wanted)}) in"
                f" (select {', '.join(given)} from crosstie.{source.name} s{joins})"
            )
        for one in values:
            params |= one.params
        listed = ", ".join(quote_identifier(column.name) for column in shape.columns)
        with context.db.transaction(f"{context.activity} changes the dimension") as transaction:
            give_memory(transaction)
            rows = transaction.execute(f"insert into crosstie.{name} ({listed}) {statement}", params)
        context.db.prepare(name, shape.key, unique=True)
        return Done(tables={OK: shape.work_table(name, rows)}, counts={"rows": rows})

    def _way(self, source: WorkTable, target: Target) -> tuple[list[str], list[str], str, dict[str, object]]:
        """What must be equal: values over alias t, and values over alias s and the joins, which come next."""
        read = self.read
        if read.pairs:
            pairs = [self.writer.pair(pair) for pair in read.pairs]
            wanted, given = matched(target, pairs)
            params = {
                name: value
                for pair in pairs
                for side in (pair.source, pair.target)
                for name, value in side.params.items()
            }
            return wanted, given, "", params
        if read.link is None or read.here is None:
            key = target.key[0]
            held = f"s.{quote_identifier(read.column)}"
            return [f"t.{quote_identifier(key.name)}"], [target.given(key, held)], "", {}
        here = describe_target(self.context.db, read.here)
        own = [source.column(one.name) for one in here.key]
        same = " and ".join(
            f"d.{quote_identifier(one.name)} = {here.given(one, f's.{quote_identifier(column.name)}')}"
            for one, column in zip(here.key, own, strict=True)
            if column is not None
        )
        there = [target.column(to) for _, to in read.link.pairs]
        wanted = [f"t.{quote_identifier(one.name)}" for one in there]
        given = [
            target.given(to, here.read("d", here.column(column)))
            for to, (column, _) in zip(there, read.link.pairs, strict=True)
        ]
        return wanted, given, f" join {here.sql} d on {same}", {}

    def _first_of_each(
        self,
        source: WorkTable,
        target: Target,
        values: list[Fragment],
        wanted: list[str],
        given: list[str],
        joins: str,
    ) -> tuple[str, dict[str, object]]:
        """Each row of the table with what the first of its inbound rows carries."""
        scope = Scope.of(self.context.input.columns)
        carried = [self.writer.fragment(expression, {"": "s"}) for _, expression in self.read.carried]
        order = [self.writer.ordering(line, scope, "s") for line in self.definition.order]
        keys = ", ".join(f"t.{quote_identifier(one.name)}" for one in target.key)
        by = ", ".join([*(one.sql for one in order), *(f"s.{quote_identifier(one)}" for one in source.key)])
        shown = [*values, *carried]
        named = ", ".join(f"{one.sql} as v_{place}" for place, one in enumerate(shown, 1))
        on = " and ".join(f"{left} = {right}" for left, right in zip(wanted, given, strict=True))
        params = {name: value for one in carried for name, value in one.params.items()}
        for line in order:
            params |= line.value.params
        return (
            f"select {', '.join(f'v_{place}' for place in range(1, len(shown) + 1))} from (select {named},"
            f" row_number() over (partition by {keys} order by {by}) as place"
            f" from crosstie.{source.name} s{joins} join {target.sql} t on {on}) x where place = 1",
            params,
        )


def _plain(column: Column) -> Column:
    """The column without what only people's table demands of it."""
    return Column(name=column.name, type=column.type, scale=column.scale)

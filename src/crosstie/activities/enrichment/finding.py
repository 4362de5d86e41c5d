"""Finds the links of an enrichment into small tables beside the inbound one; a view joins them, nothing is copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from crosstie.activities.enrichment.reading import ReadEnrichment, ReadLink
from crosstie.db.database import Transaction
from crosstie.db.expressions import Binding, Scope
from crosstie.db.merge import (
    Candidates,
    Target,
    candidates,
    describe_target,
    give_memory,
    key_columns,
    numbered,
    same_key,
)
from crosstie.db.merge.phrases import ReadPair, Writer
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, WorkTable
from crosstie.workflow.activity import OK, Context, Done, Shape


@dataclass(slots=True, kw_only=True)
class Enriching:
    """One execution of an enrichment."""

    context: Context
    read: ReadEnrichment

    def run(self) -> Done:
        """The outbound population, and what the links found."""
        context = self.context
        purpose = f"{context.activity} numbers its rows"
        source = numbered(context.db, context.input, context.private_name("numbered"), purpose)
        writer = Writer(
            dialect=context.db.dialect,
            binding=Binding(now=context.now(), zone=context.zone, vars=dict(context.vars)),
        )
        targets = {link.name: describe_target(context.db, link.table) for link in self.read.links}
        for link in self.read.links:
            self._find(source, writer, link, targets[link.name])
        if self.read.added:
            self._add(source, writer, targets)
        return Done(tables={OK: self._view(source)}, counts=self._counts())

    @contextmanager
    def _statements(self, what: str) -> Iterator[Transaction]:
        with self.context.db.transaction(f"{self.context.activity} {what}") as transaction:
            give_memory(transaction)
            yield transaction

    def _table(self, link: ReadLink) -> str:
        """The table of a link: for each row that found something its key, and whether that was several rows."""
        return self.context.private_name(f"link{self.read.links.index(link) + 1}")

    def _find(self, source: WorkTable, writer: Writer, link: ReadLink, target: Target) -> None:
        """Tries the alternatives one after the other, each for the rows that have found nothing yet."""
        name = self._table(link)
        own = key_columns(source)
        self.context.db.create_work(
            name,
            (
                *own,
                Column(name="found", type=link.key.type, scale=link.key.scale),
                Column(name="several", type=ColumnType.BOOLEAN),
            ),
        )
        found = 0
        for number, pairs in enumerate(link.alternatives):
            if found == source.rows:
                return
            waiting = f"crosstie.{source.name}"
            if number:
                waiting = (
                    f"(select s.* from crosstie.{source.name} s"
                    f" where not exists (select 1 from crosstie.{name} l where {same_key(source, 'l')}))"
                )
            match = self._candidates(writer, link, target, waiting, pairs)
            keys = ", ".join(f"s.{quote_identifier(one)}" for one in source.key)
            listed = ", ".join(column.name for column in own)
            with self._statements(f"finds link {link.name}") as transaction:
                found += transaction.execute(
                    f"insert into crosstie.{name} ({listed}, found, several) select {keys},"
                    f" case when {match.found} = 1 then {match.keys[0]} end, {match.found} > 1"
                    f" from {waiting} s join {match.sql} {match.alias} on {match.on}",
                    match.params,
                )
            if number == 0:
                self.context.db.prepare(name, tuple(column.name for column in own), unique=True)

    def _candidates(
        self, writer: Writer, link: ReadLink, target: Target, source: str, pairs: tuple[ReadPair, ...]
    ) -> Candidates:
        scope = Scope.of(link.table.columns, f"table {link.table.name}")
        return candidates(
            target,
            source,
            [writer.pair(pair) for pair in pairs],
            alias="m",
            order=[writer.ordering(line, scope, "t") for line in link.order],
        )

    def _add(self, source: WorkTable, writer: Writer, targets: Mapping[str, Target]) -> None:
        """Computes the added columns now: what they are taken from may change."""
        name = self.context.private_name("added")
        own = key_columns(source)
        added = [expression.column(f"a_{place}") for place, (_, expression) in enumerate(self.read.added, 1)]
        self.context.db.create_work(name, (*own, *added))
        used = {qualifier for _, expression in self.read.added for qualifier, _ in expression.columns}
        aliases = {"": "s"}
        joins = ""
        for number, link in enumerate(self.read.links, 1):
            if link.name in used:
                target = targets[link.name]
                aliases[link.name] = f"t{number}"
                key = f"t{number}.{quote_identifier(link.key.name)}"
                joins += (
                    f" left join crosstie.{self._table(link)} l{number} on {same_key(source, f'l{number}')}"
                    f" left join {target.sql} t{number} on {key} = {target.given(target.key[0], f'l{number}.found')}"
                )
        values = [writer.fragment(expression, aliases) for _, expression in self.read.added]
        keys = [f"s.{quote_identifier(one)}" for one in source.key]
        listed = ", ".join(column.name for column in (*own, *added))
        with self._statements("adds its columns") as transaction:
            transaction.execute(
                f"insert into crosstie.{name} ({listed})"
                f" select {', '.join([*keys, *(one.sql for one in values)])} from crosstie.{source.name} s{joins}",
                {name: value for one in values for name, value in one.params.items()},
            )
        self.context.db.prepare(name, tuple(column.name for column in own), unique=True)

    def _view(self, source: WorkTable) -> WorkTable:
        """The inbound table with the small ones beside it."""
        context = self.context
        shown = [f"s.{quote_identifier(column.name)}" for column in self.read.kept]
        joins, bases = "", [source.name]
        for number, link in enumerate(self.read.links, 1):
            alias = f"l{number}"
            bases.append(self._table(link))
            joins += f" left join crosstie.{bases[-1]} {alias} on {same_key(source, alias)}"
            shown.append(f"{alias}.found as {quote_identifier(link.column)}")
            if link.mark:
                shown.append(f"coalesce({alias}.several, false) as {quote_identifier(link.mark)}")
        if self.read.added:
            bases.append(context.private_name("added"))
            joins += f" left join crosstie.{bases[-1]} a on {same_key(source, 'a')}"
            shown += [f"a.a_{place} as {quote_identifier(name)}" for place, (name, _) in enumerate(self.read.added, 1)]
        name = context.private_name()
        context.db.drop_work((name,))
        with self._statements("publishes") as transaction:
            transaction.execute(
                f"create view crosstie.{name} as select {', '.join(shown)} from crosstie.{source.name} s{joins}"
            )
        shape = self.read.shape(Shape.of(context.input))
        return shape.work_table(name, context.input.rows, bases=tuple(dict.fromkeys((*source.bases, *bases))))

    def _counts(self) -> Mapping[str, int]:
        """Known, new and ambiguous rows, of the first link; the others are told in the log."""
        rows = self.context.input.rows
        counts: Mapping[str, int] = {"rows": rows}
        for number, link in enumerate(self.read.links):
            with self.context.db.reading() as transaction:
                row = transaction.row(f"select count(found), count(*) from crosstie.{self._table(link)}")
            known, all_found = (int(row[0]), int(row[1])) if row is not None else (0, 0)
            several = all_found - known
            if several:
                self.context.log.warning(
                    f"link {link.name}: {several} inbound rows stand for several rows of {link.table.name}; their key"
                    " stays empty. Add an “order” to say which one is meant, or match on more."
                )
            if number == 0:
                counts = {"known": known, "new": rows - all_found, "ambiguous": several}
            else:
                self.context.log.info(f"link {link.name}: {known} known, {rows - all_found} new, {several} ambiguous")
        return counts

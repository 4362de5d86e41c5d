"""Finds the links of an enrichment into small tables beside the inbound one; a view joins them, nothing is copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from crosstie.activities.enrichment.gathering import gathered_alias
from crosstie.activities.enrichment.reading import VIA, ReadEnrichment, ReadLink
from crosstie.db.database import Transaction
from crosstie.db.expressions import Expression, Scope
from crosstie.db.merge import (
    Candidates,
    Target,
    candidates,
    describe_target,
    give_memory,
    joined,
    key_columns,
    numbered,
    same_key,
    work_target,
)
from crosstie.db.merge.phrases import ReadPair, Writer
from crosstie.db.merge.plan import AMBIGUOUS_TARGET, KEY_MISSING
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, WorkTable
from crosstie.workflow.activity import OK, REJECTS, Context, Done, Shape
from crosstie.workflow.refusing import Refusals

_FLAT = "flat"


@dataclass(slots=True, kw_only=True)
class Enriching:
    """One execution of an enrichment."""

    context: Context
    read: ReadEnrichment
    source: WorkTable = field(init=False)
    rows: str = field(init=False)
    writer: Writer = field(init=False)
    targets: dict[str, Target] = field(init=False)

    def run(self) -> Done:
        """The outbound population, and what the links found."""
        context = self.context
        purpose = f"{context.activity} numbers its rows"
        self.source = numbered(context.db, context.input, context.private_name("numbered"), purpose)
        self.writer = Writer(
            dialect=context.db.dialect,
            binding=context.binding(),
        )
        self.rows = self._with_via()
        self.targets = {link.name: self._target(link) for link in self.read.links}
        for link in self.read.links:
            if not link.many:
                self._find(link)
            elif self.read.gathered.get(link.name):
                self._gather(link)
        if self.read.added or self.read.flattened:
            self._add()
        refusals = Refusals(name=context.private_name("refused"), source=self.source, inbound=Shape.of(context.input))
        refused = self._refuse(refusals)
        table = self._view(refusals, refused)
        tables: dict[str, WorkTable | None] = {OK: table}
        counts = self._counts()
        if any(link.required for link in self.read.links):
            counts = {**counts, "rejected": refused}
        if refused:
            name = context.private_name(REJECTS)
            refusals.publish(context.db, name, f"{context.activity} publishes its rejects")
            tables[REJECTS] = refusals.work_table(name, refused)
        return Done(tables=tables, counts=counts, rejects=refusals.rejects_of(context.db) if refused else ())

    def _with_via(self) -> str:
        """The inbound rows as SQL, with what their rows of the table that they are of give to its links."""
        source, here, name = self.source, self.read.here, self.context.private_name("via")
        if here is None:
            return f"crosstie.{source.name}"
        target, own = describe_target(self.context.db, here), key_columns(source)
        via = [
            Column(name=VIA.format(place), type=one.type, scale=one.scale) for place, one in enumerate(self.read.via, 1)
        ]
        self.context.db.create_work(name, (*own, *via))
        held = [source.column(one.name) for one in target.key]
        same = " and ".join(
            f"d.{quote_identifier(one.name)} = {target.given(one, f's.{quote_identifier(column.name)}')}"
            for one, column in zip(target.key, held, strict=True)
            if column is not None
        )
        shown = ", ".join([*self._keys(), *(target.read("d", target.column(one.name)) for one in self.read.via)])
        listed = ", ".join(column.name for column in (*own, *via))
        with self._statements("follows links") as transaction:
            transaction.execute(
                f"insert into crosstie.{name} ({listed}) select {shown} from crosstie.{source.name} s"
                f" join {target.sql} d on {same}"
            )
        self.context.db.prepare(name, tuple(column.name for column in own), unique=True)
        columns = ", ".join(f"h.{column.name}" for column in via)
        joined_rows = f"crosstie.{source.name} s left join crosstie.{name} h on {same_key(source, 'h')}"
        return f"(select s.*, {columns} from {joined_rows})"

    def _target(self, link: ReadLink) -> Target:
        """What a link leads to: a table, or another inbound population, whose rows one column must tell apart."""
        db = self.context.db
        if link.inbound is None:
            return describe_target(db, link.table)
        other = self.context.inputs[link.inbound]
        if len(other.key) != 1:
            name = self.context.private_name(f"other{link.inbound}")
            other = numbered(
                db, replace(other, key=()), name, f"{self.context.activity} numbers the rows of {link.name}"
            )
        return work_target(db.dialect, other)

    @contextmanager
    def _statements(self, what: str) -> Iterator[Transaction]:
        with self.context.db.transaction(f"{self.context.activity} {what}") as transaction:
            give_memory(transaction)
            yield transaction

    def _number(self, link: ReadLink) -> int:
        return self.read.links.index(link) + 1

    def _table(self, link: ReadLink) -> str:
        """The table of a link: for each row that found something its key, and whether that was several rows; of a
        collection what is gathered of its rows."""
        return self.context.private_name(f"link{self._number(link)}")

    def _keys(self) -> list[str]:
        return [f"s.{quote_identifier(one)}" for one in self.source.key]

    def _find(self, link: ReadLink) -> None:
        """Tries the alternatives one after the other, each for the rows that have found nothing yet."""
        name, source = self._table(link), self.source
        target = self.targets[link.name]
        own = key_columns(source)
        key = target.key[0].column
        self.context.db.create_work(
            name,
            (
                *own,
                Column(name="found", type=key.type, scale=key.scale),
                Column(name="several", type=ColumnType.BOOLEAN),
            ),
        )
        found = 0
        for number, pairs in enumerate(link.alternatives):
            if found == source.rows:
                return
            waiting = self.rows
            if number:
                waiting = (
                    f"(select s.* from {waiting} s"
                    f" where not exists (select 1 from crosstie.{name} l where {same_key(source, 'l')}))"
                )
            match = self._candidates(link, target, waiting, pairs)
            listed = ", ".join(column.name for column in own)
            with self._statements(f"finds link {link.name}") as transaction:
                found += transaction.execute(
                    f"insert into crosstie.{name} ({listed}, found, several) select {', '.join(self._keys())},"
                    f" case when {match.found} = 1 then {match.keys[0]} end, {match.found} > 1"
                    f" from {waiting} s join {match.sql} {match.alias} on {match.on}",
                    match.params,
                )
            if number == 0:
                self.context.db.prepare(name, tuple(column.name for column in own), unique=True)

    def _candidates(self, link: ReadLink, target: Target, source: str, pairs: tuple[ReadPair, ...]) -> Candidates:
        scope = Scope.of(link.table.columns, f"table {link.table.name}")
        return candidates(
            target,
            source,
            [self.writer.pair(pair) for pair in pairs],
            alias="m",
            order=[self.writer.ordering(line, scope, "t") for line in link.order],
        )

    def _gather(self, link: ReadLink) -> None:
        """Computes what is asked of a collection, for each row that has any."""
        name, source, target = self._table(link), self.source, self.targets[link.name]
        gathered = self.read.gathered[link.name]
        own = key_columns(source)
        self.context.db.create_work(name, (*own, *(one.column for one in gathered)))
        aliases = {"": "t", link.name: "t"}
        values = [self.writer.fragment(Expression(text=one.name, root=one.node), aliases) for one in gathered]
        pairs = [self.writer.pair(pair) for pair in link.alternatives[0]]
        fragments = [*values, *(side for pair in pairs for side in (pair.source, pair.target))]
        keys = ", ".join(self._keys())
        listed = ", ".join(column.name for column in (*own, *(one.column for one in gathered)))
        with self._statements(f"gathers {link.name}") as transaction:
            transaction.execute(
                f"insert into crosstie.{name} ({listed}) select {keys}, {', '.join(one.sql for one in values)}"
                f" from {self.rows} s join {target.sql} t on {joined(target, pairs)} group by {keys}",
                {name: value for one in fragments for name, value in one.params.items()},
            )
        self.context.db.prepare(name, tuple(column.name for column in own), unique=True)

    def _add(self) -> None:
        """Computes the added columns now: what they are taken from may change. A flattened collection multiplies the
        rows of this table."""
        name, source, flattened = self.context.private_name("added"), self.source, self.read.flattened
        own = key_columns(source)
        added = [expression.column(f"a_{place}") for place, (_, expression) in enumerate(self.read.added, 1)]
        aliases, joins, params = self._joins()
        values = [self.writer.fragment(expression, aliases) for _, expression in self.read.added]
        shown = [one.sql for one in values]
        if flattened is not None and flattened.column:
            target = self.targets[flattened.name]
            added.insert(0, flattened.key.named(_FLAT))
            shown.insert(0, target.read(aliases[flattened.name], target.key[0]))
        self.context.db.create_work(name, (*own, *added))
        listed = ", ".join(column.name for column in (*own, *added))
        with self._statements("adds its columns") as transaction:
            transaction.execute(
                f"insert into crosstie.{name} ({listed})"
                f" select {', '.join([*self._keys(), *shown])} from {self.rows} s{joins}",
                {**params, **{name: value for one in values for name, value in one.params.items()}},
            )
        self.context.db.prepare(name, tuple(column.name for column in own), unique=flattened is None)

    def _joins(self) -> tuple[Mapping[str, str], str, Mapping[str, object]]:
        """The SQL alias of each qualifier that the added columns use, the joins behind them, and what these bind."""
        used = {qualifier for _, expression in self.read.added for qualifier, _ in expression.columns}
        aliases, joins = {"": "s"}, ""
        params: dict[str, object] = {}
        for link in self.read.links:
            number, target = self._number(link), self.targets[link.name]
            if link is self.read.flattened:
                # `joined` knows the target as t: no other one is called so.
                aliases[link.name] = "t"
                pairs = [self.writer.pair(pair) for pair in link.alternatives[0]]
                joins += f" left join {target.sql} t on {joined(target, pairs)}"
                for pair in pairs:
                    params |= {**pair.source.params, **pair.target.params}
            elif link.name in used:
                aliases[link.name] = f"t{number}"
                key = f"t{number}.{quote_identifier(target.key[0].name)}"
                joins += (
                    f" left join crosstie.{self._table(link)} l{number} on {same_key(self.source, f'l{number}')}"
                    f" left join {target.sql} t{number} on {key} = {target.given(target.key[0], f'l{number}.found')}"
                )
            elif (alias := gathered_alias(link.name)) in used:
                aliases[alias] = f"g{number}"
                joins += f" left join crosstie.{self._table(link)} g{number} on {same_key(self.source, f'g{number}')}"
        return aliases, joins, params

    def _refuse(self, refusals: Refusals) -> int:
        """Notes the rows for which a link that must find one row did not; each once, for the first such link."""
        required = [link for link in self.read.links if link.required]
        if not required:
            return 0
        refusals.make(self.context.db)
        refused = 0
        for link in required:
            name = link.table.name
            several = "coalesce(l.several, false)"
            keys = ", ".join(self._keys())
            with self._statements(f"refuses rows without {link.name}") as transaction:
                refused += transaction.execute(
                    f"insert into crosstie.{refusals.name} ({refusals.listed}) select {keys},"
                    f" cast(:before as integer) + row_number() over (order by {keys}),"
                    f" case when {several} then '{AMBIGUOUS_TARGET}' else '{KEY_MISSING}' end,"
                    f" case when {several} then cast(:many as text) else cast(:none as text) end,"
                    f" cast(:column as text), cast(null as text) from crosstie.{self.source.name} s"
                    f" left join crosstie.{self._table(link)} l on {same_key(self.source, 'l')}"
                    " where l.found is null and not exists"
                    f" (select 1 from crosstie.{refusals.name} r where {same_key(self.source, 'r')})",
                    {
                        "before": refused,
                        "many": f"link {link.name}: several rows of {name} are meant",
                        "none": f"link {link.name}: {name} has no such row",
                        "column": link.column,
                    },
                )
        self.context.db.prepare(refusals.name, tuple(one.name for one in key_columns(self.source)), unique=True)
        return refused

    def _view(self, refusals: Refusals, refused: int) -> WorkTable:
        """The inbound table with the small ones beside it."""
        context, source = self.context, self.source
        shown = [f"s.{quote_identifier(column.name)}" for column in self.read.kept]
        joins, bases = "", [source.name]
        for link in self.read.shown:
            alias = f"l{self._number(link)}"
            if not link.many:
                bases.append(self._table(link))
                joins += f" left join crosstie.{bases[-1]} {alias} on {same_key(source, alias)}"
            if link.column:
                held = f"a.{_FLAT}" if link.many else f"{alias}.found"
                shown.append(f"{held} as {quote_identifier(link.column)}")
            if link.mark:
                shown.append(f"coalesce({alias}.several, false) as {quote_identifier(link.mark)}")
        if self.read.added or self.read.flattened:
            bases.append(context.private_name("added"))
            joins += f" left join crosstie.{bases[-1]} a on {same_key(source, 'a')}"
            shown += [f"a.a_{place} as {quote_identifier(name)}" for place, (name, _) in enumerate(self.read.added, 1)]
        where = ""
        if refused:
            bases.append(refusals.name)
            where = f" where not exists (select 1 from crosstie.{refusals.name} r where {same_key(source, 'r')})"
        name = context.private_name()
        context.db.drop_work((name,))
        rows = context.input.rows - refused
        with self._statements("publishes") as transaction:
            transaction.execute(
                f"create view crosstie.{name} as select {', '.join(shown)} from crosstie.{source.name} s{joins}{where}"
            )
            if self.read.flattened is not None:
                counted = transaction.row(f"select count(*) from crosstie.{name}")
                rows = int(counted[0]) if counted is not None else 0
        shape = self.read.shape(Shape.of(context.input))
        return shape.work_table(name, rows, bases=tuple(dict.fromkeys((*source.bases, *bases))))

    def _counts(self) -> Mapping[str, int]:
        """Known, new and ambiguous rows, of the first link; the others are told in the log."""
        rows = self.context.input.rows
        counts: Mapping[str, int] = {"rows": rows}
        for number, link in enumerate(self.read.found):
            with self.context.db.reading() as transaction:
                row = transaction.row(f"select count(found), count(*) from crosstie.{self._table(link)}")
            known, all_found = (int(row[0]), int(row[1])) if row is not None else (0, 0)
            several = all_found - known
            if several and not link.required:
                self.context.log.warning(
                    f"link {link.name}: {several} inbound rows stand for several rows of {link.table.name}; their key"
                    " stays empty. Add an “order” to say which one is meant, or match on more."
                )
            if number == 0:
                counts = {"known": known, "new": rows - all_found, "ambiguous": several}
            else:
                self.context.log.info(f"link {link.name}: {known} known, {rows - all_found} new, {several} ambiguous")
        return counts

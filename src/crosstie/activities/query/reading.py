"""Reads the definition of a query against tables, links and what comes in; keeps every mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crosstie.activities.query.keys import Collect, Condition, Tree
from crosstie.activities.query.levels import INBOUND, Gathering, Groups, Level, Surroundings, UnknownLevel
from crosstie.activities.query.statement import column_node
from crosstie.activities.query.templates import Templates
from crosstie.db.expressions import Expression, Scope
from crosstie.db.expressions.aggregates import rows_counted
from crosstie.db.expressions.nodes import ColumnNode, Node, literal, operation
from crosstie.db.merge.phrases import OrderLine, Phrases, Place, unknown
from crosstie.errors import ConfigError
from crosstie.model import Column, ColumnType, Table, find_column
from crosstie.workflow.activity import Shape, Site

if TYPE_CHECKING:
    from crosstie.activities.query.selecting import Selecting

ABOUT_INBOUND: Place = ("population",)
BOOLEAN, INTEGER = ColumnType.BOOLEAN, ColumnType.INTEGER


@dataclass(slots=True, kw_only=True)
class ReadQuery:
    """The definition, understood. `out` is what goes out, column by column; with `groups` over the groups, whose values
    are `grouped`. Not `complete` when mistakes hide a column of what goes out."""

    templates: Templates
    level: Level | None = None
    condition: Node | None = None
    groups: Groups | None = None
    grouped: list[Node] = field(default_factory=list)
    having: Node | None = None
    out: list[tuple[Column, Node]] = field(default_factory=list)
    order: list[tuple[Node, bool]] = field(default_factory=list)
    key: tuple[str, ...] = ()
    dimension: str = ""
    inbound: Shape | None = None
    complete: bool = True

    def shape(self) -> Shape:
        """What goes out."""
        whole = self.inbound
        names = {column.name for column, _ in self.out}
        if whole is None or not self.key or self.key != whole.key:
            return Shape(columns=tuple(column for column, _ in self.out), key=self.key, dimension=self.dimension)
        return replace(
            whole,
            columns=tuple(column for column, _ in self.out),
            links=tuple(link for link in whole.links if link.column in names),
            lineage=None,
        )


def read_query(definition: Selecting, phrases: Phrases, inputs: tuple[Shape, ...], site: Site) -> ReadQuery:
    """Reads it all, whatever is wrong; the mistakes are left with `phrases`."""
    return _Reading(definition=definition, phrases=phrases, inputs=inputs, site=site).read()


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One reading."""

    definition: Selecting
    phrases: Phrases
    inputs: tuple[Shape, ...]
    site: Site
    found: ReadQuery = field(default_factory=lambda: ReadQuery(templates=Templates()))

    def read(self) -> ReadQuery:
        """The whole definition."""
        before = len(self.phrases.mistakes)
        inbound = self.inputs[0] if self.inputs else None
        around = Surroundings(site=self.site, inbound=inbound)
        table = self._table(around)
        if table is None:
            self._read_over(UnknownLevel(columns={}))
        else:
            self.found.level = Level.over(table, around)
            self.found.inbound = inbound if table.name == INBOUND else None
            self._read_over(self.found.level)
        self.found.complete = table is not None and len(self.phrases.mistakes) == before
        return self.found

    def _table(self, around: Surroundings) -> Table | None:
        name = self.definition.inputs_from
        table = around.table(name)
        if table is None and name == INBOUND:
            self.phrases.refuse(ABOUT_INBOUND, "it queries the inbound population, but nothing comes in")
        elif table is None:
            self.phrases.refuse(("from",), unknown("table", name, self.site.tables()))
        return table

    def _read_over(self, level: Level | UnknownLevel) -> None:
        definition = self.definition
        self.found.condition = self._where(level)
        if definition.group_by:
            self._read_groups(level)
            return
        if definition.having is not None:
            self.phrases.refuse(("having",), "having says which groups go on: give group_by too")
        if isinstance(level, Level) and not definition.distinct:
            self._add_key(level)
        for name, text in definition.add.items():
            self._add(("add", name), name, self._value(("add", name), text, level))
        for name, collect in definition.collect.items():
            self._collect(name, collect, level)
        self._finish(level)

    def _finish(self, level: Scope) -> None:
        definition = self.definition
        for number, line in enumerate(definition.order):
            node = self._value(("order", number, line.word), line.text, level)
            if node is not None:
                self.found.order.append((node, line.highest is not None))
        if definition.order and definition.limit is None:
            self.phrases.refuse(("order",), "the rows of a population have no order: say with limit how many go on")
        if definition.distinct and (definition.order or definition.limit is not None):
            self.phrases.refuse(
                ("distinct",), "distinct can't stand beside limit: put the limit into a query behind it"
            )
        if definition.distinct and any(one.first == "all" for one in definition.collect.values()):
            self.phrases.refuse(("distinct",), "distinct can't stand beside first: all")
        known = not isinstance(level, UnknownLevel)
        if known and not self.found.out and not (definition.add or definition.collect):
            what = "distinct puts out no key" if definition.distinct else f"{definition.inputs_from} has no known key"
            self.phrases.refuse(("from",), f"{what}: name the columns that go out with “add”")

    def _add_key(self, level: Level) -> None:
        """The key goes out first, so that what follows knows which rows are meant."""
        for name in level.table.key:
            column = find_column(level.table.columns, name)
            assert column is not None, "a table's key names its columns"
            self.found.out.append((column, column_node(column)))
        self.found.key = level.table.key
        inbound = self.found.inbound
        self.found.dimension = inbound.dimension if inbound is not None else level.table.name if level.table.key else ""

    def _add(self, place: Place, name: str, node: Node | None) -> None:
        if node is None:
            return
        for column, known in self.found.out:
            if column.name.lower() == name.removeprefix("@").lower():
                if known != node or column.name not in self.found.key:
                    what = "the key" if column.name in self.found.key else "another column"
                    self.phrases.refuse(place, f"column {name} would stand twice: {what} has that name already")
                return
        self.found.out.append((Expression(text="", root=node).column(name), node))

    # What is read over some level.

    def _value(self, place: Place, text: str, scope: Scope) -> Node | None:
        plain = self._plain(place, text)
        found = self.phrases.value(place, plain, scope) if plain is not None else None
        return found.root if found is not None else None

    def _plain(self, place: Place, text: str) -> str | None:
        try:
            return self.found.templates.replace(text)
        except ConfigError as error:
            self.phrases.refuse(place, error.message)
            return None

    def _where(self, level: Level | UnknownLevel) -> Node | None:
        definition = self.definition
        if not definition.filter_on:
            return self._condition(("where",), definition.where, level)
        if definition.where is None:
            self.phrases.refuse(("filter_on",), "it says on which rows “where” is put: give “where” too")
        return self._exists(("filter_on",), definition.filter_on, ("where",), definition.where, level)

    def _condition(self, place: Place, given: Condition | None, level: Scope) -> Node | None:
        if given is None:
            return None
        if isinstance(given, str):
            plain = self._plain(place, given)
            found = self.phrases.condition(place, plain, level) if plain is not None else None
            return found.root if found is not None else None
        return self._branch(place, given, level)

    def _branch(self, place: Place, given: Tree, level: Scope) -> Node | None:
        if given.exists is not None:
            inside = (*place, "where")
            return self._exists((*place, "exists"), given.exists, inside, given.where, level, given)
        word, listed = next(
            (word, listed)
            for word, listed in (("all", given.all), ("any", given.any), ("except", given.except_))
            if listed is not None
        )
        nodes = [self._condition((*place, word, number), one, level) for number, one in enumerate(listed)]
        known = [node for node in nodes if node is not None]
        if len(known) < len(nodes):
            return None
        if word == "except":
            untrue = [operation("not", BOOLEAN, operation("is_true", BOOLEAN, node)) for node in known]
            return untrue[0] if len(untrue) == 1 else operation("and", BOOLEAN, *untrue)
        return known[0] if len(known) == 1 else operation("and" if word == "all" else "or", BOOLEAN, *known)

    def _exists(
        self, place: Place, link: str, inside: Place, where: Condition | None, level: Scope, bounds: Tree | None = None
    ) -> Node | None:
        """Whether rows of a link are there, so many as it says."""
        gathered = self._gather(place, link, level, lambda inner: self._condition(inside, where, inner))
        if gathered is None:
            return None
        value = gathered.value(rows_counted())
        if bounds is None or (bounds.at_least is None and bounds.at_most is None):
            return operation("is_not_null", BOOLEAN, value)
        many = operation("coalesce", INTEGER, value, literal(0, INTEGER))
        parts = [
            operation(word, BOOLEAN, many, literal(bound, INTEGER))
            for word, bound in (("greater_equal", bounds.at_least), ("less_equal", bounds.at_most))
            if bound is not None
        ]
        return parts[0] if len(parts) == 1 else operation("and", BOOLEAN, *parts)

    def _gather(
        self, place: Place, link: str, level: Scope, condition: Callable[[Scope], Node | None]
    ) -> Gathering | None:
        if not isinstance(level, Level):
            condition(UnknownLevel(columns={}))
            return None
        before = len(self.phrases.mistakes)
        try:
            found = level.gather(tuple(link.split(".")), condition)
        except ConfigError as error:
            self.phrases.refuse(place, f"{error.message} {error.hint}".strip())
            condition(UnknownLevel(columns={}))
            return None
        return found if len(self.phrases.mistakes) == before else None

    # Collections.

    def _collect(self, name: str, collect: Collect, level: Level | UnknownLevel) -> None:
        place: Place = ("collect", name)
        read: list[tuple[str, Node | None]] = []

        def inner(over: Scope) -> tuple[Node | None, tuple[tuple[Node, bool], ...]]:
            condition = self._condition((*place, "where"), collect.where, over)
            order = self._lines((*place, "order"), collect.order, over)
            read.extend(
                (one, self._value((*place, "columns", one), text, over)) for one, text in collect.columns.items()
            )
            return condition, order

        if not isinstance(level, Level):
            inner(UnknownLevel(columns={}))
            return
        try:
            ranked = level.rank(tuple(collect.of.split(".")), inner)
        except ConfigError as error:
            self.phrases.refuse((*place, "of"), f"{error.message} {error.hint}".strip())
            inner(UnknownLevel(columns={}))
            return
        self._add_ranked(place, name, collect, ranked, read)

    def _add_ranked(
        self, place: Place, name: str, collect: Collect, ranked: Gathering, read: Sequence[tuple[str, Node | None]]
    ) -> None:
        several = sum(one.first == "all" for one in self.definition.collect.values())
        if collect.first == "all":
            if several > 1:
                self.phrases.refuse((*place, "first"), "only one collection can give a row for each of its rows")
            self._number_rows(place, name, ranked)
        ranks = ["all"] if collect.first == "all" else [str(rank) for rank in range(1, collect.first + 1)]
        for rank in ranks:
            for one, node in read:
                ending = f"_{rank}" if len(ranks) > 1 else ""
                if node is not None:
                    self._add((*place, "columns", one), f"{name}_{one}{ending}", ranked.value(node, rank=rank))

    def _number_rows(self, place: Place, name: str, ranked: Gathering) -> None:
        """A row for each row of the collection: its number within belongs to the key, 0 where there is none."""
        column = Column(name="place", type=INTEGER)
        number = ColumnNode(qualifier=f"{ranked.qualifier}.all", column=column, type=INTEGER)
        own = f"{name}_number"
        self._add(place, own, operation("coalesce", INTEGER, number, literal(0, INTEGER)))
        if self.found.key:
            self.found.key = (*self.found.key, own)
        self.found.dimension = ""

    def _lines(self, place: Place, lines: Sequence[OrderLine], level: Scope) -> tuple[tuple[Node, bool], ...]:
        nodes = [
            (self._value((*place, number, line.word), line.text, level), line.highest is not None)
            for number, line in enumerate(lines)
        ]
        return tuple((node, highest) for node, highest in nodes if node is not None)

    # Groups.

    def _read_groups(self, level: Level | UnknownLevel) -> None:
        definition = self.definition
        for key, given in (("collect", definition.collect), ("distinct", definition.distinct)):
            if given:
                self.phrases.refuse((key,), f"{key} can't stand beside group_by")
        columns: list[Column] = []
        for name, text in definition.group_by.items():
            node = self._value(("group_by", name), text, level)
            if node is not None:
                self.found.grouped.append(node)
                columns.append(Expression(text="", root=node).column(name))
        if not isinstance(level, Level) or len(columns) < len(definition.group_by):
            scope: Scope = UnknownLevel(columns={})
        else:
            scope = self.found.groups = Groups(columns={"": tuple(columns)}, what="the groups", level=level)
            self.found.out = [(column, column_node(column)) for column in columns]
            if not any(column.nullable for column in columns):
                self.found.key = tuple(column.name for column in columns)
        for name, text in definition.add.items():
            self._add(("add", name), name, self._value(("add", name), text, scope))
        self.found.having = self._condition(("having",), definition.having, scope)
        self._finish(scope)

"""Read list and list update: populations that are kept under a name, for this workflow and others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from crosstie.db.database import Transaction
from crosstie.db.merge.phrases import Phrases, unknown
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import Column, WorkTable, find_column
from crosstie.workflow import lists
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site


class ReadList(Activity):
    """Puts out the rows of a list."""

    summary: ClassVar[str] = "puts out the rows of a list"
    min_inputs: ClassVar[int] = 0

    type: Literal["read_list"]
    list: str = Field(description="the list")

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """A list that is not there."""
        if site.list_shape(self.list) is None:
            yield Problem(path=("list",), message=_unknown(self.list, site))

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The columns of the list. Raises MappingError where it is not there."""
        shape = site.list_shape(self.list)
        if shape is None:
            raise MappingError(_unknown(self.list, site))
        return {OK: shape}

    def run(self, context: Context) -> Done:
        """The list's table itself goes on: it never changes, an update of the list replaces it by another."""
        with context.db.reading() as transaction:
            found = lists.find_list(transaction, self.list)
        if found is None:
            raise MappingError(_unknown(self.list, context.site))
        return Done(tables={OK: found.table}, counts={"rows": found.table.rows})


def _unknown(name: str, site: Site) -> str:
    return f"{unknown('list', name, site.lists())} A list is made by list_update."


class ListUpdate(Activity):
    """Keeps the inbound population as a list, or adds it to one."""

    summary: ClassVar[str] = "keeps the inbound population under a name, or adds it to a list"
    acts_outside: ClassVar[bool] = True

    type: Literal["list_update"]
    list: str = Field(description="the list; it is made where it is not there", min_length=1, max_length=100)
    operation: Literal["replace", "add"] = Field(
        "replace", description="replace: the list then has these rows; add: it has them too, each key once"
    )
    columns: tuple[str, ...] | Literal["all"] = Field(
        "all", description="which inbound columns are kept: all, or a list; the key always is"
    )
    list_label: str = Field("", description="shown to people beside the list's name")

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown columns; rows that cannot be added to those of the list."""
        phrases = Phrases()
        if inputs:
            kept = self._kept(phrases, inputs[0])
            known = site.list_shape(self.list)
            if self.operation == "add" and known is not None:
                _refuse_addition(phrases, self.list, kept, known)
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What comes in goes out."""
        return {OK: inputs[0]}

    def _kept(self, phrases: Phrases, inbound: Shape) -> Shape:
        """The shape of what is kept."""
        if self.columns == "all":
            return inbound
        wanted = {column.name for column in inbound.columns if column.name in inbound.key}
        for number, name in enumerate(self.columns):
            column = find_column(inbound.columns, name)
            if column is None:
                known = [one.name for one in inbound.columns]
                phrases.refuse(("columns", number), f"inbound {unknown('column', name, known)}")
            else:
                wanted.add(column.name)
        return replace(
            inbound,
            columns=tuple(column for column in inbound.columns if column.name in wanted),
            links=tuple(link for link in inbound.links if link.column in wanted),
            lineage=None,
        )

    def run(self, context: Context) -> Done:
        """Fills a table of the list's own; the commit that ends the task makes it the list's."""
        phrases = Phrases()
        kept = self._kept(phrases, Shape.of(context.input))
        if phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        if self.operation == "add":
            return self._add(context, kept)
        name = context.private_name("list")
        context.db.create_work(name, kept.columns, durable=True)
        listed = _listed(kept.columns)
        with context.db.transaction(f"{context.activity} fills the list") as transaction:
            rows = transaction.execute(
                f"insert into crosstie.{name} ({listed}) select {listed} from crosstie.{context.input.name}"
            )
        context.db.prepare(name, kept.key, unique=bool(kept.key))
        made = kept.work_table(name, rows)
        return Done(
            tables={OK: context.input},
            counts={"rows": rows},
            effect=lambda transaction: self._store(transaction, context, made),
        )

    def _add(self, context: Context, kept: Shape) -> Done:
        """The rows of the list and those that are new to it, in another table; read when the task ends, so that what
        others add meanwhile is not lost."""
        with context.db.reading() as transaction:
            found = lists.find_list(transaction, self.list)
        known = Shape.of(found.table) if found is not None else kept
        phrases = Phrases()
        _refuse_addition(phrases, self.list, kept, known)
        if phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        name = context.private_name("list")
        context.db.create_work(name, known.columns, durable=True)
        context.db.prepare(name, known.key, unique=True)

        def added(transaction: Transaction) -> Done:
            lists.lock_list(transaction, self.list)
            now = lists.find_list(transaction, self.list)
            if now is not None and Shape.of(now.table) != known:
                raise MappingError(
                    f"List {self.list} was made anew with other columns while rows were being added to it.",
                    hint="Run it again.",
                )
            before = _copy(transaction, now.table, known, name) if now is not None else 0
            new = _copy(transaction, kept.work_table(context.input.name, context.input.rows), known, name)
            self._store(transaction, context, known.work_table(name, before + new))
            return Done(tables={OK: context.input}, counts={"added": new, "known": context.input.rows - new})

        return Done(tables={OK: context.input}, effect=added)

    def _store(self, transaction: Transaction, context: Context, table: WorkTable) -> None:
        lists.store_list(
            transaction,
            self.list,
            table,
            label=self.list_label,
            now=context.now(),
            by=f"workflow {context.workflow}/{context.activity}",
        )


def _refuse_addition(phrases: Phrases, name: str, kept: Shape, known: Shape) -> None:
    """What is added to a list has its key, and no columns that it lacks or holds as another type."""
    if not kept.key:
        phrases.refuse(("operation",), "rows are added by their key, and the inbound population has none")
    elif (kept.key, kept.dimension) != (known.key, known.dimension):
        phrases.refuse(
            ("operation",),
            f"list {name} has {_told(known)}, and the inbound population {_told(kept)}: replace the list, or take"
            " another one",
        )
    for column in kept.columns:
        there = find_column(known.columns, column.name)
        if there is None:
            phrases.refuse(("columns",), f"list {name} has no column {column.name}: leave it out with “columns”")
        elif there.type is not column.type:
            phrases.refuse(
                ("columns",),
                f"column {column.name} of list {name} holds {there.type.value}, the inbound one {column.type.value}",
            )


def _told(shape: Shape) -> str:
    return f"the key {', '.join(shape.key) or '(none)'} of {shape.dimension or 'no table'}"


def _copy(transaction: Transaction, source: WorkTable, shape: Shape, name: str) -> int:
    """Copies the rows whose key is not there yet; how many."""
    pairs = [(column, source.column(column.name)) for column in shape.columns]
    given = [(column, own) for column, own in pairs if own is not None]
    listed = _listed([column for column, _ in given])
    shown = ", ".join(f"s.{quote_identifier(own.name)}" for _, own in given)
    same = " and ".join(
        f"l.{quote_identifier(column.name)} = s.{quote_identifier(own.name)}"
        for column, own in given
        if column.name in shape.key
    )
    return transaction.execute(
        f"insert into crosstie.{name} ({listed}) select {shown} from crosstie.{source.name} s"
        f" where not exists (select 1 from crosstie.{name} l where {same})"
    )


def _listed(columns: Sequence[Column]) -> str:
    return ", ".join(quote_identifier(column.name) for column in columns)

"""What all queries have in common: the rows of a table, or of the inbound population, that satisfy conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field, field_validator

from crosstie.activities.query.keys import Collect, Condition, by_name
from crosstie.activities.query.levels import group_value
from crosstie.activities.query.reading import ReadQuery, read_query
from crosstie.activities.query.statement import Selection, Writing
from crosstie.db.database import Database
from crosstie.db.expressions import Binding
from crosstie.db.merge import give_memory
from crosstie.db.merge.phrases import OrderLine, Phrases, Writer
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import WorkTable
from crosstie.workflow.activity import OK, Activity, Context, Problem, Shape, Site


class Selecting(Activity):
    """Selects rows and puts out their key, with columns added to it."""

    min_inputs: ClassVar[int] = 0

    inputs_from: str = Field(
        alias="from", description="the table whose rows are selected, or inbound for the population that comes in"
    )
    where: Condition | None = Field(
        None, description="which rows: a condition, or a tree of all, any, except and exists"
    )
    filter_on: str = Field("", description="a link: “where” is about its rows, of which one at least must satisfy it")
    add: dict[str, str] = Field(
        default_factory=dict, description="name: expression, or a list of columns; added to the key of the rows"
    )
    collect: dict[str, Collect] = Field(
        default_factory=dict, description="name: columns of the first rows of a collection, or of all"
    )
    group_by: dict[str, str] = Field(
        default_factory=dict, description="name: expression, or a list of columns; a row for each group goes out"
    )
    having: Condition | None = Field(None, description="with group_by: which groups, over aggregates like sum(amount)")
    distinct: bool = Field(False, description="only the columns added, each combination of values once")
    order: tuple[OrderLine, ...] = Field((), description="with limit: which rows come first; the key breaks a tie")
    limit: int | None = Field(None, ge=0, description="the most rows that go out")

    @field_validator("add", "group_by", mode="before", json_schema_input_type=str | tuple[str, ...] | dict[str, str])
    @classmethod
    def _named(cls, value: Any) -> Any:
        return by_name(value)

    @field_validator("order", mode="before", json_schema_input_type=OrderLine | tuple[OrderLine, ...])
    @classmethod
    def _ordered(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown tables, columns and links, types that do not go together, names that collide."""
        phrases = Phrases()
        read_query(self, phrases, inputs, site)
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The key of the rows, and what is added. Raises MappingError where mistakes hide some of it."""
        read = read_query(self, Phrases(), inputs, site)
        if not read.complete:
            raise MappingError("The columns of this query cannot be told before its mistakes are mended.")
        return {OK: read.shape()}

    def fill(self, context: Context, *, without: str = "") -> WorkTable:
        """The selected rows in the private work table of this task. `without` is an SQL condition on rows that are left
        out, in which {key_1}, {key_2} … stand for the key."""
        inbound = context.inputs[0] if context.inputs else None
        read = self.understood(context.site, inbound)
        templates = read.templates.values(context.scope()) if read.templates.found else {}
        binding = replace(context.binding(), vars={**context.vars, **templates})
        selection = self.selection(context.db, read, inbound, binding, without=without)
        shape, name = read.shape(), context.private_name()
        context.db.create_work(name, shape.columns)
        listed = ", ".join(quote_identifier(column.name) for column in shape.columns)
        with context.db.transaction(f"{context.activity} selects its rows") as transaction:
            give_memory(transaction)
            rows = transaction.execute(f"insert into crosstie.{name} ({listed}) {selection.sql}", selection.params)
        context.db.prepare(name, shape.key, unique=bool(shape.key))
        return shape.work_table(name, rows)

    def left_out(self, db: Database, workflow: str, activity: str) -> str:
        """The condition on the rows that this activity of a workflow would leave out now, as `fill` takes it."""
        return ""

    def understood(self, site: Site, inbound: WorkTable | None) -> ReadQuery:
        """The definition read against the tables as they are now. Raises MappingError for a mistake."""
        phrases = Phrases()
        read = read_query(self, phrases, (Shape.of(inbound),) if inbound is not None else (), site)
        if phrases.mistakes:
            raise MappingError(f"This query on {self.inputs_from}: " + "; ".join(text for _, text in phrases.mistakes))
        return read

    def selection(
        self, db: Database, read: ReadQuery, inbound: WorkTable | None, binding: Binding, *, without: str = ""
    ) -> Selection:
        """The `select` of what goes out."""
        writing = Writing.over(db, Writer(dialect=db.dialect, binding=binding), inbound)
        select = _of_groups(writing, self, read) if read.groups is not None else _of_rows(writing, self, read, without)
        return writing.selection(select)


def _of_rows(writing: Writing, query: Selecting, read: ReadQuery, without: str) -> str:
    assert read.level is not None, "it has been checked"
    nodes = [node for _, node in read.out] + [node for node, _ in read.order]
    sql, aliases = writing.source(read.level, [*nodes, *([read.condition] if read.condition is not None else [])])
    shown = ", ".join(f"{writing.value(node, aliases)} as {quote_identifier(column.name)}" for column, node in read.out)
    select = f"select {'distinct ' if query.distinct else ''}{shown} from {sql}"
    conditions = [writing.value(read.condition, aliases)] if read.condition is not None else []
    if without:
        own = {column.name: writing.value(node, aliases) for column, node in read.out if column.name in read.key}
        key = {f"key_{place}": own[name] for place, name in enumerate(read.key, 1)}
        conditions.append(f"not {without.format(**key)}")
    select += f" where {' and '.join(conditions)}" if conditions else ""
    if query.limit is not None:
        by = [*writing.ordering(read.order, aliases), *writing.last_order(read.level, aliases)]
        select += f" order by {', '.join(by)} limit {query.limit}"
    return select


def _of_groups(writing: Writing, query: Selecting, read: ReadQuery) -> str:
    """The groups are a part of their own: what goes out is computed over them."""
    assert read.level is not None, "it has been checked"
    assert read.groups is not None, "the caller asked"
    values = read.groups.values
    condition = [read.condition] if read.condition is not None else []
    sql, aliases = writing.source(read.level, [*read.grouped, *values, *condition])
    names = [column.name for column in read.groups.columns[""]]
    shown = [
        f"{writing.value(node, aliases)} as {quote_identifier(name)}"
        for node, name in zip(read.grouped, names, strict=True)
    ]
    shown += [f"{writing.value(node, aliases)} as {group_value(place)}" for place, node in enumerate(values, 1)]
    where = "".join(f" where {writing.value(node, aliases)}" for node in condition)
    by = ", ".join(str(place) for place in range(1, len(names) + 1))
    writing.parts.append(f"groups as (select {', '.join(shown)} from {sql}{where} group by {by})")
    over = {"": "g", "group": "g"}
    out = ", ".join(f"{writing.value(node, over)} as {quote_identifier(column.name)}" for column, node in read.out)
    select = f"select {out} from groups g"
    select += f" where {writing.value(read.having, over)}" if read.having is not None else ""
    if query.limit is not None:
        own = [(node, False) for _, node in read.out[: len(names)]]
        select += f" order by {', '.join(writing.ordering([*read.order, *own], over))} limit {query.limit}"
    return select

"""Deduplication: keeps the first rows of each group, whole or merged with the others, and can put out the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crosstie.activities.deduplication.doubles import Doubles, Supplied
from crosstie.activities.deduplication.reading import ReadDeduplication, read_deduplication
from crosstie.db.merge.keys import numbered, row_column, same_key
from crosstie.db.merge.phrases import Phrases, Writer
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import Column, WorkTable, find_column
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site

COMPLEMENT = "complement"
_OneOrMore = Annotated[list[str], Field(min_length=1)]


def _as_rules(value: Any) -> Any:
    if value == "any":
        return []
    return [value] if isinstance(value, dict) else value


class Listed(BaseModel):
    """A list of values: the earlier a row's value stands in it, the better."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: str = Field(description="the expression whose values are listed")
    values: tuple[str | int | float | bool, ...] = Field(min_length=1, description="the values, best first")


class Keep(BaseModel):
    """One rule that says which row of a group is better."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    highest: str | None = Field(None, description="the row with the highest value; an empty value comes last")
    lowest: str | None = Field(None, description="the row with the lowest value; an empty value comes last")
    not_empty: str | None = Field(None, description="a row with a value before one without")
    list_: Listed | None = Field(None, alias="list", description="the row whose value stands first in a list")

    @model_validator(mode="after")
    def _one(self) -> Keep:
        if sum(one is not None for one in (self.highest, self.lowest, self.not_empty, self.list_)) != 1:
            raise ValueError(
                "write one of highest, lowest, not_empty and list; chain several rules with a list of them"
            )
        return self

    @property
    def word(self) -> str:
        """The key under which it is written."""
        words = {"highest": self.highest, "lowest": self.lowest, "not_empty": self.not_empty}
        return next((word for word, text in words.items() if text is not None), "list")

    @property
    def text(self) -> str:
        """Its expression."""
        if self.list_ is not None:
            return self.list_.of
        return next(text for text in (self.highest, self.lowest, self.not_empty) if text is not None)


class FieldGroup(BaseModel):
    """Fields that are merged: the first eligible row of a group supplies them all together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: tuple[str, ...] = Field(min_length=1, description="the inbound columns that one row supplies together")
    when: str | None = Field(None, description="a row is eligible only where this condition holds")
    filled: bool = Field(False, description="a row is eligible only when none of the fields is empty")
    keep: tuple[Keep, ...] = Field(
        (), description="which eligible row comes first; then the activity's own “keep” decides"
    )

    @field_validator("fields", mode="before", json_schema_input_type=str | _OneOrMore)
    @classmethod
    def _fields(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("keep", mode="before", json_schema_input_type=Literal["any"] | Keep | tuple[Keep, ...])
    @classmethod
    def _rules(cls, value: Any) -> Any:
        return _as_rules(value)


class Deduplication(Activity):
    """Groups rows by one or more criteria and keeps the first of each group."""

    summary: ClassVar[str] = "keeps one row, or a few, of each group of equal ones, or merges them into one"
    extra_transitions: ClassVar[tuple[str, ...]] = (COMPLEMENT,)

    type: Literal["deduplication"]
    by: tuple[str, ...] = Field(min_length=1, description="the criteria, expressions; rows equal in all are a group")
    keep: tuple[Keep, ...] = Field(
        (), description="which row: any, or highest, lowest, not_empty, list, or several of these, tried in this order"
    )
    count: int = Field(1, ge=1, description="how many rows of a group are kept")
    merge: tuple[FieldGroup, ...] = Field(
        (), description="groups of fields that the first eligible row supplies to the row kept; the others stay its own"
    )
    group_empty: bool = Field(False, description="rows with an empty criterion are a group too, and not each its own")
    complement: str | None = Field(None, description="adds the Complement transition, with the rows left out")

    @field_validator("by", mode="before", json_schema_input_type=str | _OneOrMore)
    @classmethod
    def _criteria(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("keep", mode="before", json_schema_input_type=Literal["any"] | Keep | tuple[Keep, ...])
    @classmethod
    def _rules(cls, value: Any) -> Any:
        return _as_rules(value)

    @field_validator("merge", mode="before", json_schema_input_type=FieldGroup | tuple[FieldGroup, ...])
    @classmethod
    def _groups(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown columns, values of a list that are not of its type, a name that the complement needs, fields that
        can't be merged."""
        phrases = Phrases()
        read_deduplication(self, phrases, inputs[0] if inputs else None)
        if self.complement is not None and inputs:
            for column in _references(_identified(inputs[0])):
                if find_column(inputs[0].columns, column.name) is not None:
                    phrases.refuse(("complement",), f"the inbound population has a column {column.name} already")
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The same columns; the complement has the key of the row kept in a row's place beside them."""
        read = read_deduplication(self, Phrases(), inputs[0])
        if self.complement is None:
            return {OK: read.shape(inputs[0])}
        shape = _identified(inputs[0])
        return {OK: read.shape(shape), COMPLEMENT: _with_references(shape)}

    def run(self, context: Context) -> Done:
        """Finds the rows to leave out; where there are none the inbound rows go on as they are."""
        phrases = Phrases()
        read = read_deduplication(self, phrases, Shape.of(context.input))
        if phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        source = context.input
        if self.complement is None and self._is_proved(source, read):
            context.log.info(
                f"The key {', '.join(source.key)} shows that no row is double: the population goes on as it is."
            )
            return Done(tables={OK: _as_shaped(source, read)}, counts={"kept": source.rows, "double": 0})
        writer = Writer(
            dialect=context.db.dialect,
            binding=context.binding(),
        )
        purpose = f"{context.activity} numbers its rows"
        source = numbered(context.db, source, context.private_name("numbered"), purpose)
        doubles = Doubles.of(context, source, read, writer, count=self.count, group_empty=self.group_empty)
        return self._publish(context, doubles, read, writer)

    def _publish(self, context: Context, doubles: Doubles, read: ReadDeduplication, writer: Writer) -> Done:
        source = doubles.source
        left_out = doubles.fill() if doubles.find() else 0
        counts = {"kept": source.rows - left_out, "double": left_out}
        if not left_out and self.complement is None:
            return Done(tables={OK: _as_shaped(context.input, read)}, counts=counts)
        if not left_out:
            doubles.make()
        supplied = [
            Supplied.find(doubles, writer, group, number)
            for number, group in enumerate(read.merged, 1)
            if left_out and group.fields
        ]
        shown = read.shape(Shape.of(context.input if self.complement is None else source))
        tables: dict[str, WorkTable | None] = {OK: _kept(context, shown, doubles, supplied, left_out)}
        if self.complement is not None:
            tables[COMPLEMENT] = _complement(context, doubles, left_out)
        return Done(tables=tables, counts=counts)

    def _is_proved(self, source: WorkTable, read: ReadDeduplication) -> bool:
        """Whether the key of the population shows that all rows differ in the criteria."""
        names = {one.is_column for one in read.criteria}
        return bool(source.key) and set(source.key) <= names


def _as_shaped(table: WorkTable, read: ReadDeduplication) -> WorkTable:
    """The inbound table itself, known for what goes out."""
    return read.shape(Shape.of(table)).work_table(table.name, table.rows, bases=table.bases)


def _view(context: Context, transition: str, shape: Shape, sql: str, rows: int, bases: tuple[str, ...]) -> WorkTable:
    name = context.private_name(transition)
    context.db.drop_work((name,))
    with context.db.transaction(f"{context.activity} publishes") as transaction:
        transaction.execute(f"create view crosstie.{name} as {sql}")
    return shape.work_table(name, rows, bases=bases)


def _kept(context: Context, shown: Shape, doubles: Doubles, supplied: Sequence[Supplied], left_out: int) -> WorkTable:
    source = doubles.source
    values = {one.name: f"s.{quote_identifier(one.name)}" for one in shown.columns}
    joins = ""
    for number, group in enumerate(supplied, 1):
        alias = f"m{number}"
        joins += f" left join crosstie.{group.name} {alias} on {same_key(source, alias)}"
        for place, column in enumerate(group.fields, 1):
            name, own = quote_identifier(column.name), values[column.name]
            values[column.name] = f"case when {alias}.s_1 is null then {own} else {alias}.f_{place} end as {name}"
    sql = (
        f"select {', '.join(values.values())} from crosstie.{source.name} s{joins}"
        f" where not exists (select 1 from crosstie.{doubles.name} d where {same_key(source, 'd')})"
    )
    bases = (*source.bases, source.name, doubles.name, *(group.name for group in supplied))
    return _view(context, OK, shown, sql, source.rows - left_out, bases)


def _complement(context: Context, doubles: Doubles, left_out: int) -> WorkTable:
    source = doubles.source
    listed = ", ".join(f"s.{quote_identifier(one.name)}" for one in source.columns)
    references = ", ".join(
        f"d.r_{place} as {quote_identifier(one.name)}" for place, one in enumerate(_references(Shape.of(source)), 1)
    )
    joined = f"crosstie.{source.name} s join crosstie.{doubles.name} d on {same_key(source, 'd')}"
    sql = f"select {listed}, {references} from {joined}"
    shape = _with_references(Shape.of(source))
    return _view(context, COMPLEMENT, shape, sql, left_out, (*source.bases, source.name, doubles.name))


def _identified(shape: Shape) -> Shape:
    """The shape with a key: where nothing tells the rows apart they are numbered."""
    if shape.key:
        return shape
    row = row_column(shape.columns)
    return replace(shape, columns=(*shape.columns, row), key=(row.name,))


def _references(shape: Shape) -> tuple[Column, ...]:
    """The columns that name the row kept in a row's place."""
    key = [find_column(shape.columns, one) for one in shape.key]
    return tuple(column.named(f"kept_{column.name}") for column in key if column is not None)


def _with_references(shape: Shape) -> Shape:
    return replace(shape, columns=(*shape.columns, *_references(shape)))

"""Deduplication: keeps the first rows of each group, whole, and can put out the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crosstie.db.expressions import Binding, Expression, Scope, UnknownScope
from crosstie.db.merge.keys import ROW, key_columns, numbered, same_key
from crosstie.db.merge.matching import Fragment
from crosstie.db.merge.phrases import Phrases, Place, Writer, as_type
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType, WorkTable, find_column
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site

COMPLEMENT = "complement"
_TEXTS = (ColumnType.TEXT, ColumnType.SET)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """A rule, understood."""

    word: str
    value: Expression
    listed: tuple[Expression, ...] = ()


class Deduplication(Activity):
    """Groups rows by one or more criteria and keeps the first of each group."""

    summary: ClassVar[str] = "keeps one row, or a few, of each group of equal ones"
    extra_transitions: ClassVar[tuple[str, ...]] = (COMPLEMENT,)

    type: Literal["deduplication"]
    by: tuple[str, ...] = Field(min_length=1, description="the criteria, expressions; rows equal in all are a group")
    keep: tuple[Keep, ...] = Field(
        (), description="which row: any, or highest, lowest, not_empty, list, or several of these, tried in this order"
    )
    count: int = Field(1, ge=1, description="how many rows of a group are kept")
    group_empty: bool = Field(False, description="rows with an empty criterion are a group too, and not each its own")
    complement: str | None = Field(None, description="adds the Complement transition, with the rows left out")

    @field_validator("by", mode="before")
    @classmethod
    def _criteria(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("keep", mode="before")
    @classmethod
    def _rules(cls, value: Any) -> Any:
        if value == "any":
            return []
        return [value] if isinstance(value, dict) else value

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown columns, values of a list that are not of its type, a name that the complement needs."""
        phrases = Phrases()
        self._read(phrases, inputs[0] if inputs else None)
        if self.complement is not None and inputs:
            for column in _references(_identified(inputs[0])):
                if find_column(inputs[0].columns, column.name) is not None:
                    phrases.refuse(("complement",), f"the inbound population has a column {column.name} already")
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The same columns; the complement has the key of the row kept in a row's place beside them."""
        if self.complement is None:
            return {OK: inputs[0]}
        shape = _identified(inputs[0])
        return {OK: shape, COMPLEMENT: _with_references(shape)}

    def run(self, context: Context) -> Done:
        """Finds the rows to leave out; where there are none the inbound table itself goes on."""
        criteria, rules = self._understood(context)
        source = context.input
        if self.complement is None and self._is_proved(source, criteria):
            context.log.info(
                f"The key {', '.join(source.key)} shows that no row is double: the population goes on as it is."
            )
            return Done(tables={OK: source}, counts={"kept": source.rows, "double": 0})
        writer = Writer(
            dialect=context.db.dialect,
            binding=Binding(now=context.now(), zone=context.zone, vars=dict(context.vars)),
        )
        purpose = f"{context.activity} numbers its rows"
        source = numbered(context.db, source, context.private_name("numbered"), purpose)
        out = _LeftOut(
            source=source,
            criteria=[writer.fragment(one, {"": "s"}) for one in criteria],
            order=[_order(writer, rule) for rule in rules],
            count=self.count,
            group_empty=self.group_empty,
        )
        return self._publish(context, source, out)

    def _publish(self, context: Context, source: WorkTable, out: _LeftOut) -> Done:
        name = context.private_name("double")
        shown = context.input if self.complement is None else source
        left_out = 0
        if out.any(context):
            left_out = out.fill(context, name)
        counts = {"kept": source.rows - left_out, "double": left_out}
        if not left_out and self.complement is None:
            return Done(tables={OK: context.input}, counts=counts)
        if not left_out:
            out.make(context, name)
        tables: dict[str, WorkTable | None] = {OK: _kept(context, shown, source, name, left_out)}
        if self.complement is not None:
            tables[COMPLEMENT] = _complement(context, source, name, left_out)
        return Done(tables=tables, counts=counts)

    def _understood(self, context: Context) -> tuple[list[Expression], list[_Rule]]:
        phrases = Phrases()
        criteria, rules = self._read(phrases, Shape.of(context.input))
        if phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        return criteria, rules

    def _read(self, phrases: Phrases, inbound: Shape | None) -> tuple[list[Expression], list[_Rule]]:
        scope = UnknownScope(columns={}) if inbound is None else Scope.of(inbound.columns, "the inbound population")
        criteria = [phrases.value(("by", number), text, scope) for number, text in enumerate(self.by)]
        rules = []
        for number, rule in enumerate(self.keep):
            place: Place = ("keep", rule.word) if len(self.keep) == 1 else ("keep", number, rule.word)
            value = phrases.value(place, rule.text, scope)
            if value is None:
                continue
            listed = [_listed(phrases, place, one, value) for one in rule.list_.values] if rule.list_ else []
            rules.append(_Rule(word=rule.word, value=value, listed=tuple(one for one in listed if one is not None)))
        return [one for one in criteria if one is not None], rules

    def _is_proved(self, source: WorkTable, criteria: list[Expression]) -> bool:
        """Whether the key of the population shows that all rows differ in the criteria."""
        names = {one.is_column for one in criteria}
        return bool(source.key) and set(source.key) <= names


def _listed(phrases: Phrases, place: Place, value: str | int | float | bool, of: Expression) -> Expression | None:
    text = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value).lower()
    parsed = phrases.value((*place, "values"), text, Scope.of(()))
    typed = None if parsed is None else as_type(parsed, of.type)
    if parsed is not None and typed is None:
        phrases.refuse((*place, "values"), f"{value!r} is {parsed.type.value}, but “{of.text}” is {of.type.value}")
    return typed


def _order(writer: Writer, rule: _Rule) -> Fragment:
    """What stands in the `order by` for a rule."""
    value = writer.fragment(rule.value, {"": "s"})
    sql, params = value.sql, dict(value.params)
    if rule.word in ("highest", "lowest"):
        bytewise = ' collate "C"' if writer.dialect == "postgresql" and value.type in _TEXTS else ""
        return replace(value, sql=f"({sql}){bytewise} {'desc' if rule.word == 'highest' else 'asc'} nulls last")
    if rule.word == "not_empty":
        return Fragment(sql=f"case when {_empty(value)} then 1 else 0 end", type=ColumnType.INTEGER, params=params)
    branches = []
    for place, one in enumerate(rule.listed):
        listed = writer.fragment(one, {})
        params.update(listed.params)
        branches.append(f"when {sql} = {listed.sql} then {place}")
    ranked = f"case {' '.join(branches)} else {len(branches)} end"
    return Fragment(sql=ranked, type=ColumnType.INTEGER, params=params)


def _empty(value: Fragment) -> str:
    """Whether a value is empty: null, or a text without characters."""
    return f"({value.sql} is null or {value.sql} = '')" if value.type in _TEXTS else f"({value.sql} is null)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _LeftOut:
    """Finds the rows to leave out of a population whose key is known."""

    source: WorkTable
    criteria: list[Fragment]
    order: list[Fragment]
    count: int
    group_empty: bool

    def _params(self) -> dict[str, object]:
        return {name: value for one in (*self.criteria, *self.order) for name, value in one.params.items()}

    def _rows(self) -> str:
        """The rows that can be double."""
        where = ""
        if not self.group_empty:
            where = " where " + " and ".join(f"not {_empty(one)}" for one in self.criteria)
        return f"crosstie.{self.source.name} s{where}"

    def any(self, context: Context) -> bool:
        """Whether a group has more rows than are kept."""
        listed = ", ".join(self._groups())
        with context.db.reading() as transaction:
            found = transaction.row(
                f"select 1 from {self._rows()} group by {listed} having count(*) > {self.count} limit 1", self._params()
            )
        return found is not None

    def _groups(self) -> list[str]:
        """What a row is grouped by; empty is empty, whether null or a text without characters."""
        return [f"nullif({one.sql}, '')" if one.type in _TEXTS else one.sql for one in self.criteria]

    def make(self, context: Context, name: str) -> None:
        """An empty table for the keys of the rows to leave out, each with the key of the row kept in its place."""
        context.db.create_work(name, (*key_columns(self.source), *key_columns(self.source, "r")))

    def fill(self, context: Context, name: str) -> int:
        """Makes and fills that table; how many rows."""
        self.make(context, name)
        keys = [f"s.{quote_identifier(one)}" for one in self.source.key]
        order = ", ".join([*(one.sql for one in self.order), *keys])
        over = f"over (partition by {', '.join(self._groups())} order by {order})"
        places = range(1, len(keys) + 1)
        shown = ", ".join(
            f"{key} as s_{place}, first_value({key}) {over} as r_{place}"
            for place, key in zip(places, keys, strict=True)
        )
        listed = ", ".join([*(f"s_{place}" for place in places), *(f"r_{place}" for place in places)])
        with context.db.transaction(f"{context.activity} finds double rows") as transaction:
            found = transaction.execute(
                f"insert into crosstie.{name} ({listed}) select {listed} from"
                f" (select {shown}, row_number() {over} as place from {self._rows()}) x where place > {self.count}",
                self._params(),
            )
        context.db.prepare(name, tuple(f"s_{place}" for place in places), unique=True)
        return found


def _view(context: Context, transition: str, shape: Shape, sql: str, rows: int, bases: tuple[str, ...]) -> WorkTable:
    name = context.private_name(transition)
    context.db.drop_work((name,))
    with context.db.transaction(f"{context.activity} publishes") as transaction:
        transaction.execute(f"create view crosstie.{name} as {sql}")
    return shape.work_table(name, rows, bases=bases)


def _kept(context: Context, shown: WorkTable, source: WorkTable, double: str, left_out: int) -> WorkTable:
    listed = ", ".join(f"s.{quote_identifier(one.name)}" for one in shown.columns)
    sql = (
        f"select {listed} from crosstie.{source.name} s"
        f" where not exists (select 1 from crosstie.{double} d where {same_key(source, 'd')})"
    )
    bases = (*source.bases, source.name, double)
    return _view(context, OK, Shape.of(shown), sql, source.rows - left_out, bases)


def _complement(context: Context, source: WorkTable, double: str, left_out: int) -> WorkTable:
    listed = ", ".join(f"s.{quote_identifier(one.name)}" for one in source.columns)
    references = ", ".join(
        f"d.r_{place} as {quote_identifier(one.name)}" for place, one in enumerate(_references(Shape.of(source)), 1)
    )
    joined = f"crosstie.{source.name} s join crosstie.{double} d on {same_key(source, 'd')}"
    sql = f"select {listed}, {references} from {joined}"
    shape = _with_references(Shape.of(source))
    return _view(context, COMPLEMENT, shape, sql, left_out, (*source.bases, source.name, double))


def _identified(shape: Shape) -> Shape:
    """The shape with a key: where nothing tells the rows apart they are numbered."""
    return shape if shape.key else replace(shape, columns=(*shape.columns, ROW), key=(ROW.name,))


def _references(shape: Shape) -> tuple[Column, ...]:
    """The columns that name the row kept in a row's place."""
    key = [find_column(shape.columns, one) for one in shape.key]
    return tuple(column.named(f"kept_{column.name}") for column in key if column is not None)


def _with_references(shape: Shape) -> Shape:
    return replace(shape, columns=(*shape.columns, *_references(shape)))

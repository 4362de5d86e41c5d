"""Split: divides a population into ordered subsets, each with a filter and a limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crosstie.activities.sets import identified, view
from crosstie.activities.sets.rows import listed, statements
from crosstie.db.expressions import Expression, Scope, UnknownScope
from crosstie.db.merge import Fragment, key_columns, same_key
from crosstie.db.merge.digests import digest
from crosstie.db.merge.phrases import OrderLine, Phrases, Place, Writer
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType, WorkTable, find_column
from crosstie.workflow.activity import ERRORS, OK, REJECTS, Activity, Context, Done, Problem, Shape, Site

COMPLEMENT = "complement"
_RESERVED = (OK, REJECTS, ERRORS, COMPLEMENT)
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
# Percentages are counted in thousandths of a percent.
_WHOLE = 100_000


class Limit(BaseModel):
    """How many of the rows that satisfy the filter a subset takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int | None = Field(None, ge=0, description="at most so many rows")
    percent: Decimal | None = Field(None, ge=0, le=100, description="at most this share of the rows, rounded down")
    of: Literal["inbound", "subset"] = Field(
        "inbound", description="of what the percentage is: all inbound rows, or those that the subset could take"
    )
    per: str | None = Field(
        None, description="an expression: the limit holds for each of its values, and a percentage is of the subset"
    )

    @model_validator(mode="after")
    def _one(self) -> Limit:
        if (self.rows is None) == (self.percent is None):
            raise ValueError("write either rows or percent")
        if self.percent is not None and self.percent * 1000 != (self.percent * 1000).to_integral_value():
            raise ValueError("a percentage has at most 3 decimals")
        if self.percent is not None and self.per is not None and self.of == "inbound" and "of" in self.model_fields_set:
            raise ValueError("with per, a percentage is of the subset: leave out of, or write of: subset")
        return self


class Subset(BaseModel):
    """One subset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field("", description="shown to people instead of the name")
    code: str = Field("", description="what stands in the segment column; by default the name")
    where: str | None = Field(None, description="a condition; without one every row satisfies it")
    limit: Limit | None = Field(None, description="how many rows it takes: a number, a percentage like 10%, or keys")
    order: tuple[OrderLine, ...] = Field(
        (), description="which rows come first when there is a limit: highest or lowest of an expression; else random"
    )
    ties: Literal["key", "random"] = Field(
        "key", description="what decides between rows that the order leaves equal: the key, or chance"
    )

    @field_validator(
        "limit",
        mode="before",
        json_schema_input_type=Annotated[int, Field(ge=0)]
        | Annotated[str, Field(pattern=r"^[0-9]*\.?[0-9]+\.?\s*%$", examples=["10%"])]
        | Limit
        | None,
    )
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"rows": value}
        if isinstance(value, str):
            number = value.removesuffix("%").strip()
            if not value.endswith("%") or not number.replace(".", "", 1).isdecimal():
                raise ValueError(f"“{value}” is no limit: write a number, a percentage like 10%, or keys")
            return {"percent": number}
        return value

    @field_validator("order", mode="before", json_schema_input_type=OrderLine | tuple[OrderLine, ...])
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A subset, understood."""

    name: str
    subset: Subset
    where: Expression | None
    per: Expression | None


class Split(Activity):
    """Gives each row to the first subset that takes it; `overlapping`, to all that do."""

    summary: ClassVar[str] = "divides a population into subsets by filters and limits"
    extra_transitions: ClassVar[tuple[str, ...]] = (COMPLEMENT,)
    has_default_next: ClassVar[bool] = False

    type: Literal["split"]
    subsets: dict[str, Subset] = Field(min_length=1, description="the subsets by name, in the order they take rows")
    overlapping: bool = Field(False, description="a row goes to every subset that takes it, not only to the first")
    segment: str | None = Field(
        None, description="one population for all subsets, with this column saying by its code which subset a row is in"
    )
    complement: str | None = Field(None, description="adds the Complement transition, with the rows in no subset")

    @field_validator(
        "subsets", mode="before", json_schema_input_type=Annotated[dict[str, Subset | None], Field(min_length=1)]
    )
    @classmethod
    def _filled(cls, value: Any) -> Any:
        """A subset of which nothing is said takes every row."""
        return {name: {} if one is None else one for name, one in value.items()} if isinstance(value, dict) else value

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown columns, conditions that are none, names and codes that cannot be told apart, no way out."""
        phrases = Phrases()
        self._read(phrases, inputs[0] if inputs else None)
        self._check_names(phrases)
        self._check_next(phrases)
        self._check_segment(phrases, inputs[0] if inputs else None)
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """A transition for each subset with the inbound columns, or one with the segment's code beside them."""
        shape = inputs[0]
        rest = {COMPLEMENT: shape} if self._has_complement else {}
        if self.segment is not None:
            return {OK: self._with_segment(shape), **rest}
        return {**dict.fromkeys(self.subsets, shape), **rest}

    def run(self, context: Context) -> Done:
        """Notes for each row in which subsets it is; the subsets are views."""
        phrases = Phrases()
        read = self._read(phrases, Shape.of(context.input))
        if phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        writer = Writer(
            dialect=context.db.dialect,
            binding=context.binding(),
        )
        parts = _Parts(context=context, writer=writer, source=identified(context), overlapping=self.overlapping)
        parts.make()
        counts = {one.name: parts.fill(number, one) for number, one in enumerate(read, 1)}
        tables: dict[str, WorkTable | None] = {}
        shape = Shape.of(context.input)
        if self.segment is not None:
            tables[OK] = parts.segmented(self._with_segment(shape), self.segment, sum(counts.values()))
        else:
            for number, one in enumerate(read, 1):
                tables[one.name] = parts.part(number, shape, counts[one.name])
        if self._has_complement:
            rest = context.input.rows - parts.taken()
            tables[COMPLEMENT] = parts.rest(shape, rest)
            counts[COMPLEMENT] = rest
        return Done(tables=tables, counts=counts)

    @property
    def _has_complement(self) -> bool:
        return self.complement is not None or (isinstance(self.next, dict) and COMPLEMENT in self.next)

    def _with_segment(self, shape: Shape) -> Shape:
        assert self.segment is not None, "the caller has asked"
        shape = replace(shape, columns=(*shape.columns, Column(name=self.segment, type=ColumnType.TEXT)))
        return replace(shape, key=(), dimension="") if self.overlapping else shape

    def _check_names(self, phrases: Phrases) -> None:
        for name in self.subsets:
            if name in _RESERVED:
                phrases.refuse(("subsets", name), f"“{name}” has a meaning of its own: give the subset another name")
            elif not name or not set(name) <= _NAME:
                phrases.refuse(("subsets", name), f"“{name}” is not a name: use letters, digits, - and _")

    def _check_next(self, phrases: Phrases) -> None:
        if self.segment is None and self.next is not None and not isinstance(self.next, dict):
            example = ", ".join(f"{name}: activity" for name in self.subsets)
            phrases.refuse(("next",), f"a split says for each subset where it goes: next: {{{example}}}")
        if self.segment is None and isinstance(self.next, dict) and OK in self.next:
            phrases.refuse(("next", OK), f"split has no transition “ok”. It has: {', '.join(self.subsets)}")

    def _check_segment(self, phrases: Phrases, inbound: Shape | None) -> None:
        codes: dict[str, str] = {}
        for name, subset in self.subsets.items():
            other = codes.setdefault(subset.code or name, name)
            if self.segment is not None and other != name:
                phrases.refuse(
                    ("subsets", name), f"its code {subset.code or name} is that of subset {other}: give it another one"
                )
            if self.segment is None and subset.code:
                phrases.refuse(
                    ("subsets", name, "code"), "a code stands in the segment column: write segment: and its name"
                )
        if self.segment is not None and inbound is not None and find_column(inbound.columns, self.segment):
            phrases.refuse(("segment",), f"the inbound population has a column {self.segment} already")

    def _read(self, phrases: Phrases, inbound: Shape | None) -> list[_Read]:
        scope = UnknownScope(columns={}) if inbound is None else Scope.of(inbound.columns, "the inbound population")
        read = []
        for name, subset in self.subsets.items():
            place: Place = ("subsets", name)
            limit = subset.limit
            where = None if subset.where is None else phrases.condition((*place, "where"), subset.where, scope)
            per = (
                None
                if limit is None or limit.per is None
                else phrases.value((*place, "limit", "per"), limit.per, scope)
            )
            for number, line in enumerate(subset.order):
                at: Place = ("order", line.word) if len(subset.order) == 1 else ("order", number, line.word)
                phrases.value((*place, *at), line.text, scope)
            if limit is None and subset.order:
                phrases.refuse((*place, "order"), "an order says which rows a limit leaves out: write a limit too")
            read.append(_Read(name=name, subset=subset, where=where, per=per))
        return read


@dataclass(slots=True, kw_only=True)
class _Parts:
    """The private table that says in which subsets a row is: the key of the population, and the number of a subset."""

    context: Context
    writer: Writer
    source: WorkTable
    overlapping: bool

    @property
    def _name(self) -> str:
        return self.context.private_name("parts")

    @property
    def _own(self) -> tuple[str, ...]:
        return tuple(column.name for column in key_columns(self.source))

    @property
    def _bases(self) -> tuple[str, ...]:
        return (*self.source.bases, self.source.name, self._name)

    def make(self) -> None:
        """Makes it, empty."""
        extra = (Column(name="part", type=ColumnType.INTEGER), Column(name="code", type=ColumnType.TEXT))
        self.context.db.create_work(self._name, (*key_columns(self.source), *extra))
        self._prepare()

    def _prepare(self) -> None:
        self.context.db.prepare(self._name, (*self._own, "part"), unique=True)

    def fill(self, number: int, read: _Read) -> int:
        """Gives a subset its rows; how many."""
        keys = [f"s.{quote_identifier(one)}" for one in self.source.key]
        conditions: list[str] = []
        params: dict[str, object] = {}
        if read.where is not None:
            where = self.writer.fragment(read.where, {"": "s"})
            conditions.append(where.sql)
            params.update(where.params)
        if number > 1 and not self.overlapping:
            conditions.append(f"not exists (select 1 from crosstie.{self._name} d where {same_key(self.source, 'd')})")
        rows = f"crosstie.{self.source.name} s" + (f" where {' and '.join(conditions)}" if conditions else "")
        listed = ", ".join(self._own)
        params.update({"part": number, "code": read.subset.code or read.name})
        marks = "cast(:part as bigint), cast(:code as text)"
        if read.subset.limit is None:
            sql = f"select {', '.join(keys)}, {marks} from {rows}"
        else:
            ranked = self._ranked(read, read.subset.limit, keys, rows, params)
            sql = f"select {listed}, {marks} from {ranked}"
        with statements(self.context, f"fills {read.name}") as transaction:
            found = transaction.execute(f"insert into crosstie.{self._name} ({listed}, part, code) {sql}", params)
        self._prepare()
        return found

    def _ranked(self, read: _Read, limit: Limit, keys: list[str], rows: str, params: dict[str, object]) -> str:
        """The rows that the limit lets through. A share is of whole rows, rounded down."""
        shown = ", ".join(f"{key} as {name}" for key, name in zip(keys, self._own, strict=True))
        group = ""
        if read.per is not None:
            per = self.writer.fragment(read.per, {"": "s"})
            params.update(per.params)
            group = f"partition by {per.sql} "
        order = list(self._order(read, params))
        place = f"row_number() over ({group}order by {', '.join([*order, *keys])}) as place"
        if limit.rows is not None:
            params["most"] = limit.rows
            return f"(select {shown}, {place} from {rows}) x where place <= :most"
        assert limit.percent is not None, "the definition says one of both"
        params["share"] = int(limit.percent * 1000)
        if limit.of == "inbound" and read.per is None:
            params["most"] = self.context.input.rows * int(limit.percent * 1000) // _WHOLE
            del params["share"]
            return f"(select {shown}, {place} from {rows}) x where place <= :most"
        counted = f"(select {shown}, {place}, count(*) over ({group}) as found from {rows}) x"
        return f"{counted} where place * {_WHOLE} <= found * :share"

    def _order(self, read: _Read, params: dict[str, object]) -> Iterator[str]:
        scope = Scope.of(self.source.columns)
        for line in read.subset.order:
            ordering = self.writer.ordering(line, scope, "s")
            params.update(ordering.value.params)
            yield ordering.sql
        if not read.subset.order or read.subset.ties == "random":
            yield self._chance(read, params)

    def _chance(self, read: _Read, params: dict[str, object]) -> str:
        """A random order of the rows. It follows from the run and the subset, so that a task that is executed again
        draws the same rows, and two subsets draw different ones."""
        params["seed"] = f"{self.context.workflow}/{self.context.run}/{self.context.activity}/{read.name}"
        seed = Fragment(sql="cast(:seed as text)", type=ColumnType.TEXT)
        columns = [(name, find_column(self.source.columns, name)) for name in self.source.key]
        keys = [
            Fragment(sql=f"s.{quote_identifier(name)}", type=column.type)
            for name, column in columns
            if column is not None
        ]
        return digest(self.writer.dialect, [seed, *keys])

    def taken(self) -> int:
        """How many rows are in a subset."""
        sql = f"select count(*) from (select distinct {', '.join(self._own)} from crosstie.{self._name}) x"
        with self.context.db.reading() as transaction:
            found = transaction.row(sql)
        return int(found[0]) if found is not None else 0

    def part(self, number: int, shape: Shape, rows: int) -> WorkTable:
        """A subset, as a view."""
        on = f"d.part = {number} and {same_key(self.source, 'd')}"
        return self._view(
            f"part{number}", shape, f"where exists (select 1 from crosstie.{self._name} d where {on})", rows
        )

    def rest(self, shape: Shape, rows: int) -> WorkTable:
        """The rows in no subset, as a view."""
        on = same_key(self.source, "d")
        return self._view(
            COMPLEMENT, shape, f"where not exists (select 1 from crosstie.{self._name} d where {on})", rows
        )

    def segmented(self, shape: Shape, segment: str, rows: int) -> WorkTable:
        """All subsets in one view, each row with the code of its subset."""
        join = f"join crosstie.{self._name} d on {same_key(self.source, 'd')}"
        return self._view(OK, shape, join, rows, {segment: "d.code"})

    def _view(
        self, transition: str, shape: Shape, rest: str, rows: int, shown: Mapping[str, str] | None = None
    ) -> WorkTable:
        sql = f"select {listed(shape, shown or {})} from crosstie.{self.source.name} s {rest}"
        return view(self.context, transition, shape, sql, rows, self._bases)

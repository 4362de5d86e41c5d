"""Edit schema: renames, drops, reorders, converts and computes columns; sets labels, key and dimension."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from crosstie.activities.sets import narrowed, view
from crosstie.activities.sets.rows import statements
from crosstie.db.expressions import Expression, Scope, UnknownScope
from crosstie.db.merge.phrases import Phrases, Place, Writer, unknown
from crosstie.db.statements import quote_identifier
from crosstie.errors import DatabaseError, MappingError
from crosstie.model import Column, WorkTable, find_column
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A column that goes out: `value` over the inbound columns; `inbound` the column when it is nothing but one."""

    column: Column
    value: Expression
    inbound: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The definition, understood; `complete` when no mistake hides a column."""

    parts: tuple[_Part, ...]
    key: tuple[str, ...]
    complete: bool


class EditSchema(Activity):
    """Changes what columns a population has and what identifies its rows; the rows stay the same."""

    summary: ClassVar[str] = "renames, drops, reorders, converts and computes columns; sets labels, key and dimension"

    type: Literal["edit_schema"]
    drop: tuple[str, ...] = Field((), description="inbound columns that do not go on")
    rename: dict[str, str] = Field(default_factory=dict, description="inbound column: its new name")
    cast: dict[str, str] = Field(
        default_factory=dict, description="inbound column: the type that it is converted to, as in expressions"
    )
    add: dict[str, str] = Field(
        default_factory=dict, description="new column: expression over the inbound columns, under their inbound names"
    )
    columns: tuple[str, ...] | Literal["all"] = Field(
        "all", description="which columns go on and in which order, by their new names; all: the inbound ones, then new"
    )
    labels: dict[str, str] = Field(default_factory=dict, description="column, by its new name: the label people see")
    key: tuple[str, ...] | None = Field(
        None, description="the columns, by their new names, that together tell the rows apart; [] for none known"
    )
    dimension: str | None = Field(None, description="the table whose rows the key identifies; empty text for none")

    @field_validator("drop", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _dropped(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("key", mode="before", json_schema_input_type=str | tuple[str, ...] | None)
    @classmethod
    def _keyed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown columns, names that collide, conversions without meaning, a key that is not the table's."""
        phrases = Phrases()
        read = self._read(phrases, inputs[0] if inputs else None)
        if self.dimension:
            shape = self._shape(read, inputs[0]) if read is not None and read.complete else None
            self._check_dimension(phrases, shape, site)
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The columns as edited. Raises MappingError where mistakes hide some of them."""
        read = self._read(Phrases(), inputs[0])
        if read is None or not read.complete:
            raise MappingError("The columns of this activity cannot be told before its mistakes are mended.")
        return {OK: self._shape(read, inputs[0])}

    def run(self, context: Context) -> Done:
        """A view where columns are only chosen and named; where values are computed, a copy: computed now and once."""
        phrases = Phrases()
        inbound = Shape.of(context.input)
        read = self._read(phrases, inbound)
        if phrases.mistakes or read is None:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        shape = self._shape(read, inbound)
        if all(part.inbound for part in read.parts):
            table = self._shown(context, read, shape)
        else:
            table = self._computed(context, read, shape)
        if shape.key and self.key is not None:
            _check_key(context, table)
        return Done(tables={OK: table}, counts={"rows": table.rows})

    def _shown(self, context: Context, read: _Read, shape: Shape) -> WorkTable:
        listed = ", ".join(
            f"s.{quote_identifier(part.inbound)} as {quote_identifier(part.column.name)}" for part in read.parts
        )
        source = context.input
        sql = f"select {listed} from crosstie.{source.name} s"
        return view(context, OK, shape, sql, source.rows, (*source.bases, source.name))

    def _computed(self, context: Context, read: _Read, shape: Shape) -> WorkTable:
        writer = Writer(
            dialect=context.db.dialect,
            binding=context.binding(),
        )
        name = context.private_name()
        context.db.create_work(name, shape.columns)
        values = [writer.fragment(part.value, {"": "s"}) for part in read.parts]
        listed = ", ".join(quote_identifier(part.column.name) for part in read.parts)
        with statements(context, "computes its columns") as transaction:
            rows = transaction.execute(
                f"insert into crosstie.{name} ({listed}) select {', '.join(one.sql for one in values)}"
                f" from crosstie.{context.input.name} s",
                {key: value for one in values for key, value in one.params.items()},
            )
        context.db.prepare(name, shape.key)
        return shape.work_table(name, rows)

    def _shape(self, read: _Read, inbound: Shape) -> Shape:
        names = {part.inbound: part.column.name for part in read.parts if part.inbound}
        shape = narrowed(inbound, tuple(part.column for part in read.parts), names)
        if self.key is not None:
            # Other columns identify other rows, unless it is said of which table.
            same = tuple(read.key) == shape.key
            shape = replace(shape, key=read.key, dimension=shape.dimension if same else "")
        return shape if self.dimension is None else replace(shape, dimension=self.dimension)

    def _read(self, phrases: Phrases, inbound: Shape | None) -> _Read | None:
        if inbound is None:
            for name, text in self.add.items():
                phrases.value(("add", name), text, UnknownScope(columns={}))
            return None
        before = len(phrases.mistakes)
        scope = Scope.of(inbound.columns, "the inbound population")
        parts = [*self._kept(phrases, inbound, scope), *self._added(phrases, scope)]
        self._refuse_collisions(phrases, parts)
        if len(phrases.mistakes) > before:
            return _Read(parts=(), key=(), complete=False)
        if self.columns != "all":
            chosen = [self._find(phrases, ("columns", at), name, parts) for at, name in enumerate(self.columns)]
            parts = list(dict.fromkeys(one for one in chosen if one is not None))
        labelled = {part.column.name: label for name, label in self.labels.items()
                    if (part := self._find(phrases, ("labels", name), name, parts)) is not None}  # fmt: skip
        keys = [self._find(phrases, ("key", at), name, parts) for at, name in enumerate(self.key or ())]
        if not parts:
            phrases.refuse((), "no column is left")
        return _Read(
            parts=tuple(
                replace(part, column=replace(part.column, label=labelled.get(part.column.name, part.column.label)))
                for part in parts
            ),
            key=tuple(part.column.name for part in keys if part is not None),
            complete=len(phrases.mistakes) == before,
        )

    def _kept(self, phrases: Phrases, inbound: Shape, scope: Scope) -> Iterable[_Part]:
        """The inbound columns that go on, renamed and converted."""
        dropped = {self._inbound(phrases, ("drop", at), name, inbound) for at, name in enumerate(self.drop)}
        renamed = {self._inbound(phrases, ("rename", name), name, inbound): new for name, new in self.rename.items()}
        cast = {self._inbound(phrases, ("cast", name), name, inbound): name for name in self.cast}
        for column in inbound.columns:
            if column.name in dropped:
                continue
            quoted = quote_identifier(column.name)
            place: Place = ("cast", cast.get(column.name, ""))
            text = f"cast({quoted} as {self.cast[cast[column.name]]})" if column.name in cast else quoted
            value = phrases.value(place, text, scope)
            if value is not None:
                name = renamed.get(column.name, column.name)
                unchanged = value.is_column if value.type is column.type else ""
                made = column.named(name) if unchanged else replace(value.column(name), label=column.label)
                yield _Part(column=made, value=value, inbound=unchanged)

    def _added(self, phrases: Phrases, scope: Scope) -> Iterable[_Part]:
        for name, text in self.add.items():
            value = phrases.value(("add", name), text, scope)
            if value is not None:
                # A copy of a column is not that column: key and lineage stay with the first.
                yield _Part(column=replace(value.column(name), label=""), value=value)

    def _inbound(self, phrases: Phrases, place: Place, name: str, inbound: Shape) -> str:
        column = find_column(inbound.columns, name)
        if column is None:
            phrases.refuse(place, unknown("inbound column", name, [one.name for one in inbound.columns]))
            return ""
        return column.name

    def _find(self, phrases: Phrases, place: Place, name: str, parts: Iterable[_Part]) -> _Part | None:
        by_name = {part.column.name: part for part in parts}
        column = find_column(tuple(part.column for part in by_name.values()), name)
        if column is None:
            phrases.refuse(place, unknown("column", name, list(by_name)))
            return None
        return by_name[column.name]

    def _refuse_collisions(self, phrases: Phrases, parts: Iterable[_Part]) -> None:
        seen: set[str] = set()
        for part in parts:
            name = part.column.name
            if name.removeprefix("@").lower() in seen:
                old = next((old for old, new in self.rename.items() if new == name), "")
                place: Place = ("add", name) if name in self.add else ("rename", old) if old else ()
                phrases.refuse(place, f"two columns would be called {name}: rename or drop one of them")
            seen.add(name.removeprefix("@").lower())

    def _check_dimension(self, phrases: Phrases, shape: Shape | None, site: Site) -> None:
        table = site.table(self.dimension or "")
        if table is None:
            phrases.refuse(("dimension",), unknown("table", self.dimension or "", site.tables()))
        elif not table.key:
            phrases.refuse(("dimension",), f"table {table.name} has no primary key that could identify its rows")
        elif shape is not None and {one.lower() for one in shape.key} != {one.lower() for one in table.key}:
            told = ", ".join(shape.key) or "not known"
            phrases.refuse(
                ("dimension",),
                f"rows of table {table.name} are identified by {', '.join(table.key)}, but the key here is {told}:"
                f" write key: [{', '.join(table.key)}]",
            )


def _check_key(context: Context, table: WorkTable) -> None:
    """Raises DatabaseError when the key does not tell the rows apart, with the number of rows at fault."""
    columns = [quote_identifier(name) for name in table.key]
    empty = " or ".join(f"{name} is null" for name in columns)
    with context.db.reading() as transaction:
        without = transaction.row(f"select count(*) from crosstie.{table.name} where {empty}")
        apart = transaction.row(
            f"select count(*) from (select distinct {', '.join(columns)} from crosstie.{table.name}"
            f" where not ({empty})) x"
        )
    lacking, different = (int(row[0]) if row is not None else 0 for row in (without, apart))
    double = table.rows - lacking - different
    if lacking or double:
        raise DatabaseError(
            f"{', '.join(table.key)} cannot be the key: {lacking} rows have none, and {double} have one that another"
            " row has too.",
            hint="Name other columns, or leave one row of each before, by a deduplication.",
        )

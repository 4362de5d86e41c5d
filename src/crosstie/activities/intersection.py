"""Intersection: the rows of the main set that are in every other set too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from crosstie.activities.sets import LeftOut, Match, Presence, SetOperation, comparable, identified, narrowed
from crosstie.activities.sets.reading import KEYS, columns_by_name, shared_names, unnumbered
from crosstie.db.merge import Fragment
from crosstie.db.merge.phrases import Phrases, Writer
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType, WorkTable, find_column
from crosstie.workflow.activity import OK, Context, Done, Problem, Shape, Site

COMPLEMENT = "complement"


class Intersection(SetOperation):
    """Keeps the rows of the main set, the first of `from`, that every other set has too."""

    summary: ClassVar[str] = "keeps the rows of the main set that are in all other sets too"
    extra_transitions: ClassVar[tuple[str, ...]] = (COMPLEMENT,)

    type: Literal["intersection"]
    columns: Literal["main", "shared", "all"] = Field(
        "main",
        description="main: the columns of the main set; shared: those that all sets have; all: those of the other sets"
        " too, which needs reconcile: keys",
    )
    complement: str | None = Field(
        None, description="adds the Complement transition, with the rows of the main set that a set lacks"
    )

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Sets without common key or columns, types that never are equal, less than two sets."""
        phrases = Phrases()
        self._read(phrases, inputs)
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The main set's columns, those shared, or all; the complement has the main set's."""
        shape, _ = self._out(inputs)
        return {OK: shape} if self.complement is None else {OK: shape, COMPLEMENT: inputs[0]}

    def run(self, context: Context) -> Done:
        """Finds the rows of the main set to leave out; where there are none it goes on as it is."""
        inputs = tuple(Shape.of(one) for one in context.inputs)
        phrases = Phrases()
        match = self._read(phrases, inputs)
        if phrases.mistakes or match is None:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        writer = Writer(
            dialect=context.db.dialect,
            binding=context.binding(),
        )
        source = identified(context)
        out = LeftOut.find(context, source, _missing(context, writer, match, source))
        counts = {"kept": source.rows - out.rows, "left out": out.rows}
        tables: dict[str, WorkTable | None] = {OK: self._kept(context, inputs, out)}
        if self.complement is not None:
            tables[COMPLEMENT] = out.themselves(COMPLEMENT, inputs[0])
        return Done(tables=tables, counts=counts)

    def _read(self, phrases: Phrases, inputs: tuple[Shape, ...]) -> Match | None:
        if not self.check_sets(phrases, inputs):
            return None
        match = self.read_match(phrases, inputs)
        if self.columns == "all" and self.reconcile != KEYS:
            phrases.refuse(
                ("columns",), "columns: all needs reconcile: keys, so that each row has one partner in every other set"
            )
        elif (
            self.columns == "all"
            and match is not None
            and any(one.type is not values[0].type for values in zip(*match.of, strict=True) for one in values)
        ):
            phrases.refuse(("columns",), "columns: all needs keys of one type")
        return match

    def _out(self, inputs: tuple[Shape, ...]) -> tuple[Shape, list[tuple[Column, int]]]:
        """What goes out, and the columns added from other sets, each with the place of its set."""
        main = inputs[0]
        if self.columns == "main":
            return main, []
        if self.columns == "shared":
            shared = shared_names([unnumbered(one) for one in inputs])
            return narrowed(
                main, tuple(one for one in main.columns if one.name in shared), {name: name for name in shared}
            ), []
        added = []
        for name, columns in columns_by_name([unnumbered(one) for one in inputs]).items():
            place = next(place for place, column in enumerate(columns) if column is not None)
            column = columns[place]
            if place and column is not None:
                added.append((column.named(name), place))
        names = {one.name: one.name for one in main.columns}
        return narrowed(main, (*main.columns, *(column for column, _ in added)), names), added

    def _kept(self, context: Context, inputs: tuple[Shape, ...], out: LeftOut) -> WorkTable:
        shape, added = self._out(inputs)
        if not out.rows and shape == inputs[0]:
            return context.input
        shown, joins, bases = {}, "", []
        for place in sorted({place for _, place in added}):
            other = context.inputs[place]
            bases += [*other.bases, other.name]
            joins += f" join crosstie.{other.name} o{place} on {_same(inputs[0].key, other, f'o{place}')}"
        for column, place in added:
            shown[column.name] = f"o{place}.{quote_identifier(column.name)}"
        return out.others(OK, shape, joins=joins, shown=shown, bases=bases)


def _same(key: Sequence[str], other: WorkTable, alias: str) -> str:
    """Joins another set to the main one by the key of their dimension."""
    found = ((name, find_column(other.columns, name)) for name in key)
    return " and ".join(
        f"{alias}.{quote_identifier(column.name)} = s.{quote_identifier(name)}"
        for name, column in found
        if column is not None
    )


def _missing(context: Context, writer: Writer, match: Match, source: WorkTable) -> Fragment:
    """The condition that a row of the main set, alias s, lacks in one of the others."""
    own = comparable(writer, match.of[0], nulls_equal=match.nulls_equal)
    conditions = []
    for place, other in enumerate(context.inputs[1:], 1):
        present = Presence(context, f"set{place}")
        present.add(other, comparable(writer, match.of[place], nulls_equal=match.nulls_equal))
        conditions.append(present.exists(own))
    return Fragment(
        sql=" or ".join(f"not {one.sql}" for one in conditions),
        type=ColumnType.BOOLEAN,
        params={name: value for one in conditions for name, value in one.params.items()},
    )

"""Reads which rows of several inbound populations count as the same; keeps every mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from crosstie.db.expressions import Expression, Scope, UnknownScope, parse_expression
from crosstie.db.expressions.nodes import MOMENTS, NUMBERS
from crosstie.db.merge.keys import ROW
from crosstie.db.merge.phrases import Phrases, Place, as_type
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, find_column
from crosstie.workflow.activity import Activity, Shape

KEYS: Literal["keys"] = "keys"
SHARED: Literal["shared"] = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """By what rows are compared: for each inbound set its expressions, in the same order and of the same types.

    `nulls_equal` where whole rows are compared, so that an empty value is like an empty value; else a row with one is
    not the same as any other."""

    of: tuple[tuple[Expression, ...], ...]
    nulls_equal: bool = False


class SetOperation(Activity):
    """What takes several populations and compares their rows. It waits for all of them."""

    min_inputs: ClassVar[int] = 1
    max_inputs: ClassVar[int] = 99

    reconcile: Literal["keys", "shared"] | tuple[str, ...] = Field(
        KEYS,
        description="which rows count as the same: keys (of one dimension), shared (equal in every column that all sets"
        " have), or a list of expressions that all sets can compute",
    )

    @field_validator(
        "reconcile",
        mode="before",
        json_schema_input_type=Literal["keys", "shared"] | Annotated[list[str], Field(min_length=1)],
    )
    @classmethod
    def _known(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in (KEYS, SHARED):
            raise ValueError(f"“{value}” is not known here. It can be keys, shared, or a list like [lower({value})]")
        if isinstance(value, list | tuple) and not value:
            raise ValueError("the list is empty: name at least one column or expression, or write keys or shared")
        return value

    def joins(self) -> bool:
        """It waits for all of its inbound transitions."""
        return True

    def set_name(self, place: int) -> str:
        """How an inbound set is called in messages."""
        named = self.default_sources()
        return f"“{named[place]}”" if place < len(named) else f"inbound set {place + 1}"

    def check_sets(self, phrases: Phrases, inputs: tuple[Shape, ...]) -> bool:
        """Refuses less than two populations, and those that `from` does not name: their order has a meaning. Whether
        the others can be looked at."""
        named = self.default_sources()
        if len(named) < 2 or len(set(named)) < len(named):
            phrases.refuse(
                ("from",), f"{self.type} takes at least two different populations: name them, like from: [main, other]"
            )
            return False
        if inputs and len(inputs) < len(named):
            phrases.refuse(
                ("from",), f"it names {len(named)} activities, but only {len(inputs)} of them put out a population"
            )
            return False
        if len(inputs) > len(named):
            phrases.refuse(
                ("from",),
                f"it names {len(named)} activities, but {len(inputs)} lead here: name them all, the main set first",
            )
            return False
        return True

    def read_match(
        self, phrases: Phrases, inputs: tuple[Shape, ...], places: Sequence[int] | None = None
    ) -> Match | None:
        """By what rows are compared, or None after noting why that cannot be told. `places` are those of the inputs
        among all sets, when they are not all."""
        names = [self.set_name(place) for place in places or range(len(inputs))]
        reader = _Reader(phrases=phrases, sets=tuple(unnumbered(one) for one in inputs), names=tuple(names))
        if self.reconcile == KEYS:
            return reader.keys()
        if self.reconcile == SHARED:
            return reader.shared()
        return reader.listed(self.reconcile)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Reads by what the rows of some sets are compared; `names` is how they are called in messages."""

    phrases: Phrases
    sets: tuple[Shape, ...]
    names: tuple[str, ...]

    def listed(self, texts: Sequence[str]) -> Match | None:
        """By expressions, each over every set."""
        if not self.sets:
            for number, text in enumerate(texts):
                self.phrases.value(("reconcile", number), text, UnknownScope(columns={}))
            return None
        return _match([self._expression(number, text) for number, text in enumerate(texts)])

    def _expression(self, number: int, text: str) -> tuple[Expression, ...] | None:
        place: Place = ("reconcile", number)
        values = [
            self.phrases.value(place, text, Scope.of(one.columns, name))
            for one, name in zip(self.sets, self.names, strict=True)
        ]
        found = [value for value in values if value is not None]
        return self._agreeing(place, text, found) if len(found) == len(values) else None

    def _agreeing(self, place: Place, text: str, values: Sequence[Expression]) -> tuple[Expression, ...] | None:
        agreeing = alike(values)
        if agreeing is None:
            types = ", ".join(f"{value.type.value} in {name}" for value, name in zip(values, self.names, strict=True))
            self.phrases.refuse(
                place, f"“{text}” is {types}: these never are the same. Convert one, like cast({text} as text)"
            )
        return agreeing

    def keys(self) -> Match | None:
        """By the key of the dimension that all sets have."""
        if not self.sets:
            return None
        way_out = "Write reconcile: shared, or a list of expressions like [lower(email)]"
        first = self.sets[0]
        for one, name in zip(self.sets, self.names, strict=True):
            if not one.key:
                self.phrases.refuse(("reconcile",), f"the rows of {name} have no known key. {way_out}")
                return None
            if _identity(one) != _identity(first):
                self.phrases.refuse(
                    ("reconcile",), f"{self.names[0]} has {_told(first)}, but {name} has {_told(one)}. {way_out}"
                )
                return None
        return _match([self._column(name) for name in first.key])

    def shared(self) -> Match | None:
        """By every column that all sets have."""
        if not self.sets:
            return None
        names = shared_names(self.sets)
        if not names:
            self.phrases.refuse(("reconcile",), "there is no column that all sets have: name expressions instead")
            return None
        match = _match([self._column(name) for name in names])
        return match and replace(match, nulls_equal=True)

    def _column(self, name: str) -> tuple[Expression, ...] | None:
        return self._agreeing(("reconcile",), name, [column_of(one, name) for one in self.sets])


def shared_names(sets: Sequence[Shape]) -> tuple[str, ...]:
    """The columns that all sets have, by their names in the first."""
    return tuple(
        column.name
        for column in sets[0].columns
        if all(find_column(other.columns, column.name) is not None for other in sets[1:])
    )


def unnumbered(shape: Shape) -> Shape:
    """The shape without the number that an activity gave to rows that nothing told apart: it says nothing about rows
    of another population."""
    if shape.key != (ROW.name,):
        return shape
    return replace(shape, columns=tuple(one for one in shape.columns if one.name != ROW.name), key=(), dimension="")


def alike(values: Sequence[Expression]) -> tuple[Expression, ...] | None:
    """The expressions made one type, the narrowest that all can become without loss, or None where there is none."""
    types = dict.fromkeys((*(value.type for value in values), *NUMBERS, *MOMENTS, ColumnType.TEXT))
    for kind in types:
        found = [as_type(value, kind) for value in values]
        if None not in found:
            return tuple(one for one in found if one is not None)
    return None


def column_of(shape: Shape, name: str) -> Expression:
    """The column of that name, which the shape has, as an expression."""
    column = find_column(shape.columns, name)
    assert column is not None, "the caller has looked for it"
    return parse_expression(quote_identifier(column.name), Scope.of(shape.columns))


def _match(by_position: Sequence[tuple[Expression, ...] | None]) -> Match | None:
    known = [one for one in by_position if one is not None]
    return Match(of=tuple(zip(*known, strict=True))) if len(known) == len(by_position) else None


def _identity(shape: Shape) -> tuple[object, ...]:
    """What its key identifies: rows of a table, records of a CRM's object, or what is called the same."""
    names = tuple(name.removeprefix("@").lower() for name in shape.key)
    origin = (shape.lineage.account, shape.lineage.org, shape.lineage.object) if shape.lineage is not None else ()
    return (names, shape.dimension, () if shape.dimension else origin)


def _told(shape: Shape) -> str:
    key = f"the key {', '.join(shape.key)}"
    if shape.dimension:
        return f"{key} of table {shape.dimension}"
    if shape.lineage is not None:
        return f"{key} of {shape.lineage.object} in {shape.lineage.account}"
    return f"{key} of no known table"


def columns_by_name(shapes: Sequence[Shape]) -> dict[str, tuple[Column | None, ...]]:
    """Every column of the sets, under its name in the first that has it: the column in each set, or None."""
    found: dict[str, tuple[Column | None, ...]] = {}
    seen: set[str] = set()
    for shape in shapes:
        for column in shape.columns:
            if column.name.removeprefix("@").lower() in seen:
                continue
            seen.add(column.name.removeprefix("@").lower())
            found[column.name] = tuple(find_column(other.columns, column.name) for other in shapes)
    return found

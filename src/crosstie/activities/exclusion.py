"""Exclusion: the rows of the main set that are in none of the other sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from crosstie.activities.sets import LeftOut, Match, Presence, SetOperation, alike, comparable, identified
from crosstie.db.expressions import Expression, Scope, UnknownScope
from crosstie.db.merge import Fragment
from crosstie.db.merge.phrases import Phrases, Place, Writer, unknown
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import ColumnType, Link, WorkTable
from crosstie.workflow.activity import OK, Context, Done, Problem, Shape, Site

COMPLEMENT = "complement"
_LINK = "link "


class Exclusion(SetOperation):
    """Removes from the main set, the first of `from`, the rows that any other set has."""

    summary: ClassVar[str] = "removes from the main set the rows that other sets have"
    extra_transitions: ClassVar[tuple[str, ...]] = (COMPLEMENT,)

    type: Literal["exclusion"]
    on: dict[str, str | dict[str, str]] = Field(
        default_factory=dict,
        description="for sets of another dimension, by their names in from: “link NAME”, or pairs expression over the"
        " main set: expression over that set, that must all be equal; the others are compared by reconcile",
    )
    complement: str | None = Field(
        None, description="adds the Complement transition, with the rows of the main set that were removed"
    )

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Sets without common key or columns, types that never are equal, links that nobody made."""
        phrases = Phrases()
        self._read(phrases, inputs)
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The main set's columns and dimension."""
        return {OK: inputs[0]} if self.complement is None else {OK: inputs[0], COMPLEMENT: inputs[0]}

    def run(self, context: Context) -> Done:
        """Finds the rows of the main set to leave out; where there are none it goes on as it is."""
        phrases = Phrases()
        matches = self._read(phrases, tuple(Shape.of(one) for one in context.inputs))
        if phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        writer = Writer(
            dialect=context.db.dialect,
            binding=context.binding(),
        )
        source = identified(context)
        out = LeftOut.find(context, source, _present(context, writer, matches))
        shape = Shape.of(context.input)
        tables: dict[str, WorkTable | None] = {OK: out.others(OK, shape) if out.rows else context.input}
        if self.complement is not None:
            tables[COMPLEMENT] = out.themselves(COMPLEMENT, shape)
        return Done(tables=tables, counts={"kept": source.rows - out.rows, "left out": out.rows})

    def _read(self, phrases: Phrases, inputs: tuple[Shape, ...]) -> dict[int, Match]:
        """For each other set, by its place, how its rows are found in the main set: both have a side in the match."""
        if not self.check_sets(phrases, inputs):
            return {}
        named = self.default_sources()
        for name in self.on:
            if name not in named[1:]:
                phrases.refuse(("on", name), unknown("excluded set", name, named[1:]))
        if not inputs:
            self._read_blindly(phrases)
            return {}
        matches: dict[int, Match] = {}
        places = {name: place for place, name in enumerate(named[: len(inputs)]) if place and name in self.on}
        for name, place in places.items():
            joined = self._joined(phrases, ("on", name), self.on[name], inputs[0], inputs[place], place)
            if joined is not None:
                matches[place] = joined
        others = [place for place in range(1, len(inputs)) if place not in places.values()]
        if not others:
            return matches
        match = self.read_match(phrases, (inputs[0], *(inputs[place] for place in others)), (0, *others))
        if match is not None:
            for number, place in enumerate(others, 1):
                matches[place] = replace(match, of=(match.of[0], match.of[number]))
        return matches

    def _read_blindly(self, phrases: Phrases) -> None:
        self.read_match(phrases, ())
        anything = UnknownScope(columns={})
        for name, way in self.on.items():
            for left, right in way.items() if isinstance(way, dict) else ():
                phrases.value(("on", name, left), left, anything)
                phrases.value(("on", name, left), right, anything)

    def _joined(
        self, phrases: Phrases, place: Place, way: str | dict[str, str], main: Shape, other: Shape, at: int
    ) -> Match | None:
        if isinstance(way, str):
            return self._linked(phrases, place, way, main, other, at)
        if not way:
            phrases.refuse(place, "write at least one pair, like {company_id: id}")
        pairs = [self._pair(phrases, (*place, left), left, right, main, other, at) for left, right in way.items()]
        found = [pair for pair in pairs if pair is not None]
        return Match(of=tuple(zip(*found, strict=True))) if found and len(found) == len(pairs) else None

    def _pair(
        self, phrases: Phrases, place: Place, left: str, right: str, main: Shape, other: Shape, at: int
    ) -> tuple[Expression, ...] | None:
        one = phrases.value(place, left, Scope.of(main.columns, self.set_name(0)))
        two = phrases.value(place, right, Scope.of(other.columns, self.set_name(at)))
        if one is None or two is None:
            return None
        agreeing = alike((one, two))
        if agreeing is None:
            phrases.refuse(
                place,
                f"“{left}” is {one.type.value} and “{right}” of {self.set_name(at)} is {two.type.value}: they are never"
                f" equal. Convert one, like cast({left} as text)",
            )
        return agreeing

    def _linked(self, phrases: Phrases, place: Place, way: str, main: Shape, other: Shape, at: int) -> Match | None:
        """A link of the main set leads to the rows of the other, or one of the other to the rows of the main set."""
        name = way.removeprefix(_LINK).strip()
        if not way.startswith(_LINK):
            phrases.refuse(place, f"“{way}”: write “link NAME”, or pairs like {{company_id: id}}")
            return None
        for one, linked in ((main, other), (other, main)):
            link = next((link for link in one.links if link.name == name), None)
            if link is not None and _leads_to(link, linked):
                left, right = (link.column, link.key) if one is main else (link.key, link.column)
                pair = self._pair(phrases, place, quote_identifier(left), quote_identifier(right), main, other, at)
                return None if pair is None else Match(of=((pair[0],), (pair[1],)))
        known = [link.name for link in main.links if _leads_to(link, other)]
        known += [link.name for link in other.links if _leads_to(link, main)]
        phrases.refuse(place, f"between {self.set_name(0)} and {self.set_name(at)} " + unknown("link", name, known))
        return None


def _leads_to(link: Link, shape: Shape) -> bool:
    """Whether the link holds the key of the population's rows."""
    key = tuple(name.lower() for name in shape.key)
    return shape.dimension == link.table and key == (link.key.lower(),)


def _present(context: Context, writer: Writer, matches: Mapping[int, Match]) -> Fragment:
    """The condition that a row of the main set, alias s, is in one of the others."""
    conditions = []
    for place, match in sorted(matches.items()):
        present = Presence(context, f"set{place}")
        present.add(context.inputs[place], comparable(writer, match.of[1], nulls_equal=match.nulls_equal))
        conditions.append(present.exists(comparable(writer, match.of[0], nulls_equal=match.nulls_equal)))
    return Fragment(
        sql=" or ".join(one.sql for one in conditions),
        type=ColumnType.BOOLEAN,
        params={name: value for one in conditions for name, value in one.params.items()},
    )

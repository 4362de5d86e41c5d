"""Union: one population of several, in which rows that count as the same occur once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import Field

from crosstie.activities.sets import Match, Presence, SetOperation, alike, comparable, unnumbered
from crosstie.activities.sets.reading import KEYS, SHARED, column_of, columns_by_name, shared_names
from crosstie.activities.sets.rows import statements
from crosstie.db.expressions import Expression
from crosstie.db.merge import Fragment
from crosstie.db.merge.phrases import Phrases, Writer
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import Column, Lineage, Link, WorkTable, find_column
from crosstie.workflow.activity import OK, Context, Done, Problem, Shape, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class _Out:
    """A column that goes out: where it comes from in each set, None where a set lacks it."""

    column: Column
    of: tuple[Expression | None, ...]
    is_whole: bool
    """Whether every set has it, with values that are not converted."""


class Union(SetOperation):
    """Concatenates populations; of rows that count as the same, those of the first set in the order of `from` go on."""

    summary: ClassVar[str] = "makes one population of several; what is in more than one of them occurs once"

    type: Literal["union"]
    columns: Literal["all", "shared"] = Field(
        "all", description="all: every column of any set, empty where a set lacks it; shared: those that all sets have"
    )
    limit: int | None = Field(
        None, ge=1, description="the most rows that go on: filled from the first set, then the next"
    )

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Sets without common key or columns, types that do not go together, less than two sets."""
        phrases = Phrases()
        self._read(phrases, inputs)
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The columns of all sets, or those that all have; key, dimension, lineage and links where they stay right."""
        return {OK: self._shape(*self._understood(inputs, self.type), inputs)}

    def run(self, context: Context) -> Done:
        """Copies set after set, leaving out what an earlier one had."""
        inputs = tuple(Shape.of(one) for one in context.inputs)
        match, outs = self._understood(inputs, context.activity)
        shape = self._shape(match, outs, inputs)
        writer = Writer(
            dialect=context.db.dialect,
            binding=context.binding(),
        )
        name = context.private_name()
        context.db.create_work(name, shape.columns)
        seen = Presence(context, "seen")
        rows = 0
        for place, source in enumerate(context.inputs):
            room = None if self.limit is None else self.limit - rows
            if room == 0:
                break
            parts = comparable(writer, match.of[place], nulls_equal=match.nulls_equal)
            new = seen.exists(parts) if place else None
            rows += _copy(context, writer, name, outs, place, source, new, room)
            if place + 1 < len(context.inputs):
                seen.add(source, parts)
        context.db.prepare(name, shape.key, unique=bool(shape.key))
        given = sum(one.rows for one in context.inputs)
        return Done(tables={OK: shape.work_table(name, rows)}, counts={"rows": rows, "left out": given - rows})

    def _understood(self, inputs: tuple[Shape, ...], name: str) -> tuple[Match, tuple[_Out, ...]]:
        phrases = Phrases()
        match, outs = self._read(phrases, inputs)
        if phrases.mistakes or match is None:
            raise MappingError(f"{name}: " + "; ".join(message for _, message in phrases.mistakes))
        return match, outs

    def _read(self, phrases: Phrases, inputs: tuple[Shape, ...]) -> tuple[Match | None, tuple[_Out, ...]]:
        if not self.check_sets(phrases, inputs):
            return None, ()
        match = self.read_match(phrases, inputs)
        sets = tuple(unnumbered(one) for one in inputs)
        if not sets:
            return match, ()
        shared = {name.lower() for name in shared_names(sets)}
        outs = []
        for name, columns in columns_by_name(sets).items():
            if self.columns == "shared" and name.lower() not in shared:
                continue
            out = self._out(phrases, name, columns, sets)
            if out is not None:
                outs.append(out)
        if self.columns == "shared" and not shared:
            phrases.refuse(("columns",), "there is no column that all inbound sets have: nothing would be left")
        return match, tuple(outs)

    def _out(
        self, phrases: Phrases, name: str, columns: Sequence[Column | None], sets: tuple[Shape, ...]
    ) -> _Out | None:
        known = [column for column in columns if column is not None]
        values = alike(
            [column_of(one, column.name) for column, one in zip(columns, sets, strict=True) if column is not None]
        )
        if values is None:
            types = ", ".join(
                f"{column.type.value} in {self.set_name(place)}"
                for place, column in enumerate(columns)
                if column is not None
            )
            # What is shared, and compared as such, has been told.
            if self.reconcile == SHARED and len(known) == len(columns):
                return None
            phrases.refuse(
                (), f"column {name} is {types}: no type holds both. Convert one before, in an edit_schema activity"
            )
            return None
        lengths = [column.length for column in known]
        column = replace(
            known[0],
            name=name,
            type=values[0].type,
            length=max(lengths) if all(lengths) else 0,
            scale=max(value.root.scale for value in values),
            nullable=True,
        )
        left = iter(values)
        return _Out(
            column=column,
            of=tuple(None if one is None else next(left) for one in columns),
            is_whole=all(one is not None and one.type is column.type for one in columns),
        )

    def _shape(self, match: Match, outs: Sequence[_Out], inputs: tuple[Shape, ...]) -> Shape:
        sets = tuple(unnumbered(one) for one in inputs)
        whole = {out.column.name.lower(): out.column.name for out in outs if out.is_whole}
        key = self._key(match, sets, {out.column.name.lower(): out.column.name for out in outs})
        same = len({one.dimension for one in sets}) == 1
        return Shape(
            columns=tuple(out.column for out in outs),
            lineage=_lineage(sets, whole),
            links=tuple(link for link in sets[0].links if _is_everywhere(link, sets, whole)),
            key=key,
            dimension=sets[0].dimension if key and same else "",
        )

    def _key(self, match: Match, sets: Sequence[Shape], names: Mapping[str, str]) -> tuple[str, ...]:
        """The key that all sets have, when rows that are equal in it occur once: they are the same by what is
        compared."""
        keys = {tuple(name.lower() for name in one.key) for one in sets}
        (key,) = keys if len(keys) == 1 else ((),)
        compared = {value.is_column.lower() for value in match.of[0]}
        if not key or not all(name in names for name in key):
            return ()
        right = self.reconcile == KEYS or (not match.nulls_equal and compared <= set(key))
        return tuple(names[name] for name in key) if right else ()


def _lineage(sets: Sequence[Shape], whole: Mapping[str, str]) -> Lineage | None:
    """The lineage that all sets have; of its fields those that every set carries unchanged."""
    known = [one.lineage for one in sets]
    first = known[0]
    if first is None or any(
        one is None or (one.account, one.org, one.object) != (first.account, first.org, first.object) for one in known
    ):
        return None
    lineages = [one for one in known if one is not None]
    common = _named(lineages[0].fields)
    for one in lineages[1:]:
        common &= _named(one.fields)
    ids, stamps = {one.remote_id.lower() for one in lineages}, {one.stamp.lower() for one in lineages}
    if len(ids) > 1 or first.remote_id.lower() not in whole:
        return None
    return replace(
        first,
        remote_id=whole[first.remote_id.lower()],
        stamp=whole.get(first.stamp.lower(), "") if len(stamps) == 1 else "",
        fields=tuple(
            (whole[column.lower()], field)
            for column, field in first.fields
            if (column.lower(), field) in common and column.lower() in whole
        ),
    )


def _named(fields: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    return {(column.lower(), field) for column, field in fields}


def _is_everywhere(link: Link, sets: Sequence[Shape], whole: Mapping[str, str]) -> bool:
    def plain(one: Link) -> tuple[str, ...]:
        return (one.name, one.table, one.column.lower(), one.key)

    return link.column.lower() in whole and all(plain(link) in {plain(one) for one in other.links} for other in sets)


def _copy(
    context: Context,
    writer: Writer,
    name: str,
    outs: Sequence[_Out],
    place: int,
    source: WorkTable,
    seen: Fragment | None,
    room: int | None,
) -> int:
    """Copies the rows of a set that were not seen before, at most `room` of them: the first by key, or by values."""
    given = [(out.column.name, out.of[place]) for out in outs]
    values = [(column, writer.fragment(one, {"": "s"})) for column, one in given if one is not None]
    params = {key: value for _, fragment in values for key, value in fragment.params.items()}
    sql = f"select {', '.join(fragment.sql for _, fragment in values)} from crosstie.{source.name} s"
    if seen is not None:
        sql += f" where not {seen.sql}"
        params.update(seen.params)
    if room is not None:
        columns = source.key or tuple(column.name for column in source.columns)
        order = [f"s.{quote_identifier(one)} nulls first" for one in columns if find_column(source.columns, one)]
        sql += f" order by {', '.join(order)} limit {room}"
    listed = ", ".join(quote_identifier(column) for column, _ in values)
    with statements(
        context, f"copies {context.sources[place] if place < len(context.sources) else source.name}"
    ) as transaction:
        return transaction.execute(f"insert into crosstie.{name} ({listed}) {sql}", params)

"""Reads the definition of an update against the inbound columns and the table; keeps every mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crosstie.activities.update_data.exchanging import ReadExchange, read_exchanges
from crosstie.db.expressions import Expression, Scope, UnknownScope
from crosstie.db.merge.phrases import Phrases, Place, ReadPair, as_type, unknown
from crosstie.db.merge.plan import Occasion
from crosstie.model import Column, ColumnType, Link, Table, find_column
from crosstie.sync.conflicts import OnConflict
from crosstie.workflow.activity import Shape

if TYPE_CHECKING:
    from crosstie.activities.update_data import Line, UpdateData

_LINK = "link "
_DIMENSION = "dimension"
_MOMENTS = {
    ColumnType.INSTANT: "now()",
    ColumnType.WALL_CLOCK: "cast(now() as wall_clock)",
    ColumnType.DATE: "today()",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLine:
    """A line of “set”, understood: the value has the column's type."""

    column: str
    value: Expression
    when: Expression | None
    on: Occasion
    keep_empty: bool
    on_conflict: OnConflict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadStamp:
    """A column that says when or by whom a row was made or changed: the moment, or None for the author's name."""

    column: Column
    moment: Expression | None
    on: Occasion


@dataclass(slots=True, kw_only=True)
class ReadUpdate:
    """A definition, understood. Where `mistakes` is not empty the rest is incomplete."""

    mistakes: list[tuple[Place, str]]
    lines: list[ReadLine] = field(default_factory=list)
    stamps: list[ReadStamp] = field(default_factory=list)
    exchanges: tuple[ReadExchange, ...] = ()
    link: Link | None = None
    dimension: tuple[str, ...] = ()
    pairs: list[ReadPair] = field(default_factory=list)

    @property
    def identifies(self) -> bool:
        """Whether an inbound row can find its row of the table."""
        return self.link is not None or bool(self.dimension or self.pairs)


def read_update(
    definition: UpdateData, inbound: Shape | None, table: Table | None, tables: Sequence[str]
) -> ReadUpdate:
    """Reads it all, whatever is wrong. Without `inbound` only what needs none is looked at."""
    phrases = Phrases()
    found = ReadUpdate(mistakes=phrases.mistakes)
    if table is None:
        phrases.refuse(("into",), unknown("table", definition.into, tables))
        return found
    scope = UnknownScope(columns={}) if inbound is None else Scope.of(inbound.columns, "the inbound population")
    if definition.operation == "delete":
        pass
    elif definition.set == "same names":
        if inbound is not None:
            _read_same_names(phrases, found, definition, inbound, table, scope)
    else:
        for name, lines in definition.set.items():
            _read_column(phrases, found, definition, table, scope, name, lines)
    _read_stamps(phrases, found, definition, table)
    _read_identification(phrases, found, definition, inbound, table, scope)
    _check_ties(phrases, definition, inbound, table)
    if inbound is not None:
        found.exchanges = read_exchanges(phrases, definition, found.lines, inbound, table)
    for number, line in enumerate(definition.order):
        phrases.value(("order", number, line.word), line.text, scope)
    if definition.order and not definition.ignore_same_target:
        phrases.refuse(("order",), "an order is only used with “ignore_same_target: true”")
    return found


def _read_column(
    phrases: Phrases,
    found: ReadUpdate,
    definition: UpdateData,
    table: Table,
    scope: Scope,
    name: str,
    lines: Sequence[Line],
) -> None:
    column = table.column(name)
    if column is None:
        names = [one.name for one in table.columns]
        phrases.refuse(("set", name), f"table {table.name}: {unknown('column', name, names)}")
        return
    for number, line in enumerate(lines):
        place: Place = ("set", name, number, "from") if len(lines) > 1 else ("set", name)
        value = phrases.value_for(place, line.from_, scope, column, table.name)
        condition = None
        if line.when is not None:
            condition = phrases.condition(
                (*place[:-1], "when") if len(lines) > 1 else ("set", name, "when"), line.when, scope
            )
        if value is not None:
            found.lines.append(
                ReadLine(
                    column=column.name,
                    value=value,
                    when=condition,
                    on=line.on,
                    keep_empty=(line.empty or definition.empty) == "keep",
                    on_conflict=line.on_conflict,
                )
            )


def _read_same_names(
    phrases: Phrases, found: ReadUpdate, definition: UpdateData, inbound: Shape, table: Table, scope: Scope
) -> None:
    for column in table.columns:
        source = find_column(inbound.columns, column.name)
        if source is None:
            continue
        value = as_type(_just(source, scope), column.type)
        if value is None:
            if source.name == column.name:
                phrases.refuse(
                    ("set",) if "set" in definition.model_fields_set else (),
                    f"{column.name} is {source.type.value} inbound and {column.type.value} in table {table.name}."
                    " List the columns under “set” and convert this one.",
                )
            continue
        found.lines.append(
            ReadLine(column=column.name, value=value, when=None, on="both", keep_empty=definition.empty == "keep")
        )
    if not found.lines and not phrases.mistakes:
        phrases.refuse(
            ("into",),
            f"no inbound column has the name of a column of table {table.name}."
            f" It has {', '.join(one.name for one in table.columns)}. Say under “set” what goes where.",
        )


def _just(column: Column, scope: Scope) -> Expression:
    """The expression that is nothing but that column, whatever characters its name has."""
    return Expression(text=column.name, root=scope.resolve(None, column.name))


def _read_stamps(phrases: Phrases, found: ReadUpdate, definition: UpdateData, table: Table) -> None:
    mapped = {line.column for line in found.lines}
    for kind, name in definition.stamps.named():
        place: Place = ("stamps", kind)
        column = table.column(name)
        by = kind.endswith("_by")
        if column is None:
            names = [one.name for one in table.columns]
            phrases.refuse(place, f"table {table.name}: {unknown('column', name, names)}")
        elif by and column.type is not ColumnType.TEXT:
            phrases.refuse(place, f"{column.name} is {column.type.value}: a name needs a text column")
        elif not by and column.type not in _MOMENTS:
            phrases.refuse(
                place, f"{column.name} is {column.type.value}: a moment needs an instant, wall clock or date"
            )
        elif column.name not in mapped:
            mapped.add(column.name)
            moment = None if by else phrases.value(place, _MOMENTS[column.type], Scope.of(()))
            on: Occasion = "insert" if kind.startswith("created") else "both"
            found.stamps.append(ReadStamp(column=column, moment=moment, on=on))


def _check_ties(phrases: Phrases, definition: UpdateData, inbound: Shape | None, table: Table) -> None:
    """What stands in the way of ties that are asked for."""
    if not definition.ties or inbound is None:
        return
    if inbound.lineage is None:
        phrases.refuse(("ties",), "the inbound rows come from no CRM: there is nothing to tie them to")
    elif len(table.key) != 1:
        what = "no primary key" if not table.key else "a primary key of several columns"
        phrases.refuse(("ties",), f"table {table.name} has {what}: a tie needs one column that tells its rows apart")


def _read_identification(
    phrases: Phrases, found: ReadUpdate, definition: UpdateData, inbound: Shape | None, table: Table, scope: Scope
) -> None:
    identify = definition.identify
    if identify is None:
        if definition.operation != "insert":
            phrases.refuse(
                (),
                "“identify” is missing: how does an inbound row find its row of the table?"
                " Write “link NAME”, “dimension”, or pairs like {Email: email}",
            )
        return
    if definition.operation != "insert" and not table.key:
        phrases.refuse(("into",), f"table {table.name} has no primary key, so that its rows can't be told apart")
        return
    if isinstance(identify, dict):
        if not identify:
            phrases.refuse(("identify",), "write at least one pair, like {Email: email}")
        for left, right in identify.items():
            pair = phrases.pair(("identify", left), left, right, scope, table)
            if pair is not None:
                found.pairs.append(pair)
    elif not identify.startswith(_LINK) and identify != _DIMENSION:
        phrases.refuse(("identify",), f"“{identify}”: write “link NAME”, “dimension”, or pairs like {{Email: email}}")
    elif inbound is None:
        return
    elif identify.startswith(_LINK):
        _read_link(phrases, found, identify.removeprefix(_LINK).strip(), inbound, table)
    else:
        _read_dimension(phrases, found, inbound, table)


def _read_link(phrases: Phrases, found: ReadUpdate, name: str, inbound: Shape, table: Table) -> None:
    link = next((one for one in inbound.links if one.name == name), None)
    if link is None:
        names = [one.name for one in inbound.links]
        message = unknown("link", name, names)
        phrases.refuse(("identify",), message if names else f"{message} An enrichment upstream makes links.")
    elif link.table != table.name:
        phrases.refuse(("identify",), f"link {name} leads to table {link.table}, not to {table.name}")
    elif table.key != (link.key,):
        phrases.refuse(
            ("identify",),
            f"link {name} holds {link.key} of table {table.name}, whose rows are told apart by {', '.join(table.key)}",
        )
    else:
        found.link = link


def _read_dimension(phrases: Phrases, found: ReadUpdate, inbound: Shape, table: Table) -> None:
    if inbound.dimension != table.name:
        told = f"rows of {inbound.dimension}" if inbound.dimension else "no table's rows"
        phrases.refuse(("identify",), f"the inbound population identifies {told}, not those of {table.name}")
    elif any(find_column(inbound.columns, one) is None for one in table.key):
        phrases.refuse(("identify",), f"the inbound population lacks the key of {table.name}: {', '.join(table.key)}")
    else:
        found.dimension = table.key

"""Which lines of “set” exchange a remote field with a column, and what is done where both sides have changed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crosstie.db.merge.phrases import Phrases, Place
from crosstie.model import Column, ColumnType, Lineage, Table, find_column
from crosstie.sync.conflicts import OnConflict
from crosstie.workflow.activity import Shape

if TYPE_CHECKING:
    from crosstie.activities.update_data import UpdateData
    from crosstie.activities.update_data.reading import ReadLine

_NEWEST = "“newest” compares the moments of both changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadExchange:
    """A column that takes a remote field unchanged, from the inbound column `source`. Its own value is compared with
    what was agreed before it is overwritten, where known rows take part (`compared`)."""

    column: str
    field: str
    source: Column
    compared: bool
    on_conflict: OnConflict


def read_exchanges(
    phrases: Phrases, definition: UpdateData, lines: Sequence[ReadLine], inbound: Shape, table: Table
) -> tuple[ReadExchange, ...]:
    """The exchanges of a definition; refuses what is said of conflicts where there can be none."""
    lineage = inbound.lineage
    found: dict[str, ReadExchange] = {}
    if lineage is not None and len(table.key) == 1:
        found = {one.column: one for one in _exchanges(definition, lines, inbound, lineage)}
    why_none = _why_none(definition, lines, inbound, table)
    for place, name, policy in _asked(definition):
        column = table.column(name) if name else None
        own = [one for one in lines if column is not None and one.column == column.name]
        if why_none:
            phrases.refuse(place, f"there is no conflict to decide: {why_none}")
        elif name and not any(one.column in found and found[one.column].compared for one in own):
            if own:  # else what is wrong with its expression is told already
                why = _why_not(own, found, inbound, lineage)
                phrases.refuse(place, f"{own[0].column} has no agreed value that would show a conflict: {why}")
        elif not name and not any(one.compared for one in found.values()):
            if not phrases.mistakes:
                phrases.refuse(place, "there is no conflict to decide: no line of “set” takes a remote field as it is")
        elif policy == "newest":
            _check_newest(phrases, place, definition, inbound, table)
    return tuple(found.values())


def _asked(definition: UpdateData) -> Iterator[tuple[Place, str, OnConflict]]:
    """What is said of conflicts, with its place and column ('' for all)."""
    if "on_conflict" in definition.model_fields_set:
        yield ("on_conflict",), "", definition.on_conflict
    if isinstance(definition.set, str):
        return
    for name, lines in definition.set.items():
        for number, line in enumerate(lines):
            if line.on_conflict is not None:
                place: Place = ("set", name, number) if len(lines) > 1 else ("set", name)
                yield (*place, "on_conflict"), name, line.on_conflict


def _exchanges(
    definition: UpdateData, lines: Sequence[ReadLine], inbound: Shape, lineage: Lineage
) -> Iterator[ReadExchange]:
    """Each remote field once: a column that only new rows take it into comes after all others."""
    fields = dict(lineage.fields)
    seen: set[str] = set()
    for line in sorted(lines, key=lambda one: one.on == "insert"):
        source = find_column(inbound.columns, line.value.is_column) if line.value.is_column else None
        if source is None or source.name in (lineage.remote_id, lineage.stamp) or source.name not in fields:
            continue
        if fields[source.name] in seen or sum(one.column == line.column for one in lines) > 1:
            continue
        seen.add(fields[source.name])
        yield ReadExchange(
            column=line.column,
            field=fields[source.name],
            source=source,
            compared=line.on != "insert" and definition.operation != "insert",
            on_conflict=line.on_conflict or definition.on_conflict,
        )


def _why_none(definition: UpdateData, lines: Sequence[ReadLine], inbound: Shape, table: Table) -> str:
    """Why nothing is known of what both sides agreed on; '' where it is."""
    if definition.operation == "insert":
        return "“insert” changes no row that is there"
    if inbound.lineage is None:
        return "the inbound rows come from no CRM"
    if len(table.key) != 1:
        return f"no ties are kept, because table {table.name} has no primary key of one column"
    written = {one.column for one in lines}
    return "" if definition.keeps_ties(key_written=table.key[0] in written) else "no ties are kept (“ties: false”)"


def _why_not(
    lines: Sequence[ReadLine], found: Mapping[str, ReadExchange], inbound: Shape, lineage: Lineage | None
) -> str:
    """Why the value of a column with these lines is always the CRM's."""
    if len(lines) != 1:
        return "it has several lines"
    (line,) = lines
    always = "What it gives is always written. Leave “on_conflict” out"
    source = find_column(inbound.columns, line.value.is_column) if line.value.is_column else None
    if source is None:
        return f"“{line.value.text}” is no remote field as it is. {always}"
    if line.on == "insert":
        return "only new rows take it"
    if lineage is None or source.name in (lineage.remote_id, lineage.stamp):
        return f"{source.name} tells the record and its version, which only the CRM says. {always}"
    field = dict(lineage.fields).get(source.name)
    if field is None:
        return f"{source.name} is no remote field as it was read. {always}"
    other = next((one.column for one in found.values() if one.field == field), "")
    return f"{field} is exchanged with {other} already. {always}"


def _check_newest(phrases: Phrases, place: Place, definition: UpdateData, inbound: Shape, table: Table) -> None:
    """“newest” needs the moment of a change on both sides."""
    name = definition.stamps.updated_at
    if name is None:
        words = [one.name for one in table.columns if one.type is ColumnType.INSTANT]
        guess = f" Table {table.name} has {', '.join(words)}." if words else ""
        phrases.refuse(
            place,
            f"{_NEWEST}: name the column that holds the row's, like stamps: {{updated_at: changed_at}}.{guess}",
        )
        return
    column = table.column(name)
    if column is not None and column.type is not ColumnType.INSTANT:
        phrases.refuse(place, f"{_NEWEST}: {column.name} is {column.type.value}, and it takes an instant")
    lineage = inbound.lineage
    stamp = find_column(inbound.columns, lineage.stamp) if lineage is not None and lineage.stamp else None
    if stamp is None or stamp.type is not ColumnType.INSTANT:
        phrases.refuse(
            place,
            f"{_NEWEST}: the inbound rows bear no stamp of their record's. Give the import an “index”, like"
            " index: {field: SystemModstamp}",
        )

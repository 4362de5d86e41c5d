"""Reads the definition of a deduplication against the inbound columns; keeps every mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crosstie.db.expressions import Expression, Scope, UnknownScope
from crosstie.db.merge.matching import ambiguous_column
from crosstie.db.merge.phrases import Phrases, Place, as_type, unknown
from crosstie.model import Column, find_column
from crosstie.workflow.activity import Shape

if TYPE_CHECKING:
    from crosstie.activities.deduplication import Deduplication, FieldGroup, Keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule that says which row is better, understood."""

    word: str
    value: Expression
    listed: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadGroup:
    """A group of fields that one row supplies together, understood."""

    fields: tuple[Column, ...]
    when: Expression | None
    rules: tuple[Rule, ...]
    filled: bool


@dataclass(slots=True, kw_only=True)
class ReadDeduplication:
    """A definition, understood. Where there are mistakes it is incomplete."""

    criteria: list[Expression] = field(default_factory=list)
    rules: tuple[Rule, ...] = ()
    merged: list[ReadGroup] = field(default_factory=list)

    def shape(self, inbound: Shape) -> Shape:
        """What goes out: a field that another row may supply is not the remote record's own any more."""
        names = {column.name for group in self.merged for column in group.fields}
        if inbound.lineage is None or not names:
            return inbound
        own = tuple(one for one in inbound.lineage.fields if one[0] not in names)
        return replace(inbound, lineage=replace(inbound.lineage, fields=own))


def read_deduplication(definition: Deduplication, phrases: Phrases, inbound: Shape | None) -> ReadDeduplication:
    """Reads it all, whatever is wrong; the mistakes are left with `phrases`. Without `inbound` only what needs none is
    looked at."""
    scope = UnknownScope(columns={}) if inbound is None else Scope.of(inbound.columns, "the inbound population")
    criteria = [phrases.value(("by", number), text, scope) for number, text in enumerate(definition.by)]
    read = ReadDeduplication(
        criteria=[one for one in criteria if one is not None],
        rules=_rules(phrases, (), definition.keep, scope),
    )
    if definition.merge and definition.count != 1:
        phrases.refuse(("count",), "merging builds one row of each group: leave “count” out")
    taken: set[str] = set()
    for number, group in enumerate(definition.merge):
        _read_group(phrases, read, ("merge", number), group, inbound, scope, taken)
    return read


def _rules(phrases: Phrases, within: Place, keep: Sequence[Keep], scope: Scope) -> tuple[Rule, ...]:
    rules = []
    for number, rule in enumerate(keep):
        place: Place = (*within, "keep", rule.word) if len(keep) == 1 else (*within, "keep", number, rule.word)
        value = phrases.value(place, rule.text, scope)
        if value is None:
            continue
        listed = [_listed(phrases, place, one, value) for one in rule.list_.values] if rule.list_ else []
        rules.append(Rule(word=rule.word, value=value, listed=tuple(one for one in listed if one is not None)))
    return tuple(rules)


def _listed(phrases: Phrases, place: Place, value: str | int | float | bool, of: Expression) -> Expression | None:
    text = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value).lower()
    parsed = phrases.value((*place, "values"), text, Scope.of(()))
    typed = None if parsed is None else as_type(parsed, of.type)
    if parsed is not None and typed is None:
        phrases.refuse((*place, "values"), f"{value!r} is {parsed.type.value}, but “{of.text}” is {of.type.value}")
    return typed


def _read_group(
    phrases: Phrases,
    read: ReadDeduplication,
    place: Place,
    group: FieldGroup,
    inbound: Shape | None,
    scope: Scope,
    taken: set[str],
) -> None:
    condition = None if group.when is None else phrases.condition((*place, "when"), group.when, scope)
    rules = _rules(phrases, place, group.keep, scope)
    if inbound is None:
        return
    found: list[Column] = []
    for number, name in enumerate(group.fields):
        column = _field(phrases, (*place, "fields", number), name, inbound, taken)
        if column is not None:
            found += [column, *_mark(inbound, column, taken)]
    read.merged.append(ReadGroup(fields=tuple(found), when=condition, rules=rules, filled=group.filled))


def _field(phrases: Phrases, place: Place, name: str, inbound: Shape, taken: set[str]) -> Column | None:
    column = find_column(inbound.columns, name)
    if column is None:
        phrases.refuse(place, f"inbound {unknown('column', name, [one.name for one in inbound.columns])}")
        return None
    lineage = inbound.lineage
    if column.name in inbound.key or (lineage and column.name in (lineage.remote_id, lineage.stamp)):
        phrases.refuse(
            place,
            f"{column.name} tells the rows apart and says which record they are: it stays that of the row kept."
            " “keep” says which one that is.",
        )
        return None
    if column.name in taken:
        phrases.refuse(place, f"{column.name} is merged twice: a field belongs to one group")
        return None
    taken.add(column.name)
    return column


def _mark(inbound: Shape, column: Column, taken: set[str]) -> list[Column]:
    """The column that says of a link that its key is ambiguous goes with the key."""
    names = [ambiguous_column(link.name) for link in inbound.links if link.column == column.name]
    found = [mark for name in names if name not in taken and (mark := find_column(inbound.columns, name)) is not None]
    taken |= {mark.name for mark in found}
    return found

"""How the description of a remote object changed: what is new, gone, renamed or of another type, and what of it breaks
something."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from crosstie.model import RemoteField, RemoteObject


class ChangeKind(StrEnum):
    """What became of a field. The words are those that `--accept` takes."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    RETYPED = "retyped"
    LENGTH = "length"
    VALUES = "values"
    LABEL = "label"


BREAKING = frozenset({ChangeKind.REMOVED, ChangeKind.RENAMED, ChangeKind.RETYPED})
"""Changes after which a workflow that names the field may not do what it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one field: `was` and `now` are its old and new name, type, length, values or label, for people.
    `field` is its name now; of one that is gone, its last one."""

    kind: ChangeKind
    field: str
    was: str = ""
    now: str = ""

    @property
    def breaking(self) -> bool:
        """Whether a workflow that names the field may not do what it did."""
        return self.kind in BREAKING

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which workflows may know the field."""
        return (self.was, self.field) if self.kind is ChangeKind.RENAMED else (self.field,)

    @property
    def text(self) -> str:
        """The change, for people."""
        match self.kind:
            case ChangeKind.ADDED:
                return f"{self.field} is new ({self.now})"
            case ChangeKind.REMOVED:
                return f"{self.field} is gone on the CRM, or hidden from this user"
            case ChangeKind.RENAMED:
                return f"{self.was} is called {self.field} now"
            case ChangeKind.RETYPED:
                return f"{self.field}: was {self.was}, is {self.now}"
            case ChangeKind.LENGTH:
                return f"{self.field}: length was {self.was}, is {self.now}"
            case ChangeKind.VALUES:
                return f"{self.field}: values {self.now}"
            case ChangeKind.LABEL:
                return f"{self.field}: was labelled “{self.was}”, is “{self.now}”"

    def accepted_by(self, accepted: Collection[str]) -> bool:
        """Whether one of the words accepts it: its kind, its field, or all."""
        words = {word.lower() for word in accepted}
        return bool(words & {"all", str(self.kind), *(name.lower() for name in self.names)})


def changes(before: RemoteObject, now: RemoteObject) -> tuple[Change, ...]:
    """Every change: what is renamed or gone, then in the order of the description.

    A field that is gone and a new one with its label, type and length are one that was renamed: CRMs keep the label
    when the name of a field is changed. Where several would fit, none is taken for another."""
    old = {field.name.lower(): field for field in before.fields}
    new = {field.name.lower(): field for field in now.fields}
    gone = [field for name, field in old.items() if name not in new]
    added = [field for name, field in new.items() if name not in old]
    renamed = dict(_renamed(gone, added))
    taken = {field.name for field in renamed.values()}
    found = [Change(kind=ChangeKind.RENAMED, field=renamed[one].name, was=one) for one in renamed]
    found += [Change(kind=ChangeKind.REMOVED, field=one.name) for one in gone if one.name not in renamed]
    for field in now.fields:
        known = old.get(field.name.lower())
        if known is not None:
            found += _of_field(known, field)
        elif field.name not in taken:
            found.append(Change(kind=ChangeKind.ADDED, field=field.name, now=field.wire_type))
    return tuple(found)


def _renamed(gone: list[RemoteField], added: list[RemoteField]) -> Iterator[tuple[str, RemoteField]]:
    for one in gone:
        fit = [other for other in added if _alike(one, other)]
        back = [other for other in gone if fit and _alike(other, fit[0])]
        if len(fit) == 1 and len(back) == 1:
            yield one.name, fit[0]


def _alike(one: RemoteField, other: RemoteField) -> bool:
    return (one.label.casefold(), one.type, one.wire_type, one.length, one.reference_to) == (
        other.label.casefold(),
        other.type,
        other.wire_type,
        other.length,
        other.reference_to,
    )


def _of_field(old: RemoteField, new: RemoteField) -> Iterator[Change]:
    if old.type is not new.type:
        yield Change(kind=ChangeKind.RETYPED, field=new.name, was=old.wire_type, now=new.wire_type)
    if old.length != new.length:
        yield Change(kind=ChangeKind.LENGTH, field=new.name, was=f"{old.length}", now=f"{new.length}")
    if old.values != new.values:
        yield Change(kind=ChangeKind.VALUES, field=new.name, now=_values_changed(old, new))
    if old.label != new.label:
        yield Change(kind=ChangeKind.LABEL, field=new.name, was=old.label, now=new.label)


def _values_changed(old: RemoteField, new: RemoteField) -> str:
    had = {value.name for value in old.values}
    has = {value.name for value in new.values}
    parts = [f"{word} {', '.join(sorted(names))}" for word, names in (("new", has - had), ("gone", had - has)) if names]
    return "; ".join(parts) or "relabelled"

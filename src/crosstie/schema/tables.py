"""The local table generated for a remote object, and how it follows the description without losing anything."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from crosstie.errors import ConfigError
from crosstie.model import Column, ColumnType, FieldType, RemoteField, RemoteObject, Table
from crosstie.schema.changes import Change, ChangeKind, changes
from crosstie.schema.conversions import local_column

# PostgreSQL cuts longer names without a word.
_LONGEST_NAME_BYTES = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What collecting an object again finds, and what it means for its local table: columns that are `added`,
    `renamed` (from, to), made `wider`, and those whose field has another type now, which are `set_aside` under another
    name (from, to) while `added` has the new one. A column whose field is gone stays as it is."""

    created: bool
    added: tuple[Column, ...] = ()
    changes: tuple[Change, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    set_aside: tuple[tuple[str, str], ...] = ()
    wider: tuple[Column, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether table and description agree already."""
        return not (self.created or self.added or self.changes or self.renamed or self.set_aside or self.wider)

    @property
    def removed(self) -> tuple[str, ...]:
        """The fields that are gone."""
        return tuple(one.field for one in self.changes if one.kind is ChangeKind.REMOVED)

    @property
    def changed(self) -> tuple[str, ...]:
        """What else became of fields that are still there, for people."""
        other = (ChangeKind.ADDED, ChangeKind.REMOVED)
        return tuple(one.text for one in self.changes if one.kind not in other)

    def refused(self, accepted: Collection[str]) -> tuple[Change, ...]:
        """The breaking changes that nobody has accepted."""
        return tuple(one for one in self.changes if one.breaking and not one.accepted_by(accepted))


def table_name(account: str, remote_object: str) -> str:
    """`<account>_<object>` in lower case; a name too long for a database ends with a digest of the whole."""
    name = re.sub(r"[^a-z0-9_]", "_", f"{account}_{remote_object}".lower())
    if len(name) <= _LONGEST_NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME_BYTES - 9]}_{digest}"


def local_table(account: str, remote_object: RemoteObject) -> Table:
    """One column per field that can be read as a value, named in lower case, keyed by the remote id."""
    key = remote_object.key.lower()
    columns = tuple(
        replace(column, nullable=column.name != key)
        for field in remote_object.fields
        if _has_column(field)
        for column in (local_column(field, "default", field.name.lower()),)
    )
    return Table(name=table_name(account, remote_object.name), columns=columns, key=(key,))


def _has_column(field: RemoteField) -> bool:
    """A compound is offered as its parts; files travel by another road than rows."""
    return field.type not in (FieldType.COMPOUND, FieldType.BINARY)


def difference(
    wanted: Table, existing: Table | None, *, before: RemoteObject | None = None, now: RemoteObject | None = None
) -> Difference:
    """What has to change for `existing` to hold `wanted`, and how the description went from `before` to `now`.

    People may add columns of their own to a generated table; these are no difference. Raises ConfigError when the
    table is another's."""
    found = changes(before, now) if before is not None and now is not None else ()
    if existing is None:
        return Difference(created=True, added=wanted.columns, changes=found)
    if existing.key != wanted.key:
        raise ConfigError(
            f"Table {wanted.name} exists already and its key is {', '.join(existing.key) or 'missing'}, not"
            f" {', '.join(wanted.key)}.",
            hint="It was not made by Crosstie: rename that table, or give the account another name.",
        )
    renamed = _renamed(found, wanted, existing)
    arrived = {name for _, name in renamed}
    set_aside = _set_aside(found, wanted, existing, before)
    left = {name for name, _ in set_aside}
    return Difference(
        created=False,
        added=tuple(
            one
            for one in wanted.columns
            if one.name in left or (existing.column(one.name) is None and one.name not in arrived)
        ),
        changes=found,
        renamed=renamed,
        set_aside=set_aside,
        wider=tuple(_wider(wanted, existing, dict(renamed), left)),
    )


def _renamed(found: Sequence[Change], wanted: Table, existing: Table) -> tuple[tuple[str, str], ...]:
    pairs = ((one.was.lower(), one.field.lower()) for one in found if one.kind is ChangeKind.RENAMED)
    return tuple(
        (old, new)
        for old, new in pairs
        if wanted.column(new) is not None and existing.column(old) is not None and existing.column(new) is None
    )


def _set_aside(
    found: Sequence[Change], wanted: Table, existing: Table, before: RemoteObject | None
) -> tuple[tuple[str, str], ...]:
    """The columns that cannot hold the new type, each with the name under which its values are kept."""
    pairs = []
    taken = {column.name.lower() for column in (*existing.columns, *wanted.columns)}
    for one in found:
        name = one.field.lower()
        column, old = wanted.column(name), before.field(one.field) if before is not None else None
        if one.kind is not ChangeKind.RETYPED or column is None or old is None or existing.column(name) is None:
            continue
        if name in wanted.key or (_has_column(old) and local_column(old, "default", name).type is column.type):
            continue
        kept = next(other for other in _names_aside(name) if other not in taken)
        taken.add(kept)
        pairs.append((name, kept))
    return tuple(pairs)


def _names_aside(name: str) -> Iterator[str]:
    for number in count(1):
        ending = "_was" if number == 1 else f"_was{number}"
        yield f"{name[: _LONGEST_NAME_BYTES - len(ending)]}{ending}"


def _wider(wanted: Table, existing: Table, renamed: Mapping[str, str], left: Collection[str]) -> Iterator[Column]:
    """The text columns that are too short for what the field can hold now."""
    for column in existing.columns:
        want = wanted.column(renamed.get(column.name, column.name))
        if want is None or want.name in left or not (column.length and want.type is column.type is ColumnType.TEXT):
            continue
        if want.length == 0 or want.length > column.length:
            yield want


def changed_table(existing: Table, found: Difference) -> Table:
    """The table as it is once the difference has been applied."""
    names = dict((*found.renamed, *found.set_aside))
    lengths = {column.name: column.length for column in found.wider}
    kept = (column.named(names.get(column.name, column.name)) for column in existing.columns)
    columns = (replace(one, length=lengths.get(one.name, one.length)) for one in kept)
    return replace(existing, columns=(*columns, *(replace(one, nullable=True) for one in found.added)))

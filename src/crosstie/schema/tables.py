"""The local table generated for a remote object, and how it follows the description without losing anything."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

from crosstie.errors import ConfigError
from crosstie.model import Column, FieldType, RemoteField, RemoteObject, Table
from crosstie.schema.conversions import local_column

# PostgreSQL cuts longer names without a word.
_LONGEST_NAME_BYTES = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What collecting an object again finds. Only `added` and `created` change the local table; a column whose field
    is gone, or would now be another type, stays as it is and is reported."""

    created: bool
    added: tuple[Column, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether table and description agree already."""
        return not (self.created or self.added or self.removed or self.changed)


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
    if existing is None:
        return Difference(created=True, added=wanted.columns)
    if existing.key != wanted.key:
        raise ConfigError(
            f"Table {wanted.name} exists already and its key is {', '.join(existing.key) or 'missing'}, not"
            f" {', '.join(wanted.key)}.",
            hint="It was not made by Crosstie: rename that table, or give the account another name.",
        )
    return Difference(
        created=False,
        added=tuple(column for column in wanted.columns if existing.column(column.name) is None),
        removed=_removed(before, now) if before and now else (),
        changed=_changed(before, now) if before and now else (),
    )


def _removed(before: RemoteObject, now: RemoteObject) -> tuple[str, ...]:
    return tuple(field.name for field in before.fields if now.field(field.name) is None)


def _changed(before: RemoteObject, now: RemoteObject) -> tuple[str, ...]:
    lines = []
    for field in now.fields:
        old = before.field(field.name)
        if old is None or old == field:
            continue
        if old.type is not field.type:
            lines.append(f"{field.name}: was {old.wire_type}, is {field.wire_type}")
        if old.length != field.length:
            lines.append(f"{field.name}: length was {old.length}, is {field.length}")
        if old.values != field.values:
            lines.append(f"{field.name}: {_values_changed(old, field)}")
    return tuple(lines)


def _values_changed(old: RemoteField, new: RemoteField) -> str:
    had = {value.name for value in old.values}
    has = {value.name for value in new.values}
    parts = [f"{word} {', '.join(sorted(names))}" for word, names in (("new", has - had), ("gone", had - has)) if names]
    return f"values {'; '.join(parts) or 'relabelled'}"

"""Restricted picklists: values that the CRM is sure to refuse are rejected before they are sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from crosstie.model import FieldType, RemoteField, RemoteObject

NOT_LISTED = "NOT_IN_LIST"
_SEPARATOR = ";"


@dataclass(slots=True, kw_only=True)
class Listed:
    """The values that restricted fields take. What was collected may be older than the CRM's lists: before the first
    value is refused `describe` is asked how the object is now, once. Case makes no difference, as far as we are
    concerned: where it does, the CRM refuses the row."""

    describe: Callable[[], RemoteObject]
    _now: RemoteObject | None = None
    _taken: dict[str, pa.Array] = field(default_factory=dict)

    def strange(self, remote: RemoteField, wires: pa.Array) -> pa.Array | None:
        """Which rows would send something else than an active value; None when none does."""
        if not (remote.restricted and remote.values) or remote.type not in (FieldType.ENUMERATION, FieldType.SET):
            return None
        if self._now is None:
            if not _any(_not_of(remote, wires, _active(remote))):
                return None
            self._now = self.describe()
        if remote.name not in self._taken:
            self._taken[remote.name] = _active(self._now.field(remote.name) or remote)
        found = _not_of(remote, wires, self._taken[remote.name])
        return found if _any(found) else None


def _active(remote: RemoteField) -> pa.Array:
    return pc.utf8_lower(pa.array([one.name for one in remote.values if one.active], pa.string()))


def _any(found: pa.Array) -> bool:
    return bool(pc.any(found).as_py())


def _not_of(remote: RemoteField, wires: pa.Array, taken: pa.Array) -> pa.Array:
    """Which rows have a value, one of a set, that is not among those; an empty one clears the field."""
    if remote.type is FieldType.ENUMERATION:
        return _outside(wires, taken)
    pieces = pc.split_pattern(pc.fill_null(wires, ""), _SEPARATOR)
    strange = _outside(pc.utf8_trim_whitespace(pc.list_flatten(pieces)), taken)
    rows = pc.list_parent_indices(pieces).filter(strange)
    return pc.is_in(pa.array(range(len(wires)), rows.type), rows)


def _outside(texts: pa.Array, taken: pa.Array) -> pa.Array:
    given = pc.and_(pc.is_valid(texts), pc.not_equal(pc.fill_null(texts, ""), ""))
    return pc.and_(given, pc.invert(pc.is_in(pc.utf8_lower(texts), taken)))

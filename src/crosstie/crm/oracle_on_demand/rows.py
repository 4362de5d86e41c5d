"""Records of a page to columns of text: what travelled, in one form for both versions.

Dates and times get the offset of their zone, booleans are `true` or `false`, values of a set are joined by `;`. What
has no value is null, whether its element is empty or not there at all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crosstie.crm.oracle_on_demand.envelope import elements, local_name
from crosstie.crm.oracle_on_demand.fields import readable_field
from crosstie.crm.oracle_on_demand.ids import NO_MATCH, complete_id
from crosstie.crm.oracle_on_demand.times import WireTimes
from crosstie.errors import ProtocolError
from crosstie.model import FieldType, RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa
    from lxml import etree

log = logging.getLogger(__name__)

_BOOLEANS = {"Y": "true", "N": "false", "y": "true", "n": "false"}


class RowReader:
    """Reads pages of these fields of an object. Records without an id, or with one that is none, are refused, and so is
    one that comes twice in a page."""

    def __init__(self, remote: RemoteObject, names: Sequence[str], times: WireTimes, what: str) -> None:
        self._what = what
        self._names = tuple(names)
        self._fields = tuple(readable_field(remote, name) for name in names)
        self._times = times
        self._key = remote.key
        self.tags = tuple(dict.fromkeys((remote.key, *(field.name for field in self._fields))))
        self._place = {tag: place for place, tag in enumerate(self.tags)}
        self._repeated = False

    def rows(self, listed: etree._Element) -> list[list[str | None]]:
        """The records of a list element: texts by `tags`."""
        place, width = self._place, len(self._place)
        names: dict[object, int] = {}
        found: list[list[str | None]] = []
        for record in elements(listed):
            row: list[str | None] = [None] * width
            for cell in record:
                tag = cell.tag
                at = names.get(tag)
                if at is None:
                    at = names[tag] = place.get(local_name(cell), -1)
                if at >= 0:
                    row[at] = cell.text
            found.append(row)
        return found

    def checked_ids(self, rows: Sequence[Sequence[str | None]]) -> list[str]:
        """The ids of the records, which are the first of their texts."""
        found: list[str] = []
        for row in rows:
            given = row[0] or ""
            if complete_id(given) != given:
                raise self._refused(f"{self._key} holds “{given[:40]}”, which is not an id")
            found.append(given)
        if len(set(found)) != len(found):
            raise self._refused(f"{len(found) - len(set(found)):,} of {len(found):,} come twice")
        return found

    def batch(self, rows: Sequence[Sequence[str | None]]) -> pa.RecordBatch:
        """The columns under their asked names."""
        import pyarrow as pa

        columns = list(zip(*rows, strict=True)) or [()] * len(self.tags)
        arrays = [
            pa.array(self._texts(columns[self._place[field.name]], field.type), pa.string()) for field in self._fields
        ]
        return pa.RecordBatch.from_arrays(arrays, names=list(self._names))

    def _texts(self, cells: Sequence[str | None], kind: FieldType) -> list[str | None]:
        if kind is FieldType.DATETIME:
            texts = [self._times.read_instant(cell) if cell else None for cell in cells]
            self._tell_repeated(texts)
            return texts
        if kind is FieldType.DATE:
            return [self._times.read_date(cell) if cell else None for cell in cells]
        if kind is FieldType.BOOLEAN:
            return [_BOOLEANS.get(cell, cell) if cell else None for cell in cells]
        if kind is FieldType.REFERENCE:
            return [None if not cell or cell == NO_MATCH else cell for cell in cells]
        return [cell or None for cell in cells]

    def _tell_repeated(self, texts: Sequence[str | None]) -> None:
        if self._repeated or not any(text and self._times.is_repeated(text) for text in texts):
            return
        self._repeated = True
        log.warning(
            "“%s” gave times in an hour that the account's time zone has twice; they are read as its first occurrence.",
            self._what,
        )

    def _refused(self, reason: object) -> ProtocolError:
        return ProtocolError(
            f"The records of “{self._what}” are not what was asked for: {reason}.",
            hint="Nothing of this page was used. Collect the object again, then retry.",
        )

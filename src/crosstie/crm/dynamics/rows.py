"""Records of a JSON page to columns of wire text: the characters that travelled, not what a JSON parser makes of them.

A number stays `12.0000`, a boolean is `true` or `false`, a choice is its number, a null or empty text is null. Choices
of several values, which travel as `1,9`, are joined by `;` like every set here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from crosstie.crm.dynamics.columns import ETAG, Column
from crosstie.crm.dynamics.ids import complete_id
from crosstie.crm.http import NOT_DECODED
from crosstie.errors import ProtocolError
from crosstie.model import FieldType

if TYPE_CHECKING:
    import pyarrow as pa

_RAW_TYPES = frozenset({FieldType.DECIMAL, FieldType.FLOAT, FieldType.OTHER})
_WHOLE_TYPES = frozenset({FieldType.INTEGER, FieldType.ENUMERATION})
_ID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_NULL = msgspec.Raw(b"null")


class RowReader:
    """Reads the `value` of a page for these columns. Missing members are refused with their names, and so are ids that
    are none or come twice in a page."""

    def __init__(self, columns: Sequence[Column], key: str, what: str) -> None:
        self._what = what
        self._key = key
        self._members: dict[str, str] = {}  # JSON name → attribute of the record type
        fields: list[tuple[Any, ...]] = []
        for column in (Column(asked=key, member=key), *columns):
            if column.member in self._members:
                continue
            self._members[column.member] = f"f{len(self._members)}"
            annotation = "@" in column.member and column.member != ETAG
            given = msgspec.field(name=column.member, default=None) if annotation else msgspec.field(name=column.member)
            fields.append((self._members[column.member], _member_type(column), given))
        record = msgspec.defstruct("Record", fields, kw_only=True, gc=False)
        names = tuple(self._members.values())
        # A getter of one name gives no tuple.
        self._values: Callable[[Any], tuple[Any, ...]] = attrgetter(*names, *names[: len(names) == 1])
        self._decoder: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(type=list[record])  # type: ignore[valid-type]

    def decode(self, records: msgspec.Raw) -> list[Any]:
        """The records as values of a type of ours; read them with `batch`."""
        try:
            return self._decoder.decode(records)
        except NOT_DECODED as error:
            raise self._refused(error) from error

    def batch(self, rows: Sequence[Any], columns: Sequence[Column], *, nul_bytes: bool) -> pa.RecordBatch:
        """The columns under their asked names. With `nul_bytes`, NUL characters are taken out of every text. Raises
        ProtocolError for ids that are none, or that come twice."""
        import pyarrow as pa

        cells = dict(zip(self._members, zip(*map(self._values, rows), strict=True), strict=False))
        self._check_ids(cells[self._key])
        arrays = [self._array(cells[column.member], column, nul_bytes=nul_bytes) for column in columns]
        return pa.RecordBatch.from_arrays(arrays, names=[column.asked for column in columns])

    def first_id(self, rows: Sequence[Any]) -> str:
        """The remote id of the first row."""
        return str(getattr(rows[0], self._members[self._key]))

    def _check_ids(self, found: Sequence[str | None]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        fit = pc.match_substring_regex(pa.array(found, pa.string()), _ID)
        if not pc.all(pc.fill_null(fit, False)).as_py():
            wrong = next(value for value in found if value is None or complete_id(value) != value)
            raise self._refused(f"{self._key} holds “{(wrong or '')[:40]}”, which is not an id")
        if len(set(found)) != len(found):
            raise self._refused(f"{len(found) - len(set(found)):,} of {len(found):,} come twice")

    def _array(self, cells: Sequence[Any], column: Column, *, nul_bytes: bool) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = column.field.type if column.field else None
        if column.expanded:
            texts = pa.array(self._expanded(cells, column, nul_bytes=nul_bytes), pa.string())
            return pc.replace_substring(texts, ",", ";") if column.listed else texts
        if kind is FieldType.BOOLEAN:
            return pc.cast(pa.array(cells, pa.bool_()), pa.string())
        if kind in _WHOLE_TYPES:
            return pc.cast(pa.array(cells, pa.int64()), pa.string())
        if kind in _RAW_TYPES:
            return pa.array([None if cell == _NULL else str(cell, "utf-8") for cell in cells], pa.string())
        if nul_bytes:
            cells = [cell.replace("\0", "") if cell else cell for cell in cells]
        if "" in cells:
            cells = [cell or None for cell in cells]
        array = pa.array(cells, pa.string())
        return pc.replace_substring(array, ",", ";") if kind is FieldType.SET else array

    def _expanded(self, cells: Sequence[Any], column: Column, *, nul_bytes: bool) -> list[str | None]:
        try:
            if column.annotation:  # it is not there where there is no value
                texts = [None if cell is None else _text(cell.get(column.expanded, _NULL)) for cell in cells]
            else:
                texts = [None if cell is None else _text(cell[column.expanded]) for cell in cells]
        except (*NOT_DECODED, KeyError) as error:
            raise self._refused(f"{column.asked}: {error}") from error
        return [one.replace("\0", "") or None if one else None for one in texts] if nul_bytes else texts

    def _refused(self, reason: object) -> ProtocolError:
        return ProtocolError(
            f"The records of “{self._what}” are not what was asked for: {reason}.",
            hint="Nothing of this page was used. Collect the object again, then retry.",
        )


def _member_type(column: Column) -> Any:
    if column.expanded:
        return dict[str, msgspec.Raw] | None
    kind = column.field.type if column.field else None
    if kind is FieldType.BOOLEAN:
        return bool | None
    if kind in _WHOLE_TYPES:
        return int | None
    return msgspec.Raw if kind in _RAW_TYPES else str | None


def _text(raw: msgspec.Raw) -> str | None:
    data = bytes(raw)
    if data == b"null":
        return None
    if data.startswith(b'"'):
        return msgspec.json.decode(data, type=str) or None
    return data.decode()

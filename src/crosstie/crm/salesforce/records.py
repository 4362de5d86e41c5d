"""Records of a JSON page to columns of wire text: the characters that travelled, not what a JSON parser makes of them.

A number stays `12.0` or `3.5E8`, a boolean is `true` or `false`, a null or empty text is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from crosstie.crm.http import NOT_DECODED
from crosstie.crm.salesforce.soql import Selected, is_id
from crosstie.errors import ProtocolError
from crosstie.model import FieldType

if TYPE_CHECKING:
    import pyarrow as pa

_RAW_TYPES = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT, FieldType.OTHER})


class _Attributes(msgspec.Struct):
    type: str


class RecordReader:
    """Reads the `records` of a page of the object `of` for these columns. Missing or unknown members are refused, with
    their names, and so are records of another object and ids that are none or come twice in a page. With `gaps` a null
    may stand in the place of a record."""

    def __init__(self, columns: Sequence[Selected], what: str, *, of: str, gaps: bool = False) -> None:
        self._what = what
        self._of = of.lower()
        self._members: dict[str, str] = {}  # JSON name → attribute of the record type
        fields: list[tuple[Any, ...]] = [("attributes", _Attributes | None, msgspec.field(default=None))]
        for column in columns:
            name = column.path.partition(".")[0]
            if name not in self._members:
                self._members[name] = f"f{len(self._members)}"
                fields.append((self._members[name], _member_type(column), msgspec.field(name=name)))
        record = msgspec.defstruct("Record", fields, forbid_unknown_fields=True, kw_only=True)
        listed: Any = list[record | None] if gaps else list[record]  # type: ignore[valid-type]
        self._decoder: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(type=listed)

    def decode(self, records: msgspec.Raw) -> list[Any]:
        """The records as values of a type of ours; read them with `values`."""
        try:
            rows = self._decoder.decode(records)
        except NOT_DECODED as error:
            raise self._refused(error) from error
        for row in rows:
            if row is not None and row.attributes is not None and row.attributes.type.lower() != self._of:
                raise self._refused(f"one is a record of {row.attributes.type[:80]}")
        return rows

    def ids(self, rows: Sequence[Any], key: Selected) -> list[str]:
        """The remote ids. Raises ProtocolError for one that is none, or that comes twice."""
        found = [value or "" for value in self.values(rows, key)]
        wrong = next((value for value in found if not is_id(value)), None)
        if wrong is not None:
            raise self._refused(f"{key.path} holds “{wrong[:40]}”, which is not an id")
        if len(set(found)) != len(found):
            raise self._refused(f"{len(found) - len(set(found)):,} of {len(found):,} come twice")
        return found

    def values(self, rows: Sequence[Any], column: Selected) -> list[str | None]:
        """One column's wire texts."""
        name, *rest = column.path.split(".")
        member = self._members[name]
        found = [getattr(row, member) for row in rows]
        try:
            if rest:
                return [_related(value, rest) for value in found]
            if column.field is not None and column.field.type is FieldType.BOOLEAN:
                return [None if value is None else "true" if value else "false" for value in found]
            if column.field is not None and column.field.type in _RAW_TYPES:
                return [_text(value) for value in found]
            return [value or None for value in found]
        except (*NOT_DECODED, KeyError) as error:
            raise self._refused(f"{column.path}: {error}") from error

    def batch(self, rows: Sequence[Any], columns: Sequence[Selected], *, nul_bytes: bool) -> pa.RecordBatch:
        """The columns under their asked names. With `nul_bytes`, NUL characters are taken out of every text."""
        import pyarrow as pa

        arrays = []
        for column in columns:
            values = self.values(rows, column)
            if nul_bytes:
                values = [value.replace("\0", "") or None if value else None for value in values]
            arrays.append(pa.array(values, pa.string()))
        return pa.RecordBatch.from_arrays(arrays, names=[column.asked for column in columns])

    def _refused(self, reason: object) -> ProtocolError:
        return ProtocolError(
            f"The records of “{self._what}” are not what was asked for: {reason}.",
            hint="Nothing of this page was used. Collect the object again, then retry.",
        )


def _member_type(column: Selected) -> Any:
    if column.field is None:
        return dict[str, msgspec.Raw] | None
    if column.field.type is FieldType.BOOLEAN:
        return bool | None
    return msgspec.Raw if column.field.type in _RAW_TYPES else str | None


def _text(raw: msgspec.Raw) -> str | None:
    data = bytes(raw)
    if data == b"null":
        return None
    if data.startswith(b'"'):
        return msgspec.json.decode(data, type=str) or None
    return data.decode()


def _related(record: dict[str, msgspec.Raw] | None, path: Sequence[str]) -> str | None:
    """The value at the end of a path through parents; null when one of them is. Names match in any case, because the
    parent's own spelling is not known here."""
    if record is None:
        return None
    name, *rest = path
    wanted = name.lower()
    raw = (
        record[name]
        if name in record
        else next((value for key, value in record.items() if key.lower() == wanted), None)
    )
    if raw is None:
        raise KeyError(name)
    if rest:
        return _related(msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | None), rest)
    return _text(raw)

"""The rows of a shipment as they go on the wire: JSON records for collections, CSV for a bulk job.

Sources: "sObject Collections", REST API guide; "Valid CSV Record Rows", Bulk API 2.0 guide. Null leaves a field alone,
the empty text clears it: in JSON the member is missing or null, in CSV the cell is blank or `#N/A`. What the wire can't
carry is refused here, row by row: one number that is none makes Salesforce refuse a whole call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from crosstie.crm.salesforce.ids import complete_id
from crosstie.crm.salesforce.targets import Target, external_id, targets
from crosstie.crm.writing import KEY, REMOTE_ID, ROW, Operation, RemoteWrite, WriteRoad, outgoing
from crosstie.errors import RequestError
from crosstie.model import FieldType, RemoteField

if TYPE_CHECKING:
    import pyarrow as pa

CSV_FIELD_CHARACTERS = 32_000
CSV_RECORD_CHARACTERS = 400_000
CSV_BYTES = 100_000_000
"""Limits of one field, one record and one job (Bulk API 2.0 guide, Limits)."""

CSV_NULL = "#N/A"
_CSV_SLICE = 5_000
_WRONG_TYPE = "INVALID_TYPE_ON_FIELD_IN_RECORD"
_ABSENT: Any = object()
_JSON_NULL = msgspec.Raw(b"null")
_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})
_JSON_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_DECIMAL = r"^[+-]?([0-9]{1,99}\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$"
_FORMS: dict[FieldType, tuple[str, str]] = {
    FieldType.BOOLEAN: (r"^(?i:true|false|1|0)$", "neither true nor false"),
    FieldType.INTEGER: (r"^[+-]?[0-9]+(\.0*)?$", "no whole number"),
    FieldType.DECIMAL: (_DECIMAL, "no number"),
    FieldType.FLOAT: (_DECIMAL, "no number"),
    FieldType.DATE: (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "no date"),
    FieldType.DATETIME: (
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})$",
        "no date and time with a zone",
    ),
    FieldType.TIME: (r"^[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,3})?)?Z?$", "no time"),
    FieldType.ID: (r"^[A-Za-z0-9]{15}([A-Za-z0-9]{3})?$", "no Salesforce id"),
    FieldType.REFERENCE: (r"^[A-Za-z0-9]{15}([A-Za-z0-9]{3})?$", "no Salesforce id"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a row is not sent, in the words of a reject."""

    symbol: str
    message: str
    fields: str = ""


class Shipment:
    """The rows of one shipment, looked through for one road. `refused` has the places of rows that are not sent,
    `open` those of all others."""

    def __init__(self, write: RemoteWrite, batches: Sequence[pa.RecordBatch], road: WriteRoad) -> None:
        import pyarrow as pa

        self.write = write
        self.targets = targets(write)
        self.key = external_id(write) if write.operation is Operation.UPSERT else None
        table = pa.Table.from_batches(batches, outgoing(write)).combine_chunks()
        self._texts: list[Any] = [_whole(table.column(place + 3)) for place in range(len(self.targets))]
        self._keys: Any = _whole(table.column(KEY))
        self.rows: list[int] = table.column(ROW).to_pylist()
        self.refused: dict[int, Refusal] = {}
        self.remote_ids: list[str | None] = [None] * len(self.rows)
        if write.operation in {Operation.UPDATE, Operation.DELETE}:
            self._read_ids(table.column(REMOTE_ID).to_pylist())
        if self.key is not None:
            self._check_keys(self.key, bulk=road is WriteRoad.BULK)
        for target, texts in zip(self.targets, self._texts, strict=True):
            self._check(target, texts, bulk=road is WriteRoad.BULK)
        if road is WriteRoad.BULK:
            self._check_lengths()
        self.open: list[int] = [place for place in range(len(self.rows)) if place not in self.refused]

    def _read_ids(self, given: Sequence[str | None]) -> None:
        for place, text in enumerate(given):
            self.remote_ids[place] = complete_id(text or "")
            if self.remote_ids[place] is None:
                self._refuse([place], "MALFORMED_ID", "The remote id is none; the row was not sent.", "Id")

    def _check_keys(self, key: RemoteField, *, bulk: bool) -> None:
        import pyarrow.compute as pc

        missing = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(self._keys), ""), True)
        self._refuse(_places(missing), "MISSING_ARGUMENT", f"{key.name} not specified; the row was not sent.", key.name)
        self._check(Target(field=key), self._keys, bulk=bulk)

    def _check(self, target: Target, texts: Any, *, bulk: bool) -> None:
        """Refuses the rows whose text cannot be what the field holds, or cannot travel."""
        import pyarrow.compute as pc

        name = target.header
        form = None if target.parent_key else _FORMS.get(target.field.type)
        if form is not None:
            fits = pc.match_substring_regex(texts, form[0])
            if target.field.type is not FieldType.BOOLEAN:
                fits = pc.or_(fits, pc.equal(texts, ""))
            places = _places(pc.invert(pc.fill_null(fits, True)))
            self._refuse(places, _WRONG_TYPE, f"{name}: the text is {form[1]}; the row was not sent.", name)
        nul = _places(pc.fill_null(pc.match_substring(texts, "\0"), False))
        self._refuse(nul, "INVALID_CHARACTER", f"{name}: the text holds a NUL; the row was not sent.", name)
        if bulk:
            marks = _places(pc.fill_null(pc.equal(texts, CSV_NULL), False))
            said = f"{name}: the text “{CSV_NULL}” would empty the field in a bulk job; the row was not sent."
            self._refuse(marks, "NOT_IN_BULK", f"{said} Write it by collections (batches: off).", name)

    def _check_lengths(self) -> None:
        import pyarrow.compute as pc

        total: Any = None
        for target, texts in zip(self.targets, self._texts, strict=True):
            length = pc.fill_null(pc.utf8_length(texts), 0)
            total = length if total is None else pc.add(total, length)
            said = f"{target.header}: Bulk takes {CSV_FIELD_CHARACTERS:,} characters a field; the row was not sent."
            self._refuse(
                _places(pc.greater(length, CSV_FIELD_CHARACTERS)),
                "NOT_IN_BULK",
                f"{said} Write it by collections (batches: off).",
                target.header,
            )
        if total is not None:
            said = f"Bulk takes {CSV_RECORD_CHARACTERS:,} characters a record; the row was not sent."
            self._refuse(_places(pc.greater(total, CSV_RECORD_CHARACTERS)), "NOT_IN_BULK", said, "")

    def _refuse(self, places: Sequence[int], symbol: str, message: str, fields: str) -> None:
        for place in places:
            self.refused.setdefault(place, Refusal(symbol=symbol, message=message, fields=fields))

    def external_ids(self) -> list[str | None]:
        """The external ids, by place."""
        found: list[str | None] = self._keys.to_pylist()
        return found

    def texts(self, target: int) -> list[str | None]:
        """The texts of one target, by place."""
        found: list[str | None] = self._texts[target].to_pylist()
        return found

    def records(self) -> list[dict[str, Any]]:
        """All rows as JSON records, by place; encode those that are open."""
        members: list[tuple[str, list[Any]]] = []
        if self.write.operation is Operation.UPDATE:
            members.append(("id", list(self.remote_ids)))
        if self.key is not None:
            members.append((self.key.name, _values(self.key, self._keys)))
        for target, texts in zip(self.targets, self._texts, strict=True):
            members.extend(
                _parents(target, texts) if target.parent_key else [(target.field.name, _values(target.field, texts))]
            )
        attributes = {"type": self.write.object.name}
        names = [name for name, _ in members]
        rows = zip(*(values for _, values in members), strict=True) if members else ((),) * len(self.rows)
        return [
            {
                "attributes": attributes,
                **{name: one for name, one in zip(names, row, strict=True) if one is not _ABSENT},
            }
            for row in rows
        ]

    def headers(self) -> list[str]:
        """The columns of the CSV, as it is uploaded and as results give it back."""
        named = [self.write.object.key] if self.write.operation in {Operation.UPDATE, Operation.DELETE} else []
        return [*named, *([self.key.name] if self.key else []), *(target.header for target in self.targets)]

    def columns(self) -> list[Any]:
        """The texts of the open rows as the CSV has them, a column for each of `headers`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        whole = list(self._texts)
        if self.key is not None:
            whole.insert(0, self._keys)
        elif self.write.operation is not Operation.INSERT:
            whole.insert(0, pa.array(self.remote_ids, pa.string()))
        if self.refused:
            kept = pa.array(self.open, pa.int64())
            whole = [one.take(kept) for one in whole]
        return [pc.if_else(pc.equal(one, ""), CSV_NULL, one) for one in whole]

    def csv(self) -> bytes:
        """The open rows as CSV with LF, every value in quotes. Raises RequestError when it is too much for a job."""
        import pyarrow as pa
        import pyarrow.csv as arrow_csv

        columns = self.columns()
        if len(columns) == 1:  # a line without a value would be no row
            columns = [columns[0].fill_null("")]
        table = pa.table(columns, names=self.headers())
        pieces: list[bytes] = []
        for first in range(0, max(1, table.num_rows), _CSV_SLICE):  # in one piece it would take six times its size
            sink = pa.BufferOutputStream()
            options = arrow_csv.WriteOptions(include_header=not first, quoting_style="all_valid")
            arrow_csv.write_csv(table.slice(first, _CSV_SLICE), sink, options)
            pieces.append(sink.getvalue().to_pybytes())
        content = b"".join(pieces)
        if len(content) > CSV_BYTES:
            raise RequestError(
                f"A shipment of {len(self.open):,} rows is {len(content):,} bytes of CSV; a job takes {CSV_BYTES:,}.",
                hint="Send fewer rows in one shipment.",
            )
        return content


def _whole(column: Any) -> Any:
    """A column of one chunk as an array."""
    import pyarrow as pa

    chunks = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks) if chunks else pa.array([], column.type)


def _places(mask: Any) -> list[int]:
    import pyarrow.compute as pc

    found: list[int] = pc.indices_nonzero(mask).to_pylist()
    return found


def _values(field: RemoteField, texts: Any) -> list[Any]:
    """The JSON values of a column: absent, null, or of the field's type, numbers as they are written."""
    found: list[Any] = texts.to_pylist()
    if field.type is FieldType.BOOLEAN:
        return [_ABSENT if one is None else one.lower() in {"true", "1"} for one in found]
    if field.type not in _NUMBERS:
        return [_ABSENT if one is None else one or None for one in found]
    import pyarrow.compute as pc

    plain = pc.fill_null(pc.match_substring_regex(texts, _JSON_NUMBER), True)
    for place in _places(pc.invert(plain)):
        found[place] = _plain_number(found[place])
    if field.type is FieldType.INTEGER:
        found = [one.partition(".")[0] if one else one for one in found]
    return [_ABSENT if one is None else msgspec.Raw(one.encode()) if one else _JSON_NULL for one in found]


def _plain_number(text: str) -> str:
    """`+5`, `05`, `5.` and `.5` as JSON writes them; what is no number is in a refused row, and not sent."""
    try:
        return f"{Decimal(text):f}" if text else text
    except ArithmeticError:
        return "0"


def _parents(target: Target, texts: Any) -> list[tuple[str, list[Any]]]:
    """A parent named by its external id; it is the lookup itself that is emptied."""
    found: list[str | None] = texts.to_pylist()
    kind = {"attributes": {"type": target.parent_type}} if target.parent_type else {}
    named = [{**kind, target.parent_key: one} if one else _ABSENT for one in found]
    cleared = [None if one == "" else _ABSENT for one in found]
    return [(target.field.relationship, named), (target.field.name, cleared)]

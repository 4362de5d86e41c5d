"""The rows of a shipment as they go on the wire: JSON records for collections, CSV for a bulk job.

Sources: "sObject Collections", REST API guide; "Valid CSV Record Rows", Bulk API 2.0 guide. Null leaves a field alone,
the empty text clears it: in JSON the member is missing or null, in CSV the cell is blank or `#N/A`. What the wire can't
carry is refused here, row by row: one number that is none makes Salesforce refuse a whole call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crosstie.crm.outgoing import ABSENT, FORMS, Form, Outgoing, Refusal, json_values, places_of
from crosstie.crm.salesforce.ids import complete_id
from crosstie.crm.salesforce.targets import Target, external_id, targets
from crosstie.crm.writing import Operation, RemoteWrite, WriteRoad
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
_ID = Form(pattern=r"^[A-Za-z0-9]{15}([A-Za-z0-9]{3})?$", otherwise="no Salesforce id")
_FORMS = {**FORMS, FieldType.ID: _ID, FieldType.REFERENCE: _ID}


class Shipment:
    """The rows of one shipment, looked through for one road. `refused` has the places of rows that are not sent,
    `open` those of all others."""

    def __init__(self, write: RemoteWrite, batches: Sequence[pa.RecordBatch], road: WriteRoad) -> None:
        self.write = write
        self.targets = targets(write)
        self.key = external_id(write) if write.operation is Operation.UPSERT else None
        self._given = Outgoing(write, batches)
        self._texts = self._given.columns
        self.rows = self._given.rows
        self.remote_ids: list[str | None] = [None] * len(self.rows)
        if write.operation in {Operation.UPDATE, Operation.DELETE}:
            self._read_ids(self._given.ids)
        if self.key is not None:
            self._check_keys(self.key, bulk=road is WriteRoad.BULK)
        for target, texts in zip(self.targets, self._texts, strict=True):
            self._check(target, texts, bulk=road is WriteRoad.BULK)
        if road is WriteRoad.BULK:
            self._check_lengths()
        self.open = self._given.open

    @property
    def refused(self) -> dict[int, Refusal]:
        """Why rows are not sent, by place."""
        return self._given.refused

    def _read_ids(self, given: Sequence[str | None]) -> None:
        for place, text in enumerate(given):
            self.remote_ids[place] = complete_id(text or "")
            if self.remote_ids[place] is None:
                self._refuse([place], "MALFORMED_ID", "The remote id is none; the row was not sent.", "Id")

    def _check_keys(self, key: RemoteField, *, bulk: bool) -> None:
        said = f"{key.name} not specified; the row was not sent."
        self._refuse(self._given.lacking_keys(), "MISSING_ARGUMENT", said, key.name)
        self._check(Target(field=key), self._given.keys, bulk=bulk)

    def _check(self, target: Target, texts: Any, *, bulk: bool) -> None:
        """Refuses the rows whose text cannot be what the field holds, or cannot travel."""
        import pyarrow.compute as pc

        name = target.header
        self._given.check(texts, None if target.parent_key else _FORMS.get(target.field.type), name, _WRONG_TYPE)
        if bulk:
            marks = places_of(pc.fill_null(pc.equal(texts, CSV_NULL), False))
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
                places_of(pc.greater(length, CSV_FIELD_CHARACTERS)),
                "NOT_IN_BULK",
                f"{said} Write it by collections (batches: off).",
                target.header,
            )
        if total is not None:
            said = f"Bulk takes {CSV_RECORD_CHARACTERS:,} characters a record; the row was not sent."
            self._refuse(places_of(pc.greater(total, CSV_RECORD_CHARACTERS)), "NOT_IN_BULK", said, "")

    def _refuse(self, places: Sequence[int], symbol: str, message: str, fields: str) -> None:
        self._given.refuse(places, symbol, message, fields)

    def external_ids(self) -> list[str | None]:
        """The external ids, by place."""
        found: list[str | None] = self._given.keys.to_pylist()
        return found

    def texts(self, target: int) -> list[str | None]:
        """The texts of one target, by place."""
        found: list[str | None] = self._texts[target].to_pylist()
        return found

    def paths(self) -> list[str]:
        """How the values of the targets are read back."""
        return [target.path for target in self.targets]

    def holds(self, target: int, mine: str | None, theirs: str | None) -> bool:
        """See `Target.holds`."""
        return self.targets[target].holds(mine, theirs)

    def records(self) -> list[dict[str, Any]]:
        """All rows as JSON records, by place; encode those that are open."""
        members: list[tuple[str, list[Any]]] = []
        if self.write.operation is Operation.UPDATE:
            members.append(("id", list(self.remote_ids)))
        if self.key is not None:
            members.append((self.key.name, json_values(self.key, self._given.keys)))
        for target, texts in zip(self.targets, self._texts, strict=True):
            if target.parent_key:
                members.extend(_parents(target, texts))
            else:
                members.append((target.field.name, json_values(target.field, texts)))
        attributes = {"type": self.write.object.name}
        names = [name for name, _ in members]
        rows = zip(*(values for _, values in members), strict=True) if members else ((),) * len(self.rows)
        return [
            {
                "attributes": attributes,
                **{name: one for name, one in zip(names, row, strict=True) if one is not ABSENT},
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
            whole.insert(0, self._given.keys)
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


def _parents(target: Target, texts: Any) -> list[tuple[str, list[Any]]]:
    """A parent named by its external id; it is the lookup itself that is emptied."""
    found: list[str | None] = texts.to_pylist()
    kind = {"attributes": {"type": target.parent_type}} if target.parent_type else {}
    named = [{**kind, target.parent_key: one} if one else ABSENT for one in found]
    cleared = [None if one == "" else ABSENT for one in found]
    return [(target.field.relationship, named), (target.field.name, cleared)]

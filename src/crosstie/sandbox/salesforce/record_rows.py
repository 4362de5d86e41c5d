"""Rows of cells, and how they are written one by one: each in its own savepoint, through `Records`."""

import base64
import dataclasses
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from crosstie.sandbox.salesforce.catalog import Field, SObject
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.records import Records, SeveralRecords, Writer, check_writable
from crosstie.sandbox.salesforce.row_errors import row_refusal, several_records
from crosstie.sandbox.salesforce.row_ids import changed_id, record_id_of, row_id

BLANK = b"\x00blank"
"""A value that is left out: the field keeps what it has, or gets its default. Told from others by identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The values of one field for some rows: stored form, None or BLANK; and the rows whose value was refused."""

    field: Field
    values: list[Any]
    refused: dict[int, ApiError] = dataclasses.field(default_factory=dict)

    def at(self, rows: Sequence[int]) -> "Cells":
        """Those of some rows, in their order."""
        if len(rows) == len(self.values):
            return self
        refused = {place: self.refused[row] for place, row in enumerate(rows) if row in self.refused}
        return Cells(field=self.field, values=[self.values[row] for row in rows], refused=refused)


class Outcome(NamedTuple):
    """What became of a row: its record, whether that was made, and why not if it was refused."""

    record_id: str | None
    created: bool = False
    error: ApiError | None = None


class RecordRows:
    """Writes row by row. Every method expects a write transaction and returns the outcomes in row order."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def insert(
        self, connection: sqlite3.Connection, sobject: SObject, cells: list[Cells], count: int, writer: Writer
    ) -> list[Outcome]:
        """Creates `count` records."""

        def insert(row: int) -> Outcome:
            return Outcome(self._records.insert(sobject, _given(cells, row, inserting=True), writer), created=True)

        return [_alone(connection, insert, row) for row in range(count)]

    def update(
        self, connection: sqlite3.Connection, sobject: SObject, given: list[str], cells: list[Cells], writer: Writer
    ) -> list[Outcome]:
        """Changes the records with the ids `given` as they were sent."""

        def update(row: int) -> Outcome:
            if not given[row]:
                raise missing_id("update")
            record_id = changed_id(sobject, given[row])
            self._records.require(connection, sobject, record_id)
            self._records.update(sobject, record_id, _given(cells, row, inserting=False), writer)
            return Outcome(record_id)

        return [_alone(connection, update, row, given[row]) for row in range(len(given))]

    def upsert(
        self,
        connection: sqlite3.Connection,
        sobject: SObject,
        key: Field,
        given: list[str],
        cells: list[Cells],
        writer: Writer,
    ) -> list[Outcome]:
        """Creates or changes the records that have the keys `given` as they were sent."""

        def upsert(row: int) -> Outcome:
            if not given[row]:
                return Outcome(self._records.insert(sobject, _given(cells, row, inserting=True), writer), created=True)
            if key.type == "id":
                record_id = record_id_of(given[row])
                self._records.require(connection, sobject, record_id)
                self._records.update(sobject, record_id, _given(cells, row, inserting=False), writer)
                return Outcome(record_id)
            try:
                found = self._records.find(connection, sobject, key, given[row])
                values = _given(cells, row, inserting=not found)
                record_id, created = self._records.upsert(sobject, key, given[row], values, writer, update_only=False)
            except SeveralRecords as error:
                raise several_records(key, error.ids) from error
            return Outcome(record_id, created=created)

        return [_alone(connection, upsert, row) for row in range(len(given))]

    def delete(
        self, connection: sqlite3.Connection, sobject: SObject, given: list[str], writer: Writer, *, hard: bool
    ) -> list[Outcome]:
        """Moves records into the recycle bin; deletes them for good if `hard`."""

        def delete(row: int) -> Outcome:
            if not given[row]:
                raise missing_id("delete")
            record_id = row_id(given[row])
            self._records.delete(sobject, record_id, writer)
            if hard:
                self._records.purge(sobject, record_id)
            return Outcome(record_id)

        return [_alone(connection, delete, row, given[row]) for row in range(len(given))]


def folded(key: Field, values: Sequence[Any]) -> list[Any]:
    """What values of a key have in common when they count as the same."""
    if key.case_sensitive or any(not isinstance(value, str) for value in values):
        return list(values)
    if all(map(str.isascii, values)):
        return list(map(str.lower, values))
    return ["".join(one.lower() if one.isascii() else one for one in value) for value in values]


def refused_cells(cells: list[Cells], *, inserting: bool) -> dict[int, ApiError]:
    """The rows with a value that can't be written, each with the error of its first such column."""
    refused: dict[int, ApiError] = {}
    for one in cells:
        try:
            check_writable(one.field, inserting=inserting)
            errors = one.refused
        except ApiError as unwritable:
            errors = dict.fromkeys((row for row, value in enumerate(one.values) if value is not BLANK), unwritable)
        for row, error in errors.items():
            refused.setdefault(row, error)
    return refused


def _given(cells: list[Cells], row: int, *, inserting: bool) -> dict[str, Any]:
    """A row as REST is given it. Raises ApiError for the first value that was refused when it was read."""
    values: dict[str, Any] = {}
    for one in cells:
        value = one.values[row]
        if value is BLANK:
            continue
        check_writable(one.field, inserting=inserting)
        if row in one.refused:
            raise one.refused[row]
        values[one.field.name] = base64.b64encode(value).decode() if isinstance(value, bytes) else value
    return values


def missing_id(operation: str) -> ApiError:
    """400 MISSING_ARGUMENT: a row to update or delete has no id."""
    return ApiError(400, "MISSING_ARGUMENT", f"Id not specified in an {operation} call", [])


def _alone(connection: sqlite3.Connection, work: Callable[[int], Outcome], row: int, given_id: str = "") -> Outcome:
    """The outcome of one row; what a refused one did is undone."""
    connection.execute("SAVEPOINT one_row")
    try:
        outcome = work(row)
    except ApiError as error:
        connection.execute("ROLLBACK TO one_row")
        spoilt = error.code == "MALFORMED_ID" and error.fields in ([], ["Id"])
        record_id = None if spoilt else _id_or_none(given_id)
        outcome = Outcome(record_id, error=row_refusal(error))
    connection.execute("RELEASE one_row")
    return outcome


def _id_or_none(text: str) -> str | None:
    try:
        return row_id(text) if text else None
    except ApiError:
        return None

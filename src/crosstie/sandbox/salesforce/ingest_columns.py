"""The columns of an ingest job: what its header means, and how texts become values.

Sources: "Relationship Fields in a Header Row (2.0)", "Valid Date Format in Records (2.0)", Bulk API 2.0 guide. A blank
leaves a field alone, `#N/A` empties it.
"""

import dataclasses
import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from crosstie.sandbox.salesforce.catalog import Catalog, Field, SObject
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.ingest_csv import InvalidContent
from crosstie.sandbox.salesforce.record_rows import BLANK, Cells
from crosstie.sandbox.salesforce.records import Records
from crosstie.sandbox.salesforce.values import stored_texts, stored_value

NULL = "#N/A"
MOST_KNOWN = 20_000
"""Texts of a column that are remembered."""
_ZONED_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:Z|[+-]\d\d:?\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: the field that it fills, and for a parent by key, the kind of parent (if named) and its key."""

    field: Field
    parent: str | None = None
    key: str | None = None
    known: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What texts of this column mean, as far as that depends on nothing else."""

    def read(self, texts: Sequence[str], connection: sqlite3.Connection, records: Records) -> Cells:
        """The values of some rows."""
        if self.key is not None:
            return self._each_once({}, texts, lambda text: self._parent(connection, records, text))
        if self.field.type == "reference":
            return self._each_once({}, texts, lambda text: self._reference(connection, records, text))
        values = None if NULL in texts else stored_texts(self.field, texts)
        if values is not None:
            return Cells(field=self.field, values=values)
        if len(self.known) > MOST_KNOWN:
            self.known.clear()
        return self._each_once(self.known, texts, self._value)

    def _each_once(self, known: dict[str, Any], texts: Sequence[str], read: Callable[[str], Any]) -> Cells:
        """Reads every text that is not known yet, and keeps what was refused."""
        for text in set(texts).difference(known):
            try:
                known[text] = read(text) if text and text != NULL else _unset(text, self.field)
            except ApiError as error:
                known[text] = error
        values = [known[text] for text in texts]
        refused = {row: value for row, value in enumerate(values) if isinstance(value, ApiError)}
        return Cells(field=self.field, values=values, refused=refused)

    def _value(self, text: str) -> Any:
        if self.field.type == "date" and (zoned := _ZONED_DATE.fullmatch(text)):
            text = zoned[1]
        try:
            return stored_value(self.field, text)
        except ApiError as error:
            raise _in_csv(error, self.field, text) from error

    def _reference(self, connection: sqlite3.Connection, records: Records, text: str) -> Any:
        record_id = self._value(text)
        records.check_reference(connection, self.field, record_id)
        return record_id

    def _parent(self, connection: sqlite3.Connection, records: Records, text: str) -> str:
        kind = {"attributes": {"type": self.parent}} if self.parent else {}
        return records.parent_by_key(connection, self.field, {**kind, str(self.key): text})


def read_header(catalog: Catalog, sobject: SObject, names: Sequence[str]) -> list[Column]:
    """What each column means. Raises InvalidContent for the first that means nothing."""
    columns: list[Column] = []
    for name in names:
        column = _related(catalog, sobject, name) if "." in name else _plain(sobject, name)
        if any(column.field is other.field for other in columns):
            raise InvalidContent(f"InvalidBatch : Field name not unique : {name}")
        columns.append(column)
    return columns


def _plain(sobject: SObject, name: str) -> Column:
    found = sobject.field(name)
    if found is None or found.is_compound:
        raise InvalidContent(f"InvalidBatch : Field name not found : {name}")
    return Column(field=found)


def _related(catalog: Catalog, sobject: SObject, name: str) -> Column:
    """`Account.ERP_Id__c`, or `User:Owner.Username` where parents are of several kinds (and only there)."""
    path, _, key = name.partition(".")
    kind, _, relation_name = path.rpartition(":")
    relation = sobject.relationship(relation_name)
    if relation is None:
        raise InvalidContent(f"InvalidBatch : Unable to find relationship: {relation_name}")
    if kind and len(relation.reference_to) < 2:
        raise InvalidContent(
            f"InvalidBatch : type is not needed for non polymorphic foreign key references: {relation_name}"
        )
    if not kind and len(relation.reference_to) > 1:
        raise InvalidContent(f"InvalidBatch : type is needed for polymorphic foreign key references: {relation_name}")
    parents = [one for one in relation.reference_to if not kind or one.lower() == kind.lower()]
    parent = catalog.object(parents[0]) if parents else None
    found = parent.field(key) if parent is not None else None
    if parent is None or found is None or not (found.external_id or found.id_lookup):
        raise InvalidContent(f"InvalidBatch : Field name not found : {name}")
    return Column(field=relation, parent=parent.name, key=found.name)


def _unset(text: str, item: Field) -> Any:
    if not text:
        return BLANK
    if item.type == "boolean":
        raise _in_csv(ApiError(400, "JSON_PARSER_ERROR", ""), item, text)
    return None


def _in_csv(error: ApiError, item: Field, text: str) -> ApiError:
    """A refusal in the words that a row of CSV gets: there is no JSON that could be malformed."""
    if error.code != "JSON_PARSER_ERROR":
        return error
    message = f"{item.label}: value not of required type: {text}"
    return ApiError(400, "INVALID_TYPE_ON_FIELD_IN_RECORD", message, [item.name])

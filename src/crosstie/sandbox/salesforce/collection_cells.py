"""JSON rows of one object as columns of values, so that a collection is written as a set."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from crosstie.sandbox.salesforce.catalog import Field, SObject
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.record_rows import BLANK, Cells
from crosstie.sandbox.salesforce.records import Records
from crosstie.sandbox.salesforce.values import stored_texts, stored_value

Row = dict[str, Any]


class NoSet(Exception):
    """A row names what its object does not have, or one field twice: rows must be looked at one by one."""


def read_cells(
    connection: sqlite3.Connection, records: Records, sobject: SObject, rows: Sequence[Row], *, without: str = ""
) -> list[Cells]:
    """The values of rows, except those of the field `without`; what a row leaves out is BLANK.

    Raises NoSet, and ApiError with JSON_PARSER_ERROR for a value that no such field can have in JSON.
    """
    columns: dict[str, Cells] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        if name == "attributes" or name.lower() == without.lower():
            continue
        given = {place: row[name] for place, row in enumerate(rows) if name in row}
        item, relation = sobject.field(name), sobject.relationship(name)
        if item is None and (relation is None or not all(isinstance(value, dict) for value in given.values())):
            raise NoSet
        target = item or relation
        assert target is not None
        one = columns.setdefault(target.name, Cells(field=target, values=[BLANK] * len(rows)))
        if any(one.values[place] is not BLANK for place in given):
            raise NoSet
        _fill(connection, records, one, given, by_key=item is None)
    return list(columns.values())


def _fill(
    connection: sqlite3.Connection, records: Records, cells: Cells, given: dict[int, Any], *, by_key: bool
) -> None:
    """Sets the cells of some rows."""
    item = cells.field
    texts = list(given.values())
    plain = stored_texts(item, texts) if all(isinstance(value, str) for value in texts) else None
    if plain is not None:
        for place, value in zip(given, plain, strict=True):
            cells.values[place] = value
        return
    known: dict[Any, Any] = {}
    for place, value in given.items():
        kept = known.get((type(value), value)) if isinstance(value, str | int | float) else None
        if kept is None:
            kept = _value(connection, records, item, value, by_key=by_key)
            if isinstance(value, str | int | float):
                known[type(value), value] = kept
        if isinstance(kept, ApiError):
            cells.refused[place] = kept
        cells.values[place] = None if isinstance(kept, ApiError) else kept


def _value(connection: sqlite3.Connection, records: Records, item: Field, value: Any, *, by_key: bool) -> Any:
    """The stored form of a value, or why it can't be."""
    try:
        if by_key:
            return records.parent_by_key(connection, item, value)
        stored = stored_value(item, value)
        if item.type == "reference" and stored is not None:
            records.check_reference(connection, item, stored)
    except ApiError as error:
        if error.code == "JSON_PARSER_ERROR":
            raise
        return error
    return stored

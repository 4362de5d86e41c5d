"""What the database says of values and the enumerations they should be of."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from crosstie.db.database import Database
from crosstie.model import Column, ColumnType, EnumerationValue
from crosstie.schema.enumerations import (
    Enumeration,
    add_values,
    find_enumeration,
    rows_with,
    store_enumeration,
    unknown_values,
)

COLUMNS = (Column(name="One", type=ColumnType.TEXT), Column(name="several", type=ColumnType.SET))
ROWS = [("a", "a;b"), ("é", "b;c;é"), (None, None), ("A", "a"), ("é", "b;c;é")]


def test_unknown_values_are_found_and_added_once(database: Database) -> None:
    known = Enumeration(name="letters", values=tuple(EnumerationValue(name=one, label=one) for one in "ab"))
    database.create_work("w", COLUMNS)
    with database.load("w", COLUMNS, expected_rows=len(ROWS)) as load:
        arrays = [pa.array(list(values), pa.string()) for values in zip(*ROWS, strict=True)]
        load.write(pa.RecordBatch.from_arrays(arrays, names=["One", "several"]))
    with database.transaction("test") as transaction:
        store_enumeration(transaction, known, None, "create", datetime.now(UTC))
        assert unknown_values(transaction, "w", "One", ColumnType.TEXT, "letters", 9) == ("A", "é")
        assert unknown_values(transaction, "w", "several", ColumnType.SET, "letters", 9) == ("c", "é")
        assert unknown_values(transaction, "w", "several", ColumnType.SET, "letters", 1) == ("c",)
        assert (add_values(transaction, "letters", ["c", "a"]), add_values(transaction, "letters", ["c"])) == (1, 0)
        found = find_enumeration(transaction, "letters")
    assert found is not None
    assert [one.name for one in found.values] == ["a", "b", "c"]


def test_rows_that_hold_a_value_are_counted_alone_and_in_sets(database: Database) -> None:
    with database.transaction("test") as transaction:
        transaction.execute("create table person (id integer primary key, tags varchar(80), code integer)")
        transaction.execute("insert into person values (1, 'a;ab', 7), (2, 'ab', 77), (3, null, null), (4, 'a', 7)")
        assert [rows_with(transaction, "person", "tags", one) for one in ("a", "ab", "b")] == [2, 2, 0]
        assert [rows_with(transaction, "person", "code", one) for one in ("7", "77", "1")] == [2, 1, 0]

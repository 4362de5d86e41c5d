"""One value for several: the same bytes on both databases, others for other values."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest

from crosstie.db.database import Database
from crosstie.db.merge.digests import digest
from crosstie.db.merge.matching import Fragment
from crosstie.model import Column, ColumnType

Values = Sequence[tuple[ColumnType, str]]
TEXT, INTEGER, DECIMAL, FLOAT = ColumnType.TEXT, ColumnType.INTEGER, ColumnType.DECIMAL, ColumnType.FLOAT

# Types with a literal of theirs in the common subset of SQL, and the text under which they are digested.
SAME: list[tuple[Values, list[str | None]]] = [
    ([(TEXT, "'Ono'"), (INTEGER, "42")], ["Ono", "42"]),
    ([(TEXT, "''"), (TEXT, "null"), (TEXT, "'é😀'")], ["", None, "é😀"]),
    ([(DECIMAL, "1.50"), (DECIMAL, "-0.0"), (DECIMAL, "100")], ["1.5", "0", "100"]),
    ([(FLOAT, "0.1"), (FLOAT, "-0.0"), (FLOAT, "2.0")], ["0.1", "0", "2"]),
    ([(ColumnType.BOOLEAN, "true"), (ColumnType.BOOLEAN, "false")], ["1", "0"]),
    ([(ColumnType.DATE, "'2026-01-31'"), (ColumnType.TIME, "'14:30:00.000000'")], ["2026-01-31", "14:30:00.000000"]),
    ([(ColumnType.WALL_CLOCK, "'2026-01-31T14:30:00.000000'")], ["2026-01-31T14:30:00.000000"]),
    ([(ColumnType.INSTANT, "'2026-01-31T14:30:00.000001Z'")], ["2026-01-31T14:30:00.000001Z"]),
]


def computed(database: Database, values: Values) -> bytes:
    columns = [Column(name=f"c_{place}", type=kind) for place, (kind, _) in enumerate(values)]
    database.create_work("w_1_1_ok", columns)
    with database.transaction("test") as transaction:
        listed = ", ".join(column.name for column in columns)
        given = ", ".join(literal for _, literal in values)
        transaction.execute(f"insert into crosstie.w_1_1_ok ({listed}) values ({given})")
        parts = [Fragment(sql=f"s.{column.name}", type=column.type) for column in columns]
        row = transaction.row(f"select {digest(database.dialect, parts)} from crosstie.w_1_1_ok s")
    assert row is not None
    return bytes(row[0])


@pytest.mark.parametrize(("values", "texts"), SAME)
def test_both_databases_digest_the_same_texts(database: Database, values: Values, texts: list[str | None]) -> None:
    counted = "".join("n" if text is None else f"{len(text)}:{text}" for text in texts)
    assert computed(database, values) == sha256(counted.encode()).digest()


def test_no_two_lists_of_values_are_one_text(database: Database) -> None:
    lists: list[list[Any]] = [
        ["'a'", "'b'"],
        ["'ab'", "''"],
        ["''", "'ab'"],
        ["null", "'ab'"],
        ["'ab'", "null"],
        ["'1:a'", "'b'"],
        ["'n'", "null"],
        ["null", "null"],
        ["'A'", "'b'"],
        ["'a '", "'b'"],
    ]
    found = {computed(database, [(TEXT, literal) for literal in one]) for one in lists}
    assert len(found) == len(lists)


def test_more_values_than_a_function_takes_arguments(database: Database) -> None:
    values = [(INTEGER, str(number)) for number in range(260)]
    assert len(computed(database, values)) == 32
    assert computed(database, values) != computed(database, [*values[:-1], (INTEGER, "0")])


def test_binary_values_are_digested(database: Database) -> None:
    columns = [Column(name="b", type=ColumnType.BINARY)]
    database.create_work("w_1_2_ok", columns)
    with database.transaction("test") as transaction:
        transaction.execute("insert into crosstie.w_1_2_ok (b) values (:b)", {"b": b"\x00\xff"})
        part = Fragment(sql="s.b", type=ColumnType.BINARY)
        row = transaction.row(f"select {digest(database.dialect, [part])} from crosstie.w_1_2_ok s")
    assert row is not None and bytes(row[0]) == sha256(b"4:00ff").digest()

"""What is loaded is what is read, the same on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.db.database import Database
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType
from tests.contract.database.rows import load, read

WALL = partial(datetime, tzinfo=None)
INSTANT = partial(datetime, tzinfo=UTC)
LAST = (9999, 12, 31, 23, 59, 59, 999999)
COLUMNS = (
    Column(name="position", type=ColumnType.INTEGER),
    Column(name="Name", type=ColumnType.TEXT),
    Column(name="order", type=ColumnType.INTEGER),
    Column(name="a.b", type=ColumnType.DECIMAL, scale=4),
    Column(name='odd "name"', type=ColumnType.FLOAT),
    Column(name="optIn", type=ColumnType.BOOLEAN),
    Column(name="birth", type=ColumnType.DATE),
    Column(name="stamp", type=ColumnType.INSTANT),
    Column(name="wall", type=ColumnType.WALL_CLOCK),
    Column(name="at", type=ColumnType.TIME),
    Column(name="tags", type=ColumnType.SET),
    Column(name="raw", type=ColumnType.BINARY),
)
ROWS: list[tuple[Any, ...]] = [
    (None,) * 11,
    ("", 0, Decimal(0), 0.0, False, date(1970, 1, 1), INSTANT(1970, 1, 1), WALL(1970, 1, 1), time(), "", b""),
    ("O'Brien; \"q\"\r\n\t\\N", -1, Decimal("-0.0001"), -1.5, True, date(1, 1, 1), INSTANT(1, 1, 1), WALL(1, 1, 1),
     time(23, 59, 59, 999999), "a;b", b"\0\xff"),
    ("𝒜 e\u0301 é \ufeff 中文 العربية 👩\u200d👧", 2**63 - 1, Decimal("99999999999.9999"), 1e308, True,
     date(9999, 12, 31), INSTANT(*LAST), WALL(*LAST), time(0, 0, 0, 1), "é;中", b"x" * 300),
    ("x" * 5000, -(2**63), Decimal("-12345678901.2345"), 5e-324, False, date(1969, 12, 31),
     INSTANT(1969, 12, 31, 23, 59, 59, 1), WALL(1900, 2, 28, 1, 2, 3, 4), time(1, 2, 3), "z", None),
]  # fmt: skip


def numbered(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(number, *row) for number, row in enumerate(rows)]


def test_every_type_comes_back_the_same(database: Database) -> None:
    rows = numbered(ROWS)
    load(database, COLUMNS, rows)
    assert read(database, COLUMNS, "position") == rows
    assert read(database, COLUMNS, "position", batch_rows=2) == rows


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
_ROWS = st.lists(
    st.tuples(
        st.none() | _TEXT,
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.decimals(-99999999999, 99999999999, places=4),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.booleans(),
        st.none() | st.dates(),
        st.none() | st.datetimes(timezones=st.just(UTC)),
        st.none() | st.datetimes(),
        st.none() | st.times(),
        st.none() | _TEXT,
        st.none() | st.binary(max_size=30),
    ),
    min_size=1,
    max_size=20,
)


@given(rows=_ROWS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_generated_values_come_back_the_same(database: Database, rows: list[tuple[Any, ...]]) -> None:
    load(database, COLUMNS, numbered(rows))
    assert read(database, COLUMNS, "position") == numbered(rows)


def test_a_batch_may_have_another_scale(database: Database) -> None:
    columns = (Column(name="d", type=ColumnType.DECIMAL, scale=2),)
    wide = Column(name="d", type=ColumnType.DECIMAL, scale=6)
    database.create_work("w_1_1_1_ok", columns)
    with database.load("w_1_1_1_ok", columns) as loading:
        for scale, value in ((2, "1.25"), (6, "2.000001"), (0, "3"), (2, None), (10, "4.0000000000")):
            array = pa.array([None if value is None else Decimal(value)], pa.decimal128(38, scale))
            loading.write(pa.RecordBatch.from_arrays([array], names=["d"]))
    expected = [Decimal("1.25"), Decimal("2.000001"), Decimal(3), Decimal(4), None]
    assert [row[0] for row in read(database, [wide], "case when d is null then 1 else 0 end, d")] == expected


def test_long_decimals_are_exact_or_refused_by_name(database: Database) -> None:
    columns = (Column(name="amount", type=ColumnType.DECIMAL, scale=10),)
    value = Decimal("1234567890123456789012345678.0123456789")
    if database.dialect == "postgresql":
        load(database, columns, [(value,), (-value,)])
        assert read(database, columns, "amount") == [(-value,), (value,)]
        return
    for refused in (value, Decimal("1234567.1234567891"), Decimal(2**63)):
        with pytest.raises(DatabaseError, match="amount") as caught:
            load(database, columns, [(Decimal(1),), (refused,)])
        assert caught.value.code == "INEXACT_DECIMAL"
    assert read(database, columns, "amount") == []


def test_whole_decimals_of_nineteen_digits_are_exact(database: Database) -> None:
    columns = (Column(name="amount", type=ColumnType.DECIMAL, scale=2),)
    rows = [(Decimal(-(2**63)),), (Decimal("0.25"),), (Decimal(2**53 + 1),), (Decimal(2**63 - 1),)]
    load(database, columns, rows)
    assert read(database, columns, "amount") == rows


@given(
    digits=st.integers(1, 10**15 - 1),
    scale=st.integers(0, 15),
    negative=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fifteen_digits_are_exact_at_any_scale(database: Database, digits: int, scale: int, negative: bool) -> None:
    columns = (Column(name="amount", type=ColumnType.DECIMAL, scale=15),)
    value = Decimal(-digits if negative else digits).scaleb(-scale)
    load(database, columns, [(value,), (None,)])
    assert read(database, columns, "amount is null") == [(value,), (None,)]


def test_text_with_a_nul_is_refused_by_name(database: Database) -> None:
    columns = (Column(name="note", type=ColumnType.TEXT),)
    with pytest.raises(DatabaseError, match=r"note.*'a\\x00b'"):
        load(database, columns, [("fine",), ("a\0b",)])
    assert read(database, columns, "note") == []


def test_a_time_outside_the_years_of_both_is_refused_by_name(database: Database) -> None:
    columns = (Column(name="stamp", type=ColumnType.INSTANT),)
    database.create_work("w_1_1_1_ok", columns)
    array = pa.array([0, 253402300800000000], pa.int64()).cast(pa.timestamp("us", "UTC"))
    with pytest.raises(DatabaseError, match="stamp"), database.load("w_1_1_1_ok", columns) as loading:
        loading.write(pa.RecordBatch.from_arrays([array], names=["stamp"]))


def test_a_batch_of_another_shape_is_a_mistake_of_the_caller(database: Database) -> None:
    columns = (Column(name="n", type=ColumnType.INTEGER),)
    database.create_work("w_1_1_1_ok", columns)
    with pytest.raises(TypeError, match="comes as"), database.load("w_1_1_1_ok", columns) as loading:
        loading.write(pa.RecordBatch.from_arrays([pa.array(["x"])], names=["n"]))
    with pytest.raises(TypeError, match="2 columns"), database.load("w_1_1_1_ok", columns) as loading:
        loading.write(pa.RecordBatch.from_arrays([pa.array([1]), pa.array([1])], names=["n", "m"]))


def test_texts_compare_byte_by_byte(database: Database) -> None:
    columns = (Column(name="t", type=ColumnType.TEXT),)
    texts = ["a", "B", "b", "A", "é", "e\u0301", "z", "Z", "_", "1", "10", "2", " ", "ß", "𝒜", "\uffff"]
    load(database, columns, [(text,) for text in texts])
    assert [row[0] for row in read(database, columns, "t")] == sorted(texts, key=lambda text: text.encode())
    with database.reading() as transaction:
        assert transaction.row("select count(*) from crosstie.w_1_1_1_ok where t = 'a'") == (1,)


def test_reading_binds_values_of_every_kind(database: Database) -> None:
    columns = (COLUMNS[0], COLUMNS[7], COLUMNS[6], COLUMNS[3])
    instant = datetime(2026, 11, 23, 1, 7, 37, 5, tzinfo=UTC)
    load(database, columns, [(1, instant, date(2026, 1, 1), Decimal("2.5")), (2, None, None, None)])
    sql = (
        'select position, stamp, birth, "a.b" from crosstie.w_1_1_1_ok'
        ' where stamp = :stamp and birth = :birth and "a.b" = :amount and position = :position'
    )
    wanted = {"stamp": instant, "birth": date(2026, 1, 1), "amount": Decimal("2.50"), "position": 1}
    assert sum(batch.num_rows for batch in database.read(sql, wanted, columns)) == 1
    assert sum(batch.num_rows for batch in database.read(sql, {**wanted, "position": 2}, columns)) == 0


def test_a_value_that_is_not_of_the_type_is_named(database: Database) -> None:
    load(database, (Column(name="t", type=ColumnType.TEXT),), [("soon",)])
    wanted = [Column(name="t", type=ColumnType.DATE)]
    with pytest.raises(DatabaseError):
        list(database.read("select t from crosstie.w_1_1_1_ok", None, wanted))


def test_an_unfinished_read_harms_nothing(database: Database) -> None:
    columns = (Column(name="n", type=ColumnType.INTEGER),)
    load(database, columns, [(n,) for n in range(1000)])
    reading = database.read("select n from crosstie.w_1_1_1_ok order by n", None, columns, batch_rows=10)
    assert next(reading).column(0).to_pylist() == list(range(10))
    reading.close()  # type: ignore[attr-defined]
    database.drop_work(["w_1_1_1_ok"])
    assert database.work_tables() == ()

"""Batches and readings that the suite's modules share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from crosstie.db.columns import arrow_schema, arrow_type
from crosstie.db.database import Database
from crosstie.model import Column

WORK = "w_1_1_1_ok"


def batch_of(columns: Sequence[Column], rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """The rows as a batch of a table with those columns."""
    arrays = [pa.array([row[i] for row in rows], arrow_type(column)) for i, column in enumerate(columns)]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(tuple(columns)))


def load(database: Database, columns: Sequence[Column], rows: Sequence[tuple[Any, ...]]) -> None:
    """Makes the work table anew and loads the rows as one batch."""
    database.create_work(WORK, columns)
    with database.load(WORK, columns) as loading:
        loading.write(batch_of(columns, rows))


def read(database: Database, columns: Sequence[Column], order: str, **more: Any) -> list[tuple[Any, ...]]:
    """The rows of the work table in that order, checked to be typed as asked."""
    names = ", ".join(database.quote(column.name) for column in columns)
    found = []
    for batch in database.read(f"select {names} from crosstie.{WORK} order by {order}", None, columns, **more):
        assert batch.schema == arrow_schema(tuple(columns))
        found += list(zip(*[column.to_pylist() for column in batch.columns], strict=True))
    return found


def count(database: Database, name: str = WORK) -> int:
    """How many rows the work table has."""
    with database.reading() as transaction:
        found = transaction.row(f"select count(*) from crosstie.{name}")
    assert found is not None
    return int(found[0])

"""The key of a work table: how private tables refer to its rows, and a number where nothing tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crosstie.db.database import Database
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, WorkTable

ROW = Column(name="crosstie_row", type=ColumnType.INTEGER)


def row_column(columns: Sequence[Column]) -> Column:
    """The column for the number of a row, under a name that no column has yet."""
    taken = {column.name.lower() for column in columns}
    names = (ROW.name, *(f"{ROW.name}_{number}" for number in range(2, len(taken) + 2)))
    return ROW.named(next(name for name in names if name not in taken))


def key_columns(table: WorkTable, letter: str = "s") -> tuple[Column, ...]:
    """The columns in which a private table keeps the work table's key: `s_1`, `s_2` …"""
    found = (table.column(name) for name in table.key)
    return tuple(column.named(f"{letter}_{place}") for place, column in enumerate(found, 1) if column is not None)


def same_key(table: WorkTable, alias: str) -> str:
    """The condition that joins such a private table to the work table, alias s."""
    return " and ".join(f"{alias}.s_{place} = s.{quote_identifier(name)}" for place, name in enumerate(table.key, 1))


def numbered(db: Database, table: WorkTable, name: str, purpose: str) -> WorkTable:
    """The work table itself when its key is known, else a copy under that private name: its rows, numbered in the
    order of their values, with the number as key."""
    if table.key:
        return table
    row = row_column(table.columns)
    db.create_work(name, (*table.columns, row))
    listed = ", ".join(quote_identifier(column.name) for column in table.columns)
    order = ", ".join(f"{quote_identifier(column.name)} nulls first" for column in table.columns)
    with db.transaction(purpose) as transaction:
        transaction.execute(
            f"insert into crosstie.{name} ({listed}, {row.name}) select {listed},"
            f" row_number() over (order by {order}) from crosstie.{table.name}"
        )
    db.prepare(name, (row.name,), unique=True)
    return replace(table, name=name, columns=(*table.columns, row), key=(row.name,), bases=())

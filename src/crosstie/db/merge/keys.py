"""The key of a work table: how private tables refer to its rows, and a number where nothing tells them apart."""

from __future__ import annotations

from dataclasses import replace

from crosstie.db.database import Database
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, WorkTable

ROW = Column(name="crosstie_row", type=ColumnType.INTEGER)


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
    db.create_work(name, (*table.columns, ROW))
    listed = ", ".join(quote_identifier(column.name) for column in table.columns)
    with db.transaction(purpose) as transaction:
        transaction.execute(
            f"insert into crosstie.{name} ({listed}, {ROW.name}) select {listed},"
            f" row_number() over (order by {listed}) from crosstie.{table.name}"
        )
    db.prepare(name, (ROW.name,), unique=True)
    return replace(table, name=name, columns=(*table.columns, ROW), key=(ROW.name,), bases=())

"""People's tables in a SQLite file, as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from crosstie.db.columns import from_sqlite_type, sqlite_type
from crosstie.db.database import Transaction
from crosstie.db.statements import SQLITE_PREFIX, quote_identifier
from crosstie.model import Column, Table

_HIDDEN = 1  # the hidden columns of a virtual table; 2 and 3 are generated ones, which can be read


def tables(transaction: Transaction) -> tuple[str, ...]:
    """Names of people's tables and views, in order."""
    found = transaction.rows("select name from sqlite_master where type in ('table', 'view') order by name")
    return tuple(name for (name,) in found if not name.startswith((SQLITE_PREFIX, "sqlite_")))


def reflect(transaction: Transaction, name: str) -> Table | None:
    """The table or view of that name (SQLite compares names of tables without regard to ASCII case); ours are none."""
    if name.lower().startswith((SQLITE_PREFIX, "sqlite_")):
        return None
    found = transaction.row(
        "select name, type from sqlite_master where type in ('table', 'view') and lower(name) = lower(:name)"
        " order by name = :name desc",
        {"name": name},
    )
    if found is None:
        return None
    true_name, kind = found
    described = transaction.rows(
        'select name, type, "notnull", pk from pragma_table_xinfo(:name) where hidden <> :hidden order by cid',
        {"name": true_name, "hidden": _HIDDEN},
    )
    columns = tuple(_column(*row) for row in described)
    key = tuple(name for _, name in sorted((position, name) for name, _, _, position in described if position))
    unique = tuple(_unique(transaction, true_name)) if kind == "table" else ()
    return Table(name=true_name, columns=columns, key=key, unique=unique)


def _column(name: str, declared: str, not_null: int, key_position: int) -> Column:
    return from_sqlite_type(name, declared or "", nullable=not not_null and not key_position)


def _unique(transaction: Transaction, table: str) -> Iterator[tuple[str, ...]]:
    indexes = transaction.rows(
        "select name from pragma_index_list(:name) where \"unique\" = 1 and partial = 0 and origin <> 'pk'"
        " order by name",
        {"name": table},
    )
    for (index,) in indexes:
        columns = transaction.rows(
            "select cid, name from pragma_index_xinfo(:name) where key = 1 order by seqno", {"name": index}
        )
        if all(position >= 0 for position, _ in columns):  # -2 is an expression
            yield tuple(name for _, name in columns)


def widened(declared: str, columns: Sequence[Column]) -> str:
    """The statement of a table with the declared lengths of text columns changed to those of `columns`. A column that
    it does not declare in so many words stays as it is."""
    for column in columns:
        name = f'(?:{re.escape(quote_identifier(column.name))}|(?<![\\w"]){re.escape(column.name)})'
        found = list(re.finditer(rf"({name}\s+)VARCHAR\s*\(\s*\d+\s*\)", declared, re.IGNORECASE))
        if len(found) == 1:
            match = found[0]
            declared = f"{declared[: match.start()]}{match[1]}{sqlite_type(column)}{declared[match.end() :]}"
    return declared

"""The foreign keys between people's tables, as the database declares them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from crosstie.db.database import Transaction
from crosstie.db.statements import NAMESPACE, SQLITE_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """`columns` of `table` refer to `to_columns` of `to`, in the same order. Tables have the names that people see."""

    table: str
    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...]


def foreign_keys(transaction: Transaction) -> tuple[ForeignKey, ...]:
    """All of them, by table and in the order of declaration."""
    read = _of_postgresql if transaction.dialect == "postgresql" else _of_sqlite
    return tuple(read(transaction))


def _of_postgresql(transaction: Transaction) -> Iterator[ForeignKey]:
    named = "case when pg_table_is_visible({0}.oid) then {0}.relname else {0}n.nspname || '.' || {0}.relname end"
    rows = transaction.rows(
        f"select k.oid, {named.format('s')}, a.attname, {named.format('t')}, b.attname from pg_constraint k"
        " join pg_class s on s.oid = k.conrelid join pg_namespace sn on sn.oid = s.relnamespace"
        " join pg_class t on t.oid = k.confrelid join pg_namespace tn on tn.oid = t.relnamespace"
        " cross join lateral unnest(k.conkey, k.confkey) with ordinality as p(own, other, position)"
        " join pg_attribute a on a.attrelid = s.oid and a.attnum = p.own"
        " join pg_attribute b on b.attrelid = t.oid and b.attnum = p.other"
        # A partition repeats the constraints of its parent.
        " where k.contype = 'f' and k.conparentid = 0 and not s.relispartition and not t.relispartition"
        " and sn.nspname <> :ours and tn.nspname <> :ours order by 2, k.oid, p.position",
        {"ours": NAMESPACE},
    )
    for (_, table, to), of_one in groupby(rows, key=lambda row: (row[0], row[1], row[3])):
        pairs = [(str(row[2]), str(row[4])) for row in of_one]
        yield _key(str(table), str(to), pairs)


def _of_sqlite(transaction: Transaction) -> Iterator[ForeignKey]:
    rows = transaction.rows(
        'select m.name, f.id, f."from", r.name, f."to" from sqlite_master m'
        " join pragma_foreign_key_list(m.name) f left join sqlite_master r on r.type = 'table'"
        " and lower(r.name) = lower(f.\"table\") where m.type = 'table' order by m.name, f.id desc, f.seq"
    )
    for (table, _, to), of_one in groupby(rows, key=lambda row: (row[0], row[1], row[3])):
        pairs = [(str(row[2]), row[4]) for row in of_one]
        # SQLite takes a reference to a table that is not there.
        if to is None or str(table).startswith(SQLITE_PREFIX) or str(to).startswith(SQLITE_PREFIX):
            continue
        if any(other is None for _, other in pairs):
            pairs = _onto_primary_key(transaction, str(to), [own for own, _ in pairs])
        if pairs:
            yield _key(str(table), str(to), [(own, str(other)) for own, other in pairs])


def _onto_primary_key(transaction: Transaction, to: str, columns: list[str]) -> list[tuple[str, str]]:
    """A reference that names no columns is to the primary key."""
    key = transaction.rows("select name from pragma_table_info(:name) where pk > 0 order by pk", {"name": to})
    return [] if len(key) != len(columns) else list(zip(columns, (str(name) for (name,) in key), strict=True))


def _key(table: str, to: str, pairs: list[tuple[str, str]]) -> ForeignKey:
    return ForeignKey(
        table=table,
        columns=tuple(own for own, _ in pairs),
        to=to,
        to_columns=tuple(other for _, other in pairs),
    )

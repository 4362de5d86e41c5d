"""People's tables in PostgreSQL, as they are."""

from __future__ import annotations

from crosstie.db.columns import UNDECLARED_SCALE
from crosstie.db.database import Transaction
from crosstie.db.statements import NAMESPACE
from crosstie.model import Column, ColumnType, Table

_TYPES = {
    "int2": ColumnType.INTEGER,
    "int4": ColumnType.INTEGER,
    "int8": ColumnType.INTEGER,
    "oid": ColumnType.INTEGER,
    "numeric": ColumnType.DECIMAL,
    "money": ColumnType.DECIMAL,
    "float4": ColumnType.FLOAT,
    "float8": ColumnType.FLOAT,
    "bool": ColumnType.BOOLEAN,
    "date": ColumnType.DATE,
    "timestamptz": ColumnType.INSTANT,
    "timestamp": ColumnType.WALL_CLOCK,
    "time": ColumnType.TIME,
    "bytea": ColumnType.BINARY,
}
_HEADER = 4  # the type modifier of varchar and numeric counts these bytes in
_TABLES = (
    "select n.nspname, c.relname, pg_table_is_visible(c.oid), c.oid from pg_class c join pg_namespace n on n.oid ="
    " c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and n.nspname <> :ours"
    " and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%'"
    " and has_schema_privilege(n.oid, 'USAGE')"
)
# A domain is read as what it stands on.
_COLUMNS = (
    "select a.attname, case t.typtype when 'd' then b.typname else t.typname end,"
    " case when t.typtype = 'd' and a.atttypmod = -1 then t.typtypmod else a.atttypmod end,"
    " a.attnotnull or t.typnotnull"
    " from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_type b on b.oid = t.typbasetype"
    " where a.attrelid = :oid and a.attnum > 0 and not a.attisdropped order by a.attnum"
)
_KEYS = (
    "select i.indisprimary, i.indexrelid, a.attname from pg_index i"
    " cross join lateral unnest(i.indkey) with ordinality as k(attnum, position)"
    " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum"
    " where i.indrelid = :oid and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null"
    " and k.position <= i.indnkeyatts order by i.indexrelid, k.position"
)


def tables(transaction: Transaction) -> tuple[str, ...]:
    """Names of people's tables and views, in order; `schema.table` where the search path does not find it."""
    found = transaction.rows(_TABLES, {"ours": NAMESPACE})
    return tuple(sorted(name if visible else f"{schema}.{name}" for schema, name, visible, _ in found))


def reflect(transaction: Transaction, name: str) -> Table | None:
    """The table or view of that name, exact, else the only one that matches without regard to case."""
    found: dict[str, int] = {}
    for schema, relation, visible, oid in transaction.rows(_TABLES, {"ours": NAMESPACE}):
        full = f"{schema}.{relation}"
        found[relation if visible and full != name else full] = oid
    if name not in found:
        alike = [one for one in found if one.lower() == name.lower()]
        if len(alike) != 1:
            return None
        name = alike[0]
    oid = found[name]
    described = transaction.rows(_COLUMNS, {"oid": oid})
    key: list[str] = []
    unique: dict[int, list[str]] = {}
    for primary, index, column in transaction.rows(_KEYS, {"oid": oid}):
        (key if primary else unique.setdefault(index, [])).append(column)
    return Table(
        name=name,
        columns=tuple(_column(*row) for row in described),
        key=tuple(key),
        unique=tuple(tuple(columns) for columns in unique.values()),
    )


def _column(name: str, type_name: str, modifier: int, not_null: bool) -> Column:
    kind = _TYPES.get(type_name, ColumnType.TEXT)
    length = modifier - _HEADER if type_name in ("varchar", "bpchar") and modifier >= _HEADER else 0
    scale = 0
    if kind is ColumnType.DECIMAL:
        # PostgreSQL 15 and newer keep the scale in 11 bits, as a signed number.
        stored = (modifier - _HEADER) & 0x7FF if modifier >= _HEADER else UNDECLARED_SCALE
        scale = max(stored - 0x800 if stored > 1000 else stored, 0)
    return Column(name=name, type=kind, length=length, scale=scale, nullable=not not_null)

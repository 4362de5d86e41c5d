"""Finding, for each row of a work table, the row of a table of people's that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crosstie.db.database import Transaction
from crosstie.db.merge.target import Target, TargetColumn
from crosstie.db.statements import quote_identifier
from crosstie.model import ColumnType


def give_memory(transaction: Transaction) -> None:
    """Gives the transaction's joins and sorts memory for whole populations; PostgreSQL's default is for small ones."""
    if transaction.dialect == "postgresql":
        transaction.execute("set local work_mem = '64MB'")


def ambiguous_column(link: str) -> str:
    """The work table's column that is true where several rows were found for a link and none was chosen."""
    return f"{link}_ambiguous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A piece of SQL with its bound parameters. `column` names the column when it is nothing but one."""

    sql: str
    type: ColumnType
    params: Mapping[str, object] = field(default_factory=dict)
    column: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """`source` (over alias s, the work table) must equal `target` (over alias t, the table)."""

    source: Fragment
    target: Fragment


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """What comes first: the highest or the lowest of `value`; a null always comes last."""

    value: Fragment
    highest: bool

    @property
    def sql(self) -> str:
        """As it stands in an `order by`."""
        return f"{self.value.sql} {'desc' if self.highest else 'asc'} nulls last"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """For each combination of the pairs' values that occurs in the work table: the key of the table's row, and how
    many rows there are. `sql` is a derived table under `alias`, `on` joins it to alias s."""

    sql: str
    alias: str
    on: str
    params: Mapping[str, object]
    keys: tuple[str, ...]
    found: str
    unique: bool

    @property
    def join(self) -> str:
        """As it stands after `from`."""
        return f" left join {self.sql} {self.alias} on {self.on}"


def candidates(
    target: Target, source: str, pairs: Sequence[Pair], *, alias: str, order: Sequence[Ordering] = ()
) -> Candidates:
    """Matches alias s, the rows of `source`, with the target by pairs that must all hold; null never equals anything.

    Of several rows the first by `order` is given, and `found` is 1; without an order `found` tells their number."""
    params = {
        name: value for pair in pairs for part in (pair.source, pair.target) for name, value in part.params.items()
    }
    for one in order:
        params.update(one.value.params)
    plain = [_plain(target, pair) for pair in pairs]
    columns = [one for one in plain if one is not None]
    if len(columns) == len(pairs) and _is_unique(target, [one.name for one in columns]):
        return _direct(target, pairs, columns, alias, params)
    names = [f"c_{number}" for number in range(1, len(pairs) + 1)]
    on = " and ".join(
        f"{alias}.{name} = {_given(target, pair, column)}"
        for name, pair, column in zip(names, pairs, plain, strict=True)
    )
    grouped = _grouped(target, source, pairs, plain, names, order)
    return Candidates(
        sql=f"({grouped})",
        alias=alias,
        on=on,
        params=params,
        keys=tuple(f"{alias}.k_{number}" for number in range(1, len(target.key) + 1)),
        found=f"{alias}.found",
        unique=bool(order),
    )


def joined(target: Target, pairs: Sequence[Pair]) -> str:
    """The condition that joins alias t, the target, to alias s by pairs that must all hold."""
    return " and ".join(f"{left} = {right}" for left, right in zip(*matched(target, pairs), strict=True))


def matched(target: Target, pairs: Sequence[Pair]) -> tuple[list[str], list[str]]:
    """The values over alias t, the target, and those over alias s that must equal them, one by one."""
    plain = [(pair, _plain(target, pair)) for pair in pairs]
    wanted = [_compared(target, pair, column) for pair, column in plain]
    return wanted, [_given(target, pair, column) for pair, column in plain]


def _plain(target: Target, pair: Pair) -> TargetColumn | None:
    """The target's column when the right side is nothing but one that compares as it is."""
    column = target.column(pair.target.column) if pair.target.column else None
    if column is not None and column.column.type is ColumnType.TEXT and not column.is_plain_text:
        return None
    return column


def _given(target: Target, pair: Pair, column: TargetColumn | None) -> str:
    return pair.source.sql if column is None else target.given(column, pair.source.sql)


def _compared(target: Target, pair: Pair, plain: TargetColumn | None) -> str:
    """The right side over alias t."""
    if plain is not None:
        return f"t.{quote_identifier(plain.name)}"
    return target.read("t", target.column(pair.target.column)) if pair.target.column else pair.target.sql


def _is_unique(target: Target, names: Sequence[str]) -> bool:
    sets = [one for one in (target.table.key, *target.table.unique) if one]
    return any(set(one) <= set(names) for one in sets)


def _direct(
    target: Target, pairs: Sequence[Pair], columns: Sequence[TargetColumn], alias: str, params: Mapping[str, object]
) -> Candidates:
    """The table itself is joined, through the index that makes the columns unique."""
    keys = tuple(target.read(alias, column) for column in target.key)
    return Candidates(
        sql=target.sql,
        alias=alias,
        on=" and ".join(
            f"{alias}.{quote_identifier(column.name)} = {target.given(column, pair.source.sql)}"
            for pair, column in zip(pairs, columns, strict=True)
        ),
        params=params,
        keys=keys,
        found=f"(case when {keys[0]} is not null then 1 end)",
        unique=True,
    )


def _grouped(
    target: Target,
    source: str,
    pairs: Sequence[Pair],
    plain: Sequence[TargetColumn | None],
    names: Sequence[str],
    order: Sequence[Ordering],
) -> str:
    values = [_compared(target, pair, column) for pair, column in zip(pairs, plain, strict=True)]
    wanted = ", ".join(_given(target, pair, column) for pair, column in zip(pairs, plain, strict=True))
    left = values[0] if len(values) == 1 else f"({', '.join(values)})"
    present = " and ".join(f"({pair.source.sql}) is not null" for pair in pairs)
    restricted = f"{left} in (select {wanted} from {source} s where {present})"
    shown = ", ".join(f"{value} as {name}" for value, name in zip(values, names, strict=True))
    keys = [target.read("t", column) for column in target.key]
    if not order and len(keys) == 1:
        return (
            f"select {shown}, min({keys[0]}) as k_1, count(*) as found from {target.sql} t"
            f" where {restricted} group by {', '.join(values)}"
        )
    by = ", ".join([*(one.sql for one in order), *keys])
    numbered = ", ".join(f"{key} as k_{number}" for number, key in enumerate(keys, 1))
    found = "1" if order else f"count(*) over (partition by {', '.join(values)})"
    return (
        f"select {', '.join(names)}, {', '.join(f'k_{number}' for number in range(1, len(keys) + 1))}, found from ("
        f"select {shown}, {numbered}, {found} as found,"
        f" row_number() over (partition by {', '.join(values)} order by {by}) as place"
        f" from {target.sql} t where {restricted}) ranked where place = 1"
    )

"""Ties: what joins a remote record and a local row, with the values that both sides last agreed on.

The register `crosstie.tie` names a table of its own for each account, object and local table. Its rows are written in
the transaction of *update data*. See docs/decisions/001-storage-of-the-sync.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from crosstie.db.columns import postgresql_cast, postgresql_type, sqlite_type
from crosstie.db.database import Database, Dialect, Transaction
from crosstie.db.merge import Carried, Companion, Fragment, Merge, Target, TargetColumn
from crosstie.db.merge.plan import CONFLICT
from crosstie.db.merge.staging import DELETED, IGNORED
from crosstie.db.statements import quote_identifier
from crosstie.errors import ConfigError, DatabaseError
from crosstie.model import Column, ColumnType, Lineage
from crosstie.sync.conflicts import Conflicts, OnConflict, Sides, later_here

_FIXED = ("remote_id", "local_key", "stamp", "tombstone")
# From this many rows on, an index is built after the rows are in rather than with them.
_BULK_ROWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A remote field of which ties keep the agreed value, as that column."""

    field: str
    column: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Agreement):
    """A remote field whose value goes into the local row unchanged. `value` is the inbound value (over alias s);
    `applied` the condition (over s and t) under which it is written, '' for always. `staged` names the stage's column
    that holds it already, '' for none. `into` names the local column whose own value is compared with what was agreed
    before it is overwritten, '' for none; `on_conflict` says what is done where both sides have changed the field."""

    value: Fragment
    applied: Fragment | None = None
    staged: str = ""
    into: str = ""
    on_conflict: OnConflict = "crm"


@dataclass(frozen=True, slots=True, kw_only=True)
class TieColumn:
    """The column of a tie table that holds a remote field's agreed value."""

    field: str
    name: str
    type: ColumnType
    scale: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TieTable:
    """A tie table as registered."""

    name: str
    columns: tuple[TieColumn, ...]

    def find(self, field: str, kind: ColumnType) -> TieColumn | None:
        """The column that holds the agreed values of a remote field, of that type."""
        return next((one for one in self.columns if (one.field, one.type) == (field, kind)), None)


def open_ties(db: Database, lineage: Lineage, local_table: str, agreements: Sequence[Agreement]) -> TieTable:
    """The tie table of an object and a local table, made or widened where it does not fit yet.

    Raises ConfigError when these ties belong to another org behind the same account."""
    with db.reading() as transaction:
        table = find_ties(transaction, lineage, local_table)
    if table is not None and all(table.find(one.field, one.column.type) for one in agreements):
        return table
    with db.transaction(f"ties of {lineage.object} and {local_table} are set up") as transaction:
        return _set_up(transaction, lineage, local_table, agreements)


def tie_tables(transaction: Transaction, lineage: Lineage) -> tuple[str, ...]:
    """The names of all tie tables of an object, whatever the local table."""
    rows = transaction.rows(
        "select table_name from crosstie.tie where account = :account and org = :org and object = :object"
        " and table_name <> '' order by id",
        {"account": lineage.account, "org": lineage.org, "object": lineage.object},
    )
    return tuple(str(row[0]) for row in rows)


def owner_of(transaction: Transaction, table: TieTable, remote_id: str) -> str:
    """The key of the local row that a record is tied to; '' for none."""
    row = transaction.row(
        f"select local_key from crosstie.{table.name} where remote_id = :id and tombstone is null", {"id": remote_id}
    )
    return str(row[0]) if row else ""


def find_ties(transaction: Transaction, lineage: Lineage, local_table: str) -> TieTable | None:
    """The tie table of an object and a local table; None before anything was tied.

    Raises ConfigError when these ties belong to another org behind the same account."""
    rows = transaction.rows(
        "select org, table_name, columns from crosstie.tie where account = :account and object = :object"
        " and local_table = :table",
        {"account": lineage.account, "object": lineage.object, "table": local_table},
    )
    other = [str(row[0]) for row in rows if row[0] != lineage.org]
    if other:
        raise ConfigError(
            f"Account {lineage.account} now leads to the org {lineage.org}, but the rows of {local_table} are tied to"
            f" {lineage.object} records of the org {other[0]}.",
            hint="Nothing was written. Point the account back at that org, or use another account for this one.",
        )
    if not rows or not rows[0][1]:
        return None
    columns = [TieColumn(**{**one, "type": ColumnType(one["type"])}) for one in json.loads(str(rows[0][2]))]
    return TieTable(name=str(rows[0][1]), columns=tuple(columns))


def _set_up(transaction: Transaction, lineage: Lineage, local_table: str, agreements: Sequence[Agreement]) -> TieTable:
    place: Mapping[str, object] = {
        "account": lineage.account,
        "org": lineage.org,
        "object": lineage.object,
        "table": local_table,
    }
    transaction.execute(
        "insert into crosstie.tie (account, org, object, local_table) values (:account, :org, :object, :table)"
        " on conflict (account, org, object, local_table) do nothing",
        place,
    )
    row = transaction.row(
        "select id from crosstie.tie where account = :account and org = :org and object = :object"
        " and local_table = :table",
        place,
    )
    if row is None:
        raise DatabaseError(f"the register of ties of {local_table} could not be written")
    table = find_ties(transaction, lineage, local_table)
    if table is None:
        table = TieTable(name=f"tie_{int(row[0])}", columns=())
        _create(transaction, table.name)
    for one in agreements:
        if table.find(one.field, one.column.type) is None:
            table = _widened(transaction, table, one)
    transaction.execute(
        "update crosstie.tie set table_name = :name, columns = :columns where id = :id",
        {"name": table.name, "columns": json.dumps([asdict(one) for one in table.columns]), "id": int(row[0])},
    )
    return table


def _type(dialect: Dialect, column: Column) -> str:
    return postgresql_type(column) if dialect == "postgresql" else sqlite_type(column)


def _create(transaction: Transaction, name: str) -> None:
    text = _type(transaction.dialect, Column(name="x", type=ColumnType.TEXT))
    instant = _type(transaction.dialect, Column(name="x", type=ColumnType.INSTANT))
    without = " without rowid" if transaction.dialect == "sqlite" else ""
    transaction.execute(
        f"create table crosstie.{name} (remote_id {text} not null, local_key {text} not null, stamp {instant},"
        f" tombstone {instant}, primary key (remote_id)){without}"
    )
    _index_local_keys(transaction, name)


def _index_local_keys(transaction: Transaction, name: str) -> None:
    transaction.execute(f"create index {_index(transaction, name)} on crosstie.{name} (local_key)")


def _index(transaction: Transaction, name: str) -> str:
    return f"{'crosstie_' if transaction.dialect == 'sqlite' else ''}{name}_local"


def _widened(transaction: Transaction, table: TieTable, agreement: Agreement) -> TieTable:
    taken = {one.name.lower() for one in table.columns} | set(_FIXED)
    name, number = agreement.field, 2
    while name.lower() in taken:
        name, number = f"{agreement.field}_{number}", number + 1
    column = TieColumn(field=agreement.field, name=name, type=agreement.column.type, scale=agreement.column.scale)
    kind = _type(transaction.dialect, Column(name=name, type=column.type, scale=column.scale))
    transaction.execute(f"alter table crosstie.{table.name} add column {quote_identifier(name)} {kind}")
    return TieTable(name=table.name, columns=(*table.columns, column))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tying:
    """The ties that a merge writes. `remote_id` and `stamp` are inbound values over alias s; `takes_tied` says whether
    a row that is found in no other way is the one it was tied to; `buries` that the merge deletes rows, `appends` that
    it looks for none. `changed_at` is the local column that tells when a row was changed. `gone`: the records were
    deleted on the CRM; whatever is done with their rows, nothing leads from them to their rows any more."""

    table: TieTable
    target: Target
    exchanges: tuple[Exchange, ...]
    remote_id: Fragment
    stamp: Fragment | None
    takes_tied: bool
    buries: bool = False
    appends: bool = False
    changed_at: TargetColumn | None = None
    gone: bool = False

    def carried(self, *, empty: bool) -> tuple[Carried, ...]:
        """What the merge stages for us: the same columns whether there are ties yet or not."""
        found = [Carried(column=Column(name="remote_id", type=ColumnType.TEXT), value=self.remote_id)]
        if self.stamp is not None:
            found.append(Carried(column=Column(name="stamp", type=ColumnType.INSTANT), value=self.stamp))
        for one in self.exchanges:
            if not one.staged:
                found.append(Carried(column=one.column, value=one.value))
            elif one.into:
                # What is staged for the row may be its own value; not so where nothing is tied yet.
                value = replace(one.value, sql=self._null(one.column)) if empty else one.value
                found.append(Carried(column=one.column, value=value))
            if one.applied is not None:
                found.append(Carried(column=Column(name="applied", type=ColumnType.BOOLEAN), value=one.applied))
        for told in self._decisions(empty=empty):
            value = Fragment(sql=told, type=ColumnType.INTEGER)
            found.append(Carried(column=Column(name="conflicts", type=ColumnType.INTEGER), value=value))
        return tuple(found)

    def _null(self, column: Column) -> str:
        return "null" if self.target.dialect == "sqlite" else f"cast(null as {postgresql_cast(column)})"

    def _sides(self) -> tuple[Sides, ...]:
        """The exchanges in which the row's own value is compared."""
        key = self.target.read("t", self.target.key[0])
        newer = "false"
        if self.changed_at is not None and self.stamp is not None:
            newer = later_here(self.target, self.changed_at, self.stamp.sql)
        return tuple(
            Sides(
                target=self.target,
                column=self.target.column(one.into),
                remote=one.value.sql,
                agreed=f"e.{quote_identifier(self._name(one))}",
                tied=f"e.local_key = cast({key} as text) and e.tombstone is null",
                applied="" if one.applied is None else one.applied.sql,
                newer=newer,
                on_conflict=one.on_conflict,
            )
            for one in self.exchanges
            if one.into
        )

    def _decisions(self, *, empty: bool) -> tuple[str, ...]:
        """How many conflicts a row has in which the CRM's value is taken, and in which its own is kept."""
        sides = self._sides()
        if not sides:
            return ()
        if empty:
            return ("cast(null as bigint)",) * 2
        taken = [one.taken for one in sides if one.taken]
        kept = [one.left for one in sides if one.left]
        return _number_true(taken), _number_true(kept)

    def is_empty(self, transaction: Transaction) -> bool:
        """Whether there is no tie yet."""
        return transaction.row(f"select 1 from crosstie.{self.table.name} limit 1") is None

    def companion(self, *, empty: bool) -> Companion:
        """What goes along with the merge."""
        names = (self.remote_id.sql,)
        params = dict(self.remote_id.params)
        if empty:
            concerned = "true" if self.gone or not self.buries else ""
            return Companion(
                carried=self.carried(empty=True),
                concerned=concerned,
                names=names,
                absent_is_done=self.gone,
                params=params,
            )
        key = self.target.key[0]
        # The tie of a row that was deleted leads nowhere.
        tied = _key_of_text(self.target.dialect, key.column, "nullif(e.local_key, '')")
        sides = self._sides()
        passed = ""
        if self.stamp is not None:
            passed = f"coalesce({self.stamp.sql} <= e.tombstone, false)"
            if self.gone:  # it was alive again after that
                passed = f"coalesce(e.tombstone is null and {self.stamp.sql} < e.stamp, false)"
        return Companion(
            joins=f" left join crosstie.{self.table.name} e on e.remote_id = {self.remote_id.sql}",
            key=(tied,) if self.takes_tied else (),
            carried=self.carried(empty=False),
            concerned=self._concerned(),
            passed_over=passed,
            names=names,
            anothers=self._anothers,
            kept={one.column.name: one.kept for one in sides},
            refused=tuple((one.conflict, one.fault) for one in sides if one.on_conflict == "reject"),
            absent_is_done=self.gone,
            params=params,
        )

    def _anothers(self, key: str) -> str:
        """Whether the local row with that key is tied to another living record, and not to this one too. Only rows that
        do not lead where their own tie does are looked up."""
        text = f"cast({key} as text)"
        return (
            f"(case when coalesce(e.local_key <> {text}, {key} is not null) then exists (select 1"
            f" from crosstie.{self.table.name} o where o.local_key = {text} and o.remote_id <> {self.remote_id.sql}"
            f" and o.tombstone is null) else false end)"
        )

    def _concerned(self) -> str:
        if self.gone:
            later = f" or e.tombstone < {self.stamp.sql}" if self.stamp is not None else ""
            return f"e.tombstone is null{later}"
        if self.buries:
            return ""
        return "true" if self.appends else self._differs()

    def bury(self, transaction: Transaction, stage: str, now: object) -> None:
        """Marks the ties of the staged rows that were deleted, here or on the CRM, with a tombstone: the stamp of their
        record, or `now`, an instant as the database stores it, where it has none. A later one stays. No row that was
        deleted here has its key any more."""
        deleted = f"g.fault is null and g.what = '{DELETED}'"
        due = f"g.fault is null and g.what <> '{IGNORED}'" if self.gone else deleted
        if self.buries:
            keys = f"select cast(g.k_1 as text) from crosstie.{stage} g where {deleted}"
            forget_rows(transaction, self.target.table.name, keys)
        name = self.table.name
        instant = "timestamptz" if transaction.dialect == "postgresql" else "text"
        stamp = f"cast(null as {instant})" if self.stamp is None else "g.c_2"
        tombstone = f"coalesce({stamp}, cast(:now as {instant}))"
        transaction.execute(
            f"delete from crosstie.{name} where remote_id in (select g.c_1 from crosstie.{stage} g"
            f" join crosstie.{name} e on e.remote_id = g.c_1"
            f" where {due} and (e.tombstone is null or e.tombstone < {tombstone}))",
            {"now": now},
        )
        transaction.execute(
            f"insert into crosstie.{name} (remote_id, local_key, stamp, tombstone)"
            f" select g.c_1, '', {stamp}, {tombstone} from crosstie.{stage} g where {due}"
            f" and not exists (select 1 from crosstie.{name} e where e.remote_id = g.c_1)",
            {"now": now},
        )

    def _differs(self) -> str:
        """Whether the tie is missing or says something else; a kept tombstone is cleared by a living record."""
        key = self.target.read("t", self.target.key[0])
        pairs = [("e.local_key", f"cast({key} as text)", "")]
        if self.stamp is not None:
            pairs.append(("e.stamp", self.stamp.sql, ""))
        for one in self.exchanges:
            applied = one.applied.sql if one.applied is not None else ""
            pairs.append((f"e.{quote_identifier(self._name(one))}", one.value.sql, applied))
        word = "is not" if self.target.dialect == "sqlite" else "is distinct from"
        tests = [
            f"(({applied}) and {old} {word} {new})" if applied else f"{old} {word} {new}" for old, new, applied in pairs
        ]
        return f"e.remote_id is null or e.tombstone is not null or {' or '.join(tests)}"

    def _name(self, exchange: Exchange) -> str:
        column = self.table.find(exchange.field, exchange.column.type)
        if column is None:
            raise DatabaseError(f"the tie table {self.table.name} has no column for {exchange.field}")
        return column.name

    def write(self, transaction: Transaction, stage: str, local_key: str, *, empty: bool, rows: int) -> None:
        """Writes the ties of the staged rows that were not refused; only differences. `local_key` is their key over
        alias g, the stage; `rows` how many are new."""
        carried = iter(f"g.c_{number}" for number in range(1, len(self.carried(empty=empty)) + 1))
        values = {"remote_id": next(carried), "local_key": f"cast({local_key} as text)"}
        kept: dict[str, str] = {}
        if self.stamp is not None:
            values["stamp"] = next(carried)
        for one in self.exchanges:
            column = quote_identifier(self._name(one))
            value = next(carried) if one.into or not one.staged else f"g.{one.staged}"
            if empty and one.staged:
                value = f"g.{one.staged}"
            if one.applied is not None:
                applied = next(carried)
                # A row that does not apply keeps what was agreed before.
                values[column] = f"case when {applied} then {value} end"
                kept[column] = applied
            else:
                values[column] = value
        if empty:
            self._write_first(transaction, stage, values, bulk=rows >= _BULK_ROWS)
        else:
            self._write_differences(transaction, stage, values, kept)

    def conflicts(self, transaction: Transaction, merge: Merge) -> Conflicts:
        """How many conflicts there were in a merge that has found ties, and what was done."""
        sides = self._sides()
        if not sides:
            return Conflicts()
        last = len(self.carried(empty=False))
        due = f"filter (where fault is null and what <> '{IGNORED}')"
        faults = ", ".join(str(place) for place, one in enumerate(merge.faults, 1) if one.code == CONFLICT)
        row = transaction.row(
            f"select coalesce(sum(c_{last - 1}) {due}, 0), coalesce(sum(c_{last}) {due}, 0),"
            f" count(*) filter (where fault in ({faults or 'null'})) from crosstie.{merge.stage}"
        )
        taken, kept, rejected = (int(one) for one in row or (0, 0, 0))
        return Conflicts(taken=taken, kept=kept, rejected=rejected)

    def _write_first(self, transaction: Transaction, stage: str, values: Mapping[str, str], *, bulk: bool) -> None:
        name = self.table.name
        postgresql = transaction.dialect == "postgresql"
        if bulk:
            index = _index(transaction, name)
            transaction.execute(f"drop index {'crosstie.' if postgresql else ''}{index}")
            if postgresql:
                transaction.execute(f"alter table crosstie.{name} drop constraint {name}_pkey")
        order = "" if postgresql else f" order by {values['remote_id']}"
        transaction.execute(
            f"insert into crosstie.{name} ({', '.join(values)}) select {', '.join(values.values())}"
            f" from crosstie.{stage} g where g.fault is null{order}"
        )
        if bulk:
            if postgresql:
                transaction.execute(f"alter table crosstie.{name} add constraint {name}_pkey primary key (remote_id)")
            _index_local_keys(transaction, name)

    def _write_differences(
        self, transaction: Transaction, stage: str, values: Mapping[str, str], kept: Mapping[str, str]
    ) -> None:
        """Known ties are updated, the others added; the stage names only those that differ."""
        name = self.table.name
        due = f"g.fault is null and g.concerned and g.what <> '{IGNORED}'"
        sets = {
            column: f"case when {kept[column]} then {value} else e.{column} end" if column in kept else value
            for column, value in values.items()
            if column != "remote_id"
        }
        listed = ", ".join(f"{column} = {value}" for column, value in {**sets, "tombstone": "null"}.items())
        transaction.execute(
            f"update crosstie.{name} as e set {listed} from crosstie.{stage} g"
            f" where e.remote_id = {values['remote_id']} and {due}"
        )
        transaction.execute(
            f"insert into crosstie.{name} ({', '.join(values)}) select {', '.join(values.values())}"
            f" from crosstie.{stage} g where {due} and not exists"
            f" (select 1 from crosstie.{name} e where e.remote_id = {values['remote_id']})"
        )


def _number_true(conditions: Sequence[str]) -> str:
    """How many of them hold, as SQL."""
    return " + ".join(f"case when {one} then 1 else 0 end" for one in conditions) or "0"


def forget_rows(transaction: Transaction, local_table: str, keys: str) -> None:
    """Lets go of all ties of rows that were deleted: another row may take such a key. `keys` is SQL that gives them as
    text. What bears a tombstone keeps it."""
    rows = transaction.rows(
        "select table_name from crosstie.tie where local_table = :table and table_name <> '' order by id",
        {"table": local_table},
    )
    for (name,) in rows:
        transaction.execute(f"delete from crosstie.{name} where tombstone is null and local_key in ({keys})")
        transaction.execute(f"update crosstie.{name} set local_key = '' where local_key in ({keys})")


def _key_of_text(dialect: Dialect, column: Column, sql: str) -> str:
    """A local key's text as the key's own type."""
    if dialect == "postgresql":
        return f"cast({sql} as {postgresql_cast(column)})"
    if column.type is ColumnType.INTEGER:
        return f"cast({sql} as integer)"
    return f"cast({sql} as real)" if column.type in (ColumnType.FLOAT, ColumnType.DECIMAL) else sql

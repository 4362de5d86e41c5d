"""A calculated population at work: its ids completed, asked for in blocks, joined, and what has no record refused.

Nothing here holds the ids in memory: they go from the inbound table to one of ours that knows what each inbound text
means, and from there in blocks to the CRM.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from crosstie.activities.receiving.asides import ID, Aside, blocks, by_ids, strings
from crosstie.crm import kind_of
from crosstie.crm.connector import Connector, IdsRoad, RemoteQuery, Road
from crosstie.db.database import Transaction, instant_text
from crosstie.db.values import text_of
from crosstie.errors import ConfigError
from crosstie.model import Column, ColumnType
from crosstie.workflow.activity import OK, REJECTS, Context, Shape

if TYPE_CHECKING:
    from crosstie.activities.crm_import import CrmImport
    from crosstie.activities.crm_import.planning import Plan
    from crosstie.activities.crm_import.population import Population

ID_UNKNOWN = "ID_UNKNOWN"
ID_DELETED = "ID_DELETED"
ID_MALFORMED = "ID_MALFORMED"
ID_EMPTY = "ID_EMPTY"
_FILTERED = "FILTERED"
_SYMBOLS = {
    ID_UNKNOWN: ("unknown", "the CRM knows no record with this id"),
    ID_DELETED: ("deleted", "the record with this id is deleted and lies in the recycle bin"),
    ID_MALFORMED: ("malformed ids", "this is not a remote id"),
    ID_EMPTY: ("without id", "there is no remote id"),
}
_TOLD_ROWS = 10_000  # their values are Python objects for a moment
_TOLD = tuple(Column(name=name, type=ColumnType.TEXT) for name in ("remote_id", "symbol", "message", "value", "record"))


@dataclass(slots=True, kw_only=True)
class Inbound:
    """The inbound population of one import. `known` is a table (given, id, symbol): what each inbound text means;
    `missing` one (id, symbol) of the ids that gave no record."""

    activity: CrmImport
    context: Context
    connector: Connector
    plan: Plan
    population: Population
    ids: Column
    known: str = ""
    missing: str = ""
    asked: int = 0
    road: IdsRoad | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, activity: CrmImport, context: Context, connector: Connector, plan: Plan) -> Inbound | None:
        """The population of an import that has one. Raises ConfigError when its column is not there."""
        if activity.population is None:
            return None
        ids = context.input.column(activity.population.ids)
        if ids is None:
            raise ConfigError(f"The inbound population has no column {activity.population.ids}.")
        return cls(
            activity=activity,
            context=context,
            connector=connector,
            plan=plan,
            population=activity.population,
            ids=ids,
            known=context.private_name("known"),
            missing=context.private_name("missing"),
        )

    def _quote(self, name: str) -> str:
        return self.context.db.quote(name)

    @property
    def _given(self) -> str:
        return f"i.{self._quote(self.ids.name)}"

    def complete(self) -> None:
        """Says of every inbound text which id it is; each once."""
        db, complete = self.context.db, kind_of(self.connector.kind).id_completer()
        columns = tuple(Column(name=name, type=ColumnType.TEXT) for name in ("given", "id", "symbol"))
        db.create_work(self.known, columns)
        sql = f"select distinct {self._given} from crosstie.{self.context.input.name} i where {self._given} is not null"
        with db.load(self.known, columns, expected_rows=self.context.input.rows) as load:
            for batch in db.read(sql, {}, [self.ids]):
                given = batch.column(0).to_pylist()
                found = [complete(one) for one in given]
                symbols = [
                    None if id is not None else ID_MALFORMED if one.strip() else ID_EMPTY
                    for one, id in zip(given, found, strict=True)
                ]
                arrays = [batch.column(0), strings(found), strings(symbols)]
                load.write(pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns]))
        db.prepare(self.known, ["given"])
        db.prepare(self.known, ["id"])
        with db.reading() as transaction:
            row = transaction.row(f"select count(distinct id) from crosstie.{self.known}")
        self.asked = int(row[0]) if row else 0

    def queries(self) -> Iterator[tuple[RemoteQuery, str]]:
        """The reads to make, and the remote job that serves them already."""
        job, query = self.plan.window.job, self.plan.query
        if not self.asked:
            return
        self.road = self.connector.road_for_ids(query, self.asked)
        if job and not self.road.whole:
            self.road = replace(self.road, whole=True, reason="a bulk job for everything was begun before")
        self.context.log.info(f"population: {self.road.reason}")
        if self.road.whole:
            yield replace(query, expected_rows=self.road.expected_rows), job
            return
        for ids in blocks(self.context, self._ids_sql(), self.road.ids_per_call):
            yield replace(query, ids=ids, road=Road.PAGES, expected_rows=len(ids)), ""

    def _ids_sql(self) -> str:
        return f"select distinct id from crosstie.{self.known} where id is not null order by 1"

    @property
    def whole(self) -> bool:
        """Whether everything was read, and not only what was asked for."""
        return self.road is not None and self.road.whole

    def known_among(self, refused: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the ids that are in the population."""
        if not refused:
            return ()
        with self.context.db.reading() as transaction:
            rows = transaction.rows(
                "select u.remote_id from crosstie.unaccepted u where u.option_name = :option and exists"
                f" (select 1 from crosstie.{self.known} k where k.id = u.remote_id) order by 1",
                {"option": self.plan.window.option},
            )
        return tuple(str(row[0]) for row in rows if row[0] in set(refused))

    def leave_out_others(self, rejects: str) -> int:
        """Takes refused records out that nobody asked for; how many."""
        key = self._quote(self.plan.key)
        with self.context.db.transaction("refused records of no inbound row") as transaction:
            return transaction.execute(
                f"delete from crosstie.{rejects} as r where not exists"
                f" (select 1 from crosstie.{self.known} k where k.id = r.{key})"
            )

    def find_missing(self, raw: str, rejects: str) -> None:
        """Which ids gave no record, and why: left out by the filter, deleted, or unknown. `rejects` is the table of
        refused records, '' when there are none."""
        db, key = self.context.db, self._quote(self.plan.key)
        db.create_work(self.missing, (ID, Column(name="symbol", type=ColumnType.TEXT)))
        db.prepare(raw, [self.plan.key])
        read = [raw, rejects] if rejects else [raw]
        gave_none = " and ".join(f"not exists (select 1 from crosstie.{name} r where r.{key} = k.id)" for name in read)
        with db.transaction("ids without a record") as transaction:
            transaction.execute(
                f"insert into crosstie.{self.missing} (id, symbol) select distinct k.id, '{ID_UNKNOWN}'"
                f" from crosstie.{self.known} k where k.id is not null and {gave_none}"
            )
        db.prepare(self.missing, ["id"])
        if self._count_unknown() and self.plan.query.condition is not None:
            self._tell_apart(_FILTERED, replace(self._bare(), condition=None))
        unknown = self._count_unknown()
        if unknown and self._is_cheap(unknown):
            self._tell_apart(ID_DELETED, replace(self._bare(), include_deleted=True))

    def _bare(self) -> RemoteQuery:
        return replace(self.plan.query, condition=None, fields=(self.plan.remote.key,))

    def _count_unknown(self) -> int:
        with self.context.db.reading() as transaction:
            row = transaction.row(f"select count(*) from crosstie.{self.missing} where symbol = '{ID_UNKNOWN}'")
        return int(row[0]) if row else 0

    def _is_cheap(self, unknown: int) -> bool:
        """Whether to look into the recycle bin costs no more calls than the read itself did."""
        if not self.connector.limits(self.plan.remote.name).deletion_retention_days or self.road is None:
            return False
        asked = replace(self._bare(), include_deleted=True, road=Road.PAGES)
        return self.connector.road_for_ids(asked, unknown).calls <= max(1, self.road.calls)

    def _tell_apart(self, symbol: str, query: RemoteQuery) -> None:
        """Gives the unknown ids that this query finds another symbol."""
        table = self.context.private_name(symbol.lower())
        remote = self.plan.remote
        key = remote.field(remote.key)
        if key is None:
            raise ConfigError(f"{remote.name} is described without its key {remote.key}.")
        sql = f"select id from crosstie.{self.missing} where symbol = '{ID_UNKNOWN}' order by 1"
        aside = Aside(context=self.context, connector=self.connector, fields=(key,), columns=(ID,))
        if aside.into(table, by_ids(self.context, self.connector, query, sql)):
            self.context.db.prepare(table, ["id"])
            with self.context.db.transaction(f"ids that are {symbol.lower()}") as transaction:
                transaction.execute(
                    f"update crosstie.{self.missing} set symbol = :symbol where id in"
                    f" (select id from crosstie.{table})",
                    {"symbol": symbol},
                )

    def join(self, raw: str) -> tuple[str, int]:
        """The table to publish and its rows: each inbound row with its record, or without kept columns each record."""
        db, shape = self.context.db, self.plan.shape
        if not self.population.keep and not self.whole:
            return raw, self._count(f"crosstie.{raw}")
        name = self.context.private_name(OK)
        db.create_work(name, shape.columns)
        db.prepare(raw, [self.plan.key])
        listed = [self._quote(column.name) for column in shape.columns]
        kept = self.population.kept(Shape.of(self.context.input))
        imported = [f"r.{one}" for one in listed[: len(listed) - len(kept)]]
        key = f"r.{self._quote(self.plan.key)}"
        if self.population.keep:
            source = (
                f"crosstie.{self.context.input.name} i join crosstie.{self.known} k on k.given = {self._given}"
                f" join crosstie.{raw} r on {key} = k.id"
            )
        else:
            source = f"crosstie.{raw} r where exists (select 1 from crosstie.{self.known} k where k.id = {key})"
        shown = ", ".join([*imported, *(f"i.{self._quote(column.name)}" for column, _ in kept)])
        with db.transaction("population joined") as transaction:
            rows = transaction.execute(
                f"insert into crosstie.{name} ({', '.join(listed)}) select {shown} from {source}"
            )
        return name, rows

    def _count(self, source: str) -> int:
        with self.context.db.reading() as transaction:
            row = transaction.row(f"select count(*) from {source}")
        return int(row[0]) if row else 0

    @property
    def _told(self) -> str:
        return self.context.private_name("told")

    def _refused_source(self) -> str:
        return (
            f"(select i.*, k.id as crosstie_id, case when {self._given} is null then '{ID_EMPTY}'"
            " else coalesce(k.symbol, m.symbol) end as crosstie_symbol"
            f" from crosstie.{self.context.input.name} i"
            f" left join crosstie.{self.known} k on k.given = {self._given}"
            f" left join crosstie.{self.missing} m on m.id = k.id) i"
            f" where i.crosstie_symbol is not null and i.crosstie_symbol <> '{_FILTERED}'"
        )

    def refuse(self, table: str) -> int:
        """Keeps the inbound rows without a record for the inbox, and says how many there are of each kind; how many
        were refused. `table` is that of what goes on."""
        with self.context.db.reading() as transaction:
            found = dict(
                transaction.rows(
                    f"select crosstie_symbol, count(*) from {self._refused_source()} group by crosstie_symbol"
                )
            )
            filtered = transaction.row(f"select count(*) from crosstie.{self.missing} where symbol = '{_FILTERED}'")
        for symbol, (word, message) in _SYMBOLS.items():
            if found.get(symbol):
                self.counts[word] = int(found[symbol])
                self.context.log.warning(f"{found[symbol]:,} inbound rows don't go on: {message} [{symbol}].")
        if filtered and filtered[0]:
            self.counts["left out by the filter"] = int(filtered[0])
        self._warn_of_doubles(table)
        refused = sum(int(count) for count in found.values())
        if refused:
            self._keep_told()
        return refused

    def _warn_of_doubles(self, table: str) -> None:
        if not self.population.keep:
            return
        key = self._quote(self.plan.key)
        double = self._count(f"(select {key} from crosstie.{table} group by {key} having count(*) > 1) d")
        if double:
            self.context.log.warning(
                f"{double:,} records are named by several inbound rows; each of these rows goes on with what was kept"
                " of it. Where a record may come once only, put a deduplication behind."
            )

    def _keep_told(self) -> None:
        """The refused inbound rows as the inbox will have them, made before its transaction."""
        db, columns = self.context.db, self.context.input.columns
        db.create_work(self._told, _TOLD)
        extra = (ID.named("crosstie_id"), ID.named("crosstie_symbol"))
        shown = ", ".join(f"i.{self._quote(column.name)}" for column in (*columns, *extra))
        with db.load(self._told, _TOLD) as load:
            for batch in db.read(
                f"select {shown} from {self._refused_source()}", {}, (*columns, *extra), batch_rows=_TOLD_ROWS
            ):
                rows = [self._told_row(row) for row in batch.to_pylist()]
                arrays = [strings([row[place] for row in rows]) for place in range(len(_TOLD))]
                load.write(pa.RecordBatch.from_arrays(arrays, names=[column.name for column in _TOLD]))
        db.prepare(self._told, ["remote_id"])

    def _told_row(self, row: Mapping[str, object]) -> tuple[str, ...]:
        record = {column.name: text_of(column, row[column.name]) for column in self.context.input.columns}
        symbol = str(row["crosstie_symbol"])
        return (
            str(row["crosstie_id"] or ""),
            symbol,
            _SYMBOLS[symbol][1],
            record[self.ids.name] or "",
            json.dumps(record, ensure_ascii=False),
        )

    def reject_table(self, rejects: str, refused: int) -> tuple[Shape, str, int]:
        """What the Reject transition carries: refused records with their inbound rows, and inbound rows without one.
        `rejects` is the table of refused records, '' when there are none."""
        db = self.context.db
        inputs = (Shape.of(self.context.input),)
        shape = self.activity.reject_shape(self.plan.remote, self.context.site, inputs)
        name = self.context.private_name(REJECTS)
        if name == rejects:
            raise ValueError("the refused records are loaded under another name")
        db.create_work(name, shape.columns)
        listed = ", ".join(self._quote(column.name) for column in shape.columns)
        own = {column.name for column in self.plan.converter.reject_table}
        rows = 0
        with db.transaction("refused rows") as transaction:
            if rejects:
                shown = ", ".join(
                    f"{'r' if column.name in own else 'i'}.{self._quote(column.name)}" for column in shape.columns
                )
                key = f"r.{self._quote(self.plan.key)}"
                rows += transaction.execute(
                    f"insert into crosstie.{name} ({listed}) select {shown} from crosstie.{rejects} r"
                    f" join crosstie.{self.known} k on k.id = {key}"
                    f" join crosstie.{self.context.input.name} i on {self._given} = k.given"
                )
            if refused:
                shown = ", ".join(self._refused_value(column) for column in shape.columns)
                rows += transaction.execute(
                    f"insert into crosstie.{name} ({listed}) select {shown} from {self._refused_source()}",
                    {**{f"text_{symbol}": text for symbol, (_, text) in _SYMBOLS.items()}, "field": self.ids.name},
                )
        return shape, name, rows

    def _refused_value(self, column: Column) -> str:
        """SQL over alias i for a column of the Reject transition, of an inbound row without a record."""
        reasons = {one.name for one in self.plan.converter.rejects}
        if column.name == self.plan.key:
            return f"coalesce(i.crosstie_id, {self._given})"
        if column.name == "errorField":
            return "cast(:field as text)"
        if column.name == "errorMessage":
            told = " ".join(f"when '{symbol}' then :text_{symbol}" for symbol in _SYMBOLS)
            return f"cast(case i.crosstie_symbol {told} end as text)"
        if column.name in reasons:
            return "i.crosstie_symbol"
        source = next((one for one in self.context.input.columns if one.name.lower() == column.name.lower()), None)
        if source is None:
            return "null"
        quoted = f"i.{self._quote(source.name)}"
        return quoted if source.type is column.type else f"cast({quoted} as text)"

    def record(self, transaction: Transaction, table: str) -> None:
        """Brings the inbox in line, in the publishing transaction: a row that is refused again keeps its open entry,
        one that was dismissed as it is stays so, and an id that has a record now is settled."""
        place = {"workflow": self.context.workflow, "activity": self.context.activity}
        now = {"run": self.context.run, "task": self.context.task, "at": instant_text(self.context.now())}
        mine = "workflow = :workflow and activity = :activity"
        key = self._quote(self.plan.key)
        transaction.execute(
            f"update crosstie.reject set status = 'accepted' where {mine} and status = 'open'"
            f" and symbol in ('{ID_UNKNOWN}', '{ID_DELETED}') and (remote_id in (select {key} from crosstie.{table})"
            f" or remote_id in (select id from crosstie.{self.missing} where symbol = '{_FILTERED}'))",
            place,
        )
        if not any(self.counts.get(word) for word, _ in _SYMBOLS.values()):
            return
        same = "symbol, remote_id, record"
        transaction.execute(
            f"update crosstie.reject set run = :run, task = :task, at = :at where {mine} and status = 'open'"
            f" and ({same}) in (select {same} from crosstie.{self._told})",
            {**place, **now},
        )
        transaction.execute(
            "insert into crosstie.reject (run, task, workflow, activity, account, object, remote_id, code, symbol,"
            " message, field, value, record, at, status) select :run, :task, :workflow, :activity, :account, :object,"
            " t.remote_id, '', t.symbol, t.message, :field, t.value, t.record, :at, 'open'"
            f" from crosstie.{self._told} t left join (select distinct {same} from crosstie.reject where {mine}"
            " and status <> 'accepted') r on r.symbol = t.symbol and r.remote_id = t.remote_id and r.record = t.record"
            " where r.symbol is null",
            {
                **place,
                **now,
                "account": self.activity.account,
                "object": self.plan.remote.name,
                "field": self.ids.name,
            },
        )

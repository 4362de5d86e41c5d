"""Leavers: records that were imported, changed, and no longer match the filter.

What changed is read a second time, without the filter and only by id and stamp. Of it, what the first read did not give
and an earlier import did (`sync.matches`) is asked for once more by its id: between two reads a record can change, and
one that matches now has not left. So a negated filter, which nulls would make wrong, is never asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crosstie.activities.crm_import import LEAVERS, LOCAL_KEY
from crosstie.activities.receiving.asides import ID, Aside, by_ids
from crosstie.crm.connector import Connector
from crosstie.db.database import Transaction
from crosstie.errors import ConfigError
from crosstie.model import Column, ColumnType, RemoteField, WorkTable
from crosstie.sync.matches import (
    Matches,
    keep_leaver_job,
    known_matches,
    leaver_job,
    plan_change,
)
from crosstie.sync.ties import tie_tables
from crosstie.workflow.activity import Context, Shape

if TYPE_CHECKING:
    from crosstie.activities.crm_import import CrmImport
    from crosstie.activities.crm_import.planning import Plan

_REMOTE_ID = ID.named("remote_id")
_STAMP = Column(name="stamp", type=ColumnType.INSTANT)
_LEAVES = Column(name="leaves", type=ColumnType.INTEGER)
_HAS_LEFT = Column(name="has_left", type=ColumnType.INTEGER)


@dataclass(slots=True, kw_only=True)
class Leavers:
    """The leavers of one import. `changed` is a table (id, stamp); after `find` it holds the leavers alone."""

    context: Context
    connector: Connector
    plan: Plan
    shape: Shape
    rows: int = 0
    changed: str = ""
    change: str = ""
    replaces: bool = False

    @classmethod
    def of(cls, activity: CrmImport, context: Context, connector: Connector, plan: Plan) -> Leavers | None:
        """The leavers of an import that asks for them."""
        if activity.leavers is None:
            return None
        shape = activity.leaver_shape(plan.remote, plan.shape)
        return cls(
            context=context, connector=connector, plan=plan, shape=shape, changed=context.private_name("changed")
        )

    def find(self, raw: str, rejects: str) -> None:
        """Finds them, and what the confirmation of the window will do to the matches. `raw` is the table of what was
        read, `rejects` that of what was refused, '' when nothing was."""
        self.context.db.create_work(self.changed, (ID, _STAMP))
        with self.context.db.reading() as transaction:
            known = known_matches(transaction, self.plan.window)
        if known is not None and known.table not in self.context.db.work_tables():
            self.context.log.warning("What this import has read so far is not known any more: its table is gone.")
            known = None
        if known is None or not known.complete:
            self._take_stock(raw, known)
            return
        self._read_changed()
        self._leave_only(known, [raw, rejects] if rejects else [raw])
        self._leave_out_what_matches()
        self._plan_moves(raw, known)

    def _aside(self, *columns: Column) -> Aside:
        fields: list[RemoteField] = []
        for name in (self.plan.remote.key, self.plan.window.field)[: len(columns)]:
            field = self.plan.remote.field(name)
            if field is None:
                raise ConfigError(f"{self.plan.remote.name} is described without its field {name}.")
            fields.append(field)
        return Aside(context=self.context, connector=self.connector, fields=tuple(fields), columns=columns)

    def _keep(self, job: str) -> None:
        with self.context.db.transaction(f"remote job of {self.plan.window.option}") as transaction:
            keep_leaver_job(transaction, self.plan.window, job)

    def _job(self) -> str:
        with self.context.db.reading() as transaction:
            return leaver_job(transaction, self.plan.window)

    def _take_stock(self, raw: str, known: Matches | None) -> None:
        """The matches as of now, from which later leavers are told. A first import has them in hand; where the index
        moved without looking for leavers, all that matches is asked for by id."""
        db, key = self.context.db, self.context.db.quote(self.plan.key)
        stock = self.context.private_name("stock")
        sources = [f"select {key} as remote_id, 0 as has_left from crosstie.{raw}"]
        if self.plan.window.start is not None:
            query = replace(self.plan.query, window=None, expected_rows=None)
            rows = self._aside(ID).into(stock, iter([query]), keep=self._keep, token=self._job())
            sources.append(f"select id, 0 from crosstie.{stock}")
            self.context.log.info(f"leavers: {rows:,} records match now; what leaves is told from the next run on.")
        if known is not None:
            sources.append(f"select remote_id, has_left from crosstie.{known.table}")
        self.change, self.replaces = self.context.private_name("matches"), True
        # They outlive the run: emptied by a crash of the server, they would hide every leaver.
        db.create_work(self.change, (_REMOTE_ID, _HAS_LEFT), durable=True)
        with db.transaction("records that match") as transaction:
            transaction.execute(
                f"insert into crosstie.{self.change} (remote_id, has_left) select remote_id, min(has_left)"
                f" from ({' union all '.join(sources)}) s group by remote_id order by remote_id"
            )
        db.prepare(self.change, [_REMOTE_ID.name], unique=True)

    def _read_changed(self) -> None:
        query = replace(self.plan.query, condition=None, expected_rows=None)
        found = self._aside(ID, _STAMP).into(self.changed, iter([query]), keep=self._keep, token=self._job())
        self.context.log.info(f"leavers: {found:,} records changed, whether they match or not")

    def _leave_only(self, known: Matches, read: list[str]) -> None:
        """Takes out what was read with the filter, and what was never imported."""
        db, key = self.context.db, self.context.db.quote(self.plan.key)
        for table in read:
            db.prepare(table, [self.plan.key])
        matched = " or ".join(f"exists (select 1 from crosstie.{one} r where r.{key} = c.id)" for one in read)
        with db.transaction("records that may have left") as transaction:
            transaction.execute(
                f"delete from crosstie.{self.changed} as c where {matched}"
                f" or not exists (select 1 from crosstie.{known.table} k where k.remote_id = c.id and k.has_left = 0)"
            )

    def _leave_out_what_matches(self) -> None:
        if not self._count():
            return
        db, table = self.context.db, self.context.private_name("matching")
        sql = f"select distinct id from crosstie.{self.changed} order by 1"
        query = replace(self.plan.query, window=None)
        if self._aside(ID).into(table, by_ids(self.context, self.connector, query, sql)):
            with db.transaction("records that match after all") as transaction:
                transaction.execute(
                    f"delete from crosstie.{self.changed} where id in (select id from crosstie.{table})"
                )

    def _count(self) -> int:
        with self.context.db.reading() as transaction:
            row = transaction.row(f"select count(distinct id) from crosstie.{self.changed}")
        return int(row[0]) if row else 0

    def _plan_moves(self, raw: str, known: Matches) -> None:
        db, key = self.context.db, self.context.db.quote(self.plan.key)
        self.change = self.context.private_name("moves")
        db.create_work(self.change, (_REMOTE_ID, _LEAVES), durable=True)
        with db.transaction("records that came and left") as transaction:
            transaction.execute(
                f"insert into crosstie.{self.change} (remote_id, leaves) select distinct r.{key}, 0"
                f" from crosstie.{raw} r where not exists"
                f" (select 1 from crosstie.{known.table} k where k.remote_id = r.{key} and k.has_left = 0)"
                f" union all select distinct id, 1 from crosstie.{self.changed}"
            )

    def table(self) -> WorkTable:
        """What the Leavers transition carries: each leaver once, with the key of the row it is tied to where that is
        one and only one."""
        db, name = self.context.db, self.context.private_name(LEAVERS)
        db.create_work(name, self.shape.columns)
        lineage = self.plan.shape.lineage
        with db.reading() as transaction:
            tables = tie_tables(transaction, lineage) if lineage is not None else ()
        tied = " union all ".join(
            f"select e.remote_id, e.local_key from crosstie.{one} e join crosstie.{self.changed} c"
            " on c.id = e.remote_id where e.tombstone is null"
            for one in tables
        )
        local_key, join = "null", ""
        if tied:
            local_key = "t.local_key"
            join = (
                f" left join (select remote_id, min(local_key) as local_key from ({tied}) x group by remote_id"
                " having count(distinct local_key) = 1) t on t.remote_id = c.id"
            )
        listed = ", ".join(db.quote(column.name) for column in self.shape.columns)
        assert self.shape.columns[-1].name == LOCAL_KEY
        with db.transaction("leavers") as transaction:
            self.rows = transaction.execute(
                f"insert into crosstie.{name} ({listed}) select c.id, c.stamp, {local_key} from"
                f" (select id, max(stamp) as stamp from crosstie.{self.changed} group by id) c{join}"
            )
        return self.shape.work_table(name, self.rows)

    def record(self, transaction: Transaction) -> None:
        """In the publishing transaction: what the confirmation is to do."""
        plan_change(transaction, self.plan.window, self.change, replaces=self.replaces)

"""Plans: what is to be sent to a CRM, fixed before the first call.

A plan is a work table of rendered rows. What a row says is not changed once it was shown or sent; beside it stand the
shipment in which it left and what became of it. See the design, “Shipments”.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from crosstie.crm.writing import Operation, Outcome
from crosstie.db.database import Transaction, instant_text
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType, Lineage

UNCHANGED = "unchanged"
"""The effect of a row of which both sides say the same already: it is not sent."""

KEYS = (
    Column(name="number", type=ColumnType.INTEGER),
    Column(name="source_key", type=ColumnType.TEXT),
    Column(name="operation", type=ColumnType.TEXT),
    Column(name="remote_id", type=ColumnType.TEXT),
    Column(name="key", type=ColumnType.TEXT),
    Column(name="lane", type=ColumnType.TEXT),
    Column(name="content_bytes", type=ColumnType.INTEGER),
)
_ANSWERS = (
    Column(name="shipment", type=ColumnType.INTEGER),
    Column(name="outcome", type=ColumnType.TEXT),
    Column(name="effect", type=ColumnType.TEXT),
    Column(name="answered_id", type=ColumnType.TEXT),
    Column(name="symbol", type=ColumnType.TEXT),
    Column(name="message", type=ColumnType.TEXT),
    Column(name="faults", type=ColumnType.TEXT),
    Column(name="word", type=ColumnType.TEXT),
    Column(name="log_file", type=ColumnType.TEXT),
    Column(name="tries", type=ColumnType.INTEGER),
    Column(name="told", type=ColumnType.INTEGER),
)
GUARD = (
    Column(name="changed_at", type=ColumnType.INSTANT),
    Column(name="there", type=ColumnType.BOOLEAN),
)
_PLAN = (
    "select id, account, org, object, workflow, activity, run, local_table, table_name, key_field, fields, settings"
    " from crosstie.plan"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedField:
    """A remote field that a plan fills: how the CRM knows it, the type of the local value that it stands for, and whose
    value stands where both sides were changed: `local`, `crm`, `newest` or `reject`."""

    field: str
    type: ColumnType
    scale: int = 0
    on_conflict: str = "local"

    def column(self, place: int) -> Column:
        """The column of the plan that keeps the local value."""
        return Column(name=f"v_{place}", type=self.type, scale=self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan as registered. `settings` are the activity's own, for whoever settles it later."""

    id: int
    account: str
    org: str
    object: str
    workflow: str
    activity: str
    run: int
    local_table: str
    table: str
    key_field: str
    fields: tuple[PlannedField, ...]
    settings: Mapping[str, Any]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of its work table."""
        return plan_columns(self.fields, guarded=self.guarded)

    @property
    def guarded(self) -> bool:
        """Whether its records are read again just before they are written, and compared with what was known of them."""
        return bool(self.settings.get("guarded"))

    @property
    def shown(self) -> bool:
        """Whether somebody was shown what it would do: then exactly that is done."""
        return bool(self.settings.get("shown"))

    @property
    def key(self) -> PlannedField | None:
        """The external id by which its records are found, as ties keep it."""
        return PlannedField(field=self.key_field, type=ColumnType.TEXT) if self.key_field else None

    @property
    def lineage(self) -> Lineage:
        """Whose records it is about."""
        return Lineage(account=self.account, org=self.org, object=self.object, remote_id="")


def plan_columns(fields: Sequence[PlannedField], *, guarded: bool = False) -> tuple[Column, ...]:
    """The columns of a plan: keys, the wire text of each field (null: left alone, empty text: cleared) and the local
    value it stands for, then what became of the row. Of a guarded one also when the local row was changed, whether the
    record was there when somebody was shown the plan (null: nobody looked), and what each field said before (null:
    unknown)."""
    texts = tuple(Column(name=f"f_{place}", type=ColumnType.TEXT) for place in range(len(fields)))
    values = tuple(one.column(place) for place, one in enumerate(fields))
    known = tuple(Column(name=f"b_{place}", type=ColumnType.TEXT) for place in range(len(fields)))
    return (*KEYS, *texts, *values, *_ANSWERS, *((*GUARD, *known) if guarded else ()))


def make_plan(transaction: Transaction, plan: Plan, now: datetime) -> Plan:
    """Registers a plan whose table is filled; from then on it is not swept. `plan.id` is not looked at."""
    transaction.execute(
        "insert into crosstie.plan (account, org, object, workflow, activity, run, local_table, table_name, key_field,"
        " fields, settings, made_at) values (:account, :org, :object, :workflow, :activity, :run, :local_table, :table,"
        " :key_field, :fields, :settings, :now)",
        {
            "account": plan.account,
            "org": plan.org,
            "object": plan.object,
            "workflow": plan.workflow,
            "activity": plan.activity,
            "run": plan.run,
            "local_table": plan.local_table,
            "table": plan.table,
            "key_field": plan.key_field,
            "fields": json.dumps([asdict(one) for one in plan.fields]),
            "settings": json.dumps(dict(plan.settings)),
            "now": instant_text(now),
        },
    )
    made = find_plan(transaction, plan.run, plan.activity)
    if made is None:
        raise DatabaseError(f"the plan of {plan.activity} could not be registered")
    return made


def find_plan(transaction: Transaction, run: int, activity: str) -> Plan | None:
    """The plan of an activity in a run."""
    row = transaction.row(f"{_PLAN} where run = :run and activity = :activity", {"run": run, "activity": activity})
    return None if row is None else _plan(row)


def plans_of_run(transaction: Transaction, run: int) -> tuple[Plan, ...]:
    """The plans of a run, in their order."""
    return tuple(_plan(row) for row in transaction.rows(f"{_PLAN} where run = :run order by id", {"run": run}))


def unsettled_plans(transaction: Transaction, account: str, org: str, object: str) -> tuple[Plan, ...]:
    """The plans of an object of which a shipment's answers are missing, the oldest first. What was sent to another org
    behind the same account cannot be looked up in this one."""
    rows = transaction.rows(
        f"{_PLAN} where account = :account and org = :org and object = :object and exists (select 1 from"
        " crosstie.shipment s where s.plan = crosstie.plan.id and s.status in ('leaving', 'unsure')) order by id",
        {"account": account, "org": org, "object": object},
    )
    return tuple(_plan(row) for row in rows)


def doubtful_plans(transaction: Transaction, plan: Plan) -> tuple[Plan, ...]:
    """The other plans of the same rows and object in which a person has still to decide about some. Rows of no table
    are the same only in the same activity."""
    rows = transaction.rows(
        f"{_PLAN} where account = :account and org = :org and object = :object and local_table = :local_table and id <>"
        " :id and (:local_table <> '' or (workflow = :workflow and activity = :activity)) and exists (select 1 from"
        " crosstie.shipment s where s.plan = crosstie.plan.id and s.status = 'doubt') order by id",
        {
            "account": plan.account,
            "org": plan.org,
            "object": plan.object,
            "local_table": plan.local_table,
            "workflow": plan.workflow,
            "activity": plan.activity,
            "id": plan.id,
        },
    )
    return tuple(_plan(row) for row in rows)


def plan_tables(transaction: Transaction) -> frozenset[str]:
    """The work tables of all plans, and those that are kept with them."""
    rows = transaction.rows("select table_name, inbound from crosstie.plan")
    kept = {one["name"] for _, inbound in rows for one in json.loads(str(inbound))}
    return frozenset({*(str(name) for name, _ in rows), *kept})


def show_plan(transaction: Transaction, plan: Plan, settings: Mapping[str, Any], inbound: str) -> None:
    """Marks a plan as one that somebody is shown, and keeps its inbound population with it: a work table as JSON."""
    row = transaction.row("select inbound from crosstie.plan where id = :id", {"id": plan.id})
    added = json.loads(inbound)
    kept = [one for one in json.loads(str(row[0]) if row else "[]") if one["name"] != added["name"]]
    transaction.execute(
        "update crosstie.plan set settings = :settings, inbound = :inbound where id = :id",
        {
            "settings": json.dumps(dict(settings)),
            "inbound": json.dumps([*kept, added], ensure_ascii=False),
            "id": plan.id,
        },
    )


def hand_over(transaction: Transaction, shown_in: int, run: int) -> tuple[tuple[Plan, tuple[str, ...]], ...]:
    """Gives the plans that were shown in one run to another, which carries them out; with their inbound populations as
    JSON."""
    transaction.execute(
        "update crosstie.plan set run = :run, shown_in = :shown_in where run = :shown_in",
        {"run": run, "shown_in": shown_in},
    )
    rows = transaction.rows("select id, inbound from crosstie.plan where run = :run", {"run": run})
    tables = {
        int(row[0]): tuple(json.dumps(one, ensure_ascii=False) for one in json.loads(str(row[1]))) for row in rows
    }
    return tuple((plan, tables[plan.id]) for plan in plans_of_run(transaction, run))


def carried_out_by(transaction: Transaction, shown_in: int) -> int | None:
    """The run that carries out, or has carried out, what was shown in that run."""
    row = transaction.row("select max(run) from crosstie.plan where shown_in = :run", {"run": shown_in})
    return int(row[0]) if row and row[0] is not None else None


def outlook(transaction: Transaction, plan: Plan) -> dict[str, int]:
    """How many rows a plan will create, update and delete; of how many the record to be updated is gone; how many need
    nothing, and how many it refuses itself."""
    gone = f" when operation = '{Operation.UPDATE}' and there is false then 'gone'" if plan.guarded else ""
    absent = " or there is false" if plan.guarded else ""
    rows = transaction.rows(
        f"select case when outcome = '{Outcome.REJECTED}' then 'rejected' when outcome is not null then 'unchanged'"
        f" when operation = '{Operation.DELETE}' then 'delete'{gone} when operation = '{Operation.INSERT}'{absent} then"
        f" 'create' else 'update' end, count(*) from crosstie.{plan.table} group by 1"
    )
    found = {str(word): int(count) for word, count in rows}
    return {
        word: found[word] for word in ("create", "update", "delete", "gone", "unchanged", "rejected") if word in found
    }


def _plan(row: Sequence[Any]) -> Plan:
    fields = (PlannedField(**{**one, "type": ColumnType(one["type"])}) for one in json.loads(str(row[10])))
    return Plan(
        id=int(row[0]),
        account=str(row[1]),
        org=str(row[2]),
        object=str(row[3]),
        workflow=str(row[4]),
        activity=str(row[5]),
        run=int(row[6]),
        local_table=str(row[7]),
        table=str(row[8]),
        key_field=str(row[9]),
        fields=tuple(fields),
        settings=json.loads(str(row[11])),
    )


def forget_plans(transaction: Transaction, runs: Sequence[int]) -> None:
    """Lets go of what was sent in runs whose history is removed, but for what is still unsettled: their tables are
    swept then."""
    listed = ", ".join(str(int(one)) for one in runs)
    settled = (
        f"select p.id from crosstie.plan p where p.run in ({listed}) and not exists (select 1 from crosstie.shipment s"
        " where s.plan = p.id and s.status in ('leaving', 'unsure', 'doubt'))"
    )
    plans = ", ".join(str(int(row[0])) for row in transaction.rows(settled))
    if plans:
        transaction.execute(f"delete from crosstie.shipment where plan in ({plans})")
        transaction.execute(f"delete from crosstie.plan where id in ({plans})")


def totals(transaction: Transaction, plan: Plan) -> dict[tuple[str, str], int]:
    """How many rows of a plan there are by outcome and effect; '' for none yet."""
    rows = transaction.rows(
        "select coalesce(outcome, ''), coalesce(effect, ''), count(*)"
        f" from crosstie.{plan.table} group by outcome, effect order by 1, 2"
    )
    return {(str(row[0]), str(row[1])): int(row[2]) for row in rows}

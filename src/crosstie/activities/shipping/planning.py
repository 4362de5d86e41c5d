"""The plan of a task: taken or made, filled, and what it refuses of itself before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from crosstie.activities.shipping.guarding import MOVED
from crosstie.activities.shipping.outcomes import source_key
from crosstie.crm.writing import Operation, Outcome
from crosstie.errors import ConfigError
from crosstie.sync import plans
from crosstie.sync.plans import Plan, PlannedField
from crosstie.sync.ties import find_ties
from crosstie.workflow.activity import Context

if TYPE_CHECKING:
    import pyarrow as pa


BATCH_ROWS = 5_000
"""Rows that are rendered, or read for a shipment, at once: more only take memory."""


def tied_table(context: Context) -> str:
    """The table of people's whose rows come in, each known by one column: the table whose ties an export writes."""
    return context.input.dimension if len(context.input.key) == 1 else ""


def take_plan(
    context: Context,
    *,
    account: str,
    org: str,
    object: str,
    settings: Mapping[str, Any],
    fields: tuple[PlannedField, ...] = (),
    key_field: str = "",
) -> Plan:
    """The plan of this task in this run, made or gone on with. Raises ConfigError where it was made from another
    mapping or for another org."""
    with context.db.reading() as transaction:
        plan = plans.find_plan(transaction, context.run, context.activity)
    if plan is None:
        name = context.private_name("plan")
        draft = Plan(
            id=0,
            account=account,
            org=org,
            object=object,
            workflow=context.workflow,
            activity=context.activity,
            run=context.run,
            local_table=tied_table(context),
            table=name,
            key_field=key_field,
            fields=fields,
            settings=settings,
        )
        context.db.create_work(name, draft.columns, durable=True)
        with context.step(f"the plan of {context.activity}") as transaction:
            return plans.make_plan(transaction, draft, context.now())
    if (plan.account, plan.object, plan.fields, plan.key_field) != (account, object, fields, key_field):
        raise ConfigError(
            f"The mapping of {context.activity} was edited since its rows were planned in this run.",
            hint="What was planned is fixed. Restart the workflow to plan anew; what was sent already is known.",
        )
    if plan.org != org:
        raise ConfigError(
            f"The rows of {context.activity} were planned for the org {plan.org}, but account {account} now leads to"
            f" the org {org}.",
            hint="Nothing was sent. Point the account back at that org, or restart the workflow to plan anew.",
        )
    return plan


def fill_plan(
    context: Context,
    plan: Plan,
    rows: Callable[[int], Iterator[pa.RecordBatch]],
    *,
    key_has_case: bool = False,
) -> None:
    """Adds the inbound rows that the plan does not have; `rows` gives them, numbered from a number on. What was
    rejected and comes in again is planned anew. `key_has_case`: external ids that differ in case only are two."""
    inbound = context.input
    with context.step(f"rows of {plan.activity} that come in again") as transaction:
        transaction.execute(
            f"delete from crosstie.{plan.table} where outcome = '{Outcome.REJECTED}' and told is not null"
            f" and source_key in (select {source_key(inbound, 's')} from crosstie.{inbound.name} s)"
        )
        row = transaction.row(f"select coalesce(max(number), 0) from crosstie.{plan.table}")
    with context.db.load(plan.table, plan.columns, expected_rows=inbound.rows) as load:
        for batch in rows(int(row[0]) + 1 if row else 1):
            load.write(batch)
    context.db.prepare(plan.table, ("number",), unique=True)
    context.db.prepare(plan.table, ("source_key",))
    _hold_back(context, plan, key_has_case=key_has_case)


def not_planned(context: Context, plan: Plan) -> str:
    """The condition, over the inbound rows as s, that the plan has no such row."""
    key = source_key(context.input, "s")
    return f"not exists (select 1 from crosstie.{plan.table} p where p.source_key = {key})"


def _hold_back(context: Context, plan: Plan, *, key_has_case: bool) -> None:
    """Of rows that say the same record only the first is sent; what is in doubt since an earlier run is held back, and
    what another run has created since the plan was made."""
    free = f"(w.outcome is null or w.outcome = '{Outcome.RETRY}') and w.shipment is null"
    record = f"coalesce(remote_id, {'key' if key_has_case else 'lower(key)'})"
    with context.step(f"rows of {plan.activity} that are not sent") as transaction:
        transaction.execute(
            f"update crosstie.{plan.table} as w set outcome = '{Outcome.REJECTED}', symbol = 'DOUBLE', message ="
            " 'another row of this export says the same record' from (select number, row_number() over (partition by"
            f" operation, {record} order by number) as nth from crosstie.{plan.table} where"
            f" {record} is not null and coalesce(outcome, '') <> '{Outcome.REJECTED}') d"
            f" where d.number = w.number and d.nth > 1 and {free}"
        )
        ties = find_ties(transaction, plan.lineage, plan.local_table) if plan.local_table else None
        if ties is not None and plan.settings.get("insert") != "always":
            transaction.execute(
                f"update crosstie.{plan.table} as w set outcome = '{Outcome.REJECTED}', symbol = '{MOVED}', message ="
                f" 'a record was created for the row since it was planned' where {free} and operation ="
                f" '{Operation.INSERT}' and w.source_key in (select local_key from crosstie.{ties.name} where tombstone"
                " is null)"
            )
        for other in plans.doubtful_plans(transaction, plan):
            transaction.execute(
                f"update crosstie.{plan.table} as w set outcome = '{Outcome.REJECTED}', symbol = 'IN_DOUBT',"
                f" message = :told where {free} and w.source_key in (select p.source_key from crosstie.{other.table} p"
                f" where p.outcome = '{Outcome.DOUBT}')",
                {
                    "told": f"the row was sent in run {other.run}, and nobody knows whether that was executed:"
                    f" crosstie journal show {other.run}"
                },
            )

"""A plan that is shown before anything is sent: what each record says now, what will be done, and what it costs."""

from __future__ import annotations

from dataclasses import replace

from crosstie.activities.shipping.guarding import Findings, look
from crosstie.activities.shipping.sending import Shipping, travelling, write_for
from crosstie.crm.writing import Operation
from crosstie.db.statements import quote_identifier
from crosstie.model import WorkTable
from crosstie.sync import plans, shipments
from crosstie.sync.plans import Plan
from crosstie.workflow.activity import Context, Done
from crosstie.workflow.state import work_table_text

_BLOCK = 2_000
"""Records that are read at once."""


def preview(shipping: Shipping, plan: Plan) -> Done:
    """Reads the records that the plan would write, keeps what they say, and what the plan would cost. Writes nothing in
    the CRM. Raises ConnectorError."""
    context = shipping.context
    before = shipping.connector.usage.calls
    if plan.guarded:
        for operation in (Operation.UPDATE, Operation.UPSERT):
            _read(shipping, plan, operation)
    reads = shipping.connector.usage.calls - before
    with context.db.reading() as transaction:
        due = shipments.due(transaction, plan)
    costs = {}
    for operation, rows in due.items():
        packing = shipping.connector.packing(write_for(plan, shipping.remote, operation), rows)
        looks = reads if operation in (Operation.UPDATE, Operation.UPSERT) else 0
        costs[operation.value] = {
            "rows": rows,
            "road": packing.road.value,
            "certainty": packing.certainty.value,
            "calls": packing.calls + looks,
            "reason": packing.reason,
        }
    inbound = _keep_inbound(context)
    with context.step(f"the plan of {context.activity} is shown") as transaction:
        settings = {**plan.settings, "shown": True, "costs": costs}
        plans.show_plan(transaction, plan, settings, work_table_text(inbound))
        counts = plans.outlook(transaction, plan)
    return Done(tables={}, counts=counts)


def _read(shipping: Shipping, plan: Plan, operation: Operation) -> None:
    """Looks at the records of an operation, block by block; those of an interrupted look are not read again."""
    context, last = shipping.context, 0
    write = write_for(plan, shipping.remote, operation)
    where = (
        "number > :last and operation = :operation and outcome is null and shipment is null and there is null"
        f" and number <= (select max(number) from (select number from crosstie.{plan.table} where number > :last and"
        f" operation = :operation and outcome is null and there is null order by number limit {_BLOCK}) n)"
    )
    sql, columns = shipments.guard_sql(plan, where)
    while True:
        given = {"last": last, "operation": operation}
        rows = [travelling(one) for one in context.db.read(sql, given, columns)]
        if not rows:
            return
        last = max(max(batch.column(0).to_pylist()) for batch in rows)
        found: Findings = look(plan, shipping.connector, write, rows, shown=False)
        with context.step(f"records of {context.activity} as they are") as transaction:
            shipments.withdraw(transaction, plan, found.rejected, found.dropped)
            shipments.keep_known(transaction, plan, found.current)
        context.progress(last, None)


def _keep_inbound(context: Context) -> WorkTable:
    """A copy of the inbound rows that stays with the plan: what is carried out later begins with it."""
    name = context.private_name("inbound")
    context.db.create_work(name, context.input.columns, durable=True)
    with context.db.transaction(f"inbound rows of {context.activity} are kept") as transaction:
        transaction.execute(f"delete from crosstie.{name}")
        listed = ", ".join(quote_identifier(one.name) for one in context.input.columns)
        rows = transaction.execute(
            f"insert into crosstie.{name} ({listed}) select {listed} from crosstie.{context.input.name}"
        )
    return replace(context.input, name=name, rows=rows, bases=())

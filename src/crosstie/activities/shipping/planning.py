"""What every plan refuses of itself before anything is sent."""

from __future__ import annotations

from crosstie.crm.writing import Outcome
from crosstie.sync import shipments
from crosstie.sync.shipments import Plan
from crosstie.workflow.activity import Context


def hold_back(context: Context, plan: Plan) -> None:
    """Of rows that say the same record only the first is sent; what is in doubt since an earlier run is held back."""
    free = "w.outcome is null and w.shipment is null"
    with context.step(f"rows of {plan.activity} that are not sent") as transaction:
        transaction.execute(
            f"update crosstie.{plan.table} as w set outcome = '{Outcome.REJECTED}', symbol = 'DOUBLE', message ="
            f" 'another row of this export says the same record' where {free} and coalesce(w.remote_id, w.key)"
            f" is not null and exists (select 1 from crosstie.{plan.table} p where p.number < w.number"
            " and p.operation = w.operation and coalesce(p.remote_id, p.key) = coalesce(w.remote_id, w.key)"
            f" and coalesce(p.outcome, '') <> '{Outcome.REJECTED}')"
        )
        for other in shipments.doubtful_plans(transaction, plan):
            transaction.execute(
                f"update crosstie.{plan.table} as w set outcome = '{Outcome.REJECTED}', symbol = 'IN_DOUBT',"
                f" message = :told where {free} and exists (select 1 from crosstie.{other.table} p where"
                f" p.outcome = '{Outcome.DOUBT}' and p.source_key = w.source_key)",
                {
                    "told": f"the row was sent in run {other.run}, and nobody knows whether that was executed:"
                    f" crosstie journal settle {other.run}"
                },
            )

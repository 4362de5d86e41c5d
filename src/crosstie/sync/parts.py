"""Shipments whose rows a CRM has refused together, executing none of them: they leave again in parts, until it shows
which rows are at fault."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from crosstie.db.database import Transaction
from crosstie.sync.plans import Plan
from crosstie.sync.shipments import Shipment, ShipmentStatus, last_number, register, shipments


def split(
    transaction: Transaction, plan: Plan, shipment: Shipment, parts: Sequence[Sequence[int]], now: datetime
) -> tuple[Shipment, ...]:
    """Puts rows of a shipment, by their numbers, into shipments of their own, one for each part; what the one that they
    come from was allowed, its deadline included, they are too. Gives the new ones. Its other rows stay."""
    base = last_number(transaction, plan)
    for number, part in enumerate(parts, base + 1):
        transaction.execute(
            f"update crosstie.{plan.table} set shipment = :number, outcome = null where shipment = :shipment"
            f" and number in ({', '.join(str(int(one)) for one in part)})",
            {"number": number, "shipment": shipment.number},
        )
    register(transaction, plan, base, shipment.operation, shipment.road, now, shipment.deadline)
    return tuple(one for one in shipments(transaction, plan, ShipmentStatus.PLANNED) if one.number > base)


def probes(transaction: Transaction, plan: Plan) -> int:
    """About how many shipments of a plan have come from others in this way: two from each."""
    row = transaction.row(
        f"select count(*) from crosstie.shipment where plan = :plan and status = '{ShipmentStatus.SPLIT}'",
        {"plan": plan.id},
    )
    return 2 * int(row[0]) if row else 0

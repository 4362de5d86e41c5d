"""What the journal says of the rows that were sent, so that runs can be compared."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from crosstie.crm.writing import Outcome
from crosstie.db import open_database
from crosstie.db.database import Transaction
from crosstie.sync import shipments
from crosstie.sync.plans import UNCHANGED, Plan, plans_of_run, totals
from crosstie.sync.shipments import ShipmentStatus
from crosstie.workflow import state

_OPEN = (ShipmentStatus.LEAVING, ShipmentStatus.UNSURE, ShipmentStatus.DOUBT)


def plans(transaction: Transaction) -> list[Plan]:
    """The plans of all runs, the oldest first."""
    numbers = sorted(run.id for run in state.runs(transaction))
    return [plan for number in numbers for plan in plans_of_run(transaction, number)]


def sent_rows(transaction: Transaction) -> list[tuple[Any, ...]]:
    """Every row of every plan with what became of it."""
    return [
        (place, plan.activity, *row)
        for place, plan in enumerate(plans(transaction))
        for row in transaction.rows(
            # What was chosen for a record, and is not its id, is another in every run.
            "select source_key, operation, case when operation <> 'insert' or remote_id = answered_id then remote_id"
            " end, key, outcome, effect, answered_id, symbol, message, faults,"
            f" case when told is null then 0 else 1 end from crosstie.{plan.table} order by source_key"
        )
    ]


def sent_nothing(transaction: Transaction, run: int) -> bool:
    """Whether a run had something to send, and nothing of it differed from what both sides know."""
    found = plans_of_run(transaction, run)
    known = [one for plan in found for one in totals(transaction, plan)]
    return bool(found) and all(one == (Outcome.ACCEPTED, UNCHANGED) for one in known)


def unanswered(transaction: Transaction) -> list[str]:
    """Rows without a last word, and shipments that are still on their way."""
    told = []
    for plan in plans(transaction):
        told += [
            f"shipment {one.number} of {plan.activity} is {one.status}"
            for one in shipments.shipments(transaction, plan)
            if one.status not in (ShipmentStatus.ANSWERED, ShipmentStatus.DISSOLVED, ShipmentStatus.SPLIT)
        ]
        told += [
            f"row {key} of {plan.activity} is {outcome or 'not sent'}"
            for key, outcome in transaction.rows(
                f"select source_key, outcome from crosstie.{plan.table} where outcome is null or outcome not in"
                f" ('{Outcome.ACCEPTED}', '{Outcome.REJECTED}')"
            )
        ]
    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Underway:
    """The rows of the newest plan, by source key: those that are answered, those whose shipment has left without an
    answer that was read, and those that have not left."""

    run: int
    answered: frozenset[str]
    left: frozenset[str]
    here: frozenset[str]
    doubtful: frozenset[str]


def underway(database: str) -> Underway:
    """How far the newest plan is."""
    with closing(open_database(database, create=False)) as db, db.reading() as transaction:
        known = plans(transaction)
        if not known:
            none: frozenset[str] = frozenset()
            return Underway(run=0, answered=none, left=none, here=none, doubtful=none)
        plan = known[-1]
        away = {one.number for one in shipments.shipments(transaction, plan, *_OPEN)}
        rows = transaction.rows(f"select source_key, outcome, shipment from crosstie.{plan.table}")
    answered = {key for key, outcome, _ in rows if outcome in (Outcome.ACCEPTED, Outcome.REJECTED)}
    left = {key for key, _, shipment in rows if shipment in away} - answered
    return Underway(
        run=plan.run,
        answered=frozenset(answered),
        left=frozenset(left),
        here=frozenset(key for key, _, _ in rows) - answered - left,
        doubtful=frozenset(key for key, outcome, _ in rows if outcome == Outcome.DOUBT),
    )

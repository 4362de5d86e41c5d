"""Shipments: what is sent to a CRM, recorded before it leaves, and every answer before its lane goes on.

Rows of a plan leave in shipments, one for each remote transaction. See the design, “Shipments”.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from crosstie.crm.writing import Effect, Operation, Outcome, Packing
from crosstie.db.database import Dialect, Transaction, instant_text, parse_instant
from crosstie.db.statements import quote_identifier
from crosstie.errors import DatabaseError
from crosstie.model import Column
from crosstie.sync.plans import GUARD, KEYS, UNCHANGED, Plan, PlannedField
from crosstie.sync.ties import TieTable

if TYPE_CHECKING:
    import pyarrow as pa

_SHIPMENT = (
    "select s.id, s.plan, s.number, s.operation, s.road, s.row_count, s.first_lane, s.last_lane, s.token, s.status,"
    " s.deadline, s.left_at from crosstie.shipment s"
)


_ANSWERED = ("number", "outcome", "effect", "remote_id", "symbol", "message", "faults", "word", "log_file")


class ShipmentStatus(StrEnum):
    """How far a shipment is; see the migration. SPLIT: its rows were refused together, and left again in others."""

    PLANNED = "planned"
    LEAVING = "leaving"
    UNSURE = "unsure"
    ANSWERED = "answered"
    DOUBT = "doubt"
    DISSOLVED = "dissolved"
    SPLIT = "split"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """A shipment as recorded; instants are UTC, `left_at` by the CRM's clock."""

    id: int
    plan: int
    number: int
    operation: Operation
    road: str
    rows: int
    first_lane: str
    last_lane: str
    token: str
    status: ShipmentStatus
    deadline: datetime
    left_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A row that is not sent as it was planned: rejected, with a `symbol` and a `message`; or without the fields at
    those `places`, and, where it is `settled`, not at all, because its record `remote_id` says the rest already."""

    number: int
    symbol: str = ""
    message: str = ""
    faults: str = ""
    places: tuple[int, ...] = ()
    settled: bool = False
    remote_id: str = ""


def due(transaction: Transaction, plan: Plan) -> dict[Operation, int]:
    """How many rows have still to be packed, by operation."""
    rows = transaction.rows(
        f"select operation, count(*) from crosstie.{plan.table} where shipment is null"
        f" and (outcome is null or outcome = '{Outcome.RETRY}') group by operation"
    )
    found = {Operation(str(row[0])): int(row[1]) for row in rows}
    return {one: found[one] for one in Operation if one in found}


def pack(transaction: Transaction, plan: Plan, operation: Operation, packing: Packing, now: datetime) -> None:
    """Puts the rows of an operation that are due into shipments, those that share a parent side by side. From then on
    nothing is known of them: what an earlier shipment said of a row is over."""
    base = last_number(transaction, plan)
    ordered = "order by coalesce(p.lane, ''), p.number"
    transaction.execute(
        f"update crosstie.{plan.table} as w set shipment = q.place + :base, outcome = null from (select c.number,"
        " dense_rank() over (order by c.by_rows + c.by_bytes, c.by_rows) as place from (select p.number,"
        f" (row_number() over ({ordered}) - 1) / {packing.rows} as by_rows,"
        f" cast(sum(p.content_bytes) over ({ordered} rows unbounded preceding) as bigint) / {packing.content_bytes}"
        f" as by_bytes from crosstie.{plan.table} p where p.shipment is null and p.operation = :operation"
        f" and (p.outcome is null or p.outcome = '{Outcome.RETRY}')) c) q where w.number = q.number",
        {"base": base, "operation": operation},
    )
    register(transaction, plan, base, operation, packing.road, now, now + packing.deadline)


def last_number(transaction: Transaction, plan: Plan) -> int:
    """The number of the newest shipment of a plan."""
    row = transaction.row(
        "select coalesce(max(number), 0) from crosstie.shipment where plan = :plan", {"plan": plan.id}
    )
    return int(row[0]) if row else 0


def register(
    transaction: Transaction, plan: Plan, base: int, operation: Operation, road: str, now: datetime, deadline: datetime
) -> None:
    """Records the shipments that rows have been put into, those with numbers beyond `base`."""
    transaction.execute(
        "insert into crosstie.shipment (plan, number, operation, road, row_count, first_lane, last_lane, recorded_at,"
        " deadline) select :plan, p.shipment, :operation, :road, count(*), min(coalesce(p.lane, '')),"
        f" max(coalesce(p.lane, '')), :now, :deadline from crosstie.{plan.table} p where p.shipment > :base"
        " group by p.shipment order by p.shipment",
        {
            "plan": plan.id,
            "base": base,
            "operation": operation,
            "road": road,
            "now": instant_text(now),
            "deadline": instant_text(deadline),
        },
    )


def shipments(transaction: Transaction, plan: Plan, *statuses: ShipmentStatus) -> tuple[Shipment, ...]:
    """The shipments of a plan in their order; those in one of the statuses, or all."""
    listed = ", ".join(f"'{one}'" for one in statuses)
    among = f" and s.status in ({listed})" if statuses else ""
    rows = transaction.rows(f"{_SHIPMENT} where s.plan = :plan{among} order by s.number", {"plan": plan.id})
    return tuple(_shipment(row) for row in rows)


def _shipment(row: Sequence[Any]) -> Shipment:
    return Shipment(
        id=int(row[0]),
        plan=int(row[1]),
        number=int(row[2]),
        operation=Operation(str(row[3])),
        road=str(row[4]),
        rows=int(row[5]),
        first_lane=str(row[6]),
        last_lane=str(row[7]),
        token=str(row[8]),
        status=ShipmentStatus(str(row[9])),
        deadline=parse_instant(str(row[10])),
        left_at=None if row[11] is None else parse_instant(str(row[11])),
    )


def dissolve(transaction: Transaction, plan: Plan) -> None:
    """Takes the shipments apart that never left: their rows are packed anew."""
    planned = "select number from crosstie.shipment where plan = :plan and status = 'planned'"
    transaction.execute(
        f"update crosstie.{plan.table} set shipment = null where shipment in ({planned})", {"plan": plan.id}
    )
    transaction.execute(
        "update crosstie.shipment set status = 'dissolved' where plan = :plan and status = 'planned'", {"plan": plan.id}
    )


def leave(transaction: Transaction, shipment: Shipment, left_at: datetime) -> None:
    """Records that a shipment leaves; from here on only its answers, or what is found, say what became of it."""
    changed = transaction.execute(
        "update crosstie.shipment set status = 'leaving', left_at = :at where id = :id and status = 'planned'",
        {"id": shipment.id, "at": instant_text(left_at)},
    )
    if changed != 1:
        raise DatabaseError(f"shipment {shipment.number} has left already")


def keep_token(transaction: Transaction, shipment: Shipment, token: str) -> None:
    """Keeps the remote token of a shipment under way."""
    transaction.execute(
        "update crosstie.shipment set token = :token where id = :id", {"id": shipment.id, "token": token}
    )


def rows_sql(plan: Plan) -> tuple[str, tuple[Column, ...]]:
    """The rows of a shipment (:shipment) of which nothing is settled yet, as they travel, and their columns."""
    travel = (KEYS[0], KEYS[3], KEYS[4], *(one for one in plan.columns if one.name.startswith("f_")))
    open_rows = f"shipment = :shipment and (outcome is null or outcome = '{Outcome.DOUBT}')"
    return f"select {_listed(travel)} from crosstie.{plan.table} where {open_rows} order by number", travel


def guard_sql(plan: Plan, where: str) -> tuple[str, tuple[Column, ...]]:
    """The rows of a guarded plan, as they travel, with what was known of their records."""
    _, travel = rows_sql(plan)
    columns = (*travel, *GUARD, *(one for one in plan.columns if one.name.startswith("b_")))
    return f"select {_listed(columns)} from crosstie.{plan.table} where {where} order by number", columns


def _listed(columns: Sequence[Column]) -> str:
    return ", ".join(quote_identifier(one.name) for one in columns)


def withdraw(transaction: Transaction, plan: Plan, rejected: Sequence[Withdrawn], dropped: Sequence[Withdrawn]) -> None:
    """Takes back what is not to be sent. What a settled row says, its record says too."""
    given = _rows_of(transaction.dialect, ("number", "symbol", "message", "faults"))
    transaction.execute(
        f"update crosstie.{plan.table} as p set outcome = '{Outcome.REJECTED}', symbol = a.symbol, message = a.message,"
        f" faults = nullif(a.faults, '') from ({given}) a where p.number = a.number",
        {"rows": json.dumps([[one.number, one.symbol, one.message, one.faults] for one in rejected])},
    )
    for place in sorted({place for one in dropped for place in one.places}):
        numbers = ", ".join(str(one.number) for one in dropped if place in one.places)
        transaction.execute(f"update crosstie.{plan.table} set f_{place} = null where number in ({numbers})")
    given = _rows_of(transaction.dialect, ("number", "remote_id"))
    transaction.execute(
        f"update crosstie.{plan.table} as p set outcome = '{Outcome.ACCEPTED}', effect = '{UNCHANGED}',"
        f" answered_id = a.remote_id from ({given}) a where p.number = a.number",
        {"rows": json.dumps([[one.number, one.remote_id] for one in dropped if one.settled])},
    )


def is_empty(transaction: Transaction, plan: Plan, shipment: Shipment) -> bool:
    """Whether nothing of a shipment is left to be sent."""
    sql, _ = rows_sql(plan)
    return transaction.row(f"select 1 from ({sql}) r limit 1", {"shipment": shipment.number}) is None


def keep_known(transaction: Transaction, plan: Plan, records: Mapping[int, Mapping[str, Any] | None]) -> None:
    """Keeps what records say now, by row number, None where there is none, as what was known of them."""
    places = range(len(plan.fields))
    names = ("number", "there", *(f"b_{place}" for place in places))
    rows = [
        [number, int(one is not None), *(one[f"f_{place}"] if one is not None else None for place in places)]
        for number, one in records.items()
    ]
    there = "cast(a.there as integer) = 1" if transaction.dialect == "postgresql" else "a.there"
    listed = "".join(f", b_{place} = a.b_{place}" for place in places)
    transaction.execute(
        f"update crosstie.{plan.table} as p set there = {there}{listed}"
        f" from ({_rows_of(transaction.dialect, names)}) a where p.number = a.number",
        {"rows": json.dumps(rows)},
    )


def record_answers(
    transaction: Transaction,
    plan: Plan,
    shipment: Shipment,
    answers: pa.RecordBatch,
    now: datetime,
    *,
    looked_up: bool,
    tried: bool,
) -> None:
    """Keeps what became of a shipment's rows, in one statement. What may be sent again is packed anew. What is in doubt
    is to be looked up, or, where that was done, a person's to decide. `tried` says that the CRM answered row by row:
    only that counts as a try of a row."""
    given = [list(one.values()) for one in answers.to_pylist()]
    if any(isinstance(one, str) and "\0" in one for row in given for one in row):  # which no database column holds
        given = [[one.replace("\0", "") if isinstance(one, str) else one for one in row] for row in given]
    transaction.execute(
        f"update crosstie.{plan.table} as p set outcome = a.outcome, effect = a.effect,"
        # The id that was chosen for a record that was not made leads to none.
        f" answered_id = case when p.operation <> '{Operation.INSERT}' or a.outcome = '{Outcome.ACCEPTED}'"
        " then coalesce(a.remote_id, p.remote_id) end, symbol = a.symbol, message = a.message, faults = a.faults,"
        " word = a.word, log_file = a.log_file,"
        f" tries = coalesce(p.tries, 0) + {int(tried)}, shipment = case when a.outcome = '{Outcome.RETRY}' then null"
        f" else p.shipment end from ({_rows_of(transaction.dialect, _ANSWERED)}) a"
        " where p.number = a.number and p.shipment = :shipment",
        {"rows": json.dumps(given), "shipment": shipment.number},
    )
    left = transaction.row(
        f"select count(*) from crosstie.{plan.table} where shipment = :shipment"
        f" and (outcome is null or outcome = '{Outcome.DOUBT}')",
        {"shipment": shipment.number},
    )
    doubtful = left is not None and int(left[0]) > 0
    status = ShipmentStatus.ANSWERED
    if doubtful:
        status = ShipmentStatus.DOUBT if looked_up else ShipmentStatus.UNSURE
    end_shipment(transaction, shipment, status, now)


def first_unanswered(transaction: Transaction, account: str, org: str, object: str) -> tuple[datetime, str, int] | None:
    """When the first shipment of an object left whose answers are missing, by the CRM's clock, with the workflow and
    the run that sent it; None when all is settled."""
    row = transaction.row(
        "select s.left_at, p.workflow, p.run from crosstie.shipment s join crosstie.plan p on p.id = s.plan"
        " where p.account = :account and p.org = :org and p.object = :object and s.left_at is not null"
        f" and s.status in ('{ShipmentStatus.LEAVING}', '{ShipmentStatus.UNSURE}') order by s.left_at limit 1",
        {"account": account, "org": org, "object": object},
    )
    return None if row is None else (parse_instant(str(row[0])), str(row[1]), int(row[2]))


def end_shipment(transaction: Transaction, shipment: Shipment, status: ShipmentStatus, now: datetime) -> None:
    """Records how far a shipment has come."""
    transaction.execute(
        "update crosstie.shipment set status = :status, answered_at = :now where id = :id",
        {"status": status, "now": instant_text(now), "id": shipment.id},
    )


def _rows_of(dialect: Dialect, names: Sequence[str]) -> str:
    """The rows of a JSON list of lists (:rows): a number, then texts."""
    if dialect == "sqlite":
        listed = ", ".join(f"json_extract(j.value, '$[{place}]') as {name}" for place, name in enumerate(names))
        return f"select {listed} from json_each(:rows) j"
    listed = ", ".join(
        f"{'cast(j.value ->> 0 as bigint)' if place == 0 else f'j.value ->> {place}'} as {name}"
        for place, name in enumerate(names)
    )
    return f"select {listed} from json_array_elements(cast(:rows as json)) as j(value)"


def write_ties(transaction: Transaction, plan: Plan, ties: TieTable, shipment: Shipment) -> None:
    """Joins the accepted rows of a shipment with their records: both sides agree on what was sent or was there already,
    and of a record that was not tied before on no more than that. An upsert sends what differs from the record that
    was tied; where that one is gone, the rest is sent by the next export."""
    given = {"shipment": shipment.number}
    accepted = (
        f"p.shipment = :shipment and p.outcome = '{Outcome.ACCEPTED}'"
        f" and p.effect in ('{Effect.CREATED}', '{Effect.UPDATED}', '{UNCHANGED}') and p.answered_id is not null"
    )
    rows = f"crosstie.{plan.table} p where {accepted}"
    transaction.execute(
        f"delete from crosstie.{ties.name} where tombstone is null and remote_id in (select e.remote_id"
        f" from crosstie.{plan.table} p join crosstie.{ties.name} e on e.local_key = p.source_key"
        f" where {accepted} and e.tombstone is null and e.remote_id <> p.answered_id)",
        given,
    )
    names = [_tie_column(ties, one) for one in plan.fields]
    agreed = [
        f"{name} = case when p.f_{place} is not null then p.v_{place}"
        f" when p.effect <> '{Effect.CREATED}' then e.{name} end"
        for place, name in enumerate(names)
    ]
    values = [f"case when p.f_{place} is not null then p.v_{place} end" for place in range(len(names))]
    if plan.key is not None:
        names.append(_tie_column(ties, plan.key))
        agreed.append(f"{names[-1]} = p.key")
        values.append("p.key")
    transaction.execute(
        f"update crosstie.{ties.name} as e set {', '.join(['local_key = p.source_key', 'tombstone = null', *agreed])}"
        f" from {rows} and e.remote_id = p.answered_id",
        given,
    )
    listed = ", ".join(["remote_id", "local_key", *names])
    given_values = ", ".join(["p.answered_id", "p.source_key", *values])
    transaction.execute(
        f"insert into crosstie.{ties.name} ({listed}) select {given_values}"
        f" from {rows} and not exists (select 1 from crosstie.{ties.name} e where e.remote_id = p.answered_id)"
        # Where the CRM takes two rows for one record, the later one has written it last.
        f" and p.number in (select max(p.number) from {rows} group by p.answered_id)",
        given,
    )


def bury_ties(transaction: Transaction, plan: Plan, tables: Sequence[str], shipment: Shipment, now: datetime) -> None:
    """Marks the ties of the records that a shipment has deleted with a tombstone, whatever the local table."""
    instant = "timestamptz" if transaction.dialect == "postgresql" else "text"
    for name in tables:
        transaction.execute(
            f"update crosstie.{name} set local_key = '', tombstone = cast(:now as {instant}) where remote_id in"
            f" (select p.answered_id from crosstie.{plan.table} p where p.shipment = :shipment"
            f" and p.outcome = '{Outcome.ACCEPTED}')",
            {"shipment": shipment.number, "now": instant_text(now)},
        )


def _tie_column(ties: TieTable, planned: PlannedField) -> str:
    found = ties.find(planned.field, planned.type)
    if found is None:
        raise DatabaseError(f"the tie table {ties.name} has no column for {planned.field}")
    return quote_identifier(found.name)


def give_up(transaction: Transaction, plan: Plan, tries: int) -> int:
    """Refuses the rows that were tried so often and were refused each time for now; how many."""
    return transaction.execute(
        f"update crosstie.{plan.table} set outcome = '{Outcome.REJECTED}' where outcome = '{Outcome.RETRY}'"
        " and shipment is null and coalesce(symbol, '') <> '' and tries >= :tries",
        {"tries": tries},
    )


def settle_rows(
    transaction: Transaction, plan: Plan, keys: Sequence[str], remote_ids: Mapping[str, str], now: datetime
) -> tuple[Shipment, ...]:
    """A person's decision about rows in doubt: those with a remote id were executed, the others were not. Gives the
    shipments that were concerned, whose ties are to be written. `keys` are source keys."""
    concerned = {
        int(row[0])
        for key in keys
        for row in transaction.rows(
            f"select shipment from crosstie.{plan.table} where source_key = :key and outcome = '{Outcome.DOUBT}'"
            " and shipment is not null",
            {"key": key},
        )
    }
    for key in keys:
        remote_id = remote_ids.get(key, "")
        if remote_id:
            transaction.execute(
                f"update crosstie.{plan.table} set outcome = '{Outcome.ACCEPTED}', answered_id = :id, symbol = null,"
                f" message = null, effect = case"
                f" when operation = '{Operation.DELETE}' then '{Effect.DELETED}' when operation ="
                f" '{Operation.INSERT}' then '{Effect.CREATED}' else '{Effect.UPDATED}' end"
                f" where source_key = :key and outcome = '{Outcome.DOUBT}'",
                {"key": key, "id": remote_id},
            )
        else:
            transaction.execute(
                f"update crosstie.{plan.table} set outcome = '{Outcome.RETRY}', shipment = null, symbol = null,"
                " message = 'a person has settled that it was not executed'"
                f" where source_key = :key and outcome = '{Outcome.DOUBT}'",
                {"key": key},
            )
    transaction.execute(
        "update crosstie.shipment set status = 'answered', answered_at = :now where plan = :plan and status = 'doubt'"
        f" and not exists (select 1 from crosstie.{plan.table} p where p.shipment = crosstie.shipment.number"
        f" and p.outcome = '{Outcome.DOUBT}')",
        {"plan": plan.id, "now": instant_text(now)},
    )
    return tuple(one for one in shipments(transaction, plan) if one.number in concerned)

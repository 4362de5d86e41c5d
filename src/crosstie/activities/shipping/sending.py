"""Carries a plan out: shipments leave, side by side, and every answer is recorded before its lane goes on.

Order of things that a kill can interrupt: the plan is registered before the first call; a shipment is recorded as
leaving before it leaves, its remote token before anything is executed under it, and its answers together with the ties
in one transaction. What was leaving when a process ended is looked up by the next one, and never sent again unseen.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from crosstie.activities.shipping.guarding import Findings, conditional, look
from crosstie.activities.shipping.planning import BATCH_ROWS
from crosstie.crm.connector import Connector
from crosstie.crm.writing import Operation, Outcome, Packing, RemoteWrite, Sent, WriteRoad
from crosstie.db.database import Transaction
from crosstie.errors import ConfigError, ConnectorError, UnavailableError
from crosstie.model import Column, RemoteObject
from crosstie.sync import parts, plans, shipments
from crosstie.sync.plans import Plan
from crosstie.sync.shipments import Shipment, ShipmentStatus
from crosstie.sync.ties import find_ties, tie_tables
from crosstie.workflow.activity import Context, Waiting

if TYPE_CHECKING:
    import pyarrow as pa

_LOOK_AGAIN = timedelta(seconds=10)
_SLICE_SECONDS = 1.0
_SHORTEST = timedelta(milliseconds=100)
_TRIES = 4
"""So often a row is sent that the CRM refuses for now (a locked parent); then it is a reject."""


@contextmanager
def shipping(context: Context, account: str, name: str) -> Iterator[Shipping | Waiting]:
    """What sends records of an object, alone: while another run does, a wait. What earlier runs left unsettled is
    settled first. Raises ConfigError, ConnectorError."""
    lock = f"shipping {account} {name}"
    with context.db.hold(lock) as held:
        if not held:
            by = context.db.holder(lock)
            reason = f"Another run sends {name} records{f' ({by})' if by else ''}."
            yield Waiting(until=context.now() + _LOOK_AGAIN, reason=reason)
            return
        remote = context.site.remote_object(account, name)
        if remote is None:
            raise ConfigError(
                f"{name} is not a collected object of account {account}.",
                hint=f"Collect it: crosstie collect {account} {name}",
            )

        def permit() -> None:
            if not context.db.still_holds(lock):
                raise UnavailableError(f"The lock under which {name} records are sent was lost.", hint="Run it again.")

        found = Shipping(context=context, connector=context.connector(account), remote=remote, permit=permit)
        rest = found.unfinished(account)
        if rest > timedelta(0):
            reason = f"The CRM may still be at work on {name} records that an interrupted run has sent."
            yield Waiting(until=context.now() + rest, reason=reason)
            return
        found.settle(account)
        yield found


def write_for(plan: Plan, remote: RemoteObject, operation: Operation, road: WriteRoad | None = None) -> RemoteWrite:
    """What the rows of a plan are for."""
    given = plan.settings
    return RemoteWrite(
        object=remote,
        operation=operation,
        fields=() if operation is Operation.DELETE else tuple(one.field for one in plan.fields),
        key=plan.key_field if operation is Operation.UPSERT else "",
        road=road or WriteRoad(str(given.get("road", WriteRoad.AUTO))),
        assignment=str(given.get("assignment", "off")),
        duplicates="allow" if given.get("duplicates") == "allow" else "reject",
        hard=bool(given.get("hard", False)),
    )


@dataclass(slots=True, kw_only=True)
class Shipping:
    """Sends the rows of plans of one object in one task. `permit` is asked before each shipment."""

    context: Context
    connector: Connector
    remote: RemoteObject
    permit: Callable[[], None] = lambda: None
    _sent: int = 0
    _conflicts: list[int] = field(default_factory=list)
    _probes: int = 0

    def unfinished(self, account: str) -> timedelta:
        """How long the CRM may still be making records for another run, whose answers are missing: what is not there
        yet would be made twice, for this run gives it another id."""
        finishing = self.connector.pauses.finishing
        if self.connector.new_id is None or not finishing:
            return timedelta(0)
        with self.context.db.reading() as transaction:
            found = plans.unsettled_plans(transaction, account, self.connector.org_id(), self.remote.name)
            left = [
                one.left_at
                for plan in found
                if plan.run != self.context.run
                for one in shipments.shipments(transaction, plan, ShipmentStatus.LEAVING, ShipmentStatus.UNSURE)
                if one.operation is Operation.INSERT and one.left_at is not None
            ]
        return max(left) + finishing - self.connector.server_time() if left else timedelta(0)

    def settle(self, account: str) -> None:
        """Finds out what became of shipments whose answers are missing, of any run: nobody else sends now. Raises
        ConnectorError while that cannot be said, for until then nobody knows what is still to be sent."""
        with self.context.db.reading() as transaction:
            found = plans.unsettled_plans(transaction, account, self.connector.org_id(), self.remote.name)
        for plan in found:
            self._look_up(plan)

    def send(self, plan: Plan) -> None:
        """Sends what is due until nothing is. Raises ConnectorError when whole calls go on failing; what was answered
        until then is recorded."""
        with self.context.step(f"shipments of {plan.activity} that never left") as transaction:
            shipments.dissolve(transaction, plan)
        pauses = self.connector.pauses
        pause, waited = pauses.first, timedelta()
        while True:
            failure = self._once(plan)
            if failure is None and not self._is_due(plan):
                break
            if failure is not None:
                pause = max(pause, failure.retry_after or pause)
                if not failure.retryable or waited + pause > pauses.total:
                    raise failure
                self.context.log.info(f"{failure.message} Tried again in {pause.total_seconds():.1f} s.")
            self._rest(pause)
            waited += max(pause, _SHORTEST)
            pause = min(pause * 2, pauses.longest)
        if not self._sent:
            self.context.log.info("There was nothing to send.")
        if conflicts := sum(self._conflicts):
            told = f"{conflicts:,} records keep the CRM's value in a field that both sides have changed."
            self.context.log.info(told)

    def _rest(self, pause: timedelta) -> None:
        """Waits, and hears meanwhile that the run is being ended."""
        until = time.monotonic() + pause.total_seconds()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_SECONDS))
            with self.context.step("a pause"):
                pass  # raises when the run is being ended, or is another's

    def _once(self, plan: Plan) -> ConnectorError | None:
        """Looks up what is unsure, then sends what is due once; the first failure of a whole call ends it."""
        try:
            self._look_up(plan)
        except ConnectorError as error:
            return error
        with self.context.db.reading() as transaction:
            due = shipments.due(transaction, plan)
        failure: ConnectorError | None = None
        for operation, rows in due.items():
            packing = self.connector.packing(write_for(plan, self.remote, operation), rows)
            self.context.log.info(f"{operation}: {packing.reason}")
            self._probes = packing.probes
            with self.context.step(f"rows of {plan.activity} are packed") as transaction:
                shipments.pack(transaction, plan, operation, packing, self.context.now())
            self.context.db.prepare(plan.table, ("shipment",))
            failure = self._send_all(plan, operation, packing)
            if failure is not None:
                break
        if failure is None:
            try:
                self._look_up(plan)
            except ConnectorError as error:
                failure = error
        with self.context.step(f"rows of {plan.activity} that are refused for now") as transaction:
            shipments.dissolve(transaction, plan)
            shipments.give_up(transaction, plan, _TRIES)
        return failure

    def _is_due(self, plan: Plan) -> bool:
        with self.context.db.reading() as transaction:
            return bool(shipments.due(transaction, plan))

    def _send_all(self, plan: Plan, operation: Operation, packing: Packing) -> ConnectorError | None:
        with self.context.db.reading() as transaction:
            planned = shipments.shipments(transaction, plan, ShipmentStatus.PLANNED)
        write = write_for(plan, self.remote, operation, packing.road)
        lanes = lanes_of(planned, packing.lanes)
        failure: ConnectorError | None = None
        raised: BaseException | None = None
        running: dict[Future[Sent | ConnectorError | None], tuple[deque[Shipment], Shipment]] = {}
        with ThreadPoolExecutor(max_workers=max(1, len(lanes)), thread_name_prefix="ship") as pool:

            def begin(lane: deque[Shipment]) -> None:
                shipment = lane.popleft()
                running[pool.submit(self._deliver, plan, write, shipment)] = (lane, shipment)

            try:
                for lane in lanes:
                    begin(lane)
            except BaseException as error:  # noqa: BLE001 - raised below, when those under way have been recorded
                raised = error
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    lane, shipment = running.pop(future)
                    try:
                        sent = future.result()
                        if isinstance(sent, Sent):
                            lane.extendleft(reversed(self._record(plan, shipment, sent, looked_up=False)))
                            failure = failure or sent.failure
                        else:
                            failure = failure or sent
                        if lane and failure is None and raised is None:
                            begin(lane)
                    except BaseException as error:  # noqa: BLE001 - as above
                        raised = raised or error
        if raised is not None:
            raise raised
        return failure

    def _leave(self, plan: Plan, shipment: Shipment, found: Findings) -> bool:
        """Records that a shipment leaves, without what is not to be sent. Whether it does: not when nothing is left of
        it, and not after its deadline; then it is packed anew."""
        self.permit()
        if self.context.now() > shipment.deadline:
            return False
        left_at = self.connector.server_time()
        with self.context.step(f"shipment {shipment.number} leaves") as transaction:
            if found.rejected or found.dropped:
                shipments.withdraw(transaction, plan, found.rejected, found.dropped)
                if shipments.is_empty(transaction, plan, shipment):
                    shipments.end_shipment(transaction, shipment, ShipmentStatus.ANSWERED, self.context.now())
                    self._write_ties(transaction, plan, shipment)
                    return False
            shipments.leave(transaction, shipment, left_at)
        return True

    def _look(self, plan: Plan, write: RemoteWrite, shipment: Shipment) -> Findings:
        sql, columns = shipments.guard_sql(plan, "shipment = :shipment and outcome is null")
        rows = [travelling(one) for one in self._read(sql, shipment, columns)]
        found = look(plan, self.connector, write, rows, shown=plan.shown)
        self._conflicts.append(found.conflicts)
        return found

    def _deliver(self, plan: Plan, write: RemoteWrite, shipment: Shipment) -> Sent | ConnectorError | None:
        """Sends a shipment. An error says that it has not left, None that it had not to."""
        found = Findings()
        if plan.guarded and shipment.operation in (Operation.UPDATE, Operation.UPSERT):
            try:
                found = self._look(plan, write, shipment)
            except ConnectorError as error:
                return error
        if not self._leave(plan, shipment, found):
            return None

        def keep(token: str) -> None:
            with self.context.step(f"remote job of shipment {shipment.number}") as transaction:
                shipments.keep_token(transaction, shipment, token)

        write, rows = conditional(write, self._rows(plan, shipment), found)
        return self.connector.send(write, rows, keep)

    def _rows(self, plan: Plan, shipment: Shipment) -> Sequence[pa.RecordBatch]:
        sql, columns = shipments.rows_sql(plan)
        return [travelling(one) for one in self._read(sql, shipment, columns)]

    def _read(self, sql: str, shipment: Shipment, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
        return self.context.db.read(sql, {"shipment": shipment.number}, columns, batch_rows=BATCH_ROWS)

    def _look_up(self, plan: Plan) -> None:
        """Finds out what became of shipments whose answers are missing. Raises ConnectorError when it can't be said."""
        with self.context.db.reading() as transaction:
            unsure = shipments.shipments(transaction, plan, ShipmentStatus.LEAVING, ShipmentStatus.UNSURE)
        for shipment in unsure:
            rows = self._rows(plan, shipment)
            if rows and shipment.left_at is not None:
                write = write_for(plan, self.remote, shipment.operation, WriteRoad(shipment.road))
                sent = self.connector.find(write, rows, token=shipment.token, left_at=shipment.left_at)
                if sent.failure is not None and _leaves_doubt(sent):
                    raise sent.failure
                self._record(plan, shipment, sent, looked_up=True)

    def _record(self, plan: Plan, shipment: Shipment, sent: Sent, *, looked_up: bool) -> tuple[Shipment, ...]:
        """The answers, and the ties that they make, in one transaction; with the shipments in which rows leave again
        that the CRM has refused together, as long as the run may ask it for more of them."""
        answers = sent.answers
        again: tuple[Shipment, ...] = ()
        with self.context.step(f"answers to shipment {shipment.number}") as transaction:
            now = self.context.now()
            tried = sent.failure is None and not looked_up
            if sent.parts and parts.probes(transaction, plan) < self._probes:
                again = parts.split(transaction, plan, shipment, sent.parts, now)
                answers = _without(answers, sent.parts)
            elif sent.parts:
                answers = _refused_together(answers, sent.parts, self._probes)
            shipments.record_answers(transaction, plan, shipment, answers, now, looked_up=looked_up, tried=tried)
            if again:
                shipments.end_shipment(transaction, shipment, ShipmentStatus.SPLIT, now)
            if shipment.operation is Operation.DELETE:
                shipments.bury_ties(transaction, plan, tie_tables(transaction, plan.lineage), shipment, now)
            else:
                self._write_ties(transaction, plan, shipment)
        self._sent += answers.num_rows
        self.context.progress(self._sent, None)
        return again

    def _write_ties(self, transaction: Transaction, plan: Plan, shipment: Shipment) -> None:
        ties = find_ties(transaction, plan.lineage, plan.local_table) if plan.local_table else None
        if ties is not None:
            shipments.write_ties(transaction, plan, ties, shipment)


def travelling(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of a plan as a connector takes them."""
    return batch.rename_columns(["row", *batch.schema.names[1:]])


def _without(answers: pa.RecordBatch, groups: Sequence[Sequence[int]]) -> pa.RecordBatch:
    """The answers of the rows that do not leave again."""
    import pyarrow as pa

    leaving = {row for group in groups for row in group}
    return answers.filter(pa.array([row not in leaving for row in answers.column(0).to_pylist()], pa.bool_()))


def _refused_together(answers: pa.RecordBatch, groups: Sequence[Sequence[int]], probes: int) -> pa.RecordBatch:
    """The answers when nobody may ask any more which of the rows are at fault: all of them are refused."""
    import pyarrow as pa

    refused = {row for group in groups for row in group}
    told = (
        f"Refused together with {len(refused) - 1} other rows; this run has made the {probes:,} further shipments that"
        " it may, and did not find out which of them are at fault. Correct the rejects that were found, and run it"
        " again. The CRM says: "
    )
    rows = answers.to_pylist()
    for row in rows:
        if row["row"] in refused:
            row.update(outcome=str(Outcome.REJECTED), message=f"{told}{row['message'] or ''}")
    return pa.RecordBatch.from_pylist(rows, schema=answers.schema)


def _leaves_doubt(sent: Sent) -> bool:
    return Outcome.DOUBT in sent.answers.column("outcome").to_pylist()


def lanes_of(planned: Sequence[Shipment], number: int) -> list[deque[Shipment]]:
    """The shipments in so many rows of their own, one after the other in each. Where two neighbours share a parent,
    they stay in one, so that no two lanes ever wait for the same record."""
    size = -(-len(planned) // max(1, number))
    lanes: list[deque[Shipment]] = []
    for one in planned:
        before = lanes[-1][-1] if lanes else None
        shared = before is not None and bool(one.first_lane) and before.last_lane == one.first_lane
        if before is None or (len(lanes[-1]) >= size and not shared):
            lanes.append(deque())
        lanes[-1].append(one)
    return lanes

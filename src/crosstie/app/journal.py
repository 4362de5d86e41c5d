"""The journal: what runs have sent to CRMs, row by row, and what a person decides about rows in doubt."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from crosstie.crm import kind_of
from crosstie.crm.writing import Operation, Outcome
from crosstie.db.audit import record
from crosstie.db.database import Database, Transaction
from crosstie.db.statements import quote_identifier
from crosstie.errors import ConfigError
from crosstie.model import Column, ColumnType
from crosstie.sync import plans, shipments
from crosstie.sync.plans import Plan
from crosstie.sync.shipments import Shipment
from crosstie.sync.ties import TieTable, find_ties, owner_of
from crosstie.workflow import state
from crosstie.workflow.runner import RunReport

_FACTS = ("source_key", "operation", "remote_id", "key", "shipment", "outcome", "effect", "answered_id", "symbol")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """What an activity of a run has sent. `totals` counts rows by (outcome, effect); ('', '') are still to be sent.
    `in_doubt` are the keys of the rows about which a person has to decide, the first hundred of them."""

    plan: Plan
    totals: Mapping[tuple[str, str], int]
    shipments: tuple[Shipment, ...]
    in_doubt: tuple[str, ...]


class Journal:
    """`app.journal`."""

    def __init__(
        self,
        db: Database,
        now: Callable[[], datetime],
        carry_on: Callable[[str], RunReport],
        account_kind: Callable[[str], str],
    ) -> None:
        self._db = db
        self._now = now
        self._carry_on = carry_on
        self._account_kind = account_kind

    def show(self, run: int) -> tuple[PlanReport, ...]:
        """What a run has sent, by activity. Raises ConfigError where it sent nothing."""
        with self._db.reading() as transaction:
            return tuple(_report(transaction, plan) for plan in self._plans(transaction, run))

    def resume(self, run: int) -> RunReport:
        """Goes on with an unfinished run: what is unsure is looked up, what is left is sent. Raises ConfigError where
        it cannot be gone on with, and what running a workflow raises."""
        with self._db.reading() as transaction:
            found = state.find_run(transaction, run)
            newest = state.unfinished_run(transaction, found.workflow) if found is not None else None
        if found is None:
            raise ConfigError(f"There is no run {run}.", hint="All runs: crosstie log")
        if newest is None or newest.id != run:
            raise ConfigError(
                f"Run {run} of {found.workflow} is {found.status}: it cannot be gone on with.",
                hint="What it left unsure is looked up by the next run that sends records of the same object.",
            )
        return self._carry_on(found.workflow)

    def export(self, run: int, output: Path) -> int:
        """Writes every row that a run sent, or was to send, with what became of it, into a CSV file; how many. It holds
        what was sent, personal data among it. Raises ConfigError."""
        with self._db.reading() as transaction:
            plans = self._plans(transaction, run)
        rows = 0
        try:
            with output.open("w", encoding="utf-8", newline="") as file:
                for plan in plans:
                    rows += self._write(file, plan)
        except OSError as error:
            raise ConfigError(f"{output} cannot be written: {error.strerror}") from error
        return rows

    def settle(self, run: int, keys: Sequence[str], remote_ids: Mapping[str, str]) -> int:
        """A person's decision about rows in doubt: those in `remote_ids` (row key: remote id) were executed, those in
        `keys` were not, and are sent again. How many rows were settled. Raises ConfigError for a key that is not in
        doubt, for what is no remote id, and for a record that is another row's; then none is settled."""
        wanted = dict.fromkeys((*keys, *remote_ids))
        settled = 0
        with self._db.reading() as transaction:
            plans = self._plans(transaction, run)
        with self._db.transaction(f"rows in doubt of run {run} are settled") as transaction:
            unknown = set(wanted)
            for plan in plans:
                mine = [key for key in wanted if _is_in_doubt(transaction, plan, key)]
                unknown -= set(mine)
                table = find_ties(transaction, plan.lineage, plan.local_table) if plan.local_table else None
                known = self._known(
                    transaction, plan, table, {key: remote_ids[key] for key in mine if key in remote_ids}
                )
                for shipment in shipments.settle_rows(transaction, plan, mine, known, self._now()):
                    if table is not None and shipment.operation is not Operation.DELETE:
                        shipments.write_ties(transaction, plan, table, shipment)
                settled += len(mine)
            if unknown:
                raise ConfigError(
                    f"In run {run} no row {', '.join(sorted(unknown))} is in doubt; nothing was settled.",
                    hint=f"Those that are: crosstie journal show {run}",
                )
            what = f"{len(remote_ids)} executed, {len(wanted) - len(remote_ids)} not executed"
            record(transaction, self._now(), "settle", f"run {run}", "in doubt", what)
        return settled

    def _known(
        self, transaction: Transaction, plan: Plan, table: TieTable | None, given: Mapping[str, str]
    ) -> dict[str, str]:
        """The remote ids as the CRM answers them, by row key. Raises ConfigError."""
        complete = kind_of(self._account_kind(plan.account)).id_completer()
        found: dict[str, str] = {}
        for key, text in given.items():
            remote_id = complete(text)
            if remote_id is None:
                raise ConfigError(f"“{text}” is no id of a {plan.object} record; nothing was settled.")
            owner = "" if table is None else owner_of(transaction, table, remote_id)
            owner = owner or next((other for other, taken in found.items() if taken == remote_id), "")
            if owner not in ("", key):
                raise ConfigError(
                    f"The record {remote_id} is row {owner}'s, not row {key}'s; nothing was settled.",
                    hint="Look in the CRM for the record that was made of this row, or say --not-executed.",
                )
            found[key] = remote_id
        return found

    def _plans(self, transaction: Transaction, run: int) -> tuple[Plan, ...]:
        found = plans.plans_of_run(transaction, run)
        if not found:
            raise ConfigError(f"Run {run} has sent nothing to a CRM.", hint=f"What it did: crosstie log {run}")
        return found

    def _write(self, file: io.TextIOBase, plan: Plan) -> int:
        texts = [f"f_{place}" for place in range(len(plan.fields))]
        names = (*_FACTS, "message", "faults", *texts)
        columns = tuple(
            Column(name=name, type=ColumnType.INTEGER if name == "shipment" else ColumnType.TEXT) for name in names
        )
        writer = csv.writer(file)
        writer.writerow(["activity", *names[: -len(texts) or None], *(one.field for one in plan.fields)])
        listed = ", ".join(quote_identifier(name) for name in names)
        rows = 0
        for batch in self._db.read(f"select {listed} from crosstie.{plan.table} order by number", None, columns):
            writer.writerows([plan.activity, *row.values()] for row in batch.to_pylist())
            rows += batch.num_rows
        return rows


def _report(transaction: Transaction, plan: Plan) -> PlanReport:
    doubtful = transaction.rows(
        f"select source_key from crosstie.{plan.table} where outcome = '{Outcome.DOUBT}' order by number limit 100"
    )
    return PlanReport(
        plan=plan,
        totals=plans.totals(transaction, plan),
        shipments=shipments.shipments(transaction, plan),
        in_doubt=tuple(str(row[0]) for row in doubtful),
    )


def _is_in_doubt(transaction: Transaction, plan: Plan, key: str) -> bool:
    found = transaction.row(
        f"select 1 from crosstie.{plan.table} where source_key = :key and outcome = '{Outcome.DOUBT}'", {"key": key}
    )
    return found is not None

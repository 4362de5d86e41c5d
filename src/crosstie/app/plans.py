"""Plans that are shown before anything is sent: what a run would do to records of CRMs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crosstie.crm.writing import Operation, Outcome
from crosstie.db.database import Database, Transaction
from crosstie.errors import ConfigError
from crosstie.sync import plans
from crosstie.sync.plans import Plan
from crosstie.workflow import state


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """A field of a record: what it says now (None: not known, or the record is not there) and what it would say; the
    empty text is an empty field."""

    field: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """What would become of a row. `word` is create, update, delete, gone (the record to be updated is
    not there any more, and the CRM will refuse it) or refused; `record` the remote id or external id,
    '' for a new record; `reason` why it is refused."""

    key: str
    word: str
    record: str
    changes: tuple[PlannedChange, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an operation of a plan costs. `certainty` is repeatable, findable or opaque; `calls` about how many API
    calls; `reason` why it goes by that road."""

    operation: str
    rows: int
    road: str
    certainty: str
    calls: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPreview:
    """What an activity would send. `outlook` counts rows by create, update, delete, gone, unchanged and rejected;
    `fields` in how many of the updated records each field would be written."""

    plan: Plan
    outlook: Mapping[str, int]
    fields: Mapping[str, int]
    costs: tuple[Cost, ...]
    rows: tuple[PlannedRow, ...]


class Plans:
    """`app.plans`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def show(self, number: int, *, refused: bool = False, limit: int = 20) -> tuple[PlanPreview, ...]:
        """What a run with `plan` would send, by activity, with the first `limit` rows to be sent, or of those that are
        refused. Raises ConfigError where there is no such plan, or it has been carried out."""
        with self._db.reading() as transaction:
            found = state.find_run(transaction, number)
            if found is None or not found.planning:
                raise ConfigError(f"There is no plan {number}.", hint="Make one: crosstie run WORKFLOW --plan")
            made = plans.plans_of_run(transaction, number)
            by = plans.carried_out_by(transaction, number)
            if not made and by is not None:
                raise ConfigError(
                    f"Plan {number} is carried out by run {by}.", hint=f"What became of it: crosstie journal show {by}"
                )
            return tuple(_preview(transaction, plan, refused=refused, limit=limit) for plan in made)


def _preview(transaction: Transaction, plan: Plan, *, refused: bool, limit: int) -> PlanPreview:
    outlook = plans.outlook(transaction, plan)
    counted = {}
    if plan.fields:
        listed = ", ".join(f"count(f_{place})" for place in range(len(plan.fields)))
        known = f"outcome is null and operation <> '{Operation.INSERT}'{' and there is not false' * plan.guarded}"
        row = transaction.row(f"select {listed} from crosstie.{plan.table} where {known}")
        assert row is not None, "an aggregate gives a row"
        counted = {one.field: int(count) for one, count in zip(plan.fields, row, strict=True) if count}
    return PlanPreview(
        plan=plan,
        outlook=outlook,
        fields=counted,
        costs=tuple(Cost(operation=name, **facts) for name, facts in plan.settings.get("costs", {}).items()),
        rows=_rows(transaction, plan, refused=refused, limit=limit),
    )


def _word(operation: str, was_there: object) -> str:
    """What would become of a row; `was_there` is None where nobody has looked for its record."""
    missing = was_there is not None and not was_there
    if operation == Operation.DELETE:
        return "delete"
    if operation == Operation.INSERT or (missing and operation == Operation.UPSERT):
        return "create"
    return "gone" if missing else "update"


def _rows(transaction: Transaction, plan: Plan, *, refused: bool, limit: int) -> tuple[PlannedRow, ...]:
    places = range(len(plan.fields))
    known = [f"b_{place}" if plan.guarded else "null" for place in places]
    there = "there" if plan.guarded else "null"
    columns = ["source_key", "operation", "coalesce(remote_id, key)", "symbol", "message", there]
    listed = ", ".join([*columns, *(f"f_{place}" for place in places), *known])
    which = f"outcome = '{Outcome.REJECTED}'" if refused else "outcome is null"
    rows = transaction.rows(
        f"select {listed} from crosstie.{plan.table} where {which} order by number limit {int(limit)}"
    )
    found = []
    for key, operation, record, symbol, message, was_there, *texts in rows:
        after, before = texts[: len(plan.fields)], texts[len(plan.fields) :]
        word = "refused" if refused else _word(operation, was_there)
        changes = (
            PlannedChange(field=one.field, before=before[place], after=after[place])
            for place, one in enumerate(plan.fields)
            if after[place] is not None
        )
        found.append(
            PlannedRow(
                key=str(key),
                word=word,
                record=str(record or ""),
                changes=tuple(changes),
                reason=f"{message} [{symbol}]" if refused else "",
            )
        )
    return tuple(found)

"""What became of a plan's rows, as the populations of transitions and as rejects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from crosstie.activities.remote import reject_columns
from crosstie.crm.writing import Operation, Outcome
from crosstie.db.database import Transaction
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, WorkTable
from crosstie.sync import plans
from crosstie.sync.plans import Plan
from crosstie.workflow.activity import IN_DOUBT, OK, REJECTS, Activity, Context, Done, Reject, Shape
from crosstie.workflow.inbox import settle_rejects
from crosstie.workflow.refusing import key_for_the_log

REMOTE = Column(name="remoteId", type=ColumnType.TEXT, label="remote id")
DONE = Column(name="done", type=ColumnType.TEXT, label="created, updated or unchanged")
_REASONS = {
    "errorSymbol": "symbol",
    "errorCode": "symbol",
    "errorMessage": "message",
    "errorField": "faults",
    "errorLogFilename": "log_file",
}


def outcome_columns(inbound: Sequence[Column], added: Sequence[Column]) -> tuple[Column, ...]:
    """The inbound columns and those that are added; one of an earlier export of the same name makes way."""
    taken = {one.name.lower() for one in added}
    return (*(one for one in inbound if one.name.lower() not in taken), *added)


def source_key(table: WorkTable, alias: str) -> str:
    """The text that tells a row of the inbound population from the others; of a single column what ties call it."""
    parts = [f"cast({alias}.{quote_identifier(name)} as text)" for name in table.key]
    if len(parts) == 1:
        return parts[0]
    escaped = [f"replace(replace({one}, '\\', '\\\\'), '|', '\\|')" for one in parts]
    return "(" + " || '|' || ".join(escaped) + ")"


def table_of(context: Context, plan: Plan, name: str, shape: Shape, outcome: Outcome) -> WorkTable:
    """The inbound rows with that outcome that no transition has carried yet, with what the CRM said of them."""
    inbound = context.input
    context.db.create_work(name, shape.columns)
    reasons = _reasons(context.site.account_kind(plan.account)) if outcome is Outcome.REJECTED else {}
    values = []
    for column in shape.columns:
        if column.name == REMOTE.name:
            values.append("p.answered_id")
        elif column.name == DONE.name:
            values.append("p.effect")
        elif column.name in reasons:
            values.append(f"p.{reasons[column.name]}")
        elif inbound.column(column.name) is not None:
            values.append(f"s.{quote_identifier(column.name)}")
        else:
            values.append("null")
    listed = ", ".join(quote_identifier(one.name) for one in shape.columns)
    with context.db.transaction(f"{outcome} rows of {context.activity}") as transaction:
        rows = transaction.execute(
            f"insert into crosstie.{name} ({listed}) select {', '.join(values)} from crosstie.{inbound.name} s"
            f" join crosstie.{plan.table} p on p.source_key = {source_key(inbound, 's')}"
            f" where p.outcome = '{outcome}' and p.told is null"
        )
    return shape.work_table(name, rows)


def _reasons(kind: str) -> dict[str, str]:
    """The columns of the plan that fill the reject columns of a kind of CRM."""
    names = [one.name for one in reject_columns(kind)]
    found = {name: _REASONS[name] for name in names}
    if "errorCode" in names and "errorSymbol" in names:
        found["errorSymbol"] = "word"
    return found


def rejects(context: Context, plan: Plan) -> Iterator[Reject]:
    """The rejected rows that were not told yet, for the inbox."""
    inbound = Shape.of(context.input)
    texts = [f"f_{place}" for place in range(len(plan.fields))]
    columns = tuple(
        Column(name=name, type=ColumnType.TEXT)
        for name in ("source_key", "remote_id", "key", "symbol", "message", "faults", *texts)
    )
    # The id that was chosen for a record that was not made leads to none.
    chosen = f"case when operation <> '{Operation.INSERT}' then remote_id end as remote_id"
    listed = ", ".join(chosen if one.name == "remote_id" else quote_identifier(one.name) for one in columns)
    sql = (
        f"select {listed} from crosstie.{plan.table} where outcome = '{Outcome.REJECTED}' and told is null"
        " order by number"
    )
    for batch in context.db.read(sql, None, columns):
        for row in batch.to_pylist():
            record = {one.field: row[f"f_{place}"] for place, one in enumerate(plan.fields)}
            at_fault = str(row["faults"] or "").partition(",")[0]
            yield Reject(
                remote_id=row["remote_id"] or "",
                row_key=row["source_key"],
                row=key_for_the_log(inbound, {inbound.key[0]: row["source_key"]}) if len(inbound.key) == 1 else "",
                symbol=row["symbol"] or "",
                message=row["message"] or "",
                field=at_fault,
                value=record.get(at_fault),
                record={"key of the row": row["source_key"], **({"key": row["key"]} if row["key"] else {}), **record},
                account=plan.account,
                object=plan.object,
            )


def outcome(activity: Activity, context: Context, plan: Plan, effects: Sequence[str]) -> Done:
    """What to publish of a plan that was carried out: the accepted rows and the rejected ones that no transition has
    carried yet, and how many there are of each; `effects` are the counts to show."""
    shapes = activity.outputs((Shape.of(context.input),), context.site)
    accepted, refused = shapes[OK], shapes[REJECTS]
    assert accepted is not None, "it says what it puts out"
    assert refused is not None, "it says what it rejects"
    lineage = replace(accepted.lineage, org=plan.org) if accepted.lineage is not None else None
    shape = replace(accepted, lineage=lineage)
    tables = {OK: table_of(context, plan, context.private_name(OK), shape, Outcome.ACCEPTED)}
    if activity.rejects is not None:
        tables[REJECTS] = table_of(context, plan, context.private_name(REJECTS), refused, Outcome.REJECTED)
    with context.db.reading() as transaction:
        totals = plans.totals(transaction, plan)
    counts = {word: totals.get((Outcome.ACCEPTED, word), 0) for word in effects}
    for name, word in ((Outcome.REJECTED, "rejected"), (Outcome.DOUBT, IN_DOUBT)):
        rows = sum(number for (found, _), number in totals.items() if found == name)
        if rows:
            counts[word] = rows
    doubtful = counts.get(IN_DOUBT, 0)
    if doubtful:
        context.log.warning(
            f"{'1 row is' if doubtful == 1 else f'{doubtful:,} rows are'} in doubt: answers were lost, and nobody can"
            f" say what was executed. Held back until somebody looks: crosstie journal show {context.run}"
        )
    return Done(
        tables=tables,
        counts=counts,
        rejects=rejects(context, plan) if counts.get("rejected") else (),
        effect=lambda transaction: _tell(transaction, plan, context),
    )


def _tell(transaction: Transaction, plan: Plan, context: Context) -> None:
    """From now on those rows were carried by the transitions of this task; what was refused before and is accepted now
    is no open reject any more."""
    accepted = f"select source_key from crosstie.{plan.table} where told is null and outcome = '{Outcome.ACCEPTED}'"
    settle_rejects(transaction, plan.workflow, plan.activity, accepted)
    transaction.execute(
        f"update crosstie.{plan.table} set told = :task where told is null"
        f" and outcome in ('{Outcome.ACCEPTED}', '{Outcome.REJECTED}')",
        {"task": context.task},
    )

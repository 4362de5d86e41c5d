"""Delete objects in the CRM: the records whose remote ids come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from crosstie.activities.remote import find_object, reject_columns
from crosstie.activities.shipping.outcomes import DONE, outcome_columns, source_key
from crosstie.crm.writing import Operation, Outcome, WriteRoad
from crosstie.db.expressions import Binding, Expression, Scope
from crosstie.db.merge.phrases import Phrases, Writer, as_type
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import ColumnType, RemoteObject
from crosstie.sync import shipments
from crosstie.sync.shipments import Plan, plan_columns
from crosstie.workflow.activity import OK, REJECTS, Activity, Context, Done, Problem, Shape, Site, Waiting

_ROW_BYTES = 32


class CrmDelete(Activity):
    """Deletes records of a remote object."""

    summary: ClassVar[str] = "deletes records of a remote object in a CRM"
    acts_outside: ClassVar[bool] = True

    type: Literal["crm_delete"]
    account: str = Field(description="the external account")
    object: str = Field(description="the remote object; it has to be collected")
    ids: str = Field(description="an expression over the inbound columns that gives the remote id")
    batches: Literal["auto", "on", "off"] = Field(
        "auto", description="by bulk jobs (on), by calls of up to 200 rows (off), or what costs fewer calls"
    )
    hard: bool = Field(False, description="for good, past the recycle bin; needs a permission, and bulk jobs")

    @property
    def road(self) -> WriteRoad:
        """The road that “batches” asks for."""
        return {"auto": WriteRoad.AUTO, "on": WriteRoad.BULK, "off": WriteRoad.COLLECTIONS}[self.batches]

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown account and object, an expression that is no text, rows that nothing tells apart."""
        remote, found = find_object(site, self.account, self.object)
        if remote is None:
            yield found or Problem(path=("object",), message="is not collected")
            return
        if not remote.deletable:
            yield Problem(path=("object",), message=f"this user may not delete {remote.name} records")
        if self.hard and self.batches == "off":
            yield Problem(path=("batches",), message="past the recycle bin records are deleted by bulk jobs only")
        if not inputs:
            return
        phrases = Phrases()
        self._ids(phrases, inputs[0])
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def _ids(self, phrases: Phrases, inbound: Shape) -> Expression | None:
        if not inbound.key:
            phrases.refuse((), "nothing tells the inbound rows apart. A query, or a deduplication, gives them a key")
        value = phrases.value(("ids",), self.ids, Scope.of(inbound.columns, "the inbound population"))
        typed = as_type(value, ColumnType.TEXT) if value is not None else None
        if value is not None and typed is None:
            phrases.refuse(("ids",), f"“{self.ids}” is {value.type.value}; remote ids are text")
        return typed

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What came in, with what was done; rejected rows with the CRM's own reject columns."""
        inbound = inputs[0]
        reasons = reject_columns(site.account_kind(self.account))
        return {
            OK: Shape(
                columns=outcome_columns(inbound.columns, (DONE,)),
                links=inbound.links,
                key=inbound.key,
                dimension=inbound.dimension,
            ),
            REJECTS: Shape(columns=outcome_columns(inbound.columns, reasons), key=inbound.key),
        }

    def run(self, context: Context) -> Done | Waiting:
        """Plans, sends, and puts out what became of the rows."""
        from crosstie.activities.shipping.outcomes import outcome
        from crosstie.activities.shipping.planning import hold_back
        from crosstie.activities.shipping.sending import shipping

        with shipping(context, self.account, self.object) as found:
            if isinstance(found, Waiting):
                return found
            plan = self._plan(context, found.remote, found.connector.org_id())
            hold_back(context, plan)
            found.send(plan)
            return outcome(self, context, plan, ("deleted", "gone"))

    def _plan(self, context: Context, remote: RemoteObject, org: str) -> Plan:
        """The plan, made or gone on with."""
        with context.db.reading() as transaction:
            plan = shipments.find_plan(transaction, context.run, context.activity)
        if plan is None:
            name = context.private_name("plan")
            context.db.create_work(name, plan_columns(()), durable=True)
            context.db.prepare(name, ("number",), unique=True)
            draft = Plan(
                id=0,
                account=self.account,
                org=org,
                object=remote.name,
                workflow=context.workflow,
                activity=context.activity,
                run=context.run,
                local_table=context.input.dimension if len(context.input.key) == 1 else "",
                table=name,
                key_field="",
                fields=(),
                settings={"road": self.road.value, "hard": self.hard},
            )
            with context.step(f"the plan of {context.activity}") as transaction:
                plan = shipments.make_plan(transaction, draft, context.now())
        self._fill(context, plan)
        return plan

    def _fill(self, context: Context, plan: Plan) -> None:
        phrases = Phrases()
        inbound = context.input
        ids = self._ids(phrases, Shape.of(inbound))
        if ids is None or phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        binding = Binding(
            now=context.now(), zone=context.zone, vars=dict(context.vars), instance_vars=dict(context.instance)
        )
        fragment = Writer(dialect=context.db.dialect, binding=binding).fragment(ids, {"": "s"})
        key = source_key(inbound, "s")
        ordered = ", ".join(f"s.{quote_identifier(one)}" for one in inbound.key)
        with context.step(f"rows of {context.activity}") as transaction:
            transaction.execute(
                f"delete from crosstie.{plan.table} where outcome = '{Outcome.REJECTED}' and told is not null"
                f" and source_key in (select {key} from crosstie.{inbound.name} s)"
            )
            transaction.execute(
                f"insert into crosstie.{plan.table} (number, source_key, operation, remote_id, content_bytes)"
                f" select (select coalesce(max(number), 0) from crosstie.{plan.table})"
                f" + row_number() over (order by {ordered}), {key}, '{Operation.DELETE}',"
                f" nullif(trim({fragment.sql}), ''), {_ROW_BYTES} from crosstie.{inbound.name} s"
                f" where not exists (select 1 from crosstie.{plan.table} p where p.source_key = {key})",
                fragment.params,
            )
            transaction.execute(
                f"update crosstie.{plan.table} set outcome = '{Outcome.REJECTED}', symbol = 'NO_REMOTE_ID',"
                " message = 'the row has no remote id' where remote_id is null and outcome is null"
            )

"""The work of an export: settle what earlier runs left, fix the plan, send it, and put out what became of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from crosstie.activities.crm_export.mapping import Mapping, read_mapping
from crosstie.activities.crm_export.rendering import Renderer
from crosstie.activities.shipping.outcomes import outcome, source_key
from crosstie.activities.shipping.planning import hold_back
from crosstie.activities.shipping.sending import shipping
from crosstie.crm.writing import Outcome
from crosstie.db.expressions import Binding
from crosstie.db.merge import Fragment
from crosstie.db.merge.phrases import Writer
from crosstie.db.statements import quote_identifier
from crosstie.errors import ConfigError, MappingError
from crosstie.model import Column, ColumnType, Lineage, RemoteObject
from crosstie.sync import shipments
from crosstie.sync.shipments import Plan, plan_columns
from crosstie.sync.ties import Exchange, TieTable, open_ties
from crosstie.workflow.activity import Context, Done, Shape, Waiting

if TYPE_CHECKING:
    import pyarrow as pa

    from crosstie.activities.crm_export import CrmExport


def export_records(activity: CrmExport, context: Context) -> Done | Waiting:
    """Exports what comes in. Waits while another run sends records of the same object."""
    with shipping(context, activity.account, activity.object) as found:
        if isinstance(found, Waiting):
            return found
        planning = _Planning(activity, context, found.remote, found.connector.org_id())
        plan = planning.plan()
        found.send(plan)
        return outcome(activity, context, plan, ("created", "updated", "unchanged"))


class _Planning:
    """Fixes the plan of an export: which rows there are, and what each of them says."""

    def __init__(self, activity: CrmExport, context: Context, remote: RemoteObject, org: str) -> None:
        self.activity = activity
        self.context = context
        self.remote = remote
        inbound = Shape.of(context.input)
        self.mapping: Mapping = read_mapping(activity, remote, inbound, context.site)
        if self.mapping.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(told for _, told in self.mapping.mistakes))
        self.lineage = Lineage(account=activity.account, org=org, object=remote.name, remote_id="")
        tied = len(inbound.key) == 1 and bool(inbound.dimension)
        self.local_table = inbound.dimension if tied else ""
        self.ties: TieTable | None = None
        if self.local_table:
            exchanges = [
                Exchange(field=one.wire, value=Fragment(sql="", type=one.type), column=one.column(one.wire))
                for one in self.mapping.fields
            ]
            self.ties = open_ties(context.db, self.lineage, self.local_table, exchanges)

    def plan(self) -> Plan:
        """The plan, made or gone on with. Rows that it has are not planned again, but for rejected ones that come in
        once more."""
        context = self.context
        fields = tuple(one.planned for one in self.mapping.fields)
        with context.db.reading() as transaction:
            plan = shipments.find_plan(transaction, context.run, context.activity)
        if plan is None:
            plan = self._registered(fields)
        elif plan.fields != fields or plan.key_field != self.mapping.key_field:
            raise ConfigError(
                f"The mapping of {context.activity} was edited since its rows were planned in this run.",
                hint="What was planned is fixed. Restart the workflow to plan anew; what was sent already is known.",
            )
        last = self._make_room(plan)
        with context.db.load(plan.table, plan.columns, expected_rows=context.input.rows) as load:
            for batch in self._rows(plan, last + 1):
                load.write(batch)
        hold_back(context, plan)
        return plan

    def _registered(self, fields: tuple[shipments.PlannedField, ...]) -> Plan:
        context, activity = self.context, self.activity
        name = context.private_name("plan")
        context.db.create_work(name, plan_columns(fields), durable=True)
        context.db.prepare(name, ("number",), unique=True)
        draft = Plan(
            id=0,
            account=activity.account,
            org=self.lineage.org,
            object=self.remote.name,
            workflow=context.workflow,
            activity=context.activity,
            run=context.run,
            local_table=self.local_table,
            table=name,
            key_field=self.mapping.key_field,
            fields=fields,
            settings={
                "road": activity.road.value,
                "assignment": activity.assignment,
                "duplicates": activity.duplicates,
            },
        )
        with context.step(f"the plan of {context.activity}") as transaction:
            return shipments.make_plan(transaction, draft, context.now())

    def _make_room(self, plan: Plan) -> int:
        """Lets go of rejected rows that come in again; the highest number of a row."""
        inbound = self.context.input
        with self.context.step(f"rows of {plan.activity} that come in again") as transaction:
            transaction.execute(
                f"delete from crosstie.{plan.table} where outcome = '{Outcome.REJECTED}' and told is not null"
                f" and source_key in (select {source_key(inbound, 's')} from crosstie.{inbound.name} s)"
            )
            row = transaction.row(f"select coalesce(max(number), 0) from crosstie.{plan.table}")
        return int(row[0]) if row else 0

    def _rows(self, plan: Plan, first: int) -> Iterator[pa.RecordBatch]:
        """The rows of the plan, rendered, in flat memory."""
        context, mapping = self.context, self.mapping
        renderer = Renderer(
            activity=self.activity,
            fields=mapping.fields,
            columns=plan.columns,
            key_field=mapping.key_field,
            lane=mapping.lane,
            zone=context.zone,
        )
        sql, params, columns = self._query(plan)
        for batch in context.db.read(sql, params, columns):
            yield renderer.render(batch, first)
            first += batch.num_rows
        for name, rows in renderer.cut.rows.items():
            context.log.warning(f"{rows:,} values were cut to the length of {name}.")

    def _query(self, plan: Plan) -> tuple[str, dict[str, object], tuple[Column, ...]]:
        """What the renderer takes: the values of now, beside those that both sides agreed on."""
        context, mapping = self.context, self.mapping
        inbound = context.input
        binding = Binding(
            now=context.now(), zone=context.zone, vars=dict(context.vars), instance_vars=dict(context.instance)
        )
        writer = Writer(dialect=context.db.dialect, binding=binding)
        params: dict[str, object] = {}
        key = source_key(inbound, "s")
        given = "cast(null as text)"
        if mapping.key is not None:
            fragment = writer.fragment(mapping.key, {"": "s"})
            given, params = fragment.sql, {**params, **fragment.params}
        texts = ("source_key", "given", "tied")
        columns = [Column(name=name, type=ColumnType.TEXT) for name in texts]
        shown = [f"{key} as source_key", f"{given} as given"]
        shown.append("e.remote_id as tied" if self.ties is not None else "cast(null as text) as tied")
        for place, one in enumerate(mapping.fields):
            fragment = writer.fragment(one.value, {"": "s"})
            params.update(fragment.params)
            agreed = self._agreed(one.planned)
            shown += [f"{fragment.sql} as v_{place}", f"{agreed or fragment.sql} as a_{place}"]
            columns += [one.column(f"v_{place}"), one.column(f"a_{place}")]
            if not agreed:
                shown[-1] = f"nullif({fragment.sql}, {fragment.sql}) as a_{place}"
        joined = ""
        if self.ties is not None:
            joined = f" left join crosstie.{self.ties.name} e on e.local_key = {key} and e.tombstone is null"
        ordered = ", ".join(f"s.{quote_identifier(one)}" for one in inbound.key)
        sql = (
            f"select {', '.join(shown)} from crosstie.{inbound.name} s{joined} where not exists"
            f" (select 1 from crosstie.{plan.table} p where p.source_key = {key}) order by {ordered}"
        )
        return sql, params, tuple(columns)

    def _agreed(self, planned: shipments.PlannedField) -> str:
        if self.ties is None:
            return ""
        found = next((one for one in self.ties.columns if (one.field, one.type) == (planned.field, planned.type)), None)
        return f"e.{quote_identifier(found.name)}" if found is not None else ""

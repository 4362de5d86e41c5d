"""The work of an export: settle what earlier runs left, fix the plan, send it, and put out what became of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from crosstie.activities.crm_export.listed import Listed
from crosstie.activities.crm_export.mapping import Mapping, read_mapping
from crosstie.activities.crm_export.rendering import Renderer
from crosstie.activities.shipping.outcomes import outcome, source_key
from crosstie.activities.shipping.planning import BATCH_ROWS, fill_plan, not_planned, take_plan, tied_table
from crosstie.activities.shipping.previewing import preview
from crosstie.activities.shipping.sending import shipping
from crosstie.crm import kind_of
from crosstie.db.merge.phrases import Writer
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType, Lineage, RemoteObject
from crosstie.sync.plans import Plan, PlannedField
from crosstie.sync.ties import Agreement, TieTable, open_ties
from crosstie.workflow.activity import Context, Done, Shape, Waiting

if TYPE_CHECKING:
    import pyarrow as pa

    from crosstie.activities.crm_export import CrmExport
    from crosstie.crm.connector import Connector


def export_records(activity: CrmExport, context: Context) -> Done | Waiting:
    """Exports what comes in. Waits while another run sends records of the same object."""
    with shipping(context, activity.account, activity.object) as found:
        if isinstance(found, Waiting):
            return found
        planning = _Planning(activity, context, found.remote, found.connector)
        plan = planning.plan()
        if context.planning:
            return preview(found, plan)
        found.send(plan)
        return outcome(activity, context, plan, ("created", "updated", "unchanged"))


class _Planning:
    """Fixes the plan of an export: which rows there are, and what each of them says."""

    def __init__(self, activity: CrmExport, context: Context, remote: RemoteObject, connector: Connector) -> None:
        self.activity = activity
        self.context = context
        self.remote = remote
        self.mapping: Mapping = read_mapping(activity, remote, Shape.of(context.input), context.site)
        if self.mapping.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(told for _, told in self.mapping.mistakes))
        self.new_id = connector.new_id
        self.described = lambda: connector.describe(remote.name, known=remote)
        self.lineage = Lineage(account=activity.account, org=connector.org_id(), object=remote.name, remote_id="")
        self.ties: TieTable | None = None
        if tied_table(context):
            kept = [Agreement(field=one.wire, column=one.column(one.wire)) for one in self.mapping.fields]
            key = self.mapping.key_field
            if key:
                kept.append(Agreement(field=key, column=Column(name=key, type=ColumnType.TEXT)))
            self.ties = open_ties(context.db, self.lineage, tied_table(context), kept)

    def plan(self) -> Plan:
        """The plan, made or gone on with. Rows that it has are not planned again, but for rejected ones that come in
        once more."""
        activity = self.activity
        plan = take_plan(
            self.context,
            account=activity.account,
            org=self.lineage.org,
            object=self.remote.name,
            fields=tuple(one.planned for one in self.mapping.fields),
            key_field=self.mapping.key_field,
            settings={
                "road": activity.road.value,
                "insert": activity.insert,
                "assignment": activity.assignment,
                "duplicates": activity.duplicates,
                "guarded": self.context.planning or any(one.on_conflict != "local" for one in self.mapping.fields),
            },
        )
        key = self.remote.field(self.mapping.key_field) if self.mapping.key_field else None
        has_case = key is not None and key.case_sensitive
        fill_plan(self.context, plan, lambda first: self._rows(plan, first), key_has_case=has_case)
        return plan

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
            complete_id=kind_of(context.site.account_kind(self.activity.account)).id_completer(),
            new_id=self.new_id,
            listed=Listed(describe=self.described),
        )
        sql, params, columns = self._query(plan)
        for batch in context.db.read(sql, params, columns, batch_rows=BATCH_ROWS):
            yield renderer.render(batch, first)
            first += batch.num_rows
        for name, rows in renderer.cut.rows.items():
            context.log.warning(f"{rows:,} values were cut to the length of {name}.")

    def _query(self, plan: Plan) -> tuple[str, dict[str, object], tuple[Column, ...]]:
        """What the renderer takes: the values of now, beside those that both sides agreed on."""
        context, mapping = self.context, self.mapping
        inbound = context.input
        binding = context.binding()
        writer = Writer(dialect=context.db.dialect, binding=binding)
        params: dict[str, object] = {}
        key = source_key(inbound, "s")
        given = "cast(null as text)"
        if mapping.key is not None:
            fragment = writer.fragment(mapping.key, {"": "s"})
            given, params = fragment.sql, {**params, **fragment.params}
        texts = ("source_key", "given", "tied", "tied_key")
        columns = [Column(name=name, type=ColumnType.TEXT) for name in texts]
        shown = [f"{key} as source_key", f"{given} as given"]
        shown.append("e.remote_id as tied" if self.ties is not None else "cast(null as text) as tied")
        shown.append(f"{self._agreed(plan.key) or 'cast(null as text)'} as tied_key")
        if mapping.changed_at is not None:
            fragment = writer.fragment(mapping.changed_at, {"": "s"})
            params.update(fragment.params)
            shown.append(f"{fragment.sql} as changed_at")
            columns.append(Column(name="changed_at", type=ColumnType.INSTANT))
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
            f"select {', '.join(shown)} from crosstie.{inbound.name} s{joined} where {not_planned(context, plan)}"
            f" order by {ordered}"
        )
        return sql, params, tuple(columns)

    def _agreed(self, planned: PlannedField | None) -> str:
        if self.ties is None or planned is None:
            return ""
        found = self.ties.find(planned.field, planned.type)
        return f"e.{quote_identifier(found.name)}" if found is not None else ""

"""Delete objects in the CRM: the records whose remote ids come in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from crosstie.activities.remote import find_object, reject_columns
from crosstie.activities.shipping.outcomes import DONE, outcome_columns
from crosstie.crm import kind_of
from crosstie.crm.writing import Operation, Outcome, WriteRoad
from crosstie.db.columns import arrow_type
from crosstie.db.expressions import Expression, Scope
from crosstie.db.merge.phrases import Phrases, Writer, as_type
from crosstie.db.statements import quote_identifier
from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType
from crosstie.sync.plans import Plan
from crosstie.workflow.activity import OK, REJECTS, Activity, Context, Done, Problem, Shape, Site, Waiting

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_BYTES = 32


class CrmDelete(Activity):
    """Deletes records of a remote object."""

    summary: ClassVar[str] = "deletes records of a remote object in a CRM"
    acts_outside: ClassVar[bool] = True
    plans: ClassVar[bool] = True

    type: Literal["crm_delete"]
    account: str = Field(description="the external account")
    object: str = Field(description="the remote object; it has to be collected")
    ids: str = Field(description="an expression over the inbound columns that gives the remote id")
    batches: Literal["auto", "on", "off"] = Field(
        "auto", description="by the CRM's bulk interface (on), by calls of up to 200 rows (off), or what serves better"
    )
    hard: bool = Field(False, description="for good, past the recycle bin; needs a permission, and bulk jobs")

    @property
    def road(self) -> WriteRoad:
        """The road that “batches” asks for."""
        return {"auto": WriteRoad.AUTO, "on": WriteRoad.BULK, "off": WriteRoad.CALLS}[self.batches]

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
            REJECTS: Shape(
                columns=outcome_columns(inbound.columns, reasons),
                links=inbound.links,
                key=inbound.key,
                dimension=inbound.dimension,
            ),
        }

    def run(self, context: Context) -> Done | Waiting:
        """Plans, sends, and puts out what became of the rows."""
        from crosstie.activities.shipping.outcomes import outcome
        from crosstie.activities.shipping.planning import fill_plan, take_plan
        from crosstie.activities.shipping.previewing import preview
        from crosstie.activities.shipping.sending import shipping

        with shipping(context, self.account, self.object) as found:
            if isinstance(found, Waiting):
                return found
            plan = take_plan(
                context,
                account=self.account,
                org=found.connector.org_id(),
                object=found.remote.name,
                settings={"road": self.road.value, "hard": self.hard},
            )
            fill_plan(context, plan, lambda first: self._rows(context, plan, first))
            if context.planning:
                return preview(found, plan)
            found.send(plan)
            return outcome(self, context, plan, ("deleted", "gone"))

    def _rows(self, context: Context, plan: Plan, first: int) -> Iterator[pa.RecordBatch]:
        """The rows of the plan, in flat memory."""
        from crosstie.activities.shipping.outcomes import source_key
        from crosstie.activities.shipping.planning import BATCH_ROWS, not_planned

        phrases = Phrases()
        inbound = context.input
        ids = self._ids(phrases, Shape.of(inbound))
        if ids is None or phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        fragment = Writer(dialect=context.db.dialect, binding=context.binding()).fragment(ids, {"": "s"})
        ordered = ", ".join(f"s.{quote_identifier(one)}" for one in inbound.key)
        columns = tuple(Column(name=name, type=ColumnType.TEXT) for name in ("source_key", "given"))
        sql = (
            f"select {source_key(inbound, 's')} as source_key, {fragment.sql} as given from crosstie.{inbound.name} s"
            f" where {not_planned(context, plan)} order by {ordered}"
        )
        complete = kind_of(context.site.account_kind(self.account)).id_completer()
        for batch in context.db.read(sql, fragment.params, columns, batch_rows=BATCH_ROWS):
            yield _planned(batch, plan, first, complete)
            first += batch.num_rows


def _planned(batch: pa.RecordBatch, plan: Plan, first: int, complete: Callable[[str], str | None]) -> pa.RecordBatch:
    """The rows of a plan from source keys and remote ids as people have them."""
    import pyarrow as pa

    count = batch.num_rows
    given = [(one or "").strip() for one in batch.column("given").to_pylist()]
    lacks = [not one for one in given]
    values: dict[str, list[object]] = {
        "number": list(range(first, first + count)),
        "source_key": batch.column("source_key").to_pylist(),
        "operation": [Operation.DELETE.value] * count,
        "remote_id": [(complete(one) or one) if one else None for one in given],
        "content_bytes": [_ROW_BYTES] * count,
        "outcome": [Outcome.REJECTED.value if one else None for one in lacks],
        "symbol": ["NO_REMOTE_ID" if one else None for one in lacks],
        "message": ["the row has no remote id" if one else None for one in lacks],
    }
    arrays = [pa.array(values.get(one.name, [None] * count), arrow_type(one)) for one in plan.columns]
    return pa.RecordBatch.from_arrays(arrays, names=[one.name for one in plan.columns])

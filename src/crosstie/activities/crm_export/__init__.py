"""Export to the CRM: the activity's keys, its validation, and what it puts out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from crosstie.activities.remote import find_object, reject_columns
from crosstie.activities.shipping.outcomes import DONE, REMOTE, outcome_columns
from crosstie.crm.writing import WriteRoad
from crosstie.model import Lineage
from crosstie.sync.conflicts import OnConflict
from crosstie.workflow.activity import OK, REJECTS, Activity, Context, Done, Problem, Shape, Site, Waiting


class MapLine(BaseModel):
    """What goes into a remote field."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_: str = Field(alias="from", description="an expression over the inbound columns")
    conversion: str = Field("default", description="default, date_only, without_time_offset or copy_paste")
    null: Literal["leave", "clear"] = Field(
        "leave", description="an empty value leaves the field as it is, or clears it"
    )
    too_long: Literal["reject", "cut"] = Field(
        "reject", description="a text longer than the field rejects its row, or is cut with a warning"
    )
    parent: str = Field(
        "", description="of a reference: the object whose record it is, where an id does not say it, or with “by”"
    )
    by: str = Field("", description="the external id field of the parent that holds the value")
    on_conflict: OnConflict | None = Field(None, description="as for the activity, for this field")


class CrmExport(Activity):
    """Creates and updates records of a remote object from the rows that come in."""

    summary: ClassVar[str] = "creates and updates records of a remote object in a CRM"
    acts_outside: ClassVar[bool] = True
    plans: ClassVar[bool] = True

    type: Literal["crm_export"]
    account: str = Field(description="the external account")
    object: str = Field(description="the remote object; it has to be collected")
    map: dict[str, MapLine] = Field(
        min_length=1,
        description="remote field: expression, or {from, conversion, null, too_long, parent, by, on_conflict}",
    )
    key: dict[str, str] = Field(
        default_factory=dict,
        max_length=1,
        description="how a record is found, {remote field: expression}: its id (update, or create where it is empty) or"
        " an external id (update or create)",
    )
    insert: Literal["auto", "always", "never"] = Field(
        "auto",
        description="rows without remote id: create a record, unless one was created for the row before; always create"
        " one; or reject them",
    )
    batches: Literal["auto", "on", "off"] = Field(
        "auto", description="by the CRM's bulk interface (on), by calls of up to 200 rows (off), or what serves better"
    )
    on_conflict: OnConflict = Field(
        "local",
        description="where the CRM has changed since a field that is changed here too: local sends it all the same;"
        " crm, newest (by “changed_at”) and reject read the records before they are written",
    )
    changed_at: str = Field("", description="an expression that says when the local row was changed, for “newest”")
    assignment: str = Field(
        "off", description="assignment rules of leads and cases: off, active (the org's), or a rule's id"
    )
    duplicates: Literal["reject", "allow"] = Field(
        "reject", description="rows that the org's duplicate rules stop are rejected, or let in"
    )

    @field_validator(
        "map", mode="before", json_schema_input_type=Annotated[dict[str, str | MapLine], Field(min_length=1)]
    )
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"from": line} if isinstance(line, str) else line for name, line in value.items()}

    @property
    def road(self) -> WriteRoad:
        """The road that “batches” asks for."""
        return {"auto": WriteRoad.AUTO, "on": WriteRoad.BULK, "off": WriteRoad.CALLS}[self.batches]

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown account, object and fields, fields that cannot be written, expressions of another type."""
        from crosstie.activities.crm_export.mapping import read_mapping

        remote, found = find_object(site, self.account, self.object)
        if remote is None:
            yield found or Problem(path=("object",), message="is not collected")
            return
        if not inputs:
            return
        read = read_mapping(self, remote, inputs[0], site)
        yield from (Problem(path=place, message=message) for place, message in read.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What came in, with the remote id and what was done; rejected rows with the CRM's own reject columns."""
        lineage = Lineage(account=self.account, org="", object=self.object, remote_id=REMOTE.name)
        inbound = inputs[0]
        accepted = Shape(
            columns=outcome_columns(inbound.columns, (REMOTE, DONE)),
            lineage=lineage,
            links=inbound.links,
            key=inbound.key,
            dimension=inbound.dimension,
        )
        reasons = reject_columns(site.account_kind(self.account))
        return {
            OK: accepted,
            REJECTS: Shape(
                columns=outcome_columns(inbound.columns, reasons),
                links=inbound.links,
                key=inbound.key,
                dimension=inbound.dimension,
            ),
        }

    def run(self, context: Context) -> Done | Waiting:
        """Plans, sends, and puts out what became of the rows. What a kill interrupts is looked up and gone on with."""
        from crosstie.activities.crm_export.exporting import export_records

        return export_records(self, context)

"""Import objects deleted in the CRM: the activity's keys, its validation, and what it puts out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from crosstie.activities.crm_import_deleted.dates import check_written, read_moment
from crosstie.activities.remote import deleted_shape, find_object, untracked
from crosstie.crm import kind_of
from crosstie.model import RemoteObject
from crosstie.script.template import Templated
from crosstie.sync.windows import OVERLAP, WindowTaken
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site, Waiting
from crosstie.workflow.durations import WrittenDuration, parse_duration

DEFAULT_OPTION = "LASTDELETED_<%=instance.internalName%>_<%=activityName%>"

WrittenMoment = Annotated[
    Templated,
    AfterValidator(check_written),
    WithJsonSchema({"type": "string", "examples": ["2026-12-01 08:00"]}),
]


class By(StrEnum):
    """How deletions are found."""

    FEED = "feed"
    RECYCLE_BIN = "recycle_bin"
    TRACKING = "tracking"
    COMPARE = "compare"


class DeletedIndex(BaseModel):
    """The automatic index: which option keeps how far it got, and how far a read reaches back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    option: Templated = Field(DEFAULT_OPTION, description="the option that keeps how far the last import got")
    overlap: timedelta = Field(OVERLAP, description="how far a read reaches back before its window")

    @field_validator("overlap", mode="before", json_schema_input_type=WrittenDuration)
    @classmethod
    def _duration(cls, value: object) -> object:
        return parse_duration(value)


class CrmImportDeleted(Activity):
    """Imports which records of a remote object were deleted: between two dates, since the last import, or ever."""

    summary: ClassVar[str] = "imports which records of a remote object were deleted in a CRM"
    min_inputs: ClassVar[int] = 0

    type: Literal["crm_import_deleted"]
    account: str = Field(description="the external account")
    object: str = Field(description="the remote object; it has to be collected")
    start: WrittenMoment | None = Field(
        None, description="deleted from this date, or date and time, on; it is included"
    )
    end: WrittenMoment | None = Field(
        None, description="deleted up to this date, or date and time; it is included; by default up to now"
    )
    index: DeletedIndex | None = Field(None, description="import only what was deleted since the last import")
    by: By = Field(
        By.FEED,
        description="feed: what the CRM tells as deleted, from the recycle bin where an object has no feed;"
        " recycle_bin: what lies there; tracking: what the CRM's change tracking tells since the last import;"
        " compare: what is tied here and the CRM no longer has",
    )
    brake: int = Field(
        5,
        ge=0,
        le=100,
        description="with by: compare: it stops when more than so many per cent of the tied records, and more than 100,"
        " would be gone; 100: never",
    )

    @field_validator("index", mode="before", json_schema_input_type=bool | DeletedIndex | None)
    @classmethod
    def _short_index(cls, value: Any) -> Any:
        return {} if value is True else None if value is False else value

    @model_validator(mode="after")
    def _one_way(self) -> CrmImportDeleted:
        dates = [f"“{name}”" for name in ("start", "end") if getattr(self, name) is not None]
        ways = [*dates, *(["“index”"] if self.index is not None else [])]
        if self.by is By.COMPARE:
            if ways:
                raise ValueError(f"“by: compare” looks at all records: leave out {' and '.join(ways)}")
            return self
        if "brake" in self.model_fields_set:
            raise ValueError("“brake” goes with “by: compare”")
        if self.by is By.TRACKING and self.index is None:
            raise ValueError("“by: tracking” goes on from the last import: write “index: true”")
        if self.index is not None and dates:
            raise ValueError(f"the index says from when to when: leave out {' and '.join(dates)}, or the index")
        if self.index is None and self.start is None:
            raise ValueError("it does not say from when: give “start”, or “index: true” for what was not imported yet")
        return self

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown account and object, an object whose deletions the CRM does not tell, dates in the wrong order."""
        remote, found = find_object(site, self.account, self.object)
        if remote is None:
            yield found or Problem(path=("object",), message="is not collected")
            return
        if self.by is By.TRACKING:
            if message := untracked(remote, site.account_kind(self.account)):
                yield Problem(path=("by",), message=message)
        elif self.by is not By.COMPARE and not kind_of(site.account_kind(self.account)).keeps_deletions(remote):
            yield Problem(
                path=("object",),
                message=f"the CRM does not tell which {remote.name} records were deleted; write “by: compare”, which"
                " looks for those that it no longer has",
            )
        yield from self._date_problems()

    def _date_problems(self) -> Iterator[Problem]:
        """Where both dates are written out: the zone is known when it runs, but both are in the same one."""
        if self.start is None or self.end is None or "<%" in self.start + self.end:
            return
        start, end = read_moment(self.start), read_moment(self.end)
        if start.zoned == end.zoned and start.at > end.at and not (end.whole_day and start.at.date() == end.at.date()):
            yield Problem(path=("end",), message=f"{self.end} comes before start, {self.start}")

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """Remote id, when it was deleted, and the surviving record of a merge."""
        remote = site.remote_object(self.account, self.object)
        return {} if remote is None else {OK: self.shape(remote, site, org="")}

    def shape(self, remote: RemoteObject, site: Site, *, org: str) -> Shape:
        """The shape of what is put out."""
        return deleted_shape(remote, site, self.account, org=org)

    def run(self, context: Context) -> Done | Waiting:
        """Reads what was deleted, and leaves it under a private name. Waits while an earlier run of the same workflow
        has the window open."""
        from crosstie.activities.crm_import_deleted.comparing import compare_keys
        from crosstie.activities.crm_import_deleted.reading import import_deleted, import_tracked
        from crosstie.activities.receiving.turns import wait_for_turn

        if self.by is By.COMPARE:
            return compare_keys(self, context)
        try:
            return import_tracked(self, context) if self.by is By.TRACKING else import_deleted(self, context)
        except WindowTaken as taken:
            return wait_for_turn(self.overlap or self.default_overlap, context, taken)

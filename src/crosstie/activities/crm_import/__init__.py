"""Import from the CRM: the activity's keys, its validation, and what it puts out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crosstie.activities.crm_import.population import Population
from crosstie.activities.crm_import.written import WrittenFilter
from crosstie.activities.remote import deleted_shape, find_object, find_remote_field, reject_columns, untracked
from crosstie.crm import kind_of
from crosstie.crm.connector import Road
from crosstie.errors import MappingError
from crosstie.model import LABEL, Column, ColumnType, FieldType, Lineage, RemoteObject
from crosstie.schema.conversions import MODES, local_column
from crosstie.schema.enumerations import Unknown
from crosstie.script.filters import FilterGroup, filter_problems, read_filter
from crosstie.script.template import Templated
from crosstie.sync.windows import WindowTaken
from crosstie.workflow.activity import OK, REJECTS, Activity, Context, Done, Problem, Shape, Site, Waiting
from crosstie.workflow.durations import WrittenDuration, parse_duration
from crosstie.workflow.yaml_source import suggest

DEFAULT_OPTION = "LASTIMPORT_<%=instance.internalName%>_<%=activityName%>"
POSITION = "crosstie_position"
LEAVERS = "leavers"
DELETED = "deleted"
LOCAL_KEY = "local_key"


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ImportField(_Keys):
    """One remote field to import, its conversion and its name in the work table."""

    field: str = Field(
        description="its API name, or a path over a link, like Account.Name; where a link leads to several objects,"
        " account:parentcustomerid.name"
        " where the link leads to several objects, and statuscode@label for the value as people see it"
    )
    conversion: str = Field(default="default", description="default, date_only, without_time_offset or copy_paste")
    as_: str = Field(default="", alias="as", description="the column; by default named like the field")
    unknown: Unknown | None = Field(
        default=None,
        description="what is done with values that the enumeration that follows the field does not have: report, add or"
        " ignore; by default what the enumeration says",
    )

    @property
    def name(self) -> str:
        """The column's name: the chosen one, else the field's, with what divides a path as underscores."""
        return self.as_ or re.sub(r"[.:@]", "_", self.field)


class OrderField(_Keys):
    """One sort criterion."""

    field: str = Field(description="its API name")
    descending: bool = Field(default=False, description="the highest value first")


class IndexBy(StrEnum):
    """How changes are found."""

    STAMP = "stamp"
    TRACKING = "tracking"


class Index(_Keys):
    """The automatic index: by what, which field, which option, how far a read reaches back, how far from the CRM's
    clock."""

    by: IndexBy = Field(
        IndexBy.STAMP, description="stamp: by the index field; tracking: by the CRM's change tracking, without dates"
    )
    field: str = Field("", description="the stamp by which changes are found; by default the first that the object has")
    option: Templated = Field(DEFAULT_OPTION, description="the option that keeps how far the last import got")
    overlap: timedelta = Field(timedelta(minutes=15), description="how far a read reaches back before its window")
    guard: timedelta = Field(timedelta(seconds=60), description="how far a window ends before the CRM's clock")

    @field_validator("overlap", "guard", mode="before", json_schema_input_type=WrittenDuration)
    @classmethod
    def _duration(cls, value: object) -> object:
        return parse_duration(value)

    @model_validator(mode="after")
    def _tokens_have_no_dates(self) -> Index:
        dated = sorted({"field", "overlap", "guard"} & self.model_fields_set)
        if self.by is IndexBy.TRACKING and dated:
            raise ValueError(
                f"“by: tracking” goes on from where the last import ended: leave out {' and '.join(dated)}"
            )
        return self


class CrmImport(Activity):
    """Imports records of a remote object, all of them or those changed since the last import."""

    summary: ClassVar[str] = "imports records of a remote object from a CRM"
    extra_transitions: ClassVar[tuple[str, ...]] = (LEAVERS, DELETED)
    min_inputs: ClassVar[int] = 0

    type: Literal["crm_import"]
    account: str = Field(description="the external account")
    object: str = Field(description="the remote object; it has to be collected")
    fields: tuple[ImportField, ...] = Field(description="the remote fields; the remote id is added by itself")
    filter: FilterGroup | None = Field(None, description="which records; values are JavaScript")
    strict: bool = Field(
        False, description="allow only the comparisons that every CRM knows: null tests, numbers, dates"
    )
    order_by: tuple[OrderField, ...] = Field((), description="the order of the records")
    index: Index | None = Field(None, description="import only what changed since the last import")
    population: Population | None = Field(None, description="import the records whose ids come from upstream")
    leavers: str | None = Field(
        None, description="adds the Leavers transition: the imported records that stopped matching the filter"
    )
    deleted: str | None = Field(
        None, description="adds the Deleted transition: the records that were deleted, with an index by tracking"
    )
    road: Road = Field(Road.AUTO, description="auto, pages or bulk")

    @field_validator("fields", mode="before", json_schema_input_type=tuple[str | ImportField, ...])
    @classmethod
    def _short_fields(cls, value: Any) -> Any:
        return [{"field": one} if isinstance(one, str) else one for one in value] if isinstance(value, list) else value

    @field_validator(
        "order_by",
        mode="before",
        json_schema_input_type=tuple[str | OrderField | dict[str, Literal["ascending", "descending"]], ...],
    )
    @classmethod
    def _short_order(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [_order(one) for one in value]

    @field_validator("index", mode="before", json_schema_input_type=bool | Index | None)
    @classmethod
    def _short_index(cls, value: Any) -> Any:
        return {} if value is True else None if value is False else value

    @field_validator("filter", mode="before", json_schema_input_type=WrittenFilter | None)
    @classmethod
    def _filter(cls, value: Any) -> Any:
        return None if value is None else read_filter(value)

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown account, object, fields, conversions; a filter that breaks the rules; names that collide."""
        remote, found = find_object(site, self.account, self.object)
        if remote is None:
            yield found or Problem(path=("object",), message="is not collected")
            return
        yield from self._field_problems(remote, site)
        yield from self._index_problems(remote)
        yield from self._tracking_problems(remote, site)
        yield from self._order_problems(remote)
        yield from self._road_problems(site)
        if self.filter is not None:
            for path, message in filter_problems(self.filter, remote, strict=self.strict):
                yield Problem(path=("filter", *path), message=message)
        yield from self._population_problems(remote, inputs)
        yield from self._leaver_problems(remote)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The imported columns; their wire text, what came in and the CRM's own reject columns; remote id and stamp of
        leavers."""
        remote = site.remote_object(self.account, self.object)
        if remote is None:
            return {}
        shape = self.shape(remote, site, inputs, org="")
        found: dict[str, Shape | None] = {OK: shape, REJECTS: self.reject_shape(remote, site, inputs)}
        if self.leavers is not None:
            found[LEAVERS] = self.leaver_shape(remote, shape)
        if self.deleted is not None:
            found[DELETED] = deleted_shape(remote, site, self.account, org="")
        return found

    def run(self, context: Context) -> Done | Waiting:
        """Opens or takes up the window, reads, and leaves what was read under a private name. Waits while an earlier
        run of the same workflow has the window open."""
        from crosstie.activities.crm_import.reading import import_records
        from crosstie.activities.receiving.turns import wait_for_turn

        try:
            return import_records(self, context)
        except WindowTaken as taken:
            return wait_for_turn(self.overlap or self.default_overlap, context, taken)

    @property
    def tracks(self) -> bool:
        """Whether it goes by the CRM's change tracking."""
        return self.index is not None and self.index.by is IndexBy.TRACKING

    def wanted(self, remote: RemoteObject) -> tuple[ImportField, ...]:
        """The fields to read: remote id first, the index field, then the chosen ones."""
        chosen = {one.field.lower() for one in self.fields if "." not in one.field}
        added = [remote.key]
        if self.index is not None:
            added.append(self.index_field(remote))  # '' for a tracked table without stamps
        return (
            *(ImportField(field=name) for name in dict.fromkeys(added) if name and name.lower() not in chosen),
            *sorted(self.fields, key=lambda one: one.field.lower() != remote.key.lower()),
        )

    def index_field(self, remote: RemoteObject) -> str:
        """The API name of the index field: the chosen one, else the first documented one that the object has."""
        if self.index is None:
            return ""
        if not self.index.field:
            return remote.index_fields[0] if remote.index_fields else ""
        known = remote.field(self.index.field)
        return known.name if known else self.index.field

    def shape(self, remote: RemoteObject, site: Site, inputs: tuple[Shape, ...], *, org: str) -> Shape:
        """The shape of what is imported."""
        columns = []
        carried = []
        for one in self.wanted(remote):
            field = find_remote_field(remote, one.field, self.account, site)
            columns.append(local_column(field, one.conversion, one.name))
            if not any(mark in one.field for mark in (".", LABEL)) and one.conversion == "default":
                carried.append((one.name, field.name))
        if self.order_by:
            columns.append(Column(name=POSITION, type=ColumnType.INTEGER, label="order on the CRM"))
        key = next(one.name for one in self.wanted(remote) if one.field.lower() == remote.key.lower())
        stamp = self.index_field(remote) if self.index else ""
        lineage = Lineage(
            account=self.account,
            org=org,
            object=remote.name,
            remote_id=key,
            stamp=next((one.name for one in self.wanted(remote) if stamp and one.field.lower() == stamp.lower()), ""),
            fields=tuple(carried),
        )
        if self.population is None or not inputs:
            return Shape(columns=tuple(columns), lineage=lineage, key=(key,))
        kept = tuple(column for _, column in self.population.kept(inputs[0]))
        return Shape(
            columns=(*columns, *kept),
            lineage=lineage,
            key=self.population.key(inputs[0], key),
            dimension=self.population.dimension(inputs[0]),
        )

    def reject_shape(self, remote: RemoteObject, site: Site, inputs: tuple[Shape, ...]) -> Shape:
        """Refused records: every imported column as text, the columns of a calculated population that have no such
        name, then why."""
        own = self.shape(remote, site, (), org="").columns
        texts = tuple(Column(name=one.name, type=ColumnType.TEXT, label=one.label) for one in own)
        reasons = reject_columns(site.account_kind(self.account))
        taken = {one.name.lower() for one in (*own, *reasons)}
        inbound = inputs[0].columns if self.population is not None and inputs else ()
        return Shape(columns=(*texts, *(one for one in inbound if one.name.lower() not in taken), *reasons))

    def leaver_shape(self, remote: RemoteObject, shape: Shape) -> Shape:
        """Leavers: remote id, stamp, and the key of the row that the record is tied to. `shape` is that of what is
        imported."""
        lineage = shape.lineage
        field = remote.field(self.index_field(remote))
        if lineage is None or field is None:
            return Shape(columns=())
        id_column = next(one for one in shape.columns if one.name == lineage.remote_id)
        columns = (
            id_column,
            local_column(field, "default", lineage.stamp),
            Column(name=LOCAL_KEY, type=ColumnType.TEXT, label="key of the tied row"),
        )
        return Shape(columns=columns, lineage=replace(lineage, fields=()), key=(id_column.name,))

    def _field_problems(self, remote: RemoteObject, site: Site) -> Iterator[Problem]:
        names = {column.name.lower(): "" for column in reject_columns(site.account_kind(self.account))}
        names |= {POSITION: ""} if self.order_by else {}
        for one in self.wanted(remote):
            position = self.fields.index(one) if one in self.fields else -1
            path: tuple[str | int, ...] = ("fields", position) if position >= 0 else ("fields",)
            twin = names.get(one.name.lower())
            names[one.name.lower()] = one.field
            if twin is not None:
                what = "two fields would become column" if twin else "the import itself has a column"
                yield Problem(path=path, message=f"{what} {one.name}; give the field another name with “as:”")
            if one.conversion not in MODES:
                yield Problem(
                    path=(*path, "conversion"),
                    message=f"“{one.conversion}” is not a conversion.{suggest(one.conversion, MODES)}"
                    f" It can be {', '.join(MODES)}",
                )
                continue
            try:
                local_column(find_remote_field(remote, one.field, self.account, site), one.conversion, one.name)
            except MappingError as error:
                yield Problem(path=path, message=str(error))

    def _tracking_problems(self, remote: RemoteObject, site: Site) -> Iterator[Problem]:
        if not self.tracks:
            if self.deleted is not None:
                yield Problem(
                    path=("deleted",),
                    message="only change tracking tells of deleted records here; write “index: {by: tracking}”, or use"
                    " an import of deletions (crm_import_deleted)",
                )
            return
        if message := untracked(remote, site.account_kind(self.account)):
            yield Problem(path=("index", "by"), message=message)
        for key in ("order_by", "leavers"):
            if getattr(self, key):
                yield Problem(path=(key,), message=f"change tracking tells changes by ids alone; leave out {key}")

    def _index_problems(self, remote: RemoteObject) -> Iterator[Problem]:
        if self.index is None or self.tracks:
            return
        if not self.index.field:
            if not remote.index_fields:
                yield Problem(
                    path=("index",),
                    message=f"{remote.name} has no field that tells when a record changed; import it without index",
                )
        else:
            field = remote.field(self.index.field)
            fit = field is not None and field.type is FieldType.DATETIME and field.filterable
            if not fit:
                named = f" Fit are: {', '.join(remote.index_fields)}." if remote.index_fields else ""
                yield Problem(
                    path=("index", "field"),
                    message=f"“{self.index.field}” is not a date-and-time field of {remote.name} that can be filtered."
                    f"{suggest(self.index.field, remote.index_fields)}{named}",
                )

    def _road_problems(self, site: Site) -> Iterator[Problem]:
        kind = kind_of(site.account_kind(self.account))
        if self.road is Road.BULK and not kind.reads_by_bulk:
            yield Problem(path=("road",), message=f"{kind.label} has no bulk interface; leave out road")

    def _order_problems(self, remote: RemoteObject) -> Iterator[Problem]:
        for position, one in enumerate(self.order_by):
            field = remote.field(one.field)
            if field is None or not field.sortable:
                words = [field.name for field in remote.fields if field.sortable]
                yield Problem(
                    path=("order_by", position),
                    message=f"{remote.name} cannot be ordered by “{one.field}”.{suggest(one.field, words)}",
                )
        if self.order_by and remote.sorts_or_filters and (self.filter is not None or self.index is not None):
            yield Problem(
                path=("order_by",),
                message=f"{remote.name} is sorted or filtered, never both, and an index is a filter; leave out"
                " order_by, or let the account sort here (sort_here) or use v2.0",
            )
        if self.order_by and self.road is Road.BULK:
            yield Problem(path=("road",), message="an ordered read can't go by bulk; leave out road or order_by")

    def _population_problems(self, remote: RemoteObject, inputs: tuple[Shape, ...]) -> Iterator[Problem]:
        if self.population is None:
            return
        yield from self.population.problems(inputs[0] if inputs else None, [one.name for one in self.wanted(remote)])
        if self.index is not None:
            yield Problem(path=("index",), message="a population from upstream is read whole; leave out the index")
        if self.order_by:
            yield Problem(path=("order_by",), message="records asked for by id come in no order; leave out order_by")

    def _leaver_problems(self, remote: RemoteObject) -> Iterator[Problem]:
        if self.leavers is None:
            return
        if self.filter is None:
            yield Problem(
                path=("leavers",),
                message="leavers are the records that stopped matching the filter, but this import has none;"
                " add a filter, or leave out leavers",
            )
        if self.index is None:
            yield Problem(
                path=("leavers",),
                message="leavers are looked for among what changed since the last import; add “index: true”",
            )
            return
        stamp = self.index_field(remote).lower()
        names = [one.name for one in self.wanted(remote) if one.field.lower() in (remote.key.lower(), stamp)]
        if LOCAL_KEY in {one.lower() for one in names}:
            yield Problem(
                path=("leavers",),
                message=f"the Leavers transition has a column {LOCAL_KEY} of its own; give the field another name with"
                " “as:”",
            )


def _order(value: object) -> object:
    if isinstance(value, str):
        return {"field": value}
    if isinstance(value, dict) and len(value) == 1 and "field" not in value:
        name, direction = next(iter(value.items()))
        if direction in ("ascending", "descending"):
            return {"field": name, "descending": direction == "descending"}
        raise ValueError(f"“{direction}” is not an order; it can be ascending or descending")
    return value

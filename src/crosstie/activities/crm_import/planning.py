"""What an import reads, settled before the first record is asked for: the fields, the filter, and the window."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from crosstie.activities.crm_import.tracking import end_of_window
from crosstie.activities.receiving.converting import RowConverter
from crosstie.activities.receiving.indexing import Indexing
from crosstie.activities.remote import collected_object, find_remote_field, reject_columns
from crosstie.crm.connector import Condition, Connector, Order, RemoteQuery
from crosstie.crm.lookup import CLOCK_GUARD
from crosstie.errors import ConfigError, MappingError, RequestError, ScriptError
from crosstie.model import LABEL, Column, IndexRange, RemoteObject
from crosstie.schema.conversions.converter import Converter
from crosstie.script.engine import evaluate
from crosstie.script.filters import build_condition
from crosstie.script.template import Template
from crosstie.sync import shipments, windows
from crosstie.workflow.activity import Context, Shape

if TYPE_CHECKING:
    from crosstie.activities.crm_import import CrmImport


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What this import reads, settled before the first record is asked for."""

    remote: RemoteObject
    shape: Shape
    query: RemoteQuery
    window: windows.Window
    converter: RowConverter
    tail: windows.Tail | None
    key: str
    stamp: str


def described(activity: CrmImport, context: Context, connector: Connector) -> RemoteObject:
    """The object as the CRM describes it now. Raises RequestError when a wanted field is not shown any more."""
    stored = collected_object(context.site, activity.account, activity.object)
    described = connector.describe(stored.name, known=stored)
    if described.fingerprint != stored.fingerprint:
        check_fields(activity, described)
        context.log.info(
            f"{stored.name} is described differently than when it was collected; the fields of this import are still"
            f" there. See what changed: crosstie schema diff {activity.account} {stored.name}"
        )
    return described


def check_fields(activity: CrmImport, described: RemoteObject) -> None:
    """Refuses a read of fields that the CRM no longer shows: they would arrive empty, or not at all."""
    _refuse_gone(
        described.name,
        [
            one.field
            for one in activity.wanted(described)
            if "." not in one.field and not described.field(one.field.removesuffix(LABEL))
        ],
    )


def check_linked_fields(activity: CrmImport, context: Context, connector: Connector, described: RemoteObject) -> None:
    """The same for the fields of linked objects; a conditional call for each of these objects."""
    asked: dict[str, RemoteObject] = {}
    gone = []
    for one in activity.wanted(described):
        holder, rest = described, one.field
        while "." in rest:
            first, _, rest = rest.partition(".")
            chosen, _, relationship = first.rpartition(":")
            link = holder.link(relationship)
            name = link.leads_to(chosen) if link is not None else None
            if name is None:
                break
            if name not in asked:
                asked[name] = connector.describe(name, known=context.site.remote_object(activity.account, name))
            holder = asked[name]
        if "." in one.field and ("." in rest or holder.field(rest.removesuffix(LABEL)) is None):
            gone.append(one.field)
    _refuse_gone(described.name, gone)


def _refuse_gone(name: str, gone: Sequence[str]) -> None:
    if gone:
        raise RequestError(
            f"{name} no longer shows {', '.join(gone)} to this user: deleted, renamed or hidden.",
            hint="Nothing was published and the index has not moved. Give the user access to it again, or take it out"
            " of the import.",
        )


def make_plan(activity: CrmImport, context: Context, connector: Connector, remote: RemoteObject) -> Plan:
    """Takes up the window of this run, or opens one, and says what to ask for. Raises ConfigError for an option that
    holds no date, and for a run that was begun with another org."""
    inputs = tuple(Shape.of(table) for table in context.inputs)
    org = connector.org_id()
    shape = activity.shape(remote, context.site, inputs, org=org)
    wanted = activity.wanted(remote)
    condition = _condition(activity, context, remote)
    fields = tuple(one.field for one in wanted)
    fingerprint = _fingerprint(activity, fields, shape.columns)
    query = RemoteQuery(
        object=remote,
        fields=fields,
        condition=condition,
        order=tuple(Order(field=one.field, descending=one.descending) for one in activity.order_by),
        road=activity.road,
    )
    window, tail = _window(activity, context, connector, query, org, fingerprint)
    if window.goes_by_stamps:
        query = replace(query, window=IndexRange(field=window.field, start=window.read_from, end=window.end))
    lineage = shape.lineage
    if lineage is None:
        raise ConfigError(f"{remote.name} is imported without its remote id.")
    return Plan(
        remote=remote,
        shape=shape,
        query=query,
        window=window,
        converter=_converter(activity, context, remote, shape),
        tail=tail,
        key=lineage.remote_id,
        stamp=lineage.stamp,
    )


def _condition(activity: CrmImport, context: Context, remote: RemoteObject) -> Condition | None:
    """The filter with its values, which are evaluated as of the run's beginning: a resumed read asks for the same."""
    if activity.filter is None:
        return None
    scope = replace(context.scope(), now=context.run_started)
    try:
        return build_condition(activity.filter, remote, lambda source: evaluate(source, scope))
    except ScriptError as error:  # a mistake in the definition, which never takes the Error transition
        raise MappingError(error.message, hint=error.hint) from error


def _fingerprint(activity: CrmImport, fields: Sequence[str], columns: Sequence[Column]) -> str:
    """What a tail is good for: the same columns, conversions and filter as written. Its values may move with the clock
    from run to run: what the tail holds was delivered, whatever is asked for now."""
    text = repr(
        (
            activity.account,
            activity.object,
            fields,
            [(one.conversion, one.name) for one in activity.fields],
            [(one.name, one.type, one.scale) for one in columns],
            activity.filter,
            *([windows.TRACKING] if activity.tracks else []),
        )
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _window(
    activity: CrmImport, context: Context, connector: Connector, query: RemoteQuery, org: str, fingerprint: str
) -> tuple[windows.Window, windows.Tail | None]:
    """Takes over the window that this run has open for the option, or opens a new one."""
    indexing = Indexing(
        context=context,
        connector=connector,
        account=activity.account,
        org=org,
        object=query.object.name,
        fingerprint=fingerprint,
        field=windows.TRACKING if activity.tracks else activity.index_field(query.object),
        overlap=activity.index.overlap if activity.index is not None and not activity.tracks else timedelta(0),
    )
    index = activity.index
    if index is None:
        return indexing.whole(), None

    def end(start: datetime | None, now: datetime) -> datetime:
        if activity.tracks:
            return end_of_window(indexing, start, now)
        return _end(connector, query, indexing.field, start, _before_our_own(indexing, now - index.guard))

    window, tail = indexing.window(Template(index.option).render(context.scope()), end)
    indexing.tell(window)
    return window, tail if window.goes_by_stamps else None


def _before_our_own(indexing: Indexing, latest: datetime) -> datetime:
    """The latest end of a window, before anything that we have sent and that has no answer yet. Those records may say
    already what we have written, while nobody has agreed on it: they would come in as another's changes, and new ones
    as strangers. The export settles that, and then they are read."""
    with indexing.context.db.reading() as transaction:
        first = shipments.first_unanswered(transaction, indexing.account, indexing.org, indexing.object)
    if first is None or first[0] - CLOCK_GUARD >= latest:
        return latest
    left_at, workflow, run = first
    indexing.context.log.warning(
        f"What run {run} of {workflow} sent at {windows.option_text(left_at)} (UTC) has no answer yet: records are read"
        f" up to then, the others when it is settled: by the next export of {indexing.object} from this account, like"
        f" crosstie run {workflow}."
    )
    return left_at - CLOCK_GUARD


def _end(connector: Connector, query: RemoteQuery, field: str, start: datetime | None, latest: datetime) -> datetime:
    """The end of a new window: a whole minute, not past `latest` and what the CRM covers, never before the start."""
    end = latest.replace(second=0, microsecond=0)
    end = connector.safe_end(replace(query, window=IndexRange(field=field, start=start, end=end)), end)
    return max(end, start) if start is not None else end


def _converter(activity: CrmImport, context: Context, remote: RemoteObject, shape: Shape) -> RowConverter:
    """The converter for what the activity wants, in the order in which it is asked for."""
    wanted = activity.wanted(remote)
    ordered = bool(activity.order_by)
    return RowConverter(
        columns=shape.columns[: len(wanted) + ordered],
        converters=tuple(
            Converter(
                find_remote_field(remote, one.field, activity.account, context.site), one.conversion, context.zone
            )
            for one in wanted
        ),
        rejects=reject_columns(context.site.account_kind(activity.account)),
        ordered=ordered,
        dialect=context.db.dialect,
    )

"""What an import reads, settled before the first record is asked for: the fields, the filter, and the window."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from crosstie.activities.crm_import.converting import RowConverter
from crosstie.crm.connector import Condition, Connector, Order, RemoteQuery
from crosstie.errors import ConfigError, MappingError, RequestError, ScriptError
from crosstie.model import Column, IndexRange, RemoteObject
from crosstie.script.engine import evaluate
from crosstie.script.filters import build_condition
from crosstie.script.template import Template
from crosstie.sync import windows
from crosstie.workflow import state
from crosstie.workflow.activity import Context, Shape

if TYPE_CHECKING:
    from crosstie.activities.crm_import import CrmImport

_CLOCK_STEP = timedelta(days=1)  # an option a little ahead comes from a clock that was set back; more is a slip


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
    stored = context.site.remote_object(activity.account, activity.object)
    if stored is None:
        raise ConfigError(
            f"{activity.object} is not a collected object of account {activity.account}.",
            hint=f"Collect it: crosstie collect {activity.account} {activity.object}",
        )
    described = connector.describe(stored.name, known=stored)
    if described.fingerprint != stored.fingerprint:
        check_fields(activity, described)
        context.log.info(
            f"{stored.name} is described differently than when it was collected; the fields of this import are still"
            f" there. See what changed: crosstie collect {activity.account} {stored.name}"
        )
    return described


def check_fields(activity: CrmImport, described: RemoteObject) -> None:
    """Refuses a read of fields that the CRM no longer shows: they would arrive empty, or not at all."""
    _refuse_gone(
        described.name,
        [one.field for one in activity.wanted(described) if "." not in one.field and not described.field(one.field)],
    )


def check_linked_fields(activity: CrmImport, context: Context, connector: Connector, described: RemoteObject) -> None:
    """The same for the fields of linked objects; a conditional call for each of these objects."""
    asked: dict[str, RemoteObject] = {}
    gone = []
    for one in activity.wanted(described):
        holder, rest = described, one.field
        while "." in rest:
            first, _, rest = rest.partition(".")
            link = next((field for field in holder.fields if field.relationship.lower() == first.lower()), None)
            if link is None:
                break
            name = link.reference_to[0]
            if name not in asked:
                asked[name] = connector.describe(name, known=context.site.remote_object(activity.account, name))
            holder = asked[name]
        if "." in one.field and ("." in rest or holder.field(rest) is None):
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
    if window.moves_option:
        query = replace(query, window=IndexRange(field=window.field, start=window.read_from, end=window.end))
    lineage = shape.lineage
    if lineage is None:
        raise ConfigError(f"{remote.name} is imported without its remote id.")
    return Plan(
        remote=remote,
        shape=shape,
        query=query,
        window=window,
        converter=RowConverter.build(activity, remote, context.site, shape, context.zone, context.db.dialect),
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
        )
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _window(
    activity: CrmImport, context: Context, connector: Connector, query: RemoteQuery, org: str, fingerprint: str
) -> tuple[windows.Window, windows.Tail | None]:
    """Takes over the window that this run has open for the option, or opens a new one."""
    remote = query.object
    index = activity.index
    if index is None:
        option = f"#{context.workflow}/{context.activity}"
        return _take_or_open(
            context, _new_window(activity, context, remote, org, fingerprint, option, None, connector.server_time(), "")
        ), None
    option = Template(index.option).render(context.scope())
    with context.db.reading() as transaction:
        existing = windows.open_window(transaction, option)
        text = windows.read_option(transaction, option)
        tail = windows.read_tail(transaction, option)
    start = windows.parse_option(option, text)
    mine = existing is not None and (existing.run, existing.activity) == (context.run, context.activity)
    if existing is not None and mine and existing.fingerprint == fingerprint:
        _refuse_other_org(existing, org)
        return existing, _usable(context, tail, existing)
    field = activity.index_field(remote)
    now = connector.server_time()
    if start is not None and start > now + _CLOCK_STEP:
        raise ConfigError(
            f"Option {option} holds {text} (UTC), but on the CRM it is {windows.option_text(now)}: no import would read"
            " anything until then.",
            hint=f"Nothing was read. Set it right: crosstie option set {option} '{windows.option_text(now)}'"
            " (or '' to read everything again).",
        )
    end = _end(connector, query, field, start, now - index.guard)
    wanted = replace(
        _new_window(activity, context, remote, org, fingerprint, option, start, end, field),
        option_read=text,
        overlap=windows.overlap_for(tail, index.overlap),
    )
    if start is None:
        context.log.info(f"Option {option} is {'empty' if text is not None else 'not there yet'}: reading everything.")
    elif start > now:
        context.log.warning(
            f"Option {option} holds {text} (UTC), which is later than the CRM's clock: nothing is read until then.",
        )
    with context.db.reading() as transaction:
        before = windows.last_confirmed(transaction, option)
    if before is not None and start is not None and before.org != org:
        raise ConfigError(
            f"Option {option} was moved by imports from the org {before.org}, but account {activity.account} now leads"
            f" to {org}: what changed there before {text} would never be read.",
            hint="Nothing was read. Point the account back, or give this import an option of its own:"
            " index: {option: …}.",
        )
    opened = _take_or_open(context, wanted)
    return opened, _usable(context, tail, opened)


def _end(connector: Connector, query: RemoteQuery, field: str, start: datetime | None, latest: datetime) -> datetime:
    """The end of a new window: a whole minute, not past `latest` and what the CRM covers, never before the start."""
    end = latest.replace(second=0, microsecond=0)
    end = connector.safe_end(replace(query, window=IndexRange(field=field, start=start, end=end)), end)
    return max(end, start) if start is not None else end


def _new_window(
    activity: CrmImport,
    context: Context,
    remote: RemoteObject,
    org: str,
    fingerprint: str,
    option: str,
    start: datetime | None,
    end: datetime,
    field: str,
) -> windows.Window:
    return windows.Window(
        id=0,
        option=option,
        account=activity.account,
        org=org,
        object=remote.name,
        workflow=context.workflow,
        activity=context.activity,
        run=context.run,
        field=field,
        start=start,
        end=end,
        overlap=activity.index.overlap if activity.index else timedelta(0),
        option_read=None,
        status=windows.WindowStatus.OPEN,
        fingerprint=fingerprint,
    )


def _take_or_open(context: Context, wanted: windows.Window) -> windows.Window:
    with context.step(f"window of {wanted.option}") as transaction:
        windows.lock(transaction, wanted.option)  # branches of a run one after the other
        for one in windows.windows_of(transaction, context.run):
            _refuse_shared(one, wanted)
        existing = windows.open_window(transaction, wanted.option)
        family = {run.id for run in state.ancestry(transaction, context.run)} | {context.run}
        if existing is not None and existing.run in family:
            _refuse_other_org(existing, wanted.org)
            if existing.fingerprint == wanted.fingerprint:
                return existing
            windows.abandon_one(transaction, existing, context.now())
        return windows.begin(transaction, wanted, context.now())


def _refuse_shared(one: windows.Window, wanted: windows.Window) -> None:
    if one.option == wanted.option and one.activity != wanted.activity:
        raise ConfigError(
            f"Activity “{one.activity}” of this run imports by option {wanted.option} too: whichever ended"
            " first would move it for both, and the other's records would be lost.",
            hint="Nothing was read. Give each import an option of its own: index: {option: …}.",
        )


def _usable(context: Context, tail: windows.Tail | None, window: windows.Window) -> windows.Tail | None:
    """The tail, when it is there and belongs to this window's start and to the same columns and filter."""
    if tail is None or tail.fingerprint != window.fingerprint or tail.end != window.start:
        return None
    return tail if tail.table in context.db.work_tables() else None


def _refuse_other_org(window: windows.Window, now: str) -> None:
    if window.org != now:
        raise ConfigError(
            f"Account {window.account} now leads to another org ({now}) than this run's window ({window.org}).",
            hint="Point the account back, or begin anew with --restart"
            + (" and another option." if window.moves_option else "."),
        )


def tell(context: Context, plan: Plan) -> None:
    """Writes the window to the log."""
    window = plan.window
    if not window.moves_option:
        return
    start = windows.option_text(window.start) if window.start else "the beginning"
    context.log.info(
        f"index {window.field}: {start} → {windows.option_text(window.end)} (UTC), reaching back"
        f" {int(window.overlap.total_seconds() // 60)} minutes",
        option=window.option,
    )

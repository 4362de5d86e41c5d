"""Reads the mapping of an export against the inbound columns and the remote object; keeps every mistake."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from crosstie.activities.remote import find_remote_field, guess_field
from crosstie.crm import kind_of
from crosstie.db.columns import arrow_type
from crosstie.db.expressions import Expression, Scope
from crosstie.db.merge.phrases import Phrases, Place, as_type
from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType, FieldType, RemoteField, RemoteObject
from crosstie.schema.conversions import MODES, local_column
from crosstie.schema.conversions.converter import Converter
from crosstie.sync.plans import PlannedField
from crosstie.workflow.activity import Shape, Site
from crosstie.workflow.yaml_source import suggest

if TYPE_CHECKING:
    from crosstie.activities.crm_export import CrmExport, MapLine

_MOST_SCALE = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedField:
    """A line of the mapping, understood. `wire` is what the CRM calls it: a field, or a parent's external id."""

    wire: str
    remote: RemoteField
    line: MapLine
    value: Expression
    type: ColumnType
    scale: int
    on_conflict: str

    @property
    def planned(self) -> PlannedField:
        """The field of the plan."""
        return PlannedField(field=self.wire, type=self.type, scale=self.scale, on_conflict=self.on_conflict)

    def column(self, name: str) -> Column:
        """The column of its local values."""
        return Column(name=name, type=self.type, scale=self.scale)

    def converter(self, zone: ZoneInfo) -> Converter:
        """What writes its values for the wire."""
        return Converter(self.remote, self.line.conversion, zone)


@dataclass(slots=True, kw_only=True)
class Mapping:
    """The mapping, understood. Where `mistakes` is not empty the rest is incomplete. `key` is the expression of the
    remote id, or of the external id where `key_field` names one."""

    mistakes: list[tuple[Place, str]]
    fields: list[MappedField] = field(default_factory=list)
    key: Expression | None = None
    key_field: str = ""
    changed_at: Expression | None = None

    @property
    def lane(self) -> int | None:
        """The place of the field whose value tells which rows share a parent."""
        return next((place for place, one in enumerate(self.fields) if one.remote.type is FieldType.REFERENCE), None)


def read_mapping(activity: CrmExport, remote: RemoteObject, inbound: Shape, site: Site) -> Mapping:
    """Reads it all, whatever is wrong."""
    phrases = Phrases()
    found = Mapping(mistakes=phrases.mistakes)
    scope = Scope.of(inbound.columns, "the inbound population")
    if not inbound.key:
        phrases.refuse(
            (),
            "nothing tells the inbound rows apart: an export has to know each of them again. A query, or a"
            " deduplication before it, gives them a key",
        )
    _read_key(phrases, found, activity, remote, scope)
    _check_allowed(phrases, activity, remote)
    for name, line in activity.map.items():
        one = _read_line(phrases, activity, remote, scope, site, name, line, found.key_field)
        if one is not None:
            found.fields.append(one)
    _read_changed_at(phrases, found, activity, scope)
    _check_active(phrases, found, activity)
    assigned = kind_of(site.account_kind(activity.account)).assigned
    if activity.assignment != "off" and remote.name not in assigned:
        told = f": {' and '.join(assigned)} have" if assigned else "; leave “assignment” out"
        phrases.refuse(("assignment",), f"{remote.name} has no assignment rules{told}")
    return found


def _read_changed_at(phrases: Phrases, found: Mapping, activity: CrmExport, scope: Scope) -> None:
    if activity.changed_at:
        value = phrases.value(("changed_at",), activity.changed_at, scope)
        found.changed_at = as_type(value, ColumnType.INSTANT) if value is not None else None
        if value is not None and found.changed_at is None:
            told = f"“{activity.changed_at}” is {value.type.value}; it has to say when a row was changed: an instant"
            phrases.refuse(("changed_at",), told)
    elif any((line.on_conflict or activity.on_conflict) == "newest" for line in activity.map.values()):
        told = "“newest” has to know when the local row was changed: say it under “changed_at”, an instant"
        phrases.refuse(("on_conflict",), told)


def _check_active(phrases: Phrases, found: Mapping, activity: CrmExport) -> None:
    """A bulk job takes a rule by its id only, and rows without a key are created by bulk jobs."""
    creates = not found.key_field and activity.insert != "never"
    if activity.assignment == "active" and (activity.batches == "on" or (activity.batches == "auto" and creates)):
        phrases.refuse(
            ("assignment",),
            "a bulk job cannot be told to use the active rule. Give the id of the rule, or say “batches: off”; then"
            " a lost answer about a record that was to be created is left to a person",
        )


def _check_allowed(phrases: Phrases, activity: CrmExport, remote: RemoteObject) -> None:
    if not remote.createable and activity.insert == "always":
        phrases.refuse(("insert",), f"this user may not create {remote.name} records")
    if not remote.updateable and activity.key:
        phrases.refuse(("key",), f"this user may not change {remote.name} records")


def _read_key(phrases: Phrases, found: Mapping, activity: CrmExport, remote: RemoteObject, scope: Scope) -> None:
    for name, text in activity.key.items():
        field_ = remote.field(name)
        if field_ is None or not (field_.name == remote.key or field_.external_id):
            words = [remote.key, *(one.name for one in remote.fields if one.external_id)]
            phrases.refuse(
                ("key", name),
                f"a record of {remote.name} is not found by “{name}”.{suggest(name, words)} It is found by"
                f" {', '.join(words)}",
            )
            continue
        value = phrases.value(("key", name), text, scope)
        typed = as_type(value, ColumnType.TEXT) if value is not None else None
        if value is not None and typed is None:
            phrases.refuse(
                ("key", name), f"“{text}” is {value.type.value}; a key is text. Convert it: cast({text} as text)"
            )
        found.key = typed
        found.key_field = "" if field_.name == remote.key else field_.name
        if found.key_field and activity.insert != "auto":
            phrases.refuse(("insert",), f"{field_.name} creates a record where there is none: leave “insert” out")


def _read_line(
    phrases: Phrases,
    activity: CrmExport,
    remote: RemoteObject,
    scope: Scope,
    site: Site,
    name: str,
    line: MapLine,
    found_key: str,
) -> MappedField | None:
    place: Place = ("map", name)
    known = remote.field(name)
    if known is None or known.parts:
        words = [one.name for one in remote.fields if not one.parts]
        if known is None:
            phrases.refuse(place, f"{remote.name} has no field “{name}”.{guess_field(remote, name, words)}")
        else:
            phrases.refuse(place, f"{known.name} is a compound field. Write its parts: {', '.join(known.parts)}")
        return None
    if known.name in (remote.key, found_key):
        phrases.refuse(place, f"{known.name} is the key, which is not written: it stands under “key”")
        return None
    if not (known.createable or known.updateable):
        why = "it is calculated" if known.calculated else "this user may not write it, or nobody may"
        phrases.refuse(place, f"{known.name} cannot be written: {why}")
        return None
    if line.conversion not in MODES:
        phrases.refuse(
            (*place, "conversion"), f"“{line.conversion}” is not a conversion.{suggest(line.conversion, MODES)}"
        )
        return None
    wire, target = known.name, known
    if _says_no_parent(known) and not line.by:
        if line.parent not in known.reference_to:
            told = f"{known.name} refers to {', '.join(known.reference_to)}, and an id does not tell which: say it"
            phrases.refuse((*place, "parent"), told)
            return None
        wire = f"{line.parent}:{known.name}"
    elif line.parent or line.by:
        parent = _read_parent(phrases, activity, remote, site, known, line)
        if parent is None:
            return None
        kind = f"{line.parent}:" if len(known.reference_to) > 1 else ""
        wire, target = f"{kind}{known.relationship}.{parent.name}", parent
    try:
        wanted = local_column(target, line.conversion, known.name)
    except MappingError as error:
        phrases.refuse(place, str(error))
        return None
    value = phrases.value(place, line.from_, scope)
    if value is None:
        return None
    # A set that people keep in a text column, its values separated by semicolons.
    typed = value if (value.type, wanted.type) == (ColumnType.TEXT, ColumnType.SET) else as_type(value, wanted.type)
    if typed is None and _is_written(value, target, line.conversion):
        typed, wanted = value, replace(wanted, type=value.type)
    if typed is None:
        phrases.refuse(
            place,
            f"“{line.from_}” is {value.type.value}, but {known.name} of {remote.name} holds {wanted.type.value}."
            f" Convert it: cast({line.from_} as {wanted.type.value})",
        )
        return None
    scale = min(max(wanted.scale, typed.column("x").scale), _MOST_SCALE) if wanted.type is ColumnType.DECIMAL else 0
    return MappedField(
        wire=wire,
        remote=known if wire == known.name else _reference_text(known, target),
        line=line,
        value=typed,
        type=wanted.type,
        scale=scale,
        on_conflict=line.on_conflict or activity.on_conflict,
    )


def _says_no_parent(field: RemoteField) -> bool:
    """Whether a reference to one of several objects has no relationship but under its own name: then what it leads to
    has to be said."""
    return len(field.reference_to) > 1 and field.relationship in {"", field.name}


def _is_written(value: Expression, target: RemoteField, mode: str) -> bool:
    """Whether a date or a time of another kind than the field holds is written by the conversion: the date of an
    instant, a wall-clock time in the zone."""
    import pyarrow as pa

    kind = arrow_type(value.column("x"))
    if not pa.types.is_temporal(kind):
        return False
    try:
        Converter(target, mode, ZoneInfo("UTC")).to_wire(pa.nulls(0, kind))
    except MappingError:
        return False
    return True


def _reference_text(reference: RemoteField, parent: RemoteField) -> RemoteField:
    """The parent's key, in the place of the reference: what shares it shares a parent."""
    return replace(parent, type=FieldType.REFERENCE, reference_to=reference.reference_to, label=reference.label)


def _read_parent(
    phrases: Phrases, activity: CrmExport, remote: RemoteObject, site: Site, known: RemoteField, line: MapLine
) -> RemoteField | None:
    place: Place = ("map", known.name)
    if not line.parent or not line.by:
        phrases.refuse(place, "“parent” and “by” belong together: the parent object, and its external id field")
        return None
    if line.parent not in known.reference_to:
        told = f"refers to {', '.join(known.reference_to)}" if known.reference_to else "is no reference"
        phrases.refuse((*place, "parent"), f"{known.name} {told}, not to {line.parent}")
        return None
    parent = site.remote_object(activity.account, line.parent)
    if parent is None:
        phrases.refuse(
            (*place, "parent"),
            f"{line.parent} is not collected. Collect it: crosstie collect {activity.account} {line.parent}",
        )
        return None
    try:
        found = find_remote_field(parent, line.by, activity.account, site)
    except MappingError as error:
        phrases.refuse((*place, "by"), str(error))
        return None
    if not found.external_id:
        words = [one.name for one in parent.fields if one.external_id]
        phrases.refuse(
            (*place, "by"),
            f"{found.name} is no external id of {parent.name}." + (f" It has {', '.join(words)}" if words else ""),
        )
        return None
    return found

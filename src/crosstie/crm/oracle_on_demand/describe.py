"""Objects and fields. No service lists the objects; fields come from a downloaded WSDL, else from the mapping service,
labels, rights and picklists from the services for metadata as far as this user may ask them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from crosstie.crm.connector import ObjectName
from crosstie.crm.oracle_on_demand import metadata, wsdl
from crosstie.crm.oracle_on_demand.faults import refuses_what_was_named
from crosstie.crm.oracle_on_demand.metadata import Metadata, Told
from crosstie.crm.oracle_on_demand.names import Service
from crosstie.crm.oracle_on_demand.session import Session
from crosstie.crm.oracle_on_demand.settings import Flavour, OracleOnDemandSettings, Version
from crosstie.crm.oracle_on_demand.standard import (
    AUDIT,
    ID_LENGTH,
    LENGTHS,
    NOT_FILTERABLE,
    OUR_KEYS,
    READ_ONLY,
    REFERENCES,
    REFERENCES_ON,
    RENAMED,
    RENAMED_ON,
    STAMPS,
    STANDARD,
    Standard,
    standard_of,
)
from crosstie.crm.oracle_on_demand.wsdl import Declared, Wsdl
from crosstie.errors import AuthError, MappingError, RequestError
from crosstie.model import EnumerationValue, FieldType, RemoteField, RemoteObject

_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_GENERIC = re.compile(r"Custom[A-Z][A-Za-z]*\d+", re.ASCII)
_NUMBER_SCALE = 7
"""Decimals of the application's numbers."""

_XSD = {
    "dateTime": FieldType.DATETIME,
    "date": FieldType.DATE,
    "boolean": FieldType.BOOLEAN,
    **dict.fromkeys(("int", "integer", "long", "short"), FieldType.INTEGER),
    **dict.fromkeys(("decimal", "double", "float"), FieldType.DECIMAL),
}
_WORDS = (
    ("multi", FieldType.SET),
    ("pick", FieldType.ENUMERATION),
    ("check", FieldType.BOOLEAN),
    ("bool", FieldType.BOOLEAN),
    ("time", FieldType.DATETIME),
    ("date", FieldType.DATE),
    ("integer", FieldType.INTEGER),
    ("number", FieldType.DECIMAL),
    ("currency", FieldType.DECIMAL),
    ("percent", FieldType.DECIMAL),
    ("decimal", FieldType.DECIMAL),
)
"""Words in the types of the services for metadata, the first that fits."""

_CLOSED = frozenset({FieldType.ENUMERATION, FieldType.SET})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is told of one field, whoever told it."""

    label: str = ""
    kind: str = ""
    generic: str = ""
    required: bool = False
    read_only: bool = False


def object_names(settings: OracleOnDemandSettings) -> tuple[ObjectName, ...]:
    """The objects that every company has, and those of the WSDLs in the folder. No call: no service lists them."""
    found = {
        one.name: ObjectName(name=one.name, label=one.label, custom=one.custom, readable=True)
        for one in STANDARD.values()
        if not (one.v2_only and settings.version is Version.V1)
    }
    for one in _wsdls(settings):
        found.setdefault(one.name, ObjectName(name=one.name, label=one.name, custom=False, readable=True))
    return tuple(found.values())


def service_of(remote: RemoteObject, settings: OracleOnDemandSettings) -> Service:
    """How an object's service is addressed: by the kind of WSDL that its own fields' names are from."""
    generic = any(_GENERIC.fullmatch(field.name) for field in remote.fields)
    flavour = Flavour.GENERIC if generic else settings.flavour
    return Service(name=remote.name, version=settings.version, flavour=flavour)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a description was made of: while that stays, so does the rest of it."""

    mapped: tuple[Told, ...]
    declared: Wsdl | None
    fingerprint: str


def describe(session: Session, name: str, known: RemoteObject | None, seen: dict[str, Seen]) -> RemoteObject:
    """The description of an object: a call for its fields, two that administrators may make, and where this user is
    none, one for each picklist. `seen` has what this connector has described before: of those the call for the fields
    is enough while they stay. Raises MappingError when there is none of that name."""
    settings = session.settings
    declared = next((one for one in _wsdls(settings) if one.name.lower() == name.lower()), None)
    standard = standard_of(name)
    if standard is None and declared is not None:
        standard = Standard(name=declared.name, label=declared.name)
    if standard is None or not _NAME.fullmatch(name):
        raise _unknown(name)
    if standard.v2_only and settings.version is Version.V1:
        raise MappingError(
            f"{standard.name} is served by web services v2.0 only, and account {session.account} uses v1.0.",
            hint=f"Change it: crosstie account edit {session.account} --version v2.0, and collect its objects again.",
        )
    session.identity()
    mapped = _mapped(session, standard, declared)
    if known is not None and seen.get(standard.name) == Seen(mapped, declared, known.fingerprint):
        return known
    told = _told(session, standard, mapped)
    flavour = declared.flavour if declared is not None else settings.flavour
    found = _Describer(standard, settings, told, flavour).remote_object(declared, session)
    seen[standard.name] = Seen(mapped, declared, found.fingerprint)
    return known if known is not None and known.fingerprint == found.fingerprint else found


def _wsdls(settings: OracleOnDemandSettings) -> tuple[Wsdl, ...]:
    if not settings.wsdl_folder:
        return ()
    return tuple(one for one in wsdl.wsdls_in(settings.wsdl_folder) if one.version is settings.version)


def _unknown(name: str) -> MappingError:
    return MappingError(
        f"The org has no object “{name}”, or this user can't see it.",
        hint="Look at the list: crosstie objects ACCOUNT. An object that is not in it needs its WSDL in the account's "
        "folder of WSDLs (wsdl_folder).",
    )


def _mapped(session: Session, standard: Standard, declared: Wsdl | None) -> tuple[Told, ...]:
    try:
        return metadata.mapping(session, standard.asked_as)
    except (RequestError, AuthError) as error:
        if not refuses_what_was_named(error):
            raise
        if declared is None:
            raise _unknown(standard.name) from error
        return ()


def _told(session: Session, standard: Standard, mapped: tuple[Told, ...]) -> Metadata:
    managed = metadata.managed(session, standard.asked_as) if session.settings.admin_services else None
    if managed is None:
        return Metadata(mapped=mapped)
    lists = metadata.picklists(session, standard.asked_as)
    return Metadata(mapped=mapped, managed=managed, picklists=lists or {}, administrator=lists is not None)


class _Describer:
    """Puts together what is told of one object."""

    def __init__(self, standard: Standard, settings: OracleOnDemandSettings, told: Metadata, flavour: Flavour) -> None:
        self._standard = standard
        self._settings = settings
        self._told = told
        self._flavour = flavour
        self._key = Service(name=standard.name, version=settings.version).key
        self._by_generic = {one.generic: one for one in told.managed if one.generic}
        self._by_tag = {one.tag: one for one in told.managed if one.tag}
        self._mapped = {self._tag(one.tag): one for one in told.mapped}

    def remote_object(self, declared: Wsdl | None, session: Session) -> RemoteObject:
        """The description."""
        base = declared.fields if declared is not None else tuple(self._mapped_fields())
        fields = self._with_values([self._field(one) for one in base], session)
        stamps = tuple(
            one.name for name in STAMPS for one in fields if one.name == name and one.type is FieldType.DATETIME
        )
        if not any(one.name == self._key for one in fields):
            fields.insert(0, self._field(Declared(tag=self._key, kind="string")))
        v1 = self._settings.version is Version.V1
        remote = RemoteObject(
            name=self._standard.name,
            label=self._standard.label,
            label_plural=self._standard.label,
            key=self._key,
            fields=tuple(fields),
            index_fields=stamps,
            safe_index="ModifiedDate" if "ModifiedDate" in stamps else next(iter(stamps), ""),
            custom=self._standard.custom,
            deletable=self._standard.deletable,
            tracks_deletions=bool(self._standard.deleted),
            sorts_or_filters=v1 and not self._settings.sort_here,
        )
        return replace(remote, fingerprint=hashlib.sha256(msgspec.json.encode(remote)).hexdigest()[:24])

    def _mapped_fields(self) -> Iterator[Declared]:
        if self._settings.version is Version.V2:
            yield from (Declared(tag=tag, kind="") for tag in AUDIT if tag not in self._mapped)
        yield from (Declared(tag=tag, kind="") for tag in self._mapped)

    def _tag(self, mapped: str) -> str:
        """What the account's version and kind of WSDL call a field of the mapping service."""
        tag = mapped
        if self._settings.version is Version.V2:
            tag = self._second_tag(mapped)
        own = self._by_generic.get(tag)
        if own is not None and own.tag and self._flavour is Flavour.CUSTOM and _GENERIC.fullmatch(tag):
            return own.tag
        return tag

    def _second_tag(self, tag: str) -> str:
        """A tag of v1.0 as v2.0 has it."""
        if tag == f"{self._standard.name}Id":
            return "Id"
        return RENAMED_ON.get((self._standard.name, tag)) or RENAMED.get(tag) or tag

    def _known(self, tag: str) -> _Known:
        mapped = self._mapped.get(tag)
        second = self._second_tag(tag)
        managed = self._by_tag.get(tag) or self._by_generic.get(tag)
        managed = managed or self._by_tag.get(second) or self._by_generic.get(second)
        return _Known(
            label=(managed.label if managed else "") or (mapped.label if mapped else ""),
            kind=(managed.kind if managed else "") or (mapped.kind if mapped else "") or AUDIT.get(second, ""),
            generic=managed.generic if managed else "",
            required=managed.required if managed else False,
            read_only=managed.read_only if managed else False,
        )

    def _field(self, one: Declared) -> RemoteField:
        tag, known = one.tag, self._known(one.tag)
        kind = self._type(tag, known.kind, one.kind)
        key = tag == self._key
        ours = tag in OUR_KEYS or tag == self._settings.key_of(self._standard.name)
        leads_to = self._leads_to(tag) if kind is FieldType.REFERENCE else ()
        fixed = key or known.read_only or tag in READ_ONLY
        return RemoteField(
            name=tag,
            label=known.label or tag,
            type=kind,
            wire_type=known.kind or one.kind,
            length=one.length or self._length(tag, kind, known),
            precision=22 if kind is FieldType.DECIMAL else 0,
            scale=_NUMBER_SCALE if kind is FieldType.DECIMAL else 0,
            nullable=not key and not known.required,
            createable=not fixed,
            updateable=not fixed,
            filterable=tag not in NOT_FILTERABLE,
            sortable=tag not in NOT_FILTERABLE and kind is not FieldType.SET,
            external_id=ours,
            unique=ours or key,
            case_sensitive=ours,
            custom=bool(_GENERIC.fullmatch(tag)) or bool(known.generic and known.generic != tag),
            restricted=kind in _CLOSED,
            reference_to=leads_to,
            relationship=tag if leads_to else "",
        )

    def _type(self, tag: str, words: str, xsd: str) -> FieldType:
        if tag == self._key:
            return FieldType.ID
        if self._leads_to(tag):
            return FieldType.REFERENCE
        if words:
            lower = words.lower()
            return next((kind for word, kind in _WORDS if word in lower), FieldType.TEXT)
        return _XSD.get(xsd, FieldType.TEXT)

    def _leads_to(self, tag: str) -> tuple[str, ...]:
        found = REFERENCES_ON.get((self._standard.name, tag)) or REFERENCES.get(tag)
        return (found,) if found else ()

    @staticmethod
    def _length(tag: str, kind: FieldType, known: _Known) -> int:
        if kind in {FieldType.ID, FieldType.REFERENCE}:
            return ID_LENGTH
        if kind is not FieldType.TEXT:
            return 0
        words = known.kind.lower()
        return LENGTHS.get(tag, 0) or (40 if "phone" in words else ID_LENGTH if words == "id" else 0)

    def _with_values(self, fields: Sequence[RemoteField], session: Session) -> list[RemoteField]:
        return [replace(one, values=self._values(one, session)) if one.type in _CLOSED else one for one in fields]

    def _values(self, field: RemoteField, session: Session) -> tuple[EnumerationValue, ...]:
        if not self._told.administrator:
            return metadata.picklist(session, self._standard.asked_as, field.name)
        names: Iterable[str] = (field.name, self._known(field.name).generic, self._second_tag(field.name))
        return next((self._told.picklists[name] for name in names if name in self._told.picklists), ())

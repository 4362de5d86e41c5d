"""The services that tell of fields and picklists: Mapping and Picklist, and those for administrators (Web Services
guide, "Mapping Service", "Picklist Service", "FieldManagementRead", "PicklistRead").

Mapping gives every field that the user interface shows, mostly by the generic tags of v1.0. The services for
administrators know the company's own tags too; they take no session, and a user without that right is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crosstie.crm.oracle_on_demand.envelope import child, child_text, elements, local_name, text
from crosstie.crm.oracle_on_demand.faults import refuses_what_was_named
from crosstie.crm.oracle_on_demand.session import Message, Session
from crosstie.errors import AuthError, RequestError
from crosstie.model import EnumerationValue

if TYPE_CHECKING:
    from lxml import etree

_WS = "urn:crmondemand/ws/"
_HIDDEN = "hidden"
_TRUE = frozenset({"true", "y", "1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a service tells of a field: its tag in custom and in generic WSDLs ('' where it does not say), its label,
    its type in the service's words."""

    tag: str
    generic: str = ""
    label: str = ""
    kind: str = ""
    required: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What is known of an object. `mapped` are the fields by the mapping service's tags, `managed` those of the
    administrators' service, `picklists` values by any tag of their fields. `administrator`: the latter two answered."""

    mapped: tuple[Told, ...]
    managed: tuple[Told, ...] = ()
    picklists: dict[str, tuple[EnumerationValue, ...]] = field(default_factory=dict)
    administrator: bool = False


def mapping(session: Session, asked_as: str) -> tuple[Told, ...]:
    """The fields of an object by the mapping service; one call. Raises RequestError for an object it doesn't know."""
    body = _input("MappingWS_GetMapping_Input", "mapping/", {"ObjectName": asked_as})
    message = Message(action=f"document/{_WS}mapping/:GetMapping", body=body, what=f"describe {asked_as}")
    found = child(session.ask(message).output, "ListOfField")
    return tuple(
        Told(
            tag=child_text(one, "ElementName"),
            label="" if child_text(one, "DisplayName") == _HIDDEN else child_text(one, "DisplayName"),
            kind=child_text(one, "DataType"),
        )
        for one in _all(found, "Field")
        if child_text(one, "ElementName")
    )


def managed(session: Session, asked_as: str) -> tuple[Told, ...] | None:
    """The fields of an object as administrators see them; one call. None when this user is none."""
    output = _administered(session, "FieldManagement", "FieldSet", asked_as)
    if output is None:
        return None
    return tuple(
        Told(
            tag=child_text(one, "IntegrationTag"),
            generic=child_text(one, "GenericIntegrationTag"),
            label=child_text(one, "DisplayName"),
            kind=child_text(one, "FieldType"),
            required=child_text(one, "Required").lower() in _TRUE,
            read_only=child_text(one, "ReadOnly").lower() in _TRUE,
        )
        for one in _deep(output, "Field")
        if child_text(one, "IntegrationTag") or child_text(one, "GenericIntegrationTag")
    )


def picklists(session: Session, asked_as: str) -> dict[str, tuple[EnumerationValue, ...]] | None:
    """All picklists of an object as administrators see them, by the names of their fields; one call. None when this
    user is none."""
    output = _administered(session, "Picklist", "PicklistSet", asked_as)
    if output is None:
        return None
    return {
        child_text(one, "Name"): tuple(
            EnumerationValue(
                name=child_text(value, "ValueId"),
                label=child_text(value, "ListOfValueTranslations", "ValueTranslation", "Value")
                or child_text(value, "ValueId"),
                active=child_text(value, "Disabled").lower() not in _TRUE,
            )
            for value in _deep(one, "PicklistValue")
            if child_text(value, "ValueId")
        )
        for one in _deep(output, "Picklist")
    }


def picklist(session: Session, asked_as: str, tag: str) -> tuple[EnumerationValue, ...]:
    """The values of one picklist; one call. None are told where the service refuses the field."""
    body = _input("PicklistWS_GetPicklistValues_Input", "picklist/", {"FieldName": tag, "RecordType": asked_as})
    message = Message(action=f"document/{_WS}picklist/:GetPicklistValues", body=body, what=f"picklist {asked_as}.{tag}")
    try:
        output = session.ask(message).output
    except (RequestError, AuthError) as error:
        if not refuses_what_was_named(error):
            raise
        return ()
    found: dict[str, EnumerationValue] = {}
    for group in _deep(output, "ParentPicklistValue"):
        for value in _deep(group, "PicklistValue"):
            code = child_text(value, "Code")
            active = child_text(value, "Disabled").lower() not in _TRUE
            label = child_text(value, "DisplayValue") or code
            known = found.setdefault(code, EnumerationValue(name=code, label=label, active=active)) if code else None
            if known is not None and active and not known.active:
                found[code] = replace(known, active=True)
    return tuple(found.values())


def _administered(session: Session, service: str, asked: str, name: str) -> etree._Element | None:
    namespace = f"{_WS}odesabs/{service.lower()}/"
    data = f"urn:/crmondemand/xml/{service.lower()}/query"
    body = (
        f'<{service}Read_Input xmlns="{namespace}"><{asked} xmlns="{data}"><ObjectName>{text(name)}</ObjectName>'
        f"<IncludeAll>true</IncludeAll></{asked}></{service}Read_Input>"
    )
    message = Message(
        action=f"document/{namespace}:{service}Read",
        body=body,
        what=f"{service} of {name}",
        credentials=True,
        path=f"/Services/cte/{service}Service",
    )
    try:
        return session.ask(message).output
    except (RequestError, AuthError) as error:
        if not refuses_what_was_named(error):
            raise
        return None


def _input(root: str, path: str, arguments: dict[str, str]) -> str:
    cells = "".join(f"<{name}>{text(value)}</{name}>" for name, value in arguments.items())
    return f'<{root} xmlns="{_WS}{path}">{cells}</{root}>'


def _all(node: etree._Element | None, name: str) -> Iterator[etree._Element]:
    return (one for one in elements(node) if local_name(one) == name) if node is not None else iter(())


def _deep(node: etree._Element, name: str) -> Iterator[etree._Element]:
    return (one for one in node.iterdescendants("*") if local_name(one) == name)

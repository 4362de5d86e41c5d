"""How services, payloads and messages are named on the wire, by version and flavour (fact sheet, 2.1)."""

import re
from dataclasses import dataclass

from crosstie.sandbox.oracle_on_demand.objects import Object

ENDPOINT = "/Services/Integration"
WS = "urn:crmondemand/ws/"
V1_METHODS = ("QueryPage", "Insert", "InsertOrUpdate", "Update", "Delete")
V2_METHODS = ("QueryPage", "Insert", "Update", "Delete", "Execute")
_ACTION = re.compile(r"document/(?P<service>urn:crmondemand/ws/(?P<path>[^:]*)):(?P<operation>\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A SOAPAction taken apart: the namespace, its part after `urn:crmondemand/ws/`, and the operation."""

    service: str
    path: str
    operation: str


def read_action(header: str) -> Action | None:
    """The action of a SOAPAction header, with or without quotes; None for anything else."""
    match = _ACTION.fullmatch(header.strip().strip('"'))
    return match and Action(service=match["service"], path=match["path"], operation=match["operation"])


def service_namespace(record: Object, version: str, flavour: str) -> str:
    """The namespace of an object's operations."""
    layer = "ecbs/" if version == "v2" else ""
    return f"{WS}{layer}{record.name.lower()}/{'10/2004' if flavour == 'custom' else ''}"


def soap_action(record: Object, version: str, flavour: str, method: str) -> str:
    """What SOAPAction must be, without its quotes."""
    return f"document/{service_namespace(record, version, flavour)}:{record.name}{method}"


def v1_namespace(record: Object) -> str:
    """The namespace of v1.0's payloads."""
    name = record.payload_name or record.name[0].lower() + record.name[1:]
    return f"urn:/crmondemand/xml/{name}"


def v2_namespace(record: Object, side: str) -> str:
    """The namespace of v2.0's payloads, of the side "Query" or "Data"."""
    return f"urn:/crmondemand/xml/{record.name}/{side}"


def message_name(record: Object, version: str, method: str, part: str) -> str:
    """The body's element; `part` is "Input" or "Output"."""
    prefix = f"{record.name}WS_" if version == "v1" else ""
    return f"{prefix}{record.name}{method}_{part}"


def methods(record: Object, version: str) -> tuple[str, ...]:
    """What can be asked of an object."""
    known = V1_METHODS if version == "v1" else V2_METHODS
    if record.query_only:
        return ("QueryPage",)
    return known if record.deletable else tuple(one for one in known if one != "Delete")

"""Fields from a downloaded WSDL (Admin → Web Services Administration): their tags, types and order.

Files are found by what is in them: the object, the version and the kind of WSDL are told by its namespaces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crosstie.crm.inflate import whole_number
from crosstie.crm.oracle_on_demand.envelope import elements, local_name
from crosstie.crm.oracle_on_demand.settings import Flavour, Version
from crosstie.errors import ConfigError

if TYPE_CHECKING:
    from lxml import etree

XSD = "{http://www.w3.org/2001/XMLSchema}"
_NAMESPACE = re.compile(r"urn:crmondemand/ws/(?P<v2>ecbs/)?(?P<name>\w+)/(?P<custom>10/2004)?")
_LIMIT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A field as a WSDL has it: `kind` is the XSD type without its prefix, `length` 0 where it says none."""

    tag: str
    kind: str
    length: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wsdl:
    """The WSDL of one object."""

    name: str
    version: Version
    flavour: Flavour
    fields: tuple[Declared, ...]


def wsdls_in(folder: str) -> tuple[Wsdl, ...]:
    """Every WSDL in a folder. Raises ConfigError for a folder that is not there, and for a file that is none."""
    try:
        paths = sorted(one for one in Path(folder).iterdir() if one.suffix.lower() in {".wsdl", ".xml"})
    except OSError as error:
        raise ConfigError(
            f"The folder of WSDLs {folder} cannot be read: {error.strerror}.",
            hint="Name the folder with the files that an administrator has downloaded, in wsdl_folder.",
        ) from error
    return tuple(found for path in paths if (found := _read(path)) is not None)


def _read(path: Path) -> Wsdl | None:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        content = path.read_bytes()
        root = etree.fromstring(content, parser) if len(content) <= _LIMIT_BYTES else None
    except (OSError, etree.XMLSyntaxError, ValueError) as error:
        raise ConfigError(
            f"{path} is no WSDL that can be read: {error}.", hint="Download it again, or take it out of the folder."
        ) from error
    if root is None or local_name(root) != "definitions":
        return None
    named = _NAMESPACE.fullmatch(root.get("targetNamespace", ""))
    if named is None:
        return None
    version = Version.V2 if named["v2"] else Version.V1
    side = "/Data" if named["v2"] else ""
    for schema in root.iter(f"{XSD}schema"):
        target = schema.get("targetNamespace", "")
        if "/xml/" not in target or not target.endswith(side) or target.endswith("/Query"):
            continue
        found = _fields(schema, named["name"])
        if found:
            name, fields = found
            flavour = Flavour.CUSTOM if named["custom"] else Flavour.GENERIC
            return Wsdl(name=name, version=version, flavour=flavour, fields=fields)
    return None


def _fields(schema: etree._Element, lower: str) -> tuple[str, tuple[Declared, ...]] | None:
    """The object's name in camel case, and the simple elements of its records."""
    types = {one.get("name"): one for one in schema.iter(f"{XSD}complexType") if one.get("name")}
    simple = {one.get("name"): one for one in schema.iter(f"{XSD}simpleType") if one.get("name")}
    for listed in types.values():
        for one in listed.iter(f"{XSD}element"):
            name = one.get("name", "")
            record = types.get(_local(one.get("type", "")))
            if name.lower() == lower and record is not None and listed is not record:
                return name, tuple(_declared(record, types, simple))
    return None


def _declared(
    record: etree._Element, types: dict[str | None, etree._Element], simple: dict[str | None, etree._Element]
) -> list[Declared]:
    found: list[Declared] = []
    sequence = next((one for one in elements(record) if local_name(one) in {"sequence", "all"}), None)
    for one in elements(sequence) if sequence is not None else ():
        kind = _local(one.get("type", ""))
        if local_name(one) != "element" or not one.get("name") or kind in types:
            continue
        inner = one.find(f"{XSD}simpleType")
        if inner is None and kind in simple:
            inner = simple[kind]
        if inner is None and not kind:
            continue
        base, length = _restriction(inner) if inner is not None else (kind, 0)
        found.append(Declared(tag=one.get("name", ""), kind=base, length=length))
    return found


def _restriction(simple: etree._Element) -> tuple[str, int]:
    restriction = simple.find(f"{XSD}restriction")
    if restriction is None:
        return "string", 0
    limit = restriction.find(f"{XSD}maxLength")
    length = whole_number(limit.get("value", "")) if limit is not None else None
    return _local(restriction.get("base", "string")), length or 0


def _local(name: str) -> str:
    return name.rpartition(":")[2]

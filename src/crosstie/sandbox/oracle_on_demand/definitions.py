"""How an object (Contact, Account, …) is described: its fields in WSDL order, its user keys and its child lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, unique
from functools import cached_property


@unique
class FieldType(StrEnum):
    """What a field holds, by the words of the mapping service."""

    ID = "ID"
    TEXT = "Text (Short)"
    MEMO = "Text (Long)"
    PICKLIST = "Picklist"
    MULTI_PICKLIST = "Multi-Select Picklist"
    BOOLEAN = "Checkbox"
    INTEGER = "Integer"
    NUMBER = "Number"
    CURRENCY = "Currency"
    PERCENT = "Percent"
    DATE = "Date"
    DATETIME = "Date/Time"
    PHONE = "Phone"
    EMAIL = "Email"
    URL = "Web Link"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A picklist's value: the language-independent `code`, and what users of the company's language read."""

    code: str
    label: str
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field. `tag` is its v2.0 tag in a custom WSDL, and the name of its column.

    `v1_tag` is None where v1.0 does not have it; `generic` is the tag of a generic WSDL where that is another one
    (CustomPickList9). `length` counts characters, 0 for no limit. `required` holds on insert. `via` makes it a copy of
    a field of the record that one of our references names; `joined` makes it the join of others of our fields, by
    spaces; `resolves` makes it another way to write that reference. What is not `filterable` is refused in a search.
    """

    tag: str
    v1_tag: str | None
    label: str
    type: FieldType
    length: int = 0
    required: bool = False
    read_only: bool = False
    picklist: tuple[Value, ...] = ()
    reference: str | None = None
    custom: bool = False
    generic: str | None = None
    via: tuple[str, str] | None = None
    joined: tuple[str, ...] = ()
    resolves: str | None = None
    filterable: bool = True

    @property
    def is_picklist(self) -> bool:
        """Whether it has a closed list of values, be it an empty one."""
        return self.type in (FieldType.PICKLIST, FieldType.MULTI_PICKLIST)

    def tag_in(self, version: str, flavour: str) -> str | None:
        """The tag in a version ("v1", "v2") and a flavour of WSDL ("custom", "generic"); None where it is not there."""
        if version == "v1" and self.v1_tag is None:
            return None
        if flavour == "generic" and self.generic is not None:
            return self.generic
        return self.v1_tag if version == "v1" else self.tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A list inside an object: `list_tag` holds elements `tag`. Its table is `<object>_<tag>` in lower case, with a
    column `ParentId` beside those of its fields."""

    list_tag: str
    tag: str
    fields: dict[str, Field]


@dataclass(frozen=True, kw_only=True)
class Object:
    """An object. `user_keys` each identify a record when all their fields have a value; `stamps` move at every change;
    `versions` are those that serve it; `deleted_type` is how the deleted-item service names it, in place of `name`;
    `service_name` how the mapping service does; `payload_name` is the name in v1.0's payload namespace where it is an
    odd one; `order` is how rows come in v1.0."""

    name: str
    label: str
    fields: dict[str, Field]
    user_keys: tuple[tuple[str, ...], ...]
    children: tuple[Child, ...] = ()
    stamps: tuple[str, ...] = ("ModifiedDate",)
    versions: tuple[str, ...] = ("v1", "v2")
    deletable: bool = True
    deleted_type: str = ""
    service_name: str = ""
    name_tag: str = "Name"
    payload_name: str = ""
    query_only: bool = False
    order: tuple[str, ...] = ("Id",)

    @property
    def table(self) -> str:
        """Its table in SQLite."""
        return self.name.lower()

    def child_table(self, child: Child) -> str:
        """The table of one of its child lists."""
        return f"{self.table}_{child.tag.lower()}"

    def field_of(self, tag: str, version: str, flavour: str) -> Field | None:
        """The field that has this tag there."""
        return self._by_tag.get((version, flavour), {}).get(tag)

    @cached_property
    def _by_tag(self) -> dict[tuple[str, str], dict[str, Field]]:
        return {(version, flavour): self._tags(version, flavour) for version in self.versions for flavour in FLAVOURS}

    def _tags(self, version: str, flavour: str) -> dict[str, Field]:
        named = ((field.tag_in(version, flavour), field) for field in self.fields.values())
        return {tag: field for tag, field in named if tag is not None}


FLAVOURS = ("custom", "generic")
"""Custom WSDLs have the company's own tags, generic ones CustomText39 and the like."""


def listed(fields: Iterable[Field]) -> dict[str, Field]:
    """Fields by their tags, in order."""
    return {field.tag: field for field in fields}

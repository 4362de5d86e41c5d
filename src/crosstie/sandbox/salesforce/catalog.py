"""What the sandbox org consists of: its sObjects, their fields and relationships, read from describe answers.

The server, the store and the SOQL engine share these values. Storage convention: one SQLite table (or view) per
sObject, one column per field that is not compound, named like the field; values are stored in the canonical wire
text (`README` of the store), so that rendering is cheap and comparisons sort.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

COMPOUND_TYPES = frozenset({"address", "location"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PicklistValue:
    """One entry of a picklist, in the order of the describe answer (which is the sort order of the org)."""

    value: str
    label: str
    active: bool
    default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an sObject. `raw` is the field's describe dict, served unchanged."""

    name: str
    label: str
    type: str
    length: int
    precision: int
    scale: int
    digits: int
    custom: bool
    nillable: bool
    filterable: bool
    sortable: bool
    groupable: bool
    aggregatable: bool
    createable: bool
    updateable: bool
    defaulted_on_create: bool
    calculated: bool
    auto_number: bool
    name_field: bool
    external_id: bool
    id_lookup: bool
    unique: bool
    case_sensitive: bool
    restricted_picklist: bool
    reference_to: tuple[str, ...]
    relationship_name: str | None
    relationship_order: int | None
    polymorphic: bool
    compound_field_name: str | None
    picklist_values: tuple[PicklistValue, ...]
    raw: Mapping[str, Any] = field(repr=False, compare=False)
    keeps_space: bool = False
    """White space around a text is stored, instead of trimmed."""
    lower_case: bool = False
    """Texts are stored in lower case."""
    counts_units: bool = False
    """The length of a text is counted in units of UTF-16, of which an emoji takes two."""

    @property
    def is_compound(self) -> bool:
        """True for address and location fields, which have no column of their own."""
        return self.type in COMPOUND_TYPES

    @classmethod
    def from_describe(cls, raw: Mapping[str, Any]) -> Field:
        """Read one entry of `fields` of a describe answer; keys that are absent count as false or empty."""
        targets = tuple(raw.get("referenceTo") or ())
        return cls(
            name=raw["name"],
            label=raw.get("label") or raw["name"],
            type=raw["type"],
            length=raw.get("length") or 0,
            precision=raw.get("precision") or 0,
            scale=raw.get("scale") or 0,
            digits=raw.get("digits") or 0,
            custom=bool(raw.get("custom")),
            nillable=bool(raw.get("nillable")),
            filterable=bool(raw.get("filterable")),
            sortable=bool(raw.get("sortable")),
            groupable=bool(raw.get("groupable")),
            aggregatable=bool(raw.get("aggregatable")),
            createable=bool(raw.get("createable")),
            updateable=bool(raw.get("updateable")),
            defaulted_on_create=bool(raw.get("defaultedOnCreate")),
            calculated=bool(raw.get("calculated")),
            auto_number=bool(raw.get("autoNumber")),
            name_field=bool(raw.get("nameField")),
            external_id=bool(raw.get("externalId")),
            id_lookup=bool(raw.get("idLookup")),
            unique=bool(raw.get("unique")),
            case_sensitive=bool(raw.get("caseSensitive")),
            restricted_picklist=bool(raw.get("restrictedPicklist")),
            reference_to=targets,
            relationship_name=raw.get("relationshipName"),
            relationship_order=raw.get("relationshipOrder"),
            polymorphic=len(targets) > 1 or bool(raw.get("polymorphicForeignKey")),
            compound_field_name=raw.get("compoundFieldName"),
            picklist_values=tuple(
                PicklistValue(
                    value=entry["value"],
                    label=entry.get("label") or entry["value"],
                    active=bool(entry.get("active", True)),
                    default=bool(entry.get("defaultValue")),
                )
                for entry in raw.get("picklistValues") or ()
            ),
            raw=raw,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRelationship:
    """How a parent reaches its children: `SELECT .. FROM {relationship_name}` inside a query of the parent."""

    child_object: str
    field: str
    relationship_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SObject:
    """One sObject. `fields` is keyed by lower-case name, in describe order; `table` is what the engine reads."""

    name: str
    label: str
    key_prefix: str | None
    custom: bool
    queryable: bool
    replicateable: bool
    createable: bool
    updateable: bool
    deletable: bool
    fields: Mapping[str, Field]
    child_relationships: tuple[ChildRelationship, ...]
    table: str
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    def field(self, name: str) -> Field | None:
        """The field of that name, in any case, or None."""
        return self.fields.get(name.lower())

    def relationship(self, name: str) -> Field | None:
        """The reference field whose parent relationship has that name, in any case, or None."""
        wanted = name.lower()
        for candidate in self.fields.values():
            if candidate.relationship_name is not None and candidate.relationship_name.lower() == wanted:
                return candidate
        return None

    def child_relationship(self, name: str) -> ChildRelationship | None:
        """The child relationship of that name, in any case, or None."""
        wanted = name.lower()
        for candidate in self.child_relationships:
            if candidate.relationship_name is not None and candidate.relationship_name.lower() == wanted:
                return candidate
        return None

    def components(self, compound: Field) -> tuple[Field, ...]:
        """The stored fields that a compound address or location field is assembled from, in describe order."""
        return tuple(part for part in self.fields.values() if part.compound_field_name == compound.name)

    @classmethod
    def from_describe(cls, raw: Mapping[str, Any], table: str | None = None) -> SObject:
        """Read a describe answer; `table` is the table or view to read if it isn't named like the sObject."""
        fields = (Field.from_describe(entry) for entry in raw["fields"])
        return cls(
            name=raw["name"],
            label=raw.get("label") or raw["name"],
            key_prefix=raw.get("keyPrefix"),
            custom=bool(raw.get("custom")),
            queryable=bool(raw.get("queryable", True)),
            replicateable=bool(raw.get("replicateable")),
            createable=bool(raw.get("createable")),
            updateable=bool(raw.get("updateable")),
            deletable=bool(raw.get("deletable")),
            fields={entry.name.lower(): entry for entry in fields},
            child_relationships=tuple(
                ChildRelationship(
                    child_object=entry["childSObject"],
                    field=entry["field"],
                    relationship_name=entry.get("relationshipName"),
                )
                for entry in raw.get("childRelationships") or ()
            ),
            table=table or raw["name"],
            raw=raw,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Every sObject of the org, keyed by lower-case name."""

    objects: Mapping[str, SObject]

    def with_text_rules(self, *, keeps_space: bool, lowers_email: bool, counts_units: bool) -> Catalog:
        """The same with every field told how it stores text."""

        def ruled(item: Field) -> Field:
            lower_case = lowers_email and item.type == "email"
            return replace(item, keeps_space=keeps_space, lower_case=lower_case, counts_units=counts_units)

        return Catalog(
            objects={
                name: replace(one, fields={key: ruled(item) for key, item in one.fields.items()})
                for name, one in self.objects.items()
            }
        )

    def object(self, name: str) -> SObject | None:
        """The sObject of that API name, in any case, or None."""
        return self.objects.get(name.lower())

    @classmethod
    def from_describes(cls, describes: Iterable[Mapping[str, Any]], tables: Mapping[str, str] | None = None) -> Catalog:
        """Build from describe answers (`GET sobjects/X/describe`).

        `tables` maps an API name to the table or view that the SOQL engine reads for it; by default they are equal.
        """
        names = tables or {}
        objects = (SObject.from_describe(raw, names.get(raw["name"])) for raw in describes)
        return cls(objects={entry.name.lower(): entry for entry in objects})

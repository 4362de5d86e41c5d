"""What a Dataverse table is, as far as its Web API shows it.

Source: Dataverse Web API guide, "Query table definitions" and "Attribute metadata".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Literal

Behavior = Literal["UserLocal", "DateOnly", "TimeZoneIndependent"]
Required = Literal["None", "SystemRequired", "ApplicationRequired", "Recommended"]


class AttributeType(StrEnum):
    """AttributeType of the metadata; the last three are `Virtual` there and have names of their own only in
    AttributeTypeName."""

    STRING = "String"
    MEMO = "Memo"
    INTEGER = "Integer"
    BIG_INT = "BigInt"
    DECIMAL = "Decimal"
    DOUBLE = "Double"
    MONEY = "Money"
    BOOLEAN = "Boolean"
    DATE_TIME = "DateTime"
    PICKLIST = "Picklist"
    STATE = "State"
    STATUS = "Status"
    UNIQUEIDENTIFIER = "Uniqueidentifier"
    LOOKUP = "Lookup"
    OWNER = "Owner"
    CUSTOMER = "Customer"
    PARTY_LIST = "PartyList"
    ENTITY_NAME = "EntityName"
    MANAGED_PROPERTY = "ManagedProperty"
    VIRTUAL = "Virtual"
    MULTI_SELECT = "MultiSelectPicklist"
    IMAGE = "Image"
    FILE = "File"


LOOKUPS = frozenset({AttributeType.LOOKUP, AttributeType.OWNER, AttributeType.CUSTOMER})
CHOICES = frozenset({AttributeType.PICKLIST, AttributeType.STATE, AttributeType.STATUS})
_NO_COLUMN = frozenset({AttributeType.VIRTUAL, AttributeType.PARTY_LIST, AttributeType.MANAGED_PROPERTY})


@dataclass(frozen=True, slots=True)
class Option:
    """A value of a choice. `state` is the statecode that a statuscode belongs to, `default_status` the statuscode that
    a statecode brings with it; `other_labels` are those of further languages, by their number (1036 is French)."""

    value: int
    label: str
    state: int | None = None
    default_status: int | None = None
    other_labels: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class OptionSet:
    """A choice that several columns share."""

    name: str
    label: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attribute:
    """A column. `navigation` names the single-valued navigation property to each target of a lookup, `collections` the
    collection-valued one that leads back from there; `attribute_of` the column that this one only accompanies."""

    logical_name: str
    schema_name: str
    type: AttributeType
    label: str
    max_length: int | None = None
    precision: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    targets: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    option_set: str | None = None
    """The name of the global choice that the options are of."""
    behavior: Behavior | None = None
    format: str | None = None
    required: Required = "None"
    valid_for_read: bool = True
    valid_for_create: bool = True
    valid_for_update: bool = True
    valid_odata: bool = True
    attribute_of: str | None = None
    navigation: Mapping[str, str] = field(default_factory=dict)
    collections: Mapping[str, str] = field(default_factory=dict)
    default: int | None = None
    """The choice of a new record that names none."""
    custom: bool = False

    @property
    def is_lookup(self) -> bool:
        """Whether it is read as `_x_value` and written by `@odata.bind`."""
        return self.type in LOOKUPS

    @property
    def property_name(self) -> str:
        """What `$select` and rows call it."""
        return f"_{self.logical_name}_value" if self.is_lookup else self.logical_name

    @property
    def stored(self) -> bool:
        """Whether a table of the database has a column for it."""
        computed = self.attribute_of is not None and self.logical_name.endswith("_url")
        return self.type not in _NO_COLUMN and self.valid_odata and not computed

    @property
    def type_column(self) -> str | None:
        """The database's column with the target of a lookup that has several."""
        return f"{self.logical_name}__type" if len(self.targets) > 1 else None

    @property
    def selectable(self) -> bool:
        """Whether a query may name it."""
        return self.valid_for_read and self.valid_odata and self.type not in _NO_COLUMN


@dataclass(frozen=True, slots=True)
class Key:
    """An alternate key over `attributes` (logical names). Only an Active one can be used."""

    logical_name: str
    attributes: tuple[str, ...]
    status: str = "Active"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A table: `attributes` by logical name, in the order of the metadata."""

    logical_name: str
    schema_name: str
    set_name: str
    primary_id: str
    primary_name: str | None
    label: str
    plural: str
    attributes: Mapping[str, Attribute]
    object_type_code: int
    keys: tuple[Key, ...] = ()
    ownership: str = "UserOwned"
    change_tracking: bool = True
    optimistic: bool = True
    activity: bool = False
    audited: bool = False
    bulk_messages: bool = True
    custom: bool = False
    intersect: bool = False
    writable: bool = True

    @property
    def stored(self) -> tuple[Attribute, ...]:
        """The attributes that have a column in the database."""
        return _stored(self)

    def property(self, name: str) -> Attribute | None:
        """The attribute of a property's name as queries write it, in exactly that case: `fullname`,
        `_ownerid_value`."""
        if name.startswith("_") and name.endswith("_value"):
            found = self.attributes.get(name[1:-6])
            return found if found is not None and found.is_lookup else None
        found = self.attributes.get(name)
        return None if found is None or found.is_lookup else found

    def navigated(self, name: str) -> tuple[Attribute, str | None] | None:
        """The lookup of a single-valued navigation property, in exactly that case, with the target that the name
        stands for: None where one name serves all targets, as `ownerid` does."""
        for one in self.attributes.values():
            targets = [target for target, called in one.navigation.items() if called == name]
            if targets:
                return one, targets[0] if len(targets) == 1 else None
        return None


@cache
def _stored(table: Table) -> tuple[Attribute, ...]:
    return tuple(one for one in table.attributes.values() if one.stored)

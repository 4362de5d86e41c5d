"""Short ways to write down attributes. Schema names are given (`FirstName`), logical names are those in lower case."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from crosstie.sandbox.dynamics.table import (
    Attribute,
    AttributeType,
    Behavior,
    Key,
    Option,
    OptionSet,
    Table,
)

_MONEY_LIMIT = 922_337_203_685_477.0
OWNERS = ("systemuser", "team")


def words(schema_name: str) -> str:
    """`EMailAddress1` and `new_Serial` as people read them."""
    name = re.sub(r"^(new|msdyn)_", "", schema_name).replace("_", ": ")
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])", " ", name.replace("EMail", "Email"))


def _attribute(kind: AttributeType, schema_name: str, **given: Any) -> Attribute:
    custom = schema_name.startswith("new_")
    given.setdefault("label", words(schema_name))
    return Attribute(logical_name=schema_name.lower(), schema_name=schema_name, type=kind, custom=custom, **given)


def text(schema_name: str, max_length: int, format: str = "Text", **given: Any) -> Attribute:
    """A line of text."""
    return _attribute(AttributeType.STRING, schema_name, max_length=max_length, format=format, **given)


def memo(schema_name: str, max_length: int = 2000, **given: Any) -> Attribute:
    """Text of several lines."""
    return _attribute(AttributeType.MEMO, schema_name, max_length=max_length, format="TextArea", **given)


def integer(schema_name: str, minimum: int = -2_147_483_648, maximum: int = 2_147_483_647, **given: Any) -> Attribute:
    """A whole number of 32 bits."""
    return _attribute(AttributeType.INTEGER, schema_name, minimum=minimum, maximum=maximum, **given)


def big_int(schema_name: str, **given: Any) -> Attribute:
    """A whole number of 64 bits."""
    return _attribute(AttributeType.BIG_INT, schema_name, **given)


def decimal(schema_name: str, precision: int, minimum: float, maximum: float, **given: Any) -> Attribute:
    """An exact number."""
    return _attribute(
        AttributeType.DECIMAL, schema_name, precision=precision, minimum=minimum, maximum=maximum, **given
    )


def double(schema_name: str, precision: int, minimum: float, maximum: float, **given: Any) -> Attribute:
    """A binary number."""
    return _attribute(AttributeType.DOUBLE, schema_name, precision=precision, minimum=minimum, maximum=maximum, **given)


def money(schema_name: str, minimum: float = -_MONEY_LIMIT, maximum: float = _MONEY_LIMIT) -> tuple[Attribute, ...]:
    """An amount, with its value in the organization's own currency."""
    own = _attribute(AttributeType.MONEY, schema_name, precision=4, minimum=minimum, maximum=maximum)
    base = _attribute(
        AttributeType.MONEY,
        f"{schema_name}_Base",
        label=f"{own.label} (Base)",
        precision=4,
        minimum=-_MONEY_LIMIT,
        maximum=_MONEY_LIMIT,
        valid_for_create=False,
        valid_for_update=False,
    )
    return own, base


def boolean(schema_name: str, no: str = "No", yes: str = "Yes", **given: Any) -> Attribute:
    """Two options."""
    given.setdefault("default", 0)
    return _attribute(AttributeType.BOOLEAN, schema_name, options=(Option(0, no), Option(1, yes)), **given)


def instant(schema_name: str, behavior: Behavior = "UserLocal", **given: Any) -> Attribute:
    """A date, or a date with a time."""
    given.setdefault("format", "DateOnly" if behavior == "DateOnly" else "DateAndTime")
    return _attribute(AttributeType.DATE_TIME, schema_name, behavior=behavior, **given)


def choice(schema_name: str, labels: Iterable[str] | Mapping[int, str] | OptionSet, **given: Any) -> Attribute:
    """One of several values: labels numbered from one, or with their numbers, or of a global choice."""
    return _attribute(AttributeType.PICKLIST, schema_name, **_options(labels), **given)


def multi_choice(schema_name: str, labels: Iterable[str] | Mapping[int, str] | OptionSet, **given: Any) -> Attribute:
    """Any of several values."""
    return _attribute(AttributeType.MULTI_SELECT, schema_name, **_options(labels), **given)


def _options(labels: Iterable[str] | Mapping[int, str] | OptionSet) -> dict[str, Any]:
    if isinstance(labels, OptionSet):
        return {"options": labels.options, "option_set": labels.name}
    numbered = labels.items() if isinstance(labels, Mapping) else enumerate(labels, 1)
    return {"options": tuple(Option(value, label) for value, label in numbered)}


def states(names: Mapping[int, str], statuses: Iterable[tuple[int, str, int]]) -> tuple[Attribute, Attribute]:
    """statecode and statuscode; each status is its value, its label and its state. A state's default is its first."""
    listed = tuple(Option(value, label, state=state) for value, label, state in statuses)
    first = {state: next(one.value for one in listed if one.state == state) for state in names}
    return (
        _attribute(
            AttributeType.STATE,
            "StateCode",
            label="Status",
            required="SystemRequired",
            options=tuple(Option(value, label, default_status=first[value]) for value, label in names.items()),
        ),
        _attribute(AttributeType.STATUS, "StatusCode", label="Status Reason", options=listed),
    )


ACTIVE_STATES = states({0: "Active", 1: "Inactive"}, [(1, "Active", 0), (2, "Inactive", 1)])


def identifier(schema_name: str, **given: Any) -> Attribute:
    """A GUID that is no lookup; primary keys among them."""
    return _attribute(AttributeType.UNIQUEIDENTIFIER, schema_name, **given)


def lookup(
    schema_name: str,
    *targets: str,
    kind: AttributeType = AttributeType.LOOKUP,
    navigation: Mapping[str, str] | str | None = None,
    collections: Mapping[str, str] | None = None,
    **given: Any,
) -> Attribute:
    """A reference. Its navigation property is the logical name where the column is Microsoft's and the schema name
    where it is custom; with several targets there is one for each, with the target's name added."""
    stem = schema_name if schema_name.startswith("new_") else schema_name.lower()
    if navigation is None:
        navigation = {targets[0]: stem} if len(targets) == 1 else {one: f"{stem}_{one}" for one in targets}
    elif isinstance(navigation, str):
        navigation = dict.fromkeys(targets, navigation)
    return _attribute(kind, schema_name, targets=targets, navigation=navigation, collections=collections or {}, **given)


def customer(schema_name: str, **given: Any) -> Attribute:
    """A reference to an account or a contact."""
    return lookup(schema_name, "account", "contact", kind=AttributeType.CUSTOMER, **given)


def party_list(schema_name: str) -> Attribute:
    """Those who take part in an activity, in one role; it is written through the activity's parties."""
    return _attribute(
        AttributeType.PARTY_LIST,
        schema_name,
        targets=("account", "contact", "lead", "systemuser"),
        valid_odata=False,
    )


def entity_name(schema_name: str, **given: Any) -> Attribute:
    """The logical name of a table."""
    return _attribute(AttributeType.ENTITY_NAME, schema_name, **given)


def managed_property(schema_name: str) -> Attribute:
    """Something that only metadata has."""
    return _attribute(AttributeType.MANAGED_PROPERTY, schema_name, valid_odata=False)


def image(schema_name: str) -> tuple[Attribute, ...]:
    """A thumbnail with its companions."""
    name = schema_name.lower()
    read_only: dict[str, Any] = {"attribute_of": name, "valid_for_create": False, "valid_for_update": False}
    return (
        _attribute(AttributeType.IMAGE, schema_name),
        big_int(f"{schema_name}_Timestamp", **read_only),
        text(f"{schema_name}_URL", 200, "Url", **read_only),
        identifier(f"{schema_name}Id", **read_only),
    )


def file(schema_name: str) -> tuple[Attribute, ...]:
    """A file by its id, with its name. Its content has an address of its own."""
    companion: dict[str, Any] = {
        "attribute_of": schema_name.lower(),
        "valid_for_create": False,
        "valid_for_update": False,
    }
    return (
        _attribute(AttributeType.FILE, schema_name, valid_for_create=False, valid_for_update=False),
        text(f"{schema_name}_Name", 256, **companion),
    )


_READ_ONLY: dict[str, Any] = {"valid_for_create": False, "valid_for_update": False}

STAMPS = (
    instant("CreatedOn", **_READ_ONLY),
    lookup("CreatedBy", "systemuser", **_READ_ONLY),
    instant("ModifiedOn", **_READ_ONLY),
    lookup("ModifiedBy", "systemuser", **_READ_ONLY),
    lookup("CreatedOnBehalfBy", "systemuser", **_READ_ONLY),
    lookup("ModifiedOnBehalfBy", "systemuser", **_READ_ONLY),
    instant("OverriddenCreatedOn", format="DateOnly", valid_for_update=False, label="Record Created On"),
    integer("ImportSequenceNumber", valid_for_update=False),
)
VERSION = big_int("VersionNumber", **_READ_ONLY)
OWNERSHIP = (
    lookup("OwnerId", *OWNERS, kind=AttributeType.OWNER, navigation="ownerid", required="SystemRequired"),
    lookup("OwningBusinessUnit", "businessunit", **_READ_ONLY),
    lookup("OwningUser", "systemuser", **_READ_ONLY),
    lookup("OwningTeam", "team", **_READ_ONLY),
)
CURRENCY = (
    lookup("TransactionCurrencyId", "transactioncurrency", label="Currency"),
    decimal("ExchangeRate", 12, 0.000000000001, 100_000_000_000, **_READ_ONLY),
)


def table(
    schema_name: str,
    set_name: str,
    code: int,
    *columns: Attribute | Iterable[Attribute],
    name: str | None,
    primary: str | None = None,
    label: str | None = None,
    keys: Mapping[str, tuple[str, ...]] | None = None,
    **given: Any,
) -> Table:
    """A table with its primary key, and with the shadow columns that accompany choices and lookups."""
    logical = schema_name.lower()
    key = identifier(primary or f"{schema_name}Id", required="SystemRequired", valid_for_update=False)
    flat = [key]
    for one in columns:
        flat += [one] if isinstance(one, Attribute) else one
    shown = label or words(schema_name)
    return Table(
        logical_name=logical,
        schema_name=schema_name,
        set_name=set_name,
        object_type_code=code,
        primary_id=key.logical_name,
        primary_name=name,
        label=shown,
        plural=given.pop("plural", f"{shown}s"),
        keys=tuple(Key(key_name, attributes) for key_name, attributes in (keys or {}).items()),
        custom=schema_name.startswith("new_"),
        attributes={one.logical_name: one for column in flat for one in (column, *_shadows(column))},
        **given,
    )


def _shadows(column: Attribute) -> list[Attribute]:
    """The columns with names and types of what a column refers to; they can't be selected."""
    hidden: dict[str, Any] = {"valid_odata": False, "attribute_of": column.logical_name, **_READ_ONLY}
    if column.type is AttributeType.MULTI_SELECT or column.type in (
        AttributeType.PICKLIST,
        AttributeType.STATE,
        AttributeType.STATUS,
        AttributeType.BOOLEAN,
    ):
        return [_attribute(AttributeType.VIRTUAL, f"{column.schema_name}Name", **hidden)]
    if not column.is_lookup:
        return []
    found = [text(f"{column.schema_name}Name", 100, **hidden)]
    if column.targets[0] in ("account", "contact", "systemuser"):
        found.append(text(f"{column.schema_name}YomiName", 100, **hidden))
    if len(column.targets) > 1:
        found.append(entity_name(f"{column.schema_name}Type", **hidden))
    return [replace(one, custom=False) for one in found]

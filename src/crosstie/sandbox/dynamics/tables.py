"""The tables of the organization."""

from crosstie.sandbox.dynamics.custom_tables import EVERYTHING, JOURNAL, OPTION_SETS, VISIT
from crosstie.sandbox.dynamics.customer_tables import ACCOUNT, CONTACT, LEAD
from crosstie.sandbox.dynamics.sales_tables import ACTIVITY_PARTY, EMAIL, OPPORTUNITY, TASK
from crosstie.sandbox.dynamics.system_tables import (
    AUDIT,
    BUSINESS_UNIT,
    CURRENCY,
    JOB,
    MESSAGE,
    MESSAGE_FILTER,
    ORGANIZATION,
    SYSTEM_USER,
    TEAM,
)
from crosstie.sandbox.dynamics.table import Attribute, AttributeType, Behavior, Key, Option, OptionSet, Table

__all__ = [
    "OPTION_SETS",
    "TABLES",
    "Attribute",
    "AttributeType",
    "Behavior",
    "Key",
    "Option",
    "OptionSet",
    "Table",
    "collection_behind",
    "table_of_set",
]

TABLES: dict[str, Table] = {
    table.logical_name: table
    for table in (
        ACCOUNT,
        CONTACT,
        LEAD,
        OPPORTUNITY,
        TASK,
        EMAIL,
        ACTIVITY_PARTY,
        EVERYTHING,
        VISIT,
        JOURNAL,
        SYSTEM_USER,
        TEAM,
        BUSINESS_UNIT,
        CURRENCY,
        ORGANIZATION,
        AUDIT,
        MESSAGE,
        MESSAGE_FILTER,
        JOB,
    )
}
"""Every table by its logical name."""

_BY_SET = {table.set_name: table for table in TABLES.values()}


def table_of_set(set_name: str) -> Table | None:
    """The table of an entity set, in exactly that case."""
    return _BY_SET.get(set_name)


def collection_behind(table: Table, name: str) -> tuple[Table, Attribute] | None:
    """The table behind a collection-valued navigation property, in exactly that case, and the lookup that leads back
    from it."""
    for other in TABLES.values():
        for one in other.attributes.values():
            if one.collections.get(table.logical_name) == name:
                return other, one
    return None

"""Every object of the company.

Storage: one table for each object, by its name in lower case, with a text column for each v2.0 tag of a custom WSDL,
in canonical form: ids `AAPA-1A2B3C`, instants `2026-11-23T08:00:00Z` (UTC), dates `2026-11-23`, numbers in plain
notation, ModId an integer, booleans `true` and `false`, picklists by language-independent code, multi-selects by
codes joined with `;`. What has no value is NULL, never an empty text. Fields that a test adds are known to
`Org.objects`, not here.
"""

from crosstie.sandbox.oracle_on_demand.customer_objects import ACCOUNT, CONTACT, LEAD
from crosstie.sandbox.oracle_on_demand.definitions import FLAVOURS, Child, Field, FieldType, Object, Value
from crosstie.sandbox.oracle_on_demand.sales_objects import (
    ACTIVITY,
    CUSTOM_OBJECT_1,
    CUSTOM_OBJECT_4,
    DELETED_ITEM,
    OPPORTUNITY,
    USER,
)

__all__ = ["DELETED_ITEM", "FLAVOURS", "OBJECTS", "Child", "Field", "FieldType", "Object", "Value"]

OBJECTS: dict[str, Object] = {
    one.name: one for one in (CONTACT, ACCOUNT, LEAD, OPPORTUNITY, ACTIVITY, USER, CUSTOM_OBJECT_1, CUSTOM_OBJECT_4)
}
"""As a new company has them, by name."""

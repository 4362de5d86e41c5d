"""Picklists whose values an administrator changes while the org is in use.

Source: SOAP API guide, DescribeSObjectResult, PicklistEntry; `validFor` of a dependent picklist has a bit for each
value of the controlling field, the highest of the first byte for the first.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from crosstie.sandbox.control import ControlRefused, ListedValue, SetValues
from crosstie.sandbox.salesforce.describes import Described

_PICKLISTS = ("picklist", "multipicklist", "combobox")


def changed_picklist(describes: Sequence[Described], given: SetValues) -> tuple[str, Described]:
    """The field's full name, and what of its description becomes another. Raises ControlRefused for what is no
    picklist, and for values that depend on what the controlling field does not have."""
    entry = next((one for one in describes if one["name"].lower() == given.object.lower()), None)
    fields = {one["name"].lower(): one for one in entry["fields"]} if entry is not None else {}
    field = fields.get(given.field.lower())
    if entry is None or field is None or field["type"] not in _PICKLISTS:
        raise ControlRefused(f"{given.object}.{given.field} is no picklist")
    controlling = fields.get(given.controller.lower(), {})
    names = [one["value"] for one in controlling.get("picklistValues", ())]
    unknown = {name for one in given.values for name in one.valid_for} - set(names)
    if unknown:
        raise ControlRefused(f"the controlling field has no value {', '.join(sorted(unknown))}")
    return f"{entry['name']}.{field['name']}", {
        "picklistValues": [_entry(one, names) for one in given.values],
        "controllerName": controlling.get("name"),
        "dependentPicklist": bool(controlling),
    }


def _entry(one: ListedValue, names: Sequence[str]) -> dict[str, Any]:
    return {
        "active": one.active,
        "defaultValue": one.default,
        "label": one.label or one.value,
        "validFor": _bits(one.valid_for, names) if names else None,
        "value": one.value,
    }


def _bits(chosen: Sequence[str], names: Sequence[str]) -> str:
    packed = bytearray((len(names) + 7) // 8)
    for name in chosen:
        place = names.index(name)
        packed[place // 8] |= 0x80 >> place % 8
    return base64.b64encode(packed).decode()


def with_picklists(describes: Sequence[Described], changed: Mapping[str, Described]) -> list[Described]:
    """The descriptions with the fields that were changed, by their full names."""
    return [
        {**entry, "fields": [{**one, **changed.get(f"{entry['name']}.{one['name']}", {})} for one in entry["fields"]]}
        for entry in describes
    ]

"""What the control endpoint can do to the company beside the common actions."""

from typing import Any

import msgspec

from crosstie.sandbox.control import Actions, NoArguments, Reset, SetField, SetValues
from crosstie.sandbox.oracle_on_demand.changed_fields import AddedField
from crosstie.sandbox.oracle_on_demand.changes import Changes
from crosstie.sandbox.oracle_on_demand.dispatch import OnDemand
from crosstie.sandbox.oracle_on_demand.records import Rule

Values = dict[str, str | int | float | None]
"""Numbers may be given as such."""


class LateChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Arguments of what changes records of `object`: late by `late` seconds of sandbox time if not 0."""

    object: str = "Contact"
    late: float = 0.0


class Touch(LateChange, kw_only=True):
    """change: the records `ids`, or `count` records."""

    count: int = 0
    ids: list[str] | None = None
    fields: list[str] | None = None


class Insert(LateChange, kw_only=True):
    """insert: `records`, by v2.0 tag, in the store's form."""

    records: list[Values]


class Update(LateChange, kw_only=True):
    """update: `values` of the record `id`, by v2.0 tag, in the store's form."""

    id: str
    values: Values


class Ids(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """delete, restore: the records `ids`."""

    object: str = "Contact"
    ids: list[str]


class Stamps(Ids, kw_only=True):
    """set_stamp: columns of `ids`, in the store's form."""

    values: dict[str, str | None]


class Rows(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """rows: those of `ids`, or all."""

    object: str = "Contact"
    ids: list[str] | None = None


class Hide(msgspec.Struct, forbid_unknown_fields=True):
    """hide: every object (`Lead`) and field (`Contact.JobTitle`) that the user may not see from now on."""

    names: list[str]


class Rules(msgspec.Struct, forbid_unknown_fields=True):
    """rules: every validation rule that there is from now on."""

    rules: list[Rule] = []


def on_demand_actions(company: OnDemand) -> Actions:
    """Every action by its name."""
    changes = Changes(company.org, company.records)
    return {
        "counters": (Reset, lambda given: company.counted(reset=given.reset)),
        "change": (Touch, lambda given: {"ids": _touch(changes, given)}),
        "insert": (
            Insert,
            lambda given: {
                "ids": changes.insert(given.object, [_texts(one) for one in given.records], late=given.late)
            },
        ),
        "update": (Update, lambda given: changes.update(given.object, given.id, _texts(given.values), late=given.late)),
        "delete": (Ids, lambda given: changes.delete(given.object, given.ids)),
        "restore": (Ids, lambda given: changes.restore(given.object, given.ids)),
        "set_stamp": (Stamps, lambda given: changes.set_stamp(given.object, given.ids, given.values)),
        "rows": (Rows, lambda given: {"rows": changes.rows(given.object, given.ids)}),
        "hide": (Hide, lambda given: company.org.hide(given.names)),
        "add_field": (AddedField, company.org.add_field),
        "set_field": (SetField, company.org.set_field),
        "set_values": (SetValues, company.org.set_values),
        "rules": (Rules, lambda given: company.records.set_rules(given.rules)),
        "expire_sessions": (NoArguments, lambda given: company.sessions.end_all()),
    }


def _touch(changes: Changes, given: Touch) -> list[Any]:
    which = given.count if given.ids is None else given.ids
    return changes.touch(given.object, which, given.fields, late=given.late)


def _texts(values: Values) -> dict[str, str | None]:
    return {tag: None if value is None else str(value) for tag, value in values.items()}

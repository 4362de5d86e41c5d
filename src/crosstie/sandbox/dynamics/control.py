"""What the control endpoint can do to the Dynamics organization beside the common actions."""

from typing import Any

import msgspec

from crosstie.sandbox.control import Actions, ControlRefused, NoArguments, SetField, SetValues
from crosstie.sandbox.dynamics.changes import Changes, table_named
from crosstie.sandbox.dynamics.dispatch import Dynamics
from crosstie.sandbox.dynamics.rules import DuplicateRule, Plugin


class LateChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Arguments of what changes rows of the table `object`: late by `late` seconds of sandbox time if not 0."""

    object: str = "contact"
    late: float = 0.0


class Touch(LateChange, kw_only=True):
    """change: the rows `ids`, or `count` rows."""

    count: int = 0
    ids: list[str] | None = None
    fields: list[str] | None = None


class Insert(LateChange, kw_only=True):
    """insert: `records`, as bodies of requests have them."""

    records: list[dict[str, Any]]


class Update(LateChange, kw_only=True):
    """update: `values` of the row `id`, as bodies of requests have them."""

    id: str
    values: dict[str, Any]


class Ids(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """delete: the rows `ids`."""

    object: str = "contact"
    ids: list[str]


class Merge(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """merge: the row `loser` into `master`."""

    object: str = "contact"
    master: str
    loser: str


class Stamps(Ids, kw_only=True):
    """set_stamp: date-time columns of `ids`, in wire form or null."""

    values: dict[str, str | None]


class Hide(msgspec.Struct, forbid_unknown_fields=True):
    """hide: every table (`lead`) and column (`contact.jobtitle`) that the user may not see from now on."""

    names: list[str]


class Duplicates(msgspec.Struct, forbid_unknown_fields=True):
    """duplicate_rules: every one that there is from now on."""

    rules: list[DuplicateRule] = []


class Plugins(msgspec.Struct, forbid_unknown_fields=True):
    """plugins: every one that there is from now on."""

    plugins: list[Plugin] = []


def dynamics_actions(dynamics: Dynamics) -> Actions:
    """Every action by its name."""
    changes = Changes(dynamics.org, dynamics.records)
    return {
        "change": (Touch, lambda given: {"ids": _touch(changes, given)}),
        "insert": (Insert, lambda given: {"ids": changes.insert(given.object, given.records, late=given.late)}),
        "update": (Update, lambda given: changes.update(given.object, given.id, given.values, late=given.late)),
        "delete": (Ids, lambda given: changes.delete(given.object, given.ids)),
        "merge": (Merge, lambda given: changes.merge(given.object, given.master, given.loser)),
        "set_stamp": (Stamps, lambda given: changes.set_stamp(given.object, given.ids, given.values)),
        "hide": (Hide, lambda given: _hide(dynamics, given.names)),
        "set_values": (SetValues, dynamics.org.choices.change),
        "set_field": (SetField, dynamics.org.choices.change_column),
        "duplicate_rules": (Duplicates, lambda given: dynamics.rules.set_duplicates(given.rules)),
        "plugins": (Plugins, lambda given: dynamics.rules.set_plugins(given.plugins)),
        "expire_sessions": (NoArguments, lambda given: dynamics.tokens.expire_all()),
        "reset_limits": (NoArguments, lambda given: dynamics.throttle.reset()),
    }


def _hide(dynamics: Dynamics, names: list[str]) -> None:
    for name in names:
        table, _, column = name.partition(".")
        if column and column not in table_named(table).attributes:
            raise ControlRefused(f"{table} has no column {column}")
        table_named(table)
    dynamics.org.hide(names)


def _touch(changes: Changes, given: Touch) -> list[str]:
    which = given.count if given.ids is None else given.ids
    return changes.touch(given.object, which, given.fields, late=given.late)

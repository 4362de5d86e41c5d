"""What the control endpoint can do to the Salesforce org beside the common actions."""

from typing import Any

import msgspec

from crosstie.sandbox.control import Actions, NoArguments, SetField, SetValues
from crosstie.sandbox.salesforce.changes import OTHER_USER_ID, Changes
from crosstie.sandbox.salesforce.dispatch import Salesforce
from crosstie.sandbox.salesforce.rules import AssignmentRule, DuplicateRule


class LateChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Arguments of what changes records: late by `late` seconds of sandbox time if not 0."""

    object: str = "Contact"
    late: float = 0.0
    holds_back: bool = True


class Touch(LateChange, kw_only=True):
    """change: the records `ids`, or `count` records of `object`."""

    count: int = 0
    ids: list[str] | None = None
    fields: list[str] | None = None


class Insert(LateChange, kw_only=True):
    """insert: `records` into `object`."""

    records: list[dict[str, Any]]


class Update(LateChange, kw_only=True):
    """update: `values` of the record `id`."""

    id: str
    values: dict[str, Any]


class Ids(LateChange, kw_only=True):
    """delete, undelete, purge: the records `ids`."""

    ids: list[str]


class Merge(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """merge: the records `losers` into `master`."""

    object: str = "Contact"
    master: str
    losers: list[str]


class Assignment(msgspec.Struct, forbid_unknown_fields=True):
    """assignment_rules: every one that there is from now on."""

    rules: list[AssignmentRule] = []


class Duplicates(msgspec.Struct, forbid_unknown_fields=True):
    """duplicate_rules: every one that there is from now on."""

    rules: list[DuplicateRule] = []


class Lock(msgspec.Struct, forbid_unknown_fields=True):
    """lock: every record that another transaction holds from now on."""

    ids: list[str]


class Stamps(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """set_stamp: audit fields of `ids`, in wire form or null."""

    object: str = "Contact"
    ids: list[str]
    values: dict[str, str | None]


class Hide(msgspec.Struct, forbid_unknown_fields=True):
    """hide: every object and field (`Contact.Email`) that the user may not see from now on."""

    names: list[str]


def salesforce_actions(salesforce: Salesforce) -> Actions:
    """Every action by its name."""
    org = salesforce.org
    changes = Changes(org, salesforce.records)
    return {
        "hide": (Hide, lambda given: org.hide(given.names)),
        "set_values": (SetValues, org.set_values),
        "set_field": (SetField, org.set_field),
        **_record_actions(changes),
        "assignment_rules": (
            Assignment,
            lambda given: {"ids": org.rules.assign(given.rules, org.now_stamp(), OTHER_USER_ID)},
        ),
        "duplicate_rules": (Duplicates, lambda given: org.rules.forbid_duplicates(given.rules, org.full_catalog)),
        "purge_delete_log": (NoArguments, lambda given: _purge_delete_log(salesforce)),
        "expire_sessions": (NoArguments, lambda given: salesforce.sessions.expire_all()),
        "expire_locators": (NoArguments, lambda given: salesforce.queries.expire_all()),
        "expire_jobs": (NoArguments, lambda given: _expire_jobs(salesforce)),
        "resume_jobs": (NoArguments, lambda given: salesforce.ingest.resume()),
        "lock": (Lock, lambda given: org.lock(given.ids)),
    }


def _record_actions(changes: Changes) -> Actions:
    return {
        "change": (Touch, lambda given: {"ids": _touch(changes, given)}),
        "insert": (
            Insert,
            lambda given: {
                "ids": changes.insert(given.object, given.records, late=given.late, holds_back=given.holds_back)
            },
        ),
        "update": (Update, lambda given: changes.update(given.object, given.id, given.values, late=given.late)),
        "delete": (Ids, lambda given: changes.delete(given.object, given.ids, late=given.late)),
        "undelete": (Ids, lambda given: changes.undelete(given.object, given.ids)),
        "purge": (Ids, lambda given: changes.purge(given.object, given.ids)),
        "merge": (Merge, lambda given: {"moved": changes.merge(given.object, given.master, given.losers)}),
        "set_stamp": (Stamps, lambda given: changes.set_stamp(given.object, given.ids, given.values)),
    }


def _touch(changes: Changes, given: Touch) -> list[str]:
    which = given.count if given.ids is None else given.ids
    return changes.touch(given.object, which, given.fields, late=given.late, holds_back=given.holds_back)


def _expire_jobs(salesforce: Salesforce) -> None:
    salesforce.bulk.expire_all()
    salesforce.ingest.expire_all()


def _purge_delete_log(salesforce: Salesforce) -> None:
    """What a purge of the log does: earlier deletions can't be asked any more.

    The sandbox itself still knows of them, for the life of its bin.
    """
    org = salesforce.org
    org.database.keep_setting("delete_log_purged", org.clock.now().isoformat())

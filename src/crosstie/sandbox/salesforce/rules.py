"""The rules of the org that decide over writes: who gets new leads and cases, and what counts as a duplicate.

Sources: "Assignment Rule Header", "Duplicate Rule Header", REST API guide; "AssignmentRule", Object Reference. They
are set by the control endpoint, as an administrator sets them, and kept.
"""

import sqlite3
from typing import Any, Literal

import msgspec

from crosstie.sandbox.database import Database
from crosstie.sandbox.salesforce.catalog import Catalog, SObject
from crosstie.sandbox.salesforce.errors import ApiError, malformed_id
from crosstie.sandbox.salesforce.ids import make_id, to_18

ASSIGNED = ("Case", "Lead")
"""The objects whose records a rule can assign."""
ACTIVE, NONE = "TRUE", "FALSE"
"""The words of Sforce-Auto-Assign: the active rule of the object, or none."""


class AssignmentRule(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A rule that gives every record of `object` to `owner`. `id` is made when it is left out."""

    object: Literal["Case", "Lead"]
    name: str
    owner: str
    active: bool = True
    id: str = ""


class DuplicateRule(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Records of `object` with the same values in all `fields`, in any case, are duplicates.

    `block` refuses them always, `alert` unless the client allows it.
    """

    object: str
    fields: list[str]
    action: Literal["block", "alert"] = "block"
    name: str = ""
    message: str = "Use one of these records?"


class Rules:
    """The rules of one org."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._assignment = msgspec.convert(database.setting("assignment_rules", []), list[AssignmentRule])
        self._duplicates = msgspec.convert(database.setting("duplicate_rules", []), list[DuplicateRule])

    def assign(self, rules: list[AssignmentRule], now: str, user_id: str) -> list[str]:
        """Sets all assignment rules, as AssignmentRule records that can be queried; returns their ids.

        A rule keeps its id as long as one of its object has its name. Raises ApiError for what can't be.
        """
        for name in ASSIGNED:
            if sum(rule.active for rule in rules if rule.object == name) > 1:
                raise ApiError(400, "INVALID_INPUT", f"{name} can have one active assignment rule")
        known = {(rule.object, rule.name): rule.id for rule in self._assignment}
        number = self._database.setting("last_assignment_rule", 0)
        with self._database.writing() as connection:
            for rule in rules:
                rule.owner = _owner(connection, rule.owner)
                rule.id = to_18(rule.id) or known.get((rule.object, rule.name), "")
                if not rule.id:
                    number += 1
                    rule.id = make_id("01Q", number)
            connection.execute("DELETE FROM AssignmentRule")
            connection.executemany(
                "INSERT INTO AssignmentRule VALUES (:Id, :CreatedDate, :CreatedById, :LastModifiedDate,"
                " :LastModifiedById, :SystemModstamp, :Name, :SobjectType, :Active)",
                [_record(rule, now, user_id) for rule in rules],
            )
            self._database.keep_setting("last_assignment_rule", number)
            self._database.keep_setting("assignment_rules", msgspec.to_builtins(rules))
        self._assignment = rules
        return [rule.id for rule in rules]

    def owner(self, sobject: SObject, wanted: str) -> str | None:
        """Who gets a record, None for who has it. `wanted` is what Sforce-Auto-Assign says, or the id of a rule.

        A rule that is named may be inactive. Raises ApiError when it is none of the object.
        """
        if sobject.name not in ASSIGNED or wanted == NONE:
            return None
        if wanted != ACTIVE:
            return self.named(sobject.name, wanted).owner
        return next((rule.owner for rule in self._assignment if rule.active and rule.object == sobject.name), None)

    def named(self, name: str, rule_id: str) -> AssignmentRule:
        """The rule of the object with that id, of 15 or 18 characters. Raises ApiError when there is none."""
        complete = to_18(rule_id)
        if complete is None:
            raise malformed_id(rule_id)
        for rule in self._assignment:
            if rule.id == complete and rule.object == name:
                return rule
        raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", f"invalid cross reference id: {complete}", [])

    def forbid_duplicates(self, rules: list[DuplicateRule], catalog: Catalog) -> None:
        """Sets all duplicate rules. Raises ApiError for an object or field that is not there."""
        for rule in rules:
            sobject = catalog.object(rule.object)
            if sobject is None or not rule.fields:
                raise ApiError(400, "INVALID_INPUT", f"a duplicate rule needs an object and fields: {rule.object}")
            rule.object = sobject.name
            rule.name = rule.name or f"{sobject.name.removesuffix('__c')}_Duplicate_Rule"
            for place, name in enumerate(rule.fields):
                item = sobject.field(name)
                if item is None or item.is_compound or item.type == "base64":
                    raise ApiError(400, "INVALID_INPUT", f"{sobject.name} has no field {name} to compare")
                rule.fields[place] = item.name
        self._database.keep_setting("duplicate_rules", msgspec.to_builtins(rules))
        self._duplicates = rules

    def of_duplicates(self, sobject: SObject) -> list[DuplicateRule]:
        """The duplicate rules of an object, in the order in which they are tried."""
        return [rule for rule in self._duplicates if rule.object == sobject.name]


def _owner(connection: sqlite3.Connection, owner: str) -> str:
    """The complete id of a user."""
    complete = to_18(owner)
    found = connection.execute("SELECT 1 FROM User WHERE Id = ?", (complete,)).fetchone()
    if complete is None or found is None:
        raise ApiError(400, "INVALID_INPUT", f"there is no user {owner}")
    return complete


def _record(rule: AssignmentRule, now: str, user_id: str) -> dict[str, Any]:
    return {
        "Id": rule.id,
        "Name": rule.name,
        "SobjectType": rule.object,
        "Active": int(rule.active),
        "CreatedDate": now,
        "CreatedById": user_id,
        "LastModifiedDate": now,
        "LastModifiedById": user_id,
        "SystemModstamp": now,
    }

"""Duplicate rules at work: whether a record may be saved beside those that are like it.

Sources: "Duplicate Rule Header", "DuplicateResult", REST and SOAP API guides; the shape of the answer, and the
spelling of its key, as public clients recorded them. Records of one save are not compared with each other, and a
change is looked at when it is one of the rule's fields ("Things to Know About Duplicate Rules", Salesforce Help).
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crosstie.sandbox.salesforce.catalog import SObject
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.rules import DuplicateRule
from crosstie.sandbox.salesforce.schema import quoted

MOST_MATCHES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateOptions:
    """What a client says of duplicates: Sforce-Duplicate-Rule-Header, and where records of its version are.

    `key` is how the answer spells its member.
    """

    allow_save: bool = False
    details: bool = False
    base: str = ""
    key: str = "duplicateResut"

    @classmethod
    def read(cls, header: str, *, base: str, key: str) -> "DuplicateOptions":
        """`allowSave=true, includeRecordDetails=true, runAsCurrentUser=true`; other words mean nothing."""
        pairs = (part.partition("=") for part in header.replace(";", ",").split(","))
        said = {name.strip().lower(): value.strip().lower() == "true" for name, _, value in pairs}
        # Everybody sees everything here, so that it makes no difference in whose name the rule looks.
        return cls(
            allow_save=said.get("allowsave", False), details=said.get("includerecorddetails", False), base=base, key=key
        )


def check_duplicates(
    connection: sqlite3.Connection,
    sobject: SObject,
    rules: list[DuplicateRule],
    options: DuplicateOptions,
    *,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    spared: set[str],
) -> None:
    """Raises DUPLICATES_DETECTED when a rule forbids a record with the values `after`, which had those of `before`.

    `spared` are records that it is not compared with: itself, and those of the same save.
    """
    for rule in rules:
        values = {name: after.get(name) for name in rule.fields}
        if None in values.values() or all(_same(before.get(name), value) for name, value in values.items()):
            continue
        if rule.action == "alert" and options.allow_save:
            continue
        found = _matches(connection, sobject, values, spared)
        if found:
            raise _detected(sobject, rule, options, found)


def _same(one: Any, other: Any) -> bool:
    return bool(one.lower() == other.lower() if isinstance(one, str) and isinstance(other, str) else one == other)


def _matches(
    connection: sqlite3.Connection, sobject: SObject, values: Mapping[str, Any], spared: set[str]
) -> list[dict[str, Any]]:
    """The living records with these values, in id order."""
    alike = " AND ".join(f"{quoted(name)} = ? COLLATE NOCASE" for name in values)
    alive = " AND IsDeleted = 0" if sobject.field("IsDeleted") else ""
    shown = list(dict.fromkeys(["Id", *(["Name"] if sobject.field("Name") else []), *values]))
    rows = connection.execute(
        f"SELECT {', '.join(map(quoted, shown))} FROM {quoted(sobject.table)} WHERE {alike}{alive} ORDER BY Id LIMIT ?",
        (*values.values(), MOST_MATCHES + len(spared)),
    )
    return [dict(zip(shown, row, strict=True)) for row in rows if row[0] not in spared][:MOST_MATCHES]


def _detected(
    sobject: SObject, rule: DuplicateRule, options: DuplicateOptions, found: list[dict[str, Any]]
) -> ApiError:
    records = [
        {
            "attributes": {"type": sobject.name, "url": f"{options.base}/sobjects/{sobject.name}/{one['Id']}"},
            **(one if options.details else {"Id": one["Id"]}),
        }
        for one in found
    ]
    result = {
        "allowSave": rule.action == "alert",
        "duplicateRule": rule.name,
        "duplicateRuleEntityType": sobject.name,
        "errorMessage": rule.message,
        "matchResults": [
            {
                "entityType": sobject.name,
                "errors": [],
                "matchEngine": "ExactMatchEngine",
                "matchRecords": [
                    {"additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0, "record": record}
                    for record in records
                ],
                "rule": rule.name.replace("_Duplicate_Rule", "_Matching_Rule"),
                "size": len(records),
                "success": True,
            }
        ],
    }
    return ApiError(400, "DUPLICATES_DETECTED", rule.message, members={options.key: result})

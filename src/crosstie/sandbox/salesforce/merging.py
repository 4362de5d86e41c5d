"""Merges: records become one, what referred to the others refers to it.

Source: "merge()", SOAP API guide; "Merge" in the fact sheet, section 5.
"""

import sqlite3

from crosstie.sandbox.salesforce.catalog import Catalog, SObject
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.org import Org
from crosstie.sandbox.salesforce.records import Records
from crosstie.sandbox.salesforce.row_ids import record_id_of
from crosstie.sandbox.salesforce.schema import quoted
from crosstie.sandbox.salesforce.visibility import count_change

MOST_LOSERS = 2
"""Records that one merge can take up, beside the one that stays."""


def merged(org: Org, records: Records, sobject: SObject, master: str, losers: list[str], *, user_id: str) -> list[str]:
    """Moves the losers into the bin with MasterRecordId, and what refers to them to the master.

    Returns the ids of the records that refer to another one now. Their stamps move, and that of the master. Raises
    ApiError when these can't be merged.
    """
    complete, others = record_id_of(master), [record_id_of(one) for one in losers]
    if sobject.field("MasterRecordId") is None:
        raise ApiError(400, "INVALID_TYPE", f"{sobject.name} can't be merged")
    if not 1 <= len(others) <= MOST_LOSERS or len({complete, *others}) <= len(others):
        raise ApiError(400, "INVALID_INPUT", f"a merge needs a master and 1 to {MOST_LOSERS} other records")
    now = org.now_stamp()
    with org.database.writing() as connection:
        for record_id in (complete, *others):
            records.require(connection, sobject, record_id)
        moved = _move_children(connection, org.full_catalog, sobject, complete, others, (now, now, user_id))
        table = quoted(sobject.table)
        for loser in others:
            connection.execute(
                f"UPDATE {table} SET IsDeleted = 1, MasterRecordId = ?, SystemModstamp = ? WHERE Id = ?",
                (complete, now, loser),
            )
            connection.execute("INSERT OR REPLACE INTO sandbox_delete_log VALUES (?, ?, ?)", (sobject.name, loser, now))
        connection.execute(
            f"UPDATE {table} SET SystemModstamp = ?, LastModifiedDate = ?, LastModifiedById = ? WHERE Id = ?",
            (now, now, user_id, complete),
        )
        count_change(connection)
    return sorted(moved - set(others))


def _move_children(
    connection: sqlite3.Connection,
    catalog: Catalog,
    sobject: SObject,
    master: str,
    losers: list[str],
    stamps: tuple[str, str, str],
) -> set[str]:
    """Makes everything that refers to a loser refer to the master."""
    moved: set[str] = set()
    for child in catalog.objects.values():
        for item in child.fields.values():
            if item.type != "reference" or sobject.name not in item.reference_to or item.name == "MasterRecordId":
                continue
            for loser in losers:
                rows = connection.execute(
                    f"UPDATE {quoted(child.table)} SET {quoted(item.name)} = ?, SystemModstamp = ?,"
                    f" LastModifiedDate = ?, LastModifiedById = ? WHERE {quoted(item.name)} = ? RETURNING Id",
                    (master, *stamps, loser),
                )
                moved |= {row[0] for row in rows}
    return moved

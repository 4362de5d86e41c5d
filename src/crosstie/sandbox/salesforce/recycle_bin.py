"""The recycle bin: deleted records wait in it, come back from it, and are gone for good after fifteen days.

Sources: "undelete()", SOAP API guide; "getDeleted()" for the life of the bin. What is deleted is told by
the delete log, which outlives the records.
"""

import sqlite3

from crosstie.sandbox.database import Database
from crosstie.sandbox.salesforce.catalog import Catalog, SObject
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.relations import gone_along
from crosstie.sandbox.salesforce.schema import quoted
from crosstie.sandbox.salesforce.visibility import count_change

PRECISION = len("2026-11-23T01:07")
"""Of a stamp, as much as must have changed before the bin is looked at again."""


class RecycleBin:
    """The bin of one org."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._emptied = ""
        """The stamp up to which everything is known to be gone; empty when nothing is."""

    def expire(self, catalog: Catalog, until: str) -> None:
        """Removes what was deleted before `until`, a stamp; it stays in the delete log."""
        since = self._emptied
        if until[:PRECISION] == since[:PRECISION]:
            return
        # A clock that was set back, or stamps of before this one's first look: all of it.
        since = since if since < until else ""
        due = "SELECT object, id FROM sandbox_delete_log WHERE deleted_at >= ? AND deleted_at < ?"
        with self._database.reading() as connection:
            waiting = connection.execute(due + " LIMIT 1", (since, until)).fetchone()
        if waiting is not None:
            with self._database.writing() as connection:
                _empty(connection, catalog, connection.execute(due, (since, until)).fetchall())
        self._emptied = until

    def holds(self, connection: sqlite3.Connection, sobject: SObject, record_id: str) -> bool:
        """Whether a record is in the bin."""
        query = f"SELECT 1 FROM {quoted(sobject.table)} WHERE Id = ? AND IsDeleted = 1"
        return connection.execute(query, (record_id,)).fetchone() is not None

    def undelete(
        self, connection: sqlite3.Connection, catalog: Catalog, sobject: SObject, record_id: str, now: str
    ) -> None:
        """Takes a record out of the bin with its old id and a new stamp, and with it the children that went along; one
        that was merged is its own again.

        Raises ApiError when it is not in the bin. On the real platform SOAP and Apex do this, REST can't.
        """
        for child, child_id in list(gone_along(connection, catalog, sobject, record_id)):
            self._take_out(connection, child, child_id, now)
        self._take_out(connection, sobject, record_id, now)

    def _take_out(self, connection: sqlite3.Connection, sobject: SObject, record_id: str, now: str) -> None:
        table = quoted(sobject.table)
        merged = ", MasterRecordId = NULL" if sobject.field("MasterRecordId") else ""
        done = connection.execute(
            f"UPDATE {table} SET IsDeleted = 0, SystemModstamp = ?{merged} WHERE Id = ? AND IsDeleted = 1",
            (now, record_id),
        )
        if not done.rowcount:
            raise ApiError(400, "UNDELETE_FAILED", f"Entity is not in the recycle bin: {record_id}", [])
        connection.execute("DELETE FROM sandbox_delete_log WHERE object = ? AND id = ?", (sobject.name, record_id))
        count_change(connection)


def _empty(connection: sqlite3.Connection, catalog: Catalog, waiting: list[tuple[str, str]]) -> None:
    for name in {name for name, _ in waiting}:
        sobject = catalog.object(name)
        if sobject is not None and sobject.field("IsDeleted"):
            connection.executemany(
                f"DELETE FROM {quoted(sobject.table)} WHERE Id = ? AND IsDeleted = 1",
                ((record_id,) for other, record_id in waiting if other == name),
            )
    count_change(connection)

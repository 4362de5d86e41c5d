"""getUpdated and getDeleted.

Sources: "sObject Get Updated", "sObject Get Deleted", REST API guide; "Data Replication", SOAP API guide.
"""

from datetime import datetime, timedelta

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce.catalog import SObject
from crosstie.sandbox.salesforce.errors import ApiError, json_response
from crosstie.sandbox.salesforce.org import Call, Org, read_stamp, stamp
from crosstie.sandbox.salesforce.schema import quoted
from crosstie.sandbox.salesforce.values import read_datetime
from crosstie.sandbox.salesforce.visibility import oldest_open_transaction

UPDATED_REACH = timedelta(days=30)
MAX_IDS = 600_000


class Replication:
    """The replication resources of one org."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def updated(self, call: Call) -> Response:
        """GET BASE/sobjects/X/updated?start=&end=: ids changed or made in the minutes from start to end, both in."""
        sobject, start, end = self._window(call)
        if start < self._org.clock.now() - UPDATED_REACH:
            raise _bad_date("startDate before org's last replication date: the start can't be older than 30 days")
        changed = "SystemModstamp" if sobject.field("SystemModstamp") else "LastModifiedDate"
        alive = " AND IsDeleted = 0" if sobject.field("IsDeleted") else ""
        with self._org.database.reading() as connection:
            rows = connection.execute(
                f"SELECT Id FROM {quoted(sobject.table)} WHERE {changed} >= ? AND {changed} <= ?{alive}"
                f" ORDER BY {changed}, Id LIMIT {MAX_IDS + 1}",
                (stamp(start), stamp(end)),
            )
            ids = [row[0] for row in rows]
        _check_count(ids)
        self._org.counters.rows("updated", len(ids))
        return json_response({"ids": ids, "latestDateCovered": self._covered(sobject, end)})

    def deleted(self, call: Call) -> Response:
        """GET BASE/sobjects/X/deleted?start=&end=: from the delete log, which outlives the recycle bin's rows."""
        sobject, start, end = self._window(call)
        purged = self._purged()
        earliest = self._earliest_available(purged)
        if start < earliest and not self._org.switches.deleted_clipped:
            raise _bad_date("startDate before earliestDateAvailable: deletions older than that are not kept")
        with self._org.database.reading() as connection:
            rows = connection.execute(
                "SELECT id, deleted_at FROM sandbox_delete_log WHERE object = ? AND deleted_at >= ? AND deleted_at <= ?"
                f" AND deleted_at > ? ORDER BY deleted_at, id LIMIT {MAX_IDS + 1}",
                (sobject.name, stamp(max(start, earliest)), stamp(end), "" if purged is None else stamp(purged)),
            )
            records = [{"id": record_id, "deletedDate": deleted_at} for record_id, deleted_at in rows]
        _check_count(records)
        self._org.counters.rows("deleted", len(records))
        return json_response(
            {
                "deletedRecords": records,
                "earliestDateAvailable": stamp(earliest),
                "latestDateCovered": self._covered(sobject, end),
            }
        )

    def _purged(self) -> datetime | None:
        """When the delete log was last purged, if ever."""
        kept = self._org.database.setting("delete_log_purged")
        return None if kept is None else datetime.fromisoformat(kept)

    def _earliest_available(self, purged: datetime | None) -> datetime:
        """As far back as the recycle bin reaches, or the last purge of the log if that is later."""
        reach = (self._org.clock.now() - timedelta(days=self._org.switches.recycle_bin_days)).replace(
            second=0, microsecond=0
        )
        return reach if purged is None else max(reach, purged)

    def _window(self, call: Call) -> tuple[SObject, datetime, datetime]:
        sobject = self._org.sobject(call.args["object"])
        if not sobject.replicateable:
            raise ApiError(400, "INVALID_TYPE", f"entity type {sobject.name} is not replicateable")
        start, end = self._instant(call, "start"), self._instant(call, "end")
        # "More than a minute": after the seconds are dropped the two must not be the same minute.
        if end <= start:
            raise _bad_date(
                "startDate and endDate must have a difference of at least one minute, and the start must come first"
            )
        return sobject, start, end

    def _instant(self, call: Call, name: str) -> datetime:
        text = call.request.query.get(name)
        instant = read_datetime(text) if text is not None else None
        if instant is None:
            raise ApiError(400, "INVALID_REPLICATION_DATE", f"malformed {name} date: {text}")
        return instant.replace(second=0, microsecond=0)

    def _covered(self, sobject: SObject, end: datetime) -> str:
        """min(end, now, start of the oldest transaction that is still open)."""
        covered = min(end, self._org.clock.now().replace(second=0, microsecond=0))
        with self._org.database.reading() as connection:
            oldest = oldest_open_transaction(connection, sobject)
        if oldest is not None and read_stamp(oldest) < covered:
            covered = read_stamp(oldest).replace(second=0)
            if self._org.switches.late_fails_replication:
                raise _bad_date(f"latestDateCovered is {stamp(covered)}: a transaction is still open")
        return stamp(covered)


def _bad_date(message: str) -> ApiError:
    return ApiError(400, "INVALID_REPLICATION_DATE", message)


def _check_count(found: list[object] | list[str] | list[dict[str, str]]) -> None:
    if len(found) > MAX_IDS:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", "too many ids in the result: narrow the window")

"""What was deleted, as the audit tells it (Dataverse developer guide, "Auditing overview").

The audit knows deletions of the tables that are audited, in environments where auditing is on, for as long as the
environment keeps it. A merge deletes nothing in Dynamics: the losing record stays, inactive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from crosstie.crm.comparing import instant_of
from crosstie.crm.connector import Comparison, Group, Operator, RemoteQuery, Road
from crosstie.crm.dynamics.session import Session
from crosstie.crm.lookup import Read
from crosstie.crm.writing import REMOTE_ID, DeletedRecords, DeletionReach, DeletionRoad
from crosstie.errors import ProtocolError, RequestError
from crosstie.model import FieldType, IndexRange, RemoteField, RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa

GUARD = timedelta(minutes=15)
"""How long a deletion may take to show in the audit."""

_EVER = timedelta(days=3_650)
_EDGE = timedelta(minutes=2)
_DELETED = 3
_COMPARE = "Compare key sets instead (by: compare): it looks for the records that are tied here and no longer there."


def _field(name: str, kind: FieldType, wire_type: str) -> RemoteField:
    return RemoteField(name=name, label=name, type=kind, wire_type=wire_type)


_AUDIT = RemoteObject(
    name="audit",
    label="Audit",
    label_plural="Audits",
    key="auditid",
    fields=(
        _field("auditid", FieldType.ID, "Uniqueidentifier"),
        _field("objectid", FieldType.REFERENCE, "Lookup"),
        _field("createdon", FieldType.DATETIME, "DateTime"),
        _field("operation", FieldType.ENUMERATION, "Picklist"),
        _field("objecttypecode", FieldType.TEXT, "EntityName"),
    ),
    collection="audits",
)


class _Organization(msgspec.Struct):
    audited: bool | None = msgspec.field(name="isauditenabled", default=None)
    days: int | None = msgspec.field(name="auditretentionperiodv2", default=None)


class Deletions:
    """The deletions of one environment. `read` runs a query, `now` is the service's clock."""

    def __init__(self, session: Session, read: Read, now: Callable[[], datetime]) -> None:
        self._session = session
        self._read = read
        self._now = now

    def reach(self, remote: RemoteObject, road: DeletionRoad) -> DeletionReach:
        """Which deletions can be had now. One call, for how long the environment keeps its audit."""
        if road is not DeletionRoad.FEED:
            raise RequestError(
                f"Dynamics has no recycle bin from which deleted {remote.name} records could be read.", hint=_COMPARE
            )
        earliest = self._earliest(remote)
        return DeletionReach(
            road=DeletionRoad.FEED, earliest=earliest, covered=self._now() - GUARD, reason="the audit of deletions"
        )

    def deleted(
        self, remote: RemoteObject, start: datetime | None, end: datetime, road: DeletionRoad
    ) -> DeletedRecords:
        """The records deleted from `start` to `end`, both included; None is as far back as they are kept."""
        if start is not None and end < start:
            raise RequestError(
                f"Deletions of {remote.name} from {_shown(start)} to {_shown(end)}: the end comes first."
            )
        reach = self.reach(remote, road)
        if start is not None and start < reach.earliest:
            raise RequestError(
                f"Dynamics no longer has all deletions of {remote.name} since {_shown(start)}; they can still be had "
                f"from {_shown(reach.earliest)}.",
                hint=f"Ask from then on. {_COMPARE}",
            )
        first = reach.earliest + _EDGE if start is None else start
        # Stamps are whole seconds; both ends are included.
        window = IndexRange(field="createdon", start=first.replace(microsecond=0), end=end + timedelta(seconds=1))
        what = (
            Comparison(field="operation", operator=Operator.EQUAL, value=_DELETED),
            Comparison(field="objecttypecode", operator=Operator.EQUAL, value=remote.name),
        )
        query = RemoteQuery(
            object=_AUDIT,
            fields=("auditid", "objectid", "createdon"),
            condition=Group(all=True, items=what),
            window=window,
            road=Road.PAGES,
        )
        return DeletedRecords(batches=self._batches(query), covered=min(end, reach.covered))

    def _batches(self, query: RemoteQuery) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        schema = pa.schema([(name, pa.string()) for name in (REMOTE_ID, "deleted_at", "merged_into")])
        for batch in self._read(query):
            whole = batch.filter(batch.column(1).is_valid())
            stamps = [_text(one) for one in whole.column(2).to_pylist()]
            columns = [whole.column(1), pa.array(stamps, pa.string()), pa.nulls(whole.num_rows, pa.string())]
            if whole.num_rows:
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _earliest(self, remote: RemoteObject) -> datetime:
        """From when deletions can be had. Raises RequestError where none are kept."""
        if not remote.tracks_deletions:
            raise RequestError(
                f"Dynamics does not tell which {remote.name} records were deleted: the table is not audited.",
                hint=f"Switch on auditing for the table (Power Apps → Tables → {remote.label} → Properties → Audit "
                f"changes) and collect the object again. {_COMPARE}",
            )
        path = f"organizations({self._session.signed_in().org_id})?$select=isauditenabled,auditretentionperiodv2"
        org: _Organization = self._session.get(path, "read the settings of auditing").decoded(
            _Organization, "does not describe the environment"
        )
        if not org.audited:
            raise RequestError(
                f"Dynamics does not tell which {remote.name} records were deleted: auditing is off there.",
                hint=f"Switch it on: Power Platform admin center → Environments → … → Settings → Audit. {_COMPARE}",
            )
        kept = timedelta(days=org.days) if org.days and org.days > 0 else _EVER
        return self._now() - kept


def tells_deletions(remote: RemoteObject) -> bool:
    """Whether deletions of an object can be had at all."""
    return remote.tracks_deletions


def _text(stamp: str | None) -> str:
    instant = instant_of(stamp)
    if instant is None:
        raise ProtocolError(f"The audit holds “{str(stamp)[:40]}”, which is no date and time.")
    return f"{instant:%Y-%m-%dT%H:%M:%S}.000Z"


def _shown(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

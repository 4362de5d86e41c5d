"""Records are read again just before they are written: what moved meanwhile is not overwritten unseen.

Between that read and the write somebody may still change a record. Where the CRM says a version of each record, the
write is refused then, and the row is looked at anew; elsewhere that gap is one call wide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crosstie.crm.connector import Connector
from crosstie.crm.writing import VERSION, RemoteWrite
from crosstie.sync.plans import Plan
from crosstie.sync.shipments import Withdrawn

if TYPE_CHECKING:
    import pyarrow as pa

CONFLICT = "CONFLICT"
MOVED = "MOVED"
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Findings:
    """What a look at the records has found: rows that are rejected, and rows of which fields, or everything, need not
    be sent; and what each record says now, by row number, None where it is not there."""

    rejected: list[Withdrawn] = field(default_factory=list)
    dropped: list[Withdrawn] = field(default_factory=list)
    current: dict[int, Mapping[str, Any] | None] = field(default_factory=dict)

    @property
    def conflicts(self) -> int:
        """How many records keep the CRM's value in a field that both sides have changed."""
        return sum(1 for one in self.dropped if one.places)


def look(
    plan: Plan, connector: Connector, write: RemoteWrite, rows: Sequence[pa.RecordBatch], *, shown: bool
) -> Findings:
    """Compares rows with their records as they are now: with what somebody was `shown` of them, or with what both sides
    agreed on. `rows` have the columns of the guard. Raises ConnectorError."""
    found = Findings()
    travelling = [batch.select(batch.schema.names[: 3 + len(write.fields)]) for batch in rows]
    same = connector.comparer(write)
    records = {one["row"]: one for one in connector.current(write, travelling).to_pylist()}
    for batch in rows:
        for row in batch.to_pylist():
            record = records.get(row["row"])
            found.current[row["row"]] = record
            if shown:
                _as_shown(found, plan, row, record, same)
            elif record is not None:
                _as_agreed(found, plan, row, record, same)
    return found


def conditional(
    write: RemoteWrite, rows: Sequence[pa.RecordBatch], found: Findings
) -> tuple[RemoteWrite, Sequence[pa.RecordBatch]]:
    """The rows with the versions of their records as they were read, where the CRM has such a thing."""
    import pyarrow as pa

    versions = {row: one[VERSION] for row, one in found.current.items() if one is not None and one[VERSION]}
    if not versions:
        return write, rows
    named = [[versions.get(row) for row in batch.column(0).to_pylist()] for batch in rows]
    carrying = [
        batch.append_column(VERSION, pa.array(one, pa.string())) for batch, one in zip(rows, named, strict=True)
    ]
    return replace(write, conditional=True), carrying


def _as_shown(
    found: Findings,
    plan: Plan,
    row: Mapping[str, Any],
    record: Mapping[str, Any] | None,
    same: Callable[[int, str, str], bool],
) -> None:
    """A person has seen what each record said: one that says something else now, in a field that is to be written, is
    not overwritten."""
    number = row["row"]
    if row["there"] is not None and row["there"] != (record is not None):
        told = "the record was made since the plan was shown" if record is not None else "the record is gone"
        found.rejected.append(Withdrawn(number=number, symbol=MOVED, message=told))
        return
    if record is None:
        return
    moved = [
        place
        for place in _sent(plan, row)
        if row[f"b_{place}"] is not None and not same(place, row[f"b_{place}"], record[f"f_{place}"])
    ]
    if moved:
        names = [plan.fields[place].field for place in moved]
        told = f"the record {record['remote_id']} was changed since the plan was shown: {', '.join(names)}"
        found.rejected.append(Withdrawn(number=number, symbol=MOVED, message=told, faults=",".join(names)))


def _as_agreed(
    found: Findings,
    plan: Plan,
    row: Mapping[str, Any],
    record: Mapping[str, Any],
    same: Callable[[int, str, str], bool],
) -> None:
    """What the CRM has changed since both sides agreed, and is to be changed by us too, goes by the policy of the
    field. What it says already need not be written."""
    number = row["row"]
    said: list[int] = []
    lost: list[int] = []
    rejected: list[int] = []
    sent = list(_sent(plan, row))
    for place in sent:
        now, known = record[f"f_{place}"], row[f"b_{place}"]
        if same(place, row[f"f_{place}"], now):
            said.append(place)
        elif known is not None and not same(place, known, now):
            policy = plan.fields[place].on_conflict
            if policy == "reject":
                rejected.append(place)
            elif policy == "crm" or (policy == "newest" and not _is_newer(row["changed_at"], record["stamp"])):
                lost.append(place)
    if rejected:
        names = [plan.fields[place].field for place in rejected]
        told = f"both sides have changed {', '.join(names)} of the record {record['remote_id']}"
        found.rejected.append(Withdrawn(number=number, symbol=CONFLICT, message=told, faults=",".join(names)))
        return
    settled = len(said) + len(lost) == len(sent)
    if lost or settled:
        found.dropped.append(
            Withdrawn(number=number, places=tuple(lost), settled=settled, remote_id=record["remote_id"])
        )


def _sent(plan: Plan, row: Mapping[str, Any]) -> Iterator[int]:
    return (place for place in range(len(plan.fields)) if row[f"f_{place}"] is not None)


def _is_newer(mine: datetime | None, theirs: datetime | None) -> bool:
    return (mine or _NEVER) > (theirs or _NEVER)

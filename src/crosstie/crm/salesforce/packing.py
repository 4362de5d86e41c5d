"""How rows are best sent to Salesforce: by collections or by Bulk API 2.0 ingest, by what each costs and proves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from crosstie.crm.salesforce.ids import complete_id
from crosstie.crm.salesforce.targets import targets
from crosstie.crm.writing import Certainty, Operation, Packing, RemoteWrite, WriteRoad
from crosstie.errors import RequestError

COLLECTION_ROWS = 200
"""Records of one call (REST API guide, sObject Collections)."""

COLLECTION_BYTES = 2_000_000
"""Content of one call by collections: far below what the API takes, and no row of usual width comes near it."""

BULK_ROWS = 50_000
"""Rows of one job: five of Salesforce's own batches of 10,000, so that the four or five calls of waiting are spread
over many rows, and a job that goes wrong leaves few rows in doubt."""

BULK_BYTES = 32_000_000
"""Content of one job. Salesforce takes 150 MB counted in base64, about 100 MB of CSV; a shipment is held as columns, as
CSV and as results, in two lanes, and all that has to stay below 256 MB."""

BULK_CALLS = 10
"""What a job costs: to make it, its data, its start, about four looks and three results."""

ASSIGNED = frozenset({"lead", "case"})
"""The objects that have assignment rules."""

_DEADLINE = timedelta(minutes=10)
_BY_COLLECTIONS = "Name the rule by its id (assignment: 01Q…), or ask for collections (batches: off)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """How many shipments may be on their way at once. By Bulk more than two only wait for one another."""

    collections: int = 4
    bulk: int = 2


def packing(write: RemoteWrite, rows: int, lanes: Lanes) -> Packing:
    """How to send so many rows. Raises RequestError for what Salesforce cannot do, MappingError for unknown fields."""
    _check_object(write)
    targets(write)
    by_collections, by_bulk = -(-rows // COLLECTION_ROWS), -(-rows // BULK_ROWS) * BULK_CALLS
    only, why = _only_road(write)
    if only is not WriteRoad.AUTO:
        if write.road not in {WriteRoad.AUTO, only}:
            raise RequestError(f"{_whole(write)} can't go by {write.road}: {why}.", hint=_way_out(write))
        road = only
    elif write.road is not WriteRoad.AUTO:
        road, why = write.road, "asked for"
    elif write.operation is Operation.INSERT:
        road, why = WriteRoad.BULK, "an insert without a key, whose lost answer only a job can give again"
    else:
        road = WriteRoad.BULK if by_bulk < by_collections else WriteRoad.CALLS
        counted = "1 row is" if rows == 1 else f"{rows:,} rows are"
        calls = "1 call" if by_collections == 1 else f"{by_collections:,} calls"
        why = f"{counted} {calls} by collections, about {by_bulk:,} by Bulk"
    bulk = road is WriteRoad.BULK
    return Packing(
        road=road,
        certainty=_certainty(write, road),
        rows=BULK_ROWS if bulk else COLLECTION_ROWS,
        content_bytes=BULK_BYTES if bulk else COLLECTION_BYTES,
        lanes=lanes.bulk if bulk else lanes.collections,
        calls=by_bulk if bulk else by_collections,
        deadline=_DEADLINE,
        reason=f"{road}: {why}",
    )


def _certainty(write: RemoteWrite, road: WriteRoad) -> Certainty:
    if write.operation is not Operation.INSERT:
        return Certainty.REPEATABLE
    return Certainty.FINDABLE if road is WriteRoad.BULK else Certainty.OPAQUE


def _only_road(write: RemoteWrite) -> tuple[WriteRoad, str]:
    """The one road that can do it, and why; AUTO when both can."""
    deletes = write.operation is Operation.DELETE
    if write.hard:
        return WriteRoad.BULK, "only Bulk deletes past the recycle bin"
    if write.duplicates == "allow" and not deletes:
        opaque = "; an insert whose answer is lost is then in doubt" if write.operation is Operation.INSERT else ""
        return WriteRoad.CALLS, f"Bulk does not let duplicate rules be told to allow a row{opaque}"
    if write.assignment == "active" and not deletes and write.object.name.lower() in ASSIGNED:
        if write.operation is Operation.INSERT and write.road is WriteRoad.AUTO:
            raise RequestError(
                f"An insert of {write.object.name} with the active assignment rule can't go by Bulk, and by "
                "collections a lost answer leaves it in doubt.",
                hint=_BY_COLLECTIONS,
            )
        return WriteRoad.CALLS, "Bulk can run a named assignment rule, but not the active one"
    return WriteRoad.AUTO, ""


def _way_out(write: RemoteWrite) -> str:
    if write.hard:
        return "Leave the road to be chosen, or delete into the recycle bin (hard: false)."
    if write.duplicates == "allow":
        return "Leave the road to be chosen (batches: auto), or let duplicate rules reject (duplicates: reject)."
    if write.operation is Operation.INSERT:
        return _BY_COLLECTIONS
    return "Name the rule by its id (assignment: 01Q…), or leave the road to be chosen (batches: auto)."


def _whole(write: RemoteWrite) -> str:
    return f"The {'hard ' if write.hard else ''}{write.operation} of {write.object.name}"


def _check_object(write: RemoteWrite) -> None:
    remote, operation = write.object, write.operation
    can = {
        Operation.INSERT: remote.createable,
        Operation.UPDATE: remote.updateable,
        Operation.UPSERT: remote.createable or remote.updateable,
        Operation.DELETE: remote.deletable,
    }[operation]
    if not can:
        raise RequestError(
            f"Salesforce does not let this user {operation} records of {remote.name}.",
            hint="Give the user of the account that right, then collect the object again.",
        )
    if write.hard and operation is not Operation.DELETE:
        raise RequestError(f"“hard” is for deletes; this is an {operation} of {remote.name}.")
    if write.assignment not in {"off", "active"} and complete_id(write.assignment) is None:
        raise RequestError(
            f"“{write.assignment[:40]}” is no assignment rule.", hint="Say off, active, or the id of a rule (01Q…)."
        )

"""How rows are best sent to Dataverse: by batches of single requests, or by its bulk messages."""

from __future__ import annotations

from datetime import timedelta

from crosstie.crm.dynamics.targets import targets
from crosstie.crm.writing import Certainty, Operation, Packing, RemoteWrite, WriteRoad
from crosstie.errors import RequestError

BATCH_ROWS = 200
"""Requests of one batch. It may hold 1,000, but the service stops what takes longer than two minutes."""

BATCH_BYTES = 4_000_000
"""Content of one batch or bulk message."""

BULK_ROWS = 500
"""Records of one bulk message: Microsoft suggests 100 to 1,000, and one bad row rolls all of them back."""

_BULK = frozenset({Operation.INSERT, Operation.UPDATE})
_DEADLINE = timedelta(minutes=10)


def packing(write: RemoteWrite, rows: int, lanes: int) -> Packing:
    """How to send so many rows, by `lanes` calls at once. Raises RequestError for what Dataverse cannot do,
    MappingError for unknown fields."""
    _check_object(write)
    targets(write)
    bulk = write.road is WriteRoad.BULK
    if bulk and write.operation not in _BULK:
        raise RequestError(
            f"The {write.operation} of {write.object.name} can't go by bulk messages: Dataverse has them for inserts"
            " and for updates of records by their id.",
            hint="Leave the road to be chosen (batches: auto).",
        )
    size = BULK_ROWS if bulk else BATCH_ROWS
    requests = -(-rows // size)
    counted = f"{requests:,} {'bulk message' if bulk else 'batch'}{'' if requests == 1 else 's' if bulk else 'es'}"
    told = f"asked for; {counted}" if write.road is not WriteRoad.AUTO else counted
    return Packing(
        road=WriteRoad.BULK if bulk else WriteRoad.CALLS,
        certainty=Certainty.REPEATABLE,
        rows=size,
        content_bytes=BATCH_BYTES,
        lanes=lanes,
        calls=requests if bulk else rows,
        deadline=_DEADLINE,
        reason=f"{'bulk messages' if bulk else 'batches'}: {told}, each of up to {size:,} rows",
    )


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
            f"Dynamics does not let this user {operation} records of {remote.name}.",
            hint="Give the user of the account a security role with that right, then collect the object again.",
        )
    if write.hard:
        raise RequestError(
            f"Dataverse has no recycle bin to pass: what is deleted from {remote.name} is gone.",
            hint="Leave “hard” out.",
        )
    if write.assignment != "off":
        raise RequestError(
            f"An export to Dynamics can't name an assignment rule; {remote.name} has none.",
            hint="Leave “assignment” out.",
        )

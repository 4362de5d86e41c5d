"""How rows are best sent to Oracle CRM On Demand: in groups, each of which is one transaction.

Source: Web Services guide, "Batch processing": at most 20 records, and one that is refused takes all others with it.
"""

from __future__ import annotations

from datetime import timedelta

from crosstie.crm.oracle_on_demand.targets import targets
from crosstie.crm.writing import Certainty, Operation, Packing, RemoteWrite, WriteRoad
from crosstie.errors import RequestError
from crosstie.model import RemoteField

GROUP_ROWS = 20
GROUP_BYTES = 4_000_000
"""Content of one group, far below the 28,800 KB that a request may have."""

PROBES = 1_000
"""Further calls of one run to find the rows at fault of groups that were refused: each bad one of twenty takes up to
nine."""

KEY_CHARACTERS = 36
"""Of a key of ours."""

LANES = 4
"""Shipments on their way at once. All share the session, and its twenty requests a second."""

_DEADLINE = timedelta(minutes=10)


def free_key(write: RemoteWrite, name: str) -> RemoteField | None:
    """The field, of the name that the account gives, into which an INSERT may write a key of the plan: one that the
    object has, and that its rows do not fill themselves."""
    field = write.object.field(name)
    if write.operation is not Operation.INSERT or field is None or not field.createable:
        return None
    return None if field.name in write.fields or 0 < field.length < KEY_CHARACTERS else field


def mapped_key(write: RemoteWrite) -> RemoteField | None:
    """The external id field that the rows of an INSERT fill themselves."""
    if write.operation is not Operation.INSERT:
        return None
    named = (write.object.field(name) for name in write.fields)
    return next((one for one in named if one is not None and one.external_id), None)


def packing(write: RemoteWrite, rows: int, key_name: str, lanes: int = LANES) -> Packing:
    """How to send so many rows; `key_name` is the field that the account keeps for a key of ours. Raises RequestError
    for what Oracle CRM On Demand cannot do, MappingError for unknown fields."""
    _check_object(write)
    targets(write)
    alone = write.operation is Operation.INSERT and not (free_key(write, key_name) or mapped_key(write))
    size = 1 if alone else GROUP_ROWS
    groups = -(-rows // size)
    calls = 2 * groups if write.operation is Operation.UPSERT else groups
    counted = f"{groups:,} {'call' if groups == 1 else 'calls'} of up to {size} rows"
    why = f": {write.object.name} has no free key ({key_name}) by which a new record would be found" if alone else ""
    looked = ", and one before each to find the records" if write.operation is Operation.UPSERT else ""
    return Packing(
        road=WriteRoad.CALLS,
        certainty=_certainty(write, alone=alone),
        rows=size,
        content_bytes=GROUP_BYTES,
        lanes=lanes,
        calls=calls,
        deadline=_DEADLINE,
        reason=f"web services: {counted}{looked}{why}",
        probes=PROBES,
    )


def _certainty(write: RemoteWrite, *, alone: bool) -> Certainty:
    if write.operation is not Operation.INSERT:
        return Certainty.REPEATABLE
    return Certainty.OPAQUE if alone else Certainty.FINDABLE


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
            f"Oracle CRM On Demand does not let this user {operation} records of {remote.name}.",
            hint="Give the role of the user that right, then collect the object again. Users are never deleted, only"
            " made inactive by their Status.",
        )
    if write.road is WriteRoad.BULK:
        raise RequestError(
            f"The {operation} of {remote.name} can't go by a bulk interface: Oracle CRM On Demand has none that takes"
            " rows over the network.",
            hint="Leave the road to be chosen (batches: auto).",
        )
    if write.hard:
        raise RequestError(
            f"Records of {remote.name} can't be deleted past the deleted items of Oracle CRM On Demand, which keeps"
            " them for 30 days.",
            hint="Leave “hard” out.",
        )
    if write.assignment != "off" or write.duplicates == "allow":
        what = "an assignment rule" if write.assignment != "off" else "rows past the rules for duplicates"
        raise RequestError(
            f"An export to Oracle CRM On Demand can't name {what}.",
            hint="Leave “assignment” and “duplicates” out.",
        )

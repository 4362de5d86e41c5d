"""Change tracking: what was deleted since a token (Dataverse Web API guide, "Use change tracking to synchronize data").

A first read of all keys gives the first token and tells of no deletion; each later one gives a new token. The service
keeps changes for some days only (ExpireChangeTrackingInDays).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from crosstie.crm.dynamics.faults import TRACKING_EXPIRED
from crosstie.crm.dynamics.ids import complete_id
from crosstie.crm.dynamics.pages import PAGE_ROWS
from crosstie.crm.dynamics.session import Session
from crosstie.crm.http import REPORT
from crosstie.crm.writing import REMOTE_ID, DeletedRecords
from crosstie.errors import ProtocolError, RequestError
from crosstie.model import RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa

_PREFER = {"Prefer": f"odata.track-changes,odata.maxpagesize={PAGE_ROWS}"}


class _Change(msgspec.Struct):
    """A deleted record has `id` and `reason`; a changed one its columns, of which nothing is needed."""

    id: str = ""
    reason: str = ""


class _Page(msgspec.Struct):
    value: tuple[_Change, ...]
    next_link: str = msgspec.field(name="@odata.nextLink", default="")
    delta_link: str = msgspec.field(name="@odata.deltaLink", default="")


class Tracking:
    """The tracked changes of one environment. `set_name` names the set of a table's records, `now` is the clock."""

    def __init__(self, session: Session, set_name: Callable[[RemoteObject], str], now: Callable[[], datetime]) -> None:
        self._session = session
        self._set_name = set_name
        self._now = now

    def deleted_since(self, remote: RemoteObject, token: str) -> DeletedRecords:
        """The records deleted since the token of an earlier call, '' for none yet. As many calls as there are pages."""
        if not remote.tracks_changes:
            raise RequestError(
                f"Dynamics tracks no changes of {remote.name}.",
                hint=f"Switch on change tracking for the table (Power Apps → Tables → {remote.label} → Properties → "
                "Track changes) and collect the object again.",
            )
        what = f"changes of {remote.name}"
        link = token or f"{self._session.root}{self._set_name(remote)}?$select={remote.key}"
        gone: dict[str, None] = {}
        seen: set[str] = set()
        while True:
            page = self._page(remote, self._session.checked_link(link, what), what)
            for one in page.value:
                if one.reason == "deleted":
                    gone[self._id(one.id, what)] = None
            if page.delta_link:
                token = self._session.checked_link(page.delta_link, what)
                return DeletedRecords(batches=iter(_batches(list(gone))), covered=self._now(), token=token)
            seen.add(link)
            link = page.next_link
            if not link or link in seen:
                raise ProtocolError(
                    f"“{what}” ended without saying from where to go on.",
                    hint="Nothing was confirmed. Run it again; if it stays so, report it.",
                )

    def _page(self, remote: RemoteObject, link: str, what: str) -> _Page:
        try:
            answer = self._session.get(link, what, headers=_PREFER)
        except RequestError as error:
            if error.code != TRACKING_EXPIRED:
                raise
            raise RequestError(
                f"Dynamics no longer has the changes of {remote.name} since the last import of its deletions.",
                hint="Import once with “by: compare”, which finds what was deleted meanwhile; then let the tracking "
                "begin anew by clearing its option, and run it more often than the environment keeps changes.",
                code=error.code,
                request_id=error.request_id,
            ) from error
        page: _Page = answer.decoded(_Page, "is not a page of changes")
        return page

    def _id(self, text: str, what: str) -> str:
        found = complete_id(text)
        if found is None:
            raise ProtocolError(f"“{what}” names “{text[:40]}”, which is not an id.", hint=REPORT)
        return found


def _batches(ids: list[str]) -> list[pa.RecordBatch]:
    """When they were deleted the service does not tell."""
    import pyarrow as pa

    if not ids:
        return []
    nothing = pa.nulls(len(ids), pa.string())
    return [
        pa.RecordBatch.from_arrays(
            [pa.array(ids, pa.string()), nothing, nothing], names=[REMOTE_ID, "deleted_at", "merged_into"]
        )
    ]

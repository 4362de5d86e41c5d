"""Change tracking: which records changed or were deleted since a token.

A first read of all keys gives the first token; each later one tells the changes since, and gives a new token. The
service keeps changes for some days only (ExpireChangeTrackingInDays). Source: Dataverse Web API guide, "Use change
tracking to synchronize data".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from crosstie.crm.connector import Changes
from crosstie.crm.dynamics.faults import TRACKING_EXPIRED
from crosstie.crm.dynamics.ids import complete_id
from crosstie.crm.dynamics.pages import PAGE_ROWS
from crosstie.crm.dynamics.session import Session
from crosstie.crm.http import NOT_DECODED, REPORT
from crosstie.errors import ProtocolError, RequestError
from crosstie.model import RemoteObject


class _Page(msgspec.Struct):
    value: msgspec.Raw
    next_link: str = msgspec.field(name="@odata.nextLink", default="")
    delta_link: str = msgspec.field(name="@odata.deltaLink", default="")


class Tracking:
    """The tracked changes of one environment. `set_name` names the set of a table's records."""

    def __init__(self, session: Session, set_name: Callable[[RemoteObject], str], page_rows: int = PAGE_ROWS) -> None:
        self._session = session
        self._set_name = set_name
        self._headers = {"Prefer": f"odata.track-changes,odata.maxpagesize={page_rows}"}

    def changes(self, remote: RemoteObject, token: str) -> Iterator[Changes] | None:
        """The changes since the token of an earlier read, '' for none yet; None when the service has them no longer. As
        many calls as there are pages, of which the first is made at once."""
        if not remote.tracks_changes:
            raise RequestError(
                f"Dynamics tracks no changes of {remote.name}.",
                hint=f"Switch on change tracking for the table (Power Apps → Tables → {remote.label} → Properties → "
                "Track changes) and collect the object again.",
            )
        what = f"changes of {remote.name}"
        link = token or f"{self._session.root}{self._set_name(remote)}?$select={remote.key}"
        try:
            first = self._page(link, what)
        except RequestError as error:
            if not token or error.code != TRACKING_EXPIRED:
                raise
            return None
        return self._pieces(remote, link, first, what)

    def _pieces(self, remote: RemoteObject, link: str, page: _Page, what: str) -> Iterator[Changes]:
        decoder = _decoder(remote.key)
        seen = {link}
        while True:
            changed, deleted = self._ids(decoder, page, what)
            token = self._session.checked_link(page.delta_link, what) if page.delta_link else ""
            yield Changes(changed=changed, deleted=deleted, token=token)
            if token:
                return
            link = page.next_link
            if not link or link in seen:
                raise ProtocolError(
                    f"“{what}” ended without saying from where to go on.",
                    hint="Nothing was confirmed. Run it again; if it stays so, report it.",
                )
            seen.add(link)
            page = self._page(link, what)

    def _page(self, link: str, what: str) -> _Page:
        answer = self._session.get(self._session.checked_link(link, what), what, headers=self._headers)
        page: _Page = answer.decoded(_Page, "is not a page of changes")
        return page

    def _ids(
        self, decoder: msgspec.json.Decoder[list[Any]], page: _Page, what: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The ids of what changed and of what was deleted. A record that only left the set, which the protocol knows
        and this service does not use, is neither."""
        try:
            rows = decoder.decode(page.value)
        except NOT_DECODED as error:
            raise ProtocolError(f"“{what}” are not the changes that were asked for: {error}.", hint=REPORT) from error
        changed = tuple(_checked(row.key, what) for row in rows if row.key)
        deleted = tuple(_checked(row.id, what) for row in rows if not row.key and row.reason == "deleted")
        return changed, deleted


def _decoder(key: str) -> msgspec.json.Decoder[list[Any]]:
    """Reads a changed record, which has its key, and a deleted one, which has `id` and `reason`."""
    fields = [
        ("key", str, msgspec.field(name=key, default="")),
        ("id", str, msgspec.field(default="")),
        ("reason", str, msgspec.field(default="")),
    ]
    return msgspec.json.Decoder(list[msgspec.defstruct("Change", fields)])  # type: ignore[misc]


def _checked(text: str, what: str) -> str:
    found = complete_id(text)
    if found is None:
        raise ProtocolError(f"“{what}” names “{text[:40]}”, which is not an id.", hint=REPORT)
    return found

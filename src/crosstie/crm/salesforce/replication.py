"""The minutes of getUpdated and getDeleted (REST API guide, sObject Get Updated, sObject Get Deleted)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from crosstie.crm.connector import RemoteQuery
from crosstie.crm.http import REPORT, Answer
from crosstie.crm.salesforce.literals import wire_instant
from crosstie.crm.salesforce.session import Session
from crosstie.errors import ProtocolError, RequestError

BAD_DATE = "INVALID_REPLICATION_DATE"
SPAN = timedelta(minutes=2)
"""The shortest window: start must precede end by more than a minute."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)")


def safe_end(session: Session, query: RemoteQuery, end: datetime) -> datetime:
    """The whole minute at or before `end` up to which no open transaction can hold back a change.

    One call, getUpdated over two minutes: its `latestDateCovered` is earlier than the end while a transaction is open.
    No call for objects that are not replicateable."""
    last = minute(end)
    if not query.object.tracks_deletions:
        return last
    path = f"sobjects/{query.object.name}/updated/?{between(last - SPAN, last)}"
    try:
        answer = session.get(path, f"changes of {query.object.name}")
    except RequestError as error:
        found = covered_of_error(error)
        if found is None:
            raise
        return min(last, minute(found))
    return min(last, minute(covered_of(answer)))


def covered_of(answer: Answer) -> datetime:
    """The latestDateCovered of an answer. Raises ProtocolError when it has none."""
    body = answer.json()
    covered = body.get("latestDateCovered") if isinstance(body, dict) else None
    if not isinstance(covered, str):
        raise ProtocolError(f"“{answer.what}” gave no latestDateCovered.", hint=REPORT, request_id=answer.request_id)
    return instant_of(covered, "latestDateCovered", answer)


def instant_of(text: str, name: str, answer: Answer) -> datetime:
    """An instant of an answer. Raises ProtocolError when it is none."""
    try:
        return wire_instant(text)
    except RequestError as error:
        raise ProtocolError(
            f"The {name} of “{answer.what}” is no date: {error.message}", hint=REPORT, request_id=answer.request_id
        ) from error


def covered_of_error(error: RequestError) -> datetime | None:
    """The latestDateCovered in the message of an error: older versions fail instead of answering."""
    found = _STAMP.search(error.message) if error.code == BAD_DATE else None
    return wire_instant(found.group()) if found else None


def between(start: datetime, end: datetime) -> str:
    """The two ends as parameters of a URL."""
    return f"start={_stamp(start)}&end={_stamp(end)}"


def minute(instant: datetime) -> datetime:
    """The whole minute at or before an instant, in UTC."""
    return instant.astimezone(UTC).replace(second=0, microsecond=0)


def _stamp(instant: datetime) -> str:
    return quote(f"{instant:%Y-%m-%dT%H:%M:%S}+00:00", safe="")

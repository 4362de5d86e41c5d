"""Conditional requests for rows: entity tags (of accounts only) and the date of the last change.

Source: "Conditional Request Headers", REST API guide. Conditions follow HTTP 1.1, except that PATCH and POST refuse a
malformed one; GET and HEAD take it as if it were not there. Dates compare with LastModifiedDate in whole seconds.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from crosstie.sandbox.salesforce.catalog import SObject
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.org import Call, read_stamp

TAGGED = "Account"
"""The object whose rows have entity tags."""
_TAGS = re.compile(r'\s*(\*|(?:W/)?"[^"]*"(?:\s*,\s*(?:W/)?"[^"]*")*)\s*')
_TAG = re.compile(r'(?:W/)?"([^"]*)"')


class PreconditionFailed(Exception):
    """A conditional header says that the record is not what the client believes (HTTP 412)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What conditions compare with: the entity tag (None where there are none), and when a user last changed it."""

    tag: str | None
    modified: datetime | None

    @classmethod
    def of(cls, sobject: SObject, stored: Mapping[str, Any]) -> "State":
        """That of a stored record."""
        text = stored.get("LastModifiedDate")
        tag = None
        if sobject.name == TAGGED:
            digest = hashlib.sha256(repr(sorted(stored.items())).encode()).hexdigest()
            # Salesforce's own tags end so, compressed or not.
            tag = f"{digest[:43]}=--gzip"
        return cls(tag=tag, modified=None if text is None else read_stamp(text))

    @property
    def headers(self) -> dict[str, str]:
        """What an answer says of it."""
        headers = {} if self.modified is None else {"Last-Modified": format_datetime(self.modified, usegmt=True)}
        return headers if self.tag is None else headers | {"ETag": f'"{self.tag}"'}


def check_read(call: Call, state: State) -> bool:
    """Whether the record is to be shown; False when the client has it as it is (304). Raises PreconditionFailed."""
    if _named(call, "if-match", state, strict=False) is False:
        raise PreconditionFailed
    since = _date(call, "if-unmodified-since", strict=False)
    if since is not None and state.modified is not None and state.modified > since:
        raise PreconditionFailed
    named = _named(call, "if-none-match", state, strict=False)
    if named is not None:
        # With an entity tag the date is not looked at (RFC 9110).
        return not named
    since = _date(call, "if-modified-since", strict=False)
    return since is None or state.modified is None or state.modified > since


def check_write(call: Call, state: State) -> None:
    """Raises PreconditionFailed when the record is not as the client wants it, ApiError for a malformed condition."""
    since = _date(call, "if-unmodified-since", strict=True)
    changed = since is not None and state.modified is not None and state.modified > since
    changed |= _named(call, "if-match", state, strict=True) is False
    changed |= _named(call, "if-none-match", state, strict=True) is True
    if changed:
        raise PreconditionFailed


def _named(call: Call, header: str, state: State, *, strict: bool) -> bool | None:
    """Whether a list of entity tags has that of the record; None when there is nothing to compare."""
    text = call.request.headers.get(header)
    if text is None or state.tag is None:
        return None
    if not _TAGS.fullmatch(text):
        if strict:
            raise _malformed(header, text)
        return None
    return text.strip() == "*" or state.tag in _TAG.findall(text)


def _date(call: Call, header: str, *, strict: bool) -> datetime | None:
    text = call.request.headers.get(header)
    if text is None:
        return None
    try:
        instant = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        instant = None
    if instant is None or instant.tzinfo is None:
        if strict:
            raise _malformed(header, text)
        return None
    return instant


def _malformed(header: str, text: str) -> ApiError:
    return ApiError(400, "BAD_REQUEST", f"Malformed value of the header {header}: {text}")

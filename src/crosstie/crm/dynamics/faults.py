"""What Dataverse's errors mean for us (Web API guide, "Parse errors from the response"; "Service protection limits").

Codes are compared as `0x80040217`, lower case; older replies write the same value as a signed number.
"""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from crosstie.crm.http import NOT_DECODED, Answer
from crosstie.errors import AuthError, ConnectorError, ProtocolError, RequestError, UnavailableError

NOT_FOUND = "0x80040217"
"""A record does not exist."""

NO_SUCH_KEY = "0x80060891"
"""No record has the values of an alternate key."""

DUPLICATE_KEY = frozenset({"0x80040237", "0x80060892", "0x80073002"})
"""A primary or an alternate key that another record has; the last one as the database itself says it."""

DUPLICATE_DETECTED = "0x80040333"
CHANGED_SINCE = "0x80060882"
THROTTLED = frozenset({"0x80072321", "0x80072322", "0x80072326"})
TRACKING_EXPIRED = "0x80044352"
NOT_A_MEMBER = "0x80072560"
NO_PRIVILEGE = frozenset({"0x80040220", "0x80048306"})
SEGMENT_NOT_FOUND = frozenset({"0x8006088a", "0x80060888"})

CUT_SHORT = frozenset({"0x80044150", "0x80044151", "0x80040216", "0x80071151"})
"""Deadlocks, SQL time-outs, unexpected errors and locks of customizing: what was asked may be asked again, but whether
a write took place is not proved by them."""

_REFUSING = frozenset({400, 403, 404, 405, 409, 410, 412, 413, 414, 415, 429, 431, 501})
_MESSAGE_CHARACTERS = 400
_THROTTLED_FOR = timedelta(seconds=5)


def plain_code(code: object) -> str:
    """A code as `0x80040217`: of its text in any case, or of the signed number. '' for none."""
    text = str(code or "").strip().lower()
    if re.fullmatch(r"-?\d{5,10}", text):
        return f"0x{int(text) & 0xFFFFFFFF:08x}"
    return "" if text in {"", "0x0"} else text


def code_and_message(body: bytes) -> tuple[str, str]:
    """The code and message of an error's body; ('', '') when it is none of Dataverse's (a proxy's HTML, nothing)."""
    try:
        said = msgspec.json.decode(body)
    except NOT_DECODED:
        return "", ""
    error = said.get("error") if isinstance(said, dict) else None
    if not isinstance(error, dict):
        return "", ""
    inner = error.get("innererror")
    message = error.get("message") or (inner.get("message") if isinstance(inner, dict) else "") or ""
    return plain_code(error.get("code")), shown(str(message))


def shown(message: str) -> str:
    """A message on one line, of a length for people."""
    return " ".join(message.split())[:_MESSAGE_CHARACTERS].rstrip(".")


def error_of(answer: Answer, account: str) -> ConnectorError:
    """The error that an answer with status >= 400 means."""
    code, message = code_and_message(answer.body)
    status = answer.status
    shown_code = code or f"HTTP {status}"
    said = f": {message}" if message else ""
    request_id = answer.request_id
    if status == 429 or code in THROTTLED:
        return UnavailableError(
            f"Dynamics takes no more requests of account {account} for now, “{answer.what}” has to wait{said}.",
            hint="Nothing is wrong with the request. Run it again later, or let fewer things run at a time.",
            code=shown_code,
            request_id=request_id,
            retry_after=answer.retry_after() or _THROTTLED_FOR,
        )
    if status in {502, 503, 504} or code in CUT_SHORT or (status >= 500 and not code and status != 501):
        return UnavailableError(
            f"Dynamics cannot answer “{answer.what}” now (HTTP {status}){said}.",
            hint="Nothing is wrong with the request. Run it again later.",
            code=shown_code,
            request_id=request_id,
            retry_after=answer.retry_after(),
        )
    if status in {401, 403} or code in NO_PRIVILEGE or code == NOT_A_MEMBER:
        return AuthError(
            f"Dynamics refuses “{answer.what}” to account {account}{said}.",
            hint=refusal_hint(code, account),
            code=shown_code,
            request_id=request_id,
        )
    if status in {414, 431}:
        return RequestError(
            f"The query of “{answer.what}” is too long for a URL.",
            hint="Ask for fewer fields or fewer values.",
            code=shown_code,
            request_id=request_id,
        )
    if 400 <= status < 500 or code:
        return RequestError(
            f"Dynamics refused “{answer.what}”{said}.",
            hint=_hint(code, message),
            code=shown_code,
            request_id=request_id,
        )
    return ProtocolError(
        f"Dynamics answered “{answer.what}” with HTTP {status}, which was not expected{said}.",
        hint="Run it again; if it stays so, report it.",
        code=shown_code,
        request_id=request_id,
    )


def refusal_hint(code: str, account: str) -> str:
    """What to do when a signed-in user is refused."""
    if code == NOT_A_MEMBER:
        return (
            "The application has no user in this environment: Power Platform admin center → Environments → … → "
            "Settings → Application users → New app user, with a security role."
        )
    return (
        "Check the security role of the account's user in this environment (Power Platform admin center → Environments "
        f"→ … → Settings → Application users): crosstie account check {account}."
    )


def refuses_whole_call(answer: Answer) -> bool:
    """Whether the answer proves that nothing was executed: Dataverse itself names what is wrong with the request, or
    takes none now. A body that is not Dataverse's may come from something on the way, behind the work."""
    if answer.status not in _REFUSING:
        return False
    try:
        said = msgspec.json.decode(answer.body)
    except NOT_DECODED:
        return False
    if not isinstance(said, dict) or not isinstance(said.get("error"), dict):
        return False
    return code_and_message(answer.body)[0] not in CUT_SHORT


def _hint(code: str, message: str) -> str:
    if "could not find a property" in message.lower():
        return "The field was removed or hidden from this user. Collect the object again, or grant access."
    if code in SEGMENT_NOT_FOUND:
        return "The object was removed or renamed. Collect the objects again."
    return {
        NOT_FOUND: "The record was deleted, or this user can't see it.",
        TRACKING_EXPIRED: "Everything has to be read once more.",
        "0x80060883": "The object has no optimistic concurrency: write it without comparing versions.",
        "0x80048d19": "A value does not fit its field, or the field does not exist. Check the mapping.",
    }.get(code, "")

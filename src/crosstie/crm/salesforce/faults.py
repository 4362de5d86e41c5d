"""What Salesforce's errors mean for us (REST API guide, Status Codes and Error Responses)."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from crosstie.crm.http import NOT_DECODED, Answer
from crosstie.errors import AuthError, ConnectorError, ProtocolError, RequestError, UnavailableError

LOCATOR_GONE = "INVALID_QUERY_LOCATOR"
SESSION_GONE = "INVALID_SESSION_ID"
QUERY_TIMEOUT = "QUERY_TIMEOUT"
QUOTA = "REQUEST_LIMIT_EXCEEDED"

_UNAVAILABLE = frozenset({"SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"})
_FORBIDDEN = frozenset(
    {"API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY"}
)
_REFUSING = frozenset({400, 403, 404, 405, 409, 410, 412, 413, 414, 415, 431})
_CUT_SHORT = frozenset({"REQUEST_RUNNING_TOO_LONG", QUERY_TIMEOUT})
_MESSAGE_CHARACTERS = 400
_QUOTA_WAIT = timedelta(hours=1)


def code_and_message(answer: Answer) -> tuple[str, str]:
    """The first error's code and message; ('', '') when the body is none of Salesforce's (a proxy's HTML, nothing)."""
    try:
        body = msgspec.json.decode(answer.body)
    except NOT_DECODED:
        return "", ""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return "", ""
    code = first.get("errorCode") or first.get("exceptionCode") or first.get("error") or ""
    message = first.get("message") or first.get("exceptionMessage") or first.get("error_description") or ""
    return str(code), _shown(str(message))


def error_of(answer: Answer, account: str) -> ConnectorError:
    """The error that an answer with status >= 400 means."""
    code, message = code_and_message(answer)
    status = answer.status
    shown = code or f"HTTP {status}"
    said = f": {message}" if message else ""
    request_id = answer.request_id
    if code == QUOTA:
        return _limit(answer, account, message)
    if status in {420, 429, 502, 503, 504} or code in _UNAVAILABLE or (status >= 500 and not code):
        return UnavailableError(
            f"Salesforce cannot answer “{answer.what}” now (HTTP {status}){said}.",
            hint="Nothing is wrong with the request. Run it again later.",
            code=shown,
            request_id=request_id,
            retry_after=answer.retry_after(),
        )
    if status == 401 or code in _FORBIDDEN or (status == 403 and code != "FEATURENOTENABLED"):
        return AuthError(
            f"Salesforce refuses “{answer.what}” to account {account}{said}.",
            hint=f"Check the user's permissions (API Enabled, object and field access): "
            f"crosstie account check {account}.",
            code=shown,
            request_id=request_id,
        )
    if status in {410} or code == "UNSUPPORTED_API_VERSION":
        return RequestError(
            f"Salesforce no longer serves the API version of account {account}{said}.",
            hint=f"Leave the version to us: crosstie account edit {account} --api-version ''.",
            code=shown,
            request_id=request_id,
        )
    if status in {414, 431}:
        return RequestError(
            f"The query of “{answer.what}” is too long for a URL.",
            hint="Ask for fewer fields or fewer values, or read it by Bulk (road: bulk).",
            code=shown,
            request_id=request_id,
        )
    if 400 <= status < 500:
        return RequestError(
            f"Salesforce refused “{answer.what}”{said}.", hint=_hint(code), code=shown, request_id=request_id
        )
    return ProtocolError(
        f"Salesforce answered “{answer.what}” with HTTP {status}, which was not expected{said}.",
        hint="Run it again; if it stays so, report it.",
        code=shown,
        request_id=request_id,
    )


def refuses_whole_call(answer: Answer) -> bool:
    """Whether the answer proves that nothing was executed: Salesforce itself names what is wrong with the request, or
    that it takes none now. A body that is not Salesforce's may come from something on the way, behind the work."""
    if answer.status not in _REFUSING or not answer.body.lstrip().startswith(b"["):
        return False
    code, _ = code_and_message(answer)
    return bool(code) and code not in _UNAVAILABLE and code not in _CUT_SHORT


def _limit(answer: Answer, account: str, message: str) -> ConnectorError:
    if "concurrent" in message.lower():
        return UnavailableError(
            f"Too many long calls run at once in this org, “{answer.what}” has to wait: {message}",
            hint="Run it again later, or let fewer imports run at a time.",
            code=QUOTA,
            request_id=answer.request_id,
            retry_after=answer.retry_after(),
        )
    return UnavailableError(
        f"Salesforce refused “{answer.what}”: this org has used its API calls of the last 24 hours. {message}".strip(),
        hint="Nothing was lost; run it again in an hour or more. To leave calls to others, set a cap: "
        f"crosstie account edit {account} --daily-calls N.",
        code=QUOTA,
        request_id=answer.request_id,
        retry_after=answer.retry_after() or _QUOTA_WAIT,
    )


def _hint(code: str) -> str:
    return {
        "INVALID_FIELD": "The field was removed or hidden from this user. Collect the object again, or grant access.",
        "INVALID_TYPE": "The object was removed or hidden from this user. Collect the objects again.",
        QUERY_TIMEOUT: "Narrow the filter or the window, or read it by Bulk (road: bulk).",
        LOCATOR_GONE: "The result was closed by Salesforce. Run it again.",
        "INVALIDENTITY": "Read it by query pages (road: pages).",
    }.get(code, "")


def _shown(message: str) -> str:
    """The message without the excerpt of the query before it, whose literals may be personal data."""
    text = re.sub(r"^.*?ERROR at Row:\d+:Column:\d+\s*", "", message, flags=re.DOTALL)
    return " ".join(text.split())[:_MESSAGE_CHARACTERS].rstrip(".")

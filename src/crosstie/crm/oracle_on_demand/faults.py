"""What the faults of Oracle CRM On Demand mean for us (Web Services guide, "Limiters"; Troubleshooting guide, "Error
Codes").

There are two shapes: those of the application, with an error stack, and those of the servlet before it. Both may come
under HTTP 200 and 500. Codes are compared as `SBL-DAT-00498`. A fault never says which record of a group it is about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from crosstie.crm.http import Answer
from crosstie.crm.inflate import whole_number
from crosstie.crm.oracle_on_demand.envelope import child, child_text, elements, local_name
from crosstie.errors import AuthError, ConnectorError, RequestError, UnavailableError

if TYPE_CHECKING:
    from lxml import etree

THROTTLED = "SBL-ODU-01005"
SERVLET_FAILED = "SBL-ODU-01006"
SESSION_OVER = "SBL-ODU-01007"
NOT_PARSED = "SBL-ODU-01008"
NO_SERVICE = "SBL-ODU-01011"
WRONG_LOGON = "SBL-DAT-00446"
WRAPPER = "SBL-EAI-04376"
_DUPLICATE = frozenset(
    {"SBL-EAI-04383", "SBL-EAI-04381", "SBL-DAT-00381", "SBL-DAT-00382", "SBL-ODS-50006", "SBL-DAT-00357"}
)
_MISSING = frozenset({"SBL-EAI-04378", "SBL-EAI-04403"})
_CONFLICT = frozenset({"SBL-DAT-00523", "SBL-EAI-04401"})
_NO_KEY = frozenset({"SBL-EAI-04397", "SBL-EAI-04390"})
_DENIED = frozenset(
    {"SBL-DAT-00553", "SBL-DAT-00542", "SBL-DAT-00278", "SBL-DAT-00279", "SBL-DAT-00284", "SBL-ODS-00446"}
)
_BAD_VALUE = frozenset(
    {
        *(f"SBL-EAI-{one}" for one in ("04375", "04376", "04421", "04186", "13011")),
        *(
            f"SBL-DAT-{one}"
            for one in ("00225", "00235", "00412", "00421", "00476", "00498", "00510", "00521", "00565")
        ),
        "SBL-ODS-50736",
        "SBL-ODS-50751",
        NOT_PARSED,
    }
)
_NO_OPERATION = "SBL-EAI-04313"
_OUR_MISTAKE = frozenset({"SBL-DAT-00398", "SBL-EAI-04009", "SBL-DAT-00501", "SBL-ODU-00271", _NO_OPERATION})

_CODE = re.compile(r"SBL-[A-Z]{3}-\d{5}")
_SESSION = re.compile(
    r"session is not available|session (?:has |is )?(?:expired|over|invalid|timed out)", re.IGNORECASE
)
_QUOTA = re.compile(
    r"(?:limit|maximum|quota)[^.]{0,40}\bsession|session[^.]{0,40}(?:limit|quota|maximum)", re.IGNORECASE
)
_LOGON = re.compile(r"logon parameters|invalid (user ?name|credentials|password)|authentication failed", re.IGNORECASE)
_TIMED_OUT = re.compile(r"RIP_WAIT_ERROR|time(?:d)?[ -]?out", re.IGNORECASE)
_NOT_THERE = frozenset({"HTTP 403", "HTTP 404", "HTTP 405", "HTTP 410"})
_MESSAGE_CHARACTERS = 2_000
_SHOWN_CHARACTERS = 400
_LEAST_WAIT = timedelta(milliseconds=50)
_LONGEST_WAIT_MILLISECONDS = 600_000


class FaultKind(StrEnum):
    """What a fault is about. Of a write, all but TIMED_OUT and UNAVAILABLE prove that nothing was executed."""

    THROTTLED = "throttled"
    SESSION = "session"
    CREDENTIALS = "credentials"
    QUOTA = "quota"
    TIMED_OUT = "timed out"
    UNAVAILABLE = "unavailable"
    NO_SERVICE = "no service"
    DUPLICATE = "duplicate"
    MISSING = "missing"
    CONFLICT = "conflict"
    NO_KEY = "no key"
    DENIED = "denied"
    BAD_VALUE = "bad value"
    OUR_MISTAKE = "our mistake"
    OTHER = "other"


ABOUT_A_RECORD = frozenset(
    {
        FaultKind.DUPLICATE,
        FaultKind.MISSING,
        FaultKind.CONFLICT,
        FaultKind.NO_KEY,
        FaultKind.DENIED,
        FaultKind.BAD_VALUE,
        FaultKind.OTHER,
    }
)
"""The kinds that refuse a group because of one of its records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault as people are told of it. `code` is the inner one, '' where there is none; `wait` is how long a throttled
    request has to. The four columns of rejects are `log_file`, `code`, `symbol`, `message`."""

    kind: FaultKind
    code: str
    symbol: str
    message: str
    log_file: str
    from_application: bool
    wait: timedelta | None = None
    codes: tuple[str, ...] = field(default=())


def fault_of(node: etree._Element) -> Fault | None:
    """The fault that the content of a Body is; None when it is none."""
    if local_name(node) != "Fault":
        return None
    said = " ".join(child_text(node, "faultstring").split())
    detail = child(node, "detail")
    siebel = child(detail, "siebdetail")
    if siebel is not None:
        stack = child(siebel, "errorstack")
        errors = [one for one in elements(stack) if local_name(one) == "error"] if stack is not None else []
        messages = [" ".join(child_text(one, "errormsg").split()) for one in errors]
        message = " | ".join(dict.fromkeys(one for one in messages if one)) or said
        first = next((child_text(one, "errorcode") for one in errors if child_text(one, "errorcode")), "")
        symbol = next((child_text(one, "errorsymbol") for one in errors if child_text(one, "errorsymbol")), "")
        return _fault(first, message, symbol=symbol, log_file=child_text(siebel, "logfilename"), application=True)
    message = " ".join(child_text(detail, "ErrorMessage").split()) or said
    milliseconds = whole_number(child_text(detail, "RequestWait"))
    wait = None if milliseconds is None else timedelta(milliseconds=min(milliseconds, _LONGEST_WAIT_MILLISECONDS))
    return _fault(child_text(detail, "ErrorCode"), message, wait=wait)


def _fault(
    code: str,
    message: str,
    *,
    symbol: str = "",
    log_file: str = "",
    application: bool = False,
    wait: timedelta | None = None,
) -> Fault:
    plain = code.strip().strip("()").strip()
    codes = tuple(dict.fromkeys([*_CODE.findall(code), *_CODE.findall(message)]))
    useful = next((one for one in codes if one != WRAPPER), codes[0] if codes else plain)
    return Fault(
        kind=_kind(codes or (plain,), message),
        code=useful,
        symbol=symbol,
        message=message[:_MESSAGE_CHARACTERS],
        log_file=log_file,
        from_application=application,
        wait=wait,
        codes=codes,
    )


def _kind(codes: tuple[str, ...], message: str) -> FaultKind:
    inner = [one for one in codes if one != WRAPPER]
    if THROTTLED in codes:
        return FaultKind.THROTTLED
    if _QUOTA.search(message) and not _BAD_VALUE & set(inner):
        return FaultKind.QUOTA
    if WRONG_LOGON in codes or _LOGON.search(message):
        return FaultKind.CREDENTIALS
    if _SESSION.search(message) or SESSION_OVER in codes:
        return FaultKind.SESSION
    for kind, known in _KINDS:
        if known & set(inner):
            return kind
    if _TIMED_OUT.search(message):
        return FaultKind.TIMED_OUT
    if SERVLET_FAILED in codes:
        return FaultKind.UNAVAILABLE
    return FaultKind.BAD_VALUE if WRAPPER in codes else FaultKind.OTHER


_KINDS: tuple[tuple[FaultKind, frozenset[str]], ...] = (
    (FaultKind.NO_SERVICE, frozenset({NO_SERVICE})),
    (FaultKind.DUPLICATE, _DUPLICATE),
    (FaultKind.MISSING, _MISSING),
    (FaultKind.CONFLICT, _CONFLICT),
    (FaultKind.NO_KEY, _NO_KEY),
    (FaultKind.DENIED, _DENIED),
    (FaultKind.OUR_MISTAKE, _OUR_MISTAKE),
    (FaultKind.BAD_VALUE, _BAD_VALUE),
)


def error_of(fault: Fault, answer: Answer, account: str) -> ConnectorError:
    """The error that a fault means."""
    what, said = answer.what, f": {shown(fault.message)}" if fault.message else ""
    code, request_id = fault.code or f"HTTP {answer.status}", answer.request_id
    if fault.kind is FaultKind.THROTTLED:
        return UnavailableError(
            f"Oracle CRM On Demand takes no more requests of account {account} for now, “{what}” has to wait{said}.",
            hint="Nothing is wrong with the request. Run it again later, or let fewer things run at a time.",
            retry_after=max(fault.wait or answer.retry_after() or _LEAST_WAIT, _LEAST_WAIT),
            code=code,
            request_id=request_id,
        )
    if fault.kind is FaultKind.QUOTA:
        return UnavailableError(
            f"All sessions of the company are taken, account {account} can't have one for “{what}”{said}.",
            hint=QUOTA_HINT,
            code=code,
            request_id=request_id,
        )
    if fault.kind in {FaultKind.UNAVAILABLE, FaultKind.TIMED_OUT, FaultKind.SESSION}:
        return UnavailableError(
            f"Oracle CRM On Demand cannot answer “{what}” now (HTTP {answer.status}){said}.",
            hint="Nothing is wrong with the request. Run it again later; where wide queries time out, let the account "
            f"have smaller pages: crosstie account edit {account} --page-rows 50.",
            code=code,
            request_id=request_id,
            retry_after=answer.retry_after(),
        )
    if fault.kind in {FaultKind.NO_SERVICE, FaultKind.DENIED, FaultKind.CREDENTIALS}:
        return AuthError(
            f"Oracle CRM On Demand refuses “{what}” to account {account}{said}.",
            hint=ROLE_HINT,
            code=code,
            request_id=request_id,
        )
    return RequestError(
        f"Oracle CRM On Demand refused “{what}”{said}.", hint=_hint(fault), code=code, request_id=request_id
    )


def refuses_what_was_named(error: ConnectorError) -> bool:
    """Whether a service itself has refused what was named in the request, not the session or the way to it."""
    return (_CODE.fullmatch(error.code) is not None and error.code != WRONG_LOGON) or error.code in _NOT_THERE


def error_of_status(answer: Answer, account: str) -> ConnectorError:
    """The error of an answer with status >= 400 that holds no fault: something on the way has spoken."""
    if answer.status in {401, 403}:
        return AuthError(
            f"“{answer.what}” is refused to account {account} (HTTP {answer.status}).",
            hint=f"{ROLE_HINT} A proxy or an IP restriction of the company may stand in the way.",
            code=f"HTTP {answer.status}",
            request_id=answer.request_id,
        )
    if answer.status in {404, 405, 410}:
        return RequestError(
            f"There is no web service at the host of account {account} (HTTP {answer.status}).",
            hint="Check the host: the address that the browser shows when you are signed in.",
            code=f"HTTP {answer.status}",
            request_id=answer.request_id,
        )
    return UnavailableError(
        f"Oracle CRM On Demand cannot answer “{answer.what}” now (HTTP {answer.status}).",
        hint="Nothing is wrong with the request. Run it again later.",
        code=f"HTTP {answer.status}",
        request_id=answer.request_id,
        retry_after=answer.retry_after(),
    )


def shown(message: str) -> str:
    """A message on one line, of a length for people."""
    return " ".join(message.split())[:_SHOWN_CHARACTERS].rstrip(".")


QUOTA_HINT = (
    "A company has ten sessions. End those of programs that are not needed, or wait until idle ones have ended, which "
    "takes ten minutes. If requests with user and password take them up, the company has Web Services R16 Compatibility"
    " Mode switched on: have it switched off (Admin → Company Administration → Company Profile)."
)
ROLE_HINT = (
    "The user's role needs the privilege Enable Web Services Access and access to the record type (Admin → User "
    "Management and Access Controls → Role Management)."
)


def _hint(fault: Fault) -> str:
    if "SBL-DAT-00398" in fault.codes:
        return "The field was removed or renamed, or this user can't see it. Collect the object again."
    if _NO_OPERATION in fault.codes:
        return "The company may have the other kind of WSDL for this object: see flavour in the account's settings."
    return {
        FaultKind.MISSING: "The record was deleted, or this user can't see it.",
        FaultKind.DUPLICATE: "Another record has that key.",
        FaultKind.CONFLICT: "Another user has changed the record meanwhile.",
    }.get(fault.kind, "Check the fields, the filter and the values.")

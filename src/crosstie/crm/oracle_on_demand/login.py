"""Opening and ending sessions (Web Services guide, "Establishing and managing Web services sessions").

By GET, with user and password in headers; the session is a cookie.
"""

from __future__ import annotations

import logging
import re
from typing import Protocol
from urllib.parse import quote

from crosstie.crm.http import Answer, Call
from crosstie.crm.oracle_on_demand.envelope import body_of
from crosstie.crm.oracle_on_demand.faults import (
    QUOTA_HINT,
    ROLE_HINT,
    Fault,
    FaultKind,
    error_of,
    error_of_status,
    fault_of,
    shown,
)
from crosstie.crm.oracle_on_demand.settings import OracleOnDemandSettings
from crosstie.errors import AuthError, ConnectorError, CrosstieError, UnavailableError

log = logging.getLogger(__name__)

_COOKIE = re.compile(r"JSESSIONID=([!#-+\--:<-\[\]-~]{1,1000})", re.ASCII)
_TAGS = re.compile(r"<[^>]*>")
_PLAIN = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)
_ABOUT_CREDENTIALS = re.compile(r"password|credential|user ?name|user id|log ?in|sign ?in|authenti", re.IGNORECASE)
_LIMITED = re.compile("limit|quota|maximum", re.IGNORECASE)
_HEAD_BYTES = 2_000
_LIMIT_BYTES = 1024 * 1024
_FINAL_ATTEMPTS = 2


class Sender(Protocol):
    """Sends one request in its turn; the session's cookie goes along where there is one."""

    def __call__(self, call: Call, *, cookie: str = "") -> Answer:
        """The whole answer. Raises ConnectorError."""
        ...


def cookie_in(answer: Answer) -> str:
    """The session's cookie that an answer sets; '' when it sets none."""
    found = _COOKIE.search(answer.headers.get("set-cookie", ""))
    return found[1] if found else ""


class Login:
    """Signs one account in and off."""

    def __init__(self, settings: OracleOnDemandSettings, account: str, send: Sender) -> None:
        self._settings = settings
        self._account = account
        self._send = send

    def session(self) -> str:
        """The cookie of a new session. Raises AuthError when the service refuses, saying what is mostly wrong then, and
        UnavailableError when it can't or has no session left."""
        user, password = self._settings.user, self._settings.password.get_secret_value()
        query = "command=login"
        if not (_PLAIN.fullmatch(user) and _PLAIN.fullmatch(password)):
            query, user, password = f"{query}&isEncoded=Y", quote(user), quote(password)
        answer = self._command(query, "sign in", {"UserName": user, "Password": password})
        cookie = cookie_in(answer)
        if answer.status < 400 and cookie and b"Fault" not in answer.body[:_HEAD_BYTES]:
            return cookie
        raise self._refusal(answer)

    def off(self, cookie: str) -> bool:
        """Whether the service was told. It answers the same whether there was such a session or not."""
        for _ in range(_FINAL_ATTEMPTS):
            try:
                answer = self._command("command=logoff", "log off", {}, cookie=cookie)
            except ConnectorError as error:
                reason = error.message
                continue
            if answer.status < 500:
                return True
            reason = f"HTTP {answer.status}"
        log.warning(
            "A session of account %s could not be logged off: %s It takes one of the company's ten until the next run"
            " logs it off, or it has been idle for ten minutes.",
            self._account,
            reason,
        )
        return False

    def refused(self, said: str, *, code: str = "", answer: Answer | None = None) -> AuthError:
        """The refusal of user and password, with what the service has `said`."""
        status = f"HTTP {answer.status}" if answer is not None else ""
        form = "" if "/" in self._settings.user else " The user is given as COMPANY/user, with a slash."
        return AuthError(
            f"Oracle CRM On Demand refused to sign in account {self._account} ({self._settings.flow})"
            f"{f': {said}' if said else ''}.",
            hint=f"Check user, password and host.{form} A password expires, and several wrong ones lock the user: sign"
            f" in by a browser to see. {ROLE_HINT}",
            code=code or status or "SIGN_IN",
            request_id=answer.request_id if answer is not None else "",
        )

    def _command(self, query: str, what: str, headers: dict[str, str], *, cookie: str = "") -> Answer:
        url = f"{self._settings.host}/Services/Integration?{query}"
        return self._send(
            Call(method="GET", url=url, what=what, headers=headers, limit_bytes=_LIMIT_BYTES), cookie=cookie
        )

    def _refusal(self, answer: Answer) -> CrosstieError:
        """Why there is no session."""
        said = shown(_TAGS.sub(" ", answer.body[:_HEAD_BYTES].decode(errors="replace")))
        fault: Fault | None = None
        if b"Fault" in answer.body[:_HEAD_BYTES]:
            fault = fault_of(body_of(answer))
        if fault is not None:
            error = error_of(fault, answer, self._account)
            if isinstance(error, UnavailableError) and fault.kind is not FaultKind.SESSION:
                return error
            said = shown(fault.message)
        if "session" in said.lower() and _LIMITED.search(said):
            return UnavailableError(
                f"All sessions of the company are taken, account {self._account} can't sign in: {said}.",
                hint=QUOTA_HINT,
                code=f"HTTP {answer.status}",
                request_id=answer.request_id,
            )
        if answer.status in {429, 502, 503, 504} or (answer.status >= 500 and not _ABOUT_CREDENTIALS.search(said)):
            return error_of_status(answer, self._account)
        if answer.status in {404, 405, 410}:
            return error_of_status(answer, self._account)
        return self.refused(said, code=fault.code if fault else "", answer=answer)

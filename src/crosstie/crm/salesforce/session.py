"""Calls to one org: token, its renewal, the API meter, Salesforce's errors as ours."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import msgspec

from crosstie.crm.http import (
    ERROR_LIMIT_BYTES,
    JSON_LIMIT_BYTES,
    REPORT,
    Answer,
    Call,
    HttpSession,
    Retries,
    Stream,
    Timeouts,
    Transport,
    Unwritten,
    http_date,
)
from crosstie.crm.inflate import whole_number
from crosstie.crm.meter import Meter
from crosstie.crm.salesforce.auth import SignedIn, sign_in
from crosstie.crm.salesforce.faults import QUOTA, SESSION_GONE, error_of, refuses_whole_call
from crosstie.crm.salesforce.settings import SalesforceSettings
from crosstie.errors import AuthError, ProtocolError, UnavailableError

T = TypeVar("T", Answer, Stream)

_MAX_RENEWALS = 2
_WITHOUT_BODY = frozenset({204, 304})
# The per-app suffix ("; per-app-api-usage=17/250(appName=x)") may stand before or behind.
_METER = re.compile(r"(?:^|[;,\s])api-usage=(\d+)/(\d+)")
_NOT_RENEWABLE = ("Connected app is not attached to Agent", "This session is not valid for use with the REST API")


class Session:
    """An org behind an account. Thread-safe. Signs in when first used, and again when the session has expired."""

    def __init__(
        self,
        settings: SalesforceSettings,
        *,
        account: str,
        org_id: str,
        token: str,
        on_token: Callable[[str], None],
        retries: Retries | None = None,
        timeouts: Timeouts | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.account = account
        self._org_id = org_id
        self.meter = Meter()
        self._settings = settings
        self.http = HttpSession(
            settings.hosts(),
            ca_file=settings.ca_file,
            retries=retries,
            timeouts=timeouts,
            transport=transport,
            on_retry=self.meter.count_retry,
        )
        self._on_token = on_token
        self._signed_in = SignedIn.parse(token, settings)
        self._lock = threading.Lock()
        self._server_time: datetime | None = None

    @property
    def flow(self) -> str:
        """The way to sign in."""
        return self._settings.flow

    @property
    def server_time(self) -> datetime | None:
        """The Date of the last answer, in UTC."""
        return self._server_time

    def signed_in(self) -> SignedIn:
        """The session; signs in if there is none yet."""
        with self._lock:
            if self._signed_in is None:
                self._renew()
            assert self._signed_in is not None
            return self._signed_in

    def signed_in_anew(self) -> SignedIn:
        """A session that was made just now: a kept one proves nothing of the credentials."""
        with self._lock:
            self._renew()
            assert self._signed_in is not None
            return self._signed_in

    def _renew(self) -> None:
        session = sign_in(self.http, self._settings, self.account, earlier=self._signed_in)
        # An account that was never checked has no org yet; but once a session is there, its renewal must not change it.
        known = self._org_id or (self._signed_in.org_id if self._signed_in is not None else "")
        if known and session.org_id != known:
            raise AuthError(
                f"Account {self.account} belongs to the org {known}, but signing in leads to {session.org_id}.",
                hint="What was imported under this account belongs to the first org. Give the other org an account of "
                "its own: crosstie account add NAME.",
                code="OTHER_ORG",
            )
        self._signed_in = session
        self._on_token(session.text())

    def _renewed(self, expired: SignedIn) -> SignedIn:
        """A session newer than the expired one; one thread signs in for all."""
        with self._lock:
            if self._signed_in is expired or self._signed_in is None:
                self._renew()
            assert self._signed_in is not None
            return self._signed_in

    def url(self, path: str, *, version: str = "") -> str:
        """The URL of a resource of the REST API; an absolute path (`/services/…`) is taken as it is."""
        session = self.signed_in()
        if path.startswith("/"):
            return session.instance_url + path
        return f"{session.instance_url}/services/data/v{version or session.version}/{path}"

    def follow(self, link: str, what: str) -> str:
        """The path of a link that an answer gave. Raises ProtocolError when it leads elsewhere than to the data API."""
        instance = self.signed_in().instance_url
        url = self.http.follow(link, base=instance + "/", what=what)
        path = url.removeprefix(instance)
        if path == url or not path.startswith("/services/data/"):
            raise ProtocolError(
                f"The answer to “{what}” points outside the org's data API. It was not followed.", hint=REPORT
            )
        return path

    def get(
        self,
        path: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        version: str = "",
        limit_bytes: int = JSON_LIMIT_BYTES,
    ) -> Answer:
        """Reads, repeatedly while the org is unavailable. Statuses below 400 are given back, 304 included."""
        return self.http.repeat(
            lambda: self.once("GET", path, what, headers=headers, version=version, limit_bytes=limit_bytes)
        )

    def once(
        self,
        method: str,
        path: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        version: str = "",
        limit_bytes: int = JSON_LIMIT_BYTES,
    ) -> Answer:
        """One call that is not repeated by itself, but for an expired session. `body` is sent as JSON."""
        content = b"" if body is None else msgspec.json.encode(body)
        sent = {"Accept": "application/json", **(headers or {})}
        if content:
            sent["Content-Type"] = "application/json; charset=UTF-8"
        call = Call(
            method=method,
            url=self.url(path, version=version),
            what=what,
            headers=sent,
            body=content,
            limit_bytes=limit_bytes,
        )
        answer = self._authorised(call, self.http.send)
        if answer.status not in _WITHOUT_BODY:
            answer.refuse_cut()
        if answer.status >= 400:
            raise error_of(answer, self.account)
        return answer

    def write(
        self,
        method: str,
        path: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        content_type: str = "application/json; charset=UTF-8",
        version: str = "",
    ) -> Answer | Unwritten:
        """One call that changes something, sent once, but for an expired session; see `HttpSession.write`."""
        sent = {"Accept": "application/json", **(headers or {}), **({"Content-Type": content_type} if content else {})}

        def attempt(send: Callable[[Call], Answer]) -> Answer:
            url = self.url(path, version=version)
            return self._authorised(Call(method=method, url=url, what=what, headers=sent, body=content), send)

        return self.http.write(
            attempt, lambda answer: Unwritten(error=error_of(answer, self.account), proved=refuses_whole_call(answer))
        )

    def stream(self, path: str, what: str, *, headers: Mapping[str, str], version: str = "") -> Stream:
        """One attempt at a large answer; only its headers are read."""
        call = Call(method="GET", url=self.url(path, version=version), what=what, headers=headers)
        stream = self._authorised(call, self.http.stream)
        if stream.status >= 400:
            raise error_of(stream.read(ERROR_LIMIT_BYTES).refuse_cut(), self.account)
        return stream

    def _authorised(self, call: Call, send: Callable[[Call], T]) -> T:
        """Sends with the token; on 401 renews it, at most twice, and sends again: a 401 proves "not executed"."""
        session = self.signed_in()
        for renewal in range(_MAX_RENEWALS + 1):
            self._within_cap(call.what)
            self.meter.count_calls(1)
            result = send(replace(call, headers={**call.headers, "Authorization": f"Bearer {session.access_token}"}))
            self._read_meters(result)
            if result.status != 401:
                return result
            answer = result if isinstance(result, Answer) else result.read(ERROR_LIMIT_BYTES)
            error = error_of(answer, self.account)
            if any(text in error.message for text in _NOT_RENEWABLE):
                raise error
            if renewal < _MAX_RENEWALS:
                self.meter.count_retry(f"The session had ended before “{call.what}”; signed in again.")
                moved_from = session.instance_url
                session = self._renewed(session)
                call = replace(call, url=session.instance_url + call.url.removeprefix(moved_from))
        raise AuthError(
            f"Salesforce refuses the session of account {self.account} straight after signing in.",
            hint="A policy of the org stands in the way: high-assurance sessions, IP ranges, or an expired "
            "password. Look at Setup → Login History of that user.",
            code=SESSION_GONE,
        )

    def _read_meters(self, result: Answer | Stream) -> None:
        meter = _METER.search(result.headers.get("sforce-limit-info", ""))
        used, limit = (whole_number(meter.group(1)), whole_number(meter.group(2))) if meter else (None, None)
        if used is not None and limit is not None:
            self.meter.usage.org_used, self.meter.usage.org_limit = used, limit
        date = http_date(result.headers.get("date"))
        if date:
            self._server_time = date

    def _within_cap(self, what: str) -> None:
        cap, used = self._settings.daily_calls, self.meter.usage.org_used
        if cap and used >= cap:
            raise UnavailableError(
                f"“{what}” was not sent: this org has used {used:,} API calls in the last 24 hours, "
                f"and account {self.account} is capped at {cap:,}.",
                hint=f"Run it again later, or raise the cap: crosstie account edit {self.account} --daily-calls N.",
                code=QUOTA,
            )

    def close(self) -> None:
        """Closes every connection; the session itself stays valid, others may share it."""
        self.http.close()

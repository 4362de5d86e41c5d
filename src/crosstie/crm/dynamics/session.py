"""Calls to one environment: token, its renewal, the waits that it asks for, Dataverse's errors as ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from crosstie.crm.dynamics.auth import SignedIn, acquire, owner_of
from crosstie.crm.dynamics.faults import error_of, refuses_whole_call
from crosstie.crm.dynamics.settings import DynamicsSettings
from crosstie.crm.http import (
    JSON_LIMIT_BYTES,
    NOT_SENT,
    REPORT,
    Answer,
    Call,
    HttpSession,
    Retries,
    Timeouts,
    Transport,
    Unwritten,
    http_date,
)
from crosstie.crm.inflate import whole_number
from crosstie.crm.meter import Meter
from crosstie.errors import AuthError, ProtocolError, UnavailableError

_MAX_RENEWALS = 2
_WITHOUT_BODY = frozenset({204, 304})
_HEADERS = {"Accept": "application/json", "OData-MaxVersion": "4.0", "OData-Version": "4.0"}
_PARALLEL = 4
_MOST_PARALLEL = 16
_HELD = timedelta(seconds=5)


class _WhoAmI(msgspec.Struct):
    user_id: str = msgspec.field(name="UserId")
    org_id: str = msgspec.field(name="OrganizationId")


class Session:
    """An environment behind an account. Thread-safe. Signs in when first used, and again when the token ends."""

    def __init__(
        self,
        settings: DynamicsSettings,
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
        self.settings = settings
        self.meter = Meter()
        self._org_id = org_id
        # Two sessions, so that no token can go to the authority and no secret to the environment.
        self.http, self._authority = (
            HttpSession(
                hosts,
                ca_file=settings.ca_file,
                retries=retries,
                timeouts=timeouts,
                transport=transport,
                on_retry=self.meter.count_retry,
            )
            for hosts in (settings.hosts(), settings.authority_hosts())
        )
        self._on_token = on_token
        self._signed_in = SignedIn.parse(token, settings)
        self._lock = threading.Lock()
        self._server_time: datetime | None = None
        self._hint = 0
        self._held_until = 0.0

    def permitted_by(self, permit: Callable[[], None]) -> None:
        """Asks `permit` before every request from now on."""
        self.http.permit = self._authority.permit = permit

    @property
    def server_time(self) -> datetime | None:
        """The Date of the last answer, in UTC."""
        return self._server_time

    @property
    def parallel(self) -> int:
        """How many calls at once the service recommends (x-ms-dop-hint), within bounds of ours."""
        return min(self._hint or _PARALLEL, _MOST_PARALLEL)

    def signed_in(self) -> SignedIn:
        """The session; signs in if there is none, or it ends soon."""
        with self._lock:
            if self._signed_in is None or self._signed_in.ends_soon():
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
        token = acquire(self._authority, self.settings, self.account)
        who = self._who_am_i(token.text)
        # An account that was never checked has no org yet; but once a session is there, its renewal must not change it.
        known = self._org_id or (self._signed_in.org_id if self._signed_in is not None else "")
        if known and who.org_id != known:
            raise AuthError(
                f"Account {self.account} belongs to the org {known}, but signing in leads to {who.org_id}.",
                hint="What was imported under this account belongs to the first org. Give the other org an account of "
                "its own: crosstie account add NAME.",
                code="OTHER_ORG",
            )
        self._signed_in = SignedIn(
            access_token=token.text,
            until=token.until,
            org_id=who.org_id,
            user_id=who.user_id,
            owner=owner_of(self.settings),
        )
        self._on_token(self._signed_in.text())

    def _who_am_i(self, token: str) -> _WhoAmI:
        """Who the token is here: the environment's own id is known before anything else is asked of it."""
        headers = {**_HEADERS, "Authorization": f"Bearer {token}"}
        call = Call(method="GET", url=self.url("WhoAmI"), what="sign in", headers=headers)

        def attempt() -> Answer:
            answer = self.http.send(call)
            self._read_meters(answer)
            if answer.status == 401:
                raise self._not_taken(answer)
            if answer.status >= 400:
                raise error_of(answer, self.account)
            return answer.refuse_cut()

        answer = self.http.repeat(attempt)
        who: _WhoAmI = answer.decoded(_WhoAmI, "does not say who signed in")
        return _WhoAmI(user_id=who.user_id.lower(), org_id=who.org_id.lower())

    def _not_taken(self, answer: Answer) -> AuthError:
        """The refusal of a token that was just made: mostly it is for another resource or of another tenant, and the
        challenge says for which it should be."""
        challenge = " ".join(answer.headers.get("www-authenticate", "").split())[:300]
        said = f" It asks for: {challenge}." if "authorization_uri" in challenge else ""
        return AuthError(
            f"The environment {self.settings.host} does not take the token that Microsoft Entra gave to account "
            f"{self.account}.{said}",
            hint="Check that tenant and environment URL belong together, and leave resource empty unless they told you "
            "another one.",
            code="HTTP 401",
            request_id=answer.request_id,
        )

    def _renewed(self, expired: SignedIn) -> SignedIn:
        """A session newer than the expired one; one thread signs in for all."""
        with self._lock:
            if self._signed_in is expired or self._signed_in is None:
                self._renew()
            assert self._signed_in is not None
            return self._signed_in

    def url(self, path: str) -> str:
        """The URL of a path below the Web API's root; an absolute URL is taken as it is."""
        return path if path.startswith("https://") else f"{self.root}{path}"

    @property
    def root(self) -> str:
        """The Web API's root, with a slash at its end."""
        return f"{self.settings.host}/api/data/v{self.settings.api_version}/"

    def checked_link(self, link: str, what: str) -> str:
        """A link that an answer gave, as it is, byte for byte. Raises ProtocolError when it leads elsewhere than to
        the environment's Web API."""
        url = self.http.follow(link, base=self.root, what=what)
        if not url.partition("://")[2].partition("/")[2].startswith("api/data/"):
            raise ProtocolError(
                f"The answer to “{what}” points outside the environment's Web API. It was not followed.", hint=REPORT
            )
        return link if link.startswith("https://") else url

    def get(
        self,
        path: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit_bytes: int = JSON_LIMIT_BYTES,
    ) -> Answer:
        """Reads, repeatedly while the service is unavailable. Statuses below 400 are given back, 304 included."""
        return self.http.repeat(lambda: self.once("GET", path, what, headers=headers, limit_bytes=limit_bytes))

    def once(
        self,
        method: str,
        path: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        content_type: str = "application/json; charset=utf-8",
        operations: int = 1,
        limit_bytes: int = JSON_LIMIT_BYTES,
    ) -> Answer:
        """One call that is not repeated by itself, but for an expired token. `operations` is what the service counts
        it as: each request of a batch is one."""
        call = self._call(method, path, what, headers, content, content_type, limit_bytes)
        answer = self._authorised(call, self.http.send, operations)
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
        content_type: str = "application/json; charset=utf-8",
        operations: int = 1,
        limit_bytes: int = JSON_LIMIT_BYTES,
    ) -> Answer | Unwritten:
        """One call that changes something, sent once, but for an expired token; see `HttpSession.write`."""

        def attempt(send: Callable[[Call], Answer]) -> Answer:
            call = self._call(method, path, what, headers, content, content_type, limit_bytes)
            return self._authorised(call, send, operations)

        return self.http.write(
            attempt, lambda answer: Unwritten(error=error_of(answer, self.account), proved=refuses_whole_call(answer))
        )

    def _call(
        self,
        method: str,
        path: str,
        what: str,
        headers: Mapping[str, str] | None,
        content: bytes,
        content_type: str,
        limit_bytes: int,
    ) -> Call:
        sent = {**_HEADERS, **(headers or {})}
        if content:
            sent["Content-Type"] = content_type
        return Call(method=method, url=self.url(path), what=what, headers=sent, body=content, limit_bytes=limit_bytes)

    def _authorised(self, call: Call, send: Callable[[Call], Answer], operations: int) -> Answer:
        """Sends with the token; on 401 renews it, at most twice, and sends again: a 401 proves "not executed"."""
        session = self.signed_in()
        for renewal in range(_MAX_RENEWALS + 1):
            self._refuse_while_held(call.what)
            self.meter.count_calls(operations)
            answer = send(replace(call, headers={**call.headers, "Authorization": f"Bearer {session.access_token}"}))
            self._read_meters(answer)
            if answer.status != 401:
                return answer
            if renewal < _MAX_RENEWALS:
                self.meter.count_retry(f"The token had ended before “{call.what}”; signed in again.")
                session = self._renewed(session)
        raise AuthError(
            f"Dynamics refuses the token of account {self.account} straight after signing in.",
            hint="A policy stands in the way: IP firewall of the environment, conditional access, or a disabled user.",
            code="HTTP 401",
        )

    def _read_meters(self, answer: Answer) -> None:
        """Clock, recommended parallelism, and the wait that a throttled call asks all others to keep too."""
        date = http_date(answer.headers.get("date"))
        if date:
            self._server_time = date
        self._hint = whole_number(answer.headers.get("x-ms-dop-hint", "")) or self._hint
        if answer.status == 429:
            self.hold(answer.retry_after())

    def hold(self, wait: timedelta | None) -> None:
        """From now on nothing is sent for so long: whoever goes on while throttled has to wait longer."""
        until = time.monotonic() + (_HELD if wait is None else wait).total_seconds()
        self._held_until = max(self._held_until, until)

    def _refuse_while_held(self, what: str) -> None:
        remaining = self._held_until - time.monotonic()
        if remaining > 0:
            raise UnavailableError(
                f"“{what}” was not sent: Dynamics asked account {self.account} to wait.",
                hint="Nothing is wrong with the request. Run it again later, or let fewer things run at a time.",
                code=NOT_SENT,
                retry_after=timedelta(seconds=remaining),
            )

    def close(self) -> None:
        """Closes every connection; the token itself stays valid, others may share it."""
        self.http.close()
        self._authority.close()

"""Calls to one company: its session, the pace that it allows, its faults as ours.

A session is opened when first used, again when it has ended, and always logged off at the end: a company has ten.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from crosstie.crm.http import NOT_SENT, Answer, Call, HttpSession, Retries, Timeouts, Transport, Unwritten, http_date
from crosstie.crm.meter import Meter
from crosstie.crm.oracle_on_demand.envelope import ANSWER_LIMIT_BYTES, body_of, envelope
from crosstie.crm.oracle_on_demand.faults import (
    ROLE_HINT,
    Fault,
    FaultKind,
    error_of,
    error_of_status,
    fault_of,
    shown,
)
from crosstie.crm.oracle_on_demand.identity import CURRENT_USER, Identity, identity_of, who_asks
from crosstie.crm.oracle_on_demand.kept import USES, Kept, OpenSession, is_left, opened_here
from crosstie.crm.oracle_on_demand.login import Login, cookie_in
from crosstie.crm.oracle_on_demand.pace import BETWEEN_REQUESTS, Pace
from crosstie.crm.oracle_on_demand.settings import Flow, OracleOnDemandSettings
from crosstie.errors import AuthError, ConnectorError, RequestError, UnavailableError

if TYPE_CHECKING:
    from lxml import etree

log = logging.getLogger(__name__)

_MAX_RENEWALS = 2
_HEAD_BYTES = 2_000
_CLOSING = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request of a service: its SOAPAction without quotes, what is inside the Body, and what it is for people.

    `credentials`: the service takes no session, user and password travel with it. `operations` is what the service
    counts it as; `path` is where it is reached."""

    action: str
    body: str = field(repr=False)
    what: str
    credentials: bool = False
    operations: int = 1
    path: str = "/Services/Integration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a service answered: the output element, and the answer around it."""

    output: etree._Element
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Unwritten):
    """A write that was answered by a fault."""

    fault: Fault


class Session:
    """A company behind an account. Thread-safe. `between` is the least time from one request to the next."""

    def __init__(
        self,
        settings: OracleOnDemandSettings,
        *,
        account: str,
        org_id: str = "",
        token: str = "",
        on_token: Callable[[str], None] = lambda token: None,
        retries: Retries | None = None,
        timeouts: Timeouts | None = None,
        transport: Transport | None = None,
        between: timedelta = BETWEEN_REQUESTS,
    ) -> None:
        self.account = account
        self.settings = settings
        self.meter = Meter()
        self.http = HttpSession(
            settings.hosts(),
            ca_file=settings.ca_file,
            retries=retries,
            timeouts=timeouts,
            transport=transport,
            on_retry=self.meter.count_retry,
        )
        self._on_token = on_token
        self._kept = Kept.parse(token, settings)
        self._org_id = org_id or self._kept.org_id
        self._identity: Identity | None = None
        self._open: OpenSession | None = None
        self._affinity = ""
        self._closed = False
        self._looked_for_left = False
        self._lock = threading.RLock()
        self._pace = Pace(between, account)
        self._login = Login(
            settings, account, lambda call, *, cookie="": self._sent(call, self.http.send, 0, cookie=cookie)
        )
        self._server_time: datetime | None = None

    def permitted_by(self, permit: Callable[[], None]) -> None:
        """Asks `permit` before every request from now on, but for logging off."""
        self.http.permit = permit

    @property
    def server_time(self) -> datetime | None:
        """The Date of the last answer, in UTC."""
        return self._server_time

    def identity(self) -> Identity:
        """Who signed in, and to which company; signs in if needed."""
        with self._lock:
            if self._identity is None:
                self._sign_in()
            assert self._identity is not None
            return self._identity

    def identity_anew(self) -> Identity:
        """The same, by signing in now: an open session proves nothing of the credentials."""
        with self._lock:
            self._log_off_own()
            self._identity = None
            return self.identity()

    def ask(self, message: Message) -> Reply:
        """Reads, repeatedly while the service is unavailable. Raises ConnectorError for a fault."""
        return self.http.repeat(lambda: self._asked(message))

    def _asked(self, message: Message) -> Reply:
        answer = self._signed(message, self.http.send)
        reply = self._judged(answer)
        if isinstance(reply, Refused):
            self._pace.hold(reply.fault)
            raise reply.error
        return reply

    def write(self, message: Message) -> Reply | Refused | Unwritten:
        """One call that changes something, sent once, but for a session that had ended; see `HttpSession.write`. A
        fault is a `Refused`, which says whether it proves that nothing was executed."""
        found = self.http.write(lambda send: self._signed(message, send), self._unwritten, unexecuted=self._is_over)
        if isinstance(found, Unwritten):
            return found
        try:
            reply = self._judged(found)
        except ConnectorError as error:
            return Unwritten(error=error, proved=False)
        if isinstance(reply, Refused):
            self._pace.hold(reply.fault)
        return reply

    def _unwritten(self, answer: Answer) -> Unwritten:
        try:
            reply = self._judged(answer)
        except ConnectorError as error:
            return Unwritten(error=error, proved=False)
        if isinstance(reply, Refused):
            self._pace.hold(reply.fault)
            return reply
        return Unwritten(error=error_of_status(answer, self.account), proved=False)

    def _judged(self, answer: Answer) -> Reply | Refused:
        """The answer, or the fault that it is. Raises ConnectorError for what is neither."""
        if answer.status >= 400 and b"Fault" not in answer.body[:_HEAD_BYTES]:
            raise error_of_status(answer, self.account)
        output = body_of(answer)
        fault = fault_of(output)
        if fault is None:
            if answer.status >= 400:
                raise error_of_status(answer, self.account)
            return Reply(output=output, answer=answer)
        doubtful = fault.kind in {FaultKind.TIMED_OUT, FaultKind.UNAVAILABLE}
        unknown = fault.kind is FaultKind.OTHER and not fault.from_application
        return Refused(error=error_of(fault, answer, self.account), proved=not doubtful and not unknown, fault=fault)

    def _signed(self, message: Message, send: Callable[[Call], Answer]) -> Answer:
        """Sends with the session, or with user and password. A session that has ended proves "not executed": another
        one is opened, at most twice, and the message sent again."""
        self.identity()
        if message.credentials or self.settings.flow is Flow.WS_SECURITY:
            return self._with_credentials(message, send)
        call = self._call(message)
        for renewal in range(_MAX_RENEWALS + 1):
            session = self._session()
            answer = self._sent(call, send, message.operations, cookie=session.cookie)
            if not self._is_over(answer):
                return answer
            if renewal < _MAX_RENEWALS:
                self.meter.count_retry(f"The session had ended before “{message.what}”; signed in again.")
                self._renew(session)
        raise AuthError(
            f"Oracle CRM On Demand refuses the session of account {self.account} straight after signing in.",
            hint="Several programs may use the user at once and end each other's sessions: give this account a user of "
            f"its own. {ROLE_HINT}",
            code=f"HTTP {answer.status}",
        )

    def _with_credentials(self, message: Message, send: Callable[[Call], Answer]) -> Answer:
        """The cookie goes along: where a company keeps sessions all the same, it is one, not one each request."""
        call = self._call(message, credentials=True)
        answer = self._sent(call, send, message.operations, cookie=self._affinity)
        self._read_affinity(answer)
        return answer

    def _read_affinity(self, answer: Answer) -> None:
        self._affinity = cookie_in(answer) or self._affinity

    def leaves_sessions(self) -> bool:
        """Whether a request with user and password has opened a session: then its cookie is enough for another one.
        One call. Raises ConnectorError."""
        message = Message(action=CURRENT_USER.action("QueryPage"), body=who_asks(), what="look for a session")

        def attempt() -> bool:
            reply = self._judged(self._sent(self._call(message), self.http.send, 0, cookie=self._affinity))
            if isinstance(reply, Reply):
                return True
            if reply.fault.kind is FaultKind.THROTTLED:
                raise reply.error
            return False

        return bool(self._affinity) and self.http.repeat(attempt)

    def _call(self, message: Message, *, credentials: bool = False) -> Call:
        user, password = self.settings.user, self.settings.password.get_secret_value()
        content = envelope(message.body, user=user, password=password) if credentials else envelope(message.body)
        return Call(
            method="POST",
            url=f"{self.settings.host}{message.path}",
            what=message.what,
            headers={"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{message.action}"'},
            body=content,
            limit_bytes=ANSWER_LIMIT_BYTES,
        )

    def _sent(self, call: Call, send: Callable[[Call], Answer], operations: int, *, cookie: str = "") -> Answer:
        self._refuse_closed(call.what)
        self._pace.wait_turn(call.what)
        self.meter.count_calls(operations)
        headers = {**call.headers, "Cookie": f"JSESSIONID={cookie}"} if cookie else call.headers
        answer = send(replace(call, headers=headers))
        self._server_time = http_date(answer.headers.get("date")) or self._server_time
        return answer

    def _is_over(self, answer: Answer) -> bool:
        """Whether the answer says that there is no such session."""
        if answer.status == 401:
            return True
        if b"Fault" not in answer.body[:_HEAD_BYTES]:
            return False
        try:
            fault = fault_of(body_of(answer))
        except ConnectorError:
            return False
        return fault is not None and fault.kind is FaultKind.SESSION

    def _refuse_closed(self, what: str) -> None:
        if self._closed:
            raise RequestError(
                f"“{what}” was not sent: the connection of account {self.account} was closed meanwhile.",
                hint="What was under way has ended. Run it again.",
                code=NOT_SENT,
            )

    def _session(self) -> OpenSession:
        with self._lock:
            if self._open is None:
                self._sign_in()
            assert self._open is not None
            return self._open

    def _renew(self, ended: OpenSession) -> None:
        """Opens another session in place of one that has ended; one thread does so for all."""
        with self._lock:
            if self._open is ended:
                self._forget(ended)
                self._sign_in()

    def _sign_in(self) -> None:
        """Opens a session, and learns which company it leads to before anything else is asked."""
        self._log_off_left()
        if self.settings.flow is Flow.SESSION:
            self._log_in()
        try:
            identity = self._who()
            self._refuse_other_org(identity.org_id)
        except ConnectorError:
            self._log_off_own()
            raise
        if self._org_id != identity.org_id:
            self._org_id = identity.org_id
            self._keep()
        self._identity = identity

    def _refuse_other_org(self, found: str) -> None:
        if self._org_id and found != self._org_id:
            raise AuthError(
                f"Account {self.account} belongs to the org {self._org_id}, but signing in leads to {found}.",
                hint="What was imported under this account belongs to the first org. Give the other org an account of "
                "its own: crosstie account add NAME.",
                code="OTHER_ORG",
            )

    def _who(self) -> Identity:
        """Who signed in. A company that lets nobody ask is known by the user's name."""
        message = Message(action=CURRENT_USER.action("QueryPage"), body=who_asks(), what="sign in")
        stateless = self.settings.flow is Flow.WS_SECURITY
        call = self._call(message, credentials=stateless)

        def attempt() -> Identity:
            cookie = self._open.cookie if self._open is not None else self._affinity
            answer = self._sent(call, self.http.send, 0, cookie=cookie)
            if stateless:
                self._read_affinity(answer)
            reply = self._judged(answer)
            if isinstance(reply, Reply):
                return identity_of(reply.output, self.settings.user)
            self._pace.hold(reply.fault)
            if reply.fault.kind is FaultKind.CREDENTIALS or answer.status == 401:
                raise self._login.refused(shown(reply.fault.message), code=reply.fault.code, answer=answer)
            if reply.fault.kind is FaultKind.SESSION and self._open is not None:
                self._forget(self._open)
                self._log_in()
            if isinstance(reply.error, UnavailableError):
                raise reply.error
            return identity_of(None, self.settings.user)

        return self.http.repeat(attempt)

    def _log_in(self) -> None:
        cookie = self.http.repeat(self._login.session)
        self._open = opened_here(cookie)
        USES.begin(cookie, self)
        self._kept = replace(self._kept, sessions=(*self._kept.sessions, self._open))
        self._keep()

    def _log_off_left(self) -> None:
        """Logs off, once, the sessions that earlier runs have left: those whose process is gone."""
        if self._looked_for_left:
            return
        self._looked_for_left = True
        for session in self._kept.sessions:
            if is_left(session) and self._login.off(session.cookie):
                log.info("A session that an earlier run had left was logged off (account %s).", self.account)
                self._kept = replace(self._kept, sessions=tuple(one for one in self._kept.sessions if one != session))

    def _log_off_own(self) -> None:
        session = self._open
        if session is None:
            return
        if self._login.off(session.cookie):
            self._forget(session)
            self._keep()
            return
        self._open = None
        USES.end(session.cookie)

    def _forget(self, session: OpenSession) -> None:
        self._open = None
        USES.end(session.cookie)
        self._kept = replace(self._kept, sessions=tuple(one for one in self._kept.sessions if one != session))

    def _keep(self) -> None:
        """Tells what has to be known after a kill."""
        self._kept = replace(self._kept, org_id=self._org_id)
        self._on_token(self._kept.text())

    def close(self) -> None:
        """Logs off, whoever forbids other requests, and closes every connection: calls that wait for an answer fail. A
        thread that is signing in is waited for only a little."""
        alone = self._lock.acquire(timeout=_CLOSING.total_seconds())
        try:
            self.http.permit = lambda: None
            if alone and not self._closed:
                self._log_off_own()
                if self._affinity and self._login.off(self._affinity):
                    self._affinity = ""
        finally:
            self._closed = True
            self.http.close()
            if alone:
                self._lock.release()

"""The one HTTP session of a connector: https only, bounded waits and sizes, complete bodies, nothing sent elsewhere.

Nothing that an answer says is believed before it is checked: not its length, its links, its dates, its numbers.
"""

from __future__ import annotations

import logging
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urljoin

from crosstie.crm.hosts import Hosts, shown_host
from crosstie.crm.inflate import Inflater, whole_number
from crosstie.errors import AuthError, ConfigError, ConnectorError, ProtocolError, UnavailableError

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

log = logging.getLogger(__name__)

NOT_DECODED = (ValueError, RecursionError)
"""What msgspec raises for bytes that are not what was asked for: its own errors, bad UTF-8, and nesting too deep."""

NOT_SENT = "NOT_SENT"
"""Code of an UnavailableError that proves that the request never reached the other side."""

JSON_LIMIT_BYTES = 64 * 1024 * 1024
ERROR_LIMIT_BYTES = 1024 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 3
REPORT = "Nothing of it was used. Run it again; if it stays so, report it."
_REDIRECTED = "Check the account's host: a proxy, or an org that has moved. Then run it again."
_REQUEST_ID_HEADERS = ("x-sfdc-request-id", "x-request-id", "request-id", "x-ms-service-request-id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How patiently a read is repeated: at most `attempts`, and never longer than `budget` altogether.

    A Retry-After longer than the budget is not waited for here: the error carries it to the runner."""

    attempts: int = 6
    budget: timedelta = timedelta(seconds=90)
    first_wait: timedelta = timedelta(milliseconds=200)
    longest_wait: timedelta = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Waits of one call. `read` is for the next bytes, not for the whole answer; queries may take 120 s to begin."""

    connect: timedelta = timedelta(seconds=15)
    read: timedelta = timedelta(seconds=150)
    pool: timedelta = timedelta(seconds=150)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request. `url` is absolute; `what` names it for people without query or values, like “describe Contact”."""

    method: str
    url: str
    what: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    limit_bytes: int = JSON_LIMIT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer; header names are lower case. `request_id` is theirs, or ours when they gave none."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    request_id: str
    what: str

    def retry_after(self) -> timedelta | None:
        """The Retry-After header, in seconds or as a date against the answer's own Date."""
        return retry_after(self.headers)

    def json(self) -> Any:
        """The parsed body. Raises ProtocolError when it is not JSON."""
        return self.decoded(Any, "is not valid JSON")

    def decoded(self, kind: Any, how: str) -> Any:
        """The body as a value of a msgspec type. Raises ProtocolError, saying `how` it is wrong and where."""
        import msgspec

        try:
            return msgspec.json.decode(self.body, type=kind)
        except NOT_DECODED as error:
            raise ProtocolError(
                f"The answer to “{self.what}” {how}: {error}.",
                hint="Nothing of it was used; a proxy may have changed it. Run it again; if it stays so, report it.",
                request_id=self.request_id,
            ) from error

    def refuse_cut(self) -> Answer:
        """This answer, unless its JSON has no end although its framing is whole, as a proxy that shortens answers
        leaves it: then raises UnavailableError. An error's body need not be JSON, and is not looked at if it is none.
        """
        import msgspec

        starts = self.body.startswith((b"[", b"{"))
        if not starts and (self.body or self.status >= 400):
            return self
        try:
            msgspec.json.decode(self.body, type=msgspec.Raw)
        except msgspec.DecodeError as error:
            # What is wrong at the very end, like a number “1.”, is not called truncated.
            if "truncated" in str(error) or not self.body.rstrip().endswith((b"]", b"}")):
                raise UnavailableError(
                    f"The answer to “{self.what}” was cut: its JSON has no end.",
                    hint="The connection is bad, or a proxy shortens answers.",
                    request_id=self.request_id,
                ) from error
        except RecursionError:  # too deep is not too short; who decodes it refuses it
            return self
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwritten:
    """A write whose call failed as a whole. `proved`: it was not executed; else nobody knows."""

    error: ConnectorError
    proved: bool


def http_date(text: str | None) -> datetime | None:
    """An HTTP date as aware UTC, or None."""
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """How long the answer asks to wait, never negative; None when it does not say."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        seconds = whole_number(text)
        return timedelta(seconds=86_400 if seconds is None else min(seconds, 86_400))
    until, now = http_date(text), http_date(headers.get("date"))
    return max(until - now, timedelta()) if until and now else None


class Stream:
    """An answer whose body is still to be read. Close it, or read it to its end."""

    def __init__(self, response: httpx2.Response, what: str, request_id: str) -> None:
        self._response = response
        self.what = what
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self.request_id = next((self.headers[name] for name in _REQUEST_ID_HEADERS if name in self.headers), request_id)

    def chunks(self) -> Iterator[bytes]:
        """The plain body. Raises UnavailableError when it breaks off, at the latest at its end."""
        try:
            yield from Inflater(self.headers, self.what, may_be_empty=self.status in {204, 304}).plain(self._raw())
        finally:
            self.close()

    def _raw(self) -> Iterator[bytes]:
        try:
            yield from self._response.iter_raw()
        except _http().TransportError as error:
            raise _broken(error, self.what, str(self._response.request.url)) from error

    def read(self, limit_bytes: int) -> Answer:
        """The whole answer. Raises ProtocolError when its body is larger than allowed."""
        body = bytearray()
        for chunk in self.chunks():
            body += chunk
            if len(body) > limit_bytes:
                self.close()
                raise ProtocolError(
                    f"The answer to “{self.what}” is larger than {limit_bytes:,} bytes.",
                    hint="No honest answer is. Nothing of it was used; run it again, and if it stays so, report it.",
                    request_id=self.request_id,
                )
        return Answer(
            status=self.status, headers=self.headers, body=bytes(body), request_id=self.request_id, what=self.what
        )

    def close(self) -> None:
        """Lets go of the connection; harmless when done twice."""
        self._response.close()


class Transport(Protocol):
    """What tests hand in instead of the network: httpx2.MockTransport and alike."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answers one request."""
        ...


class HttpSession:
    """Keep-alive connections to the hosts of one account. Thread-safe. Never verifies less than everything."""

    def __init__(
        self,
        hosts: Hosts,
        *,
        ca_file: str = "",
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        connections: int = 16,
        transport: Transport | None = None,
        on_retry: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.hosts = hosts
        self.retries = retries or Retries()
        self.on_retry = on_retry
        self.permit: Callable[[], None] = lambda: None
        """Called before every request; what it raises keeps the request from being sent."""
        times = timeouts or Timeouts()
        http = _http()
        # Their logs show URLs (filters hold personal data) and headers (tokens); retries are logged here.
        for name, level in (("httpx2", logging.WARNING), ("httpcore2", logging.WARNING), ("stamina", logging.ERROR)):
            logging.getLogger(name).setLevel(level)
        self._client = http.Client(
            verify=_trust(ca_file),
            trust_env=False,  # a .netrc would add credentials of its own
            follow_redirects=False,
            timeout=http.Timeout(
                connect=times.connect.total_seconds(),
                read=times.read.total_seconds(),
                write=times.read.total_seconds(),
                pool=times.pool.total_seconds(),
            ),
            limits=http.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=60.0
            ),
            headers={"User-Agent": "crosstie", "Accept-Encoding": "gzip"},
            # None is kept: a cookie binds all calls to one of the CRM's servers, and its share of the allowance.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            transport=transport,
        )

    def send(self, call: Call) -> Answer:
        """One attempt, whole answer, whatever its status."""
        stream = self.stream(call)
        return stream.read(call.limit_bytes if stream.status < 400 else ERROR_LIMIT_BYTES)

    def stream(self, call: Call) -> Stream:
        """One attempt; the body is left to be read. Redirects of reads are followed to allowed hosts only."""
        url = call.url
        for _ in range(_MAX_REDIRECTS + 1):
            stream = self._once(call, url)
            target = stream.headers.get("location", "")
            if stream.status not in _REDIRECTS or not target:
                return stream
            stream.close()
            url = self.follow(target, base=url, what=call.what)
            if call.method != "GET":
                raise ProtocolError(
                    f"“{call.what}” was redirected to {shown_host(url)}; a write is not sent there.", hint=_REDIRECTED
                )
        raise ProtocolError(f"“{call.what}” was redirected more than {_MAX_REDIRECTS} times.", hint=_REDIRECTED)

    def follow(self, target: str, *, base: str, what: str) -> str:
        """The absolute URL of `target` as seen from `base`. Raises ProtocolError if it leads to a foreign host."""
        try:
            url = urljoin(base, target)
        except ValueError:
            url = ""
        if not self.hosts.allows(url):
            raise ProtocolError(
                f"The answer to “{what}” points to {shown_host(url)}, "
                "a host that this account does not allow. It was not followed; no token was sent there.",
                hint="If the org has really moved, add that host to the account's allowed hosts.",
            )
        return url

    def _once(self, call: Call, url: str) -> Stream:
        if not self.hosts.allows(url):
            raise ProtocolError(
                f"“{call.what}” would go to {shown_host(url)}, which this account does not allow.", hint=_REDIRECTED
            )
        self.permit()
        request_id = uuid.uuid4().hex
        try:
            request = self._client.build_request(
                call.method, url, headers={**call.headers, "X-Request-Id": request_id}, content=call.body or None
            )
        except (_http().InvalidURL, ValueError) as error:
            raise ProtocolError(
                f"“{call.what}” would go to {shown_host(url)} by an address that is none.", hint=_REDIRECTED
            ) from error
        try:
            return Stream(self._client.send(request, stream=True), call.what, request_id)
        except (_http().TransportError, ssl.SSLError) as error:
            raise _broken(error, call.what, url) from error

    def write(
        self,
        attempt: Callable[[Callable[[Call], Answer]], Answer],
        refused: Callable[[Answer], Unwritten],
        *,
        unexecuted: Callable[[Answer], bool] = lambda answer: answer.status == 401,
    ) -> Answer | Unwritten:
        """One call that changes something. `attempt` makes it, by the sender that it is given; `refused` says what an
        answer with a status of 400 or more means. `unexecuted` says which answers prove “not executed”, so that a call
        in a new session may follow; what fails before it leaves proves it too; every other failure leaves it in doubt.
        """
        left = False

        def send(call: Call) -> Answer:
            nonlocal left
            left = True
            answer = self.send(call)
            left = not unexecuted(answer)
            return answer

        try:
            answer = attempt(send)
            if answer.body:
                answer.refuse_cut()
        except ConnectorError as error:
            return Unwritten(error=error, proved=not left or error.code in {NOT_SENT, "CERTIFICATE"})
        return refused(answer) if answer.status >= 400 else answer

    def repeat(self, attempt: Callable[[], T]) -> T:
        """Runs a read, again while it raises UnavailableError, within the budget; then lets the last error through.
        Each repetition is told to `on_retry`, with the error's message."""
        import stamina

        limits = self.retries
        until = time.monotonic() + limits.budget.total_seconds()
        why = ""

        def again(error: Exception) -> bool | timedelta:
            nonlocal why
            if not isinstance(error, UnavailableError):
                return False
            why = error.message
            if error.retry_after is None:
                return True
            return time.monotonic() + error.retry_after.total_seconds() <= until and error.retry_after

        for one in stamina.retry_context(
            on=again,
            attempts=limits.attempts,
            timeout=limits.budget,
            wait_initial=limits.first_wait,
            wait_max=limits.longest_wait,
            wait_jitter=limits.first_wait,
        ):
            if why:
                log.info("%s Trying again.", why)
                self.on_retry(why)
            with one:
                return attempt()
        raise AssertionError("a retry context ends with a result or an error")

    def close(self) -> None:
        """Closes every connection."""
        self._client.close()


def _http() -> Any:
    import httpx2

    return httpx2


def _trust(ca_file: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
        if ca_file:
            context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"The certificate authority file {ca_file} cannot be used: {error}.",
            hint="Name a readable file with one or more PEM certificates in ca_file.",
        ) from error
    return context


def _broken(error: Exception, what: str, url: str) -> ConnectorError:
    host = shown_host(url)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return AuthError(
                f"The certificate of {host} is not trusted: {cause.verify_message}.",
                hint="If it comes from a private certificate authority, name that authority's file in ca_file. "
                "If it has expired, whoever runs the host must renew it. Verification cannot be switched off.",
                code="CERTIFICATE",
            )
        cause = cause.__cause__ or cause.__context__
    http = _http()
    if isinstance(error, http.ConnectError | http.ConnectTimeout | http.PoolTimeout):
        return UnavailableError(
            f"{host} cannot be reached for “{what}”: {str(error) or 'no answer'}.",
            hint="Check the network and the account's host, then run it again.",
            code=NOT_SENT,
        )
    how = "took too long" if isinstance(error, http.TimeoutException) else f"broke off ({type(error).__name__})"
    return UnavailableError(f"The connection to {host} {how} during “{what}”.", hint="Run it again.")

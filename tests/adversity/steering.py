"""The sandbox of a long test: controlled over one connection, and with moments at which something can happen."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from crosstie.sandbox.http import Request, Response
from tests.sandboxes import ControlRefused, Sandbox, running_sandbox

Act = Callable[[], None]


class Line:
    """One connection to a sandbox, kept open; a request at a time."""

    def __init__(self, url: str, ca_file: Path) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, context=ssl.create_default_context(cafile=ca_file)
        )
        self._lock = threading.Lock()

    def send(self, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Status and body of an answer."""
        with self._lock:
            try:
                self._connection.request(method, target, body, headers)
                answer = self._connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                self._connection.close()  # the next request opens it again
                raise

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class NearSandbox(Sandbox):
    """A sandbox that is controlled over one connection instead of one for each action."""

    line: Line

    def control(self, action: str, **arguments: Any) -> Any:
        """Runs an action of the control endpoint; returns its JSON."""
        path = urlsplit(self.info["control_url"]).path
        status, body = self.line.send("POST", f"{path}/{action}", json.dumps(arguments).encode())
        if status != 200:
            raise ControlRefused(f"{action}: {body.decode()}")
        return json.loads(body)

    def query(self, text: str) -> list[dict[str, Any]]:
        """The records of a query that fits on a page, by a session of its own."""
        flow = self.sign_in("client_credentials")
        form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": flow["client_id"],
                "client_secret": flow["client_secret"],
            }
        )
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        status, body = self.line.send("POST", "/services/oauth2/token", form.encode(), **kind)
        assert status == 200, body
        token = json.loads(body)["access_token"]
        target = f"/services/data/v68.0/query?{urlencode({'q': text})}"
        status, body = self.line.send("GET", target, Authorization=f"Bearer {token}")
        assert status == 200, body
        answer = json.loads(body)
        assert answer["done"]
        records: list[dict[str, Any]] = answer["records"]
        return records


@dataclass
class Moments:
    """What happens at which request of a run: right before it is worked on, or when it is answered but not yet known.

    A sandbox is served with `around`; the requests of a run are counted from one."""

    _plan: dict[tuple[int, bool], list[Act]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _count: int = 0
    _errors: list[BaseException] = field(default_factory=list)

    @contextmanager
    def of_a_run(self, plan: dict[tuple[int, bool], list[Act]]) -> Iterator[None]:
        """Lets that happen while the block runs; `(k, after)` are the moments. Raises what an act raised."""
        with self._lock:
            self._plan, self._count = plan, 0
        try:
            yield
        finally:
            with self._lock:
                self._plan = {}
                errors, self._errors = self._errors, []
            if errors:
                raise errors[0]

    def around(self, request: Request, answer: Callable[[Request], Response]) -> Response:
        """Stands between a request and who answers it."""
        with self._lock:
            if not self._plan:
                return answer(request)
            self._count += 1
            before, after = self._plan.pop((self._count, False), []), self._plan.pop((self._count, True), [])
        self._do(before)
        response = answer(request)
        self._do(after)
        return response

    def _do(self, acts: Sequence[Act]) -> None:
        for act in acts:
            try:
                act()
            except BaseException as error:  # noqa: BLE001 - raised on the test's own thread, by `of_a_run`
                self._errors.append(error)


@contextmanager
def near_sandbox(moments: Moments) -> Iterator[NearSandbox]:
    """A small sandbox in a thread of this process, whose clock stands still unless it is moved."""
    with running_sandbox(records=10, around=moments.around) as running:
        line = Line(running.info["control_url"], running.ca_file)
        try:
            yield NearSandbox(info=running.info, ca_file=running.ca_file, line=line)
        finally:
            line.close()

"""Service protection: requests, seconds of work and simultaneous requests of a user.

Source: "Service protection API limits" (Dataverse developer guide). The windows slide on the machine's clock, as
clients wait by it.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from crosstie.sandbox.dynamics.errors import ApiError
from crosstie.sandbox.dynamics.org import Org

WINDOW_SECONDS = 300
RETRY_SOON = 5
"""What a refusal for too many simultaneous requests asks to wait."""


class Throttle:
    """Counts one organization's requests, as if all were one user's on one server."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._lock = threading.Lock()
        self._done: deque[tuple[float, float]] = deque()
        self._at_work = 0

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Lets one request in. Raises ApiError 429 with Retry-After when a limit is reached."""
        began = time.monotonic()
        with self._lock:
            self._check(began)
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
                took = time.monotonic() - began + self._org.switches.request_seconds
                self._done.append((began, took))

    def headers(self) -> dict[str, str]:
        """The debug hints of an answer: what is left."""
        switches = self._org.switches
        with self._lock:
            self._forget(time.monotonic())
            requests = max(switches.requests_limit - len(self._done), 0)
            seconds = max(switches.execution_seconds_limit - sum(took for _, took in self._done), 0.0)
        return {
            "x-ms-ratelimit-burst-remaining-xrm-requests": str(requests),
            "x-ms-ratelimit-time-remaining-xrm-requests": f"{seconds:,.2f}",
        }

    def reset(self) -> None:
        """Begins all windows anew."""
        with self._lock:
            self._done.clear()

    def _check(self, now: float) -> None:
        switches = self._org.switches
        self._forget(now)
        if 0 < switches.concurrent_limit <= self._at_work:
            limit = switches.concurrent_limit
            self._refuse("0x80072326", f"Number of concurrent requests exceeded the limit of {limit}.", RETRY_SOON)
        left = WINDOW_SECONDS - (now - self._done[0][0]) if self._done else WINDOW_SECONDS
        if 0 < switches.requests_limit <= len(self._done):
            self._refuse(
                "0x80072322",
                f"Number of requests exceeded the limit of {switches.requests_limit} over time window of"
                f" {WINDOW_SECONDS} seconds.",
                left,
            )
        if 0 < switches.execution_seconds_limit <= sum(took for _, took in self._done):
            self._refuse(
                "0x80072321",
                "Combined execution time of incoming requests exceeded limit of"
                f" {switches.execution_seconds_limit * 1000:.0f} milliseconds over time window of {WINDOW_SECONDS}"
                " seconds. Decrease number of concurrent requests or reduce the duration of requests and try again"
                " later.",
                left,
            )

    def _refuse(self, code: str, message: str, seconds: float) -> None:
        wait = self._org.switches.retry_after or max(ceil(seconds), 1)
        raise ApiError(429, code, message, headers={"Retry-After": str(wait)})

    def _forget(self, now: float) -> None:
        while self._done and now - self._done[0][0] > WINDOW_SECONDS:
            self._done.popleft()

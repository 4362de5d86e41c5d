"""How fast requests may follow each other: at least 50 ms apart, and later when a throttled one was told to wait (Web
Services guide, "Limiters")."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from crosstie.crm.http import NOT_SENT
from crosstie.crm.oracle_on_demand.faults import Fault, FaultKind
from crosstie.errors import UnavailableError

BETWEEN_REQUESTS = timedelta(milliseconds=60)
"""A little more than the service asks for, since the way to it is not always equally long."""

_PATIENCE = timedelta(seconds=10)


class Pace:
    """The turns of one session, which all threads take. `between` is the least time from one request to the next."""

    def __init__(self, between: timedelta, account: str) -> None:
        self._between = between.total_seconds()
        self._account = account
        self._lock = threading.Lock()
        self._next_turn = 0.0

    def wait_turn(self, what: str) -> None:
        """Waits until the next request may leave. Raises UnavailableError when that is too far away."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next_turn)
            wait = turn - now
            if wait > _PATIENCE.total_seconds():
                raise UnavailableError(
                    f"“{what}” was not sent: Oracle CRM On Demand asked account {self._account} to wait.",
                    hint="Nothing is wrong with the request. Run it again later, or let fewer things run at a time.",
                    code=NOT_SENT,
                    retry_after=timedelta(seconds=wait),
                )
            self._next_turn = turn + self._between
        if wait > 0:
            time.sleep(wait)

    def hold(self, fault: Fault) -> None:
        """After a throttled request nothing is sent for as long as it has to wait."""
        if fault.kind is FaultKind.THROTTLED and fault.wait is not None:
            with self._lock:
                self._next_turn = max(self._next_turn, time.monotonic() + fault.wait.total_seconds())

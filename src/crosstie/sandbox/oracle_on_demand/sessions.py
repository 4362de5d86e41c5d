"""Sessions: few for a company, ended by logoff or by idling, and never more than 20 requests a second each.

Source: Web Services On Demand Guide, "Establishing and managing Web services sessions". Sessions end with the sandbox,
as they do when the real servers restart; idling is measured on the sandbox's clock, the pace on the machine's.
"""

import secrets
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from crosstie.sandbox.oracle_on_demand.faults import no_session, no_slot, too_fast
from crosstie.sandbox.oracle_on_demand.org import Org, User

_SECOND = 1.0


@dataclass(slots=True)
class Session:
    """One that is open. `origin` says how it came about: login, credentials (of the draft namespaces, or under R16
    Compatibility Mode) or keep_alive."""

    id: str
    user: User
    origin: str
    used: datetime

    def __repr__(self) -> str:
        return f"Session(origin={self.origin!r})"


class Sessions:
    """All sessions of the company."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}
        self._released: list[datetime] = []
        """When the slots of sessions that were logged off become free."""
        self._opened: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._most_open = 0
        self._last: dict[str, float] = {}
        self._recent: dict[str, deque[float]] = {}
        self._most_calls = 0

    def open(self, user: User, origin: str, instead_of: str = "") -> Session:
        """A new session, in the slot of `instead_of` if that is open. Raises SoapFault when no slot is free."""
        with self._lock:
            self._drop_idle()
            self._open.pop(instead_of, None)
            quota = self._org.switches.session_quota
            if len(self._open) + len(self._released) >= quota:
                raise no_slot(quota)
            session = Session(id=_new_id(), user=user, origin=origin, used=self._org.clock.now())
            self._open[session.id] = session
            self._opened[origin] += 1
            self._most_open = max(self._most_open, len(self._open))
            return session

    def use(self, session_id: str) -> Session:
        """The session of a cookie. Raises SoapFault when it is not open any more."""
        with self._lock:
            self._drop_idle()
            session = self._open.get(session_id)
            if session is None:
                raise no_session(self._org.switches)
            session.used = self._org.clock.now()
            return session

    def close(self, session_id: str) -> None:
        """Ends a session; one that is not open is none's concern."""
        with self._lock:
            if self._open.pop(session_id, None):
                self._ended["logoff"] += 1
                if lag := self._org.switches.logoff_lag_seconds:
                    self._released.append(self._org.clock.now() + timedelta(seconds=lag))

    def end_all(self) -> None:
        """Ends every session, as a restart of the service does."""
        with self._lock:
            self._ended["ended"] += len(self._open)
            self._open.clear()

    def paced(self, who: str) -> None:
        """Lets a request of a session, or of a user without one, in. Raises SoapFault when it came too soon."""
        now = time.monotonic()
        gap = self._org.switches.request_gap / 1000
        with self._lock:
            recent = self._recent.setdefault(who, deque())
            recent.append(now)
            while now - recent[0] >= _SECOND:
                recent.popleft()
            self._most_calls = max(self._most_calls, len(recent))
            left = self._last.get(who, now - gap) + gap - now
            if left > 0:
                raise too_fast(max(int(left * 1000), 1))
            self._last[who] = now

    def shown(self, *, reset: bool = False) -> dict[str, Any]:
        """What the counters say: sessions open now by origin, opened and ended so far, the most that were open and the
        most calls of one session in any second."""
        with self._lock:
            self._drop_idle()
            now = Counter(session.origin for session in self._open.values())
            found = {
                "open": len(self._open),
                "open_by_origin": dict(now),
                "most_open": self._most_open,
                "opened": dict(self._opened),
                "ended": dict(self._ended),
                "most_calls_in_a_second": self._most_calls,
            }
            if reset:
                self._opened.clear()
                self._ended.clear()
                self._recent.clear()
                self._most_calls, self._most_open = 0, len(self._open)
            return found

    def _drop_idle(self) -> None:
        now = self._org.clock.now()
        self._released = [free for free in self._released if free > now]
        since = now - timedelta(seconds=self._org.switches.idle_seconds)
        for session_id in [one.id for one in self._open.values() if one.used < since]:
            del self._open[session_id]
            self._ended["idle"] += 1


def affinity_cookie() -> str:
    """The cookie of a stateless answer: it leads back to the same server, but is no login."""
    return f"affinity.{_new_id()}"


def _new_id() -> str:
    return secrets.token_urlsafe(24)

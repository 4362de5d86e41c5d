"""How many requests of each kind came in, how they were answered, and how many rows each kind sent."""

import threading
from collections import Counter
from typing import Any


class Counters:
    """Counts since the start or the last reset. Control requests are not counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._endpoints: Counter[tuple[str, str, int]] = Counter()
        self._metered: Counter[str] = Counter()
        self._parts: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()
        self._bytes = 0

    def request(self, kind: str) -> None:
        """Counts one request when it comes in."""
        with self._lock:
            self._requests[kind] += 1

    def answer(self, kind: str, method: str, status: int, metered: int) -> None:
        """Counts one answer; status 0 is a connection that was cut. `metered` calls went onto the org's API meter."""
        with self._lock:
            self._endpoints[kind, method, status] += 1
            if metered:
                self._metered[kind] += metered

    def part(self, kind: str) -> None:
        """Counts one part of a composite request; it is none of `requests`."""
        with self._lock:
            self._parts[kind] += 1

    def rows(self, kind: str, count: int) -> None:
        """Counts rows sent to the client (not rows of prepared pages that were never asked for)."""
        with self._lock:
            self._rows[kind] += count

    def sent(self, count: int) -> None:
        """Counts bytes of bodies."""
        with self._lock:
            self._bytes += count

    def read(self, *, reset: bool = False) -> dict[str, object]:
        """Everything, as the control endpoint shows it."""
        with self._lock:
            shown: dict[str, object] = {
                "requests": dict(self._requests),
                "requests_total": sum(self._requests.values()),
                "endpoints": [_endpoint(key, count) for key, count in sorted(self._endpoints.items())],
                "metered": dict(self._metered),
                "metered_total": sum(self._metered.values()),
                "parts": dict(self._parts),
                "rows": dict(self._rows),
                "rows_total": sum(self._rows.values()),
                "bytes": self._bytes,
            }
            if reset:
                for counter in (self._requests, self._metered, self._parts, self._rows, self._endpoints):
                    counter.clear()
                self._bytes = 0
        return shown


def _endpoint(key: tuple[str, str, int], count: int) -> dict[str, Any]:
    kind, method, status = key
    return {"kind": kind, "method": method, "status": status, "count": count}

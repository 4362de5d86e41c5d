"""How many requests of each kind came in, and how many rows each kind sent."""

import threading
from collections import Counter


class Counters:
    """Counts since the start or the last reset. Control requests are not counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()
        self._bytes = 0

    def request(self, kind: str) -> None:
        """Counts one request."""
        with self._lock:
            self._requests[kind] += 1

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
                "rows": dict(self._rows),
                "rows_total": sum(self._rows.values()),
                "bytes": self._bytes,
            }
            if reset:
                self._requests.clear()
                self._rows.clear()
                self._bytes = 0
        return shown

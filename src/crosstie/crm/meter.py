"""What a connector has used: calls, rows, and what was sent again."""

from __future__ import annotations

import threading

from crosstie.crm.connector import Usage

_RETRY_SENTENCES = 50


class Meter:
    """The meter of one connector. Thread-safe."""

    def __init__(self) -> None:
        self.usage = Usage()
        self._lock = threading.Lock()

    def count_calls(self, calls: int) -> None:
        """Adds to the API calls made."""
        with self._lock:
            self.usage.calls += calls

    def count_rows(self, rows: int) -> None:
        """Adds to the rows read."""
        with self._lock:
            self.usage.rows += rows

    def count_retry(self, why: str) -> None:
        """Adds to what was sent again; beyond 50 different sentences they are counted together."""
        with self._lock:
            retries = self.usage.retries
            known = why if why in retries or len(retries) < _RETRY_SENTENCES else "Other answers failed."
            retries[known] = retries.get(known, 0) + 1

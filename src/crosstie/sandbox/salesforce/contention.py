"""Parents that requests at work hold: rows that need the same one at the same time get in each other's way.

On the real platform a change of a child locks its parent, and who waits for the lock longer than ten seconds is
UNABLE_TO_LOCK_ROW ("Record locks cheat sheet").
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Contention:
    """Which records are held by how many requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._claims: dict[str, tuple[str, int]] = {}

    def claimed(self, record_id: str, job: str, batch: int) -> bool:
        """Whether a batch of a bulk job has the record, which it then keeps until its job ends: the first that asks."""
        with self._lock:
            return self._claims.setdefault(record_id, (job, batch)) == (job, batch)

    def release(self, job: str) -> None:
        """Lets go what the batches of a job have."""
        with self._lock:
            self._claims = {one: holder for one, holder in self._claims.items() if holder[0] != job}

    @contextmanager
    def holding(self, ids: Iterable[str]) -> Iterator[frozenset[str]]:
        """Holds records while the block runs; gives those that others held already."""
        wanted = set(ids)
        with self._lock:
            taken = frozenset(one for one in wanted if self._held[one])
            self._held.update(wanted)
        try:
            yield taken
        finally:
            with self._lock:
                self._held.subtract(wanted)
                self._held = +self._held

"""A thread that loads what another thread prepares, so that parsing and loading overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# Batches ready to be loaded; more would only be memory.
AHEAD = 2


class Feeder:
    """Hands batches to `consume` on a thread of its own, in order; an error there is raised to who writes next.

    `idle` is called on that thread when nothing came for `idle_seconds`, and again at the end.
    """

    def __init__(
        self, name: str, consume: Callable[[pa.RecordBatch], None], idle: Callable[[], None], *, idle_seconds: float
    ) -> None:
        self._consume = consume
        self._idle = idle
        self._idle_seconds = idle_seconds
        self._queue: queue.Queue[pa.RecordBatch | None] = queue.Queue(AHEAD)
        self._failure: BaseException | None = None
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, batch: pa.RecordBatch) -> None:
        """Queues a batch; waits while enough are waiting."""
        self._raise()
        self._queue.put(batch)
        self._raise()

    def finish(self) -> None:
        """Waits until everything is loaded."""
        self._queue.put(None)
        self._thread.join()
        self._raise()

    def abandon(self) -> None:
        """Stops without loading what is still queued."""
        self._abandoned.set()
        self._queue.put(None)
        self._thread.join()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        busy = False
        while True:
            try:
                batch = self._queue.get(timeout=self._idle_seconds if busy else None)
            except queue.Empty:
                busy = False
                self._guarded(self._idle)
                continue
            if batch is None:
                break
            busy = True
            self._guarded(self._consume, batch)
        self._guarded(self._idle)

    def _guarded(self, action: Callable[..., None], *arguments: pa.RecordBatch) -> None:
        """Runs the action unless one failed before; what comes after a failure is only taken off the queue."""
        if self._failure is not None or self._abandoned.is_set():
            return
        try:
            action(*arguments)
        except BaseException as error:  # noqa: BLE001 - raised to whoever writes
            self._failure = error

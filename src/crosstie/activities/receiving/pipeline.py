"""From partitions to a private work table: fetched and converted on threads, loaded by one writer, in flat memory."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crosstie.crm.connector import Connector, Fetched, Partition, RemoteQuery

if TYPE_CHECKING:
    import pyarrow as pa

    from crosstie.activities.receiving.converting import ConvertedBatch, RowConverter

_STRIDE = 10**9
_BEHIND = 10**18
_WAITING_BATCHES = 8
_PATIENCE_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.05


@dataclass(slots=True)
class Uniqueness:
    """Proves that no remote id was loaded twice, in memory that grows with the batches and not with the rows.

    It holds when ids ascend strictly within every batch and the batches' ranges don't meet. Where it can't be proved
    this way (a CRM that answers unordered, a piece fetched twice), the database has to look."""

    ranges: list[tuple[str, str]] = field(default_factory=list)
    proved: bool = True

    def add(self, ids: pa.Array) -> None:
        """Takes the ids of one batch into account."""
        import pyarrow.compute as pc

        if len(ids) == 0 or not self.proved:
            return
        if ids.null_count or (len(ids) > 1 and not pc.all(pc.less(ids[:-1], ids[1:])).as_py()):
            self.proved = False
            return
        self.ranges.append((ids[0].as_py(), ids[-1].as_py()))

    def holds(self) -> bool:
        """Whether every id is known to be there once."""
        if not self.proved:
            return False
        ordered = sorted(self.ranges)
        return all(before[1] < after[0] for before, after in itertools.pairwise(ordered))


class Pipeline:
    """Reads the partitions of one query into a load. One object per read; not used twice.

    `behind` numbers the rows of an ordered import behind those of its ordered read."""

    def __init__(
        self, connector: Connector, query: RemoteQuery, converter: RowConverter, threads: int, *, behind: bool = False
    ) -> None:
        self._connector = connector
        self._query = query
        self._converter = converter
        self._threads = max(1, threads)
        self._first = _BEHIND if behind else 0
        self._work: queue.SimpleQueue[Partition | None] = queue.SimpleQueue()
        self._ready: queue.Queue[ConvertedBatch | BaseException | None] = queue.Queue(maxsize=_WAITING_BATCHES)
        self._open = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def converted(self, partitions: Sequence[Partition]) -> Iterator[ConvertedBatch]:
        """The converted batches, in no particular order. Leaving early stops the threads."""
        if not partitions:
            return
        self._open = len(partitions)
        for partition in partitions:
            self._work.put(partition)
        workers = [
            threading.Thread(target=self._worker, name=f"fetch-{number}", daemon=True)
            for number in range(self._threads)
        ]
        for worker in workers:
            worker.start()
        try:
            while (item := self._ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self._stop.set()
            for _ in workers:
                self._work.put(None)
            self._drain(workers)

    def _drain(self, workers: Sequence[threading.Thread]) -> None:
        """Lets the threads end. One that waits for an answer of the CRM is left to itself: it only reads, and what it
        brings nobody takes."""
        until = time.monotonic() + _PATIENCE_SECONDS
        for worker in workers:
            while worker.is_alive() and time.monotonic() < until:
                with contextlib.suppress(queue.Empty):
                    while True:
                        self._ready.get_nowait()
                worker.join(_LOOK_AGAIN_SECONDS)

    def _worker(self) -> None:
        while (partition := self._work.get()) is not None and not self._stop.is_set():
            try:
                fetched = self._connector.fetch(self._query, partition)
                self._add_work(fetched)
                offset = self._first + partition.position * _STRIDE
                for batch in fetched.batches:
                    if self._stop.is_set():
                        return
                    self._ready.put(self._converter.convert(batch, offset))
                    offset += batch.num_rows
            except BaseException as error:  # noqa: BLE001 - carried to the runner's thread, which raises it
                self._ready.put(error)
                return
            self._done_with_one()

    def _add_work(self, fetched: Fetched) -> None:
        with self._lock:
            self._open += len(fetched.partitions)
        for partition in fetched.partitions:
            self._work.put(partition)

    def _done_with_one(self) -> None:
        with self._lock:
            self._open -= 1
            finished = self._open == 0
        if finished:
            self._ready.put(None)

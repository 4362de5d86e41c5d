"""The judge: numbers every request and every commit of a process from outside, and strikes at the one it is
told: kills it, or cuts its connection."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from crosstie.sandbox.http import Request, Response

What = Literal["request", "commit", "load"]
"""A request to the CRM, a commit of the process itself, a commit of the loader child that it started."""
When = Literal["before", "after"]
Deed = Literal["kill", "cut"]
"""A process is killed, or the connection of its request is cut: before the work, or its answer is lost."""

_STILL_SECONDS = 20.0
_LOADS = re.compile('insert into "crosstie_w_|load of rows|slice of the loader child')
"""How the drivers call a commit of loaded rows."""

_PAGES = re.compile(r"/query(All)?(/|$)|/api/data/v[0-9.]+/[a-z]+$")
"""Pages of records, and below what writes, in the addresses of any kind of CRM."""

_STATE = re.compile("/jobs/ingest/[^/]+$")
_ACTIVE = re.compile(b'"state":"(UploadComplete|InProgress)"')
_ROADS = r"(/composite/sobjects|/jobs/ingest|/\$batch|\.(Create|Update)Multiple| \w+(Insert|Update|Delete|Execute)$)"
_WRITING = re.compile(_ROADS)
_WRITE = re.compile(f"(POST|PATCH|PUT|DELETE) .*{_ROADS}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place to strike at: before or after the `number`-th (from 1) request or commit."""

    what: What
    number: int
    when: When
    deed: Deed = "kill"

    def __str__(self) -> str:
        return f"{self.deed} {self.when} {self.what} {self.number}"


@dataclass(slots=True, kw_only=True)
class Passage:
    """One process under the conductor's eyes.

    `strike`: where it is killed or cut, with `victim` the role of the process that is killed. `paced`: what would come
    sooner or later is answered when it has come, so that every run asks and commits as often as every other: a page of
    records when what the page before it brought is committed, the state of a job when it has ended. `version` asks the
    database what has been committed; `unseen` collects what was committed without being told, and pages that were held
    in vain. `imports`: what it reads by pages it loads. `jobs` were made, and `job_awaited` says that more was asked
    after that. `cut`: its connection was, at the point.
    """

    strike: Point | None = None
    victim: str = "runner"
    paced: bool = False
    imports: bool = True
    version: Callable[[], object] | None = None
    labels: dict[What, list[str]] = field(default_factory=lambda: {"request": [], "commit": [], "load": []})
    order: list[tuple[What, int]] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)
    jobs: int = 0
    job_awaited: bool = False
    killed: bool = False
    cut: bool = False
    ended: dict[str, Any] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)
    stands: object = None
    committing: int = 0
    slices: int = 0
    slices_at_page: int = -1
    serving: int = 0

    def points(self) -> tuple[Point, ...]:
        """Every point that this process passed."""
        return tuple(
            Point(what=what, number=number, when=when)
            for what, labels in self.labels.items()
            for number in range(1, len(labels) + 1)
            for when in ("before", "after")
        )

    def states(self) -> tuple[Point, ...]:
        """The points after each request and commit. What a kill before one of them leaves, is what the kill after the
        one before it has left."""
        return tuple(Point(what=what, number=number, when="after") for what, number in self.order)

    def states_near_writes(self, near: int) -> tuple[Point, ...]:
        """Of these, from so many before a request that writes to so many after it."""
        points = self.states()
        writes = [place for place, point in enumerate(points) if self.is_write(point)]
        return tuple(one for at, one in enumerate(points) if any(-near <= at - place <= near for place in writes))

    def cuts(self) -> tuple[Point, ...]:
        """Every request that has to do with writing, cut before the work and after it."""
        return tuple(
            Point(what="request", number=number, when=when, deed="cut")
            for number, label in enumerate(self.labels["request"], 1)
            if _WRITING.search(label)
            for when in ("before", "after")
        )

    def is_write(self, point: Point) -> bool:
        """Whether it is that of a request that writes, or makes or starts a job that does."""
        return point.what == "request" and _WRITE.match(self.label(point)) is not None

    def writes(self) -> list[str]:
        """Its requests that write, or make or start a job that does."""
        return [one for one in self.labels["request"] if _WRITE.match(one)]

    def unread(self) -> str:
        """The request whose answer the process was killed before it could read, '' for none."""
        struck = self.strike if self.killed else None
        return self.label(struck) if struck is not None and struck.what == "request" else ""

    def label(self, point: Point) -> str:
        """What happens at that point."""
        return self.labels[point.what][point.number - 1]


class Conductor:
    """Stands around the sandbox (`around`) and at the other end of each process' line (`address`)."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "line"
        self._change = threading.Condition()
        self._passages: list[Passage] = []
        self._current: Passage | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, passage: Passage) -> str:
        """Takes the next process under its eyes; the address that the process calls."""
        if passage.version is not None:
            passage.stands = passage.version()
        with self._change:
            self._passages.append(passage)
            self._current = passage
            return f"{self._path}#{len(self._passages) - 1}"

    def end(self) -> None:
        """The process is over, and so is what the sandbox still did for it."""
        with self._change:
            passage = self._current
            assert passage is not None
            self._current = None
            if not self._change.wait_for(lambda: passage.serving == 0, _STILL_SECONDS):
                raise TimeoutError("the sandbox is still at work for a process that is over")
            if passage.strike is None:
                self._see(passage, "the end")

    def close(self) -> None:
        """Stops listening."""
        with suppress(OSError):  # only a shutdown wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def around(self, request: Request, answer: Callable[[Request], Response]) -> Response:
        """What stands between the requests and the sandbox."""
        with self._change:
            passage = self._current
            if passage is None:
                return answer(request)
            if passage.killed:
                return Response(drop=True)
            passage.serving += 1
            passage.job_awaited |= passage.jobs > 0
            labels = passage.labels["request"]
            labels.append(_label(request))
            number = len(labels)
            passage.order.append(("request", number))
        try:
            if self._is_struck(passage, "request", number, "before"):
                return Response(drop=True)
            if passage.imports and _is_page(request):
                self._hold(passage)
            response = _ended(request, answer, labels) if passage.paced else answer(request)
            passage.jobs += request.method == "POST" and request.path.endswith("/jobs/query")
            return Response(drop=True) if self._is_struck(passage, "request", number, "after") else response
        finally:
            with self._change:
                passage.serving -= 1
                self._change.notify_all()

    def _hold(self, passage: Passage) -> None:
        with self._change:
            if passage.paced and passage.slices_at_page >= 0:
                came = lambda: passage.killed or passage.slices > passage.slices_at_page  # noqa: E731
                if not self._change.wait_for(came, _STILL_SECONDS):
                    passage.unseen.append("the rows of the page before a page were not committed")
            passage.slices_at_page = passage.slices

    def _is_struck(self, passage: Passage, what: What, number: int, when: When) -> bool:
        """Strikes, if this is the point; whether the one who waits for an answer gets none. A loader child outlives its
        parent."""
        with self._change:
            if passage.strike == Point(what=what, number=number, when=when, deed="cut"):
                passage.cut = True
                return True
            if not passage.killed and passage.strike == Point(what=what, number=number, when=when):
                passage.killed = True
                os.kill(passage.pids[passage.victim], signal.SIGKILL)
                self._change.notify_all()
            return passage.killed and passage.victim == ("loader" if what == "load" else "runner")

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        """Hears one process to its end, and answers it unless it is dead."""
        with connection, connection.makefile("rwb") as stream, suppress(ConnectionError, BrokenPipeError):
            hello = json.loads(stream.readline())
            passage, role = self._passages[hello["passage"]], hello["role"]
            passage.pids[role] = hello["pid"]
            text: bytes = b"{}"
            while text:
                answer = self._heard(passage, role, json.loads(text))
                if answer is None:
                    return
                stream.write(b"%d\n" % answer)
                stream.flush()
                text = stream.readline()

    def _heard(self, passage: Passage, role: str, said: dict[str, Any]) -> int | None:
        what: What = "commit" if role == "runner" else "load"
        if said.get("event") == "ended":
            passage.ended = said
        elif said.get("event") == "before":
            return self._before(passage, what, " ".join(str(said["label"]).split())[:70])
        elif said.get("event") == "after":
            return self._after(passage, what, said["number"])
        return 0

    def _before(self, passage: Passage, what: What, label: str) -> int | None:
        with self._change:
            labels = passage.labels[what]
            labels.append(label)
            number = len(labels)
            passage.order.append((what, number))
            self._see(passage, f"{what} {number}: {label}")
            passage.committing += 1
        return None if self._is_struck(passage, what, number, "before") else number

    def _after(self, passage: Passage, what: What, number: int) -> int | None:
        with self._change:
            passage.committing -= 1
            passage.slices += _LOADS.match(passage.labels[what][number - 1]) is not None
            if passage.version is not None and passage.committing == 0:
                passage.stands = passage.version()
            self._change.notify_all()
        return None if self._is_struck(passage, what, number, "after") else 0

    def _see(self, passage: Passage, where: str) -> None:
        """Finds out whether the database changed since the last commit that was told."""
        if passage.version is None or passage.committing:
            return
        now = passage.version()
        if now != passage.stands:
            passage.unseen.append(f"before {where}")
            passage.stands = now


def _is_page(request: Request) -> bool:
    """Whether it asks for records."""
    if "/jobs/" in request.path:
        return request.path.endswith("/results")
    if request.method == "POST":
        return _label(request).endswith("QueryPage")
    return request.method == "GET" and _PAGES.search(request.path) is not None


def _label(request: Request) -> str:
    """What a request is: its address, and the operation where all have the same."""
    operation = request.headers.get("soapaction", "").strip('"').rpartition(":")[2] or request.query.get("command", "")
    return f"{request.method} {request.path}{f' {operation}' if operation else ''}"


def _ended(request: Request, answer: Callable[[Request], Response], labels: list[str]) -> Response:
    """The answer; the state of a job that writes is told first as it is, and after that when the job has ended, so that
    every run asks as often as every other."""
    told = answer(request)
    mine = f"GET {request.path}"
    if request.method != "GET" or _STATE.search(request.path) is None or labels.count(mine) < 2:
        return told
    until = time.monotonic() + _STILL_SECONDS
    while _ACTIVE.search(told.body()) is not None and time.monotonic() < until:
        time.sleep(0.002)
        told = answer(request)
    return told


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Waits for something that comes by itself, looking often."""
    until = time.monotonic() + _STILL_SECONDS
    while not true():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not happen")
        time.sleep(0.002)

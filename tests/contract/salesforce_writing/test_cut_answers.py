"""The answer to each kind of request that writes, cut at its bytes in every framing, on real connections: no row is
taken for accepted by it that is not, and each is in the org exactly once in the end."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.crm.writing import Operation, Outcome, WriteRoad
from crosstie.sandbox.http import Request, Response
from tests.contract.salesforce_writing.test_lost_answers import Scene
from tests.contract.writing.shipping import send
from tests.sandboxes import Client, Sandbox, running_sandbox
from tests.scale import SOAK, examples

SMALL_BYTES = 8_192
LARGE_ROWS = 200
Framing = Callable[[Response, bytes, int], None]


def closed(response: Response, body: bytes, at: int) -> None:
    """The connection is lost after so many bytes."""
    response.parts, response.withheld = (body[:at],), len(body) - at


def chunked(response: Response, body: bytes, at: int) -> None:
    """No length is announced, and the last chunk never comes."""
    response.parts, response.chunks_broken = (body[:at],), True


def framed(response: Response, body: bytes, at: int) -> None:
    """A proxy cut the body, and framed what was left correctly."""
    response.parts = (body[:at],)


def packed(response: Response, body: bytes, at: int) -> None:
    """The same, of a compressed body."""
    response.headers["Content-Encoding"] = "gzip"
    data = gzip.compress(body, mtime=0)
    response.parts = (data[: at * len(data) // len(body)],)


def repacked(response: Response, body: bytes, at: int) -> None:
    """A proxy cut the body and compressed what was left, stream and framing whole."""
    response.headers["Content-Encoding"] = "gzip"
    response.parts = (gzip.compress(body[:at], mtime=0),)


FRAMINGS: tuple[Framing, ...] = (closed, chunked, framed, packed, repacked)


@dataclass(slots=True)
class Scissors:
    """Stands around the sandbox, and cuts the next answer of a kind: a method and a path. `size`: of the body of the
    last one of that kind."""

    method: str = ""
    path: str = "^$"
    cut: Callable[[Response, bytes], None] | None = None
    size: int = 0
    cuts: int = field(default=0)

    def around(self, request: Request, answer: Callable[[Request], Response]) -> Response:
        """Passes a request on."""
        response = answer(request)
        if request.method == self.method and re.search(self.path, request.path):
            body = response.body()
            if response.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            self.size = len(body)
            if self.cut is not None:
                cut, self.cut = self.cut, None
                response.headers.pop("Content-Encoding", None)
                cut(response, body)
                self.cuts += 1
        return response


@pytest.fixture(scope="module")
def scissors() -> Scissors:
    return Scissors()


@pytest.fixture(scope="module")
def sandbox(scissors: Scissors) -> Iterator[Sandbox]:
    """A small org behind the scissors."""
    with running_sandbox(records=20, around=scissors.around) as running:
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of answer, and the write in which it comes."""

    name: str
    operation: Operation
    method: str
    path: str
    road: WriteRoad = WriteRoad.BULK

    def __str__(self) -> str:
        return self.name


_CALLS = {Operation.INSERT: "POST", Operation.UPDATE: "PATCH", Operation.UPSERT: "PATCH", Operation.DELETE: "DELETE"}
_JOB = "/jobs/ingest/[^/]+"
KINDS = (
    *(
        Kind(
            name=f"collection-{one}",
            operation=one,
            method=method,
            path="/composite/sobjects",
            road=WriteRoad.CALLS,
        )
        for one, method in _CALLS.items()
    ),
    Kind(name="job-made", operation=Operation.INSERT, method="POST", path="/jobs/ingest$"),
    Kind(name="job-started", operation=Operation.INSERT, method="PATCH", path=f"{_JOB}$"),
    Kind(name="job-looked-after", operation=Operation.UPDATE, method="GET", path=f"{_JOB}$"),
    Kind(name="successful", operation=Operation.INSERT, method="GET", path=f"{_JOB}/successfulResults$"),
    Kind(name="failed", operation=Operation.UPSERT, method="GET", path=f"{_JOB}/failedResults$"),
    Kind(name="unprocessed", operation=Operation.DELETE, method="GET", path=f"{_JOB}/unprocessedrecords$"),
)
"""The answer to the upload of a job has no body to cut."""


class Cutting:
    """Writes the same thing again and again, and cuts an answer each time."""

    def __init__(
        self,
        kind: Kind,
        framing: Framing,
        scissors: Scissors,
        connector: SalesforceConnector,
        client: Client,
        rows: int,
    ) -> None:
        self.kind = kind
        self.framing = framing
        self.scissors = scissors
        self.connector = connector
        self.client = client
        self.rows = rows
        self.contact = connector.describe("Contact")
        scissors.method, scissors.path, scissors.cut = kind.method, kind.path, None
        assert self.written(self.scene()) == {Outcome.ACCEPTED}
        self.size = scissors.size

    def scene(self) -> Scene:
        """Rows to write."""
        kind = self.kind
        return Scene(
            self.connector,
            self.client.sandbox,
            self.client,
            kind.operation,
            kind.road,
            count_of_rows=self.rows,
            contact=self.contact,
        )

    def written(self, scene: Scene) -> set[str]:
        """Writes them until all is answered: the first words. Each is there once, or nobody can say."""
        first = send(self.connector, scene.write, scene.rows)
        last = scene.settled(first)
        opaque = (self.kind.operation, self.kind.road) == (Operation.INSERT, WriteRoad.CALLS)
        if not (opaque and first.outcomes() == {Outcome.DOUBT}):
            assert last.outcomes() == {Outcome.ACCEPTED}
        assert scene.executed() == list(range(self.rows)), "each once"
        return first.outcomes()

    def at(self, places: Sequence[int]) -> None:
        """Cuts at these bytes, one after the other."""
        self.scissors.cuts = 0
        for place in places:
            self.scissors.cut = lambda response, body, place=place: self.framing(response, body, place)
            words = self.written(self.scene())
            if self.kind.road is WriteRoad.CALLS:
                assert words == {Outcome.DOUBT}, place
        assert self.scissors.cuts == len(places)


def places(size: int, framing: Framing) -> Sequence[int]:
    """Where to cut: in `make soak` at every byte where the connection is lost, else at random."""
    if SOAK and framing is closed and size <= SMALL_BYTES:
        return range(size)
    return random.Random(f"{size} {framing.__name__}").sample(range(size), examples(1, 25))


@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: framing.__name__)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_cut_answer_is_never_taken_for_whole(
    kind: Kind, framing: Framing, scissors: Scissors, connector: SalesforceConnector, client: Client
) -> None:
    cutting = Cutting(kind, framing, scissors, connector, client, rows=5)
    cutting.at(places(cutting.size, framing))


@pytest.mark.parametrize("framing", FRAMINGS if SOAK else FRAMINGS[:1], ids=lambda framing: framing.__name__)
@pytest.mark.parametrize("name", ["collection-update", "successful"])
def test_a_cut_in_a_large_answer_is_never_taken_for_whole(
    name: str, framing: Framing, scissors: Scissors, connector: SalesforceConnector, client: Client
) -> None:
    (kind,) = (one for one in KINDS if one.name == name)
    cutting = Cutting(kind, framing, scissors, connector, client, rows=LARGE_ROWS)
    assert cutting.size > SMALL_BYTES
    cutting.at(places(cutting.size, framing))

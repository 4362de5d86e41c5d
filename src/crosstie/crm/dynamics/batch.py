"""`$batch`: several requests in one body, and their answers in the order of the requests.

Source: Dataverse Web API guide, "Execute batch operations". Requests are written with CRLF; answers are read with CRLF
or LF. An answer is only taken when the delimiter behind it has come: what a cut leaves out is not answered.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from crosstie.crm.http import REPORT, Answer
from crosstie.errors import ProtocolError

MOST_REQUESTS = 1_000
"""Requests of one batch; more are refused as a whole."""

_BOUNDARY = re.compile(r"""boundary="?([^";\s]{1,200})""", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})\b")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_LINE_ENDS = (b"\r", b"\n")
_TYPE = re.compile(rb"^content-type:[ \t]*application/http", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One answer out of a batch: its status, its header lines as they came, and its body."""

    status: int
    head: bytes = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """The value of a header, '' where it has none."""
        found = re.search(rb"^" + re.escape(name.encode()) + rb":[ \t]*([^\r\n]*)", self.head, re.I | re.M)
        return found.group(1).decode("latin-1").strip() if found else ""

    def as_answer(self, batch: Answer) -> Answer:
        """It as an answer of its own: its time to wait and its request id are its own where it says them."""
        retry_after = self.header("Retry-After")
        return Answer(
            status=self.status,
            headers={"retry-after": retry_after} if retry_after else {},
            body=self.body,
            request_id=self.header("x-ms-service-request-id") or batch.request_id,
            what=batch.what,
        )


class BatchBody:
    """Writes batches. `request` is the beginning of a request: its line and its headers."""

    def __init__(self) -> None:
        self.boundary = f"batch_{uuid.uuid4()}"
        self.content_type = f'multipart/mixed; boundary="{self.boundary}"'
        self._head = (
            f"--{self.boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        ).encode()

    def begin(self, line: str, headers: Iterable[tuple[str, str]]) -> bytes:
        """The beginning of a request, which can be used for many: everything before its body."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return self._head + f"{line} HTTP/1.1\r\n{lines}\r\n".encode()

    def whole(self, requests: Iterable[bytes]) -> bytes:
        """The body of the batch: requests that were begun, each followed by its own body."""
        return b"\r\n".join([*requests, f"--{self.boundary}--\r\n".encode()])


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """The answers that came, in the order of the requests; `whole` when the end of the batch came too."""

    pieces: Sequence[Piece]
    whole: bool


def read_batch(answer: Answer) -> BatchAnswer:
    """The answers in a batch's body. Raises ProtocolError for one that is no batch, or says what is none of HTTP."""
    boundary = _BOUNDARY.search(answer.headers.get("content-type", ""))
    if boundary is None:
        raise _wrong(answer, "is no batch of answers")
    _, *parts = answer.body.split(b"--" + boundary.group(1).encode())
    found: list[Piece] = []
    for part, behind in pairwise(parts):
        # Without one of its ends a delimiter stands within a text, which no honest batch has.
        if part[:1] not in _LINE_ENDS or part[-1:] != b"\n":
            raise _wrong(answer, "holds its delimiter within a line")
        found.append(_piece(answer, part))
        if behind.startswith(b"--"):
            return BatchAnswer(pieces=found, whole=True)
    return BatchAnswer(pieces=found, whole=bool(parts) and parts[0].startswith(b"--"))


def _piece(answer: Answer, part: bytes) -> Piece:
    """One part: its own headers, then an answer of HTTP."""
    outer, inner = _cut(part.lstrip())
    if not _TYPE.search(outer):
        raise _wrong(answer, "holds a part that is no answer")
    head, body = _cut(inner.lstrip())
    status = _STATUS.match(head)
    if status is None:
        raise _wrong(answer, "holds an answer without a status")
    return Piece(status=int(status.group(1)), head=head, body=body.rstrip())


def _cut(text: bytes) -> tuple[bytes, bytes]:
    """Headers, and what follows the empty line behind them."""
    found = _END_OF_HEADERS.search(text)
    return (text, b"") if found is None else (text[: found.start()], text[found.end() :])


def _wrong(answer: Answer, how: str) -> ProtocolError:
    return ProtocolError(f"The answer to “{answer.what}” {how}.", hint=REPORT, request_id=answer.request_id)

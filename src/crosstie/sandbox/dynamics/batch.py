"""`$batch`: many requests in one, with change sets that succeed or fail as a whole.

Source: Dataverse Web API guide, "Execute batch operations using the Web API". Line ends may be CRLF or LF; addresses
of the parts need not be percent-encoded, as clients don't.
"""

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise

from crosstie.sandbox.dynamics.errors import ApiError
from crosstie.sandbox.dynamics.org import Call, Org
from crosstie.sandbox.http import Request, Response, make_request

MOST_REQUESTS = 1000
MAX_BATCH_URL = 65_536
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_REFERENCE = re.compile(rb'("[^"]*@odata\.(?:bind|id)"\s*:\s*)"\$(\d+)((?:/[^"]*)?)"')

Answer = Callable[[Request, Call], Response]


@dataclass(frozen=True, slots=True)
class Part:
    """One request, or, when it is a change set, its parts."""

    request: Request | None
    content_id: str | None = None
    parts: tuple["Part", ...] = ()


class _Failed(Exception):
    """Rolls a change set back; `content_id` is that of the operation that was refused."""

    def __init__(self, response: Response, content_id: str | None) -> None:
        super().__init__(response.status)
        self.response = response
        self.content_id = content_id


class Batches:
    """Answers batches of one organization. `answer` serves one request inside of them."""

    def __init__(self, org: Org, answer: Answer) -> None:
        self._org = org
        self._answer = answer

    def serve(self, call: Call) -> Response:
        """POST $batch. Without `odata.continue-on-error` it stops at the first error, whose status is the answer's."""
        parts = _read(call)
        goes_on = "odata.continue-on-error" in call.preferences
        boundary, status = f"batchresponse_{uuid.uuid4()}", 200
        pieces = []
        for part in parts:
            text, failed = self._change_set(part, call) if part.request is None else self._single(part.request, call)
            pieces.append(f"--{boundary}\r\n".encode() + text)
            if failed is not None and not goes_on:
                status = failed
                break
        body = b"".join([*pieces, f"--{boundary}--\r\n".encode()])
        headers = {"Content-Type": f"multipart/mixed; boundary={boundary}", "OData-Version": "4.0"}
        return Response(status=status, headers=headers, parts=(body,))

    def _single(self, request: Request, call: Call) -> tuple[bytes, int | None]:
        response = self._answer(request, call)
        return _http(response), response.status if response.status >= 400 else None

    def _change_set(self, part: Part, call: Call) -> tuple[bytes, int | None]:
        """The answers of a change set; of one that failed, only the answer of what failed."""
        boundary = f"changesetresponse_{uuid.uuid4()}"
        failed = None
        try:
            with self._org.write():
                answered = list(self._in_order(part.parts, call))
        except _Failed as error:
            answered, failed = [_http(error.response, error.content_id)], error.response.status
        nested = b"".join(f"--{boundary}\r\n".encode() + one for one in answered)
        head = f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n"
        return head.encode() + nested + f"--{boundary}--\r\n".encode(), failed

    def _in_order(self, parts: tuple[Part, ...], call: Call) -> Iterator[bytes]:
        """Answers the operations of a change set. Later ones may name what earlier ones made."""
        made: dict[str, str] = {}
        for part in parts:
            if part.request is None or part.request.method == "GET":
                message = "A change set can't hold a GET request or another change set."
                raise _Failed(ApiError(400, "0x80060888", message).response(), part.content_id)
            try:
                request = _referred(part.request, made)
            except ApiError as error:
                raise _Failed(error.response(), part.content_id) from error
            response = self._answer(request, call)
            if response.status >= 400:
                raise _Failed(response, part.content_id)
            if part.content_id and "OData-EntityId" in response.headers:
                made[part.content_id] = response.headers["OData-EntityId"]
            yield _http(response, part.content_id)


def _read(call: Call) -> list[Part]:
    """The parts of a batch. Raises ApiError for a body that is none."""
    parts = list(_parts(call.request.headers.get("content-type", ""), call.request.body, call, nested=False))
    count = sum(len(part.parts) if part.request is None else 1 for part in parts)
    if count > MOST_REQUESTS:
        raise _malformed(f"The batch has {count} requests; at most {MOST_REQUESTS} are allowed.")
    return parts


def _malformed(message: str) -> ApiError:
    return ApiError(400, "0x80060888", message)


def _parts(content_type: str, body: bytes, call: Call, *, nested: bool) -> Iterator[Part]:
    boundary = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/mixed") or boundary is None:
        raise _malformed("The content type of a batch must be multipart/mixed with a boundary.")
    for piece in _pieces(body, boundary[1].strip().encode()):
        head, content = _split(piece)
        headers = _headers(head)
        kind = headers.get("content-type", "")
        if kind.lower().startswith("multipart/mixed"):
            if nested:
                raise _malformed("A change set can't hold another one.")
            yield Part(None, None, tuple(_parts(kind, content, call, nested=True)))
        elif kind.lower().startswith("application/http"):
            yield Part(_request(content, call), headers.get("content-id"))
        else:
            raise _malformed(f"A part of a batch can't be of the type '{kind}'.")


def _pieces(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """What stands between the boundaries. The last one must be there: else the body was cut."""
    found = list(re.finditer(rb"(?:\A|\r?\n)[ \t]*--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)", body))
    if not found or found[-1][1] is None:
        raise _malformed("The batch ends without its closing boundary.")
    for one, following in pairwise(found):
        if one[1] is None:
            yield body[one.end() : following.start()].lstrip(b"\r\n")


def _split(piece: bytes) -> tuple[bytes, bytes]:
    found = _HEAD_END.search(piece)
    return (piece, b"") if found is None else (piece[: found.start()], piece[found.end() :])


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("utf-8", "replace").splitlines()
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _request(content: bytes, call: Call) -> Request:
    head, body = _split(content.lstrip(b"\r\n"))
    line, _, rest = head.partition(b"\n")
    # Addresses that are not encoded hold blanks: the method ends at the first, the protocol begins at the last.
    method, _, remaining = line.decode("utf-8").strip().partition(" ")
    target, _, protocol = remaining.rpartition(" ")
    if not target or not protocol.startswith("HTTP/"):
        raise _malformed(f"'{line.decode(errors='replace').strip()}' is no request line.")
    target = re.sub(r"^https?://[^/]+", "", target.strip())
    if not re.match(r"/|\$\d", target):
        target = f"/api/{call.base.partition('/api/')[2]}/{target}"
    if len(target) > MAX_BATCH_URL:
        raise _malformed(f"An address in the batch has more than {MAX_BATCH_URL} characters.")
    headers = {"host": call.request.headers.get("host", ""), **_headers(rest)}
    if target.partition("?")[0].endswith("/$batch"):
        raise _malformed("A batch can't hold another one.")
    return make_request(method.upper(), target, headers, body)


def _referred(request: Request, made: dict[str, str]) -> Request:
    """The request with addresses in place of `$1`, as its own address and in the references of its body."""

    def address(number: str) -> str:
        if number not in made:
            raise ApiError(400, "0x80060888", f"Content-ID Reference: '${number}' does not exist in the batch context.")
        return made[number]

    target = request.target
    own = re.match(r"/?\$(\d+)", target)
    if own:
        target = re.sub(r"^https?://[^/]+", "", address(own[1])) + target[own.end() :]
    body = _REFERENCE.sub(
        lambda found: found[1] + b'"' + address(found[2].decode()).encode() + found[3] + b'"', request.body
    )
    return make_request(request.method, target, request.headers, body)


def _http(response: Response, content_id: str | None = None) -> bytes:
    """An answer as a part of a multipart body."""
    head = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if content_id is not None:
        head.append(f"Content-ID: {content_id}")
    lines = [*head, "", f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + response.body() + b"\r\n"

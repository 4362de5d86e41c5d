"""HTTP/1.1 over TLS by hand, one thread for each connection.

The standard library's handler hides the socket; a sandbox must be able to drop a connection, to announce more than
it sends and to send prepared bytes without a copy. Loopback only.
"""

import logging
import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BufferedReader
from pathlib import Path
from urllib.parse import parse_qsl, unquote

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 16_384
"""What a front end reads unless it says otherwise: longer URIs are answered 414, more headers 431."""
_LINE_MARGIN = 64
"""What a request line may have beside its URI: method and protocol."""
IDLE_SECONDS = 300.0
SEND_BYTES = 1 << 20


@dataclass(slots=True, kw_only=True)
class Request:
    """One request. Header names are lower case; `path` is decoded, with doubled slashes collapsed."""

    method: str
    target: str
    path: str
    raw_path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    late: float = 0.0
    """Seconds of sandbox time until a write of this request becomes visible to readers."""
    faults: frozenset[str] = frozenset()
    """Faults of the plan that only the handler itself can play (fewer rows than announced, …)."""
    metered: int = 0
    """Calls that this request put onto the org's API meter."""

    @property
    def accepts_gzip(self) -> bool:
        """Whether the client asked for gzip."""
        return "gzip" in self.headers.get("accept-encoding", "").lower()


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Prepared bytes: `length` bytes of a file from `offset`."""

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """In pieces that fit the socket."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            at, end = self.offset, self.offset + self.length
            while at < end:
                piece = os.pread(descriptor, min(SEND_BYTES, end - at), at)
                if not piece:
                    raise OSError(f"{self.path} is shorter than the {end} bytes expected of it")
                at += len(piece)
                yield piece
        finally:
            os.close(descriptor)


@dataclass(slots=True, kw_only=True)
class Response:
    """One answer. `parts` are sent one after the other; their lengths make the Content-Length."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    parts: tuple[bytes | FileSlice, ...] = ()
    drop: bool = False
    """Close the connection instead of answering."""
    withheld: int = 0
    """Bytes announced by Content-Length, but not sent; when negative, sent but not announced."""
    chunks_broken: bool = False
    """Send the body in chunks, and close without the last one."""

    def length(self) -> int:
        """The body's length in bytes."""
        return sum(len(part) if isinstance(part, bytes) else part.length for part in self.parts)

    def body(self) -> bytes:
        """The whole body in memory."""
        return b"".join(part if isinstance(part, bytes) else part.read() for part in self.parts)


class RefusedHead(Exception):
    """The head of a request was refused; the connection closes after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class HttpsServer:
    """Accepts on 127.0.0.1; TLS handshakes happen in the connection's thread, so that none blocks another."""

    def __init__(
        self,
        context: ssl.SSLContext,
        port: int,
        handle: Callable[[Request], Response],
        *,
        head_bytes: int = MAX_HEAD_BYTES,
    ) -> None:
        self._context = context
        self._head_bytes = head_bytes
        self._handle = handle
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = False
        self.latency = 0.0
        """Seconds added to every request, and twice to every new connection (TCP and TLS 1.3 take one round trip)."""
        self._listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port: int = self._listener.getsockname()[1]

    def serve_forever(self) -> None:
        """Accepts until `close` is called from another thread or a signal handler."""
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._closing:
                    return
                raise
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Stops accepting and cuts every open connection."""
        self._closing = True
        try:
            # Only a shutdown wakes a thread that is waiting in accept.
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            log.debug("listener was down already: %s", error)
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            _cut(connection)

    def _converse(self, plain: socket.socket) -> None:
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(IDLE_SECONDS)
            if self.latency:
                time.sleep(2 * self.latency)
            connection = self._context.wrap_socket(plain, server_side=True)
        except (OSError, ValueError) as error:
            # A client that does not trust the CA hangs up here; that is its right and its test.
            log.debug("handshake failed: %s", error)
            plain.close()
            return
        with self._lock:
            self._connections.add(connection)
        try:
            with connection.makefile("rb") as reader:
                while not self._closing and self._exchange(connection, reader):
                    pass
        except (OSError, ValueError) as error:
            log.debug("connection ended: %s", error)
        finally:
            with self._lock:
                self._connections.discard(connection)
            _cut(connection)

    def _exchange(self, connection: ssl.SSLSocket, reader: BufferedReader) -> bool:
        """Reads one request and answers it; False when the connection must close."""
        try:
            request = read_request(
                reader, lambda: connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n"), head_bytes=self._head_bytes
            )
        except RefusedHead as refusal:
            _send(connection, html_refusal(refusal), head_only=False, keep=False)
            _drain(connection)
            return False
        if request is None:
            return False
        if self.latency:
            time.sleep(self.latency)
        response = self._handle(request)
        if response.drop:
            return False
        keep = request.headers.get("connection", "").lower() != "close" and not (
            response.withheld or response.chunks_broken
        )
        _send(connection, response, head_only=request.method == "HEAD", keep=keep)
        return keep


def html_refusal(refusal: RefusedHead) -> Response:
    """The front end's own words, in HTML (fact sheet 2.4)."""
    body = f"<h1>Bad Message {refusal.status}</h1><pre>reason: {refusal.reason}</pre>".encode()
    return Response(status=refusal.status, headers={"Content-Type": "text/html;charset=iso-8859-1"}, parts=(body,))


def read_request(
    reader: BufferedReader, proceed: Callable[[], None], *, head_bytes: int = MAX_HEAD_BYTES
) -> Request | None:
    """Reads one request; None at the end of the connection. `proceed` tells a client that asks first (as curl does
    with a large body) to send it.

    Raises RefusedHead for a head that is too long or malformed, and for a body that is not compressed as it says.
    """
    line_limit = head_bytes + _LINE_MARGIN
    line = reader.readline(line_limit)
    while line in (b"\r\n", b"\n"):
        line = reader.readline(line_limit)
    if not line:
        return None
    pieces = line.split()
    if not line.endswith(b"\n") or (len(pieces) > 1 and len(pieces[1]) > head_bytes):
        raise RefusedHead(414, "URI Too Long")
    if len(pieces) != 3 or not pieces[2].startswith(b"HTTP/1."):
        raise RefusedHead(400, "Bad Request")
    headers = _read_headers(reader, len(line), head_bytes)
    if headers.get("expect", "").lower() == "100-continue":
        proceed()
    body = _read_body(reader, headers)
    if "gzip" in headers.get("content-encoding", ""):
        try:
            body = zlib.decompress(body, wbits=31)
        except zlib.error as error:
            raise RefusedHead(400, "Bad Request") from error
    return make_request(pieces[0].decode("ascii").upper(), pieces[1].decode("ascii"), headers, body)


def make_request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
    """A request from its head and body, its path normalised as clients need it (fact sheet 7, ground rules)."""
    raw_path, _, raw_query = target.partition("?")
    while "//" in raw_path:
        raw_path = raw_path.replace("//", "/")
    return Request(
        method=method,
        target=target,
        path=unquote(raw_path),
        raw_path=raw_path,
        query=dict(parse_qsl(raw_query, keep_blank_values=True)),
        headers=dict(headers),
        body=body,
    )


def _read_headers(reader: BufferedReader, read_bytes: int, head_bytes: int) -> dict[str, str]:
    headers: dict[str, str] = {}
    while True:
        line = reader.readline(head_bytes + _LINE_MARGIN)
        read_bytes += len(line)
        if read_bytes > head_bytes or not line.endswith(b"\n"):
            raise RefusedHead(431, "Request Header Fields Too Large")
        if line in (b"\r\n", b"\n"):
            return headers
        name, separator, value = line.decode("latin-1").partition(":")
        if not separator:
            raise RefusedHead(400, "Bad Request")
        headers[name.strip().lower()] = value.strip()


def _read_body(reader: BufferedReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        pieces = []
        while size := int(reader.readline(1024).split(b";")[0], 16):
            pieces.append(reader.read(size))
            reader.readline(8)
        while reader.readline(MAX_HEAD_BYTES) not in (b"\r\n", b"\n", b""):
            continue
        return b"".join(pieces)
    length = int(headers.get("content-length", "0"))
    body = reader.read(length) if length else b""
    if len(body) != length:
        raise ValueError("the client hung up within its request's body")
    return body


def _send(connection: ssl.SSLSocket, response: Response, *, head_only: bool, keep: bool) -> None:
    length = response.length()
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {response.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if response.chunks_broken:
        lines.append("Transfer-Encoding: chunked")
    elif response.status not in (204, 304):
        lines.append(f"Content-Length: {length + response.withheld}")
    if not keep:
        lines.append("Connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if head_only or response.status in (204, 304):
        connection.sendall(head)
        return
    if response.chunks_broken:
        connection.sendall(head + f"{length:x}\r\n".encode() + response.body() + b"\r\n" * bool(length))
        return
    first = response.parts[0] if response.parts else b""
    if isinstance(first, bytes) and len(first) < SEND_BYTES:
        connection.sendall(head + first)
        rest = response.parts[1:]
    else:
        connection.sendall(head)
        rest = response.parts
    for part in rest:
        if isinstance(part, bytes):
            connection.sendall(part)
        else:
            for piece in part.pieces():
                connection.sendall(piece)


def _drain(connection: ssl.SSLSocket) -> None:
    """Reads what the client is still sending, for a moment: closing on unread data would destroy our answer."""
    connection.settimeout(0.2)
    deadline = time.monotonic() + 2
    try:
        while time.monotonic() < deadline and connection.recv(65_536):
            continue
    except OSError as error:
        log.debug("drained: %s", error)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        log.debug("connection was down already: %s", error)
    connection.close()

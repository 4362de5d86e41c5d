"""How requests are read from a connection."""

import gzip
import io
from typing import cast

import pytest

from crosstie.sandbox.http import MAX_HEAD_BYTES, RefusedHead, Request, read_request


def read(data: bytes) -> Request | None:
    return read_request(cast(io.BufferedReader, io.BytesIO(data)), lambda: None)


def test_two_requests_on_one_connection() -> None:
    stream = cast(
        io.BufferedReader,
        io.BytesIO(
            b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
            b"GET /b?x=1&y=%2B+ HTTP/1.1\r\nAccept-Encoding: GZIP\r\n\r\n"
        ),
    )
    first, second = read_request(stream, lambda: None), read_request(stream, lambda: None)
    assert first is not None and second is not None
    assert (first.method, first.path, first.body) == ("POST", "/a", b"abc")
    assert (second.method, second.query, second.accepts_gzip) == ("GET", {"x": "1", "y": "+ "}, True)
    assert read_request(stream, lambda: None) is None


def test_chunked_and_compressed_bodies() -> None:
    packed = gzip.compress(b"hello, chunks")
    chunks = b"%x\r\n%b\r\n%x;ext=1\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (5, packed[:5], len(packed) - 5, packed[5:])
    head = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
    request = read(head + chunks)
    assert request is not None
    assert request.body == b"hello, chunks"


@pytest.mark.parametrize("body", [b"plain text", gzip.compress(b"cut" * 100, mtime=0)[:-9]])
def test_a_body_that_is_not_compressed_as_it_says_is_refused(body: bytes) -> None:
    head = f"PUT /a HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    with pytest.raises(RefusedHead) as caught:
        read(head.encode() + body)
    assert caught.value.status == 400


def test_doubled_slashes_collapse_and_encoded_ones_stay_apart() -> None:
    request = read(b"GET //services//data/x%2Fy HTTP/1.1\r\n\r\n")
    assert request is not None
    assert (request.raw_path, request.path) == ("/services/data/x%2Fy", "/services/data/x/y")


def test_a_body_that_ends_early_ends_the_connection() -> None:
    with pytest.raises(ValueError, match="hung up"):
        read(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /" + b"x" * 3 * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
    ],
)
def test_refused_heads(head: bytes, status: int) -> None:
    with pytest.raises(RefusedHead) as caught:
        read(head)
    assert caught.value.status == status


def test_a_client_that_asks_first_is_told_to_send_its_body() -> None:
    told: list[str] = []
    data = b"PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"
    request = read_request(cast(io.BufferedReader, io.BytesIO(data)), lambda: told.append("100"))
    assert request is not None
    assert (request.body, told) == (b"ab", ["100"])

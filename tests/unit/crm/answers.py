"""Answers as they come from the network: a body that is still to be read, not one that a test client has read."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2


class Body(httpx2.SyncByteStream):
    """A body of these chunks, sent as they are; `broken` ends it like a lost connection."""

    def __init__(self, *chunks: bytes, broken: bool = False) -> None:
        self._chunks = chunks
        self._broken = broken

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        if self._broken:
            raise httpx2.ReadError("reset by peer")


def answer(status: int = 200, body: bytes | object = b"", **headers: str) -> httpx2.Response:
    """An answer; a body that is not bytes is sent as JSON. Underscores in header names are hyphens."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, headers={"Content-Length": str(len(content)), **sent}, stream=Body(content))

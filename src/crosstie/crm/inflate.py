"""Raw bodies to plain bytes, inflated here because HTTP clients accept a gzip stream that was cut with correct framing:
a body is complete only when the compressed stream says so and Content-Length agrees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from crosstie.errors import ProtocolError, UnavailableError

_INFLATE_BYTES = 1024 * 1024


class Inflater:
    """Raw body chunks to plain bytes, in pieces of at most 1 MiB; knows whether the body is complete."""

    def __init__(self, headers: Mapping[str, str], what: str, *, may_be_empty: bool = False) -> None:
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity", "gzip", "x-gzip"}:
            raise ProtocolError(
                f"The answer to “{what}” is encoded as {encoding}, which was not asked for.",
                hint="A proxy may have done so. Run it again; if it stays so, report it.",
            )
        length = headers.get("content-length", "")
        self._what = what
        self._gzip = encoding.endswith("gzip")
        self._expected = whole_number(length)
        self._received = 0
        self._stream: Any = self._fresh() if self._gzip else None
        self._may_be_empty = may_be_empty

    @staticmethod
    def _fresh() -> Any:
        return _isal().decompressobj(wbits=31)

    def plain(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The plain bytes. Raises UnavailableError at the end if anything is missing: what came so far is suspect."""
        for chunk in chunks:
            self._received += len(chunk)
            if self._stream is None:
                yield chunk
            else:
                yield from self._inflate(chunk)
        if self._expected is not None and self._received != self._expected:
            raise self._cut(f"{self._received:,} of {self._expected:,} bytes came")
        whole = self._stream is None or self._stream.eof or (self._may_be_empty and not self._received)
        if not whole:
            raise self._cut("its compressed stream has no end")

    def _inflate(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            if self._stream.eof:  # another gzip member follows
                self._stream = self._fresh()
            try:
                piece = self._stream.decompress(chunk, _INFLATE_BYTES)
            except _isal().error as error:
                raise self._cut(f"its compressed stream is broken ({error})") from error
            if piece:
                yield piece
            chunk = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            if not piece and not self._stream.eof:
                return

    def _cut(self, how: str) -> UnavailableError:
        return UnavailableError(
            f"The answer to “{self._what}” was cut: {how}.", hint="The connection is bad, or a proxy shortens answers."
        )


def whole_number(text: str) -> int | None:
    """The number that a header holds; None for anything but at most 18 digits."""
    return int(text) if text.isdecimal() and len(text) <= 18 else None


def _isal() -> Any:
    from isal import isal_zlib

    return isal_zlib

"""A file as a stream of bytes: unpacked, in UTF-8, counted and digested, in flat memory."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from crosstie.activities.files.formats import Compression
from crosstie.errors import FileError

CHUNK_BYTES = 1024 * 1024
_UTF8 = ("utf-8", "utf-8-sig")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a file is known by."""

    size: int
    digest: str


def identify(path: Path) -> Identity:
    """Size and SHA-256 of a file. Raises FileError."""
    digest = hashlib.sha256()
    size = 0
    with reading(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return Identity(size=size, digest=digest.hexdigest())


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """The file, open. Raises FileError for what the system says of it."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise FileError(f"The file {path.name} cannot be read: {error.strerror or error}.", code="FILE") from error


def unpacked(path: Path, compression: Compression) -> Iterator[bytes]:
    """The bytes in the file, unpacked. Raises FileError for a file that is cut or is no archive of one file."""
    try:
        with reading(path) as file, _opened(file, path.name, compression) as content:
            while chunk := content.read(CHUNK_BYTES):
                yield chunk
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise FileError(
            f"The file {path.name} cannot be unpacked: {error}.", hint="It is damaged, or was cut.", code="FILE"
        ) from error


@contextmanager
def _opened(file: IO[bytes], name: str, compression: Compression) -> Iterator[IO[bytes]]:
    if compression == "gzip":
        with gzip.open(file) as inflated:
            yield cast(IO[bytes], inflated)
    elif compression == "zip":
        with zipfile.ZipFile(file) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            if len(members) != 1:
                raise FileError(f"The archive {name} has {len(members)} files; it has to have one.", code="FILE")
            with archive.open(members[0]) as content:
                yield content
    else:
        yield file


def as_utf8(chunks: Iterator[bytes], encoding: str, name: str) -> Iterator[bytes]:
    """The text in UTF-8, without a byte order mark. Raises FileError where it is not in that encoding."""
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding in _UTF8 else encoding)()
    before = 0
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
            before += len(chunk)
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        at = before + error.start if isinstance(error, UnicodeDecodeError) else before
        raise FileError(
            f"The file {name} is not {encoding}: the bytes at about position {at:,} mean nothing in it.",
            hint="Say its “encoding”, like windows-1252 or utf-16.",
            code="FILE",
        ) from error


def ended(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The text with a line end behind its last line."""
    last = b"\n"
    for chunk in chunks:
        if chunk:
            last = chunk
            yield chunk
    if not last.endswith(b"\n"):
        yield b"\n"

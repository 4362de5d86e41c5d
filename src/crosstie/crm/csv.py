"""A stream of CSV bytes to Arrow, every column as the wire text: cut at record boundaries, parsed a piece at a time.

pyarrow's CSV reader loses the LF of a CRLF inside a quoted value that straddles two of its blocks (apache/arrow#51368),
without an error. So the stream is cut here, where records end, and each piece is parsed as exactly one block.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from crosstie.errors import ProtocolError, UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa

PIECE_BYTES = 1024 * 1024
_HINT = "Nothing of this page was used. Run it again; if it stays so, report it."
_EMPTY_LINES_BYTES = 64 * 1024
RECORD_LIMIT_BYTES = 16 * 1024 * 1024
"""CRMs allow 400,000 characters a record; larger means that quotes are out of step or somebody is hostile."""


def records(chunks: Iterable[bytes], *, piece_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """Cuts a CSV byte stream into pieces of about `piece_bytes` that end where a record ends.

    Assumes that `"` is the only quote and that it is doubled inside a value. Raises UnavailableError when the stream
    does not end with a line end outside quotes: then it was cut, for a value that ends where a doubled quote was cut in
    two looks whole. Raises ProtocolError when a record is too large.
    """
    held: list[bytes] = []
    size, wanted, outside = 0, piece_bytes, True
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        outside ^= chunk.count(b'"') % 2 == 1
        if size < wanted:
            continue
        end = _last_end(chunk, outside)
        if not end and len(held) > 1:  # the last record began in an earlier chunk
            held = [b"".join(held)]
            end = _last_end(held[0], outside)
        if end:
            rest = held[-1][end:]
            held[-1] = held[-1][:end]
            piece, held = b"".join(held), [rest]
            size, wanted = len(rest), piece_bytes
            yield piece
        elif size > RECORD_LIMIT_BYTES:
            raise ProtocolError(f"A CSV record is larger than {RECORD_LIMIT_BYTES:,} bytes.", hint=_HINT)
        else:
            wanted = size * 2
    rest = b"".join(held)
    if not outside or (rest and not rest.endswith(b"\n")):
        raise UnavailableError(
            "The CSV was cut: its last record has no end, or its quotes are out of step.",
            hint="The connection is bad, or a proxy shortens answers. Run it again; if it stays so, report it.",
        )
    if rest:
        yield rest


def _last_end(data: bytes, outside: bool) -> int:
    """The offset behind the last line end that is not inside quotes, 0 if there is none. `outside` says whether the
    end of the data is outside quotes."""
    end = len(data)
    while True:
        quote = data.rfind(b'"', 0, end)
        if outside:
            newline = data.rfind(b"\n", quote + 1, end)
            if newline >= 0:
                return newline + 1
        if quote < 0:
            return 0
        end, outside = quote, not outside


class CsvReader:
    """Reads the CSV of one answer: checks the header, gives batches of string columns under the asked names.

    `""` and nothing are null; NUL bytes are dropped (they come from old imports); invalid UTF-8 is refused with the
    column's name. `rows` counts the records given so far.
    """

    def __init__(self, fields: Sequence[str], what: str) -> None:
        self._fields = list(fields)
        self._what = what
        self._options: Any = None
        self.rows = 0

    def batches(self, pieces: Iterable[bytes], *, header: bool = True) -> Iterator[pa.RecordBatch]:
        """Parses pieces as `records` gives them; the first begins with the header line unless told otherwise."""
        for piece in pieces:
            if header:
                piece = self._without_header(piece)
                header = False
            batch = self.parse(piece)
            if batch is not None and batch.num_rows:
                self.rows += batch.num_rows
                yield batch
        if header:
            raise ProtocolError(f"The answer to “{self._what}” has no CSV header.", hint=_HINT)

    def _without_header(self, piece: bytes) -> bytes:
        piece = piece.removeprefix(b"\xef\xbb\xbf")
        line, _, rest = piece.partition(b"\n")
        try:
            found = next(csv.reader([line.decode()], strict=True), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise ProtocolError(f"The CSV header of “{self._what}” cannot be read: {error}.", hint=_HINT) from error
        self._check(found)
        return rest

    def _check(self, found: list[str]) -> None:
        asked = [name.lower() for name in self._fields]
        given = [name.strip().lower() for name in found]
        if given == asked:
            return
        missing = [name for name in self._fields if name.lower() not in given]
        extra = [name for name in found if name.strip().lower() not in asked]
        if missing:
            how = f"has no column {', '.join(missing)}"
        elif extra:
            how = f"has a column that was not asked for: {', '.join(extra)}"
        else:
            how = f"has its columns in another order: {', '.join(found)}"
        raise ProtocolError(
            f"The CSV of “{self._what}” {how}.", hint="Nothing of it was used. Collect the object again, then retry."
        )

    def parse(self, piece: bytes) -> pa.RecordBatch | None:
        """One piece without header, as one parser block."""
        import pyarrow as pa
        import pyarrow.csv as arrow_csv

        if b"\0" in piece:
            piece = piece.replace(b"\0", b"")
        if not piece or piece.isspace():
            if len(piece) > _EMPTY_LINES_BYTES:
                raise ProtocolError(f"The CSV of “{self._what}” holds {len(piece):,} bytes of empty lines.", hint=_HINT)
            return None
        if self._options is None:
            self._options = (
                arrow_csv.ParseOptions(newlines_in_values=True),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(self._names(), pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            )
        parse, convert = self._options
        read = arrow_csv.ReadOptions(column_names=self._names(), block_size=len(piece) + 1, use_threads=False)
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(piece), read_options=read, parse_options=parse, convert_options=convert
            )
        except pa.ArrowInvalid as error:
            raise self._refused(str(error)) from error
        batch = table.combine_chunks().to_batches()
        return batch[0].rename_columns(self._fields) if batch else None

    def _names(self) -> list[str]:
        return [str(number) for number in range(len(self._fields))]  # a field may be asked twice; these differ

    def _refused(self, text: str) -> ProtocolError:
        column = re.match(r"In CSV column #(\d+): .*invalid UTF8", text)
        if column:
            how = f"column {self._fields[int(column.group(1))]} holds bytes that are not UTF-8"
        elif "Expected" in text:  # the rest of the message quotes the record, which is personal data
            how = "a record has another number of values than the header"
        else:
            how = "it is malformed"
        return ProtocolError(
            f"The CSV of “{self._what}” cannot be read after {self.rows:,} records: {how}.",
            hint=_HINT,
        )

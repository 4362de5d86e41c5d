"""A file's records, a piece at a time: each wanted column as text (Parquet: as it is), and the malformed lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstie.errors import FileError

if TYPE_CHECKING:
    import pyarrow as pa

PIECE_BYTES = 1024 * 1024
RECORD_LIMIT_BYTES = 16 * 1024 * 1024
_PARQUET_ROWS = 50_000
_SHOWN_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A record that is none: its line in the file, counted from 1, its text, and why."""

    line: int
    text: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Piece:
    """Some records: an array for each wanted column, and `line_of` the row of that number."""

    arrays: list[pa.Array]
    malformed: list[Malformed] = field(default_factory=list)
    starts: Sequence[int] | None = None
    first_line: int = 1

    @property
    def rows(self) -> int:
        """How many records were read."""
        return len(self.arrays[0]) if self.arrays else 0

    def line_of(self, row: int) -> int:
        """Where in the file it begins, counted from 1."""
        return self.starts[row] if self.starts is not None else self.first_line + row


@dataclass(slots=True, kw_only=True)
class CsvFormat:
    """How a CSV file is written. `quote` '' for none."""

    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    skip: int = 0
    nulls: tuple[str, ...] = ("",)


class CsvPieces:
    """Reads a CSV text in UTF-8. `wanted` are the file's names of the columns, or, without header, all of them.

    pyarrow's reader loses characters of values that straddle two of its blocks (see `crm.csv`): so the text is cut
    here, where records end, and each piece is parsed as one block."""

    def __init__(self, style: CsvFormat, wanted: Sequence[str], name: str, *, piece_bytes: int = PIECE_BYTES) -> None:
        self._style = style
        self._wanted = list(wanted)
        self._name = name
        self._width = len(wanted)
        self._places = list(range(len(wanted)))
        self._line = 1
        self._piece_bytes = piece_bytes
        self._record = re.compile(_record_pattern(style))
        self._whole = re.compile(_record_pattern(style, last=True))

    def read(self, chunks: Iterable[bytes]) -> Iterator[Piece]:
        """Its pieces. Raises FileError for a file without the columns, or in which a quote is never closed."""
        heading = self._style.header
        for piece in self._cut(self._without_skipped(chunks)):
            rest = self._take_header(piece) if heading else piece
            if rest is None:
                continue
            heading = False
            if rest:
                yield self._parse(rest)
        if heading:
            raise FileError(f"The file {self._name} is empty: it has no header line.", code="FILE")

    def header(self, chunks: Iterable[bytes]) -> list[str]:
        """The names in its header line."""
        for piece in self._cut(self._without_skipped(chunks)):
            for start, end in self._spans(piece):
                if piece[start:end].strip(b"\r\n"):
                    return self._cells(piece[start:end])
        raise FileError(f"The file {self._name} is empty: it has no header line.", code="FILE")

    def _without_skipped(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        left = self._style.skip
        for chunk in chunks:
            while left and chunk:
                _, found, chunk = chunk.partition(b"\n")
                left -= len(found)
                self._line += len(found)
            if chunk:
                yield chunk

    def _cut(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pieces of whole records."""
        held = b""
        for chunk in chunks:
            held += chunk
            if len(held) < self._piece_bytes:
                continue
            end = self._last_end(held)
            if end:
                yield held[:end]
                held = held[end:]
            elif len(held) > RECORD_LIMIT_BYTES:
                raise self._unclosed()
        if held:
            if self._last_end(held) != len(held):
                raise self._unclosed()
            yield held

    def _unclosed(self) -> FileError:
        return FileError(
            f"The file {self._name} cannot be read behind line {self._line:,}: a value in quotes is never closed, or a"
            f" record is larger than {RECORD_LIMIT_BYTES:,} bytes.",
            hint='Mend it. Where quotes mean nothing in the file, set quote: "".',
            code="FILE",
        )

    def _last_end(self, data: bytes) -> int:
        """Where the last whole record ends, 0 when there is none."""
        if (not self._style.quote or self._style.quote.encode() not in data) and b"\r" not in data:
            return data.rfind(b"\n") + 1
        end = 0
        for _, end in self._spans(data):  # noqa: B007 - the last one counts
            pass
        return end

    def _spans(self, data: bytes, pattern: re.Pattern[bytes] | None = None) -> Iterator[tuple[int, int]]:
        """Where each whole record begins and ends."""
        pattern = pattern or self._record
        end = 0
        while found := pattern.match(data, end):
            yield found.span()
            end = found.end()

    def _take_header(self, piece: bytes) -> bytes | None:
        """What follows the header in its piece; None where only empty lines have come so far."""
        for start, end in self._spans(piece):
            if not piece[start:end].strip(b"\r\n"):
                continue
            header = self._cells(piece[start:end])
            self._width = len(header)
            self._places = [place_of(name, header, self._name) for name in self._wanted]
            self._line += piece[:end].count(b"\n")
            return piece[end:]
        self._line += piece.count(b"\n")
        return None

    def _cells(self, record: bytes) -> list[str]:
        text = io.StringIO(record.decode(), newline="")
        if not self._style.quote:
            return next(csv.reader(text, delimiter=self._style.delimiter, quoting=csv.QUOTE_NONE))
        return next(csv.reader(text, delimiter=self._style.delimiter, quotechar=self._style.quote))

    def _parse(self, piece: bytes) -> Piece:
        import pyarrow as pa
        import pyarrow.csv as arrow_csv

        invalid: list[tuple[int, int, str]] = []

        def skip(row: Any) -> str:
            invalid.append((row.number, row.actual_columns, row.text))
            return "skip"

        first_line, self._line = self._line, self._line + piece.count(b"\n")
        if piece.isspace():
            return Piece(arrays=[pa.nulls(0, pa.string()) for _ in self._places], first_line=first_line)
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(piece),
                read_options=arrow_csv.ReadOptions(
                    column_names=[str(place) for place in range(self._width)],
                    block_size=len(piece) + 1,
                    use_threads=False,
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._style.delimiter,
                    quote_char=self._style.quote or False,
                    newlines_in_values=bool(self._style.quote),
                    invalid_row_handler=skip,
                ),
                convert_options=self._as_texts(),
            )
        except pa.ArrowInvalid as error:
            raise FileError(
                f"The file {self._name} cannot be read between the lines {first_line:,} and {self._line:,}.",
                hint="See whether its delimiter, quote and encoding are those that were set.",
                code="FILE",
            ) from error
        arrays = [_one_array(table.column(str(place))) for place in self._places]
        whole = not invalid and table.num_rows == piece.count(b"\n")
        return self._piece(arrays, invalid, None if whole else self._starts(piece, first_line), first_line)

    def _as_texts(self) -> Any:
        import pyarrow as pa
        import pyarrow.csv as arrow_csv

        chosen = list(dict.fromkeys(str(place) for place in self._places))
        return arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(chosen, pa.string()),
            include_columns=chosen,
            null_values=list(self._style.nulls),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        )

    def _starts(self, piece: bytes, first_line: int) -> list[int]:
        """The line of each record that is not empty."""
        found, line, done = [], first_line, 0
        for start, end in self._spans(piece, self._whole):
            line += piece.count(b"\n", done, start)
            done = start
            if piece[start:end].strip(b"\r\n"):
                found.append(line)
        return found

    def _piece(
        self, arrays: list[pa.Array], invalid: list[tuple[int, int, str]], starts: list[int] | None, first_line: int
    ) -> Piece:
        malformed = []
        if starts is not None and invalid:
            for number, width, text in invalid:
                values = "1 value" if width == 1 else f"{width} values"
                reason = f"the line has {values}, and {self._width} are expected"
                malformed.append(Malformed(line=starts[number - 1], text=text[:_SHOWN_CHARACTERS], reason=reason))
            bad = {number - 1 for number, _, _ in invalid}
            starts = [line for place, line in enumerate(starts) if place not in bad]
        return Piece(arrays=arrays, malformed=malformed, starts=starts, first_line=first_line)


def _record_pattern(style: CsvFormat, *, last: bool = False) -> bytes:
    """One record with its line end; a CR at the end of the data is one only where it is the `last` data. A quote opens
    a value only where the value begins, as pyarrow has it. What begins with a quote that is not closed yet does not
    match."""
    delimiter, quote = re.escape(style.delimiter.encode()), re.escape(style.quote.encode())
    end = rb"(?:\r\n|\n|\r)" if last else rb"(?:\r\n|\n|\r(?!\n|\Z))"
    if not quote:
        return rb"[^\r\n]*+" + end
    quoted = quote + rb"(?:[^" + quote + rb"]|" + quote + quote + rb")*+" + quote + rb"[^" + delimiter + rb"\r\n]*+"
    plain = rb"[^" + quote + delimiter + rb"\r\n][^" + delimiter + rb"\r\n]*+"
    value = rb"(?:" + quoted + rb"|" + plain + rb"|)"
    return value + rb"(?:" + delimiter + value + rb")*+" + end


def _one_array(column: Any) -> pa.Array:
    """A column of a table as one array."""
    import pyarrow as pa

    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


def place_of(name: str, header: Sequence[str], file: str) -> int:
    """Where a column stands: the one of that name, else the only one without regard to case and spaces around it.
    Raises FileError where there is none."""
    if header.count(name) == 1:
        return list(header).index(name)
    found = [place for place, one in enumerate(header) if one.strip().lower() == name.strip().lower()]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(f"“{one}”" for one in header[:12]) + (", …" if len(header) > 12 else "")
    how = "has no column" if not found else "has several columns"
    raise FileError(
        f"The file {file} {how} “{name}”.",
        hint=f"It has {shown}. Write what the file calls it: {{from: …}}; see too whether the delimiter is right.",
        code="FILE",
    )


def _lines(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Cuts a text that ends with a line end into pieces of whole lines."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size < PIECE_BYTES:
            continue
        if size > RECORD_LIMIT_BYTES and b"\n" not in chunk:
            raise FileError(f"A line of the file {name} is larger than {RECORD_LIMIT_BYTES:,} bytes.", code="FILE")
        end = chunk.rfind(b"\n") + 1
        if end:
            rest = chunk[end:]
            held[-1] = chunk[:end]
            yield b"".join(held)
            held, size = [rest], len(rest)
    if rest := b"".join(held):
        yield rest


def json_lines(chunks: Iterable[bytes], wanted: Sequence[str], name: str) -> Iterator[Piece]:
    """Reads JSON Lines in UTF-8: an object a line. Numbers come as they are written; a list or object as its JSON."""
    import msgspec
    import pyarrow as pa

    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    first_line = 1
    for piece in _lines(chunks, name):
        cells: list[list[str | None]] = [[] for _ in wanted]
        starts: list[int] = []
        malformed: list[Malformed] = []
        for number, line in enumerate(piece.split(b"\n"), first_line):
            if not line.strip():
                continue
            try:
                found = decoder.decode(line)
                values = [_json_text(found.get(one)) for one in wanted]
            except (msgspec.DecodeError, UnicodeDecodeError):
                text = line[:_SHOWN_CHARACTERS].decode(errors="replace")
                malformed.append(Malformed(line=number, text=text, reason="the line is not a JSON object"))
                continue
            starts.append(number)
            for column, value in zip(cells, values, strict=True):
                column.append(value)
        first_line += piece.count(b"\n")
        yield Piece(arrays=[pa.array(column, pa.string()) for column in cells], malformed=malformed, starts=starts)


def _json_text(raw: Any) -> str | None:
    """A JSON value as text; null, and a field that is not there, as None."""
    import msgspec

    if raw is None:
        return None
    written = bytes(raw)
    if written.startswith(b'"'):
        return msgspec.json.decode(written, type=str)
    return None if written == b"null" else written.decode()


def parquet(path: Path, wanted: Sequence[str]) -> Iterator[Piece]:
    """Reads a Parquet file; each column as the type that it has there."""
    import pyarrow as pa
    import pyarrow.parquet as arrow_parquet

    try:
        with path.open("rb") as opened:
            file = arrow_parquet.ParquetFile(opened)
            header = list(file.schema_arrow.names)
            names = [header[place_of(one, header, path.name)] for one in wanted]
            first = 1
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=list(dict.fromkeys(names))):
                yield Piece(arrays=[batch.column(one) for one in names], first_line=first)
                first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise FileError(
            f"The file {path.name} cannot be read as Parquet: {error}.", hint="It is damaged, or was cut.", code="FILE"
        ) from error

"""Typed batches to the bytes of a file: CSV, JSON Lines or Parquet, column by column."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from crosstie.activities.files.formats import Format, strftime_pattern
from crosstie.db.columns import arrow_schema
from crosstie.errors import FileError
from crosstie.model import Column, ColumnType
from crosstie.schema.conversions.zones import to_wall

# What a spreadsheet takes for a formula at the beginning of a cell (OWASP, CSV Injection).
_FORMULA = "^[=+\\-@\t\r\n]"
# Encodings that begin with a byte order mark, and what follows it.
_MARKED = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}
_TEXTS = (ColumnType.TEXT, ColumnType.SET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a file is written. `dates` is the pattern of dates, `instants` that of dates with time; '' for ISO."""

    format: Format
    zone: ZoneInfo
    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    encoding: str = "utf-8"
    line_end: str = "\n"
    null: str = ""
    decimal: str = "."
    dates: str = ""
    instants: str = ""
    guarded: bool = False


def texts(style: Style, column: Column, array: pa.Array) -> pa.Array:
    """A column as text; null stays null."""
    kind = column.type
    if kind in _TEXTS:
        return array
    if kind is ColumnType.DATE:
        return pc.strftime(array, strftime_pattern(style.dates)) if style.dates else array.cast(pa.string())
    if kind in (ColumnType.INSTANT, ColumnType.WALL_CLOCK):
        return _moments(style, kind, array)
    if kind is ColumnType.TIME:
        return pc.utf8_slice_codeunits(array.cast(pa.string()), 0, 8)
    if kind is ColumnType.BINARY:
        return pa.array([None if value is None else value.hex() for value in array.to_pylist()], pa.string())
    written = array.cast(pa.string())
    if kind in (ColumnType.DECIMAL, ColumnType.FLOAT) and style.decimal != ".":
        return pc.replace_substring(written, ".", style.decimal)
    return written


def _moments(style: Style, kind: ColumnType, array: pa.Array) -> pa.Array:
    """Instants are written as the clocks of the zone show them, in ISO with their offset."""
    seconds = pa.timestamp("s")
    wall = to_wall(array, style.zone) if kind is ColumnType.INSTANT else array
    whole = pc.floor_temporal(wall, unit="second").cast(seconds)
    if style.instants:
        return pc.strftime(whole, strftime_pattern(style.instants))
    written = pc.strftime(whole, "%Y-%m-%dT%H:%M:%S")
    if kind is ColumnType.WALL_CLOCK:
        return written
    as_if_utc = wall.cast(pa.timestamp("us", "UTC"))
    minutes = pc.divide(pc.subtract(as_if_utc.cast(pa.int64()), array.cast(pa.int64())), 60_000_000)
    return pc.binary_join_element_wise(written, _offsets(minutes), "")


def _offsets(minutes: pa.Array) -> pa.Array:
    encoded = minutes.dictionary_encode()
    shown = [
        f"{'-' if one < 0 else '+'}{abs(one) // 60:02d}:{abs(one) % 60:02d}" for one in encoded.dictionary.to_pylist()
    ]
    return pc.take(pa.array(shown, pa.string()), encoded.indices)


def csv_lines(style: Style, columns: tuple[Column, ...], batch: pa.RecordBatch) -> str:
    """The rows of a batch as CSV. An empty text is written in quotes where nothing stands for null."""
    cells = [
        _cells(style, column, texts(style, column, array)) for column, array in zip(columns, batch.columns, strict=True)
    ]
    lines = pc.binary_join_element_wise(*cells, style.delimiter) if len(cells) > 1 else cells[0]
    return "".join(f"{line}{style.line_end}" for line in lines.to_pylist())


def _cells(style: Style, column: Column, written: pa.Array) -> pa.Array:
    if style.guarded and column.type in _TEXTS:
        risky = pc.fill_null(pc.match_substring_regex(written, _FORMULA), False)
        written = pc.if_else(risky, pc.binary_join_element_wise("'", written, ""), written)
    if not style.quote:
        _refuse_unquotable(style, column, written)
        return pc.fill_null(written, style.null)
    special = f"[{_in_class(style.delimiter)}{_in_class(style.quote)}\r\n]"
    needed = pc.match_substring_regex(written, special)
    needed = pc.or_(needed, pc.or_(pc.equal(written, style.null), pc.match_substring_regex(written, "^\\s|\\s$")))
    doubled = pc.replace_substring(written, style.quote, style.quote * 2)
    quoted = pc.binary_join_element_wise(style.quote, doubled, style.quote, "")
    return pc.fill_null(pc.if_else(needed, quoted, written), style.null)


def _in_class(character: str) -> str:
    return "\\" + character if character in "\\]^-[" else character


def _refuse_unquotable(style: Style, column: Column, written: pa.Array) -> None:
    lost = pc.match_substring_regex(written, f"[{_in_class(style.delimiter)}\r\n]")
    if pc.any(lost).as_py():
        raise FileError(
            f"Column {column.name} has values with the delimiter or a line end in them, and quotes are off.",
            hint="Set “quote”, or another “delimiter”.",
            code="FILE",
        )


def header_line(style: Style, columns: tuple[Column, ...]) -> str:
    """The names of the columns."""
    names = [pa.array([column.name], pa.string()) for column in columns]
    plain = tuple(Column(name=column.name, type=ColumnType.TEXT) for column in columns)
    return csv_lines(style, plain, pa.RecordBatch.from_arrays(names, names=[column.name for column in columns]))


def json_lines(style: Style, columns: tuple[Column, ...], batch: pa.RecordBatch) -> bytes:
    """The rows of a batch as JSON, an object a line; numbers and booleans as such, all else as text."""
    import msgspec

    encoder = msgspec.json.Encoder(decimal_format="number")
    values = []
    for column, array in zip(columns, batch.columns, strict=True):
        plain = column.type in (ColumnType.INTEGER, ColumnType.DECIMAL, ColumnType.FLOAT, ColumnType.BOOLEAN)
        values.append((array if plain else texts(style, column, array)).to_pylist())
    names = [column.name for column in columns]
    rows = zip(*values, strict=True)
    return b"".join(encoder.encode(dict(zip(names, row, strict=True))) + b"\n" for row in rows)


def write(
    file: IO[bytes], style: Style, columns: tuple[Column, ...], batches: Iterable[pa.RecordBatch], *, packed: bool
) -> int:
    """Writes all batches; the number of rows. Raises FileError for a character that the encoding does not have."""
    rows = 0
    with ExitStack() as stack:
        if style.format == "parquet":
            return _write_parquet(file, columns, batches)
        target = stack.enter_context(_packed(file)) if packed else file
        if style.format == "csv" and style.header:
            target.write(_encoded(style, header_line(style, columns), first=True))
        for number, batch in enumerate(batches):
            if style.format == "jsonl":
                target.write(json_lines(style, columns, batch))
            else:
                first = number == 0 and not style.header
                target.write(_encoded(style, csv_lines(style, columns, batch), first=first))
            rows += batch.num_rows
    return rows


@contextmanager
def _packed(file: IO[bytes]) -> Iterator[IO[bytes]]:
    # Without a name and a time in it, the same rows give the same bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        yield cast(IO[bytes], packed)


def _encoded(style: Style, text: str, *, first: bool) -> bytes:
    """The text in the file's encoding; a byte order mark, where it has one, comes first only."""
    encoding = style.encoding
    try:
        marked = _MARKED.get(encoding)
        if marked is None:
            return text.encode(encoding)
        return f"{chr(0xFEFF) if first else ''}{text}".encode(marked)
    except UnicodeEncodeError as error:
        raise FileError(
            f"“{text[error.start : error.start + 1]}” cannot be written in {encoding}.",
            hint="Choose another encoding, like utf-8.",
            code="FILE",
        ) from error


def _write_parquet(file: IO[bytes], columns: tuple[Column, ...], batches: Iterable[pa.RecordBatch]) -> int:
    import pyarrow.parquet as arrow_parquet

    rows = 0
    schema: Any = arrow_schema(columns)
    with arrow_parquet.ParquetWriter(file, schema) as writer:
        for batch in batches:
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
            rows += batch.num_rows
    return rows

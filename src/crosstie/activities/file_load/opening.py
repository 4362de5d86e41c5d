"""A file as pieces of records, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from crosstie.activities.file_load import FileLoad
from crosstie.activities.files.bytes import as_utf8, ended, unpacked
from crosstie.activities.files.formats import compression_of, format_of
from crosstie.activities.files.pieces import CsvFormat, CsvPieces, Piece, json_lines, parquet
from crosstie.errors import FileError


def csv_pieces(activity: FileLoad, wanted: Sequence[str], name: str) -> CsvPieces:
    """The reader of a CSV file of the activity."""
    style = CsvFormat(
        delimiter=activity.delimiter,
        quote=activity.quote,
        header=activity.header,
        skip=activity.skip,
        nulls=activity.nulls,
    )
    return CsvPieces(style, wanted, name)


def text_of(activity: FileLoad, path: Path) -> Iterator[bytes]:
    """The text of a file, unpacked, in UTF-8. Raises FileError."""
    compression = activity.compression or compression_of(path.name)
    return ended(as_utf8(unpacked(path, compression), activity.encoding, path.name))


def pieces(activity: FileLoad, path: Path, wanted: Sequence[str]) -> Iterator[Piece]:
    """The records of a file. Raises FileError."""
    kind = activity.format or format_of(path.name)
    if kind == "parquet":
        if (activity.compression or compression_of(path.name)) != "none":
            raise FileError(
                f"The Parquet file {path.name} is packed a second time.",
                hint="Unpack it: Parquet is compressed in itself.",
                code="FILE",
            )
        return parquet(path, wanted)
    text = text_of(activity, path)
    if kind == "jsonl":
        return json_lines(text, wanted, path.name)
    return csv_pieces(activity, wanted, path.name).read(text)

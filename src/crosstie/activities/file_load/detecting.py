"""Which columns a sample file has, and of which types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as arrow_parquet

from crosstie.activities.file_load import FileLoad
from crosstie.activities.file_load.keys import FileColumn, Kind
from crosstie.activities.file_load.opening import csv_pieces, pieces, text_of
from crosstie.activities.files.cells import Cells
from crosstie.activities.files.formats import format_of
from crosstie.activities.files.names import FileError, FilesFolder
from crosstie.model import Column, ColumnType

_PIECES = 4
_MOST_SCALE = 15
# Leading zeros belong to a text like a postal code or a telephone number.
_NUMBER_TEXT = re.compile(r"[+-]?0[0-9]")
_TRIED: tuple[Kind, ...] = ("integer", "decimal", "boolean", "date", "instant")
_WORD_BOOLEANS = re.compile(r"(?i:true|false)")
_UTC = ZoneInfo("UTC")


def detect(activity: FileLoad, folder: FilesFolder) -> Mapping[str, FileColumn]:
    """The columns of the sample, each of the first type that all its values have: integer, decimal, boolean (true and
    false), date, instant (with offset), else text. The first few megabytes are looked at. Raises FileError."""
    path = folder.path(activity.detect)
    if not path.is_file():
        raise FileError(f"There is no sample file {activity.detect} in {folder.root}.", code="NO_FILE")
    if (activity.format or format_of(path.name)) == "parquet":
        return _of_parquet(path)
    names = _names(activity, path)
    seen: list[list[pa.Array]] = [[] for _ in names]
    for piece in islice(pieces(activity, path, names), _PIECES):
        for column, array in zip(seen, piece.arrays, strict=True):
            column.append(array)
    return {name: _column(activity, column) for name, column in zip(names, seen, strict=True)}


def _names(activity: FileLoad, path: Path) -> Sequence[str]:
    text = text_of(activity, path)
    if (activity.format or format_of(path.name)) == "jsonl":
        return _json_names(text, path)
    header = csv_pieces(activity, (), path.name).header(text)
    return header if activity.header else [f"column_{place}" for place in range(1, len(header) + 1)]


def _json_names(text: Iterator[bytes], path: Path) -> Sequence[str]:
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    names: dict[str, None] = {}
    sample = b"".join(islice(text, _PIECES))
    for line in sample.split(b"\n")[:-1]:
        try:
            names.update(dict.fromkeys(decoder.decode(line))) if line.strip() else None
        except msgspec.DecodeError:
            continue  # such a line is refused when it is loaded
    if not names:
        raise FileError(f"The sample {path.name} has no JSON object.", code="FILE")
    return list(names)


def _column(activity: FileLoad, arrays: list[pa.Array]) -> FileColumn:
    values = pa.chunked_array(arrays, pa.string()).combine_chunks() if arrays else pa.nulls(0, pa.string())
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.nulls(0, pa.string())
    present = pc.drop_null(values)
    if not len(present):
        return FileColumn()
    texts = (
        present.to_pylist()
        if len(present) < 1000
        else list(chain(present[:500].to_pylist(), present[-500:].to_pylist()))
    )
    for kind in _TRIED:
        if kind in ("integer", "decimal") and any(_NUMBER_TEXT.match(one.strip()) for one in texts):
            continue
        if kind == "boolean" and not all(_WORD_BOOLEANS.fullmatch(one.strip()) for one in texts):
            continue
        if kind == "instant" and not all(re.search(r"(Z|[+-][0-9:]{2,6})$", one.strip()) for one in texts):
            continue
        scale = _scale(texts, activity.decimal) if kind == "decimal" else 0
        cells = Cells(
            column=Column(name="sample", type=ColumnType(kind), scale=_MOST_SCALE if kind == "decimal" else 0),
            zone=_UTC,
            decimal=activity.decimal,
            thousands=activity.thousands,
        )
        if cells.read(present).bad is None:
            return FileColumn(type=kind, scale=scale or 2)
    return FileColumn()


def _scale(texts: Sequence[str], point: str) -> int:
    return min(max((len(one.strip().partition(point)[2]) for one in texts), default=0), _MOST_SCALE)


def _of_parquet(path: Path) -> Mapping[str, FileColumn]:
    try:
        schema = arrow_parquet.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"The sample {path.name} cannot be read as Parquet: {error}.", code="FILE") from error
    return {one.name: _of_type(one.type) for one in schema}


def _of_type(kind: pa.DataType) -> FileColumn:
    found: tuple[tuple[bool, Kind], ...] = (
        (pa.types.is_integer(kind), "integer"),
        (pa.types.is_floating(kind), "float"),
        (pa.types.is_boolean(kind), "boolean"),
        (pa.types.is_date(kind), "date"),
        (pa.types.is_time(kind), "time"),
        (pa.types.is_timestamp(kind), "instant" if getattr(kind, "tz", None) else "wall_clock"),
    )
    if pa.types.is_decimal(kind):
        return FileColumn(type="decimal", scale=min(kind.scale, _MOST_SCALE))
    return FileColumn(type=next((word for fits, word in found if fits), "text"))

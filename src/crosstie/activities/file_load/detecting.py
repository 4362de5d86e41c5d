"""Which columns a sample file has, and of which types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
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
from crosstie.activities.files.names import FilesFolder
from crosstie.errors import FileError
from crosstie.model import Column, ColumnType
from crosstie.schema.conversions.columns import having

_PIECES = 4
_MOST_SCALE = 15
# Leading zeros belong to a text like a postal code or a telephone number.
_NUMBER_TEXT = r"^[+-]?0[0-9]"
_TRIED: tuple[Kind, ...] = ("integer", "decimal", "boolean", "date", "instant")
_WORD_BOOLEAN = r"^(?i:true|false)$"
_OFFSET = r"(Z|[+-][0-9:]{2,6})$"
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
    present = pc.drop_null(pa.chunked_array(arrays, pa.string()))
    if not len(present):
        return FileColumn()
    texts = pc.utf8_trim_whitespace(present.combine_chunks())
    for kind in _TRIED:
        if not _can_be(kind, texts):
            continue
        scale = _scale(texts, activity.decimal) if kind == "decimal" else 0
        cells = Cells(
            column=Column(name="sample", type=ColumnType(kind), scale=_MOST_SCALE if kind == "decimal" else 0),
            zone=_UTC,
            decimal=activity.decimal,
            thousands=activity.thousands,
        )
        if cells.read(texts).bad is None:
            return FileColumn(type=kind, scale=scale or 2)
    return FileColumn()


def _can_be(kind: Kind, texts: pa.Array) -> bool:
    """Whether nothing is lost, or meant otherwise, when all of the texts are read as that type."""
    match kind:
        case "integer" | "decimal":
            return not pc.any(having(texts, _NUMBER_TEXT)).as_py()
        case "boolean":
            return bool(pc.all(having(texts, _WORD_BOOLEAN)).as_py())
        case "instant":
            return bool(pc.all(having(texts, _OFFSET)).as_py())
    return True


def _scale(texts: pa.Array, point: str) -> int:
    decimals = pc.replace_substring_regex(texts, pattern=rf"^[^{point}]*[{point}]?", replacement="")
    return min(pc.max(pc.utf8_length(decimals)).as_py() or 0, _MOST_SCALE)


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

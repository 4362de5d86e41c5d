"""From what a file holds to typed columns, and what can't be converted to refusals with line, column and reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from crosstie.activities.files.formats import date_regex
from crosstie.activities.files.pieces import Piece
from crosstie.db.columns import arrow_type
from crosstie.db.database import Dialect
from crosstie.db.values import SIGNIFICANT_DIGITS, inexact
from crosstie.model import Column, ColumnType
from crosstie.schema.conversions import reading
from crosstie.schema.conversions.columns import Read, having, only

_WORDS = {
    ColumnType.INTEGER: "a whole number",
    ColumnType.DECIMAL: "a number",
    ColumnType.FLOAT: "a number",
    ColumnType.BOOLEAN: "true or false",
    ColumnType.DATE: "a date",
    ColumnType.INSTANT: "a date and time",
    ColumnType.WALL_CLOCK: "a date and time",
    ColumnType.TIME: "a time of day",
}
_NUMBERS = (ColumnType.INTEGER, ColumnType.DECIMAL, ColumnType.FLOAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """How the values of one column are read. `thousands` stand between the digits of a number, `format` is that of a
    date (dd/MM/yyyy), '' for ISO."""

    column: Column
    zone: ZoneInfo
    decimal: str = "."
    thousands: str = ""
    format: str = ""
    trim: bool = False
    mandatory: bool = False
    default: str | None = None

    def read(self, array: pa.Array) -> Read:
        """The column as its type."""
        wanted = arrow_type(self.column)
        if array.type == wanted and not pa.types.is_string(wanted):
            return Read(array)
        if not _is_text(array):
            cast = _safely(array, self.column, wanted)
            if cast is not None:
                return Read(cast)
        texts = pc.cast(array, pa.string())
        kind = self.column.type
        if self.trim or kind not in (ColumnType.TEXT, ColumnType.SET):
            texts = pc.utf8_trim_whitespace(texts)
            texts = only(texts, pc.fill_null(pc.not_equal(texts, ""), False))
        if kind in _NUMBERS:
            texts, refused = self._plain_numbers(texts)
        elif self.format:
            texts, refused = self._iso(texts)
        else:
            refused = None
        read = self._typed(texts)
        if refused is None or not pc.any(refused).as_py():
            return read
        bad = refused if read.bad is None else pc.or_(refused, read.bad)
        return Read(read.values, bad, read.repeated, read.skipped)

    def reason(self) -> str:
        """Why a value could not be read."""
        if self.column.type is ColumnType.TEXT:
            return f"longer than {self.column.length} characters"
        if self.column.type is ColumnType.DECIMAL:
            return f"not a number of at most {self.column.scale} decimals"
        return f"not {_WORDS[self.column.type]}" + (f" like {self.format}" if self.format else "")

    def _plain_numbers(self, texts: pa.Array) -> tuple[pa.Array, pa.Array | None]:
        """The numbers with a point and nothing between their digits; what is written otherwise is refused."""
        if self.decimal == "." and not self.thousands:
            return texts, None
        point = "\\" + self.decimal
        plain = rf"^[+-]?[0-9]*({point}[0-9]*)?([eE][+-]?[0-9]+)?$"
        fits = having(texts, plain)
        if self.thousands:
            grouped = rf"^[+-]?[0-9]{{1,3}}(?:\{self.thousands}[0-9]{{3}})+({point}[0-9]*)?$"
            fits = pc.or_(fits, having(texts, grouped))
        refused = pc.and_(pc.is_valid(texts), pc.invert(fits))
        kept = only(texts, fits)
        if self.thousands:
            kept = pc.replace_substring(kept, self.thousands, "")
        return pc.replace_substring(kept, self.decimal, "."), refused

    def _iso(self, texts: pa.Array) -> tuple[pa.Array, pa.Array | None]:
        """Dates in a format of their own as ISO has them; what does not have the format is refused."""
        parts = pc.extract_regex(texts, pattern=date_regex(self.format))
        refused = pc.and_(pc.is_valid(texts), pc.is_null(parts))
        names = {one.name for one in parts.type}

        def part(name: str, width: int) -> pa.Array:
            if name not in names:
                return pa.array(["00"] * len(texts), pa.string())
            return pc.utf8_lpad(pc.struct_field(parts, name), width, "0")

        day = pc.binary_join_element_wise(part("yyyy", 4), part("MM", 2), part("dd", 2), "-")
        if self.column.type is ColumnType.DATE:
            return only(day, pc.is_valid(parts)), refused
        clock = pc.binary_join_element_wise(part("HH", 2), part("mm", 2), part("ss", 2), ":")
        zulu = "Z" if self.format.endswith("Z") else ""
        whole = pc.binary_join_element_wise(pc.binary_join_element_wise(day, clock, "T"), zulu, "")
        return only(whole, pc.is_valid(parts)), refused

    def _typed(self, texts: pa.Array) -> Read:
        match self.column.type:
            case ColumnType.INTEGER:
                return reading.read_integer(texts)
            case ColumnType.DECIMAL:
                return _of_scale(reading.read_decimal(texts, self.column.scale), self.column.scale)
            case ColumnType.FLOAT:
                return reading.read_float(texts)
            case ColumnType.BOOLEAN:
                return reading.read_boolean(texts)
            case ColumnType.DATE:
                return reading.read_date(texts)
            case ColumnType.TIME:
                return reading.read_time(texts)
            case ColumnType.INSTANT:
                return reading.read_instant(texts, self.zone)
            case ColumnType.WALL_CLOCK:
                return reading.read_wall_clock(texts)
            case ColumnType.SET:
                return reading.read_set(texts)
        return reading.read_text(texts, self.column.length)


def _is_text(array: pa.Array) -> bool:
    kind = array.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _safely(array: pa.Array, column: Column, wanted: pa.DataType) -> pa.Array | None:
    """A typed column as another type where nothing is lost by it; None where its text has to be looked at."""
    if column.type in (ColumnType.TEXT, ColumnType.SET, ColumnType.TIME):
        return None
    if column.type is ColumnType.DECIMAL and pa.types.is_floating(array.type):
        return None
    if column.type is ColumnType.INSTANT and not getattr(array.type, "tz", None):
        return None
    try:
        return pc.cast(array, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _of_scale(read: Read, scale: int) -> Read:
    """Decimals with more digits behind the point than the column has are refused, never rounded."""
    values = read.values
    if values.type.scale <= scale:
        return read
    cut = pc.round(values, scale, round_mode="towards_zero")
    fits = pc.fill_null(pc.equal(cut, values), True)
    bad = pc.invert(fits)
    kept = pc.cast(only(values, fits), pa.decimal128(38, scale))
    return Read(kept, bad if read.bad is None else pc.or_(bad, read.bad))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A row that is refused: its place in the piece, its line in the file, the column at fault and why."""

    row: int
    line: int
    column: str
    symbol: str
    message: str


@dataclass(slots=True, kw_only=True)
class Sorted:
    """A piece by outcome: typed rows, and the texts of the refused ones in their order."""

    good: pa.RecordBatch
    refused: list[Refused] = field(default_factory=list)
    texts: list[pa.Array] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class RowReader:
    """Reads the rows of a file. Counts zone-less times that the zone has twice or not at all."""

    cells: Sequence[Cells]
    dialect: Dialect
    repeated: int = 0
    skipped: int = 0

    def sort(self, piece: Piece) -> Sorted:
        """The rows of a piece, typed, and those that are refused."""
        faults: dict[int, tuple[str, str, str]] = {}
        values = []
        for cells, array in zip(self.cells, piece.arrays, strict=True):
            found = self._column(cells, array, faults)
            values.append(found)
        names = [cells.column.name for cells in self.cells]
        good = pa.RecordBatch.from_arrays(values, names=names)
        if not faults:
            return Sorted(good=good)
        rows = sorted(faults)
        mask = pa.array([row not in faults for row in range(piece.rows)], pa.bool_())
        chosen = pa.array(rows, pa.int64())
        return Sorted(
            good=good.filter(mask),
            refused=[
                Refused(
                    row=row,
                    line=piece.line_of(row),
                    column=faults[row][0],
                    symbol=faults[row][1],
                    message=faults[row][2],
                )
                for row in rows
            ],
            texts=[pc.cast(array.take(chosen), pa.string()) for array in piece.arrays],
        )

    def _column(self, cells: Cells, array: pa.Array, faults: dict[int, tuple[str, str, str]]) -> pa.Array:
        """A column as its type; the first fault of each row is noted."""
        name = cells.column.name
        if cells.default is not None and array.null_count:
            array = pc.fill_null(pc.cast(array, pa.string()), cells.default)
        read = cells.read(array)
        self.repeated += read.repeated
        self.skipped += read.skipped

        def note(bad: pa.Array | None, symbol: str, message: str) -> None:
            if bad is not None:
                for row in pc.indices_nonzero(pc.fill_null(bad, False)).to_pylist():
                    faults.setdefault(row, (name, symbol, f"{name} is {message}"))

        note(read.bad, "CONVERSION_FAILED", cells.reason())
        if cells.mandatory and read.values.null_count:
            note(pc.is_null(read.values), "REQUIRED", "empty")
        lost = inexact(self.dialect, cells.column, read.values)
        note(lost, "NOT_EXACT", f"not exact in SQLite, which keeps {SIGNIFICANT_DIGITS} significant digits")
        if pa.types.is_string(read.values.type):
            data = read.values.buffers()[2]
            if data is not None and b"\0" in data.to_pybytes():
                note(pc.match_substring(read.values, "\0"), "NUL", "a text with a NUL character")
        return read.values

"""One remote field's conversion, both ways, a column at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType, FieldType, RemoteField
from crosstie.schema.conversions import reading, writing
from crosstie.schema.conversions.columns import INSTANT, Read
from crosstie.schema.conversions.modes import COPY_PASTE, DATE_ONLY, DEFAULT, WITHOUT_TIME_OFFSET, local_column
from crosstie.schema.conversions.zones import to_wall

_WORDS = {
    ColumnType.INTEGER: "a whole number",
    ColumnType.DECIMAL: "a decimal number of at most 18 digits before and 20 after the point",
    ColumnType.FLOAT: "a number",
    ColumnType.BOOLEAN: "true or false",
    ColumnType.DATE: "a date",
    ColumnType.INSTANT: "a date and time",
    ColumnType.WALL_CLOCK: "a date and time",
    ColumnType.TIME: "a time of day",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BadCell:
    """A value that could not be converted: its row in the batch, the remote field, the wire text, and why."""

    row: int
    field: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A converted column. `bad` is true for rows whose value could not be converted (there `values` is null), or None.

    `reason` says why, for all of them. `repeated` and `skipped` count zone-less times that the zone has twice (read as
    the first) or not at all (read as the next instant): a warning, not a reject."""

    values: pa.Array
    bad: pa.Array | None = None
    reason: str = ""
    repeated: int = 0
    skipped: int = 0


class Converter:
    """Converts one remote field. `zone` is the zone in force; zone-less texts are read in `account_zone`, which is the
    same unless given. Raises MappingError for a conversion that the field cannot have."""

    def __init__(self, field: RemoteField, mode: str, zone: ZoneInfo, *, account_zone: ZoneInfo | None = None) -> None:
        self.field = field
        self.mode = mode
        self.zone = zone
        self.account_zone = account_zone or zone
        self.column: Column = local_column(field, mode, field.name)

    def to_local(self, array: pa.Array) -> Converted:
        """Wire text (a string column, null for empty) as the local type. A decimal column may come with more decimals
        than the field's scale, never with fewer."""
        read = self._read(array)
        return Converted(
            values=read.values,
            bad=read.bad,
            reason=self._reason() if read.bad is not None else "",
            repeated=read.repeated,
            skipped=read.skipped,
        )

    def bad_cells(self, array: pa.Array, converted: Converted) -> Iterator[BadCell]:
        """The bad values of a column that `to_local` gave `converted` for, in row order."""
        if converted.bad is None:
            return
        rows = pc.indices_nonzero(converted.bad)
        for row, value in zip(rows.to_pylist(), array.take(rows).to_pylist(), strict=True):
            yield BadCell(row=row, field=self.field.name, value=value, reason=converted.reason)

    def to_wire(self, array: pa.Array) -> pa.Array:
        """A column of the local type, or one that reads as it, as wire text; null stays null.

        Raises MappingError when the column's type cannot be written into the field under this conversion."""
        kind = array.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return pc.cast(array, pa.string())
        if pa.types.is_timestamp(kind):
            return self._write_timestamp(array)
        if pa.types.is_date(kind):
            return self._write_date(array)
        if pa.types.is_time(kind):
            return writing.write_time(pc.cast(array, pa.time64("us")))
        if pa.types.is_decimal(kind):
            return writing.write_decimal(array)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            return writing.write_plain(array)
        raise MappingError(f"{self.field.name} ({self.field.type.value}) cannot be written from {kind}.")

    def _read(self, array: pa.Array) -> Read:
        if self.mode == COPY_PASTE:
            return Read(array)
        match self.column.type:
            case ColumnType.INTEGER:
                return reading.read_integer(array)
            case ColumnType.DECIMAL:
                return reading.read_decimal(array, self.column.scale)
            case ColumnType.FLOAT:
                return reading.read_float(array)
            case ColumnType.BOOLEAN:
                return reading.read_boolean(array)
            case ColumnType.TIME:
                return reading.read_time(array)
            case ColumnType.SET:
                return reading.read_set(array)
            case ColumnType.INSTANT:
                return reading.read_instant(array, self.account_zone)
            case ColumnType.WALL_CLOCK:
                return reading.read_wall_clock(array)
            case ColumnType.DATE if self.field.type is FieldType.DATETIME:
                return reading.read_local_date(array, self.account_zone, self.zone)
            case ColumnType.DATE if self.field.type is FieldType.WALL_CLOCK:
                return reading.read_date_of_wall_clock(array)
            case ColumnType.DATE:
                return reading.read_date(array)
        return reading.read_text(array, self.column.length)

    def _reason(self) -> str:
        if self.column.type is ColumnType.TEXT:
            return f"is longer than the {self.column.length} characters of the field"
        return f"cannot be read as {_WORDS[self.column.type]}"

    def _write_timestamp(self, array: pa.Array) -> pa.Array:
        if self.field.type is FieldType.DATE or self.mode == DATE_ONLY:
            local = to_wall(pc.cast(array, INSTANT), self.zone) if array.type.tz else array
            return self._write_date(pc.cast(local, pa.date32()))
        if self.field.type is FieldType.WALL_CLOCK and array.type.tz:
            return writing.write_wall_clock(to_wall(pc.cast(array, INSTANT), self.zone))
        if array.type.tz:
            return writing.write_instant(array)
        if self.mode == WITHOUT_TIME_OFFSET or self.field.type is FieldType.WALL_CLOCK:
            return writing.write_wall_clock(array)
        return writing.write_zoned_wall_clock(array, self.account_zone)

    def _write_date(self, array: pa.Array) -> pa.Array:
        if self.field.type is FieldType.DATETIME and self.mode in (DEFAULT, DATE_ONLY):
            return writing.write_midnight(array, self.zone)
        if self.field.type is FieldType.WALL_CLOCK or (
            self.field.type is FieldType.DATETIME and self.mode == WITHOUT_TIME_OFFSET
        ):
            return writing.write_wall_clock(array)
        return writing.write_plain(array)

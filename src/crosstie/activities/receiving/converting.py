"""From the wire text of a batch to typed columns, and what can't be converted to rejects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from crosstie.db.database import Dialect
from crosstie.db.values import SIGNIFICANT_DIGITS, inexact
from crosstie.model import Column, ColumnType
from crosstie.schema.conversions.converter import Converted, Converter

REJECT_SYMBOL = "CONVERSION_FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedBatch:
    """A batch by outcome: typed rows for the work table, and the wire text of refused rows with the reject columns."""

    good: pa.RecordBatch
    bad: pa.RecordBatch | None = None


@dataclass(slots=True)
class OddTimes:
    """Zone-less times met that the zone has twice or not at all; told once at the end."""

    repeated: int = 0
    skipped: int = 0


@dataclass(slots=True)
class RowConverter:
    """Converts batches of one import. Used by several threads: it keeps nothing but counts of odd times."""

    columns: tuple[Column, ...]
    converters: tuple[Converter, ...]
    rejects: tuple[Column, ...]
    ordered: bool
    dialect: Dialect
    odd: OddTimes = field(default_factory=OddTimes)

    @property
    def reject_table(self) -> tuple[Column, ...]:
        """The columns of the reject work table: every imported column as text, then why."""
        texts = tuple(Column(name=one.name, type=ColumnType.TEXT, label=one.label) for one in self.columns)
        return (*texts, *self.rejects)

    def convert(self, batch: pa.RecordBatch, offset: int) -> ConvertedBatch:
        """Converts a batch. `offset` is the position of its first row in an ordered read."""
        read = [self._read(place, batch.column(place)) for place in range(len(self.converters))]
        self.odd.repeated += sum(one.repeated for one in read)
        self.odd.skipped += sum(one.skipped for one in read)
        values = [one.values for one in read]
        if self.ordered:
            values.append(pa.array(range(offset, offset + batch.num_rows), pa.int64()))
        good = pa.RecordBatch.from_arrays(values, names=[column.name for column in self.columns])
        faults = [place for place, one in enumerate(read) if one.bad is not None]
        if not faults:
            return ConvertedBatch(good=good)
        refused = read[faults[0]].bad
        for place in faults[1:]:
            refused = pc.or_(refused, read[place].bad)
        reasons: dict[int, tuple[str, str]] = {}
        for place in faults:
            for cell in self.converters[place].bad_cells(batch.column(place), read[place]):
                reasons.setdefault(cell.row, (self.columns[place].name, cell.reason))
        return ConvertedBatch(
            good=good.filter(pc.invert(refused)),
            bad=self._refused(batch.filter(refused), list(reasons.items()), values),
        )

    def _read(self, place: int, wire: pa.Array) -> Converted:
        """One column. What the database can't keep as it is, is refused like what can't be converted: never rounded."""
        read = self.converters[place].to_local(wire)
        lost = inexact(self.dialect, self.columns[place], read.values)
        if lost is None:
            return read
        reason = f"not exact in SQLite, which keeps {SIGNIFICANT_DIGITS} significant digits"
        if read.bad is None:
            return replace(read, bad=lost, reason=reason)
        return replace(read, bad=pc.or_(read.bad, lost), reason=f"{read.reason}, or {reason}")

    def _refused(
        self, wire: pa.RecordBatch, reasons: Sequence[tuple[int, tuple[str, str]]], values: Sequence[pa.Array]
    ) -> pa.RecordBatch:
        ordered = [reason for _, reason in sorted(reasons)]
        texts = [pc.cast(wire.column(place), pa.string()) for place in range(len(self.converters))]
        if self.ordered:
            rows = pa.array(sorted(row for row, _ in reasons), pa.int64())
            texts.append(pc.cast(values[-1].take(rows), pa.string()))
        told = {"errorMessage": [reason for _, reason in ordered], "errorField": [name for name, _ in ordered]}
        for column in self.rejects:
            default = REJECT_SYMBOL if column.name in ("errorSymbol", "errorCode") else None
            texts.append(pa.array(told.get(column.name, [default] * len(ordered)), pa.string()))
        return pa.RecordBatch.from_arrays(texts, names=[column.name for column in self.reject_table])

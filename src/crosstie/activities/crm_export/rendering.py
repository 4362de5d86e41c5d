"""From local values to the rows of a plan: wire text of what differs from what both sides agreed on, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from crosstie.activities.crm_export.listed import NOT_LISTED, Listed
from crosstie.activities.crm_export.mapping import MappedField
from crosstie.crm.writing import Operation, Outcome
from crosstie.db.columns import arrow_type
from crosstie.db.merge.plan import KEY_MISSING, TOO_LONG
from crosstie.model import Column, ColumnType
from crosstie.schema.conversions.reading import read_set
from crosstie.sync.plans import UNCHANGED

if TYPE_CHECKING:
    from crosstie.activities.crm_export import CrmExport

_ROW_BYTES = 64
"""What a row takes on the wire besides its values, about."""


_TWO_UNITS = r"[\x{10000}-\x{10FFFF}]"


@dataclass(slots=True)
class Cut:
    """Texts that were cut to the length of their field, by field."""

    rows: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """Renders batches whose columns are source_key, given (the key's value), tied (the remote id it is tied to),
    tied_key (the external id that was agreed on), perhaps changed_at, then the local values and the agreed ones, a pair
    for each field.
    `complete_id` makes a remote id as the CRM answers it of one as people have it, None of what is none; `new_id` one
    for a record that is to be made, where the CRM lets us choose it; `listed` knows what restricted fields take."""

    activity: CrmExport
    fields: Sequence[MappedField]
    columns: Sequence[Column]
    key_field: str
    lane: int | None
    zone: ZoneInfo
    complete_id: Callable[[str], str | None]
    new_id: Callable[[], str] | None
    listed: Listed
    cut: Cut = field(default_factory=Cut)

    def render(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """The rows of the plan, numbered from `first`."""
        count = batch.num_rows
        given, tied = self._given(batch)
        symbols = pa.nulls(count, pa.string())
        faults = pa.nulls(count, pa.string())
        messages = pa.nulls(count, pa.string())
        wires, values, known = [], [], []
        for place, one in enumerate(self.fields):
            value = batch.column(f"v_{place}")
            text, long = self._text(one, value)
            before = self._wire(one, batch.column(f"a_{place}"))
            known.append(pc.if_else(pc.is_valid(tied), pc.coalesce(before, pa.scalar("")), None))
            wires.append(self._changed(one, text, before, tied))
            # What both sides agree on is what the CRM keeps: without blanks around it, cut, a set's values sorted.
            values.append(text if one.type in (ColumnType.TEXT, ColumnType.SET) else value)
            if long is not None and one.line.too_long == "reject":
                told = f"{one.remote.name} is longer than the {one.remote.length} characters of the field"
                messages = pc.if_else(pc.and_(long, pc.is_null(messages)), told, messages)
                faults = pc.if_else(pc.and_(long, pc.is_null(faults)), one.wire, faults)
                symbols = pc.if_else(long, TOO_LONG, symbols)
            strange = self.listed.strange(one.remote, wires[-1])
            if strange is not None:
                told = f"{one.remote.name} takes only the values of its list, and this is none that is active"
                messages = pc.if_else(pc.and_(strange, pc.is_null(messages)), told, messages)
                faults = pc.if_else(pc.and_(strange, pc.is_null(faults)), one.wire, faults)
                symbols = pc.if_else(pc.and_(strange, pc.is_null(symbols)), NOT_LISTED, symbols)
        operation, remote_id, key, refused = self._operations(given, tied)
        for reason, (symbol, told) in refused:
            symbols = pc.if_else(reason, symbol, symbols)
            messages = pc.if_else(reason, told, messages)
        rejected = pc.is_valid(symbols)
        unchanged = pc.and_(pc.invert(rejected), self._unchanged(operation, tied, wires))
        outcome = pc.if_else(rejected, Outcome.REJECTED.value, pc.if_else(unchanged, Outcome.ACCEPTED.value, None))
        effect = pc.if_else(unchanged, UNCHANGED, pa.scalar(None, pa.string()))
        answered = pc.if_else(unchanged, pc.coalesce(remote_id, tied), remote_id)
        made = {
            "number": pa.array(range(first, first + count), pa.int64()),
            "source_key": batch.column("source_key"),
            "operation": operation,
            "remote_id": self._chosen(operation, remote_id),
            "key": key,
            "lane": batch_lane(wires, values, self.lane, count),
            "content_bytes": _sizes(wires, count),
            "outcome": outcome,
            "effect": effect,
            "answered_id": answered,
            "symbol": symbols,
            "message": messages,
            "faults": faults,
            **{f"f_{place}": one for place, one in enumerate(wires)},
            **{f"v_{place}": one for place, one in enumerate(values)},
            **{f"b_{place}": one for place, one in enumerate(known)},
        }
        if "changed_at" in batch.schema.names:
            made["changed_at"] = batch.column("changed_at")
        arrays = [_as(made.get(one.name), one, count) for one in self.columns]
        return pa.RecordBatch.from_arrays(arrays, names=[one.name for one in self.columns])

    def _given(self, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
        """The key of each row, and the record that it is tied to where that is the one that it says: only of that one
        it is known what was agreed."""
        given = _without_blank(batch.column("given"))
        tied = batch.column("tied")
        if self.key_field:
            same = pc.equal(given, batch.column("tied_key"))
            return given, pc.if_else(pc.fill_null(same, False), tied, None)
        given = pa.array([one and (self.complete_id(one) or one) for one in given.to_pylist()], pa.string())
        other = pc.not_equal(given, tied)
        if self.activity.insert == "always":
            other = pc.or_kleene(other, pc.is_null(given))
        return given, pc.if_else(pc.fill_null(other, False), None, tied)

    def _text(self, one: MappedField, value: pa.Array) -> tuple[pa.Array, pa.Array | None]:
        """The wire text of a column, without blanks around it as the CRM keeps it, and which values are too long. What
        is cut fits by whichever unit the CRM counts: characters, or those of UTF-16."""
        text = self._wire(one, value)
        limit = one.remote.length
        if not limit or one.type is not ColumnType.TEXT:
            return text, None
        cuts = one.line.too_long == "cut"
        length = pc.utf8_length(text)
        if cuts:
            length = pc.add(length, pc.count_substring_regex(text, _TWO_UNITS))
        long = pc.fill_null(pc.greater(length, limit), False)
        if not pc.any(long).as_py():
            return text, None
        if cuts:
            self.cut.rows[one.remote.name] = self.cut.rows.get(one.remote.name, 0) + pc.sum(long).as_py()
            fitting = [_fitting(value, limit) for value in text.filter(long).to_pylist()]
            return _without_blank(pc.replace_with_mask(text, long, pa.array(fitting, text.type))), None
        return text, long

    def _wire(self, one: MappedField, value: pa.Array) -> pa.Array:
        """The wire text, the same for values that are the same."""
        text = one.converter(self.zone).to_wire(value)
        return _without_blank(read_set(text).values if one.type is ColumnType.SET else text)

    def _changed(self, one: MappedField, text: pa.Array, before: pa.Array, tied: pa.Array) -> pa.Array:
        """The text where it says something else than what was agreed; empty where the field is to be cleared."""
        same = pc.or_(pc.fill_null(pc.equal(text, before), False), pc.and_(pc.is_null(text), pc.is_null(before)))
        changed = pc.if_else(pc.and_(same, pc.is_valid(tied)), pa.scalar(None, pa.string()), text)
        if one.line.null == "leave":
            return changed
        clears = pc.and_(pc.is_null(text), pc.or_(pc.is_valid(before), pc.is_null(tied)))
        return pc.if_else(clears, "", changed)

    def _operations(
        self, given: pa.Array, tied: pa.Array
    ) -> tuple[pa.Array, pa.Array, pa.Array, list[tuple[pa.Array, tuple[str, str]]]]:
        """What is done with each row, its remote id and its external id, and which rows are refused for that."""
        count = len(given)
        nothing = pa.nulls(count, pa.string())
        if self.key_field:
            lacks = pc.is_null(given)
            told = f"{self.key_field} is empty: nothing says which record the row is"
            upsert = pa.array([Operation.UPSERT.value] * count, pa.string())
            return upsert, nothing, given, [(lacks, (KEY_MISSING, told))]
        known = pc.coalesce(given, tied)
        operation = pc.if_else(pc.is_valid(known), Operation.UPDATE.value, Operation.INSERT.value)
        if self.activity.insert != "never":
            return operation, known, nothing, []
        told = "the row has no remote id, and “insert: never” creates no record for it"
        return operation, known, nothing, [(pc.is_null(known), ("NO_REMOTE_ID", told))]

    def _chosen(self, operation: pa.Array, remote_id: pa.Array) -> pa.Array:
        """The remote ids, with those that new records are going to have where the CRM lets us choose them. They are
        kept before anything is sent, and by them a record is known of which the answer is lost."""
        if self.new_id is None:
            return remote_id
        made = pc.equal(operation, Operation.INSERT.value)
        ids = [self.new_id() for _ in range(pc.sum(made).as_py() or 0)]
        return pc.replace_with_mask(remote_id, made, pa.array(ids, pa.string()))

    def _unchanged(self, operation: pa.Array, tied: pa.Array, wires: Sequence[pa.Array]) -> pa.Array:
        """Rows whose record exists and has everything that they say."""
        silent = pc.not_equal(operation, Operation.INSERT.value)
        if self.key_field:
            silent = pc.and_(silent, pc.is_valid(tied))
        for one in wires:
            silent = pc.and_(silent, pc.is_null(one))
        return silent


def batch_lane(wires: Sequence[pa.Array], values: Sequence[pa.Array], lane: int | None, count: int) -> pa.Array:
    """The parent that rows share, where the mapping names one."""
    if lane is None:
        return pa.nulls(count, pa.string())
    return pc.coalesce(wires[lane], pc.cast(values[lane], pa.string()))


def _without_blank(text: pa.Array) -> pa.Array:
    """The text without blanks around it; nothing where that leaves nothing."""
    trimmed = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _fitting(text: str, units: int) -> str:
    """As much of a text as so many units of UTF-16 hold."""
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore")


def _sizes(wires: Sequence[pa.Array], count: int) -> pa.Array:
    total = pa.array([_ROW_BYTES] * count, pa.int64())
    for one in wires:
        total = pc.add(total, pc.fill_null(pc.cast(pc.binary_length(one), pa.int64()), 1))
    return total


def _as(array: pa.Array | None, column: Column, count: int) -> pa.Array:
    wanted = arrow_type(column)
    if array is None:
        return pa.nulls(count, wanted)
    return array if array.type == wanted else pc.cast(array, wanted)

"""Sorting on our side, where the CRM can't: v1.0 sorts or filters, never both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crosstie.crm.connector import RemoteQuery
from crosstie.crm.oracle_on_demand.fields import readable_field
from crosstie.model import FieldType

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})


def sorted_batch(batch: pa.RecordBatch, query: RemoteQuery) -> pa.RecordBatch:
    """The rows in the query's order, by value: numbers by their size, instants by when they are, texts by characters;
    those without a value first going up, last going down. The sorted fields are among the batch's columns; equal rows
    keep their places."""
    import pyarrow as pa
    import pyarrow.compute as pc

    place = {readable_field(query.object, name).name: at for at, name in enumerate(batch.schema.names)}
    order = pa.array(range(batch.num_rows), pa.int64())
    for one in reversed(query.order):
        field = readable_field(query.object, one.field)
        column = batch.column(place[field.name])
        if field.type in _NUMBERS:
            column = pc.cast(column, pa.float64())
        elif field.type is FieldType.DATETIME:
            column = pc.cast(column, pa.timestamp("us", "UTC"))
        way, nulls = ("descending", "at_end") if one.descending else ("ascending", "at_start")
        found = pc.array_sort_indices(column.take(order), order=way, null_placement=nulls)
        order = order.take(found)
    return batch.take(order)

"""Small reads beside the import itself: a few fields of records into a private table, without rejects of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from crosstie.activities.receiving.converting import RowConverter
from crosstie.activities.receiving.pipeline import Pipeline
from crosstie.activities.remote import find_remote_field
from crosstie.crm.connector import Connector, RemoteQuery, Road
from crosstie.errors import ProtocolError
from crosstie.model import Column, ColumnType, RemoteField, RemoteObject
from crosstie.schema.conversions.converter import Converter
from crosstie.workflow.activity import Context

ID = Column(name="id", type=ColumnType.TEXT)
BLOCK_IDS = 20_000


def nothing_kept(job: str) -> None:
    """For reads that no remote job serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A read of `fields` as `columns`."""

    context: Context
    connector: Connector
    fields: tuple[RemoteField, ...]
    columns: tuple[Column, ...]

    def into(
        self, table: str, queries: Iterator[RemoteQuery], *, keep: Callable[[str], None] = nothing_kept, token: str = ""
    ) -> int:
        """Makes that table of what the queries give; how many rows."""
        db, rows = self.context.db, 0
        db.create_work(table, self.columns)
        converter = RowConverter(
            columns=self.columns,
            converters=tuple(Converter(field, "default", self.context.zone) for field in self.fields),
            rejects=(),
            ordered=False,
            dialect=db.dialect,
        )
        for query in queries:
            asked = replace(query, fields=tuple(field.name for field in self.fields), order=())
            opened = self.connector.open(asked, keep, token=token)
            threads = self.connector.limits(query.object.name).parallel_fetches
            with db.load(table, self.columns, expected_rows=opened.expected_rows) as load:
                for batch in Pipeline(self.connector, asked, converter, threads).converted(opened.partitions):
                    if batch.bad is not None:
                        raise ProtocolError(f"{query.object.name} was answered with stamps that are no dates.")
                    load.write(batch.good)
                    rows += batch.good.num_rows
        return rows


def blocks(context: Context, sql: str, size: int) -> Iterator[tuple[str, ...]]:
    """The ids of a statement in blocks; `size` is what one call takes, a block is many of them."""
    for batch in context.db.read(sql, {}, [ID], batch_rows=size * max(1, BLOCK_IDS // size)):
        yield tuple(str(value) for value in batch.column(0).to_pylist())


def by_ids(context: Context, connector: Connector, query: RemoteQuery, sql: str) -> Iterator[RemoteQuery]:
    """The same query for the ids of a statement, block by block."""
    step = connector.road_for_ids(replace(query, road=Road.PAGES), 1).ids_per_call
    for ids in blocks(context, sql, step):
        yield replace(query, ids=ids, road=Road.PAGES, expected_rows=len(ids))


def drop_living(context: Context, connector: Connector, remote: RemoteObject, table: str, key: str) -> int:
    """Takes the records that the CRM has out of a table of remote ids, asking for them by id; how many."""
    db, living = context.db, context.private_name("living")
    field = find_remote_field(remote, remote.key, context.activity, context.site)
    aside = Aside(context=context, connector=connector, fields=(field,), columns=(ID,))
    query = RemoteQuery(object=remote, fields=(remote.key,))
    quoted = db.quote(key)
    sql = f"select {quoted} as {ID.name} from crosstie.{table} order by 1"
    if not aside.into(living, by_ids(context, connector, query, sql)):
        return 0
    with db.transaction("records that are there") as transaction:
        return transaction.execute(
            f"delete from crosstie.{table} where {quoted} in (select {ID.name} from crosstie.{living})"
        )


def strings(values: Sequence[str | None]) -> pa.Array:
    """A column of text."""
    return pa.array(values, pa.string())

"""The CRM's side of a comparison: remote ids and stamps by the cheapest road, as a work table of the database's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pyarrow as pa

from crosstie.activities.crm_import import CrmImport
from crosstie.activities.receiving.converting import RowConverter
from crosstie.activities.receiving.finishing import without_repeats
from crosstie.activities.receiving.pipeline import Pipeline, Uniqueness
from crosstie.crm.connector import Condition, Connector, RemoteQuery, Road
from crosstie.db.database import Database
from crosstie.errors import MappingError, RequestError, ScriptError
from crosstie.model import RemoteField, RemoteObject
from crosstie.schema.conversions.converter import Converter
from crosstie.script.engine import ScriptScope, evaluate
from crosstie.script.filters import build_condition
from crosstie.sync.comparison import REMOTE_COLUMNS


def filter_condition(activity: CrmImport, remote: RemoteObject, scope: ScriptScope) -> Condition | None:
    """The import's filter with its values as of that scope. Raises MappingError when a value can't be evaluated."""
    if activity.filter is None:
        return None
    try:
        return build_condition(activity.filter, remote, lambda source: evaluate(source, scope))
    except ScriptError as error:
        raise MappingError(error.message, hint=error.hint) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSide:
    """What the CRM holds of an object: which records, by id and stamp. `zone` is the zone in force."""

    db: Database
    connector: Connector
    remote: RemoteObject
    index_field: str
    condition: Condition | None
    zone: ZoneInfo
    road: Road = Road.AUTO

    def query(self, *, expected_rows: int | None = None) -> RemoteQuery:
        """Every record of the import's filter, whenever it changed: one that changed since must not look gone."""
        return RemoteQuery(
            object=self.remote,
            fields=(self.remote.key, self.index_field),
            condition=self.condition,
            road=self.road,
            expected_rows=expected_rows,
        )

    def count(self) -> int | None:
        """How many records there are, for one call; None when the CRM can't count them in time."""
        try:
            return self.connector.count(self.query())
        except RequestError:
            return None

    def read(self, query: RemoteQuery, table: str, progress: Callable[[int, int | None], None]) -> str:
        """Loads ids and stamps; the name of the work table that has one row per remote id."""
        opened = self.connector.open(query, lambda job: None)
        threads = self.connector.limits(self.remote.name).parallel_fetches
        pipeline = Pipeline(self.connector, query, self._converter(), threads)
        unique, rows = Uniqueness(), 0
        self.db.create_work(table, REMOTE_COLUMNS)
        with self.db.load(table, REMOTE_COLUMNS, expected_rows=opened.expected_rows) as load:
            for converted in pipeline.converted(opened.partitions):
                batches = [converted.good] if converted.bad is None else [converted.good, unstamped(converted.bad)]
                for batch in batches:
                    if batch.num_rows:
                        unique.add(batch.column(0))
                        load.write(batch)
                        rows += batch.num_rows
                progress(rows, opened.expected_rows)
        if unique.holds():
            return table
        once, _ = without_repeats(self.db, table, f"{table}_once", REMOTE_COLUMNS, key="remote_id", stamp="stamp")
        return once

    def read_ids(self, ids: Sequence[str], table: str, *, filtered: bool) -> str:
        """Loads those of the ids that the CRM still has, or that fulfil the filter too."""
        query = RemoteQuery(
            object=self.remote,
            fields=(self.remote.key, self.index_field),
            condition=self.condition if filtered else None,
            ids=ids,
            road=Road.PAGES,
            expected_rows=len(ids),
        )
        return self.read(query, table, lambda rows, expected: None)

    def _converter(self) -> RowConverter:
        return RowConverter(
            columns=REMOTE_COLUMNS,
            converters=tuple(
                Converter(self._field(name), "default", self.zone) for name in (self.remote.key, self.index_field)
            ),
            rejects=(),
            ordered=False,
            dialect=self.db.dialect,
        )

    def _field(self, name: str) -> RemoteField:
        found = self.remote.field(name)
        if found is None:
            raise MappingError(
                f"{self.remote.name} has no field “{name}” as it was collected.",
                hint="Collect it again, and run the import before it is compared.",
            )
        return found


def unstamped(refused: pa.RecordBatch) -> pa.RecordBatch:
    """Records whose stamp can't be read: they are there all the same."""
    stamps = pa.nulls(refused.num_rows, pa.timestamp("us", "UTC"))
    return pa.RecordBatch.from_arrays([refused.column(0), stamps], names=["remote_id", "stamp"])

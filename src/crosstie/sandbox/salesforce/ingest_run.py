"""The work of an ingest job: batches that are committed one by one, in chunks of 200 rows with an outcome for each row.

Source: "Understanding Bulk API 2.0 Ingest", Bulk API 2.0 guide. A batch, its results and the job's progress are one
transaction, so that a job that is taken up again goes on where it stopped.
"""

import dataclasses
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from crosstie.sandbox.salesforce.bulk_jobs import DELIMITERS, LINE_ENDINGS
from crosstie.sandbox.salesforce.catalog import Field, SObject
from crosstie.sandbox.salesforce.duplicates import DuplicateOptions
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.ingest_columns import Column, read_header
from crosstie.sandbox.salesforce.ingest_csv import InvalidContent, csv_lines, read_csv
from crosstie.sandbox.salesforce.org import Org
from crosstie.sandbox.salesforce.record_rows import Cells, Outcome
from crosstie.sandbox.salesforce.record_sets import RecordSets
from crosstie.sandbox.salesforce.records import Records, Writer
from crosstie.sandbox.salesforce.row_errors import row_locked
from crosstie.sandbox.salesforce.rules import NONE

CHUNK_ROWS = 200
TABLES = (
    "CREATE TABLE IF NOT EXISTS sandbox_ingest_job (id TEXT PRIMARY KEY, job TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS sandbox_ingest_batch (job TEXT NOT NULL, first INTEGER NOT NULL,"
    " successful BLOB NOT NULL, failed BLOB NOT NULL, PRIMARY KEY (job, first))",
)


class IngestJob(msgspec.Struct, kw_only=True):
    """An ingest job as it is kept. `processed` counts rows with an outcome, `failed` those that were refused."""

    id: str
    operation: str
    object: str
    key: str | None
    assignment_rule: str | None
    created_by: str
    created: str
    changed: str
    version: str
    delimiter: str
    line_ending: str
    state: str = "Open"
    uploaded: bool = False
    processed: int = 0
    failed: int = 0
    retries: int = 0
    milliseconds: int = 0
    polls: int = 0
    error: str | None = None
    late: float = 0.0
    holds_back: bool = True
    fails_after: int | None = None
    failure: str = ""
    queued: bool = False
    """Whether the work must not begin until it is told to."""
    waits_after: int | None = None
    """Rows after which the job stays in progress until it is told to go on, or is aborted."""


def content_file(org: Org, job: IngestJob) -> Path:
    """Where the data of a job is kept as it was uploaded."""
    return org.state_dir / "ingest" / f"{job.id}.csv"


def keep_job(connection: sqlite3.Connection, job: IngestJob) -> None:
    """Writes the job as it is now."""
    connection.execute(
        "INSERT OR REPLACE INTO sandbox_ingest_job VALUES (?, ?)", (job.id, msgspec.json.encode(job).decode())
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where in a row of the upload what stands; `key` is the column of the id or external id."""

    sobject: SObject
    key: int | None
    key_column: Column | None
    columns: list[tuple[int, Column]]


class IngestRun:
    """One job at work. `stopped` is asked after every chunk, `pause` waits while the job is told to wait."""

    def __init__(
        self, org: Org, records: Records, job: IngestJob, stopped: Callable[[], bool], pause: Callable[[], None]
    ) -> None:
        self._org = org
        self._records = records
        self._sets = RecordSets(org, records)
        self._job = job
        self._stopped = stopped
        self._pause = pause
        # Bulk runs no assignment rule but the one that is named, and lets no client allow duplicates.
        self._writer = Writer(
            user_id=job.created_by,
            late=job.late,
            holds_back=job.holds_back,
            assignment=job.assignment_rule or NONE,
            duplicates=DuplicateOptions(),
        )

    def process(self, content: bytes) -> None:
        """Works from where the job stands to its end, or until it is stopped.

        Raises InvalidContent when what is left can't be processed; what was committed before stays.
        """
        try:
            self._process(content)
        finally:
            self._org.contention.release(self._job.id)

    def _process(self, content: bytes) -> None:
        job = self._job
        header, *rows = read_csv(content, DELIMITERS[job.delimiter], job.line_ending)
        layout = self._layout(header)
        while job.processed < len(rows):
            if job.waits_after is not None and job.processed >= job.waits_after:
                self._pause()
            if self._stopped():
                return
            if job.fails_after is not None and job.processed >= job.fails_after:
                job.retries = 20
                raise InvalidContent(job.failure)
            self._batch(layout, rows)

    def _layout(self, header: list[str]) -> Layout:
        job, org = self._job, self._org
        sobject = org.sobject(job.object)
        names = [name.lower() for name in header]
        wanted = {"insert": None, "upsert": job.key}.get(job.operation, "Id")
        if wanted is not None and wanted.lower() not in names:
            # The platform checks the other names first.
            read_header(org.catalog, sobject, header)
            raise InvalidContent(f"InvalidBatch : Field name not found : {wanted}")
        columns = list(enumerate(read_header(org.catalog, sobject, header)))
        if job.operation in ("delete", "hardDelete") and len(columns) > 1:
            raise InvalidContent(f"InvalidBatch : The '{job.operation}' batch must contain only ids")
        key = None if wanted is None else names.index(wanted.lower())
        key_column = None if key is None else columns.pop(key)[1]
        return Layout(sobject=sobject, key=key, key_column=key_column, columns=columns)

    def _batch(self, layout: Layout, rows: list[list[str]]) -> None:
        """One batch, or less of it where the job must wait, fail or stop."""
        job, started = self._job, time.monotonic()
        first = job.processed
        end = min(first + self._org.switches.bulk_batch_rows, len(rows))
        for halt in (job.fails_after, job.waits_after):
            if halt is not None and halt > first:
                end = min(end, halt)
        granted = self._org.ingested_rows.take(self._org.clock.now(), self._org.switches.daily_ingest_rows, end - first)
        outcomes: list[Outcome] = []
        with self._org.database.writing() as connection:
            while len(outcomes) < granted and not self._stopped():
                at = first + len(outcomes)
                outcomes += self._chunk(connection, layout, rows[at : min(at + CHUNK_ROWS, first + granted)], first)
            self._keep_results(connection, rows[first : first + len(outcomes)], outcomes, first)
            job.processed = first + len(outcomes)
            job.failed += sum(outcome.error is not None for outcome in outcomes)
            job.milliseconds += int((time.monotonic() - started) * 1000)
            keep_job(connection, job)
        if granted < end - first and not self._stopped():
            raise InvalidContent("ExceededQuota : The daily limit of records for Bulk API 2.0 ingest is exceeded")

    def _chunk(
        self, connection: sqlite3.Connection, layout: Layout, rows: Sequence[list[str]], batch: int
    ) -> list[Outcome]:
        texts = list(zip(*rows, strict=True))
        cells = [column.read(texts[place], connection, self._records) for place, column in layout.columns]
        if self._org.switches.bulk_parents_contend:
            self._contend(cells, batch)
        # Each chunk is a save of its own.
        writer = dataclasses.replace(self._writer, saved=set())
        sobject, operation = layout.sobject, self._job.operation
        if layout.key is None or layout.key_column is None:
            return self._sets.insert(connection, sobject, cells, len(rows), writer)
        given = list(texts[layout.key])
        if operation == "update":
            return self._sets.update(connection, sobject, given, cells, writer)
        if operation == "upsert":
            key: Field = layout.key_column.field
            stored = layout.key_column.read(given, connection, self._records) if key.type != "id" else None
            return self._sets.upsert(connection, sobject, key, given, cells, stored, writer)
        return self._sets.delete(connection, sobject, given, writer, hard=operation == "hardDelete")

    def _contend(self, cells: list[Cells], batch: int) -> None:
        """Refuses rows whose parent is held by another batch, of this job or another one that runs."""
        for one in cells:
            if one.field.type != "reference":
                continue
            for row, value in enumerate(one.values):
                if isinstance(value, str) and not self._org.contention.claimed(value, self._job.id, batch):
                    one.refused.setdefault(row, row_locked(value))

    def _keep_results(
        self, connection: sqlite3.Connection, rows: list[list[str]], outcomes: list[Outcome], first: int
    ) -> None:
        delimiter, line_ending = DELIMITERS[self._job.delimiter], LINE_ENDINGS[self._job.line_ending]
        order = list(range(len(rows)))
        if self._org.switches.bulk_unordered:
            random.Random(f"{self._job.id} {first}").shuffle(order)
        successful, failed = [], []
        for row in order:
            record_id, created, error = outcomes[row]
            if error is None:
                successful.append([record_id or "", "true" if created else "false", *rows[row]])
            else:
                named = record_id if self._org.switches.bulk_failed_ids else None
                failed.append([named or "", error_text(error), *rows[row]])
        connection.execute(
            "INSERT INTO sandbox_ingest_batch VALUES (?, ?, ?, ?)",
            (
                self._job.id,
                first,
                csv_lines(successful, delimiter, line_ending).encode(),
                csv_lines(failed, delimiter, line_ending).encode(),
            ),
        )


def error_text(error: ApiError) -> str:
    """A row's error as sf__Error has it: `CODE:message:fields --`."""
    fields = f"{' '.join(error.fields)} " if error.fields else ""
    return f"{error.code}:{error.message}:{fields}--"

"""Bulk API 2.0 query: one job, its result pages as partitions (Bulk API 2.0 and Bulk API Developer Guide, Query)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from crosstie.crm.connector import Fetched, Partition, RemoteQuery
from crosstie.crm.csv import CsvReader, records
from crosstie.crm.http import NOT_SENT, Answer, Stream
from crosstie.crm.inflate import whole_number
from crosstie.crm.pages_seen import PagesSeen
from crosstie.crm.salesforce import soql
from crosstie.crm.salesforce.literals import wire_instant
from crosstie.crm.salesforce.session import Session
from crosstie.errors import ConnectorError, ProtocolError, RequestError, UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa

PAGE_ROWS = 50_000
"""Measured: larger pages are not faster, and with fewer of them the last is awaited longer."""

NOT_IN_BULK = "INVALIDENTITY"
_CREATE_ATTEMPTS = 3
_NO_JOB = "does not describe a bulk job"
_GONE = frozenset({"NOT_FOUND", "INVALIDJOB", "INVALID_CROSS_REFERENCE_KEY"})


class _Job(msgspec.Struct, rename="camel"):
    id: str
    state: str
    object: str = ""
    operation: str = ""
    api_version: float = 0.0
    created_by_id: str = ""
    created_date: str = ""
    number_records_processed: int = 0
    error_message: str | None = None


class _Jobs(msgspec.Struct):
    records: tuple[_Job, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How a job is waited for: the first look after `first`, then twice as long each time, at most `longest`."""

    first: timedelta = timedelta(milliseconds=100)
    longest: timedelta = timedelta(seconds=30)
    total: timedelta = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """A job whose results can be read. `note` is a sentence about what happened on the way, or ''."""

    id: str
    version: str
    rows: int
    note: str = ""

    def first_page(self) -> Partition:
        """Where to begin; each page leads to the next as soon as its headers are here."""
        return Partition(
            position=0,
            payload={
                "road": "bulk",
                "job": self.id,
                "version": self.version,
                "locator": "",
                "seen": 0,
                "total": self.rows,
            },
        )


class BulkReader:
    """Reads one query by a Bulk 2.0 job."""

    def __init__(
        self, session: Session, query: RemoteQuery, *, patience: Patience, page_rows: int, pages: PagesSeen
    ) -> None:
        self._session = session
        self._query = query
        self._columns = soql.selected(query)
        self._patience = patience
        self._page_rows = page_rows
        self._pages = pages
        self._what = f"bulk query {query.object.name}"
        self._operation = "queryAll" if query.include_deleted else "query"

    def soql(self) -> str:
        """The job's query. Raises RequestError (code QUERY_TOO_LONG) beyond 100,000 characters."""
        return soql.render(self._query, tuple(dict.fromkeys(one.path for one in self._columns)))

    def open(self, keep: Callable[[str], None], token: str) -> FinishedJob:
        """Takes up the job `token` or makes one, and waits for it. `keep` has its id before anything waits."""
        note = ""
        if token:
            job = self._find(token)
            if job is not None and job.state not in {"Failed", "Aborted"}:
                return self._finish(job, "goes on with the job of an earlier attempt")
            note = f"the job {token} of an earlier attempt is {'gone' if job is None else job.state.lower()}"
        job, lost = self._create()
        keep(job.id)
        return self._finish(job, "; ".join(part for part in (note, lost) if part))

    def _create(self) -> tuple[_Job, str]:
        """A new job. A lost reply may leave a job behind: it holds no data of ours and ends by itself, so another is
        made, and the one that may have been left is named. It is not taken up: the list of jobs does not show their
        queries, and a job of another program of the same user may look alike."""
        body = {
            "operation": self._operation,
            "query": self.soql(),
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        }
        begun = self._session.server_time
        lost = False
        for attempt in range(_CREATE_ATTEMPTS):
            try:
                job = self._job(self._session.once("POST", "jobs/query", f"create {self._what}", body=body))
            except UnavailableError as error:
                too_long = error.retry_after is not None and error.retry_after > self._session.http.retries.budget
                if too_long or attempt == _CREATE_ATTEMPTS - 1:
                    raise
                lost = lost or error.code != NOT_SENT
                self._session.meter.count_retry(error.message)
                time.sleep((error.retry_after or self._patience.first).total_seconds())
            else:
                return job, self._orphans(job.id, begun) if lost else ""
        raise AssertionError("the last attempt gives a job or an error")

    def _orphans(self, ours: str, begun: datetime | None) -> str:
        answer = self._session.get("jobs/query?jobType=V2Query", "list bulk queries")
        user = self._session.signed_in().user_id
        since = (begun or datetime.now(UTC)) - timedelta(minutes=1)
        found = [
            job.id
            for job in answer.decoded(_Jobs, _NO_JOB).records
            if job.id != ours
            and (job.object, job.operation) == (self._query.object.name, self._operation)
            and (not user or job.created_by_id == user)
            and job.created_date
            and wire_instant(job.created_date) >= since
        ]
        if not found:
            return "the answer to a first request was lost, and that request made no job"
        return f"the answer to a first request was lost; it may have left the job {', '.join(found)}, left to expire"

    def _find(self, job_id: str) -> _Job | None:
        try:
            answer = self._session.get(f"jobs/query/{_path_part(job_id)}", f"look up {self._what}")
        except RequestError as error:
            if error.code in _GONE:
                return None
            raise
        return self._job(answer, job_id)

    def _finish(self, job: _Job, note: str) -> FinishedJob:
        wait, waited = self._patience.first, timedelta()
        while job.state not in {"JobComplete", "Failed", "Aborted"}:
            if waited >= self._patience.total:
                raise UnavailableError(
                    f"The bulk job {job.id} on {self._query.object.name} is still {job.state} "
                    f"after {waited.total_seconds() / 3600:.1f} h. It goes on at Salesforce.",
                    hint="Run it again later: it takes up that job.",
                )
            time.sleep(wait.total_seconds())
            waited += wait
            wait = min(wait * 2, self._patience.longest)
            job = self._job(self._session.get(f"jobs/query/{_path_part(job.id)}", f"wait for {self._what}"), job.id)
        if job.state != "JobComplete":
            raise RequestError(
                f"The bulk job {job.id} on {self._query.object.name} ended as {job.state}: "
                f"{job.error_message or 'Salesforce gives no reason'}.",
                hint="Narrow the filter or the window, or read it by query pages (road: pages).",
                code="JOB_FAILED",
            )
        version = f"{job.api_version:.1f}" if job.api_version else self._session.signed_in().version
        return FinishedJob(id=job.id, version=version, rows=job.number_records_processed, note=note)

    def fetch(self, partition: Partition) -> Fetched:
        """One result page. The next is known from this one's headers, so pages stream side by side."""
        page = PageRows(self._session, self._query, partition, self._page_rows, self._pages)
        return Fetched(batches=page, partitions=page.following())

    def _job(self, answer: Answer, asked: str = "") -> _Job:
        job: _Job = answer.decoded(_Job, _NO_JOB)
        if not soql.is_id(job.id) or (asked and job.id[:15] != asked[:15]):
            raise ProtocolError(
                f"The answer to “{answer.what}” describes the job “{job.id[:40]}”, not {asked or 'one with an id'}.",
                hint="Nothing was read. Run it again; if it stays so, report it.",
                request_id=answer.request_id,
            )
        return job


class PageRows(Iterator["pa.RecordBatch"]):
    """The batches of one result page. The connection is open until the last batch, `close` or the end of this object.

    A page that breaks off is fetched again; what was already given is compared by checksum and not given twice.
    """

    def __init__(
        self, session: Session, query: RemoteQuery, partition: Partition, page_rows: int, pages: PagesSeen
    ) -> None:
        self._session = session
        self._pages = pages
        self._what = f"bulk result {query.object.name}"
        self._payload: dict[str, Any] = partition.payload
        self._position = partition.position
        self._page_rows = page_rows
        columns = soql.selected(query)
        self._paths = tuple(dict.fromkeys(one.path for one in columns))
        self._order = [(self._paths.index(one.path), one.asked) for one in columns]
        self._reader = CsvReader(self._paths, self._what)
        self._given_bytes = 0
        self._given_checksum = 0
        self._stream = session.http.repeat(self._request)
        self._locator = self._stream.headers.get("sforce-locator", "")
        self._announced = self._count(self._stream)
        self._batches = self._read()

    def _request(self) -> Stream:
        path = f"jobs/query/{_path_part(self._payload['job'])}/results?maxRecords={self._page_rows}"
        if self._payload["locator"]:
            path += f"&locator={_path_part(self._payload['locator'])}"
        try:
            stream = self._session.stream(
                path, self._what, headers={"Accept": "text/csv"}, version=self._payload["version"]
            )
        except RequestError as error:
            if error.code not in _GONE:
                raise
            raise UnavailableError(
                f"Salesforce no longer has the results of bulk job {self._payload['job']}.",
                hint="Run it again: a new job is made.",
                code="JOB_GONE",
                retry_after=timedelta(days=1),
            ) from error
        if stream.status != 200:
            stream.close()
            raise ProtocolError(
                f"“{self._what}” was answered with HTTP {stream.status}: the job's results are not ready.",
                hint="Run it again.",
                request_id=stream.request_id,
            )
        return stream

    def _count(self, stream: Stream) -> int:
        text = stream.headers.get("sforce-numberofrecords", "")
        number = whole_number(text)
        if number is None or not stream.headers.get("sforce-locator"):
            stream.close()
            raise ProtocolError(
                f"The answer to “{self._what}” lacks the headers Sforce-NumberOfRecords and Sforce-Locator.",
                hint="A proxy may remove them; they say how many records there are and whether more follow.",
                request_id=stream.request_id,
            )
        return number

    def following(self) -> tuple[Partition, ...]:
        """The partition of the next page, or none. Raises ProtocolError when the pages' counts don't add up."""
        seen = self._payload["seen"] + self._announced
        total = self._payload["total"]
        if self._locator == "null":
            if seen != total:
                raise self._wrong(f"has {seen:,} records in all its pages, its job says {total:,}")
            return ()
        if self._locator == self._payload["locator"] or not self._announced:
            raise self._wrong(f"names the page at record {self._payload['seen']:,} as its own next page")
        if seen > total:
            raise self._wrong(f"has more than the {total:,} records of its job")
        payload = {**self._payload, "locator": self._locator, "seen": seen}
        return (Partition(position=self._position + 1, payload=payload),)

    def _wrong(self, how: str) -> ConnectorError:
        self.close()
        return ProtocolError(f"“{self._what}” {how}.", hint="Nothing was confirmed. Run it again.")

    def __iter__(self) -> PageRows:
        return self

    def __next__(self) -> pa.RecordBatch:
        return next(self._batches)

    def _read(self) -> Iterator[pa.RecordBatch]:
        failures = 0
        while True:
            before = self._given_bytes
            try:
                yield from self._attempt()
                return
            except UnavailableError as error:
                failures = 1 if self._given_bytes > before else failures + 1
                if failures >= self._session.http.retries.attempts:
                    raise
                self._session.meter.count_retry(error.message)
            finally:
                self._stream.close()
            time.sleep(self._session.http.retries.first_wait.total_seconds() * 2 ** (failures - 1))
            self._stream = self._session.http.repeat(self._request)
            if self._count(self._stream) != self._announced:
                raise self._wrong("has another number of records when fetched again")

    def _attempt(self) -> Iterator[pa.RecordBatch]:
        """Reads the open stream, behind what an earlier attempt gave."""
        for piece in records(self._behind_given(self._stream.chunks())):
            header = self._given_bytes == 0
            batches = list(self._reader.batches((piece,), header=header))
            if self._reader.rows > self._announced:
                raise self._wrong(f"gives more than the {self._announced:,} records it announces")
            self._given_bytes += len(piece)
            self._given_checksum = _checksum(piece, self._given_checksum)
            for batch in batches:
                self._refuse_no_ids(batch)
                if header:
                    self._refuse_twin(batch)
                    header = False
                self._session.meter.count_rows(batch.num_rows)
                yield self._in_asked_order(batch)
        if self._reader.rows != self._announced:
            raise UnavailableError(
                f"“{self._what}” ended after {self._reader.rows:,} of {self._announced:,} records.",
                hint="Run it again; if it stays so, a proxy between here and Salesforce shortens answers.",
                code="RECORDS_MISSING",
            )

    def _refuse_twin(self, batch: pa.RecordBatch) -> None:
        first = batch.column(0)[0].as_py()
        if not self._pages.is_new(self._payload["job"], first, self._payload["locator"]):
            raise self._wrong("gave the same page twice")

    def _refuse_no_ids(self, batch: pa.RecordBatch) -> None:
        """The remote id comes first, and everything is joined by it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        ids = batch.column(0)
        fit = pc.and_(pc.ascii_is_alnum(ids), pc.is_in(pc.binary_length(ids), pa.array([15, 18], pa.int32())))
        if ids.null_count or not pc.all(fit).as_py():
            raise self._wrong(f"has a record whose {self._paths[0]} is not an id")

    def _behind_given(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        left, checksum = self._given_bytes, 0
        for chunk in chunks:
            if left:
                known = chunk[:left]
                checksum = _checksum(known, checksum)
                left -= len(known)
                chunk = chunk[len(known) :]
                if not left and checksum != self._given_checksum:
                    raise self._wrong("differs from what was read before, when fetched again")
            if chunk:
                yield chunk

    def _in_asked_order(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        return pa.RecordBatch.from_arrays(
            [batch.column(index) for index, _ in self._order], names=[name for _, name in self._order]
        )

    def close(self) -> None:
        """Lets go of the connection."""
        self._stream.close()

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self._stream.close()


def _checksum(data: bytes, before: int) -> int:
    from isal import isal_zlib  # eight times as fast as zlib's

    value: int = isal_zlib.crc32(data, before)
    return value


def _path_part(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")

"""Bulk API 2.0 query jobs: create, states, results, parallel result pages, abort, delete, list.

Source: "Query Jobs", Bulk API 2.0 guide; error codes are squeezed upper case (fact sheet, section 3).
"""

import logging
import threading
import time
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from crosstie.sandbox.http import FileSlice, Response
from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.bulk_jobs import (
    DELIMITERS,
    KEPT_FOR,
    LINE_ENDINGS,
    TERMINAL,
    locator_of_row,
    new_job_id,
    row_of_locator,
)
from crosstie.sandbox.salesforce.bulk_results import Rendered, ResultStore
from crosstie.sandbox.salesforce.errors import ApiError, json_response, not_found
from crosstie.sandbox.salesforce.ids import to_18
from crosstie.sandbox.salesforce.org import Call, Org, read_stamp
from crosstie.sandbox.salesforce.rest import decoded_body

log = logging.getLogger(__name__)

PAGES_AT_ONCE = 5
RESULT_PAGES_SINCE = 58.0


class Job(msgspec.Struct, kw_only=True):
    """A query job as it is kept."""

    id: str
    operation: str
    query: str
    object: str
    created_by: str
    created: str
    changed: str
    version: str
    delimiter: str
    line_ending: str
    state: str = "UploadComplete"
    rows: int = 0
    milliseconds: int = 0
    polls: int = 0
    result: str | None = None
    error: str | None = None


class BulkQueries:
    """The query jobs of one org. Jobs outlive a restart; unfinished ones are taken up again."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._lock = threading.Lock()
        self._results = ResultStore(org, org.state_dir / "bulk")
        self._closing = threading.Event()
        self._workers: list[threading.Thread] = []
        with org.database.reading() as connection:
            rows = connection.execute("SELECT job FROM sandbox_bulk_job ORDER BY id").fetchall()
        self._jobs = {job.id: job for job in (msgspec.json.decode(row[0], type=Job) for row in rows)}
        for job in list(self._jobs.values()):
            if job.state not in TERMINAL:
                self._start(job)

    def create(self, call: Call) -> Response:
        """POST BASE/jobs/query."""
        body = decoded_body(call)
        if not isinstance(body, dict):
            raise ApiError(400, "API_ERROR", "Value does not match expected type at [line:1, column:1]")
        operation = body.get("operation")
        if operation not in ("query", "queryAll"):
            raise ApiError(400, "API_ERROR", f"Unsupported operation: {operation}")
        delimiter, line_ending = body.get("columnDelimiter", "COMMA"), body.get("lineEnding", "LF")
        if delimiter not in DELIMITERS or line_ending not in LINE_ENDINGS or body.get("contentType", "CSV") != "CSV":
            raise ApiError(400, "API_ERROR", "Unsupported contentType, columnDelimiter or lineEnding")
        query = body.get("query")
        if not isinstance(query, str) or not query.strip():
            raise ApiError(400, "API_ERROR", "query is required for this operation")
        root = self._check(query, include_deleted=operation == "queryAll")
        if root in self._org.switches.bulk_unsupported:
            raise ApiError(400, "INVALIDENTITY", f"Entity '{root}' is not supported by the Bulk API.")
        now = self._org.now_stamp()
        job = Job(
            id=new_job_id(self._org),
            operation=operation,
            query=query,
            object=root,
            created_by=call.session.user_id,
            created=now,
            changed=now,
            version=call.version,
            delimiter=delimiter,
            line_ending=line_ending,
        )
        with self._lock:
            self._jobs[job.id] = job
        self._keep(job)
        answer = json_response(_described(job))
        self._start(job)
        return answer

    def status(self, call: Call) -> Response:
        """GET BASE/jobs/query/{id}."""
        job = self._job(call)
        shown = job.state
        if job.polls < self._org.switches.bulk_in_progress_polls and job.state in ("UploadComplete", "JobComplete"):
            shown = "InProgress"
        job.polls += 1
        details = {
            "jobType": "V2Query",
            "retries": 0,
            "totalProcessingTime": job.milliseconds,
            "isPkChunkingSupported": True,
            "numberRecordsProcessed": job.rows if shown in TERMINAL else 0,
        }
        if job.error:
            details["errorMessage"] = job.error
        return json_response({**_described(job), "state": shown, **details})

    def list_jobs(self, call: Call) -> Response:
        """GET BASE/jobs/query."""
        self._forget_old()
        with self._lock:
            jobs = sorted(self._jobs.values(), key=lambda job: job.id, reverse=True)
        start = row_of_locator(call.request.query.get("queryLocator", ""))
        size = self._org.switches.bulk_jobs_page
        page = [{**_described(job), "jobType": "V2Query"} for job in jobs[start : start + size]]
        end = start + len(page)
        done = end >= len(jobs)
        following = None if done else f"{call.base}/jobs/query?queryLocator={locator_of_row(end)}"
        return json_response({"done": done, "records": page, "nextRecordsUrl": following})

    def change_state(self, call: Call) -> Response:
        """PATCH BASE/jobs/query/{id}: Aborted is the only state that a client sets."""
        job = self._job(call)
        body = decoded_body(call)
        wanted = body.get("state") if isinstance(body, dict) else None
        if wanted != "Aborted":
            raise ApiError(400, "INVALIDJOBSTATE", f"Invalid job state: {wanted}")
        with self._lock:
            if job.state in TERMINAL:
                raise ApiError(400, "INVALIDJOBSTATE", f"Aborting already {job.state} Job not allowed")
            job.state = "Aborted"
            job.changed = self._org.now_stamp()
        self._keep(job)
        return json_response(_described(job))

    def delete(self, call: Call) -> Response:
        """DELETE BASE/jobs/query/{id}: terminal jobs only."""
        job = self._job(call)
        if job.state not in TERMINAL:
            raise ApiError(400, "INVALIDJOBSTATE", f"Job in state {job.state} can't be deleted")
        self._forget(job.id)
        return Response(status=204)

    def results(self, call: Call) -> Response:
        """GET BASE/jobs/query/{id}/results?maxRecords=&locator=: one page, header included."""
        job = self._readable(call)
        if isinstance(job, Response):
            return job
        rendered = self._rendered(job)
        start = row_of_locator(call.request.query.get("locator", ""))
        rows = self._page_rows(call)
        if start > rendered.rows or (start == rendered.rows and start > 0):
            raise ApiError(400, "INVALID_LOCATOR", "The locator is not valid for this job")
        end = min(start + rows, rendered.rows)
        withheld = next((int(name.split(":")[1]) for name in call.request.faults if name.startswith("cut_csv:")), 0)
        headers = {
            "Content-Type": "text/csv;charset=UTF-8",
            "Sforce-NumberOfRecords": str(end - start),
            "Sforce-Locator": "null" if end >= rendered.rows else locator_of_row(end),
        }
        self._org.counters.rows("bulk_results", end - start - withheld)
        parts: tuple[bytes | FileSlice, ...]
        if call.request.accepts_gzip:
            headers["Content-Encoding"] = "gzip"
            parts = (rendered.compressed_page(start, end - start - withheld),)
        else:
            parts = rendered.page(start, end - start - withheld)
        return Response(headers=headers, parts=parts)

    def result_pages(self, call: Call) -> Response:
        """GET BASE/jobs/query/{id}/resultPages (58.0 on): up to five links that can be fetched in parallel."""
        if call.version_number < RESULT_PAGES_SINCE:
            raise not_found()
        job = self._readable(call)
        if isinstance(job, Response):
            return job
        rendered = self._rendered(job)
        size = self._page_rows(call)
        start = row_of_locator(call.request.query.get("locator", ""))
        # A result without rows still has one page: the header.
        starts = list(range(start, rendered.rows, size)) or [start]
        url = f"{call.base}/jobs/query/{job.id}"
        asked = f"&maxRecords={size}" if "maxRecords" in call.request.query else ""
        pages = [{"resultUrl": f"{url}/results?locator={locator_of_row(row)}{asked}"} for row in starts[:PAGES_AT_ONCE]]
        done = len(starts) <= PAGES_AT_ONCE
        following = None if done else f"{url}/resultPages?locator={locator_of_row(starts[PAGES_AT_ONCE])}{asked}"
        return json_response({"resultPages": pages, self._org.switches.bulk_next_link: following, "done": done})

    def close(self) -> None:
        """Stops rendering; unfinished jobs are taken up at the next start."""
        self._closing.set()
        for worker in self._workers:
            worker.join()

    def _check(self, query: str, *, include_deleted: bool) -> str:
        """The root object of a query that Bulk can run. Raises SoqlError."""
        with self._org.database.reading() as connection:
            return self._compiled(connection, query, include_deleted=include_deleted).object_name

    def _compiled(self, connection: Any, query: str, *, include_deleted: bool) -> soql.Result:
        zone: ZoneInfo = self._org.user_zone
        return soql.run(
            connection,
            self._org.catalog,
            query,
            now=self._org.clock.now(),
            user_zone=zone,
            include_deleted=include_deleted,
            bulk=True,
        )

    def _keep(self, job: Job) -> None:
        with self._org.database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO sandbox_bulk_job VALUES (?, ?)", (job.id, msgspec.json.encode(job).decode())
            )

    def _start(self, job: Job) -> None:
        worker = threading.Thread(target=self._run, args=(job,), daemon=True)
        self._workers = [one for one in self._workers if one.is_alive()] + [worker]
        worker.start()

    def _run(self, job: Job) -> None:
        """Renders the job's result, in its own thread."""
        started = time.monotonic()
        with self._lock:
            if job.state in TERMINAL:
                return
            job.state = "InProgress"
        try:
            rendered = self._render(job)
        except Exception as error:
            # Whatever went wrong belongs to the job: nobody else waits for this thread.
            log.exception("job %s failed", job.id)
            self._end(job, "Failed", error=f"{type(error).__name__}: {error}")
            return
        if rendered is not None:
            job.rows = rendered.rows
            job.milliseconds = int((time.monotonic() - started) * 1000)
            self._end(job, "JobComplete")

    def _render(self, job: Job) -> Rendered | None:
        delimiter, line_ending = DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending]
        with self._org.database.reading() as connection:
            result = self._compiled(connection, job.query, include_deleted=job.operation == "queryAll")
            key = self._results.key(result, delimiter, line_ending)
            with self._lock:
                # Named before it is there: the sweep of another job must leave it alone.
                job.result = key
                self._results.sweep({one.result for one in self._jobs.values() if one.result})
            return self._results.render(
                key, result, delimiter, line_ending, lambda: self._closing.is_set() or job.state == "Aborted"
            )

    def _end(self, job: Job, state: str, *, error: str | None = None) -> None:
        with self._lock:
            if job.state in TERMINAL:
                return
            job.state = state
            job.error = error
            job.changed = self._org.now_stamp()
        self._keep(job)

    def _job(self, call: Call) -> Job:
        self._forget_old()
        job_id = to_18(call.args["job"])
        if job_id is None:
            raise ApiError(400, "INVALIDJOB", f"Invalid job id: {call.args['job']}")
        job = self._jobs.get(job_id)
        if job is None:
            raise not_found()
        return job

    def _readable(self, call: Call) -> Job | Response:
        """The job if its results can be read; the answer that stands for them if it is not finished."""
        job = self._job(call)
        if job.version != call.version:
            raise ApiError(409, "INVALIDJOB", f"The job was created with API version {job.version[1:]}")
        if job.state in ("Failed", "Aborted"):
            raise ApiError(400, "INVALIDJOBSTATE", f"Job is in state {job.state} and has no results")
        if job.state != "JobComplete":
            if self._org.switches.bulk_early_results_refused:
                raise ApiError(412, "JOB_NOT_COMPLETE", "The job is not complete yet")
            return Response(status=204)
        return job

    def _rendered(self, job: Job) -> Rendered:
        rendered = self._results.find(job.result or "")
        if rendered is None:
            raise not_found()
        return rendered

    def _page_rows(self, call: Call) -> int:
        text = call.request.query.get("maxRecords", "")
        if text and (not text.isdigit() or int(text) < 1):
            raise ApiError(400, "API_ERROR", f"Invalid maxRecords: {text}")
        return int(text) if text else self._org.switches.bulk_page_rows

    def _forget_old(self) -> None:
        """Terminal jobs and their results vanish after seven days."""
        oldest = self._org.clock.now() - KEPT_FOR
        for job in list(self._jobs.values()):
            if job.state in TERMINAL and read_stamp(job.changed) < oldest:
                self._forget(job.id)

    def expire_all(self) -> None:
        """Forgets every ended job with its results, as time does after seven days."""
        for job in list(self._jobs.values()):
            if job.state in TERMINAL:
                self._forget(job.id)

    def _forget(self, job_id: str) -> None:
        with self._lock:
            self._jobs.pop(job_id, None)
        with self._org.database.writing() as connection:
            connection.execute("DELETE FROM sandbox_bulk_job WHERE id = ?", (job_id,))


def _described(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.created_by,
        "createdDate": job.created,
        "systemModstamp": job.changed,
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(job.version[1:]),
        "lineEnding": job.line_ending,
        "columnDelimiter": job.delimiter,
    }

"""Bulk API 2.0 ingest jobs: create, upload, start, abort, status, results, delete, list.

Source: "Bulk API 2.0 Ingest", Bulk API 2.0 guide; error codes are squeezed upper case (fact sheet, section 3).
"""

import logging
import threading
from typing import Any

import msgspec

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce.bulk_jobs import (
    DELIMITERS,
    KEPT_FOR,
    LINE_ENDINGS,
    TERMINAL,
    locator_of_row,
    new_job_id,
    row_of_locator,
)
from crosstie.sandbox.salesforce.errors import ApiError, json_response, not_found
from crosstie.sandbox.salesforce.ids import to_18
from crosstie.sandbox.salesforce.ingest_csv import InvalidContent
from crosstie.sandbox.salesforce.ingest_results import IngestResults
from crosstie.sandbox.salesforce.ingest_run import TABLES, IngestJob, IngestRun, content_file, keep_job
from crosstie.sandbox.salesforce.multipart import read_parts
from crosstie.sandbox.salesforce.org import Call, Org, read_stamp
from crosstie.sandbox.salesforce.records import Records
from crosstie.sandbox.salesforce.routing import Handler

log = logging.getLogger(__name__)

OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
JOB_TYPES = ("BigObjectIngest", "Classic", "V2Ingest")
MULTIPART_CHARACTERS = 100_000
FAILURE = "InternalServerError : Unable to process the batch after 20 retries"
"""What a job says that a fault makes fail, when the plan gives no words of its own."""


class BulkIngest:
    """The ingest jobs of one org. Jobs outlive a restart; unfinished ones go on where they stopped."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records
        (org.state_dir / "ingest").mkdir(exist_ok=True)
        # Reentrant: an abort is told to the worker while the job is being looked at.
        self._changed = threading.Condition()
        self._closing = False
        self._workers: list[threading.Thread] = []
        with org.database.writing() as connection:
            for statement in TABLES:
                connection.execute(statement)
            rows = connection.execute("SELECT job FROM sandbox_ingest_job ORDER BY id").fetchall()
        self._jobs = {job.id: job for job in (msgspec.json.decode(row[0], type=IngestJob) for row in rows)}
        for job in list(self._jobs.values()):
            if job.state in ("UploadComplete", "InProgress"):
                self._start(job)

    def routes(self) -> list[tuple[str, str, str, Handler]]:
        """The resources of ingest jobs, as Routes takes them."""
        job = "/jobs/ingest/(?P<job>[^/]+)"
        results = IngestResults(self._org, self.find)
        return [
            ("ingest_create", "POST", "/jobs/ingest", self.create),
            ("ingest_list", "GET", "/jobs/ingest", self.list_jobs),
            ("ingest_upload", "PUT", f"{job}/batches", self.upload),
            ("ingest_state", "PATCH", job, self.change_state),
            ("ingest_status", "GET", job, self.status),
            ("ingest_delete", "DELETE", job, self.delete),
            ("ingest_successful", "GET", f"{job}/successfulResults", results.successful),
            ("ingest_failed", "GET", f"{job}/failedResults", results.failed),
            ("ingest_unprocessed", "GET", f"{job}/unprocessedRecords", results.unprocessed),
        ]

    def create(self, call: Call) -> Response:
        """POST BASE/jobs/ingest; with a multipart body the data comes along, and the job starts at once."""
        kind = call.request.headers.get("content-type", "")
        content: bytes | None = None
        described = call.request.body
        if kind.lower().startswith("multipart/"):
            parts = read_parts(kind, call.request.body)
            described, content = parts.get("job", b""), parts.get("content", b"")
            if len(content) > MULTIPART_CHARACTERS:
                raise ApiError(400, "API_ERROR", f"Multipart data is longer than {MULTIPART_CHARACTERS} characters")
        job = self._new_job(call, described)
        self._jobs[job.id] = job
        if content is not None:
            content_file(self._org, job).write_bytes(content)
            job.uploaded = True
            self._close_upload(call, job)
            answer = json_response(self._described(job))
            self._start(job)
            return answer
        self._keep(job)
        return json_response(self._described(job))

    def upload(self, call: Call) -> Response:
        """PUT BASE/jobs/ingest/{id}/batches: the data, once."""
        job = self.find(call)
        if not call.request.headers.get("content-type", "").lower().startswith("text/csv"):
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "The data of an ingest job is text/csv")
        most = self._org.switches.bulk_upload_bytes
        if (len(call.request.body) + 2) // 3 * 4 > most:
            raise ApiError(413, "REQUEST_ENTITY_TOO_LARGE", f"Maximum size of the data of a job is {most} in base64")
        with self._changed:
            if job.uploaded:
                raise ApiError(
                    400,
                    "INVALIDJOBSTATE",
                    f"Found multiple contents for job: <{job.id}>, please 'Close' / 'Abort' / 'Delete' the current Job"
                    " then create a new Job and make sure you only do 'PUT' once on a given Job.",
                )
            if job.state != "Open":
                raise ApiError(400, "INVALIDJOBSTATE", f"Job is in state {job.state} and takes no data")
            content_file(self._org, job).write_bytes(call.request.body)
            job.uploaded = True
            self._keep(job)
        return Response(status=201)

    def change_state(self, call: Call) -> Response:
        """PATCH BASE/jobs/ingest/{id}: UploadComplete starts the work, Aborted ends it."""
        job = self.find(call)
        try:
            body = msgspec.json.decode(call.request.body)
        except msgspec.DecodeError as error:
            raise ApiError(400, "JSON_PARSER_ERROR", f"{error} at [line:1, column:1]") from error
        wanted = body.get("state") if isinstance(body, dict) else None
        with self._changed:
            if wanted == "UploadComplete":
                if job.state != "Open":
                    raise ApiError(400, "INVALIDJOBSTATE", f"Closing already {job.state} Job not allowed")
                self._close_upload(call, job)
                answer = json_response(self._described(job))
                self._start(job)
                return answer
            if wanted != "Aborted":
                raise ApiError(400, "INVALIDJOBSTATE", f"Invalid job state: {wanted}")
            if job.state in TERMINAL:
                raise ApiError(400, "INVALIDJOBSTATE", f"Aborting already {job.state} Job not allowed")
            job.state = "Aborted"
            job.changed = self._org.now_stamp()
            self._changed.notify_all()
        self._keep(job)
        return json_response(self._described(job))

    def status(self, call: Call) -> Response:
        """GET BASE/jobs/ingest/{id}."""
        job = self.find(call)
        shown = job.state
        if job.polls < self._org.switches.bulk_in_progress_polls and job.state in ("UploadComplete", "JobComplete"):
            shown = "InProgress"
        job.polls += 1
        details: dict[str, Any] = {
            "retries": job.retries,
            "totalProcessingTime": job.milliseconds,
            "apiActiveProcessingTime": job.milliseconds,
            "apexProcessingTime": 0,
            "numberRecordsProcessed": job.processed if shown == job.state else 0,
            "numberRecordsFailed": job.failed if shown == job.state else 0,
            "isPkChunkingSupported": False,
        }
        if job.error:
            details["errorMessage"] = job.error
        return json_response({**self._described(job), "state": shown, **details})

    def list_jobs(self, call: Call) -> Response:
        """GET BASE/jobs/ingest?jobType=&isPkChunkingEnabled=&concurrencyMode=&queryLocator=."""
        self._forget_old()
        query = call.request.query
        kind = query.get("jobType", "V2Ingest")
        if kind not in JOB_TYPES:
            raise ApiError(400, "API_ERROR", f"Invalid jobType: {kind}")
        jobs = sorted(self._jobs.values(), key=lambda job: job.id, reverse=True)
        # All jobs here are of one type, run in parallel and have no keys to chunk by.
        chunked = query.get("isPkChunkingEnabled", "").lower() == "true"
        if kind != "V2Ingest" or chunked or query.get("concurrencyMode", "parallel").lower() != "parallel":
            jobs = []
        start = row_of_locator(query.get("queryLocator", ""))
        page = jobs[start : start + self._org.switches.bulk_jobs_page]
        end = start + len(page)
        done = end >= len(jobs)
        following = None if done else f"{call.base}/jobs/ingest?queryLocator={locator_of_row(end)}"
        records = [self._described(job) for job in page]
        return json_response({"done": done, "records": records, "nextRecordsUrl": following})

    def delete(self, call: Call) -> Response:
        """DELETE BASE/jobs/ingest/{id}: only what has ended."""
        job = self.find(call)
        if job.state not in TERMINAL:
            raise ApiError(400, "INVALIDJOBSTATE", f"Job in state {job.state} can't be deleted")
        self._forget(job.id)
        return Response(status=204)

    def resume(self) -> None:
        """Lets jobs go on that a fault told to wait."""
        with self._changed:
            for job in self._jobs.values():
                job.waits_after, job.queued = None, False
            self._changed.notify_all()

    def expire_all(self) -> None:
        """Forgets every ended job with its results, as time does after seven days."""
        for job in list(self._jobs.values()):
            if job.state in TERMINAL:
                self._forget(job.id)

    def close(self) -> None:
        """Stops working; unfinished jobs are taken up at the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    def _new_job(self, call: Call, described: bytes) -> IngestJob:
        try:
            given = msgspec.json.decode(described)
        except msgspec.DecodeError as error:
            raise ApiError(400, "JSON_PARSER_ERROR", f"{error} at [line:1, column:1]") from error
        if not isinstance(given, dict):
            raise ApiError(400, "API_ERROR", "Value does not match expected type at [line:1, column:1]")
        operation = given.get("operation")
        if operation not in OPERATIONS:
            raise ApiError(400, "API_ERROR", f"Unsupported operation: {operation}")
        delimiter, line_ending = given.get("columnDelimiter", "COMMA"), given.get("lineEnding", "LF")
        if delimiter not in DELIMITERS or line_ending not in LINE_ENDINGS or given.get("contentType", "CSV") != "CSV":
            raise ApiError(400, "API_ERROR", "Unsupported contentType, columnDelimiter or lineEnding")
        if operation == "hardDelete" and not self._org.switches.hard_delete:
            message = "hardDelete operation requires special user profile permission"
            raise ApiError(400, "FEATURENOTENABLED", f"{message}, please contact your system administrator")
        name, key = self._target(given, operation)
        rule = self._rule(given.get("assignmentRuleId"), name, operation)
        now = self._org.now_stamp()
        return IngestJob(
            id=new_job_id(self._org),
            operation=operation,
            object=name,
            key=key,
            assignment_rule=rule,
            created_by=call.session.user_id,
            created=now,
            changed=now,
            version=call.version,
            delimiter=delimiter,
            line_ending=line_ending,
        )

    def _rule(self, given: Any, name: str, operation: str) -> str | None:
        """The assignment rule that the job runs, which must be one of the object."""
        if given is None:
            return None
        try:
            if operation in ("insert", "update", "upsert"):
                return self._org.rules.named(name, str(given)).id
        except ApiError as error:
            raise ApiError(400, "INVALIDJOB", f"Invalid assignmentRuleId: {given}") from error
        raise ApiError(400, "INVALIDJOB", f"An assignment rule can't run with the operation {operation}")

    def _target(self, given: dict[str, Any], operation: str) -> tuple[str, str | None]:
        """The object, and the key of an upsert, under their own names."""
        sobject = self._org.catalog.object(str(given.get("object")))
        if sobject is None:
            raise ApiError(400, "INVALIDENTITY", f"Unable to find object: {given.get('object')}")
        if sobject.name in self._org.switches.bulk_unsupported:
            raise ApiError(400, "INVALIDENTITY", f"Entity '{sobject.name}' is not supported by the Bulk API.")
        name = given.get("externalIdFieldName")
        if operation != "upsert":
            return sobject.name, None
        if not name:
            raise ApiError(400, "INVALIDJOB", "externalIdFieldName is required for upsert")
        key = sobject.field(str(name))
        if key is None or not (key.external_id or key.id_lookup):
            message = f"Field name provided, {name} does not match an External ID, Salesforce Id, or indexed field for"
            raise ApiError(400, "INVALIDJOB", f"{message} {sobject.name}")
        return sobject.name, key.name

    def _close_upload(self, call: Call, job: IngestJob) -> None:
        """Ends the upload; what the fault plan has in store for the job begins to hold."""
        for name in call.request.faults:
            kind, _, rest = name.partition(":")
            rows, _, message = rest.partition(":")
            if kind == "job_fails":
                job.fails_after, job.failure = int(rows), message or FAILURE
            elif kind == "job_waits":
                job.waits_after = int(rows)
            elif kind == "job_queued":
                job.queued = True
        job.late = call.request.late
        job.holds_back = "late_unheld" not in call.request.faults
        job.state = "UploadComplete"
        self._keep(job)

    def _start(self, job: IngestJob) -> None:
        worker = threading.Thread(target=self._run, args=(job,), daemon=True)
        self._workers = [one for one in self._workers if one.is_alive()] + [worker]
        worker.start()

    def _run(self, job: IngestJob) -> None:
        """Works on the job, in its own thread."""
        with self._changed:
            self._changed.wait_for(lambda: not job.queued or self._stopped(job))
            if job.state in TERMINAL or self._closing:
                return
            job.state = "InProgress"
        error = None
        try:
            content = content_file(self._org, job).read_bytes() if job.uploaded else b""
            run = IngestRun(self._org, self._records, job, lambda: self._stopped(job), lambda: self._pause(job))
            run.process(content)
        except InvalidContent as refusal:
            error = str(refusal)
        except Exception as failure:
            # Whatever went wrong belongs to the job: nobody else waits for this thread.
            log.exception("job %s failed", job.id)
            error = f"{type(failure).__name__}: {failure}"
        with self._changed:
            if self._stopped(job):
                return
            job.state, job.error = ("Failed", error) if error is not None else ("JobComplete", None)
            job.changed = self._org.now_stamp()
        self._keep(job)

    def _stopped(self, job: IngestJob) -> bool:
        return self._closing or job.state == "Aborted"

    def _pause(self, job: IngestJob) -> None:
        with self._changed:
            self._changed.wait_for(lambda: job.waits_after is None or self._stopped(job))

    def _described(self, job: IngestJob) -> dict[str, Any]:
        described: dict[str, Any] = {
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
            "jobType": "V2Ingest",
            "lineEnding": job.line_ending,
            "columnDelimiter": job.delimiter,
        }
        if job.key is not None:
            described["externalIdFieldName"] = job.key
        if job.assignment_rule is not None:
            described["assignmentRuleId"] = job.assignment_rule
        if job.state == "Open":
            described["contentUrl"] = f"services/data/{job.version}/jobs/ingest/{job.id}/batches"
        return described

    def find(self, call: Call) -> IngestJob:
        """The job that a request names; refuses what is none."""
        self._forget_old()
        job_id = to_18(call.args["job"])
        if job_id is None:
            raise ApiError(400, "INVALIDJOB", f"Invalid job id: {call.args['job']}")
        job = self._jobs.get(job_id)
        if job is None:
            raise not_found()
        return job

    def _keep(self, job: IngestJob) -> None:
        with self._org.database.writing() as connection:
            keep_job(connection, job)

    def _forget_old(self) -> None:
        """Jobs and their results vanish seven days after they ended."""
        oldest = self._org.clock.now() - KEPT_FOR
        ends = {*TERMINAL, "Open"} if self._org.switches.open_jobs_expire else set(TERMINAL)
        for job in list(self._jobs.values()):
            if job.state in ends and read_stamp(job.changed) < oldest:
                self._forget(job.id)

    def _forget(self, job_id: str) -> None:
        job = self._jobs.pop(job_id, None)
        if job is None:
            return
        with self._org.database.writing() as connection:
            connection.execute("DELETE FROM sandbox_ingest_job WHERE id = ?", (job_id,))
            connection.execute("DELETE FROM sandbox_ingest_batch WHERE job = ?", (job_id,))
        content_file(self._org, job).unlink(missing_ok=True)

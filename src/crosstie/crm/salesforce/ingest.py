"""Writes by a Bulk API 2.0 ingest job: made, filled, started, waited for, and read row by row (Bulk API 2.0 guide).

Nothing runs before the job is started, and its id is durable before that, so every lost answer can be found.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote

import msgspec

from crosstie.crm.http import REPORT, Answer, Unwritten
from crosstie.crm.salesforce.answers import Answers
from crosstie.crm.salesforce.bulk import NOT_IN_BULK, Patience
from crosstie.crm.salesforce.collections import KeyPrefixes
from crosstie.crm.salesforce.ingest_results import IngestResults, job_failure
from crosstie.crm.salesforce.packing import ASSIGNED
from crosstie.crm.salesforce.session import Session
from crosstie.crm.salesforce.shipment import Shipment
from crosstie.crm.salesforce.soql import is_id
from crosstie.crm.writing import Operation, Outcome, RemoteWrite
from crosstie.errors import ConnectorError, ProtocolError, RequestError, UnavailableError

log = logging.getLogger(__name__)

Answered = tuple[Answers, ConnectorError | None]

_CREATE_ATTEMPTS = 3
_ABORT_ATTEMPTS = 3
_GONE = frozenset({"NOT_FOUND", "INVALIDJOB", "INVALID_CROSS_REFERENCE_KEY"})
_UNREADABLE = ("InvalidBatch", "ClientInputError")
"""How the message of a job begins that fails before its first row: its data as a whole is refused."""

_NO_OBJECT = "Unable to find object"
"""In the message of INVALIDENTITY where the object is not there, or not for this user."""

_ENDED = frozenset({"JobComplete", "Failed", "Aborted"})


class IngestJob(msgspec.Struct, rename="camel"):
    """A job as Salesforce describes it."""

    id: str
    state: str
    object: str = ""
    operation: str = ""
    api_version: float = 0.0
    number_records_processed: int = 0
    error_message: str | None = None


class IngestWriter:
    """Sends shipments by ingest jobs, and takes up jobs whose answers were lost."""

    def __init__(self, session: Session, patience: Patience, prefixes: KeyPrefixes) -> None:
        self._session = session
        self._patience = patience
        self._results = IngestResults(session, prefixes)

    def send(self, shipment: Shipment, keep: Callable[[str], None]) -> Answered:
        """Sends all open rows as one job. An object that Bulk does not serve fails with the code NOT_IN_BULK."""
        if not shipment.open:
            return Answers(shipment), None
        import pyarrow as pa

        content = shipment.csv()
        what = _what(shipment.write)
        try:
            job = self._create(shipment.write)
        except ConnectorError as error:
            return _all(shipment, Outcome.RETRY, _way_out(error, shipment.write))
        keep(job.id)
        version = _version(job, self._session)
        path = _path(job.id)
        put = self._session.write(
            "PUT",
            f"{path}/batches",
            f"data of {what}",
            content=content,
            content_type="text/csv; charset=UTF-8",
            version=version,
        )
        del content
        pa.default_memory_pool().release_unused()  # a long wait follows, beside other lanes
        if not isinstance(put, Unwritten) and put.status != 201:
            put = Unwritten(error=_not_taken(put), proved=True)
        if isinstance(put, Unwritten):
            # Whatever came of the data: a job that was never started runs nothing, and no start is on its way.
            self._let_go(job.id, what)
            return _all(shipment, Outcome.RETRY, put.error)
        start = self._session.write("PATCH", path, f"start {what}", content=b'{"state":"UploadComplete"}')
        try:
            return self._started(shipment, job.id, start)
        except ConnectorError as error:
            # A job that may be running is in doubt until its results are here.
            return _all(shipment, Outcome.DOUBT, error)

    def _started(self, shipment: Shipment, job_id: str, start: Answer | Unwritten) -> Answered:
        """A job whose start was answered is waited for; after any other answer it is asked whether it has begun."""
        cause = start.error if isinstance(start, Unwritten) else _not_started(job_id)
        if not isinstance(start, Unwritten):
            try:
                job = self._job(start, job_id)
            except ProtocolError as error:
                cause = error
            else:
                if job.state != "Open":
                    return self._finish(shipment, job)
        return self._settle(shipment, self._status(job_id, _what(shipment.write)), cause)

    def take_up(self, shipment: Shipment, token: str) -> Answered | None:
        """The answers of an earlier job; None when Salesforce no longer has it. A job that was not started is ended,
        which is no failure."""
        try:
            try:
                job = self._status(token, _what(shipment.write))
            except RequestError as error:
                if error.code in _GONE:
                    return None
                raise
            return self._settle(shipment, job, None)
        except ConnectorError as error:
            return _all(shipment, Outcome.DOUBT, error)

    def _settle(self, shipment: Shipment, job: IngestJob, cause: ConnectorError | None) -> Answered:
        """A job that may not have been started. To end it first is what makes sure that a start still on its way finds
        nothing to start."""
        if (job.object.lower(), job.operation) != (shipment.write.object.name.lower(), _operation(shipment.write)):
            raise ProtocolError(
                f"The bulk job {job.id} is “{job.operation}” of {job.object}, not {_what(shipment.write)}.", hint=REPORT
            )
        if job.state != "Open":
            return self._finish(shipment, job)
        job = self._aborted(job.id, _what(shipment.write))
        if job.state == "Aborted" and not job.number_records_processed:
            answers, _ = _all(shipment, Outcome.RETRY, cause or _not_started(job.id))
            return answers, cause
        return self._finish(shipment, job)

    def _finish(self, shipment: Shipment, job: IngestJob) -> Answered:
        ended = self._wait(job, _what(shipment.write), len(shipment.open))
        failure = None
        if ended.state != "JobComplete":
            failure = job_failure(ended.id, ended.state, ended.error_message or "")
        refused = ended.state == "Aborted" or (ended.error_message or "").startswith(_UNREADABLE)
        never_ran = refused and not ended.number_records_processed
        return self._results.read(shipment, ended.id, _version(ended, self._session), failure, never_ran=never_ran)

    def _wait(self, job: IngestJob, what: str, rows: int) -> IngestJob:
        """The job when it has ended. It says how far it is, and so when the next look is worth a call."""
        begun, before = time.monotonic(), job.number_records_processed
        wait = 2 * self._patience.first
        while job.state not in _ENDED:
            waited = timedelta(seconds=time.monotonic() - begun)
            if waited >= self._patience.total:
                raise UnavailableError(
                    f"The bulk job {job.id} ({what}) is still {job.state} after "
                    f"{waited.total_seconds() / 3600:.1f} h. It goes on at Salesforce.",
                    hint="Run it again later: the job is taken up by its id, nothing is sent twice.",
                )
            time.sleep(wait.total_seconds())
            wait *= 1.5
            job = self._status(job.id, what)
            done = job.number_records_processed
            if before < done < rows:
                elapsed = timedelta(seconds=time.monotonic() - begun)
                wait = max(elapsed * ((rows - done) / (done - before)), 2 * self._patience.first)
            wait = min(wait, self._patience.longest)
        return job

    def _create(self, write: RemoteWrite) -> IngestJob:
        """A new job. One that a lost answer left behind holds no data and ends by itself; so it may be tried again."""
        body: dict[str, object] = {
            "object": write.object.name,
            "operation": _operation(write),
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        }
        if write.operation is Operation.UPSERT:
            body["externalIdFieldName"] = write.key
        if write.assignment != "off" and write.object.name.lower() in ASSIGNED:
            body["assignmentRuleId"] = write.assignment
        for attempt in range(_CREATE_ATTEMPTS):
            try:
                return self._job(self._session.once("POST", "jobs/ingest", f"create {_what(write)}", body=body))
            except UnavailableError as error:
                too_long = error.retry_after is not None and error.retry_after > self._session.http.retries.budget
                if too_long or attempt == _CREATE_ATTEMPTS - 1:
                    raise
                self._session.meter.count_retry(error.message)
                time.sleep((error.retry_after or self._patience.first).total_seconds())
        raise AssertionError("the last attempt gives a job or an error")

    def _status(self, job_id: str, what: str) -> IngestJob:
        return self._job(self._session.get(_path(job_id), f"look after {what}"), job_id)

    def _aborted(self, job_id: str, what: str) -> IngestJob:
        """The job once it is no longer open. Raises UnavailableError when it cannot be ended."""
        said: Answer | Unwritten | None = None
        for _ in range(_ABORT_ATTEMPTS):
            said = self._abort(job_id, what)
            job = self._status(job_id, what)
            if job.state != "Open":
                return job
        raise UnavailableError(
            f"The bulk job {job_id} ({what}) is open and cannot be ended"
            f"{': ' + said.error.message if isinstance(said, Unwritten) else ''}.",
            hint="Run it again later: its rows are in doubt until the job is ended.",
        )

    def _abort(self, job_id: str, what: str) -> Answer | Unwritten:
        return self._session.write("PATCH", _path(job_id), f"end {what}", content=b'{"state":"Aborted"}')

    def _let_go(self, job_id: str, what: str) -> None:
        said = self._abort(job_id, what)
        if isinstance(said, Unwritten):
            log.info("The bulk job %s stays open without being started: %s", job_id, said.error.message)

    def _job(self, answer: Answer, asked: str = "") -> IngestJob:
        job: IngestJob = answer.decoded(IngestJob, "does not describe a bulk job")
        if not is_id(job.id) or (asked and job.id[:15] != asked[:15]):
            raise ProtocolError(
                f"The answer to “{answer.what}” describes the job “{job.id[:40]}”, not {asked or 'one with an id'}.",
                hint=REPORT,
                request_id=answer.request_id,
            )
        return job


def _all(shipment: Shipment, outcome: Outcome, error: ConnectorError) -> Answered:
    answers = Answers(shipment)
    answers.whole(shipment.open, outcome, error)
    return answers, error


def _not_taken(answer: Answer) -> ConnectorError:
    return ProtocolError(
        f"“{answer.what}” was answered with HTTP {answer.status} instead of 201: something on the way answered.",
        hint=REPORT,
        request_id=answer.request_id,
    )


def _not_started(job_id: str) -> ConnectorError:
    return UnavailableError(
        f"The bulk job {job_id} was not started, and is ended.",
        hint="None of its rows was executed; they can be sent again.",
        code="JOB_NOT_STARTED",
    )


def _way_out(error: ConnectorError, write: RemoteWrite) -> ConnectorError:
    if error.code != NOT_IN_BULK:
        return error
    name = write.object.name
    if _NO_OBJECT in error.message:
        return RequestError(
            f"Salesforce has no object {name}, or does not show it to the user of the account: {error.message}",
            hint="Give the user access to the object. Where it was removed or renamed, collect its successor.",
            code=NOT_IN_BULK,
            request_id=error.request_id,
        )
    return RequestError(
        f"{name} is not served by Bulk: {error.message}",
        hint="Ask for collections (batches: off). An insert whose answer is lost is then in doubt, and a person "
        "has to decide; an upsert by an external id is not."
        if not write.hard
        else "Delete into the recycle bin (hard: false).",
        code=NOT_IN_BULK,
        request_id=error.request_id,
    )


def _operation(write: RemoteWrite) -> str:
    return "hardDelete" if write.hard else str(write.operation)


def _what(write: RemoteWrite) -> str:
    return f"bulk {_operation(write)} {write.object.name}"


def _path(job_id: str) -> str:
    return f"jobs/ingest/{quote(job_id, safe='')}"


def _version(job: IngestJob, session: Session) -> str:
    """The version that the job was made with: by another its results are refused (409)."""
    return f"{job.api_version:.1f}" if job.api_version else session.signed_in().version

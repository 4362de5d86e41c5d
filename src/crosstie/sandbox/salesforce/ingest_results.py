"""The results of ingest jobs: which rows were written, which were refused, and which never came to their turn.

Sources: "Get Job Successful Record Results" and its neighbours, Bulk API 2.0 guide.
"""

import csv
import io
from collections.abc import Callable

from isal import igzip

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce.bulk_jobs import DELIMITERS, LINE_ENDINGS, TERMINAL
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.ingest_csv import InvalidContent, csv_lines, read_csv
from crosstie.sandbox.salesforce.ingest_run import IngestJob, content_file
from crosstie.sandbox.salesforce.org import Call, Org


class IngestResults:
    """The result resources; `find` gives the job that a request names."""

    def __init__(self, org: Org, find: Callable[[Call], IngestJob]) -> None:
        self._org = org
        self._find = find

    def successful(self, call: Call) -> Response:
        """GET BASE/jobs/ingest/{id}/successfulResults."""
        return self._results(call, "successful", ["sf__Id", "sf__Created"])

    def failed(self, call: Call) -> Response:
        """GET BASE/jobs/ingest/{id}/failedResults."""
        return self._results(call, "failed", ["sf__Id", "sf__Error"])

    def unprocessed(self, call: Call) -> Response:
        """GET BASE/jobs/ingest/{id}/unprocessedrecords: what was sent and never came to its turn."""
        job = self._find(call)
        if job.state not in TERMINAL:
            return self._too_early()
        content = content_file(self._org, job).read_bytes() if job.uploaded else b""
        try:
            header, *rows = read_csv(content, DELIMITERS[job.delimiter], job.line_ending)
        except InvalidContent:
            # Nothing of it was read: it goes back as it came.
            return self._csv(call, content)
        lines = csv_lines([header, *rows[job.processed :]], DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending])
        self._org.counters.rows("ingest_unprocessed", len(rows) - job.processed)
        return self._csv(call, lines.encode())

    def _results(self, call: Call, kind: str, own: list[str]) -> Response:
        job = self._find(call)
        if job.state not in TERMINAL:
            return self._too_early()
        order = "DESC" if self._org.switches.bulk_unordered else "ASC"
        with self._org.database.reading() as connection:
            found = connection.execute(
                f"SELECT {kind} FROM sandbox_ingest_batch WHERE job = ? ORDER BY first {order}", (job.id,)
            ).fetchall()
        header = csv_lines([[*own, *self._header(job)]], DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending])
        body = b"".join([header.encode(), *(row[0] for row in found)])
        withheld = next((int(name.split(":")[1]) for name in call.request.faults if name.startswith("cut_csv:")), 0)
        if withheld:
            body = _without_last(body.decode(), withheld, job)
        count = job.failed if kind == "failed" else job.processed - job.failed
        self._org.counters.rows(f"ingest_{kind}", max(count - withheld, 0))
        return self._csv(call, body)

    def _header(self, job: IngestJob) -> list[str]:
        """The sent columns; none when the upload can't be read."""
        if not job.uploaded:
            return []
        with content_file(self._org, job).open(encoding="utf-8", newline="", errors="replace") as file:
            return next(csv.reader(file, delimiter=DELIMITERS[job.delimiter]), [])

    def _csv(self, call: Call, body: bytes) -> Response:
        headers = {"Content-Type": "text/csv;charset=UTF-8"}
        if call.request.accepts_gzip:
            headers["Content-Encoding"] = "gzip"
            body = igzip.compress(body, compresslevel=1)
        return Response(headers=headers, parts=(body,))

    def _too_early(self) -> Response:
        if self._org.switches.bulk_early_results_refused:
            raise ApiError(412, "JOB_NOT_COMPLETE", "The job is not complete yet")
        return Response(status=204)


def _without_last(text: str, count: int, job: IngestJob) -> bytes:
    """The CSV without its last `count` rows; the header stays."""
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[job.delimiter])
    kept = rows[: max(len(rows) - count, 0)]
    return csv_lines([header, *kept], DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending]).encode()

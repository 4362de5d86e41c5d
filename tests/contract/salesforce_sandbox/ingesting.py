"""Ingest jobs by hand: what each request of one looks like."""

import csv
import io
import time
from dataclasses import dataclass
from typing import Any

from tests.sandboxes import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A job that has ended: its status and its three results, as rows by column."""

    status: dict[str, Any]
    successful: list[dict[str, str]]
    failed: list[dict[str, str]]
    unprocessed: list[dict[str, str]]

    @property
    def errors(self) -> list[str]:
        """sf__Error of the failed rows."""
        return [row["sf__Error"] for row in self.failed]


def created(client: Client, operation: str = "insert", name: str = "Contact", **given: Any) -> str:
    """The id of a new open job."""
    answer = client.send("POST", "/jobs/ingest", json={"object": name, "operation": operation, **given})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "Open"
    job_id: str = answer.json()["id"]
    return job_id


def uploaded(client: Client, job: str, data: str | bytes) -> Any:
    """The answer to an upload."""
    body = data if isinstance(data, bytes) else data.encode()
    return client.send("PUT", f"/jobs/ingest/{job}/batches", data=body, headers={"Content-Type": "text/csv"})


def patched(client: Client, job: str, state: str) -> Any:
    """The answer to a new state."""
    return client.send("PATCH", f"/jobs/ingest/{job}", json={"state": state})


def begun(client: Client, data: str | bytes, operation: str = "insert", name: str = "Contact", **given: Any) -> str:
    """The id of a job that has its data and is at work."""
    job = created(client, operation, name, **given)
    assert uploaded(client, job, data).status_code == 201
    assert patched(client, job, "UploadComplete").json()["state"] == "UploadComplete"
    return job


def awaited(client: Client, job: str, *, rows: int | None = None) -> dict[str, Any]:
    """The status of a job once it has ended, or once it has processed so many rows."""
    for _ in range(3000):
        status: dict[str, Any] = client.get(f"/jobs/ingest/{job}").json()
        if status["state"] in ("JobComplete", "Failed", "Aborted"):
            return status
        if rows is not None and status["numberRecordsProcessed"] == rows:
            return status
        time.sleep(0.01)
    raise AssertionError(f"the job does not end: {status}")


def results(client: Client, job: str, delimiter: str = ",") -> Ended:
    """A job's end."""
    status = awaited(client, job)
    kinds = [
        list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
        for text in (client.get(f"/jobs/ingest/{job}/{kind}").content.decode() for kind in RESULTS)
    ]
    return Ended(status=status, successful=kinds[0], failed=kinds[1], unprocessed=kinds[2])


RESULTS = ("successfulResults", "failedResults", "unprocessedrecords")


def ingested(
    client: Client, data: str | bytes, operation: str = "insert", name: str = "Contact", **given: Any
) -> Ended:
    """The end of a job with this data."""
    return results(client, begun(client, data, operation, name, **given))

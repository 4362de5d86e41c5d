"""Bulk API 2.0 ingest jobs: requests, states, formats, results, limits, faults."""

import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.contract.salesforce_sandbox.ingesting import (
    RESULTS,
    awaited,
    begun,
    created,
    ingested,
    patched,
    results,
    uploaded,
)
from tests.sandboxes import Client, Sandbox, running_sandbox

TWO = "LastName,Email\nOne,one@example.com\nTwo,two@example.com\n"


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def some(count: int, prefix: str = "R") -> str:
    return "LastName,ERP_Id__c\n" + "".join(f"Row,{prefix}{row}\n" for row in range(count))


def test_a_job_says_what_a_real_one_says(client: Client) -> None:
    answer = client.send(
        "POST",
        "/jobs/ingest",
        json={"object": "contact", "operation": "upsert", "externalIdFieldName": "erp_id__c", "contentType": "CSV"},
    ).json()
    job = answer["id"]
    described = {
        "id": job,
        "operation": "upsert",
        "object": "Contact",
        "createdById": answer["createdById"],
        "createdDate": answer["createdDate"],
        "systemModstamp": answer["createdDate"],
        "state": "Open",
        "externalIdFieldName": "ERP_Id__c",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 68.0,
        "jobType": "V2Ingest",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
        "contentUrl": f"services/data/v68.0/jobs/ingest/{job}/batches",
    }
    assert answer == described
    put = client.send(
        "PUT",
        f"/services/data/v68.0/jobs/ingest/{job}/batches",
        data=b"ERP_Id__c,LastName\nDescribed,One\n,Two\n",
        headers={"Content-Type": "text/csv; charset=UTF-8"},
    )
    assert (put.status_code, put.content) == (201, b"")
    closed = patched(client, job, "UploadComplete").json()
    assert closed.pop("systemModstamp") is not None
    expected = described | {"state": "UploadComplete"}
    assert closed == {name: value for name, value in expected.items() if name not in ("contentUrl", "systemModstamp")}
    status = awaited(client, job)
    assert {name: status[name] for name in status if name not in closed} == {
        "systemModstamp": status["systemModstamp"],
        "retries": 0,
        "totalProcessingTime": status["totalProcessingTime"],
        "apiActiveProcessingTime": status["totalProcessingTime"],
        "apexProcessingTime": 0,
        "numberRecordsProcessed": 2,
        "numberRecordsFailed": 1,
        "isPkChunkingSupported": False,
    }
    assert status["state"] == "JobComplete"


def test_results_are_quoted_and_carry_what_was_sent(client: Client) -> None:
    job = begun(client, 'LastName,Description,Email\nQuoted,"say ""hi"",\nthen go",bad\nPlain,,p@example.com\n')
    awaited(client, job)
    successful = client.get(f"/jobs/ingest/{job}/successfulResults/").content.decode()
    header, row = successful.splitlines()
    assert header == '"sf__Id","sf__Created","LastName","Description","Email"'
    assert row.endswith(',"true","Plain","","p@example.com"')
    assert client.get(f"/jobs/ingest/{job}/FAILEDresults").content.decode() == (
        '"sf__Id","sf__Error","LastName","Description","Email"\n'
        '"","INVALID_EMAIL_ADDRESS:Email: invalid email address: bad:Email --","Quoted",'
        '"say ""hi"",\nthen go","bad"\n'
    )
    assert client.get(f"/jobs/ingest/{job}/unprocessedRecords").text == '"LastName","Description","Email"\n'


@pytest.mark.parametrize(
    ("name", "mark"),
    [("COMMA", ","), ("TAB", "\t"), ("PIPE", "|"), ("SEMICOLON", ";"), ("CARET", "^"), ("BACKQUOTE", "`")],
)
@pytest.mark.parametrize(("ending", "end"), [("LF", "\n"), ("CRLF", "\r\n")])
def test_every_delimiter_and_line_ending(client: Client, name: str, mark: str, ending: str, end: str) -> None:
    lines = [mark.join(("LastName", "Title")), mark.join((f'"Many {mark} marks"', '"two\r\nlines"'))]
    job = begun(client, end.join(lines) + end, columnDelimiter=name, lineEnding=ending)
    done = results(client, job, mark)
    assert [row["Title"] for row in done.successful] == ["two\r\nlines"]
    record = client.get(f"/sobjects/Contact/{done.successful[0]['sf__Id']}").json()
    assert (record["LastName"], record["Title"]) == (f"Many {mark} marks", "two\r\nlines")
    raw = client.get(f"/jobs/ingest/{job}/successfulResults").content.decode()
    assert raw.startswith(f'"sf__Id"{mark}"sf__Created"{mark}"LastName"{mark}"Title"{end}')


def test_data_in_chunks_and_compressed(client: Client) -> None:
    whole = b"LastName\n" + b"".join(b"Chunk %d\n" % number for number in range(50))
    job = created(client)
    pieces: Iterator[bytes] = iter([whole[:7], whole[7:100], whole[100:]])
    sent = client.send("PUT", f"/jobs/ingest/{job}/batches", data=pieces, headers={"Content-Type": "text/csv"})
    assert sent.request.headers["Transfer-Encoding"] == "chunked"
    patched(client, job, "UploadComplete")
    assert awaited(client, job)["numberRecordsProcessed"] == 50
    job = created(client)
    headers = {"Content-Type": "text/csv", "Content-Encoding": "gzip"}
    client.send("PUT", f"/jobs/ingest/{job}/batches", data=gzip.compress(whole), headers=headers)
    patched(client, job, "UploadComplete")
    assert awaited(client, job)["numberRecordsProcessed"] == 50


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("quote", ['"', ""])
def test_job_and_data_in_one_request(client: Client, end: str, quote: str) -> None:
    body = end.join(
        [
            "--BOUNDARY",
            "Content-Type: application/json",
            'Content-Disposition: form-data; name="job"',
            "",
            '{"object": "Contact", "contentType": "CSV", "operation": "insert", "lineEnding": "LF"}',
            "",
            "--BOUNDARY",
            "Content-Type: text/csv",
            'Content-Disposition: form-data; name="content"; filename="content"',
            "",
            'FirstName,LastName\nAstro,Nomical\n"Hoo\ntie",McOwl',
            "--BOUNDARY--",
            "",
        ]
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={quote}BOUNDARY{quote}"}
    answer = client.send("POST", "/jobs/ingest/", data=body.encode(), headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (200, "UploadComplete")
    done = results(client, answer.json()["id"])
    assert [(row["FirstName"], row["LastName"]) for row in done.successful] == [
        ("Astro", "Nomical"),
        ("Hoo\ntie", "McOwl"),
    ]


def test_multipart_that_is_none_or_too_much(client: Client) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    assert refused(client.send("POST", "/jobs/ingest", data=b"nothing", headers=headers)) == (400, "API_ERROR")
    parts = b'--B\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    job = parts % (b"job", b'{"object": "Contact", "operation": "insert"}')
    body = job + parts % (b"content", b"LastName\n" + b"x\n" * 50_000) + b"--B--"
    assert refused(client.send("POST", "/jobs/ingest", data=body, headers=headers)) == (400, "API_ERROR")


def test_data_is_taken_once_and_while_the_job_is_open(sandbox: Sandbox, client: Client) -> None:
    job = created(client)
    assert refused(client.send("PUT", f"/jobs/ingest/{job}/batches", data=b"LastName\n")) == (
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    )
    sandbox.switches(bulk_upload_bytes=40)
    assert refused(uploaded(client, job, "x" * 31)) == (413, "REQUEST_ENTITY_TOO_LARGE")
    assert uploaded(client, job, "LastName\nOnce\n").status_code == 201
    again = uploaded(client, job, "LastName\nTwice\n")
    assert refused(again) == (400, "INVALIDJOBSTATE")
    assert f"Found multiple contents for job: <{job}>" in again.json()[0]["message"]
    patched(client, job, "UploadComplete")
    done = results(client, job)
    assert [row["LastName"] for row in done.successful] == ["Once"]
    other = created(client)
    patched(client, other, "Aborted")
    assert refused(uploaded(client, other, "LastName\nLate\n")) == (400, "INVALIDJOBSTATE")


def test_states_that_can_not_be_set(client: Client) -> None:
    job = begun(client, TWO)
    awaited(client, job)
    for state in ("UploadComplete", "Aborted", "Open", "JobComplete"):
        assert refused(patched(client, job, state)) == (400, "INVALIDJOBSTATE")
    broken = client.send("PATCH", f"/jobs/ingest/{job}", data=b"{")
    assert refused(broken) == (400, "JSON_PARSER_ERROR")
    assert refused(client.get("/jobs/ingest/nonsense")) == (400, "INVALIDJOB")
    assert refused(client.get("/jobs/ingest/7505g0000zzzzzzAAA")) == (404, "NOT_FOUND")


def test_an_open_job_writes_nothing_and_its_data_is_unprocessed_when_it_is_aborted(client: Client) -> None:
    job = created(client)
    uploaded(client, job, TWO)
    assert client.get(f"/jobs/ingest/{job}").json()["numberRecordsProcessed"] == 0
    assert patched(client, job, "Aborted").json()["state"] == "Aborted"
    done = results(client, job)
    assert (done.successful, done.failed) == ([], [])
    assert [row["LastName"] for row in done.unprocessed] == ["One", "Two"]


def test_a_job_without_data_fails(client: Client) -> None:
    job = created(client)
    patched(client, job, "UploadComplete")
    status = awaited(client, job)
    assert (status["state"], status["numberRecordsProcessed"]) == ("Failed", 0)
    assert status["errorMessage"] == "ClientInputError : Unable to find any data to create batch"
    assert client.get(f"/jobs/ingest/{job}/failedResults").text == '"sf__Id","sf__Error"\n'


def test_a_header_alone_is_a_job_of_no_rows(client: Client) -> None:
    done = ingested(client, "LastName\n")
    assert (done.status["state"], done.status["numberRecordsProcessed"]) == ("JobComplete", 0)


@pytest.mark.parametrize(("switched", "status"), [(False, 204), (True, 412)])
def test_results_that_are_not_there_yet(sandbox: Sandbox, client: Client, switched: bool, status: int) -> None:
    sandbox.switches(bulk_early_results_refused=switched)
    job = created(client)
    for kind in RESULTS:
        assert client.get(f"/jobs/ingest/{job}/{kind}").status_code == status


def test_a_job_stays_in_progress_for_as_many_polls_as_asked(sandbox: Sandbox, client: Client) -> None:
    sandbox.switches(bulk_in_progress_polls=2)
    job = created(client)
    uploaded(client, job, TWO)
    patched(client, job, "UploadComplete")
    shown = [client.get(f"/jobs/ingest/{job}").json() for _ in range(2)]
    assert [(one["state"], one["numberRecordsProcessed"]) for one in shown] == [("InProgress", 0)] * 2
    assert awaited(client, job)["state"] == "JobComplete"


def test_a_job_aborted_in_the_middle_keeps_what_it_did(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults([{"match": {"kind": "ingest_state"}, "fault": {"type": "job_waits", "rows": 450}}])
    job = begun(client, some(1000, "abort-"))
    assert awaited(client, job, rows=450)["state"] == "InProgress"
    assert patched(client, job, "Aborted").json()["state"] == "Aborted"
    done = results(client, job)
    assert (done.status["numberRecordsProcessed"], len(done.successful), len(done.failed)) == (450, 450, 0)
    assert [row["ERP_Id__c"] for row in done.unprocessed] == [f"abort-{row}" for row in range(450, 1000)]
    found = client.query("SELECT COUNT() FROM Contact WHERE ERP_Id__c LIKE 'abort-%'")
    assert found["totalSize"] == 450


@pytest.mark.parametrize("end", ["resumed", "aborted"])
def test_a_job_that_nobody_takes_up(sandbox: Sandbox, client: Client, end: str) -> None:
    """Longer than a client may want to wait: it can be asked for by its id, and in the list, days later."""
    sandbox.faults([{"match": {"kind": "ingest_state"}, "fault": {"type": "job_queued"}}])
    job = begun(client, some(10, f"queue-{end}-"))
    sandbox.advance(timedelta(days=8))
    assert client.get(f"/jobs/ingest/{job}").json()["state"] == "UploadComplete"
    listed = {one["id"]: one["state"] for one in client.get("/jobs/ingest").json()["records"]}
    assert listed[job] == "UploadComplete"
    assert client.get(f"/jobs/ingest/{job}/successfulResults").status_code == 204
    assert refused(client.send("DELETE", f"/jobs/ingest/{job}")) == (400, "INVALIDJOBSTATE")
    if end == "resumed":
        sandbox.control("resume_jobs")
        assert len(results(client, job).successful) == 10
    else:
        assert patched(client, job, "Aborted").json()["state"] == "Aborted"
        done = results(client, job)
        assert (len(done.successful), len(done.failed), len(done.unprocessed)) == (0, 0, 10)


def test_a_job_told_to_wait_goes_on_when_resumed(sandbox: Sandbox, client: Client) -> None:
    sandbox.faults([{"match": {"kind": "ingest_state"}, "fault": {"type": "job_waits", "rows": 3}}])
    job = begun(client, some(10, "wait-"))
    awaited(client, job, rows=3)
    sandbox.control("resume_jobs")
    done = results(client, job)
    assert (done.status["state"], len(done.successful)) == ("JobComplete", 10)


@pytest.mark.parametrize("message", [None, "TimedOut : too long"])
def test_a_job_that_fails_in_the_middle(sandbox: Sandbox, client: Client, message: str | None) -> None:
    sandbox.faults(
        [{"match": {"kind": "ingest_state"}, "fault": {"type": "job_fails", "rows": 250, "message": message}}]
    )
    prefix = f"fails-{message}-"
    done = ingested(client, some(300, prefix))
    assert (done.status["state"], done.status["retries"]) == ("Failed", 20)
    assert done.status["errorMessage"] == (
        message or "InternalServerError : Unable to process the batch after 20 retries"
    )
    assert (len(done.successful), len(done.failed), len(done.unprocessed)) == (250, 0, 50)
    assert not {row["ERP_Id__c"] for row in done.successful} & {row["ERP_Id__c"] for row in done.unprocessed}


def test_the_daily_quota_of_rows(sandbox: Sandbox, client: Client) -> None:
    # Other tests of this module use the quota of the same day.
    sandbox.advance(timedelta(hours=25))
    sandbox.switches(daily_ingest_rows=15)
    assert ingested(client, some(10, "quota-a")).status["state"] == "JobComplete"
    done = ingested(client, some(10, "quota-b"))
    assert done.status["state"] == "Failed"
    assert done.status["errorMessage"].startswith("ExceededQuota : ")
    assert (len(done.successful), len(done.unprocessed)) == (5, 5)
    sandbox.advance(timedelta(hours=25))
    assert ingested(client, some(10, "quota-c")).status["state"] == "JobComplete"


@pytest.mark.parametrize("batch", [3, 10_000])
def test_results_in_no_useful_order(sandbox: Sandbox, client: Client, batch: int) -> None:
    sandbox.switches(bulk_unordered=True, bulk_batch_rows=batch)
    done = ingested(client, some(12, f"shuffled-{batch}-"))
    names = [row["ERP_Id__c"] for row in done.successful]
    expected = [f"shuffled-{batch}-{row}" for row in range(12)]
    assert names != expected
    assert sorted(names) == sorted(expected)


def test_jobs_are_listed_in_pages_and_by_kind(sandbox: Sandbox, client: Client) -> None:
    jobs = [created(client) for _ in range(5)]
    sandbox.switches(bulk_jobs_page=2)
    found: list[str] = []
    path = "/jobs/ingest"
    while path:
        page = client.get(path).json()
        assert len(page["records"]) <= 2
        assert all(one["jobType"] == "V2Ingest" for one in page["records"])
        found += [one["id"] for one in page["records"]]
        assert page["done"] == (page["nextRecordsUrl"] is None)
        path = page["nextRecordsUrl"]
    assert set(jobs) <= set(found)
    assert len(set(found)) == len(found)
    for query in ("jobType=Classic", "jobType=BigObjectIngest", "isPkChunkingEnabled=true", "concurrencyMode=serial"):
        assert client.get(f"/jobs/ingest?{query}").json()["records"] == []
    assert len(client.get("/jobs/ingest?jobType=V2Ingest&concurrencyMode=parallel").json()["records"]) == 2
    assert refused(client.get("/jobs/ingest?jobType=Nope")) == (400, "API_ERROR")
    assert refused(client.get("/jobs/ingest?queryLocator=!!")) == (400, "INVALID_LOCATOR")


def test_ended_jobs_can_be_deleted_and_vanish_after_a_week(sandbox: Sandbox, client: Client) -> None:
    open_job, deleted, old, expired = created(client), begun(client, TWO), begun(client, TWO), begun(client, TWO)
    for job in (deleted, old, expired):
        awaited(client, job)
    assert refused(client.send("DELETE", f"/jobs/ingest/{open_job}")) == (400, "INVALIDJOBSTATE")
    assert client.send("DELETE", f"/jobs/ingest/{deleted}").status_code == 204
    assert refused(client.get(f"/jobs/ingest/{deleted}")) == (404, "NOT_FOUND")
    sandbox.advance(timedelta(days=6, hours=23))
    assert len(results(client, old).successful) == 2
    sandbox.advance(timedelta(hours=2))
    for kind in RESULTS:
        assert refused(client.get(f"/jobs/ingest/{old}/{kind}")) == (404, "NOT_FOUND")
    assert client.get(f"/jobs/ingest/{open_job}").status_code == 200
    sandbox.switches(open_jobs_expire=True)
    assert refused(client.get(f"/jobs/ingest/{open_job}")) == (404, "NOT_FOUND")
    later = begun(client, TWO)
    awaited(client, later)
    sandbox.control("expire_jobs")
    assert refused(client.get(f"/jobs/ingest/{later}")) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([], "API_ERROR"),
        ({"operation": "merge"}, "API_ERROR"),
        ({"columnDelimiter": "SPACE"}, "API_ERROR"),
        ({"lineEnding": "CR"}, "API_ERROR"),
        ({"contentType": "JSON"}, "API_ERROR"),
        ({"object": "Nope"}, "INVALIDENTITY"),
        ({"object": None}, "INVALIDENTITY"),
        ({"object": "Lead"}, "INVALIDENTITY"),
        ({"operation": "upsert"}, "INVALIDJOB"),
        ({"operation": "upsert", "externalIdFieldName": "Title"}, "INVALIDJOB"),
        ({"operation": "upsert", "externalIdFieldName": "Nope"}, "INVALIDJOB"),
        ({"assignmentRuleId": "all"}, "INVALIDJOB"),
        ({"operation": "hardDelete"}, "FEATURENOTENABLED"),
    ],
)
def test_jobs_that_are_refused(sandbox: Sandbox, client: Client, given: Any, code: str) -> None:
    sandbox.switches(bulk_unsupported=["Lead"], hard_delete=False)
    body = {"object": "Contact", "operation": "insert", **given} if isinstance(given, dict) else given
    assert refused(client.send("POST", "/jobs/ingest", json=body)) == (400, code)
    broken = client.send("POST", "/jobs/ingest", data=b"{", headers={"Content-Type": "application/json"})
    assert refused(broken) == (400, "JSON_PARSER_ERROR")


def test_results_that_are_cut(sandbox: Sandbox, client: Client) -> None:
    job = begun(client, some(10, "cut-"))
    awaited(client, job)
    sandbox.faults([{"match": {"kind": "ingest_successful"}, "fault": {"type": "cut_csv", "rows": 4}}])
    assert len(client.get(f"/jobs/ingest/{job}/successfulResults").text.splitlines()) == 7
    assert len(client.get(f"/jobs/ingest/{job}/successfulResults").text.splitlines()) == 11


def test_late_rows_become_visible_later(sandbox: Sandbox, client: Client) -> None:
    sandbox.control("clock", frozen=True)
    sandbox.faults([{"match": {"kind": "ingest_state"}, "fault": {"type": "late", "seconds": 300}}])
    done = ingested(client, some(3, "late-"))
    assert len(done.successful) == 3
    count = "SELECT COUNT() FROM Contact WHERE ERP_Id__c LIKE 'late-%'"
    assert client.query(count)["totalSize"] == 0
    sandbox.advance(timedelta(seconds=301))
    assert client.query(count)["totalSize"] == 3
    sandbox.control("clock", frozen=False)


def test_rows_and_requests_are_counted(sandbox: Sandbox, client: Client) -> None:
    sandbox.counters(reset=True)
    ingested(client, "LastName,Email\nA,a@example.com\nB,\nC,bad\n")
    counted = sandbox.counters()
    assert {name: counted["rows"].get(name, 0) for name in ("ingest_successful", "ingest_failed")} == {
        "ingest_successful": 2,
        "ingest_failed": 1,
    }
    for kind in ("create", "upload", "state", "successful", "failed", "unprocessed"):
        assert counted["requests"][f"ingest_{kind}"] == 1


def test_parallel_jobs_lose_nothing(client: Client) -> None:
    jobs = [created(client) for _ in range(4)]
    for number, job in enumerate(jobs):
        uploaded(client, job, some(700, f"parallel-{number}-"))

    def start(job: str) -> None:
        own = Client(client.sandbox)
        patched(own, job, "UploadComplete")
        own.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(start, jobs))
    ids = [row["sf__Id"] for job in jobs for row in results(client, job).successful]
    assert len(set(ids)) == 2800


def test_a_job_goes_on_after_a_restart_without_doing_a_row_twice(tmp_path: Path) -> None:
    with running_sandbox(records=20, state=tmp_path) as sandbox:
        client = Client(sandbox)
        sandbox.switches(bulk_batch_rows=100)
        sandbox.faults([{"match": {"kind": "ingest_state"}, "fault": {"type": "job_waits", "rows": 350}}])
        job = begun(client, some(1000, "again-"))
        awaited(client, job, rows=350)
        client.close()
    with running_sandbox(records=20, state=tmp_path) as sandbox:
        client = Client(sandbox)
        assert awaited(client, job, rows=350)["state"] == "InProgress"
        sandbox.control("resume_jobs")
        done = results(client, job)
        assert (done.status["state"], len(done.successful), len(done.failed)) == ("JobComplete", 1000, 0)
        assert client.query("SELECT COUNT() FROM Contact WHERE ERP_Id__c LIKE 'again-%'")["totalSize"] == 1000
        client.close()

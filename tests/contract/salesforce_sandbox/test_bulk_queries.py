"""Bulk API 2.0 query jobs: states, pages, formats, errors, prepared bytes."""

import csv
import gzip
import io
from datetime import timedelta
from typing import Any

import pytest

from tests.sandboxes import Client, Sandbox


def create(client: Client, query: str = "SELECT Id, Name FROM Contact", **given: Any) -> str:
    answer = client.send("POST", "/jobs/query", json={"operation": "query", "query": query, **given})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "UploadComplete"
    job_id: str = answer.json()["id"]
    return job_id


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def test_pages_join_to_the_whole(client: Client) -> None:
    job = create(client)
    whole = client.finished_bulk(job)
    locator, pages, counts = "", [], []
    while locator != "null":
        page = client.get(f"/jobs/query/{job}/results", params={"maxRecords": 250, "locator": locator})
        counts.append(int(page.headers["Sforce-NumberOfRecords"]))
        pages.append(page.content.decode().split("\n", 1)[1])
        locator = page.headers["Sforce-Locator"]
    assert counts == [250, 250, 100]
    assert whole.split("\n", 1)[1] == "".join(pages)
    assert whole.startswith('"Id","Name"\n')


def test_locators_can_be_fetched_again(client: Client) -> None:
    job = create(client)
    client.finished_bulk(job)
    first = client.get(f"/jobs/query/{job}/results?maxRecords=100")
    path = f"/jobs/query/{job}/results?maxRecords=100&locator={first.headers['Sforce-Locator']}"
    assert client.get(path).content == client.get(path).content


def test_result_pages_lead_to_every_row_once(sandbox: Sandbox, client: Client) -> None:
    sandbox.switches(bulk_page_rows=70)
    job = create(client, "SELECT Id FROM Contact")
    whole = client.finished_bulk(job).splitlines()
    found: list[str] = []
    path, rounds = f"/jobs/query/{job}/resultPages", 0
    while path:
        listed = client.get(path).json()
        assert len(listed["resultPages"]) <= 5
        for page in listed["resultPages"]:
            found += client.get(page["resultUrl"]).text.splitlines()[1:]
        assert listed["done"] == (listed["nextRecordsUrl"] is None)
        path, rounds = listed["nextRecordsUrl"], rounds + 1
    assert rounds == 2
    assert len(found) == 600
    assert found[:70] == whole[1:71]
    sandbox.switches(bulk_next_link="nextRecordUrl")
    assert "nextRecordUrl" in client.get(f"/jobs/query/{job}/resultPages").json()


def test_result_pages_need_version_58(sandbox: Sandbox) -> None:
    older = Client(sandbox, "v57.0")
    job = create(older)
    older.finished_bulk(job)
    assert older.get(f"/jobs/query/{job}/resultPages").status_code == 404
    older.close()


def test_no_rows_are_a_header_and_one_page(client: Client) -> None:
    job = create(client, "SELECT Id, Name FROM Contact WHERE LastName = 'nobody has this name'")
    assert client.finished_bulk(job) == '"Id","Name"\n'
    page = client.get(f"/jobs/query/{job}/results")
    assert (page.headers["Sforce-NumberOfRecords"], page.headers["Sforce-Locator"]) == ("0", "null")
    assert len(client.get(f"/jobs/query/{job}/resultPages").json()["resultPages"]) == 1


@pytest.mark.parametrize(
    ("delimiter", "character"),
    [("COMMA", ","), ("TAB", "\t"), ("PIPE", "|"), ("SEMICOLON", ";"), ("CARET", "^"), ("BACKQUOTE", "`")],
)
def test_delimiters_and_line_endings(client: Client, delimiter: str, character: str) -> None:
    query = "SELECT Id, Description FROM Contact WHERE ERP_Id__c < 'C-0000050'"
    job = create(client, query, columnDelimiter=delimiter, lineEnding="CRLF")
    text = client.finished_bulk(job)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=character))
    rest = client.query(query)["records"]
    assert rows[0] == ["Id", "Description"]
    assert {row[0]: row[1] for row in rows[1:]} == {one["Id"]: one["Description"] or "" for one in rest}
    assert text.startswith(f'"Id"{character}"Description"\r\n')
    assert text.endswith('"\r\n')


def test_every_type_in_csv(client: Client) -> None:
    names = [
        "Id", "Active__c", "Count__c", "Weight__c", "Share__c", "Price__c", "Built__c", "Seen__c", "Opens__c",
        "Tags__c", "Place__Latitude__s", "Contact__r.Name", "Story__c",
    ]  # fmt: skip
    query = f"SELECT {', '.join(names)} FROM Gadget__c"
    rows = list(csv.DictReader(io.StringIO(client.finished_bulk(create(client, query)), newline="")))
    rest = {one["Id"]: one for one in client.query(query)["records"]}
    assert len(rows) == len(rest) > 0
    for row in rows:
        record = rest[row["Id"]]
        record["Contact__r.Name"] = (record["Contact__r"] or {}).get("Name")
        for name in names:
            value = record[name]
            if isinstance(value, bool):
                value = str(value).lower()
            elif name == "Seen__c" and value:
                value = value.replace("+0000", "Z")
            elif isinstance(value, float) and row[name]:
                assert float(row[name]) == value
                continue
            assert row[name] == ("" if value is None else str(value)), name


def test_datetimes_with_an_offset_by_a_switch(sandbox: Sandbox, client: Client) -> None:
    sandbox.switches(bulk_datetime_offset=True)
    text = client.finished_bulk(create(client, "SELECT SystemModstamp FROM Contact LIMIT 3"))
    assert all(line.endswith('.000+0000"') for line in text.splitlines()[1:])


def test_gzip_only_when_asked_and_equal(client: Client) -> None:
    job = create(client)
    client.finished_bulk(job)
    path = f"/jobs/query/{job}/results"
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    packed = client.get(path, headers={"Accept-Encoding": "gzip"}, stream=True)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.raw.read()) == plain.content


def test_results_are_those_of_the_moment(sandbox: Sandbox, client: Client) -> None:
    query = "SELECT Id, Title FROM Contact"
    before = client.finished_bulk(create(client, query))
    first = create(client, query)
    assert client.finished_bulk(first) == before
    sandbox.change_contacts(5)
    assert client.finished_bulk(first) == before
    after = client.finished_bulk(create(client, query))
    assert len(set(before.splitlines()) ^ set(after.splitlines())) == 10


def test_deleted_rows_by_query_all(client: Client) -> None:
    query = "SELECT Id FROM Contact WHERE IsDeleted = true"
    assert len(client.finished_bulk(create(client, query)).splitlines()) == 1
    assert len(client.finished_bulk(create(client, query, operation="queryAll")).splitlines()) == 4


def test_states_are_walked(sandbox: Sandbox, client: Client) -> None:
    sandbox.switches(bulk_in_progress_polls=2)
    job = create(client)
    states = [client.get(f"/jobs/query/{job}").json()["state"] for _ in range(2)]
    assert states == ["InProgress", "InProgress"]
    client.finished_bulk(job)
    shown = client.get(f"/jobs/query/{job}").json()
    assert (shown["state"], shown["numberRecordsProcessed"], shown["jobType"]) == ("JobComplete", 600, "V2Query")
    assert shown["apiVersion"] == 68.0


def test_abort_delete_and_their_refusals(sandbox: Sandbox, client: Client) -> None:
    job = create(client)
    client.finished_bulk(job)
    aborted = client.send("PATCH", f"/jobs/query/{job}", json={"state": "Aborted"})
    assert refused(aborted) == (400, "INVALIDJOBSTATE")
    assert client.send("DELETE", f"/jobs/query/{job}").status_code == 204
    assert refused(client.get(f"/jobs/query/{job}")) == (404, "NOT_FOUND")
    assert refused(client.get("/jobs/query/nonsense")) == (400, "INVALIDJOB")


def test_jobs_are_listed_and_vanish_after_a_week(sandbox: Sandbox, client: Client) -> None:
    job = create(client)
    client.finished_bulk(job)
    listed = client.get("/jobs/query").json()
    assert job in [one["id"] for one in listed["records"]]
    assert listed["done"] is True
    sandbox.advance(timedelta(days=8))
    assert client.get("/jobs/query").json()["records"] == []


def test_another_version_may_not_read(sandbox: Sandbox, client: Client) -> None:
    job = create(client)
    client.finished_bulk(job)
    older = Client(sandbox, "v60.0")
    assert older.get(f"/jobs/query/{job}/results").status_code == 409
    older.close()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT Nope FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT MailingAddress FROM Contact", "API_ERROR"),
        ("SELECT COUNT(Id) FROM Contact", "API_ERROR"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "API_ERROR"),
        ("SELECT Id FROM Contact LIMIT 5 OFFSET 5", "API_ERROR"),
        ("", "API_ERROR"),
    ],
)
def test_queries_that_bulk_refuses(client: Client, query: str, code: str) -> None:
    answer = client.send("POST", "/jobs/query", json={"operation": "query", "query": query})
    assert refused(answer) == (400, code)


def test_requests_that_are_refused(sandbox: Sandbox, client: Client) -> None:
    query = "SELECT Id FROM Contact"
    bodies: list[Any] = [
        {"operation": "insert", "query": query},
        {"operation": "query", "query": query, "columnDelimiter": "SPACE"},
        {"operation": "query", "query": 3},
        [],
    ]
    for body in bodies:
        assert refused(client.send("POST", "/jobs/query", json=body)) == (400, "API_ERROR")
    sandbox.switches(bulk_unsupported=["Contact"])
    answer = client.send("POST", "/jobs/query", json={"operation": "query", "query": query})
    assert refused(answer) == (400, "INVALIDENTITY")
    assert answer.json()[0]["message"] == "Entity 'Contact' is not supported by the Bulk API."


@pytest.mark.parametrize("locator", ["!!", "bm9uc2Vuc2U", "OTk5OTk5"])
def test_bad_locators(client: Client, locator: str) -> None:
    job = create(client)
    client.finished_bulk(job)
    assert client.get(f"/jobs/query/{job}/results", params={"locator": locator}).status_code == 400


def test_fewer_rows_than_announced_and_more_announced(sandbox: Sandbox, client: Client) -> None:
    job = create(client)
    client.finished_bulk(job)
    for fault, rows, announced in (({"type": "cut_csv", "rows": 3}, 597, 600), ({"type": "wrong_count"}, 600, 601)):
        sandbox.faults([{"match": {"kind": "bulk_results"}, "fault": fault}])
        page = client.get(f"/jobs/query/{job}/results")
        assert len(list(csv.reader(io.StringIO(page.text, newline="")))) == rows + 1
        assert page.headers["Sforce-NumberOfRecords"] == str(announced)


def test_path_case_of_job_resources_is_ignored(client: Client) -> None:
    job = create(client)
    client.finished_bulk(job)
    assert client.get(f"/jobs/query/{job}/RESULTS/").status_code == 200

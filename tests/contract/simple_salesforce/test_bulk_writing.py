"""Bulk 2.0 ingest through simple-salesforce: insert, update, upsert, delete, hard delete, and their three results."""

import csv
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from simple_salesforce.bulk2 import ColumnDelimiter, LineEnding
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceOperationError

from tests.contract.simple_salesforce.conftest import Org
from tests.sandboxes import Sandbox, running_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One for these tests alone: others count what changed in theirs."""
    with running_sandbox(records=200) as running:
        yield running


@pytest.fixture(autouse=True)
def switches(sandbox: Sandbox) -> Iterator[None]:
    """The switches are as before afterwards."""
    before = sandbox.switches()
    yield
    sandbox.switches(**before)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def count(org: Org, condition: str) -> int:
    total: int = org.query(f"SELECT COUNT() FROM Contact WHERE {condition}")["totalSize"]
    return total


def people(prefix: str, number: int) -> list[dict[str, str]]:
    return [{"LastName": f"{prefix} {one}", "ERP_Id__c": f"{prefix}-{one}", "Title": "new"} for one in range(number)]


def test_insert_with_successful_and_failed_records(org: Org) -> None:
    records = [*people("ss-in", 3), {"LastName": "", "ERP_Id__c": "ss-in-x", "Title": "no name"}]
    (result,) = org.bulk2.Contact.insert(records=records, wait=0)
    assert result == {
        "numberRecordsFailed": 1,
        "numberRecordsProcessed": 4,
        "numberRecordsTotal": 4,
        "job_id": result["job_id"],
    }
    successful = rows(org.bulk2.Contact.get_successful_records(result["job_id"]))
    assert [(row["sf__Created"], row["ERP_Id__c"]) for row in successful] == [
        ("true", f"ss-in-{one}") for one in range(3)
    ]
    for row in successful:
        assert org.Contact.get(row["sf__Id"])["LastName"] == row["LastName"]
    (failed,) = rows(org.bulk2.Contact.get_failed_records(result["job_id"]))
    assert failed["sf__Error"] == "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
    assert (failed["sf__Id"], failed["ERP_Id__c"]) == ("", "ss-in-x")
    assert rows(org.bulk2.Contact.get_unprocessed_records(result["job_id"])) == []


def test_update_upsert_delete_and_hard_delete(org: Org) -> None:
    (made,) = org.bulk2.Contact.insert(records=people("ss-all", 4), wait=0)
    ids = [row["sf__Id"] for row in rows(org.bulk2.Contact.get_successful_records(made["job_id"]))]

    changes = [{"Id": one, "Title": "changed"} for one in ids] + [{"Id": "0035g0000zzzzzzAAA", "Title": "nobody"}]
    (updated,) = org.bulk2.Contact.update(records=changes, wait=0)
    assert (updated["numberRecordsProcessed"], updated["numberRecordsFailed"]) == (5, 1)
    assert count(org, "ERP_Id__c LIKE 'ss-all-%' AND Title = 'changed'") == 4

    upserts = [*people("ss-all", 6), {"LastName": "No key", "ERP_Id__c": "", "Title": ""}]
    (upserted,) = org.bulk2.Contact.upsert(records=upserts, external_id_field="ERP_Id__c", wait=0)
    assert (upserted["numberRecordsProcessed"], upserted["numberRecordsFailed"]) == (7, 1)
    every = org.bulk2.Contact.get_all_ingest_records(upserted["job_id"])
    assert [row["sf__Created"] for row in every["successfulRecords"]] == ["false"] * 4 + ["true"] * 2
    assert [row["sf__Error"] for row in every["failedRecords"]] == ["MISSING_ARGUMENT:ERP_Id__c not specified:--"]
    assert every["unprocessedRecords"] == []
    created = [row["sf__Id"] for row in every["successfulRecords"][4:]]

    (deleted,) = org.bulk2.Contact.delete(records=[{"Id": one} for one in [*ids, "bad"]], wait=0)
    assert (deleted["numberRecordsProcessed"], deleted["numberRecordsFailed"]) == (5, 1)
    (gone,) = org.bulk2.Contact.hard_delete(records=[{"Id": one} for one in [*created, ids[0]]], wait=0)
    (still,) = rows(org.bulk2.Contact.get_failed_records(gone["job_id"]))
    assert (still["sf__Id"], still["sf__Error"]) == (ids[0], "ENTITY_IS_DELETED:entity is deleted:--")
    assert count(org, "ERP_Id__c LIKE 'ss-all-%'") == 0
    in_bin = org.query("SELECT COUNT() FROM Contact WHERE ERP_Id__c LIKE 'ss-all-%'", include_deleted=True)
    assert in_bin["totalSize"] == 4


def test_upsert_by_id_is_its_default(org: Org) -> None:
    record_id = org.Contact.create({"LastName": "By id"})["id"]
    records = [{"Id": record_id, "LastName": "Changed by id"}, {"Id": "", "LastName": "Made by id"}]
    (result,) = org.bulk2.Contact.upsert(records=records, wait=0)
    successful = rows(org.bulk2.Contact.get_successful_records(result["job_id"]))
    assert [row["sf__Created"] for row in successful] == ["false", "true"]
    assert org.Contact.get(record_id)["LastName"] == "Changed by id"


@pytest.mark.parametrize("delimiter", list(ColumnDelimiter))
@pytest.mark.parametrize("ending", list(LineEnding))
def test_files_in_every_format(org: Org, tmp_path: Path, delimiter: ColumnDelimiter, ending: LineEnding) -> None:
    mark = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}[delimiter.value]
    end = {"LF": "\n", "CRLF": "\r\n"}[ending.value]
    key = f"ss-file-{delimiter.value}-{ending.value}"
    title = f'a "quoted"{mark} title'
    file = tmp_path / "contacts.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, delimiter=mark, lineterminator=end)
        writer.writerows([["LastName", "ERP_Id__c", "Title"], ["Łódź 東京", key, title]])
    (result,) = org.bulk2.Contact.insert(csv_file=str(file), column_delimiter=delimiter, line_ending=ending, wait=0)
    assert result["numberRecordsProcessed"] == 1
    record = org.Contact.get_by_custom_id("ERP_Id__c", key)
    assert (record["LastName"], record["Title"]) == ("Łódź 東京", title)
    downloaded = tmp_path / "successful.csv"
    org.bulk2.Contact.get_successful_records(result["job_id"], file=str(downloaded))
    with downloaded.open(encoding="utf-8", newline="") as opened:
        header, row = csv.reader(opened, delimiter=mark)
    assert header == ["sf__Id", "sf__Created", "LastName", "ERP_Id__c", "Title"]
    assert row == [record["Id"], "true", "Łódź 東京", key, title]


def test_several_jobs_at_once(org: Org) -> None:
    found = org.bulk2.Contact.insert(records=people("ss-many", 500), batch_size=100, concurrency=4, wait=0)
    assert [one["numberRecordsProcessed"] for one in found] == [100] * 5
    assert count(org, "ERP_Id__c LIKE 'ss-many-%'") == 500


def test_a_job_that_fails_in_the_middle_has_all_three_results(sandbox: Sandbox, org: Org, tmp_path: Path) -> None:
    sandbox.faults([{"match": {"kind": "ingest_state"}, "fault": {"type": "job_fails", "rows": 30}}])
    records: list[dict[str, Any]] = people("ss-fail", 50)
    records[7]["LastName"] = ""
    with pytest.raises(SalesforceOperationError) as caught:
        org.bulk2.Contact.insert(records=records, wait=0)
    assert "InternalServerError : Unable to process the batch after 20 retries" in str(caught.value)
    (job,) = [
        one
        for one in org.restful("jobs/ingest")["records"]
        if one["state"] == "Failed" and one["operation"] == "insert"
    ][:1]
    every = org.bulk2.Contact.get_all_ingest_records(job["id"])
    assert {kind: len(found) for kind, found in every.items()} == {
        "successfulRecords": 29,
        "failedRecords": 1,
        "unprocessedRecords": 20,
    }
    assert every["failedRecords"][0]["ERP_Id__c"] == "ss-fail-7"
    assert {row["ERP_Id__c"] for row in every["unprocessedRecords"]} == {f"ss-fail-{one}" for one in range(30, 50)}
    for kind in ("successful", "failed", "unprocessed"):
        file = tmp_path / f"{kind}.csv"
        getattr(org.bulk2.Contact, f"get_{kind}_records")(job["id"], file=str(file))
        assert rows(file.read_text(encoding="utf-8")) == every[f"{kind}Records"]


def test_aborting_in_the_middle(sandbox: Sandbox, org: Org) -> None:
    sandbox.faults([{"match": {"kind": "ingest_state"}, "fault": {"type": "job_waits", "rows": 10}}])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(org.bulk2.Contact.insert, records=people("ss-abort", 25), wait=0)
        job: dict[str, Any] = {}
        while job.get("numberRecordsProcessed") != 10:
            at_work = [one for one in org.restful("jobs/ingest")["records"] if one["state"] == "InProgress"]
            if at_work:
                job = org.bulk2.Contact._client.get_job(at_work[0]["id"], False)
        assert org.bulk2.Contact._client.abort_job(job["id"], False)["state"] == "Aborted"
        with pytest.raises(SalesforceOperationError):
            waiting.result()
    every = org.bulk2.Contact.get_all_ingest_records(job["id"])
    assert (len(every["successfulRecords"]), len(every["unprocessedRecords"])) == (10, 15)


def test_unknown_columns_fail_the_job(org: Org) -> None:
    with pytest.raises(SalesforceOperationError) as caught:
        org.bulk2.Contact.insert(records=[{"LastName": "A", "Nope__c": "B"}], wait=0)
    assert "InvalidBatch : Field name not found : Nope__c" in str(caught.value)


def test_refused_jobs_are_its_exceptions(sandbox: Sandbox, org: Org) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        org.bulk2.Nope.insert(records=[{"LastName": "A"}], wait=0)
    assert caught.value.content[0]["errorCode"] == "INVALIDENTITY"  # type: ignore[index]
    sandbox.switches(hard_delete=False)
    with pytest.raises(SalesforceMalformedRequest) as caught:
        org.bulk2.Contact.hard_delete(records=[{"Id": "0035g00000000001AAA"}], wait=0)
    assert caught.value.content[0]["errorCode"] == "FEATURENOTENABLED"  # type: ignore[index]

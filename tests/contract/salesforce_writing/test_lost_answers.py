"""What goes wrong with each request of each road: the word of every row is true of what the org holds, a look-up finds
the truth, and rows that are sent again by it are there exactly once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from crosstie.crm.salesforce.bulk import Patience
from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.crm.writing import Operation, Outcome, RemoteWrite, WriteRoad
from crosstie.model import RemoteObject
from tests.contract.positions import POSITIONS
from tests.contract.salesforce_connector.conftest import Opener
from tests.contract.salesforce_writing.test_roads import soql
from tests.contract.writing.shipping import Answered, Row, find, send
from tests.sandboxes import Client, Sandbox, running_sandbox
from tests.scale import SOAK

COLLECTIONS, BULK = WriteRoad.CALLS, WriteRoad.BULK
ROWS = 5
FAULTS: tuple[dict[str, Any], ...] = (
    {"type": "drop_before"},
    {"type": "drop_after"},
    {"type": "status", "status": 503},
    {"type": "status", "status": 500, "after_work": True},
    {"type": "status", "status": 403, "code": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."},
    {"type": "status", "status": 404, "html": True, "after_work": True},
    {"type": "truncate", "bytes": 3},
    {"type": "cut_csv", "rows": 1},
    {"type": "expire_session"},
    {"type": "rewrite", "trick": "html"},
)
RARER: tuple[dict[str, Any], ...] = (
    {"type": "status", "status": 502, "html": True, "after_work": True},
    {"type": "status", "status": 429, "after_work": True},
    {"type": "status", "status": 400, "code": "JSON_PARSER_ERROR", "message": "Unexpected character"},
    {"type": "cut_gzip", "bytes": 20},
    {"type": "redirect"},
    {"type": "rewrite", "trick": "empty"},
    {"type": "rewrite", "trick": "deep"},
    {"type": "rewrite", "trick": "bomb", "bytes": 70_000_000},
)
PLAYED = FAULTS + RARER if SOAK else FAULTS
"""`make soak` plays them all, of every operation, with the unsure facts in both positions."""

JOB = (
    "ingest_create",
    "ingest_upload",
    "ingest_state",
    "ingest_status",
    "ingest_successful",
    "ingest_failed",
    "ingest_unprocessed",
)
NAMES = {Operation.INSERT: "create", Operation.UPDATE: "update", Operation.UPSERT: "upsert", Operation.DELETE: "delete"}
count = iter(range(1_000_000))


@pytest.fixture(scope="module", params=POSITIONS if SOAK else ["believed"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A small org."""
    with running_sandbox(records=20) as running:
        running.switches(**POSITIONS[request.param])
        yield running


def named(fault: dict[str, Any]) -> str:
    return "-".join(str(value) for key, value in fault.items() if key not in {"message", "bytes"})


class Scene:
    """Rows of one operation, and what the org holds of them."""

    def __init__(
        self,
        connector: SalesforceConnector,
        sandbox: Sandbox,
        client: Client,
        operation: Operation,
        road: WriteRoad,
        *,
        count_of_rows: int = ROWS,
        contact: RemoteObject | None = None,
    ) -> None:
        numbers = range(count_of_rows)
        self.mark = f"scene {next(count)}"
        self.client = client
        self.sandbox = sandbox
        fields = () if operation is Operation.DELETE else ("LastName", "Score__c")
        key = "ERP_Id__c" if operation is Operation.UPSERT else ""
        self.write = RemoteWrite(
            object=contact or connector.describe("Contact"), operation=operation, fields=fields, key=key, road=road
        )
        self.connector = connector
        self.rows: list[Row] = [{"LastName": f"{self.mark} new", "Score__c": str(n)} for n in numbers]
        if operation in {Operation.UPDATE, Operation.DELETE}:
            old = sandbox.insert("Contact", [{"LastName": f"{self.mark} old", "Score__c": n} for n in numbers])
            for row, record_id in zip(self.rows, old, strict=True):
                row["remote_id"] = record_id
        if operation is Operation.UPSERT:
            sandbox.insert("Contact", [{"LastName": "old", "ERP_Id__c": f"{self.mark} {n}"} for n in range(2)])
            for n, row in enumerate(self.rows):
                row["key"] = f"{self.mark} {n}"
        sandbox.advance(timedelta(minutes=5))
        self.left_at = sandbox.now()

    def executed(self) -> list[int]:
        """The rows that the org holds as they were sent (of deletes: holds no more), each as often as it does."""
        old = "old" if self.write.operation is Operation.DELETE else "new"
        found = [
            int(one["Score__c"]) for one in soql(self.client, "Score__c", "Contact", f"LastName = '{self.mark} {old}'")
        ]
        if self.write.operation is Operation.DELETE:
            return [row for row in range(len(self.rows)) if row not in found]
        return sorted(found)

    def holds(self, answered: Answered) -> None:
        """Every word is true of the org."""
        executed = self.executed()
        for row, one in answered.rows.items():
            if one.outcome == Outcome.ACCEPTED:
                assert row in executed, one
            elif one.outcome != Outcome.DOUBT:
                assert row not in executed, one

    def settled(self, first: Answered, *, tries: int = 3) -> Answered:
        """Looks up what is in doubt, and sends again what was not executed, until all is answered."""
        known = first
        for _ in range(tries):
            self.holds(known)
            if known.where(Outcome.DOUBT):
                token = known.kept[-1] if known.kept else ""
                kept = known.kept
                known = find(self.connector, self.write, self.rows, token, self.left_at)
                known.kept = kept
                continue
            again: Sequence[int] = known.where(Outcome.RETRY)
            if not again:
                break
            sent = send(self.connector, self.write, [self.rows[row] for row in again], numbers=again)
            known = Answered(rows={**known.rows, **sent.rows}, failure=sent.failure, kept=sent.kept)
        self.holds(known)
        return known


@pytest.mark.parametrize("fault", PLAYED, ids=named)
@pytest.mark.parametrize("operation", Operation)
def test_a_fault_of_a_collections_call(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client, operation: Operation, fault: dict[str, Any]
) -> None:
    scene = Scene(connector, sandbox, client, operation, COLLECTIONS)
    sandbox.faults([{"match": {"kind": f"collection_{NAMES[operation]}"}, "fault": fault}])
    first = send(connector, scene.write, scene.rows)
    assert len(first.outcomes()) == 1
    assert (first.failure is None) == (first.outcomes() == {Outcome.ACCEPTED})
    last = scene.settled(first)
    if operation is Operation.INSERT and first.outcomes() == {Outcome.DOUBT}:
        assert last.outcomes() == {Outcome.DOUBT}
    else:
        assert last.outcomes() == {Outcome.ACCEPTED}
        assert scene.executed() == list(range(ROWS))


@pytest.mark.parametrize("fault", PLAYED, ids=named)
@pytest.mark.parametrize("kind", JOB)
@pytest.mark.parametrize("operation", Operation if SOAK else [Operation.INSERT])
def test_a_fault_of_a_request_of_a_bulk_job(
    connector: SalesforceConnector,
    sandbox: Sandbox,
    client: Client,
    operation: Operation,
    kind: str,
    fault: dict[str, Any],
) -> None:
    scene = Scene(connector, sandbox, client, operation, BULK)
    sandbox.faults([{"match": {"kind": kind}, "fault": fault}])
    first = send(connector, scene.write, scene.rows)
    assert len(first.outcomes()) == 1
    if kind in {"ingest_create", "ingest_upload"}:
        assert Outcome.DOUBT not in first.outcomes()
    assert scene.settled(first).outcomes() == {Outcome.ACCEPTED}
    assert scene.executed() == list(range(ROWS))


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("operation", Operation)
def test_a_job_that_fails_says_which_rows_it_did_not_come_to(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client, operation: Operation, rows: int
) -> None:
    scene = Scene(connector, sandbox, client, operation, BULK)
    sandbox.faults([{"match": {"kind": "ingest_state"}, "fault": {"type": "job_fails", "rows": rows}}])
    first = send(connector, scene.write, scene.rows)
    assert (len(first.where(Outcome.ACCEPTED)), len(first.where(Outcome.RETRY))) == (rows, ROWS - rows)
    assert first.failure is not None
    assert "after 20 retries" in first.failure.message
    assert scene.settled(first).outcomes() == {Outcome.ACCEPTED}
    assert scene.executed() == list(range(ROWS))


def test_a_job_that_outlives_the_patience_is_taken_up_by_its_id(sandbox: Sandbox, client: Client) -> None:
    impatient = Patience(
        first=timedelta(milliseconds=1), longest=timedelta(milliseconds=2), total=timedelta(milliseconds=4)
    )
    opener = Opener(sandbox)
    connector = SalesforceConnector(opener.settings(), account="sandbox", patience=impatient)
    scene = Scene(connector, sandbox, client, Operation.INSERT, BULK)
    sandbox.faults([{"match": {"kind": "ingest_state"}, "fault": {"type": "job_waits", "rows": 3}}])
    first = send(connector, scene.write, scene.rows)
    assert first.outcomes() == {Outcome.DOUBT}
    (token,) = first.kept
    again = find(connector, scene.write, scene.rows, token, scene.left_at)
    assert again.outcomes() == {Outcome.DOUBT}
    assert token in str(again.failure)
    connector.close()
    sandbox.control("resume_jobs")
    patient = opener()
    done = find(patient, scene.write, scene.rows, token, scene.left_at)
    assert done.outcomes() == {Outcome.ACCEPTED}
    assert scene.executed() == list(range(ROWS))
    patient.close()


def test_a_job_that_was_not_started_is_ended_before_its_rows_are_sent_again(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client
) -> None:
    scene = Scene(connector, sandbox, client, Operation.INSERT, BULK)

    class Crash(Exception):
        pass

    def crash(token: str) -> None:
        raise Crash(token)

    with pytest.raises(Crash) as raised:
        send(connector, scene.write, scene.rows, keep=crash)
    token = str(raised.value)
    found = find(connector, scene.write, scene.rows, token, scene.left_at)
    assert (found.outcomes(), found.failure) == ({Outcome.RETRY}, None)
    assert client.get(f"/jobs/ingest/{token}").json()["state"] == "Aborted"
    assert find(connector, scene.write, scene.rows, token, scene.left_at).outcomes() == {Outcome.RETRY}
    assert find(connector, scene.write, scene.rows, "", scene.left_at).outcomes() == {Outcome.RETRY}
    assert scene.executed() == []


def test_a_job_that_somebody_aborts_is_answered_row_by_row(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client
) -> None:
    scene = Scene(connector, sandbox, client, Operation.INSERT, BULK)
    sandbox.faults([{"match": {"kind": "ingest_state"}, "fault": {"type": "job_waits", "rows": 3}}])

    kept = threading.Event()

    def abort() -> None:
        assert kept.wait(20)
        token = client.get("/jobs/ingest").json()["records"][0]["id"]
        for _ in range(1_000):
            if client.get(f"/jobs/ingest/{token}").json()["numberRecordsProcessed"] == 3:
                break
            time.sleep(0.01)
        client.send("PATCH", f"/jobs/ingest/{token}", json={"state": "Aborted"})

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(abort)
        first = send(connector, scene.write, scene.rows, keep=lambda token: kept.set())
        other.result()
    assert (len(first.where(Outcome.ACCEPTED)), len(first.where(Outcome.RETRY))) == (3, 2)
    assert "ended as Aborted" in str(first.failure)
    assert scene.settled(first).outcomes() == {Outcome.ACCEPTED}
    assert scene.executed() == list(range(ROWS))


def test_a_job_whose_data_is_refused_as_a_whole_executes_nothing(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client
) -> None:
    scene = Scene(connector, sandbox, client, Operation.INSERT, BULK)
    sandbox.hide("Contact.Score__c")
    try:
        first = send(connector, scene.write, scene.rows)
    finally:
        sandbox.hide()
    assert first.outcomes() == {Outcome.RETRY}
    assert "Field name not found : Score__c" in str(first.failure)
    assert "give the user access to it" in str(first.failure)
    assert scene.settled(first).outcomes() == {Outcome.ACCEPTED}
    assert scene.executed() == list(range(ROWS))


def test_rows_that_lose_the_race_for_a_parent_may_be_sent_again(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client
) -> None:
    sandbox.switches(bulk_parents_contend=True, bulk_batch_rows=2)
    (account,) = sandbox.insert("Account", [{"Name": "Wanted"}])
    scene = Scene(connector, sandbox, client, Operation.UPDATE, BULK)
    scene.write = replace(scene.write, fields=(*scene.write.fields, "AccountId"))
    scene.rows = [{**row, "AccountId": account} for row in scene.rows]
    first = send(connector, scene.write, scene.rows)
    assert (len(first.where(Outcome.ACCEPTED)), first.failure) == (2, None)
    assert {first.rows[row].symbol for row in first.where(Outcome.RETRY)} == {"UNABLE_TO_LOCK_ROW"}
    assert scene.settled(first).outcomes() == {Outcome.ACCEPTED}


@pytest.mark.parametrize("operation", Operation)
def test_a_job_that_salesforce_has_forgotten_is_looked_up_by_its_records(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client, operation: Operation
) -> None:
    scene = Scene(connector, sandbox, client, operation, BULK)
    (token,) = send(connector, scene.write, scene.rows).kept
    sandbox.control("expire_jobs")
    found = find(connector, scene.write, scene.rows, token, scene.left_at)
    expected = Outcome.DOUBT if operation is Operation.INSERT else Outcome.ACCEPTED
    assert found.outcomes() == {expected}
    assert find(connector, scene.write, scene.rows, "750000000000000AAA", scene.left_at).outcomes() == {expected}


def test_the_results_of_another_job_acknowledge_nothing(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client
) -> None:
    scene, other = (Scene(connector, sandbox, client, Operation.INSERT, BULK) for _ in range(2))
    (token,) = send(connector, other.write, other.rows).kept
    found = find(connector, scene.write, scene.rows, token, scene.left_at)
    assert found.outcomes() == {Outcome.DOUBT}
    assert "a row that was not sent" in str(found.failure)
    short = find(connector, other.write, other.rows[1:], token, scene.left_at)
    assert "5 successful, 0 failed and 0 unprocessed rows, 5 in all; 4 were sent" in str(short.failure)
    delete = replace(other.write, operation=Operation.DELETE, fields=())
    gone = find(connector, delete, [{"remote_id": "003000000000001AAA"}], token, scene.left_at)
    assert "is “insert” of Contact" in str(gone.failure)


@pytest.mark.parametrize("operation", [Operation.UPDATE, Operation.UPSERT])
def test_a_record_that_another_changed_meanwhile_is_a_conflict_and_not_overwritten(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client, operation: Operation
) -> None:
    scene = Scene(connector, sandbox, client, operation, COLLECTIONS)
    sandbox.faults([{"match": {"kind": f"collection_{NAMES[operation]}"}, "fault": {"type": "drop_before"}}])
    first = send(connector, scene.write, scene.rows)
    place = "Id = '{remote_id}'" if operation is Operation.UPDATE else "ERP_Id__c = '{key}'"
    ids = [soql(client, "Id", "Contact", place.format(**row))[0]["Id"] for row in scene.rows[:2]]
    sandbox.control("update", id=ids[0], values={"LastName": "Another's"})
    sandbox.control("update", id=ids[1], values={"LastName": f"{scene.mark} new", "Score__c": 1})
    assert first.outcomes() == {Outcome.DOUBT}
    found = find(connector, scene.write, scene.rows, "", scene.left_at)
    assert [found.rows[row].outcome for row in range(ROWS)] == ["rejected", "accepted", "retry", "retry", "retry"]
    fields = "LastName" if operation is Operation.UPDATE else "LastName,Score__c"
    assert (found.rows[0].symbol, found.rows[0].fields) == ("CONFLICT", fields)
    assert ids[0] in str(found.rows[0].message)


def test_a_record_that_was_restored_meanwhile_is_not_deleted_again(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client
) -> None:
    scene = Scene(connector, sandbox, client, Operation.DELETE, COLLECTIONS)
    sandbox.faults([{"match": {"kind": "collection_delete"}, "fault": {"type": "drop_after"}}])
    assert send(connector, scene.write, scene.rows).outcomes() == {Outcome.DOUBT}
    sandbox.advance(timedelta(minutes=5))
    sandbox.control("undelete", ids=[scene.rows[0]["remote_id"]])
    found = find(connector, scene.write, scene.rows, "", scene.left_at)
    assert [found.rows[row].outcome for row in range(ROWS)] == ["rejected", *["accepted"] * (ROWS - 1)]
    assert found.rows[0].symbol == "CONFLICT"


def test_what_was_in_the_bin_before_is_told_from_what_was_deleted(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client
) -> None:
    scene = Scene(connector, sandbox, client, Operation.DELETE, COLLECTIONS)
    sandbox.control("delete", ids=[scene.rows[0]["remote_id"]])
    sandbox.advance(timedelta(minutes=5))
    scene.left_at = sandbox.now()
    sandbox.faults([{"match": {"kind": "collection_delete"}, "fault": {"type": "drop_after"}}])
    assert send(connector, scene.write, scene.rows).outcomes() == {Outcome.DOUBT}
    found = find(connector, scene.write, scene.rows, "", scene.left_at)
    assert [found.rows[row].effect for row in range(ROWS)] == ["gone", *["deleted"] * (ROWS - 1)]

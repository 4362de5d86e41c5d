"""getUpdated, getDeleted, the recycle bin, and commits that become visible late."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.sandboxes import Client, Sandbox

STAMP = "%Y-%m-%dT%H:%M:%S.000+0000"
MINUTE = "%Y-%m-%dT%H:%M:00.000+0000"


@pytest.fixture(autouse=True)
def whole_minute(sandbox: Sandbox) -> datetime:
    """The clock stands at the beginning of a minute."""
    now = sandbox.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    sandbox.control("clock", at=now.isoformat(), frozen=True)
    return now


def replicated(client: Client, what: str, start: datetime, end: datetime, name: str = "Contact") -> Any:
    form = "%Y-%m-%dT%H:%M:%S+00:00"
    return client.get(f"/sobjects/{name}/{what}", params={"start": start.strftime(form), "end": end.strftime(form)})


def test_both_ends_are_whole_minutes_and_included(sandbox: Sandbox, client: Client, whole_minute: datetime) -> None:
    first = sandbox.change_contacts(3)
    sandbox.advance(timedelta(seconds=61))
    sandbox.change_contacts(2)
    sandbox.advance(timedelta(minutes=5))
    end = whole_minute + timedelta(seconds=119)
    answer = replicated(client, "updated", whole_minute + timedelta(seconds=59), end).json()
    assert answer == {"ids": sorted(first), "latestDateCovered": end.strftime(MINUTE)}


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (0, 59), (5, 0), (-31 * 86400, 0)], ids=["same", "minute", "backwards", "too old"]
)
def test_windows_that_are_refused(client: Client, whole_minute: datetime, start: int, end: int) -> None:
    answer = replicated(
        client, "updated", whole_minute + timedelta(seconds=start), whole_minute + timedelta(seconds=end)
    )
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


def test_deletions_reach_back_fifteen_days(sandbox: Sandbox, client: Client, whole_minute: datetime) -> None:
    (made,) = sandbox.insert("Contact", [{"LastName": "Short life"}])
    sandbox.control("delete", ids=[made])
    now = sandbox.advance(timedelta(days=14))
    answer = replicated(client, "deleted", whole_minute, now).json()
    assert {"id": made, "deletedDate": whole_minute.strftime(STAMP)} in answer["deletedRecords"]
    assert answer["earliestDateAvailable"] == (now - timedelta(days=15)).strftime(MINUTE)
    now = sandbox.advance(timedelta(days=2))
    assert replicated(client, "deleted", whole_minute, now).status_code == 400


def test_a_purged_delete_log_demands_a_full_reload(sandbox: Sandbox, client: Client, whole_minute: datetime) -> None:
    (made,) = sandbox.insert("Contact", [{"LastName": "Forgotten"}])
    sandbox.control("delete", ids=[made])
    sandbox.control("purge_delete_log")
    now = sandbox.advance(timedelta(minutes=5))
    answer = replicated(client, "deleted", whole_minute - timedelta(hours=1), now)
    assert answer.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"
    assert replicated(client, "deleted", whole_minute, now).json()["deletedRecords"] == []
    sandbox.switches(deleted_clipped=True)
    clipped = replicated(client, "deleted", whole_minute - timedelta(hours=1), now).json()
    assert (clipped["deletedRecords"], clipped["earliestDateAvailable"]) == ([], whole_minute.strftime(STAMP))
    # The record itself stays in the bin, for as long as any.
    shown = client.get("/queryAll", params={"q": f"SELECT Id FROM Contact WHERE Id = '{made}'"})
    assert shown.json()["totalSize"] == 1
    sandbox.advance(timedelta(days=16))
    shown = client.get("/queryAll", params={"q": f"SELECT Id FROM Contact WHERE Id = '{made}'"})
    assert shown.json()["totalSize"] == 0


def test_undelete_keeps_the_id_and_moves_the_stamp(sandbox: Sandbox, client: Client, whole_minute: datetime) -> None:
    (made,) = sandbox.insert("Contact", [{"LastName": "Back again"}])
    sandbox.control("delete", ids=[made])
    now = sandbox.advance(timedelta(minutes=3))
    sandbox.control("undelete", ids=[made])
    record = client.get(f"/sobjects/Contact/{made}").json()
    assert (record["IsDeleted"], record["SystemModstamp"]) == (False, now.strftime(STAMP))
    now = sandbox.advance(timedelta(minutes=3))
    assert made not in str(replicated(client, "deleted", whole_minute, now).json()["deletedRecords"])


def test_hard_deletion_leaves_only_the_log(sandbox: Sandbox, client: Client, whole_minute: datetime) -> None:
    (made,) = sandbox.insert("Contact", [{"LastName": "Gone for good"}])
    sandbox.control("purge", ids=[made])
    found = client.get("/queryAll", params={"q": f"SELECT Id FROM Contact WHERE Id = '{made}'"}).json()
    assert found["totalSize"] == 0
    now = sandbox.advance(timedelta(minutes=3))
    assert made in str(replicated(client, "deleted", whole_minute, now).json())


def test_late_commits_have_their_stamp_and_come_later(sandbox: Sandbox, client: Client, whole_minute: datetime) -> None:
    changed = sandbox.change_contacts(4, late=300)
    (made,) = sandbox.insert("Contact", [{"LastName": "Late"}], late=300)
    query = f"SELECT Id FROM Contact WHERE SystemModstamp >= {whole_minute:%Y-%m-%dT%H:%M:%SZ}"
    now = sandbox.advance(timedelta(seconds=299))
    assert client.query(query)["records"] == []
    assert client.get(f"/sobjects/Contact/{made}").status_code == 404
    covered = replicated(client, "updated", whole_minute - timedelta(minutes=2), now).json()
    assert covered == {"ids": [], "latestDateCovered": whole_minute.strftime(MINUTE)}

    now = sandbox.advance(timedelta(seconds=1))
    assert sorted(one["Id"] for one in client.query(query)["records"]) == sorted([*changed, made])
    stamps = {one["SystemModstamp"] for one in client.query(query.replace("Id", "SystemModstamp", 1))["records"]}
    assert stamps == {whole_minute.strftime(STAMP)}
    answer = replicated(client, "updated", whole_minute - timedelta(minutes=2), now).json()
    assert sorted(answer["ids"]) == sorted([*changed, made])
    assert answer["latestDateCovered"] == now.strftime(MINUTE)


def test_late_commits_that_do_not_hold_the_end_back(sandbox: Sandbox, client: Client, whole_minute: datetime) -> None:
    sandbox.change_contacts(1, late=300, holds_back=False)
    now = sandbox.advance(timedelta(minutes=2))
    answer = replicated(client, "updated", whole_minute - timedelta(minutes=2), now).json()
    assert answer == {"ids": [], "latestDateCovered": now.strftime(MINUTE)}
    sandbox.advance(timedelta(minutes=5))


def test_older_servers_refuse_while_a_transaction_is_open(
    sandbox: Sandbox, client: Client, whole_minute: datetime
) -> None:
    sandbox.switches(late_fails_replication=True)
    sandbox.change_contacts(1, late=300)
    now = sandbox.advance(timedelta(minutes=2))
    answer = replicated(client, "updated", whole_minute - timedelta(minutes=2), now)
    assert answer.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"
    assert whole_minute.strftime(MINUTE) in answer.json()[0]["message"]
    sandbox.advance(timedelta(minutes=5))


def test_late_writes_by_the_fault_plan(sandbox: Sandbox, client: Client, whole_minute: datetime) -> None:
    sandbox.faults([{"match": {"kind": "record_create"}, "fault": {"type": "late", "seconds": 60}}])
    made = client.send("POST", "/sobjects/Contact", json={"LastName": "Slow trigger"}).json()["id"]
    assert client.get(f"/sobjects/Contact/{made}").status_code == 404
    sandbox.advance(timedelta(seconds=60))
    assert client.get(f"/sobjects/Contact/{made}").json()["CreatedDate"] == whole_minute.strftime(STAMP)


def test_late_deletion_enters_the_log_with_its_commit(sandbox: Sandbox, client: Client, whole_minute: datetime) -> None:
    (made,) = sandbox.insert("Contact", [{"LastName": "Late end"}])
    sandbox.control("delete", ids=[made], late=600)
    now = sandbox.advance(timedelta(minutes=5))
    assert made not in str(replicated(client, "deleted", whole_minute, now).json())
    now = sandbox.advance(timedelta(minutes=5))
    assert made in str(replicated(client, "deleted", whole_minute, now).json())


def test_stamps_set_from_outside(sandbox: Sandbox, client: Client) -> None:
    (made,) = sandbox.insert("Contact", [{"LastName": "Old data"}])
    sandbox.control("set_stamp", ids=[made], values={"LastModifiedDate": "1999-12-31T23:59:59.000+0000"})
    assert client.get(f"/sobjects/Contact/{made}").json()["LastModifiedDate"] == "1999-12-31T23:59:59.000+0000"

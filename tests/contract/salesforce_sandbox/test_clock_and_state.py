"""The sandbox's clock, and what outlives a restart."""

import stat
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from crosstie.sandbox import StateInUse, running
from tests.sandboxes import Client, ControlRefused, Sandbox, running_sandbox


def test_the_clock_is_in_headers_stamps_and_literals(sandbox: Sandbox, client: Client) -> None:
    before = sandbox.now()
    sandbox.control("clock", frozen=True)
    now = sandbox.advance(timedelta(days=400))
    assert now - before >= timedelta(days=400)
    assert parsedate_to_datetime(client.get("/limits").headers["Date"]) == now.replace(microsecond=0)
    (made,) = sandbox.insert("Contact", [{"LastName": "From the future"}])
    record = client.get(f"/sobjects/Contact/{made}").json()
    assert record["SystemModstamp"] == now.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    assert client.query("SELECT Id FROM Contact WHERE CreatedDate = TODAY")["records"][0]["Id"] == made
    assert sandbox.now() == now
    sandbox.control("clock", frozen=False)


def test_a_clock_without_zone_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ControlRefused, match="time zone"):
        sandbox.control("clock", at="2026-01-01T00:00:00")


def test_a_second_start_finds_the_same_data(tmp_path: Path) -> None:
    with running_sandbox(records=50, state=tmp_path) as first:
        (made,) = first.insert("Contact", [{"LastName": "Kept"}])
        first.advance(timedelta(days=3))
        first.switches(daily_requests=77)
        first.hide("Contact.Email")
        before, info = first.now(), first.info
    with running_sandbox(records=99_999, state=tmp_path) as second:
        client = Client(second)
        assert second.info == info
        assert second.now() >= before
        assert client.get(f"/sobjects/Contact/{made}").json()["LastName"] == "Kept"
        assert client.query("SELECT COUNT() FROM Contact")["totalSize"] == 51
        assert client.get("/limits").json()["DailyApiRequests"]["Max"] == 77
        described = client.get("/sobjects/Contact/describe").json()["fields"]
        assert "Email" not in {field["name"] for field in described}
        client.close()


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    with running_sandbox(records=10, state=tmp_path):
        for name in ("sandbox.json", "ca_key.pem", "server.pem", "jwt_key.pem"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_one_sandbox_per_state(tmp_path: Path) -> None:
    with running_sandbox(records=10, state=tmp_path):
        with pytest.raises(StateInUse, match=str(tmp_path)), running(tmp_path):
            pass


def test_unfinished_and_finished_bulk_jobs_outlive_a_restart(tmp_path: Path) -> None:
    with running_sandbox(records=50, state=tmp_path) as first:
        client = Client(first)
        job = client.send("POST", "/jobs/query", json={"operation": "query", "query": "SELECT Id FROM Contact"}).json()
        client.close()
    with running_sandbox(state=tmp_path) as second:
        client = Client(second)
        assert len(client.finished_bulk(job["id"]).splitlines()) == 51
        client.close()


def test_requests_and_rows_are_counted(sandbox: Sandbox, client: Client) -> None:
    sandbox.counters(reset=True)
    client.query("SELECT Id FROM Contact LIMIT 7")
    client.get("/limits")
    counted = sandbox.counters()
    assert counted["requests"] == {"query": 1, "limits": 1}
    assert (counted["requests_total"], counted["rows"]) == (2, {"query": 7})


def test_changing_contacts_touches_exactly_those(sandbox: Sandbox, client: Client) -> None:
    sandbox.advance(timedelta(minutes=1))
    since = sandbox.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    ids = sandbox.change_contacts(25)
    changed = client.query(f"SELECT Id, Title FROM Contact WHERE SystemModstamp >= {since}")["records"]
    assert sorted(one["Id"] for one in changed) == sorted(ids)
    titles = {one["Title"] for one in changed}
    again = sandbox.change_contacts(25)
    assert titles.isdisjoint({one["Title"] for one in client.query(
        f"SELECT Title FROM Contact WHERE Id IN ({', '.join(repr(one) for one in again)})")["records"]})  # fmt: skip


def test_more_changes_than_records_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ControlRefused, match="were to change"):
        sandbox.change_contacts(100_000)


def test_unknown_actions_say_what_there_is(sandbox: Sandbox) -> None:
    with pytest.raises(ControlRefused, match="There are: switches"):
        sandbox.control("explode")
    with pytest.raises(ControlRefused):
        sandbox.switches(colour="red")

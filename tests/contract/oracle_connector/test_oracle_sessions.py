"""Sessions: few for a company, never left behind, never too fast; the usual mistakes in an account's set-up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from crosstie.crm import kind_of
from crosstie.crm.connector import Connector, RemoteQuery
from crosstie.errors import AuthError, CrosstieError, RequestError, UnavailableError
from tests.contract.every_connector.worlds import World

_OPENS_AND_DIES = """
import json, os, signal, sys
from crosstie.crm import kind_of
kind = kind_of("oracle_on_demand")
settings = kind.settings_model().model_validate(json.loads(sys.stdin.read()))
token = []
connector = kind.open(settings, account="sandbox", org_id="", token="", on_token=token.append)
connector.org_id()
print(token[-1], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def sessions(world: World) -> Any:
    """The sandbox's counters of sessions."""
    return world.sandbox.counters()["sessions"]


def nobody(connector: Connector) -> RemoteQuery:
    """The cheapest query."""
    contact = connector.describe("Contact")
    return RemoteQuery(object=contact, fields=("Id",), ids=["AAPA-0"])


def test_a_session_is_logged_off_even_when_nothing_may_be_sent_any_more(world: World) -> None:
    kept: list[str] = []
    connector = world.open(on_token=kept.append)
    connector.org_id()
    assert sessions(world)["open"] == 1
    assert kept[-1]

    def forbid() -> None:
        raise CrosstieError("the run was stopped")

    connector.permitted_by(forbid)
    with pytest.raises(CrosstieError, match="was stopped"):
        connector.describe("Contact")
    connector.close()
    assert sessions(world)["open"] == 0
    assert kept[-1] == ""
    with pytest.raises(RequestError, match="was closed meanwhile"):
        connector.describe("Contact")


def test_what_a_killed_process_left_is_logged_off_by_the_next_run(world: World) -> None:
    import json

    died = subprocess.run(
        [sys.executable, "-c", _OPENS_AND_DIES], input=json.dumps(world.given()), capture_output=True, text=True
    )
    assert died.returncode == -9, died.stderr
    assert sessions(world)["open"] == 1
    connector = world.open(token=died.stdout.strip())
    connector.org_id()
    assert sessions(world)["open"] == 1
    assert sessions(world)["ended"] == {"logoff": 1}
    connector.close()
    assert sessions(world)["open"] == 0


def test_the_session_of_a_connector_at_work_is_left_alone(world: World) -> None:
    kept: list[str] = []
    first = world.open(on_token=kept.append)
    query = nobody(first)
    second = world.open(token=kept[-1], on_token=kept.append)
    second.org_id()
    assert first.count(query) == 0
    assert sessions(world)["opened"] == {"login": 2}
    first.close()
    second.close()
    assert sessions(world)["open"] == 0


def test_an_org_without_a_free_session_says_so_and_who_has_them(world: World) -> None:
    world.sandbox.switches(session_quota=1)
    world.open().org_id()
    with pytest.raises(UnavailableError, match="All sessions of the company are taken") as caught:
        world.open().org_id()
    assert "R16 Compatibility" in caught.value.hint


def test_a_session_that_idled_out_is_opened_anew(world: World) -> None:
    connector = world.open()
    query = nobody(connector)
    world.sandbox.advance(timedelta(minutes=11))
    assert connector.count(query) == 0
    assert sessions(world)["opened"] == {"login": 2}


def test_never_more_than_twenty_calls_a_second_whatever_the_threads(world: World) -> None:
    world.sandbox.switches(request_gap=50)
    settings = world.settings("", {})
    connector = kind_of("oracle_on_demand").open(
        settings, account="sandbox", org_id="", token="", on_token=lambda token: None
    )
    world.opened.append(connector)
    query = nobody(connector)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: connector.count(query), range(30))) == [0] * 30
    assert sessions(world)["most_calls_in_a_second"] <= 20


def test_a_throttled_request_waits_as_long_as_it_is_told(world: World) -> None:
    world.sandbox.switches(request_gap=120)
    connector = world.open()
    query = nobody(connector)
    assert [connector.count(query) for _ in range(3)] == [0, 0, 0]
    assert any("takes no more requests" in why for why in connector.usage.retries)


def test_user_and_password_in_every_request_leave_no_session(world: World) -> None:
    connector = world.open("ws_security")
    query = nobody(connector)
    assert connector.count(query) == 0
    assert sessions(world)["opened"] == {}
    assert connector.check().passed


def test_a_company_in_compatibility_mode_is_told_and_loses_one_session_at_most(world: World) -> None:
    world.sandbox.switches(r16_compatibility=True)
    connector = world.open("ws_security")
    query = nobody(connector)
    assert [connector.count(query) for _ in range(4)] == [0] * 4
    assert sessions(world)["most_open"] == 1
    check = connector.check()
    assert any("R16" in finding.text and finding.hint for finding in check.findings if not finding.ok)
    connector.close()
    assert sessions(world)["open"] == 0


@pytest.mark.parametrize(
    ("switches", "flow", "changed", "hint"),
    [
        ({}, "", {"password": "wrong"}, "user, password and host"),
        ({}, "ws_security", {"password": "wrong"}, "user, password and host"),
        ({}, "", {"user": "INTEGRATION"}, "COMPANY/user"),
        ({"web_services": False}, "", {}, "Enable Web Services Access"),
        ({"login_refused_status": 500}, "", {"password": "wrong"}, "user, password and host"),
    ],
)
def test_a_mistake_in_the_set_up_says_what_to_do(
    world: World, switches: Mapping[str, Any], flow: str, changed: Mapping[str, Any], hint: str
) -> None:
    world.sandbox.switches(**switches)
    world.sandbox.counters(reset=True)
    with pytest.raises(AuthError, match="refused to sign in") as caught:
        world.open(flow, changed=changed).check()
    assert hint in caught.value.hint
    assert world.sandbox.counters()["requests_total"] == 1  # more would lock the user


def test_a_zone_that_is_not_the_users_is_found(world: World) -> None:
    assert world.open().check().passed
    check = world.open(changed={"time_zone": "Europe/Paris"}).check()
    assert not check.passed
    (finding,) = (one for one in check.findings if not one.ok)
    assert "6 hours" in finding.text
    assert "New_York" in finding.hint


def test_neither_user_nor_password_nor_session_is_shown(world: World) -> None:
    kept: list[str] = []
    connector = world.open(on_token=kept.append)
    connector.org_id()
    secret = world.sandbox.told["password"]
    cookie = kept[-1].partition('"cookie":"')[2].partition('"')[0]
    assert cookie
    session = connector._session  # type: ignore[attr-defined]
    shown = f"{connector!r} {session!r} {vars(session)!r}"
    assert secret not in shown
    assert cookie not in shown
